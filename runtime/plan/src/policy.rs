//! The rules of a run, and what every life of it needs before its first test: limits, waivers, gates,
//! boots, setup.
//!
//! What is said here is judged by who runs the plan: the scheduler, the dispatcher, and the report.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expr::ExprIx;
use crate::features::BootMode;
use crate::money::Money;
use crate::plan::{BlobIx, Capability, TestIx};
use crate::quote::Market;
use crate::step::{Slot, SlotIx, Step};
use crate::table::Table;

/// The most that the user data of a life may have, in bytes: what EC2 takes, before it is encoded.
///
/// Source: `docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html`.
pub const MAX_USER_DATA_BYTES: usize = 16 * 1024;
/// The most further attempts that a test may have.
pub const MAX_RETRIES: u32 = 10;

/// The rules of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// How many tests may run at once on one machine, at least 1.
    pub lanes: u32,
    /// What the run may take.
    #[serde(default, skip_serializing_if = "Limits::are_none")]
    pub limits: Limits,
    /// How machines are bought, the best way first, each once; empty for on demand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub market: Vec<Market>,
    /// Failures that do not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waivers: Vec<Waiver>,
    /// Which cells wait for others, ascending and without duplicates; they form no cycle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
}

/// What a run may take at most. What is absent has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// What it may cost; not negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_nano_usd: Option<Money>,
    /// How long it may take, by the clock on the wall and boots included, in milliseconds; at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// How many machines there may be at once, at least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machines: Option<u32>,
}

impl Limits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Failures that do not count, because somebody knows of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Waiver {
    /// The tests, ascending; never empty.
    pub tests: Vec<TestIx>,
    /// What must hold of the cell and of its machine; absent for all cells. Where it has no value, it does
    /// not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<ExprIx>,
    /// Why.
    pub because: String,
    /// The last day on which it holds, `YYYY-MM-DD` in UTC. A run that starts later counts the failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

/// Cells of one matrix wait for those of another: none of them is launched before all cells of `first` with
/// the same image have ended and passed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// The matrix whose cells come first.
    pub first: String,
    /// The matrix whose cells wait.
    pub then: String,
}

/// What a life needs at its launch. A life has one boot, or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Boot {
    /// Its name in the source.
    pub name: String,
    /// The user data, at most [`MAX_USER_DATA_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_data: Option<BlobIx>,
    /// What starts the image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<BootMode>,
    /// The size of the root disk in bytes, where it is not the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_bytes: Option<u64>,
}

/// What is done on every life before its first test, as a part of its boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// The limit of all its steps in milliseconds.
    pub within_ms: u64,
    /// What the machine must be able to do for its steps, ascending. Every test has these needs as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    /// What it captures, for its own steps.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub slots: Table<SlotIx, Slot>,
    /// What it does; never empty. The first step that fails makes the life useless.
    pub steps: Vec<Step>,
}
