//! The schedule: on which life and when each test run is to be executed.
//!
//! Times are milliseconds since the start of the run. A life follows the schedule's order and
//! lanes, not its clock: a test starts the moment what it waits for has ended.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{BootIx, CellIx, MachineIx, TestIx};
use crate::table::{Table, define_index};

define_index! {
    /// A row of [`Schedule::lives`].
    LifeIx;
}

/// Which lives there are and what runs on them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// Cosmetic: what made it, for example `dva 0.1.0`; the header says the same.
    pub producer: String,
    /// The digest of the plan it was made for.
    pub plan_digest: String,
    /// The lives, by launch time, then cell.
    pub lives: Table<LifeIx, PlannedLife>,
    /// When the last life ends.
    pub makespan_ms: u64,
    /// Cosmetic: how many test runs have a duration that nobody stated or measured.
    pub defaulted_durations: u32,
}

/// One launch of a machine and what runs on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedLife {
    /// The cell it serves.
    pub cell: CellIx,
    /// The machine it asks for, one of the cell's candidates.
    pub machine: MachineIx,
    /// The boot that it has, where one of its tests needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootIx>,
    /// How many tests may run at once, at least 1.
    pub lanes: u32,
    /// When it is launched.
    pub launch_ms: u64,
    /// How long from then on it is expected to cost nothing, because the machine is not `running` yet.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub pending_ms: u64,
    /// When it is expected to be ready for the first test.
    pub ready_ms: u64,
    /// What runs, by start, then lane.
    pub executions: Vec<PlannedExecution>,
    /// When it ends.
    pub end_ms: u64,
}

fn is_nothing(ms: &u64) -> bool {
    *ms == 0
}

/// One time that a test's steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedExecution {
    /// The test.
    pub test: TestIx,
    /// The lane, from 0.
    pub lane: u32,
    /// When it starts.
    pub start_ms: u64,
    /// When it ends.
    pub end_ms: u64,
    /// Whether it only prepares the life for a dependent and has no say in the verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub setup: bool,
}
