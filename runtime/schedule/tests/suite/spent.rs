//! What a run has cost, by hand and on random plans.

use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_plan::plan::{Disk, DiskIx, DiskOrigin, Effect, Machine, Resource, TestIx};
use dva_plan::quote::OsClass;
use dva_plan::report::{ExpectedBill, Parts};
use dva_plan::schedule::LifeIx;
use dva_plan::table::Index;
use dva_plan::{ExecutionPlan, RunReport, TestId};
use dva_schedule::{Assumptions, Cost, Spent, cost, expected, schedule, spent};
use proptest::prelude::*;

use crate::follow::follow;
use crate::generate::{Random, Size, machine, plan, priced, quote, rich, single, test};

/// 3.6 dollars an hour, and nothing else: a millionth of a dollar a millisecond.
fn dollar_a_thousand_seconds() -> Machine {
    let mut quote = quote(OsClass::Linux, 3_600_000_000);
    quote.lines.truncate(1);
    Machine {
        region: "eu-west-1".to_owned(),
        quote: Some(quote),
        ..machine("m7i.large", "x86_64")
    }
}

fn usd(micro: i64) -> Money {
    Money::from_nano_usd(micro * 1_000)
}

/// Tests of 100 s and 50 s beside each other, and a boot of 30 s: 130 s on two lanes.
fn two_lanes() -> (ExecutionPlan, RunReport) {
    let tests = vec![test("long", Some(100_000)), test("short", Some(50_000))];
    let mut plan = single(tests, &[], &[]);
    plan.machines = vec![dollar_a_thousand_seconds()].into();
    let schedule = schedule(&plan, "sha256:00", &Assumptions::default());
    assert_eq!(schedule.lives.len(), 1);
    let report = follow(&plan, &schedule);
    (plan, report)
}

fn spent_of(plan: &ExecutionPlan, report: &RunReport) -> Spent {
    spent(plan, report).expect("it can be counted")
}

#[test]
fn money_goes_where_lanes_were_taken() {
    let (plan, report) = two_lanes();
    let spent = spent_of(&plan, &report);
    // 130 s cost 130,000 millionths; of 260 s of lanes 60 boot, 150 test, 50 are idle.
    let parts = Parts {
        tests: usd(75_000),
        boot: usd(30_000),
        idle: usd(25_000),
        ..Parts::default()
    };
    assert_eq!(spent.parts, parts);
    assert_eq!(spent.cost.bill.total(), usd(130_000));
    let by_test = [("long", 50_000), ("short", 25_000)];
    let by_test = by_test.map(|(test, micro)| (TestId::new(test), usd(micro)));
    assert_eq!(spent.by_test, BTreeMap::from(by_test));
    let regions: Vec<_> = spent.by_region.keys().map(String::as_str).collect();
    let types: Vec<_> = spent.by_type.keys().map(String::as_str).collect();
    assert_eq!(
        (&*regions, &*types),
        (&["eu-west-1"][..], &["m7i.large"][..])
    );
    assert_eq!(spent.by_region["eu-west-1"], spent.cost);
}

/// A machine that is lost in the middle of a test, and a second life on which the test passes.
#[test]
fn what_was_tried_again_is_told_apart() {
    let (plan, mut report) = two_lanes();
    let mut again = report.lives[LifeIx(0)].clone();
    (again.launch_ms, again.ready_ms, again.end_ms) = (130_000, Some(160_000), None);
    report.duration_ms = 260_000;
    let again = report.lives.push(again);
    let long = &mut report.test_runs[0].executions;
    let mut second = long[0].clone();
    (second.life, second.start_ms, second.end_ms) = (again, 160_000, 260_000);
    long.push(second);
    let spent = spent_of(&plan, &report);
    // The second life used one lane; it is still there when the run ends.
    let parts = Parts {
        tests: usd(25_000 + 100_000),
        retries: usd(50_000),
        boot: usd(60_000),
        idle: usd(25_000),
        ..Parts::default()
    };
    assert_eq!(spent.parts, parts);
    assert_eq!(spent.by_test[&TestId::new("long")], usd(150_000));

    // A `last` test has a verdict on each life.
    let mut last = plan.clone();
    last.tests[TestIx(0)].last = true;
    assert_eq!(spent_of(&last, &report).parts.retries, Money::ZERO);

    report.test_runs[0].executions[0].setup = true;
    let parts = spent_of(&plan, &report).parts;
    assert_eq!((parts.setup, parts.retries), (usd(50_000), Money::ZERO));
}

#[test]
fn a_life_that_was_never_ready_is_all_boot() {
    let (plan, mut report) = two_lanes();
    report.lives[LifeIx(0)].ready_ms = None;
    for run in &mut report.test_runs {
        run.executions.clear();
    }
    let spent = spent_of(&plan, &report);
    assert_eq!(spent.parts.boot, usd(130_000));
    assert_eq!(spent.parts.total(), Some(spent.cost.bill.total()));

    // Gone at once, it costs its minute all the same.
    report.lives[LifeIx(0)].end_ms = Some(0);
    assert_eq!(spent_of(&plan, &report).parts.boot, usd(60_000));
}

#[test]
fn a_life_without_a_machine_costs_nothing() {
    let (plan, mut report) = two_lanes();
    let life = &mut report.lives[LifeIx(0)];
    (life.machine, life.ready_ms, life.end_ms) = (None, None, None);
    for run in &mut report.test_runs {
        run.executions.clear();
    }
    let spent = spent_of(&plan, &report);
    let nothing = Spent {
        without_machine: 1,
        by_life: vec![Cost::default()].into(),
        ..Spent::default()
    };
    assert_eq!(spent, nothing);
    assert_eq!(spent.bill_report(ExpectedBill::default()), None);
}

/// Of another cell, of another type, and without a quote.
#[test]
fn what_is_not_known_is_never_nothing() {
    let (plan, report) = two_lanes();
    let unpriced = |plan: &ExecutionPlan, report: &RunReport, r#type: &str| {
        let spent = spent_of(plan, report);
        let key = ("eu-west-1".to_owned(), r#type.to_owned());
        assert_eq!(spent.cost.unpriced, BTreeMap::from([(key, 1)]));
        assert_eq!(spent.by_type[r#type].unpriced_lives(), 1);
        assert_eq!(spent.parts, Parts::default());
        assert!(!spent.cost.is_nothing());
    };
    let mut other = report.clone();
    other.lives[LifeIx(0)].r#type = "m7i.metal".to_owned();
    unpriced(&plan, &other, "m7i.metal");
    let mut other = report.clone();
    other.lives[LifeIx(0)].cell = dva_plan::CellId::new("elsewhere");
    unpriced(&plan, &other, "m7i.large");
    let mut other = plan.clone();
    for machine in other.machines.iter_mut() {
        machine.quote = None;
    }
    unpriced(&other, &report, "m7i.large");
}

#[test]
fn disks_are_paid_of_tests_that_ran() {
    let (mut plan, mut report) = two_lanes();
    plan.machines[dva_plan::plan::MachineIx(0)].quote = Some(quote(OsClass::Linux, 3_600_000_000));
    plan.disks = vec![Disk {
        name: "data".to_owned(),
        from: DiskOrigin::Volume,
        size_bytes: 1 << 40,
        attached: true,
    }]
    .into();
    plan.tests[TestIx(1)].effects = vec![Effect::writes(Resource::Disk(DiskIx(0)))];
    let with = spent_of(&plan, &report).cost.bill.total();
    report.test_runs[1].executions.clear();
    let without = spent_of(&plan, &report).cost.bill.total();
    // 1,024 GiB for 130 s of a month of 30 days, 8 cents each.
    let nano_usd = with.nano_usd() - without.nano_usd();
    assert!((nano_usd - 4_108_642).abs() <= 1, "{nano_usd}");
}

fn size() -> impl Strategy<Value = Size> {
    (1..=15_usize, 1..=6_usize, 1..=4_u32).prop_map(|(tests, cells, lanes)| Size {
        tests,
        cells,
        lanes,
    })
}

/// A priced plan, none of whose machines could be taken for another one.
fn any_plan(seed: u64, size: Size) -> ExecutionPlan {
    let made = match seed.is_multiple_of(3) {
        true => plan(seed, size),
        false => rich(seed, size),
    };
    let mut made = priced(made, &mut Random(seed));
    for row in made.machines.indices() {
        let machine = &mut made.machines[row];
        machine.r#type = format!("{}.{}", machine.r#type, row.row());
        if seed.is_multiple_of(7) && row.row() == 0 {
            machine.quote = None;
        }
    }
    made
}

/// Cuts lives short, takes readiness and machines from some, and gives others executions twice.
fn spoil(report: &mut RunReport, random: &mut Random) {
    for life in report.lives.iter_mut() {
        match random.below(6) {
            0 => life.end_ms = None,
            1 => life.ready_ms = None,
            2 => life.machine = None,
            3 => {
                let length_ms = life.end_ms.unwrap_or(0) - life.launch_ms;
                life.end_ms = Some(life.launch_ms + random.below(1 + length_ms as usize) as u64);
            }
            _ => {}
        }
    }
    for run in &mut report.test_runs {
        if let Some(first) = run.executions.first().cloned()
            && random.one_in(4)
        {
            run.executions.insert(0, first);
        }
    }
}

fn totals(costs: &BTreeMap<String, Cost>) -> Option<Money> {
    Money::checked_sum(costs.values().map(|cost| cost.bill.total()))
}

proptest! {
    #[test]
    fn a_run_that_goes_as_planned_costs_what_was_planned(
        seed: u64,
        size in size(),
        boot_ms in 0..=90_000_u64,
        pending_ms in 0..=30_000_u64,
    ) {
        let plan = any_plan(seed, size);
        let assumptions = |pending_ms| Assumptions {
            boot_ms,
            pending_ms,
            ..Assumptions::default()
        };
        let made = schedule(&plan, "sha256:00", &assumptions(0));
        let spent = spent(&plan, &follow(&plan, &made)).expect("it can be counted");
        prop_assert_eq!(&spent.cost, &cost(&plan, &made).expect("it can be counted"));
        prop_assert_eq!(spent.without_machine, 0);
        let expected = expected(&plan, &made.lives).expect("it can be counted");
        prop_assert_eq!(expected.nano_usd, spent.cost.bill.total());
        // What is left over of a life's cost goes to one of its executions, in whichever order they are.
        let executions: usize = made.lives.iter().map(|life| life.executions.len()).sum();
        for ((_, expected), (name, spent)) in expected.parts.named().into_iter().zip(spent.parts.named()) {
            let beside = expected.nano_usd().abs_diff(spent.nano_usd());
            prop_assert!(beside <= executions as u64, "{} by {}", name, beside);
        }
        prop_assert_eq!(spent.parts.retries, Money::ZERO);

        // What was planned to be free is not taken off afterwards.
        let pending = schedule(&plan, "sha256:00", &assumptions(pending_ms.min(boot_ms)));
        let planned = cost(&plan, &pending).expect("it can be counted");
        let spent = self::spent(&plan, &follow(&plan, &pending)).expect("it can be counted");
        prop_assert!(spent.cost.bill.total() >= planned.bill.total());
    }

    #[test]
    fn the_parts_add_up_to_the_total(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let made = schedule(&plan, "sha256:00", &Assumptions::default());
        let mut report = follow(&plan, &made);
        spoil(&mut report, &mut Random(!seed));
        let spent = spent(&plan, &report).expect("it can be counted");
        let total = spent.cost.bill.total();
        prop_assert_eq!(spent.parts.total(), Some(total));
        prop_assert_eq!(totals(&spent.by_region), Some(total));
        prop_assert_eq!(totals(&spent.by_type), Some(total));
        prop_assert_eq!(spent.by_life.len(), report.lives.len());
        let by_life = spent.by_life.iter().map(|cost| cost.bill.total());
        prop_assert_eq!(Money::checked_sum(by_life), Some(total));
        if let Some(bill) = spent.bill_report(ExpectedBill::default()) {
            prop_assert_eq!(Money::checked_sum(bill.by_life.into_values()), Some(total));
            prop_assert_eq!(Money::checked_sum(bill.by_region.into_values()), Some(total));
        }
        let ran = [spent.parts.tests, spent.parts.setup, spent.parts.retries];
        let by_test = Money::checked_sum(spent.by_test.values().copied());
        prop_assert_eq!(by_test, Money::checked_sum(ran));
        let unpriced: u32 = spent.by_region.values().map(Cost::unpriced_lives).sum();
        prop_assert_eq!(unpriced, spent.cost.unpriced_lives());
    }
}
