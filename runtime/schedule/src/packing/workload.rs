//! The tests of one shape, made ready for a search: positions instead of rows, sets as bits.
//!
//! Positions are by the tests' ids, so nothing that is decided by them depends on the order in which a
//! plan lists its tests. It decides nothing itself. Its main type is [`Workload`].

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{BootIx, DiskIx, Edge, Resource, Shape, TestIx};
use dva_plan::together::Together;

use super::set::TestSet;
use crate::cost::ROOT_VOLUME_GIB;

const GIB: u64 = 1 << 30;

/// The tests of a shape and what they demand of each other.
#[derive(Clone)]
pub(crate) struct Workload {
    /// The row of each.
    pub(crate) tests: Vec<TestIx>,
    /// How long each is expected to take, at least 1 ms.
    pub(crate) takes_ms: Vec<u64>,
    /// What each waits for on its life: edges of all kinds.
    pub(crate) before: Vec<TestSet>,
    /// Who waits for each.
    pub(crate) then: Vec<Vec<usize>>,
    /// What each needs on its life, over any number of edges.
    pub(crate) needs: Vec<TestSet>,
    /// Beside whom each must not run.
    pub(crate) apart: Vec<TestSet>,
    /// Who must not run beside anybody.
    pub(crate) alone: TestSet,
    /// With whom each must not share a life.
    pub(crate) conflicts: Vec<TestSet>,
    /// Who ends every life that has what it needs.
    pub(crate) last: TestSet,
    /// What can be put onto lives apart from each other.
    pub(crate) parts: Vec<Part>,
    /// Whether all of them can share one life.
    pub(crate) fits_one_life: bool,
    /// Whether no test waits for itself, whichever share a life.
    is_acyclic: bool,
    boots: Vec<Option<(BootIx, u64)>>,
    disks: Vec<Vec<(DiskIx, u64)>>,
}

/// The smallest that moves: tests with all that they need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) tests: TestSet,
    /// Parts of one atom have the same number. Apart, they repeat what they both need.
    pub(crate) atom: usize,
}

impl Workload {
    pub(crate) fn of(
        plan: &ExecutionPlan,
        shape: &Shape,
        exclusions: &Exclusions,
        default_takes_ms: u64,
    ) -> Self {
        let together = Together::of(plan, shape);
        let mut tests = shape.tests.clone();
        tests.sort_by_key(|test| (&plan.tests[*test].id, *test));
        let end = tests.len();
        let places: BTreeMap<TestIx, usize> = tests
            .iter()
            .enumerate()
            .map(|(place, test)| (*test, place))
            .collect();
        let mut before = vec![TestSet::new(end); end];
        let mut then: Vec<Vec<usize>> = vec![Vec::new(); end];
        let edges = shape.after.iter().chain(together.order());
        let mut wait = |edge: &Edge| {
            if let (Some(first), Some(later)) = (places.get(&edge.after), places.get(&edge.test))
                && before[*later].insert(*first)
            {
                then[*first].push(*later);
            }
        };
        edges.for_each(&mut wait);
        then.iter_mut().for_each(|then| then.sort_unstable());
        let set = |rows: &BTreeSet<TestIx>| {
            let known = rows.iter().filter_map(|row| places.get(row));
            TestSet::of(end, known.copied())
        };
        let needs: Vec<TestSet> = tests
            .iter()
            .map(|test| set(&together.needs(*test)))
            .collect();
        let mut conflicts = vec![TestSet::new(end); end];
        for pair in &shape.conflicts {
            if let (Some(a), Some(b)) = (places.get(&pair.a), places.get(&pair.b)) {
                conflicts[*a].insert(*b);
                conflicts[*b].insert(*a);
            }
        }
        let exclusive: Vec<usize> = (0..end)
            .filter(|place| exclusions.is_exclusive(tests[*place]))
            .collect();
        let mut apart = vec![TestSet::new(end); end];
        for one in &exclusive {
            for other in 0..end {
                if *one != other && exclusions.exclude(tests[*one], tests[other]) {
                    apart[*one].insert(other);
                    apart[other].insert(*one);
                }
            }
        }
        let alone = exclusive.iter().copied();
        let alone = alone.filter(|place| exclusions.is_alone(tests[*place]));
        let last = set(together.last());
        let mut workload = Self {
            takes_ms: tests
                .iter()
                .map(|test| {
                    plan.tests[*test]
                        .takes_ms
                        .unwrap_or(default_takes_ms)
                        .max(1)
                })
                .collect(),
            boots: tests.iter().map(|test| boot(plan, *test)).collect(),
            disks: tests.iter().map(|test| disks(plan, *test)).collect(),
            alone: TestSet::of(end, alone),
            parts: Vec::new(),
            fits_one_life: together.fits_one_life(),
            is_acyclic: false,
            tests,
            before,
            then,
            needs,
            apart,
            conflicts,
            last,
        };
        let all = TestSet::of(end, 0..end);
        workload.is_acyclic = workload.in_order(&all).is_some();
        workload.parts = workload.parts_of(&together, &set);
        workload
    }

    /// The same for each atom with nothing but its parts.
    pub(crate) fn atoms(&self) -> Vec<Self> {
        let numbers: BTreeSet<usize> = self.parts.iter().map(|part| part.atom).collect();
        let atoms = numbers.into_iter().map(|atom| {
            let mut only = self.clone();
            only.parts.retain(|part| part.atom == atom);
            only
        });
        atoms.collect()
    }

    /// The number of tests.
    pub(crate) fn len(&self) -> usize {
        self.tests.len()
    }

    pub(crate) fn none(&self) -> TestSet {
        TestSet::new(self.len())
    }

    /// Whether `tests`, which hold what they need, can share a life.
    pub(crate) fn fits(&self, tests: &TestSet) -> bool {
        self.fits_one_life
            || tests
                .iter()
                .all(|test| self.conflicts[test].is_disjoint(tests))
                && (self.is_acyclic || self.in_order(tests).is_some())
    }

    /// `tests` in an order in which none stands before what it waits for; `None` where there is none.
    pub(crate) fn in_order(&self, tests: &TestSet) -> Option<Vec<usize>> {
        let mut waits: Vec<usize> = vec![0; self.len()];
        let mut order: Vec<usize> = Vec::with_capacity(self.len());
        for test in tests.iter() {
            waits[test] = self.before[test].shared(tests);
            if waits[test] == 0 {
                order.push(test);
            }
        }
        let mut next = 0;
        while let Some(test) = order.get(next).copied() {
            next += 1;
            for then in &self.then[test] {
                if tests.contains(*then) {
                    waits[*then] -= 1;
                    if waits[*then] == 0 {
                        order.push(*then);
                    }
                }
            }
        }
        (order.len() == tests.len()).then_some(order)
    }

    /// `tests` and the `last` tests that come with them.
    pub(crate) fn with_last(&self, tests: &TestSet) -> TestSet {
        let mut with = tests.clone();
        for last in self.last.iter() {
            if self.needs[last].is_subset(tests) {
                with.insert(last);
            }
        }
        with
    }

    /// The size of the volumes of a life with `tests`, in units of 1,024³ bytes.
    pub(crate) fn gib(&self, tests: &TestSet) -> u64 {
        let boot = tests.iter().find_map(|test| self.boots[test]);
        let root = boot.map_or(ROOT_VOLUME_GIB, |(_, gib)| gib);
        let disks: BTreeMap<DiskIx, u64> = tests
            .iter()
            .flat_map(|test| &self.disks[test])
            .copied()
            .collect();
        disks
            .values()
            .fold(root, |sum, gib| sum.saturating_add(*gib))
    }

    /// The least size of the volumes of any life.
    pub(crate) fn least_gib(&self) -> u64 {
        let sizes = self.boots.iter().flatten().map(|(_, gib)| *gib);
        sizes
            .chain([ROOT_VOLUME_GIB])
            .min()
            .unwrap_or(ROOT_VOLUME_GIB)
    }

    /// Whether lives differ in the size of their volumes.
    pub(crate) fn has_volumes(&self) -> bool {
        self.disks.iter().any(|disks| !disks.is_empty())
            || self
                .boots
                .iter()
                .flatten()
                .any(|(_, gib)| *gib != ROOT_VOLUME_GIB)
    }

    /// The boot of a life with `tests`.
    pub(crate) fn boot(&self, tests: &TestSet) -> Option<BootIx> {
        tests
            .iter()
            .find_map(|test| self.boots[test])
            .map(|(boot, _)| boot)
    }

    /// The parts of all atoms. What only ends lives anyhow is left out.
    fn parts_of(
        &self,
        together: &Together,
        set: &impl Fn(&BTreeSet<TestIx>) -> TestSet,
    ) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut atoms: Vec<(TestSet, Vec<TestSet>)> = together
            .atoms()
            .iter()
            .map(|atom| {
                let mut parts: Vec<TestSet> = together.parts(atom).iter().map(set).collect();
                parts.sort_unstable();
                (set(atom), parts)
            })
            .collect();
        // By their tests and not by their rows.
        atoms.sort_by_cached_key(|(atom, _)| atom.iter().collect::<Vec<_>>());
        for (number, (_, tests)) in atoms.into_iter().enumerate() {
            parts.extend(tests.into_iter().map(|tests| Part {
                tests,
                atom: number,
            }));
        }
        let ends = |part: &Part| {
            let mut needed = self.none();
            part.tests
                .iter()
                .for_each(|test| needed.extend(&self.needs[test]));
            let ends = part.tests.iter().filter(|test| !needed.contains(*test));
            ends.collect::<Vec<_>>()
        };
        let is_own = |part: &&Part| ends(part).iter().any(|end| !self.last.contains(*end));
        let own: Vec<Part> = parts.iter().filter(is_own).cloned().collect();
        let comes_anyhow = |part: &Part| {
            !is_own(&part)
                && ends(part)
                    .iter()
                    .all(|end| own.iter().any(|own| self.needs[*end].is_subset(&own.tests)))
        };
        parts.retain(|part| !comes_anyhow(part));
        parts
    }
}

/// The boot that a test needs and the size of its root volume.
fn boot(plan: &ExecutionPlan, test: TestIx) -> Option<(BootIx, u64)> {
    let boot = plan.tests[test].boot?;
    let bytes = plan.boots[boot].root_bytes;
    Some((
        boot,
        bytes.map_or(ROOT_VOLUME_GIB, |bytes| bytes.div_ceil(GIB)),
    ))
}

/// The volumes that a test brings to its life.
fn disks(plan: &ExecutionPlan, test: TestIx) -> Vec<(DiskIx, u64)> {
    let effects = plan.tests[test].effects.iter();
    let disks = effects.filter_map(|effect| match effect.of {
        Resource::Disk(disk) => Some(disk),
        Resource::Machine | Resource::State(_) => None,
    });
    let volumes = disks.filter(|disk| plan.disks[*disk].from.is_volume());
    volumes
        .map(|disk| (disk, plan.disks[disk].size_bytes.div_ceil(GIB)))
        .collect()
}
