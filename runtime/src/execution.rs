//! An execution: one time that a test's steps run on a machine.
//!
//! Steps run in order up to the first that does not hold; then `finally` runs whatever happened, in a
//! time of its own, unless the machine is lost or the run is stopped. What a step's output means is in
//! [`capture`], what is decided of it in [`judge`]; how a command is run and stopped in [`command`], how
//! often in [`run`]. Steps without a command are in [`machine`], [`transfer`], [`value`] and [`wait`], those
//! that hold others in [`branch`].

mod branch;
mod capture;
mod command;
mod facts;
mod judge;
mod machine;
mod run;
mod transfer;
mod value;
mod wait;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dva_plan::eval::EvalFault;
use dva_plan::expr::ExprIx;
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::{SlotIx, Step, StepKind, WaitCondition, every_step};
use dva_plan::template::Template;
use dva_plan::unit::display_duration;
use dva_plan::verdict::SkipReason;
use dva_plan::{ExecutionPlan, FailureClass, TestId, Value};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use crate::environment::ExecutionMark;
use crate::event::Ending;
use crate::excerpt;
use crate::folder::{CollectedFiles, LogFiles};
use crate::guest::Guest;
use crate::inputs::Inputs;
use crate::mask::Mask;
use crate::secrets::Secrets;
use crate::transport::ExecOutcome;
use facts::StepFacts;
use judge::Judged;

/// All that an execution needs.
pub(crate) struct Execution {
    pub plan: Arc<ExecutionPlan>,
    pub cell: CellIx,
    pub test: TestIx,
    pub guest: Arc<Guest>,
    pub mark: ExecutionMark,
    /// What other tests on this life have captured.
    pub captured: Arc<BTreeMap<TestIx, Slots>>,
    pub logs: Option<LogFiles>,
    /// Whether the folder of those of its life is there.
    pub logs_made: Arc<OnceLock<()>>,
    pub collected: Option<CollectedFiles>,
    pub inputs: Arc<Inputs>,
    pub secrets: Arc<Secrets>,
    /// Hides them.
    pub mask: Option<Arc<Mask>>,
    /// How to end at once, when somebody says so.
    pub cut: watch::Receiver<Option<Ending>>,
    pub finally_limit: Duration,
}

/// What an execution came to.
pub(crate) struct ExecutionEnd {
    pub test: TestIx,
    pub ending: Ending,
    /// Why, in a sentence; empty where it passed.
    pub message: String,
    pub steps: Vec<StepReport>,
    pub slots: Slots,
    /// Why the machine is of no more use, where it is of none.
    pub loss: Option<Loss>,
}

/// A machine that is of no more use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Loss {
    /// What becomes of tests that have not started on it.
    pub class: FailureClass,
    /// What happened, in a sentence.
    pub message: String,
    /// What becomes of tests that run on it.
    pub running: Ending,
}

/// What a test has captured.
pub(crate) type Slots = BTreeMap<SlotIx, SlotValue>;

/// A captured value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SlotValue {
    /// It is this.
    Known(Value),
    /// A simulator was told nothing about it; it is as every check wishes.
    Assumed,
}

/// Runs the steps of a test.
pub(crate) async fn execute(execution: Execution) -> ExecutionEnd {
    let test = execution.test;
    let mut runner = Runner {
        execution,
        slots: Slots::new(),
        reports: Vec::new(),
        commands: 0,
    };
    let end = runner.whole().await;
    let was_cut = matches!(end, Some(Broken::Cut(_)));
    let (ending, message, mut loss) = match end {
        None => (Ending::Passed, String::new(), None),
        Some(Broken::Failed { class, message }) => (Ending::Failed(class), message, None),
        Some(Broken::Errored { class, message }) => (Ending::Errored(class), message, None),
        Some(Broken::Skipped { reason, message }) => (Ending::Skipped(reason), message, None),
        Some(Broken::Cut(ending)) => (ending, cut_message(ending), None),
        Some(Broken::Gone(gone)) => (gone.ending, gone.message, Some(gone.loss)),
    };
    if loss.is_none() && !was_cut && runner.execution.guest.link().is_none() {
        let id = &runner.execution.plan.tests[test].id;
        loss = Some(Loss {
            class: FailureClass::MachineLost,
            message: format!("The test {id} has left its machine stopped."),
            running: Ending::Errored(FailureClass::MachineLost),
        });
    }
    ExecutionEnd {
        test,
        ending,
        message,
        steps: runner.reports,
        slots: runner.slots,
        loss,
    }
}

fn cut_message(ending: Ending) -> String {
    match ending {
        Ending::Errored(FailureClass::SshLost) => {
            "The connection to its machine broke while it ran.".to_owned()
        }
        Ending::Errored(FailureClass::RunFolder) => {
            "The run was stopped, since its folder could not be written.".into()
        }
        Ending::Failed(FailureClass::GuestRebooted) => {
            "Its machine rebooted by itself while it ran.".to_owned()
        }
        Ending::Failed(FailureClass::GuestPanic) => {
            "The kernel of its machine gave up while it ran.".to_owned()
        }
        Ending::Failed(FailureClass::GuestLockup) => {
            "The kernel of its machine was stuck while it ran.".to_owned()
        }
        Ending::Failed(FailureClass::GuestOom) => {
            "The memory of its machine was used up while it ran.".to_owned()
        }
        Ending::Errored(FailureClass::MachineInterrupted) => {
            "Its machine was taken back by its provider while it ran.".to_owned()
        }
        Ending::Errored(_) | Ending::Failed(_) => "Its machine was lost while it ran.".to_owned(),
        Ending::Passed | Ending::Skipped(_) | Ending::Interrupted => {
            "The run was stopped while it ran.".to_owned()
        }
    }
}

/// Why an execution goes no further.
enum Broken {
    Failed {
        class: FailureClass,
        message: String,
    },
    Errored {
        class: FailureClass,
        message: String,
    },
    /// The test means nothing here.
    Skipped {
        reason: SkipReason,
        message: String,
    },
    Cut(Ending),
    /// The machine is of no more use.
    Gone(Box<Gone>),
}

struct Gone {
    ending: Ending,
    message: String,
    loss: Loss,
}

impl Broken {
    fn outcome(&self) -> StepOutcome {
        let ending = match self {
            Self::Failed { .. } => return StepOutcome::Failed,
            Self::Errored { .. } => return StepOutcome::Errored,
            Self::Skipped { .. } => return StepOutcome::Skipped,
            Self::Cut(ending) => *ending,
            Self::Gone(gone) => gone.ending,
        };
        match ending {
            Ending::Failed(_) => StepOutcome::Failed,
            Ending::Errored(_) => StepOutcome::Errored,
            Ending::Passed | Ending::Skipped(_) | Ending::Interrupted => StepOutcome::Interrupted,
        }
    }
}

/// When a step must have ended, and what it is if it has not.
#[derive(Clone, Copy)]
struct Limit {
    deadline: Instant,
    ms: u64,
    class: FailureClass,
}

/// Where a step stands.
#[derive(Clone, Copy)]
struct Frame {
    in_finally: bool,
    /// How many branches and loops it stands in.
    depth: u32,
    /// The limit of the test; none in `finally`, where each step has its own or all have one.
    limit: Option<Limit>,
    /// The limit of all of `finally`.
    of_finally: Limit,
}

impl Frame {
    /// The same, one branch or loop deeper.
    fn inside(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }

    /// How long `step` may take here.
    fn limit_of(&self, step: &Step) -> Limit {
        match self.limit {
            Some(of_test) => earlier(step, of_test),
            None => own(step).unwrap_or(self.of_finally),
        }
    }
}

struct Runner {
    execution: Execution,
    slots: Slots,
    reports: Vec<StepReport>,
    /// How many commands there were.
    commands: u32,
}

impl Runner {
    async fn whole(&mut self) -> Option<Broken> {
        if let Some(logs) = &self.execution.logs
            && let Err(error) = logs.prepare(&self.execution.logs_made)
        {
            return Some(Broken::Errored {
                class: FailureClass::RunFolder,
                message: format!("Its output has no place to go: {error}."),
            });
        }
        let plan = Arc::clone(&self.execution.plan);
        let test = &plan.tests[self.execution.test];
        let of_test = Limit {
            deadline: Instant::now() + Duration::from_millis(test.within_ms),
            ms: test.within_ms,
            class: FailureClass::LimitTest,
        };
        let frame = Frame {
            in_finally: false,
            depth: 0,
            limit: Some(of_test),
            of_finally: of_test,
        };
        let mut broken = self.block(&test.steps, frame).await;
        if broken.is_none() {
            broken = self.take_time(&test.id, of_test).await;
        }
        // Commands of `finally` keep their number however far the steps came.
        self.commands = commands_in(&test.steps);
        if matches!(broken, Some(Broken::Cut(_) | Broken::Gone(_))) {
            return broken;
        }
        let ms = u64::try_from(self.execution.finally_limit.as_millis()).unwrap_or(u64::MAX);
        let of_finally = Limit {
            deadline: Instant::now() + self.execution.finally_limit,
            ms,
            class: FailureClass::Finally,
        };
        let frame = Frame {
            in_finally: true,
            depth: 0,
            limit: None,
            of_finally,
        };
        // Each is tried: what one cannot undo, the next may.
        for step in &test.finally {
            match self.step(step, frame).await {
                None | Some(Broken::Skipped { .. }) => {}
                Some(end @ (Broken::Cut(_) | Broken::Gone(_))) => return Some(end),
                // What was wrong first is the verdict's.
                Some(end @ Broken::Errored { .. }) => {
                    let skipped = matches!(broken, Some(Broken::Skipped { .. }));
                    return Some(broken.filter(|_| !skipped).unwrap_or(end));
                }
                Some(Broken::Failed { message, .. }) => {
                    let held = matches!(broken, None | Some(Broken::Skipped { .. }));
                    if held {
                        broken = Some(Broken::Failed {
                            class: FailureClass::Finally,
                            message: format!("Its steps held, its `finally` did not. {message}"),
                        });
                    }
                }
            }
        }
        broken
    }

    /// Where nothing is really done, lets the time pass that the test takes.
    async fn take_time(&self, test: &TestId, limit: Limit) -> Option<Broken> {
        let link = self.execution.guest.link()?;
        if !link.session.assumes() {
            return None;
        }
        let passing = link.session.take_time(test);
        match self.within(limit.deadline, passing).await {
            Ok(Some(())) => None,
            Ok(None) => Some(Broken::Failed {
                class: limit.class,
                message: format!(
                    "It had not ended when the test's limit of {} was over.",
                    display_duration(limit.ms)
                ),
            }),
            Err(broken) => Some(broken),
        }
    }

    async fn step(&mut self, step: &Step, frame: Frame) -> Option<Broken> {
        match &step.kind {
            StepKind::When {
                condition,
                then,
                otherwise,
            } => {
                return self.when(*condition, [then, otherwise], step, frame).await;
            }
            StepKind::For { slot, list, steps } => {
                return self.each(*slot, *list, steps, step, frame).await;
            }
            _ => {}
        }
        let started = Instant::now();
        let limit = frame.limit_of(step);
        let mut report = step_report(step, frame);
        let end = match &step.kind {
            // They were carried out above.
            StepKind::When { .. } | StepKind::For { .. } => Ok(StepOutcome::Passed),
            StepKind::Let {
                slot,
                value,
                otherwise,
            } => self.named_value(*slot, *value, otherwise.as_ref(), step, &mut report),
            StepKind::Assume { condition, because } => {
                self.assume(*condition, *because, step, &mut report).await
            }
            StepKind::Note(text) => Ok(self.note(*text, &mut report)),
            StepKind::Console(pattern) => self.console(pattern, step, limit, &mut report).await,
            StepKind::Check(condition) => self.check(*condition, step, &mut report).await,
            StepKind::Run(run) => self.run(run, step, limit, &mut report).await,
            StepKind::Reboot => self.reboot(step, limit).await,
            StepKind::Stop => self.stop(step, limit).await,
            StepKind::Start => self.start(step, limit).await,
            StepKind::Attach(disk) => self.attach(*disk, step, limit).await,
            StepKind::Detach { disk, how } => self.detach(*disk, *how, step, limit).await,
            StepKind::Wait { ms } => self.wait(*ms, step, limit).await,
            StepKind::WaitUntil {
                condition,
                every_ms,
            } => {
                self.wait_until(condition, *every_ms, step, limit, &mut report)
                    .await
            }
            StepKind::Upload { blob, to, mode } => self.upload(*blob, to, *mode, step, limit).await,
            StepKind::Collect { path } => self.collect(path, step, limit, &mut report).await,
        };
        let broken = match end {
            Ok(outcome) => {
                report.outcome = outcome;
                None
            }
            Err(broken) => {
                report.outcome = broken.outcome();
                Some(broken)
            }
        };
        report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        debug!(
            target: "dva",
            test = %self.execution.plan.tests[self.execution.test].id,
            place = step.source.place(),
            outcome = ?report.outcome,
            ms = report.duration_ms,
            "a step has ended"
        );
        if broken.is_none() {
            for stream in [&mut report.stdout, &mut report.stderr]
                .into_iter()
                .flatten()
            {
                excerpt::shorten_middle(&mut stream.excerpt, OF_HELD);
            }
        }
        self.reports.push(report);
        broken
    }

    async fn check(
        &mut self,
        condition: ExprIx,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        self.refresh_disks(condition, step).await?;
        self.judge(condition, FailureClass::Check, None, step, report)
    }

    fn judge(
        &self,
        condition: ExprIx,
        class: FailureClass,
        outcome: Option<&ExecOutcome>,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let facts = StepFacts::new(&self.execution, &self.slots, outcome);
        match judge::judge(condition, class, &facts, step) {
            Judged::Holds => Ok(StepOutcome::Passed),
            Judged::Assumed => Ok(StepOutcome::Assumed),
            Judged::Not {
                class,
                message,
                operands,
            } => {
                report.operands = operands;
                Err(Broken::Failed { class, message })
            }
        }
    }

    /// Waits for `work` until `deadline`; `None` where it takes longer.
    async fn within<T>(
        &self,
        deadline: Instant,
        work: impl Future<Output = T>,
    ) -> Result<Option<T>, Broken> {
        let mut cut = self.execution.cut.clone();
        tokio::select! {
            biased;
            ending = command::cut_short(&mut cut) => Err(Broken::Cut(ending)),
            done = work => Ok(Some(done)),
            () = sleep_until(deadline) => Ok(None),
        }
    }

    /// The command with its values; what only a simulator does not know gets a placeholder.
    fn render(&self, template: &Template) -> Result<String, EvalFault> {
        let facts = StepFacts::new(&self.execution, &self.slots, None).with_placeholders();
        let text = template.render(&self.execution.plan.expressions, &facts)?;
        // No word of a shell can hold one, so the command would be cut there.
        if text.contains('\0') {
            return Err(EvalFault::Ill);
        }
        Ok(text)
    }
}

/// The report of a step that has only begun.
fn step_report(step: &Step, frame: Frame) -> StepReport {
    StepReport {
        source: step.source.clone(),
        depth: frame.depth,
        label: String::new(),
        message: String::new(),
        in_finally: frame.in_finally,
        outcome: StepOutcome::Passed,
        duration_ms: 0,
        attempts: 1,
        command: None,
        status: None,
        captured: None,
        collected: None,
        operands: None,
        stdout: None,
        stderr: None,
    }
}

/// How much of each stream of a step that held is kept, at either end.
const OF_HELD: usize = 2 << 10;

/// The step's own limit, from now.
fn own(step: &Step) -> Option<Limit> {
    step.within_ms.map(|ms| Limit {
        deadline: Instant::now() + Duration::from_millis(ms),
        ms,
        class: FailureClass::LimitStep,
    })
}

/// The step's own limit, or the test's where that is earlier.
fn earlier(step: &Step, of_test: Limit) -> Limit {
    match own(step) {
        Some(own) if own.deadline < of_test.deadline => own,
        _ => of_test,
    }
}

/// How many commands of their author's `steps` have, those of all branches among them.
pub(crate) fn commands_in(steps: &[Step]) -> u32 {
    let commands = every_step(steps)
        .into_iter()
        .filter(|step| is_command(step));
    u32::try_from(commands.count()).unwrap_or(u32::MAX)
}

/// Whether a step runs commands of its author's. A `wait until` that looks often counts as one.
fn is_command(step: &Step) -> bool {
    match &step.kind {
        StepKind::Run(_)
        | StepKind::WaitUntil {
            condition: WaitCondition::Succeeds(_),
            ..
        } => true,
        StepKind::WaitUntil {
            condition: WaitCondition::Holds(_),
            ..
        }
        | StepKind::Check(_)
        | StepKind::Let { .. }
        | StepKind::Assume { .. }
        | StepKind::Note(_)
        | StepKind::When { .. }
        | StepKind::For { .. }
        | StepKind::Console(_)
        | StepKind::Reboot
        | StepKind::Stop
        | StepKind::Start
        | StepKind::Attach(_)
        | StepKind::Detach { .. }
        | StepKind::Wait { .. }
        | StepKind::Upload { .. }
        | StepKind::Collect { .. } => false,
    }
}

/// Something has not ended within its limit.
fn late(limit: Limit, what: &str, step: &Step) -> Broken {
    let whose = match limit.class {
        FailureClass::LimitTest => "the test's limit",
        FailureClass::Finally => "the limit of all of `finally`",
        _ => "its limit",
    };
    Broken::Failed {
        class: limit.class,
        message: format!(
            "{what} had not ended when {whose} of {} was over, and was stopped{}",
            display_duration(limit.ms),
            judge::at(step)
        ),
    }
}
