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
//! what it charges. The main function is [`spent()`]; [`expected()`] divides what a schedule should cost in the
//! same way, so that both can be compared part by part.

use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_plan::plan::TestIx;
use dva_plan::report::{BillReport, ExpectedBill, LifeReport, Parts, RunReport};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::table::{Index, Table};
use dva_plan::{ExecutionPlan, TestId};

use crate::bill::BillError;
use crate::cost::{Cost, LifeUse, life_cost};
use crate::joined::{Joined, Role};

/// What a run has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// What all lives cost, and how many have no price.
    pub cost: Cost,
    /// The same of each life, as in the report.
    pub by_life: Table<LifeIx, Cost>,
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
            spent.by_life.push(Cost::default());
        }
    }
    Ok(spent)
}

/// What `lives`, planned for a run of `plan`, should cost, in the parts of a bill: executions that give a verdict,
/// those that prepare a life, boots and idleness. A life that goes as planned comes to the same in both, but for
/// single billionths, which the order of its executions decides, and for the time before it is `running`, which a
/// schedule may know to be free and a report does not.
///
/// # Errors
/// As [`spent()`].
///
/// # Panics
/// If a life names a row that is not in `plan`.
pub fn expected<'l>(
    plan: &ExecutionPlan,
    lives: impl IntoIterator<Item = &'l PlannedLife>,
) -> Result<ExpectedBill, BillError> {
    let mut expected = ExpectedBill::default();
    for life in lives {
        let executed = planned(plan, life);
        let total = life_cost(plan, life)?.bill.total();
        let lane_time = LaneTime::of((life.launch_ms, life.ready_ms, life.end_ms), &executed);
        charge(&mut expected.parts, total, &lane_time, &executed)?;
        grow(&mut expected.nano_usd, total)?;
        expected.lives = expected.lives.saturating_add(1);
    }
    Ok(expected)
}

/// What is to run on a life.
fn planned<'p>(plan: &'p ExecutionPlan, life: &PlannedLife) -> Vec<Executed<'p>> {
    let executions = life.executions.iter().map(|execution| Executed {
        id: &plan.tests[execution.test].id,
        test: Some(execution.test),
        role: match execution.setup {
            true => Role::Setup,
            false => Role::Verdict,
        },
        lane: execution.lane,
        start_ms: execution.start_ms,
        end_ms: execution.end_ms,
    });
    executions.collect()
}

/// Divides what a life costs: adds each part to `parts`, and returns what each execution comes to.
fn charge(
    parts: &mut Parts,
    total: Money,
    lane_time: &LaneTime,
    executed: &[Executed],
) -> Result<Vec<Money>, BillError> {
    let mut amounts = divide(total, &lane_time.parts())?;
    let runs = amounts.split_off(2);
    let [boot, idle] = &amounts[..] else {
        return Err(BillError::Overflow);
    };
    grow(&mut parts.boot, *boot)?;
    grow(&mut parts.idle, *idle)?;
    for (execution, amount) in executed.iter().zip(&runs) {
        grow(part(parts, execution.role), *amount)?;
    }
    Ok(runs)
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
        let end_ms = joined.end_ms(life);
        let ready_ms = life.ready_ms.unwrap_or(end_ms);
        let lane_time = LaneTime::of((life.launch_ms, ready_ms, end_ms), executed);
        let runs = charge(&mut self.parts, own.bill.total(), &lane_time, executed)?;
        for (execution, amount) in executed.iter().zip(runs) {
            let sum = self.by_test.entry(execution.id.clone()).or_default();
            grow(sum, amount)?;
        }
        for (group, key) in [
            (&mut self.by_region, &life.region),
            (&mut self.by_type, &life.r#type),
        ] {
            let sum = group.entry(key.clone()).or_default();
            *sum = std::mem::take(sum).merge(own.clone())?;
        }
        self.by_life.push(own.clone());
        self.cost = std::mem::take(&mut self.cost).merge(own)?;
        Ok(())
    }

    /// As the report of the run has it, beside what was `expected`; `None` where nothing has to be paid.
    #[must_use]
    pub fn bill_report(&self, expected: ExpectedBill) -> Option<BillReport> {
        if self.cost.is_nothing() {
            return None;
        }
        let totals = |costs: &BTreeMap<String, Cost>| {
            let costs = costs.iter();
            let totals = costs.map(|(name, cost)| (name.clone(), cost.bill.total()));
            totals.collect()
        };
        let priced = self.by_life.enumerate();
        let priced = priced.filter(|(_, cost)| cost.unpriced.is_empty());
        Some(BillReport {
            nano_usd: self.cost.bill.total(),
            parts: self.parts,
            by_test: self.by_test.clone(),
            by_life: priced
                .map(|(life, cost)| (life, cost.bill.total()))
                .collect(),
            by_region: totals(&self.by_region),
            by_type: totals(&self.by_type),
            unpriced_lives: self.cost.unpriced_lives(),
            unpriced_kinds: self.cost.bill.unpriced().clone(),
            lives_without_machine: self.without_machine,
            as_of: self.cost.as_of.clone(),
            expected,
        })
    }
}

fn part(parts: &mut Parts, role: Role) -> &mut Money {
    match role {
        Role::Verdict => &mut parts.tests,
        Role::Setup => &mut parts.setup,
        Role::Retry => &mut parts.retries,
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
    /// Of a life that was launched, ready and gone at these times.
    fn of((launch_ms, ready_ms, end_ms): (u64, u64, u64), executed: &[Executed]) -> Self {
        let lanes = executed
            .iter()
            .map(|execution| u128::from(execution.lane) + 1);
        let lanes = lanes.max().unwrap_or(1);
        let ready_ms = ready_ms.clamp(launch_ms, end_ms);
        let taken = executed.iter().map(|execution| {
            let start_ms = execution.start_ms.max(ready_ms);
            u128::from(execution.end_ms.min(end_ms).saturating_sub(start_ms))
        });
        let executions: Vec<u128> = taken.collect();
        let all = lanes * u128::from(end_ms - ready_ms);
        Self {
            boot: lanes * u128::from(ready_ms - launch_ms),
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
