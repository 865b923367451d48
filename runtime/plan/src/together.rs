//! What tests demand of each other where they share a life.
//!
//! A plan says most of it with edges and conflicts. The rest follows from what tests say of themselves:
//! effects on the machine as a whole, and `last`. It is worked out here once for the scheduler and the
//! runtime, so that an estimate and a run cannot disagree. What effects on states and disks imply, the
//! compiler has written into the plan as edges of order and conflicts; that is not worked out again.
//! Who must not run beside whom is in [`crate::exclusions`].

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Edge, EffectKind, ExecutionPlan, Resource, Shape, Test, TestIx};

/// What the tests of one shape demand of each other.
#[derive(Clone, Debug)]
pub struct Together {
    tests: Vec<TestIx>,
    /// What each test needs on its life: `after` and `regardless`.
    needs: BTreeMap<TestIx, Vec<TestIx>>,
    /// All edges of order, see [`Together::order`].
    order: Vec<Edge>,
    conflicts: BTreeMap<TestIx, BTreeSet<TestIx>>,
    last: BTreeSet<TestIx>,
    once: BTreeSet<TestIx>,
    fits_one_life: bool,
}

/// `tests` and all that they need, where `direct` gives what a test needs directly.
pub fn with_needs<'a, I>(
    mut tests: BTreeSet<TestIx>,
    direct: impl Fn(TestIx) -> I,
) -> BTreeSet<TestIx>
where
    I: Iterator<Item = &'a TestIx>,
{
    let mut waiting: Vec<TestIx> = tests.iter().copied().collect();
    while let Some(test) = waiting.pop() {
        waiting.extend(direct(test).filter(|need| tests.insert(**need)));
    }
    tests
}

impl Together {
    /// The demands of `shape`, a shape of `plan`. Tests that the plan does not have demand nothing.
    #[must_use]
    pub fn of(plan: &ExecutionPlan, shape: &Shape) -> Self {
        let is = |what: fn(&Test) -> bool| -> BTreeSet<TestIx> {
            let tests = shape.tests.iter().copied();
            tests
                .filter(|test| plan.tests.get(*test).is_some_and(what))
                .collect()
        };
        let mut needs: BTreeMap<TestIx, Vec<TestIx>> = BTreeMap::new();
        for edge in shape.after.iter().chain(&shape.regardless) {
            needs.entry(edge.test).or_default().push(edge.after);
        }
        let mut conflicts: BTreeMap<TestIx, BTreeSet<TestIx>> = BTreeMap::new();
        for pair in &shape.conflicts {
            conflicts.entry(pair.a).or_default().insert(pair.b);
            conflicts.entry(pair.b).or_default().insert(pair.a);
        }
        let mut together = Self {
            tests: shape.tests.clone(),
            needs,
            order: Vec::new(),
            conflicts,
            last: is(|test| test.last),
            once: is(|test| test.once),
            fits_one_life: false,
        };
        let mut order: BTreeSet<Edge> = shape.regardless.iter().copied().collect();
        order.extend(&shape.order);
        // What it is after regardless may be blocked and so over at once, while a test before that runs.
        for edge in &shape.regardless {
            order.extend(together.needs(edge.after).into_iter().map(|after| Edge {
                test: edge.test,
                after,
            }));
        }
        order.extend(together.machine_edges(plan));
        for last in &together.last {
            let others = shape
                .tests
                .iter()
                .filter(|test| !together.last.contains(test));
            order.extend(others.map(|other| Edge {
                test: *last,
                after: *other,
            }));
        }
        together.order = order.into_iter().collect();
        let whole: BTreeSet<TestIx> = shape.tests.iter().copied().collect();
        together.fits_one_life = together.works_out(&whole);
        together
    }

    /// All edges of order alone: on one life the test `after` is over before `test` starts, however it
    /// ended. Those of the plan, `regardless` among them with all that comes before; fresh before changed,
    /// changed before dirty, and `last` behind everything. Ascending and without duplicates.
    #[must_use]
    pub fn order(&self) -> &[Edge] {
        &self.order
    }

    /// The tests that run at the end of every life that has what they are `after`, ascending.
    #[must_use]
    pub fn last(&self) -> &BTreeSet<TestIx> {
        &self.last
    }

    /// What `test` needs on its life, over any number of edges of `after` and `regardless`, without itself.
    #[must_use]
    pub fn needs(&self, test: TestIx) -> BTreeSet<TestIx> {
        let direct = |test| self.needs.get(&test).into_iter().flatten();
        let mut needs = with_needs(BTreeSet::from([test]), direct);
        needs.remove(&test);
        needs
    }

    /// How many tests `test` cannot share a life with.
    #[must_use]
    pub fn conflicts(&self, test: TestIx) -> usize {
        self.conflicts.get(&test).map_or(0, BTreeSet::len)
    }

    /// Whether all tests of the shape can share one life.
    #[must_use]
    pub fn fits_one_life(&self) -> bool {
        self.fits_one_life
    }

    /// Whether `tests`, which hold what they need, can share a life: none conflicts with another, and
    /// none waits for itself.
    #[must_use]
    pub fn fits(&self, tests: &BTreeSet<TestIx>) -> bool {
        self.fits_one_life || self.works_out(tests)
    }

    /// The atoms: the tests in groups that share no edge of `after` or `regardless`, by their first
    /// tests. A `last` test that needs nothing is in none, since it is no reason for a life, unless
    /// there are no others.
    #[must_use]
    pub fn atoms(&self) -> Vec<BTreeSet<TestIx>> {
        let mut groups = Groups::of(self.own_tests());
        for (test, needs) in &self.needs {
            for other in needs {
                groups.join(*test, *other);
            }
        }
        groups.finish()
    }

    /// The smallest groups of `atom` that can be put onto lives apart from each other, each with all that
    /// it needs, so that one test may be in several. A test that may run but once keeps together all that
    /// need it.
    #[must_use]
    pub fn parts(&self, atom: &BTreeSet<TestIx>) -> Vec<BTreeSet<TestIx>> {
        let needed: BTreeSet<TestIx> = atom
            .iter()
            .filter_map(|test| self.needs.get(test))
            .flatten()
            .copied()
            .collect();
        // What nothing needs brings all the rest along.
        let ends: Vec<TestIx> = atom.difference(&needed).copied().collect();
        let with_needs: BTreeMap<TestIx, BTreeSet<TestIx>> = ends
            .iter()
            .map(|end| {
                let mut tests = self.needs(*end);
                tests.insert(*end);
                (*end, tests)
            })
            .collect();
        let mut groups = Groups::of(ends.iter().copied());
        for once in &self.once {
            let mut bound = ends.iter().filter(|end| with_needs[end].contains(once));
            if let Some(first) = bound.next() {
                for other in bound {
                    groups.join(*first, *other);
                }
            }
        }
        let group = |ends: BTreeSet<TestIx>| -> BTreeSet<TestIx> {
            ends.iter()
                .flat_map(|end| &with_needs[end])
                .copied()
                .collect()
        };
        groups.finish().into_iter().map(group).collect()
    }

    /// The tests that are a reason for a life.
    fn own_tests(&self) -> impl Iterator<Item = TestIx> {
        let all_last = self.last.len() == self.tests.len();
        self.tests.iter().copied().filter(move |test| {
            all_last || !self.last.contains(test) || self.needs.contains_key(test)
        })
    }

    fn works_out(&self, tests: &BTreeSet<TestIx>) -> bool {
        let apart = tests.iter().all(|test| {
            self.conflicts
                .get(test)
                .is_none_or(|others| others.is_disjoint(tests))
        });
        apart && is_acyclic(tests, self.needs_edges().chain(self.order.iter().copied()))
    }

    fn needs_edges(&self) -> impl Iterator<Item = Edge> {
        self.needs.iter().flat_map(|(test, needs)| {
            needs.iter().map(|after| Edge {
                test: *test,
                after: *after,
            })
        })
    }

    /// The edges that effects on the machine as a whole imply. A `last` test stands behind everything
    /// as it is.
    fn machine_edges(&self, plan: &ExecutionPlan) -> Vec<Edge> {
        let mut edges = Vec::new();
        let has = |test: TestIx, kind: EffectKind| {
            plan.tests.get(test).is_some_and(|test| {
                let mut effects = test.effects.iter();
                effects.any(|effect| effect.kind == kind && effect.of == Resource::Machine)
            })
        };
        let changes = |test: TestIx| {
            plan.tests.get(test).is_some_and(|test| {
                let mut effects = test.effects.iter();
                effects.any(|effect| effect.kind == EffectKind::Writes) || test.takes_machine_away()
            })
        };
        let edge = |test: TestIx, after: TestIx| Edge { test, after };
        for fresh in &self.tests {
            if self.last.contains(fresh) || !has(*fresh, EffectKind::Reads) {
                continue;
            }
            let seen = self.needs(*fresh);
            let later = self
                .tests
                .iter()
                .filter(|other| *other != fresh && changes(**other) && !seen.contains(other));
            edges.extend(later.map(|other| edge(*other, *fresh)));
        }
        for dirty in &self.tests {
            if !has(*dirty, EffectKind::Writes) {
                continue;
            }
            let earlier = self.tests.iter().filter(|other| {
                let behind = self.last.contains(other) && !self.last.contains(dirty);
                *other != dirty && !behind && !self.needs(**other).contains(dirty)
            });
            edges.extend(earlier.map(|other| edge(*dirty, *other)));
        }
        edges
    }
}

/// Whether `edges`, as far as both ends are of `tests`, have no cycle.
pub(crate) fn is_acyclic(tests: &BTreeSet<TestIx>, edges: impl Iterator<Item = Edge>) -> bool {
    let mut waits: BTreeMap<TestIx, usize> = tests.iter().map(|test| (*test, 0)).collect();
    let mut then: BTreeMap<TestIx, Vec<TestIx>> = BTreeMap::new();
    for edge in edges {
        if tests.contains(&edge.after)
            && let Some(waits) = waits.get_mut(&edge.test)
        {
            *waits += 1;
            then.entry(edge.after).or_default().push(edge.test);
        }
    }
    let mut free: Vec<TestIx> = tests
        .iter()
        .filter(|test| waits[test] == 0)
        .copied()
        .collect();
    let mut gone = 0;
    while let Some(test) = free.pop() {
        gone += 1;
        for next in then.get(&test).into_iter().flatten() {
            if let Some(waits) = waits.get_mut(next) {
                *waits -= 1;
                if *waits == 0 {
                    free.push(*next);
                }
            }
        }
    }
    gone == tests.len()
}

/// Tests in groups that are joined by and by.
struct Groups {
    parent: BTreeMap<TestIx, TestIx>,
}

impl Groups {
    fn of(tests: impl Iterator<Item = TestIx>) -> Self {
        Self {
            parent: tests.map(|test| (test, test)).collect(),
        }
    }

    /// The smallest test of the group; `None` for a test in no group.
    fn first(&mut self, test: TestIx) -> Option<TestIx> {
        let mut at = test;
        loop {
            let up = *self.parent.get(&at)?;
            if up == at {
                break;
            }
            at = up;
        }
        self.parent.insert(test, at);
        Some(at)
    }

    fn join(&mut self, one: TestIx, other: TestIx) {
        if let (Some(one), Some(other)) = (self.first(one), self.first(other)) {
            self.parent.insert(one.max(other), one.min(other));
        }
    }

    /// By their first tests.
    fn finish(mut self) -> Vec<BTreeSet<TestIx>> {
        let mut groups: BTreeMap<TestIx, BTreeSet<TestIx>> = BTreeMap::new();
        let tests: Vec<TestIx> = self.parent.keys().copied().collect();
        for test in tests {
            if let Some(first) = self.first(test) {
                groups.entry(first).or_default().insert(test);
            }
        }
        groups.into_values().collect()
    }
}
