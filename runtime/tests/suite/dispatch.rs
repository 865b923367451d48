//! What starts when, and what a failure keeps from starting.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use dva_plan::exit::ExitCode;
use dva_plan::plan::{CellIx, MachineIx};
use dva_plan::schedule::{PlannedExecution, PlannedLife};
use dva_plan::table::Table;
use dva_plan::{Schedule, Verdict};
use dva_runtime::state::Counts;
use dva_runtime::{Event, Observer, RunOptions, RunState, SimBackend, SimScript, unserved};

use crate::fixture::{PlanBuilder, map, options, run_on, simulate, simulate_with};

/// ```text
///      ┌─ short (1 s) ──────── late (5 s)
/// root ┤                  ╲
///      └─ long (60 s) ───── both
/// deep1 ─ deep2 ─ join ─ (root)
/// ```
#[tokio::test(start_paused = true)]
async fn a_test_starts_the_moment_its_own_predecessors_have_passed() {
    let mut plan = PlanBuilder::new();
    let root = plan.test("root", 2, &[]);
    let short = plan.test("short", 1, &[root]);
    let long = plan.test("long", 60, &[root]);
    plan.test("late", 5, &[short]);
    plan.test("both", 1, &[short, long]);
    // After two of different depth: one is third in its chain, the other first.
    let deep1 = plan.test("deep1", 4, &[]);
    let deep2 = plan.test("deep2", 4, &[deep1]);
    plan.test("join", 1, &[deep2, root]);
    let ran = simulate(&plan.build(), "").await;

    assert_eq!(ran.report().exit, ExitCode::Ok);
    // Machines boot for 30 s. With levels, `late` would wait for `long` and `join` for its level.
    assert_eq!(ran.times("root"), (30_000, 32_000));
    assert_eq!(ran.times("short"), (32_000, 33_000));
    assert_eq!(ran.times("long"), (32_000, 92_000));
    assert_eq!(ran.times("late"), (33_000, 38_000));
    assert_eq!(ran.times("both"), (92_000, 93_000));
    assert_eq!(ran.times("deep2"), (34_000, 38_000));
    assert_eq!(ran.times("join"), (38_000, 39_000));
    assert_eq!(ran.report().duration_ms, 93_000);
    assert_eq!(ran.schedule.makespan_ms, 93_000);
}

#[tokio::test(start_paused = true)]
async fn lanes_bound_what_runs_at_once_and_the_schedule_says_who_goes_first() {
    let mut plan = PlanBuilder::new();
    plan.lanes(2);
    for name in ["a", "b", "c", "d", "e"] {
        plan.test(name, 10, &[]);
    }
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(ran.report().duration_ms, 30_000 + 30_000);
    let planned = &ran.schedule.lives.iter().next().unwrap().executions;
    for execution in planned {
        let test = &ran.plan.tests[execution.test].id;
        assert_eq!(ran.times(test.as_str()).0, execution.start_ms, "{test}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_blocks_its_descendants_and_nothing_else() {
    let mut plan = PlanBuilder::new();
    let partition = plan.test("partition", 1, &[]);
    let format = plan.test("format", 1, &[partition]);
    let mount = plan.test("mount", 1, &[format]);
    plan.test("write", 1, &[mount]);
    plan.test("label", 1, &[partition]);
    plan.test("memory", 1, &[]);
    let ran = simulate(
        &plan.build(),
        "[[test]]\ntest = 'format'\nexit = 1\nstderr = \"a\\nno space left\\n\"\n",
    )
    .await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("partition", "passed"),
            ("format", "failed (expect)"),
            ("mount", "blocked by format"),
            ("write", "blocked by format"),
            ("label", "passed"),
            ("memory", "passed"),
        ])
    );
    assert_eq!(
        ran.test("format").message,
        "Expected exit == 0, but exit is 1 (line 7: `run `format``). Standard error ends with: no space left"
    );
    assert_eq!(
        ran.test("write").message,
        "It comes after format, which failed (expect)."
    );
    assert!(ran.test("write").executions.is_empty());
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
}

#[tokio::test(start_paused = true)]
async fn an_edge_of_order_waits_for_the_end_and_not_for_success() {
    let mut plan = PlanBuilder::new();
    let first = plan.test("first", 5, &[]);
    let blocked = plan.test("blocked", 5, &[first]);
    let reader = plan.test("reader", 5, &[]);
    let writer = plan.test("writer", 1, &[]);
    let last = plan.test("last", 1, &[]);
    plan.order(writer, reader);
    plan.order(last, blocked);
    let plan = plan.build();

    let ran = simulate(&plan, "").await;
    assert_eq!(ran.times("writer").0, ran.times("reader").1);
    assert_eq!(ran.times("last").0, ran.times("blocked").1);

    let script = "[[test]]\ntest = 'first'\nexit = 1\n[[test]]\ntest = 'reader'\nexit = 1\n";
    let ran = simulate(&plan, script).await;
    assert_eq!(ran.test("writer").verdict, Verdict::Passed);
    // `blocked` never starts, and is over with the failure of `first`.
    assert_eq!(ran.test("last").verdict, Verdict::Passed);
    assert_eq!(ran.times("last").0, ran.times("first").1);
}

#[tokio::test(start_paused = true)]
async fn events_come_before_what_they_announce() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 1, &[]);
    plan.test("b", 1, &[a]);
    plan.filesystems(["xfs", "ext4"]);
    let ran = simulate(&plan.build(), "").await;
    let kinds: Vec<_> = ran
        .records
        .iter()
        .filter_map(|record| match &record.event {
            Event::RunStarted { .. } => Some("start"),
            Event::LifeLaunching { life, .. } if life.0 == 0 => Some("launching"),
            Event::LifeAcquired { life, .. } if life.0 == 0 => Some("acquired"),
            Event::LifeReady { life } if life.0 == 0 => Some("ready"),
            Event::ExecutionStarted { life, .. } if life.0 == 0 => Some("started"),
            Event::ExecutionEnded { life, .. } if life.0 == 0 => Some("ended"),
            Event::LifeReleasing { life } if life.0 == 0 => Some("releasing"),
            Event::LifeEnded { life } if life.0 == 0 => Some("gone"),
            Event::RunEnded { .. } => Some("end"),
            _ => None,
        })
        .collect();
    assert_eq!(
        kinds,
        [
            "start",
            "launching",
            "acquired",
            "ready",
            "started",
            "ended",
            "started",
            "ended",
            "releasing",
            "gone",
            "end"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn forty_lives_run_side_by_side_or_a_few_at_a_time() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    for name in ["b", "c", "d"] {
        plan.test(name, 10, &[a]);
    }
    plan.filesystems((0..40).map(|number| format!("fs{number}")));
    let plan = plan.build();
    let ran = simulate(&plan, "").await;
    assert_eq!(ran.report().lives.len(), 40);
    assert_eq!(ran.count(|verdict| *verdict == Verdict::Passed), 160);
    assert_eq!(ran.report().duration_ms, 50_000);

    let mut few = options();
    few.machines = NonZeroUsize::new(10);
    let ran = simulate_with(&plan, "", few).await;
    assert_eq!(ran.count(|verdict| *verdict == Verdict::Passed), 160);
    assert_eq!(ran.report().duration_ms, 4 * 50_000);
}

#[tokio::test(start_paused = true)]
async fn a_setup_execution_prepares_and_has_no_say() {
    let mut plan = PlanBuilder::new();
    let format = plan.test("format", 1, &[]);
    let grow = plan.test("grow", 1, &[format]);
    let shrink = plan.test("shrink", 1, &[format]);
    let plan = plan.build();
    // As where `grow` and `shrink` cannot follow each other on one disk.
    let life = |tests: [(dva_plan::plan::TestIx, bool); 2], launch_ms| PlannedLife {
        cell: CellIx(0),
        machine: MachineIx(0),
        boot: None,
        lanes: 1,
        launch_ms,
        pending_ms: 0,
        ready_ms: launch_ms + 30_000,
        executions: tests
            .iter()
            .zip([30_000, 31_000])
            .map(|((test, setup), start)| PlannedExecution {
                test: *test,
                lane: 0,
                start_ms: launch_ms + start,
                end_ms: launch_ms + start + 1_000,
                setup: *setup,
            })
            .collect(),
        end_ms: launch_ms + 32_000,
    };
    let schedule = Schedule {
        producer: String::new(),
        plan_digest: plan.header.digest.clone(),
        lives: Table::from(vec![
            life([(format, false), (grow, false)], 0),
            life([(format, true), (shrink, false)], 5_000),
        ]),
        makespan_ms: 37_000,
        defaulted_durations: 0,
    };
    let play = async |script: &str| {
        let script = SimScript::parse(script, &plan.body).unwrap();
        let (backend, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
        run_on(&plan, schedule.clone(), backend, machines, options()).await
    };
    let ran = play("").await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    // A life is launched when the schedule says.
    assert_eq!(ran.report().lives.iter().nth(1).unwrap().launch_ms, 5_000);
    let executions = &ran.test("format").executions;
    assert_eq!(
        executions
            .iter()
            .map(|execution| (crate::fixture::row(execution.life), execution.setup))
            .collect::<Vec<_>>(),
        [(0, false), (1, true)]
    );
    assert_eq!(ran.test("shrink").executions[0].start_ms, 36_000);

    // It fails everywhere, so it is to blame; that it failed as a setup says nothing new.
    let ran = play("[[test]]\ntest = 'format'\nexit = 1\n").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("format", "failed (expect)"),
            ("grow", "blocked by format"),
            ("shrink", "blocked by format"),
        ])
    );
}

#[tokio::test(start_paused = true)]
async fn what_a_provider_cannot_start_is_known_before() {
    let mut plan = PlanBuilder::new();
    plan.test("a", 1, &[]);
    plan.filesystems(["xfs", "ext4"]);
    let plan = plan.build();
    let backend = SimBackend::new(Arc::new(plan.body.clone()), SimScript::default());
    assert_eq!(unserved(&plan.body, &*backend.provider), []);
    assert_eq!(
        unserved(&plan.body, &crate::faults::ServesNothing),
        [CellIx(0), CellIx(1)]
    );
}

/// Remembers what it saw.
struct Watching(Arc<Mutex<Vec<(u64, usize, Counts)>>>);

impl Observer for Watching {
    fn event(&mut self, at_ms: u64, _: &Event, state: &RunState) {
        let mut seen = self.0.lock().unwrap();
        seen.push((at_ms, state.judged().len(), state.counts()));
    }
}

#[tokio::test(start_paused = true)]
async fn an_observer_sees_every_event_with_the_state_it_made() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 1, &[]);
    let b = plan.test("b", 1, &[a]);
    plan.test("c", 1, &[b]);
    let seen = Arc::default();
    let options = RunOptions {
        observer: Box::new(Watching(Arc::clone(&seen))),
        ..options()
    };
    let script = "[[test]]\ntest = 'a'\nexit = 1\n";
    let ran = simulate_with(&plan.build(), script, options).await;
    let seen = seen.lock().unwrap();
    let times: Vec<_> = ran.records.iter().map(|record| record.at_ms).collect();
    assert_eq!(seen.iter().map(|(at, ..)| *at).collect::<Vec<_>>(), times);
    let ended = ran.places(|event| matches!(event, Event::ExecutionEnded { .. }))[0];
    // One event decides three test runs.
    assert_eq!((seen[ended - 1].1, seen[ended].1), (0, 3));
    assert_eq!(
        seen[ended].2,
        Counts {
            failed: 1,
            blocked: 2,
            ..Counts::default()
        }
    );
}
