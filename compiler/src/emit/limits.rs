//! Limits that no run of a plan can keep, whatever the packing.

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::unit::display_duration;
use dva_schedule::{Assumptions, floor};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Hir, LimitOf, PlanIx};

/// What is taken for true here is the least that anybody could find: machines that are ready at once, tests
/// of which nothing is said that take no time.
const LEAST: Assumptions = Assumptions {
    boot_ms: 0,
    pending_ms: 0,
    default_takes_ms: 0,
};

/// Reports the limits of `plan`, which was made of `row`, that are below what every run of it comes to.
pub(crate) fn report_below_floor(hir: &Hir<'_>, row: PlanIx, plan: &ExecutionPlan, bag: &mut Bag) {
    let limits = plan.policy.limits;
    if limits.cost_nano_usd.is_none() && limits.elapsed_ms.is_none() {
        return;
    }
    let floor = floor(plan, &LEAST);
    let written = &hir.plans[row].policy.limits;
    if let (Some(limit), Some(written)) = (limits.cost_nano_usd, written.get(&LimitOf::Cost))
        && limit < floor.cost
    {
        let least = rounded(floor.cost);
        let text = format!("no run of this plan costs less than {least}");
        bag.push(
            Diagnostic::new(Code::P0741, written.value.span, text).help(
                "So much cost its machines alone, booted at once and with nothing idle. Raise the limit, or test \
                 on fewer or cheaper machines; `dva estimate` without the limit shows what costs.",
            ),
        );
    }
    if let (Some(limit), Some(written)) = (limits.elapsed_ms, written.get(&LimitOf::Elapsed))
        && limit < floor.elapsed_ms
    {
        let least = display_duration(floor.elapsed_ms);
        let chain = floor.chain.iter();
        let chain: Vec<_> = chain.map(|test| plan.tests[*test].id.as_str()).collect();
        let text = format!("no run of this plan is over within less than {least}");
        let help = match chain.as_slice() {
            [one] => {
                format!("`{one}` alone takes that long. Raise the limit, or lower its `takes`.")
            }
            chain => format!(
                "These follow each other: {}. Raise the limit, or take an edge or a test out.",
                chain.join(" -> ")
            ),
        };
        bag.push(Diagnostic::new(Code::P0741, written.value.span, text).help(help));
    }
}

/// An amount with three digits, rounded down: less is not promised.
fn rounded(amount: Money) -> Money {
    let nano_usd = amount.nano_usd();
    let digits = nano_usd.checked_ilog10().unwrap_or(0);
    let step = 10_i64.pow(digits.saturating_sub(2));
    Money::from_nano_usd(nano_usd / step * step)
}
