//! Verdicts: the one word that a test run ends with.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::class::FailureClass;
use crate::id::TestId;

/// The verdict of a test run (one test in one cell). Serializes as `{"verdict": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// All its steps held.
    Passed,
    /// A step did not hold: charged to the image or the test.
    Failed {
        /// In which way.
        class: FailureClass,
    },
    /// Failed first and passed on a later try.
    Flaky,
    /// Never started, because of something else.
    Blocked {
        /// What.
        by: Blocker,
    },
    /// Never meant to run here.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// Its failure does not count.
    Waived {
        /// What is forgiven.
        what: Waived,
    },
    /// Not judged, because the machine or the way to it broke: charged to infrastructure.
    Errored {
        /// In which way.
        class: FailureClass,
    },
    /// Not finished, because somebody stopped the run.
    Interrupted,
}

/// What kept a test run from starting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blocker {
    /// A test it is `after`, directly or through others, which did not pass.
    Test(TestId),
    /// No machine was to be had.
    Capacity,
    /// The account's quota.
    Quota,
    /// A limit of the plan.
    Limit,
    /// Something in the configuration is not bound.
    Binding,
    /// A cell of this matrix, which comes before, did not pass.
    Gate(String),
}

/// Why a test run was never meant to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Its own condition excludes this cell.
    NotApplicable,
    /// An `assume` did not hold.
    Assumption,
    /// The provider cannot do what it needs.
    Unsupported,
    /// A table has no entry for this cell.
    Data,
}

/// What a waiver forgives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Waived {
    /// The test's own failure.
    Failed,
    /// That a test it is `after` has failed and is waived.
    By(TestId),
}

impl Verdict {
    /// Whether dependents may start.
    #[must_use]
    pub fn unlocks(&self) -> bool {
        matches!(self, Self::Passed | Self::Flaky)
    }

    /// Whether this says worse of a test run than `other`, where one has been judged several times: failed,
    /// then errored, interrupted, blocked, waived, skipped, flaky, passed.
    #[must_use]
    pub fn is_worse_than(&self, other: &Self) -> bool {
        self.severity() > other.severity()
    }

    fn severity(&self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Flaky => 1,
            Self::Skipped { .. } => 2,
            Self::Waived { .. } => 3,
            Self::Blocked { .. } => 4,
            Self::Interrupted => 5,
            Self::Errored { .. } => 6,
            Self::Failed { .. } => 7,
        }
    }

    /// The class of a failure or an error.
    #[must_use]
    pub fn class(&self) -> Option<FailureClass> {
        match self {
            Self::Failed { class } | Self::Errored { class } => Some(*class),
            Self::Passed
            | Self::Flaky
            | Self::Blocked { .. }
            | Self::Skipped { .. }
            | Self::Waived { .. }
            | Self::Interrupted => None,
        }
    }
}

/// The verdict as people read it: `failed (check)`, `blocked by mount`.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Passed => f.write_str("passed"),
            Self::Failed { class } => write!(f, "failed ({class})"),
            Self::Flaky => f.write_str("flaky"),
            Self::Blocked { by } => match by {
                Blocker::Test(test) => write!(f, "blocked by {test}"),
                Blocker::Capacity => f.write_str("blocked (capacity)"),
                Blocker::Quota => f.write_str("blocked (quota)"),
                Blocker::Limit => f.write_str("blocked (limit)"),
                Blocker::Binding => f.write_str("blocked (binding)"),
                Blocker::Gate(matrix) => write!(f, "blocked (gate {matrix})"),
            },
            Self::Skipped { reason } => write!(
                f,
                "skipped ({})",
                match reason {
                    SkipReason::NotApplicable => "not applicable",
                    SkipReason::Assumption => "assumption",
                    SkipReason::Unsupported => "unsupported",
                    SkipReason::Data => "data",
                }
            ),
            Self::Waived { what } => match what {
                Waived::Failed => f.write_str("waived (failed)"),
                Waived::By(test) => write!(f, "waived (by {test})"),
            },
            Self::Errored { class } => write!(f, "errored ({class})"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_several_is_what_the_product_is_to_blame_for() {
        let class = FailureClass::Check;
        let rising = [
            Verdict::Passed,
            Verdict::Flaky,
            Verdict::Skipped {
                reason: SkipReason::Data,
            },
            Verdict::Waived {
                what: Waived::Failed,
            },
            Verdict::Blocked {
                by: Blocker::Capacity,
            },
            Verdict::Interrupted,
            Verdict::Errored { class },
            Verdict::Failed { class },
        ];
        for (place, verdict) in rising.iter().enumerate() {
            for (other_place, other) in rising.iter().enumerate() {
                assert_eq!(verdict.is_worse_than(other), place > other_place);
            }
        }
    }
}
