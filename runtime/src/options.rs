//! What a run is told besides its plan, and what it gives back.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use dva_plan::money::Money;
use dva_plan::{CellId, RunId, RunReport};
use tokio::sync::watch;

use crate::clock::WallTime;
use crate::console::ConsolePatterns;
use crate::folder::RunFolder;
use crate::inputs::Inputs;
use crate::journal::{Journal, NoJournal};
use crate::observe::{NoObserver, Observer};
use crate::provider::MachineToken;
use crate::secrets::Secrets;

/// What a run is told besides its plan, schedule and backend.
pub struct RunOptions {
    /// Its id.
    pub run: RunId,
    /// When it begins.
    pub started: WallTime,
    /// Where its files go; without one nothing is written.
    pub folder: Option<RunFolder>,
    /// Where its events go besides the folder.
    pub journal: Box<dyn Journal>,
    /// Who follows it.
    pub observer: Box<dyn Observer>,
    /// How to stop it. A sender that is gone stops nothing.
    pub stop: watch::Receiver<StopSignal>,
    /// The most machines at one time; without one, as many as the schedule has.
    pub machines: Option<NonZeroUsize>,
    /// Its time limits.
    pub limits: Limits,
    /// The values of its inputs.
    pub inputs: Inputs,
    /// The secrets that its tests are lent, and that nothing it writes shows.
    pub secrets: Secrets,
    /// Which machines live on when their tests are over.
    pub keep: Keep,
    /// How long they do.
    pub keep_for: Duration,
    /// How many further lives follow one that was lost, for the test runs that it has left open.
    pub after_loss: u32,
    /// The most that the run may cost, where whoever runs it says so; the plan may say less.
    pub max_cost: Option<Money>,
    /// The run is stopped when so many test runs have failed.
    pub max_failures: Option<NonZeroUsize>,
    /// Nothing more of an image is started when so many of its test runs have failed.
    pub max_failures_per_image: Option<NonZeroUsize>,
    /// No more machines of one type are launched in one region when so many of them in a row could not be had
    /// or did not come up.
    pub breaker: Option<NonZeroU32>,
    /// What is looked for on consoles.
    pub console: Arc<ConsolePatterns>,
}

/// Which machines live on when their tests are over, for somebody to look at. One that the provider
/// cannot keep is released.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// None.
    #[default]
    Never,
    /// Those on which something did not pass, interruptions apart.
    OnFailure,
    /// All that were started.
    Always,
}

/// How long the parts of a life may take. Tests and steps have their own limits in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For the provider to start a machine.
    pub acquire: Duration,
    /// From then until the machine lets us in.
    pub connect: Duration,
    /// For all of a test's `finally` together.
    pub finally: Duration,
    /// For the provider to end a machine, each time it is asked.
    pub release: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            acquire: Duration::from_secs(600),
            connect: Duration::from_secs(120),
            finally: Duration::from_secs(300),
            release: Duration::from_secs(120),
        }
    }
}

/// Whether a run goes on. Watched, so the latest value counts; it only ever gets more urgent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopSignal {
    /// It goes on.
    #[default]
    Run,
    /// Nothing more is started; what runs may end; then the machines are released.
    Finish,
    /// The machines are released at once.
    Now,
}

impl RunOptions {
    /// Options of a run that writes nothing, is watched by nobody and is never stopped.
    #[must_use]
    pub fn new(run: RunId, started: WallTime) -> Self {
        let (_, stop) = watch::channel(StopSignal::Run);
        Self {
            run,
            started,
            folder: None,
            journal: Box::new(NoJournal),
            observer: Box::new(NoObserver),
            stop,
            machines: None,
            limits: Limits::default(),
            inputs: Inputs::default(),
            secrets: Secrets::default(),
            keep: Keep::Never,
            keep_for: Duration::from_secs(3600),
            after_loss: 1,
            max_cost: None,
            max_failures: None,
            max_failures_per_image: None,
            breaker: NonZeroU32::new(3),
            console: Arc::default(),
        }
    }
}

/// What a run gives back.
#[derive(Debug)]
pub struct RunOutcome {
    /// The report; it is in the run folder too, where there is one.
    pub report: RunReport,
    /// Machines that may still be there; empty unless the report's exit code is 6 or 101.
    pub machines_left: Vec<MachineLeft>,
    /// What else of the run its provider may still have, with what ends it, in a sentence. Its machines have ended then,
    /// and the report's exit code is 6 or 101.
    pub left_at_provider: Option<String>,
    /// Machines that live on because that was asked for.
    pub kept: Vec<MachineKept>,
    /// Why the run folder is not complete, in a sentence, where it is not.
    pub folder_problem: Option<String>,
}

/// A machine that lives on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineKept {
    /// The name it was asked for under.
    pub token: MachineToken,
    /// The cell it served.
    pub cell: CellId,
    /// The provider's name for it.
    pub id: String,
}

/// A machine that may still be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineLeft {
    /// The name it was asked for under.
    pub token: MachineToken,
    /// The provider's name for it, where it got as far.
    pub id: Option<String>,
    /// What happened, and the command that ends it.
    pub message: String,
}
