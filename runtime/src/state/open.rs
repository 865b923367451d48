//! Test runs that a life has left open, and the further lives that they get.
//!
//! A machine that is lost, a controller that died and a failed test with `retry` leave test runs without a
//! verdict. Each knows what it comes to if nothing runs it again. A further life has the same tests as the one
//! that left them open, or fewer: those that are open, and as setup what they are `after`. So whatever kept
//! the rules there keeps them here as well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dva_plan::plan::{CellIx, ImageIx, TestIx};
use dva_plan::schedule::{LifeIx, PlannedExecution, PlannedLife};
use dva_plan::together::with_needs;
use dva_plan::verdict::{Blocker, Verdict};
use dva_plan::{FailureClass, TestId};

use super::{IllegalKind, Judgement, LifeState, RunState};
use crate::event::{Ending, LifeTrouble};

/// A test run that a life has left open.
#[derive(Clone, Debug)]
pub(super) struct LeftOpen {
    life: LifeIx,
    /// What it comes to, if nothing runs it again.
    otherwise: Judgement,
}

impl LeftOpen {
    /// What is said of tests that come after this one, whose name is `id`, if nothing runs it again.
    pub(super) fn blocks(&self, id: &TestId) -> String {
        let verdict = &self.otherwise.verdict;
        format!("It comes after {id}, which {}.", super::fold::past(verdict))
    }
}

impl RunState {
    /// The test run has no verdict yet and nothing that could give it one on `life`. Where the run is being
    /// stopped there will be no other life, so it is judged at once.
    pub(super) fn leave_open(
        &mut self,
        life: LifeIx,
        test: TestIx,
        verdict: Verdict,
        message: &str,
    ) {
        let cell = self.schedule.lives[life].cell;
        if self.verdicts.contains_key(&(cell, test)) {
            return;
        }
        if self.stopping.is_some() || self.crashed || self.is_image_stopped(cell) {
            return self.judge(cell, test, verdict, message);
        }
        let otherwise = Judgement {
            verdict,
            message: message.to_owned(),
        };
        self.open.insert((cell, test), LeftOpen { life, otherwise });
    }

    /// The same of all that waits on `life`, which will not start there.
    pub(super) fn leave_waiting_open(&mut self, life: LifeIx, verdict: &Verdict, message: &str) {
        let waiting: Vec<TestIx> = self.lives[life].waits().collect();
        for test in waiting {
            self.lives[life].abandon(test);
            if !self.is_setup(life, test) {
                self.leave_open(life, test, verdict.clone(), message);
            }
        }
    }

    /// The tests that `life` has left open.
    #[must_use]
    pub fn left_open(&self, life: LifeIx) -> BTreeSet<TestIx> {
        let cell = self.schedule.lives[life].cell;
        let of_cell = self.open_of(cell);
        of_cell
            .filter(|(_, left)| left.life == life)
            .map(|(test, _)| test)
            .collect()
    }

    /// Whether something of `cell` waits for a further life.
    pub(super) fn is_left_open(&self, cell: CellIx) -> bool {
        self.open_of(cell).next().is_some()
    }

    fn open_of(&self, cell: CellIx) -> impl Iterator<Item = (TestIx, &LeftOpen)> {
        let all = (cell, TestIx(0))..=(cell, TestIx(u32::MAX));
        self.open.range(all).map(|((_, test), left)| (*test, left))
    }

    /// A life for what `life` has left open, as far as it may be repeated; `None` where nothing may. A life
    /// that was lost is followed by so many others at most.
    #[must_use]
    pub(crate) fn further_life(&self, life: LifeIx, most: u32) -> Option<PlannedLife> {
        if self.stopping.is_some() || self.crashed || self.lives[life].losses() > most {
            return None;
        }
        let planned = &self.schedule.lives[life];
        if self.is_given_up(life) || self.is_image_stopped(planned.cell) {
            return None;
        }
        let open = self.left_open(life);
        let mut repeatable = Repeatable {
            state: self,
            planned,
            open: &open,
            known: BTreeMap::new(),
        };
        let again: BTreeSet<TestIx> = open
            .iter()
            .copied()
            .filter(|test| repeatable.may(*test))
            .collect();
        if again.is_empty() {
            return None;
        }
        let edges = &self.edges[self.plan.cells[planned.cell].shape];
        let mut all = with_needs(again.clone(), |test| edges.needs(test));
        let ends = planned.executions.iter().map(|execution| execution.test);
        let ends: Vec<TestIx> = ends
            .filter(|test| {
                self.plan.tests[*test].last
                    && !self.verdicts.contains_key(&(planned.cell, *test))
                    && edges.needs(*test).all(|need| all.contains(need))
            })
            .collect();
        all.extend(ends);
        Some(self.restricted(planned, &all, &again))
    }

    /// The same life from now on with `tests` alone; all but `again` and `last` ones are setup.
    fn restricted(
        &self,
        planned: &PlannedLife,
        tests: &BTreeSet<TestIx>,
        again: &BTreeSet<TestIx>,
    ) -> PlannedLife {
        let now_ms = self.now_ms;
        let later = |ms: u64| now_ms.saturating_add(ms.saturating_sub(planned.launch_ms));
        let executions = planned.executions.iter();
        let executions = executions.filter(|execution| tests.contains(&execution.test));
        let executions = executions.map(|execution| PlannedExecution {
            start_ms: later(execution.start_ms),
            end_ms: later(execution.end_ms),
            setup: !again.contains(&execution.test) && !self.plan.tests[execution.test].last,
            ..*execution
        });
        let executions: Vec<PlannedExecution> = executions.collect();
        let ready_ms = later(planned.ready_ms);
        let ends = executions.iter().map(|execution| execution.end_ms);
        PlannedLife {
            launch_ms: now_ms,
            ready_ms,
            end_ms: ends.max().unwrap_or(ready_ms),
            executions,
            ..planned.clone()
        }
    }

    pub(super) fn add_life(
        &mut self,
        life: LifeIx,
        planned: &PlannedLife,
        instead_of: LifeIx,
    ) -> Result<(), IllegalKind> {
        let of = self.lives.get(instead_of).ok_or(IllegalKind::UnknownLife)?;
        let losses = of.losses();
        let open = self.left_open(instead_of);
        let before = &self.schedule.lives[instead_of];
        let is_known = |execution: &PlannedExecution| {
            let was_there = self.lives[instead_of].execution(execution.test).is_some();
            let is_wanted = execution.setup
                || open.contains(&execution.test)
                || self.plan.tests[execution.test].last;
            was_there && is_wanted
        };
        let edges = &self.edges[self.plan.cells[before.cell].shape];
        let has = |test: &TestIx| planned.executions.iter().any(|it| it.test == *test);
        let is_closed = |execution: &PlannedExecution| edges.needs(execution.test).all(has);
        let fits = usize::try_from(life.0).is_ok_and(|row| row == self.lives.len())
            && planned.cell == before.cell
            && planned.machine == before.machine
            && planned.executions.iter().all(is_known)
            && planned.executions.iter().all(is_closed);
        if self.is_given_up(instead_of) {
            return Err(IllegalKind::GivenUp);
        }
        if !fits || self.stopping.is_some() || self.is_image_stopped(planned.cell) {
            return Err(IllegalKind::NotLeftOpen);
        }
        for execution in planned.executions.iter().filter(|it| !it.setup) {
            let run = (planned.cell, execution.test);
            if let Some(left) = self.open.remove(&run) {
                self.before.insert(run, left.otherwise);
            }
        }
        self.lives_of_cells
            .entry(planned.cell)
            .or_default()
            .push(life);
        self.lives.push(LifeState::after(planned, losses));
        let schedule = Arc::make_mut(&mut self.schedule);
        schedule.lives.push(planned.clone());
        Ok(())
    }

    /// What `life` has left open comes to what it would otherwise.
    pub(super) fn judge_open(&mut self, life: LifeIx) -> Result<(), IllegalKind> {
        let cell = self
            .known_life(life)
            .map(|_| self.schedule.lives[life].cell)?;
        for test in self.left_open(life) {
            if let Some(left) = self.open.remove(&(cell, test)) {
                self.judge_left(cell, test, left);
            }
        }
        self.judge_last(cell);
        Ok(())
    }

    /// The same of all lives.
    pub(super) fn judge_all_open(&mut self) {
        let open = std::mem::take(&mut self.open);
        self.judge_these(open);
    }

    /// The same of all lives of an image.
    pub(super) fn judge_open_of(&mut self, image: ImageIx) {
        let cells = &self.plan.cells;
        let open = self
            .open
            .extract_if(.., |(cell, _), _| cells[*cell].image == image)
            .collect();
        self.judge_these(open);
    }

    fn judge_these(&mut self, open: BTreeMap<(CellIx, TestIx), LeftOpen>) {
        let cells: BTreeSet<CellIx> = open.keys().map(|(cell, _)| *cell).collect();
        for ((cell, test), left) in open {
            self.judge_left(cell, test, left);
        }
        for cell in cells {
            self.judge_last(cell);
        }
    }

    /// What nothing runs again comes to what it would otherwise, unless something that it is `after` has failed:
    /// then that has blocked it, whatever became of the machine.
    fn judge_left(&mut self, cell: CellIx, test: TestIx, left: LeftOpen) {
        let Judgement { verdict, message } = match self.failed_before(cell, test) {
            Some((before, verdict)) => {
                let id = self.plan.tests[before].id.clone();
                let message = format!(
                    "It comes after {id}, which {}.",
                    super::fold::past(&verdict)
                );
                let by = Blocker::Test(id);
                let verdict = Verdict::Blocked { by };
                Judgement { verdict, message }
            }
            None => left.otherwise,
        };
        self.judge(cell, test, verdict, &message);
    }

    /// A test that has failed and that `test` is `after`, directly or through others.
    fn failed_before(&self, cell: CellIx, test: TestIx) -> Option<(TestIx, Verdict)> {
        let edges = &self.edges[self.plan.cells[cell].shape];
        let mut to_follow = edges.after(test).to_vec();
        let mut seen = BTreeSet::new();
        while let Some(before) = to_follow.pop() {
            match self.verdicts.get(&(cell, before)) {
                Some(judgement) if matches!(judgement.verdict, Verdict::Failed { .. }) => {
                    return Some((before, judgement.verdict.clone()));
                }
                _ if seen.insert(before) => to_follow.extend_from_slice(edges.after(before)),
                _ => {}
            }
        }
        None
    }

    /// `last` tests that waited for further lives have the worst verdict of those that there were.
    fn judge_last(&mut self, cell: CellIx) {
        let all = (cell, TestIx(0))..=(cell, TestIx(u32::MAX));
        let waiting: Vec<TestIx> = self.worst.range(all).map(|((_, test), _)| *test).collect();
        for test in waiting {
            if !self.is_open(cell, test)
                && let Some(worst) = self.worst.remove(&(cell, test))
            {
                self.judged.push((cell, test));
                self.verdicts.insert((cell, test), worst);
            }
        }
    }

    /// The controller has died: what ran has no end that anybody knows. A machine on which nothing has been
    /// done yet is as good as new.
    pub(super) fn resume(&mut self, at_ms: u64) {
        const DIED: &str = "The controller died that looked after its machine.";
        let trouble = LifeTrouble::Class(FailureClass::MachineLost);
        let verdict = trouble.verdict();
        for life in self.lives.indices().collect::<Vec<_>>() {
            let running: Vec<TestIx> = self.lives[life].running().map(|(test, ..)| test).collect();
            if !self.lives[life].outlives_its_controller(self.plan.setup.is_some()) {
                continue;
            }
            for test in running {
                let ending = Ending::Errored(FailureClass::MachineLost);
                self.lives[life].end(test, ending, Vec::new(), at_ms);
                if !self.is_setup(life, test) {
                    self.leave_open(life, test, verdict.clone(), DIED);
                }
            }
            if self.lives[life].trouble().is_none() {
                self.lives[life].lose_with_controller(trouble, DIED);
            }
            self.leave_waiting_open(life, &verdict, DIED);
        }
    }

    /// Whether `test` only prepares `life` for others.
    pub(super) fn is_setup(&self, life: LifeIx, test: TestIx) -> bool {
        let place = self.lives[life].place(test);
        place.is_some_and(|place| self.schedule.lives[life].executions[place].setup)
    }
}

/// Finds out which tests may run again.
struct Repeatable<'s> {
    state: &'s RunState,
    planned: &'s PlannedLife,
    open: &'s BTreeSet<TestIx>,
    known: BTreeMap<TestIx, bool>,
}

impl Repeatable<'_> {
    /// Whether `test`, which is open, may be run with all that it needs.
    fn may(&mut self, test: TestIx) -> bool {
        if let Some(known) = self.known.get(&test) {
            return *known;
        }
        let state = self.state;
        let edges = &state.edges[state.plan.cells[self.planned.cell].shape];
        let after = edges.after(test).to_vec();
        let regardless = edges.needs(test).copied().collect::<Vec<_>>();
        let may = self.is_allowed(test)
            && after.into_iter().all(|need| self.prepares(need, true))
            && regardless
                .into_iter()
                .all(|need| self.prepares(need, false));
        self.known.insert(test, may);
        may
    }

    /// Whether `need` can be there again; it has to pass where `must_pass`.
    fn prepares(&mut self, need: TestIx, must_pass: bool) -> bool {
        if self.open.contains(&need) {
            return self.may(need);
        }
        let run = (self.planned.cell, need);
        let allows = match self.state.verdicts.get(&run) {
            Some(judgement) => !must_pass || judgement.verdict.unlocks(),
            // Another life gives its verdict.
            None => true,
        };
        allows && self.is_allowed(need)
    }

    /// What runs once does not run again.
    fn is_allowed(&self, test: TestIx) -> bool {
        let state = self.state;
        !state.plan.tests[test].once || !state.has_run(self.planned.cell, test)
    }
}
