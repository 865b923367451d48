//! Several lives of a cell, and what tests on one life demand of each other.

use std::sync::Arc;

use dva_plan::exit::ExitCode;
use dva_plan::plan::{Effect, Resource, TestIx};
use dva_plan::schedule::LifeIx;
use dva_plan::step::StepKind;
use dva_plan::{FailureClass, RunId};
use dva_runtime::event::{Ending, LifeTrouble};
use dva_runtime::state::IllegalKind;
use dva_runtime::{Event, Record, RunFolder, RunState, SimBackend, SimScript, junit};

use crate::fixture::{PlanBuilder, map, options, run_on, schedule_of, simulate, simulate_with};

/// `grow` and `shrink` need the same preparation and cannot share a life; `look` ends every life.
fn two_lives() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    let format = plan.test("format", 1, &[]);
    let grow = plan.test("grow", 1, &[format]);
    let shrink = plan.test("shrink", 1, &[format]);
    let look = plan.test("look", 1, &[]);
    plan.edit(look).last = true;
    plan.conflict(grow, shrink);
    plan
}

#[tokio::test(start_paused = true)]
async fn what_conflicts_runs_on_two_lives_that_are_both_prepared() {
    let ran = simulate(&two_lives().build(), "").await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    assert_eq!(
        ran.lives(),
        [["format", "grow", "look"], ["(format)", "shrink", "look"]]
    );
    // Both machines start at once, so that costs no time.
    assert_eq!(ran.report().duration_ms, 33_000);
    let setups = ran.test("format").executions.iter();
    let setups: Vec<_> = setups.map(|execution| execution.setup).collect();
    assert_eq!(setups, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_fails_is_an_error_of_its_dependents_alone() {
    let script = "[[test]]\ntest = 'format'\nlife = 1\nexit = 1\n";
    let ran = simulate(&two_lives().build(), script).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("format", "passed"),
            ("grow", "passed"),
            ("shrink", "errored (setup)"),
            ("look", "passed"),
        ])
    );
    assert_eq!(ran.report().exit, ExitCode::Infrastructure);
    assert!(
        ran.test("shrink")
            .message
            .starts_with("format was run here as its setup")
    );
    // It failed, and the look at what was left of the life was taken all the same.
    assert_eq!(ran.test("look").executions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_last_test_has_its_worst_verdict() {
    for life in [0, 1] {
        let script = format!("[[test]]\ntest = 'look'\nlife = {life}\nexit = 1\n");
        let ran = simulate(&two_lives().build(), &script).await;
        let look = ran.test("look");
        assert_eq!(look.verdict.to_string(), "failed (expect)");
        assert_eq!(look.executions.len(), 2);
        let xml = junit::junit(ran.report()).unwrap();
        assert_eq!(xml.matches("exit status 1").count(), 1, "{xml}");
    }
    let script = "[[life]]\nlife = 1\nfault = 'capacity'\n";
    let ran = simulate(&two_lives().build(), script).await;
    let verdicts = [
        ("format", "passed"),
        ("grow", "passed"),
        ("shrink", "blocked (capacity)"),
        ("look", "blocked (capacity)"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
}

#[tokio::test(start_paused = true)]
async fn a_last_test_comes_after_tests_that_fail_and_those_they_block() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 5, &[]);
    plan.test("b", 1, &[a]);
    plan.test("c", 9, &[]);
    let last = plan.test("last", 1, &[]);
    plan.edit(last).last = true;
    let ran = simulate(&plan.build(), "[[test]]\ntest = 'a'\nexit = 1\n").await;
    let verdicts = [
        ("a", "failed (expect)"),
        ("b", "blocked by a"),
        ("c", "passed"),
        ("last", "passed"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
    assert_eq!(ran.times("last"), (39_000, 40_000));
}

#[tokio::test(start_paused = true)]
async fn files_of_several_executions_do_not_meet() {
    let home = tempfile::tempdir().unwrap();
    let plan = two_lives().build();
    let schedule = schedule_of(&plan, &SimScript::default());
    let mut options = options();
    let folder = RunFolder::create(home.path(), &options.run, b"", &schedule).unwrap();
    options.folder = Some(folder);
    let script = "[[test]]\ntest = 'look'\nlife = 0\nstdout = 'zero'\n\
                  [[test]]\ntest = 'look'\nlife = 1\nstdout = 'one'\n\
                  [[test]]\ntest = 'format'\nlife = 1\nstdout = 'again'\n";
    let ran = simulate_with(&plan, script, options).await;
    let path = |test: &str, execution: usize| {
        let steps = &ran.test(test).executions[execution].steps;
        steps[0].stdout.as_ref().unwrap().path.clone().unwrap()
    };
    assert!(path("look", 0).ends_with("/look.life-0.out"));
    assert!(path("look", 1).ends_with("/look.life-1.out"));
    assert!(path("format", 1).ends_with("/format.setup-1.out"));
}

#[tokio::test(start_paused = true)]
async fn regardless_keeps_the_order_and_nothing_else() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 5, &[]);
    let b = plan.test("b", 5, &[a]);
    let after_failed = plan.test("after_failed", 1, &[]);
    let after_blocked = plan.test("after_blocked", 1, &[]);
    plan.regardless(after_failed, a);
    plan.regardless(after_blocked, b);
    let plan = plan.build();
    let ran = simulate(&plan, "").await;
    assert_eq!(ran.times("after_failed"), (35_000, 36_000));
    assert_eq!(ran.times("after_blocked"), (40_000, 41_000));
    let ran = simulate(&plan, "[[test]]\ntest = 'a'\nexit = 1\n").await;
    let verdicts = [
        ("a", "failed (expect)"),
        ("b", "blocked by a"),
        ("after_failed", "passed"),
        ("after_blocked", "passed"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
    assert_eq!(ran.times("after_blocked"), (35_000, 36_000));
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_fails_stops_nothing_that_is_after_it_regardless() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 1, &[]);
    let b = plan.test("b", 1, &[]);
    let c = plan.test("c", 1, &[]);
    plan.regardless(b, a);
    plan.regardless(c, a);
    plan.conflict(b, c);
    let ran = simulate(&plan.build(), "[[test]]\ntest = 'a'\nlife = 1\nexit = 1\n").await;
    assert_eq!(ran.lives(), [["a", "b"], ["(a)", "c"]]);
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn isolated_tests_are_prepared_apart_as_well() {
    let plan = two_lives().build();
    let schedule = dva_schedule::schedule_isolated(
        &plan.body,
        &plan.header.digest,
        &dva_schedule::Assumptions::default(),
    );
    let script = SimScript::default();
    let (backend, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
    let ran = run_on(&plan, schedule, backend, machines, options()).await;
    assert_eq!(
        ran.lives(),
        [["format", "grow", "look"], ["(format)", "shrink", "look"]]
    );
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn borrowers_and_reboots_exclude_others_only_while_they_run() {
    let mut plan = PlanBuilder::new();
    let state = plan.state("mode");
    let borrows = plan.test("borrows", 10, &[]);
    let reads = plan.test("reads", 5, &[]);
    let reboots = plan.test("reboots", 2, &[]);
    plan.test("long", 30, &[]);
    plan.test("other", 3, &[reboots]);
    plan.effect(borrows, Effect::borrows(state));
    plan.effect(reads, Effect::reads(state));
    let reboot = plan.step(StepKind::Reboot, None);
    plan.edit(reboots).steps.push(reboot);
    let ran = simulate(&plan.build(), "").await;
    // Nothing else runs while the machine reboots.
    assert_eq!(ran.times("reboots"), (30_000, 32_000));
    assert_eq!(ran.times("long"), (32_000, 62_000));
    // Next in line is the one that reads, which waits for the one that borrows; nothing else waits.
    let (borrows, reads) = (ran.times("borrows"), ran.times("reads"));
    assert_eq!(borrows.1 - borrows.0, 10_000);
    assert_eq!(reads.1 - reads.0, 5_000);
    assert_eq!(borrows.0.min(reads.0), 32_000);
    assert_eq!(borrows.0.max(reads.0), borrows.1.min(reads.1));
    assert_eq!(ran.times("other"), (32_000, 35_000));
}

#[tokio::test(start_paused = true)]
async fn fresh_first_dirty_last() {
    let mut plan = PlanBuilder::new();
    let dirty = plan.test("dirty", 1, &[]);
    plan.test("plain", 20, &[]);
    let fresh = plan.test("fresh", 10, &[]);
    let writes = plan.test("writes", 1, &[]);
    plan.test("behind", 1, &[dirty]);
    plan.effect(dirty, Effect::writes(Resource::Machine));
    plan.effect(fresh, Effect::reads(Resource::Machine));
    let state = plan.state("mode");
    plan.effect(writes, Effect::writes(state));
    let plan = plan.build();
    // Failures change nothing of that.
    for script in ["", "[[test]]\ntest = 'fresh'\nexit = 1\n"] {
        let ran = simulate(&plan, script).await;
        assert_eq!(ran.times("fresh").0, 30_000);
        assert_eq!(ran.times("writes"), (40_000, 41_000));
        assert_eq!(ran.times("dirty"), (50_000, 51_000));
        assert_eq!(ran.times("behind"), (51_000, 52_000));
    }
}

#[tokio::test(start_paused = true)]
async fn a_life_that_has_nothing_left_to_judge_is_not_launched() {
    let mut plan = two_lives();
    plan.edit(TestIx(2)).needs = vec![dva_plan::plan::Capability::Reboot];
    let plan = plan.build();
    let skip = |test: TestIx| Event::TestSkipped {
        cell: dva_plan::plan::CellIx(0),
        test,
        reason: dva_plan::verdict::SkipReason::Unsupported,
        message: String::new(),
    };
    let schedule = schedule_of(&plan, &SimScript::default());
    let mut state = RunState::new(Arc::new(plan.body), Arc::new(schedule));
    apply(&mut state, started()).unwrap();
    apply(&mut state, skip(TestIx(2))).unwrap();
    assert!(state.is_wanted(LifeIx(0)));
    assert!(!state.is_wanted(LifeIx(1)));
    // The last test looks at the life that is left, even when it is all alone there.
    for test in [TestIx(1), TestIx(0)] {
        apply(&mut state, skip(test)).unwrap();
    }
    assert!(state.is_wanted(LifeIx(0)));
    apply(&mut state, skip(TestIx(3))).unwrap();
    assert!(!state.is_wanted(LifeIx(0)));
    assert!(state.is_over());
}

fn apply(state: &mut RunState, event: Event) -> Result<(), IllegalKind> {
    let at_ms = state.now_ms();
    let applied = state.apply(&Record { at_ms, event });
    applied.map_err(|illegal| illegal.kind)
}

fn started() -> Event {
    Event::RunStarted {
        run: RunId::new("run"),
        plan: "fixture".into(),
        plan_digest: "digest".into(),
        provider: "none".into(),
        started_unix_ms: 0,
    }
}

const LIFE: LifeIx = LifeIx(0);

/// A run of `plan` whose first life is ready.
fn ready(plan: PlanBuilder) -> RunState {
    let plan = plan.build();
    let schedule = schedule_of(&plan, &SimScript::default());
    let mut state = RunState::new(Arc::new(plan.body), Arc::new(schedule));
    let machine = state.plan().machines.iter().next().unwrap().clone();
    for event in [
        started(),
        Event::LifeLaunching {
            life: LIFE,
            token: String::new(),
            within_ms: None,
        },
        Event::LifeAcquired {
            life: LIFE,
            id: String::new(),
            machine: Box::new(machine),
        },
        Event::LifeReady { life: LIFE },
    ] {
        apply(&mut state, event).unwrap();
    }
    state
}

fn start(test: TestIx, lane: u32) -> Event {
    Event::ExecutionStarted {
        life: LIFE,
        test,
        lane,
    }
}

fn end(test: TestIx, ending: Ending) -> Event {
    Event::ExecutionEnded {
        life: LIFE,
        test,
        ending,
        message: String::new(),
        steps: Vec::new(),
    }
}

#[test]
fn the_fold_refuses_what_tests_forbid_each_other() {
    let mut plan = PlanBuilder::new();
    let state_of = plan.state("mode");
    let borrows = plan.test("borrows", 9, &[]);
    let reads = plan.test("reads", 1, &[]);
    let regardless = plan.test("regardless", 1, &[]);
    let last = plan.test("last", 1, &[]);
    plan.effect(borrows, Effect::borrows(state_of));
    plan.effect(reads, Effect::reads(state_of));
    plan.regardless(regardless, reads);
    plan.edit(last).last = true;
    let mut state = ready(plan);
    // One of the two at a time; the schedule begins with what another one waits for.
    assert_eq!(state.startable(LIFE), [(reads, 0)]);
    apply(&mut state, start(borrows, 0)).unwrap();
    let refused = [
        (reads, IllegalKind::NotAlone),
        (regardless, IllegalKind::NotOver),
        (last, IllegalKind::NotOver),
    ];
    for (test, kind) in refused {
        assert_eq!(apply(&mut state, start(test, 1)), Err(kind));
    }
    assert_eq!(state.startable(LIFE), []);
    apply(&mut state, end(borrows, Ending::Passed)).unwrap();
    apply(&mut state, start(reads, 0)).unwrap();
    let failed = Ending::Failed(FailureClass::Expect);
    apply(&mut state, end(reads, failed)).unwrap();
    assert_eq!(state.startable(LIFE), [(regardless, 0)]);
    assert_eq!(apply(&mut state, start(last, 1)), Err(IllegalKind::NotOver));
    apply(&mut state, start(regardless, 0)).unwrap();
    apply(&mut state, end(regardless, failed)).unwrap();
    assert_eq!(state.startable(LIFE), [(last, 0)]);
}

#[test]
fn a_last_test_is_open_until_the_last_life_has_said_what_it_is_there() {
    let mut state = ready(two_lives());
    let look = TestIx(3);
    let cell = dva_plan::plan::CellIx(0);
    for test in [TestIx(0), TestIx(1), look] {
        apply(&mut state, start(test, 0)).unwrap();
        apply(&mut state, end(test, Ending::Passed)).unwrap();
    }
    assert_eq!(state.judgement(cell, look), None);
    let launching = Event::LifeLaunching {
        life: LifeIx(1),
        token: String::new(),
        within_ms: None,
    };
    apply(&mut state, launching).unwrap();
    let trouble = Event::LifeFailed {
        life: LifeIx(1),
        trouble: LifeTrouble::Quota,
        message: "None.".into(),
    };
    apply(&mut state, trouble).unwrap();
    let judgement = state.judgement(cell, look).unwrap();
    assert_eq!(judgement.verdict.to_string(), "blocked (quota)");
    assert_eq!(state.judged().last(), Some(&(cell, look)));
}
