//! Machines misbehave: each way has its verdict, its exit code, and leaves no machine behind.

use std::sync::Arc;

use async_trait::async_trait;
use dva_plan::Verdict;
use dva_plan::exit::ExitCode;
use dva_plan::plan::{ImageSource, Machine};
use dva_runtime::journal::MemoryJournal;
use dva_runtime::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, Backend, MachineRequest, MachineToken,
    Provider, ReleaseError,
};
use dva_runtime::{Event, Observer, RunOptions, RunState, SimBackend, SimScript};

use crate::fixture::{PlanBuilder, map, options, run_on, schedule_of, simulate};

/// Two cells of three tests, two in a chain: faults hit the first cell alone.
fn plan() -> dva_plan::document::Loaded<dva_plan::ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    plan.test("b", 10, &[a]);
    plan.test("c", 60, &[]);
    plan.filesystems(["xfs", "ext4"]);
    plan.build()
}

fn all(verdict: &str) -> std::collections::BTreeMap<String, String> {
    map(&[("a", verdict), ("b", verdict), ("c", verdict)])
}

#[tokio::test(start_paused = true)]
async fn a_life_that_never_comes_up_has_its_verdict_and_disturbs_no_other() {
    for (fault, verdict, exit, message) in [
        (
            "capacity",
            "blocked (capacity)",
            ExitCode::Infrastructure,
            "The machine local.small in local could not be started: there is none left.",
        ),
        (
            "quota",
            "blocked (quota)",
            ExitCode::Infrastructure,
            "could not be started: the quota is used up.",
        ),
        (
            "broken",
            "errored (machine.acquire)",
            ExitCode::Infrastructure,
            "could not be started: something broke.",
        ),
        (
            "stuck",
            "errored (machine.acquire)",
            ExitCode::Infrastructure,
            "was not started within 10min.",
        ),
        (
            "silent",
            "errored (ssh.connect_timeout)",
            ExitCode::Infrastructure,
            "The machine did not let us in within 2min: nobody answers.",
        ),
        (
            "auth",
            "errored (ssh.auth)",
            ExitCode::Infrastructure,
            "The machine did not let us in within 2min: our key is refused.",
        ),
        (
            "host_key",
            "errored (ssh.host_key)",
            ExitCode::Infrastructure,
            "another host key than its own",
        ),
    ] {
        let script = format!("[[life]]\ncells = {{ filesystem = 'xfs' }}\nfault = '{fault}'\n");
        let ran = simulate(&plan(), &script).await;
        assert_eq!(ran.verdicts("xfs"), all(verdict), "{fault}");
        assert_eq!(ran.verdicts("ext4"), all("passed"), "{fault}");
        assert_eq!(ran.report().exit, exit, "{fault}");
        assert!(
            ran.test("b").message.contains(message),
            "{}",
            ran.test("b").message
        );
        let life = ran.report().lives.iter().next().unwrap();
        assert!(life.problem.as_ref().unwrap().contains(message));
        assert!(life.end_ms.is_some(), "{fault}");
        let other = ran.report().lives.iter().nth(1).unwrap();
        assert_eq!(other.end_ms, Some(90_000), "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_that_cannot_work_is_not_tried_for_two_minutes() {
    let script = "[[life]]\nfault = 'host_key'\n";
    let ran = simulate(&plan(), script).await;
    assert_eq!(ran.report().duration_ms, 30_000);
    let script = "[[life]]\nfault = 'silent'\n";
    let ran = simulate(&plan(), script).await;
    assert_eq!(ran.report().duration_ms, 150_000);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_drops_takes_its_life_with_it_and_no_other() {
    let script = "[[test]]\ntest = 'a'\ncells = { filesystem = 'xfs' }\nfault = 'drop'\n";
    let ran = simulate(&plan(), script).await;
    // `c` runs on the other lane and loses its connection, too; `b` waits. The machine is looked at
    // twice, 3 s apart, before its network is blamed.
    assert_eq!(ran.verdicts("xfs"), all("errored (ssh.lost)"));
    assert_eq!(ran.verdicts("ext4"), all("passed"));
    assert_eq!(ran.times("c"), (30_000, 38_000));
    assert!(ran.test("b").executions.is_empty());
    assert_eq!(ran.report().exit, ExitCode::Infrastructure);
    assert_eq!(
        ran.report().lives.iter().next().unwrap().end_ms,
        Some(38_000)
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_drop_at_a_later_step_or_in_finally() {
    let mut plan = PlanBuilder::new();
    let steps = vec![plan.run("one", None, None), plan.run("two", None, None)];
    let test = plan.test_of("a", 10, &[], steps);
    plan.edit(test).finally = vec![PlanBuilder::new().run("three", None, None)];
    let plan = plan.build();
    for run in [1, 2] {
        let script = format!("[[test]]\ntest = 'a'\nrun = {run}\nfault = 'drop'\n");
        let ran = simulate(&plan, &script).await;
        assert_eq!(ran.verdicts("xfs"), map(&[("a", "errored (ssh.lost)")]));
        // Nothing is sent after the loss, `finally` neither.
        assert_eq!(ran.test("a").executions[0].steps.len(), run + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_be_ended_is_named_and_is_exit_6() {
    let script = "[[life]]\ncells = { filesystem = 'xfs' }\nfault = 'release'\n[[test]]\ntest = 'c'\nexit = 1\n";
    let ran = simulate(&plan(), script).await;
    assert_eq!(ran.report().exit, ExitCode::MachinesLeft);
    assert_eq!(ran.test("a").verdict, Verdict::Passed);
    let [left] = ran.outcome.machines_left.as_slice() else {
        panic!("{:?}", ran.outcome.machines_left);
    };
    assert_eq!(left.token.as_str(), "20261123-093000-4f2a-0");
    assert_eq!(left.id.as_deref(), Some("sim-20261123-093000-4f2a-0"));
    assert!(left.message.contains("the simulator was told to keep it"));
    assert_eq!(ran.machines.live(), ["20261123-093000-4f2a-0"]);
}

#[tokio::test(start_paused = true)]
async fn processes_that_a_test_leaves_are_reported_with_it() {
    let script = "[[test]]\ntest = 'a'\nleaves = ['sleep', 'httpd']\n";
    let ran = simulate(&plan(), script).await;
    assert_eq!(
        ran.test("a").executions[0].left_processes,
        ["sleep", "httpd"]
    );
    assert!(ran.test("c").executions[0].left_processes.is_empty());
    assert_eq!(ran.test("a").verdict, Verdict::Passed);
}

/// A provider that goes wrong in a way of its own and otherwise is the simulator's. It can do nothing to
/// a machine that runs.
pub struct Wrapped {
    pub inner: Arc<dyn Provider>,
    pub panics_in: &'static str,
}

#[async_trait]
impl Provider for Wrapped {
    fn name(&self) -> &'static str {
        "wrapped"
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        self.inner.serves(image, machine)
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let machine = self.inner.acquire(request).await;
        assert!(self.panics_in != "acquire", "the provider has a bug");
        machine
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        self.inner.release_token(token).await?;
        assert!(self.panics_in != "release", "the provider has a bug");
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_provider_leaks_nothing() {
    for panics_in in ["acquire", "release"] {
        let plan = plan();
        let (sim, machines) =
            SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
        let backend = Backend {
            provider: Arc::new(Wrapped {
                inner: sim.provider,
                panics_in,
            }),
            transport: sim.transport,
        };
        let journal = MemoryJournal::default();
        let mut options = options();
        options.journal = Box::new(journal.clone());
        let schedule = schedule_of(&plan, &SimScript::default());
        let outcome = dva_runtime::run(&plan, schedule, backend, options).await;
        assert_eq!(outcome.report.exit, ExitCode::Bug);
        assert_eq!(machines.live(), Vec::<String>::new());
        let expected = match panics_in {
            "acquire" => "errored (machine.acquire)",
            _ => "passed",
        };
        for run in &outcome.report.test_runs {
            assert_eq!(run.verdict.to_string(), expected);
        }
        if panics_in == "acquire" {
            assert!(
                outcome.report.test_runs[0]
                    .message
                    .contains("the provider has a bug")
            );
            assert!(outcome.machines_left.is_empty());
        } else {
            // Asked twice and panicked twice: nobody can say whether the machine is gone.
            assert_eq!(outcome.machines_left.len(), 2);
        }
        let crashes =
            |record: &&dva_runtime::Record| matches!(record.event, Event::LifeCrashed { .. });
        assert_eq!(journal.records().iter().filter(crashes).count(), 2);
    }
}

/// A provider that is no help.
pub struct ServesNothing;

#[async_trait]
impl Provider for ServesNothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn serves(&self, _: &ImageSource, _: &Machine) -> bool {
        false
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        Err(AcquireError {
            machine_type: request.machine.r#type.clone(),
            region: request.machine.region.clone(),
            kind: AcquireErrorKind::Unsupported,
            message: "never".into(),
        })
    }

    async fn release_token(&self, _: &MachineToken) -> Result<(), ReleaseError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_should_have_been_refused_asks_for_nothing() {
    let plan = plan();
    let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
    let backend = Backend {
        provider: Arc::new(ServesNothing),
        transport: sim.transport,
    };
    let schedule = schedule_of(&plan, &SimScript::default());
    let ran = run_on(&plan, schedule, backend, machines, options()).await;
    assert_eq!(ran.verdicts("xfs"), all("errored (machine.acquire)"));
}

/// Panics once a test runs.
struct Panicking;

impl Observer for Panicking {
    fn event(&mut self, _: u64, event: &Event, _: &RunState) {
        let starts = matches!(event, Event::ExecutionStarted { .. });
        assert!(!starts, "the display has a bug");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_dispatcher_leaks_nothing_either() {
    let plan = plan();
    let (backend, machines) =
        SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
    let schedule = schedule_of(&plan, &SimScript::default());
    let seen = machines.clone();
    let ended = tokio::spawn(async move {
        let options = RunOptions {
            observer: Box::new(Panicking),
            ..options()
        };
        dva_runtime::run(&plan, schedule, backend, options).await;
    });
    tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    assert_eq!(seen.live().len(), 2);
    let error = ended.await.unwrap_err().into_panic();
    assert_eq!(error.downcast_ref(), Some(&"the display has a bug"));
    assert_eq!(machines.live(), Vec::<String>::new());
}

/// A provider that demands that its calls were announced.
struct Strict {
    inner: Arc<dyn Provider>,
    journal: MemoryJournal,
}

#[async_trait]
impl Provider for Strict {
    fn name(&self) -> &'static str {
        "strict"
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        self.inner.serves(image, machine)
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let announced = self.journal.records().iter().any(|record| {
            matches!(&record.event, Event::LifeLaunching { token, .. } if token == request.token.as_str())
        });
        assert!(announced);
        self.inner.acquire(request).await
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        let announced = self.journal.records().iter().any(|record| {
            matches!(record.event, Event::LifeReleasing { life } if token.as_str().ends_with(&format!("-{}", life.0)))
        });
        assert!(announced);
        self.inner.release_token(token).await
    }
}

#[tokio::test(start_paused = true)]
async fn calls_to_a_provider_are_on_record_before_they_are_made() {
    for fault in ["capacity", "silent", "auth"] {
        let plan = plan();
        let script = format!("[[life]]\ncells = {{ filesystem = 'xfs' }}\nfault = '{fault}'\n");
        let script = SimScript::parse(&script, &plan.body).unwrap();
        let schedule = schedule_of(&plan, &script);
        let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
        let journal = MemoryJournal::default();
        let backend = Backend {
            provider: Arc::new(Strict {
                inner: sim.provider,
                journal: journal.clone(),
            }),
            transport: sim.transport,
        };
        let options = RunOptions {
            journal: Box::new(journal),
            ..options()
        };
        let outcome = dva_runtime::run(&plan, schedule, backend, options).await;
        // A call that was not announced would be a bug, 101.
        assert_eq!(outcome.report.exit, ExitCode::Infrastructure);
        assert!(machines.live().is_empty());
    }
}
