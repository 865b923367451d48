//! A shape, solved once for all cells that have it: its cheapest lives, and the shorter and dearer ones that
//! a deadline may ask for.
//!
//! Small shapes are solved to the end ([`super::exact`]), others searched ([`super::partition`]). What
//! shorter lives cost is sought by the number of lives and not by the deadline, so a later deadline has all
//! to choose from that an earlier one has: its cost is never higher. Its main type is [`Solution`].

use super::bound::ShapeBound;
use super::exact;
use super::meter::Meter;
use super::order::Order;
use super::partition::{PackedLife, Packing, Partitions};
use super::set::TestSet;
use super::workload::Workload;

/// The states that may be looked at for each move of the effort, where a shape is small.
const STATES_A_MOVE: u32 = 250;
/// Up to so many lives, each number is tried; above, each that is about a sixteenth more.
const EACH_LIVES: usize = 16;

/// The lives that a shape may have, the cheapest first, each shorter and dearer than the one before.
#[derive(Clone, Debug)]
pub(crate) struct Solution {
    pub(crate) packings: Vec<Packing>,
    /// Whether nothing cheaper exists among what lives can follow.
    pub(crate) is_exact: bool,
}

/// How much is sought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sought {
    /// The cheapest lives.
    Cheapest,
    /// Also what is shorter and dearer.
    Shorter,
}

/// How hard is sought.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search {
    pub(crate) lanes: usize,
    pub(crate) moves: u32,
    pub(crate) seed: u64,
}

impl Solution {
    /// Whose bound is `bound`.
    pub(crate) fn of(
        workload: &Workload,
        bound: &ShapeBound,
        meter: &Meter,
        search: Search,
        sought: Sought,
    ) -> Self {
        if workload.parts.is_empty() {
            return Self {
                packings: vec![Packing { lives: Vec::new() }],
                is_exact: true,
            };
        }
        if sought == Sought::Cheapest
            && let Some(whole) = whole(workload, bound, meter, search)
        {
            return whole;
        }
        let states = search.moves.saturating_mul(STATES_A_MOVE);
        if let Some(orders) = exact::orders(workload, search.lanes, states) {
            return Self::exact(workload, meter, &orders, sought);
        }
        let mut searched = Self::searched(workload, meter, search, sought);
        // What is solved on fewer lanes can be done on more.
        let fewer = (1..search.lanes.min(workload.len())).rev();
        let mut solved = fewer.filter_map(|lanes| exact::orders(workload, lanes, states));
        if let Some(orders) = solved.next() {
            let solved = Self::exact(workload, meter, &orders, sought);
            searched.packings.extend(solved.packings);
            searched.packings = frontier(searched.packings);
        }
        searched
    }

    /// The cheapest by the search alone, for those who want to know how good it is.
    pub(crate) fn searched(
        workload: &Workload,
        meter: &Meter,
        search: Search,
        sought: Sought,
    ) -> Self {
        let mut packings = vec![cheapest(workload, meter, search)];
        if sought == Sought::Shorter {
            packings.extend(shorter(workload, meter, search, &packings[0]));
        }
        Self {
            packings: frontier(packings),
            is_exact: false,
        }
    }

    /// By sets of parts: the cheapest way to have all parts, of lives no longer than each length there is.
    fn exact(
        workload: &Workload,
        meter: &Meter,
        orders: &[Option<(TestSet, Order)>],
        sought: Sought,
    ) -> Self {
        let lives: Vec<Option<PackedLife>> = orders
            .iter()
            .map(|order| {
                let (tests, order) = order.as_ref()?;
                let charge = meter.charge(workload, tests, order.length_ms)?;
                Some(PackedLife {
                    tests: tests.clone(),
                    order: order.clone(),
                    charge,
                })
            })
            .collect();
        let mut packings = Vec::new();
        let mut limit_ms = u64::MAX;
        while let Some(packing) = covered(&lives, limit_ms) {
            let span_ms = packing.span_ms();
            packings.push(packing);
            if sought == Sought::Cheapest || span_ms == 0 {
                break;
            }
            limit_ms = span_ms - 1;
        }
        if packings.is_empty() {
            // Some part is served by no machine; the search gives it one all the same.
            let search = Search {
                lanes: 1,
                moves: 1,
                seed: 0,
            };
            return Self::searched(workload, meter, search, sought);
        }
        Self {
            packings: frontier(packings),
            is_exact: true,
        }
    }
}

/// All on one life, where that is certainly the cheapest; and where lives cost nothing, so that a cell does not
/// get several machines of this host for the sake of seconds.
fn whole(
    workload: &Workload,
    bound: &ShapeBound,
    meter: &Meter,
    search: Search,
) -> Option<Solution> {
    if !workload.fits_one_life || meter.is_choosy() {
        return None;
    }
    let bound = bound.least(meter, u64::MAX)?;
    let whole =
        Partitions::new(workload, meter, search.lanes, search.moves, search.seed).cheapest();
    let is_exact = whole.cost() <= bound.cost;
    (is_exact || !meter.is_priced).then(|| Solution {
        packings: vec![whole],
        is_exact,
    })
}

/// The cheapest lives of up to `limit_ms` that have all parts; of equally cheap ones the shortest together.
fn covered(lives: &[Option<PackedLife>], limit_ms: u64) -> Option<Packing> {
    /// What a set of parts comes to, and which of its parts share a life with its first one.
    type Best = Option<(u128, u128, usize)>;
    let mut best: Vec<Best> = vec![None; lives.len()];
    best[0] = Some((0, 0, 0));
    for all in 1..lives.len() {
        let first = all & all.wrapping_neg();
        let rest = all ^ first;
        // All sets of the rest, together with the first.
        let mut with = rest;
        loop {
            let own = with | first;
            if let Some(life) = &lives[own]
                && life.order.length_ms <= limit_ms
                && let Some((cost, total_ms, _)) = best[all ^ own]
            {
                let cost = cost + life.charge.cost;
                let total_ms = total_ms + u128::from(life.order.length_ms);
                let is_better = best[all]
                    .is_none_or(|(least, least_ms, _)| (cost, total_ms) < (least, least_ms));
                if is_better {
                    best[all] = Some((cost, total_ms, own));
                }
            }
            if with == 0 {
                break;
            }
            with = (with - 1) & rest;
        }
    }
    let mut left = lives.len() - 1;
    let mut chosen = Vec::new();
    while left != 0 {
        let (.., own) = best[left]?;
        chosen.push(lives[own].clone()?);
        left ^= own;
    }
    Some(Packing::of(chosen))
}

/// The cheapest that is found; on fewer lanes, where that is cheaper.
fn cheapest(workload: &Workload, meter: &Meter, search: Search) -> Packing {
    let on = |lanes| Partitions::new(workload, meter, lanes, search.moves, search.seed).cheapest();
    let mut best = on(search.lanes);
    for fewer in (1..search.lanes.min(workload.len())).rev() {
        // One life has tried fewer lanes itself.
        if best.lives.len() == 1 && workload.fits_one_life {
            break;
        }
        let bound = ShapeBound::of(workload, fewer).least(meter, u64::MAX);
        if bound.is_none_or(|bound| bound.cost >= best.cost()) {
            break;
        }
        let other = on(fewer);
        if (other.cost(), other.total_ms()) < (best.cost(), best.total_ms()) {
            best = other;
        }
    }
    best
}

/// More and more lives, each number of them as short as is found.
fn shorter(workload: &Workload, meter: &Meter, search: Search, cheapest: &Packing) -> Vec<Packing> {
    let mut partitions = Partitions::new(workload, meter, search.lanes, search.moves, search.seed);
    let atoms = partitions.items().len();
    let mut packings = Vec::new();
    for (most, split) in [(atoms, false), (workload.parts.len(), true)] {
        if split && most == atoms {
            break;
        }
        let mut lives = cheapest.lives.len().min(most);
        loop {
            packings.push(partitions.balanced(lives, split));
            if lives == most {
                break;
            }
            lives = (lives + 1 + lives / EACH_LIVES).min(most);
        }
    }
    packings
}

/// Those that are the shortest of all that cost no more, from the cheapest on.
fn frontier(mut packings: Vec<Packing>) -> Vec<Packing> {
    packings.sort_by_key(|packing| (packing.cost(), packing.span_ms(), packing.total_ms()));
    let mut frontier: Vec<Packing> = Vec::new();
    for packing in packings {
        if frontier
            .last()
            .is_none_or(|last| packing.span_ms() < last.span_ms())
        {
            frontier.push(packing);
        }
    }
    frontier
}
