//! Executors: one task per life. It gets a machine, gets in, runs what it is told to, and gets rid of
//! the machine again, whatever happened.
//!
//! It decides nothing: the dispatcher orders, the executor obeys and says what came of it. Only the
//! values that tests captured stay here, since no other life may read them.

mod connect;
mod machine;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dva_plan::plan::{Machine, TestIx};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::{ExecutionPlan, FailureClass, RunId};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::environment::{self, RunMark};
use crate::event::{Ending, LifeTrouble};
use crate::execution::{self, Execution, ExecutionEnd, Slots};
use crate::folder::LogFiles;
use crate::options::Limits;
use crate::provider::{AcquiredMachine, Backend, MachineToken};
use crate::transport::{ExecRequest, Purpose, Session, StreamPlan};

/// How long the last look at a machine may take, and how long leaving it may.
const LAST_LOOK: Duration = Duration::from_secs(10);
const CLOSING: Duration = Duration::from_secs(5);

/// One life, as its executor needs to know it.
pub(crate) struct Life {
    pub index: LifeIx,
    pub plan: Arc<ExecutionPlan>,
    pub planned: PlannedLife,
    pub run: RunId,
    pub token: MachineToken,
    pub mark: RunMark,
    pub backend: Backend,
    pub limits: Limits,
    /// The run folder.
    pub folder: Option<PathBuf>,
}

/// What an executor is told.
#[derive(Debug)]
pub(crate) enum Order {
    /// Run this test. Only after [`Message::Ready`], and not after a cut.
    Start(TestIx),
    /// Cut short what runs; it ends like this.
    Cut(Ending),
    /// Nothing runs: release the machine. The last order.
    End,
}

/// What an executor says.
#[derive(Debug)]
pub(crate) enum Message {
    /// The machine was started.
    Acquired { id: String, machine: Machine },
    /// Tests can start.
    Ready,
    /// The life is of no more use. Every execution that runs will still end.
    Failed {
        trouble: LifeTrouble,
        message: String,
    },
    /// An execution has ended.
    Ended(EndedExecution),
    /// Processes that a test has left.
    ProcessesLeft { test: TestIx, names: Vec<String> },
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
    match executor.begin(&mut orders).await {
        Begun::Ready(machine, session) => {
            executor.say(Message::Ready);
            executor.work(&machine, session, &mut orders).await;
        }
        Begun::Failed(trouble, message) => {
            executor.say(Message::Failed { trouble, message });
            orders.ended().await;
        }
        Begun::Cancelled => {}
    }
    executor.release().await;
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
    Ready(Arc<AcquiredMachine>, Arc<dyn Session>),
    Failed(LifeTrouble, String),
    Cancelled,
}

struct Orders(mpsc::UnboundedReceiver<Order>);

impl Orders {
    /// Returns once the life is to end. Nothing runs, so there is nothing to cut. A dispatcher that is
    /// gone wants no machine any more.
    async fn ended(&mut self) {
        while let Some(order) = self.0.recv().await {
            if matches!(order, Order::End) {
                return;
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
        let begin = async {
            let machine = match machine::acquire(&self.life).await {
                Ok(machine) => machine,
                Err((trouble, message)) => return Begun::Failed(trouble, message),
            };
            self.say(Message::Acquired {
                id: machine.id.clone(),
                machine: machine.machine.clone(),
            });
            let transport = &*self.life.backend.transport;
            match connect::connect(transport, &machine.reach, self.life.limits.connect).await {
                Ok(session) => Begun::Ready(Arc::new(machine), session),
                Err((class, message)) => Begun::Failed(LifeTrouble::Class(class), message),
            }
        };
        tokio::select! {
            biased;
            () = orders.ended() => Begun::Cancelled,
            begun = begin => begun,
        }
    }

    /// Runs tests until the life is to end, then looks at what they have left and logs out.
    async fn work(
        &self,
        machine: &Arc<AcquiredMachine>,
        session: Arc<dyn Session>,
        orders: &mut Orders,
    ) {
        let mut work = Work {
            executor: self,
            machine,
            session: &session,
            cut: watch::channel(None).0,
            captured: Arc::default(),
            executions: JoinSet::new(),
            cleaning: JoinSet::new(),
            lost: false,
            started: Vec::new(),
        };
        loop {
            tokio::select! {
                biased;
                order = orders.0.recv() => match order {
                    Some(Order::Start(test)) => work.start(test),
                    Some(Order::Cut(ending)) => {
                        work.cut.send_replace(Some(ending));
                    }
                    Some(Order::End) | None => break,
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
        }
        work.wind_up().await;
        // A session that does not close is closed by the end of its machine.
        let _ = timeout(CLOSING, session.close()).await;
    }

    /// Ends the machine, and asks again where that fails.
    async fn release(&self) {
        self.say(Message::Released(machine::release(&self.life).await));
    }
}

/// A life at work.
struct Work<'a> {
    executor: &'a Executor,
    machine: &'a Arc<AcquiredMachine>,
    session: &'a Arc<dyn Session>,
    /// How what runs is to end, once it is to be cut short.
    cut: watch::Sender<Option<Ending>>,
    /// What tests on this life have captured.
    captured: Arc<BTreeMap<TestIx, Slots>>,
    executions: JoinSet<ExecutionEnd>,
    cleaning: JoinSet<()>,
    lost: bool,
    started: Vec<TestIx>,
}

impl Work<'_> {
    fn start(&mut self, test: TestIx) {
        let life = &self.executor.life;
        let cell = &life.plan.cells[life.planned.cell];
        let setup = life
            .planned
            .executions
            .iter()
            .any(|planned| planned.test == test && planned.setup);
        let logs = life.folder.as_deref().map(|folder| {
            let id = &life.plan.tests[test].id;
            LogFiles::new(folder, &cell.id, id, setup.then_some(life.index))
        });
        self.started.push(test);
        self.executions.spawn(execution::execute(Execution {
            plan: Arc::clone(&life.plan),
            cell: life.planned.cell,
            test,
            machine: Arc::clone(self.machine),
            session: Arc::clone(self.session),
            mark: life.mark.execution(life.index, test),
            captured: Arc::clone(&self.captured),
            logs,
            cut: self.cut.subscribe(),
            finally_limit: life.limits.finally,
        }));
    }

    fn ended(&mut self, end: ExecutionEnd) {
        if let Some(message) = end.lost
            && !self.lost
        {
            self.lost = true;
            // First, so that what waits is charged to the life and not to this test.
            self.executor.say(Message::Failed {
                trouble: LifeTrouble::Class(FailureClass::SshLost),
                message,
            });
            let lost = Ending::Errored(FailureClass::SshLost);
            self.cut.send_if_modified(|cut| {
                let free = cut.is_none();
                cut.get_or_insert(lost);
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
        if self.cut.borrow().is_none() {
            let mark = self
                .executor
                .life
                .mark
                .execution(self.executor.life.index, end.test);
            let (session, command) = (Arc::clone(self.session), environment::clean_up(&mark));
            self.cleaning.spawn(async move {
                // A folder that stays is gone with its machine.
                let _ = session.exec(housekeeping(command)).await;
            });
        }
    }

    /// Looks for processes that tests have left; skipped where the machine is lost or unwanted.
    async fn wind_up(mut self) {
        if self.cut.borrow().is_some() || self.started.is_empty() {
            return;
        }
        let mark = self.executor.life.mark;
        let scan = housekeeping(environment::find_left_processes(mark));
        if let Ok(Ok(outcome)) = timeout(LAST_LOOK, self.session.exec(scan)).await {
            for (test, names) in environment::left_processes(mark, &outcome.stdout.head) {
                if self.started.contains(&test) {
                    self.executor.say(Message::ProcessesLeft { test, names });
                }
            }
        }
        let cleaned = async { while self.cleaning.join_next().await.is_some() {} };
        let _ = timeout(CLOSING, cleaned).await;
    }
}

/// A command of ours.
pub(crate) fn housekeeping(command: String) -> ExecRequest {
    ExecRequest {
        command,
        stdin: Vec::new(),
        stdout: StreamPlan::default(),
        stderr: StreamPlan::default(),
        purpose: Purpose::Housekeeping,
    }
}
