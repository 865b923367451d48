//! What a run has cost, and where the money went.
//!
//! The use of a life is what the run report says: its launch, its readiness, its end and what ran on it. The
//! rest is assumed as for schedules, see [`cost`](mod@crate::cost), and besides:
//!
//! | what | is assumed |
//! |---|---|
//! | running | from the launch: a report does not say how long a machine was `pending`, so no amount is too low for that |
//! | machine | of the cell's candidates that have the life's type and region, the best one |
//! | root volume, data disks | those of the tests that ran on the life; a life that broke before may have had more |
//! | lanes | as many as were used |
//!
//! A life for which the provider named no machine had none and costs nothing. Nothing here asks a provider
//! what it charges. The main function is [`spent()`].

use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_plan::plan::TestIx;
use dva_plan::report::{LifeReport, RunReport};
use dva_plan::table::Index;
use dva_plan::{ExecutionPlan, TestId};

use crate::bill::BillError;
use crate::cost::{Cost, LifeUse};
use crate::joined::{Joined, Role};

/// What a run has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// What all lives cost, and how many have no price.
    pub cost: Cost,
    /// The same by the region of the machine.
    pub by_region: BTreeMap<String, Cost>,
    /// The same by the type of the machine.
    pub by_type: BTreeMap<String, Cost>,
    /// What the executions of each test cost that ran: together as much as [`Parts::tests`],
    /// [`Parts::setup`] and [`Parts::retries`].
    pub by_test: BTreeMap<TestId, Money>,
    /// Where the money went.
    pub parts: Parts,
    /// How many lives had no machine, because they were never launched or none was to be had.
    pub without_machine: u32,
}

/// Where the money of a run went. Each life's cost is divided by lane-time: that of an execution is how long it
/// had its lane, that of a boot and of idleness how long all lanes waited. The parts are whole billionths and
/// add up to the total exactly; what is left over goes to where the division cut off most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// What the run of `plan` that `report` tells of has cost.
///
/// # Errors
/// [`BillError::Quote`] where a machine's quote breaks a rule of its form, and
/// [`BillError::Overflow`] where the amount cannot be counted.
///
/// # Panics
/// If `plan` does not hold together, see [`validate`](dva_plan::validate::validate()).
pub fn spent(plan: &ExecutionPlan, report: &RunReport) -> Result<Spent, BillError> {
    let joined = Joined::of(plan, report);
    let executed = executed(&joined);
    let mut spent = Spent::default();
    for (life, executed) in report.lives.iter().zip(&executed) {
        if life.machine.is_some() {
            spent.add(&joined, life, executed)?;
        } else {
            spent.without_machine = spent.without_machine.saturating_add(1);
        }
    }
    Ok(spent)
}

/// What ran on a life.
struct Executed<'a> {
    id: &'a TestId,
    test: Option<TestIx>,
    role: Role,
    lane: u32,
    start_ms: u64,
    end_ms: u64,
}

/// What ran on each life.
fn executed<'a>(joined: &Joined<'a>) -> Vec<Vec<Executed<'a>>> {
    let mut of_lives: Vec<Vec<Executed>> = Vec::new();
    of_lives.resize_with(joined.report.lives.len(), Vec::new);
    for run in &joined.report.test_runs {
        for (role, execution) in joined.roles(run) {
            let of_life = of_lives.get_mut(execution.life.row());
            // A report from elsewhere may name a life that it does not have.
            of_life.into_iter().for_each(|of_life| {
                of_life.push(Executed {
                    id: &run.test,
                    test: joined.test(&run.test),
                    role,
                    lane: execution.lane,
                    start_ms: execution.start_ms,
                    end_ms: execution.end_ms,
                });
            });
        }
    }
    of_lives
}

impl Spent {
    fn add(
        &mut self,
        joined: &Joined,
        life: &LifeReport,
        executed: &[Executed],
    ) -> Result<(), BillError> {
        let own = life_use(joined, life, executed).cost(joined.plan)?;
        let lane_time = LaneTime::of(life, joined.end_ms(life), executed);
        let [boot, idle, runs @ ..] = &divide(own.bill.total(), &lane_time.parts())?[..] else {
            return Err(BillError::Overflow);
        };
        grow(&mut self.parts.boot, *boot)?;
        grow(&mut self.parts.idle, *idle)?;
        for (execution, amount) in executed.iter().zip(runs) {
            grow(self.parts.of(execution.role), *amount)?;
            grow(
                self.by_test.entry(execution.id.clone()).or_default(),
                *amount,
            )?;
        }
        for (group, key) in [
            (&mut self.by_region, &life.region),
            (&mut self.by_type, &life.r#type),
        ] {
            let sum = group.entry(key.clone()).or_default();
            *sum = std::mem::take(sum).merge(own.clone())?;
        }
        self.cost = std::mem::take(&mut self.cost).merge(own)?;
        Ok(())
    }
}

impl Parts {
    /// All parts together: what the lives with a price cost.
    ///
    /// # Errors
    /// [`BillError::Overflow`], which parts of a [`Spent`] never give.
    pub fn total(&self) -> Result<Money, BillError> {
        let parts = [self.tests, self.setup, self.retries, self.boot, self.idle];
        Money::checked_sum(parts).ok_or(BillError::Overflow)
    }

    fn of(&mut self, role: Role) -> &mut Money {
        match role {
            Role::Verdict => &mut self.tests,
            Role::Setup => &mut self.setup,
            Role::Retry => &mut self.retries,
        }
    }
}

fn life_use<'a>(joined: &Joined<'a>, life: &'a LifeReport, executed: &[Executed]) -> LifeUse<'a> {
    let tests = executed.iter().filter_map(|execution| execution.test);
    // Tests of different boots share no life.
    let boot = tests.clone().find_map(|test| joined.plan.tests[test].boot);
    LifeUse {
        machine: joined.machine(life),
        place: (&life.region, &life.r#type),
        boot,
        tests: tests.collect(),
        alive_ms: joined.end_ms(life) - life.launch_ms,
        pending_ms: 0,
    }
}

/// How long the lanes of a life were taken by what, in milliseconds of one lane.
struct LaneTime {
    boot: u128,
    idle: u128,
    executions: Vec<u128>,
}

impl LaneTime {
    fn of(life: &LifeReport, end_ms: u64, executed: &[Executed]) -> Self {
        let lanes = executed
            .iter()
            .map(|execution| u128::from(execution.lane) + 1);
        let lanes = lanes.max().unwrap_or(1);
        let ready_ms = life.ready_ms.unwrap_or(end_ms);
        let ready_ms = ready_ms.clamp(life.launch_ms, end_ms);
        let taken = executed.iter().map(|execution| {
            let start_ms = execution.start_ms.max(ready_ms);
            u128::from(execution.end_ms.min(end_ms).saturating_sub(start_ms))
        });
        let executions: Vec<u128> = taken.collect();
        let all = lanes * u128::from(end_ms - ready_ms);
        Self {
            boot: lanes * u128::from(ready_ms - life.launch_ms),
            idle: all.saturating_sub(executions.iter().sum()),
            executions,
        }
    }

    /// The boot, idleness, then the executions.
    fn parts(&self) -> Vec<u128> {
        let first = [self.boot, self.idle].into_iter();
        first.chain(self.executions.iter().copied()).collect()
    }
}

/// `amount` in parts by `weights`, which add up to it exactly: each is rounded down, and those that lost most
/// by that get a billionth more, of equal ones the first. Where all weights are 0 the first part has it all.
fn divide(amount: Money, weights: &[u128]) -> Result<Vec<Money>, BillError> {
    let all: u128 = weights.iter().sum();
    let nano_usd = u128::try_from(amount.nano_usd()).map_err(|_| BillError::Overflow)?;
    let mut parts = vec![0_u128; weights.len()];
    let mut lost: Vec<(u128, usize)> = Vec::with_capacity(weights.len());
    for (place, weight) in weights.iter().enumerate() {
        let product = nano_usd.checked_mul(*weight).ok_or(BillError::Overflow)?;
        parts[place] = product.checked_div(all).unwrap_or(0);
        lost.push((product.checked_rem(all).unwrap_or(0), place));
    }
    lost.sort_by_key(|(lost, place)| (std::cmp::Reverse(*lost), *place));
    let mut rest = nano_usd - parts.iter().sum::<u128>();
    if all == 0 {
        parts.iter_mut().take(1).for_each(|first| *first = rest);
        rest = 0;
    }
    let more = usize::try_from(rest).map_err(|_| BillError::Overflow)?;
    for (_, place) in lost.iter().take(more) {
        parts[*place] += 1;
    }
    let money = |nano_usd| i64::try_from(nano_usd).map(Money::from_nano_usd);
    let parts: Result<Vec<Money>, _> = parts.into_iter().map(money).collect();
    parts.map_err(|_| BillError::Overflow)
}

fn grow(sum: &mut Money, by: Money) -> Result<(), BillError> {
    *sum = sum.checked_add(by).ok_or(BillError::Overflow)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(nano_usd: i64, weights: &[u128]) -> Vec<i64> {
        let parts = divide(Money::from_nano_usd(nano_usd), weights).expect("it can be counted");
        parts.into_iter().map(Money::nano_usd).collect()
    }

    #[test]
    fn what_is_left_over_goes_to_those_that_lost_most() {
        assert_eq!(divided(10, &[1, 1, 1]), [4, 3, 3]);
        // 1.25, 2.5 and 6.25.
        assert_eq!(divided(10, &[1, 2, 5]), [1, 3, 6]);
        assert_eq!(divided(2, &[1, 1, 1, 1]), [1, 1, 0, 0]);
        assert_eq!(divided(7, &[0, 0]), [7, 0]);
        assert_eq!(divided(0, &[3, 0]), [0, 0]);
        assert_eq!(divided(i64::MAX, &[1, 0]), [i64::MAX, 0]);
    }

    #[test]
    fn what_cannot_be_counted_is_an_error() {
        let most = Money::from_nano_usd(i64::MAX);
        assert_eq!(divide(most, &[u128::MAX]), Err(BillError::Overflow));
    }
}
