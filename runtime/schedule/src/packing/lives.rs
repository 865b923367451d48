//! Which tests of a shape share a life, and which of them only prepare it.
//!
//! Atoms move as one. Where all tests of a shape fit one life, that is it. Else the atoms go to the
//! first life that has room for them, those with most conflicts first, since they are hardest to place
//! (first fit by degree, as graphs are coloured). An atom that does not fit one life itself is taken
//! apart: each part brings along what it needs, and what is on another life already is repeated as setup.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use dva_plan::plan::TestIx;
use dva_plan::together::Together;
use dva_plan::{ExecutionPlan, TestId};

/// The tests of one life.
pub(super) struct LifeTests {
    /// All of them, closed under what they need.
    pub(super) tests: BTreeSet<TestIx>,
    /// Those of them that have their verdict on another life.
    pub(super) setup: BTreeSet<TestIx>,
}

/// As few lives as first fit finds. Nothing depends on the rows of tests.
pub(super) fn packed(plan: &ExecutionPlan, together: &Together) -> Vec<LifeTests> {
    let atoms = together.atoms();
    if together.fits_one_life() {
        return finish(together, vec![atoms.into_iter().flatten().collect()]);
    }
    let pieces = atoms.iter().flat_map(|atom| pieces(together, atom));
    finish(together, first_fit(plan, together, pieces.collect()))
}

/// A life for each atom, or as few as first fit finds for one that does not fit one.
pub(super) fn isolated(plan: &ExecutionPlan, together: &Together) -> Vec<LifeTests> {
    let lives = together
        .atoms()
        .iter()
        .flat_map(|atom| first_fit(plan, together, pieces(together, atom)))
        .collect();
    finish(together, lives)
}

/// The atom, or its parts where it does not fit one life.
fn pieces(together: &Together, atom: &BTreeSet<TestIx>) -> Vec<BTreeSet<TestIx>> {
    match together.fits(atom) {
        true => vec![atom.clone()],
        false => together.parts(atom),
    }
}

fn first_fit(
    plan: &ExecutionPlan,
    together: &Together,
    mut pieces: Vec<BTreeSet<TestIx>>,
) -> Vec<BTreeSet<TestIx>> {
    pieces.sort_by_cached_key(|piece| {
        let conflicts = piece.iter().map(|test| together.conflicts(*test)).max();
        let mut ids: Vec<TestId> = piece
            .iter()
            .map(|test| plan.tests[*test].id.clone())
            .collect();
        ids.sort_unstable();
        (Reverse(conflicts), Reverse(piece.len()), ids)
    });
    let mut lives: Vec<BTreeSet<TestIx>> = Vec::new();
    for piece in pieces {
        match lives
            .iter_mut()
            .find(|life| has_room(together, life, &piece))
        {
            Some(life) => life.extend(piece),
            None => lives.push(piece),
        }
    }
    lives
}

/// Whether `piece` can join `life`. A life has one boot, too: tests of different ones are in conflict.
fn has_room(together: &Together, life: &BTreeSet<TestIx>, piece: &BTreeSet<TestIx>) -> bool {
    together.fits(&life.union(piece).copied().collect())
}

/// Adds `last` tests where all that they need is, and leaves each other test its verdict on the first
/// life that has it.
fn finish(together: &Together, lives: Vec<BTreeSet<TestIx>>) -> Vec<LifeTests> {
    let mut judged: BTreeSet<TestIx> = BTreeSet::new();
    let mut finished = Vec::new();
    for mut tests in lives {
        let here = together
            .last()
            .iter()
            .filter(|last| together.needs(**last).is_subset(&tests));
        let here: Vec<TestIx> = here.copied().collect();
        tests.extend(here);
        let setup = tests.intersection(&judged).copied().collect();
        judged.extend(tests.difference(together.last()));
        finished.push(LifeTests { tests, setup });
    }
    finished
}
