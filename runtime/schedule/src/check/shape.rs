//! What a shape demands of every life that runs its tests: worked out from edges and effects, not
//! from the edges of order that the plan gives for the same purpose.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{DiskIx, EffectKind, Shape, TestIx};

/// The demands of one shape.
#[derive(Default)]
pub(super) struct Demands {
    /// What each test is directly `after`.
    pub(super) after: BTreeMap<TestIx, Vec<TestIx>>,
    /// Which others have ended before each test, if they are on its life.
    pub(super) order: BTreeMap<TestIx, Vec<TestIx>>,
    /// Readers of a disk, each with each writer of that disk that it is not `after` and so must not see.
    pub(super) unseen: Vec<OnDisk>,
    /// Writers of one disk neither of which is `after` the other.
    pub(super) unchained: Vec<OnDisk>,
}

/// Two tests that touch one disk.
pub(super) struct OnDisk {
    pub(super) disk: DiskIx,
    /// The reader, where one of them is.
    pub(super) one: TestIx,
    /// A writer.
    pub(super) writer: TestIx,
}

impl Demands {
    /// The demands of `shape`. Tests that the plan does not have demand nothing.
    pub(super) fn of(plan: &ExecutionPlan, shape: &Shape) -> Self {
        let mut demands = Self::default();
        for edge in &shape.after {
            demands.after.entry(edge.test).or_default().push(edge.after);
        }
        for edge in &shape.order {
            demands.order.entry(edge.test).or_default().push(edge.after);
        }
        let with = |kind: EffectKind| {
            let mut tests: BTreeMap<DiskIx, BTreeSet<TestIx>> = BTreeMap::new();
            for test in &shape.tests {
                let effects = plan.tests.get(*test).map_or(&[][..], |test| &test.effects);
                for effect in effects.iter().filter(|effect| effect.kind == kind) {
                    tests.entry(effect.disk).or_default().insert(*test);
                }
            }
            tests
        };
        let readers = with(EffectKind::Reads);
        for (disk, writers) in with(EffectKind::Writes) {
            let before: BTreeMap<_, _> = writers
                .iter()
                .map(|writer| (*writer, demands.ancestors(*writer)))
                .collect();
            for (index, one) in writers.iter().enumerate() {
                for writer in writers.iter().skip(index + 1) {
                    if !before[one].contains(writer) && !before[writer].contains(one) {
                        let (one, writer) = (*one, *writer);
                        demands.unchained.push(OnDisk { disk, one, writer });
                    }
                }
            }
            for reader in readers.get(&disk).into_iter().flatten() {
                let seen = demands.ancestors(*reader);
                let later = writers
                    .iter()
                    .filter(|writer| *writer != reader && !seen.contains(writer));
                demands.unseen.extend(later.map(|writer| OnDisk {
                    disk,
                    one: *reader,
                    writer: *writer,
                }));
            }
        }
        demands
    }

    /// All that `test` is `after`, directly or not.
    fn ancestors(&self, test: TestIx) -> BTreeSet<TestIx> {
        let (mut waiting, mut ancestors) = (vec![test], BTreeSet::new());
        while let Some(test) = waiting.pop() {
            let direct = self.after.get(&test).into_iter().flatten();
            waiting.extend(direct.filter(|direct| ancestors.insert(**direct)));
        }
        ancestors
    }
}
