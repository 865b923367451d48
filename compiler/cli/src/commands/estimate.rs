//! `dva estimate`: what a run would need and cost, by the runtime's own scheduler, stopped before it
//! launches.

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use dva_compiler::suppose::Supposed;
use dva_plan::money::Money;
use dva_plan::quote::{LineKind, Market, Quality};
use dva_plan::schedule::PlannedLife;
use dva_plan::unit::display_duration;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_schedule::{Assumptions, Cost, ROOT_VOLUME_GIB, Summary, summarize};
use serde::Serialize;

use crate::args::{EstimateArguments, MarketName};
use crate::failure::Failure;
use crate::providers;
use crate::render::{amount, counted};
use crate::{input, packing, render};

/// How many types, and machines without a price, are named; `--json` names all.
const NAMED: usize = 8;

/// What `--json` prints.
#[derive(Serialize)]
struct View<'a> {
    plan: &'a str,
    cells: usize,
    lives: u32,
    test_runs: u32,
    setup_executions: u32,
    lanes: u32,
    peak_lanes: u32,
    makespan_ms: u64,
    makespan_lower_bound_ms: u64,
    busy_ms: u64,
    defaulted_durations: u32,
    machines: &'a BTreeMap<String, u32>,
    assumed: AssumedView,
    /// Of the lives that have a price.
    cost_nano_usd: Money,
    cost_by_kind: BTreeMap<LineKind, Money>,
    price_quality: QualityView,
    /// The oldest day of the rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    price_as_of: Option<&'a str>,
    /// The machines without a price, which the cost does not have.
    unpriced: Vec<UnpricedView<'a>>,
    /// What machines that have a price use and have no price of.
    unpriced_kinds: Vec<LineKind>,
}

/// What is taken for true where nobody said it.
#[derive(Serialize)]
struct AssumedView {
    boot_ms: u64,
    default_takes_ms: u64,
    root_volume_gib: u64,
}

/// How much of the cost rests on what.
#[derive(Serialize)]
struct QualityView {
    exact_nano_usd: Money,
    derived_nano_usd: Money,
    estimated_nano_usd: Money,
    unpriced_lives: u32,
}

/// A machine without a price.
#[derive(Serialize)]
struct UnpricedView<'a> {
    region: &'a str,
    r#type: &'a str,
    lives: u32,
}

/// Schedules and says what came out.
pub fn run(arguments: &EstimateArguments) -> Result<ExitCode, Failure> {
    let plan = input::plan_supposed(&arguments.input, supposed(arguments)?)?.plan;
    let assumptions = match arguments.provider {
        Some(provider) => providers::assumptions(provider),
        None => providers::assumptions_for(&plan.body),
    };
    let packed = packing::pack(&plan, &assumptions, &arguments.packing, arguments.isolate)?;
    let schedule = &packed.schedule;
    if let Some(path) = &arguments.output {
        packing::save(path, schedule)?;
    }
    let summary = summarize(&plan.body, schedule);
    let cost = dva_schedule::cost(&plan.body, schedule)
        .map_err(|error| Failure::new(ExitCode::Refused, format!("the cost: {error}.")))?;
    let text = if arguments.json {
        json(&plan.body, &assumptions, &summary, &cost)
    } else {
        human(&plan.body, schedule, &assumptions, &summary, &cost)
    };
    let _ = stdout().write_all(text.as_bytes());
    // What a run would be refused for, by the same words.
    match dva_schedule::over_cost(&plan.body, schedule) {
        Some(reason) => Err(Failure::new(ExitCode::Refused, reason)),
        None => Ok(ExitCode::Ok),
    }
}

/// What the arguments suppose to be otherwise than the source says.
fn supposed(arguments: &EstimateArguments) -> Result<Supposed, Failure> {
    let mut values = BTreeMap::new();
    for (axis, supposed) in &arguments.what_if {
        if values.insert(axis.clone(), supposed.clone()).is_some() {
            return Err(Failure::new(
                ExitCode::Invocation,
                format!(
                    "`{axis}` is supposed twice. Several values stand behind one `=`, with commas."
                ),
            ));
        }
    }
    Ok(Supposed {
        market: arguments.market.map(|market| match market {
            MarketName::OnDemand => Market::OnDemand,
            MarketName::Spot => Market::Spot,
        }),
        values,
    })
}

fn json(plan: &ExecutionPlan, assumptions: &Assumptions, summary: &Summary, cost: &Cost) -> String {
    let of = |quality| by_quality(cost, quality);
    let unpriced = cost.unpriced.iter();
    render::json(&View {
        plan: &plan.name,
        cells: plan.cells.len(),
        lives: summary.lives,
        test_runs: summary.test_runs,
        setup_executions: summary.setup_executions,
        lanes: plan.policy.lanes,
        peak_lanes: summary.peak_lanes,
        makespan_ms: summary.makespan_ms,
        makespan_lower_bound_ms: summary.makespan_lower_bound_ms,
        busy_ms: summary.busy_ms,
        defaulted_durations: summary.defaulted_durations,
        machines: &summary.machines_by_type,
        assumed: AssumedView {
            boot_ms: assumptions.boot_ms,
            default_takes_ms: assumptions.default_takes_ms,
            root_volume_gib: ROOT_VOLUME_GIB,
        },
        cost_nano_usd: cost.bill.total(),
        cost_by_kind: by_kind(cost),
        price_quality: QualityView {
            exact_nano_usd: of(Quality::Exact),
            derived_nano_usd: of(Quality::Derived),
            estimated_nano_usd: of(Quality::Estimated),
            unpriced_lives: cost.unpriced_lives(),
        },
        price_as_of: cost.as_of.as_deref(),
        unpriced: unpriced
            .map(|((region, r#type), lives)| UnpricedView {
                region,
                r#type,
                lives: *lives,
            })
            .collect(),
        unpriced_kinds: cost.bill.unpriced().iter().copied().collect(),
    })
}

/// What each kind that was used comes to.
fn by_kind(cost: &Cost) -> BTreeMap<LineKind, Money> {
    let kinds = cost.bill.lines().map(|line| line.kind);
    kinds.map(|kind| (kind, cost.bill.amount(kind))).collect()
}

fn by_quality(cost: &Cost, quality: Quality) -> Money {
    let by_quality = cost.bill.by_quality();
    by_quality.get(&quality).copied().unwrap_or_default()
}

fn human(
    plan: &ExecutionPlan,
    schedule: &Schedule,
    assumptions: &Assumptions,
    summary: &Summary,
    cost: &Cost,
) -> String {
    let by_type = summary.machines_by_type.iter();
    let mut types: Vec<_> = by_type
        .map(|(name, number)| format!("{number} × {name}"))
        .collect();
    let hidden = types.len().saturating_sub(NAMED);
    if hidden > 0 {
        types.truncate(NAMED);
        types.push(format!("and {hidden} more types"));
    }
    let mut text = format!(
        "{}: {}, {}\n",
        plan.name,
        counted(plan.cells.len(), "cell"),
        counted(plan.test_runs(), "test run"),
    );
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    line(
        "lives",
        format!("{} ({})", schedule.lives.len(), types.join(", ")),
    );
    line(
        "lanes",
        format!(
            "{} a life, at most {} busy at once",
            plan.policy.lanes, summary.peak_lanes
        ),
    );
    line(
        "makespan",
        format!(
            "{}, at least {}",
            display_duration(summary.makespan_ms),
            display_duration(summary.makespan_lower_bound_ms),
        ),
    );
    line(
        "durations",
        match summary.defaulted_durations {
            0 => "all stated with `takes`".to_owned(),
            number => format!(
                "{number} of {} are defaults of {}; state them with `takes`",
                summary.test_runs,
                display_duration(assumptions.default_takes_ms),
            ),
        },
    );
    let root = |life: &PlannedLife| life.boot.and_then(|boot| plan.boots[boot].root_bytes);
    let root_is_assumed = schedule.lives.iter().any(|life| root(life).is_none());
    line("assumed", assumed(assumptions, root_is_assumed, cost));
    for (name, value) in money(cost) {
        line(name, value);
    }
    text
}

/// What is taken for true, as far as it has a part in the figures.
fn assumed(assumptions: &Assumptions, root_is_assumed: bool, cost: &Cost) -> String {
    let mut parts = vec![format!("{} to boot", display_duration(assumptions.boot_ms))];
    let kinds = by_kind(cost);
    if root_is_assumed && kinds.contains_key(&LineKind::Disk) {
        parts.push(format!("a root volume of {ROOT_VOLUME_GIB}GiB"));
    }
    if kinds.contains_key(&LineKind::Ipv4) {
        parts.push("one public address".to_owned());
    }
    if kinds.contains_key(&LineKind::Credits) {
        parts.push("no CPU beyond the credits of burstable machines".to_owned());
    }
    if kinds.contains_key(&LineKind::Host) {
        parts.push("a host for each life".to_owned());
    }
    parts.join(", ")
}

/// The lines about money. What has no price is never left unsaid.
fn money(cost: &Cost) -> Vec<(&'static str, String)> {
    if cost.is_nothing() {
        return vec![("cost", "nothing: machines of this host are free".to_owned())];
    }
    let unpriced_lives = usize::try_from(cost.unpriced_lives()).unwrap_or(usize::MAX);
    let mut lines = Vec::new();
    match &cost.as_of {
        None => lines.push(("cost", "not known".to_owned())),
        Some(as_of) => {
            let total = cost.bill.total();
            let whole = unpriced_lives == 0 && cost.bill.unpriced().is_empty();
            let least = if whole { "" } else { "at least " };
            let mut kinds = by_kind(cost);
            kinds.retain(|_, nano_usd| *nano_usd > Money::ZERO);
            let kinds = kinds
                .iter()
                .map(|(kind, nano_usd)| format!("{kind} {}", amount(*nano_usd)));
            let parts = kinds.collect::<Vec<_>>().join(", ");
            lines.push(("cost", format!("{least}{} ({parts})", amount(total))));
            let shares = Quality::ALL.into_iter().filter_map(|quality| {
                let share = share(by_quality(cost, quality), total)?;
                Some(format!("{share} {quality}"))
            });
            let shares = shares.collect::<Vec<_>>().join(", ");
            lines.push(("prices", format!("{shares}, as of {as_of}")));
        }
    }
    if unpriced_lives > 0 {
        let machines = cost.unpriced.iter().take(NAMED);
        let machines =
            machines.map(|((region, r#type), lives)| format!("{lives} × {type} in {region}"));
        let mut machines: Vec<_> = machines.collect();
        let others = cost.unpriced.len().saturating_sub(NAMED);
        if others > 0 {
            machines.push(format!("and {others} more"));
        }
        let verb = if unpriced_lives == 1 { "has" } else { "have" };
        lines.push((
            "unpriced",
            format!(
                "{} {verb} no known price, which is not in the cost: {}",
                counted_lives(unpriced_lives),
                machines.join(", ")
            ),
        ));
    }
    if !cost.bill.unpriced().is_empty() {
        let kinds = cost.bill.unpriced().iter().map(|kind| kind.words());
        lines.push((
            "unpriced",
            format!(
                "some machines have no known price of {}, which is not in the cost",
                kinds.collect::<Vec<_>>().join(", ")
            ),
        ));
    }
    lines
}

/// `1 life`, `2 lives`.
fn counted_lives(number: usize) -> String {
    if number == 1 {
        "1 life".to_owned()
    } else {
        format!("{number} lives")
    }
}

/// A part of `total` in whole percent; `None` where it is nothing.
fn share(part: Money, total: Money) -> Option<String> {
    let (part, total) = (i128::from(part.nano_usd()), i128::from(total.nano_usd()));
    if part <= 0 {
        return None;
    }
    // To the nearest; what is there is never called nothing, nor all where something else is.
    let percent = (part * 200 + total).checked_div(total * 2)?;
    Some(match percent {
        0 => "under 1%".to_owned(),
        100 if part < total => "over 99%".to_owned(),
        percent => format!("{percent}%"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_and_never_called_nothing_or_all() {
        let share = |part, total| {
            share(Money::from_nano_usd(part), Money::from_nano_usd(total)).unwrap_or_default()
        };
        assert_eq!(share(0, 7), "");
        assert_eq!(share(1, 1_000), "under 1%");
        assert_eq!(share(1, 3), "33%");
        assert_eq!(share(2, 3), "67%");
        assert_eq!(share(999, 1_000), "over 99%");
        assert_eq!(share(i64::MAX, i64::MAX), "100%");
    }
}
