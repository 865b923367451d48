//! `dva resume`: goes on with a run whose controller has died.

use std::io::{Write, stderr};
use std::sync::Arc;

use dva_plan::document::{Loaded, read};
use dva_plan::history::Observations;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_runtime::RunState;
use dva_runtime::clock::WallTime;
use dva_runtime::folder::RunFolder;
use dva_runtime::journal::{RunLock, RunRow, Store, StoredRun};
use dva_runtime::state::IllegalEvent;

use super::run::{Reports, execute, finish, stored};
use crate::args::ResumeArguments;
use crate::basis::Basis;
use crate::config::Config;
use crate::failure::Failure;
use crate::told::Told;
use crate::{log, progress, providers, stop_at};

/// Goes on with the run that is named, or the newest that is not over. Where there is none, that is no
/// failure.
pub fn run(arguments: &ResumeArguments) -> Result<ExitCode, Failure> {
    let reports = Reports::of(&arguments.controller);
    reports.check(std::iter::empty())?;
    let Some(store) =
        Store::existing(&arguments.controller.state).map_err(|error| stored(&error))?
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
    let place = RunFolder::place(&arguments.controller.state, &row.id);
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
    let config = Config::load(arguments.controller.config.as_deref())?;
    let body = Arc::new(plan.body.clone());
    let told = Told::read(&run.told)?;
    let backend = told.backend(&config, &basis(&told, run, &plan)?)?;
    let mut options = told.options(&config, &body, run.row.id.clone(), WallTime::now())?;
    let folder = RunFolder::open(&arguments.controller.state, &run.row.id)
        .map_err(|error| Failure::new(ExitCode::Invocation, error.to_string()))?;
    let place = folder.path().to_owned();
    log::begin(&place, arguments.controller.verbose)?;
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
    finish(store, &body, &outcome, &place, reports)
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

/// The run whose id begins like that.
pub fn find<'r>(rows: &'r [RunRow], named: &str) -> Result<&'r RunRow, Failure> {
    let mut found = rows.iter().filter(|row| row.id.as_str().starts_with(named));
    let refuse = |why: String| Err(Failure::new(ExitCode::Invocation, why));
    match (found.next(), found.next()) {
        (Some(row), None) => Ok(row),
        (None, _) => refuse(format!("There is no run `{named}`. `dva runs` lists them.")),
        (Some(one), Some(other)) => refuse(format!(
            "Several runs begin with `{named}`, among them {} and {}.",
            one.id, other.id
        )),
    }
}

/// A document of a journal.
pub fn document<T: dva_plan::document::Document>(
    bytes: &[u8],
    what: &str,
) -> Result<Loaded<T>, Failure> {
    read(bytes).map_err(|error| {
        Failure::new(
            ExitCode::Plan,
            format!("The {what} in the journal: {error}"),
        )
    })
}

/// What the events of a run come to.
pub fn followed(
    run: &StoredRun,
    plan: &Arc<ExecutionPlan>,
    schedule: &Schedule,
) -> Result<RunState, Failure> {
    let mut state = RunState::new(Arc::clone(plan), Arc::new(schedule.clone()));
    for record in &run.records {
        state.apply(record).map_err(|error| astray(run, &error))?;
    }
    Ok(state)
}

fn astray(run: &StoredRun, error: &IllegalEvent) -> Failure {
    let message = format!(
        "The journal of run {} cannot be followed: {error}.",
        run.row.id
    );
    Failure::new(ExitCode::Plan, message)
}

fn nothing(why: &str) -> ExitCode {
    let _ = writeln!(stderr(), "{why}: nothing to resume.");
    ExitCode::Ok
}
