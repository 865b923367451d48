//! Small cells, solved to the end: every way to put parts onto lives, and for each life every order that a
//! life can follow.
//!
//! Orders are those that lists lead to, see [`super::sequence`]: a free lane is left idle only for
//! what keeps others away, or by a life that has fewer lanes. It gives up when it has looked at as many
//! states as its effort allows. Its main function is [`orders`].

use std::collections::BTreeMap;

use super::order::{Order, Orders};
use super::sequence::{Direction, Sequencer};
use super::set::TestSet;
use super::workload::Workload;

/// The most parts whose sets are all looked at: 2⁸ sets, 6,561 pairs of a set and a part of it.
pub(crate) const MOST_PARTS: usize = 8;
/// The most tests of which orders are looked through.
pub(crate) const MOST_TESTS: usize = 12;
/// The plays that look for an order before all are looked through.
const PLAYS: u32 = 40;

/// The tests of a set of parts and their shortest order; `None` where they cannot share a life.
pub(crate) type Shortest = Option<(TestSet, Order)>;

/// The shortest order of each set of parts; a set that cannot share a life has none. `None` where there is
/// too much to look at.
pub(crate) fn orders(workload: &Workload, lanes: usize, mut states: u32) -> Option<Vec<Shortest>> {
    let parts = workload.parts.len();
    if parts > MOST_PARTS || workload.len() > MOST_TESTS {
        return None;
    }
    let mut orders = Orders::new(workload, lanes, 0);
    let mut all = Vec::with_capacity(1 << parts);
    for mask in 0..1_usize << parts {
        let mut tests = workload.none();
        for (place, part) in workload.parts.iter().enumerate() {
            if mask & (1 << place) != 0 {
                tests.extend(&part.tests);
            }
        }
        let tests = workload.with_last(&tests);
        if mask == 0 || !workload.fits(&tests) {
            all.push(None);
            continue;
        }
        let mut best = orders.best(&tests, PLAYS);
        for lanes in (1..=lanes.min(tests.len())).rev() {
            let bound_ms = orders.lower_bound_ms(&tests, lanes);
            if bound_ms >= best.length_ms {
                break;
            }
            let mut sequencer = Sequencer::new(workload);
            sequencer.prepare(&tests);
            let mut search = Search {
                workload,
                tests: &tests,
                lanes,
                sequencer,
                seen: BTreeMap::new(),
                best: &mut best,
                bound_ms,
                foreseen_ms: u64::MAX,
                states: &mut states,
            };
            search.look()?;
        }
        all.push(Some((tests, best)));
    }
    Some(all)
}

/// Looks for an order of one life.
struct Search<'s> {
    workload: &'s Workload,
    tests: &'s TestSet,
    lanes: usize,
    sequencer: Sequencer<'s>,
    /// The earliest time at which a state has been seen: what has started, and how long what runs will.
    seen: BTreeMap<State, u64>,
    best: &'s mut Order,
    bound_ms: u64,
    /// The shortest that was seen, whether or not a life would follow it: states say nothing of who
    /// waits ahead of whom.
    foreseen_ms: u64,
    states: &'s mut u32,
}

/// What has started, and what runs and for how long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    started: TestSet,
    running: Vec<(u64, usize)>,
}

impl Search<'_> {
    /// `None` where there is too much to look at.
    fn look(&mut self) -> Option<()> {
        let state = State {
            started: self.workload.none(),
            running: Vec::new(),
        };
        self.from(&state, 0, &mut Vec::new())?;
        (self.foreseen_ms >= self.best.length_ms).then_some(())
    }

    /// All that can follow `state`, which is at `now_ms`; `list` has what was started so far, in order.
    fn from(&mut self, state: &State, now_ms: u64, list: &mut Vec<usize>) -> Option<()> {
        if self.best.length_ms <= self.bound_ms {
            return Some(());
        }
        *self.states = self.states.checked_sub(1)?;
        if list.len() == self.tests.len() {
            let left_ms = state.running.iter().map(|(left_ms, _)| *left_ms).max();
            let end_ms = now_ms.saturating_add(left_ms.unwrap_or(0));
            self.foreseen_ms = self.foreseen_ms.min(end_ms);
            self.end(list);
            return Some(());
        }
        if self.least_ms(state, now_ms) >= self.best.length_ms {
            return Some(());
        }
        match self.seen.get_mut(state) {
            Some(seen_ms) if *seen_ms <= now_ms => return Some(()),
            Some(seen_ms) => *seen_ms = now_ms,
            None => {
                self.seen.insert(state.clone(), now_ms);
            }
        }
        let is_running = |test: usize| state.running.iter().any(|(_, other)| *other == test);
        let ended = |test: usize| state.started.contains(test) && !is_running(test);
        let ready: Vec<usize> = self
            .tests
            .iter()
            .filter(|test| !state.started.contains(*test))
            .filter(|test| {
                let mut before = self.workload.before[*test].iter();
                before.all(|before| !self.tests.contains(before) || ended(before))
            })
            .collect();
        let mut blocked = self.workload.none();
        for (_, test) in &state.running {
            blocked.extend(&self.workload.apart[*test]);
        }
        let free = self.lanes.saturating_sub(state.running.len());
        let mut starts = Vec::new();
        self.choose((&ready, 0), free, &blocked, &mut Vec::new(), &mut starts);
        for chosen in starts {
            let mut next = state.clone();
            for test in &chosen {
                next.started.insert(*test);
                next.running.push((self.workload.takes_ms[*test], *test));
                list.push(*test);
            }
            let step_ms = next.running.iter().map(|(left_ms, _)| *left_ms).min();
            // Nothing runs and nothing could start: only where tests wait for themselves.
            if let Some(step_ms) = step_ms {
                for (left_ms, _) in &mut next.running {
                    *left_ms -= step_ms;
                }
                next.running.retain(|(left_ms, _)| *left_ms > 0);
                next.running.sort_unstable();
                self.from(&next, now_ms.saturating_add(step_ms), list)?;
            }
            list.truncate(list.len() - chosen.len());
        }
        Some(())
    }

    /// All sets of `ready` that may start together so that nothing more could start beside them, but for what
    /// those keep away that have to wait; of the sets only what is behind `first` is still open.
    fn choose(
        &self,
        (ready, first): (&[usize], usize),
        free: usize,
        blocked: &TestSet,
        chosen: &mut Vec<usize>,
        all: &mut Vec<Vec<usize>>,
    ) {
        let open = |test: &&usize| !chosen.contains(*test);
        let may = |test: &&usize| open(test) && !blocked.contains(**test);
        if free == 0 || !ready.iter().any(|test| may(&test)) {
            all.push(chosen.clone());
            return;
        }
        // Those that are kept away now may be ahead of all others.
        let mut kept = self.workload.none();
        for waiting in ready.iter().filter(open).filter(|test| !may(test)) {
            kept.extend(&self.workload.apart[*waiting]);
        }
        if ready.iter().filter(may).all(|test| kept.contains(*test)) {
            all.push(chosen.clone());
        }
        for place in first..ready.len() {
            let test = ready[place];
            if blocked.contains(test) {
                continue;
            }
            let mut blocked = blocked.clone();
            blocked.extend(&self.workload.apart[test]);
            chosen.push(test);
            self.choose((ready, place + 1), free - 1, &blocked, chosen, all);
            chosen.pop();
        }
    }

    /// The least length of what can follow.
    fn least_ms(&self, state: &State, now_ms: u64) -> u64 {
        let workload = self.workload;
        let (mut work, mut longest_ms) = (0_u128, 0_u64);
        let wide = u128::try_from(self.lanes).unwrap_or(1);
        for (left_ms, test) in &state.running {
            let times = if workload.alone.contains(*test) {
                wide
            } else {
                1
            };
            work += u128::from(*left_ms) * times;
            longest_ms = longest_ms.max(*left_ms);
        }
        for test in self
            .tests
            .iter()
            .filter(|test| !state.started.contains(*test))
        {
            let times = if workload.alone.contains(test) {
                wide
            } else {
                1
            };
            work += u128::from(workload.takes_ms[test]) * times;
        }
        let work_ms = u64::try_from(work.div_ceil(wide)).unwrap_or(u64::MAX);
        now_ms.saturating_add(work_ms.max(longest_ms))
    }

    /// Plays the list as a life would, which says what it is worth.
    fn end(&mut self, list: &[usize]) {
        let length_ms = self.sequencer.play(list, self.lanes, Direction::Forward);
        if length_ms < self.best.length_ms {
            *self.best = Order {
                list: list.to_vec(),
                lanes: self.lanes,
                length_ms,
            };
        }
    }
}
