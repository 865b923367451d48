//! The fold itself: what each event does to a run's state, and which cannot be.

use std::sync::Arc;

use dva_plan::FailureClass;
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::StepReport;
use dva_plan::schedule::LifeIx;
use dva_plan::unit::display_duration;
use dva_plan::verdict::{Blocker, SkipReason, Verdict};

use super::{
    ExecutionState, GateState, IllegalKind, Judgement, LifePhase, LifeState, RunState, Start,
};
use crate::event::{Ending, Event, LifeTrouble, Record, StopCause, Stopping};

impl RunState {
    pub(super) fn check_and_apply(&mut self, record: &Record) -> Result<(), IllegalKind> {
        let at_ms = record.at_ms;
        if self.exit.is_some() {
            return Err(IllegalKind::AfterTheEnd);
        }
        if at_ms < self.now_ms {
            return Err(IllegalKind::BackInTime);
        }
        let is_first = matches!(record.event, Event::RunStarted { .. });
        if is_first == self.start.is_some() {
            return Err(if is_first {
                IllegalKind::StartedTwice
            } else {
                IllegalKind::NotStarted
            });
        }
        match &record.event {
            Event::RunStarted {
                run,
                plan: _,
                plan_digest,
                provider,
                started_unix_ms,
            } => {
                self.start = Some(Start {
                    run: run.clone(),
                    plan_digest: plan_digest.clone(),
                    provider: provider.clone(),
                    started_unix_ms: *started_unix_ms,
                });
            }
            Event::TestSkipped {
                cell,
                test,
                reason,
                message,
            } => self.skip(*cell, *test, *reason, message)?,
            Event::RunResumed { unix_ms: _ } => self.resume(at_ms),
            Event::LifeAdded {
                life,
                planned,
                instead_of,
            } => self.add_life(*life, planned, *instead_of)?,
            Event::TestsGivenUp { life } => self.judge_open(*life)?,
            Event::Stopping { how, why } => self.stop(*how, why)?,
            Event::LifeLaunching {
                life,
                token: _,
                within_ms,
            } => {
                if self.stopping.is_some() {
                    return Err(IllegalKind::Stopping);
                }
                self.known_life(*life)?;
                if self.is_image_stopped(self.schedule.lives[*life].cell) {
                    return Err(IllegalKind::Stopping);
                }
                if self.is_given_up(*life) {
                    return Err(IllegalKind::GivenUp);
                }
                if !self.plan.policy.gates.is_empty()
                    && self.gate_of(&self.gates(), *life) != GateState::Open
                {
                    return Err(IllegalKind::Gate);
                }
                let life = self.life(*life, &[LifePhase::Planned])?;
                life.launching(at_ms, *within_ms);
            }
            Event::CandidateRefused {
                life,
                trouble,
                message,
                next,
                within_ms,
            } => self.ask_another(at_ms, *life, (*trouble, message), *next, *within_ms)?,
            Event::LifeAcquired { life, id, machine } => self
                .life(*life, &[LifePhase::Launching])?
                .acquired(id, machine),
            Event::BootWarned { life, message } => {
                let state = self.life(*life, &[LifePhase::Acquired])?;
                state.boot_warned(message);
            }
            Event::LifeSetUp { life, steps } => {
                self.life(*life, &[LifePhase::Acquired])?;
                let steps = self.excerpts.admit(steps);
                self.lives[*life].set_up(steps);
                self.comes_up(*life);
            }
            Event::CellBlocked {
                cell,
                gate,
                message,
            } => self.block_cell(*cell, gate, message)?,
            Event::LifeBlocked { life, by, message } => {
                self.life(*life, &[LifePhase::Planned])?;
                self.give_up(*life, &Verdict::Blocked { by: by.clone() }, message);
            }
            Event::LifeReady { life } => {
                self.life(*life, &[LifePhase::Acquired])?.ready(at_ms);
                self.comes_up(*life);
            }
            Event::LifeFailed {
                life,
                trouble,
                message,
            } => {
                self.fail_life(*life, *trouble, message, trouble.is_of_one_machine())?;
                self.count_if_down(*life, *trouble, message);
            }
            Event::ImageStopped { image, failures } => self.stop_image(*image, *failures)?,
            Event::MachineGivenUp { machine, lives } => self.give_up_machine(*machine, *lives)?,
            Event::LifeCrashed { life, message } => {
                let class = match self.known_life(*life)?.phase() {
                    LifePhase::Planned | LifePhase::Launching => FailureClass::MachineAcquire,
                    LifePhase::Acquired
                    | LifePhase::Ready
                    | LifePhase::Releasing
                    | LifePhase::Ended
                    | LifePhase::Kept
                    | LifePhase::Left => FailureClass::MachineLost,
                };
                // A crash may come on top of another trouble, or while the machine is released.
                if self.known_life(*life)?.phase() == LifePhase::Releasing
                    || self.known_life(*life)?.trouble().is_some()
                {
                    self.life(*life, LifePhase::WITH_MACHINE)?;
                } else {
                    self.fail_life(*life, LifeTrouble::Class(class), message, false)?;
                }
                self.crashed = true;
            }
            Event::ExecutionStarted { life, test, lane } => {
                self.start_execution(*life, *test, *lane, at_ms)?;
            }
            Event::ExecutionEnded {
                life,
                test,
                ending,
                message,
                steps,
            } => self.end_execution(*life, *test, *ending, message, steps, at_ms)?,
            Event::LifeReleasing { life } => {
                let before = [LifePhase::Launching, LifePhase::Acquired, LifePhase::Ready];
                if self.life(*life, &before)?.running().next().is_some() {
                    return Err(IllegalKind::StillRunning);
                }
                if !self.lives[*life].is_idle() {
                    return Err(IllegalKind::Unfinished);
                }
                self.lives[*life].releasing();
            }
            Event::ConsoleRead { life, lines, file } => {
                let state = self.life(*life, &[LifePhase::Releasing])?;
                if state.console().is_some() {
                    return Err(IllegalKind::ReadTwice);
                }
                state.console_read(lines, file.as_deref());
            }
            Event::ProcessesLeft { life, test, names } => {
                let left = self
                    .life(*life, &[LifePhase::Releasing])?
                    .left_processes(*test)
                    .ok_or(IllegalKind::NotEnded)?;
                left.extend(names.iter().cloned());
            }
            Event::LifeKept { life, for_ms } => {
                let life = self.life(*life, &[LifePhase::Releasing])?;
                life.kept(at_ms, *for_ms);
            }
            Event::LifeEnded { life } => self.life(*life, &[LifePhase::Releasing])?.ended(at_ms),
            Event::ReleaseFailed { life, message } => {
                self.life(*life, &[LifePhase::Releasing])?.left(message);
            }
            Event::EndRunFailed { message } => {
                if !self.is_over() {
                    return Err(IllegalKind::Unfinished);
                }
                if self.left_at_provider.is_some() {
                    return Err(IllegalKind::FailedTwice);
                }
                self.left_at_provider = Some(message.clone());
            }
            Event::RunEnded { exit } => {
                if !self.is_over() {
                    return Err(IllegalKind::Unfinished);
                }
                if *exit != self.exit() {
                    return Err(IllegalKind::WrongExit);
                }
                self.exit = Some(*exit);
            }
        }
        self.now_ms = at_ms;
        Ok(())
    }

    pub(super) fn known_life(&self, life: LifeIx) -> Result<&LifeState, IllegalKind> {
        self.lives.get(life).ok_or(IllegalKind::UnknownLife)
    }

    /// The life, which must be in one of `phases`.
    pub(super) fn life(
        &mut self,
        life: LifeIx,
        phases: &[LifePhase],
    ) -> Result<&mut LifeState, IllegalKind> {
        let phase = self.known_life(life)?.phase();
        if phases.contains(&phase) {
            Ok(&mut self.lives[life])
        } else {
            Err(IllegalKind::Phase(phase))
        }
    }

    /// A test run is not meant to start, nor is anything that was only to prepare it.
    fn skip(
        &mut self,
        cell: CellIx,
        test: TestIx,
        reason: SkipReason,
        message: &str,
    ) -> Result<(), IllegalKind> {
        let of_cell = self.plan.cells.get(cell);
        let tests = of_cell.map(|cell| &self.plan.shapes[cell.shape].tests);
        if tests.is_none_or(|tests| tests.binary_search(&test).is_err()) {
            return Err(IllegalKind::UnknownTestRun);
        }
        if self.verdicts.contains_key(&(cell, test)) {
            return Err(IllegalKind::SecondVerdict);
        }
        let lives = self.lives_of_cells.get(&cell).cloned().unwrap_or_default();
        let launched = |life: &&LifeIx| {
            let life = &self.lives[**life];
            life.place(test).is_some() && life.phase() != LifePhase::Planned
        };
        if let Some(life) = lives.iter().find(launched) {
            return Err(IllegalKind::Phase(self.lives[*life].phase()));
        }
        for life in lives {
            if !self.lives[life].abandon(test) {
                continue;
            }
            let waiting: Vec<_> = self.lives[life].waits().collect();
            if waiting.iter().all(|test| self.gives_no_reason(life, *test)) {
                for test in waiting {
                    self.lives[life].abandon(test);
                }
            }
        }
        self.judge(cell, test, Verdict::Skipped { reason }, message);
        Ok(())
    }

    /// Whether `test` alone is no reason to launch `life`: it was only to prepare for others, or to look
    /// at what they have left, which it still does on another life.
    fn gives_no_reason(&self, life: LifeIx, test: TestIx) -> bool {
        let planned = &self.schedule.lives[life];
        let setup = self.lives[life]
            .place(test)
            .is_some_and(|place| planned.executions[place].setup);
        let lives = self.lives_of_cells.get(&planned.cell).into_iter().flatten();
        let mut others = lives.filter(|other| **other != life);
        let waits =
            |other: &LifeIx| self.lives[*other].execution(test) == Some(&ExecutionState::Waiting);
        setup || (self.plan.tests[test].last && others.any(waits))
    }

    fn stop(&mut self, how: Stopping, why: &StopCause) -> Result<(), IllegalKind> {
        if self.stopping >= Some(how) {
            return Err(IllegalKind::Stopping);
        }
        self.stopping = Some(how);
        let (verdict, message) = match why {
            StopCause::Asked => (
                Verdict::Interrupted,
                "The run was stopped before it started.".to_owned(),
            ),
            StopCause::Limit(ms) => {
                self.over_limit = Some(*ms);
                (
                    Verdict::Blocked { by: Blocker::Limit },
                    format!(
                        "The {} that the plan allows were over before it started.",
                        display_duration(*ms)
                    ),
                )
            }
            StopCause::Failures(most) => (
                Verdict::Blocked { by: Blocker::Limit },
                match most {
                    1 => "A test run had failed before it started, and the run was to stop at the first.".to_owned(),
                    most => {
                        format!(
                            "{most} test runs had failed before it started, and the run was to stop at so many."
                        )
                    }
                },
            ),
            StopCause::RunFolder(error) => (
                Verdict::Errored {
                    class: FailureClass::RunFolder,
                },
                format!("The run was stopped, since its folder could not be written: {error}."),
            ),
        };
        for life in self.lives.indices() {
            self.give_up(life, &verdict, &message);
        }
        self.judge_all_open();
        Ok(())
    }

    /// Nothing of a cell will start, for what comes first by a gate did not pass.
    fn block_cell(&mut self, cell: CellIx, gate: &str, message: &str) -> Result<(), IllegalKind> {
        if self.plan.cells.get(cell).is_none() {
            return Err(IllegalKind::UnknownTestRun);
        }
        let lives = self.lives_of_cells.get(&cell).cloned().unwrap_or_default();
        for life in &lives {
            self.life(*life, &[LifePhase::Planned])?;
        }
        let by = Blocker::Gate(gate.to_owned());
        for life in lives {
            self.give_up(life, &Verdict::Blocked { by: by.clone() }, message);
        }
        Ok(())
    }

    fn fail_life(
        &mut self,
        life: LifeIx,
        trouble: LifeTrouble,
        message: &str,
        again: bool,
    ) -> Result<(), IllegalKind> {
        let alive = [LifePhase::Launching, LifePhase::Acquired, LifePhase::Ready];
        let state = self.life(life, &alive)?;
        if state.trouble().is_some() {
            return Err(IllegalKind::FailedTwice);
        }
        state.fail(trouble, message);
        match again {
            true => self.leave_waiting_open(life, &trouble.verdict(), message),
            false => self.give_up(life, &trouble.verdict(), message),
        }
        Ok(())
    }

    /// Nothing that waits on this life will start.
    pub(super) fn give_up(&mut self, life: LifeIx, verdict: &Verdict, message: &str) {
        let schedule = Arc::clone(&self.schedule);
        for execution in &schedule.lives[life].executions {
            if self.lives[life].abandon(execution.test) && !execution.setup {
                self.judge(
                    schedule.lives[life].cell,
                    execution.test,
                    verdict.clone(),
                    message,
                );
            }
        }
    }

    fn start_execution(
        &mut self,
        life: LifeIx,
        test: TestIx,
        lane: u32,
        at_ms: u64,
    ) -> Result<(), IllegalKind> {
        if self.stopping.is_some() {
            return Err(IllegalKind::Stopping);
        }
        let state = self.life(life, &[LifePhase::Ready])?;
        if state.trouble().is_some() {
            return Err(IllegalKind::Failed);
        }
        match state.execution(test) {
            Some(ExecutionState::Waiting) => {}
            Some(
                ExecutionState::Running { .. }
                | ExecutionState::Ended { .. }
                | ExecutionState::Never,
            ) => return Err(IllegalKind::NotWaiting),
            None => return Err(IllegalKind::UnknownTest),
        }
        let beside = |(other, ..): (TestIx, u32, u64)| self.exclusions.exclude(test, other);
        if self.lives[life].running().any(beside) {
            return Err(IllegalKind::NotAlone);
        }
        if !self.account_allows(life, test) {
            return Err(IllegalKind::AccountLimit);
        }
        if lane >= self.schedule.lives[life].lanes || self.lives[life].lane_is_taken(lane) {
            return Err(IllegalKind::NoLane);
        }
        if let Some(kind) = self.missing_predecessor(life, test) {
            return Err(kind);
        }
        self.lives[life].start(test, lane, at_ms);
        Ok(())
    }

    fn end_execution(
        &mut self,
        life: LifeIx,
        test: TestIx,
        ending: Ending,
        message: &str,
        steps: &[StepReport],
        at_ms: u64,
    ) -> Result<(), IllegalKind> {
        let cell = self.schedule.lives[self.known_life(life).map(|_| life)?].cell;
        let place = match self.lives[life].place(test) {
            Some(place)
                if matches!(
                    self.lives[life].executions()[place],
                    ExecutionState::Running { .. }
                ) =>
            {
                place
            }
            _ => return Err(IllegalKind::NotRunning),
        };
        let setup = self.schedule.lives[life].executions[place].setup;
        if !setup && self.verdicts.contains_key(&(cell, test)) {
            return Err(IllegalKind::SecondVerdict);
        }
        let steps = self.excerpts.admit(steps);
        self.lives[life].end(test, ending, steps, at_ms);
        if !setup && self.is_open_after(life, test, ending) {
            self.leave_open(life, test, ending.verdict(), message);
            self.leave_dependents_open(life, test);
            return Ok(());
        }
        if !setup {
            let has_failed = self.failures.contains_key(&(cell, test));
            match (ending, self.over_limit) {
                (Ending::Interrupted, Some(ms)) => {
                    let verdict = Verdict::Blocked { by: Blocker::Limit };
                    let allowed = display_duration(ms);
                    let message =
                        format!("It ran when the {allowed} that the plan allows were over.");
                    self.judge(cell, test, verdict, &message);
                }
                // Its machine may have gone in the same moment.
                (Ending::Interrupted | Ending::Errored(_), None) if self.is_out_of_money(life) => {
                    let why = self.lives[life].trouble().map(|(_, why)| why.to_owned());
                    let verdict = Verdict::Blocked { by: Blocker::Limit };
                    self.judge(cell, test, verdict, &why.unwrap_or_default());
                }
                (Ending::Passed, _) if has_failed => {
                    let message = "It failed before, and passed on a fresh machine.";
                    self.judge(cell, test, Verdict::Flaky, message);
                }
                _ => self.judge(cell, test, ending.verdict(), message),
            }
        }
        if ending != Ending::Passed {
            let (verdict, why) = self.fate_of_dependents(cell, test, ending, message);
            self.block_dependents(life, test, &verdict, &why);
        }
        Ok(())
    }

    /// Whether a life was ended because what it may cost was used up.
    fn is_out_of_money(&self, life: LifeIx) -> bool {
        let trouble = self.lives[life].trouble();
        trouble.is_some_and(|(trouble, _)| trouble == LifeTrouble::Cost)
    }

    /// Whether an execution that ended like this gives no verdict yet: its machine was lost, or the test may be
    /// tried again.
    fn is_open_after(&mut self, life: LifeIx, test: TestIx, ending: Ending) -> bool {
        let cell = self.schedule.lives[life].cell;
        if self.stopping.is_some() || self.crashed || self.is_image_stopped(cell) {
            return false;
        }
        match ending {
            Ending::Errored(_) => {
                let trouble = self.lives[life].trouble();
                trouble.is_some_and(|(trouble, _)| trouble.is_of_one_machine())
            }
            Ending::Failed(_) => {
                let most = self.plan.tests[test].retry;
                if most == 0 || self.plan.tests[test].once {
                    return false;
                }
                let failures = self.failures.entry((cell, test)).or_default();
                *failures += 1;
                *failures <= most
            }
            Ending::Passed | Ending::Skipped(_) | Ending::Interrupted => false,
        }
    }

    /// What is `after` a test that is tried again waits for that.
    fn leave_dependents_open(&mut self, life: LifeIx, test: TestIx) {
        let cell = self.schedule.lives[life].cell;
        let id = self.plan.tests[test].id.clone();
        let message = match self.open.get(&(cell, test)) {
            Some(left) => left.blocks(&id),
            None => return,
        };
        let verdict = Verdict::Blocked {
            by: Blocker::Test(id),
        };
        for dependent in self.abandon_dependents(life, test) {
            self.leave_open(life, dependent, verdict.clone(), &message);
        }
    }

    /// Nothing that is `after` `test` will start on this life; what of it is no setup.
    fn abandon_dependents(&mut self, life: LifeIx, test: TestIx) -> Vec<TestIx> {
        let shape = self.plan.cells[self.schedule.lives[life].cell].shape;
        let mut waiting = self.edges[shape].dependents(test).to_vec();
        let mut abandoned = Vec::new();
        while let Some(dependent) = waiting.pop() {
            if !self.lives[life].abandon(dependent) {
                continue;
            }
            waiting.extend_from_slice(self.edges[shape].dependents(dependent));
            if !self.is_setup(life, dependent) {
                abandoned.push(dependent);
            }
        }
        abandoned
    }

    /// What becomes of tests on this life that are `after` a test which did not pass there.
    fn fate_of_dependents(
        &self,
        cell: CellIx,
        test: TestIx,
        ending: Ending,
        message: &str,
    ) -> (Verdict, String) {
        let id = &self.plan.tests[test].id;
        let own = self.verdicts.get(&(cell, test));
        match own {
            // What a test means nothing without means nothing either.
            Some(own) if matches!(own.verdict, Verdict::Skipped { .. }) => (
                own.verdict.clone(),
                format!("It comes after {id}, which {}.", past(&own.verdict)),
            ),
            Some(own) if !own.verdict.unlocks() => (
                Verdict::Blocked {
                    by: Blocker::Test(id.clone()),
                },
                format!("It comes after {id}, which {}.", past(&own.verdict)),
            ),
            // It was a setup, which has no verdict to be blocked by: the test itself has passed, or may yet.
            _ => {
                let verdict = match ending {
                    Ending::Failed(_) | Ending::Errored(_) => Verdict::Errored {
                        class: FailureClass::Setup,
                    },
                    Ending::Passed | Ending::Skipped(_) | Ending::Interrupted => ending.verdict(),
                };
                (
                    verdict,
                    format!("{id} was run here as its setup and did not pass: {message}"),
                )
            }
        }
    }

    fn block_dependents(&mut self, life: LifeIx, test: TestIx, verdict: &Verdict, message: &str) {
        let cell = self.schedule.lives[life].cell;
        for dependent in self.abandon_dependents(life, test) {
            self.judge(cell, dependent, verdict.clone(), message);
        }
    }

    /// The verdict of a test run that has none yet. That of a `last` test is the worst of all lives, so
    /// it waits for the others.
    pub(super) fn judge(&mut self, cell: CellIx, test: TestIx, verdict: Verdict, message: &str) {
        let run = (cell, test);
        if self.verdicts.contains_key(&run) {
            return;
        }
        let mut judgement = Judgement {
            verdict,
            message: message.to_owned(),
        };
        // What kept it from another try does not make up for how the one before it ended.
        if let Some(before) = self.before.remove(&run)
            && !judgement.verdict.unlocks()
            && before.verdict.is_worse_than(&judgement.verdict)
        {
            judgement = before;
        }
        if let Some(worst) = self.worst.remove(&run)
            && !judgement.verdict.is_worse_than(&worst.verdict)
        {
            judgement = worst;
        }
        if self.plan.tests[test].last && self.is_open(cell, test) {
            self.worst.insert(run, judgement);
        } else {
            self.judged.push(run);
            self.verdicts.insert(run, judgement);
        }
    }

    /// Whether `test` runs on a life of `cell`, or may yet.
    pub(super) fn is_open(&self, cell: CellIx, test: TestIx) -> bool {
        let mut lives = self.lives_of_cells.get(&cell).into_iter().flatten();
        self.is_left_open(cell)
            || lives.any(|life| {
                matches!(
                    self.lives[*life].execution(test),
                    Some(ExecutionState::Waiting | ExecutionState::Running { .. })
                )
            })
    }
}

/// A verdict as the end of a sentence.
pub(super) fn past(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Failed { .. } | Verdict::Errored { .. } | Verdict::Flaky => verdict.to_string(),
        Verdict::Passed
        | Verdict::Blocked { .. }
        | Verdict::Skipped { .. }
        | Verdict::Waived { .. }
        | Verdict::Interrupted => format!("was {verdict}"),
    }
}
