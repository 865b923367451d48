//! What `dva estimate --json` prints. Money is whole billionths of a US dollar, times are milliseconds.

use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_plan::quote::{LineKind, Quality};
use dva_schedule::ROOT_VOLUME_GIB;
use serde::Serialize;

use super::Estimate;
use super::text::{by_kind, by_quality};
use crate::render;

#[derive(Serialize)]
struct View<'a> {
    plan: &'a str,
    cells: usize,
    /// How many combinations are no cells, by reason; empty where an execution plan is estimated.
    no_cells: &'a BTreeMap<String, usize>,
    lives: u32,
    /// No schedule has fewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    lives_lower_bound: Option<u64>,
    launches: u32,
    test_runs: u32,
    setup_executions: u32,
    lanes: u32,
    peak_lanes: u32,
    makespan_ms: u64,
    makespan_lower_bound_ms: u64,
    makespan_p50_ms: u64,
    makespan_p90_ms: u64,
    makespan_worst_ms: u64,
    /// The deadline and how many of a thousand runs keep it.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<DeadlineView>,
    last_launch_ms: u64,
    busy_ms: u64,
    defaulted_durations: u32,
    /// What of it was measured in past runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<MeasuredView<'a>>,
    machines: &'a BTreeMap<String, u32>,
    assumed: AssumedView,
    /// Of the lives that have a price, if every test takes what is expected of it.
    cost_nano_usd: Money,
    /// The mean of the runs that were drawn.
    mean_nano_usd: Money,
    p90_nano_usd: Money,
    worst_nano_usd: Money,
    /// No schedule costs less.
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_bound_nano_usd: Option<Money>,
    cost_by_kind: BTreeMap<LineKind, Money>,
    price_quality: QualityView,
    /// The oldest day of the rates.
    #[serde(skip_serializing_if = "Option::is_none")]
    price_as_of: Option<&'a str>,
    /// The machines without a price, which the cost does not have.
    unpriced: Vec<UnpricedView<'a>>,
    /// What machines that have a price use and have no price of.
    unpriced_kinds: Vec<LineKind>,
    /// The most virtual processors at once.
    peak_vcpus: Vec<PeakView<'a>>,
    /// By region and operating system.
    places: Vec<PlaceView<'a>>,
    /// The same tests, put onto machines as other runners do it, by the name of the policy.
    baselines: BTreeMap<&'static str, BaselineView>,
}

/// What of a plan was measured.
#[derive(Serialize)]
struct MeasuredView<'a> {
    /// On whose machines.
    provider: &'a str,
    runs: usize,
    /// How many of the test runs.
    test_runs: usize,
    /// How many of the others say how long they take.
    stated: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_ms: Option<u64>,
}

#[derive(Serialize)]
struct BaselineView {
    runner: &'static str,
    cost_nano_usd: Money,
    lives: u64,
    makespan_ms: u64,
    /// The lengths of all lives together.
    alive_ms: u64,
}

#[derive(Serialize)]
struct DeadlineView {
    within_ms: u64,
    chance_permille: u32,
}

/// What is taken for true where nobody said it.
#[derive(Serialize)]
struct AssumedView {
    boot_ms: u64,
    default_takes_ms: u64,
    root_volume_gib: u64,
    /// How far durations are spread: the standard deviation of their logarithm, in thousandths.
    sigma_permille: u32,
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

#[derive(Serialize)]
struct PeakView<'a> {
    region: &'a str,
    class: &'a str,
    vcpus: u32,
}

#[derive(Serialize)]
struct PlaceView<'a> {
    region: &'a str,
    os: &'a str,
    cells: u32,
    lives: u32,
    setup_executions: u32,
    machines: &'a BTreeMap<String, u32>,
    last_launch_ms: u64,
    end_ms: u64,
    cost_nano_usd: Money,
    unpriced_lives: u32,
}

pub(super) fn json<'a>(estimate: &'a Estimate<'_>, dropped: &'a BTreeMap<String, usize>) -> String {
    let Estimate {
        plan,
        assumptions,
        summary,
        cost,
        forecast,
        ..
    } = estimate;
    let of = |quality| by_quality(cost, quality);
    let unpriced = cost.unpriced.iter();
    let deadline = estimate.chance_permille();
    render::json(&View {
        plan: &plan.name,
        cells: plan.cells.len(),
        no_cells: dropped,
        lives: summary.lives,
        lives_lower_bound: estimate.certificate.map(|known| known.lives_lower_bound),
        launches: summary.launches,
        test_runs: summary.test_runs,
        setup_executions: summary.setup_executions,
        lanes: estimate.lanes,
        peak_lanes: summary.peak_lanes,
        makespan_ms: summary.makespan_ms,
        makespan_lower_bound_ms: summary.makespan_lower_bound_ms,
        makespan_p50_ms: forecast.makespan_p50_ms,
        makespan_p90_ms: forecast.makespan_p90_ms,
        makespan_worst_ms: forecast.makespan_worst_ms,
        deadline: deadline.map(|(within_ms, chance_permille)| DeadlineView {
            within_ms,
            chance_permille,
        }),
        last_launch_ms: estimate.last_launch_ms(),
        busy_ms: summary.busy_ms,
        defaulted_durations: summary.defaulted_durations,
        measured: estimate.measured.map(|measured| MeasuredView {
            provider: &measured.provider,
            runs: measured.coverage.runs,
            test_runs: measured.coverage.test_runs,
            stated: measured.coverage.stated,
            boot_ms: measured.coverage.boot_ms,
        }),
        machines: &summary.machines_by_type,
        assumed: AssumedView {
            boot_ms: assumptions.boot_ms,
            default_takes_ms: assumptions.default_takes_ms,
            root_volume_gib: ROOT_VOLUME_GIB,
            sigma_permille: estimate.spread.sigma_permille,
        },
        cost_nano_usd: cost.bill.total(),
        mean_nano_usd: forecast.cost_mean,
        p90_nano_usd: forecast.cost_p90,
        worst_nano_usd: forecast.cost_worst,
        lower_bound_nano_usd: estimate.certificate.map(|known| known.lower_bound),
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
        peak_vcpus: estimate
            .peak_vcpus
            .iter()
            .map(|((region, class), vcpus)| PeakView {
                region,
                class: class.name(),
                vcpus: *vcpus,
            })
            .collect(),
        places: estimate
            .places
            .iter()
            .map(|(place, share)| PlaceView {
                region: &place.region,
                os: &place.os,
                cells: share.cells,
                lives: share.lives,
                setup_executions: share.setup_executions,
                machines: &share.machines_by_type,
                last_launch_ms: share.last_launch_ms,
                end_ms: share.end_ms,
                cost_nano_usd: share.cost.bill.total(),
                unpriced_lives: share.cost.unpriced_lives(),
            })
            .collect(),
        baselines: estimate
            .peers
            .iter()
            .map(|(peer, cost)| {
                let baseline = BaselineView {
                    runner: peer.runner(),
                    cost_nano_usd: cost.cost,
                    lives: cost.lives,
                    makespan_ms: cost.makespan_ms,
                    alive_ms: cost.alive_ms,
                };
                (peer.name(), baseline)
            })
            .collect(),
    })
}
