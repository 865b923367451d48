//! Atoms: the weakly connected components of `after`, which packing moves as one.

use std::collections::BTreeMap;

use dva_plan::plan::{Edge, Shape, TestIx};

/// The atoms of `shape`, each as a shape of its own, by their first tests. Edges of order that lead
/// from one atom to another are left out, since they bind on one life only.
pub(super) fn atoms(shape: &Shape) -> Vec<Shape> {
    let mut first_of: BTreeMap<TestIx, TestIx> =
        shape.tests.iter().map(|test| (*test, *test)).collect();
    // A few rounds over all edges let the smallest test of each atom spread to all of it.
    loop {
        let mut changed = false;
        for Edge { test, after } in &shape.after {
            let first = first_of[test].min(first_of[after]);
            for end in [test, after] {
                changed |= first_of.insert(*end, first) != Some(first);
            }
        }
        if !changed {
            break;
        }
    }
    let mut atoms: BTreeMap<TestIx, Shape> = BTreeMap::new();
    for test in &shape.tests {
        atoms.entry(first_of[test]).or_default().tests.push(*test);
    }
    for (first, atom) in &mut atoms {
        let inside =
            |edge: &&Edge| first_of[&edge.test] == *first && first_of[&edge.after] == *first;
        atom.after = shape.after.iter().filter(inside).copied().collect();
        atom.order = shape.order.iter().filter(inside).copied().collect();
    }
    atoms.into_values().collect()
}
