//! The run report: what happened, complete. All other outputs (JUnit among them) read this alone.

mod bill;
mod diagnosis;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exit::ExitCode;
use crate::id::{CellId, RunId, TestId};
use crate::schedule::LifeIx;
use crate::step::SourceText;
use crate::table::Table;
use crate::value::Value;
use crate::verdict::Verdict;
pub use bill::{BillReport, ExpectedBill, Parts};
pub use diagnosis::{Diagnosis, Finding};

/// One run. Every planned test run is in it, whatever happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// Cosmetic: what wrote it, for example `dva 0.1.0`; the header says the same.
    pub producer: String,
    /// The run.
    pub run: RunId,
    /// The name of the plan.
    pub plan: String,
    /// The digest of the plan.
    pub plan_digest: String,
    /// The provider that ran it.
    pub provider: String,
    /// When it began: milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// How long it took in milliseconds, by a monotonic clock.
    pub duration_ms: u64,
    /// How it ended.
    pub exit: ExitCode,
    /// What somebody should look at before it becomes a failure, in sentences: a waiver that ends soon, what a console
    /// has said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What it has cost; absent where nothing has to be paid, or where that cannot be counted, which is a warning
    /// then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bill: Option<BillReport>,
    /// Who made tests fail, where that was looked into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnoses: Vec<Diagnosis>,
    /// The lives, in the order of their launch.
    pub lives: Table<LifeIx, LifeReport>,
    /// The test runs, by cell as in the plan, then by test as in the plan.
    pub test_runs: Vec<TestRunReport>,
}

/// One life of a machine. Times are milliseconds since the start of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LifeReport {
    /// The cell it served.
    pub cell: CellId,
    /// The provider's name for the machine, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// Its type.
    pub r#type: String,
    /// Its region.
    pub region: String,
    /// When it was asked for.
    pub launch_ms: u64,
    /// When the first test could start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<u64>,
    /// When it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_ms: Option<u64>,
    /// What went wrong with it, if anything did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Where what its console has said is, relative to the run folder; only where something went wrong on it or
    /// its console has said something that somebody should look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    /// What the steps of the plan's setup did on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<StepReport>,
}

/// One test in one cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestRunReport {
    /// The cell.
    pub cell: CellId,
    /// Cosmetic: the axis values of the cell, and its matrix under `matrix` where the plan has several.
    pub axes: BTreeMap<String, String>,
    /// The test.
    pub test: TestId,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, in a sentence; empty where it passed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its executions, in order; empty where it never started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub executions: Vec<ExecutionReport>,
}

/// One time that a test's steps ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionReport {
    /// The life it ran on.
    pub life: LifeIx,
    /// Its lane, from 0.
    pub lane: u32,
    /// Whether it only prepared the life for a dependent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub setup: bool,
    /// When it started: milliseconds since the start of the run.
    pub start_ms: u64,
    /// When it ended: milliseconds since the start of the run.
    pub end_ms: u64,
    /// What its steps did, `finally` last.
    pub steps: Vec<StepReport>,
    /// Names of processes it left behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_processes: Vec<String>,
}

/// What one step did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// The step.
    pub source: SourceText,
    /// How many branches and loops it stands in. What stands in one follows it.
    #[serde(default, skip_serializing_if = "is_none_deep")]
    pub depth: u32,
    /// Of a loop, the value that this is the report of: `service = "sshd"`, or `no values`. Of a branch, which
    /// one was taken: `then` or `else`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What it says: the text of a note, why an assumption does not hold, why a value of a loop has failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Whether it is one of `finally`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_finally: bool,
    /// How it ended.
    pub outcome: StepOutcome,
    /// How long it took in milliseconds.
    pub duration_ms: u64,
    /// How often its command was run; the rest speaks of the last time.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub attempts: u32,
    /// The command that was run, with its values; no control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// How the command ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<CommandStatus>,
    /// What was captured, or given a name; absent where it is large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured: Option<Value>,
    /// Where the file is that it fetched, relative to the run folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collected: Option<String>,
    /// Both sides of the comparison that decided a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operands: Option<Operands>,
    /// Standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<StreamReport>,
    /// Standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stderr: Option<StreamReport>,
}

fn once() -> u32 {
    1
}

fn is_none_deep(depth: &u32) -> bool {
    *depth == 0
}

fn is_once(attempts: &u32) -> bool {
    *attempts == 1
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepOutcome {
    /// It held.
    Passed,
    /// It held because a simulator was told nothing about it.
    Assumed,
    /// It did not hold.
    Failed,
    /// It could not be judged.
    Errored,
    /// It found that the test means nothing here, so the test ends.
    Skipped,
    /// It was stopped before it ended.
    Interrupted,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandStatus {
    /// With this exit status.
    Exit(u32),
    /// By this signal, named without `SIG`.
    Signal(String),
    /// It did not end within its limit and was killed.
    TimedOut,
}

/// Both sides of a comparison, as values print.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operands {
    /// The left side.
    pub left: String,
    /// The operator as written.
    pub operator: String,
    /// The right side.
    pub right: String,
}

/// What a command wrote to one stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StreamReport {
    /// How much it wrote, in bytes.
    pub bytes: u64,
    /// Where the bytes are, relative to the run folder; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where in that file this step's bytes begin.
    #[serde(default)]
    pub offset: u64,
    /// Its first 64 KiB and last 192 KiB, of a step that held 2 KiB each; less where a run wrote very
    /// much. Bytes that are not UTF-8 and control characters are escaped.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub excerpt: String,
}
