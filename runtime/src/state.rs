//! The state of a run: a pure fold over its events, which refuses events that cannot be.
//!
//! It says what may start, what every test run has come to, and whether the run is over. It starts
//! nothing itself: [`crate::dispatcher`] does, and the fold holds it to the rules. The same records
//! give the same state, so a report can be made of a journal alone.

mod account;
mod breaker;
mod candidate;
mod console;
mod edges;
mod excerpts;
mod fold;
mod gate;
mod illegal;
mod image;
mod life;
mod open;
mod waive;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dva_plan::exclusions::Exclusions;
use dva_plan::exit::ExitCode;
use dva_plan::plan::{CellIx, ImageIx, Machine, ShapeIx, TestIx};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::table::Table;
use dva_plan::verdict::Verdict;
use dva_plan::{ExecutionPlan, RunId, Schedule};

pub use illegal::{IllegalEvent, IllegalKind};
pub use life::{ConsoleSaid, ExecutionState, LifePhase, LifeState, Refusal};

use crate::event::{Ending, Record, Stopping};
use breaker::Breakers;
use edges::Edges;
use excerpts::Excerpts;
pub(crate) use gate::{GateState, Gates};
use open::LeftOpen;

/// What has become of a run so far.
#[derive(Clone, Debug)]
pub struct RunState {
    plan: Arc<ExecutionPlan>,
    schedule: Arc<Schedule>,
    edges: Table<ShapeIx, Edges>,
    exclusions: Exclusions,
    lives_of_cells: BTreeMap<CellIx, Vec<LifeIx>>,
    excerpts: Excerpts,
    start: Option<Start>,
    now_ms: u64,
    stopping: Option<Stopping>,
    lives: Table<LifeIx, LifeState>,
    /// How many of them there were at first: the others are further ones.
    planned_lives: usize,
    verdicts: BTreeMap<(CellIx, TestIx), Judgement>,
    /// Of `last` tests that have still to run on another life, the worst so far.
    worst: BTreeMap<(CellIx, TestIx), Judgement>,
    judged: Vec<(CellIx, TestIx)>,
    /// Test runs that wait for a further life.
    open: BTreeMap<(CellIx, TestIx), LeftOpen>,
    /// What test runs that get another try came to before.
    before: BTreeMap<(CellIx, TestIx), Judgement>,
    /// How often tests with `retry` have failed.
    failures: BTreeMap<(CellIx, TestIx), u32>,
    /// Images of which nothing more is started.
    stopped_images: BTreeSet<ImageIx>,
    breakers: Breakers,
    /// The time that the plan allows, in milliseconds, where the run is stopped because it is over.
    over_limit: Option<u64>,
    crashed: bool,
    /// What its provider may still have of the run, beside its machines.
    left_at_provider: Option<String>,
    exit: Option<ExitCode>,
}

/// What the first event said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub run: RunId,
    pub plan_digest: String,
    pub provider: String,
    pub started_unix_ms: u64,
}

/// The verdict of a test run and why it is that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, in a sentence; empty where it passed.
    pub message: String,
}

/// How many test runs there are of each kind. They add up to all of the plan's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Not judged yet, running ones among them.
    pub open: usize,
    /// Passed or flaky.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Blocked.
    pub blocked: usize,
    /// Errored.
    pub errored: usize,
    /// Interrupted.
    pub interrupted: usize,
    /// Skipped or waived.
    pub other: usize,
}

impl RunState {
    /// The state before the first event.
    ///
    /// # Panics
    /// If `schedule` is none of `plan`: it names rows that are not there, has a test twice on one life,
    /// or has one on a life without what it is `after`, regardless of its ending or not. The scheduler makes no such thing.
    #[must_use]
    pub fn new(plan: Arc<ExecutionPlan>, schedule: Arc<Schedule>) -> Self {
        let edges: Table<ShapeIx, Edges> = plan
            .shapes
            .iter()
            .map(|shape| Edges::of(&plan, shape))
            .collect();
        let lives: Table<LifeIx, LifeState> = schedule
            .lives
            .iter()
            .map(|planned| {
                let life = LifeState::new(planned);
                let edges = &edges[plan.cells[planned.cell].shape];
                for execution in &planned.executions {
                    let closed = edges
                        .needs(execution.test)
                        .all(|test| life.place(*test).is_some());
                    assert!(closed, "every life has what its tests are `after`");
                }
                life
            })
            .collect();
        let mut lives_of_cells: BTreeMap<CellIx, Vec<LifeIx>> = BTreeMap::new();
        for (life, planned) in schedule.lives.enumerate() {
            lives_of_cells.entry(planned.cell).or_default().push(life);
        }
        Self {
            exclusions: Exclusions::of(&plan),
            breakers: Breakers::of(&plan),
            stopped_images: BTreeSet::new(),
            lives_of_cells,
            excerpts: Excerpts::default(),
            plan,
            schedule,
            edges,
            start: None,
            now_ms: 0,
            stopping: None,
            planned_lives: lives.len(),
            lives,
            verdicts: BTreeMap::new(),
            worst: BTreeMap::new(),
            judged: Vec::new(),
            open: BTreeMap::new(),
            before: BTreeMap::new(),
            failures: BTreeMap::new(),
            over_limit: None,
            crashed: false,
            left_at_provider: None,
            exit: None,
        }
    }

    /// The plan that is run.
    #[must_use]
    pub fn plan(&self) -> &Arc<ExecutionPlan> {
        &self.plan
    }

    /// The schedule that is followed.
    #[must_use]
    pub fn schedule(&self) -> &Arc<Schedule> {
        &self.schedule
    }

    /// The lives that the run began with, without further ones.
    pub(crate) fn planned_lives(&self) -> impl Iterator<Item = &PlannedLife> {
        self.schedule.lives.iter().take(self.planned_lives)
    }

    /// When the last event was recorded, in milliseconds since the start of the run.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The lives, as in the schedule.
    #[must_use]
    pub fn lives(&self) -> &Table<LifeIx, LifeState> {
        &self.lives
    }

    /// How the run is being stopped, if it is.
    #[must_use]
    pub fn stopping(&self) -> Option<Stopping> {
        self.stopping
    }

    /// What a test run has come to, once that is known.
    #[must_use]
    pub fn judgement(&self, cell: CellIx, test: TestIx) -> Option<&Judgement> {
        self.verdicts.get(&(cell, test))
    }

    /// The test runs that have a verdict, in the order they got it. A display that remembers how long
    /// the list was sees what the last event decided.
    #[must_use]
    pub fn judged(&self) -> &[(CellIx, TestIx)] {
        &self.judged
    }

    /// How many test runs have come to what.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for judgement in self.verdicts.values() {
            *match judgement.verdict {
                Verdict::Passed | Verdict::Flaky => &mut counts.passed,
                Verdict::Failed { .. } => &mut counts.failed,
                Verdict::Blocked { .. } => &mut counts.blocked,
                Verdict::Errored { .. } => &mut counts.errored,
                Verdict::Interrupted => &mut counts.interrupted,
                Verdict::Skipped { .. } | Verdict::Waived { .. } => &mut counts.other,
            } += 1;
        }
        counts.open = self.plan.test_runs() - self.verdicts.len();
        counts
    }

    /// The tests that may start on a life now, best first, as many as there are free lanes: those whose
    /// `after` have passed on it and whose `order` are over, by the start the schedule foresaw.
    ///
    /// What a test has to itself, such as the machine that it reboots or a state that it borrows, nobody
    /// else touches while it runs. Nothing that it excludes goes past a test that is next and has to
    /// wait, or that one might wait for ever. A test that waits for a state of the account, which other
    /// machines have, is not next: they will end.
    #[must_use]
    pub fn startable(&self, life: LifeIx) -> Vec<(TestIx, u32)> {
        let state = &self.lives[life];
        if state.phase() != LifePhase::Ready || state.trouble().is_some() || self.stopping.is_some()
        {
            return Vec::new();
        }
        let planned = &self.schedule.lives[life];
        let free: Vec<u32> = (0..planned.lanes)
            .filter(|lane| !state.lane_is_taken(*lane))
            .collect();
        if free.is_empty() {
            return Vec::new();
        }
        let waiting = state
            .waiting_places()
            .map(|place| planned.executions[place].test);
        // Only as many are looked at as it takes to fill the lanes.
        let ready = waiting.filter(|test| {
            self.missing_predecessor(life, *test).is_none() && self.account_allows(life, *test)
        });
        let running = state.running().map(|(test, ..)| test);
        let admitted = self.exclusions.admit(ready, running, free.len());
        admitted.into_iter().zip(free).collect()
    }

    /// Whether `test` has run on some life of `cell`, or runs there.
    pub(crate) fn has_run(&self, cell: CellIx, test: TestIx) -> bool {
        let mut lives = self.lives_of_cells.get(&cell).into_iter().flatten();
        lives.any(|life| {
            matches!(
                self.lives[*life].execution(test),
                Some(ExecutionState::Running { .. } | ExecutionState::Ended { .. })
            )
        })
    }

    /// Whether a life has still to be launched for something.
    #[must_use]
    pub fn is_wanted(&self, life: LifeIx) -> bool {
        let state = &self.lives[life];
        state.phase() == LifePhase::Planned && !state.is_idle() && self.stopping.is_none()
    }

    /// Whether a life has nothing more to do and is to be released.
    #[must_use]
    pub fn is_done(&self, life: LifeIx) -> bool {
        let state = &self.lives[life];
        state.phase().holds_machine() && state.phase() != LifePhase::Releasing && state.is_idle()
    }

    /// Whether the last event was.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.exit.is_some()
    }

    /// Whether nothing more can happen but the last event.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let ended = self.lives.iter().all(|life| match life.phase() {
            LifePhase::Planned => life.is_idle(),
            LifePhase::Ended | LifePhase::Kept | LifePhase::Left => true,
            LifePhase::Launching
            | LifePhase::Acquired
            | LifePhase::Ready
            | LifePhase::Releasing => false,
        });
        ended && self.open.is_empty()
    }

    /// How the run ends, as things stand: a test run without a verdict counts as interrupted, a machine
    /// that nobody has released as left.
    #[must_use]
    pub fn exit(&self) -> ExitCode {
        if let Some(exit) = self.exit {
            return exit;
        }
        let machine_left =
            |life: &LifeState| life.phase().holds_machine() || life.phase() == LifePhase::Left;
        if self.crashed {
            ExitCode::Bug
        } else if self.left_at_provider.is_some() || self.lives.iter().any(machine_left) {
            ExitCode::MachinesLeft
        } else {
            let open = self.verdicts.len() < self.plan.test_runs();
            let interrupted = open.then_some(&Verdict::Interrupted);
            let runs = self.verdicts.keys();
            let verdicts = runs.filter_map(|(cell, test)| self.final_judgement(*cell, *test));
            let verdicts: Vec<_> = verdicts.map(|judgement| judgement.verdict).collect();
            ExitCode::of_verdicts(verdicts.iter().chain(interrupted))
        }
    }

    /// Takes one record in.
    ///
    /// # Errors
    /// [`IllegalEvent`] where it cannot be after what was before; the state is as it was then.
    pub fn apply(&mut self, record: &Record) -> Result<(), IllegalEvent> {
        self.check_and_apply(record).map_err(|kind| IllegalEvent {
            at_ms: record.at_ms,
            kind,
        })
    }

    /// The executions of each life, with what their steps did, which is then forgotten here.
    pub(crate) fn take_executions(&mut self) -> Vec<Vec<ExecutionState>> {
        let lives = self.lives.iter_mut();
        lives.map(LifeState::take_executions).collect()
    }

    /// What the provider may still have of the run beside its machines, in a sentence.
    #[must_use]
    pub fn left_at_provider(&self) -> Option<&str> {
        self.left_at_provider.as_deref()
    }

    pub(crate) fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// What keeps a test from starting on a life, apart from lanes.
    fn missing_predecessor(&self, life: LifeIx, test: TestIx) -> Option<IllegalKind> {
        let cell = self.schedule.lives[life].cell;
        let edges = &self.edges[self.plan.cells[cell].shape];
        let state = &self.lives[life];
        let passed = |test: &TestIx| {
            matches!(
                state.execution(*test),
                Some(ExecutionState::Ended {
                    ending: Ending::Passed,
                    ..
                })
            )
        };
        // An edge of order binds only where both tests are on this life. A test that was blocked is over,
        // for what is after it regardless as well.
        let over = |test: &TestIx| {
            matches!(
                state.execution(*test),
                None | Some(ExecutionState::Ended { .. } | ExecutionState::Never)
            )
        };
        if !edges.after(test).iter().all(passed) {
            Some(IllegalKind::NotPassed)
        } else if !edges.order(test).iter().all(over) {
            Some(IllegalKind::NotOver)
        } else {
            None
        }
    }
}

/// The machine a life has, or was to have at last.
pub(crate) fn machine_of(state: &RunState, life: LifeIx) -> &Machine {
    state.lives[life]
        .machine()
        .unwrap_or(&state.plan.machines[state.lives[life].asked()])
}
