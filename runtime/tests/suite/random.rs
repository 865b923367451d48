//! Properties of any run: random graphs, effects and conflicts, random faults, stopped at any time.

use std::collections::BTreeMap;
use std::time::Duration;

use dva_plan::Verdict;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{Edge, Effect, Resource, ShapeIx, TestIx};
use dva_plan::schedule::LifeIx;
use dva_plan::step::StepKind;
use dva_plan::together::Together;
use dva_plan::validate::validate;
use dva_runtime::{RunOptions, StopSignal};
use proptest::prelude::*;
use tokio::sync::watch;

use crate::fixture::{PlanBuilder, Ran, options, simulate_with};

/// A run in numbers.
#[derive(Clone, Debug)]
struct Case {
    /// For each test how long it takes, and with each test before it: 0 an edge of `after`, 1 of order.
    tests: Vec<(u64, Vec<u8>)>,
    lanes: u32,
    cells: usize,
    /// Tests and what goes wrong with them.
    test_faults: Vec<(usize, usize)>,
    life_fault: Option<(usize, usize)>,
    stop: Option<(u64, bool)>,
    /// Whether tests reboot their machine whose time is a multiple of four.
    reboots: bool,
    /// What else tests say of themselves: a number for each, which stands for anything.
    says: Option<Vec<u32>>,
}

const TEST_FAULTS: [&str; 5] = [
    "exit = 1",
    "fault = 'hang'",
    "fault = 'drop'",
    "fault = 'reboot'",
    "leaves = ['sleep']",
];
const LIFE_FAULTS: [&str; 7] = [
    "capacity", "quota", "broken", "stuck", "silent", "auth", "host_key",
];

fn cases() -> impl Strategy<Value = Case> {
    let test = |number: usize| (0_u64..20, prop::collection::vec(0_u8..6, number));
    let tests = (1_usize..9).prop_flat_map(move |count| (0..count).map(test).collect::<Vec<_>>());
    (
        tests,
        1_u32..5,
        1_usize..4,
        prop::collection::vec((0_usize..9, 0..TEST_FAULTS.len()), 0..3),
        prop::option::of((0_usize..4, 0..LIFE_FAULTS.len())),
        prop::option::of((0_u64..120, any::<bool>())),
        any::<bool>(),
        prop::option::weighted(0.7, prop::collection::vec(any::<u32>(), 9)),
    )
        .prop_map(
            |(tests, lanes, cells, test_faults, life_fault, stop, reboots, says)| Case {
                tests,
                lanes,
                cells,
                test_faults,
                life_fault,
                stop,
                reboots,
                says,
            },
        )
}

/// The plan of a case, with what tests say of themselves but for the last so many kinds of it.
fn plan_of(case: &Case, without: usize) -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    plan.lanes(case.lanes);
    plan.filesystems((0..case.cells).map(|cell| format!("fs{cell}")));
    for (number, (takes_s, edges)) in case.tests.iter().enumerate() {
        let to = |kind: u8| {
            let edges = edges.iter().enumerate();
            edges
                .filter(move |(_, edge)| **edge == kind)
                .filter_map(|(before, _)| u32::try_from(before).ok().map(TestIx))
        };
        let test = plan.test(&format!("t{number}"), *takes_s, &to(0).collect::<Vec<_>>());
        plan.edit(test).within_ms = 300_000;
        if case.reboots && takes_s % 4 == 0 {
            let reboot = plan.step(StepKind::Reboot, None);
            plan.edit(test).steps.push(reboot);
        }
        for before in to(1) {
            plan.order(test, before);
        }
        if case.says.is_some() && without < 5 {
            for before in to(2) {
                plan.regardless(test, before);
            }
        }
        if case.says.is_some() && without < 4 {
            for before in to(3) {
                plan.conflict(before, test);
            }
        }
    }
    if case.says.is_some() && without < 3 {
        lose_what_is_written(&mut plan, case);
    }
    let state = plan.state("mode");
    let licence = plan.account_state("licence", 1 + case.lanes % 2);
    for (number, says) in case
        .says
        .iter()
        .flatten()
        .take(case.tests.len())
        .enumerate()
    {
        let test = TestIx(u32::try_from(number).unwrap());
        match says % 8 {
            0 if without < 3 => plan.effect(test, Effect::borrows(state)),
            1 if without < 3 => plan.effect(test, Effect::reads(state)),
            2 if without < 3 => plan.effect(test, Effect::borrows(Resource::Machine)),
            3 if without < 2 => plan.effect(test, Effect::reads(Resource::Machine)),
            4 if without < 2 => plan.effect(test, Effect::writes(Resource::Machine)),
            _ => {}
        }
        if without < 3 && says / 4_096 % 3 == 1 {
            plan.effect(test, Effect::borrows(licence));
        }
        plan.edit(test).once = without < 1 && says / 8 % 4 == 0;
    }
    if let Some(says) = &case.says
        && says[0] / 32 % 2 == 0
    {
        let last = plan.test("last", 1, &[]);
        plan.edit(last).last = true;
    }
    plan
}

/// Some tests write a state that reboots lose: no reboot may come before them. No two of them share a life.
fn lose_what_is_written(plan: &mut PlanBuilder, case: &Case) {
    let mount = plan.lost_state("mount");
    let tests = || {
        (0_u32..)
            .map(TestIx)
            .zip(&case.tests)
            .zip(case.says.iter().flatten())
    };
    let reboots = |takes_s: u64| case.reboots && takes_s.is_multiple_of(4);
    let mut writers: Vec<TestIx> = Vec::new();
    for ((test, (takes_s, edges)), says) in tests() {
        // A writer that comes after nothing is in nobody's way.
        let is_first = edges.iter().all(|edge| *edge > 2);
        if reboots(*takes_s) || !is_first || says / 1_024 % 3 != 0 {
            continue;
        }
        plan.effect(test, Effect::writes(mount));
        for other in &writers {
            if edges[other.0 as usize] != 3 {
                plan.conflict(*other, test);
            }
        }
        for ((reboot, (takes_s, edges)), _) in tests() {
            let is_after = edges.get(test.0 as usize).is_some_and(|edge| *edge < 3);
            if reboots(*takes_s) && !is_after {
                plan.order(reboot, test);
            }
        }
        writers.push(test);
    }
}

/// Runs a case. What must be true of every run is checked there.
fn play(case: &Case) -> Ran {
    play_with(case, options())
}

fn play_with(case: &Case, options: RunOptions) -> Ran {
    // Some things said together leave no way to run the tests.
    let plan = (0..=5).find(|without| validate(&plan_of(case, *without).plan()).is_empty());
    let plan = plan_of(case, plan.unwrap()).build();
    let mut script = String::new();
    for (test, fault) in &case.test_faults {
        if *test < case.tests.len() {
            let fault = TEST_FAULTS[*fault];
            script.push_str(&format!("[[test]]\ntest = 't{test}'\n{fault}\n"));
        }
    }
    if let Some((cell, fault)) = case.life_fault
        && cell < case.cells
    {
        let fault = LIFE_FAULTS[fault];
        script.push_str(&format!(
            "[[life]]\ncells = {{ filesystem = 'fs{cell}' }}\nfault = '{fault}'\n"
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (sender, stop) = watch::channel(StopSignal::Run);
        if let Some((seconds, now)) = case.stop {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                sender.send_replace(if now {
                    StopSignal::Now
                } else {
                    StopSignal::Finish
                });
            });
        }
        let options = RunOptions { stop, ..options };
        simulate_with(&plan, &script, options).await
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// The fold and the fixture refuse what must not be; here it is enough to get to the end.
    #[test]
    fn any_run_ends_with_every_verdict_and_no_machine(case in cases()) {
        play(&case);
    }

    /// What tests demand of each other on a life, told from the times of the report alone.
    #[test]
    fn what_tests_demand_of_each_other_holds_in_time(case in cases()) {
        let ran = play(&case);
        let exclusions = Exclusions::of(&ran.plan);
        let together = Together::of(&ran.plan, &ran.plan.shapes[ShapeIx(0)]);
        let mut by_life: BTreeMap<LifeIx, Vec<(TestIx, u64, u64)>> = BTreeMap::new();
        for run in &ran.report().test_runs {
            let test = ran.plan.tests.enumerate().find(|(_, test)| test.id == run.test).unwrap().0;
            for execution in &run.executions {
                let planned = &ran.schedule.lives[execution.life].executions;
                let planned = planned.iter().find(|planned| planned.test == test).unwrap();
                prop_assert_eq!(execution.setup, planned.setup);
                let times = (test, execution.start_ms, execution.end_ms);
                by_life.entry(execution.life).or_default().push(times);
            }
            // A setup alone says nothing of a test.
            if matches!(run.verdict, Verdict::Passed | Verdict::Failed { .. }) {
                prop_assert!(run.executions.iter().any(|execution| !execution.setup));
            }
        }
        for executions in by_life.values() {
            for (one, start_ms, end_ms) in executions {
                for (other, other_start_ms, other_end_ms) in executions {
                    if one == other {
                        continue;
                    }
                    if exclusions.exclude(*one, *other) {
                        prop_assert!(start_ms >= other_end_ms || other_start_ms >= end_ms);
                    }
                    let edge = Edge { test: *one, after: *other };
                    if together.needs(*one).contains(other) || together.order().contains(&edge) {
                        prop_assert!(start_ms >= other_end_ms);
                    }
                }
            }
        }
    }

    /// With a lane for each test, one starts at the very moment the last of what it waits for is over.
    #[test]
    fn a_test_with_a_lane_waits_for_nothing_else(mut case in cases()) {
        case.stop = None;
        case.reboots = false;
        case.says = None;
        case.lanes = 9;
        let ran = play(&case);
        for cell in 0..case.cells {
            let filesystem = format!("fs{cell}");
            let times: BTreeMap<usize, (u64, u64)> = (0..case.tests.len())
                .filter_map(|number| {
                    let run = ran.of(&filesystem, &format!("t{number}"));
                    let execution = run.executions.first()?;
                    Some((number, (execution.start_ms, execution.end_ms)))
                })
                .collect();
            // A test that never ran is over when what blocked it is, which may be any of its ancestors;
            // so only tests are looked at whose predecessors have all run.
            for (number, (_, edges)) in case.tests.iter().enumerate() {
                let before: Vec<usize> = (0..number).filter(|before| edges[*before] < 2).collect();
                let Some((start, _)) = times.get(&number) else { continue };
                if before.iter().all(|before| times.contains_key(before)) {
                    let over = before.iter().map(|before| times[before].1).max().unwrap_or(30_000);
                    prop_assert_eq!(*start, over);
                }
            }
        }
    }

    /// Where nothing goes wrong, everything runs where and when the schedule foresaw.
    #[test]
    fn a_run_without_faults_is_its_schedule(mut case in cases()) {
        case.stop = None;
        case.life_fault = None;
        case.test_faults.clear();
        // Nothing waits for another machine, whose tests may end at the very instant it is ready.
        for says in case.says.iter_mut().flatten() {
            *says %= 4_096;
        }
        // Tests that end at one instant are handled one after the other, so what is started first may
        // differ; powers of two make that rare enough to be left out.
        for (number, (takes_s, _)) in case.tests.iter_mut().enumerate() {
            *takes_s = 1 << number;
        }
        let ran = play(&case);
        for run in &ran.report().test_runs {
            let test = ran.plan.tests.enumerate().find(|(_, test)| test.id == run.test).unwrap().0;
            for execution in &run.executions {
                let planned = &ran.schedule.lives[execution.life].executions;
                let planned = planned.iter().find(|planned| planned.test == test).unwrap();
                let times = (execution.start_ms, execution.end_ms);
                prop_assert_eq!(times, (planned.start_ms, planned.end_ms));
            }
        }
    }

    /// A failure stays in its cell.
    /// Unless it waits while too many machines of its type do not come up.
    #[test]
    fn a_cell_without_faults_passes(mut case in cases()) {
        case.stop = None;
        case.test_faults.clear();
        case.cells = 3;
        let ran = play_with(&case, RunOptions { breaker: None, ..options() });
        let faulty = case.life_fault.map(|(cell, _)| format!("fs{cell}"));
        for run in &ran.report().test_runs {
            let passes = run.verdict == Verdict::Passed;
            prop_assert_eq!(passes, Some(&run.axes["filesystem"]) != faulty.as_ref());
        }
    }
}

/// On several threads and real time, messages cross in ways that a paused clock never shows. All is
/// quick here, so nothing has to be waited for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_change_nothing() {
    for round in 0_u64..150 {
        let mut plan = PlanBuilder::new();
        let a = plan.test("a", 0, &[]);
        let b = plan.test("b", 0, &[a]);
        plan.test("c", 0, &[a]);
        plan.test("d", 0, &[b]);
        plan.filesystems(["fs0", "fs1", "fs2", "fs3"]);
        let script = match round % 5 {
            0 => "boot = '0s'\n",
            1 => "boot = '1ms'\n[[test]]\ntest = 'b'\nfault = 'reboot'\n",
            2 => "boot = '0s'\n[[test]]\ntest = 'b'\nexit = 1\n",
            3 => "boot = '1ms'\n[[life]]\ncells = { filesystem = 'fs1' }\nfault = 'host_key'\n",
            _ => "boot = '2ms'\n[[life]]\ncells = { filesystem = 'fs2' }\nfault = 'broken'\n",
        };
        let (sender, stop) = watch::channel(StopSignal::Run);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_micros(round * 40)).await;
            sender.send_replace(if round % 2 == 0 {
                StopSignal::Now
            } else {
                StopSignal::Finish
            });
        });
        let options = RunOptions { stop, ..options() };
        simulate_with(&plan.build(), script, options).await;
    }
}
