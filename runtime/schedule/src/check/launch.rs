//! The rules of launches: one boot a life, gates between matrices, how many machines there may
//! be, and how many may use a state of the account.

use std::collections::BTreeMap;

use dva_plan::plan::{ImageIx, Resource};
use dva_plan::schedule::{LifeIx, PlannedExecution, PlannedLife, Schedule};
use dva_plan::table::Index;

use super::Check;
use super::rule::Rule;

impl Check<'_> {
    /// What concerns the launches of all lives together.
    pub(super) fn launches(&mut self, schedule: &Schedule) {
        self.machines(schedule);
        self.accounts(schedule);
        self.gates(schedule);
    }

    /// The boot is there, and each test that needs one has it.
    pub(super) fn boot(&mut self, index: LifeIx, life: &PlannedLife) {
        if let Some(boot) = life.boot
            && self.plan.boots.get(boot).is_none()
        {
            let message = format!(
                "life {}: it has boot {}, which is not there",
                index.row(),
                boot.row()
            );
            return self.add(Rule::References, index, None, message);
        }
        let mut needed = false;
        for execution in &life.executions {
            let test = execution.test;
            let Some(boot) = self.plan.tests.get(test).and_then(|test| test.boot) else {
                continue;
            };
            needed = true;
            if life.boot != Some(boot) {
                let message = format!(
                    "life {}: {} needs another boot than it has",
                    index.row(),
                    self.name(test)
                );
                self.add(Rule::OneBoot, index, test, message);
            }
        }
        if life.boot.is_some() && !needed {
            let message = format!("life {}: no test needs its boot", index.row());
            self.add(Rule::OneBoot, index, None, message);
        }
    }

    /// No more lives at one instant than there may be machines. One that ends and one that is launched at
    /// the same instant follow each other.
    fn machines(&mut self, schedule: &Schedule) {
        let Some(most) = self.plan.policy.limits.machines else {
            return;
        };
        let mut ends: Vec<u64> = schedule.lives.iter().map(|life| life.end_ms).collect();
        let mut launches: Vec<(u64, LifeIx)> = schedule
            .lives
            .enumerate()
            .map(|(index, life)| (life.launch_ms, index))
            .collect();
        ends.sort_unstable();
        launches.sort_unstable();
        let mut ended = 0;
        for (launched, (launch_ms, index)) in (1_usize..).zip(launches) {
            while ends.get(ended).is_some_and(|end_ms| *end_ms <= launch_ms) {
                ended += 1;
            }
            let live = launched.saturating_sub(ended);
            if u32::try_from(live).unwrap_or(u32::MAX) > most {
                let message = format!(
                    "life {}: with it there are {live} machines at {launch_ms} ms, and {most} are allowed",
                    index.row()
                );
                self.add(Rule::MachineLimit, index, None, message);
            }
        }
    }

    /// No more lives at one instant run a test that touches a state of the account than may. One that ends and
    /// one that starts at the same instant follow each other.
    fn accounts(&mut self, schedule: &Schedule) {
        for (state, of) in self.plan.states.enumerate() {
            let Some(most) = of.per_account else {
                continue;
            };
            let touches = |execution: &&PlannedExecution| {
                let test = self.plan.tests.get(execution.test);
                let mut effects = test.into_iter().flat_map(|test| &test.effects);
                effects.any(|effect| effect.of == Resource::State(state))
            };
            // Whether it starts comes second, so that what ends goes first.
            let mut changes: Vec<(u64, bool, LifeIx)> = Vec::new();
            for (index, life) in schedule.lives.enumerate() {
                for execution in life.executions.iter().filter(touches) {
                    if execution.start_ms < execution.end_ms {
                        changes.push((execution.start_ms, true, index));
                        changes.push((execution.end_ms, false, index));
                    }
                }
            }
            changes.sort_unstable();
            let mut users: BTreeMap<LifeIx, u32> = BTreeMap::new();
            for (at_ms, starts, index) in changes {
                let running = users.entry(index).or_default();
                if !starts {
                    *running -= 1;
                    if *running == 0 {
                        users.remove(&index);
                    }
                    continue;
                }
                *running += 1;
                let is_new = *running == 1;
                let users = u32::try_from(users.len()).unwrap_or(u32::MAX);
                if is_new && users > most {
                    let message = format!(
                        "life {}: with it {users} machines use {} at {at_ms} ms, and {most} may",
                        index.row(),
                        self.resource(Resource::State(state))
                    );
                    self.add(Rule::AccountLimit, index, None, message);
                }
            }
        }
    }

    /// A life behind a gate is launched when all lives of its image before the gate have ended.
    fn gates(&mut self, schedule: &Schedule) {
        let plan = self.plan;
        let mut last_end: BTreeMap<(&str, ImageIx), u64> = BTreeMap::new();
        for life in &schedule.lives {
            if let Some(cell) = plan.cells.get(life.cell) {
                let end_ms = last_end.entry((&cell.matrix, cell.image)).or_default();
                *end_ms = life.end_ms.max(*end_ms);
            }
        }
        for (index, life) in schedule.lives.enumerate() {
            let Some(cell) = plan.cells.get(life.cell) else {
                continue;
            };
            for gate in &plan.policy.gates {
                let first = last_end.get(&(gate.first.as_str(), cell.image));
                if gate.then == cell.matrix
                    && let Some(end_ms) = first
                    && life.launch_ms < *end_ms
                {
                    let message = format!(
                        "life {}: it is launched at {} ms, before {} has ended, at {end_ms} ms",
                        index.row(),
                        life.launch_ms,
                        gate.first.escape_debug()
                    );
                    self.add(Rule::GateKept, index, None, message);
                }
            }
        }
    }
}
