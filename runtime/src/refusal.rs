//! Why a plan is not run at all by a provider. Known before anything is launched.
//!
//! What it would cost is the business of `dva_schedule::over_cost`.

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Cell, CellIx};
use dva_plan::quote::Market;

use crate::provider::Provider;

/// All that keeps `plan` from being run on machines of `provider`, a sentence each; empty where it can be.
/// Cells and tests that it cannot serve are in [`crate::unserved`] and [`crate::unsupported`].
#[must_use]
pub fn refusals(plan: &ExecutionPlan, provider: &dyn Provider) -> Vec<String> {
    let mut refusals = Vec::new();
    let market = &plan.policy.market;
    let sold = provider.markets();
    if !market.is_empty() && !market.iter().any(|market| sold.contains(market)) {
        let wanted: Vec<_> = market.iter().map(|market| name(*market)).collect();
        refusals.push(format!(
            "The plan buys its machines {}, and the provider `{}` does not sell them so. Add `else \
             on_demand` to its `market` where that will do.",
            wanted.join(" or "),
            provider.name()
        ));
    }
    refusals
}

/// The cells that `provider` can start on none of their machines. A run with any of them is refused
/// before anything is launched.
#[must_use]
pub fn unserved(plan: &ExecutionPlan, provider: &dyn Provider) -> Vec<CellIx> {
    let served = |cell: &Cell| {
        cell.candidates.iter().any(|machine| {
            plan.images[cell.image]
                .sources
                .iter()
                .any(|source| provider.serves(source, &plan.machines[*machine]))
        })
    };
    plan.cells
        .enumerate()
        .filter(|(_, cell)| !served(cell))
        .map(|(index, _)| index)
        .collect()
}

fn name(market: Market) -> &'static str {
    match market {
        Market::OnDemand => "`on_demand`",
        Market::Spot => "`spot`",
    }
}
