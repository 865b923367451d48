//! How well bills would have been foretold by a history: each run from the runs before it alone.
//!
//! The lives of a run's schedule are played through once with what the history says and once with what the plan states,
//! and both are held against the bill. So the packing is that of the run, and only the durations are judged. Runs whose
//! lives were others than planned are learned from and not judged: no history foretells that a machine is lost. The
//! main function is [`money_test()`].

use dva_plan::history::TestKey;
use dva_plan::money::Money;
use dva_plan::plan::TestIx;
use dva_plan::schedule::{PlannedLife, Schedule};
use dva_plan::{ExecutionPlan, RunReport};

use super::{History, coverage};
use crate::forecast::replayed;
use crate::options::Assumptions;
use crate::spent::spent;

/// A run that is over.
#[derive(Clone, Copy, Debug)]
pub struct Foretold<'r> {
    /// Its plan.
    pub plan: &'r ExecutionPlan,
    /// The schedule that it began with.
    pub schedule: &'r Schedule,
    /// What came of it.
    pub report: &'r RunReport,
}

/// How well bills were foretold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MoneyTest {
    /// How many bills were: of runs that had something to pay, on the lives that were planned, of whose tests
    /// something was known.
    pub bills: u32,
    /// How far what was measured before is beside the bill, in thousandths of the bill; the mean.
    pub measured_permille: u64,
    /// The same of what the plan states and `assumptions` say.
    pub stated_permille: u64,
}

/// Foretells the bill of each of `runs`, which are in the order of their time, from those before it.
#[must_use]
pub fn money_test<'r>(
    runs: impl IntoIterator<Item = Foretold<'r>>,
    assumptions: &Assumptions,
) -> MoneyTest {
    let (mut history, mut found) = (History::default(), MoneyTest::default());
    for run in runs {
        if let Some((measured, stated)) = run.beside(&history, assumptions) {
            found.bills += 1;
            found.measured_permille += measured;
            found.stated_permille += stated;
        }
        history.learn(run.plan, run.report);
    }
    let mean = |sum: u64| sum.checked_div(found.bills.into()).unwrap_or(0);
    MoneyTest {
        measured_permille: mean(found.measured_permille),
        stated_permille: mean(found.stated_permille),
        ..found
    }
}

impl Foretold<'_> {
    /// How far what was measured and what is stated are beside the bill, in thousandths of it; `None` where that is not
    /// judged.
    fn beside(&self, history: &History, assumptions: &Assumptions) -> Option<(u64, u64)> {
        let Self {
            plan,
            schedule,
            report,
        } = self;
        let known = coverage(plan, history, assumptions);
        let spent = spent(plan, report).ok()?;
        let bill = spent.cost.bill.total();
        let is_as_planned =
            report.lives.len() == schedule.lives.len() && spent.without_machine == 0;
        if known.test_runs == 0 || !is_as_planned || bill <= Money::ZERO {
            return None;
        }
        let stated_ms = |_: &PlannedLife, test: TestIx| {
            let takes_ms = plan.tests[test].takes_ms;
            takes_ms.unwrap_or(assumptions.default_takes_ms)
        };
        let measured_ms = |life: &PlannedLife, test: TestIx| {
            let image = &plan.images[plan.cells[life.cell].image];
            let expected = history.expected_ms(&TestKey {
                plan: plan.name.clone(),
                test: plan.tests[test].id.clone(),
                arch: image.arch.clone(),
                image: image.name.clone(),
                r#type: plan.machines[life.machine].r#type.clone(),
            });
            expected.map_or_else(|| stated_ms(life, test), |expected| expected.mean_ms)
        };
        let measured_boot_ms = |life: &PlannedLife| {
            let image = &plan.images[plan.cells[life.cell].image].name;
            let machine = &plan.machines[life.machine];
            let expected = history.expected_boot_ms(image, &machine.r#type, &machine.region);
            expected.map_or(assumptions.boot_ms, |expected| expected.mean_ms)
        };
        let measured = replayed(plan, schedule, measured_boot_ms, measured_ms);
        let stated = replayed(plan, schedule, |_| assumptions.boot_ms, stated_ms);
        let beside = |foretold: Money| {
            let beside = u128::from(foretold.nano_usd().abs_diff(bill.nano_usd()));
            let permille = (beside * 1_000).checked_div(bill.nano_usd().unsigned_abs().into());
            u64::try_from(permille.unwrap_or(0)).unwrap_or(u64::MAX)
        };
        Some((beside(measured), beside(stated)))
    }
}
