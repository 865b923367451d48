//! What a run of a schedule may turn out to cost and to take, if tests do not take what is expected of them.
//!
//! Many runs are drawn from one seed. In each, every test takes its expected time multiplied by a log-normal
//! factor whose mean is one, and no longer than its `within`; its life works off the schedule's order as
//! the runtime does. What a life costs then is its bill.
//!
//! # What is assumed
//!
//! - The spread: of a test of which the plan says what nine of ten executions take, as it was measured, that which
//!   follows from it; of the others nothing is known, see [`Spread::default`]. Tests vary independently of each other.
//! - Boots take what is expected.
//! - A life that is launched when others end is launched when the last of those does that were to end at
//!   that moment.
//! - The worst is every test at its limit and its `finally` in no time; nothing is retried.
//!
//! Its main function is [`forecast`].

mod lognormal;

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::money::Money;
use dva_plan::plan::{MachineIx, ShapeIx, TestIx};
use dva_plan::schedule::{PlannedLife, Schedule};
use dva_plan::table::Index;

use crate::packing::random::Random;
use crate::packing::sequence::{Direction, Sequencer};
use crate::packing::set::TestSet;
use crate::packing::tariff::{Length, Pricing, money};
use crate::packing::workload::Workload;
use lognormal::{LogNormal, sigma_permille};

/// The most lives that are played through for a forecast; where there are more different ones, each is
/// played less often.
const PLAYS: usize = 60_000;
/// The fewest times that each is played.
const FEWEST_PLAYS: usize = 16;

/// How far durations are spread, and how that is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    /// The standard deviation of the logarithm of a duration, in thousandths.
    pub sigma_permille: u32,
    /// How many runs are drawn; at least 1.
    pub runs: u32,
    /// From which numbers are drawn. The same seed, the same forecast.
    pub seed: u64,
}

impl Default for Spread {
    /// 0.3, 200 runs. With 0.3 one duration in ten is 1.4 times the mean or more. It is assumed, not
    /// measured: published spreads of durations are of different tests and not of one test again and again.
    fn default() -> Self {
        Self {
            sigma_permille: 300,
            runs: 200,
            seed: 0,
        }
    }
}

/// What a run may come to. Money is of the lives whose machines have a price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// The mean of all runs that were drawn.
    pub cost_mean: Money,
    /// Nine of ten runs cost no more.
    pub cost_p90: Money,
    /// No run costs more, but for retries.
    pub cost_worst: Money,
    /// Half of all runs are over by then.
    pub makespan_p50_ms: u64,
    /// Nine of ten runs are.
    pub makespan_p90_ms: u64,
    /// All are, but for retries.
    pub makespan_worst_ms: u64,
    /// The makespans of the runs that were drawn, ascending.
    makespans_ms: Vec<u64>,
}

impl Forecast {
    /// In how many of a thousand runs all is over within so many milliseconds.
    #[must_use]
    pub fn chance_permille(&self, within_ms: u64) -> u32 {
        let all = self.makespans_ms.len().max(1);
        let in_time = self.makespans_ms.partition_point(|ms| *ms <= within_ms);
        u32::try_from(in_time * 1_000 / all).unwrap_or(1_000)
    }
}

/// What runs of `schedule` may come to, which must be one that [`check`](crate::check()) accepts for `plan`.
///
/// # Panics
/// If it names a row that is not in `plan`.
#[must_use]
pub fn forecast(plan: &ExecutionPlan, schedule: &Schedule, spread: &Spread) -> Forecast {
    let runs = usize::try_from(spread.runs).unwrap_or(usize::MAX).max(1);
    let kinds = Kinds::of(plan, schedule, spread, runs);
    let mut random = Random::new(spread.seed ^ 0x5851_f42d_4c95_7f2d);
    let followers = Followers::of(schedule);
    let (mut costs, mut makespans_ms) = (Vec::with_capacity(runs), Vec::with_capacity(runs));
    for _ in 0..runs {
        let (cost, makespan_ms) = followers.run(schedule, |life| {
            let drawn = &kinds.drawn[kinds.of_life[life]];
            drawn[random.below(drawn.len())]
        });
        costs.push(cost);
        makespans_ms.push(makespan_ms);
    }
    costs.sort_unstable();
    makespans_ms.sort_unstable();
    let worst = followers.run(schedule, |life| kinds.worst[kinds.of_life[life]]);
    let planned = schedule.makespan_ms;
    let ninth = |of: usize| (of * 9).div_ceil(10).saturating_sub(1);
    let cost_p90 = costs.get(ninth(runs)).copied().unwrap_or(0);
    let last = costs.last().copied().unwrap_or(0);
    let count = u128::try_from(runs).unwrap_or(1);
    Forecast {
        cost_mean: money(costs.iter().sum::<u128>().div_ceil(count)),
        cost_p90: money(cost_p90),
        // In no order does more work end later for certain, so what was seen counts as well.
        cost_worst: money(worst.0.max(last).max(kinds.planned)),
        makespan_p50_ms: makespans_ms
            .get(runs.div_ceil(2) - 1)
            .copied()
            .unwrap_or(planned),
        makespan_p90_ms: makespans_ms.get(ninth(runs)).copied().unwrap_or(planned),
        makespan_worst_ms: worst
            .1
            .max(makespans_ms.last().copied().unwrap_or(0))
            .max(planned),
        makespans_ms,
    }
}

/// What the lives of `schedule` cost together if each boots and runs its tests, in the schedule's order, as long as
/// `boot_ms` and `takes_ms` say. Money is of the lives whose machines have a price.
///
/// # Panics
/// If it names a row that is not in `plan`.
pub(crate) fn replayed(
    plan: &ExecutionPlan,
    schedule: &Schedule,
    boot_ms: impl Fn(&PlannedLife) -> u64,
    takes_ms: impl Fn(&PlannedLife, TestIx) -> u64,
) -> Money {
    let exclusions = Exclusions::of(plan);
    let mut workloads: BTreeMap<ShapeIx, Workload> = BTreeMap::new();
    let costs = schedule.lives.iter().map(|planned| {
        let mut life = planned.clone();
        life.ready_ms = life.launch_ms.saturating_add(boot_ms(planned));
        for execution in &mut life.executions {
            let takes_ms = takes_ms(planned, execution.test);
            execution.end_ms = execution.start_ms.saturating_add(takes_ms);
        }
        let shape = plan.cells[life.cell].shape;
        let workload = workloads
            .entry(shape)
            .or_insert_with(|| Workload::of(plan, &plan.shapes[shape], &exclusions, 1));
        Replay::of(plan, workload, &life)
            .came(|_, takes_ms| takes_ms)
            .1
    });
    money(costs.sum())
}

/// What a life came to: its length from launch to end, and its cost.
type Came = (u64, u128);

/// Lives that are alike, with what each kind came to.
struct Kinds {
    of_life: Vec<usize>,
    drawn: Vec<Vec<Came>>,
    worst: Vec<Came>,
    /// What all lives cost as they are planned.
    planned: u128,
}

/// What makes lives alike.
type Key = (ShapeIx, MachineIx, u32, u64, u64, Vec<(TestIx, u64)>);

impl Kinds {
    fn of(plan: &ExecutionPlan, schedule: &Schedule, spread: &Spread, runs: usize) -> Self {
        let mut known: BTreeMap<Key, usize> = BTreeMap::new();
        let mut of_life = Vec::with_capacity(schedule.lives.len());
        let mut firsts: Vec<&PlannedLife> = Vec::new();
        for life in &schedule.lives {
            let tests = life.executions.iter();
            let tests = tests.map(|execution| {
                let start_ms = execution.start_ms.saturating_sub(life.launch_ms);
                (execution.test, start_ms)
            });
            let key = (
                plan.cells[life.cell].shape,
                life.machine,
                life.lanes,
                life.pending_ms,
                life.ready_ms.saturating_sub(life.launch_ms),
                tests.collect(),
            );
            of_life.push(*known.entry(key).or_insert_with(|| {
                firsts.push(life);
                firsts.len() - 1
            }));
        }
        let plays = (PLAYS / firsts.len().max(1)).clamp(FEWEST_PLAYS, runs.max(FEWEST_PLAYS));
        let exclusions = Exclusions::of(plan);
        let factors = Factors::of(plan, spread);
        let mut workloads: BTreeMap<ShapeIx, Workload> = BTreeMap::new();
        let mut kinds = Self {
            of_life,
            drawn: Vec::with_capacity(firsts.len()),
            worst: Vec::with_capacity(firsts.len()),
            planned: 0,
        };
        let mut planned = Vec::with_capacity(firsts.len());
        for (number, life) in firsts.into_iter().enumerate() {
            let shape = plan.cells[life.cell].shape;
            let workload = workloads.entry(shape).or_insert_with(|| {
                // What every test takes is said by the schedule.
                Workload::of(plan, &plan.shapes[shape], &exclusions, 1)
            });
            let mut replay = Replay::of(plan, workload, life);
            let seed = spread.seed ^ u64::try_from(number).unwrap_or(0).wrapping_mul(0x9e37);
            let mut random = Random::new(seed);
            kinds.drawn.push(
                (0..plays)
                    .map(|_| replay.came(|test, mean_ms| factors.draw(test, mean_ms, &mut random)))
                    .collect(),
            );
            kinds.worst.push(replay.came(|_, _| u64::MAX));
            planned.push(replay.came(|_, mean_ms| mean_ms).1);
        }
        kinds.planned = kinds.of_life.iter().map(|kind| planned[*kind]).sum();
        kinds
    }
}

/// How each test of a plan varies.
struct Factors {
    /// As is assumed.
    assumed: LogNormal,
    /// Of tests that were measured, by their spread; and which that is.
    measured: BTreeMap<u32, LogNormal>,
    spreads: BTreeMap<TestIx, u32>,
}

impl Factors {
    fn of(plan: &ExecutionPlan, spread: &Spread) -> Self {
        let tests = plan.tests.enumerate();
        let spreads = tests.filter_map(|(row, test)| {
            let sigma_permille = sigma_permille(test.takes_ms?, test.takes_p90_ms?);
            Some((row, sigma_permille))
        });
        let spreads: BTreeMap<TestIx, u32> = spreads.collect();
        let measured = spreads.values();
        Self {
            assumed: LogNormal::of(spread.sigma_permille),
            measured: measured.map(|of| (*of, LogNormal::of(*of))).collect(),
            spreads,
        }
    }

    fn draw(&self, test: TestIx, mean_ms: u64, random: &mut Random) -> u64 {
        let own = self.spreads.get(&test);
        let own = own.and_then(|spread| self.measured.get(spread));
        own.unwrap_or(&self.assumed).draw(mean_ms, random)
    }
}

/// A life that can be run again and again.
struct Replay<'w> {
    sequencer: Sequencer<'w>,
    /// By start, then lane: what is more urgent at run time.
    list: Vec<usize>,
    /// What each is expected to take, and its limit; by its row in the plan and its place in the workload.
    takes_ms: Vec<(TestIx, usize, u64, u64)>,
    lanes: usize,
    boot_ms: u64,
    pending_ms: u64,
    gib: u64,
    pricing: Pricing,
}

impl<'w> Replay<'w> {
    fn of(plan: &ExecutionPlan, workload: &'w Workload, life: &PlannedLife) -> Self {
        let places: BTreeMap<TestIx, usize> = workload
            .tests
            .iter()
            .enumerate()
            .map(|(place, test)| (*test, place))
            .collect();
        let runs = life.executions.iter().filter_map(|execution| {
            let takes_ms = execution.end_ms.saturating_sub(execution.start_ms);
            let limit_ms = plan.tests[execution.test].within_ms.max(takes_ms);
            let place = *places.get(&execution.test)?;
            Some((execution.test, place, takes_ms, limit_ms))
        });
        let takes_ms: Vec<(TestIx, usize, u64, u64)> = runs.collect();
        let list: Vec<usize> = takes_ms.iter().map(|(_, place, ..)| *place).collect();
        let tests = TestSet::of(workload.len(), list.iter().copied());
        let mut sequencer = Sequencer::new(workload);
        sequencer.prepare(&tests);
        Self {
            sequencer,
            gib: workload.gib(&tests),
            list,
            takes_ms,
            lanes: usize::try_from(life.lanes).unwrap_or(usize::MAX),
            boot_ms: life.ready_ms.saturating_sub(life.launch_ms),
            pending_ms: life.pending_ms,
            pricing: Pricing::of(&plan.machines[life.machine]),
        }
    }

    /// What the life comes to if each test takes what `takes` makes of its mean, up to its limit.
    fn came(&mut self, mut takes: impl FnMut(TestIx, u64) -> u64) -> Came {
        for (test, place, mean_ms, limit_ms) in &self.takes_ms {
            self.sequencer.takes_ms[*place] = takes(*test, *mean_ms).min(*limit_ms);
        }
        let played_ms = self
            .sequencer
            .play(&self.list, self.lanes, Direction::Forward);
        let alive_ms = self.boot_ms.saturating_add(played_ms);
        let cost = match &self.pricing {
            Pricing::Priced(tariff) => tariff.life(Length {
                alive_ms,
                pending_ms: self.pending_ms,
                gib: self.gib,
            }),
            Pricing::Free | Pricing::Unknown => 0,
        };
        (alive_ms, cost)
    }
}

/// Which lives are launched when which others end.
struct Followers {
    /// For each life the rows of those that were to end at its launch.
    after: Vec<Vec<usize>>,
}

impl Followers {
    fn of(schedule: &Schedule) -> Self {
        let mut ends: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (row, life) in schedule.lives.enumerate() {
            ends.entry(life.end_ms).or_default().push(row.row());
        }
        let lives = schedule.lives.enumerate();
        let after = lives.map(|(row, life)| {
            let ends = ends.get(&life.launch_ms).filter(|_| life.launch_ms > 0);
            let before = ends.into_iter().flatten().copied();
            before.filter(|other| *other < row.row()).collect()
        });
        Self {
            after: after.collect(),
        }
    }

    /// The cost and the makespan of a run in which each life comes to what `came` says of its row.
    fn run(&self, schedule: &Schedule, mut came: impl FnMut(usize) -> Came) -> (u128, u64) {
        let mut ends_ms: Vec<u64> = Vec::with_capacity(self.after.len());
        let (mut sum, mut makespan_ms) = (0, 0);
        for (row, life) in schedule.lives.enumerate() {
            let after = self.after[row.row()].iter();
            let launch_ms = after.map(|other| ends_ms[*other]).max();
            let (length_ms, cost) = came(row.row());
            let end_ms = launch_ms
                .unwrap_or(life.launch_ms)
                .saturating_add(length_ms);
            ends_ms.push(end_ms);
            sum += cost;
            makespan_ms = makespan_ms.max(end_ms);
        }
        (sum, makespan_ms)
    }
}
