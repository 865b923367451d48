//! Small plans whose schedules are known to the millisecond.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{
    Disk, DiskIx, Effect, Pair, Policy, Resource, ShapeIx, State, StateIx, TestIx,
};
use dva_plan::schedule::PlannedLife;
use dva_plan::step::{SourceText, Step, StepKind};
use dva_schedule::{Assumptions, Rule, check, schedule, schedule_isolated, summarize};

use crate::generate::{single, test};

const DIGEST: &str = "sha256:00";
const ASSUMPTIONS: Assumptions = Assumptions {
    boot_ms: 100,
    pending_ms: 0,
    default_takes_ms: 7,
};

/// Start and lane of each test by its id, and the makespan.
fn times(plan: &ExecutionPlan) -> (BTreeMap<&str, (u64, u32)>, u64) {
    let made = schedule(plan, DIGEST, &ASSUMPTIONS);
    assert_eq!(check(plan, DIGEST, &made), vec![]);
    let times = made
        .lives
        .iter()
        .flat_map(|life| &life.executions)
        .map(|execution| {
            let at = (execution.start_ms, execution.lane);
            (plan.tests[execution.test].id.as_str(), at)
        })
        .collect();
    (times, made.makespan_ms)
}

#[test]
fn the_arms_of_a_diamond_do_not_wait_for_each_other() {
    // top ─ left ─ left_end ─ bottom, and top ─ right ─────── bottom: levels would hold left_end
    // back until right has ended.
    let tests = vec![
        test("top", Some(10)),
        test("left", Some(5)),
        test("right", Some(40)),
        test("left_end", Some(20)),
        test("bottom", Some(3)),
    ];
    let plan = single(tests, &[(1, 0), (2, 0), (3, 1), (4, 2), (4, 3)], &[]);
    let expected = BTreeMap::from([
        ("top", (100, 0)),
        ("right", (110, 0)),
        ("left", (110, 1)),
        ("left_end", (115, 1)),
        ("bottom", (150, 0)),
    ]);
    assert_eq!(times(&plan), (expected, 153));
}

#[test]
fn a_test_after_two_of_different_depth_starts_when_the_later_one_ends() {
    let tests = vec![
        test("first", Some(4)),
        test("second", Some(4)),
        test("third", Some(4)),
        test("alone", Some(9)),
        test("joined", Some(1)),
        test("after_alone", Some(2)),
    ];
    let mut plan = single(tests, &[(1, 0), (2, 1), (4, 2), (4, 3), (5, 3)], &[]);
    plan.policy = Policy {
        lanes: 4,
        ..Policy::default()
    };
    let expected = BTreeMap::from([
        ("first", (100, 0)),
        ("alone", (100, 1)),
        ("second", (104, 0)),
        ("third", (108, 0)),
        ("after_alone", (109, 1)),
        ("joined", (112, 0)),
    ]);
    assert_eq!(times(&plan), (expected, 113));
}

#[test]
fn the_longest_remaining_chain_goes_first() {
    let tests = vec![
        test("long", Some(6)),
        test("head", Some(1)),
        test("tail", Some(9)),
        test("unknown", None),
    ];
    let mut plan = single(tests, &[(2, 1)], &[]);
    plan.policy = Policy {
        lanes: 1,
        ..Policy::default()
    };
    let expected = BTreeMap::from([
        ("head", (100, 0)),
        ("tail", (101, 0)),
        ("unknown", (110, 0)),
        ("long", (117, 0)),
    ]);
    assert_eq!(times(&plan), (expected, 123));
    assert_eq!(schedule(&plan, DIGEST, &ASSUMPTIONS).defaulted_durations, 1);
}

#[test]
fn an_edge_of_order_holds_a_writer_back() {
    let data = Resource::Disk(DiskIx(0));
    let mut tests = vec![test("format", Some(50)), test("is_blank", Some(10))];
    tests[0].effects = vec![Effect::writes(data)];
    tests[1].effects = vec![Effect::reads(data)];
    let mut plan = single(tests, &[], &[(0, 1)]);
    plan.disks.push(Disk {
        name: "data".to_owned(),
        from: dva_plan::plan::DiskOrigin::Volume,
        size_bytes: 1 << 30,
        attached: true,
    });
    let expected = BTreeMap::from([("is_blank", (100, 0)), ("format", (110, 0))]);
    assert_eq!(times(&plan), (expected, 160));

    // Without the edge the plan is wrong, and the checker finds that by the effects alone.
    plan.shapes[ShapeIx(0)].order.clear();
    let made = schedule(&plan, DIGEST, &ASSUMPTIONS);
    let violations = check(&plan, DIGEST, &made);
    assert_eq!(violations.len(), 1);
    assert_eq!(violations[0].rule, Rule::AsShipped);
    assert_eq!(
        violations[0].to_string(),
        "as-shipped: life 0: `is_blank` runs until 110 ms, and `format`, which it is not after, \
         writes disk `data` from 100 ms"
    );
}

/// A list on three lanes ends later here than one on two: whatever is ready is started, and what is
/// started too eagerly is in the way of the longer chain.
#[test]
fn a_lane_that_delays_the_end_is_left_out() {
    let takes = [3, 1, 2, 3, 3, 3, 3, 3, 3];
    let tests = takes.iter().enumerate();
    let tests = tests.map(|(row, takes_ms)| test(&format!("t{row}"), Some(*takes_ms)));
    let after = [
        (3, 0),
        (4, 0),
        (5, 2),
        (5, 3),
        (5, 4),
        (6, 1),
        (6, 4),
        (6, 5),
        (7, 1),
    ];
    let mut plan = single(tests.collect(), &after, &[]);
    plan.policy = Policy {
        lanes: 2,
        ..Policy::default()
    };
    let on_two = schedule(&plan, DIGEST, &ASSUMPTIONS);
    plan.policy = Policy {
        lanes: 3,
        ..Policy::default()
    };
    let on_three = schedule(&plan, DIGEST, &ASSUMPTIONS);
    assert_eq!(on_two.makespan_ms, 112);
    assert_eq!(on_three.makespan_ms, 112);
}

#[test]
fn times_at_the_end_of_all_numbers_are_no_trouble() {
    let tests = vec![
        test("eternal", Some(u64::MAX)),
        test("then", Some(5)),
        test("beside", Some(u64::MAX)),
    ];
    let plan = single(tests, &[(1, 0)], &[]);
    let (_, makespan_ms) = times(&plan);
    assert_eq!(makespan_ms, u64::MAX);
    let made = schedule(&plan, DIGEST, &ASSUMPTIONS);
    assert_eq!(summarize(&plan, &made).makespan_lower_bound_ms, u64::MAX);
}

#[test]
fn isolated_tests_share_a_life_only_with_what_they_are_after() {
    let tests = ["a", "b", "c", "d"].map(|id| test(id, Some(10))).to_vec();
    // Order binds on one life only, so it joins nothing.
    let plan = single(tests, &[(2, 0)], &[(3, 1)]);
    let made = schedule_isolated(&plan, DIGEST, &ASSUMPTIONS);
    let lives = made.lives.iter().map(|life| {
        let tests = life.executions.iter().map(|execution| execution.test.0);
        tests.collect::<Vec<_>>()
    });
    assert_eq!(lives.collect::<Vec<_>>(), [vec![0, 2], vec![1], vec![3]]);
}

fn reboot() -> Step {
    Step {
        kind: StepKind::Reboot,
        within_ms: None,
        source: SourceText::default(),
    }
}

/// The lives of `plan`: the tests of each with their starts, setups in brackets.
fn lives(plan: &ExecutionPlan) -> Vec<Vec<String>> {
    let made = schedule(plan, DIGEST, &ASSUMPTIONS);
    assert_eq!(check(plan, DIGEST, &made), vec![]);
    let executions = |life: &PlannedLife| {
        let executions = life.executions.iter().map(|execution| {
            let at = format!("{} {}", plan.tests[execution.test].id, execution.start_ms);
            if execution.setup {
                format!("({at})")
            } else {
                at
            }
        });
        executions.collect()
    };
    made.lives.iter().map(executions).collect()
}

#[test]
fn what_conflicts_after_one_preparation_is_prepared_twice() {
    let tests = ["format", "grow", "shrink", "look"].map(|id| test(id, Some(10)));
    let mut plan = single(tests.to_vec(), &[(1, 0), (2, 0), (3, 2)], &[]);
    plan.shapes[ShapeIx(0)].conflicts = vec![Pair::of(TestIx(1), TestIx(2))];
    let expected = [
        vec!["format 100", "shrink 110", "look 120"],
        vec!["(format 100)", "grow 110"],
    ];
    assert_eq!(lives(&plan), expected);
    let summary = summarize(&plan, &schedule(&plan, DIGEST, &ASSUMPTIONS));
    assert_eq!((summary.test_runs, summary.setup_executions), (4, 1));
    assert_eq!(summary.busy_ms, 50);
}

#[test]
fn a_last_test_ends_every_life_and_counts_once() {
    let mut tests = ["a", "b", "denials"].map(|id| test(id, Some(10))).to_vec();
    tests[2].last = true;
    let mut plan = single(tests, &[], &[]);
    assert_eq!(lives(&plan), [["a 100", "b 100", "denials 110"]]);
    plan.shapes[ShapeIx(0)].conflicts = vec![Pair::of(TestIx(0), TestIx(1))];
    let expected = [["a 100", "denials 110"], ["b 100", "denials 110"]];
    assert_eq!(lives(&plan), expected);
    let summary = summarize(&plan, &schedule(&plan, DIGEST, &ASSUMPTIONS));
    assert_eq!((summary.test_runs, summary.setup_executions), (3, 0));
}

#[test]
fn a_reboot_has_the_machine_to_itself_and_nothing_goes_past_it() {
    // Three lanes would have room for `short` beside it; and whatever starts before it delays it.
    let mut tests = vec![
        test("long", Some(30)),
        test("reboots", Some(5)),
        test("behind", Some(20)),
        test("short", Some(1)),
    ];
    tests[1].steps.push(reboot());
    let mut plan = single(tests, &[(2, 1)], &[]);
    plan.policy = Policy {
        lanes: 3,
        ..Policy::default()
    };
    assert_eq!(
        lives(&plan),
        [["reboots 100", "long 105", "behind 105", "short 105"]]
    );
    let summary = summarize(&plan, &schedule(&plan, DIGEST, &ASSUMPTIONS));
    assert_eq!(summary.makespan_ms, 135);
}

#[test]
fn a_borrower_is_alone_on_what_it_borrows_and_nowhere_else() {
    let state = Resource::State(StateIx(0));
    let mut tests = ["borrows", "reads", "other"]
        .map(|id| test(id, Some(10)))
        .to_vec();
    tests[0].effects = vec![Effect::borrows(state)];
    tests[1].effects = vec![Effect::reads(state)];
    let mut plan = single(tests, &[], &[]);
    plan.states.push(State {
        name: "mode".to_owned(),
        lost_on_reboot: false,
        per_account: None,
    });
    plan.policy = Policy {
        lanes: 3,
        ..Policy::default()
    };
    assert_eq!(lives(&plan), [["borrows 100", "other 100", "reads 110"]]);
}

#[test]
fn fresh_tests_go_first_and_dirty_ones_last() {
    let mut tests = ["dirty", "writes", "fresh", "behind"].map(|id| test(id, Some(10)));
    tests[0].effects = vec![Effect::writes(Resource::Machine)];
    tests[1].effects = vec![Effect::writes(Resource::State(StateIx(0)))];
    tests[2].effects = vec![Effect::reads(Resource::Machine)];
    let mut plan = single(tests.to_vec(), &[(3, 0)], &[]);
    plan.states.push(State {
        name: "mode".to_owned(),
        lost_on_reboot: false,
        per_account: None,
    });
    assert_eq!(
        lives(&plan),
        [["fresh 100", "writes 110", "dirty 120", "behind 130"]]
    );
}

#[test]
fn orders_that_contradict_each_other_need_two_lives() {
    let tests = ["a", "b"].map(|id| test(id, Some(10))).to_vec();
    let plan = single(tests, &[], &[(0, 1), (1, 0)]);
    assert_eq!(lives(&plan), [["a 100"], ["b 100"]]);
}

#[test]
fn what_runs_once_keeps_its_dependents_together() {
    let mut tests = ["once", "a", "b", "c"]
        .map(|id| test(id, Some(10)))
        .to_vec();
    tests[0].once = true;
    let mut plan = single(tests, &[(1, 0), (2, 0)], &[]);
    plan.shapes[ShapeIx(0)].conflicts = vec![Pair::of(TestIx(1), TestIx(3))];
    let expected = [vec!["once 100", "a 110", "b 110"], vec!["c 100"]];
    assert_eq!(lives(&plan), expected);
}

#[test]
fn a_summary_counts() {
    let tests = vec![
        test("a", Some(10)),
        test("b", Some(20)),
        test("c", Some(30)),
        test("d", None),
    ];
    let plan = single(tests, &[(2, 0)], &[]);
    let summary = summarize(&plan, &schedule(&plan, DIGEST, &ASSUMPTIONS));
    assert_eq!(summary.peak_lanes, 2);
    assert_eq!(summary.busy_ms, 67);
    assert_eq!(summary.makespan_ms, 140);
    assert_eq!(summary.makespan_lower_bound_ms, 140);
    assert_eq!(summary.defaulted_durations, 1);
    assert_eq!(
        summary.machines_by_type,
        BTreeMap::from([("local.small".to_owned(), 1)])
    );
}
