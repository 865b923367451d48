//! The best lives of a small cell by trying everything: every way to put tests onto lives, every order on each.
//! It shares no code with the search.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::money::Money;
use dva_plan::plan::{Cell, CellIx, MachineIx, Resource, TestIx};
use dva_plan::together::Together;
use dva_schedule::{Assumptions, ROOT_VOLUME_GIB, Usage, bill};

/// The least that a cell costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Optimum {
    /// If a life starts whatever may start, as at run time.
    pub followed: Money,
    /// If it might wait as well.
    pub active: Money,
}

/// The least cost of the only cell of `plan`; `None` where there are no lives for it.
pub fn optimum(plan: &ExecutionPlan, assumptions: &Assumptions) -> Option<Optimum> {
    optimum_within(plan, assumptions, u64::MAX)
}

/// The same with no life longer than `limit_ms`, its boot apart.
pub fn optimum_within(
    plan: &ExecutionPlan,
    assumptions: &Assumptions,
    limit_ms: u64,
) -> Option<Optimum> {
    let cell = &plan.cells[CellIx(0)];
    let shape = &plan.shapes[cell.shape];
    let together = Together::of(plan, shape);
    let mut oracle = Oracle {
        plan,
        cell,
        exclusions: Exclusions::of(plan),
        assumptions,
        limit_ms,
        known: BTreeMap::new(),
        best: None,
        together,
    };
    let needed: BTreeSet<TestIx> = shape
        .tests
        .iter()
        .flat_map(|test| oracle.together.needs(*test))
        .collect();
    let all_last = oracle.together.last().len() == shape.tests.len();
    let ends = shape.tests.iter().copied().filter(|test| {
        let comes_anyhow = oracle.together.last().contains(test)
            && oracle.together.needs(*test).is_empty()
            && !all_last;
        !needed.contains(test) && !comes_anyhow
    });
    let ends: Vec<TestIx> = ends.collect();
    oracle.put(&ends, &mut Vec::new());
    oracle.best
}

struct Oracle<'p> {
    plan: &'p ExecutionPlan,
    cell: &'p Cell,
    together: Together,
    exclusions: Exclusions,
    assumptions: &'p Assumptions,
    limit_ms: u64,
    known: BTreeMap<BTreeSet<TestIx>, Option<Optimum>>,
    best: Option<Optimum>,
}

impl Oracle<'_> {
    /// Puts the first of `ends` onto each of the lives and onto one of its own, and so on.
    fn put(&mut self, ends: &[TestIx], lives: &mut Vec<BTreeSet<TestIx>>) {
        let Some((first, rest)) = ends.split_first() else {
            return self.settle(lives);
        };
        // A `last` test may be where what it needs is, without being asked for.
        if self.together.last().contains(first) {
            self.put(rest, lives);
        }
        let mut tests = self.together.needs(*first);
        tests.insert(*first);
        for place in 0..lives.len() {
            let before = lives[place].clone();
            lives[place].extend(&tests);
            self.put(rest, lives);
            lives[place] = before;
        }
        lives.push(tests);
        self.put(rest, lives);
        lives.pop();
    }

    fn settle(&mut self, lives: &[BTreeSet<TestIx>]) {
        let mut seen: BTreeSet<TestIx> = BTreeSet::new();
        let (mut followed, mut active) = (Money::ZERO, Money::ZERO);
        for tests in lives {
            let mut tests = tests.clone();
            let last = self.together.last().iter();
            let here: Vec<TestIx> = last
                .filter(|last| self.together.needs(**last).is_subset(&tests))
                .copied()
                .collect();
            tests.extend(here);
            let twice = tests.intersection(&seen);
            if twice.into_iter().any(|test| self.plan.tests[*test].once) {
                return;
            }
            seen.extend(&tests);
            let Some(of) = self.life(&tests) else {
                return;
            };
            followed = followed.checked_add(of.followed).expect("it fits");
            active = active.checked_add(of.active).expect("it fits");
        }
        let all = &self.plan.shapes[self.cell.shape].tests;
        if seen.len() < all.len() {
            return;
        }
        let best = self.best.get_or_insert(Optimum { followed, active });
        best.followed = best.followed.min(followed);
        best.active = best.active.min(active);
    }

    fn life(&mut self, tests: &BTreeSet<TestIx>) -> Option<Optimum> {
        if let Some(known) = self.known.get(tests) {
            return *known;
        }
        let fits = self.together.fits(tests) && self.serving(tests).next().is_some();
        let made = fits.then(|| {
            let mut best = (u64::MAX, u64::MAX);
            let mut list: Vec<TestIx> = tests.iter().copied().collect();
            self.permute(&mut list, 0, &mut best);
            best
        });
        let made = made.filter(|best| best.0 <= self.limit_ms);
        let made = made.map(|best| Optimum {
            followed: self.cost(tests, best.0),
            active: self.cost(tests, best.1),
        });
        self.known.insert(tests.clone(), made);
        made
    }

    /// Tries every order of what is behind `from`.
    fn permute(&self, list: &mut Vec<TestIx>, from: usize, best: &mut (u64, u64)) {
        if from == list.len() {
            for lanes in 1..=self.plan.policy.lanes as usize {
                best.0 = best.0.min(self.followed_ms(list, lanes));
                best.1 = best.1.min(self.active_ms(list, lanes).unwrap_or(u64::MAX));
            }
            return;
        }
        for place in from..list.len() {
            list.swap(from, place);
            self.permute(list, from + 1, best);
            list.swap(from, place);
        }
    }

    fn takes_ms(&self, test: TestIx) -> u64 {
        let takes_ms = self.plan.tests[test].takes_ms;
        takes_ms.unwrap_or(self.assumptions.default_takes_ms).max(1)
    }

    /// Which of `list` come before `test`.
    fn before(&self, list: &[TestIx], test: TestIx) -> Vec<TestIx> {
        let shape = &self.plan.shapes[self.cell.shape];
        let edges = shape.after.iter().chain(self.together.order());
        let own = edges.filter(|edge| edge.test == test && list.contains(&edge.after));
        own.map(|edge| edge.after).collect()
    }

    /// When a life ends that starts, whenever it can, the first of `list` that may.
    fn followed_ms(&self, list: &[TestIx], lanes: usize) -> u64 {
        let (mut ends, mut now_ms): (BTreeMap<TestIx, u64>, u64) = (BTreeMap::new(), 0);
        while ends.len() < list.len() {
            let running = || {
                let running = ends.iter().filter(|(_, end_ms)| **end_ms > now_ms);
                running.map(|(test, _)| *test)
            };
            let is_over = |test: &TestIx| ends.get(test).is_some_and(|end_ms| *end_ms <= now_ms);
            let ready = list.iter().copied().filter(|test| {
                !ends.contains_key(test) && self.before(list, *test).iter().all(is_over)
            });
            let free = lanes - running().count();
            let starts = self.exclusions.admit(ready, running(), free);
            for test in starts {
                ends.insert(test, now_ms + self.takes_ms(test));
            }
            let next_ms = ends.values().filter(|end_ms| **end_ms > now_ms).min();
            now_ms = *next_ms.expect("something runs");
        }
        ends.into_values().max().unwrap_or(0)
    }

    /// When a life ends that starts each of `list` as soon as can be beside those before it; `None` where one
    /// comes before what it waits for.
    fn active_ms(&self, list: &[TestIx], lanes: usize) -> Option<u64> {
        let mut times: BTreeMap<TestIx, (u64, u64)> = BTreeMap::new();
        for test in list {
            let mut from_ms = 0;
            for before in self.before(list, *test) {
                from_ms = times.get(&before)?.1.max(from_ms);
            }
            let takes_ms = self.takes_ms(*test);
            let mut starts: Vec<u64> = times.values().map(|(_, end_ms)| *end_ms).collect();
            starts.push(from_ms);
            starts.retain(|start_ms| *start_ms >= from_ms);
            starts.sort_unstable();
            let start_ms = starts.into_iter().find(|start_ms| {
                let end_ms = start_ms + takes_ms;
                let beside = || {
                    let times = times.iter();
                    times.filter(|(_, (start, end))| *start < end_ms && start_ms < end)
                };
                let apart = beside().all(|(other, _)| !self.exclusions.exclude(*test, *other));
                // The most at one instant, which is the start of one of them.
                let instants = beside().map(|(_, (start, _))| *start.max(start_ms));
                let most = instants.chain([*start_ms]).map(|at| {
                    beside()
                        .filter(|(_, (start, end))| *start <= at && at < *end)
                        .count()
                });
                apart && most.max().unwrap_or(0) < lanes
            })?;
            times.insert(*test, (start_ms, start_ms + takes_ms));
        }
        times.into_values().map(|(_, end_ms)| end_ms).max()
    }

    /// The candidates that are what `tests` need.
    fn serving(&self, tests: &BTreeSet<TestIx>) -> impl Iterator<Item = MachineIx> {
        let needy = tests
            .iter()
            .any(|test| !self.plan.tests[*test].requires.is_empty());
        let candidates = self.cell.candidates.iter().copied();
        // All that is ever needed are eight processors.
        candidates.filter(move |machine| !needy || self.plan.machines[*machine].vcpus >= 8)
    }

    /// The bill of a life on the cheapest candidate.
    fn cost(&self, tests: &BTreeSet<TestIx>, length_ms: u64) -> Money {
        let alive_ms = self.assumptions.boot_ms + length_ms;
        let boot = tests.iter().find_map(|test| self.plan.tests[*test].boot);
        let root = boot.and_then(|boot| self.plan.boots[boot].root_bytes);
        let disks: BTreeSet<_> = tests
            .iter()
            .flat_map(|test| &self.plan.tests[*test].effects)
            .filter_map(|effect| match effect.of {
                Resource::Disk(disk) => Some(disk),
                Resource::Machine | Resource::State(_) => None,
            })
            .collect();
        let disks = disks
            .into_iter()
            .map(|disk| self.plan.disks[disk].size_bytes.div_ceil(1 << 30));
        let root = root.map_or(ROOT_VOLUME_GIB, |bytes| bytes.div_ceil(1 << 30));
        let volumes = disks
            .chain([root])
            .map(|gib| dva_schedule::bill::VolumeUse {
                gib,
                extra_iops: 0,
                extra_mibps: 0,
                alive_ms,
            });
        let usage = Usage {
            volumes: volumes.collect(),
            addresses_ms: vec![alive_ms],
            ..Usage::of_one_period(alive_ms - self.assumptions.pending_ms)
        };
        let bills = self.serving(tests).map(|machine| {
            let quote = self.plan.machines[machine].quote.as_ref();
            let bill = bill(quote.expect("it has a price"), &usage);
            bill.expect("it can be counted").total()
        });
        bills.min().expect("there are candidates")
    }
}
