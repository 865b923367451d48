//! The history: what tests and boots took in past runs, to be carried from one run to the next.
//!
//! It holds what was observed and nothing that follows from it; what a test may take next is told by
//! `dva-schedule`. Its main type is [`Observations`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{RunId, TestId};
use crate::validate::Fault;

/// The most samples of one test on one kind of machine, or of one kind of boot: the newest.
pub const MAX_SAMPLES: usize = 20;

/// What was observed in past runs. See [`crate::document`] for its file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observations {
    /// Cosmetic: what wrote it, for example `dva 0.1.0`; the header says the same.
    pub producer: String,
    /// The provider whose machines it was observed on, as in run reports: `local`, `ec2`, `hosts`, `sim`. What is known of
    /// one says nothing of another.
    pub provider: String,
    /// What executions of tests took, ascending and without duplicates of [`Observed::of`].
    pub tests: Vec<Observed<TestKey>>,
    /// What boots took, from the launch to readiness; likewise.
    pub boots: Vec<Observed<BootKey>>,
}

/// Which executions are alike: those of a test of one plan, with one image on one type of machine. Tests of one name in
/// several plans are several tests.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct TestKey {
    /// The name of the plan.
    pub plan: String,
    /// The test.
    pub test: TestId,
    /// The architecture of the image, for example `x86_64`.
    pub arch: String,
    /// The name of the image in the source.
    pub image: String,
    /// The type of the machine, for example `m7i.large`.
    pub r#type: String,
}

/// Which boots are alike: those of an image on one type of machine in one region.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct BootKey {
    /// The name of the image in the source.
    pub image: String,
    /// The type of the machine, for example `m7i.large`.
    pub r#type: String,
    /// The region of the machine.
    pub region: String,
}

/// What was observed of things that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Observed<K> {
    /// Of what.
    pub of: K,
    /// The samples by run, and in one run by when they started; at least one and at most [`MAX_SAMPLES`].
    pub samples: Vec<Sample>,
}

/// How long something took once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// In which run.
    pub run: RunId,
    /// How long, in milliseconds.
    pub ms: u64,
    /// Whether a limit cut it, so that it would have taken longer than this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Observations {
    /// What breaks a rule of the form; empty where nothing does.
    #[must_use]
    pub fn faults(&self) -> Vec<Fault> {
        let mut faults = faults_of("tests", &self.tests);
        faults.extend(faults_of("boots", &self.boots));
        faults
    }
}

fn faults_of<K: Ord>(list: &str, rows: &[Observed<K>]) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !rows.is_sorted_by(|one, next| one.of < next.of) {
        faults.push(Fault {
            place: list.to_owned(),
            what: "its rows are not ascending",
        });
    }
    for (row, observed) in rows.iter().enumerate() {
        let samples = &observed.samples;
        let faulty = [
            (
                samples.is_empty() || samples.len() > MAX_SAMPLES,
                "it has no samples, or more than are kept",
            ),
            (
                !samples.is_sorted_by(|one, next| one.run <= next.run),
                "its samples are not in the order of runs",
            ),
        ];
        let faulty = faulty.into_iter().filter(|(is_so, _)| *is_so);
        faults.extend(faulty.map(|(_, what)| Fault {
            place: format!("{list}[{row}]"),
            what,
        }));
    }
    faults
}
