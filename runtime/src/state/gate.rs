//! Gates: which lives wait for cells of another matrix, and which never start because of them.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::{CellIx, ImageIx, TestIx};
use dva_plan::schedule::LifeIx;
use dva_plan::verdict::Verdict;

use super::{LifePhase, RunState};

/// What the gates before the cells of one matrix and image say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum GateState {
    /// Lives may be launched.
    #[default]
    Open,
    /// Something before it is not over.
    Closed,
    /// This did not pass before it: nothing behind it is launched.
    Shut(CellIx, TestIx),
}

/// The gates of a run as they stood when a life last ended, by matrix and image of what is behind them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gates {
    states: BTreeMap<(String, ImageIx), GateState>,
}

impl RunState {
    /// The gates as they stand.
    pub(crate) fn gates(&self) -> Gates {
        let mut gates = Gates::default();
        let first: BTreeSet<&str> = self
            .plan
            .policy
            .gates
            .iter()
            .map(|gate| &*gate.first)
            .collect();
        let mut before: BTreeMap<(&str, ImageIx), GateState> = BTreeMap::new();
        for (index, cell) in self.plan.cells.enumerate() {
            if !first.contains(cell.matrix.as_str()) {
                continue;
            }
            let of_group = before.entry((&cell.matrix, cell.image)).or_default();
            *of_group = worse(of_group.clone(), self.cell_before_a_gate(index));
        }
        for gate in &self.plan.policy.gates {
            for ((matrix, image), state) in &before {
                if *matrix == gate.first {
                    let behind = gates.states.entry((gate.then.clone(), *image)).or_default();
                    *behind = worse(behind.clone(), state.clone());
                }
            }
        }
        gates
    }

    /// What a cell says to those that wait for it: shut once something of it has not passed, open when
    /// its lives have ended and nothing has.
    fn cell_before_a_gate(&self, cell: CellIx) -> GateState {
        let lives = self.lives_of_cells.get(&cell).into_iter().flatten();
        let mut lives = lives.map(|life| &self.lives[*life]);
        let over = lives.all(|life| match life.phase() {
            LifePhase::Planned => life.is_idle(),
            phase => !phase.holds_machine(),
        });
        if !over || self.is_left_open(cell) {
            return GateState::Closed;
        }
        let tests = &self.plan.shapes[self.plan.cells[cell].shape].tests;
        let broken = tests.iter().find(|test| {
            let judgement = self.final_judgement(cell, **test);
            judgement.is_some_and(|judgement| match judgement.verdict {
                Verdict::Passed
                | Verdict::Flaky
                | Verdict::Skipped { .. }
                | Verdict::Waived { .. } => false,
                Verdict::Failed { .. }
                | Verdict::Blocked { .. }
                | Verdict::Errored { .. }
                | Verdict::Interrupted => true,
            })
        });
        broken.map_or(GateState::Open, |test| GateState::Shut(cell, *test))
    }

    /// What the gates say to a life.
    pub(crate) fn gate_of(&self, gates: &Gates, life: LifeIx) -> GateState {
        if gates.states.is_empty() {
            return GateState::Open;
        }
        let cell = &self.plan.cells[self.schedule.lives[life].cell];
        let group = (cell.matrix.clone(), cell.image);
        gates.states.get(&group).cloned().unwrap_or_default()
    }

    /// Why a cell is not launched behind a gate that is shut: the matrix that comes first, and a sentence.
    pub(crate) fn blocked_by(&self, cell: CellIx, test: TestIx) -> (String, String) {
        let row = &self.plan.cells[cell];
        let verdict = self.final_judgement(cell, test);
        let verdict = verdict.map_or(String::new(), |judgement| judgement.verdict.to_string());
        let label = self.plan.cell_labels();
        let message = format!(
            "Cells of {} with its image come first, and not all passed: {} in {} was {verdict}.",
            row.matrix,
            self.plan.tests[test].id,
            label.label(&self.plan.shown_axes(row), &self.plan.name),
        );
        (row.matrix.clone(), message)
    }
}

/// Something that did not pass decides, whatever else is still to come.
fn worse(one: GateState, other: GateState) -> GateState {
    match (one, other) {
        (shut @ GateState::Shut(..), _) | (_, shut @ GateState::Shut(..)) => shut,
        (GateState::Closed, _) | (_, GateState::Closed) => GateState::Closed,
        (GateState::Open, GateState::Open) => GateState::Open,
    }
}
