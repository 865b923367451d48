//! The dispatcher: the only owner of a run's state.
//!
//! One loop with one `select!`; whatever comes in is handled synchronously, to its end, before the
//! next. Lives run as tasks of their own (`executor`) and talk to it by messages alone. Every
//! event is recorded before the call it announces.

mod candidate;
mod crash;
mod failures;
mod held;
mod log;
mod purse;
mod run_end;
pub(crate) mod setup;
mod takeover;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dva_plan::document::Loaded;
use dva_plan::plan::TestIx;
use dva_plan::schedule::LifeIx;
use dva_plan::table::Index;
use dva_plan::verdict::SkipReason;
use dva_plan::{ExecutionPlan, FailureClass, RunId, Schedule};
use tokio::sync::mpsc;
use tokio::task::{self, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::error;

use crate::capability::{Unsupported, unsupported};
use crate::clock;
use crate::entries::{WithoutEntry, without_entry};
use crate::environment::RunMark;
use crate::event::{Ending, Event, Record, StopCause, Stopping};
use crate::executor::{Ask, Life, Message, Order};
use crate::inputs::Inputs;
use crate::journal::Journal;
use crate::mask::Mask;
use crate::options::{Keep, MachineKept, MachineLeft, RunOptions, RunOutcome, StopSignal};
use crate::provider::{Backend, MachineToken, Provider};
use crate::report::into_report;
use crate::secrets::Secrets;
use crate::state::{ExecutionState, GateState, Gates, IllegalEvent, LifePhase, RunState};
use failures::Failures;
use held::Held;
use purse::Purse;

/// Runs `plan` by `schedule` on `backend` to its end, with a verdict for every test run and every
/// machine released, whatever happens to them.
///
/// # Panics
/// If the schedule is none of this plan, see [`RunState::new`]; then nothing was started. If the
/// observer panics, or we have broken our own rules; then the machines were released before.
///
/// # Cancellation
/// Dropping the future leaves machines behind. A run is stopped by [`RunOptions::stop`].
pub async fn run(
    plan: &Loaded<ExecutionPlan>,
    schedule: Schedule,
    backend: Backend,
    options: RunOptions,
) -> RunOutcome {
    let (outbox, inbox) = mpsc::unbounded_channel();
    let dispatcher = Dispatcher::new(plan, schedule, backend, options, outbox);
    let digest = plan.header.digest.clone();
    let begin = |mut dispatcher: Dispatcher| {
        dispatcher.begin(&digest);
        dispatcher
    };
    guarded(begin(dispatcher), inbox).await
}

/// Goes on with a run whose controller has died, from the `records` of its journal: what has a verdict keeps
/// it, machines on which nothing has been done are adopted, all others are ended, and what they have left
/// open is run on further ones, with what it is `after` as setup. Machines of the run that no record tells of
/// are ended first.
///
/// `options` are those of this controller: `started` is now. The secrets and inputs have to be given again.
///
/// # Errors
/// [`IllegalEvent`] where the records are none of this plan and schedule, or of a run that is over.
///
/// # Panics
/// As [`run`].
///
/// # Cancellation
/// As [`run`].
pub async fn resume(
    plan: &Loaded<ExecutionPlan>,
    schedule: Schedule,
    records: &[Record],
    backend: Backend,
    options: RunOptions,
) -> Result<RunOutcome, IllegalEvent> {
    let (outbox, inbox) = mpsc::unbounded_channel();
    let mut dispatcher = Dispatcher::new(plan, schedule, backend, options, outbox);
    dispatcher.take_over(records)?;
    dispatcher.end_strays().await;
    Ok(guarded(dispatcher, inbox).await)
}

/// Runs to the end; if we panic, ends all machines that there may be, and panics then.
async fn guarded(
    mut dispatcher: Dispatcher,
    inbox: mpsc::UnboundedReceiver<(LifeIx, Message)>,
) -> RunOutcome {
    let provider = Arc::clone(&dispatcher.backend.provider);
    let limit = dispatcher.options.limits.release;
    let run = dispatcher.options.run.clone();
    let lives = Arc::clone(&dispatcher.known_lives);
    // A task of its own, so that a panic ends here; a set, so that it ends with this future.
    let mut task = JoinSet::new();
    task.spawn(async move {
        dispatcher.dispatch(inbox).await;
        dispatcher.end_at_provider().await;
        dispatcher.end().await
    });
    match task.join_next().await {
        Some(Ok(outcome)) => outcome,
        Some(Err(error)) => {
            let tokens = 0..lives.load(Ordering::SeqCst);
            let tokens = tokens.map(|life| MachineToken::new(&run, life)).collect();
            release_all(&provider, tokens, &run, limit).await;
            match error.try_into_panic() {
                Ok(payload) => resume_unwind(payload),
                Err(error) => panic!("nobody else ends the dispatcher's task: {error}"),
            }
        }
        None => unreachable!("the set holds one task"),
    }
}

/// Releases what a dispatcher that has panicked may have started. Tokens of machines that never were
/// do no harm. What the run has made beside them is ended where no machine is left.
async fn release_all(
    provider: &Arc<dyn Provider>,
    tokens: Vec<MachineToken>,
    run: &RunId,
    limit: Duration,
) {
    let mut releases = JoinSet::new();
    for token in tokens {
        let provider = Arc::clone(provider);
        releases.spawn(async move {
            let released = timeout(limit, provider.release_token(&token)).await;
            if !matches!(released, Ok(Ok(()))) {
                error!(%token, "a machine may still be there");
                return false;
            }
            true
        });
    }
    let mut are_gone = true;
    while let Some(is_gone) = releases.join_next().await {
        are_gone &= is_gone.unwrap_or(false);
    }
    if !are_gone {
        return;
    }
    // A task of its own, so that a provider that panics does not hide why we are here.
    let (provider, run) = (Arc::clone(provider), run.clone());
    let mut end = JoinSet::new();
    end.spawn(async move { run_end::end_run(&*provider, &run, limit).await });
    if let Some(Ok(Err(message))) = end.join_next().await {
        error!(message, "something of the run may still be there");
    }
}

struct Dispatcher {
    state: RunState,
    backend: Backend,
    options: RunOptions,
    /// The journal of the run folder.
    journal: Option<Box<dyn Journal>>,
    folder_problem: Option<String>,
    origin: Instant,
    mark: RunMark,
    inputs: Arc<Inputs>,
    secrets: Arc<Secrets>,
    /// The plan as lives get it: with its setup as one more test, this one.
    with_setup: Arc<ExecutionPlan>,
    setup: Option<TestIx>,
    /// The gates as they stood when a life last ended.
    gates: Gates,
    /// Hides them in all that is recorded.
    mask: Option<Arc<Mask>>,
    outbox: mpsc::UnboundedSender<(LifeIx, Message)>,
    /// Lives to be launched, each when its time has come: by that time, which is 0 where none is waited for.
    unlaunched: BTreeSet<(u64, LifeIx)>,
    /// Lives whose machines are there, or may be.
    live: BTreeMap<LifeIx, LiveLife>,
    tasks: JoinSet<()>,
    lives_of_tasks: HashMap<task::Id, LifeIx>,
    /// What waits for the journal: no provider is asked for anything that the journal might not know.
    held: Vec<Held>,
    /// When the clock of this controller began, in milliseconds since the start of the run.
    base_ms: u64,
    /// How many lives there may be.
    known_lives: Arc<AtomicU32>,
    /// Machines of this run that no record told of, and that could not be ended.
    strays: Vec<MachineLeft>,
    /// Whether there were such.
    found_strays: bool,
    /// What is left of the limit on cost, where there is one.
    purse: Option<Purse>,
    /// Whether a life that could be launched waits until another one has ended, whose cost is known then.
    waits_for_money: bool,
    /// When lives are ended, because their machines end themselves soon after.
    endings: BTreeSet<(Instant, LifeIx)>,
    failures: Failures,
}

/// A life that has a task.
struct LiveLife {
    life: Arc<Life>,
    orders: mpsc::UnboundedSender<Order>,
    /// Whether the journal knows that tests have been started on it.
    in_use: bool,
    /// Whether its task has panicked and another one is releasing the machine.
    crashed: bool,
}

impl Dispatcher {
    fn new(
        plan: &Loaded<ExecutionPlan>,
        schedule: Schedule,
        backend: Backend,
        mut options: RunOptions,
        outbox: mpsc::UnboundedSender<(LifeIx, Message)>,
    ) -> Self {
        let state = RunState::new(Arc::new(plan.body.clone()), Arc::new(schedule));
        let journal = options
            .folder
            .as_mut()
            .and_then(|folder| folder.journal())
            .map(|journal| Box::new(journal) as Box<dyn Journal>);
        let inputs = Arc::new(std::mem::take(&mut options.inputs));
        let secrets = Arc::new(std::mem::take(&mut options.secrets));
        let (with_setup, setup) = setup::with_setup(state.plan());
        let lives = u32::try_from(state.schedule().lives.len()).unwrap_or(u32::MAX);
        Self {
            with_setup,
            setup,
            gates: state.gates(),
            mask: Mask::of(secrets.values()).map(Arc::new),
            inputs,
            secrets,
            unlaunched: BTreeSet::new(),
            state,
            backend,
            options,
            journal,
            folder_problem: None,
            origin: Instant::now(),
            mark: RunMark::new(clock::random()),
            outbox,
            live: BTreeMap::new(),
            tasks: JoinSet::new(),
            lives_of_tasks: HashMap::new(),
            held: Vec::new(),
            base_ms: 0,
            known_lives: Arc::new(AtomicU32::new(lives)),
            strays: Vec::new(),
            found_strays: false,
            purse: None,
            waits_for_money: false,
            endings: BTreeSet::new(),
            failures: Failures::default(),
        }
    }

    fn know_lives(&self) {
        let lives = u32::try_from(self.state.schedule().lives.len()).unwrap_or(u32::MAX);
        self.known_lives.store(lives, Ordering::SeqCst);
    }

    fn begin(&mut self, plan_digest: &str) {
        self.record(Event::RunStarted {
            run: self.options.run.clone(),
            plan: self.state.plan().name.clone(),
            plan_digest: plan_digest.to_owned(),
            provider: self.backend.provider.name().to_owned(),
            started_unix_ms: self.options.started.unix_ms(),
        });
        let plan = Arc::clone(self.state.plan());
        let mut skipped = BTreeSet::new();
        for Unsupported {
            cell,
            test,
            message,
        } in unsupported(&plan, &*self.backend.provider)
        {
            skipped.insert((cell, test));
            self.record(Event::TestSkipped {
                cell,
                test,
                reason: SkipReason::Unsupported,
                message,
            });
        }
        for WithoutEntry {
            cell,
            test,
            message,
        } in without_entry(&plan)
        {
            if skipped.insert((cell, test)) {
                self.record(Event::TestSkipped {
                    cell,
                    test,
                    reason: SkipReason::Data,
                    message,
                });
            }
        }
        self.open_purse();
        for life in self.state.schedule().lives.indices() {
            self.launch_later(life);
        }
        self.heed_gates();
        self.launch();
    }

    /// Handles what comes, one thing after the other, until the run is over.
    async fn dispatch(&mut self, mut inbox: mpsc::UnboundedReceiver<(LifeIx, Message)>) {
        let mut stop = self.options.stop.clone();
        let signal = *stop.borrow_and_update();
        self.on_signal(signal);
        let mut heeds_stop = true;
        let limit_ms = self.state.plan().policy.limits.elapsed_ms;
        let limit = limit_ms.map(|limit_ms| self.instant(limit_ms));
        self.release_held().await;
        while !self.is_over() {
            let limit = limit.filter(|_| self.state.stopping() != Some(Stopping::Now));
            let launch = self.next_launch();
            let ending = self.endings.first().map(|(at, _)| *at);
            tokio::select! {
                biased;
                changed = stop.changed(), if heeds_stop => match changed {
                    Ok(()) => {
                        let signal = *stop.borrow_and_update();
                        self.on_signal(signal);
                    }
                    Err(_) => heeds_stop = false,
                },
                Some((life, message)) = inbox.recv() => self.on_message(life, message),
                Some(ended) = self.tasks.join_next_with_id() => {
                    // What the task said before it ended comes first.
                    while let Ok((life, message)) = inbox.try_recv() {
                        self.on_message(life, message);
                    }
                    match ended {
                        Ok((task, ())) => self.on_task_end(task),
                        Err(error) => self.on_task_crash(error),
                    }
                }
                () = sleep_until(limit.unwrap_or_else(Instant::now)), if limit.is_some() => {
                    self.stop(Stopping::Now, StopCause::Limit(limit_ms.unwrap_or_default()));
                }
                () = sleep_until(ending.unwrap_or_else(Instant::now)), if ending.is_some() => {
                    self.end_in_time();
                }
                () = sleep_until(launch.unwrap_or_else(Instant::now)), if launch.is_some() => {
                    self.launch();
                }
            }
            // What has come meanwhile needs no wait of its own.
            while let Ok((life, message)) = inbox.try_recv() {
                self.on_message(life, message);
            }
            self.release_held().await;
        }
    }

    fn is_over(&self) -> bool {
        self.live.is_empty() && self.unlaunched.is_empty()
    }

    async fn end(mut self) -> RunOutcome {
        let exit = self.state.exit();
        self.record(Event::RunEnded { exit });
        self.rest();
        if let Err(error) = self.options.journal.commit().wait().await {
            self.folder_problem
                .get_or_insert(format!("the journal: {error}"));
        }
        let mut machines_left: Vec<MachineLeft> = self
            .state
            .lives()
            .enumerate()
            .filter_map(|(index, life)| {
                Some(MachineLeft {
                    token: token(&self.options, index),
                    id: life.id().map(str::to_owned),
                    message: life.release_problem()?.to_owned(),
                })
            })
            .collect();
        machines_left.append(&mut self.strays);
        let kept = self
            .state
            .lives()
            .enumerate()
            .filter(|(_, life)| life.phase() == LifePhase::Kept)
            .map(|(index, life)| {
                let cell = self.state.schedule().lives[index].cell;
                MachineKept {
                    token: token(&self.options, index),
                    cell: self.state.plan().cells[cell].id.clone(),
                    id: life.id().unwrap_or_default().to_owned(),
                }
            })
            .collect();
        let left_at_provider = self.state.left_at_provider().map(str::to_owned);
        #[expect(clippy::expect_used, reason = "the first event was recorded")]
        let report = into_report(self.state).expect("the run has started");
        if let Some(folder) = &self.options.folder
            && let Err(error) = folder.write_report(&report)
        {
            let problem = format!("The report could not be written: {error}.");
            self.folder_problem.get_or_insert(problem);
        }
        RunOutcome {
            report,
            machines_left,
            left_at_provider,
            kept,
            folder_problem: self.folder_problem,
        }
    }

    /// How many machines there may be at once.
    fn most_machines(&self) -> usize {
        let own = self.options.machines.map_or(usize::MAX, |most| most.get());
        let of_plan = self.state.plan().policy.limits.machines;
        let of_plan = of_plan.and_then(|most| usize::try_from(most).ok());
        own.min(of_plan.unwrap_or(usize::MAX))
    }

    /// Whether lives are launched as soon as gates and the limit of machines allow. Their times in the
    /// schedule say then when that should be.
    fn launches_early(&self) -> bool {
        let policy = &self.state.plan().policy;
        policy.limits.machines.is_some() || !policy.gates.is_empty()
    }

    /// Looks at the gates anew: gives up the cells behind those that are shut, and what waits for these in
    /// turn.
    fn heed_gates(&mut self) {
        if self.state.plan().policy.gates.is_empty() {
            return;
        }
        loop {
            self.gates = self.state.gates();
            let shut = self.unlaunched.iter().find_map(|(_, life)| {
                match self.state.gate_of(&self.gates, *life) {
                    GateState::Shut(cell, test) if self.state.is_wanted(*life) => {
                        Some((self.state.schedule().lives[*life].cell, cell, test))
                    }
                    GateState::Shut(..) | GateState::Open | GateState::Closed => None,
                }
            });
            let Some((cell, by, test)) = shut else {
                break;
            };
            let (gate, message) = self.state.blocked_by(by, test);
            self.record(Event::CellBlocked {
                cell,
                gate,
                message,
            });
        }
        self.unlaunched
            .retain(|(_, life)| self.state.is_wanted(*life));
    }

    /// Launches what is to be launched by now.
    fn launch(&mut self) {
        if self.waits_for_money {
            return;
        }
        let now_ms = self.now_ms();
        let most = self.most_machines();
        let due: Vec<_> = self
            .unlaunched
            .iter()
            .copied()
            .take_while(|(due_ms, _)| *due_ms <= now_ms)
            .filter(|(_, life)| self.state.gate_of(&self.gates, *life) == GateState::Open)
            .take(most.saturating_sub(self.live.len()))
            .collect();
        let (due, unwanted): (Vec<_>, Vec<_>) = due
            .into_iter()
            .map(|(_, life)| life)
            .partition(|life| self.state.is_wanted(*life));
        for life in unwanted {
            self.launch_never(life);
        }
        self.launch_affordable(&due);
    }

    /// When the next life is to be launched that nothing but time keeps waiting.
    fn next_launch(&self) -> Option<Instant> {
        let waits = self.waits_for_money || self.live.len() >= self.most_machines();
        if waits || self.launches_early() {
            return None;
        }
        let (due_ms, _) = self.unlaunched.first()?;
        Some(self.instant(*due_ms))
    }

    /// The life is launched when its time has come.
    fn launch_later(&mut self, life: LifeIx) {
        self.unlaunched.insert((self.due_ms(life), life));
    }

    /// The life is not to be launched any more.
    fn launch_never(&mut self, life: LifeIx) {
        self.unlaunched.remove(&(self.due_ms(life), life));
    }

    /// When the time of a life has come, in milliseconds since the start of the run.
    fn due_ms(&self, life: LifeIx) -> u64 {
        match self.launches_early() {
            true => 0,
            false => self.state.schedule().lives[life].launch_ms,
        }
    }

    /// When this controller's clock shows so many milliseconds since the start of the run.
    fn instant(&self, at_ms: u64) -> Instant {
        self.origin + Duration::from_millis(at_ms.saturating_sub(self.base_ms))
    }

    /// Launches a life whose machine ends itself in time, where the cost is limited.
    fn launch_life(&mut self, index: LifeIx, within_ms: Option<u64>) {
        self.launch_never(index);
        let token = token(&self.options, index);
        self.record(Event::LifeLaunching {
            life: index,
            token: token.to_string(),
            within_ms,
        });
        let (orders, received) = mpsc::unbounded_channel();
        self.enter(index, orders);
        self.held.push(Held::Begin(index, received));
    }

    /// The life has a machine from now on, or may have.
    fn enter(&mut self, index: LifeIx, orders: mpsc::UnboundedSender<Order>) {
        let planned = self.state.schedule().lives[index].clone();
        let lifetime = self.lifetime(index);
        let again = planned.executions.iter().map(|execution| execution.test);
        let again = again.filter(|test| self.state.has_run(planned.cell, *test));
        let life = Arc::new(Life {
            index,
            first: Ask {
                machine: self.state.lives()[index].asked(),
                lifetime,
            },
            again: again.collect(),
            plan: Arc::clone(&self.with_setup),
            setup: self.setup,
            planned: planned.clone(),
            run: self.options.run.clone(),
            token: token(&self.options, index),
            mark: self.mark,
            backend: self.backend.clone(),
            limits: self.options.limits,
            patterns: Arc::clone(&self.options.console),
            folder: self.folder_path(),
            logs_made: Arc::default(),
            inputs: Arc::clone(&self.inputs),
            secrets: Arc::clone(&self.secrets),
            mask: self.mask.clone(),
        });
        let live = LiveLife {
            life,
            orders,
            in_use: false,
            crashed: false,
        };
        self.live.insert(index, live);
    }

    fn folder_path(&self) -> Option<PathBuf> {
        let folder = self.options.folder.as_ref()?;
        Some(folder.path().to_owned())
    }

    fn on_message(&mut self, life: LifeIx, message: Message) {
        let phase = self.state.lives()[life].phase();
        let releasing = phase == LifePhase::Releasing;
        match message {
            // Said before the order to end the life had arrived.
            Message::Refused { .. }
            | Message::Acquired { .. }
            | Message::BootWarned(_)
            | Message::SetUp(_)
            | Message::Ready
            | Message::Failed { .. }
                if releasing => {}
            Message::Acquired { id, machine } => {
                self.record(Event::LifeAcquired { life, id, machine });
                self.know_cost(life);
            }
            Message::BootWarned(message) => self.record(Event::BootWarned { life, message }),
            Message::SetUp(steps) => self.record(Event::LifeSetUp { life, steps }),
            Message::Ready => self.record(Event::LifeReady { life }),
            // It was ended for its cost, and its machine has gone in the same moment.
            Message::Failed { .. } | Message::Refused { .. }
                if self.state.lives()[life].trouble().is_some() => {}
            Message::Failed { .. } | Message::Refused { .. } if self.is_out_of_time(life) => {
                self.end_early(life);
            }
            Message::Refused { trouble, message } => self.ask_another(life, trouble, message),
            Message::Failed { trouble, message } => self.record(Event::LifeFailed {
                life,
                trouble,
                message,
            }),
            Message::Ended(ended) => self.record(Event::ExecutionEnded {
                life,
                test: ended.test,
                ending: ended.ending,
                message: ended.message,
                steps: ended.steps,
            }),
            Message::Console { lines, file } => {
                self.record(Event::ConsoleRead { life, lines, file });
            }
            Message::ProcessesLeft { test, names } => {
                self.record(Event::ProcessesLeft { life, test, names });
            }
            Message::Kept(lifetime) => {
                self.live.remove(&life);
                let for_ms = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
                self.record(Event::LifeKept { life, for_ms });
            }
            Message::Released(Ok(())) => {
                self.live.remove(&life);
                self.record(Event::LifeEnded { life });
            }
            Message::Released(Err(message)) => {
                self.live.remove(&life);
                self.record(Event::ReleaseFailed { life, message });
            }
        }
        self.heed_failures();
        self.advance(life);
        self.advance_others(life);
        if !self.live.contains_key(&life) {
            self.settle_cost(life);
            self.heed_gates();
        }
        self.launch();
        self.heed_folder();
    }

    /// Starts on a life what can start, or releases it where nothing is left to do.
    fn advance(&mut self, life: LifeIx) {
        for (test, lane) in self.state.startable(life) {
            self.record(Event::ExecutionStarted { life, test, lane });
            // A controller that takes over has to know that the machine is not as new any more, and of what must
            // not run again.
            let in_use = self.live.get(&life).is_some_and(|live| live.in_use);
            match !in_use || self.state.plan().tests[test].once {
                true => self.held.push(Held::Order(life, Order::Start(test))),
                false => self.order(life, Order::Start(test)),
            }
        }
        if self.state.is_done(life) {
            self.settle(life);
            let keep = self.keeps(life).then_some(self.options.keep_for);
            self.record(Event::LifeReleasing { life });
            self.held.push(Held::Order(life, Order::End { keep }));
        }
    }

    /// Nothing happens on the life any more: what it has left open gets a further one, or is judged.
    fn settle(&mut self, life: LifeIx) {
        self.heed_breaker(life);
        if let Some(planned) = self.state.further_life(life, self.options.after_loss) {
            let added = LifeIx::from_row(self.state.schedule().lives.len());
            self.record(Event::LifeAdded {
                life: added,
                planned: Box::new(planned),
                instead_of: life,
            });
            self.launch_later(added);
            self.know_lives();
        }
        if !self.state.left_open(life).is_empty() {
            self.record(Event::TestsGivenUp { life });
        }
    }

    /// Starts on other lives than `life` what may have waited for it to leave a state of the account.
    fn advance_others(&mut self, life: LifeIx) {
        if !self.state.has_account_limits() {
            return;
        }
        let others: Vec<_> = self
            .live
            .keys()
            .copied()
            .filter(|other| *other != life)
            .collect();
        for other in others {
            self.advance(other);
        }
    }

    /// Whether the machine of a life that is over is to live on.
    fn keeps(&self, life: LifeIx) -> bool {
        let state = &self.state.lives()[life];
        let is_failure = |execution: &ExecutionState| {
            matches!(
                execution,
                ExecutionState::Ended {
                    ending: Ending::Failed(_) | Ending::Errored(_),
                    ..
                }
            )
        };
        let wanted = match self.options.keep {
            Keep::Never => false,
            Keep::OnFailure => {
                state.trouble().is_some() || state.executions().iter().any(is_failure)
            }
            Keep::Always => true,
        };
        wanted && state.id().is_some() && self.can_pay_for_keeping(life)
    }

    fn order(&self, life: LifeIx, order: Order) {
        if let Some(live) = self.live.get(&life) {
            // A task that has panicked hears nothing; its end arrives as a message of its own.
            let _ = live.orders.send(order);
        }
    }

    fn on_signal(&mut self, signal: StopSignal) {
        match signal {
            StopSignal::Run => {}
            StopSignal::Finish => self.stop(Stopping::Finish, StopCause::Asked),
            StopSignal::Now => self.stop(Stopping::Now, StopCause::Asked),
        }
        self.heed_folder();
    }

    fn stop(&mut self, how: Stopping, why: StopCause) {
        if self.state.stopping() >= Some(how) {
            return;
        }
        let ending = match why {
            StopCause::Asked | StopCause::Limit(_) | StopCause::Failures(_) => Ending::Interrupted,
            StopCause::RunFolder(_) => Ending::Errored(FailureClass::RunFolder),
        };
        self.record(Event::Stopping { how, why });
        self.unlaunched.clear();
        let lives: Vec<_> = self.live.keys().copied().collect();
        for life in lives {
            if how == Stopping::Now {
                self.order(life, Order::Cut(ending));
            }
            self.advance(life);
        }
    }

    /// A run whose events cannot be written must not go on: what it starts could not be found again.
    fn heed_folder(&mut self) {
        if let Some(problem) = &self.folder_problem {
            self.stop(Stopping::Now, StopCause::RunFolder(problem.clone()));
        }
    }

    /// Checks, keeps and shows an event. No secret gets past here.
    fn record(&mut self, event: Event) {
        if let Err(refused) = self.try_record(event) {
            let (illegal, record) = *refused;
            panic!("the dispatcher keeps the rules of the state: {illegal}: {record:?}");
        }
    }

    /// The same of an event that depends on what somebody else has recorded; nothing is kept of one that cannot
    /// be.
    fn try_record(&mut self, mut event: Event) -> Result<(), Box<(IllegalEvent, Record)>> {
        if let Some(mask) = &self.mask {
            event.map_texts(&|text| mask.text(text));
        }
        log::tell(&event);
        let record = Record {
            at_ms: self.now_ms(),
            event,
        };
        if let Err(illegal) = self.state.apply(&record) {
            return Err(Box::new((illegal, record)));
        }
        if self.folder_problem.is_none()
            && let Err(error) = self.append(&record)
        {
            self.folder_problem = Some(format!("events.jsonl: {error}"));
        }
        let Record { at_ms, event } = &record;
        self.options.observer.event(*at_ms, event, &self.state);
        Ok(())
    }

    fn append(&mut self, record: &Record) -> std::io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.append(record)?;
        }
        self.options.journal.append(record)
    }

    fn now_ms(&self) -> u64 {
        let own_ms = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.base_ms.saturating_add(own_ms)
    }
}

fn token(options: &RunOptions, life: LifeIx) -> MachineToken {
    MachineToken::new(&options.run, life.0)
}
