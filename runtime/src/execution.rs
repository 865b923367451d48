//! An execution: one time that a test's steps run on a machine.
//!
//! Steps run in order up to the first that does not hold; then `finally` runs whatever happened, in a
//! time of its own, unless the machine is lost or the run is stopped. What a step's output means is in
//! [`capture`], what is decided of it in [`judge`]; how a command is run and stopped in [`command`].

mod capture;
mod command;
mod facts;
mod judge;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use dva_plan::eval::EvalFault;
use dva_plan::expr::ExprIx;
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::{Run, SlotIx, Step, StepKind};
use dva_plan::template::Template;
use dva_plan::unit::display_duration;
use dva_plan::{ExecutionPlan, FailureClass, Value};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::environment::ExecutionMark;
use crate::event::Ending;
use crate::excerpt::escape;
use crate::folder::LogFiles;
use crate::provider::AcquiredMachine;
use crate::transport::{ExecOutcome, ExecStatus, Session};
use facts::StepFacts;
use judge::Judged;

/// All that an execution needs.
pub(crate) struct Execution {
    pub plan: Arc<ExecutionPlan>,
    pub cell: CellIx,
    pub test: TestIx,
    pub machine: Arc<AcquiredMachine>,
    pub session: Arc<dyn Session>,
    pub mark: ExecutionMark,
    /// What other tests on this life have captured.
    pub captured: Arc<BTreeMap<TestIx, Slots>>,
    pub logs: Option<LogFiles>,
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
    /// Why the machine is lost, where it is.
    pub lost: Option<String>,
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
        runs: 0,
    };
    let end = runner.whole().await;
    let (ending, message, lost) = match end {
        None => (Ending::Passed, String::new(), None),
        Some(Broken::Failed { class, message }) => (Ending::Failed(class), message, None),
        Some(Broken::Errored { class, message }) => (Ending::Errored(class), message, None),
        Some(Broken::Cut(ending)) => (ending, cut_message(ending), None),
        Some(Broken::Lost(message)) => (
            Ending::Errored(FailureClass::SshLost),
            message.clone(),
            Some(message),
        ),
    };
    ExecutionEnd {
        test,
        ending,
        message,
        steps: runner.reports,
        slots: runner.slots,
        lost,
    }
}

fn cut_message(ending: Ending) -> String {
    match ending {
        Ending::Errored(FailureClass::SshLost) => {
            "The connection to its machine broke while it ran.".to_owned()
        }
        Ending::Errored(_) => "The run was stopped, since its folder could not be written.".into(),
        Ending::Passed | Ending::Failed(_) | Ending::Interrupted => {
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
    Cut(Ending),
    Lost(String),
}

impl Broken {
    fn outcome(&self) -> StepOutcome {
        match self {
            Self::Failed { .. } => StepOutcome::Failed,
            Self::Errored { .. } | Self::Lost(_) => StepOutcome::Errored,
            Self::Cut(Ending::Errored(_)) => StepOutcome::Errored,
            Self::Cut(_) => StepOutcome::Interrupted,
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

struct Runner {
    execution: Execution,
    slots: Slots,
    reports: Vec<StepReport>,
    /// How many commands there were.
    runs: u32,
}

impl Runner {
    async fn whole(&mut self) -> Option<Broken> {
        if let Some(logs) = &self.execution.logs
            && let Err(error) = logs.prepare()
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
        let mut broken = None;
        for step in &test.steps {
            broken = self.step(step, false, earlier(step, of_test)).await;
            if broken.is_some() {
                break;
            }
        }
        // Commands of `finally` keep their number however far the steps came.
        self.runs = u32::try_from(test.steps.iter().filter(|step| is_run(step)).count())
            .unwrap_or(u32::MAX);
        if matches!(broken, Some(Broken::Cut(_) | Broken::Lost(_))) {
            return broken;
        }
        let ms = u64::try_from(self.execution.finally_limit.as_millis()).unwrap_or(u64::MAX);
        let of_finally = Limit {
            deadline: Instant::now() + self.execution.finally_limit,
            ms,
            class: FailureClass::Finally,
        };
        // Each is tried: what one cannot undo, the next may.
        for step in &test.finally {
            match self.step(step, true, own(step).unwrap_or(of_finally)).await {
                None => {}
                Some(end @ (Broken::Cut(_) | Broken::Lost(_))) => return Some(end),
                // What was wrong first is the verdict's.
                Some(end @ Broken::Errored { .. }) => {
                    return Some(broken.unwrap_or(end));
                }
                Some(Broken::Failed { message, .. }) => {
                    broken.get_or_insert(Broken::Failed {
                        class: FailureClass::Finally,
                        message: format!("Its steps held, its `finally` did not. {message}"),
                    });
                }
            }
        }
        broken
    }

    async fn step(&mut self, step: &Step, in_finally: bool, limit: Limit) -> Option<Broken> {
        let started = Instant::now();
        let mut report = StepReport {
            source: step.source.clone(),
            in_finally,
            outcome: StepOutcome::Passed,
            duration_ms: 0,
            command: None,
            status: None,
            captured: None,
            operands: None,
            stdout: None,
            stderr: None,
        };
        let end = match &step.kind {
            StepKind::Check(condition) => self.check(*condition, step, &mut report),
            StepKind::Run(run) => self.run(run, step, limit, &mut report).await,
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
        self.reports.push(report);
        broken
    }

    fn check(
        &self,
        condition: ExprIx,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        self.judge(condition, FailureClass::Check, None, step, report)
    }

    async fn run(
        &mut self,
        run: &Run,
        step: &Step,
        limit: Limit,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let number = self.runs;
        self.runs += 1;
        let text = self
            .render(&run.command)
            .map_err(|fault| judge::fault(&fault, "Its command cannot be made", step))?;
        report.command = Some(escape(text.as_bytes()));
        if let Some(ending) = *self.execution.cut.borrow() {
            return Err(Broken::Cut(ending));
        }
        if limit.deadline <= Instant::now() {
            return Err(late(limit, step));
        }
        let outcome = self.exec(&text, run, number, limit, step, report).await?;
        let mut assumed = outcome.status == ExecStatus::Assumed;
        if let Some(expect) = run.expect {
            if let ExecStatus::Signal(name) = &outcome.status {
                return Err(judge::killed(name, step));
            }
            let held = self.judge(expect, FailureClass::Expect, Some(&outcome), step, report)?;
            assumed |= held == StepOutcome::Assumed;
        }
        if let Some(wanted) = &run.capture {
            let value = if outcome.status == ExecStatus::Assumed {
                SlotValue::Assumed
            } else {
                let slot = &self.execution.plan.tests[self.execution.test].slots[wanted.slot];
                let value = capture::capture(wanted, &slot.r#type, &outcome.stdout)
                    .map_err(|problem| judge::no_capture(&problem, slot, step))?;
                report.captured = Some(value.clone());
                SlotValue::Known(value)
            };
            self.slots.insert(wanted.slot, value);
        }
        Ok(if assumed {
            StepOutcome::Assumed
        } else {
            StepOutcome::Passed
        })
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

fn is_run(step: &Step) -> bool {
    matches!(step.kind, StepKind::Run(_))
}

fn late(limit: Limit, step: &Step) -> Broken {
    let whose = match limit.class {
        FailureClass::LimitTest => "the test's limit",
        FailureClass::Finally => "the limit of all of `finally`",
        _ => "its limit",
    };
    Broken::Failed {
        class: limit.class,
        message: format!(
            "The command had not ended when {whose} of {} was over, and was stopped{}",
            display_duration(limit.ms),
            judge::at(step)
        ),
    }
}
