//! One larger machine for all tests of a cell, or a small one for most of them: whichever costs less.

use dva_plan::plan::{CellIx, Machine, MachineIx, Policy, TestIx};
use dva_plan::quote::OsClass;
use dva_schedule::{Options, Planned, check, optimize};

use crate::generate::{need_vcpus, quote, single, test};

/// A test of a minute on one of eight processors, and one that runs on any for `takes_ms`. A small machine is
/// an eighth of the price.
fn planned(takes_ms: u64) -> Planned {
    let tests = vec![test("any", Some(takes_ms)), test("wide", Some(60_000))];
    let mut plan = single(tests, &[], &[]);
    plan.policy = Policy {
        lanes: 1,
        ..Policy::default()
    };
    need_vcpus(&mut plan, TestIx(1), 8);
    let small = &mut plan.machines[MachineIx(0)];
    small.region = "eu-west-1".to_owned();
    small.quote = Some(quote(OsClass::Linux, 100_000_000));
    let large = Machine {
        r#type: "large".to_owned(),
        vcpus: 8,
        quote: Some(quote(OsClass::Linux, 800_000_000)),
        ..small.clone()
    };
    let large = plan.machines.push(large);
    plan.cells[CellIx(0)].candidates = vec![large, MachineIx(0)];
    let planned = optimize(&plan, "", &Options::default()).expect("nothing is limited");
    assert_eq!(check(&plan, "", &planned.schedule), vec![]);
    planned
}

fn machines(planned: &Planned) -> Vec<u32> {
    let lives = planned.schedule.lives.iter();
    let mut machines: Vec<u32> = lives.map(|life| life.machine.0).collect();
    machines.sort_unstable();
    machines
}

#[test]
fn a_second_boot_on_a_small_machine_is_cheaper_than_a_long_time_on_a_large_one() {
    let planned = planned(600_000);
    assert_eq!(machines(&planned), [0, 1]);
    // Both lives are certain, and so is nearly all that they cost.
    assert!(planned.certificate.ratio_permille() <= 1_150, "{planned:?}");
}

#[test]
fn a_short_time_on_a_large_machine_is_cheaper_than_a_second_boot() {
    assert_eq!(machines(&planned(2_000)), [1]);
}
