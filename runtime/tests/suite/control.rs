//! What steps do to machines from outside, and what only some machines can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use dva_plan::Value;
use dva_plan::exit::ExitCode;
use dva_plan::expr::{Comparison, DiskFact, Node};
use dva_plan::plan::{Capability, TestIx};
use dva_plan::report::StepOutcome;
use dva_plan::step::{DetachMode, Retry, Step, StepKind, WaitCondition};
use dva_plan::template::{Piece, Template};
use dva_runtime::state::IllegalKind;
use dva_runtime::transport::{
    ConnectError, ExecError, ExecOutcome, ExecRequest, Reach, Session, StreamOutput, Transport,
};
use dva_runtime::{Backend, Event, Keep, Record, RunOptions, RunState, SimBackend, SimScript};

use crate::faults::Wrapped;
use crate::fixture::{
    PlanBuilder, Ran, map, options, run_on, schedule_of, simulate, simulate_with,
};

fn passed(ran: &Ran) {
    for run in &ran.report().test_runs {
        assert_eq!(
            run.verdict.to_string(),
            "passed",
            "{}: {}",
            run.test,
            run.message
        );
    }
}

/// A test that reboots its machine, in the middle of others.
fn rebooting() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    for name in ["a", "b", "c"] {
        plan.test(name, 20, &[]);
    }
    let steps = vec![
        plan.run("before", None, None),
        plan.step(StepKind::Reboot, Some(60_000)),
        plan.run("after", None, None),
    ];
    let reboot = plan.test_of("reboot", 5, &[], steps);
    plan.edit(reboot).needs = vec![Capability::Reboot];
    plan.test("d", 20, &[reboot]);
    plan
}

#[tokio::test(start_paused = true)]
async fn a_test_that_reboots_has_its_machine_to_itself() {
    let ran = simulate(&rebooting().build(), "").await;
    passed(&ran);
    let (from, to) = ran.times("reboot");
    for other in ["a", "b", "c", "d"] {
        let (start, end) = ran.times(other);
        assert!(end <= from || to <= start, "{other} {start} {end}");
    }
    let steps = &ran.test("reboot").executions[0].steps;
    assert_eq!(steps[1].outcome, StepOutcome::Passed);
    assert_eq!(steps.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_record_of_a_test_beside_one_that_reboots_is_refused() {
    let ran = simulate(&rebooting().build(), "").await;
    let mut state = RunState::new(Arc::clone(&ran.plan), Arc::new(ran.schedule.clone()));
    let first = |record: &&Record| matches!(record.event, Event::ExecutionStarted { .. });
    let start = ran.records.iter().find(first).unwrap();
    let Event::ExecutionStarted { life, test, .. } = start.event else {
        panic!("{start:?}");
    };
    for record in ran.records.iter().take_while(|record| !first(record)) {
        state.apply(record).unwrap();
    }
    state.apply(start).unwrap();
    let other = if test == TestIx(3) {
        TestIx(0)
    } else {
        TestIx(3)
    };
    let beside = Record {
        at_ms: start.at_ms,
        event: Event::ExecutionStarted {
            life,
            test: other,
            lane: 1,
        },
    };
    assert_eq!(
        state.apply(&beside).unwrap_err().kind,
        IllegalKind::NotAlone
    );
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_does_not_return_fails_its_test_and_is_given_up() {
    let ran = simulate(&rebooting().build(), "[[life]]\nfault = 'no_return'\n").await;
    let reboot = ran.test("reboot");
    assert_eq!(reboot.verdict.to_string(), "failed (reboot)");
    assert!(
        reboot.message.contains(
            "did not come back. The machine did not let us in within 1min: nobody answers"
        ),
        "{}",
        reboot.message
    );
    let (from, to) = ran.times("reboot");
    assert!(to - from <= 65_000, "{from} {to}");
    assert_eq!(ran.test("d").verdict.to_string(), "blocked by reboot");
    let life = ran.report().lives.iter().next().unwrap();
    assert!(life.problem.as_ref().unwrap().contains("did not come back"));
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_reboots_by_itself_fails_what_runs_and_loses_the_rest() {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    plan.test("b", 10, &[a]);
    plan.test("c", 60, &[]);
    plan.test("d", 60, &[]);
    let ran = simulate(&plan.build(), "[[test]]\ntest = 'a'\nfault = 'reboot'\n").await;
    let verdicts = ran.verdicts("xfs");
    let count = |verdict: &str| verdicts.values().filter(|of| *of == verdict).count();
    assert_eq!(count("failed (guest.rebooted)"), 3, "{verdicts:?}");
    assert_eq!(verdicts["b"], "blocked by a");
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
}

#[tokio::test(start_paused = true)]
async fn a_machine_is_stopped_and_started_and_not_left_stopped() {
    let mut plan = PlanBuilder::new();
    let steps = vec![
        plan.step(StepKind::Stop, None),
        plan.step(StepKind::Start, None),
        plan.run("up", None, None),
    ];
    let both = plan.test_of("both", 1, &[], steps);
    let succeeds = plan.exits(0);
    let steps = vec![
        plan.step(StepKind::Stop, None),
        plan.run("down", Some(succeeds), None),
    ];
    let left = plan.test_of("left", 1, &[both], steps);
    plan.order(left, both);
    let last = plan.test("last", 1, &[both]);
    plan.order(last, left);
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("both", "passed"),
            ("left", "failed (expect)"),
            ("last", "errored (machine.lost)")
        ])
    );
    let life = ran.report().lives.iter().next().unwrap();
    assert_eq!(
        life.problem.as_deref(),
        Some("The test left has left its machine stopped.")
    );
}

fn attached(
    plan: &mut PlanBuilder,
    disk: dva_plan::plan::DiskIx,
    is: bool,
) -> dva_plan::expr::ExprIx {
    let node = Node::Disk {
        disk,
        what: DiskFact::Attached,
    };
    plan.compare(node, Comparison::Equal, Value::Bool(is))
}

#[tokio::test(start_paused = true)]
async fn disks_come_and_go_and_expressions_see_it() {
    let mut plan = PlanBuilder::new();
    let (fixed, loose) = (plan.disk("fixed"), plan.loose_disk("loose"));
    let (is_there, is_gone) = (
        attached(&mut plan, loose, true),
        attached(&mut plan, loose, false),
    );
    let device = plan.expressions.add(Node::Disk {
        disk: loose,
        what: DiskFact::Device,
    });
    let until_gone = StepKind::WaitUntil {
        condition: WaitCondition::Holds(is_gone),
        every_ms: 1_000,
    };
    let detach = |how| StepKind::Detach { disk: loose, how };
    let steps = vec![
        plan.check(is_gone, "it is gone"),
        plan.step(detach(DetachMode::Wait), None),
        plan.step(StepKind::Attach(loose), None),
        plan.check(is_there, "it is there"),
        plan.run_with("mkfs", device),
        plan.step(detach(DetachMode::Nowait), None),
        plan.step(until_gone, Some(5_000)),
        plan.step(StepKind::Attach(loose), None),
        plan.step(StepKind::Attach(loose), None),
    ];
    let test = plan.test_of("hotplug", 1, &[], steps);
    plan.writes(test, fixed);
    plan.writes(test, loose);
    let ran = simulate(&plan.build(), "").await;
    let run = ran.test("hotplug");
    assert_eq!(run.verdict.to_string(), "errored (provider)");
    assert!(
        run.message
            .starts_with("The disk `loose` could not be attached: it is attached already"),
        "{}",
        run.message
    );
    let steps = &run.executions[0].steps;
    assert_eq!(steps.len(), 9);
    // `fixed` is `/dev/sdb` from the start.
    assert_eq!(steps[4].command.as_deref(), Some("mkfs '/dev/sdc'"));
}

#[tokio::test(start_paused = true)]
async fn waiting_ends_when_it_holds_or_at_its_limit() {
    let mut plan = PlanBuilder::new();
    let disk = plan.disk("disk");
    let is_gone = attached(&mut plan, disk, false);
    let until = |condition| StepKind::WaitUntil {
        condition,
        every_ms: 10_000,
    };
    let command = Template(vec![Piece::Lit("is-active".into())]);
    let steps = vec![
        plan.step(StepKind::Wait { ms: 7_000 }, None),
        plan.step(until(WaitCondition::Succeeds(command)), Some(30_000)),
    ];
    plan.test_of("service", 1, &[], steps);
    let steps = vec![plan.step(until(WaitCondition::Holds(is_gone)), Some(35_000))];
    let test = plan.test_of("disk", 1, &[], steps);
    plan.writes(test, disk);
    let plan = plan.build();
    let ran = simulate(&plan, "").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("service", "passed"), ("disk", "failed (wait)")])
    );
    let steps = &ran.test("service").executions[0].steps;
    assert_eq!(
        (steps[0].duration_ms, steps[1].outcome),
        (7_000, StepOutcome::Assumed)
    );
    let step = &ran.test("disk").executions[0].steps[0];
    assert_eq!((step.duration_ms, step.attempts), (35_000, 4));
    assert_eq!(step.operands.as_ref().unwrap().left, "true");
    let script = "[[test]]\ntest = 'service'\nexit = 3\ntakes = '1s'\n";
    let ran = simulate(&plan, script).await;
    let run = ran.test("service");
    assert_eq!(run.verdict.to_string(), "failed (wait)");
    assert!(
        run.message
            .starts_with("What it waits for did not come within 30s; its command exits with 3"),
        "{}",
        run.message
    );
}

#[tokio::test(start_paused = true)]
async fn a_command_is_tried_again_as_often_as_it_was_allowed() {
    let mut plan = PlanBuilder::new();
    let retry = |run: &mut dva_plan::step::Run| {
        run.retry = Some(Retry {
            times: 2,
            every_ms: 10_000,
        });
    };
    let mut step: Step = plan.run_as("curl", retry);
    plan.test_of("often", 1, &[], vec![step.clone()]);
    step.within_ms = Some(15_000);
    plan.test_of("limited", 1, &[], vec![step]);
    let script = "[[test]]\ntest = 'often'\nexit = 7\n[[test]]\ntest = 'limited'\nexit = 7\n";
    let ran = simulate(&plan.build(), script).await;
    for (test, attempts, ms) in [("often", 3, 21_000), ("limited", 2, 11_000)] {
        assert_eq!(ran.test(test).verdict.to_string(), "failed (expect)");
        let steps = &ran.test(test).executions[0].steps;
        assert_eq!(steps.len(), 1);
        assert_eq!(
            (steps[0].attempts, steps[0].duration_ms),
            (attempts, ms),
            "{test}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_machine_can_do_is_skipped_and_takes_none() {
    let mut plan = rebooting();
    plan.filesystems(["xfs", "ext4"]);
    let plan = plan.build();
    let on_plain = async |plan: &dva_plan::document::Loaded<dva_plan::ExecutionPlan>| {
        let (sim, machines) =
            SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
        let backend = Backend {
            provider: Arc::new(Wrapped {
                inner: sim.provider,
                panics_in: "",
            }),
            transport: sim.transport,
        };
        let schedule = schedule_of(plan, &SimScript::default());
        run_on(plan, schedule, backend, machines, options()).await
    };
    let ran = on_plain(&plan).await;
    assert_eq!(
        ran.verdicts("ext4"),
        map(&[
            ("a", "passed"),
            ("b", "passed"),
            ("c", "passed"),
            ("reboot", "skipped (unsupported)"),
            ("d", "skipped (unsupported)"),
        ])
    );
    assert_eq!(
        ran.test("reboot").message,
        "It needs a reboot from outside, which no machine of the provider `wrapped` can."
    );
    assert_eq!(
        ran.test("d").message,
        "It comes after reboot, which cannot be done here."
    );
    assert_eq!(ran.report().exit, ExitCode::Ok);

    let mut plan = PlanBuilder::new();
    let steps = vec![plan.step(StepKind::Reboot, None)];
    let test = plan.test_of("reboot", 1, &[], steps);
    plan.test("after", 1, &[test]);
    let undeclared = plan.edit(test);
    undeclared.needs = vec![Capability::Reboot];
    let ran = on_plain(&plan.build()).await;
    assert!(
        ran.places(|event| matches!(event, Event::LifeLaunching { .. }))
            .is_empty()
    );
    assert_eq!(ran.report().duration_ms, 0);
    // A run in which nothing passed has proved nothing.
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);

    // A plan that does not say what it needs finds out.
    let mut plan = PlanBuilder::new();
    let steps = vec![plan.step(StepKind::Reboot, None)];
    plan.test_of("reboot", 1, &[], steps);
    let ran = on_plain(&plan.build()).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("reboot", "errored (provider)")])
    );
    assert!(
        ran.test("reboot")
            .message
            .contains("this provider cannot reboot")
    );
}

#[tokio::test(start_paused = true)]
async fn machines_are_kept_where_that_was_asked_for() {
    let mut plan = PlanBuilder::new();
    plan.test("a", 10, &[]);
    plan.filesystems(["xfs", "ext4"]);
    let plan = plan.build();
    let script = "[[test]]\ntest = 'a'\ncells = { filesystem = 'ext4' }\nexit = 1\n";
    for (keep, kept) in [(Keep::Never, 0), (Keep::OnFailure, 1), (Keep::Always, 2)] {
        let options = RunOptions { keep, ..options() };
        let ran = simulate_with(&plan, script, options).await;
        let failed = &ran.of("ext4", "a").cell;
        assert_eq!(ran.outcome.kept.len(), kept, "{keep:?}");
        assert_eq!(
            ran.outcome.kept.iter().any(|kept| kept.cell == *failed),
            kept > 0
        );
        assert_eq!(ran.report().exit, ExitCode::TestsFailed);
        let gone = ran
            .report()
            .lives
            .iter()
            .filter(|life| life.end_ms.is_some());
        assert_eq!(gone.count(), 2 - kept);
    }
}

/// A login that takes a fresh connection where one broke, and so may not notice that the machine
/// rebooted in between: after each command `reboot` it did.
#[derive(Default)]
struct Pool {
    boots: AtomicU64,
    broken: AtomicU64,
}

#[async_trait]
impl Session for Pool {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let boots = self.boots.load(Ordering::SeqCst);
        if request.command.contains("/dva-a/reboot") {
            self.boots.fetch_add(1, Ordering::SeqCst);
        }
        if request.command.contains("/dva-a/") {
            self.broken.fetch_add(1, Ordering::SeqCst);
        }
        let stdout = format!("uid=0\nboot={boots}\n").into_bytes();
        Ok(ExecOutcome {
            stdout: StreamOutput {
                total: stdout.len() as u64,
                head: stdout,
                ..StreamOutput::default()
            },
            ..ExecOutcome::default()
        })
    }

    fn broken_connections(&self) -> u64 {
        self.broken.load(Ordering::SeqCst)
    }

    async fn close(&self) {}
}

struct Pools(Arc<Pool>);

#[async_trait]
impl Transport for Pools {
    async fn connect(&self, _: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        Ok(Arc::clone(&self.0) as Arc<dyn Session>)
    }
}

#[tokio::test(start_paused = true)]
async fn a_reboot_between_two_commands_is_noticed_and_a_break_alone_is_nothing() {
    for (command, verdict, steps) in [
        ("/dva-a/break", "passed", 2),
        ("/dva-a/reboot", "failed (guest.rebooted)", 2),
    ] {
        let mut plan = PlanBuilder::new();
        let runs = vec![plan.run(command, None, None), plan.run("next", None, None)];
        plan.test_of("a", 1, &[], runs);
        let plan = plan.build();
        let schedule = schedule_of(&plan, &SimScript::default());
        let (sim, machines) =
            SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
        let backend = Backend {
            provider: sim.provider,
            transport: Arc::new(Pools(Arc::default())),
        };
        let ran = run_on(&plan, schedule, backend, machines, options()).await;
        assert_eq!(ran.test("a").verdict.to_string(), verdict);
        let reports = &ran.test("a").executions[0].steps;
        assert_eq!(reports.len(), steps);
        let sent = reports.iter().filter(|step| step.status.is_some()).count();
        assert_eq!(sent, if verdict == "passed" { 2 } else { 1 });
    }
}
