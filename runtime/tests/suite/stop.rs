//! Stopping a run.

use std::time::Duration;

use dva_plan::Verdict;
use dva_plan::exit::ExitCode;
use dva_plan::report::StepOutcome;
use dva_runtime::{Event, RunOptions, StopSignal};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::fixture::{PlanBuilder, Ran, map, options, simulate_with};

fn plan() -> dva_plan::document::Loaded<dva_plan::ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    plan.test("b", 10, &[a]);
    let c = plan.test("c", 60, &[]);
    plan.edit(c).finally = vec![PlanBuilder::new().run("undo", None, None)];
    plan.build()
}

/// Options of a run that is sent these signals, each after so many seconds.
fn stopped(signals: &'static [(u64, StopSignal)]) -> RunOptions {
    let (sender, receiver) = watch::channel(StopSignal::Run);
    tokio::spawn(async move {
        for (seconds, signal) in signals {
            sleep(Duration::from_secs(*seconds)).await;
            sender.send_replace(*signal);
        }
        sender.closed().await;
    });
    RunOptions {
        stop: receiver,
        ..options()
    }
}

async fn run(script: &str, signals: &'static [(u64, StopSignal)]) -> Ran {
    simulate_with(&plan(), script, stopped(signals)).await
}

#[tokio::test(start_paused = true)]
async fn finish_lets_what_runs_end_and_starts_nothing_more() {
    let ran = run("", &[(35, StopSignal::Finish)]).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("a", "passed"), ("b", "interrupted"), ("c", "passed")])
    );
    assert_eq!(ran.report().duration_ms, 90_000);
    assert_eq!(ran.report().exit, ExitCode::Interrupted);
    assert_eq!(
        ran.test("b").message,
        "The run was stopped before it started."
    );
}

#[tokio::test(start_paused = true)]
async fn now_releases_at_once_and_runs_no_finally() {
    let ran = run("", &[(35, StopSignal::Now)]).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("a", "interrupted"),
            ("b", "interrupted"),
            ("c", "interrupted")
        ])
    );
    assert_eq!(ran.report().duration_ms, 35_000);
    assert_eq!(ran.report().exit, ExitCode::Interrupted);
    let [step] = ran.test("c").executions[0].steps.as_slice() else {
        panic!("`finally` has run");
    };
    assert_eq!(step.outcome, StepOutcome::Interrupted);
    assert_eq!(step.duration_ms, 5_000);
}

#[tokio::test(start_paused = true)]
async fn finish_may_become_now() {
    let ran = run("", &[(35, StopSignal::Finish), (10, StopSignal::Now)]).await;
    assert_eq!(ran.test("a").verdict, Verdict::Passed);
    assert_eq!(ran.test("c").verdict, Verdict::Interrupted);
    assert_eq!(ran.report().duration_ms, 45_000);
    assert_eq!(
        ran.places(|event| matches!(event, Event::Stopping { .. }))
            .len(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_to_the_provider_is_dropped_and_its_machine_ended() {
    for (script, seconds) in [("", 10), ("[[life]]\nfault = 'stuck'\n", 10)] {
        for signals in [
            &[(10, StopSignal::Finish)][..],
            &[(10, StopSignal::Now)][..],
        ] {
            let ran = run(script, signals).await;
            assert_eq!(ran.count(|verdict| *verdict == Verdict::Interrupted), 3);
            assert_eq!(ran.report().duration_ms, seconds * 1_000);
            assert_eq!(ran.report().exit, ExitCode::Interrupted);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_before_it_begins_says_so() {
    let (sender, receiver) = watch::channel(StopSignal::Now);
    let ran = simulate_with(
        &plan(),
        "",
        RunOptions {
            stop: receiver,
            ..options()
        },
    )
    .await;
    drop(sender);
    assert_eq!(ran.report().duration_ms, 0);
    assert_eq!(ran.count(|verdict| *verdict == Verdict::Interrupted), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_it_waits_for_ssh() {
    let ran = run("[[life]]\nfault = 'silent'\n", &[(60, StopSignal::Finish)]).await;
    assert_eq!(ran.report().duration_ms, 60_000);
    assert_eq!(ran.report().exit, ExitCode::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_a_command_hangs() {
    let script = "[[test]]\ntest = 'a'\nfault = 'hang'\n";
    let ran = run(script, &[(40, StopSignal::Now)]).await;
    assert_eq!(ran.report().duration_ms, 40_000);
    assert_eq!(ran.test("a").verdict, Verdict::Interrupted);
}
