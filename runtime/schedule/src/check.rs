//! Judges whether a schedule may be run.
//!
//! Independent of the scheduler: it knows the types of plan and schedule and nothing else, works out
//! by itself what the effects of tests demand, and never panics on a schedule, wherever it is from.
//!
//! Quotas, the rate of launches, deadline and budget are no part of a plan: [`check_terms`] holds a schedule
//! against them as well. Not checked, since plans cannot express it as yet: memory.

mod effects;
mod launch;
mod life;
mod rule;
mod shape;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{CellIx, Resource, ShapeIx, TestIx};
use dva_plan::schedule::{LifeIx, PlannedLife, Schedule};
use dva_plan::table::Index;

pub use rule::Rule;
use shape::Demands;
pub use terms::{Terms, check_terms};

/// A place where a schedule breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The life, where it concerns one.
    pub life: Option<LifeIx>,
    /// The test, where it concerns one.
    pub test: Option<TestIx>,
    /// What is wrong, in one sentence.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, self.message)
    }
}

/// All that is wrong with `schedule` as a schedule for `plan`, whose document has the digest
/// `plan_digest`: empty where it may be run.
///
/// Lives in order, each with its violations, then the test runs. A row that does not exist is
/// reported as such and left out of everything else, so it may leave a test run without a verdict.
#[must_use]
pub fn check(plan: &ExecutionPlan, plan_digest: &str, schedule: &Schedule) -> Vec<Violation> {
    let mut check = Check::new(plan);
    check.document(plan_digest, schedule);
    for (index, life) in schedule.lives.enumerate() {
        check.life(index, life);
        check.boot(index, life);
    }
    check.launches(schedule);
    check.verdicts();
    check.setups();
    check.violations
}

/// A schedule being checked.
struct Check<'a> {
    plan: &'a ExecutionPlan,
    /// What shapes demand, worked out once each.
    demands: BTreeMap<ShapeIx, Demands>,
    /// By cell: which test has a verdict-giving execution on which life.
    verdicts: Vec<Vec<(TestIx, LifeIx)>>,
    /// The setup executions, by life.
    setups: Vec<(LifeIx, CellIx, TestIx)>,
    violations: Vec<Violation>,
}

impl<'a> Check<'a> {
    fn new(plan: &'a ExecutionPlan) -> Self {
        Self {
            plan,
            demands: BTreeMap::new(),
            verdicts: vec![Vec::new(); plan.cells.len()],
            setups: Vec::new(),
            violations: Vec::new(),
        }
    }
}

impl Check<'_> {
    fn add(
        &mut self,
        rule: Rule,
        life: impl Into<Option<LifeIx>>,
        test: impl Into<Option<TestIx>>,
        message: String,
    ) {
        self.violations.push(Violation {
            rule,
            life: life.into(),
            test: test.into(),
            message,
        });
    }

    /// A test's id for messages; any plan may have made it, so nothing in it reaches a terminal raw.
    fn name(&self, test: TestIx) -> String {
        match self.plan.tests.get(test) {
            Some(test) => format!("`{}`", test.id.as_str().escape_debug()),
            None => format!("test {}", test.row()),
        }
    }

    /// What tests have effects on, for messages.
    fn resource(&self, of: Resource) -> String {
        let named = |what: &str, row: usize, name: Option<&String>| match name {
            Some(name) => format!("{what} `{}`", name.escape_debug()),
            None => format!("{what} {row}"),
        };
        match of {
            Resource::Machine => "the machine".to_owned(),
            Resource::Disk(disk) => {
                let row = self.plan.disks.get(disk);
                named("disk", disk.row(), row.map(|disk| &disk.name))
            }
            Resource::State(state) => {
                let row = self.plan.states.get(state);
                named("state", state.row(), row.map(|state| &state.name))
            }
        }
    }

    /// What concerns the schedule as a whole.
    fn document(&mut self, plan_digest: &str, schedule: &Schedule) {
        if schedule.plan_digest != plan_digest {
            let message = format!(
                "it was made for the plan {}, not for {plan_digest}",
                schedule.plan_digest.escape_debug()
            );
            self.add(Rule::PlanDigest, None, None, message);
        }
        let last_end_ms = schedule.lives.iter().map(|life| life.end_ms).max();
        let last_end_ms = last_end_ms.unwrap_or(0);
        if schedule.makespan_ms != last_end_ms {
            let message = format!(
                "the makespan is {} ms, the last life ends at {last_end_ms} ms",
                schedule.makespan_ms
            );
            self.add(Rule::Times, None, None, message);
        }
        let key = |life: &PlannedLife| (life.launch_ms, life.cell);
        let behind = schedule.lives.enumerate().skip(1);
        for (before, (index, life)) in schedule.lives.iter().zip(behind) {
            if key(before) > key(life) {
                let message = format!(
                    "life {} stands behind one of a later launch or cell",
                    index.row()
                );
                self.add(Rule::RowOrder, index, None, message);
            }
        }
    }

    /// Each test of each cell has one execution that gives its verdict; a `last` test at least one, of
    /// which its own rule says more.
    fn verdicts(&mut self) {
        let plan = self.plan;
        for verdicts in &mut self.verdicts {
            verdicts.sort_unstable();
        }
        for (index, cell) in plan.cells.enumerate() {
            let Some(shape) = plan.shapes.get(cell.shape) else {
                continue;
            };
            for test in &shape.tests {
                let count = self.verdicts_of(index, *test).len();
                let is_last = plan.tests.get(*test).is_some_and(|test| test.last);
                if count == 0 || (count > 1 && !is_last) {
                    let message = format!(
                        "{} in cell {} has {count} executions that give a verdict, not one",
                        self.name(*test),
                        cell.id.as_str().escape_debug(),
                    );
                    self.add(Rule::OneVerdict, None, *test, message);
                }
            }
        }
    }

    /// Setup executions are of tests that have their verdict on another life, and once on each.
    fn setups(&mut self) {
        let mut prepared = BTreeSet::new();
        for (life, cell, test) in std::mem::take(&mut self.setups) {
            let verdicts = self.verdicts_of(cell, test);
            let what = if verdicts.iter().any(|(_, on)| *on == life) {
                "has its verdict on the same life"
            } else if verdicts.is_empty() {
                "has its verdict nowhere"
            } else if !prepared.insert((life, test)) {
                "has been set up there already"
            } else {
                continue;
            };
            let message = format!(
                "life {}: {} is set up and {what}",
                life.row(),
                self.name(test)
            );
            self.add(Rule::SetupElsewhere, life, test, message);
        }
    }

    /// The verdict-giving executions of `test` in `cell`, each with its life. Only once all lives
    /// have been gone through, and for cells that exist.
    fn verdicts_of(&self, cell: CellIx, test: TestIx) -> &[(TestIx, LifeIx)] {
        let verdicts = &self.verdicts[cell.row()];
        let first = verdicts.partition_point(|(other, _)| *other < test);
        let count = verdicts[first..].partition_point(|(other, _)| *other == test);
        &verdicts[first..first + count]
    }
}
