//! Steps: what a test does, one after the other, and what it keeps of their output.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expr::ExprIx;
use crate::plan::{BlobIx, DiskIx, SecretIx};
use crate::table::define_index;
use crate::template::Template;
use crate::unit::SizeUnit;
use crate::value::Type;

define_index! {
    /// A captured value of a test: a row of its `slots`.
    SlotIx;
}

/// One step of a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What it does.
    pub kind: StepKind,
    /// The step's own limit in milliseconds; the test's holds in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_ms: Option<u64>,
    /// Cosmetic: where the step stands in the source, for messages.
    pub source: SourceText,
}

/// What a step does. Serializes as `{"step": …, "of": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", content = "of", rename_all = "snake_case")]
pub enum StepKind {
    /// Runs a command on the machine.
    Run(Run),
    /// Decides: the test has failed where the expression is false or has no value.
    Check(ExprIx),
    /// Reboots the machine from outside and waits until it can be reached again; its boot id must have
    /// changed and its host key must not.
    Reboot,
    /// Stops the machine; no command can run until it is started.
    Stop,
    /// Starts the machine that was stopped and waits until it can be reached again.
    Start,
    /// Attaches a disk and waits for its device node.
    Attach(DiskIx),
    /// Detaches a disk; nothing is to be done where it is not attached.
    Detach {
        /// The disk.
        disk: DiskIx,
        /// How.
        how: DetachMode,
    },
    /// Lets time pass.
    Wait {
        /// How long, in milliseconds.
        ms: u64,
    },
    /// Waits until something holds; the step's limit says how long at most.
    WaitUntil {
        /// What.
        condition: WaitCondition,
        /// How often it is looked at, in milliseconds.
        every_ms: u64,
    },
    /// Gives a value a name, and says what becomes of the test where a table has no entry for it.
    Let {
        /// Where the value goes; its type is the slot's.
        slot: SlotIx,
        /// The value.
        value: ExprIx,
        /// What is done where a table that it asks has no entry.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        otherwise: Option<Otherwise>,
    },
    /// Decides whether the test means anything on this machine: where the condition is false, the test ends
    /// as *skipped (assumption)*.
    Assume {
        /// The condition.
        condition: ExprIx,
        /// Why the test means nothing where it is false; a text.
        because: ExprIx,
    },
    /// Puts a text into the report, which decides nothing.
    Note(ExprIx),
    /// Does one of two lists of steps.
    When {
        /// Which; it depends on the cell and its machine alone.
        condition: ExprIx,
        /// Those where it is true.
        then: Vec<Step>,
        /// Those where it is false.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        otherwise: Vec<Step>,
    },
    /// Does its steps once for each value of a list. A value for which one of them fails fails the test, and
    /// the other values are tried all the same.
    For {
        /// Where the value goes.
        slot: SlotIx,
        /// The list.
        list: ExprIx,
        /// The steps.
        steps: Vec<Step>,
    },
    /// Waits until this regular expression is found in what the machine's console has said (multi-line
    /// mode); the step's limit says how long at most.
    Console(String),
    /// Puts a file onto the machine.
    Upload {
        /// Its content.
        blob: BlobIx,
        /// Its path there; one that is not absolute is in the test's working directory.
        to: Template,
        /// Its permissions, such as 0o755.
        mode: u32,
    },
    /// Fetches a file from the machine into the run folder.
    Collect {
        /// Its path there; one that is not absolute is in the test's working directory.
        path: Template,
    },
}

impl StepKind {
    /// Whether the machine is away while it is carried out, so that nothing else can run there.
    #[must_use]
    pub fn takes_machine_away(&self) -> bool {
        match self {
            Self::Reboot | Self::Stop | Self::Start => true,
            Self::When {
                then, otherwise, ..
            } => {
                let mut steps = then.iter().chain(otherwise);
                steps.any(|step| step.kind.takes_machine_away())
            }
            Self::For { steps, .. } => steps.iter().any(|step| step.kind.takes_machine_away()),
            Self::Run(_)
            | Self::Check(_)
            | Self::Let { .. }
            | Self::Assume { .. }
            | Self::Note(_)
            | Self::Console(_)
            | Self::Attach(_)
            | Self::Detach { .. }
            | Self::Wait { .. }
            | Self::WaitUntil { .. }
            | Self::Upload { .. }
            | Self::Collect { .. } => false,
        }
    }
}

impl Step {
    /// The steps that stand in it: of both branches, or of a loop.
    pub fn inner(&self) -> impl Iterator<Item = &Step> {
        let (first, second): (&[Step], &[Step]) = match &self.kind {
            StepKind::When {
                then, otherwise, ..
            } => (then, otherwise),
            StepKind::For { steps, .. } => (steps, &[]),
            _ => (&[], &[]),
        };
        first.iter().chain(second)
    }
}

/// `steps` with all that stand in them, each before those in it.
#[must_use]
pub fn every_step<'a>(steps: impl IntoIterator<Item = &'a Step>) -> Vec<&'a Step> {
    let mut all = Vec::new();
    for step in steps {
        all.push(step);
        all.extend(every_step(step.inner()));
    }
    all
}

/// What is done where a table has no entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Otherwise {
    /// What becomes of the test.
    pub how: Missing,
    /// Why; a text.
    pub message: ExprIx,
}

/// What becomes of a test for which a table has no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// It is *skipped (data)*.
    Skip,
    /// It has *failed (data)*.
    Fail,
}

/// How a disk is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DetachMode {
    /// Asks, and waits until it is gone.
    Wait,
    /// Asks, and goes on.
    Nowait,
    /// Takes it away, whatever the machine does with it.
    Force,
}

/// What `wait until` looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitCondition {
    /// An expression over the machine's disks: it is evaluated anew each time.
    Holds(ExprIx),
    /// A command that exits with 0.
    Succeeds(Template),
}

/// A command, what must hold of it, and what is kept of its output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// The text given to `/bin/sh -c`.
    pub command: Template,
    /// What must hold of `exit`, `stdout` and `stderr`. The compiler has added `exit == 0` where the
    /// author did not speak of the exit status; absent where anything will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<ExprIx>,
    /// What is kept of standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capture: Option<Capture>,
    /// The user it runs as; root where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Run again while `expect` does not hold; the last attempt counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Variables of this one command's environment, fed to the machine through standard input and never
    /// in an argument.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<With>,
}

/// How often a command is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Retry {
    /// How many more attempts there may be after the first.
    pub times: u32,
    /// How long to wait between the end of one and the start of the next, in milliseconds.
    pub every_ms: u64,
}

/// A variable of a command's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct With {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: WithValue,
}

/// The value of a variable of a command's environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WithValue {
    /// A value, as text.
    Expr(ExprIx),
    /// A secret: bound at run time, masked in all that is written.
    Secret(SecretIx),
}

/// How the output of a command becomes a value. A text that does not parse makes the test *failed*
/// (`capture.parse`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capture {
    /// Where the value goes; its type is the slot's.
    pub slot: SlotIx,
    /// What of standard output is read.
    pub from: CaptureFrom,
    /// The unit of a size that comes as a bare number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<SizeUnit>,
}

/// What of a command's output a capture reads: all but the last of standard output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFrom {
    /// All of it, without trailing line ends.
    Text,
    /// Each line, without empty ones at the end; gives a list.
    Lines,
    /// The first group of the first match of this regular expression (multi-line mode).
    Find(String),
    /// All of it, which is JSON. Fields that the type does not name are left out.
    Json,
    /// How the command ended and what it wrote: a record of `exit`, `stdout` and `stderr`, the texts
    /// without trailing line ends.
    Result,
}

/// A place for a captured value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Slot {
    /// Cosmetic: the author's name for it.
    pub name: String,
    /// What it holds.
    pub r#type: Type,
}

/// Cosmetic: a piece of source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SourceText {
    /// The text on one line, shortened to 120 characters.
    pub text: String,
    /// Its line, from 1.
    pub line: u32,
    /// The file, where it is not the plan's own source but one that this uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl SourceText {
    /// Where it stands, in words: `line 12`, `std/storage.plan line 12`.
    #[must_use]
    pub fn place(&self) -> String {
        match &self.file {
            None => format!("line {}", self.line),
            Some(file) => format!("{file} line {}", self.line),
        }
    }
}
