//! One life within a run's state. Rules that span lives, or need the plan, are one level up.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dva_plan::plan::{Machine, MachineIx, TestIx};
use dva_plan::report::StepReport;
use dva_plan::schedule::PlannedLife;

use crate::event::{Ending, LifeTrouble};

/// What has become of a life so far.
#[derive(Clone, Debug)]
pub struct LifeState {
    phase: LifePhase,
    /// The machine of the plan that is asked for, was last, or is to be.
    asked: MachineIx,
    /// The machines that were asked for before, and were not to be had.
    refusals: Vec<Refusal>,
    /// Whether it goes on under another controller than the one that launched it.
    is_adopted: bool,
    id: Option<String>,
    machine: Option<Machine>,
    launch_ms: Option<u64>,
    ready_ms: Option<u64>,
    end_ms: Option<u64>,
    ends_itself_ms: Option<u64>,
    trouble: Option<(LifeTrouble, String)>,
    release_problem: Option<String>,
    setup_steps: Vec<StepReport>,
    boot_warning: Option<String>,
    console: Option<ConsoleSaid>,
    /// How many lives before it were lost that had the same to do, not counting those whose controller had died.
    losses_before: u32,
    /// Whether it was lost with its controller.
    lost_with_controller: bool,
    places: BTreeMap<TestIx, usize>,
    executions: Vec<ExecutionState>,
    /// The places of its executions by the start that the schedule foresaw.
    by_start: Vec<usize>,
    /// The tests that run.
    running: BTreeSet<TestIx>,
    /// How many executions wait or run.
    unfinished: usize,
}

/// A machine that was not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which.
    pub machine: MachineIx,
    /// Why.
    pub trouble: LifeTrouble,
    /// The same in a sentence.
    pub message: String,
}

/// What the console of a life has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSaid {
    /// The lines that somebody should look at.
    pub lines: Vec<String>,
    /// Where all of it is, relative to the run folder.
    pub file: Option<String>,
}

/// Where a life is between its launch and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifePhase {
    /// Not launched, and perhaps never to be.
    Planned,
    /// The provider was asked for a machine.
    Launching,
    /// The machine was started; we are not in yet.
    Acquired,
    /// Tests can run.
    Ready,
    /// The machine is being ended.
    Releasing,
    /// The machine is gone.
    Ended,
    /// The machine lives on, as was asked for.
    Kept,
    /// The machine could not be ended.
    Left,
}

impl LifePhase {
    /// The phases in which there is a machine, or may be.
    pub(super) const WITH_MACHINE: &'static [Self] = &[
        Self::Launching,
        Self::Acquired,
        Self::Ready,
        Self::Releasing,
    ];

    /// Whether there is a machine, or may be, that is still to be ended.
    #[must_use]
    pub fn holds_machine(self) -> bool {
        Self::WITH_MACHINE.contains(&self)
    }
}

impl fmt::Display for LifePhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Planned => "planned",
            Self::Launching => "launching",
            Self::Acquired => "booting",
            Self::Ready => "ready",
            Self::Releasing => "releasing",
            Self::Ended => "ended",
            Self::Kept => "kept",
            Self::Left => "left",
        })
    }
}

/// What has become of one planned execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecutionState {
    /// It may start later.
    Waiting,
    /// It runs.
    Running {
        /// On this lane.
        lane: u32,
        /// Since then.
        start_ms: u64,
    },
    /// It has run.
    Ended {
        /// On this lane.
        lane: u32,
        /// When it started.
        start_ms: u64,
        /// When it ended.
        end_ms: u64,
        /// How it ended.
        ending: Ending,
        /// What its steps did.
        steps: Vec<StepReport>,
        /// Names of processes it left behind.
        left_processes: Vec<String>,
    },
    /// It will never start.
    Never,
}

impl LifeState {
    pub(super) fn new(planned: &PlannedLife) -> Self {
        let places: BTreeMap<_, _> = planned
            .executions
            .iter()
            .enumerate()
            .map(|(place, execution)| (execution.test, place))
            .collect();
        assert_eq!(
            places.len(),
            planned.executions.len(),
            "a life runs a test once"
        );
        let mut by_start: Vec<usize> = (0..planned.executions.len()).collect();
        by_start.sort_by_key(|place| planned.executions[*place].start_ms);
        Self {
            phase: LifePhase::Planned,
            asked: planned.machine,
            refusals: Vec::new(),
            is_adopted: false,
            id: None,
            machine: None,
            launch_ms: None,
            ready_ms: None,
            end_ms: None,
            ends_itself_ms: None,
            trouble: None,
            release_problem: None,
            setup_steps: Vec::new(),
            boot_warning: None,
            console: None,
            losses_before: 0,
            lost_with_controller: false,
            places,
            executions: vec![ExecutionState::Waiting; planned.executions.len()],
            by_start,
            running: BTreeSet::new(),
            unfinished: planned.executions.len(),
        }
    }

    /// One that takes over from lives of which so many were lost.
    pub(super) fn after(planned: &PlannedLife, losses: u32) -> Self {
        Self {
            losses_before: losses,
            ..Self::new(planned)
        }
    }

    /// How many lives were lost that had the same to do, this one among them.
    pub(super) fn losses(&self) -> u32 {
        let counts = self.trouble.is_some() && !self.lost_with_controller;
        self.losses_before + u32::from(counts)
    }

    /// The controller has died. Whether something on it is left open for that: a machine on which nothing has
    /// been done is asked for again, and is the same one, or as good as it.
    pub(super) fn outlives_its_controller(&mut self, has_setup: bool) -> bool {
        match self.phase {
            LifePhase::Planned | LifePhase::Ended | LifePhase::Kept => false,
            LifePhase::Launching | LifePhase::Acquired | LifePhase::Ready => {
                let waits = |execution: &ExecutionState| *execution == ExecutionState::Waiting;
                let is_new = self.trouble.is_none()
                    && self.executions.iter().all(waits)
                    && (!has_setup || self.phase == LifePhase::Launching);
                if is_new {
                    self.phase = LifePhase::Launching;
                    self.is_adopted = true;
                }
                !is_new
            }
            LifePhase::Left => {
                self.phase = LifePhase::Releasing;
                self.release_problem = None;
                false
            }
            LifePhase::Releasing => false,
        }
    }

    /// Where it is.
    #[must_use]
    pub fn phase(&self) -> LifePhase {
        self.phase
    }

    /// The machine of the plan that is asked for, was last, or is to be: what has a price. What was obtained is in
    /// [`LifeState::machine`].
    #[must_use]
    pub fn asked(&self) -> MachineIx {
        self.asked
    }

    /// The machines that were not to be had, in the order in which they were asked for; the last one that was asked
    /// for is none of these.
    #[must_use]
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// Whether it goes on under another controller than the one that launched it.
    #[must_use]
    pub fn is_adopted(&self) -> bool {
        self.is_adopted
    }

    /// The provider's name for its machine, once there is one.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// The machine that was obtained, once there is one.
    #[must_use]
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_ref()
    }

    /// When it was launched.
    #[must_use]
    pub fn launch_ms(&self) -> Option<u64> {
        self.launch_ms
    }

    /// When the first test could start.
    #[must_use]
    pub fn ready_ms(&self) -> Option<u64> {
        self.ready_ms
    }

    /// When its machine was gone.
    #[must_use]
    pub fn end_ms(&self) -> Option<u64> {
        self.end_ms
    }

    /// How long after its launch the machine ends itself, in milliseconds, where that is known.
    #[must_use]
    pub fn ends_itself_ms(&self) -> Option<u64> {
        self.ends_itself_ms
    }

    /// What went wrong with it, and a sentence about it.
    #[must_use]
    pub fn trouble(&self) -> Option<(LifeTrouble, &str)> {
        self.trouble
            .as_ref()
            .map(|(trouble, message)| (*trouble, message.as_str()))
    }

    /// Why its machine could not be ended.
    #[must_use]
    pub fn release_problem(&self) -> Option<&str> {
        self.release_problem.as_deref()
    }

    /// What the steps of the plan's setup did on it.
    #[must_use]
    pub fn setup_steps(&self) -> &[StepReport] {
        &self.setup_steps
    }

    /// What did not go well when its machine booted, though it came up.
    #[must_use]
    pub fn boot_warning(&self) -> Option<&str> {
        self.boot_warning.as_deref()
    }

    /// What its console has said, where that is worth it.
    #[must_use]
    pub fn console(&self) -> Option<&ConsoleSaid> {
        self.console.as_ref()
    }

    /// Its executions, in the order of the schedule's.
    #[must_use]
    pub fn executions(&self) -> &[ExecutionState] {
        &self.executions
    }

    /// The execution of `test` on it, if one was planned.
    #[must_use]
    pub fn execution(&self, test: TestIx) -> Option<&ExecutionState> {
        self.place(test).map(|place| &self.executions[place])
    }

    /// The tests that run, each with its lane and its start.
    pub fn running(&self) -> impl Iterator<Item = (TestIx, u32, u64)> {
        let running = self.running.iter().copied();
        running.filter_map(|test| match self.execution(test) {
            Some(ExecutionState::Running { lane, start_ms }) => Some((test, *lane, *start_ms)),
            Some(
                ExecutionState::Waiting | ExecutionState::Ended { .. } | ExecutionState::Never,
            )
            | None => None,
        })
    }

    /// Whether nothing waits or runs.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.unfinished == 0
    }

    /// Its executions, with what their steps did, which is then forgotten here.
    pub(super) fn take_executions(&mut self) -> Vec<ExecutionState> {
        let taken = self.executions.iter_mut().map(|execution| match execution {
            ExecutionState::Ended {
                lane,
                start_ms,
                end_ms,
                ending,
                steps,
                left_processes,
            } => ExecutionState::Ended {
                lane: *lane,
                start_ms: *start_ms,
                end_ms: *end_ms,
                ending: *ending,
                steps: std::mem::take(steps),
                left_processes: std::mem::take(left_processes),
            },
            other => other.clone(),
        });
        taken.collect()
    }

    /// The tests that may start later.
    pub(super) fn waits(&self) -> impl Iterator<Item = TestIx> {
        let waiting = |place: &usize| self.executions[*place] == ExecutionState::Waiting;
        let places = self.places.iter();
        places
            .filter(move |(_, place)| waiting(place))
            .map(|(test, _)| *test)
    }

    /// The places of executions that may start later, by the start that the schedule foresaw.
    pub(super) fn waiting_places(&self) -> impl Iterator<Item = usize> {
        let waits = |place: &usize| self.executions[*place] == ExecutionState::Waiting;
        self.by_start.iter().copied().filter(waits)
    }

    pub(super) fn place(&self, test: TestIx) -> Option<usize> {
        self.places.get(&test).copied()
    }

    pub(super) fn lane_is_taken(&self, lane: u32) -> bool {
        self.running().any(|(_, taken, _)| taken == lane)
    }

    pub(super) fn launching(&mut self, at_ms: u64, within_ms: Option<u64>) {
        self.phase = LifePhase::Launching;
        self.launch_ms = Some(at_ms);
        self.ends_itself_ms = within_ms;
    }

    /// What was asked for was not to be had, and nothing was started: `next` is asked for from now on.
    pub(super) fn refused(
        &mut self,
        at_ms: u64,
        (trouble, message): (LifeTrouble, &str),
        next: MachineIx,
        within_ms: Option<u64>,
    ) {
        self.refusals.push(Refusal {
            machine: std::mem::replace(&mut self.asked, next),
            trouble,
            message: message.to_owned(),
        });
        self.launching(at_ms, within_ms);
    }

    pub(super) fn acquired(&mut self, id: &str, machine: &Machine) {
        self.phase = LifePhase::Acquired;
        self.id = Some(id.to_owned());
        self.machine = Some(machine.clone());
    }

    pub(super) fn boot_warned(&mut self, message: &str) {
        self.boot_warning = Some(message.to_owned());
    }

    pub(super) fn set_up(&mut self, steps: Vec<StepReport>) {
        self.setup_steps = steps;
    }

    pub(super) fn console_read(&mut self, lines: &[String], file: Option<&str>) {
        self.console = Some(ConsoleSaid {
            lines: lines.to_vec(),
            file: file.map(str::to_owned),
        });
    }

    pub(super) fn ready(&mut self, at_ms: u64) {
        self.phase = LifePhase::Ready;
        self.ready_ms = Some(at_ms);
    }

    pub(super) fn fail(&mut self, trouble: LifeTrouble, message: &str) {
        self.trouble = Some((trouble, message.to_owned()));
    }

    pub(super) fn lose_with_controller(&mut self, trouble: LifeTrouble, message: &str) {
        self.fail(trouble, message);
        self.lost_with_controller = true;
    }

    pub(super) fn releasing(&mut self) {
        self.phase = LifePhase::Releasing;
    }

    pub(super) fn ended(&mut self, at_ms: u64) {
        self.phase = LifePhase::Ended;
        self.end_ms = Some(at_ms);
    }

    pub(super) fn kept(&mut self, at_ms: u64, for_ms: u64) {
        self.phase = LifePhase::Kept;
        let launch_ms = self.launch_ms.unwrap_or(at_ms);
        self.ends_itself_ms = Some(at_ms.saturating_sub(launch_ms).saturating_add(for_ms));
    }

    pub(super) fn left(&mut self, message: &str) {
        self.phase = LifePhase::Left;
        self.release_problem = Some(message.to_owned());
    }

    /// The execution of `test` will never start. False where it was not waiting.
    pub(super) fn abandon(&mut self, test: TestIx) -> bool {
        let Some(place) = self.place(test) else {
            return false;
        };
        let waited = self.executions[place] == ExecutionState::Waiting;
        if waited {
            self.executions[place] = ExecutionState::Never;
            self.unfinished -= 1;
        }
        waited
    }

    pub(super) fn start(&mut self, test: TestIx, lane: u32, start_ms: u64) {
        if let Some(place) = self.place(test) {
            self.executions[place] = ExecutionState::Running { lane, start_ms };
            self.running.insert(test);
        }
    }

    pub(super) fn end(
        &mut self,
        test: TestIx,
        ending: Ending,
        steps: Vec<StepReport>,
        end_ms: u64,
    ) {
        let Some(place) = self.place(test) else {
            return;
        };
        if let ExecutionState::Running { lane, start_ms } = self.executions[place] {
            self.executions[place] = ExecutionState::Ended {
                lane,
                start_ms,
                end_ms,
                ending,
                steps,
                left_processes: Vec::new(),
            };
            self.running.remove(&test);
            self.unfinished -= 1;
        }
    }

    /// Where the names of processes go that the execution of `test` left; `None` where it has not ended.
    pub(super) fn left_processes(&mut self, test: TestIx) -> Option<&mut Vec<String>> {
        let place = self.place(test)?;
        match &mut self.executions[place] {
            ExecutionState::Ended { left_processes, .. } => Some(left_processes),
            ExecutionState::Waiting | ExecutionState::Running { .. } | ExecutionState::Never => {
                None
            }
        }
    }
}
