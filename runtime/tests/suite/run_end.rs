//! The end of a run at its provider: what it has made beside its machines goes when the last of them has gone.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::RunId;
use dva_plan::exit::ExitCode;
use dva_plan::plan::{ImageSource, Machine};
use dva_runtime::journal::MemoryJournal;
use dva_runtime::provider::{
    AcquireError, AcquiredMachine, Backend, ControlError, EndRunError, MachineRequest,
    MachineToken, Provider, ReleaseError,
};
use dva_runtime::sim::SimMachines;
use dva_runtime::{Keep, RunOptions, RunOutcome, SimBackend, SimScript, resume, run};
use tokio::time::timeout;

use crate::fixture::{PlanBuilder, options, schedule_of};

/// The simulator, and which machines were there whenever a run was to be ended.
struct Counted {
    inner: Arc<dyn Provider>,
    machines: SimMachines,
    ends: Arc<Mutex<Vec<usize>>>,
    /// How often it fails to end a run.
    failures: AtomicU32,
}

#[async_trait]
impl Provider for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        self.inner.serves(image, machine)
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        self.inner.acquire(request).await
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        self.inner.release_token(token).await
    }

    async fn of_run(&self, run: &RunId) -> Option<Vec<MachineToken>> {
        self.inner.of_run(run).await
    }

    async fn keep(&self, token: &MachineToken, lifetime: Duration) -> Result<(), ControlError> {
        self.inner.keep(token, lifetime).await
    }

    async fn end_run(&self, run: &RunId) -> Result<(), EndRunError> {
        self.ends.lock().unwrap().push(self.machines.live().len());
        let failures = self.failures.load(Ordering::SeqCst);
        if failures == 0 {
            return Ok(());
        }
        self.failures.store(failures - 1, Ordering::SeqCst);
        Err(EndRunError {
            run: run.clone(),
            region: "eu-west-1".to_owned(),
            message: "a key pair is in use".to_owned(),
        })
    }
}

/// What came of a run of two machines, and how many of them there were each time that it was to be ended; its
/// controller dies after so many seconds, and another one takes over.
async fn ends(
    script: &str,
    failures: u32,
    dies_after_s: u64,
    options: impl Fn() -> RunOptions,
) -> (RunOutcome, Vec<usize>) {
    let mut plan = PlanBuilder::new();
    plan.test("t", 10, &[]);
    plan.filesystems(["a", "b"]);
    let plan = plan.build();
    let script = SimScript::parse(script, &plan.body).unwrap();
    let schedule = schedule_of(&plan, &script);
    let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
    let ends = Arc::new(Mutex::new(Vec::new()));
    let provider = Counted {
        inner: sim.provider,
        machines,
        ends: Arc::clone(&ends),
        failures: AtomicU32::new(failures),
    };
    let backend = Backend {
        provider: Arc::new(provider),
        transport: sim.transport,
    };
    let journal = MemoryJournal::default();
    let first = RunOptions {
        journal: Box::new(journal.clone()),
        ..options()
    };
    let first = run(&plan, schedule.clone(), backend.clone(), first);
    let outcome = match timeout(Duration::from_secs(dies_after_s), first).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let records = journal.records();
            let second = resume(&plan, schedule, &records, backend, options());
            second.await.unwrap()
        }
    };
    let ends = ends.lock().unwrap().clone();
    (outcome, ends)
}

const NEVER: u64 = 1_000_000;

#[tokio::test(start_paused = true)]
async fn it_is_ended_once_when_the_last_machine_has_gone() {
    for dies_after_s in [NEVER, 5, 35] {
        let (outcome, ends) = ends("", 0, dies_after_s, options).await;
        assert_eq!(ends, [0], "{dies_after_s}");
        assert_eq!(outcome.left_at_provider, None);
        assert!(outcome.machines_left.is_empty());
    }
    // Whatever became of them.
    let (_, ends) = ends("[[life]]\nfault = 'silent'\n", 0, NEVER, options).await;
    assert_eq!(ends, [0]);
}

#[tokio::test(start_paused = true)]
async fn it_is_not_ended_while_a_machine_is_kept_or_left() {
    let keep = || RunOptions {
        keep: Keep::Always,
        ..options()
    };
    let (outcome, kept) = ends("", 0, NEVER, keep).await;
    assert_eq!((outcome.report.exit, kept), (ExitCode::Ok, Vec::new()));
    let script = "[[life]]\ncells = { filesystem = 'a' }\nfault = 'release'\n";
    let (outcome, left) = ends(script, 0, NEVER, options).await;
    assert_eq!(
        (outcome.report.exit, left),
        (ExitCode::MachinesLeft, Vec::new())
    );
}

#[tokio::test(start_paused = true)]
async fn what_may_be_left_is_told_after_three_attempts() {
    let (outcome, ends_once) = ends("", 2, NEVER, options).await;
    assert_eq!(
        (outcome.report.exit, ends_once),
        (ExitCode::Ok, vec![0, 0, 0])
    );
    let (outcome, ends) = ends("", 3, NEVER, options).await;
    assert_eq!(ends, [0, 0, 0]);
    assert_eq!(outcome.report.exit, ExitCode::MachinesLeft);
    assert!(outcome.machines_left.is_empty());
    let left = "What run 20261123-093000-4f2a has made beside its machines may be left: in eu-west-1: a key pair is \
                in use.";
    assert_eq!(outcome.left_at_provider.as_deref(), Some(left));
    assert_eq!(outcome.report.warnings, [left]);
}
