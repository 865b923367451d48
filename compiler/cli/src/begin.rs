//! Begins a run and goes through with it: folder, log, lock, journal, machines.

use std::path::{Path, PathBuf};

use dva_plan::document::{Loaded, to_bytes};
use dva_plan::{ExecutionPlan, ExitCode, RunId, Schedule};
use dva_runtime::clock::WallTime;
use dva_runtime::folder::RunFolder;
use dva_runtime::journal::{NewRun, RunLock, Store};
use dva_runtime::observe::Observer;
use dva_runtime::options::RunOutcome;
use dva_runtime::provider::Backend;

use crate::args::PlaceArguments;
use crate::commands::run::{execute, stored};
use crate::config::Config;
use crate::failure::Failure;
use crate::told::Told;
use crate::{log, stop_at};

/// What stands behind the name of its plan where a run is a trial. No plan is called so.
pub const TRIAL: &str = " (trial)";

/// A run that is to begin.
pub struct NewPlanRun<'r> {
    /// What is run.
    pub plan: &'r Loaded<ExecutionPlan>,
    /// The bytes of that.
    pub bytes: &'r [u8],
    pub schedule: Schedule,
    /// What it was packed with, for whoever goes on with it.
    pub history: Option<Vec<u8>>,
    pub told: &'r Told,
    pub config: &'r Config,
    pub backend: Backend,
    /// Where it is kept.
    pub place: &'r PlaceArguments,
    /// Whether it is to find out something of another run.
    pub is_trial: bool,
    /// Who follows it.
    pub observer: Box<dyn Observer>,
}

/// A run that is over.
pub struct Begun {
    pub outcome: RunOutcome,
    /// Its folder.
    pub place: PathBuf,
    /// Where its journal is.
    pub store: Store,
}

/// Runs it to its end.
pub fn begin(new: NewPlanRun<'_>) -> Result<Begun, Failure> {
    let NewPlanRun {
        plan,
        schedule,
        told,
        place: PlaceArguments { state, verbose, .. },
        ..
    } = new;
    let started = WallTime::now();
    let id = new_id(started, state);
    let mut options = told.options(new.config, &plan.body, id, started)?;
    let folder = RunFolder::create(state, &options.run, new.bytes, &schedule)
        .map_err(|error| Failure::new(ExitCode::Invocation, error.to_string()))?;
    let place = folder.path().to_owned();
    log::begin(&place, *verbose)?;
    let store = Store::open(state).map_err(|error| stored(&error))?;
    let _lock = RunLock::take(&place, &options.run).map_err(|error| stored(&error))?;
    let name = match new.is_trial {
        true => format!("{}{TRIAL}", plan.body.name),
        false => plan.body.name.clone(),
    };
    let row = NewRun {
        id: &options.run,
        started_unix_ms: started.unix_ms(),
        name: &name,
        plan: new.bytes,
        schedule: &to_bytes(&schedule),
        history: new.history.as_deref(),
        told: &told.to_text(),
    };
    store.add(row).map_err(|error| stored(&error))?;
    let journal = store.journal(&options.run, 0);
    options.journal = Box::new(journal.map_err(|error| stored(&error))?);
    options.folder = Some(folder);
    options.observer = stop_at::observer(new.observer)?;
    let backend = new.backend;
    let outcome = execute(told.provider, options, async |options| {
        Ok(dva_runtime::run(plan, schedule, backend, options).await)
    })?;
    Ok(Begun {
        outcome,
        place,
        store,
    })
}

/// An id that no run of the folder has: trials are many in a second, and the last digits of an id few.
fn new_id(started: WallTime, state: &Path) -> RunId {
    let mut id = started.run_id();
    for _ in 0..100 {
        if !RunFolder::place(state, &id).exists() {
            break;
        }
        id = started.run_id();
    }
    id
}
