//! Candidates: where a cell leaves its machine open and the planned one is not to be had, others are asked for.
//!
//! Which one comes next, and whether what is left to spend pays for it, is the dispatcher's business, which says so
//! by an event.

use std::collections::BTreeMap;

use dva_plan::plan::{Machine, MachineIx};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::table::Index;

use super::{IllegalKind, LifePhase, RunState};
use crate::event::LifeTrouble;

impl RunState {
    /// The machine that was asked for was not to be had, and `next` is asked for.
    pub(super) fn ask_another(
        &mut self,
        at_ms: u64,
        life: LifeIx,
        refused: (LifeTrouble, &str),
        next: MachineIx,
        within_ms: Option<u64>,
    ) -> Result<(), IllegalKind> {
        if self.stopping.is_some() {
            return Err(IllegalKind::Stopping);
        }
        self.known_life(life)?;
        let cell = &self.plan.cells[self.schedule.lives[life].cell];
        let is_candidate = cell.candidates.contains(&next);
        let state = self.life(life, &[LifePhase::Launching])?;
        if state.trouble().is_some() {
            return Err(IllegalKind::Failed);
        }
        let mut before = state.refusals().iter().map(|refusal| refusal.machine);
        if !is_candidate || state.asked() == next || before.any(|before| before == next) {
            return Err(IllegalKind::NoCandidate);
        }
        state.refused(at_ms, refused, next, within_ms);
        Ok(())
    }

    /// What is planned for a life, on the machine that is asked for, was last, or is to be.
    pub(crate) fn planned_as_asked(&self, life: LifeIx) -> PlannedLife {
        PlannedLife {
            machine: self.lives[life].asked(),
            ..self.schedule.lives[life].clone()
        }
    }

    /// The candidates that `life` may be given beside the one that it has asked for, best first: each serves all
    /// that is to run on it, was not asked for before, and is none of which no more are launched.
    pub(crate) fn further_candidates(&self, life: LifeIx) -> Vec<MachineIx> {
        let planned = &self.schedule.lives[life];
        let (cell, state) = (&self.plan.cells[planned.cell], &self.lives[life]);
        let place = |machine: MachineIx| {
            let Machine { region, r#type, .. } = &self.plan.machines[machine];
            (region, r#type)
        };
        let refused = state.refusals().iter().map(|refusal| refusal.machine);
        let mut asked: Vec<_> = refused.chain([state.asked()]).map(place).collect();
        let serves = |machine: MachineIx| {
            let mut tests = planned.executions.iter().map(|execution| execution.test);
            tests.all(|test| self.plan.lacking(cell, machine, test).is_none())
        };
        let mut candidates = Vec::new();
        for machine in cell.candidates.iter().copied() {
            if asked.contains(&place(machine)) || self.is_kind_given_up(machine) || !serves(machine)
            {
                continue;
            }
            asked.push(place(machine));
            candidates.push(machine);
        }
        candidates
    }

    /// What a life comes to of which no candidate was to be had, the last one for this reason; and a sentence on each.
    pub(crate) fn all_refused(
        &self,
        life: LifeIx,
        (last, message): (LifeTrouble, String),
    ) -> (LifeTrouble, String) {
        let refusals = self.lives[life].refusals();
        if refusals.is_empty() {
            return (last, message);
        }
        let troubles: Vec<_> = refusals
            .iter()
            .map(|refusal| refusal.trouble)
            .chain([last])
            .collect();
        // What may be had at another time says more than what never can.
        let mut says_more = [LifeTrouble::Capacity, LifeTrouble::Quota].into_iter();
        let trouble = says_more.find(|trouble| troubles.contains(trouble));
        let trouble = trouble.unwrap_or(last);
        let sentences = refusals.iter().map(|refusal| refusal.message.as_str());
        let sentences: Vec<_> = sentences.chain([message.as_str()]).collect();
        let message = format!(
            "None of the {} machines that were asked for was to be had. {}",
            sentences.len(),
            sentences.join(" ")
        );
        (trouble, message)
    }

    /// A sentence for each two machines of which one had to do where the other was planned.
    pub(crate) fn candidate_warnings(&self) -> Vec<String> {
        /// How many lives, and the first of them.
        type Lives = (usize, LifeIx);
        let mut changed: BTreeMap<(MachineIx, MachineIx), Lives> = BTreeMap::new();
        for (life, state) in self.lives.enumerate() {
            let planned = self.schedule.lives[life].machine;
            if state.machine().is_some() && state.asked() != planned {
                let lives = changed.entry((planned, state.asked())).or_insert((0, life));
                lives.0 += 1;
            }
        }
        let labels = self.plan.cell_labels();
        let name = |machine: MachineIx| {
            let Machine { region, r#type, .. } = &self.plan.machines[machine];
            format!("{type} in {region}")
        };
        let tell = |((planned, had), (lives, first)): ((MachineIx, MachineIx), Lives)| {
            let cell = &self.plan.cells[self.schedule.lives[first].cell];
            let label = labels.label(&self.plan.shown_axes(cell), &self.plan.name);
            let place = format!("{label} (life {})", first.row());
            let who = match lives {
                1 => format!("{place} had"),
                lives => format!("{lives} lives, first {place}, had"),
            };
            format!(
                "{who} a machine {}, since the planned {} was not to be had.",
                name(had),
                name(planned)
            )
        };
        changed.into_iter().map(tell).collect()
    }
}
