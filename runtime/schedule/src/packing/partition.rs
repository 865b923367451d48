//! Which parts of a shape share a life: first by rules, then by moves.
//!
//! Parts are put onto lives one by one, those with most conflicts first, since they are hardest to place,
//! then the largest; each to the life that it makes least longer. Then parts and whole atoms are
//! moved, swapped, merged and split, as long as it does no harm. What a life comes to is asked of
//! [`Orders`] and the [`Meter`], and kept. Its main types are [`Partitions`] and [`Packing`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::meter::{Charge, Meter};
use super::order::{Order, Orders};
use super::random::Random;
use super::set::TestSet;
use super::workload::Workload;

/// The lives of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packing {
    pub(crate) lives: Vec<PackedLife>,
}

/// What runs on a life, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PackedLife {
    /// All that runs there, `last` tests among them.
    pub(crate) tests: TestSet,
    pub(crate) order: Order,
    pub(crate) charge: Charge,
}

/// What is better: the first that differs decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// How much too long lives are.
    excess_ms: u64,
    cost: u128,
    total_ms: u128,
}

/// What a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aim {
    /// The least cost with no life longer than this.
    Cost { limit_ms: u64 },
    /// The longest life as short as can be.
    Span,
}

/// How parts are put onto lives to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Each on the life that it makes least longer, those with most conflicts first.
    LeastAdded,
    /// Each on the first that has room for it, the largest first.
    First,
    /// Each on the shortest of so many, the longest first.
    Evenly(usize),
}

/// Looks for partitions.
pub(crate) struct Partitions<'w> {
    workload: &'w Workload,
    meter: &'w Meter,
    orders: Orders<'w>,
    known: BTreeMap<TestSet, Option<(u64, u128)>>,
    random: Random,
    moves: u32,
}

/// Parts on lives, while they are moved about.
#[derive(Clone)]
struct Draft {
    lives: Vec<DraftLife>,
}

#[derive(Clone)]
struct DraftLife {
    parts: Vec<usize>,
    length_ms: u64,
    cost: u128,
}

impl<'w> Partitions<'w> {
    /// A search on `lanes` lanes that makes up to `moves` moves for each partition.
    pub(crate) fn new(
        workload: &'w Workload,
        meter: &'w Meter,
        lanes: usize,
        moves: u32,
        seed: u64,
    ) -> Self {
        Self {
            workload,
            meter,
            orders: Orders::new(workload, lanes, seed),
            known: BTreeMap::new(),
            random: Random::new(seed),
            moves,
        }
    }

    /// The cheapest that is found, however long its lives are.
    pub(crate) fn cheapest(&mut self) -> Packing {
        let all: Vec<usize> = (0..self.workload.parts.len()).collect();
        let whole = self.life(all);
        let draft = match whole {
            Some(whole) if !self.meter.is_choosy() => Draft { lives: vec![whole] },
            whole => {
                let items = self.items();
                let aim = Aim::Cost { limit_ms: u64::MAX };
                let mut draft = self.placed(&items, Place::LeastAdded);
                let other = self.placed(&items, Place::First);
                if self.score(&other, aim) < self.score(&draft, aim) {
                    draft = other;
                }
                self.improve(&mut draft, aim);
                let whole = whole.map(|whole| Draft { lives: vec![whole] });
                match whole {
                    Some(whole) if self.score(&whole, aim) <= self.score(&draft, aim) => whole,
                    Some(_) | None => draft,
                }
            }
        };
        self.finished(&draft)
    }

    /// `lives` lives of which the longest is as short as is found, and then the cheapest of such lives.
    /// Fewer, or more, where that many cannot be.
    pub(crate) fn balanced(&mut self, lives: usize, split: bool) -> Packing {
        let items = if split {
            (0..self.workload.parts.len())
                .map(|part| vec![part])
                .collect()
        } else {
            self.items()
        };
        let mut draft = self.placed(&items, Place::Evenly(lives));
        self.improve(&mut draft, Aim::Span);
        let longest_ms = draft.lives.iter().map(|life| life.length_ms).max();
        let limit_ms = longest_ms.unwrap_or(0);
        self.improve(&mut draft, Aim::Cost { limit_ms });
        self.finished(&draft)
    }

    /// How many items there are, and about how long the longest of them is.
    pub(crate) fn largest_items(&mut self) -> (usize, u64) {
        let items = self.items();
        let lengths = items.iter().filter_map(|item| self.life(item.clone()));
        let longest_ms = lengths.map(|life| life.length_ms).max();
        (items.len(), longest_ms.unwrap_or(0))
    }

    /// About how long the longest part is.
    pub(crate) fn longest_part_ms(&mut self) -> u64 {
        let parts = 0..self.workload.parts.len();
        let lengths = parts.filter_map(|part| self.life(vec![part]));
        lengths.map(|life| life.length_ms).max().unwrap_or(0)
    }

    /// The atoms that fit a life, and the parts of those that do not.
    pub(crate) fn items(&mut self) -> Vec<Vec<usize>> {
        let mut atoms: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, part) in self.workload.parts.iter().enumerate() {
            atoms.entry(part.atom).or_default().push(place);
        }
        let mut items = Vec::new();
        for parts in atoms.into_values() {
            if parts.len() == 1 || self.life(parts.clone()).is_some() {
                items.push(parts);
            } else {
                items.extend(parts.into_iter().map(|part| vec![part]));
            }
        }
        items
    }

    /// The best order of the tests of a life that the effort finds, and what it then costs.
    pub(crate) fn polished(&mut self, tests: &TestSet, moves: u32) -> PackedLife {
        let order = self.orders.best(tests, moves);
        self.charged(tests, order)
    }

    fn charged(&self, tests: &TestSet, order: Order) -> PackedLife {
        // A life that no machine serves is one that no plan asks for; the first one is to blame then.
        let nothing = Charge { cost: 0, place: 0 };
        let charge = self
            .meter
            .charge(self.workload, tests, order.length_ms)
            .unwrap_or(nothing);
        PackedLife {
            tests: tests.clone(),
            order,
            charge,
        }
    }

    fn finished(&mut self, draft: &Draft) -> Packing {
        let moves = self.moves;
        let lives = draft.lives.iter().map(|life| {
            let tests = self.tests(&life.parts);
            self.polished(&tests, moves)
        });
        Packing::of(lives.collect())
    }

    fn tests(&self, parts: &[usize]) -> TestSet {
        let mut tests = self.workload.none();
        for part in parts {
            tests.extend(&self.workload.parts[*part].tests);
        }
        self.workload.with_last(&tests)
    }

    /// A life of `parts`; `None` where they do not fit one, unless it is a single one.
    fn life(&mut self, mut parts: Vec<usize>) -> Option<DraftLife> {
        parts.sort_unstable();
        let tests = self.tests(&parts);
        let known = match self.known.get(&tests) {
            Some(known) => *known,
            None => {
                let known = self.evaluated(&tests);
                self.known.insert(tests, known);
                known
            }
        };
        let (length_ms, cost) = match known {
            Some(known) => known,
            None if parts.len() == 1 => (0, 0),
            None => return None,
        };
        Some(DraftLife {
            parts,
            length_ms,
            cost,
        })
    }

    fn evaluated(&mut self, tests: &TestSet) -> Option<(u64, u128)> {
        if !self.workload.fits(tests) {
            return None;
        }
        // Whether a machine serves them is cheaper to ask.
        self.meter.charge(self.workload, tests, 0)?;
        let length_ms = self.orders.quick(tests);
        let charge = self.meter.charge(self.workload, tests, length_ms)?;
        Some((length_ms, charge.cost))
    }

    /// Puts `items` onto lives by a rule.
    fn placed(&mut self, items: &[Vec<usize>], rule: Place) -> Draft {
        let workload = self.workload;
        let tests: Vec<TestSet> = items.iter().map(|item| self.tests(item)).collect();
        let degree = |tests: &TestSet| {
            let conflicts = tests.iter().map(|test| workload.conflicts[test].len());
            conflicts.sum::<usize>()
        };
        let mut order: Vec<usize> = (0..items.len()).collect();
        order.sort_by_cached_key(|item| {
            let degree = match rule {
                Place::LeastAdded => degree(&tests[*item]),
                // Evenness comes first where there are lives enough.
                Place::Evenly(_) => usize::from(degree(&tests[*item]) > 0),
                Place::First => tests[*item].len(),
            };
            (
                Reverse(degree),
                Reverse(self.guess_ms(&tests[*item])),
                *item,
            )
        });
        let mut drafts: Vec<(Vec<usize>, TestSet, u64)> = Vec::new();
        for item in order {
            let mut best: Option<(u64, usize, TestSet, u64)> = None;
            for (place, (_, there, guess_ms)) in drafts.iter().enumerate() {
                // Each life has one before any has two.
                if matches!(rule, Place::Evenly(lives) if drafts.len() < lives) {
                    break;
                }
                let both = there.union(&tests[item]);
                if !self.fits(&both) {
                    continue;
                }
                let then_ms = self.guess_ms(&both);
                let measure = match rule {
                    Place::Evenly(_) => then_ms,
                    Place::LeastAdded => then_ms.saturating_sub(*guess_ms),
                    Place::First => 0,
                };
                if best.as_ref().is_none_or(|(least, ..)| measure < *least) {
                    best = Some((measure, place, both, then_ms));
                }
            }
            match best {
                Some((_, place, both, then_ms)) => {
                    let (parts, there, guess_ms) = &mut drafts[place];
                    parts.extend(&items[item]);
                    (*there, *guess_ms) = (both, then_ms);
                }
                None => {
                    let guess_ms = self.guess_ms(&tests[item]);
                    drafts.push((items[item].clone(), tests[item].clone(), guess_ms));
                }
            }
        }
        let lives = drafts.into_iter().flat_map(|(parts, ..)| {
            match self.life(parts.clone()) {
                Some(life) => vec![life],
                // What `last` tests add may be too much. Then each is on its own.
                None => parts
                    .into_iter()
                    .filter_map(|part| self.life(vec![part]))
                    .collect(),
            }
        });
        Draft {
            lives: lives.collect(),
        }
    }

    fn fits(&self, tests: &TestSet) -> bool {
        self.workload.fits(tests) && self.meter.charge(self.workload, tests, 0).is_some()
    }

    /// About how long a life with `tests` is.
    fn guess_ms(&self, tests: &TestSet) -> u64 {
        let workload = self.workload;
        let (mut alone_ms, mut shared_ms, mut longest_ms) = (0_u64, 0_u64, 0);
        for test in tests.iter() {
            let takes_ms = workload.takes_ms[test];
            if workload.alone.contains(test) {
                alone_ms = alone_ms.saturating_add(takes_ms);
            } else {
                shared_ms = shared_ms.saturating_add(takes_ms);
                let needs = workload.needs[test].iter();
                let chain_ms = needs.fold(takes_ms, |sum, need| {
                    sum.saturating_add(workload.takes_ms[need] / 2)
                });
                longest_ms = chain_ms.max(longest_ms);
            }
        }
        let lanes = u64::try_from(self.orders.lanes()).unwrap_or(1);
        alone_ms.saturating_add(shared_ms.div_ceil(lanes).max(longest_ms))
    }

    fn score(&self, draft: &Draft, aim: Aim) -> Score {
        let lengths = || draft.lives.iter().map(|life| life.length_ms);
        let total_ms = lengths().map(u128::from).sum();
        let cost = draft.lives.iter().map(|life| life.cost).sum();
        match aim {
            Aim::Cost { limit_ms } => Score {
                excess_ms: lengths().fold(0, |sum: u64, length_ms| {
                    sum.saturating_add(length_ms.saturating_sub(limit_ms))
                }),
                cost,
                total_ms,
            },
            // Among equally long ones, the fewer are as long the better.
            Aim::Span => Score {
                excess_ms: lengths().max().unwrap_or(0),
                cost: lengths()
                    .map(|length_ms| u128::from(length_ms >> 6) * u128::from(length_ms >> 6))
                    .sum(),
                total_ms: cost,
            },
        }
    }

    /// Moves parts about as long as it does no harm.
    fn improve(&mut self, draft: &mut Draft, aim: Aim) {
        let mut best = self.score(draft, aim);
        for _ in 0..self.moves {
            if draft.lives.len() < 2 && !(self.meter.is_choosy() || aim == Aim::Span) {
                return;
            }
            let Some((changed, gone)) = self.moved(draft, aim) else {
                continue;
            };
            let mut next = Draft { lives: Vec::new() };
            let kept = draft.lives.iter().enumerate();
            let kept = kept.filter(|(place, _)| !gone.contains(place));
            next.lives.extend(kept.map(|(_, life)| life.clone()));
            next.lives.extend(changed);
            let score = self.score(&next, aim);
            if score <= best {
                best = score;
                *draft = next;
            }
        }
    }

    /// A random move: the lives that it makes, and the places of those that are gone for them.
    fn moved(&mut self, draft: &Draft, aim: Aim) -> Option<(Vec<DraftLife>, Vec<usize>)> {
        let count = draft.lives.len();
        let from = match aim {
            // Only what is taken from the longest life makes the longest one shorter.
            Aim::Span if self.random.below(4) > 0 => {
                let lives = draft.lives.iter().enumerate();
                lives.max_by_key(|(_, life)| life.length_ms)?.0
            }
            Aim::Span | Aim::Cost { .. } => self.random.below(count),
        };
        let opens = self.meter.is_choosy() && self.random.below(4) == 0;
        if opens {
            let taken = self.taken(&draft.lives[from].parts);
            let rest = without(&draft.lives[from].parts, &taken);
            if rest.is_empty() {
                return None;
            }
            return Some((vec![self.life(taken)?, self.life(rest)?], vec![from]));
        }
        if count < 2 {
            return None;
        }
        let to = (from + 1 + self.random.below(count - 1)) % count;
        let (one, other) = (&draft.lives[from].parts, &draft.lives[to].parts);
        match self.random.below(8) {
            0 if aim != Aim::Span => {
                let both = one.iter().chain(other).copied().collect();
                Some((vec![self.life(both)?], vec![from, to]))
            }
            0..=3 => {
                let (mine, theirs) = (self.taken(one), self.taken(other));
                let mut first = without(one, &mine);
                let mut second = without(other, &theirs);
                first.extend(theirs);
                second.extend(mine);
                Some((vec![self.life(first)?, self.life(second)?], vec![from, to]))
            }
            _ => {
                let mine = self.taken(one);
                let first = without(one, &mine);
                let second = other.iter().chain(&mine).copied().collect();
                let mut lives = vec![self.life(second)?];
                if !first.is_empty() {
                    lives.push(self.life(first)?);
                } else if aim == Aim::Span {
                    return None;
                }
                Some((lives, vec![from, to]))
            }
        }
    }

    /// Some of `parts`: one, or all of one atom.
    fn taken(&mut self, parts: &[usize]) -> Vec<usize> {
        let part = parts[self.random.below(parts.len())];
        if self.random.below(3) == 0 {
            return vec![part];
        }
        let atom = self.workload.parts[part].atom;
        let is_of = |part: &&usize| self.workload.parts[**part].atom == atom;
        parts.iter().filter(is_of).copied().collect()
    }
}

fn without(parts: &[usize], taken: &[usize]) -> Vec<usize> {
    let kept = parts.iter().filter(|part| !taken.contains(part));
    kept.copied().collect()
}

impl Packing {
    /// The lives by their sizes: the largest one gives the verdicts of what several have.
    pub(crate) fn of(mut lives: Vec<PackedLife>) -> Self {
        lives.sort_by_cached_key(|life| {
            let tests: Vec<usize> = life.tests.iter().collect();
            (Reverse(tests.len()), tests)
        });
        Self { lives }
    }

    /// The same lives with what `meter` charges for them.
    pub(crate) fn charged_by(&self, workload: &Workload, meter: &Meter) -> Self {
        let lives = self.lives.iter().map(|life| {
            let charge = meter.charge(workload, &life.tests, life.order.length_ms);
            PackedLife {
                charge: charge.unwrap_or(life.charge),
                ..life.clone()
            }
        });
        Self {
            lives: lives.collect(),
        }
    }

    /// The length of the longest life without its boot.
    pub(crate) fn span_ms(&self) -> u64 {
        let lengths = self.lives.iter().map(|life| life.order.length_ms);
        lengths.max().unwrap_or(0)
    }

    /// What all lives cost together, by the meter of the search.
    pub(crate) fn cost(&self) -> u128 {
        self.lives.iter().map(|life| life.charge.cost).sum()
    }

    /// The sum of the lengths of all lives.
    pub(crate) fn total_ms(&self) -> u128 {
        let lengths = self.lives.iter().map(|life| life.order.length_ms);
        lengths.map(u128::from).sum()
    }
}
