//! What tests and boots took in past runs, and what that says of the next one.
//!
//! A [`History`] learns from run reports and is carried from run to run as [`Observations`]; it neither reads
//! nor writes files, and knows no clock. What it foretells is in [`Expected`], and [`back_test()`] says how good
//! that is.
//!
//! # What is learned
//!
//! - An execution that ran to its end: one that gives the verdict of a test that passed, at once or on a later
//!   try, and a setup execution of it whose steps all held. Others say little: a test that fails ends early.
//! - An execution that a limit cut, of whatever test: it would have taken longer than it did. A waived test
//!   does not say what its failure was, so its limit shows only where a command ran into it.
//! - A boot, from the launch of a life until its first test could start, with the plan's setup in it.
//!
//! A history knows no providers: durations of a simulator are learned like any others, and whoever keeps histories
//! keeps one for each provider.

mod back_test;
mod coverage;
mod estimate;
mod money_test;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::document::PRODUCER;
use dva_plan::history::{BootKey, MAX_SAMPLES, Observations, Observed, Sample, TestKey};
use dva_plan::id::RunId;
use dva_plan::plan::Image;
use dva_plan::report::{CommandStatus, ExecutionReport, StepOutcome, StepReport, TestRunReport};
use dva_plan::{ExecutionPlan, FailureClass, RunReport, TestId};

use crate::joined::{Joined, Role};
pub use back_test::{BackTest, Loss, back_test};
pub use coverage::{Coverage, coverage};
pub use estimate::Expected;
use estimate::{Curve, Level};
pub use money_test::{Foretold, MoneyTest, money_test};

/// What tests and boots took in past runs: of those that are alike the newest [`MAX_SAMPLES`] samples.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    tests: BTreeMap<TestKey, Vec<Sample>>,
    boots: BTreeMap<BootKey, Vec<Sample>>,
}

/// `plan` with the durations that were measured: the mean of each test over all machines, since cells share
/// their tests, with what nine of ten take, and no more than its limit. A test without history keeps what is stated.
///
/// The digest of a plan is that of its document, so whoever schedules this one names the digest of `plan`.
#[must_use]
pub fn with_history(plan: &ExecutionPlan, history: &History) -> ExecutionPlan {
    let mut measured = plan.clone();
    for test in measured.tests.iter_mut() {
        if let Some(expected) = history.expected_test_ms(&plan.name, &test.id) {
            let most_ms = test.within_ms.max(1);
            let within = |ms: u64| Some(ms.clamp(1, most_ms));
            test.takes_ms = within(expected.mean_ms);
            test.takes_p90_ms = within(expected.p90_ms);
        }
    }
    measured
}

impl History {
    /// What is written of it.
    #[must_use]
    pub fn of(observations: &Observations) -> Self {
        Self {
            tests: table(&observations.tests),
            boots: table(&observations.boots),
        }
    }

    /// What to write of it, as observed on machines of `provider`.
    #[must_use]
    pub fn observations(&self, provider: &str) -> Observations {
        Observations {
            producer: PRODUCER.into(),
            provider: provider.to_owned(),
            tests: rows(&self.tests),
            boots: rows(&self.boots),
        }
    }

    /// Adds what `report` tells of a run of `plan`. A run that was learned before is replaced, and in which
    /// order runs are learned does not matter: samples are kept by their runs' ids, which sort by time.
    pub fn learn(&mut self, plan: &ExecutionPlan, report: &RunReport) {
        let joined = Joined::of(plan, report);
        replace(&mut self.tests, &report.run, observed_tests(&joined));
        replace(&mut self.boots, &report.run, observed_boots(&joined));
    }

    /// Adds all that `other` knows. What both know of a run is what `other` says of it, so a history that is merged
    /// again changes nothing.
    pub fn merge(&mut self, other: &Self) {
        join(&mut self.tests, &other.tests);
        join(&mut self.boots, &other.boots);
    }

    /// What it knows of the tests and images of `plan`.
    #[must_use]
    pub fn of_plan(&self, plan: &ExecutionPlan) -> Self {
        let tests: BTreeSet<&TestId> = plan.tests.iter().map(|test| &test.id).collect();
        let images: BTreeSet<&str> = plan.images.iter().map(|image| &*image.name).collect();
        let mut own = self.clone();
        own.tests
            .retain(|key, _| key.plan == plan.name && tests.contains(&key.test));
        own.boots.retain(|key, _| images.contains(&*key.image));
        own
    }

    /// The runs that it has samples of.
    #[must_use]
    pub fn runs(&self) -> BTreeSet<&RunId> {
        let samples = self.tests.values().chain(self.boots.values()).flatten();
        samples.map(|sample| &sample.run).collect()
    }

    /// Whether it knows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tests.is_empty() && self.boots.is_empty()
    }

    /// What an execution of this kind may take. Where it was seen fewer than 5 times, that is drawn towards what the
    /// test took on all machines; `None` where nobody saw it end at all.
    #[must_use]
    pub fn expected_ms(&self, key: &TestKey) -> Option<Expected> {
        let own = self.tests.get(key).and_then(|samples| Level::of(samples));
        let levels = self.levels(&key.plan, &key.test);
        Some(Curve::of(own.as_ref(), &levels)?.expected())
    }

    /// What an execution of `test` of the plan called `plan` may take on any machine; `None` where nobody saw it end.
    #[must_use]
    pub fn expected_test_ms(&self, plan: &str, test: &TestId) -> Option<Expected> {
        let levels = self.levels(plan, test);
        let expected = Curve::of(None, &levels)?.expected();
        let samples = levels.iter().map(|level| level.samples);
        Some(Expected {
            samples: samples.fold(0, u32::saturating_add),
            ..expected
        })
    }

    /// What a boot of an image called `image` may take on a machine of the type `r#type` in `region`. Where that
    /// was seen fewer than 5 times, it is drawn towards all boots of the image; `None` where there were none.
    #[must_use]
    pub fn expected_boot_ms(&self, image: &str, r#type: &str, region: &str) -> Option<Expected> {
        let key = BootKey {
            image: image.to_owned(),
            r#type: r#type.to_owned(),
            region: region.to_owned(),
        };
        let own = self.boots.get(&key).and_then(|samples| Level::of(samples));
        let alike = self.boots.iter().filter(|(other, _)| other.image == image);
        let levels: Vec<Level> = alike
            .filter_map(|(_, samples)| Level::of(samples))
            .collect();
        Some(Curve::of(own.as_ref(), &levels)?.expected())
    }

    /// Each kind of machine's level of a test.
    fn levels(&self, plan: &str, test: &TestId) -> Vec<Level> {
        let levels = self.samples(plan, test);
        levels
            .filter_map(|(_, samples)| Level::of(samples))
            .collect()
    }

    /// All that is known of a test.
    fn samples(&self, plan: &str, test: &TestId) -> impl Iterator<Item = (&TestKey, &Vec<Sample>)> {
        let first = TestKey {
            plan: plan.to_owned(),
            test: test.clone(),
            arch: String::new(),
            image: String::new(),
            r#type: String::new(),
        };
        let (plan, test) = (plan.to_owned(), test.clone());
        let from = self.tests.range(first..);
        from.take_while(move |(key, _)| key.plan == plan && key.test == test)
    }
}

fn table<K: Clone + Ord>(rows: &[Observed<K>]) -> BTreeMap<K, Vec<Sample>> {
    rows.iter()
        .map(|row| (row.of.clone(), row.samples.clone()))
        .collect()
}

fn rows<K: Clone>(table: &BTreeMap<K, Vec<Sample>>) -> Vec<Observed<K>> {
    table
        .iter()
        .map(|(of, samples)| Observed {
            of: of.clone(),
            samples: samples.clone(),
        })
        .collect()
}

/// Puts what was seen in `run` in the place of what was known of it.
fn replace<K: Ord>(
    table: &mut BTreeMap<K, Vec<Sample>>,
    run: &RunId,
    seen: BTreeMap<K, Vec<Sample>>,
) {
    for samples in table.values_mut() {
        samples.retain(|sample| sample.run != *run);
    }
    for (key, new) in seen {
        add(table.entry(key).or_default(), new);
    }
    table.retain(|_, samples| !samples.is_empty());
}

/// Adds `new` samples, and keeps the newest.
fn add(samples: &mut Vec<Sample>, new: impl IntoIterator<Item = Sample>) {
    samples.extend(new);
    // Stable: in one run they stay as they started.
    samples.sort_by(|one, other| one.run.cmp(&other.run));
    let too_many = samples.len().saturating_sub(MAX_SAMPLES);
    samples.drain(..too_many);
}

/// Puts what `other` knows of its runs in the place of what `table` does.
fn join<K: Clone + Ord>(table: &mut BTreeMap<K, Vec<Sample>>, other: &BTreeMap<K, Vec<Sample>>) {
    for (key, new) in other {
        let runs: BTreeSet<&RunId> = new.iter().map(|sample| &sample.run).collect();
        let samples = table.entry(key.clone()).or_default();
        samples.retain(|sample| !runs.contains(&sample.run));
        add(samples, new.iter().cloned());
    }
}

/// The samples of one run by what they are of, each list as they started.
fn observed_tests(joined: &Joined) -> BTreeMap<TestKey, Vec<Sample>> {
    let mut started: BTreeMap<TestKey, Vec<(u64, Sample)>> = BTreeMap::new();
    for run in &joined.report.test_runs {
        let Some(image) = joined.image(&run.cell) else {
            continue;
        };
        for (role, execution) in joined.roles(run) {
            let life = joined.report.lives.get(execution.life);
            let (Some(cut), Some(life)) = (tells(run, role, execution), life) else {
                continue;
            };
            let samples = started
                .entry(key(joined, run, image, &life.r#type))
                .or_default();
            let sample = Sample {
                run: joined.report.run.clone(),
                ms: execution.end_ms.saturating_sub(execution.start_ms),
                cut,
            };
            samples.push((execution.start_ms, sample));
        }
    }
    in_order(started)
}

fn key(joined: &Joined, run: &TestRunReport, image: &Image, r#type: &str) -> TestKey {
    TestKey {
        plan: joined.plan.name.clone(),
        test: run.test.clone(),
        arch: image.arch.clone(),
        image: image.name.clone(),
        r#type: r#type.to_owned(),
    }
}

fn observed_boots(joined: &Joined) -> BTreeMap<BootKey, Vec<Sample>> {
    let mut started: BTreeMap<BootKey, Vec<(u64, Sample)>> = BTreeMap::new();
    for life in &joined.report.lives {
        let (Some(image), Some(ready_ms)) = (joined.image(&life.cell), life.ready_ms) else {
            continue;
        };
        let key = BootKey {
            image: image.name.clone(),
            r#type: life.r#type.clone(),
            region: life.region.clone(),
        };
        let sample = Sample {
            run: joined.report.run.clone(),
            ms: ready_ms.saturating_sub(life.launch_ms),
            cut: false,
        };
        let samples = started.entry(key).or_default();
        samples.push((life.launch_ms, sample));
    }
    in_order(started)
}

/// The samples without their starts, by these.
fn in_order<K: Ord>(started: BTreeMap<K, Vec<(u64, Sample)>>) -> BTreeMap<K, Vec<Sample>> {
    let lists = started.into_iter().map(|(key, mut samples)| {
        samples.sort_by_key(|(start_ms, _)| *start_ms);
        let samples = samples.into_iter().map(|(_, sample)| sample);
        (key, samples.collect())
    });
    lists.collect()
}

/// Whether `execution` says how long its test takes; if so, whether a limit cut it.
fn tells(run: &TestRunReport, role: Role, execution: &ExecutionReport) -> Option<bool> {
    let held = execution.steps.iter().all(holds);
    let is_complete = match role {
        Role::Verdict => run.verdict.unlocks(),
        Role::Setup => run.verdict.unlocks() && held,
        Role::Retry => false,
    };
    let by_verdict = role == Role::Verdict
        && matches!(
            run.verdict.class(),
            Some(FailureClass::LimitTest | FailureClass::LimitStep)
        );
    let is_cut = !held && (by_verdict || execution.steps.iter().any(ran_out));
    (is_complete || is_cut).then_some(!is_complete)
}

fn holds(step: &StepReport) -> bool {
    matches!(step.outcome, StepOutcome::Passed | StepOutcome::Assumed)
}

/// Whether a step's command ran into a limit, and the step did not hold.
fn ran_out(step: &StepReport) -> bool {
    !holds(step) && step.status == Some(CommandStatus::TimedOut)
}
