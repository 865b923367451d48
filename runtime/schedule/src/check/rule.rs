//! The names of the rules.

use std::fmt;

/// A rule that every schedule keeps. The table in the crate's documentation says what each demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// What is named exists.
    References,
    /// Each test run has one execution that gives its verdict.
    OneVerdict,
    /// What a test is `after`, regardless of its ending or not, is on its life.
    LifeClosed,
    /// Tests that conflict do not share a life.
    ConflictsApart,
    /// A life has the boot that its tests need.
    OneBoot,
    /// `after`, `regardless`, and `order` on one life, hold in time.
    OrderKept,
    /// Readers and borrowers of a state or disk end before those of its writers start that they are not
    /// `after`, and all who touch a state before a reboot that loses it.
    AsShipped,
    /// The writers of a state or disk on one life lie on one chain of `after`.
    OneWriterChain,
    /// While a state or disk is borrowed, nobody else touches it.
    BorrowedAlone,
    /// Who reads the machine ends before anything changes it that it is not `after`.
    FreshFirst,
    /// Nothing runs behind who writes the machine but what is `after` it.
    DirtyLast,
    /// Who reboots, stops or borrows the machine has it to itself.
    MachineAlone,
    /// `last` tests start when all others have ended.
    LastAtTheEnd,
    /// `last` tests are on every life that has what they are `after`, with a verdict.
    LastEverywhere,
    /// What may run but once is not set up.
    OnceOnly,
    /// Lanes run one test at a time and are no more than allowed.
    Lanes,
    /// The machine may serve the cell, can run its image and is what the tests there need.
    MachineFits,
    /// There are no more machines at once than allowed.
    MachineLimit,
    /// A state of the account is used by no more lives at once than may.
    AccountLimit,
    /// No more virtual processors are used in a region than its quota allows.
    Quota,
    /// Machines are launched no faster than the API allows.
    LaunchRate,
    /// All is over in time, as surely as was asked for.
    Deadline,
    /// It costs no more than it may.
    Budget,
    /// What waits at a gate is launched when what comes first has ended.
    GateKept,
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
    pub const ALL: [Self; 28] = [
        Self::References,
        Self::OneVerdict,
        Self::LifeClosed,
        Self::ConflictsApart,
        Self::OneBoot,
        Self::OrderKept,
        Self::AsShipped,
        Self::OneWriterChain,
        Self::BorrowedAlone,
        Self::FreshFirst,
        Self::DirtyLast,
        Self::MachineAlone,
        Self::LastAtTheEnd,
        Self::LastEverywhere,
        Self::OnceOnly,
        Self::Lanes,
        Self::MachineFits,
        Self::MachineLimit,
        Self::AccountLimit,
        Self::Quota,
        Self::LaunchRate,
        Self::Deadline,
        Self::Budget,
        Self::GateKept,
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
            Self::ConflictsApart => "conflicts-apart",
            Self::OneBoot => "one-boot",
            Self::OrderKept => "order-kept",
            Self::AsShipped => "as-shipped",
            Self::OneWriterChain => "one-writer-chain",
            Self::BorrowedAlone => "borrowed-alone",
            Self::FreshFirst => "fresh-first",
            Self::DirtyLast => "dirty-last",
            Self::MachineAlone => "machine-alone",
            Self::LastAtTheEnd => "last-at-the-end",
            Self::LastEverywhere => "last-everywhere",
            Self::OnceOnly => "once-only",
            Self::Lanes => "lanes",
            Self::MachineFits => "machine-fits",
            Self::MachineLimit => "machine-limit",
            Self::AccountLimit => "account-limit",
            Self::Quota => "quota",
            Self::LaunchRate => "launch-rate",
            Self::Deadline => "deadline",
            Self::Budget => "budget",
            Self::GateKept => "gate-kept",
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
