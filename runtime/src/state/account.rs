//! States of the account: how many machines use each at a time, and whether one more may.

use dva_plan::plan::TestIx;
use dva_plan::schedule::LifeIx;

use super::RunState;

impl RunState {
    /// Whether the plan limits how many machines may use something at once.
    pub(crate) fn has_account_limits(&self) -> bool {
        let mut states = self.plan.states.iter();
        states.any(|state| state.per_account.is_some())
    }

    /// Whether each state of the account that `test` touches may be used by `life` now: it is, or fewer
    /// other lives than may run a test that touches it.
    pub(crate) fn account_allows(&self, life: LifeIx, test: TestIx) -> bool {
        self.plan.account_states(test).all(|(state, most)| {
            let uses = |test: TestIx| self.plan.account_states(test).any(|(of, _)| of == state);
            let others = self
                .lives
                .enumerate()
                .filter(|(other, of)| *other != life && of.running().any(|(test, ..)| uses(test)));
            u32::try_from(others.count()).is_ok_and(|others| others < most)
        })
    }
}
