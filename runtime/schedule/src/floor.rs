//! What no run of a plan can be better than, found without a search: limits below it can never be kept.
//!
//! Its main function is [`floor`].

use std::collections::BTreeSet;

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::money::Money;
use dva_plan::plan::{Cell, Edge, Shape, ShapeIx, TestIx};

use crate::options::Assumptions;
use crate::packing::bound::ShapeBound;
use crate::packing::meter::Meter;
use crate::packing::tariff::money;
use crate::packing::workload::Workload;
use crate::quota::Quotas;

/// What a run comes to at least.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Floor {
    /// What it costs, where it runs on machines with a price; the others are not in it.
    pub cost: Money,
    /// How long it takes, in milliseconds: a boot, and tests that follow each other.
    pub elapsed_ms: u64,
    /// Those tests, the first one first.
    pub chain: Vec<TestIx>,
}

/// The floor of `plan`, which must be valid: whatever the packing, the deadline and the quotas.
///
/// # Panics
/// If the plan names a row that is not there.
#[must_use]
pub fn floor(plan: &ExecutionPlan, assumptions: &Assumptions) -> Floor {
    let exclusions = Exclusions::of(plan);
    let lanes = usize::try_from(plan.policy.lanes.max(1)).unwrap_or(usize::MAX);
    let mut floor = Floor::default();
    let mut cost = 0_u128;
    let shapes: BTreeSet<ShapeIx> = plan.cells.iter().map(|cell| cell.shape).collect();
    for shape_ix in shapes {
        let shape = &plan.shapes[shape_ix];
        let (chain_ms, chain) = longest_chain(plan, shape, assumptions);
        let elapsed_ms = assumptions.boot_ms.saturating_add(chain_ms);
        if elapsed_ms > floor.elapsed_ms {
            (floor.elapsed_ms, floor.chain) = (elapsed_ms, chain);
        }
        let workload = Workload::of(plan, shape, &exclusions, assumptions.default_takes_ms);
        let bound = ShapeBound::of(&workload, lanes);
        // Cells with the same candidates cost the same.
        let mut known: Vec<(&Cell, u128)> = Vec::new();
        for cell in plan.cells.iter().filter(|cell| cell.shape == shape_ix) {
            let alike = |(other, _): &&(&Cell, u128)| {
                other.candidates == cell.candidates && other.unsupported == cell.unsupported
            };
            let least = match known.iter().find(alike) {
                Some((_, least)) => *least,
                None => {
                    let meter = Meter::of(plan, cell, &workload, assumptions, &Quotas::default());
                    let least = bound.least(&meter, u64::MAX);
                    let least = least.filter(|_| meter.is_priced);
                    let least = least.map_or(0, |least| least.cost);
                    known.push((cell, least));
                    least
                }
            };
            cost = cost.saturating_add(least);
        }
    }
    floor.cost = money(cost);
    floor
}

/// The tests of `shape` that follow each other for longest, and for how long.
fn longest_chain(
    plan: &ExecutionPlan,
    shape: &Shape,
    assumptions: &Assumptions,
) -> (u64, Vec<TestIx>) {
    let place = |test: TestIx| shape.tests.binary_search(&test).ok();
    let takes_ms = |place: usize| {
        let takes_ms = plan.tests[shape.tests[place]].takes_ms;
        takes_ms.unwrap_or(assumptions.default_takes_ms)
    };
    let mut then: Vec<Vec<usize>> = vec![Vec::new(); shape.tests.len()];
    let mut waits_for = vec![0_usize; shape.tests.len()];
    for Edge { test, after } in shape.after.iter().chain(&shape.regardless) {
        if let (Some(test), Some(after)) = (place(*test), place(*after)) {
            then[after].push(test);
            waits_for[test] += 1;
        }
    }
    let mut ready: Vec<usize> = (0..then.len())
        .filter(|test| waits_for[*test] == 0)
        .collect();
    let mut ends_ms: Vec<u64> = (0..then.len()).map(takes_ms).collect();
    let mut before: Vec<Option<usize>> = vec![None; then.len()];
    while let Some(test) = ready.pop() {
        for next in &then[test] {
            let end_ms = ends_ms[test].saturating_add(takes_ms(*next));
            if before[*next].is_none() || end_ms > ends_ms[*next] {
                ends_ms[*next] = end_ms;
                before[*next] = Some(test);
            }
            waits_for[*next] -= 1;
            if waits_for[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let last = (0..ends_ms.len()).max_by_key(|test| (ends_ms[*test], std::cmp::Reverse(*test)));
    let Some(last) = last else {
        return (0, Vec::new());
    };
    let way = std::iter::successors(Some(last), |test| before[*test]);
    let mut chain: Vec<TestIx> = way.map(|test| shape.tests[test]).collect();
    chain.reverse();
    (ends_ms[last], chain)
}
