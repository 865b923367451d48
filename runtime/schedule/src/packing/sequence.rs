//! One life: when its tests run on how many lanes, by a list of what is more urgent.
//!
//! List scheduling: whenever a lane is free, it takes the most urgent of the tests that wait for nothing any
//! more. That ends within 2 − 1/lanes of the best there is (Graham 1966), and it also holds when the durations
//! turn out to be wrong. There are no levels: a test starts the moment the last one it waits for has
//! ended. Tests that must not run beside each other do not; the more urgent one goes first, and nothing
//! that it excludes goes past it, see [`Exclusions::admit`](dva_plan::exclusions::Exclusions::admit).
//! Graham's bound does not hold for these.
//!
//! A life at run time does the same with the planned starts as the list, and that gives the same starts:
//! whoever was held back by another one starts behind it. So a list is all that a search need find.
//! Its main type is [`Sequencer`].

use super::set::TestSet;
use super::workload::Workload;

/// Plays lists of the tests of one life after another.
pub(crate) struct Sequencer<'w> {
    workload: &'w Workload,
    /// How long each test takes: what is expected, unless said otherwise.
    pub(crate) takes_ms: Vec<u64>,
    /// The life that was prepared.
    forward: Links,
    backward: Links,
    has_exclusive: bool,
    /// Scratch: by test.
    waits: Vec<u32>,
    urgency: Vec<usize>,
    ready: TestSet,
    blocked: TestSet,
    running: Vec<(u64, usize)>,
    /// The start of each test of the list that was played last.
    starts_ms: Vec<u64>,
    /// The tests by their starts; of those that start at once, the more urgent first.
    started: Vec<usize>,
}

/// Who waits for whom on a life, in one direction of time.
#[derive(Default)]
struct Links {
    /// For how many each test waits.
    waits: Vec<u32>,
    /// Who waits for each test: from where to where they stand in `then`.
    spans: Vec<(usize, usize)>,
    then: Vec<usize>,
}

/// When all has to be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit<'a> {
    pub(crate) ms: u64,
    /// The longest chain that begins with each test, itself included.
    pub(crate) ranks_ms: &'a [u64],
}

/// In which direction time runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Forward,
    /// From the end: the list says who ends last, and the starts are ends, counted from the end.
    Backward,
}

impl<'w> Sequencer<'w> {
    pub(crate) fn new(workload: &'w Workload) -> Self {
        let end = workload.len();
        Self {
            workload,
            takes_ms: workload.takes_ms.clone(),
            forward: Links::new(end),
            backward: Links::new(end),
            has_exclusive: true,
            waits: vec![0; end],
            urgency: vec![0; end],
            ready: TestSet::new(end),
            blocked: TestSet::new(end),
            running: Vec::new(),
            starts_ms: vec![0; end],
            started: Vec::with_capacity(end),
        }
    }

    /// Makes ready for lists of `tests`.
    pub(crate) fn prepare(&mut self, tests: &TestSet) {
        let workload = self.workload;
        self.forward.clear();
        self.backward.clear();
        self.has_exclusive = false;
        for test in tests.iter() {
            self.has_exclusive |= !workload.apart[test].is_disjoint(tests);
            self.forward.begin(test);
            let then = workload.then[test].iter().copied();
            for then in then.filter(|then| tests.contains(*then)) {
                self.forward.push(test, then);
                self.backward.waits[test] += 1;
            }
        }
        for test in tests.iter() {
            self.backward.begin(test);
            for before in workload.before[test].iter() {
                if tests.contains(before) {
                    self.backward.push(test, before);
                    self.forward.waits[test] += 1;
                }
            }
        }
    }

    /// Plays `list`, the tests that were prepared by urgency, on `lanes` lanes; when the last one ends.
    /// Tests on a cycle are left out.
    pub(crate) fn play(&mut self, list: &[usize], lanes: usize, direction: Direction) -> u64 {
        let ended_ms = self.played(list, lanes, direction, None);
        ended_ms.unwrap_or(u64::MAX)
    }

    /// The same forward, but given up as soon as it is certain to end after `limit`; `None` then.
    pub(crate) fn play_within(
        &mut self,
        list: &[usize],
        lanes: usize,
        limit: Limit<'_>,
    ) -> Option<u64> {
        self.played(list, lanes, Direction::Forward, Some(limit))
    }

    fn played(
        &mut self,
        list: &[usize],
        lanes: usize,
        direction: Direction,
        limit: Option<Limit<'_>>,
    ) -> Option<u64> {
        let mut idle = limit.map(|limit| (self.idle_within(list, lanes, limit.ms), limit));
        let links = match direction {
            Direction::Forward => &self.forward,
            Direction::Backward => &self.backward,
        };
        self.ready.clear();
        self.running.clear();
        self.started.clear();
        self.waits.copy_from_slice(&links.waits);
        for (urgency, test) in list.iter().enumerate() {
            self.urgency[*test] = urgency;
            if links.waits[*test] == 0 {
                self.ready.insert(urgency);
            }
        }
        let mut now_ms = 0_u64;
        loop {
            let from = self.started.len();
            self.start_what_may(list, lanes, now_ms);
            let Some(end_ms) = self.running.iter().map(|(end_ms, _)| *end_ms).min() else {
                return limit
                    .is_none_or(|limit| now_ms <= limit.ms)
                    .then_some(now_ms);
            };
            if let Some((left, limit)) = &mut idle {
                let ends_ms = |test: &usize| now_ms.saturating_add(limit.ranks_ms[*test]);
                if self.started[from..]
                    .iter()
                    .any(|test| ends_ms(test) > limit.ms)
                {
                    return None;
                }
                *left = left.checked_sub(self.idle(lanes) * u128::from(end_ms - now_ms))?;
            }
            now_ms = end_ms;
            let links = match direction {
                Direction::Forward => &self.forward,
                Direction::Backward => &self.backward,
            };
            // All that end now, before anything starts: a more urgent test may become ready.
            let mut place = 0;
            while let Some((end_ms, test)) = self.running.get(place).copied() {
                if end_ms > now_ms {
                    place += 1;
                    continue;
                }
                self.running.swap_remove(place);
                for then in links.then(test) {
                    let waits = &mut self.waits[*then];
                    *waits -= 1;
                    if *waits == 0 {
                        self.ready.insert(self.urgency[*then]);
                    }
                }
            }
        }
    }

    /// For how long lanes can be idle together if all is to end within `limit_ms`: nothing, where that cannot
    /// be.
    fn idle_within(&self, list: &[usize], lanes: usize, limit_ms: u64) -> u128 {
        let lanes = lanes as u128;
        let work = list.iter().map(|test| {
            let times = match self.workload.alone.contains(*test) {
                true => lanes,
                false => 1,
            };
            u128::from(self.takes_ms[*test]) * times
        });
        (u128::from(limit_ms) * lanes).saturating_sub(work.sum())
    }

    /// How many lanes do nothing; what is alone takes all of them.
    fn idle(&self, lanes: usize) -> u128 {
        match self.running.as_slice() {
            [(_, only)] if self.workload.alone.contains(*only) => 0,
            running => lanes.saturating_sub(running.len()) as u128,
        }
    }

    /// Starts the most urgent of those that are ready, as many as lanes are free, but for what is kept away
    /// by what runs or by a more urgent one that has to wait.
    fn start_what_may(&mut self, list: &[usize], lanes: usize, now_ms: u64) {
        let free = lanes.saturating_sub(self.running.len());
        if !self.has_exclusive {
            for _ in 0..free {
                let Some(urgency) = self.ready.pop_first() else {
                    return;
                };
                self.start(list[urgency], now_ms);
            }
            return;
        }
        if free == 0 {
            return;
        }
        let workload = self.workload;
        self.blocked.clear();
        for (_, test) in &self.running {
            // Who reboots keeps all away.
            if workload.alone.contains(*test) {
                return;
            }
            self.blocked.extend(&workload.apart[*test]);
        }
        let most = self.running.len() + free;
        let mut from = 0;
        while let Some(urgency) = self.ready.next_from(from) {
            from = urgency + 1;
            let test = list[urgency];
            if !self.blocked.contains(test) {
                self.ready.remove(urgency);
                self.start(test, now_ms);
                if self.running.len() == most {
                    return;
                }
            }
            if workload.alone.contains(test) {
                return;
            }
            self.blocked.extend(&workload.apart[test]);
        }
    }

    fn start(&mut self, test: usize, now_ms: u64) {
        let end_ms = now_ms.saturating_add(self.takes_ms[test]);
        self.starts_ms[test] = now_ms;
        self.started.push(test);
        self.running.push((end_ms, test));
    }

    /// The tests of the list that was played last, by their starts.
    pub(crate) fn started(&self) -> &[usize] {
        &self.started
    }

    /// When `test` starts in what was played last.
    pub(crate) fn start_ms(&self, test: usize) -> u64 {
        self.starts_ms[test]
    }
}

impl Links {
    fn new(end: usize) -> Self {
        Self {
            waits: vec![0; end],
            spans: vec![(0, 0); end],
            then: Vec::new(),
        }
    }

    fn clear(&mut self) {
        self.waits.fill(0);
        self.spans.fill((0, 0));
        self.then.clear();
    }

    /// What is pushed next waits for `test`.
    fn begin(&mut self, test: usize) {
        self.spans[test] = (self.then.len(), self.then.len());
    }

    fn push(&mut self, test: usize, then: usize) {
        self.then.push(then);
        self.spans[test].1 = self.then.len();
    }

    fn then(&self, test: usize) -> &[usize] {
        let (from, to) = self.spans[test];
        &self.then[from..to]
    }
}
