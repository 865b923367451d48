//! Whether what a schedule should cost is within the limit of its plan.

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::schedule::Schedule;

use crate::cost::{Cost, cost};

/// Why the cost of a run by `schedule` is not within the limit of `plan`, in a sentence; nothing where it
/// is, or where there is no limit. The cost is that of [`cost`](crate::cost()), and what has no price there is
/// never within a limit.
///
/// # Panics
/// If the schedule names a row that is not in `plan`.
#[must_use]
pub fn over_cost(plan: &ExecutionPlan, schedule: &Schedule) -> Option<String> {
    let limit = plan.policy.limits.cost_nano_usd?;
    match cost(plan, schedule) {
        Ok(cost) => over(&cost, limit),
        Err(error) => Some(format!(
            "The plan limits its cost to {limit}, and what the run will cost cannot be told: {error}."
        )),
    }
}

fn over(cost: &Cost, limit: Money) -> Option<String> {
    let machines = cost.unpriced.keys();
    let mut without: Vec<String> = machines
        .map(|(region, r#type)| format!("{} in {region}", r#type))
        .collect();
    let kinds = cost.bill.unpriced().iter();
    without.extend(kinds.map(|kind| kind.words().to_owned()));
    let total = cost.bill.total();
    if !without.is_empty() {
        Some(format!(
            "The plan limits its cost to {limit}, and no price is known of {}.",
            without.join(", ")
        ))
    } else if total > limit {
        Some(format!(
            "The run is expected to cost {total}, and the plan limits that to {limit}."
        ))
    } else {
        None
    }
}
