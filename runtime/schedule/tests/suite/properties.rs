//! What holds of every schedule, on random plans.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::document::to_bytes;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{
    BootIx, CellIx, Effect, EffectKind, Gate, MachineIx, Policy, Resource, TestIx,
};
use dva_plan::schedule::{PlannedExecution, PlannedLife, Schedule};
use dva_plan::together::Together;
use dva_plan::validate::validate;
use dva_schedule::{Assumptions, check, schedule, schedule_isolated, summarize};
use proptest::prelude::*;

use crate::generate::{Random, Size, plan, reordered, rich};

const DIGEST: &str = "sha256:00";

fn size() -> impl Strategy<Value = Size> {
    (1..=30_usize, 1..=20_usize, 1..=6_u32).prop_map(|(tests, cells, lanes)| Size {
        tests,
        cells,
        lanes,
    })
}

fn assumptions() -> impl Strategy<Value = Assumptions> {
    (0..=5_000_u64, 0..=3_000_u64).prop_map(|(boot_ms, default_takes_ms)| Assumptions {
        boot_ms,
        pending_ms: boot_ms / 3,
        default_takes_ms,
    })
}

/// Start, end, lane and whether it is a setup.
type Place = (u64, u64, u32, bool);

/// When and where each test of each cell runs, by names.
fn by_name(plan: &ExecutionPlan, schedule: &Schedule) -> BTreeMap<(String, String), Vec<Place>> {
    schedule
        .lives
        .iter()
        .flat_map(|life| {
            life.executions
                .iter()
                .map(move |execution| (life, execution))
        })
        .fold(BTreeMap::new(), |mut by_name, (life, execution)| {
            let cell = plan.cells[life.cell].id.as_str().to_owned();
            let test = plan.tests[execution.test].id.as_str().to_owned();
            let at = (
                execution.start_ms,
                execution.end_ms,
                execution.lane,
                execution.setup,
            );
            by_name
                .entry((cell, test))
                .or_insert_with(Vec::new)
                .push(at);
            by_name
        })
}

/// Either kind of plan.
fn any_plan(seed: u64, size: Size) -> ExecutionPlan {
    match seed.is_multiple_of(3) {
        true => plan(seed, size),
        false => rich(seed, size),
    }
}

/// The properties below say something only of plans that have what they are about.
#[test]
fn rich_plans_are_rich() {
    let (mut several, mut setups, mut last, mut kept_apart, mut lost) = (0, 0, 0, 0, 0);
    for seed in 0..200 {
        let size = Size {
            tests: 12,
            cells: 1,
            lanes: 4,
        };
        let plan = rich(seed, size);
        let made = schedule(&plan, DIGEST, &Assumptions::default());
        let summary = summarize(&plan, &made);
        several += u32::from(summary.lives > 1);
        setups += u32::from(summary.setup_executions > 0);
        let executions = made.lives.iter().flat_map(|life| &life.executions);
        let executions = executions.filter(|execution| !execution.setup);
        last += u32::from(executions.count() > plan.test_runs());
        let exclusions = Exclusions::of(&plan);
        let mut tests = plan.tests.indices();
        kept_apart += u32::from(tests.any(|test| exclusions.is_exclusive(test)));
        lost += u32::from(
            made.lives
                .iter()
                .any(|life| loses_what_is_written(&plan, life)),
        );
    }
    let counts = [several, setups, last, kept_apart, lost];
    assert!(counts.iter().all(|count| *count >= 15), "{counts:?}");
}

/// Whether a test of `life` reboots and another one writes a state that is lost by it.
fn loses_what_is_written(plan: &ExecutionPlan, life: &PlannedLife) -> bool {
    let tests = || {
        life.executions
            .iter()
            .map(|execution| &plan.tests[execution.test])
    };
    let is_lost = |effect: &Effect| match effect.of {
        Resource::State(state) => {
            effect.kind == EffectKind::Writes && plan.states[state].lost_on_reboot
        }
        Resource::Machine | Resource::Disk(_) => false,
    };
    let reboots =
        tests().any(|test| test.takes_machine_away() && !test.effects.iter().any(is_lost));
    reboots && tests().any(|test| test.effects.iter().any(is_lost))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_isolated_schedule_keeps_every_rule(
        seed: u64, size in size(), assumptions in assumptions(),
    ) {
        let plan = any_plan(seed, size);
        let made = schedule_isolated(&plan, DIGEST, &assumptions);
        prop_assert_eq!(check(&plan, DIGEST, &made), vec![]);
        let packed = schedule(&plan, DIGEST, &assumptions);
        prop_assert!(made.lives.len() >= packed.lives.len());
    }

    #[test]
    fn a_schedule_of_any_plan_keeps_every_rule(
        seed: u64, size in size(), assumptions in assumptions(),
    ) {
        let plan = rich(seed, size);
        prop_assert_eq!(validate(&plan), vec![]);
        let made = schedule(&plan, DIGEST, &assumptions);
        prop_assert_eq!(check(&plan, DIGEST, &made), vec![]);

        let summary = summarize(&plan, &made);
        prop_assert!(summary.makespan_lower_bound_ms <= made.makespan_ms);
        prop_assert_eq!(summary.lives as usize, made.lives.len());
        prop_assert_eq!(summary.test_runs as usize, plan.test_runs());
        let defaulted = plan.cells.iter().flat_map(|cell| &plan.shapes[cell.shape].tests)
            .filter(|test| plan.tests[**test].takes_ms.is_none()).count();
        prop_assert_eq!(summary.defaulted_durations as usize, defaulted);
    }

    /// Launches move lives as wholes and nothing else, keep what the policy says, and lose no time that one
    /// machine more would not have saved either.
    #[test]
    fn gates_and_limits_are_kept(
        seed: u64, size in size(), machines in proptest::option::of(1..=6_u32),
    ) {
        let mut plan = any_plan(seed, size);
        let at_once = schedule(&plan, DIGEST, &Assumptions::default());
        let random = &mut Random(seed);
        let names = ["a", "b", "c", "d"];
        for cell in plan.cells.indices() {
            plan.cells[cell].matrix = names[random.below(4)].to_owned();
        }
        let used: BTreeSet<&str> = plan.cells.iter().map(|cell| cell.matrix.as_str()).collect();
        for first in &used {
            for then in &used {
                if first < then && random.one_in(2) {
                    let gate = Gate { first: (*first).to_owned(), then: (*then).to_owned() };
                    plan.policy.gates.push(gate);
                }
            }
        }
        plan.policy.limits.machines = machines;
        for state in plan.states.indices() {
            if random.one_in(2) {
                plan.states[state].per_account = Some(1 + random.below(3) as u32);
            }
        }
        prop_assert_eq!(validate(&plan), vec![]);
        let made = schedule(&plan, DIGEST, &Assumptions::default());
        prop_assert_eq!(check(&plan, DIGEST, &made), vec![]);
        prop_assert_eq!(made.lives.len(), at_once.lives.len());
        let work: u64 = at_once.lives.iter().map(|life| life.end_ms).sum();
        prop_assert!(made.makespan_ms <= work);
        let summary = summarize(&plan, &made);
        prop_assert!(summary.makespan_lower_bound_ms <= made.makespan_ms);
        if machines == Some(1) {
            prop_assert_eq!(made.makespan_ms, work);
        }
    }

    /// First fit leaves nothing that a look at two lives could better.
    #[test]
    fn no_two_lives_of_a_cell_could_be_one(seed: u64, size in size()) {
        let plan = rich(seed, size);
        let made = schedule(&plan, DIGEST, &Assumptions::default());
        for (row, life) in made.lives.enumerate() {
            let shape = &plan.shapes[plan.cells[life.cell].shape];
            let together = Together::of(&plan, shape);
            let tests = |life: &PlannedLife| -> BTreeSet<TestIx> {
                life.executions.iter().map(|execution| execution.test).collect()
            };
            let judged = life.executions.iter().any(|execution| {
                !execution.setup && (!plan.tests[execution.test].last || life.executions.len() == 1)
            });
            prop_assert!(judged || life.executions.iter().all(|execution| plan.tests[execution.test].last));
            for (other, second) in made.lives.enumerate() {
                if row < other && life.cell == second.cell {
                    let both = tests(life).union(&tests(second)).copied().collect();
                    prop_assert!(!together.fits(&both));
                }
            }
        }
    }

    #[test]
    fn a_schedule_keeps_every_rule_and_lies_between_its_bounds(
        seed: u64, size in size(), assumptions in assumptions(),
    ) {
        let plan = plan(seed, size);
        prop_assert_eq!(validate(&plan), vec![]);
        let made = schedule(&plan, DIGEST, &assumptions);
        prop_assert_eq!(check(&plan, DIGEST, &made), vec![]);

        let takes = |test: &TestIx| plan.tests[*test].takes_ms.unwrap_or(assumptions.default_takes_ms).max(1);
        let serial_ms = plan.cells.iter()
            .map(|cell| plan.shapes[cell.shape].tests.iter().map(takes).sum::<u64>())
            .max().unwrap_or(0) + assumptions.boot_ms;
        let summary = summarize(&plan, &made);
        prop_assert!(summary.makespan_lower_bound_ms <= made.makespan_ms);
        prop_assert!(made.makespan_ms <= serial_ms);
        // Graham's bound, of what follows the boot.
        let (rest, least) = (made.makespan_ms - assumptions.boot_ms, summary.makespan_lower_bound_ms - assumptions.boot_ms);
        prop_assert!(rest < 2 * least || rest == least);

        prop_assert_eq!(summary.makespan_ms, made.makespan_ms);
        prop_assert_eq!(summary.lives as usize, plan.cells.len());
        prop_assert_eq!(summary.launches, summary.lives);
        prop_assert_eq!(summary.test_runs as usize, plan.test_runs());
        prop_assert_eq!(summary.setup_executions, 0);
        prop_assert_eq!(summary.machines_by_type.values().sum::<u32>(), summary.lives);
        prop_assert!(summary.peak_lanes >= 1 && summary.peak_lanes <= size.lanes * summary.lives);
        let work = plan.cells.iter().flat_map(|cell| &plan.shapes[cell.shape].tests);
        prop_assert_eq!(summary.busy_ms, work.clone().map(takes).sum::<u64>());
        let defaulted = work.filter(|test| plan.tests[**test].takes_ms.is_none()).count();
        prop_assert_eq!(summary.defaulted_durations as usize, defaulted);
    }

    #[test]
    fn a_test_starts_the_moment_it_can(seed: u64, size in size()) {
        let plan = plan(seed, size);
        let made = schedule(&plan, DIGEST, &Assumptions::default());
        for life in &made.lives {
            let shape = &plan.shapes[plan.cells[life.cell].shape];
            let ends: BTreeMap<_, _> = life.executions.iter().map(|execution| (execution.test, execution.end_ms)).collect();
            for execution in &life.executions {
                let could_ms = shape.after.iter().chain(&shape.order)
                    .filter(|edge| edge.test == execution.test)
                    .map(|edge| ends[&edge.after]).max().unwrap_or(life.ready_ms);
                // From then until its start, there was no instant at which a lane was free.
                for instant in ends.values().copied().chain([could_ms]).filter(|end| (could_ms..execution.start_ms).contains(end)) {
                    let busy = life.executions.iter().filter(|other| other.start_ms <= instant && instant < other.end_ms).count();
                    prop_assert_eq!(busy, life.lanes as usize);
                }
            }
        }
    }

    /// What lives cost is their time, where nothing else is known of them.
    #[test]
    fn more_lanes_never_raise_the_cost(seed: u64, size in size()) {
        let mut plan = any_plan(seed, size);
        let mut before_ms = u64::MAX;
        for lanes in 1..=5 {
            plan.policy = Policy { lanes, ..Policy::default() };
            let made = schedule(&plan, DIGEST, &Assumptions::default());
            prop_assert_eq!(check(&plan, DIGEST, &made), vec![]);
            let billed_ms = made.lives.iter().map(|life| life.end_ms - life.launch_ms).sum();
            prop_assert!(billed_ms <= before_ms, "{} on {} lanes, {} on one fewer", billed_ms, lanes, before_ms);
            before_ms = billed_ms;
        }
    }

    #[test]
    fn the_order_of_tests_and_cells_changes_nothing(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let made = schedule(&plan, DIGEST, &Assumptions::default());
        let other_plan = reordered(&plan, seed);
        prop_assert_eq!(validate(&other_plan), vec![]);
        let other = schedule(&other_plan, DIGEST, &Assumptions::default());
        prop_assert_eq!(made.makespan_ms, other.makespan_ms);
        prop_assert_eq!(by_name(&plan, &made), by_name(&other_plan, &other));
        prop_assert_eq!(summarize(&plan, &made), summarize(&other_plan, &other));
    }

    #[test]
    fn the_same_plan_gives_the_same_bytes(seed: u64, size in size()) {
        let bytes = || to_bytes(&schedule(&any_plan(seed, size), DIGEST, &Assumptions::default()));
        prop_assert_eq!(bytes(), bytes());
    }

    #[test]
    fn any_schedule_at_all_can_be_checked(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let random = &mut Random(seed);
        let mut number = || match random.below(4) {
            0 => random.next(),
            1 => u64::MAX,
            _ => random.below(12) as u64,
        };
        let schedule = Schedule {
            producer: String::new(),
            plan_digest: String::new(),
            lives: (0..number() % 5).map(|_| PlannedLife {
                cell: CellIx(number() as u32),
                machine: MachineIx(number() as u32),
                boot: (number() % 2 == 0).then(|| BootIx(number() as u32)),
                lanes: number() as u32,
                launch_ms: number(),
                pending_ms: number(),
                ready_ms: number(),
                executions: (0..number() % 40).map(|_| PlannedExecution {
                    test: TestIx(number() as u32),
                    lane: number() as u32,
                    start_ms: number(),
                    end_ms: number(),
                    setup: number() % 2 == 0,
                }).collect(),
                end_ms: number(),
            }).collect(),
            makespan_ms: number(),
            defaulted_durations: 0,
        };
        prop_assert!(!check(&plan, DIGEST, &schedule).is_empty());
    }
}
