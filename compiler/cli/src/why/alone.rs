//! What a test would cost alone, on a life with nothing but what it needs, and what its share is now.
//!
//! The first is scheduled and billed by the rules of every schedule, with the boot and the durations that the
//! schedule at hand has. The second has no rule but this one: what a life costs is shared out by the time that
//! its executions take, boot and idle time along with it.

use std::collections::BTreeSet;

use dva_plan::ExitCode;
use dva_plan::money::Money;
use dva_plan::plan::{Pair, Shape, TestIx};
use dva_plan::policy::Limits;
use dva_plan::schedule::PlannedLife;
use dva_schedule::{Assumptions, Options, optimize};
use serde::Serialize;

use super::Context;
use super::apart::closed;
use crate::failure::Failure;
use crate::price::Price;

/// A life with one test and what it needs.
#[derive(Serialize)]
pub(super) struct Alone {
    pub(super) region: String,
    pub(super) r#type: String,
    /// What runs there, by start.
    pub(super) tests: Vec<String>,
    /// From the launch to the end, in milliseconds.
    pub(super) length_ms: u64,
    /// How much of that is the boot.
    pub(super) boot_ms: u64,
    pub(super) price: Price,
}

/// What the test costs where it is.
#[derive(Serialize)]
pub(super) struct Share {
    /// What the life costs.
    pub(super) life: Price,
    /// The part of that of this test; none where it has no price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test_nano_usd: Option<Money>,
    /// The part of this test and of what it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) with_needs_nano_usd: Option<Money>,
    /// How many tests it needs.
    pub(super) needs: usize,
    /// Its parts of other lives that it prepares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) setups_nano_usd: Option<Money>,
}

/// The test alone, as if the cell had nothing else.
pub(super) fn alone(
    context: &Context<'_>,
    life: &PlannedLife,
    lanes: Option<u32>,
) -> Result<Alone, Failure> {
    let tests = closed(context, context.test);
    let shape = context.shape;
    let edges = |edges: &[dva_plan::plan::Edge]| {
        let mut own = edges.to_vec();
        own.retain(|edge| tests.contains(&edge.test) && tests.contains(&edge.after));
        own
    };
    let is_own = |pair: &&Pair| tests.contains(&pair.a) && tests.contains(&pair.b);
    let reduced = Shape {
        tests: tests.iter().copied().collect(),
        after: edges(&shape.after),
        regardless: edges(&shape.regardless),
        order: edges(&shape.order),
        conflicts: shape.conflicts.iter().filter(is_own).copied().collect(),
    };
    let mut plan = context.plan.clone();
    let mut cell = plan.cells[context.cell].clone();
    cell.unsupported.retain(|test| tests.contains(test));
    plan.shapes[cell.shape] = reduced;
    plan.cells = vec![cell].into();
    plan.policy.gates.clear();
    plan.policy.limits = Limits::default();
    for execution in &life.executions {
        let takes_ms = execution.end_ms.saturating_sub(execution.start_ms);
        plan.tests[execution.test].takes_ms = Some(takes_ms);
    }
    let options = Options {
        assumptions: Assumptions {
            boot_ms: life.ready_ms.saturating_sub(life.launch_ms),
            pending_ms: life.pending_ms,
            ..Assumptions::default()
        },
        lanes,
        ..Options::default()
    };
    let planned = optimize(&plan, "", &options)
        .map_err(|found| Failure::new(ExitCode::Refused, format!("alone: {found}.")))?;
    let schedule = planned.schedule;
    let Some(own) = schedule.lives.iter().next() else {
        return Err(Failure::new(ExitCode::Bug, "a test without a life"));
    };
    let machine = &plan.machines[own.machine];
    let ids = own.executions.iter();
    Ok(Alone {
        region: machine.region.clone(),
        r#type: machine.r#type.clone(),
        tests: ids
            .map(|execution| plan.tests[execution.test].id.as_str().to_owned())
            .collect(),
        length_ms: own.end_ms.saturating_sub(own.launch_ms),
        boot_ms: own.ready_ms.saturating_sub(own.launch_ms),
        price: Price::of_schedule(&plan, &schedule)?,
    })
}

/// What it costs on `life`, where it has its verdict, and where it is a setup.
pub(super) fn share(context: &Context<'_>, life: &PlannedLife) -> Result<Share, Failure> {
    let price = Price::of(context.plan, [life])?;
    let itself = BTreeSet::from([context.test]);
    let with_needs = closed(context, context.test);
    let mut setups: Option<Money> = None;
    for (_, other, _) in context.executions().filter(|(_, _, it)| it.setup) {
        let price = Price::of(context.plan, [other])?;
        if let Some(part) = part(price, other, &itself) {
            let sum = setups.unwrap_or(Money::ZERO).checked_add(part);
            setups = Some(sum.unwrap_or(part));
        }
    }
    Ok(Share {
        test_nano_usd: part(price, life, &itself),
        with_needs_nano_usd: part(price, life, &with_needs),
        needs: with_needs.len() - 1,
        life: price,
        setups_nano_usd: setups,
    })
}

/// The part of a life's price that `tests` have by their time, rounded up to a billionth of a dollar.
fn part(price: Price, life: &PlannedLife, tests: &BTreeSet<TestIx>) -> Option<Money> {
    let (mut own_ms, mut all_ms) = (0_u128, 0_u128);
    for execution in &life.executions {
        let takes_ms = u128::from(execution.end_ms.saturating_sub(execution.start_ms));
        all_ms += takes_ms;
        if tests.contains(&execution.test) {
            own_ms += takes_ms;
        }
    }
    let whole = u128::try_from(price.money()?.nano_usd()).ok()?;
    let part = whole.checked_mul(own_ms)?.div_ceil(all_ms.max(1));
    Some(Money::from_nano_usd(i64::try_from(part).ok()?))
}
