//! The names of the rules.

use std::fmt;

/// A rule that every schedule keeps. The table in the crate's documentation says what each demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// What is named exists.
    References,
    /// Each test run has one execution that gives its verdict.
    OneVerdict,
    /// What a test is `after` is on its life.
    LifeClosed,
    /// `after`, and `order` on one life, hold in time.
    OrderKept,
    /// Readers of a disk end before those of its writers start that they are not `after`.
    AsShipped,
    /// The writers of a disk on one life lie on one chain of `after`.
    OneWriterChain,
    /// Lanes run one test at a time and are no more than allowed.
    Lanes,
    /// The machine may serve the cell and can run its image.
    MachineFits,
    /// Setup executions are only of tests that have their verdict on another life.
    SetupElsewhere,
    /// The times of a life follow each other, and the makespan is the last end.
    Times,
    /// The rows are sorted.
    RowOrder,
    /// It was made for this plan.
    PlanDigest,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::References,
        Self::OneVerdict,
        Self::LifeClosed,
        Self::OrderKept,
        Self::AsShipped,
        Self::OneWriterChain,
        Self::Lanes,
        Self::MachineFits,
        Self::SetupElsewhere,
        Self::Times,
        Self::RowOrder,
        Self::PlanDigest,
    ];

    /// Its stable name, in lower case with hyphens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::References => "references",
            Self::OneVerdict => "one-verdict",
            Self::LifeClosed => "life-closed",
            Self::OrderKept => "order-kept",
            Self::AsShipped => "as-shipped",
            Self::OneWriterChain => "one-writer-chain",
            Self::Lanes => "lanes",
            Self::MachineFits => "machine-fits",
            Self::SetupElsewhere => "setup-elsewhere",
            Self::Times => "times",
            Self::RowOrder => "row-order",
            Self::PlanDigest => "plan-digest",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
