//! What `dva estimate` says to people.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_plan::quote::{LineKind, Market, Quality};
use dva_plan::schedule::PlannedLife;
use dva_plan::unit::display_duration;
use dva_schedule::{Cost, Peer, ROOT_VOLUME_GIB};

use super::Estimate;
use crate::basis::Measured;
use crate::render::{about, amount, counted, least_amount};
use crate::table::{Align, Table};

/// How many types, machines without a price and pools of processors are named; `--json` names all.
const NAMED: usize = 8;
/// How wide the values are.
const COLUMNS: usize = 87;
/// How many regions and operating systems have a line of their own.
const PLACES: usize = 24;

pub(super) fn text(estimate: &Estimate<'_>) -> String {
    let Estimate {
        plan,
        schedule,
        summary,
        cost,
        ..
    } = estimate;
    let mut text = format!(
        "{}: {}, {}\n",
        plan.name,
        counted(plan.cells.len(), "cell"),
        counted(plan.test_runs(), "test run"),
    );
    let mut line = |name: &str, value: String| {
        text.push_str(&format!("  {name:<10} {}\n", wrapped(&value)));
    };
    line("lives", lives(estimate));
    line(
        "lanes",
        format!(
            "{} a life, at most {} busy at once",
            estimate.lanes, summary.peak_lanes
        ),
    );
    line("makespan", makespan(estimate));
    line("runs", runs(estimate));
    if let Some((within_ms, permille)) = estimate.chance_permille() {
        line(
            "deadline",
            format!(
                "{} of 100 runs are over within {}",
                permille / 10,
                display_duration(within_ms)
            ),
        );
    }
    line("durations", durations(estimate));
    let root = |life: &PlannedLife| life.boot.and_then(|boot| plan.boots[boot].root_bytes);
    let root_is_assumed = schedule.lives.iter().any(|life| root(life).is_none());
    let assumed = assumed(estimate, root_is_assumed);
    if !assumed.is_empty() {
        line("assumed", assumed);
    }
    for (name, value) in money(cost) {
        line(name, value);
    }
    for (name, value) in certainty(estimate) {
        line(name, value);
    }
    if let Some(peak) = peak(estimate) {
        line("peak", peak);
    }
    if estimate.places.len() > 1 && !cost.is_nothing() {
        text.push('\n');
        text.push_str(&by_place(estimate));
    }
    if cost.bill.total() > Money::ZERO {
        text.push('\n');
        text.push_str(&elsewhere(estimate));
    }
    text
}

fn lives(estimate: &Estimate<'_>) -> String {
    let by_type = estimate.summary.machines_by_type.iter();
    let mut types: Vec<_> = by_type
        .map(|(name, number)| format!("{number} × {name}"))
        .collect();
    named_alone(&mut types, "more types");
    let lives = estimate.schedule.lives.len();
    let setups = match estimate.summary.setup_executions {
        0 => String::new(),
        1 => ", 1 test repeated as setup".to_owned(),
        n => format!(", {n} tests repeated as setup"),
    };
    let least = estimate
        .certificate
        .map_or(0, |known| known.lives_lower_bound);
    let bound = match usize::try_from(least) {
        Ok(least) if least < lives && least > 0 => format!("; no schedule has fewer than {least}"),
        _ => String::new(),
    };
    format!("{lives} ({}){setups}{bound}", types.join(", "))
}

/// How long it takes if every test takes what is expected.
fn makespan(estimate: &Estimate<'_>) -> String {
    format!(
        "{} if every test takes what is expected, at least {} on these lives",
        about(estimate.summary.makespan_ms),
        about(estimate.summary.makespan_lower_bound_ms),
    )
}

/// How long runs take, no longer than the plan's limit, where they are stopped.
fn runs(estimate: &Estimate<'_>) -> String {
    let forecast = &estimate.forecast;
    let limit_ms = estimate.plan.policy.limits.elapsed_ms.unwrap_or(u64::MAX);
    let within = |ms: u64| about(ms.min(limit_ms));
    format!(
        "half are over within {}, nine of ten within {}, all within {}",
        within(forecast.makespan_p50_ms),
        within(forecast.makespan_p90_ms),
        within(forecast.makespan_worst_ms),
    )
}

/// What the durations rest on.
fn durations(estimate: &Estimate<'_>) -> String {
    let all = estimate.summary.test_runs;
    let defaulted = estimate.summary.defaulted_durations;
    let default = display_duration(estimate.assumptions.default_takes_ms);
    let Some(Measured {
        provider, coverage, ..
    }) = estimate.measured
    else {
        return match defaulted {
            0 => "all stated with `takes`".to_owned(),
            number => {
                format!("{number} of {all} are defaults of {default}; state them with `takes`")
            }
        };
    };
    let runs = counted(coverage.runs, "run");
    let measured = coverage.test_runs;
    let mut parts = vec![format!(
        "{measured} of {all} measured in {runs} on {provider}"
    )];
    if let Some(boot_ms) = coverage.boot_ms {
        parts.push(format!("boots too ({})", about(boot_ms)));
    }
    if coverage.stated > 0 {
        parts.push(format!("{} stated with `takes`", coverage.stated));
    }
    if defaulted > 0 {
        parts.push(format!("{defaulted} defaults of {default}"));
    }
    parts.join(", ")
}

/// `value` on as many lines as it needs, cut behind commas.
fn wrapped(value: &str) -> String {
    let (mut lines, mut line) = (Vec::new(), String::new());
    for part in value.split_inclusive(", ") {
        if !line.is_empty() && line.chars().count() + part.trim_end().chars().count() > COLUMNS {
            lines.push(std::mem::take(&mut line));
        }
        line.push_str(part);
    }
    lines.push(line);
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    lines.join("\n             ")
}

/// What is taken for true, as far as it has a part in the figures.
fn assumed(estimate: &Estimate<'_>, root_is_assumed: bool) -> String {
    let mut parts = Vec::new();
    let measured = estimate.measured;
    if measured.is_none_or(|measured| measured.coverage.boot_ms.is_none()) {
        let boot = display_duration(estimate.assumptions.boot_ms);
        parts.push(format!("{boot} to boot"));
    }
    let kinds = by_kind(&estimate.cost);
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
    if estimate.plan.policy.market.first() == Some(&Market::Spot) {
        parts.push("spot machines at the price on demand, which they do not exceed".to_owned());
    }
    if !estimate.peak_vcpus.is_empty() {
        parts.push("launches as fast as EC2 lets a new account".to_owned());
    }
    match measured.map_or(0, |measured| measured.coverage.test_runs) {
        0 => parts.push("one test in ten takes 1.4 times what is expected, or more".to_owned()),
        own if own < usize::try_from(estimate.summary.test_runs).unwrap_or(0) => {
            parts.push("one test in ten of the others takes 1.4 times that, or more".to_owned());
        }
        // How they vary was measured as well.
        _ => {}
    }
    parts.join(", ")
}

/// How sure the cost is, and how far from the least.
fn certainty(estimate: &Estimate<'_>) -> Vec<(&'static str, String)> {
    let total = estimate.cost.bill.total();
    if total <= Money::ZERO {
        return Vec::new();
    }
    let forecast = &estimate.forecast;
    let mut lines = vec![(
        "spread",
        format!(
            "{} in nine of ten runs, {} if every test takes all that it may",
            amount(forecast.cost_p90),
            amount(forecast.cost_worst)
        ),
    )];
    if let Some(certificate) = estimate.certificate {
        let bound = least_amount(certificate.lower_bound);
        lines.push((
            "bound",
            match certificate.ratio_permille() {
                1_000 => format!("no schedule costs less than {bound}: this is the cheapest"),
                permille => format!(
                    "no schedule costs less than {bound}: this one is {}.{:03} times that",
                    permille / 1_000,
                    permille % 1_000
                ),
            },
        ));
    }
    lines
}

/// The most virtual processors at once, and how long launching takes.
fn peak(estimate: &Estimate<'_>) -> Option<String> {
    if estimate.peak_vcpus.is_empty() {
        return None;
    }
    let pools = estimate.peak_vcpus.iter();
    let mut pools: Vec<(u32, String)> = pools
        .map(|((region, class), vcpus)| (*vcpus, format!("{vcpus} {class} in {region}")))
        .collect();
    pools.sort_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(&other.1)));
    let mut pools: Vec<String> = pools.into_iter().map(|(_, pool)| pool).collect();
    named_alone(&mut pools, "more");
    let launched = about(estimate.last_launch_ms());
    Some(format!(
        "vCPUs at once: {}; the last launch after {launched}",
        pools.join(", ")
    ))
}

fn by_place(estimate: &Estimate<'_>) -> String {
    let mut table = Table::new([
        ("region", Align::Left),
        ("os", Align::Left),
        ("cells", Align::Right),
        ("machines", Align::Right),
        ("launched", Align::Right),
        ("ended", Align::Right),
        ("cost", Align::Right),
    ]);
    let mut places: Vec<_> = estimate.places.iter().collect();
    places.sort_by_key(|(place, share)| (Reverse(share.cost.bill.total()), *place));
    let others = places.split_off(places.len().min(PLACES));
    for (place, share) in places {
        let total = share.cost.bill.total();
        table.row([
            place.region.clone(),
            place.os.clone(),
            share.cells.to_string(),
            share.lives.to_string(),
            about(share.last_launch_ms),
            about(share.end_ms),
            match share.cost.unpriced_lives() {
                0 => amount(total),
                _ if total == Money::ZERO => "not known".to_owned(),
                _ => format!("at least {}", amount(total)),
            },
        ]);
    }
    let mut text = table.text();
    if !others.is_empty() {
        text.push_str(&format!("… and {} more, see --json\n", others.len()));
    }
    text
}

/// The same tests as other runners put them onto machines.
fn elsewhere(estimate: &Estimate<'_>) -> String {
    let own = estimate.cost.bill.total();
    let mut table = Table::new([
        ("the same, run as", Align::Left),
        ("machines", Align::Right),
        ("longest", Align::Right),
        ("cost", Align::Right),
        ("times", Align::Right),
    ]);
    for (peer, cost) in &estimate.peers {
        let how = match peer {
            Peer::MachinePerTest => "a machine for each test",
            Peer::SerialPerCell => "one test at a time on a machine for each cell",
            Peer::Waves => "waves of tests on a machine for each cell",
            Peer::Buckets => "machines for lone tests, the others in a row",
            Peer::Reuse => "a machine used again until it is dirty",
        };
        table.row([
            format!("{how} ({})", peer.runner()),
            cost.lives.to_string(),
            about(cost.makespan_ms),
            amount(cost.cost),
            times(cost.cost, own),
        ]);
    }
    table.text()
}

/// How many times `own` goes into `cost`, to the nearest tenth: `2.4`.
fn times(cost: Money, own: Money) -> String {
    let (cost, own) = (i128::from(cost.nano_usd()), i128::from(own.nano_usd()));
    let tenths = (cost * 20 + own).checked_div(own * 2).unwrap_or(0);
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Keeps the first of `names` and says how many others there are: `and 3 more types`.
fn named_alone(names: &mut Vec<String>, others: &str) {
    let hidden = names.len().saturating_sub(NAMED);
    if hidden > 0 {
        names.truncate(NAMED);
        names.push(format!("and {hidden} {others}"));
    }
}

/// What each kind that was used comes to.
pub(super) fn by_kind(cost: &Cost) -> BTreeMap<LineKind, Money> {
    let kinds = cost.bill.lines().map(|line| line.kind);
    kinds.map(|kind| (kind, cost.bill.amount(kind))).collect()
}

pub(super) fn by_quality(cost: &Cost, quality: Quality) -> Money {
    let by_quality = cost.bill.by_quality();
    by_quality.get(&quality).copied().unwrap_or_default()
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
