//! What a plan is packed with: what past runs took, and what is stated and assumed where none is known.
//!
//! `dva estimate` and `dva run` make it from the same arguments here, so they never disagree about it. Its main type is
//! [`Basis`].

use std::fs::File;
use std::io::{Write, stderr};
use std::path::Path;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_plan::history::Observations;
use dva_plan::{ExecutionPlan, ExitCode};
use dva_runtime::journal::{Store, StoreError};
use dva_schedule::{Assumptions, Coverage, History, coverage, with_history};

use crate::args::PastArguments;
use crate::failure::Failure;

/// What a plan is packed with.
pub struct Basis {
    /// The plan, with the durations that were measured. Its digest is that of the plan as it was compiled.
    pub plan: Loaded<ExecutionPlan>,
    /// What is taken for true besides, with what boots took.
    pub assumptions: Assumptions,
    /// What was measured; none where nothing of the plan was, or it is not to be used.
    pub measured: Option<Measured>,
}

/// What was measured of a plan.
pub struct Measured {
    /// On whose machines.
    pub provider: String,
    /// How much of the plan that is.
    pub coverage: Coverage,
    /// What is known of it, and no more.
    history: History,
}

impl Basis {
    /// What is stated in the plan, and nothing that was measured.
    pub fn stated(plan: Loaded<ExecutionPlan>, assumptions: Assumptions) -> Self {
        Self {
            plan,
            assumptions,
            measured: None,
        }
    }

    /// With what runs on machines of `provider` showed that the folder `state` keeps, unless the arguments name
    /// another history or want none. `None` for a provider whose runs say nothing of the next one by themselves.
    pub fn of(
        plan: Loaded<ExecutionPlan>,
        assumptions: Assumptions,
        provider: Option<&str>,
        state: &Path,
        arguments: &PastArguments,
    ) -> Result<Self, Failure> {
        if let Some(path) = &arguments.history {
            let observations = document(path)?;
            let basis = Self::measured(plan, assumptions, &observations);
            if basis.measured.is_none() {
                let path = path.display();
                let _ = writeln!(stderr(), "warning: {path} knows nothing of this plan.");
            }
            return Ok(basis);
        }
        let (Some(provider), false) = (provider, arguments.no_history) else {
            return Ok(Self::stated(plan, assumptions));
        };
        let history = kept(state, provider).map_err(|error| {
            let message = format!("{error}. `--no-history` does without what past runs took.");
            Failure::new(ExitCode::Invocation, message)
        })?;
        let observations = history.observations(provider);
        Ok(Self::measured(plan, assumptions, &observations))
    }

    /// With what `observations` know of the plan.
    pub fn measured(
        plan: Loaded<ExecutionPlan>,
        assumptions: Assumptions,
        observations: &Observations,
    ) -> Self {
        let history = History::of(observations).of_plan(&plan.body);
        let coverage = coverage(&plan.body, &history, &assumptions);
        if coverage.test_runs == 0 && coverage.boot_ms.is_none() {
            return Self::stated(plan, assumptions);
        }
        let body = with_history(&plan.body, &history);
        Self {
            plan: Loaded { body, ..plan },
            assumptions: Assumptions {
                boot_ms: coverage.boot_ms.unwrap_or(assumptions.boot_ms),
                ..assumptions
            },
            measured: Some(Measured {
                provider: observations.provider.clone(),
                coverage,
                history,
            }),
        }
    }

    /// How long a boot took, in milliseconds, where that was measured.
    pub fn boot_ms(&self) -> Option<u64> {
        self.measured.as_ref()?.coverage.boot_ms
    }

    /// The document of what was measured, for whoever goes on with the run.
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        let Measured {
            provider, history, ..
        } = self.measured.as_ref()?;
        Some(to_bytes(&history.observations(provider)))
    }
}

/// The history in the file `path`.
pub fn document(path: &Path) -> Result<Observations, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let loaded = read(file).map_err(|error| Failure::document(path, &error))?;
    Ok(loaded.body)
}

/// What runs on machines of `provider` have shown, as far as the folder `state` knows.
fn kept(state: &Path, provider: &str) -> Result<History, StoreError> {
    match Store::existing(state)? {
        Some(store) => store.history(provider),
        None => Ok(History::default()),
    }
}
