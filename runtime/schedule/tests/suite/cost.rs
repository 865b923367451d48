//! What a schedule should cost, of plans whose amounts are worked out by hand.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::plan::{Disk, DiskIx, Effect, ImageIx, Machine, MachineIx, Resource, ShapeIx};
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate};
use dva_schedule::{Assumptions, BillError, Cost, ROOT_VOLUME_GIB, cost, schedule};

use crate::generate::{cell, machine, single, test};

const ASSUMPTIONS: Assumptions = Assumptions {
    boot_ms: 30_000,
    pending_ms: 0,
    default_takes_ms: 1_000,
};

fn line(kind: LineKind, dollars: &str, quality: Quality, as_of: &str) -> QuoteLine {
    let rate = Rate {
        nano_usd: money(dollars),
        quality,
        source: "a table".to_owned(),
        as_of: as_of.to_owned(),
    };
    QuoteLine::new(kind, OsClass::Rhel, rate)
}

fn quote(lines: Vec<QuoteLine>) -> Quote {
    Quote {
        market: Market::OnDemand,
        os: OsClass::Rhel,
        lines,
    }
}

fn of_ec2(quote: Option<Quote>) -> Machine {
    Machine {
        region: "eu-west-1".to_owned(),
        quote,
        ..machine("m7i.large", "x86_64")
    }
}

/// Rates that come to whole billionths in 90 seconds.
fn priced() -> Machine {
    of_ec2(Some(quote(vec![
        line(LineKind::Compute, "$0.10", Quality::Exact, "2025-03-02"),
        line(
            LineKind::OsSurcharge,
            "$0.0288",
            Quality::Derived,
            "2025-03-02",
        ),
        line(LineKind::Disk, "$0.0864", Quality::Estimated, "2026-11-23"),
        line(LineKind::Ipv4, "$0.005", Quality::Exact, "2024-02-01"),
    ])))
}

fn money(dollars: &str) -> Money {
    Money::parse(dollars).expect("an amount")
}

/// Two tests of 30 s behind one another, and a boot of 30 s: 90 s.
fn plan(machines: Vec<Machine>) -> ExecutionPlan {
    let mut write = test("write", Some(30_000));
    write.effects = vec![Effect::writes(Resource::Disk(DiskIx(0)))];
    let mut read = test("read", Some(30_000));
    read.effects = vec![Effect::reads(Resource::Disk(DiskIx(0)))];
    let mut plan = single(vec![write, read], &[(1, 0)], &[]);
    let disk = |name: &str, size_bytes| Disk {
        name: name.to_owned(),
        from: dva_plan::plan::DiskOrigin::Volume,
        size_bytes,
        attached: true,
    };
    // Half a GiB is billed as a whole one; the second disk is no test's.
    plan.disks = vec![disk("data", 1 << 29), disk("other", 1 << 40)].into();
    plan.cells = (0..machines.len())
        .map(|row| {
            let number = u32::try_from(row).expect("few machines");
            cell(row, ImageIx(0), ShapeIx(0), vec![MachineIx(number)])
        })
        .collect();
    plan.machines = machines.into();
    plan
}

fn cost_of(plan: &ExecutionPlan) -> Result<Cost, BillError> {
    cost(plan, &schedule(plan, "sha256:00", &ASSUMPTIONS))
}

#[test]
fn a_life_pays_for_its_machine_its_volumes_and_its_address() {
    let cost = cost_of(&plan(vec![priced()])).expect("it has a price");
    assert_eq!(ROOT_VOLUME_GIB, 10);
    // 90 s of an hour are 1/40; of a month of 30 days 1/28,800, for 10 + 1 GiB.
    let expected = [
        (LineKind::Compute, "$0.0025"),
        (LineKind::OsSurcharge, "$0.00072"),
        (LineKind::Disk, "$0.000033"),
        (LineKind::Ipv4, "$0.000125"),
    ];
    let found: Vec<_> = cost
        .bill
        .lines()
        .map(|line| (line.kind, line.nano_usd))
        .collect();
    assert_eq!(
        found,
        expected.map(|(kind, dollars)| (kind, money(dollars)))
    );
    assert_eq!(cost.bill.total(), money("$0.003378"));
    let by_quality = cost.bill.by_quality();
    assert_eq!(by_quality[&Quality::Exact], money("$0.002625"));
    assert_eq!(by_quality[&Quality::Derived], money("$0.00072"));
    assert_eq!(by_quality[&Quality::Estimated], money("$0.000033"));
    // The oldest rate decides how old the figure is.
    assert_eq!(cost.as_of.as_deref(), Some("2024-02-01"));
    assert_eq!((cost.free_lives, cost.unpriced_lives()), (0, 0));
    assert!(!cost.is_nothing());
}

#[test]
fn lives_are_added_up() {
    let cost = cost_of(&plan(vec![priced(), priced(), priced()])).expect("they have a price");
    assert_eq!(cost.bill.total(), money("$0.010134"));
    assert_eq!(cost.bill.amount(LineKind::Compute), money("$0.0075"));
}

#[test]
fn a_machine_without_a_price_is_never_free() {
    let nowhere = Machine {
        region: "cn-north-1".to_owned(),
        ..of_ec2(None)
    };
    let plan = plan(vec![priced(), of_ec2(None), nowhere, of_ec2(None)]);
    let cost = cost_of(&plan).expect("one has a price");
    let unpriced = |region: &str, lives| ((region.to_owned(), "m7i.large".to_owned()), lives);
    assert_eq!(
        cost.unpriced,
        BTreeMap::from([unpriced("cn-north-1", 1), unpriced("eu-west-1", 2)])
    );
    assert_eq!(cost.unpriced_lives(), 3);
    assert_eq!(cost.bill.total(), money("$0.003378"));

    let alone = cost_of(&self::plan(vec![of_ec2(None)])).expect("nothing is billed");
    assert!(!alone.is_nothing());
    assert_eq!(alone.as_of, None);
}

#[test]
fn machines_of_this_host_are_free() {
    let mut quoted = machine("local.small", "x86_64");
    quoted.quote = Some(Quote::free());
    let plan = plan(vec![quoted, machine("local.large", "x86_64")]);
    let cost = cost_of(&plan).expect("nothing is billed");
    assert!(cost.is_nothing());
    assert_eq!((cost.free_lives, cost.as_of), (2, None));
}

/// A quote that has a price of the machine and none of its disks.
#[test]
fn what_has_no_line_is_named() {
    let compute = line(LineKind::Compute, "$0.10", Quality::Exact, "2025-03-02");
    let cost = cost_of(&plan(vec![of_ec2(Some(quote(vec![compute])))])).expect("it has a price");
    let unpriced: Vec<_> = cost.bill.unpriced().iter().copied().collect();
    assert_eq!(unpriced, [LineKind::Disk, LineKind::Ipv4]);
    assert_eq!(cost.bill.total(), money("$0.0025"));
}

/// A Mac is paid by the host, 24 hours at least.
#[test]
fn a_host_is_paid_for_a_day() {
    let host = line(LineKind::Host, "$0.65", Quality::Exact, "2025-03-02");
    let cost = cost_of(&plan(vec![of_ec2(Some(quote(vec![host])))])).expect("it has a price");
    assert_eq!(cost.bill.amount(LineKind::Host), money("$15.60"));
    assert_eq!(cost.bill.amount(LineKind::Compute), Money::ZERO);
}

#[test]
fn what_cannot_be_counted_is_an_error() {
    let most = line(LineKind::Host, "$9223372036", Quality::Exact, "2025-03-02");
    let plan = plan(vec![of_ec2(Some(quote(vec![most])))]);
    assert_eq!(cost_of(&plan), Err(BillError::Overflow));
}
