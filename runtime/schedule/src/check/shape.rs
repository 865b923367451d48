//! What a shape demands of every life that runs its tests: worked out from edges and effects, not
//! from the edges of order and the conflicts that the plan gives for the same purpose.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{EffectKind, Resource, Shape, Test, TestIx};
use dva_plan::step::StepKind;

/// The demands of one shape.
#[derive(Default)]
pub(super) struct Demands {
    /// What each test is directly `after`, regardless of its ending or not.
    pub(super) needs: BTreeMap<TestIx, Vec<TestIx>>,
    /// What has to have passed before each test: what it is directly `after`, but not regardless.
    passed: BTreeMap<TestIx, Vec<TestIx>>,
    /// Which others have ended before each test, if they are on its life.
    pub(super) order: BTreeMap<TestIx, Vec<TestIx>>,
    /// Tests that must not share a life, as the plan says.
    pub(super) conflicts: Vec<(TestIx, TestIx)>,
    /// Readers, each with each writer that it is not `after` and so must not see; and readers and writers,
    /// each with each reboot that loses the state and that they are not `after`.
    pub(super) unseen: Vec<OnResource>,
    /// Writers of one state or disk neither of which is `after` the other.
    pub(super) unchained: Vec<OnResource>,
    /// Tests that want the machine fresh, each with each that changes it and that it is not `after`.
    pub(super) fresh: Vec<(TestIx, TestIx)>,
    /// Tests, each with each that leaves the machine dirty and that it is not `after`.
    pub(super) dirty: Vec<(TestIx, TestIx)>,
    /// Tests that have the machine to themselves while they run.
    pub(super) alone: BTreeSet<TestIx>,
    /// Borrowers, each with what it borrows and all others that touch that.
    pub(super) borrowed: Vec<(Resource, TestIx, Vec<TestIx>)>,
    /// Tests at the end of every life.
    pub(super) last: BTreeSet<TestIx>,
    /// Tests that are never set up.
    pub(super) once: BTreeSet<TestIx>,
}

/// Two tests that touch one thing.
pub(super) struct OnResource {
    pub(super) of: Resource,
    /// The reader, where one of them is, or who touches what the other one loses.
    pub(super) one: TestIx,
    /// A writer, or who loses it by a reboot.
    pub(super) writer: TestIx,
    /// Whether it is only lost.
    pub(super) is_lost: bool,
}

impl Demands {
    /// The demands of `shape`. Tests that the plan does not have demand nothing.
    pub(super) fn of(plan: &ExecutionPlan, shape: &Shape) -> Self {
        let mut demands = Self::default();
        for edge in shape.after.iter().chain(&shape.regardless) {
            demands.needs.entry(edge.test).or_default().push(edge.after);
        }
        for edge in &shape.after {
            demands
                .passed
                .entry(edge.test)
                .or_default()
                .push(edge.after);
        }
        for edge in &shape.order {
            demands.order.entry(edge.test).or_default().push(edge.after);
        }
        let pairs = shape.conflicts.iter();
        demands.conflicts = pairs.map(|pair| (pair.a, pair.b)).collect();
        let known = || {
            let tests = shape.tests.iter();
            tests.filter_map(|test| Some((*test, plan.tests.get(*test)?)))
        };
        for (test, row) in known() {
            if row.last {
                demands.last.insert(test);
            }
            if row.once {
                demands.once.insert(test);
            }
            if reboots(row) || touches(row, EffectKind::Borrows).any(|of| of == Resource::Machine) {
                demands.alone.insert(test);
            }
        }
        let mut uses: BTreeMap<Resource, Uses> = BTreeMap::new();
        for (test, row) in known() {
            for of in touches(row, EffectKind::Reads) {
                uses.entry(of).or_default().readers.insert(test);
            }
            for of in touches(row, EffectKind::Writes) {
                uses.entry(of).or_default().writers.insert(test);
            }
            for of in touches(row, EffectKind::Borrows) {
                uses.entry(of).or_default().borrowers.insert(test);
            }
            if reboots(row) {
                for (state, lost) in plan.states.enumerate() {
                    if lost.lost_on_reboot {
                        let uses = uses.entry(Resource::State(state)).or_default();
                        uses.losers.insert(test);
                    }
                }
            }
        }
        let machine = uses.remove(&Resource::Machine).unwrap_or_default();
        for (of, uses) in &uses {
            demands.resource(*of, uses);
        }
        let changers: BTreeSet<TestIx> = known()
            .filter(|(_, row)| reboots(row) || touches(row, EffectKind::Writes).next().is_some())
            .map(|(test, _)| test)
            .collect();
        demands.machine(&shape.tests, &machine, &changers);
        demands
    }

    /// What is demanded of those who use one state or disk.
    fn resource(&mut self, of: Resource, uses: &Uses) {
        // Who sees it and reboots must not find what others wrote before, as if it wrote itself.
        let sees: BTreeSet<TestIx> = uses.readers.union(&uses.borrowers).copied().collect();
        let seeing_losers = uses.losers.intersection(&sees).copied();
        let writers: BTreeSet<TestIx> = uses.writers.iter().copied().chain(seeing_losers).collect();
        let losers: BTreeSet<TestIx> = uses.losers.difference(&writers).copied().collect();
        for one in &writers {
            for writer in writers.range(*one..).skip(1) {
                if !self.follows(*one, *writer) && !self.follows(*writer, *one) {
                    self.unchained.push(OnResource {
                        of,
                        one: *one,
                        writer: *writer,
                        is_lost: false,
                    });
                }
            }
        }
        for one in sees.union(&writers) {
            for loser in &losers {
                if !self.follows(*one, *loser) {
                    self.unseen.push(OnResource {
                        of,
                        one: *one,
                        writer: *loser,
                        is_lost: true,
                    });
                }
            }
        }
        for reader in &sees {
            let passed = closure(&self.passed, *reader);
            for writer in &writers {
                // What was written before a reboot that has passed is not there to be seen.
                let is_lost = || {
                    let mut lost = losers.intersection(&passed);
                    lost.any(|loser| !self.follows(*writer, *loser))
                };
                if writer != reader && !self.follows(*reader, *writer) && !is_lost() {
                    self.unseen.push(OnResource {
                        of,
                        one: *reader,
                        writer: *writer,
                        is_lost: false,
                    });
                }
            }
        }
        for borrower in &uses.borrowers {
            let others = uses
                .readers
                .iter()
                .chain(&uses.writers)
                .chain(&uses.borrowers);
            let others: BTreeSet<TestIx> = others.copied().collect();
            let others = others.into_iter().filter(|other| other != borrower);
            self.borrowed.push((of, *borrower, others.collect()));
        }
    }

    /// What is demanded of those who use the machine as a whole.
    fn machine(&mut self, tests: &[TestIx], uses: &Uses, changers: &BTreeSet<TestIx>) {
        for fresh in &uses.readers {
            for changer in changers {
                if changer != fresh && !self.follows(*fresh, *changer) {
                    self.fresh.push((*fresh, *changer));
                }
            }
        }
        for dirty in &uses.writers {
            for other in tests {
                if other != dirty && !self.follows(*other, *dirty) {
                    self.dirty.push((*other, *dirty));
                }
            }
        }
    }

    /// Whether `test` runs after `earlier` wherever both are, and knows it: by edges, or as a `last` test.
    fn follows(&self, test: TestIx, earlier: TestIx) -> bool {
        self.last.contains(&test) && !self.last.contains(&earlier)
            || self.ancestors(test).contains(&earlier)
    }

    /// All that `test` needs on its life, directly or not.
    pub(super) fn ancestors(&self, test: TestIx) -> BTreeSet<TestIx> {
        closure(&self.needs, test)
    }
}

/// All that `test` comes after by `edges`, over any number of them.
fn closure(edges: &BTreeMap<TestIx, Vec<TestIx>>, test: TestIx) -> BTreeSet<TestIx> {
    let (mut waiting, mut ancestors) = (vec![test], BTreeSet::new());
    while let Some(test) = waiting.pop() {
        let direct = edges.get(&test).into_iter().flatten();
        waiting.extend(direct.filter(|direct| ancestors.insert(**direct)));
    }
    ancestors
}

/// Who uses one thing, and how.
#[derive(Default)]
struct Uses {
    readers: BTreeSet<TestIx>,
    writers: BTreeSet<TestIx>,
    borrowers: BTreeSet<TestIx>,
    /// Who loses it by rebooting.
    losers: BTreeSet<TestIx>,
}

/// What a test says it does this to.
fn touches(test: &Test, kind: EffectKind) -> impl Iterator<Item = Resource> {
    let effects = test.effects.iter();
    effects
        .filter(move |effect| effect.kind == kind)
        .map(|effect| effect.of)
}

/// Whether a test reboots or stops its machine.
fn reboots(test: &Test) -> bool {
    test.steps.iter().chain(&test.finally).any(|step| {
        matches!(
            step.kind,
            StepKind::Reboot | StepKind::Stop | StepKind::Start
        )
    })
}
