//! Each rule is broken on purpose, in many schedules and several ways, and named by the checker.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{
    CellIx, Disk, DiskIx, Edge, Effect, EffectKind, ImageIx, MachineIx, ShapeIx, TestIx,
};
use dva_plan::schedule::{LifeIx, PlannedExecution, PlannedLife, Schedule};
use dva_plan::table::{Index, Table};
use dva_plan::validate::validate;
use dva_schedule::{Assumptions, Rule, check, schedule};

use crate::generate::{Random, Size, plan, test};

const DIGEST: &str = "sha256:00";
/// How many schedules each mutation breaks.
const SCHEDULES: u32 = 40;
/// How many cases it may look at for them, since not every case offers a place.
const CASES: u64 = 2_000;

/// A plan and a schedule that is right for it, until a mutation has been at them.
struct Case {
    plan: ExecutionPlan,
    schedule: Schedule,
}

/// A way to break a rule.
struct Mutation {
    name: &'static str,
    breaks: Rule,
    /// Rules that it cannot leave whole, each for the reason given where it is listed.
    also: &'static [Rule],
    /// Breaks the rule, or does nothing where the case offers no place for it.
    apply: fn(&mut Case, &mut Random) -> Option<()>,
}

/// Declares the mutations as a table.
macro_rules! mutations {
    ($($breaks:ident $also:tt: $($apply:ident)+;)*) => {
        &[$($(Mutation {
            name: stringify!($apply),
            breaks: Rule::$breaks,
            also: &$also,
            apply: $apply,
        },)+)*]
    };
}

const MUTATIONS: &[Mutation] = mutations! {
    References []: machine_that_is_not test_that_is_not test_of_another_cell cell_that_is_not;
    // A row that names no test has left the one it stood for without a verdict.
    References [Rule::OneVerdict]: test_lost_to_a_wrong_row;
    OneVerdict []: sink_dropped life_dropped life_doubled verdict_twice_on_a_life setup_made_a_verdict;
    // An execution that should have given the verdict is then a setup without a verdict elsewhere.
    OneVerdict [Rule::SetupElsewhere]: verdict_made_a_setup;
    LifeClosed []: setup_dropped dependent_moved_alone;
    OrderKept []: starts_before_what_it_is_after starts_before_its_order;
    AsShipped []: reader_after_the_writer reader_beside_the_writer;
    // The plan's own edge of order says the same of the same two tests.
    AsShipped [Rule::OrderKept]: reader_after_the_writer_despite_order;
    OneWriterChain []: two_writers_on_a_life three_writers_on_a_life;
    Lanes []: lane_too_high two_on_one_lane no_lanes more_lanes_than_allowed;
    MachineFits []: machine_of_another_cell machine_of_another_architecture;
    SetupElsewhere []: setup_beside_its_verdict setup_twice_on_a_life;
    Times []: launched_after_ready started_before_ready ended_before_started life_ended_too_soon
        makespan_too_long makespan_too_short;
    RowOrder []: executions_swapped lives_swapped;
    PlanDigest []: another_plan;
};

#[test]
fn each_broken_rule_is_named() {
    let (mut total, mut mistaken) = (0, Vec::new());
    for (number, mutation) in MUTATIONS.iter().enumerate() {
        let mut applied = 0;
        for seed in 0..CASES {
            if applied == SCHEDULES {
                break;
            }
            let random = &mut Random(seed * 1_000 + number as u64);
            let mut case = Case::random(random);
            assert_eq!(validate(&case.plan), vec![]);
            assert_eq!(case.check(), vec![], "{} {seed}", mutation.name);
            let before = case.schedule.clone();
            if (mutation.apply)(&mut case, random).is_none() {
                continue;
            }
            assert_ne!(case.schedule, before, "{} {seed}", mutation.name);
            applied += 1;
            let found = case.check();
            let rules: BTreeSet<_> = found.iter().map(|violation| violation.rule).collect();
            let mut expected = BTreeSet::from([mutation.breaks]);
            expected.extend(mutation.also);
            if rules != expected {
                let found: Vec<_> = found.iter().map(ToString::to_string).collect();
                mistaken.push(format!("{} {seed}: {found:#?}", mutation.name));
            }
        }
        if applied < SCHEDULES {
            mistaken.push(format!("{} found {applied} places", mutation.name));
        }
        total += applied;
    }
    assert!(mistaken.is_empty(), "{}", mistaken.join("\n"));
    assert!(total >= 1_000, "{total} schedules");

    let broken: BTreeSet<_> = MUTATIONS.iter().map(|mutation| mutation.breaks).collect();
    assert_eq!(broken, BTreeSet::from(Rule::ALL));
}

#[test]
fn names_of_rules_are_distinct_and_in_the_table() {
    let names: BTreeSet<_> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(names.len(), Rule::ALL.len());
    let docs = include_str!("../../src/lib.rs");
    for name in names {
        assert!(docs.contains(&format!("//! | `{name}` |")), "{name}");
    }
}

impl Case {
    /// A plan, its schedule, and in half of the cases some cells spread over two lives.
    fn random(random: &mut Random) -> Self {
        let size = Size {
            tests: 4 + random.below(20),
            cells: 1 + random.below(6),
            lanes: 1 + random.below(5) as u32,
        };
        let plan = plan(random.next(), size);
        let schedule = schedule(&plan, DIGEST, &Assumptions::default());
        let mut case = Self { plan, schedule };
        if random.one_in(2) {
            case.split(random);
        }
        case
    }

    fn check(&self) -> Vec<dva_schedule::Violation> {
        check(&self.plan, DIGEST, &self.schedule)
    }

    fn lives(&self) -> Vec<LifeIx> {
        self.schedule.lives.indices().collect()
    }

    fn life(&mut self, life: LifeIx) -> &mut PlannedLife {
        &mut self.schedule.lives[life]
    }

    fn after(&self, life: LifeIx) -> &[Edge] {
        let cell = self.schedule.lives[life].cell;
        &self.plan.shapes[self.plan.cells[cell].shape].after
    }

    /// All that `test` is after, directly or not.
    fn ancestors(&self, life: LifeIx, test: TestIx) -> BTreeSet<TestIx> {
        let mut ancestors = BTreeSet::new();
        let mut waiting = vec![test];
        while let Some(test) = waiting.pop() {
            for edge in self.after(life).iter().filter(|edge| edge.test == test) {
                if ancestors.insert(edge.after) {
                    waiting.push(edge.after);
                }
            }
        }
        ancestors
    }

    /// Whether nothing on `life` is after `test`.
    fn is_sink(&self, life: LifeIx, test: TestIx) -> bool {
        let on_life = |other| self.execution(life, other).is_some();
        let mut edges = self.after(life).iter();
        !edges.any(|edge| edge.after == test && on_life(edge.test))
    }

    /// Whether a life of the same cell has `test` as setup, and so needs its verdict elsewhere.
    fn is_set_up(&self, life: LifeIx, test: TestIx) -> bool {
        let cell = self.schedule.lives[life].cell;
        let lives = self.schedule.lives.iter().filter(|life| life.cell == cell);
        lives
            .flat_map(|life| &life.executions)
            .any(|execution| execution.setup && execution.test == test)
    }

    fn execution(&self, life: LifeIx, test: TestIx) -> Option<usize> {
        let executions = &self.schedule.lives[life].executions;
        executions
            .iter()
            .position(|execution| execution.test == test)
    }

    /// A random life and row that `suits`.
    fn choose(
        &self,
        random: &mut Random,
        suits: impl Fn(LifeIx, &PlannedExecution) -> bool,
    ) -> Option<(LifeIx, usize)> {
        let suits = &suits;
        let rows: Vec<_> = self
            .schedule
            .lives
            .enumerate()
            .flat_map(|(index, life)| {
                let rows = life.executions.iter().enumerate();
                rows.filter(move |(_, execution)| suits(index, execution))
                    .map(move |(row, _)| (index, row))
            })
            .collect();
        random.pick(&rows).copied()
    }

    fn any(&self, random: &mut Random) -> Option<(LifeIx, usize)> {
        self.choose(random, |_, _| true)
    }

    /// A lane of `life` that nothing runs on; the policy is widened for it.
    fn spare_lane(&mut self, life: LifeIx) -> u32 {
        let lane = self.life(life).lanes;
        self.life(life).lanes += 1;
        self.plan.policy.lanes = self.plan.policy.lanes.max(lane + 1);
        lane
    }

    /// Sorts rows and sets the ends that follow from others.
    fn settle(&mut self) {
        let mut lives: Vec<_> = self.schedule.lives.iter().cloned().collect();
        for life in &mut lives {
            life.executions
                .sort_by_key(|execution| (execution.start_ms, execution.lane));
            let last_ms = life
                .executions
                .iter()
                .map(|execution| execution.end_ms)
                .max();
            life.end_ms = last_ms.unwrap_or(life.ready_ms);
        }
        lives.sort_by_key(|life| (life.launch_ms, life.cell));
        self.schedule.makespan_ms = lives.iter().map(|life| life.end_ms).max().unwrap_or(0);
        self.schedule.lives = lives.into();
    }

    /// Moves a test that others do not need to a second life of its cell, where all it is after is
    /// repeated as setup.
    fn split(&mut self, random: &mut Random) -> Option<()> {
        let (life, row) = self.choose(random, |life, execution| {
            !execution.setup
                && self.is_sink(life, execution.test)
                && !self.ancestors(life, execution.test).is_empty()
        })?;
        let test = self.schedule.lives[life].executions[row].test;
        let ancestors = self.ancestors(life, test);
        let mut second = self.schedule.lives[life].clone();
        self.life(life).executions.remove(row);
        second
            .executions
            .retain(|execution| execution.test == test || ancestors.contains(&execution.test));
        second.lanes = 1;
        let mut now_ms = second.ready_ms;
        for execution in &mut second.executions {
            let takes_ms = execution.end_ms - execution.start_ms;
            execution.setup = execution.test != test;
            execution.lane = 0;
            execution.start_ms = now_ms;
            now_ms += takes_ms;
            execution.end_ms = now_ms;
        }
        self.schedule.lives.push(second);
        self.settle();
        Some(())
    }

    fn has_effect(&self, test: TestIx, kind: EffectKind) -> bool {
        let mut effects = self.plan.tests[test].effects.iter();
        effects.any(|effect| effect.kind == kind)
    }

    /// Adds a test to the shape of a random cell and executes it on its lives, on a lane of its own.
    fn add_writer(&mut self, shape: ShapeIx, disk: DiskIx, name: &str) -> TestIx {
        let mut writer = test(name, Some(10));
        writer.effects.push(Effect {
            kind: EffectKind::Writes,
            disk,
        });
        let writer = self.plan.tests.push(writer);
        self.plan.shapes[shape].tests.push(writer);
        writer
    }
}

fn machine_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).machine = MachineIx(4 + random.below(9) as u32);
    Some(())
}

/// Adds an execution of `test` to a life, on a lane of its own.
fn add(case: &mut Case, life: LifeIx, test: TestIx, setup: bool) {
    let lane = case.spare_lane(life);
    let life = case.life(life);
    // At its end, when everything that it could be after has ended.
    let start_ms = life.end_ms;
    life.executions.push(PlannedExecution {
        test,
        lane,
        start_ms,
        end_ms: start_ms + 3,
        setup,
    });
    case.settle();
}

fn test_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let test = TestIx::from_row(case.plan.tests.len() + random.below(9));
    add(case, life, test, random.one_in(2));
    Some(())
}

fn test_of_another_cell(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let cell = case.schedule.lives[life].cell;
    let tests = &case.plan.shapes[case.plan.cells[cell].shape].tests;
    let others: Vec<_> = case
        .plan
        .tests
        .indices()
        .filter(|test| !tests.contains(test))
        .collect();
    add(case, life, *random.pick(&others)?, random.one_in(2));
    Some(())
}

fn cell_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let mut life = case.schedule.lives[*random.pick(&case.lives())?].clone();
    life.cell = CellIx::from_row(case.plan.cells.len() + random.below(9));
    case.schedule.lives.push(life);
    case.settle();
    Some(())
}

fn test_lost_to_a_wrong_row(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |life, execution| {
        !execution.setup
            && case.is_sink(life, execution.test)
            && !case.is_set_up(life, execution.test)
    })?;
    case.life(life).executions[row].test = TestIx(u32::MAX - random.below(9) as u32);
    Some(())
}

fn sink_dropped(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |life, execution| {
        !execution.setup
            && case.is_sink(life, execution.test)
            && !case.is_set_up(life, execution.test)
    })?;
    case.life(life).executions.remove(row);
    case.settle();
    Some(())
}

fn life_dropped(case: &mut Case, random: &mut Random) -> Option<()> {
    let mut lives: Vec<_> = case.schedule.lives.iter().cloned().collect();
    let dropped = lives.remove(random.below(lives.len()));
    // Of the lives of a split cell, the second needs the verdicts of the first.
    if lives.iter().any(|life| life.cell == dropped.cell) {
        return None;
    }
    case.schedule.lives = lives.into();
    case.settle();
    Some(())
}

fn life_doubled(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = case.schedule.lives[*random.pick(&case.lives())?].clone();
    case.schedule.lives.push(life);
    case.settle();
    Some(())
}

fn verdict_twice_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    // A late repetition of a reader would follow the writers.
    let (life, row) = case.choose(random, |_, execution| {
        !execution.setup
            && !case.has_effect(execution.test, EffectKind::Reads)
            && !orders(case, execution.test)
    })?;
    let test = case.schedule.lives[life].executions[row].test;
    add(case, life, test, false);
    Some(())
}

/// Whether anything has an edge of order to `test`.
fn orders(case: &Case, test: TestIx) -> bool {
    let mut edges = case.plan.shapes.iter().flat_map(|shape| &shape.order);
    edges.any(|edge| edge.after == test)
}

fn setup_made_a_verdict(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |_, execution| execution.setup)?;
    case.life(life).executions[row].setup = false;
    Some(())
}

fn verdict_made_a_setup(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |_, execution| !execution.setup)?;
    case.life(life).executions[row].setup = true;
    Some(())
}

fn setup_dropped(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |life, execution| {
        execution.setup && !case.is_sink(life, execution.test)
    })?;
    case.life(life).executions.remove(row);
    case.settle();
    Some(())
}

fn dependent_moved_alone(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |life, execution| {
        !execution.setup && !case.ancestors(life, execution.test).is_empty()
    })?;
    let mut second = case.schedule.lives[life].clone();
    let moved = case.life(life).executions.remove(row);
    second.executions = vec![moved];
    case.schedule.lives.push(second);
    case.settle();
    Some(())
}

/// Moves the dependent of an edge to a moment before the other one has ended.
fn start_too_soon(
    case: &mut Case,
    random: &mut Random,
    edges: impl Fn(&Case, LifeIx) -> Vec<Edge>,
) -> Option<()> {
    // A writer that comes too soon may also overtake a reader.
    let pairs: Vec<_> = case
        .lives()
        .into_iter()
        .flat_map(|life| edges(case, life).into_iter().map(move |edge| (life, edge)))
        .filter(|(_, edge)| !case.has_effect(edge.test, EffectKind::Writes))
        .filter_map(|(life, edge)| {
            let first = case.execution(life, edge.after)?;
            Some((life, case.execution(life, edge.test)?, first))
        })
        .collect();
    let (life, row, first) = *random.pick(&pairs)?;
    let lane = case.spare_lane(life);
    let life = case.life(life);
    let room_ms = life.executions[first].end_ms - life.ready_ms;
    let start_ms = life.ready_ms + random.below(room_ms as usize) as u64;
    let execution = &mut life.executions[row];
    execution.end_ms = start_ms + (execution.end_ms - execution.start_ms);
    execution.start_ms = start_ms;
    execution.lane = lane;
    case.settle();
    Some(())
}

fn starts_before_what_it_is_after(case: &mut Case, random: &mut Random) -> Option<()> {
    start_too_soon(case, random, |case, life| case.after(life).to_vec())
}

fn starts_before_its_order(case: &mut Case, random: &mut Random) -> Option<()> {
    // Few plans have an edge of order to a test that writes nothing, so one is made of two tests
    // that already follow each other.
    let pairs: Vec<_> = case
        .lives()
        .into_iter()
        .flat_map(|index| {
            let life = &case.schedule.lives[index];
            let executions = || life.executions.iter();
            executions()
                .flat_map(move |first| executions().map(move |then| (index, first, then)))
                .filter(|(_, first, then)| first.end_ms <= then.start_ms)
        })
        .filter(|(_, _, then)| !case.has_effect(then.test, EffectKind::Writes))
        .filter(|(life, first, then)| !case.ancestors(*life, then.test).contains(&first.test))
        .map(|(life, first, then)| (life, first.test, then.test))
        .collect();
    let (life, after, test) = *random.pick(&pairs)?;
    // The other lives of this shape need not follow it.
    let shape = case.plan.cells[case.schedule.lives[life].cell].shape;
    let shared = case.plan.cells.iter().filter(|cell| cell.shape == shape);
    if shared.count() > 1 || case.lives().len() > case.plan.cells.len() {
        return None;
    }
    let order = &mut case.plan.shapes[shape].order;
    let edge = Edge { test, after };
    if let Err(place) = order.binary_search(&edge) {
        order.insert(place, edge);
    }
    assert_eq!(case.check(), vec![]);
    start_too_soon(
        case,
        random,
        |_, of| if of == life { vec![edge] } else { vec![] },
    )
}

/// Two tests of a life of which the first reads a disk as shipped and nothing is after it, and the
/// other one writes that disk.
fn reader_and_writer(case: &Case, random: &mut Random) -> Option<(LifeIx, usize, usize)> {
    let mut found = Vec::new();
    for life in case.lives() {
        let executions = &case.schedule.lives[life].executions;
        for (row, reader) in executions.iter().enumerate() {
            let ancestors = case.ancestors(life, reader.test);
            let touches = |test: TestIx, kind, disk| {
                let effect = Effect { kind, disk };
                case.plan.tests[test].effects.contains(&effect)
            };
            for effect in &case.plan.tests[reader.test].effects {
                let disk = effect.disk;
                let as_left = ancestors
                    .iter()
                    .any(|test| touches(*test, EffectKind::Writes, disk));
                if effect.kind != EffectKind::Reads
                    || as_left
                    || case.has_effect(reader.test, EffectKind::Writes)
                    || !case.is_sink(life, reader.test)
                {
                    continue;
                }
                for (other, writer) in executions.iter().enumerate() {
                    if other != row && touches(writer.test, EffectKind::Writes, disk) {
                        found.push((life, row, other));
                    }
                }
            }
        }
    }
    random.pick(&found).copied()
}

/// Moves the reader's start by `by_ms` from the writer's.
fn move_reader(
    case: &mut Case,
    (life, reader, writer): (LifeIx, usize, usize),
    start_ms: impl Fn(&PlannedExecution, u64) -> u64,
) {
    let lane = case.spare_lane(life);
    let executions = &mut case.life(life).executions;
    let takes_ms = executions[reader].end_ms - executions[reader].start_ms;
    let start_ms = start_ms(&executions[writer], takes_ms);
    executions[reader].start_ms = start_ms;
    executions[reader].end_ms = start_ms + takes_ms;
    executions[reader].lane = lane;
    case.settle();
}

/// Without edges of order in the plan only the effects tell.
fn forget_order(case: &mut Case) {
    for shape in case.plan.shapes.indices() {
        case.plan.shapes[shape].order.clear();
    }
}

fn reader_after_the_writer(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = reader_and_writer(case, random)?;
    forget_order(case);
    let late_ms = random.below(50) as u64;
    move_reader(case, pair, |writer, _| writer.end_ms + late_ms);
    Some(())
}

fn reader_beside_the_writer(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = reader_and_writer(case, random)?;
    forget_order(case);
    let share = random.next();
    move_reader(case, pair, |writer, takes_ms| {
        writer.start_ms - share % takes_ms
    });
    Some(())
}

fn reader_after_the_writer_despite_order(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = reader_and_writer(case, random)?;
    move_reader(case, pair, |writer, _| writer.end_ms);
    Some(())
}

/// Adds `count` writers of a new disk, none after another, and a life for each in each cell of their
/// shape, which is right; then brings them together on the first of these, which is not.
fn writers_together(case: &mut Case, random: &mut Random, count: usize) -> Option<()> {
    let disk = case.plan.disks.push(Disk {
        name: "contested".to_owned(),
        size_bytes: 1 << 20,
        attached: true,
    });
    let life = case.schedule.lives[*random.pick(&case.lives())?].clone();
    let shape = case.plan.cells[life.cell].shape;
    let mut alone = BTreeMap::new();
    for number in 0..count {
        let writer = case.add_writer(shape, disk, &format!("writer_{number}"));
        for cell in case.plan.cells.indices() {
            if case.plan.cells[cell].shape != shape {
                continue;
            }
            let execution = PlannedExecution {
                test: writer,
                lane: 0,
                start_ms: life.ready_ms,
                end_ms: life.ready_ms + 10,
                setup: false,
            };
            let machine = case.plan.cells[cell].candidates[0];
            alone
                .entry(cell)
                .or_insert_with(Vec::new)
                .push(PlannedLife {
                    cell,
                    machine,
                    lanes: 1,
                    executions: vec![execution],
                    ..life.clone()
                });
        }
    }
    for lives in alone.values().flatten() {
        case.schedule.lives.push(lives.clone());
    }
    case.settle();
    assert_eq!(validate(&case.plan), vec![]);
    assert_eq!(case.check(), vec![]);

    let mut joined = alone.remove(&life.cell)?;
    let is_joined = |other: &PlannedLife| {
        let mut joined = joined.iter();
        other.cell == life.cell && joined.any(|life| life.executions == other.executions)
    };
    let lives = case.schedule.lives.iter();
    let mut lives: Vec<_> = lives.filter(|other| !is_joined(other)).cloned().collect();
    let mut first = joined.remove(0);
    for (number, other) in joined.into_iter().enumerate() {
        let mut execution = other.executions[0];
        execution.start_ms += 10 * (number as u64 + 1);
        execution.end_ms = execution.start_ms + 10;
        first.executions.push(execution);
    }
    lives.push(first);
    case.schedule.lives = lives.into();
    case.settle();
    Some(())
}

fn two_writers_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    writers_together(case, random, 2)
}

fn three_writers_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    writers_together(case, random, 3)
}

fn lane_too_high(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.any(random)?;
    let life = case.life(life);
    life.executions[row].lane = life.lanes + random.below(3) as u32;
    case.settle();
    Some(())
}

fn two_on_one_lane(case: &mut Case, random: &mut Random) -> Option<()> {
    let pairs: Vec<_> = case
        .lives()
        .into_iter()
        .flat_map(|index| {
            let executions = &case.schedule.lives[index].executions;
            let rows = executions.iter().enumerate();
            rows.clone()
                .flat_map(move |one| rows.clone().map(move |other| (index, one, other)))
        })
        .filter(|(_, (_, one), (_, other))| {
            one.lane != other.lane && one.start_ms < other.end_ms && other.start_ms < one.end_ms
        })
        .map(|(index, (row, _), (_, other))| (index, row, other.lane))
        .collect();
    let (life, row, lane) = *random.pick(&pairs)?;
    case.life(life).executions[row].lane = lane;
    case.settle();
    Some(())
}

fn no_lanes(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).lanes = 0;
    Some(())
}

fn more_lanes_than_allowed(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).lanes = case.plan.policy.lanes + 1 + random.below(3) as u32;
    Some(())
}

fn machine_of_another_cell(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let cell = &case.plan.cells[case.schedule.lives[life].cell];
    let arch = &case.plan.images[cell.image].arch;
    let machines = case.plan.machines.enumerate();
    let others: Vec<_> = machines
        .filter(|(index, machine)| machine.arch == *arch && !cell.candidates.contains(index))
        .map(|(index, _)| index)
        .collect();
    case.life(life).machine = *random.pick(&others)?;
    Some(())
}

fn machine_of_another_architecture(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let cell = case.schedule.lives[life].cell;
    let other = MachineIx(u32::from(case.plan.cells[cell].image == ImageIx(0)));
    case.plan.cells[cell].candidates.push(other);
    case.life(life).machine = other;
    Some(())
}

fn setup_beside_its_verdict(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |_, execution| {
        !execution.setup
            && !case.has_effect(execution.test, EffectKind::Reads)
            && !orders(case, execution.test)
    })?;
    let test = case.schedule.lives[life].executions[row].test;
    add(case, life, test, true);
    Some(())
}

fn setup_twice_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |_, execution| {
        execution.setup
            && !case.has_effect(execution.test, EffectKind::Reads)
            && !orders(case, execution.test)
    })?;
    let test = case.schedule.lives[life].executions[row].test;
    add(case, life, test, true);
    Some(())
}

fn launched_after_ready(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let life = case.life(life);
    life.launch_ms = life.ready_ms + 1 + random.below(50) as u64;
    let mut lives: Vec<_> = case.schedule.lives.iter().cloned().collect();
    lives.sort_by_key(|life| (life.launch_ms, life.cell));
    case.schedule.lives = lives.into();
    Some(())
}

fn started_before_ready(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let life = case.life(life);
    life.ready_ms = life.executions.first()?.start_ms + 1;
    // Else the life would be ready only when it has ended, which is another case of this rule.
    (life.ready_ms <= life.end_ms).then_some(())
}

fn ended_before_started(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.any(random)?;
    let execution = &mut case.life(life).executions[row];
    execution.end_ms = execution.start_ms - 1 - random.below(50) as u64;
    Some(())
}

fn life_ended_too_soon(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).end_ms -= 1;
    let last_ms = case.schedule.lives.iter().map(|life| life.end_ms).max()?;
    case.schedule.makespan_ms = last_ms;
    Some(())
}

fn makespan_too_long(case: &mut Case, random: &mut Random) -> Option<()> {
    case.schedule.makespan_ms += 1 + random.below(50) as u64;
    Some(())
}

fn makespan_too_short(case: &mut Case, random: &mut Random) -> Option<()> {
    case.schedule.makespan_ms -= 1 + random.below(50) as u64;
    Some(())
}

fn executions_swapped(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.any(random)?;
    let executions = &mut case.life(life).executions;
    (row + 1 < executions.len()).then(|| executions.swap(row, row + 1))
}

fn lives_swapped(case: &mut Case, random: &mut Random) -> Option<()> {
    let mut lives: Vec<_> = case.schedule.lives.iter().cloned().collect();
    let row = random.below(lives.len());
    if lives.get(row + 1)?.cell == lives[row].cell {
        return None;
    }
    lives.swap(row, row + 1);
    case.schedule.lives = Table::from(lives);
    Some(())
}

fn another_plan(case: &mut Case, random: &mut Random) -> Option<()> {
    case.schedule.plan_digest = format!("sha256:{:016x}", random.next());
    Some(())
}
