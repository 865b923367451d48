//! `dva rerun`: runs again what did not pass, as a run of a part of the plan.

use std::collections::BTreeSet;
use std::io::{Write, stderr};
use std::sync::Arc;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::RunReport;
use dva_plan::verdict::Verdict;
use dva_plan::{ExecutionPlan, ExitCode};

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
    let past = PastRun::open(&controller.state, arguments.run.as_deref())?;
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
    let config = Config::load(controller.config.as_deref())?;
    let told = past.told.for_part().bounded(&arguments.bounds, &config);
    let whose = match told.hosts.is_empty() {
        true => providers::history_for(&part, Some(told.provider)),
        false => None,
    };
    let assumptions = providers::assumptions(told.provider);
    let (state, basis_of) = (&controller.state, &arguments.packing.past);
    let basis = Basis::of(plan.clone(), assumptions, whose, state, basis_of)?;
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
        state,
        verbose: controller.verbose,
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
    let found = again.filter_map(|run| {
        let (cell, _) = plan
            .cells
            .enumerate()
            .find(|(_, cell)| cell.id == run.cell)?;
        let (test, _) = plan
            .tests
            .enumerate()
            .find(|(_, test)| test.id == run.test)?;
        Some((cell, test))
    });
    found.collect()
}
