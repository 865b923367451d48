//! A run that is in the journal, as it was when its last event was recorded.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use dva_plan::document::{Document, Loaded, read};
use dva_plan::report::{Diagnosis, RunReport};
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_runtime::RunState;
use dva_runtime::folder::RunFolder;
use dva_runtime::journal::{RunLock, RunRow, Store, StoreErrorKind, StoredRun};
use dva_runtime::report::report;
use dva_runtime::state::IllegalEvent;

use crate::begin::TRIAL;
use crate::commands::run::stored;
use crate::failure::Failure;
use crate::told::Told;

/// A run of the journal.
pub struct PastRun {
    pub row: RunRow,
    pub plan: Loaded<ExecutionPlan>,
    pub told: Told,
    /// What it has come to, with what was found out since; `None` where it was broken off before it did anything.
    pub report: Option<RunReport>,
    /// How many test runs have no verdict.
    pub open: usize,
    /// Whether a process looks after it.
    pub goes_on: bool,
}

impl PastRun {
    /// The run whose id begins like that, or the newest that is no trial.
    pub fn open(state: &Path, named: Option<&str>) -> Result<Self, Failure> {
        let none = || Failure::new(ExitCode::Invocation, "No run was begun here.");
        let store = Store::existing(state).map_err(|error| stored(&error))?;
        let store = store.ok_or_else(none)?;
        let rows = store.runs().map_err(|error| stored(&error))?;
        let row = match named {
            Some(named) => find(&rows, named)?,
            None => {
                let mut runs = rows.iter();
                runs.find(|row| !row.name.ends_with(TRIAL))
                    .ok_or_else(none)?
            }
        };
        let run = store.load(&row.id).map_err(|error| stored(&error))?;
        let plan = document::<ExecutionPlan>(&run.plan, "plan")?;
        let schedule = document::<Schedule>(&run.schedule, "schedule")?.body;
        let followed = followed(&run, &Arc::new(plan.body.clone()), &schedule)?;
        let mut report = report(&followed);
        if let Some(report) = &mut report {
            report.diagnoses = diagnoses(&RunFolder::place(state, &row.id));
        }
        Ok(Self {
            row: row.clone(),
            plan,
            told: Told::read(&run.told)?,
            report,
            open: followed.counts().open,
            goes_on: row.exit.is_none() && goes_on(state, row),
        })
    }

    /// The report of a run that is over.
    pub fn over(&self) -> Result<&RunReport, Failure> {
        match &self.report {
            Some(report) if self.row.exit.is_some() => Ok(report),
            _ => {
                let what = match self.goes_on {
                    true => "Another process looks after it.",
                    false => "`dva resume` goes on with it.",
                };
                let id = &self.row.id;
                let text = format!("Run {id} is not over. {what}");
                Err(Failure::new(ExitCode::Invocation, text))
            }
        }
    }
}

/// Whether a process looks after the run.
pub fn goes_on(state: &Path, row: &RunRow) -> bool {
    let place = RunFolder::place(state, &row.id);
    let lock = RunLock::take(&place, &row.id);
    matches!(lock, Err(error) if matches!(error.kind, StoreErrorKind::Locked(_)))
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
pub fn document<T: Document>(bytes: &[u8], what: &str) -> Result<Loaded<T>, Failure> {
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

/// Events that cannot have been.
pub fn astray(run: &StoredRun, error: &IllegalEvent) -> Failure {
    let message = format!(
        "The journal of run {} cannot be followed: {error}.",
        run.row.id
    );
    Failure::new(ExitCode::Plan, message)
}

/// What the report in a run's folder says of who made tests fail: that is no event.
fn diagnoses(place: &Path) -> Vec<Diagnosis> {
    let report = File::open(place.join("report.json")).ok();
    let report = report.and_then(|file| read::<RunReport>(file).ok());
    report
        .map(|report| report.body.diagnoses)
        .unwrap_or_default()
}
