//! What a life costs at most when its machine ends itself after some time, and how long it may last for an
//! amount.
//!
//! Unlike [`cost`](mod@crate::cost), a limit takes no time for free: a machine is billed from its launch.

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::schedule::PlannedLife;

use crate::bill::BillError;
use crate::cost::{Cost, life_cost};

/// What `life` costs if its machine is there for `alive_ms` milliseconds from its launch; `None` where some of
/// that has no price.
///
/// # Errors
/// As [`cost`](crate::cost()).
///
/// # Panics
/// If it names a row that is not in `plan`.
pub fn cost_within(
    plan: &ExecutionPlan,
    life: &PlannedLife,
    alive_ms: u64,
) -> Result<Option<Money>, BillError> {
    let used = PlannedLife {
        end_ms: life.launch_ms.saturating_add(alive_ms),
        pending_ms: 0,
        ..life.clone()
    };
    life_cost(plan, &used).map(|cost| known(&cost))
}

/// What `life` is expected to cost, with what is free at its beginning; `None` where some of that has no price.
///
/// # Errors
/// As [`cost`](crate::cost()).
///
/// # Panics
/// As [`cost_within`].
pub fn cost_expected(plan: &ExecutionPlan, life: &PlannedLife) -> Result<Option<Money>, BillError> {
    life_cost(plan, life).map(|cost| known(&cost))
}

/// The longest that `life` can last, in whole seconds and at most `most_ms` milliseconds, and cost no more
/// than `amount`; `None` where that is no second, or has no price.
///
/// # Errors
/// As [`cost`](crate::cost()).
///
/// # Panics
/// As [`cost_within`].
pub fn longest_within(
    plan: &ExecutionPlan,
    life: &PlannedLife,
    amount: Money,
    most_ms: u64,
) -> Result<Option<u64>, BillError> {
    let fits = |alive_ms| {
        let cost = cost_within(plan, life, alive_ms)?;
        Ok::<_, BillError>(cost.is_some_and(|cost| cost <= amount))
    };
    if fits(most_ms)? {
        return Ok(Some(most_ms));
    }
    // A second more never costs less. What fits is below `beyond`, what is at it does not.
    let (mut within, mut beyond) = (0, most_ms.div_ceil(1_000));
    while within + 1 < beyond {
        let middle = within + (beyond - within) / 2;
        if fits(middle * 1_000)? {
            within = middle;
        } else {
            beyond = middle;
        }
    }
    Ok((within > 0).then_some(within * 1_000))
}

/// The total, where nothing is missing in it.
fn known(cost: &Cost) -> Option<Money> {
    let is_known = cost.unpriced.is_empty() && cost.bill.unpriced().is_empty();
    is_known.then(|| cost.bill.total())
}
