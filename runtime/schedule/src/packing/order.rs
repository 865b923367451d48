//! One life: the best list that an effort finds, and the least time in which no list could be done.
//!
//! Several rules make a first list each; every one is played forward, then backward from its ends and forward
//! again (justification, as for projects with limited resources: Valls, Ballestín, Quintanilla 2005).
//! Then single tests are moved in the best list. All ends as soon as the bound is reached, which
//! mostly is at once. Its main types are [`Orders`] and [`Order`].

use super::bound::{Share, heaviest_ms};
use super::random::Random;
use super::sequence::{Direction, Limit, Sequencer};
use super::set::TestSet;
use super::workload::Workload;

/// An order in which the tests of a life are worked off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    /// The tests, the most urgent first.
    pub(crate) list: Vec<usize>,
    pub(crate) lanes: usize,
    /// From the first start to the last end.
    pub(crate) length_ms: u64,
}

/// Looks for orders.
pub(crate) struct Orders<'w> {
    workload: &'w Workload,
    sequencer: Sequencer<'w>,
    lanes: usize,
    seed: u64,
}

/// How early and how late each test of a life can be.
struct Chains {
    /// The longest chain before it.
    heads_ms: Vec<u64>,
    /// The longest chain that begins with it, itself included.
    ranks_ms: Vec<u64>,
    /// The work of all that waits for it, directly or not, itself included.
    work_ms: Vec<u64>,
    /// Whether something waits for it that wants the machine to itself.
    leads: Vec<bool>,
}

/// What makes a test urgent; the tests themselves are before others of the same value.
#[derive(Clone, Copy)]
enum Rule {
    /// The longest chain behind it.
    Rank,
    /// The same, those that want the machine to themselves in front of all others.
    AloneFirst,
    /// The same, those behind all others, as far as nothing waits for them that is longer than they.
    AloneLast,
    /// What leads to some that want the machine to themselves, then those, then all others: these fill what
    /// is left at the end.
    AloneBetween,
    /// The most work behind it.
    Work,
    /// The longest.
    Longest,
    /// The longest chain before it, so that what can be early is.
    Head,
}

const RULES: [Rule; 7] = [
    Rule::Rank,
    Rule::AloneLast,
    Rule::AloneFirst,
    Rule::AloneBetween,
    Rule::Work,
    Rule::Longest,
    Rule::Head,
];

impl<'w> Orders<'w> {
    pub(crate) fn new(workload: &'w Workload, lanes: usize, seed: u64) -> Self {
        Self {
            workload,
            sequencer: Sequencer::new(workload),
            lanes: lanes.max(1),
            seed,
        }
    }

    pub(crate) fn lanes(&self) -> usize {
        self.lanes
    }

    /// The length of a good order, at the price of one or two plays: for a search that asks often.
    pub(crate) fn quick(&mut self, tests: &TestSet) -> u64 {
        let lanes = self.lanes.min(tests.len()).max(1);
        self.sequencer.prepare(tests);
        let chains = self.chains(tests);
        let rules = match tests.is_disjoint(&self.workload.alone) {
            true => &[Rule::Rank][..],
            false => &[Rule::AloneBetween, Rule::AloneLast, Rule::AloneFirst],
        };
        let mut least_ms = u64::MAX;
        for rule in rules {
            let list = self.list(tests, &chains, *rule);
            let limit = Limit {
                ms: least_ms - 1,
                ranks_ms: &chains.ranks_ms,
            };
            let shorter_ms = self.sequencer.play_within(&list, lanes, limit);
            least_ms = shorter_ms.unwrap_or(least_ms);
            if least_ms == 0 {
                break;
            }
        }
        least_ms
    }

    /// The best order that `moves` plays find. On fewer lanes where that ends sooner: lists have anomalies
    /// in which one more lane delays the end.
    pub(crate) fn best(&mut self, tests: &TestSet, moves: u32) -> Order {
        let most = self.lanes;
        let mut best = self.search(tests, moves);
        for fewer in (1..tests.len().min(most)).rev() {
            // The bound only rises from here on, so nothing better is left. Mostly this ends the
            // search at once.
            if self.lower_bound_ms(tests, fewer) >= best.length_ms {
                break;
            }
            self.lanes = fewer;
            let order = self.search(tests, moves);
            self.lanes = most;
            if order.length_ms < best.length_ms {
                best = order;
            }
        }
        best
    }

    /// The same tests, lanes and moves give the same order, whatever was sought before: so what is found on
    /// fewer lanes is found again.
    fn search(&mut self, tests: &TestSet, moves: u32) -> Order {
        let lanes = self.lanes.min(tests.len()).max(1);
        self.sequencer.prepare(tests);
        let chains = self.chains(tests);
        let bound_ms = self.bound_of(tests, lanes, &chains);
        let mut best: Option<Order> = None;
        let mut left = moves.max(1);
        for rule in RULES {
            if left == 0 {
                break;
            }
            left -= 1;
            let list = self.list(tests, &chains, rule);
            let length_ms = self.sequencer.play(&list, lanes, Direction::Forward);
            if best.as_ref().is_none_or(|best| length_ms < best.length_ms) {
                best = Some(Order {
                    list: list.clone(),
                    lanes,
                    length_ms,
                });
            }
            if length_ms <= bound_ms {
                break;
            }
            if left < 2 {
                continue;
            }
            left -= 2;
            let (list, length_ms) = self.justified(lanes);
            if best.as_ref().is_none_or(|best| length_ms < best.length_ms) {
                best = Some(Order {
                    list,
                    lanes,
                    length_ms,
                });
            }
            if length_ms <= bound_ms {
                break;
            }
        }
        let Some(mut best) = best else {
            return Order {
                list: Vec::new(),
                lanes,
                length_ms: 0,
            };
        };
        self.descend(&mut best, bound_ms, &chains.ranks_ms, left);
        best
    }

    /// What was played last, played from its end and forward again.
    fn justified(&mut self, lanes: usize) -> (Vec<usize>, u64) {
        let takes_ms = &self.workload.takes_ms;
        let mut list: Vec<usize> = self.sequencer.started().to_vec();
        let end_ms = |test: usize, starts: &Sequencer<'_>| {
            starts.start_ms(test).saturating_add(takes_ms[test])
        };
        let sequencer = &mut self.sequencer;
        list.sort_by_key(|test| std::cmp::Reverse(end_ms(*test, sequencer)));
        sequencer.play(&list, lanes, Direction::Backward);
        list.sort_by_key(|test| std::cmp::Reverse(end_ms(*test, sequencer)));
        let length_ms = sequencer.play(&list, lanes, Direction::Forward);
        (list, length_ms)
    }

    /// Moves tests in the list, one at a time, as long as it does no harm.
    fn descend(&mut self, best: &mut Order, bound_ms: u64, ranks_ms: &[u64], moves: u32) {
        if best.list.len() < 2 {
            return;
        }
        let mut random = Random::new(self.seed);
        let mut list = best.list.clone();
        for _ in 0..moves {
            if best.length_ms <= bound_ms {
                return;
            }
            let (from, to) = (random.below(list.len()), random.below(list.len()));
            if from == to {
                continue;
            }
            let test = list.remove(from);
            list.insert(to, test);
            let limit = Limit {
                ms: best.length_ms,
                ranks_ms,
            };
            let Some(length_ms) = self.sequencer.play_within(&list, best.lanes, limit) else {
                let test = list.remove(to);
                list.insert(from, test);
                continue;
            };
            // By their starts the tests say the same, and fewer moves change nothing.
            if self.sequencer.started().len() == list.len() {
                list.copy_from_slice(self.sequencer.started());
            }
            if length_ms < best.length_ms {
                best.length_ms = length_ms;
                best.list.clone_from(&list);
            }
        }
    }

    fn list(&self, tests: &TestSet, chains: &Chains, rule: Rule) -> Vec<usize> {
        let alone = &self.workload.alone;
        let mut list: Vec<usize> = tests.iter().collect();
        let rank = |test: &usize| u64::MAX - chains.ranks_ms[*test];
        match rule {
            Rule::Rank => list.sort_by_key(rank),
            Rule::AloneFirst => list.sort_by_key(|test| (!alone.contains(*test), rank(test))),
            Rule::AloneLast => list.sort_by_key(|test| (alone.contains(*test), rank(test))),
            Rule::AloneBetween => list.sort_by_key(|test| {
                let class = match alone.contains(*test) {
                    true => 1,
                    false => u8::from(!chains.leads[*test]) * 2,
                };
                (class, rank(test))
            }),
            Rule::Work => list.sort_by_key(|test| (u64::MAX - chains.work_ms[*test], rank(test))),
            Rule::Longest => {
                let takes_ms = &self.workload.takes_ms;
                list.sort_by_key(|test| (u64::MAX - takes_ms[*test], rank(test)));
            }
            Rule::Head => list.sort_by_key(|test| (chains.heads_ms[*test], rank(test))),
        }
        list
    }

    fn chains(&self, tests: &TestSet) -> Chains {
        let workload = self.workload;
        let end = workload.len();
        let mut chains = Chains {
            heads_ms: vec![0; end],
            ranks_ms: vec![0; end],
            work_ms: vec![0; end],
            leads: vec![false; end],
        };
        let Some(order) = workload.in_order(tests) else {
            return chains;
        };
        for test in &order {
            let behind_ms = chains.heads_ms[*test].saturating_add(workload.takes_ms[*test]);
            for then in &workload.then[*test] {
                if tests.contains(*then) {
                    chains.heads_ms[*then] = chains.heads_ms[*then].max(behind_ms);
                }
            }
        }
        for test in order.iter().rev() {
            let (mut rank_ms, mut work_ms, mut leads) = (0, 0_u64, false);
            for then in &workload.then[*test] {
                if tests.contains(*then) {
                    rank_ms = chains.ranks_ms[*then].max(rank_ms);
                    work_ms = work_ms.saturating_add(chains.work_ms[*then]);
                    leads |= chains.leads[*then] || workload.alone.contains(*then);
                }
            }
            let takes_ms = workload.takes_ms[*test];
            chains.ranks_ms[*test] = takes_ms.saturating_add(rank_ms);
            chains.leads[*test] = leads;
            chains.work_ms[*test] = takes_ms.saturating_add(work_ms);
        }
        chains
    }

    /// No order of `tests` on `lanes` lanes ends sooner.
    pub(crate) fn lower_bound_ms(&self, tests: &TestSet, lanes: usize) -> u64 {
        self.bound_of(tests, lanes.max(1), &self.chains(tests))
    }

    fn bound_of(&self, tests: &TestSet, lanes: usize, chains: &Chains) -> u64 {
        let workload = self.workload;
        let tails_ms: Vec<u64> = chains
            .ranks_ms
            .iter()
            .zip(&workload.takes_ms)
            .map(|(rank_ms, takes_ms)| rank_ms.saturating_sub(*takes_ms))
            .collect();
        let ways = (chains.heads_ms.as_slice(), tails_ms.as_slice());
        let bound_ms = area_ms(workload, tests, ways.0, ways.1, lanes);
        let chain_ms = tests.iter().map(|test| chains.ranks_ms[test]).max();
        bound_ms
            .max(chain_ms.unwrap_or(0))
            .max(heaviest_ms(workload, tests, Share::All, ways))
    }
}

/// All that is between the end of the shortest way in and the start of the shortest way out has to be done
/// by the lanes there are, and what is alone takes all of them: the least time for the worst of such sets, where
/// `heads_ms` and `tails_ms` say how long the ways in and out of each test are.
pub(crate) fn area_ms(
    workload: &Workload,
    tests: &TestSet,
    heads_ms: &[u64],
    tails_ms: &[u64],
    lanes: usize,
) -> u64 {
    let wide = u128::try_from(lanes.max(1)).unwrap_or(1);
    let mut by_tail: Vec<usize> = tests.iter().collect();
    by_tail.sort_by_key(|test| std::cmp::Reverse(tails_ms[*test]));
    let mut heads: Vec<u64> = tests.iter().map(|test| heads_ms[test]).collect();
    heads.sort_unstable();
    heads.dedup();
    let mut bound_ms = 0_u64;
    for head_ms in heads {
        let mut work = 0_u128;
        for test in &by_tail {
            if heads_ms[*test] < head_ms {
                continue;
            }
            let times = match workload.alone.contains(*test) {
                true => wide,
                false => 1,
            };
            work += u128::from(workload.takes_ms[*test]) * times;
            let work_ms = u64::try_from(work.div_ceil(wide)).unwrap_or(u64::MAX);
            let whole_ms = head_ms
                .saturating_add(work_ms)
                .saturating_add(tails_ms[*test]);
            bound_ms = bound_ms.max(whole_ms);
        }
    }
    bound_ms
}
