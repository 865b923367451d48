//! Why a test runs where and when it does, out of a plan and a schedule for it.
//!
//! Nothing is remembered from the search that made the schedule: every reason is worked out from what the plan
//! demands and the schedule has, so it also holds of a schedule that comes from a file. Its main type is
//! [`Why`].

mod alone;
mod apart;
mod binds;
mod machine;
mod reasons;
mod tell;
#[cfg(test)]
mod tests;

use dva_compiler::diagnostic::shown;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{CellIx, Resource, Shape, TestIx};
use dva_plan::schedule::{LifeIx, PlannedExecution, PlannedLife};
use dva_plan::together::Together;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use serde::Serialize;

use crate::failure::Failure;
use alone::{Alone, Share};
use apart::{Apart, Setup};
use binds::{Bind, Link};
use machine::Choice;

/// Why a test run is where it is. Times are milliseconds since the start of the run.
#[derive(Serialize)]
pub struct Why {
    plan: String,
    cell: String,
    label: String,
    test: String,
    /// Where it has its verdict; a `last` test in several places, of which the first is explained.
    verdicts: Vec<Place>,
    /// What it starts behind: it could not have started sooner there.
    binds: Vec<Bind>,
    /// How the time comes together from the launch on, by the first of what binds each.
    path: Vec<Link>,
    machine: Choice,
    /// Where else it runs, to prepare a life for others.
    setups: Vec<Setup>,
    /// Tests of the cell that cannot share a life with it.
    apart: Vec<Apart>,
    alone: Alone,
    share: Share,
}

/// An execution, by its life and lane.
#[derive(Serialize)]
struct Place {
    /// The number of the life in the schedule, from 0.
    life: LifeIx,
    /// Which of the lives of its cell that is, from 1.
    number: usize,
    /// How many lives the cell has.
    of_lives: usize,
    region: String,
    r#type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<String>,
    /// From 0.
    lane: u32,
    /// How many the life has.
    lanes: u32,
    start_ms: u64,
    end_ms: u64,
}

/// What all questions are asked of.
struct Context<'p> {
    plan: &'p ExecutionPlan,
    schedule: &'p Schedule,
    cell: CellIx,
    shape: &'p Shape,
    together: Together,
    exclusions: Exclusions,
    test: TestIx,
}

impl Why {
    /// Why `test` runs where it does in `cell`, one of whose tests it is. `lanes` are those that were asked for
    /// where that is fewer than the plan's.
    pub fn of(
        plan: &ExecutionPlan,
        schedule: &Schedule,
        (cell, test): (CellIx, TestIx),
        lanes: Option<u32>,
    ) -> Result<Self, Failure> {
        let context = Context::of(plan, schedule, (cell, test));
        let verdicts: Vec<_> = context
            .executions()
            .filter(|(_, _, execution)| !execution.setup)
            .collect();
        let Some((_, life, execution)) = verdicts.first().copied() else {
            // A checked schedule has a verdict for every test.
            return Err(Failure::new(
                ExitCode::Plan,
                format!("The schedule does not run `{}`.", context.name(test)),
            ));
        };
        Ok(Self {
            plan: plan.name.clone(),
            cell: plan.cells[cell].id.as_str().to_owned(),
            label: plan
                .cell_labels()
                .label(&plan.shown_axes(&plan.cells[cell]), &plan.name),
            test: plan.tests[test].id.as_str().to_owned(),
            binds: binds::binds(&context, life, execution),
            path: binds::path(&context, life, execution),
            machine: machine::choice(&context, life)?,
            setups: apart::setups(&context, life),
            apart: apart::apart(&context),
            alone: alone::alone(&context, life, lanes)?,
            share: alone::share(&context, life)?,
            verdicts: verdicts
                .iter()
                .map(|(index, life, execution)| context.place(*index, life, execution))
                .collect(),
        })
    }
}

impl<'p> Context<'p> {
    fn of(plan: &'p ExecutionPlan, schedule: &'p Schedule, (cell, test): (CellIx, TestIx)) -> Self {
        let shape = &plan.shapes[plan.cells[cell].shape];
        Self {
            plan,
            schedule,
            cell,
            shape,
            together: Together::of(plan, shape),
            exclusions: Exclusions::of(plan),
            test,
        }
    }

    /// The lives of the cell.
    fn lives(&self) -> impl Iterator<Item = (LifeIx, &'p PlannedLife)> + use<'p> {
        let cell = self.cell;
        self.schedule
            .lives
            .enumerate()
            .filter(move |(_, life)| life.cell == cell)
    }

    /// The executions of the test in its cell.
    fn executions(
        &self,
    ) -> impl Iterator<Item = (LifeIx, &'p PlannedLife, &'p PlannedExecution)> + use<'p> {
        let test = self.test;
        self.lives().flat_map(move |(index, life)| {
            let executions = life.executions.iter();
            executions
                .filter(move |execution| execution.test == test)
                .map(move |execution| (index, life, execution))
        })
    }

    fn place(&self, index: LifeIx, life: &PlannedLife, execution: &PlannedExecution) -> Place {
        let machine = &self.plan.machines[life.machine];
        let boot = life.boot.map(|boot| self.plan.boots[boot].name.clone());
        Place {
            life: index,
            number: self.number(index),
            of_lives: self.lives().count(),
            region: machine.region.clone(),
            r#type: machine.r#type.clone(),
            boot,
            lane: execution.lane,
            lanes: life.lanes,
            start_ms: execution.start_ms,
            end_ms: execution.end_ms,
        }
    }

    /// Which of the lives of the cell it is, from 1.
    fn number(&self, life: LifeIx) -> usize {
        let before = self.lives().take_while(|(other, _)| *other != life);
        before.count() + 1
    }

    /// The id of a test as it may be shown.
    fn name(&self, test: TestIx) -> String {
        shown::line(self.plan.tests[test].id.as_str()).into_owned()
    }

    /// What a test has an effect on, for people.
    fn resource(&self, of: Resource) -> String {
        match of {
            Resource::Machine => "the machine".to_owned(),
            Resource::Disk(disk) => format!("`{}`", shown::line(&self.plan.disks[disk].name)),
            Resource::State(state) => format!("`{}`", shown::line(&self.plan.states[state].name)),
        }
    }
}
