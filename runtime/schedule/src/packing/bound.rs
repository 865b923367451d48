//! What no schedule of a shape can be better than: how many lives, how much work, what cost.
//!
//! It knows nothing of what a search has found, and each test counts once however often it is set up, so
//! what is shown with a schedule holds for every other one as well. Derived in the notes on scheduling,
//! section 3.4. Its main type is [`ShapeBound`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::meter::Meter;
use super::order::{Orders, area_ms};
use super::set::TestSet;
use super::tariff::Length;
use super::workload::{Part, Workload};

/// From how many parts the search for those begins that cannot share a life.
const SEEDS: usize = 24;

/// The limits of one shape on machines with a number of lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShapeBound {
    /// No fewer lives will do.
    pub(crate) lives: u64,
    lanes: usize,
    /// The lengths of all lives together, without what [`Self::last_ms`] has of each.
    busy_ms: u64,
    /// What each life has at its end for `last` tests.
    last_ms: u64,
    /// The length of the one life, where one will do.
    whole_ms: Option<u64>,
    /// The size of the volumes of the one life, in units of 1,024³ bytes.
    whole_gib: u64,
    /// The least size of any life's.
    gib: u64,
    /// How long each test would keep all lanes busy, in milliseconds times lanes.
    areas: Vec<u128>,
    parts: Vec<PartBound>,
}

/// What a part brings to its life.
#[derive(Clone, Debug, PartialEq, Eq)]
struct PartBound {
    atom: usize,
    /// The work that fills all lanes.
    alone_ms: u64,
    /// All other work.
    shared_ms: u128,
    /// The longest chain of that.
    chain_ms: u64,
    /// No order of it ends sooner.
    length_ms: u64,
    /// The parts that it cannot share a life with.
    rivals: TestSet,
}

/// What a cell comes to at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Least {
    pub(crate) lives: u64,
    /// By the meter it was asked with.
    pub(crate) cost: u128,
}

impl ShapeBound {
    pub(crate) fn of(workload: &Workload, lanes: usize) -> Self {
        let all = TestSet::of(workload.len(), 0..workload.len());
        let whole = workload
            .fits_one_life
            .then(|| Orders::new(workload, lanes, 0).lower_bound_ms(&all, lanes));
        // A `last` test that needs nothing is on every life, behind all that are no `last` tests. One that
        // needs something is on some, and may run beside it: what it adds is not counted.
        let (mut own, mut ends) = (all.clone(), workload.none());
        if workload.last.len() < workload.len() {
            for last in workload.last.iter() {
                own.remove(last);
                if workload.needs[last].is_empty() {
                    ends.insert(last);
                }
            }
        }
        let wide = u128::try_from(lanes.max(1)).unwrap_or(1);
        let areas = (0..workload.len()).map(|test| {
            let times = match workload.alone.contains(test) {
                true => wide,
                false => 1,
            };
            u128::from(workload.takes_ms[test]) * times
        });
        let areas = areas.collect();
        let parts = parts(workload, lanes);
        let (lives, apart_ms) = clique(&parts, lanes, u64::MAX);
        Self {
            lives,
            lanes,
            parts,
            areas,
            busy_ms: busy_ms(workload, &own, lanes).max(apart_ms),
            last_ms: busy_ms(workload, &ends, lanes),
            whole_ms: whole,
            whole_gib: workload.gib(&all),
            gib: workload.least_gib(),
        }
    }

    /// The least that `meter` charges where no life may be longer than `limit_ms`, its boot apart; `None`
    /// where that cannot be.
    pub(crate) fn least(&self, meter: &Meter, limit_ms: u64) -> Option<Least> {
        let room_ms = limit_ms.saturating_sub(self.last_ms);
        // What cannot share a life that long adds up as what cannot share one at all.
        let (apart, apart_ms) = match limit_ms {
            u64::MAX => (self.lives, self.busy_ms),
            _ => clique(&self.parts, self.lanes, room_ms),
        };
        let busy_ms = self.busy_ms.max(apart_ms);
        let needed = match room_ms {
            0 if busy_ms > 0 => return None,
            0 => 1,
            room_ms => busy_ms.div_ceil(room_ms),
        };
        let lives = self.lives.max(needed).max(apart).max(1);
        let whole_ms = self.whole_ms.filter(|whole_ms| *whole_ms <= limit_ms);
        let whole = whole_ms.filter(|_| lives == 1).map(|whole_ms| {
            let cost = cost(meter, 1, whole_ms, self.whole_gib);
            Least {
                lives: 1,
                cost: cost.max(self.of_choosy(meter, 1)),
            }
        });
        let several = lives.max(if self.whole_ms.is_some() { 2 } else { 1 });
        let together_ms = self.last_ms.saturating_mul(several).saturating_add(busy_ms);
        let cost = cost(meter, several, together_ms, self.gib);
        let several = Least {
            lives: several,
            cost: cost.max(self.of_choosy(meter, several)),
        };
        match whole {
            Some(whole) if whole.cost <= several.cost => Some(whole),
            // One life may do, if not for the least.
            Some(_) => Some(Least {
                lives: 1,
                ..several
            }),
            None => Some(several),
        }
    }
}

impl ShapeBound {
    /// The least where some tests need a machine that others do not: one boot on a machine that serves the
    /// neediest, all others on whichever is cheapest, and of each test its share of the lanes at the rate
    /// of the cheapest machine that serves it.
    fn of_choosy(&self, meter: &Meter, lives: u64) -> u128 {
        if !meter.is_choosy() {
            return 0;
        }
        let wide = u128::try_from(self.lanes.max(1)).unwrap_or(1);
        let mut areas: BTreeMap<Vec<usize>, u128> = BTreeMap::new();
        for (test, area) in self.areas.iter().enumerate() {
            let serving = meter.serving(test).map(|candidate| candidate.place);
            *areas.entry(serving.collect()).or_default() += area;
        }
        let least = |places: Option<&[usize]>, length: Length| {
            let able = meter.candidates.iter();
            let able = able.filter(|it| places.is_none_or(|of| of.contains(&it.place)));
            let costs = able.map(|candidate| candidate.tariff.time(length));
            costs.min().unwrap_or(0)
        };
        let length = |alive_ms: u64, pending_ms: u64| Length {
            alive_ms,
            pending_ms,
            gib: self.gib,
        };
        let boots = |lives: u64| {
            length(
                meter.boot_ms.saturating_mul(lives),
                meter.pending_ms.saturating_mul(lives),
            )
        };
        let neediest = areas.keys().map(|places| least(Some(places), boots(1)));
        let boots =
            least(None, boots(lives.saturating_sub(1))).saturating_add(neediest.max().unwrap_or(0));
        let tests = areas.iter().map(|(places, area)| {
            let area_ms = u64::try_from(area / wide).unwrap_or(u64::MAX);
            least(Some(places), length(area_ms, 0))
        });
        tests.fold(boots, u128::saturating_add)
    }
}

/// The least that `lives` lives cost whose lengths come to `together_ms` without their boots.
fn cost(meter: &Meter, lives: u64, together_ms: u64, gib: u64) -> u128 {
    let boots_ms = meter.boot_ms.saturating_mul(lives);
    let together = Length {
        alive_ms: together_ms.saturating_add(boots_ms),
        pending_ms: meter.pending_ms.saturating_mul(lives),
        gib,
    };
    let tariffs = || meter.candidates.iter().map(|candidate| &candidate.tariff);
    match meter.candidates.as_slice() {
        [] => 0,
        [only] => only.tariff.least(lives, together),
        // Some lives may be on one and some on another: the smallest life that any offers, or the least rate
        // of any for all of the time.
        _ => {
            let empty = Length {
                alive_ms: meter.boot_ms,
                pending_ms: meter.pending_ms,
                gib,
            };
            let each = tariffs().map(|tariff| tariff.life(empty)).min();
            let all = tariffs().map(|tariff| tariff.time(together)).min();
            let each = each.unwrap_or(0).saturating_mul(u128::from(lives));
            each.max(all.unwrap_or(0))
        }
    }
}

/// What each part brings, and with which others it cannot share a life.
fn parts(workload: &Workload, lanes: usize) -> Vec<PartBound> {
    let count = workload.parts.len();
    let orders = Orders::new(workload, lanes, 0);
    let bound = |part: &Part| {
        let (mut alone_ms, mut shared_ms, mut longest_ms) = (0_u64, 0_u128, 0);
        let mut chains_ms: Vec<u64> = vec![0; workload.len()];
        // `last` tests may run beside those that end every life, which are counted for each.
        let mut own = part.tests.clone();
        if workload.last.len() < workload.len() {
            workload.last.iter().for_each(|last| own.remove(last));
        }
        let mut order: Vec<usize> = own.iter().collect();
        order.sort_by_key(|test| workload.needs[*test].len());
        for test in order {
            let needs = workload.needs[test].iter().map(|need| chains_ms[need]);
            let before_ms = needs.max().unwrap_or(0);
            let takes_ms = workload.takes_ms[test];
            let own_ms = match workload.alone.contains(test) {
                true => {
                    alone_ms = alone_ms.saturating_add(takes_ms);
                    0
                }
                false => {
                    shared_ms += u128::from(takes_ms);
                    takes_ms
                }
            };
            chains_ms[test] = before_ms.saturating_add(own_ms);
            longest_ms = chains_ms[test].max(longest_ms);
        }
        PartBound {
            atom: part.atom,
            alone_ms,
            shared_ms,
            chain_ms: longest_ms,
            length_ms: orders.lower_bound_ms(&own, lanes),
            rivals: TestSet::new(count),
        }
    };
    let mut bounds: Vec<PartBound> = workload.parts.iter().map(bound).collect();
    if workload.fits_one_life {
        return bounds;
    }
    for one in 0..count {
        for other in 0..one {
            let both = workload.parts[one]
                .tests
                .union(&workload.parts[other].tests);
            if !workload.fits(&both) {
                bounds[one].rivals.insert(other);
                bounds[other].rivals.insert(one);
            }
        }
    }
    bounds
}

/// Parts no two of which can share a life that is no longer than `limit_ms`, as many and as long as are found:
/// no fewer lives will do, and their lengths together are no less than those of the parts.
fn clique(parts: &[PartBound], lanes: usize, limit_ms: u64) -> (u64, u64) {
    let wide = u128::try_from(lanes.max(1)).unwrap_or(1);
    let mut rivals: Vec<TestSet> = parts.iter().map(|part| part.rivals.clone()).collect();
    if limit_ms < u64::MAX {
        for one in 0..parts.len() {
            for other in 0..one {
                let (first, second) = (&parts[one], &parts[other]);
                let shared = (first.shared_ms + second.shared_ms).div_ceil(wide);
                let shared_ms = u64::try_from(shared).unwrap_or(u64::MAX);
                let both_ms = first
                    .alone_ms
                    .saturating_add(second.alone_ms)
                    .saturating_add(shared_ms.max(first.chain_ms).max(second.chain_ms));
                // Parts of one atom may have tests in common.
                if first.atom != second.atom && both_ms > limit_ms {
                    rivals[one].insert(other);
                    rivals[other].insert(one);
                }
            }
        }
    }
    // What each has to offer: how many others it leaves, or how long it is.
    let by_number = |part: usize, open: &TestSet| {
        let left: &TestSet = &rivals[part];
        u64::try_from(left.shared(open)).unwrap_or(u64::MAX)
    };
    let by_length = |part: usize, _: &TestSet| parts[part].length_ms;
    let (mut most, mut longest_ms) = (1, 0);
    let mut seeds: Vec<usize> = (0..parts.len()).collect();
    seeds.sort_by_key(|part| (Reverse(rivals[*part].len()), *part));
    for seed in seeds.into_iter().take(SEEDS) {
        for offers in [&by_number as &dyn Fn(usize, &TestSet) -> u64, &by_length] {
            let mut open = rivals[seed].clone();
            let (mut size, mut sum_ms) = (1_u64, parts[seed].length_ms);
            while let Some(next) = open
                .iter()
                .max_by_key(|part| (offers(*part, &open), Reverse(*part)))
            {
                size += 1;
                sum_ms = sum_ms.saturating_add(parts[next].length_ms);
                open.retain(&rivals[next]);
            }
            most = most.max(size);
            longest_ms = longest_ms.max(sum_ms);
        }
    }
    (most, longest_ms)
}

/// However many lives `tests` are put onto, their lengths together are no less than this.
///
/// On each life, what is alone fills all lanes; the tests of a chain never overlap, nor do those that
/// keep each other away. So do tests that are never on one life, whose lengths are added.
fn busy_ms(workload: &Workload, tests: &TestSet, lanes: usize) -> u64 {
    let takes_ms = &workload.takes_ms;
    // Only what is needed is sure to be on the same life. A test counts where the longest chain that needs
    // it is, so both its ways are sure.
    let mut order: Vec<usize> = tests.iter().collect();
    order.sort_by_key(|test| workload.needs[*test].len());
    let (mut heads_ms, mut tails_ms) = (vec![0_u64; workload.len()], vec![0_u64; workload.len()]);
    for test in &order {
        for need in workload.needs[*test].iter() {
            let end_ms = heads_ms[need].saturating_add(takes_ms[need]);
            heads_ms[*test] = heads_ms[*test].max(end_ms);
        }
    }
    for test in order.iter().rev() {
        let rank_ms = tails_ms[*test].saturating_add(takes_ms[*test]);
        for need in workload.needs[*test].iter() {
            tails_ms[need] = tails_ms[need].max(rank_ms);
        }
    }
    let area_ms = area_ms(workload, tests, &heads_ms, &tails_ms, lanes);
    let ways = (heads_ms.as_slice(), tails_ms.as_slice());
    area_ms.max(heaviest_ms(workload, tests, Share::Needed, ways))
}

/// Whether tests are sure to be on one life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// All of them are.
    All,
    /// Those only that need each other.
    Needed,
}

/// The longest of the found sets of tests that never overlap: chains, and what keeps each other away; with the
/// ways in and out of them, whose lengths are given for each test.
///
/// Who waits for a test by order alone waits for what that one waits for only if it is there as well. So unless
/// all share a life, only what is needed is followed over more than one edge.
pub(crate) fn heaviest_ms(
    workload: &Workload,
    tests: &TestSet,
    share: Share,
    (heads_ms, tails_ms): (&[u64], &[u64]),
) -> u64 {
    let takes_ms = &workload.takes_ms;
    let in_order = match share {
        Share::All => workload.in_order(tests),
        Share::Needed => None,
    };
    let follow = match in_order {
        Some(_) => &workload.before,
        None => &workload.needs,
    };
    let order = in_order.unwrap_or_else(|| {
        let mut order: Vec<usize> = tests.iter().collect();
        order.sort_by_key(|test| workload.needs[*test].len());
        order
    });
    let mut behind = vec![workload.none(); workload.len()];
    let mut chain: Vec<(u64, Option<usize>)> = vec![(0, None); workload.len()];
    for test in &order {
        let mut all = workload.before[*test].clone();
        let mut longest = (0, None);
        for before in follow[*test]
            .iter()
            .filter(|before| tests.contains(*before))
        {
            all.insert(before);
            match share {
                Share::All => all.extend(&behind[before]),
                Share::Needed => all.extend(&workload.before[before]),
            }
            if chain[before].0 > longest.0 {
                longest = (chain[before].0, Some(before));
            }
        }
        // What is alone is in every such set; of a chain only the rest counts.
        let own_ms = match workload.alone.contains(*test) {
            true => 0,
            false => takes_ms[*test],
        };
        chain[*test] = (own_ms.saturating_add(longest.0), longest.1);
        behind[*test] = all;
    }
    let mut never = workload.apart.clone();
    for test in tests.iter() {
        never[test].extend(&workload.conflicts[test]);
        for before in behind[test].clone().iter() {
            never[test].insert(before);
            never[before].insert(test);
        }
    }
    let alone = tests.iter().filter(|test| workload.alone.contains(*test));
    let alone: Vec<usize> = alone.collect();
    let mut longest_ms = 0;
    let mut by_weight: Vec<usize> = tests
        .iter()
        .filter(|test| !workload.alone.contains(*test))
        .collect();
    by_weight.sort_by_key(|test| (Reverse(takes_ms[*test]), *test));
    let mut seeds: Vec<Vec<usize>> = Vec::new();
    if let Some(end) = tests.iter().max_by_key(|test| chain[*test].0) {
        let mut links = Vec::new();
        let mut at = Some(end);
        while let Some(test) = at {
            if !workload.alone.contains(test) {
                links.push(test);
            }
            at = chain[test].1;
        }
        seeds.push(links);
    }
    // What borrows makes sets that are no chains.
    let borrows = |test: &&usize| {
        let others = workload.apart[**test].len();
        others > workload.alone.len() || !workload.conflicts[**test].is_empty()
    };
    seeds.extend(
        by_weight
            .iter()
            .filter(borrows)
            .take(12)
            .map(|test| vec![*test]),
    );
    for mut members in seeds {
        let mut open = TestSet::of(workload.len(), by_weight.iter().copied());
        members
            .iter()
            .for_each(|member| open.retain(&never[*member]));
        for test in &by_weight {
            if open.contains(*test) {
                members.push(*test);
                open.retain(&never[*test]);
            }
        }
        // One after another, and so on one lane.
        let members = members.iter().chain(&alone).copied();
        let members = TestSet::of(workload.len(), members);
        longest_ms = longest_ms.max(area_ms(workload, &members, heads_ms, tails_ms, 1));
    }
    longest_ms
}
