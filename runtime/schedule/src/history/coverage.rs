//! How much of a plan a history knows.
//!
//! Boots are told for the plan as a whole, since a schedule has one duration for all of them: the mean over the
//! plan's cells. The main function is [`coverage()`].

use std::collections::BTreeSet;

use dva_plan::ExecutionPlan;
use dva_plan::id::RunId;
use dva_plan::plan::{Cell, TestIx};

use super::History;
use crate::options::Assumptions;

/// How much of a plan a history knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How many runs it knows the plan's tests and images from.
    pub runs: usize,
    /// How many of the plan's test runs have a measured duration.
    pub test_runs: usize,
    /// How many of the others say how long they take.
    pub stated: usize,
    /// What a boot takes on average, in milliseconds: as was measured of a cell's image, and as is assumed where
    /// nothing was. `None` where nothing was measured of any.
    pub boot_ms: Option<u64>,
}

/// How much of `plan`, as it was before [`with_history`](super::with_history()), `history` knows.
#[must_use]
pub fn coverage(plan: &ExecutionPlan, history: &History, assumptions: &Assumptions) -> Coverage {
    let measured: BTreeSet<TestIx> = plan
        .tests
        .enumerate()
        .filter(|(_, test)| history.expected_test_ms(&plan.name, &test.id).is_some())
        .map(|(row, _)| row)
        .collect();
    let mut coverage = Coverage {
        runs: runs(plan, history),
        boot_ms: boot_ms(plan, history, assumptions),
        ..Coverage::default()
    };
    for cell in &plan.cells {
        for test in &plan.shapes[cell.shape].tests {
            if measured.contains(test) {
                coverage.test_runs += 1;
            } else if plan.tests[*test].takes_ms.is_some() {
                coverage.stated += 1;
            }
        }
    }
    coverage
}

fn runs(plan: &ExecutionPlan, history: &History) -> usize {
    let own = history.of_plan(plan);
    let runs: BTreeSet<&RunId> = own.runs();
    runs.len()
}

fn boot_ms(plan: &ExecutionPlan, history: &History, assumptions: &Assumptions) -> Option<u64> {
    let boots = plan.cells.iter().map(|cell| of_cell(plan, cell, history));
    let boots: Vec<Option<u64>> = boots.collect();
    if boots.iter().all(Option::is_none) {
        return None;
    }
    let all = boots.iter().map(|ms| ms.unwrap_or(assumptions.boot_ms));
    let sum: u128 = all.map(u128::from).sum();
    let mean = sum.checked_div(boots.len() as u128)?;
    u64::try_from(mean).ok()
}

/// What a boot of a cell's image takes, on its best candidate.
fn of_cell(plan: &ExecutionPlan, cell: &Cell, history: &History) -> Option<u64> {
    let machine = plan.machines.get(*cell.candidates.first()?)?;
    let image = &plan.images.get(cell.image)?.name;
    let expected = history.expected_boot_ms(image, &machine.r#type, &machine.region)?;
    Some(expected.mean_ms)
}
