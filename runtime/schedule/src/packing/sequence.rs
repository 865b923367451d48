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

/// Plays lists of the tests of a workload.
pub(crate) struct Sequencer<'w> {
    workload: &'w Workload,
    /// How long each test takes: what is expected, unless said otherwise.
    pub(crate) takes_ms: Vec<u64>,
    /// Scratch: by test.
    waits: Vec<usize>,
    urgency: Vec<usize>,
    ready: TestSet,
    blocked: TestSet,
    running: Vec<(u64, usize)>,
    /// The start of each test of the list that was played last.
    starts_ms: Vec<u64>,
    /// The tests by their starts; of those that start at once, the more urgent first.
    started: Vec<usize>,
}

/// In which direction time runs.
#[derive(Clone, Copy, PartialEq, Eq)]
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
            waits: vec![0; end],
            urgency: vec![0; end],
            ready: TestSet::new(end),
            blocked: TestSet::new(end),
            running: Vec::new(),
            starts_ms: vec![0; end],
            started: Vec::with_capacity(end),
        }
    }

    /// Plays `list`, the tests of `tests` by urgency, on `lanes` lanes; when the last one ends.
    /// Tests on a cycle are left out.
    pub(crate) fn play(
        &mut self,
        tests: &TestSet,
        list: &[usize],
        lanes: usize,
        direction: Direction,
    ) -> u64 {
        let workload = self.workload;
        self.ready.clear();
        self.running.clear();
        self.started.clear();
        for (urgency, test) in list.iter().enumerate() {
            self.urgency[*test] = urgency;
            self.waits[*test] = match direction {
                Direction::Forward => workload.before[*test].shared(tests),
                Direction::Backward => {
                    let then = workload.then[*test].iter();
                    then.filter(|then| tests.contains(**then)).count()
                }
            };
            if self.waits[*test] == 0 {
                self.ready.insert(urgency);
            }
        }
        let mut now_ms = 0_u64;
        loop {
            self.start_what_may(list, lanes, now_ms);
            let Some(end_ms) = self.running.iter().map(|(end_ms, _)| *end_ms).min() else {
                return now_ms;
            };
            now_ms = end_ms;
            // All that end now, before anything starts: a more urgent test may become ready.
            let mut place = 0;
            while let Some((end_ms, test)) = self.running.get(place).copied() {
                if end_ms > now_ms {
                    place += 1;
                    continue;
                }
                self.running.swap_remove(place);
                match direction {
                    Direction::Forward => {
                        for then in &workload.then[test] {
                            if tests.contains(*then) {
                                self.unlock(*then);
                            }
                        }
                    }
                    Direction::Backward => {
                        for before in workload.before[test].iter() {
                            if tests.contains(before) {
                                self.unlock(before);
                            }
                        }
                    }
                }
            }
        }
    }

    fn unlock(&mut self, test: usize) {
        self.waits[test] -= 1;
        if self.waits[test] == 0 {
            self.ready.insert(self.urgency[test]);
        }
    }

    /// Starts the most urgent of those that are ready, as many as lanes are free, but for what is kept away
    /// by what runs or by a more urgent one that has to wait.
    fn start_what_may(&mut self, list: &[usize], lanes: usize, now_ms: u64) {
        let mut free = lanes.saturating_sub(self.running.len());
        if free == 0 || self.ready.is_empty() {
            return;
        }
        let workload = self.workload;
        self.blocked.clear();
        for (_, test) in &self.running {
            self.blocked.extend(&workload.apart[*test]);
        }
        let first = self.started.len();
        for urgency in self.ready.iter() {
            let test = list[urgency];
            if !self.blocked.contains(test) {
                let end_ms = now_ms.saturating_add(self.takes_ms[test]);
                self.starts_ms[test] = now_ms;
                self.started.push(test);
                self.running.push((end_ms, test));
                free -= 1;
                if free == 0 {
                    break;
                }
            }
            self.blocked.extend(&workload.apart[test]);
        }
        for test in &self.started[first..] {
            self.ready.remove(self.urgency[*test]);
        }
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
