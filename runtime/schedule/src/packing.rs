//! Makes a schedule: which lives there are, on which machines, and what runs on them when.
//!
//! Cells touch each other only through gates, limits of machines and of states of the account, quotas and
//! the rate of launches. So each shape is solved once for all cells that have it, and then the lives of all
//! cells are launched:
//!
//! | stage | decides |
//! |---|---|
//! | [`workload`] | nothing: the tests of a shape by positions and bits |
//! | [`sequence`], [`order`] | when the tests of one life run |
//! | [`partition`], [`exact`] | which tests share a life |
//! | [`meter`], [`tariff`] | on which candidate, and what that costs |
//! | [`solve`], [`cells`] | which lives a cell may have: the cheapest, and shorter and dearer ones |
//! | [`elsewhere`] | which lives go elsewhere for the sake of a quota |
//! | [`launch`] | when each life begins |
//! | [`goal`] | which of its choices each cell takes, so that a deadline or a budget is met |
//! | [`bound`] | nothing: says what no schedule could be better than |
//!
//! It reads no clock: its effort is counted in moves. Shapes are solved on all processors there are
//! ([`parallel`]), and the same plan gives the same bytes on any number of them.

pub(crate) mod bound;
pub(crate) mod cells;
mod elsewhere;
pub(crate) mod exact;
mod goal;
mod launch;
pub(crate) mod meter;
pub(crate) mod order;
mod parallel;
pub(crate) mod partition;
pub(crate) mod random;
pub(crate) mod sequence;
pub(crate) mod set;
pub(crate) mod solve;
pub(crate) mod tariff;
pub(crate) mod workload;

use dva_plan::ExecutionPlan;
use dva_plan::document::PRODUCER;
use dva_plan::plan::ShapeIx;
use dva_plan::schedule::{PlannedLife, Schedule};

use crate::options::{Assumptions, Options};
use crate::quota::Quotas;
use cells::{Cells, Kind};
pub use goal::optimize;
use solve::Sought;

/// The schedule of `plan`, whose document has the digest `plan_digest`, that costs least: what
/// [`optimize`] makes where nothing but these assumptions is said.
///
/// # Panics
/// As [`optimize`].
#[must_use]
pub fn schedule(plan: &ExecutionPlan, plan_digest: &str, assumptions: &Assumptions) -> Schedule {
    let options = Options {
        assumptions: *assumptions,
        ..Options::default()
    };
    let cells = Cells::of(plan, &options, Sought::Cheapest);
    let lives = cells.lives(Kind::cheapest).unwrap_or_default();
    unlimited(plan, plan_digest, lives)
}

/// As [`schedule`], but each atom has lives of its own, so no test but `last` ones shares its machine
/// with a test it has nothing to do with. It costs a boot for each; what passes here and fails when packed has met a
/// neighbour.
///
/// # Panics
/// As [`optimize`].
#[must_use]
pub fn schedule_isolated(
    plan: &ExecutionPlan,
    plan_digest: &str,
    assumptions: &Assumptions,
) -> Schedule {
    let options = Options {
        assumptions: *assumptions,
        ..Options::default()
    };
    let cells = Cells::isolated(plan, &options);
    let lives = cells.lives(Kind::cheapest).unwrap_or_default();
    unlimited(plan, plan_digest, lives)
}

/// Without quotas, every life can be launched at some time.
fn unlimited(plan: &ExecutionPlan, plan_digest: &str, mut lives: Vec<PlannedLife>) -> Schedule {
    let launched = launch::assign(plan, &Quotas::default(), &mut lives);
    debug_assert!(launched.is_ok(), "nothing is limited");
    finish(plan, plan_digest, lives)
}

fn finish(plan: &ExecutionPlan, plan_digest: &str, lives: Vec<PlannedLife>) -> Schedule {
    let makespan_ms = lives.iter().map(|life| life.end_ms).max().unwrap_or(0);
    let shapes = plan.cells.iter().map(|cell| defaulted(plan, cell.shape));
    Schedule {
        producer: PRODUCER.into(),
        plan_digest: plan_digest.to_owned(),
        lives: lives.into(),
        makespan_ms,
        defaulted_durations: shapes.fold(0, u32::saturating_add),
    }
}

/// How many tests of a shape do not say how long they take.
fn defaulted(plan: &ExecutionPlan, shape: ShapeIx) -> u32 {
    let tests = plan.shapes[shape].tests.iter();
    let defaulted = tests.filter(|test| plan.tests[**test].takes_ms.is_none());
    u32::try_from(defaulted.count()).unwrap_or(u32::MAX)
}
