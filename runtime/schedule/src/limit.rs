//! Whether what a schedule should cost is within its limit.

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::schedule::Schedule;

use crate::cost::cost;

/// What a life gets of a limit at least, in percent of what it is expected to cost: enough for most that take longer.
pub const ROOM_PERCENT: i64 = 150;

/// The most that a run may cost, and who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostLimit {
    /// The most.
    pub amount: Money,
    /// Whether whoever runs the plan says so, and not the plan itself.
    pub is_own: bool,
}

impl CostLimit {
    /// The limit of `plan` or `own`, whichever is less.
    #[must_use]
    pub fn of(plan: &ExecutionPlan, own: Option<Money>) -> Option<Self> {
        let limit = |is_own| move |amount| Self { amount, is_own };
        let of_plan = plan.policy.limits.cost_nano_usd.map(limit(false));
        let own = own.map(limit(true));
        of_plan.into_iter().chain(own).min_by_key(|one| one.amount)
    }

    fn whose(self) -> &'static str {
        if self.is_own {
            "`max_cost`"
        } else {
            "the plan"
        }
    }
}

/// Why the cost of a run by `schedule` is not within `limit`, in a sentence; nothing where it is. The cost is
/// that of [`cost`](crate::cost()), and what has no price there is never within a limit.
///
/// # Panics
/// If the schedule names a row that is not in `plan`.
#[must_use]
pub fn over_cost(plan: &ExecutionPlan, schedule: &Schedule, limit: CostLimit) -> Option<String> {
    let (amount, whose) = (limit.amount, limit.whose());
    let cost = match cost(plan, schedule) {
        Ok(cost) => cost,
        Err(error) => {
            return Some(format!(
                "What the run will cost cannot be told: {error}. And {whose} limits that to {amount}."
            ));
        }
    };
    let machines = cost.unpriced.keys();
    let mut without: Vec<String> = machines
        .map(|(region, r#type)| format!("{} in {region}", r#type))
        .collect();
    let kinds = cost.bill.unpriced().iter();
    without.extend(kinds.map(|kind| kind.words().to_owned()));
    let total = cost.bill.total();
    if !without.is_empty() {
        Some(format!(
            "No price is known of {}, and {whose} limits the cost to {amount}.",
            without.join(", ")
        ))
    } else if total > amount {
        Some(format!(
            "The run is expected to cost {total}, and {whose} limits that to {amount}."
        ))
    } else {
        None
    }
}

/// What `limit` does to a run by `schedule` that is expected to cost nearly as much, in a sentence; nothing where
/// all lives get [`ROOM_PERCENT`] of what they are expected to cost at once, or where that cannot be told.
///
/// # Panics
/// As [`over_cost`].
#[must_use]
pub fn narrow_cost(plan: &ExecutionPlan, schedule: &Schedule, limit: CostLimit) -> Option<String> {
    let (amount, whose) = (limit.amount, limit.whose());
    let total = cost(plan, schedule).ok()?.bill.total();
    let room = i128::from(total.nano_usd()) * i128::from(ROOM_PERCENT) / 100;
    let is_narrow = i128::from(amount.nano_usd()) < room && schedule.lives.len() > 1;
    is_narrow.then(|| {
        format!(
            "The run is expected to cost {total}, and {whose} limits that to {amount}, even if all machines hang. So some \
             of them wait until others have ended."
        )
    })
}
