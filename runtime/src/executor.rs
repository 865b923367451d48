//! Executors: one task per life. It gets a machine, gets in, runs what it is told to, and gets rid of
//! the machine again, whatever happened.
//!
//! It decides nothing: the dispatcher orders, the executor obeys and says what came of it. Only the
//! values that tests captured stay here, since no other life may read them.

mod console;
mod machine;
mod throttle;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dva_plan::plan::{Machine, MachineIx, TestIx};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::table::Index;
use dva_plan::{ExecutionPlan, FailureClass, RunId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::{debug, warn};

use crate::console::ConsolePatterns;
use crate::environment::{self, ExecutionMark, Root, RunMark};
use crate::event::{Ending, LifeTrouble};
use crate::execution::{self, Execution, ExecutionEnd, Slots};
use crate::folder::{CollectedFiles, LogFiles, Occasion};
use crate::guest::{self, Guest, Witness};
use crate::inputs::Inputs;
use crate::mask::Mask;
use crate::options::Limits;
use crate::provider::{AcquiredMachine, Backend, MachineToken};
use crate::secrets::Secrets;
use machine::NotAcquired;
pub(crate) use machine::{RELEASE_ATTEMPTS, RELEASE_PAUSE, longest, source};

/// How many working directories are removed by one command: each one alone would cost the machine as much
/// as a short test.
const FOLDERS_AT_ONCE: usize = 16;
/// How many are made by one command: their names together stay far below what a command may hold.
const FOLDERS_MADE_AT_ONCE: usize = 512;
/// How long making them may take. What is not made by then is made by the steps themselves.
const MAKING: Duration = Duration::from_secs(5);
/// How long the last look at a machine may take, how long tidying it up may, and how long that may where
/// the run is to end at once.
const LAST_LOOK: Duration = Duration::from_secs(10);
const TIDYING: Duration = Duration::from_secs(5);
const PARTING: Duration = Duration::from_secs(2);

/// One life, as its executor needs to know it.
pub(crate) struct Life {
    pub index: LifeIx,
    /// Tests of it that have run on another life before.
    pub again: BTreeSet<TestIx>,
    /// The plan, with its setup as one more test.
    pub plan: Arc<ExecutionPlan>,
    /// That test.
    pub setup: Option<TestIx>,
    pub planned: PlannedLife,
    pub run: RunId,
    pub token: MachineToken,
    pub mark: RunMark,
    pub backend: Backend,
    pub limits: Limits,
    /// What is asked for first.
    pub first: Ask,
    /// What is looked for on its console.
    pub patterns: Arc<ConsolePatterns>,
    /// The run folder.
    pub folder: Option<PathBuf>,
    /// Whether the folder of its logs is there.
    pub logs_made: Arc<OnceLock<()>>,
    pub inputs: Arc<Inputs>,
    pub secrets: Arc<Secrets>,
    /// Hides them.
    pub mask: Option<Arc<Mask>>,
}

impl Life {
    /// Who knows of its machine when it does not answer.
    fn witness(&self) -> Witness {
        Witness {
            backend: self.backend.clone(),
            token: self.token.clone(),
            patterns: Arc::clone(&self.patterns),
            mask: self.mask.clone(),
        }
    }
}

/// What a provider is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The machine.
    pub machine: MachineIx,
    /// After how long it ends itself.
    pub lifetime: Duration,
}

/// What an executor is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Ask for this machine. Only after [`Message::Refused`].
    Ask(Ask),
    /// Run this test. Only after [`Message::Ready`], and not after a cut.
    Start(TestIx),
    /// Cut short what runs; it ends like this.
    Cut(Ending),
    /// Nothing runs: release the machine, or let it live on for so long. The last order.
    End {
        /// How long it lives on.
        keep: Option<Duration>,
    },
}

/// What an executor says.
#[derive(Debug)]
pub(crate) enum Message {
    /// There is no machine like the one that was asked for. Waits for the next one to ask for.
    Refused {
        trouble: LifeTrouble,
        message: String,
    },
    /// The machine was started.
    Acquired { id: String, machine: Box<Machine> },
    /// It has booted, but not all that it does by itself went well.
    BootWarned(String),
    /// What the steps of the setup did.
    SetUp(Vec<dva_plan::report::StepReport>),
    /// Tests can start.
    Ready,
    /// The life is of no more use. Every execution that runs will still end.
    Failed {
        trouble: LifeTrouble,
        message: String,
    },
    /// An execution has ended.
    Ended(EndedExecution),
    /// What its console has said that somebody should look at, and the file where all of it is.
    Console {
        lines: Vec<String>,
        file: Option<String>,
    },
    /// Processes that a test has left.
    ProcessesLeft { test: TestIx, names: Vec<String> },
    /// The machine lives on for so long. The last message.
    Kept(Duration),
    /// The machine is gone, or why it may not be. The last message.
    Released(Result<(), String>),
}

/// An execution that has ended.
#[derive(Debug)]
pub(crate) struct EndedExecution {
    pub test: TestIx,
    pub ending: Ending,
    pub message: String,
    pub steps: Vec<dva_plan::report::StepReport>,
}

/// Lives one life: from the provider's call to start its machine to the one that ends it.
pub(crate) async fn live(
    life: Arc<Life>,
    orders: mpsc::UnboundedReceiver<Order>,
    messages: mpsc::UnboundedSender<(LifeIx, Message)>,
) {
    let executor = Executor { life, messages };
    let mut orders = Orders(orders);
    let keep = match executor.begin(&mut orders).await {
        Begun::Ready(guest) => {
            executor.say(Message::Ready);
            let (keep, look) = executor.work(&guest, &mut orders).await;
            executor.look_at_console(look).await;
            keep
        }
        Begun::Failed(trouble, message) => {
            executor.say(Message::Failed { trouble, message });
            let keep = orders.ended().await;
            executor.look_at_console(LastLook::ToKeep).await;
            keep
        }
        Begun::NoMachine(trouble, message) => {
            executor.say(Message::Failed { trouble, message });
            orders.ended().await
        }
        Begun::Cancelled(keep) => keep,
    };
    executor.end(keep).await;
}

/// Only ends the machine: for a life whose own task has panicked.
pub(crate) async fn release_only(
    life: Arc<Life>,
    messages: mpsc::UnboundedSender<(LifeIx, Message)>,
) {
    Executor { life, messages }.release().await;
}

struct Executor {
    life: Arc<Life>,
    messages: mpsc::UnboundedSender<(LifeIx, Message)>,
}

/// How the beginning of a life went.
enum Begun {
    Ready(Arc<Guest>),
    Failed(LifeTrouble, String),
    /// None was started.
    NoMachine(LifeTrouble, String),
    Cancelled(Option<Duration>),
}

/// What the last look at a console is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastLook {
    /// There is none: the machine is to be ended at once.
    None,
    /// For something that somebody should look at.
    ForSigns,
    /// For all of it, since something has failed or could not be judged.
    ToKeep,
}

struct Orders(mpsc::UnboundedReceiver<Order>);

impl Orders {
    /// Returns once the life is to end, and whether the machine is to live on. Nothing runs, so there is
    /// nothing to cut. A dispatcher that is gone wants no machine any more.
    async fn ended(&mut self) -> Option<Duration> {
        loop {
            match self.0.recv().await {
                Some(Order::End { keep }) => return keep,
                Some(Order::Ask(_) | Order::Start(_) | Order::Cut(_)) => {}
                None => return None,
            }
        }
    }

    /// Returns what to ask for next.
    ///
    /// # Errors
    /// As [`Orders::ended`], where there is no next.
    async fn next_ask(&mut self) -> Result<Ask, Option<Duration>> {
        loop {
            match self.0.recv().await {
                Some(Order::Ask(ask)) => return Ok(ask),
                Some(Order::End { keep }) => return Err(keep),
                Some(Order::Start(_) | Order::Cut(_)) => {}
                None => return Err(None),
            }
        }
    }
}

impl Executor {
    fn say(&self, message: Message) {
        // A dispatcher that is gone does not want to know.
        let _ = self.messages.send((self.life.index, message));
    }

    /// Starts the machine and logs in, unless the life is ended before.
    async fn begin(&self, orders: &mut Orders) -> Begun {
        let machine = match self.acquire(orders).await {
            Ok(machine) => machine,
            Err(begun) => return begun,
        };
        let begin = async {
            self.say(Message::Acquired {
                id: machine.id.clone(),
                machine: Box::new(machine.machine.clone()),
            });
            let witness = self.life.witness();
            match Guest::log_in(witness, machine, self.life.limits.connect).await {
                Ok((guest, warning)) => {
                    if let Some(warning) = warning {
                        self.say(Message::BootWarned(warning));
                    }
                    self.set_up(Arc::new(guest)).await
                }
                Err(refused) => Begun::Failed(LifeTrouble::Class(refused.class), refused.message),
            }
        };
        tokio::select! {
            biased;
            keep = orders.ended() => Begun::Cancelled(keep),
            begun = begin => begun,
        }
    }

    /// Starts the machine: the first of those it is told to ask for that is to be had.
    async fn acquire(&self, orders: &mut Orders) -> Result<AcquiredMachine, Begun> {
        let mut ask = self.life.first;
        loop {
            let acquired = tokio::select! {
                biased;
                keep = orders.ended() => return Err(Begun::Cancelled(keep)),
                acquired = machine::acquire(&self.life, ask) => acquired,
            };
            let refused = match acquired {
                Ok(machine) => return Ok(machine),
                Err(refused) => refused,
            };
            let NotAcquired {
                trouble, message, ..
            } = refused;
            if !refused.is_of_its_kind {
                return Err(Begun::NoMachine(trouble, message));
            }
            self.say(Message::Refused { trouble, message });
            ask = orders.next_ask().await.map_err(Begun::Cancelled)?;
        }
    }

    /// Runs the plan's setup, where it has one.
    async fn set_up(&self, guest: Arc<Guest>) -> Begun {
        let life = &self.life;
        let Some(setup) = life.setup else {
            return Begun::Ready(guest);
        };
        let cut = watch::channel(None).0;
        let execution = self.execution(
            setup,
            Occasion::Setup(life.index),
            &guest,
            &Arc::default(),
            &cut,
        );
        let end = execution::execute(execution).await;
        self.say(Message::SetUp(end.steps));
        let failed = |class, message| {
            let trouble = LifeTrouble::Class(class);
            Begun::Failed(
                trouble,
                format!("The setup of the plan did not pass: {message}"),
            )
        };
        match (end.loss, end.ending) {
            // A kernel that gives up is nothing that another machine would do better.
            (Some(loss), Ending::Failed(class)) if class.is_of_console() => {
                failed(class, loss.message)
            }
            (Some(loss), _) => failed(loss.class, loss.message),
            (None, Ending::Passed) => Begun::Ready(guest),
            (
                None,
                Ending::Failed(_) | Ending::Skipped(_) | Ending::Errored(_) | Ending::Interrupted,
            ) => {
                guest.close().await;
                failed(FailureClass::Setup, end.message)
            }
        }
    }

    /// What is needed to run a test on this life.
    fn execution(
        &self,
        test: TestIx,
        occasion: Occasion,
        guest: &Arc<Guest>,
        captured: &Arc<BTreeMap<TestIx, Slots>>,
        cut: &watch::Sender<Option<Ending>>,
    ) -> Execution {
        let life = &self.life;
        let cell = &life.plan.cells[life.planned.cell];
        let id = &life.plan.tests[test].id;
        let folder = life.folder.as_deref();
        Execution {
            plan: Arc::clone(&life.plan),
            cell: life.planned.cell,
            test,
            guest: Arc::clone(guest),
            mark: life.mark.execution(life.index, test),
            captured: Arc::clone(captured),
            logs: folder.map(|folder| LogFiles::new(folder, &cell.id, id, occasion)),
            logs_made: Arc::clone(&life.logs_made),
            collected: folder.map(|folder| CollectedFiles::new(folder, &cell.id, id, occasion)),
            inputs: Arc::clone(&life.inputs),
            secrets: Arc::clone(&life.secrets),
            mask: life.mask.clone(),
            cut: cut.subscribe(),
            finally_limit: life.limits.finally,
        }
    }

    /// Runs tests until the life is to end, then looks at what they have left and logs out. Gives how
    /// long the machine is to live on, and what its console is to be looked at for.
    async fn work(&self, guest: &Arc<Guest>, orders: &mut Orders) -> (Option<Duration>, LastLook) {
        let life = &self.life;
        let setup = life
            .setup
            .map(|setup| life.mark.execution(life.index, setup));
        let mut work = Work {
            executor: self,
            guest,
            cut: watch::channel(None).0,
            captured: Arc::default(),
            executions: JoinSet::new(),
            cleaning: JoinSet::new(),
            unused: BTreeSet::new(),
            used: setup.into_iter().collect(),
            lost: false,
            went_wrong: false,
            started: Vec::new(),
        };
        work.make_folders().await;
        let keep = loop {
            tokio::select! {
                biased;
                order = orders.0.recv() => match order {
                    Some(Order::Ask(_)) => {}
                    Some(Order::Start(test)) => work.start(test),
                    Some(Order::Cut(ending)) => {
                        work.cut.send_replace(Some(ending));
                    }
                    Some(Order::End { keep }) => break keep,
                    None => break None,
                },
                Some(ended) = work.executions.join_next() => match ended {
                    Ok(end) => work.ended(end),
                    Err(error) => match error.try_into_panic() {
                        // Our own panic as well: the dispatcher accounts for it.
                        Ok(payload) => std::panic::resume_unwind(payload),
                        Err(error) => panic!("nobody ends an execution's task: {error}"),
                    },
                },
            }
        };
        let look = work.last_look();
        work.wind_up().await;
        guest.close().await;
        (keep, look)
    }

    /// Lets the machine live on where that is wanted and possible; else ends it.
    async fn end(&self, keep: Option<Duration>) {
        if let Some(lifetime) = keep {
            let life = &self.life;
            let kept = life.backend.provider.keep(&life.token, lifetime);
            match timeout(life.limits.release, kept).await {
                Ok(Ok(())) => return self.say(Message::Kept(lifetime)),
                Ok(Err(error)) => {
                    warn!(target: "dva", token = %life.token, %error, "a machine is not kept");
                }
                Err(_) => {
                    warn!(target: "dva", token = %life.token, "a machine is not kept in time");
                }
            }
        }
        self.release().await;
    }

    /// Ends the machine, and asks again where that fails.
    async fn release(&self) {
        self.say(Message::Released(machine::release(&self.life).await));
    }
}

/// A life at work.
struct Work<'a> {
    executor: &'a Executor,
    guest: &'a Arc<Guest>,
    /// How what runs is to end, once it is to be cut short.
    cut: watch::Sender<Option<Ending>>,
    /// What tests on this life have captured.
    captured: Arc<BTreeMap<TestIx, Slots>>,
    executions: JoinSet<ExecutionEnd>,
    cleaning: JoinSet<()>,
    /// Tests that have not run and whose working directories may be there.
    unused: BTreeSet<TestIx>,
    /// Executions that have ended and whose working directories are still there.
    used: Vec<ExecutionMark>,
    lost: bool,
    /// Whether something has failed, or could not be judged.
    went_wrong: bool,
    started: Vec<TestIx>,
}

impl Work<'_> {
    /// Makes the working directories of all tests at once, where a step alone would have to start a
    /// program for that. Where one is missing later, its steps make it.
    async fn make_folders(&mut self) {
        let Some(link) = self.guest.link().filter(|link| link.root == Root::Direct) else {
            return;
        };
        let life = &self.executor.life;
        let tests: BTreeSet<_> = life.planned.executions.iter().map(|of| of.test).collect();
        let marks: Vec<_> = tests.iter().map(|test| self.mark(*test)).collect();
        self.unused = tests;
        let making = async {
            for marks in marks.chunks(FOLDERS_MADE_AT_ONCE) {
                let command = guest::command(environment::make_folders(link.root, marks));
                // Whatever is wrong with the machine, the first step meets it as well.
                let _ = link.session.exec(command).await;
            }
        };
        let _ = timeout(MAKING, making).await;
    }

    fn last_look(&self) -> LastLook {
        match *self.cut.borrow() {
            Some(Ending::Interrupted) => LastLook::None,
            _ if self.went_wrong => LastLook::ToKeep,
            _ => LastLook::ForSigns,
        }
    }

    fn mark(&self, test: TestIx) -> ExecutionMark {
        let life = &self.executor.life;
        life.mark.execution(life.index, test)
    }

    fn start(&mut self, test: TestIx) {
        let life = &self.executor.life;
        let setup = life
            .planned
            .executions
            .iter()
            .any(|planned| planned.test == test && planned.setup);
        let row = &life.plan.tests[test];
        let id = &row.id;
        let occasion = match (setup, row.last) {
            (true, _) => Occasion::Setup(life.index),
            (false, true) => Occasion::Again(life.index),
            (false, false) if life.again.contains(&test) => Occasion::Again(life.index),
            (false, false) => Occasion::Verdict,
        };
        debug!(target: "dva", life = life.index.row(), test = %id, "a test starts");
        self.started.push(test);
        self.unused.remove(&test);
        let executor = self.executor;
        let execution = executor.execution(test, occasion, self.guest, &self.captured, &self.cut);
        self.executions.spawn(execution::execute(execution));
    }

    fn ended(&mut self, end: ExecutionEnd) {
        self.went_wrong |= matches!(end.ending, Ending::Failed(_) | Ending::Errored(_));
        if let Some(loss) = end.loss
            && !self.lost
        {
            self.lost = true;
            // First, so that what waits is charged to the life and not to this test.
            self.executor.say(Message::Failed {
                trouble: LifeTrouble::Class(loss.class),
                message: loss.message,
            });
            self.cut.send_if_modified(|cut| {
                let free = cut.is_none();
                cut.get_or_insert(loss.running);
                free
            });
        }
        Arc::make_mut(&mut self.captured).insert(end.test, end.slots);
        self.executor.say(Message::Ended(EndedExecution {
            test: end.test,
            ending: end.ending,
            message: end.message,
            steps: end.steps,
        }));
        self.used.push(self.mark(end.test));
        if self.used.len() >= FOLDERS_AT_ONCE && self.cut.borrow().is_none() {
            self.clean_up();
        }
    }

    /// Removes the working directories of what has ended, beside what runs.
    fn clean_up(&mut self) {
        let used = std::mem::take(&mut self.used);
        if !used.is_empty()
            && let Some(link) = self.guest.link()
        {
            let command = guest::command(environment::clean_up(link.root, &used));
            self.cleaning.spawn(async move {
                // A folder that stays is gone with its machine, unless that is somebody's own.
                let _ = link.session.exec(command).await;
            });
        }
    }

    /// Removes the working directories that are left and looks for processes that tests have left. Only
    /// the former, and in haste, where the run is to end at once; nothing where the machine is lost.
    async fn wind_up(mut self) {
        if self.lost {
            return;
        }
        let in_haste = self.cut.borrow().is_some();
        let mut used = std::mem::take(&mut self.used);
        used.extend(self.unused.iter().map(|test| self.mark(*test)));
        // All that is left goes at once, as far as one command can hold it.
        for used in used.chunks(FOLDERS_MADE_AT_ONCE) {
            self.used = used.to_vec();
            self.clean_up();
        }
        if !in_haste && !self.started.is_empty() {
            self.look_for_processes().await;
        }
        let cleaned = async { while self.cleaning.join_next().await.is_some() {} };
        let limit = if in_haste { PARTING } else { TIDYING };
        let _ = timeout(limit, cleaned).await;
    }

    async fn look_for_processes(&self) {
        let Some(link) = self.guest.link() else {
            return;
        };
        let mark = self.executor.life.mark;
        let scan = guest::command(environment::find_left_processes(link.root, mark));
        if let Ok(Ok(outcome)) = timeout(LAST_LOOK, link.session.exec(scan)).await {
            for (test, names) in environment::left_processes(mark, &outcome.stdout.head) {
                if self.started.contains(&test) {
                    self.executor.say(Message::ProcessesLeft { test, names });
                }
            }
        }
    }
}
