//! What lives should cost, as people are told it: nothing, an amount, at least an amount, or not known.
//!
//! Its main type is [`Price`]. What an amount is made of is `dva estimate`'s to say.

use std::fmt;

use dva_plan::money::Money;
use dva_plan::schedule::PlannedLife;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use serde::{Serialize, Serializer};

use crate::failure::Failure;
use crate::render::amount;

/// What lives should cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// Nobody charges for them.
    Free,
    /// All of it.
    Known(Money),
    /// What is known of it; something has no known price.
    AtLeast(Money),
    /// Nothing of it is known.
    Unknown,
}

impl Price {
    /// That of `lives`, lives of `plan`, together.
    pub fn of<'a>(
        plan: &ExecutionPlan,
        lives: impl IntoIterator<Item = &'a PlannedLife>,
    ) -> Result<Self, Failure> {
        let lives: Vec<_> = lives.into_iter().cloned().collect();
        Self::of_schedule(
            plan,
            &Schedule {
                producer: String::new(),
                plan_digest: String::new(),
                makespan_ms: 0,
                defaulted_durations: 0,
                lives: lives.into(),
            },
        )
    }

    /// That of all lives of `schedule`, by their machines and times alone.
    pub fn of_schedule(plan: &ExecutionPlan, schedule: &Schedule) -> Result<Self, Failure> {
        let cost = dva_schedule::cost(plan, schedule)
            .map_err(|error| Failure::new(ExitCode::Refused, format!("the cost: {error}.")))?;
        let total = cost.bill.total();
        Ok(if cost.is_nothing() {
            Self::Free
        } else if cost.as_of.is_none() {
            Self::Unknown
        } else if cost.unpriced.is_empty() && cost.bill.unpriced().is_empty() {
            Self::Known(total)
        } else {
            Self::AtLeast(total)
        })
    }

    /// The amount, as far as it is known.
    pub fn money(self) -> Option<Money> {
        match self {
            Self::Free => Some(Money::ZERO),
            Self::Known(money) | Self::AtLeast(money) => Some(money),
            Self::Unknown => None,
        }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Free => f.write_str("free"),
            Self::Known(money) => f.write_str(&amount(*money)),
            Self::AtLeast(money) => write!(f, "at least {}", amount(*money)),
            Self::Unknown => f.write_str("no known price"),
        }
    }
}

/// As programs read it: billionths of a dollar, as far as they are known, and whether that is all.
impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct View {
            #[serde(skip_serializing_if = "Option::is_none")]
            nano_usd: Option<Money>,
            is_whole: bool,
        }
        View {
            nano_usd: self.money(),
            is_whole: matches!(self, Self::Free | Self::Known(_)),
        }
        .serialize(serializer)
    }
}
