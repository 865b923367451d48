//! When lives that have been launched have states of the account.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::StateIx;
use dva_plan::schedule::PlannedLife;

/// When lives that have been launched have states of the account.
#[derive(Default)]
pub(super) struct Accounts {
    taken: BTreeMap<StateIx, Vec<(u64, u64)>>,
}

/// A state of the account that a life uses, how many lives may at once, and from when until when, by the
/// clock of a life that is launched at 0.
pub(super) struct Use {
    state: StateIx,
    most: usize,
    from_ms: u64,
    until_ms: u64,
}

impl Accounts {
    /// What `life`, launched at 0, uses.
    pub(super) fn uses(plan: &ExecutionPlan, life: &PlannedLife) -> Vec<Use> {
        let mut uses: Vec<Use> = Vec::new();
        for execution in &life.executions {
            for (state, most) in plan.account_states(execution.test) {
                match uses.iter_mut().find(|of| of.state == state) {
                    Some(of) => {
                        of.from_ms = of.from_ms.min(execution.start_ms);
                        of.until_ms = of.until_ms.max(execution.end_ms);
                    }
                    None => uses.push(Use {
                        state,
                        most: usize::try_from(most).unwrap_or(usize::MAX).max(1),
                        from_ms: execution.start_ms,
                        until_ms: execution.end_ms,
                    }),
                }
            }
        }
        uses
    }

    /// When a life that uses all this may be launched, `now_ms` or later: when enough of the others that
    /// would use something with it have left it.
    pub(super) fn free_ms(&self, uses: &[Use], now_ms: u64) -> u64 {
        let mut launch_ms = now_ms;
        while let Some(later_ms) = uses.iter().find_map(|of| self.later_ms(of, launch_ms)) {
            launch_ms = later_ms;
        }
        launch_ms
    }

    /// The first launch behind `launch_ms` that one life fewer would meet, where too many would be met then.
    fn later_ms(&self, of: &Use, launch_ms: u64) -> Option<u64> {
        let from_ms = launch_ms.saturating_add(of.from_ms);
        let until_ms = launch_ms.saturating_add(of.until_ms);
        let taken = self.taken.get(&of.state).into_iter().flatten();
        let met = taken.filter(|(from, until)| *from < until_ms && from_ms < *until);
        let ends: Vec<u64> = met.map(|(_, until)| *until).collect();
        if ends.len() < of.most {
            return None;
        }
        let first_ms = ends.into_iter().min()?;
        Some(first_ms.saturating_sub(of.from_ms))
    }

    /// Notes that a life that uses all this is launched at `now_ms`.
    pub(super) fn take(&mut self, uses: &[Use], now_ms: u64) {
        for of in uses {
            let from_ms = now_ms.saturating_add(of.from_ms);
            let until_ms = now_ms.saturating_add(of.until_ms);
            let taken = self.taken.entry(of.state).or_default();
            taken.retain(|(_, until_ms)| *until_ms > now_ms);
            taken.push((from_ms, until_ms));
        }
    }
}
