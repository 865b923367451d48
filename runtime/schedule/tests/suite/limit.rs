//! What a schedule is expected to cost, held against the limit of its plan.

use dva_plan::money::Money;
use dva_plan::plan::{Boot, CellIx, Disk, DiskIx, Effect, MachineIx, Resource, TestIx};
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate};
use dva_plan::schedule::LifeIx;
use dva_plan::{CellId, ExecutionPlan};
use dva_schedule::{
    Assumptions, CostLimit, cost, cost_expected, cost_within, longest_within, narrow_cost,
    over_cost, schedule,
};

use crate::generate::{single, test};

fn line(kind: LineKind, nano_usd: i64) -> QuoteLine {
    let rate = Rate {
        nano_usd: Money::from_nano_usd(nano_usd),
        quality: Quality::Exact,
        source: "a test".into(),
        as_of: "2026-11-23".into(),
    };
    QuoteLine::new(kind, OsClass::Linux, rate)
}

/// One machine, an hour from its launch to its end, at $3.60 an hour; its disks and its address are free.
fn plan(limit_nano_usd: i64) -> ExecutionPlan {
    let mut plan = single(vec![test("a", Some(3_570_000))], &[], &[]);
    let machine = &mut plan.machines[MachineIx(0)];
    machine.region = "eu-west-1".into();
    machine.quote = Some(Quote {
        market: Market::OnDemand,
        os: OsClass::Linux,
        lines: vec![
            line(LineKind::Compute, 3_600_000_000),
            line(LineKind::Disk, 0),
            line(LineKind::Ipv4, 0),
        ],
    });
    plan.policy.limits.cost_nano_usd = Some(Money::from_nano_usd(limit_nano_usd));
    plan
}

fn judged(plan: &ExecutionPlan) -> Option<String> {
    let limit = CostLimit::of(plan, None)?;
    over_cost(plan, &schedule(plan, "", &Assumptions::default()), limit)
}

#[test]
fn a_run_may_cost_what_the_plan_allows_and_no_more() {
    assert_eq!(judged(&plan(3_600_000_000)), None);
    assert_eq!(
        judged(&plan(3_599_999_999)).as_deref(),
        Some("The run is expected to cost $3.60, and the plan limits that to $3.599999999.")
    );
    let mut unlimited = plan(0);
    unlimited.policy.limits.cost_nano_usd = None;
    assert_eq!(judged(&unlimited), None);
}

#[test]
fn the_lesser_limit_counts_and_is_named() {
    let plan = plan(3_600_000_000);
    let own = |nano_usd| CostLimit::of(&plan, Some(Money::from_nano_usd(nano_usd)));
    let schedule = schedule(&plan, "", &Assumptions::default());
    let judged = |limit: Option<CostLimit>| over_cost(&plan, &schedule, limit?);
    assert_eq!(judged(own(3_600_000_001)), None);
    assert_eq!(
        judged(own(1_000_000_000)).as_deref(),
        Some("The run is expected to cost $3.60, and `max_cost` limits that to $1.00.")
    );
}

#[test]
fn a_limit_that_makes_machines_wait_is_told() {
    let mut plan = plan(0);
    let narrow = |plan: &ExecutionPlan, nano_usd| {
        let limit = CostLimit::of(plan, Some(Money::from_nano_usd(nano_usd)))?;
        let schedule = schedule(plan, "", &Assumptions::default());
        narrow_cost(plan, &schedule, limit)
    };
    plan.policy.limits.cost_nano_usd = None;
    // One machine waits for nobody.
    assert_eq!(narrow(&plan, 3_600_000_000), None);
    let mut other = plan.cells[CellIx(0)].clone();
    other.id = CellId::new("another");
    plan.cells.push(other);
    assert_eq!(narrow(&plan, 10_800_000_000), None);
    assert_eq!(
        narrow(&plan, 10_799_999_999).as_deref(),
        Some(
            "The run is expected to cost $7.20, and `max_cost` limits that to $10.799999999, even if all machines hang. \
             So some of them wait until others have ended."
        )
    );
}

#[test]
fn a_life_lasts_as_long_as_its_amount_and_not_a_second_more() {
    let plan = plan(0);
    let life = &schedule(&plan, "", &Assumptions::default()).lives[LifeIx(0)];
    let hour = Money::from_nano_usd(3_600_000_000);
    assert_eq!(cost_expected(&plan, life), Ok(Some(hour)));
    let day_ms = 86_400_000;
    let longest = |nano_usd| {
        let amount = Money::from_nano_usd(nano_usd);
        longest_within(&plan, life, amount, day_ms).expect("it can be counted")
    };
    assert_eq!(longest(i64::MAX), Some(day_ms));
    assert_eq!(longest(3_600_000_000), Some(3_600_000));
    assert_eq!(longest(3_599_999_999), Some(3_599_000));
    // EC2 bills a minute at least.
    assert_eq!(longest(60_000_000), Some(60_000));
    assert_eq!(longest(59_999_999), None);
    for nano_usd in [60_000_000, 777_777_777, 5_000_000_001, 86_399_000_000] {
        let amount = Money::from_nano_usd(nano_usd);
        let alive_ms = longest(nano_usd).expect("it lasts");
        let cost = |alive_ms| cost_within(&plan, life, alive_ms).expect("it can be counted");
        assert!(cost(alive_ms).is_some_and(|cost| cost <= amount));
        assert!(cost(alive_ms + 1_000).is_some_and(|cost| cost > amount));
    }
}

#[test]
fn what_has_no_price_is_never_taken_for_free() {
    let mut unknown = plan(i64::MAX);
    unknown.machines[MachineIx(0)].quote = None;
    let why = judged(&unknown).expect("it has no price");
    assert!(
        why.contains("No price is known of local.small in eu-west-1"),
        "{why}"
    );
    unknown.machines[MachineIx(0)].quote = Some(Quote::free());
    unknown.policy.limits.cost_nano_usd = Some(Money::ZERO);
    assert_eq!(judged(&unknown), None);

    let mut without_disks = plan(i64::MAX);
    let quote = without_disks.machines[MachineIx(0)].quote.as_mut();
    let lines = &mut quote.expect("it has one").lines;
    lines.retain(|line| line.kind != LineKind::Disk);
    let why = judged(&without_disks).expect("its disks have no price");
    assert!(why.contains("No price is known of disk"), "{why}");
}

#[test]
fn disks_of_the_tests_and_the_root_disk_of_the_boot_are_counted() {
    let mut plan = plan(0);
    let quote = plan.machines[MachineIx(0)].quote.as_mut();
    for line in &mut quote.expect("it has one").lines {
        if line.kind == LineKind::Disk {
            line.nano_usd = Money::from_nano_usd(730_000_000);
        }
    }
    let cost = |plan: &ExecutionPlan| {
        let made = schedule(plan, "", &Assumptions::default());
        let cost = cost(plan, &made).expect("it can be counted");
        assert!(cost.unpriced.is_empty() && cost.bill.unpriced().is_empty());
        cost.bill.amount(LineKind::Disk).nano_usd()
    };
    // A root disk of 10 GiB, where nobody says how large it is.
    let bare = cost(&plan);
    assert!(bare > 0);
    plan.disks.push(Disk {
        name: "data".into(),
        from: dva_plan::plan::DiskOrigin::Volume,
        size_bytes: 10 << 30,
        attached: true,
    });
    let test = &mut plan.tests[TestIx(0)];
    test.effects = vec![Effect::writes(Resource::Disk(DiskIx(0)))];
    assert_eq!(cost(&plan), 2 * bare);
    let boot = plan.boots.push(Boot {
        name: "large".into(),
        user_data: None,
        mode: None,
        root_bytes: Some(30 << 30),
    });
    plan.tests[TestIx(0)].boot = Some(boot);
    assert_eq!(cost(&plan), 4 * bare);
}
