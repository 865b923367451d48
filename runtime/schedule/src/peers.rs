//! What the same tests would cost if they were put onto machines as other runners do it.
//!
//! Each runner's way is written down here as a policy and billed like every other schedule: the same boots, the
//! same durations, the same prices, the cheapest machine that serves. Where a runner has no word for
//! something that these tests ask for, it is taken in its favour, or it would not run them at all.
//!
//! | policy | what it does | taken in its favour |
//! |---|---|---|
//! | [`Peer::MachinePerTest`] | a fresh machine for each test (DVA, `svalidate`) | what a test is `after` is not repeated for it |
//! | [`Peer::SerialPerCell`] | all tests of a cell on one machine, one after another (tmt) | conflicts are known, and go to the first machine that has room |
//! | [`Peer::Waves`] | the same on the lanes there are, in waves by distance from the start; a wave begins when the one before has ended (DVA, `validate`) | the same; distances are the longest and not, as in DVA, the shortest |
//! | [`Peer::Buckets`] | tests that want the machine to themselves on one each, all others serially in the first bucket without a conflict (kola) | what belongs together stays together |
//! | [`Peer::Reuse`] | one test at a time on an environment that is used again until a test leaves it dirty; who wants it fresh gets a new one; small machines first (LISA) | the same |
//!
//! Sources: the code and documents of these runners, read as of 2026: tmt 1cacdb1f5, LISA 66df42e2f,
//! coreos-assembler (kola) 05db482e6, and DVA. Its main function is [`peers`].

use std::collections::BTreeMap;
use std::fmt;

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::money::Money;
use dva_plan::plan::{EffectKind, MachineIx, Resource, ShapeIx, TestIx};

use crate::options::Options;
use crate::packing::meter::Meter;
use crate::packing::set::TestSet;
use crate::packing::tariff::money;
use crate::packing::workload::Workload;
use crate::quota::Quotas;

/// A runner's way to put tests onto machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// DVA's `svalidate`.
    MachinePerTest,
    /// tmt.
    SerialPerCell,
    /// DVA's `validate`.
    Waves,
    /// kola.
    Buckets,
    /// LISA.
    Reuse,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::MachinePerTest,
        Self::SerialPerCell,
        Self::Waves,
        Self::Buckets,
        Self::Reuse,
    ];

    /// Its stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::MachinePerTest => "machine-per-test",
            Self::SerialPerCell => "serial-per-cell",
            Self::Waves => "waves",
            Self::Buckets => "buckets",
            Self::Reuse => "reuse",
        }
    }

    /// The runner that does it so.
    #[must_use]
    pub fn runner(self) -> &'static str {
        match self {
            Self::MachinePerTest => "DVA svalidate",
            Self::SerialPerCell => "tmt",
            Self::Waves => "DVA validate",
            Self::Buckets => "kola",
            Self::Reuse => "LISA",
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a policy comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerCost {
    /// The cost of all lives that have a price.
    pub cost: Money,
    /// The number of lives.
    pub lives: u64,
    /// The longest life with its boot, in milliseconds: the makespan, if all are launched at once.
    pub makespan_ms: u64,
    /// The lengths of all lives with their boots, in milliseconds.
    pub alive_ms: u64,
}

/// What `plan` comes to under each policy, with the assumptions and lanes of `options`; its goal and its
/// quotas do not matter.
///
/// # Panics
/// If the plan names a row that is not there.
#[must_use]
pub fn peers(plan: &ExecutionPlan, options: &Options) -> BTreeMap<Peer, PeerCost> {
    /// What cells of one kind have in common.
    type Key<'p> = (ShapeIx, &'p [MachineIx], &'p [TestIx]);
    let exclusions = Exclusions::of(plan);
    let lanes = plan.policy.lanes.max(1);
    let lanes = options.lanes.map_or(lanes, |fewer| fewer.min(lanes)).max(1);
    let mut workloads: BTreeMap<ShapeIx, Workload> = BTreeMap::new();
    let mut known: BTreeMap<Key<'_>, BTreeMap<Peer, (u128, PeerCost)>> = BTreeMap::new();
    let mut sums: BTreeMap<Peer, (u128, PeerCost)> = BTreeMap::new();
    for cell in &plan.cells {
        let workload = workloads.entry(cell.shape).or_insert_with(|| {
            let shape = &plan.shapes[cell.shape];
            let takes_ms = options.assumptions.default_takes_ms;
            Workload::of(plan, shape, &exclusions, takes_ms)
        });
        let key = (
            cell.shape,
            cell.candidates.as_slice(),
            cell.unsupported.as_slice(),
        );
        let costs = known.entry(key).or_insert_with(|| {
            let meter = Meter::of(
                plan,
                cell,
                workload,
                &options.assumptions,
                &Quotas::default(),
            );
            let policies = Policies {
                plan,
                workload,
                meter: &meter,
                lanes: usize::try_from(lanes).unwrap_or(usize::MAX),
            };
            let costs = Peer::ALL.into_iter();
            costs.map(|peer| (peer, policies.cost(peer))).collect()
        });
        for (peer, (cost, own)) in costs {
            let (sum, all) = sums.entry(*peer).or_default();
            *sum += *cost;
            all.lives += own.lives;
            all.alive_ms = all.alive_ms.saturating_add(own.alive_ms);
            all.makespan_ms = all.makespan_ms.max(own.makespan_ms);
        }
    }
    let sums = sums.into_iter();
    sums.map(|(peer, (sum, all))| {
        let cost = money(sum);
        (peer, PeerCost { cost, ..all })
    })
    .collect()
}

/// The policies on one cell.
struct Policies<'c> {
    plan: &'c ExecutionPlan,
    workload: &'c Workload,
    meter: &'c Meter,
    lanes: usize,
}

impl Policies<'_> {
    fn cost(&self, peer: Peer) -> (u128, PeerCost) {
        let (lives, is_serial) = match peer {
            Peer::MachinePerTest => (self.alone(), true),
            Peer::SerialPerCell => (self.first_fit(&self.items(), |_, _| true), true),
            Peer::Waves => (self.first_fit(&self.items(), |_, _| true), false),
            Peer::Buckets => (self.buckets(), true),
            Peer::Reuse => (self.reused(), true),
        };
        let (mut cost, mut all) = (0, PeerCost::default());
        for tests in &lives {
            let length_ms = match is_serial {
                true => self.serial_ms(tests),
                false => self.waves_ms(tests),
            };
            let charge = self.meter.charge(self.workload, tests, length_ms);
            cost += match self.meter.is_priced {
                true => charge.map_or(0, |charge| charge.cost),
                false => 0,
            };
            let alive_ms = self.meter.boot_ms.saturating_add(length_ms);
            all.lives += 1;
            all.alive_ms = all.alive_ms.saturating_add(alive_ms);
            all.makespan_ms = all.makespan_ms.max(alive_ms);
        }
        (cost, all)
    }

    /// Each test on its own.
    fn alone(&self) -> Vec<TestSet> {
        let end = self.workload.len();
        (0..end).map(|test| TestSet::of(end, [test])).collect()
    }

    /// The atoms that fit a life, and the parts of others; the largest first.
    fn items(&self) -> Vec<TestSet> {
        let mut atoms: BTreeMap<usize, Vec<&TestSet>> = BTreeMap::new();
        for part in &self.workload.parts {
            atoms.entry(part.atom).or_default().push(&part.tests);
        }
        let mut items = Vec::new();
        for parts in atoms.into_values() {
            let mut whole = self.workload.none();
            parts.iter().for_each(|part| whole.extend(part));
            if self.serves(&whole) {
                items.push(whole);
            } else {
                items.extend(parts.into_iter().cloned());
            }
        }
        items.sort_by_key(|item| std::cmp::Reverse(item.len()));
        items
    }

    /// Whether `tests` can share a life of one of the machines.
    fn serves(&self, tests: &TestSet) -> bool {
        self.workload.fits(tests) && self.meter.charge(self.workload, tests, 0).is_some()
    }

    /// Each item on the first life that has room for it and that it `may` join.
    fn first_fit(
        &self,
        items: &[TestSet],
        may: impl Fn(&TestSet, &TestSet) -> bool,
    ) -> Vec<TestSet> {
        let mut lives: Vec<TestSet> = Vec::new();
        for item in items {
            let room = lives
                .iter_mut()
                .find(|life| may(life, item) && self.serves(&life.union(item)));
            match room {
                Some(life) => life.extend(item),
                None => lives.push(item.clone()),
            }
        }
        lives
            .iter()
            .map(|life| self.workload.with_last(life))
            .collect()
    }

    fn buckets(&self) -> Vec<TestSet> {
        let is_exclusive = |tests: &TestSet| {
            !tests.is_disjoint(&self.workload.alone)
                || self.any(tests, |kind, of| {
                    of == Resource::Machine && kind != EffectKind::Reads
                })
        };
        self.first_fit(&self.items(), |life, item| {
            !is_exclusive(life) && !is_exclusive(item)
        })
    }

    fn reused(&self) -> Vec<TestSet> {
        let is_dirty = |tests: &TestSet| {
            self.any(tests, |kind, of| {
                of == Resource::Machine && kind == EffectKind::Writes
            })
        };
        let is_fresh = |tests: &TestSet| {
            self.any(tests, |kind, of| {
                of == Resource::Machine && kind == EffectKind::Reads
            })
        };
        // Small machines take what they can, and what is left gets a larger one: nobody asks whether the
        // larger one alone would be cheaper.
        let mut items = self.items();
        items.sort_by_key(|item| {
            let charge = self.meter.charge(self.workload, item, 0);
            charge.map(|charge| (charge.cost, charge.place))
        });
        let machine = |tests: &TestSet| {
            let charge = self.meter.charge(self.workload, tests, 0);
            charge.map(|charge| charge.place)
        };
        self.first_fit(&items, |life, item| {
            !is_dirty(life) && !is_fresh(item) && machine(life) == machine(&life.union(item))
        })
    }

    fn any(&self, tests: &TestSet, is: impl Fn(EffectKind, Resource) -> bool) -> bool {
        tests.iter().any(|test| {
            let test = &self.plan.tests[self.workload.tests[test]];
            test.effects.iter().any(|effect| is(effect.kind, effect.of))
        })
    }

    fn serial_ms(&self, tests: &TestSet) -> u64 {
        let takes = tests.iter().map(|test| self.workload.takes_ms[test]);
        takes.fold(0, u64::saturating_add)
    }

    /// In waves by the longest distance from the start; in each, the tests that may run beside others on all
    /// lanes in the order of their names, and the others one by one.
    fn waves_ms(&self, tests: &TestSet) -> u64 {
        let workload = self.workload;
        let Some(order) = workload.in_order(tests) else {
            return self.serial_ms(tests);
        };
        let mut wave: Vec<usize> = vec![0; workload.len()];
        for test in &order {
            for then in &workload.then[*test] {
                wave[*then] = wave[*then].max(wave[*test] + 1);
            }
        }
        let mut waves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for test in tests.iter() {
            waves.entry(wave[test]).or_default().push(test);
        }
        let mut length_ms = 0_u64;
        for wave in waves.into_values() {
            let mut free_ms: Vec<u64> = vec![0; self.lanes.min(wave.len()).max(1)];
            let mut alone_ms = 0_u64;
            let shared = wave.iter().copied();
            let shared = shared.filter(|test| !workload.alone.contains(*test));
            let shared = TestSet::of(workload.len(), shared);
            for test in wave {
                let takes_ms = workload.takes_ms[test];
                // Those that want something to themselves are never in one wave beside others.
                if !shared.contains(test) || !workload.apart[test].is_disjoint(&shared) {
                    alone_ms = alone_ms.saturating_add(takes_ms);
                } else if let Some(first) = free_ms.iter_mut().min() {
                    *first = first.saturating_add(takes_ms);
                }
            }
            let shared_ms = free_ms.into_iter().max().unwrap_or(0);
            length_ms = length_ms.saturating_add(alone_ms).saturating_add(shared_ms);
        }
        length_ms
    }
}
