//! Each rule is broken on purpose, in many schedules and several ways, and named by the checker. The ways
//! are in files by what the rules are about.

mod effects;
mod launch;
mod order;
mod presence;
mod rows;
mod terms;
mod times;

use std::collections::BTreeSet;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{
    CellIx, Edge, Effect, EffectKind, ImageIx, Machine, MachineIx, Pair, Resource, State, Test,
    TestIx,
};
use dva_plan::schedule::{LifeIx, PlannedExecution, PlannedLife, Schedule};
use dva_plan::table::{Index, Table};
use dva_plan::validate::validate;
use dva_schedule::{Assumptions, Rule, Terms, check_terms, schedule};

use crate::generate::{Random, Size, need_vcpus, plan, test};
use effects::*;
use launch::*;
use order::*;
use presence::*;
use rows::*;
use terms::*;
use times::*;

const DIGEST: &str = "sha256:00";
/// How many schedules each mutation breaks.
const SCHEDULES: u32 = 40;
/// How many cases it may look at for them, since not every case offers a place.
const CASES: u64 = 2_000;

/// A plan and a schedule that is right for it, until a mutation has been at them.
struct Case {
    plan: ExecutionPlan,
    schedule: Schedule,
    terms: Terms,
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
    References []: boot_that_is_not machine_that_is_not test_that_is_not test_of_another_cell cell_that_is_not;
    // A row that names no test has left the one it stood for without a verdict.
    References [Rule::OneVerdict]: test_lost_to_a_wrong_row;
    OneVerdict []: sink_dropped life_dropped life_doubled verdict_twice_on_a_life setup_made_a_verdict;
    // An execution that should have given the verdict is then a setup without a verdict elsewhere.
    OneVerdict [Rule::SetupElsewhere]: verdict_made_a_setup;
    LifeClosed []: setup_dropped setup_dropped_of_regardless dependent_moved_alone;
    ConflictsApart []: conflict_on_a_life;
    OneBoot []: life_without_its_boot life_of_another_boot boot_for_nothing;
    OrderKept []: starts_before_what_it_is_after starts_before_regardless starts_before_its_order;
    AsShipped []: reader_after_the_writer reader_beside_the_writer writer_after_what_loses_it
        reader_after_what_loses_it;
    // The plan's own edge of order says the same of the same two tests.
    AsShipped [Rule::OrderKept]: reader_after_the_writer_despite_order;
    OneWriterChain []: two_writers_on_a_life three_writers_on_a_life;
    BorrowedAlone []: borrower_beside_a_reader borrower_beside_a_borrower;
    FreshFirst []: fresh_after_a_writer fresh_beside_a_writer fresh_after_a_reboot;
    DirtyLast []: dirty_before_others;
    MachineAlone []: reboot_beside_others exclusive_beside_others;
    LastAtTheEnd []: last_too_soon;
    LastEverywhere []: last_missing_on_a_life last_set_up last_twice_on_a_life;
    // Nor has it a verdict then.
    LastEverywhere [Rule::OneVerdict]: last_missing;
    OnceOnly []: once_set_up;
    Lanes []: lane_too_high two_on_one_lane no_lanes more_lanes_than_allowed;
    MachineFits []: machine_of_another_cell machine_of_another_architecture machine_too_small;
    MachineLimit []: too_many_machines;
    AccountLimit []: too_many_borrowers borrowed_too_soon;
    Quota []: too_many_processors pending_beside_the_last;
    LaunchRate []: too_many_at_once too_many_calls asked_too_soon;
    Deadline []: over_too_late over_too_late_in_one_of_ten;
    Budget []: too_dear;
    GateKept []: launched_before_the_gate;
    // With one machine there are two at the time.
    GateKept [Rule::MachineLimit]: launched_before_the_gate_of_few;
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
            // What is outside of a plan can be broken by a change there.
            let is_of_terms = case.terms != Terms::default();
            assert!(
                is_of_terms || case.schedule != before,
                "{} {seed}",
                mutation.name
            );
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
        let mut case = Self {
            plan,
            schedule,
            terms: Terms::default(),
        };
        if random.one_in(2) {
            case.split(random);
        }
        case
    }

    fn check(&self) -> Vec<dva_schedule::Violation> {
        check_terms(&self.plan, DIGEST, &self.schedule, &self.terms)
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

    /// Adds tests to the shape of a random life, which is given back, each on a life of its own in every
    /// cell of that shape.
    fn add_guests(&mut self, random: &mut Random, tests: Vec<Test>) -> Option<(Host, Vec<TestIx>)> {
        let host = Host(self.schedule.lives[*random.pick(&self.lives())?].clone());
        let shape = self.plan.cells[host.0.cell].shape;
        let mut guests = Vec::new();
        for test in tests {
            let guest = self.plan.tests.push(test);
            guests.push(guest);
            self.plan.shapes[shape].tests.push(guest);
            for cell in self.plan.cells.indices() {
                if self.plan.cells[cell].shape != shape {
                    continue;
                }
                let execution = PlannedExecution {
                    test: guest,
                    lane: 0,
                    start_ms: host.0.ready_ms,
                    end_ms: host.0.ready_ms + GUEST_MS,
                    setup: false,
                };
                self.schedule.lives.push(PlannedLife {
                    cell,
                    machine: self.plan.cells[cell].candidates[0],
                    lanes: 1,
                    executions: vec![execution],
                    ..host.0.clone()
                });
            }
        }
        self.settle();
        Some((host, guests))
    }

    /// All is right so far, also by what a mutation has added.
    fn assert_right(&self) {
        assert_eq!(validate(&self.plan), vec![]);
        assert_eq!(self.check(), vec![]);
    }

    /// Brings a guest from its own life to the host, where it starts at `start_ms` on a lane of its own.
    fn bring(&mut self, host: &Host, guest: TestIx, start_ms: u64) -> Option<()> {
        let is_own = |life: &PlannedLife| {
            let mut executions = life.executions.iter();
            life.cell == host.0.cell && executions.all(|execution| execution.test == guest)
        };
        let lives = self.schedule.lives.iter();
        let lives: Vec<_> = lives.filter(|life| !is_own(life)).cloned().collect();
        self.schedule.lives = lives.into();
        let is_host = |life: &PlannedLife| {
            let mut executions = host.0.executions.iter();
            life.cell == host.0.cell && executions.all(|own| life.executions.contains(own))
        };
        let lives = self.lives();
        let mut lives = lives.into_iter();
        let life = lives.find(|life| is_host(&self.schedule.lives[*life]))?;
        let lane = self.spare_lane(life);
        self.life(life).executions.push(PlannedExecution {
            test: guest,
            lane,
            start_ms,
            end_ms: start_ms + GUEST_MS,
            setup: false,
        });
        self.settle();
        Some(())
    }
}

/// How long a guest takes.
const GUEST_MS: u64 = 10;

/// A life that guests come to, as it was before.
struct Host(PlannedLife);

/// A guest with these effects.
fn guest(name: &str, effects: &[Effect]) -> Test {
    let mut guest = test(name, Some(GUEST_MS));
    guest.effects = effects.to_vec();
    guest
}

/// A state that nothing else uses.
fn contested(case: &mut Case) -> Resource {
    Resource::State(case.plan.states.push(State {
        name: "contested".to_owned(),
        lost_on_reboot: false,
        per_account: None,
    }))
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

/// Whether anything has an edge of order to `test`.
fn orders(case: &Case, test: TestIx) -> bool {
    let mut edges = case.plan.shapes.iter().flat_map(|shape| &shape.order);
    edges.any(|edge| edge.after == test)
}
