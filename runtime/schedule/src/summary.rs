//! What a schedule comes to: counts, times, and how far it can be from the best.
//!
//! It looks at the schedule alone and not at how it was made. Money comes later.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Edge, TestIx};
use dva_plan::schedule::{PlannedLife, Schedule};

/// What a schedule comes to. All times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of lives.
    pub lives: u32,
    /// How many of them begin with the launch of a machine: all, until machines can be reset.
    pub launches: u32,
    /// The executions that give a verdict: one for each test run.
    pub test_runs: u32,
    /// The executions that only prepare a life.
    pub setup_executions: u32,
    /// The most executions at one instant, all lives together.
    pub peak_lanes: u32,
    /// When the last life ends.
    pub makespan_ms: u64,
    /// With the same tests on the same lives nothing could end sooner, whatever the order: the
    /// longest life, if each took its boot and then its longest chain, or its work shared out evenly
    /// among as many lanes as the policy allows.
    pub makespan_lower_bound_ms: u64,
    /// The sum of all executions; boot and idle lanes are not in it.
    pub busy_ms: u64,
    /// How many lives ask for each type of machine, all regions together.
    pub machines_by_type: BTreeMap<String, u32>,
    /// How many test runs have a duration that nobody stated or measured.
    pub defaulted_durations: u32,
}

/// Sums up `schedule`, which must be one that [`check`](crate::check()) accepts for `plan`.
///
/// # Panics
/// If it names a row that is not in `plan`.
#[must_use]
pub fn summarize(plan: &ExecutionPlan, schedule: &Schedule) -> Summary {
    let mut summary = Summary {
        makespan_ms: schedule.makespan_ms,
        defaulted_durations: schedule.defaulted_durations,
        peak_lanes: peak(schedule),
        ..Summary::default()
    };
    for life in &schedule.lives {
        summary.lives += 1;
        summary.launches += 1;
        let r#type = &plan.machines[life.machine].r#type;
        match summary.machines_by_type.get_mut(r#type) {
            Some(count) => *count += 1,
            None => drop(summary.machines_by_type.insert(r#type.clone(), 1)),
        }
        let mut work_ms = 0_u64;
        for execution in &life.executions {
            match execution.setup {
                true => summary.setup_executions += 1,
                false => summary.test_runs += 1,
            }
            work_ms = work_ms.saturating_add(execution.end_ms - execution.start_ms);
        }
        summary.busy_ms = summary.busy_ms.saturating_add(work_ms);
        summary.makespan_lower_bound_ms = summary
            .makespan_lower_bound_ms
            .max(lower_bound_ms(plan, life, work_ms));
    }
    summary
}

/// The most executions at one instant. One that ends and one that starts at the same one follow
/// each other.
fn peak(schedule: &Schedule) -> u32 {
    let executions = || schedule.lives.iter().flat_map(|life| &life.executions);
    let mut starts: Vec<_> = executions().map(|execution| execution.start_ms).collect();
    let mut ends: Vec<_> = executions().map(|execution| execution.end_ms).collect();
    starts.sort_unstable();
    ends.sort_unstable();
    let (mut ended, mut peak) = (0, 0);
    for (started, start_ms) in starts.iter().enumerate() {
        while ends.get(ended).is_some_and(|end_ms| end_ms <= start_ms) {
            ended += 1;
        }
        // One that takes no time has ended before it counts as started.
        peak = peak.max((started + 1).saturating_sub(ended));
    }
    u32::try_from(peak).unwrap_or(u32::MAX)
}

/// The least time in which what runs on `life` can be done, its boot included.
fn lower_bound_ms(plan: &ExecutionPlan, life: &PlannedLife, work_ms: u64) -> u64 {
    let shape = &plan.shapes[plan.cells[life.cell].shape];
    // The rows are by start, so those a test waits for stand before it.
    let mut chains: BTreeMap<TestIx, u64> = BTreeMap::new();
    let mut longest_ms = 0;
    for execution in &life.executions {
        let before = [&shape.after, &shape.order]
            .into_iter()
            .flat_map(|edges| edges_of(edges, execution.test))
            .filter_map(|edge| chains.get(&edge.after))
            .max();
        let chain_ms = before
            .unwrap_or(&0)
            .saturating_add(execution.end_ms - execution.start_ms);
        chains.insert(execution.test, chain_ms);
        longest_ms = longest_ms.max(chain_ms);
    }
    let lanes = u64::from(plan.policy.lanes.max(1));
    (life.ready_ms - life.launch_ms).saturating_add(longest_ms.max(work_ms.div_ceil(lanes)))
}

/// The edges of `test`, out of edges that ascend.
fn edges_of(edges: &[Edge], test: TestIx) -> &[Edge] {
    let first = edges.partition_point(|edge| edge.test < test);
    let count = edges[first..].partition_point(|edge| edge.test == test);
    &edges[first..first + count]
}
