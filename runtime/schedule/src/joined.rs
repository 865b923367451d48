//! A run report joined with the plan of its run: which rows of the plan its names are.
//!
//! A report names cells, tests, types and regions and has more lives than the schedule where something
//! was tried again, so nothing here looks at a schedule. What a plan does not know is `None`. Its main type is
//! [`Joined`].

use std::collections::BTreeMap;

use dva_plan::plan::{Cell, ExecutionPlan, Image, Machine, TestIx};
use dva_plan::report::{ExecutionReport, LifeReport, RunReport, TestRunReport};
use dva_plan::{CellId, TestId};

/// A plan and a report of one of its runs.
pub(crate) struct Joined<'a> {
    pub(crate) plan: &'a ExecutionPlan,
    pub(crate) report: &'a RunReport,
    cells: BTreeMap<&'a CellId, &'a Cell>,
    tests: BTreeMap<&'a TestId, TestIx>,
}

/// What an execution was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// It gives the verdict: the last that is no setup, and of a `last` test each of these.
    Verdict,
    /// It prepares its life for a dependent.
    Setup,
    /// It was to give the verdict, and another one did so after it.
    Retry,
}

impl<'a> Joined<'a> {
    pub(crate) fn of(plan: &'a ExecutionPlan, report: &'a RunReport) -> Self {
        let tests = plan.tests.enumerate();
        Self {
            plan,
            report,
            cells: plan.cells.iter().map(|cell| (&cell.id, cell)).collect(),
            tests: tests.map(|(test, row)| (&row.id, test)).collect(),
        }
    }

    pub(crate) fn test(&self, id: &TestId) -> Option<TestIx> {
        self.tests.get(id).copied()
    }

    /// The image of a cell.
    pub(crate) fn image(&self, cell: &CellId) -> Option<&'a Image> {
        self.plan.images.get(self.cells.get(cell)?.image)
    }

    /// The machine of a life: of its cell's candidates of that type and region the best one.
    pub(crate) fn machine(&self, life: &LifeReport) -> Option<&'a Machine> {
        let candidates = self.cells.get(&life.cell)?.candidates.iter();
        candidates
            .filter_map(|machine| self.plan.machines.get(*machine))
            .find(|machine| machine.r#type == life.r#type && machine.region == life.region)
    }

    /// When nothing of a life was left, in milliseconds since the start of the run. One that was not ended
    /// counts to the end of the run.
    pub(crate) fn end_ms(&self, life: &LifeReport) -> u64 {
        let end_ms = life.end_ms.unwrap_or(self.report.duration_ms);
        end_ms.max(life.launch_ms)
    }

    /// The executions of a test run, each with what it was for.
    pub(crate) fn roles<'r>(
        &self,
        run: &'r TestRunReport,
    ) -> impl Iterator<Item = (Role, &'r ExecutionReport)> + use<'r> {
        let test = self.test(&run.test);
        let is_last = test.is_some_and(|test| self.plan.tests[test].last);
        let verdict = run.executions.iter().rposition(|one| !one.setup);
        run.executions.iter().enumerate().map(move |(place, one)| {
            let role = match one.setup {
                true => Role::Setup,
                false if is_last || Some(place) == verdict => Role::Verdict,
                false => Role::Retry,
            };
            (role, one)
        })
    }
}
