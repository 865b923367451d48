//! Steps: what a test does, one after the other, and what it keeps of their output.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expr::ExprIx;
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
}

/// How standard output becomes a value. A text that does not parse makes the test *failed*
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

/// What of standard output a capture reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaptureFrom {
    /// All of it, without trailing line ends.
    Text,
    /// Each line, without empty ones at the end; gives a list.
    Lines,
    /// The first group of the first match of this regular expression (multi-line mode).
    Find(String),
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
}
