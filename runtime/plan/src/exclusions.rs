//! Which tests must not run on one machine at the same time: those that reboot or borrow something.
//!
//! Like [`crate::together`], it is worked out once for the scheduler and the runtime.

use std::collections::BTreeSet;

use crate::plan::{EffectKind, ExecutionPlan, Resource, Test, TestIx};
use crate::table::Table;

/// What each test of a plan wants to itself while it runs.
#[derive(Clone, Debug)]
pub struct Exclusions {
    claims: Table<TestIx, Claim>,
}

#[derive(Clone, Debug)]
struct Claim {
    /// The whole machine.
    alone: bool,
    borrows: BTreeSet<Resource>,
    touches: BTreeSet<Resource>,
}

impl Exclusions {
    /// The wants of all tests of `plan`.
    #[must_use]
    pub fn of(plan: &ExecutionPlan) -> Self {
        let claim = |test: &Test| {
            let resources = |kinds: &[EffectKind]| -> BTreeSet<Resource> {
                let effects = test.effects.iter();
                let of_kind = effects.filter(|effect| kinds.contains(&effect.kind));
                of_kind.map(|effect| effect.of).collect()
            };
            let borrows = resources(&[EffectKind::Borrows]);
            Claim {
                alone: test.takes_machine_away() || borrows.contains(&Resource::Machine),
                touches: resources(&[EffectKind::Reads, EffectKind::Writes, EffectKind::Borrows]),
                borrows,
            }
        };
        Self {
            claims: plan.tests.iter().map(claim).collect(),
        }
    }

    /// Of the tests that could start, most urgent first, those that may: nothing is started beside what
    /// excludes it, of what runs and of what starts with it. Nor does anything go past a more urgent
    /// test that has to wait and excludes it, or that one might wait for ever.
    #[must_use]
    pub fn admit(
        &self,
        ready: impl IntoIterator<Item = TestIx>,
        running: impl IntoIterator<Item = TestIx>,
        most: usize,
    ) -> Vec<TestIx> {
        // Running, starting and waiting ones alike keep away whom they exclude.
        let mut ahead: Vec<TestIx> = running.into_iter().collect();
        let mut admitted = Vec::new();
        for test in ready {
            if admitted.len() == most {
                break;
            }
            if !ahead.iter().any(|other| self.exclude(test, *other)) {
                admitted.push(test);
            }
            ahead.push(test);
        }
        admitted
    }

    /// Whether `one` and `other`, two tests of the plan, must not run on one machine at the same time: one
    /// of them reboots or borrows the machine, or borrows what the other one reads, writes or borrows.
    #[must_use]
    pub fn exclude(&self, one: TestIx, other: TestIx) -> bool {
        if !self.is_exclusive(one) && !self.is_exclusive(other) {
            return false;
        }
        let (one, other) = (&self.claims[one], &self.claims[other]);
        one.alone
            || other.alone
            || !one.borrows.is_disjoint(&other.touches)
            || !other.borrows.is_disjoint(&one.touches)
    }

    /// Whether `test` wants the whole machine to itself.
    #[must_use]
    pub fn is_alone(&self, test: TestIx) -> bool {
        self.claims[test].alone
    }

    /// Whether `test` wants anything to itself.
    #[must_use]
    pub fn is_exclusive(&self, test: TestIx) -> bool {
        let claim = &self.claims[test];
        claim.alone || !claim.borrows.is_empty()
    }
}
