//! What an account may have: who waits, who goes elsewhere, and what would do.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::plan::{CellIx, ImageIx, Machine, MachineIx, Policy, ShapeIx};
use dva_plan::quote::OsClass;
use dva_schedule::{
    Goal, Infeasible, Options, Planned, QuotaClass, Quotas, Risk, Terms, check_terms, optimize,
};

use crate::generate::{cell, quote, single, test};

const DIGEST: &str = "sha256:00";
const MINUTE_MS: u64 = 60_000;

/// Six cells of a test of 90 seconds and 30 seconds of boot, each on two processors in one of two regions of
/// which the second costs a tenth more.
fn plan() -> ExecutionPlan {
    let mut plan = single(vec![test("t", Some(90_000))], &[], &[]);
    plan.policy = Policy {
        lanes: 1,
        ..Policy::default()
    };
    let near = &mut plan.machines[MachineIx(0)];
    near.region = "eu-west-1".to_owned();
    near.quote = Some(quote(OsClass::Linux, 100_000_000));
    let far = Machine {
        region: "us-east-1".to_owned(),
        quote: Some(quote(OsClass::Linux, 110_000_000)),
        ..near.clone()
    };
    let far = plan.machines.push(far);
    let cells = (0..6).map(|number| cell(number, ImageIx(0), ShapeIx(0), vec![MachineIx(0), far]));
    plan.cells = cells.collect();
    plan
}

fn quotas(near: u32, far: u32) -> Quotas {
    let of = |region: &str, most| ((region.to_owned(), QuotaClass::Standard), most);
    Quotas {
        vcpus: [of("eu-west-1", near), of("us-east-1", far)].into(),
        ..Quotas::default()
    }
}

fn planned(plan: &ExecutionPlan, quotas: Quotas, goal: Goal) -> Result<Planned, Infeasible> {
    let options = Options {
        goal,
        quotas: quotas.clone(),
        ..Options::default()
    };
    let planned = optimize(plan, DIGEST, &options)?;
    let terms = Terms {
        quotas,
        ..Terms::default()
    };
    assert_eq!(check_terms(plan, DIGEST, &planned.schedule, &terms), vec![]);
    Ok(planned)
}

fn within(minutes: u64) -> Goal {
    Goal::Deadline {
        within_ms: minutes * MINUTE_MS,
        risk: Risk::Expected,
    }
}

/// How many lives each region has.
fn lives(plan: &ExecutionPlan, planned: &Planned) -> BTreeMap<String, usize> {
    let mut lives = BTreeMap::new();
    for life in &planned.schedule.lives {
        let region = &plan.machines[life.machine].region;
        *lives.entry(region.clone()).or_default() += 1;
    }
    lives
}

fn regions(of: &[(&str, usize)]) -> BTreeMap<String, usize> {
    of.iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn without_hurry_all_wait_for_the_cheapest() {
    let plan = plan();
    let planned = planned(&plan, quotas(2, 64), Goal::LeastCost).expect("all can wait");
    assert_eq!(lives(&plan, &planned), regions(&[("eu-west-1", 6)]));
    assert_eq!(planned.schedule.makespan_ms, 12 * MINUTE_MS);
}

#[test]
fn in_a_hurry_as_few_as_can_go_elsewhere() {
    let plan = plan();
    for (minutes, near, far) in [(12, 6, 0), (8, 4, 2), (6, 3, 3), (4, 2, 4), (2, 1, 5)] {
        let planned = planned(&plan, quotas(2, 64), within(minutes)).expect("some go elsewhere");
        let mut expected = regions(&[("eu-west-1", near)]);
        if far > 0 {
            expected.insert("us-east-1".to_owned(), far);
        }
        assert_eq!(lives(&plan, &planned), expected, "{minutes} minutes");
        let certificate = &planned.certificate;
        let cells = certificate.cells.values().map(|cell| cell.cost);
        assert_eq!(Money::checked_sum(cells), Some(certificate.cost));
        assert!(certificate.lower_bound < certificate.cost || far == 0);
    }
}

#[test]
fn what_a_region_has_none_of_is_taken_from_another_one() {
    let plan = plan();
    let planned = planned(&plan, quotas(0, 4), Goal::LeastCost).expect("there is another region");
    assert_eq!(lives(&plan, &planned), regions(&[("us-east-1", 6)]));
    assert_eq!(planned.schedule.makespan_ms, 6 * MINUTE_MS);
}

#[test]
fn the_least_quotas_that_would_do_are_said() {
    let mut plan = plan();
    for cell in plan.cells.indices().collect::<Vec<CellIx>>() {
        plan.cells[cell].candidates.truncate(1);
    }
    // Two at once are done within six minutes, three within four.
    for (minutes, vcpus) in [(6, 4), (5, 6), (4, 6), (3, 12), (2, 12)] {
        let refused = planned(&plan, quotas(2, 2), within(minutes)).expect_err("it takes longer");
        let least = [(("eu-west-1".to_owned(), QuotaClass::Standard), vcpus)];
        assert_eq!(refused.least_vcpus, least.into(), "{minutes} minutes");
        assert!(planned(&plan, quotas(vcpus, 0), within(minutes)).is_ok());
        assert!(planned(&plan, quotas(vcpus - 1, 0), within(minutes)).is_err());
    }
}

#[test]
fn a_budget_buys_time_elsewhere() {
    let plan = plan();
    let cheapest = planned(&plan, quotas(2, 64), Goal::LeastCost).expect("all can wait");
    let least = cheapest.certificate.cost;
    let more = Money::from_nano_usd(least.nano_usd() * 104 / 100);
    let sooner = planned(&plan, quotas(2, 64), Goal::Budget { most: more }).expect("it is more");
    assert!(sooner.schedule.makespan_ms < cheapest.schedule.makespan_ms);
    assert!(sooner.certificate.cost <= more);
    let same = planned(&plan, quotas(2, 64), Goal::Budget { most: least }).expect("it is enough");
    assert_eq!(same.schedule.makespan_ms, cheapest.schedule.makespan_ms);
}
