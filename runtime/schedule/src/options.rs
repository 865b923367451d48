//! What is asked of the scheduler, and what it answers.

use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_plan::plan::{CellIx, Limits};
use dva_plan::schedule::Schedule;
use thiserror::Error;

use crate::quota::{QuotaClass, Quotas};

/// What is taken for true where nobody stated or measured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Assumptions {
    /// From the launch of a life until it is ready for its first test, in milliseconds.
    pub boot_ms: u64,
    /// How much of that costs nothing, because the machine is not `running` yet, in milliseconds.
    pub pending_ms: u64,
    /// How long a test takes that says nothing of it, in milliseconds.
    pub default_takes_ms: u64,
}

impl Default for Assumptions {
    /// What the simulator does: 30 seconds to boot, 1 second for a test. All of the boot counts as billed, so
    /// no cost is too low for that.
    fn default() -> Self {
        Self {
            boot_ms: 30_000,
            pending_ms: 0,
            default_takes_ms: 1_000,
        }
    }
}

/// How a run is to be scheduled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// What is taken for true.
    pub assumptions: Assumptions,
    /// What is sought.
    pub goal: Goal,
    /// How hard it is sought.
    pub effort: Effort,
    /// By what means.
    pub method: Method,
    /// Fewer lanes than the plan's policy allows; more count as so many.
    pub lanes: Option<u32>,
    /// What the account may have.
    pub quotas: Quotas,
    /// From which random moves begin. The same seed, the same bytes.
    pub seed: u64,
}

/// What is sought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Goal {
    /// The least cost, however long it takes.
    #[default]
    LeastCost,
    /// The least cost of what is over in time.
    Deadline {
        /// From the first launch to the last end, in milliseconds.
        within_ms: u64,
        /// How sure that has to be.
        risk: Risk,
    },
    /// The least time for a cost.
    Budget {
        /// The most that all lives may cost together.
        most: Money,
    },
}

impl Goal {
    /// What the limits of a plan ask for: to be over in time as is expected, where the time is limited. A limit
    /// of the cost is judged by [`over_cost`](crate::over_cost()), since the least cost is sought anyhow.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        match limits.elapsed_ms {
            Some(within_ms) => Self::Deadline {
                within_ms,
                risk: Risk::Expected,
            },
            None => Self::LeastCost,
        }
    }
}

/// How sure something has to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Risk {
    /// If every test takes as long as is expected of it.
    Expected,
    /// In nine of ten runs, by [`forecast`](crate::forecast()).
    #[default]
    P90,
}

/// By what means lives are sought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Method {
    /// Small cells are solved to the end.
    #[default]
    Best,
    /// All cells are searched: for those who want to know how good the search is.
    SearchAlone,
}

/// How many moves a search may make for a shape: a number and not a time, so that the same plan gives
/// the same schedule on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Effort(pub u32);

impl Default for Effort {
    fn default() -> Self {
        Self(200)
    }
}

/// A schedule with what no other one could be better than.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The schedule.
    pub schedule: Schedule,
    /// Its certificate.
    pub certificate: Certificate,
}

/// How far a schedule can be from the best one.
///
/// All amounts are of what has a price: machines without one are in neither cost, see
/// [`Cost::unpriced`](crate::Cost).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificate {
    /// What the schedule costs.
    pub cost: Money,
    /// No schedule of these tests costs less.
    pub lower_bound: Money,
    /// How many lives it has.
    pub lives: u64,
    /// No schedule has fewer.
    pub lives_lower_bound: u64,
    /// The same for each cell.
    pub cells: BTreeMap<CellIx, CellCertificate>,
}

/// How far the lives of one cell can be from the best ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CellCertificate {
    /// What they cost.
    pub cost: Money,
    /// No lives of this cell cost less.
    pub lower_bound: Money,
    /// How many there are.
    pub lives: u64,
    /// No fewer will do.
    pub lives_lower_bound: u64,
    /// Whether all lives that could be were looked at, as of small cells: among the orders that a life can
    /// follow at run time nothing is cheaper.
    pub is_exact: bool,
}

impl Certificate {
    /// The cost in thousandths of the bound, rounded up: 1,000 where nothing could be cheaper.
    #[must_use]
    pub fn ratio_permille(&self) -> u64 {
        ratio_permille(self.cost, self.lower_bound)
    }
}

impl CellCertificate {
    /// As [`Certificate::ratio_permille`].
    #[must_use]
    pub fn ratio_permille(&self) -> u64 {
        ratio_permille(self.cost, self.lower_bound)
    }
}

fn ratio_permille(cost: Money, bound: Money) -> u64 {
    let (cost, bound) = (
        i128::from(cost.nano_usd()).max(0),
        i128::from(bound.nano_usd()).max(0),
    );
    if bound == 0 {
        return if cost == 0 { 1_000 } else { u64::MAX };
    }
    let thousandths = (cost * 1_000 + bound - 1) / bound;
    u64::try_from(thousandths).unwrap_or(u64::MAX)
}

/// Why there is no schedule, and what would do, as far as was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Error)]
#[error("{}", self.sentence())]
pub struct Infeasible {
    /// The least deadline that was found to do, in milliseconds; `None` where that is not the trouble.
    pub least_deadline_ms: Option<u64>,
    /// The least budget that was found to do; `None` where that is not the trouble.
    pub least_budget: Option<Money>,
    /// The virtual processors that a region must have at least; empty where that is not the trouble.
    pub least_vcpus: BTreeMap<(String, QuotaClass), u32>,
}

impl Infeasible {
    fn sentence(&self) -> String {
        let mut parts = Vec::new();
        if let Some(deadline_ms) = self.least_deadline_ms {
            let deadline = dva_plan::unit::display_duration(deadline_ms);
            parts.push(format!("the shortest that was found takes {deadline}"));
        }
        if let Some(budget) = self.least_budget {
            parts.push(format!("the cheapest that was found costs {budget}"));
        }
        for ((region, class), vcpus) in &self.least_vcpus {
            parts.push(format!(
                "{region} must allow {vcpus} vCPUs of class {class}"
            ));
        }
        parts.join(", and ")
    }
}
