//! `dva rerun`: runs again what did not pass, as a run of a part of the plan.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Write, stderr};
use std::sync::Arc;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::RunReport;
use dva_plan::verdict::Verdict;
use dva_plan::{CellId, ExecutionPlan, ExitCode, TestId};

use super::run::{Reports, conclude, refuse, say};
use crate::args::RerunArguments;
use crate::basis::Basis;
use crate::begin::{Begun, NewPlanRun, begin};
use crate::config::Config;
use crate::failure::Failure;
use crate::past_run::PastRun;
use crate::render::counted;
use crate::{packing, progress, providers};

pub fn run(arguments: &RerunArguments) -> Result<ExitCode, Failure> {
    let controller = &arguments.controller;
    let reports = Reports::of(controller);
    reports.check(arguments.packing.past.history.as_deref().into_iter())?;
    let past = PastRun::open(&controller.place.state, arguments.run.as_deref())?;
    let report = past.over()?;
    let wanted = not_passed(&past.plan.body, report);
    let Some(part) = past.plan.body.restricted_to(&wanted) else {
        let id = &past.row.id;
        let _ = writeln!(stderr(), "All of run {id} has passed: nothing to rerun.");
        return Ok(ExitCode::Ok);
    };
    let bytes = to_bytes(&part);
    let plan: Loaded<ExecutionPlan> = read(bytes.as_slice()).map_err(|error| {
        Failure::new(
            ExitCode::Bug,
            format!("A part of a plan is no plan: {error}"),
        )
    })?;
    let _ = writeln!(
        stderr(),
        "{} of run {} again, and {} that they come after.",
        counted(wanted.len(), "test run"),
        past.row.id,
        part.test_runs() - wanted.len()
    );
    let config = Config::load(controller.place.config.as_deref())?;
    let told = past.told.for_part().bounded(&arguments.bounds, &config);
    let whose = told.history_of(&part);
    let assumptions = providers::assumptions(told.provider);
    let (state, past_runs) = (&controller.place.state, &arguments.packing.past);
    let basis = Basis::of(plan.clone(), assumptions, whose, state, past_runs)?;
    let backend = told.backend(&config, &basis)?;
    let schedule = packing::pack(&basis, &arguments.packing)?.schedule;
    refuse(&part, &schedule, &backend, told.max_cost)?;
    let body = Arc::new(part);
    let Begun {
        outcome,
        place,
        store,
    } = begin(NewPlanRun {
        plan: &plan,
        bytes: &bytes,
        history: basis.snapshot(),
        told: &told,
        config: &config,
        backend,
        place: &controller.place,
        is_trial: false,
        observer: progress::observer(&body, &schedule),
        schedule,
    })?;
    say(&outcome, &place);
    conclude(&store, &body, &outcome, &reports)
}

/// The test runs that may come to something else.
fn not_passed(plan: &ExecutionPlan, report: &RunReport) -> BTreeSet<(CellIx, TestIx)> {
    let again = report.test_runs.iter().filter(|run| match run.verdict {
        Verdict::Passed | Verdict::Flaky | Verdict::Skipped { .. } | Verdict::Waived { .. } => {
            false
        }
        Verdict::Failed { .. }
        | Verdict::Blocked { .. }
        | Verdict::Errored { .. }
        | Verdict::Interrupted => true,
    });
    let cells = plan.cells.enumerate().map(|(row, cell)| (&cell.id, row));
    let cells: BTreeMap<&CellId, CellIx> = cells.collect();
    let tests = plan.tests.enumerate().map(|(row, test)| (&test.id, row));
    let tests: BTreeMap<&TestId, TestIx> = tests.collect();
    again
        .filter_map(|run| Some((*cells.get(&run.cell)?, *tests.get(&run.test)?)))
        .collect()
}
