//! What a schedule comes to: counts, times, and how far it can be from the best.
//!
//! It looks at the schedule alone and not at how it was made. Money is [`crate::cost`]'s.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{Edge, TestIx};
use dva_plan::schedule::{PlannedLife, Schedule};
use dva_plan::together::Together;

use crate::quota::QuotaClass;

/// What a schedule comes to. All times are milliseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of lives.
    pub lives: u32,
    /// How many of them begin with the launch of a machine: all, until machines can be reset.
    pub launches: u32,
    /// The test runs, each of which has a verdict.
    pub test_runs: u32,
    /// The executions that only prepare a life.
    pub setup_executions: u32,
    /// The most executions at one instant, all lives together.
    pub peak_lanes: u32,
    /// When the last life ends.
    pub makespan_ms: u64,
    /// With the same tests on the same lives nothing could end sooner, whatever the order: the
    /// longest life, if each took its boot and then its longest chain, or what needs the machine to itself
    /// and the rest of its work shared out evenly among as many lanes as the policy allows.
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
    // A `last` test has an execution with a verdict on each life.
    let mut last = BTreeSet::new();
    let exclusions = Exclusions::of(plan);
    let mut order = BTreeMap::new();
    for life in &schedule.lives {
        let shape = plan.cells[life.cell].shape;
        let order: &Vec<Edge> = order.entry(shape).or_insert_with(|| {
            let together = Together::of(plan, &plan.shapes[shape]);
            together.order().to_vec()
        });
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
                false if plan.tests[execution.test].last => {
                    last.insert((life.cell, execution.test));
                }
                false => summary.test_runs += 1,
            }
            work_ms = work_ms.saturating_add(execution.end_ms - execution.start_ms);
        }
        summary.busy_ms = summary.busy_ms.saturating_add(work_ms);
        summary.makespan_lower_bound_ms = summary.makespan_lower_bound_ms.max(lower_bound_ms(
            plan,
            order,
            &exclusions,
            life,
            work_ms,
        ));
    }
    let last = u32::try_from(last.len()).unwrap_or(u32::MAX);
    summary.test_runs = summary.test_runs.saturating_add(last);
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

/// The most virtual processors that are there at one instant, from the launch of their machines to the end, by
/// region and class of quota.
///
/// # Panics
/// If `schedule` names a row that is not in `plan`.
#[must_use]
pub fn peak_vcpus(
    plan: &ExecutionPlan,
    schedule: &Schedule,
) -> BTreeMap<(String, QuotaClass), u32> {
    /// When, whether it begins, and how many virtual processors.
    type Change = (u64, bool, u32);
    let mut changes: BTreeMap<(&str, QuotaClass), Vec<Change>> = BTreeMap::new();
    for life in &schedule.lives {
        let machine = &plan.machines[life.machine];
        let pool = (machine.region.as_str(), QuotaClass::of(machine));
        let changes = changes.entry(pool).or_default();
        // What ends sorts before what begins at the same instant.
        changes.push((life.launch_ms, true, machine.vcpus));
        changes.push((life.end_ms, false, machine.vcpus));
    }
    let mut peaks = BTreeMap::new();
    for ((region, class), mut changes) in changes {
        changes.sort_unstable();
        let (mut used, mut peak) = (0_u32, 0);
        for (_, begins, vcpus) in changes {
            used = match begins {
                true => used.saturating_add(vcpus),
                false => used.saturating_sub(vcpus),
            };
            peak = peak.max(used);
        }
        peaks.insert((region.to_owned(), class), peak);
    }
    peaks
}

/// The least time in which what runs on `life` can be done, its boot included.
fn lower_bound_ms(
    plan: &ExecutionPlan,
    order: &[Edge],
    exclusions: &Exclusions,
    life: &PlannedLife,
    work_ms: u64,
) -> u64 {
    let shape = &plan.shapes[plan.cells[life.cell].shape];
    // The rows are by start, so those a test waits for stand before it.
    let mut chains: BTreeMap<TestIx, u64> = BTreeMap::new();
    let (mut longest_ms, mut alone_ms) = (0, 0_u64);
    for execution in &life.executions {
        let before = [&shape.after, order]
            .into_iter()
            .flat_map(|edges| edges_of(edges, execution.test))
            .filter_map(|edge| chains.get(&edge.after))
            .max();
        let takes_ms = execution.end_ms - execution.start_ms;
        if exclusions.is_alone(execution.test) {
            alone_ms = alone_ms.saturating_add(takes_ms);
        }
        let chain_ms = before.unwrap_or(&0).saturating_add(takes_ms);
        chains.insert(execution.test, chain_ms);
        longest_ms = longest_ms.max(chain_ms);
    }
    let lanes = u64::from(plan.policy.lanes.max(1));
    let shared_ms = (work_ms - alone_ms).div_ceil(lanes);
    let work_ms = alone_ms.saturating_add(shared_ms);
    (life.ready_ms - life.launch_ms).saturating_add(longest_ms.max(work_ms))
}

/// The edges of `test`, out of edges that ascend.
fn edges_of(edges: &[Edge], test: TestIx) -> &[Edge] {
    let first = edges.partition_point(|edge| edge.test < test);
    let count = edges[first..].partition_point(|edge| edge.test == test);
    &edges[first..first + count]
}
