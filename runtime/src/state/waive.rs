//! Waivers: which verdicts stand in the end, and what somebody should be warned of.
//!
//! Nothing in the state changes: a waiver is looked at when the run is summed up, and where a gate asks
//! whether a cell has passed.

use std::cmp::Reverse;

use dva_plan::Value;
use dva_plan::date::Day;
use dva_plan::eval::eval;
use dva_plan::plan::{CellIx, Machine, TestIx, Waiver};
use dva_plan::verdict::{Blocker, Verdict, Waived};

use super::{ExecutionState, Judgement, RunState, machine_of};
use crate::cell_facts::CellFacts;

/// How many days before its end a waiver is warned of.
const WARNED_DAYS: i64 = 7;

impl RunState {
    /// What a test run has come to in the end, once that is known: its judgement, unless a waiver forgives
    /// it or what it was blocked by. A waiver that is over forgives nothing; then the message says so.
    #[must_use]
    pub fn final_judgement(&self, cell: CellIx, test: TestIx) -> Option<Judgement> {
        let own = self.judgement(cell, test)?.clone();
        if self.plan.policy.waivers.is_empty() {
            return Some(own);
        }
        let (verdict, message) = match &own.verdict {
            Verdict::Failed { .. } => match self.waiver(cell, test) {
                None => return Some(own),
                Some(waiver) if self.is_over_for(waiver) => {
                    let until = waiver.until.as_deref().unwrap_or_default();
                    let message = format!(
                        "{} It was waived until {until}: {}.",
                        own.message, waiver.because
                    );
                    (own.verdict, message)
                }
                Some(waiver) => {
                    let what = Waived::Failed;
                    let until = waiver.until.as_ref();
                    let until = until.map_or(String::new(), |until| format!(" until {until}"));
                    let message = format!("Waived{until}: {}. {}", waiver.because, own.message);
                    (Verdict::Waived { what }, message)
                }
            },
            Verdict::Blocked {
                by: Blocker::Test(id),
            } => {
                let mut tests = self.plan.shapes[self.plan.cells[cell].shape].tests.iter();
                let by = tests.find(|test| self.plan.tests[**test].id == *id);
                let forgiven = by
                    .and_then(|by| self.final_judgement(cell, *by))
                    .is_some_and(|by| matches!(by.verdict, Verdict::Waived { .. }));
                if !forgiven {
                    return Some(own);
                }
                let what = Waived::By(id.clone());
                (Verdict::Waived { what }, own.message)
            }
            Verdict::Passed
            | Verdict::Flaky
            | Verdict::Blocked { .. }
            | Verdict::Skipped { .. }
            | Verdict::Waived { .. }
            | Verdict::Errored { .. }
            | Verdict::Interrupted => return Some(own),
        };
        Some(Judgement { verdict, message })
    }

    /// A sentence for each waiver that holds for at most a week more.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let Some(today) = self.today() else {
            return Vec::new();
        };
        let waivers = self.plan.policy.waivers.iter().filter_map(|waiver| {
            let until = waiver.until.as_deref()?;
            let left = Day::parse(until)?.days_since(today);
            (0..=WARNED_DAYS).contains(&left).then(|| {
                let tests: Vec<_> = waiver
                    .tests
                    .iter()
                    .map(|test| self.plan.tests[*test].id.as_str())
                    .collect();
                format!(
                    "The waiver of {} holds until {until}, then its failures count: {}.",
                    tests.join(", "),
                    waiver.because
                )
            })
        });
        waivers.collect()
    }

    fn today(&self) -> Option<Day> {
        Some(Day::at(self.start()?.started_unix_ms))
    }

    fn is_over_for(&self, waiver: &Waiver) -> bool {
        let until = waiver.until.as_deref().and_then(Day::parse);
        until.is_some_and(|until| self.today().is_none_or(|today| today > until))
    }

    /// The waiver for a failure: one that still holds, rather than one that is over.
    fn waiver(&self, cell: CellIx, test: TestIx) -> Option<&Waiver> {
        let machine = self.machine_that_judged(cell, test);
        let applies = |waiver: &&Waiver| {
            let condition = waiver.condition.is_none_or(|condition| {
                let facts = CellFacts {
                    plan: &self.plan,
                    cell,
                    machine: Some(machine),
                };
                eval(&self.plan.expressions, condition, &facts) == Ok(Value::Bool(true))
            });
            waiver.tests.binary_search(&test).is_ok() && condition
        };
        let waivers = self.plan.policy.waivers.iter().filter(applies);
        waivers.max_by_key(|waiver| Reverse(self.is_over_for(waiver)))
    }

    /// The machine that a test last ran on for its verdict, or was to.
    fn machine_that_judged(&self, cell: CellIx, test: TestIx) -> &Machine {
        let lives = self.lives_of_cells.get(&cell).into_iter().flatten();
        let judging = lives.filter_map(|life| {
            let place = self.lives[*life].place(test)?;
            if self.schedule.lives[*life].executions[place].setup {
                return None;
            }
            let ended_ms = match &self.lives[*life].executions()[place] {
                ExecutionState::Ended { end_ms, .. } => Some(*end_ms),
                ExecutionState::Waiting
                | ExecutionState::Running { .. }
                | ExecutionState::Never => None,
            };
            Some((ended_ms, *life))
        });
        match judging.max() {
            Some((_, life)) => machine_of(self, life),
            None => &self.plan.machines[self.plan.cells[cell].candidates[0]],
        }
    }
}
