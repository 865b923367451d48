//! With which tests a test cannot share a life, and where else it runs for that reason.

use std::collections::BTreeSet;

use dva_plan::plan::TestIx;
use dva_plan::schedule::{LifeIx, PlannedLife};
use serde::Serialize;

use super::{Context, reasons};

/// A test that cannot share a life with the one that is asked about.
#[derive(Serialize)]
pub(super) struct Apart {
    pub(super) test: String,
    pub(super) why: String,
}

/// Where the test prepares a life for others.
#[derive(Serialize)]
pub(super) struct Setup {
    /// The number of the life in the schedule, from 0.
    life: LifeIx,
    /// Which of the lives of its cell that is, from 1.
    pub(super) number: usize,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
    /// The tests that need it there.
    pub(super) prepares: Vec<String>,
    /// Why these are not where it has its verdict.
    pub(super) why: String,
}

/// The tests of the cell that no life can have together with the test, in the plan's order.
pub(super) fn apart(context: &Context<'_>) -> Vec<Apart> {
    if context.together.fits_one_life() {
        return Vec::new();
    }
    let ours = closed(context, context.test);
    let mut apart = Vec::new();
    for other in context
        .shape
        .tests
        .iter()
        .filter(|test| !ours.contains(test))
    {
        let theirs = closed(context, *other);
        let both: BTreeSet<TestIx> = ours.union(&theirs).copied().collect();
        if context.together.fits(&both) {
            continue;
        }
        apart.push(Apart {
            test: context.plan.tests[*other].id.as_str().to_owned(),
            why: match reasons::conflict_between(context, &ours, &theirs) {
                Some((one, other)) => reasons::conflict(context, one, other),
                None => reasons::circle(context, &both),
            },
        });
    }
    apart
}

/// The other lives on which the test is a setup; `verdict` is the one of its verdict.
pub(super) fn setups(context: &Context<'_>, verdict: &PlannedLife) -> Vec<Setup> {
    let there: BTreeSet<TestIx> = tests(verdict);
    let setups = context
        .executions()
        .filter(|(_, _, execution)| execution.setup);
    setups
        .map(|(index, life, execution)| {
            let needing: Vec<TestIx> = life
                .executions
                .iter()
                .filter(|other| !other.setup && !context.plan.tests[other.test].last)
                .map(|other| other.test)
                .filter(|other| context.together.needs(*other).contains(&context.test))
                .collect();
            Setup {
                life: index,
                number: context.number(index),
                start_ms: execution.start_ms,
                end_ms: execution.end_ms,
                why: kept_off(context, &needing, &there),
                prepares: needing
                    .iter()
                    .map(|test| context.plan.tests[*test].id.as_str().to_owned())
                    .collect(),
            }
        })
        .collect()
}

/// Why not all of `needing` are on a life with `there`.
fn kept_off(context: &Context<'_>, needing: &[TestIx], there: &BTreeSet<TestIx>) -> String {
    for test in needing {
        let own = closed(context, *test);
        if let Some((one, other)) = reasons::conflict_between(context, &own, there) {
            return reasons::conflict(context, one, other);
        }
        let both: BTreeSet<TestIx> = own.union(there).copied().collect();
        if !context.together.fits(&both) {
            return reasons::circle(context, &both);
        }
    }
    "no rule keeps them off the other life; this schedule has them apart".to_owned()
}

/// A test with all that it needs on its life.
pub(super) fn closed(context: &Context<'_>, test: TestIx) -> BTreeSet<TestIx> {
    let mut tests = context.together.needs(test);
    tests.insert(test);
    tests
}

fn tests(life: &PlannedLife) -> BTreeSet<TestIx> {
    let executions = life.executions.iter();
    executions.map(|execution| execution.test).collect()
}
