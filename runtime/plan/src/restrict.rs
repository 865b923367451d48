//! A part of a plan: some of its test runs, and what they need.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Cell, CellIx, Edge, ExecutionPlan, Pair, Shape, ShapeIx, TestIx};
use crate::table::Table;
use crate::together::with_needs;

impl ExecutionPlan {
    /// The plan with these test runs alone, and those that they are `after`, regardless of their ending or not.
    /// Cells keep their ids, tests their rows. A gate stays where both of its matrices do. `None` where nothing
    /// is left.
    ///
    /// # Panics
    /// If the plan does not hold together, see [`validate`](crate::validate::validate()), or has no such cell.
    #[must_use]
    pub fn restricted_to(&self, test_runs: &BTreeSet<(CellIx, TestIx)>) -> Option<Self> {
        let mut wanted: BTreeMap<CellIx, BTreeSet<TestIx>> = BTreeMap::new();
        for (cell, test) in test_runs {
            wanted.entry(*cell).or_default().insert(*test);
        }
        let mut rows: BTreeMap<Shape, ShapeIx> = BTreeMap::new();
        let mut shapes = Table::new();
        let mut cells: Table<CellIx, Cell> = Table::new();
        for (index, tests) in wanted {
            let cell = &self.cells[index];
            let shape = self.shapes[cell.shape].restricted_to(tests);
            let row = match rows.get(&shape) {
                Some(row) => *row,
                None => shapes.push(shape.clone()),
            };
            let tests = &shape.tests;
            let unsupported = cell.unsupported.iter().copied();
            cells.push(Cell {
                shape: row,
                unsupported: unsupported
                    .filter(|test| tests.binary_search(test).is_ok())
                    .collect(),
                ..cell.clone()
            });
            rows.insert(shape, row);
        }
        if cells.is_empty() {
            return None;
        }
        let matrices: BTreeSet<&str> = cells.iter().map(|cell| &*cell.matrix).collect();
        let mut policy = self.policy.clone();
        policy.gates.retain(|gate| {
            matrices.contains(gate.first.as_str()) && matrices.contains(gate.then.as_str())
        });
        Some(Self {
            shapes,
            policy,
            cells,
            ..self.clone()
        })
    }
}

impl Shape {
    /// `tests` and all that they need, directly or through others.
    #[must_use]
    pub fn closed(&self, tests: BTreeSet<TestIx>) -> BTreeSet<TestIx> {
        let mut needs: BTreeMap<TestIx, Vec<TestIx>> = BTreeMap::new();
        for edge in self.after.iter().chain(&self.regardless) {
            needs.entry(edge.test).or_default().push(edge.after);
        }
        with_needs(tests, |test| needs.get(&test).into_iter().flatten())
    }

    fn restricted_to(&self, tests: BTreeSet<TestIx>) -> Self {
        let tests = self.closed(tests);
        let both = |edge: &&Edge| tests.contains(&edge.test) && tests.contains(&edge.after);
        let edges = |of: &[Edge]| of.iter().filter(both).copied().collect();
        let apart = |pair: &&Pair| tests.contains(&pair.a) && tests.contains(&pair.b);
        Self {
            after: edges(&self.after),
            regardless: edges(&self.regardless),
            order: edges(&self.order),
            conflicts: self.conflicts.iter().filter(apart).copied().collect(),
            tests: tests.into_iter().collect(),
        }
    }
}
