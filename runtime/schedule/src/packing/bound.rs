//! What no schedule of a shape can be better than: how many lives, how much work, what cost.
//!
//! It knows nothing of what a search has found, and each test counts once however often it is set up, so
//! what is shown with a schedule holds for every other one as well. Derived in the notes on scheduling,
//! section 3.4. Its main type is [`ShapeBound`].

use std::cmp::Reverse;

use super::meter::Meter;
use super::order::{Orders, area_ms};
use super::set::TestSet;
use super::tariff::Length;
use super::workload::Workload;

/// The limits of one shape on machines with a number of lanes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShapeBound {
    /// No fewer lives will do.
    pub(crate) lives: u64,
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
        let (lives, rivals_ms) = rivals(workload, lanes);
        Self {
            lives,
            busy_ms: busy_ms(workload, &own, lanes).max(rivals_ms),
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
        let needed = match room_ms {
            0 if self.busy_ms > 0 => return None,
            0 => 1,
            room_ms => self.busy_ms.div_ceil(room_ms),
        };
        let lives = self.lives.max(needed).max(1);
        let whole_ms = self.whole_ms.filter(|whole_ms| *whole_ms <= limit_ms);
        let whole = whole_ms.filter(|_| lives == 1).map(|whole_ms| Least {
            lives: 1,
            cost: cost(meter, 1, whole_ms, self.whole_gib),
        });
        let several = lives.max(if self.whole_ms.is_some() { 2 } else { 1 });
        let together_ms = self
            .last_ms
            .saturating_mul(several)
            .saturating_add(self.busy_ms);
        let cost = cost(meter, several, together_ms, self.gib);
        let several = Least {
            lives: several,
            cost,
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

/// Parts no two of which can share a life, as many and as long as are found: no fewer lives will do, and
/// their lengths together are no less than those of the parts.
fn rivals(workload: &Workload, lanes: usize) -> (u64, u64) {
    if workload.fits_one_life || workload.parts.is_empty() {
        return (1, 0);
    }
    let count = workload.parts.len();
    let orders = Orders::new(workload, lanes, 0);
    let lengths_ms: Vec<u64> = workload
        .parts
        .iter()
        .map(|part| orders.lower_bound_ms(&part.tests, lanes))
        .collect();
    let mut rivals = vec![TestSet::new(count); count];
    for one in 0..count {
        for other in 0..one {
            let both = workload.parts[one]
                .tests
                .union(&workload.parts[other].tests);
            if !workload.fits(&both) {
                rivals[one].insert(other);
                rivals[other].insert(one);
            }
        }
    }
    // What each has to offer: how many others it leaves, or how long it is.
    let by_number = |part: usize, open: &TestSet| {
        let left: &TestSet = &rivals[part];
        u64::try_from(left.shared(open)).unwrap_or(u64::MAX)
    };
    let by_length = |part: usize, _: &TestSet| lengths_ms[part];
    let (mut most, mut longest_ms) = (1, 0);
    for seed in 0..count {
        for offers in [&by_number as &dyn Fn(usize, &TestSet) -> u64, &by_length] {
            let mut open = rivals[seed].clone();
            let (mut size, mut sum_ms) = (1_u64, lengths_ms[seed]);
            while let Some(next) = open
                .iter()
                .max_by_key(|part| (offers(*part, &open), Reverse(*part)))
            {
                size += 1;
                sum_ms = sum_ms.saturating_add(lengths_ms[next]);
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
