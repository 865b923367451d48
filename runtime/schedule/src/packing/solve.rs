//! A shape, solved once for all cells that have it: its cheapest lives, and the shorter and dearer ones that
//! a deadline may ask for.
//!
//! Small shapes are solved to the end ([`super::exact`]), others searched ([`super::partition`]). What
//! shorter lives cost is sought by the number of lives and not by the deadline, so a later deadline has all
//! to choose from that an earlier one has: its cost is never higher. Its main types are [`Solver`] and
//! [`Solution`].

use std::collections::BTreeMap;

use super::bound::ShapeBound;
use super::exact::{self, Shortest};
use super::meter::Meter;
use super::partition::{PackedLife, Packing, Partitions};
use super::workload::Workload;
use crate::options::Method;

/// The states that may be looked at for each move of the effort, where a shape is small.
const STATES_A_MOVE: u32 = 250;
/// Up to so many lives, each number is tried; above, each that is about a sixteenth more.
const EACH_LIVES: usize = 16;

/// How many times the moves are made for what is shorter: that is asked for with a goal, and seldom.
const MOVES_FOR_SHORTER: u32 = 3;

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
    pub(crate) method: Method,
}

/// Solves a shape for meter after meter.
pub(crate) struct Solver<'w> {
    workload: &'w Workload,
    bound: &'w ShapeBound,
    search: Search,
    sought: Sought,
    /// All on one life, which no meter has a part in.
    whole: Option<Packing>,
    /// The shortest lives of all sets of parts, for the number of lanes that could be solved.
    orders: Option<(usize, Vec<Shortest>)>,
    /// What was searched, by what the meters have in common.
    searched: BTreeMap<Meter, Solution>,
}

impl<'w> Solver<'w> {
    pub(crate) fn new(
        workload: &'w Workload,
        bound: &'w ShapeBound,
        search: Search,
        sought: Sought,
    ) -> Self {
        Self {
            workload,
            bound,
            search,
            sought,
            whole: None,
            orders: None,
            searched: BTreeMap::new(),
        }
    }

    /// The lives that `meter` likes.
    pub(crate) fn solve(&mut self, meter: &Meter) -> Solution {
        if self.workload.parts.is_empty() {
            return Solution {
                packings: vec![Packing { lives: Vec::new() }],
                is_exact: true,
            };
        }
        if self.search.method == Method::SearchAlone {
            return self.searched(meter).clone();
        }
        if self.sought == Sought::Cheapest
            && let Some(whole) = self.whole(meter)
        {
            return whole;
        }
        let Search { lanes, moves, .. } = self.search;
        if self.orders.is_none() {
            // What is solved on fewer lanes can be done on more.
            let states = moves.saturating_mul(STATES_A_MOVE);
            let mut solved = (1..=lanes.min(self.workload.len()).max(1)).rev();
            let solved = solved.find_map(|lanes| {
                let orders = exact::orders(self.workload, lanes, states)?;
                Some((lanes, orders))
            });
            self.orders = Some(solved.unwrap_or_default());
        }
        let mut packings = Vec::new();
        if let Some((solved, orders)) = &self.orders
            && !orders.is_empty()
        {
            packings = exact_ones(self.workload, meter, orders, self.sought);
            if *solved >= lanes.min(self.workload.len()) && !packings.is_empty() {
                return Solution {
                    packings: frontier(packings),
                    is_exact: true,
                };
            }
        }
        let workload = self.workload;
        let searched = self.searched(meter).packings.iter();
        packings.extend(searched.map(|packing| packing.charged_by(workload, meter)));
        Solution {
            packings: frontier(packings),
            is_exact: false,
        }
    }

    /// The cheapest by the search alone.
    fn searched(&mut self, meter: &Meter) -> &Solution {
        let (workload, search, sought) = (self.workload, self.search, self.sought);
        let general = meter.for_search(workload);
        self.searched.entry(general).or_insert_with_key(|general| {
            let mut packings = vec![cheapest(workload, general, search)];
            if sought == Sought::Shorter {
                packings.extend(shorter(workload, general, search, &packings[0]));
            }
            Solution {
                packings: frontier(packings),
                is_exact: false,
            }
        })
    }

    /// All on one life, where that is certainly the cheapest; and where lives cost nothing, so that a cell
    /// does not get several machines of this host for the sake of seconds.
    fn whole(&mut self, meter: &Meter) -> Option<Solution> {
        let workload = self.workload;
        if !workload.fits_one_life || meter.is_choosy() {
            return None;
        }
        let Search {
            lanes, moves, seed, ..
        } = self.search;
        let whole = self
            .whole
            .get_or_insert_with(|| Partitions::new(workload, meter, lanes, moves, seed).cheapest());
        let [life] = whole.lives.as_slice() else {
            return None;
        };
        let charge = meter.charge(workload, &life.tests, life.order.length_ms)?;
        let is_exact = charge.cost <= self.bound.least(meter, u64::MAX)?.cost;
        let life = PackedLife {
            charge,
            ..life.clone()
        };
        (is_exact || !meter.is_priced).then(|| Solution {
            packings: vec![Packing { lives: vec![life] }],
            is_exact,
        })
    }
}

/// By sets of parts: the cheapest way to have all parts, and then of lives shorter than those, and so on. Nothing,
/// where some part is served by no machine.
fn exact_ones(
    workload: &Workload,
    meter: &Meter,
    orders: &[Shortest],
    sought: Sought,
) -> Vec<Packing> {
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
    packings
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
    let moves = search.moves.saturating_mul(MOVES_FOR_SHORTER);
    let mut partitions = Partitions::new(workload, meter, search.lanes, moves, search.seed);
    let (atoms, longest_atom_ms) = partitions.largest_items();
    let longest_part_ms = partitions.longest_part_ms();
    let mut packings: Vec<Packing> = Vec::new();
    let mut fewest = cheapest.lives.len();
    for (most, split, least_ms) in [
        (atoms, false, longest_atom_ms),
        (workload.parts.len(), true, longest_part_ms),
    ] {
        if split && most == atoms {
            break;
        }
        let mut lives = fewest.min(most);
        loop {
            let packing = partitions.balanced(lives, split);
            // Nothing is shorter than the longest of what is put on them.
            let is_shortest = packing.span_ms() <= least_ms;
            packings.push(packing);
            if lives == most || is_shortest {
                break;
            }
            lives = (lives + 1 + lives / EACH_LIVES).min(most);
        }
        fewest = lives;
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
