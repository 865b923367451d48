//! `dva resume`: goes on with a run whose controller has died.

use std::io::{Write, stderr};
use std::sync::Arc;

use dva_plan::document::Loaded;
use dva_plan::history::Observations;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_runtime::clock::WallTime;
use dva_runtime::folder::RunFolder;
use dva_runtime::journal::{RunLock, Store, StoredRun};

use super::run::{Reports, conclude, execute, say, stored};
use crate::args::ResumeArguments;
use crate::basis::Basis;
use crate::config::Config;
use crate::failure::Failure;
use crate::past_run::{astray, document, find, followed};
use crate::told::Told;
use crate::{log, progress, providers, stop_at};

/// Goes on with the run that is named, or the newest that is not over. Where there is none, that is no
/// failure.
pub fn run(arguments: &ResumeArguments) -> Result<ExitCode, Failure> {
    let reports = Reports::of(&arguments.controller);
    reports.check(std::iter::empty())?;
    let Some(store) =
        Store::existing(&arguments.controller.place.state).map_err(|error| stored(&error))?
    else {
        return Ok(nothing("No run was begun here"));
    };
    let rows = store.runs().map_err(|error| stored(&error))?;
    let row = match &arguments.run {
        Some(named) => find(&rows, named)?,
        None => match rows.iter().find(|row| row.exit.is_none()) {
            Some(row) => row,
            None => return Ok(nothing("Every run is over")),
        },
    };
    if let Some(exit) = row.exit {
        let number = exit.number();
        return Ok(nothing(&format!("Run {} is over (exit {number})", row.id)));
    }
    let place = RunFolder::place(&arguments.controller.place.state, &row.id);
    let _lock = RunLock::take(&place, &row.id).map_err(|error| stored(&error))?;
    // Whoever had the lock may have ended it just now.
    let run = store.load(&row.id).map_err(|error| stored(&error))?;
    if run.row.exit.is_some() {
        return Ok(nothing(&format!("Run {} is over", row.id)));
    }
    resume(arguments, &reports, &store, &run)
}

fn resume(
    arguments: &ResumeArguments,
    reports: &Reports<'_>,
    store: &Store,
    run: &StoredRun,
) -> Result<ExitCode, Failure> {
    let plan = document::<ExecutionPlan>(&run.plan, "plan")?;
    let schedule = document::<Schedule>(&run.schedule, "schedule")?.body;
    let config = Config::load(arguments.controller.place.config.as_deref())?;
    let body = Arc::new(plan.body.clone());
    let told = Told::read(&run.told)?;
    let backend = told.backend(&config, &basis(&told, run, &plan)?)?;
    let mut options = told.options(&config, &body, run.row.id.clone(), WallTime::now())?;
    let folder = RunFolder::open(&arguments.controller.place.state, &run.row.id)
        .map_err(|error| Failure::new(ExitCode::Invocation, error.to_string()))?;
    let place = folder.path().to_owned();
    log::begin(&place, arguments.controller.place.verbose)?;
    let journal = store.journal(&run.row.id, run.records.len());
    options.journal = Box::new(journal.map_err(|error| stored(&error))?);
    options.folder = Some(folder);
    let state = followed(run, &body, &schedule)?;
    options.observer = stop_at::observer(progress::observer(&body, state.schedule()))?;
    let outcome = execute(told.provider, options, async |options| {
        if run.records.is_empty() {
            // It died before it had done anything.
            return Ok(dva_runtime::run(&plan, schedule, backend, options).await);
        }
        let resumed = dva_runtime::resume(&plan, schedule, &run.records, backend, options).await;
        resumed.map_err(|error| astray(run, &error))
    })?;
    say(&outcome, &place);
    conclude(store, &body, &outcome, reports)
}

/// What the plan was packed with when the run began.
fn basis(told: &Told, run: &StoredRun, plan: &Loaded<ExecutionPlan>) -> Result<Basis, Failure> {
    let (plan, assumptions) = (plan.clone(), providers::assumptions(told.provider));
    Ok(match &run.history {
        Some(history) => {
            let observations = document::<Observations>(history, "history")?.body;
            Basis::measured(plan, assumptions, &observations)
        }
        None => Basis::stated(plan, assumptions),
    })
}

fn nothing(why: &str) -> ExitCode {
    let _ = writeln!(stderr(), "{why}: nothing to resume.");
    ExitCode::Ok
}
