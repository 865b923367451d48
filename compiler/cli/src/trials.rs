//! Trials: runs of parts of a plan on fresh machines, which show who made a test fail. See
//! [`dva_runtime::diagnose`].

use std::collections::BTreeSet;
use std::io::{Write, stderr};
use std::path::Path;

use dva_plan::money::Money;
use dva_plan::plan::TestIx;
use dva_plan::report::{Diagnosis, Finding, RunReport};
use dva_plan::{ExecutionPlan, ExitCode, RunId};
use dva_runtime::diagnose::{Culprit, Heard, Search, Suspicion, Trial, Turn, heard, suspicions};
use dva_runtime::folder::write_report;
use dva_runtime::observe::NoObserver;
use dva_runtime::options::RunOutcome;
use dva_schedule::{CostLimit, over_cost};

use crate::args::PlaceArguments;
use crate::basis::Basis;
use crate::begin::{Begun, NewPlanRun, begin};
use crate::config::Config;
use crate::failure::Failure;
use crate::render::counted;
use crate::told::Told;
use crate::{outcome, providers, selection};

/// Why there are no trials on machines that exist already.
pub const NOT_FRESH: &str = "Hosts keep what tests have left on them, so they cannot show who made a test fail. Run it on machines that \
                             are started for it.";

/// What trials need.
pub struct Trials<'t> {
    pub plan: &'t ExecutionPlan,
    /// What the run was told in which tests failed.
    pub told: &'t Told,
    pub config: &'t Config,
    /// Where the trials are kept.
    pub place: &'t PlaceArguments,
}

/// What trials have shown.
pub struct Found {
    diagnoses: Vec<Diagnosis>,
    /// What they have cost.
    cost: Money,
    /// The exit code of a trial that must not be passed over: machines may still be running, or somebody has stopped
    /// it. [`ExitCode::Ok`] where there was none.
    pub exit: ExitCode,
}

impl Found {
    /// With what was found before, where that is not looked into again or was not found out this time.
    pub fn besides(self, before: Vec<Diagnosis>) -> Vec<Diagnosis> {
        let is_unknown = |of: &Diagnosis| matches!(of.finding, Finding::Unknown { .. });
        let mut all = self.diagnoses;
        for old in before {
            let again = all
                .iter_mut()
                .find(|new| new.cell == old.cell && new.test == old.test);
            match again {
                Some(new) if is_unknown(new) && !is_unknown(&old) => *new = old,
                Some(_) => {}
                None => all.push(old),
            }
        }
        all
    }

    /// Puts it into the report of its run, and says it.
    pub fn keep(self, outcome: &mut RunOutcome, folder: &Path) {
        outcome.report.diagnoses = self.diagnoses;
        if self.exit != ExitCode::Ok {
            outcome.report.exit = self.exit;
        }
        let _ = stderr().write_all(outcome::diagnoses(&outcome.report).as_bytes());
        if let Err(error) = write_report(folder, &outcome.report) {
            outcome
                .folder_problem
                .get_or_insert(format!("The report could not be written: {error}."));
        }
    }
}

impl Trials<'_> {
    /// Looks into each test that failed among others, in the first cell where it did, for `most` altogether.
    pub fn diagnose(&self, report: &RunReport, most: Money) -> Result<Found, Failure> {
        let mut seen = BTreeSet::new();
        let mut found = Found {
            diagnoses: Vec::new(),
            cost: Money::ZERO,
            exit: ExitCode::Ok,
        };
        let mut left = most;
        for suspicion in suspicions(self.plan, report) {
            if !seen.insert(suspicion.test) {
                continue;
            }
            self.look_into(&suspicion, &mut found, &mut left)?;
            if found.exit != ExitCode::Ok {
                break;
            }
        }
        if found.cost > Money::ZERO {
            self.tell(&format!("The trials have cost {}.", found.cost));
        }
        Ok(found)
    }

    fn look_into(
        &self,
        suspicion: &Suspicion,
        found: &mut Found,
        left: &mut Money,
    ) -> Result<(), Failure> {
        let plan = self.plan;
        let cell = &plan.cells[suspicion.cell];
        let label = selection::label(plan, suspicion.cell);
        let id = &plan.tests[suspicion.test].id;
        let before = counted(suspicion.suspects.len(), "other test");
        self.tell(&format!("{id} in {label}: {before} had used its machine"));
        let mut search = Search::new(suspicion.suspects.len());
        let mut trials = Vec::new();
        let culprit = loop {
            let behind = match search.turn() {
                Turn::Over(culprit) => break culprit,
                Turn::Try(behind) => behind,
            };
            let behind: Vec<TestIx> = behind.iter().map(|row| suspicion.suspects[*row]).collect();
            match self.try_behind(suspicion, &behind, *left)? {
                Err(why) => search.give_up(why),
                Ok(tried) => {
                    trials.push(tried.run);
                    *left = left_of(*left, tried.cost);
                    self.tell(&format!(
                        "  {}: {}",
                        self.words(&behind),
                        word(&tried.heard)
                    ));
                    if let ExitCode::MachinesLeft | ExitCode::Bug | ExitCode::Interrupted =
                        tried.exit
                    {
                        found.exit = tried.exit;
                    }
                    found.cost = found.cost.checked_add(tried.cost).unwrap_or(found.cost);
                    search.hear(tried.heard);
                }
            }
        };
        found.diagnoses.push(Diagnosis {
            cell: cell.id.clone(),
            test: id.clone(),
            finding: self.finding(suspicion, culprit),
            trials,
        });
        Ok(())
    }

    /// Runs the test behind these others; `Err` says why it cannot be.
    fn try_behind(
        &self,
        suspicion: &Suspicion,
        behind: &[TestIx],
        left: Money,
    ) -> Result<Result<Tried, String>, Failure> {
        let told = Told {
            keep: None,
            max_failures: None,
            max_failures_per_image: None,
            max_cost: Some(left),
            ..self.told.for_part()
        };
        let assumptions = providers::assumptions(told.provider);
        let Some(trial) = suspicion.trial(self.plan, behind, &assumptions) else {
            return Ok(Err("its trials are no plan of their own".to_owned()));
        };
        let Trial {
            plan,
            bytes,
            schedule,
        } = trial;
        let limit = CostLimit {
            amount: left,
            is_own: true,
        };
        if over_cost(&plan.body, &schedule, limit).is_some() {
            let why = format!("{left} was left to spend, and the next trial may cost more");
            return Ok(Err(why));
        }
        let basis = Basis::stated(plan.clone(), assumptions);
        let Begun { outcome, .. } = begin(NewPlanRun {
            plan: &plan,
            bytes: &bytes,
            history: None,
            told: &told,
            config: self.config,
            backend: told.backend(self.config, &basis)?,
            place: self.place,
            is_trial: true,
            observer: Box::new(NoObserver),
            schedule,
        })?;
        for left in &outcome.machines_left {
            let message = &left.message;
            self.tell(&format!(
                "error: {} may still be running: {message}",
                left.token
            ));
        }
        if let Some(left) = &outcome.left_at_provider {
            self.tell(&format!("error: {left}"));
        }
        let report = outcome.report;
        Ok(Ok(Tried {
            heard: heard(self.plan, suspicion, &report),
            cost: report
                .bill
                .as_ref()
                .map_or(Money::ZERO, |bill| bill.nano_usd),
            exit: report.exit,
            run: report.run,
        }))
    }

    fn finding(&self, suspicion: &Suspicion, culprit: Culprit) -> Finding {
        match culprit {
            Culprit::Nobody => Finding::FailsAlone,
            Culprit::NotReproduced => Finding::NotReproduced,
            Culprit::Unknown(why) => Finding::Unknown { why },
            Culprit::Suspect { number, is_enough } => Finding::Polluted {
                by: self.plan.tests[suspicion.suspects[number]].id.clone(),
                is_enough,
            },
        }
    }

    /// What a test is tried behind, for people.
    fn words(&self, behind: &[TestIx]) -> String {
        match behind {
            [] => "alone".to_owned(),
            [only] => format!("behind {}", self.plan.tests[*only].id),
            [.., last] => format!(
                "behind {}, up to {}",
                counted(behind.len(), "test"),
                self.plan.tests[*last].id
            ),
        }
    }

    fn tell(&self, line: &str) {
        let _ = writeln!(stderr(), "{line}");
    }
}

/// What is left of an amount; nothing where more was spent.
pub fn left_of(amount: Money, spent: Money) -> Money {
    let left = amount.checked_sub(spent);
    left.unwrap_or(Money::ZERO).max(Money::ZERO)
}

/// A trial that is over.
struct Tried {
    run: RunId,
    heard: Heard,
    cost: Money,
    exit: ExitCode,
}

fn word(heard: &Heard) -> &str {
    match heard {
        Heard::Passed => "passed",
        Heard::Failed => "failed",
        Heard::Nothing(verdict) => verdict,
    }
}
