//! The tests of one life as a network of tasks, and the order in which lanes work it off.
//!
//! List scheduling: whenever a lane is free, it takes the task with the longest chain of work still
//! hanging on it (its *rank*) among those that wait for nothing any more. That ends within
//! 2 − 1/lanes of the best there is (Graham 1966), and it also holds when the durations turn out to
//! be wrong. There are no levels: a task starts the moment the last one it waits for has ended.
//!
//! Tests that must not run beside each other do not; the more urgent one goes first, and nothing that
//! it excludes goes past it, see [`Exclusions::admit`]. Graham's bound does not hold for these.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{Edge, TestIx};
use dva_plan::schedule::PlannedExecution;

use super::lives::LifeTests;

/// The tasks, in the order of the tests.
pub(super) struct Network<'e> {
    tasks: Vec<Task>,
    exclusions: &'e Exclusions,
}

/// One test to be executed.
struct Task {
    test: TestIx,
    setup: bool,
    takes_ms: u64,
    /// The length of the longest chain that begins with it, itself included.
    rank_ms: u64,
    /// Its place among all tasks when they are sorted by urgency, the most urgent at 0.
    urgency: usize,
    /// How many edges end here.
    waits_for: usize,
    /// The tasks at which the edges from here end, once for each edge.
    unlocks: Vec<usize>,
}

/// An order in which the tasks are worked off, found by [`Network::best_order`].
pub(super) struct Order {
    /// The number of lanes it is for.
    pub(super) lanes: u32,
    /// By start, then lane; the first one starts at 0.
    pub(super) executions: Vec<PlannedExecution>,
    /// When the last one ends.
    pub(super) length_ms: u64,
}

impl<'e> Network<'e> {
    /// The network of `tests` with those of `edges` that have both ends among them; all kinds of edges are
    /// alike, since all these tests go to one life.
    pub(super) fn of<'p>(
        plan: &ExecutionPlan,
        edges: impl Iterator<Item = &'p Edge>,
        exclusions: &'e Exclusions,
        tests: &LifeTests,
        default_takes_ms: u64,
    ) -> Self {
        let task = |test: &TestIx| Task {
            test: *test,
            setup: tests.setup.contains(test),
            takes_ms: plan.tests[*test]
                .takes_ms
                .unwrap_or(default_takes_ms)
                .max(1),
            rank_ms: 0,
            urgency: 0,
            waits_for: 0,
            unlocks: Vec::new(),
        };
        let mut network = Self {
            tasks: tests.tests.iter().map(task).collect(),
            exclusions,
        };
        let rows: Vec<TestIx> = tests.tests.iter().copied().collect();
        for edge in edges {
            let position = |test: &TestIx| rows.binary_search(test);
            if let (Ok(first), Ok(then)) = (position(&edge.after), position(&edge.test)) {
                network.tasks[first].unlocks.push(then);
                network.tasks[then].waits_for += 1;
            }
        }
        network.rank();
        network.order_by_urgency(plan);
        network
    }

    /// Of the orders for 1 to `lanes` lanes the one that ends first; of equals, that of most lanes.
    pub(super) fn best_order(&self, lanes: u32) -> Order {
        let mut best = self.order_on(lanes);
        for fewer in (1..lanes).rev() {
            // The bound only rises from here on, so nothing better is left. Mostly this ends the
            // search at once.
            if self.lower_bound_ms(fewer) >= best.length_ms {
                break;
            }
            let order = self.order_on(fewer);
            if order.length_ms < best.length_ms {
                best = order;
            }
        }
        best
    }

    /// The longest chain, or the work shared out evenly: no order on `lanes` lanes ends sooner.
    fn lower_bound_ms(&self, lanes: u32) -> u64 {
        let chain = self.tasks.iter().map(|task| task.rank_ms).max();
        let work = self
            .tasks
            .iter()
            .fold(0, |sum: u64, task| sum.saturating_add(task.takes_ms));
        chain.unwrap_or(0).max(work.div_ceil(u64::from(lanes)))
    }

    /// List scheduling on exactly `lanes` lanes.
    fn order_on(&self, lanes: u32) -> Order {
        let mut waits_for: Vec<_> = self.tasks.iter().map(|task| task.waits_for).collect();
        let mut free: BinaryHeap<_> = (0..lanes).map(Reverse).collect();
        let mut running: BinaryHeap<Reverse<(u64, u32, usize)>> = BinaryHeap::new();
        let mut ready: BinaryHeap<_> = self
            .tasks
            .iter()
            .enumerate()
            .filter(|(_, task)| task.waits_for == 0)
            .map(|(position, task)| Reverse((task.urgency, position)))
            .collect();
        let mut executions = Vec::with_capacity(self.tasks.len());
        let mut now_ms = 0_u64;
        loop {
            let mut held = Vec::new();
            while let Some(Reverse(lane)) = free.peek().copied() {
                let Some(Reverse((urgency, position))) = ready.pop() else {
                    break;
                };
                let task = &self.tasks[position];
                let beside = running.iter().map(|Reverse((_, _, other))| *other);
                let ahead = held.iter().map(|Reverse((_, other))| *other);
                if beside
                    .chain(ahead)
                    .any(|other| self.exclude(position, other))
                {
                    held.push(Reverse((urgency, position)));
                    continue;
                }
                free.pop();
                let end_ms = now_ms.saturating_add(task.takes_ms);
                running.push(Reverse((end_ms, lane, position)));
                executions.push(PlannedExecution {
                    test: task.test,
                    lane,
                    start_ms: now_ms,
                    end_ms,
                    setup: task.setup,
                });
            }
            ready.extend(held);
            let Some(Reverse((end_ms, ..))) = running.peek().copied() else {
                break;
            };
            now_ms = end_ms;
            // All that end now, before anything starts: a more urgent task may become ready.
            while let Some(Reverse((end_ms, lane, position))) = running.peek().copied()
                && end_ms == now_ms
            {
                running.pop();
                free.push(Reverse(lane));
                for then in &self.tasks[position].unlocks {
                    waits_for[*then] -= 1;
                    if waits_for[*then] == 0 {
                        ready.push(Reverse((self.tasks[*then].urgency, *then)));
                    }
                }
            }
        }
        executions.sort_unstable_by_key(|execution| (execution.start_ms, execution.lane));
        Order {
            lanes,
            executions,
            length_ms: now_ms,
        }
    }

    fn exclude(&self, one: usize, other: usize) -> bool {
        self.exclusions
            .exclude(self.tasks[one].test, self.tasks[other].test)
    }

    /// Fills in the ranks, from the ends of the chains back.
    fn rank(&mut self) {
        let mut waits_for: Vec<_> = self.tasks.iter().map(|task| task.waits_for).collect();
        let mut sorted: Vec<_> = (0..self.tasks.len())
            .filter(|task| waits_for[*task] == 0)
            .collect();
        let mut next = 0;
        while let Some(task) = sorted.get(next).copied() {
            next += 1;
            for then in &self.tasks[task].unlocks {
                waits_for[*then] -= 1;
                if waits_for[*then] == 0 {
                    sorted.push(*then);
                }
            }
        }
        for task in sorted.into_iter().rev() {
            let unlocks = self.tasks[task].unlocks.iter();
            let behind = unlocks.map(|then| self.tasks[*then].rank_ms).max();
            let task = &mut self.tasks[task];
            task.rank_ms = task.takes_ms.saturating_add(behind.unwrap_or(0));
        }
    }

    /// The highest rank is the most urgent. Among equals the test's id decides, not its row, so that
    /// the order of tests in the plan changes nothing.
    fn order_by_urgency(&mut self, plan: &ExecutionPlan) {
        let mut order: Vec<_> = (0..self.tasks.len()).collect();
        order.sort_by_key(|position| {
            let task = &self.tasks[*position];
            (Reverse(task.rank_ms), &plan.tests[task.test].id)
        });
        for (urgency, position) in order.into_iter().enumerate() {
            self.tasks[position].urgency = urgency;
        }
    }
}
