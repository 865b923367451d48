//! Who polluted it: what trials on fresh machines have shown of a test that failed among others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{CellId, RunId, TestId};

/// What is known of a test run that failed on a machine which others had used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnosis {
    /// The cell.
    pub cell: CellId,
    /// The test that failed.
    pub test: TestId,
    /// Who made it fail.
    pub finding: Finding,
    /// The runs that have shown it, in order. Each is a run of its own, with a report of its own.
    pub trials: Vec<RunId>,
}

/// Who made a test fail. Serializes as `{"finding": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "finding", rename_all = "snake_case")]
pub enum Finding {
    /// Nobody: it fails on a machine of its own as well.
    FailsAlone,
    /// Another test that ran before it, without which it passes.
    Polluted {
        /// That test.
        by: TestId,
        /// Whether it is enough alone. Where it is not, it takes some of those that ran before it as well.
        is_enough: bool,
    },
    /// Nobody, as it seems: it passes alone, and behind all that ran before it, one after the other. So it is
    /// by chance, or because of what ran at the same time.
    NotReproduced,
    /// It could not be found out.
    Unknown {
        /// Why, as the end of a sentence.
        why: String,
    },
}
