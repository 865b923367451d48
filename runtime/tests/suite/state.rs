//! The fold refuses what cannot be.

use std::sync::Arc;

use dva_plan::exit::ExitCode;
use dva_plan::plan::TestIx;
use dva_plan::schedule::LifeIx;
use dva_plan::{FailureClass, RunId};
use dva_runtime::event::{Ending, LifeTrouble, StopCause, Stopping};
use dva_runtime::state::IllegalKind;
use dva_runtime::{Event, Record, RunState, SimScript, report};

use crate::fixture::{PlanBuilder, schedule_of, simulate};

const LIFE: LifeIx = LifeIx(0);
const A: TestIx = TestIx(0);
const B: TestIx = TestIx(1);
const C: TestIx = TestIx(2);
const D: TestIx = TestIx(3);

/// `b` after `a`, `d` in order after `c`, two lanes.
fn plan() -> dva_plan::document::Loaded<dva_plan::ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    plan.lanes(2);
    let a = plan.test("a", 1, &[]);
    plan.test("b", 1, &[a]);
    let c = plan.test("c", 1, &[]);
    let d = plan.test("d", 1, &[]);
    plan.order(d, c);
    plan.build()
}

fn empty() -> RunState {
    let plan = plan();
    let schedule = schedule_of(&plan, &SimScript::default());
    RunState::new(Arc::new(plan.body), Arc::new(schedule))
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

fn launching() -> Event {
    Event::LifeLaunching {
        life: LIFE,
        token: "token".into(),
        within_ms: None,
    }
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

fn failed() -> Event {
    Event::LifeFailed {
        life: LIFE,
        trouble: LifeTrouble::Class(FailureClass::SshLost),
        message: "lost".into(),
    }
}

fn stopping(how: Stopping) -> Event {
    Event::Stopping {
        how,
        why: StopCause::Asked,
    }
}

/// The state once the life is ready.
fn ready() -> RunState {
    let mut state = empty();
    let machine = state.plan().machines.iter().next().unwrap().clone();
    for event in [
        started(),
        launching(),
        Event::LifeAcquired {
            life: LIFE,
            id: "m".into(),
            machine: Box::new(machine),
        },
        Event::LifeReady { life: LIFE },
    ] {
        apply(&mut state, event).unwrap();
    }
    state
}

fn apply(state: &mut RunState, event: Event) -> Result<(), IllegalKind> {
    let at_ms = state.now_ms();
    state
        .apply(&Record { at_ms, event })
        .map_err(|illegal| illegal.kind)
}

/// Applies all but the last event, which must be refused, and must change nothing.
fn refused(mut state: RunState, events: &[Event]) -> IllegalKind {
    let (last, before) = events.split_last().unwrap();
    for event in before {
        apply(&mut state, event.clone()).unwrap();
    }
    let report_before = report::report(&state);
    let kind = apply(&mut state, last.clone()).unwrap_err();
    assert_eq!(report::report(&state), report_before);
    kind
}

#[test]
fn illegal_events_are_refused() {
    use IllegalKind as Kind;
    let given_up = || Event::TestsGivenUp { life: LIFE };
    let releasing = || Event::LifeReleasing { life: LIFE };
    let gone = || Event::LifeEnded { life: LIFE };
    let exit = |exit| Event::RunEnded { exit };
    let passed = Ending::Passed;
    let cases = [
        (empty(), vec![launching()], Kind::NotStarted),
        (empty(), vec![started(), started()], Kind::StartedTwice),
        (
            empty(),
            vec![started(), Event::LifeReady { life: LifeIx(9) }],
            Kind::UnknownLife,
        ),
        (ready(), vec![end(A, passed)], Kind::NotRunning),
        (ready(), vec![start(TestIx(9), 0)], Kind::UnknownTest),
        (ready(), vec![start(B, 0)], Kind::NotPassed),
        (ready(), vec![start(A, 0), start(B, 1)], Kind::NotPassed),
        (
            ready(),
            vec![
                start(A, 0),
                end(A, Ending::Failed(FailureClass::Check)),
                start(B, 0),
            ],
            Kind::NotWaiting,
        ),
        (ready(), vec![start(D, 0)], Kind::NotOver),
        (ready(), vec![start(A, 2)], Kind::NoLane),
        (ready(), vec![start(A, 0), start(C, 0)], Kind::NoLane),
        (ready(), vec![start(A, 0), start(A, 1)], Kind::NotWaiting),
        (
            ready(),
            vec![start(A, 0), end(A, passed), end(A, passed)],
            Kind::NotRunning,
        ),
        (
            ready(),
            vec![start(A, 0), end(A, passed), start(A, 0)],
            Kind::NotWaiting,
        ),
        (ready(), vec![failed(), failed()], Kind::FailedTwice),
        (ready(), vec![failed(), start(A, 0)], Kind::Failed),
        (ready(), vec![releasing()], Kind::Unfinished),
        (
            ready(),
            vec![start(A, 0), failed(), releasing()],
            Kind::StillRunning,
        ),
        (
            ready(),
            vec![stopping(Stopping::Finish), start(A, 0)],
            Kind::Stopping,
        ),
        (
            ready(),
            vec![stopping(Stopping::Now), stopping(Stopping::Finish)],
            Kind::Stopping,
        ),
        (
            empty(),
            vec![started(), stopping(Stopping::Now), launching()],
            Kind::Stopping,
        ),
        (ready(), vec![exit(ExitCode::Ok)], Kind::Unfinished),
        (
            ready(),
            vec![
                failed(),
                given_up(),
                releasing(),
                gone(),
                exit(ExitCode::Ok),
            ],
            Kind::WrongExit,
        ),
        (
            ready(),
            vec![
                failed(),
                given_up(),
                releasing(),
                gone(),
                exit(ExitCode::Infrastructure),
                gone(),
            ],
            Kind::AfterTheEnd,
        ),
        (
            ready(),
            vec![Event::ProcessesLeft {
                life: LIFE,
                test: A,
                names: vec![],
            }],
            Kind::Phase(dva_runtime::state::LifePhase::Ready),
        ),
    ];
    for (state, events, kind) in cases {
        let last = events.last().cloned();
        assert_eq!(refused(state, &events), kind, "{last:?}");
    }
}

#[test]
fn time_does_not_go_back() {
    let mut state = empty();
    state
        .apply(&Record {
            at_ms: 5,
            event: started(),
        })
        .unwrap();
    let illegal = state
        .apply(&Record {
            at_ms: 4,
            event: launching(),
        })
        .unwrap_err();
    assert_eq!(illegal.kind, IllegalKind::BackInTime);
}

#[test]
fn two_lives_cannot_judge_one_test_run_twice() {
    let plan = plan();
    let mut schedule = schedule_of(&plan, &SimScript::default());
    let again = schedule.lives.iter().next().unwrap().clone();
    schedule.lives.push(again);
    let mut state = RunState::new(Arc::new(plan.body), Arc::new(schedule));
    let machine = state.plan().machines.iter().next().unwrap().clone();
    apply(&mut state, started()).unwrap();
    for life in [LifeIx(0), LifeIx(1)] {
        for event in [
            Event::LifeLaunching {
                life,
                token: String::new(),
                within_ms: None,
            },
            Event::LifeAcquired {
                life,
                id: String::new(),
                machine: Box::new(machine.clone()),
            },
            Event::LifeReady { life },
            Event::ExecutionStarted {
                life,
                test: A,
                lane: 0,
            },
        ] {
            apply(&mut state, event).unwrap();
        }
    }
    apply(&mut state, end(A, Ending::Passed)).unwrap();
    let second = Event::ExecutionEnded {
        life: LifeIx(1),
        test: A,
        ending: Ending::Passed,
        message: String::new(),
        steps: Vec::new(),
    };
    assert_eq!(apply(&mut state, second), Err(IllegalKind::SecondVerdict));
}

/// A controller may die after any event: the report still has every test run, and says that machines
/// may be left.
#[tokio::test(start_paused = true)]
async fn a_journal_cut_anywhere_gives_a_report() {
    let plan = plan();
    let ran = simulate(&plan, "[[test]]\ntest = 'a'\nexit = 1\n").await;
    for cut in 1..ran.records.len() {
        let mut state = RunState::new(Arc::clone(&ran.plan), Arc::new(ran.schedule.clone()));
        for record in &ran.records[..cut] {
            state.apply(record).unwrap();
        }
        let report = report::report(&state).unwrap();
        assert_eq!(report.test_runs.len(), 4);
        let launched = cut > 1;
        let released = cut == ran.records.len() - 1;
        let exit = match (launched, released) {
            (true, false) => ExitCode::MachinesLeft,
            (false, _) => ExitCode::Interrupted,
            (true, true) => ExitCode::TestsFailed,
        };
        assert_eq!(report.exit, exit, "{cut}");
    }
}

/// The test itself has passed on its own life; here it was only to prepare, and could not.
#[test]
fn a_setup_that_fails_where_its_test_has_passed_is_an_error_of_its_dependents() {
    let plan = plan();
    let mut schedule = schedule_of(&plan, &SimScript::default());
    let mut second = schedule.lives.iter().next().unwrap().clone();
    second
        .executions
        .retain(|planned| [A, B].contains(&planned.test));
    second.executions[0].setup = true;
    let mut lives: Vec<_> = schedule.lives.iter().cloned().collect();
    lives[0].executions.retain(|planned| planned.test != B);
    lives.push(second);
    schedule.lives = lives.into();
    let mut state = RunState::new(Arc::new(plan.body), Arc::new(schedule));
    let machine = state.plan().machines.iter().next().unwrap().clone();
    apply(&mut state, started()).unwrap();
    let failed = Ending::Failed(FailureClass::Expect);
    for (life, ending) in [(LifeIx(0), Ending::Passed), (LifeIx(1), failed)] {
        for event in [
            Event::LifeLaunching {
                life,
                token: String::new(),
                within_ms: None,
            },
            Event::LifeAcquired {
                life,
                id: String::new(),
                machine: Box::new(machine.clone()),
            },
            Event::LifeReady { life },
            Event::ExecutionStarted {
                life,
                test: A,
                lane: 0,
            },
            Event::ExecutionEnded {
                life,
                test: A,
                ending,
                message: "It broke.".into(),
                steps: Vec::new(),
            },
        ] {
            apply(&mut state, event).unwrap();
        }
    }
    let cell = dva_plan::plan::CellIx(0);
    let of = |test| state.judgement(cell, test).unwrap();
    assert_eq!(of(A).verdict.to_string(), "passed");
    assert_eq!(of(B).verdict.to_string(), "errored (setup)");
    assert_eq!(
        of(B).message,
        "a was run here as its setup and did not pass: It broke."
    );
}
