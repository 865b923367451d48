//! Events: all that happens in a run, in order. What `events.jsonl` holds, one [`Record`] a line.
//!
//! An event is recorded before the call it announces, so whatever a dead controller has started can
//! be found from its events. What they mean together is the business of [`crate::state`].

use dva_plan::class::FailureClass;
use dva_plan::plan::{CellIx, ImageIx, Machine, MachineIx, TestIx};
use dva_plan::report::{CommandStatus, StepReport};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::verdict::{Blocker, SkipReason, Verdict};
use dva_plan::{RunId, Value, exit::ExitCode};
use serde::{Deserialize, Serialize};

/// An event and when it was recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Milliseconds since the start of the run, by a monotonic clock.
    pub at_ms: u64,
    /// What happened, or is about to.
    pub event: Event,
}

/// Something that happened, or is about to. Serializes as `{"what": …, …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Event {
    /// The run begins. Always the first event.
    RunStarted {
        /// The run.
        run: RunId,
        /// The name of the plan.
        plan: String,
        /// The digest of the plan.
        plan_digest: String,
        /// The provider.
        provider: String,
        /// When: milliseconds since 1970-01-01 UTC.
        started_unix_ms: u64,
    },
    /// A test run will never start, for a reason that was known before. Comes before the launch of every
    /// life that it was planned on.
    TestSkipped {
        /// The cell.
        cell: CellIx,
        /// The test.
        test: TestIx,
        /// Why.
        reason: SkipReason,
        /// The same in a sentence.
        message: String,
    },
    /// Somebody, or a broken run folder, stops the run. Nothing more is started.
    Stopping {
        /// How.
        how: Stopping,
        /// Why.
        why: StopCause,
    },
    /// Another controller goes on with the run: the one before it has died. What ran then has no end that
    /// anybody knows.
    RunResumed {
        /// When: milliseconds since 1970-01-01 UTC.
        unix_ms: u64,
    },
    /// Test runs that another life has left open get a further life, with what they are `after` as setup.
    LifeAdded {
        /// The further life, a new row of the schedule.
        life: LifeIx,
        /// What is planned for it.
        planned: Box<PlannedLife>,
        /// The life that left them open.
        instead_of: LifeIx,
    },
    /// The test runs that this life has left open get no further one: they are judged by what kept them from
    /// their end.
    TestsGivenUp {
        /// The life.
        life: LifeIx,
    },
    /// A machine is about to be asked for.
    LifeLaunching {
        /// The life.
        life: LifeIx,
        /// The name it is asked for under; ends it, too.
        token: String,
        /// How long from now it may last at most, in milliseconds, where the run's cost is limited. The machine
        /// ends itself then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<u64>,
    },
    /// There was no machine like the one that was asked for, and another candidate of the cell is about to be asked
    /// for. The life counts as launched only now: nothing was started before.
    CandidateRefused {
        /// The life.
        life: LifeIx,
        /// Why there was none.
        trouble: LifeTrouble,
        /// The same in a sentence.
        message: String,
        /// What is asked for now.
        next: MachineIx,
        /// As in [`Event::LifeLaunching`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<u64>,
    },
    /// The provider has started the machine.
    LifeAcquired {
        /// The life.
        life: LifeIx,
        /// The provider's name for it.
        id: String,
        /// What was obtained.
        machine: Box<Machine>,
    },
    /// The machine has booted, but not all that it does by itself went well; its tests run all the same.
    BootWarned {
        /// The life.
        life: LifeIx,
        /// What it says, as the end of a sentence.
        message: String,
    },
    /// The steps of the plan's setup have run on the machine, or did not all hold; then the life fails.
    LifeSetUp {
        /// The life.
        life: LifeIx,
        /// What they did.
        steps: Vec<StepReport>,
    },
    /// A cell is never launched: what comes first by a gate of the plan did not pass.
    CellBlocked {
        /// The cell.
        cell: CellIx,
        /// The matrix that comes first.
        gate: String,
        /// Why, in a sentence.
        message: String,
    },
    /// A life is never launched, for there is no more of something than others have.
    LifeBlocked {
        /// The life.
        life: LifeIx,
        /// What there is no more of.
        by: Blocker,
        /// Why, in a sentence.
        message: String,
    },
    /// Nothing more of an image is started; other images go on. What runs of it may end.
    ImageStopped {
        /// The image.
        image: ImageIx,
        /// So many of its test runs have failed, which is as many as may.
        failures: u64,
    },
    /// Machines of one type in one region did not come up, as many in a row as may: no more of them are
    /// launched, unless one that was asked for before comes up after all.
    MachineGivenUp {
        /// The first machine of the plan with this type and region.
        machine: MachineIx,
        /// How many.
        lives: u32,
    },
    /// The machine has let us in: tests can start.
    LifeReady {
        /// The life.
        life: LifeIx,
    },
    /// The life is of no more use. Its test runs that have not started never will there.
    LifeFailed {
        /// The life.
        life: LifeIx,
        /// In which way.
        trouble: LifeTrouble,
        /// What happened, in a sentence.
        message: String,
    },
    /// Our own code has panicked while it looked after this life: a bug. Otherwise as
    /// [`Event::LifeFailed`].
    LifeCrashed {
        /// The life.
        life: LifeIx,
        /// The panic's message.
        message: String,
    },
    /// A test is about to run.
    ExecutionStarted {
        /// The life.
        life: LifeIx,
        /// The test.
        test: TestIx,
        /// The lane.
        lane: u32,
    },
    /// A test has run, or was cut short.
    ExecutionEnded {
        /// The life.
        life: LifeIx,
        /// The test.
        test: TestIx,
        /// How it ended.
        ending: Ending,
        /// Why, in a sentence; empty where it passed.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        message: String,
        /// What its steps did, `finally` last.
        steps: Vec<StepReport>,
    },
    /// The machine is about to be ended.
    LifeReleasing {
        /// The life.
        life: LifeIx,
    },
    /// The console of a machine that is about to be ended was read, and is worth it.
    ConsoleRead {
        /// The life.
        life: LifeIx,
        /// The lines that somebody should look at.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<String>,
        /// Where all that it said is, relative to the run folder.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// Processes of a test were still there when its life ended.
    ProcessesLeft {
        /// The life.
        life: LifeIx,
        /// The test that left them.
        test: TestIx,
        /// Their names, as the machine's kernel gives them.
        names: Vec<String>,
    },
    /// The machine lives on, as was asked for.
    LifeKept {
        /// The life.
        life: LifeIx,
        /// How long from now, in milliseconds.
        for_ms: u64,
    },
    /// The machine is gone.
    LifeEnded {
        /// The life.
        life: LifeIx,
    },
    /// The machine may still be there.
    ReleaseFailed {
        /// The life.
        life: LifeIx,
        /// What happened, and the command that ends it.
        message: String,
    },
    /// What the run has made beside its machines may still be there.
    EndRunFailed {
        /// What happened, and what ends it.
        message: String,
    },
    /// The run is over. Always the last event.
    RunEnded {
        /// How it ended.
        exit: ExitCode,
    },
}

impl Event {
    /// Changes every text that may hold what a machine has said. Names of the plan stay as they are.
    pub(crate) fn map_texts(&mut self, change: &dyn Fn(&str) -> String) {
        let apply = |text: &mut String| *text = change(text);
        match self {
            Self::TestSkipped { message, .. }
            | Self::LifeFailed { message, .. }
            | Self::LifeCrashed { message, .. }
            | Self::CandidateRefused { message, .. }
            | Self::EndRunFailed { message }
            | Self::BootWarned { message, .. }
            | Self::ReleaseFailed { message, .. }
            | Self::CellBlocked { message, .. }
            | Self::LifeBlocked { message, .. }
            | Self::Stopping {
                why: StopCause::RunFolder(message),
                ..
            } => apply(message),
            Self::LifeSetUp { steps, .. } => map_steps(steps, &apply),
            Self::ExecutionEnded { message, steps, .. } => {
                apply(message);
                map_steps(steps, &apply);
            }
            Self::ProcessesLeft { names: texts, .. } | Self::ConsoleRead { lines: texts, .. } => {
                texts.iter_mut().for_each(apply);
            }
            Self::Stopping {
                why: StopCause::Asked | StopCause::Limit(_) | StopCause::Failures(_),
                ..
            }
            | Self::RunStarted { .. }
            | Self::RunResumed { .. }
            | Self::LifeAdded { .. }
            | Self::TestsGivenUp { .. }
            | Self::LifeLaunching { .. }
            | Self::LifeAcquired { .. }
            | Self::LifeReady { .. }
            | Self::ImageStopped { .. }
            | Self::MachineGivenUp { .. }
            | Self::ExecutionStarted { .. }
            | Self::LifeReleasing { .. }
            | Self::LifeKept { .. }
            | Self::LifeEnded { .. }
            | Self::RunEnded { .. } => {}
        }
    }
}

fn map_steps(steps: &mut [StepReport], apply: &dyn Fn(&mut String)) {
    for step in steps {
        apply(&mut step.label);
        apply(&mut step.message);
        step.command.iter_mut().for_each(apply);
        if let Some(CommandStatus::Signal(name)) = &mut step.status {
            apply(name);
        }
        if let Some(value) = &mut step.captured {
            map_value(value, &apply);
        }
        if let Some(operands) = &mut step.operands {
            apply(&mut operands.left);
            apply(&mut operands.right);
        }
        for stream in [&mut step.stdout, &mut step.stderr].into_iter().flatten() {
            apply(&mut stream.excerpt);
        }
    }
}

fn map_value(value: &mut Value, apply: &dyn Fn(&mut String)) {
    match value {
        Value::String(text)
        | Value::Name(text)
        | Value::Version(text)
        | Value::Date(text)
        | Value::Regex(text) => apply(text),
        Value::List(items) => items.iter_mut().for_each(|item| map_value(item, apply)),
        Value::Record(fields) => fields
            .values_mut()
            .for_each(|field| map_value(field, apply)),
        Value::Bool(_)
        | Value::Int(_)
        | Value::Bytes(_)
        | Value::Ms(_)
        | Value::NanoUsd(_)
        | Value::Ratio(..) => {}
    }
}

/// How a run is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopping {
    /// Running executions end by themselves.
    Finish,
    /// Running executions are cut short.
    Now,
}

/// Why a run is stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopCause {
    /// Somebody asked for it.
    Asked,
    /// It has taken as long as the plan allows: so many milliseconds.
    Limit(u64),
    /// So many test runs have failed, which is as many as may.
    Failures(u64),
    /// Events could no longer be written; the text is the system's.
    RunFolder(String),
}

/// What is wrong with a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LifeTrouble {
    /// There was no machine to be had.
    Capacity,
    /// The account may not have one.
    Quota,
    /// What it may cost was used up.
    Cost,
    /// Anything else.
    Class(FailureClass),
}

impl LifeTrouble {
    /// Whether a machine that is like this one may do better: the trouble is of this very machine, or of the way
    /// to it.
    #[must_use]
    pub fn is_of_one_machine(self) -> bool {
        match self {
            Self::Capacity | Self::Quota | Self::Cost => false,
            Self::Class(class) => matches!(
                class,
                FailureClass::BootCloudInit
                    | FailureClass::MachineAcquire
                    | FailureClass::MachineInterrupted
                    | FailureClass::MachineLost
                    | FailureClass::GuestRebooted
                    | FailureClass::Reboot
                    | FailureClass::SshConnectTimeout
                    | FailureClass::SshLost
                    | FailureClass::SshRefused
            ),
        }
    }

    /// The verdict of the test runs that could not start because of it.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Capacity => Verdict::Blocked {
                by: Blocker::Capacity,
            },
            Self::Quota => Verdict::Blocked { by: Blocker::Quota },
            Self::Cost => Verdict::Blocked { by: Blocker::Limit },
            Self::Class(class) if class.is_of_console() => Verdict::Failed { class },
            Self::Class(class) => Verdict::Errored { class },
        }
    }
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// All steps held.
    Passed,
    /// A step did not hold.
    Failed(FailureClass),
    /// It could not be judged.
    Errored(FailureClass),
    /// It found that the test means nothing in its cell.
    Skipped(SkipReason),
    /// It was cut short because the run was stopped.
    Interrupted,
}

impl Ending {
    /// The verdict of its test run, unless it is a setup execution.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::Passed => Verdict::Passed,
            Self::Failed(class) => Verdict::Failed { class },
            Self::Errored(class) => Verdict::Errored { class },
            Self::Skipped(reason) => Verdict::Skipped { reason },
            Self::Interrupted => Verdict::Interrupted,
        }
    }
}
