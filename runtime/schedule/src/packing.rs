//! Makes a schedule: which lives there are, and what runs on them when.
//!
//! The packing is simple as yet: the tests of a cell go to as few lives as first fit finds (or to a life
//! for each of its atoms, where that is asked for), on its first candidate, and all are launched as soon as
//! gates and the limits of machines and of states of the account allow. Cells do not touch each other but for that, so each shape is
//! solved once for all cells that have it: [`lives`] says what shares a life, [`network`] when it runs
//! there, [`launch`] when the life begins. Tests of different boots are in conflict, so they never meet. It does not
//! know prices or quotas, and it reads no clock: its effort is bounded by the numbers of tests and lanes.

mod launch;
mod lives;
mod network;

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::document::PRODUCER;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{CellIx, ShapeIx};
use dva_plan::schedule::{PlannedExecution, PlannedLife, Schedule};
use dva_plan::together::Together;

use lives::LifeTests;
use network::{Network, Order};

/// What is taken for true where nobody stated or measured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assumptions {
    /// From the launch of a life until it is ready for its first test, in milliseconds.
    pub boot_ms: u64,
    /// How long a test takes that says nothing of it, in milliseconds.
    pub default_takes_ms: u64,
}

impl Default for Assumptions {
    /// What the simulator does: 30 seconds to boot, 1 second for a test.
    fn default() -> Self {
        Self {
            boot_ms: 30_000,
            default_takes_ms: 1_000,
        }
    }
}

/// The schedule of `plan`, whose document has the digest `plan_digest`.
///
/// A life gets as many lanes as the policy allows and its cell has tests. Fewer, where that ends
/// sooner: lists have anomalies in which one more lane delays the end, and for their sake the best
/// of all numbers of lanes is kept. So the makespan never rises with the lanes of the policy.
///
/// Nothing depends on the order in which the plan lists tests and cells, except the order of the
/// schedule's own rows. An execution is planned to take at least 1 ms, and times end at [`u64::MAX`].
///
/// The plan must be valid, see [`dva_plan::validate`]; of lives with a cycle, the tests on it and
/// behind it are left out.
///
/// # Panics
/// If the plan names a row that is not there.
#[must_use]
pub fn schedule(plan: &ExecutionPlan, plan_digest: &str, assumptions: &Assumptions) -> Schedule {
    pack(plan, plan_digest, assumptions, lives::packed)
}

/// As [`schedule`], but each atom has lives of its own, so no test but `last` ones shares its machine
/// with a test it has nothing to do with. It costs a boot for each; what passes here and fails when packed has met a
/// neighbour.
///
/// # Panics
/// As [`schedule`].
#[must_use]
pub fn schedule_isolated(
    plan: &ExecutionPlan,
    plan_digest: &str,
    assumptions: &Assumptions,
) -> Schedule {
    pack(plan, plan_digest, assumptions, lives::isolated)
}

/// A life for each of the groups that `split` makes of a cell's tests.
fn pack(
    plan: &ExecutionPlan,
    plan_digest: &str,
    assumptions: &Assumptions,
    split: impl Fn(&ExecutionPlan, &Together) -> Vec<LifeTests>,
) -> Schedule {
    let exclusions = Exclusions::of(plan);
    let mut batches = BTreeMap::new();
    let mut lives = Vec::new();
    let mut defaulted_durations = 0_u32;
    for (index, cell) in plan.cells.enumerate() {
        let (batches, defaulted): &(Vec<Batch>, u32) =
            batches.entry(cell.shape).or_insert_with(|| {
                let together = Together::of(plan, &plan.shapes[cell.shape]);
                let batch = |tests: &LifeTests| {
                    Batch::of(plan, cell.shape, &together, &exclusions, tests, assumptions)
                };
                let batches = split(plan, &together).iter().map(batch).collect();
                (batches, defaulted(plan, cell.shape))
            });
        defaulted_durations = defaulted_durations.saturating_add(*defaulted);
        for batch in batches {
            lives.push(batch.on_a_life_of(plan, index, assumptions));
        }
    }
    launch::assign(plan, &mut lives);
    let makespan_ms = lives.iter().map(|life| life.end_ms).max().unwrap_or(0);
    Schedule {
        producer: PRODUCER.into(),
        plan_digest: plan_digest.to_owned(),
        lives: lives.into(),
        makespan_ms,
        defaulted_durations,
    }
}

/// How many tests of a shape do not say how long they take.
fn defaulted(plan: &ExecutionPlan, shape: ShapeIx) -> u32 {
    let tests = plan.shapes[shape].tests.iter();
    let defaulted = tests.filter(|test| plan.tests[**test].takes_ms.is_none());
    u32::try_from(defaulted.count()).unwrap_or(u32::MAX)
}

/// Tests of one shape in the order and on the lanes in which a life of any of its cells runs them.
struct Batch {
    order: Order,
}

impl Batch {
    fn of(
        plan: &ExecutionPlan,
        shape: ShapeIx,
        together: &Together,
        exclusions: &Exclusions,
        tests: &LifeTests,
        assumptions: &Assumptions,
    ) -> Self {
        let lanes = u32::try_from(tests.tests.len())
            .unwrap_or(u32::MAX)
            .min(plan.policy.lanes)
            .max(1);
        let edges = plan.shapes[shape].after.iter().chain(together.order());
        let network = Network::of(plan, edges, exclusions, tests, assumptions.default_takes_ms);
        Self {
            order: network.best_order(lanes),
        }
    }

    fn on_a_life_of(
        &self,
        plan: &ExecutionPlan,
        cell: CellIx,
        assumptions: &Assumptions,
    ) -> PlannedLife {
        let launch_ms = 0;
        let ready_ms = assumptions.boot_ms;
        let executions = self.order.executions.iter().map(|execution| {
            let mut execution: PlannedExecution = *execution;
            execution.start_ms = execution.start_ms.saturating_add(ready_ms);
            execution.end_ms = execution.end_ms.saturating_add(ready_ms);
            execution
        });
        PlannedLife {
            cell,
            machine: plan.cells[cell].candidates[0],
            boot: self
                .order
                .executions
                .iter()
                .find_map(|execution| plan.tests[execution.test].boot),
            lanes: self.order.lanes,
            launch_ms,
            ready_ms,
            executions: executions.collect(),
            end_ms: self.order.length_ms.saturating_add(ready_ms),
        }
    }
}
