//! Controllers that die: after each event of a run another one goes on, from all that was recorded or from
//! what was sure to be kept.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::document::Loaded;
use dva_plan::exit::ExitCode;
use dva_plan::plan::{Capability, CellIx, ImageSource, Machine, TestIx};
use dva_plan::{ExecutionPlan, RunId, Schedule, Verdict};
use dva_runtime::event::Ending;
use dva_runtime::journal::{Commit, Journal, MemoryJournal};
use dva_runtime::provider::{
    AcquireError, AcquiredMachine, ControlError, MachineRequest, MachineToken, Provider,
    ReleaseError,
};
use dva_runtime::sim::SimMachines;
use dva_runtime::transport::{ConnectError, Reach, Session, Transport};
use dva_runtime::{
    Backend, Event, Record, RunOptions, RunOutcome, RunState, SimBackend, SimScript, WallTime,
    resume, run,
};
use tokio::sync::Notify;

use crate::fixture::{PlanBuilder, options_again, schedule_of};

/// When runs begin.
const BEGAN_UNIX_MS: u64 = 1_795_426_200_000;

/// A controller's hands: once it is dead, they do nothing.
#[derive(Clone)]
struct Hands {
    inner: Backend,
    is_dead: Arc<AtomicBool>,
}

impl Hands {
    fn backend(self) -> Backend {
        let hands = Arc::new(self);
        Backend {
            provider: Arc::clone(&hands) as Arc<dyn Provider>,
            transport: hands,
        }
    }

    async fn live(&self) {
        if self.is_dead.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Provider for Hands {
    fn name(&self) -> &'static str {
        self.inner.provider.name()
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        self.inner.provider.serves(image, machine)
    }

    fn capabilities(&self) -> std::collections::BTreeSet<Capability> {
        self.inner.provider.capabilities()
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        self.live().await;
        self.inner.provider.acquire(request).await
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        self.live().await;
        self.inner.provider.release_token(token).await
    }

    async fn of_run(&self, run: &RunId) -> Option<Vec<MachineToken>> {
        self.inner.provider.of_run(run).await
    }

    async fn reboot(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.live().await;
        self.inner.provider.reboot(token).await
    }
}

#[async_trait]
impl Transport for Hands {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        self.live().await;
        self.inner.transport.connect(reach).await
    }
}

/// Kills its controller when it has so many records.
struct Deadly {
    records: MemoryJournal,
    dies_at: usize,
    is_dead: Arc<AtomicBool>,
    died: Arc<Notify>,
}

impl Journal for Deadly {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        if self.is_dead.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.records.append(record)?;
        if self.records.records().len() == self.dies_at {
            self.is_dead.store(true, Ordering::SeqCst);
            self.died.notify_one();
        }
        Ok(())
    }

    fn commit(&mut self) -> Commit {
        match self.is_dead.load(Ordering::SeqCst) {
            true => Commit::Done(Ok(())),
            false => self.records.commit(),
        }
    }
}

/// What a controller has left behind that was killed, or the end of the run where it lived on.
struct Left {
    records: Vec<Record>,
    committed: usize,
    outcome: Option<RunOutcome>,
}

struct Case {
    plan: Loaded<ExecutionPlan>,
    schedule: Schedule,
    backend: Backend,
    machines: SimMachines,
}

impl Case {
    fn new(plan: PlanBuilder, script: &str) -> Self {
        let plan = plan.build();
        let script = SimScript::parse(script, &plan.body).unwrap();
        let schedule = schedule_of(&plan, &script);
        let (backend, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
        Self {
            plan,
            schedule,
            backend,
            machines,
        }
    }

    /// Begins the run, or goes on with it, until there are so many records.
    async fn until(&self, before: &[Record], dies_at: usize) -> Left {
        let now_ms = before.last().map_or(0, |record| record.at_ms);
        let began = WallTime::from_unix_ms(BEGAN_UNIX_MS);
        self.until_from(before, dies_at, began.plus_ms(now_ms))
            .await
    }

    /// The same, where the clock on the wall shows this.
    async fn until_from(&self, before: &[Record], dies_at: usize, started: WallTime) -> Left {
        let is_dead = Arc::new(AtomicBool::new(false));
        let died = Arc::new(Notify::new());
        let records = MemoryJournal::default();
        let journal = Deadly {
            records: records.clone(),
            dies_at,
            is_dead: Arc::clone(&is_dead),
            died: Arc::clone(&died),
        };
        let hands = Hands {
            inner: self.backend.clone(),
            is_dead,
        };
        let options = RunOptions {
            journal: Box::new(journal),
            started,
            ..options_again()
        };
        let backend = hands.backend();
        let schedule = self.schedule.clone();
        let goes_on = async {
            match before {
                [] => run(&self.plan, schedule, backend, options).await,
                before => resume(&self.plan, schedule, before, backend, options)
                    .await
                    .expect("the records are of this run"),
            }
        };
        let outcome = tokio::select! {
            biased;
            () = died.notified() => None,
            outcome = goes_on => Some(outcome),
        };
        Left {
            committed: records.committed(),
            records: records.records(),
            outcome,
        }
    }

    fn verdicts(&self, records: &[Record]) -> BTreeMap<(CellIx, TestIx), Verdict> {
        let plan = Arc::new(self.plan.body.clone());
        let mut state = RunState::new(plan, Arc::new(self.schedule.clone()));
        for record in records {
            state.apply(record).unwrap();
        }
        let judged = state.judged().iter();
        judged
            .map(|run| (*run, state.judgement(run.0, run.1).unwrap().verdict.clone()))
            .collect()
    }
}

/// 20 cells with two lives each: `grow` and `shrink` conflict and are both after `format`.
fn forty_machines() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    plan.filesystems((0..20).map(|cell| format!("fs{cell:02}")));
    let format = plan.test("format", 2, &[]);
    let grow = plan.test("grow", 3, &[format]);
    let shrink = plan.test("shrink", 1, &[format]);
    let look = plan.test("look", 1, &[]);
    plan.edit(look).last = true;
    plan.conflict(grow, shrink);
    plan
}

/// How often each test has run to its end for its verdict.
fn complete(case: &Case, records: &[Record]) -> BTreeMap<(CellIx, TestIx), u32> {
    let mut planned: Vec<_> = case.schedule.lives.iter().cloned().collect();
    let mut times = BTreeMap::new();
    for record in records {
        match &record.event {
            Event::LifeAdded { planned: of, .. } => planned.push((**of).clone()),
            Event::ExecutionEnded {
                life,
                test,
                ending: Ending::Passed | Ending::Failed(_),
                ..
            } => {
                let of = &planned[life.0 as usize];
                let execution = of.executions.iter().find(|it| it.test == *test).unwrap();
                if !execution.setup && !case.plan.body.tests[*test].last {
                    *times.entry((of.cell, *test)).or_default() += 1;
                }
            }
            _ => {}
        }
    }
    times
}

/// Kills the controller after `dies_at` records, and lets another one go on to the end.
async fn survives(plan: PlanBuilder, script: &str, dies_at: usize, all_kept: bool) -> bool {
    let case = Case::new(plan, script);
    let left = case.until(&[], dies_at).await;
    if left.outcome.is_some() {
        return false;
    }
    let kept = match all_kept {
        true => left.records.len(),
        false => left.committed,
    };
    let before = &left.records[..kept];
    if before.is_empty() {
        // Nothing was done yet: not even that there is a run is known.
        assert_eq!(case.machines.live(), Vec::<String>::new());
        return true;
    }
    if matches!(before.last().unwrap().event, Event::RunEnded { .. }) {
        assert_eq!(case.machines.live(), Vec::<String>::new());
        return true;
    }
    // Others may look for it much later.
    tokio::time::advance(Duration::from_secs(3)).await;
    let after = case.until(before, usize::MAX).await;
    let outcome = after.outcome.expect("nobody kills the second one");
    assert_eq!(outcome.report.exit, ExitCode::Ok, "{dies_at}");
    assert_eq!(case.machines.live(), Vec::<String>::new(), "{dies_at}");
    assert!(outcome.machines_left.is_empty());
    let all: Vec<Record> = before.iter().chain(&after.records).cloned().collect();
    let verdicts = case.verdicts(&all);
    assert_eq!(verdicts.len(), case.plan.body.test_runs());
    for (run, verdict) in case.verdicts(before) {
        assert_eq!(verdicts[&run], verdict, "{dies_at}: {run:?}");
    }
    for (run, times) in complete(&case, &all) {
        assert_eq!(times, 1, "{dies_at}: {run:?}");
    }
    true
}

#[tokio::test(start_paused = true)]
async fn whenever_the_controller_dies_another_one_ends_the_run() {
    let mut dies_at = 1;
    while survives(forty_machines(), "", dies_at, true).await {
        dies_at += 1;
    }
    assert!(dies_at > 350, "{dies_at} events");
}

#[tokio::test(start_paused = true)]
async fn so_does_one_that_knows_only_what_was_sure_to_be_kept() {
    let mut dies_at = 1;
    while survives(forty_machines(), "", dies_at, false).await {
        dies_at += 3;
    }
    assert!(dies_at > 350, "{dies_at} events");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_between_two_controllers_changes_nothing() {
    const YEAR_MS: u64 = 365 * 86_400_000;
    for shown_unix_ms in [0, BEGAN_UNIX_MS - YEAR_MS, BEGAN_UNIX_MS + YEAR_MS] {
        let case = Case::new(forty_machines(), "");
        let left = case.until(&[], 200).await;
        assert!(left.outcome.is_none());
        let shown = WallTime::from_unix_ms(shown_unix_ms);
        let after = case.until_from(&left.records, usize::MAX, shown).await;
        let outcome = after.outcome.expect("nobody kills the second one");
        assert_eq!(outcome.report.exit, ExitCode::Ok);
        assert_eq!(case.machines.live(), Vec::<String>::new());
        let times = left.records.iter().chain(&after.records);
        assert!(times.map(|record| record.at_ms).is_sorted());
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_outlives_any_number_of_controllers() {
    let case = Case::new(forty_machines(), "");
    let mut records = case.until(&[], 120).await.records;
    for _ in 0..5 {
        let left = case.until(&records, 90).await;
        assert!(left.outcome.is_none());
        records.extend(left.records);
    }
    let after = case.until(&records, usize::MAX).await;
    let outcome = after.outcome.expect("nobody kills the last one");
    assert_eq!(outcome.report.exit, ExitCode::Ok);
    assert_eq!(case.machines.live(), Vec::<String>::new());
}
