//! What a run has cost, as its report tells it.
//!
//! It is worked out by `dva-schedule` from the rates of the plan's quotes and from what the report says of the
//! lives; nobody asks a provider what it charges. Its main type is [`BillReport`].

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::TestId;
use crate::money::Money;
use crate::quote::LineKind;
use crate::schedule::LifeIx;

/// What a run has cost. Amounts are billionths of a US dollar, of the lives whose machines have a price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BillReport {
    /// All of it.
    pub nano_usd: Money,
    /// The same by what it was paid for: they add up to it.
    pub parts: Parts,
    /// What the executions of each test cost: together as much as the parts `tests`, `setup` and `retries`.
    pub by_test: BTreeMap<TestId, Money>,
    /// What each life cost, by its row in the report; 0 where it is free, or there was no machine. A life whose
    /// machine has no price is not in here.
    pub by_life: BTreeMap<LifeIx, Money>,
    /// The same by the region of the machine.
    pub by_region: BTreeMap<String, Money>,
    /// The same by the type of the machine.
    pub by_type: BTreeMap<String, Money>,
    /// How many lives have no known price: what they cost is not in here.
    #[serde(default, skip_serializing_if = "is_none")]
    pub unpriced_lives: u32,
    /// What machines that have a price used and have no price of: it costs that much more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub unpriced_kinds: BTreeSet<LineKind>,
    /// How many lives had no machine: they were never launched, or none was to be had.
    #[serde(default, skip_serializing_if = "is_none")]
    pub lives_without_machine: u32,
    /// The oldest day of the rates, `YYYY-MM-DD`; absent where there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// What was expected of the lives that the run began with.
    pub expected: ExpectedBill,
}

/// What a run should have cost by its schedule, had all gone as that foresaw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExpectedBill {
    /// All of it, in billionths of a US dollar.
    pub nano_usd: Money,
    /// For how many lives.
    pub lives: u32,
    /// The same by what it would have been paid for; nothing is expected to be tried again.
    pub parts: Parts,
}

/// Where the money of a run went, in billionths of a US dollar. Each life's cost is divided by lane-time: that of an
/// execution is how long it had its lane, that of a boot and of idleness how long all lanes waited. The parts are
/// whole billionths and add up to the total exactly; what is left over goes to where the division cut off most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Parts {
    /// Executions that give a verdict.
    pub tests: Money,
    /// Executions that only prepare a life.
    pub setup: Money,
    /// Executions that were to give a verdict, and others did so after them.
    pub retries: Money,
    /// From the launch until the first test could start, or to the end where it never could. What was paid for
    /// no time at all is here too.
    pub boot: Money,
    /// Lanes on which nothing ran, and the time after the last test.
    pub idle: Money,
}

impl Parts {
    /// All parts together; `None` where that does not fit, which parts of a bill never do.
    #[must_use]
    pub fn total(&self) -> Option<Money> {
        Money::checked_sum(self.named().map(|(_, amount)| amount))
    }

    /// Each part with its name: the wanted one first, then what was wasted.
    #[must_use]
    pub fn named(&self) -> [(&'static str, Money); 5] {
        [
            ("tests", self.tests),
            ("boot", self.boot),
            ("idle", self.idle),
            ("setup", self.setup),
            ("retries", self.retries),
        ]
    }
}

fn is_none(number: &u32) -> bool {
    *number == 0
}
