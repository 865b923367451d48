//! What a plan says of its runs: waivers, limits, gates, setup, markets, retries.

use dva_plan::exit::ExitCode;
use dva_plan::expr::{CellFact, Comparison, MachineFact, Node};
use dva_plan::plan::{Boot, BootMode, Effect, Gate, Limits, Setup, TestIx, Waiver};
use dva_plan::quote::Market;
use dva_plan::table::Table;
use dva_plan::{Value, Verdict};
use dva_runtime::state::IllegalKind;
use dva_runtime::{Event, Record, RunOptions, SimBackend, SimScript, WallTime, refusals};
use std::sync::Arc;

use crate::fixture::{PlanBuilder, Ran, map, options, schedule_of, simulate, simulate_with};

/// The run of the fixture is on 2026-11-23.
fn waiver(tests: &[TestIx], until: Option<&str>) -> Waiver {
    Waiver {
        tests: tests.to_vec(),
        condition: None,
        because: "BZ 1234567".into(),
        until: until.map(str::to_owned),
    }
}

const MEMORY_FAILS: &str = "[[test]]\ntest = 'memory'\nexit = 1\n";

/// `rebooted` is after `memory`, `late` after that; `other` is alone.
fn chain() -> (PlanBuilder, TestIx) {
    let mut plan = PlanBuilder::new();
    let memory = plan.test("memory", 1, &[]);
    let rebooted = plan.test("rebooted", 1, &[memory]);
    plan.test("late", 1, &[rebooted]);
    plan.test("other", 1, &[]);
    (plan, memory)
}

#[tokio::test(start_paused = true)]
async fn a_waived_failure_does_not_count_nor_does_what_it_blocks() {
    let (mut plan, memory) = chain();
    plan.policy.waivers = vec![waiver(&[memory], Some("2026-11-23"))];
    let ran = simulate(&plan.build(), MEMORY_FAILS).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("memory", "waived (failed)"),
            ("rebooted", "waived (by memory)"),
            ("late", "waived (by memory)"),
            ("other", "passed"),
        ])
    );
    assert_eq!(ran.report().exit, ExitCode::Ok);
    // It ran, and its report says both why it is forgiven and what happened.
    let memory = ran.test("memory");
    assert_eq!(memory.executions.len(), 1);
    let message = &memory.message;
    assert!(
        message.starts_with("Waived until 2026-11-23: BZ 1234567. "),
        "{message}"
    );
    assert!(message.contains("exit is 1"), "{message}");
    assert_eq!(
        ran.report().warnings,
        ["The waiver of memory holds until 2026-11-23, then its failures count: BZ 1234567."]
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiver_that_is_over_forgives_nothing() {
    let (mut plan, memory) = chain();
    plan.policy.waivers = vec![waiver(&[memory], Some("2026-11-22"))];
    let ran = simulate(&plan.build(), MEMORY_FAILS).await;
    assert_eq!(ran.test("memory").verdict.to_string(), "failed (expect)");
    assert_eq!(ran.test("late").verdict.to_string(), "blocked by memory");
    let message = &ran.test("memory").message;
    let end = "It was waived until 2026-11-22: BZ 1234567.";
    assert!(message.ends_with(end), "{message}");
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
    assert!(ran.report().warnings.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_waiver_is_warned_of_a_week_before_its_end() {
    for (until, warned) in [("2026-11-30", true), ("2026-12-01", false)] {
        let (mut plan, memory) = chain();
        plan.policy.waivers = vec![waiver(&[memory], Some(until))];
        let ran = simulate(&plan.build(), "").await;
        assert_eq!(!ran.report().warnings.is_empty(), warned, "{until}");
        assert_eq!(ran.test("memory").verdict, Verdict::Passed);
    }
    // One that still holds goes before one that is over, wherever it stands.
    for turned in [false, true] {
        let (mut plan, memory) = chain();
        let over = waiver(&[memory], Some("2020-01-01"));
        plan.policy.waivers = vec![over, waiver(&[memory], None)];
        if turned {
            plan.policy.waivers.reverse();
        }
        let ran = simulate(&plan.build(), MEMORY_FAILS).await;
        assert_eq!(ran.test("memory").verdict.to_string(), "waived (failed)");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiver_is_for_the_cells_that_its_condition_names() {
    let (mut plan, memory) = chain();
    plan.filesystems(["xfs", "ext4"]);
    let of_xfs = Node::Cell(CellFact::Axis("filesystem".into()));
    let of_xfs = plan.compare(of_xfs, Comparison::Equal, Value::Name("xfs".into()));
    let small = Node::Machine(MachineFact::Memory);
    let small = plan.compare(small, Comparison::Less, Value::Bytes(1 << 30));
    let both = plan.expressions.add(Node::And(of_xfs, small));
    let mut of_both = waiver(&[memory], None);
    of_both.condition = Some(both);
    plan.policy.waivers = vec![of_both];
    let ran = simulate(&plan.build(), MEMORY_FAILS).await;
    assert_eq!(
        ran.of("xfs", "memory").verdict.to_string(),
        "waived (failed)"
    );
    assert_eq!(
        ran.of("ext4", "memory").verdict.to_string(),
        "failed (expect)"
    );
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
}

#[tokio::test(start_paused = true)]
async fn trouble_of_the_machine_is_not_waived() {
    let (mut plan, memory) = chain();
    plan.policy.waivers = vec![waiver(&[memory], None)];
    let ran = simulate(&plan.build(), "[[life]]\nfault = 'auth'\n").await;
    assert_eq!(ran.test("memory").verdict.to_string(), "errored (ssh.auth)");
    assert_eq!(ran.report().exit, ExitCode::Infrastructure);
}

fn limits(limits: Limits) -> (PlanBuilder, Vec<TestIx>) {
    let mut plan = PlanBuilder::new();
    plan.policy.limits = limits;
    plan.lanes(1);
    let tests = ["a", "b", "c"].map(|name| plan.test(name, 10, &[]));
    (plan, tests.to_vec())
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_its_time_is_over() {
    let (plan, _) = limits(Limits {
        elapsed_ms: Some(45_000),
        ..Limits::default()
    });
    let ran = simulate(&plan.build(), "").await;
    // 30 s of boot, 10 s of the first, 5 s of the second.
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("a", "passed"),
            ("b", "blocked (limit)"),
            ("c", "blocked (limit)"),
        ])
    );
    assert_eq!(ran.report().exit, ExitCode::Limit);
    assert!(ran.machines.live().is_empty());
    assert!((45_000..60_000).contains(&ran.report().duration_ms));
    assert_eq!(ran.test("b").executions.len(), 1);
    assert!(
        ran.test("c").message.contains("45s"),
        "{}",
        ran.test("c").message
    );
    // What is done in time is not touched.
    let (plan, _) = limits(Limits {
        elapsed_ms: Some(60_000),
        ..Limits::default()
    });
    assert_eq!(
        simulate(&plan.build(), "").await.report().exit,
        ExitCode::Ok
    );
    // Not even a boot can end.
    let (plan, _) = limits(Limits {
        elapsed_ms: Some(1),
        ..Limits::default()
    });
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(ran.report().exit, ExitCode::Limit);
    assert_eq!(ran.report().duration_ms, 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_no_more_machines_than_the_plan_allows() {
    for machines in 1..=4 {
        let (mut plan, _) = limits(Limits {
            machines: Some(machines),
            ..Limits::default()
        });
        plan.filesystems(["a", "b", "c", "d"]);
        let ran = simulate(&plan.build(), "").await;
        assert_eq!(ran.report().exit, ExitCode::Ok);
        assert_eq!(ran.most_lives_at_once(), machines as usize);
        // As the schedule had foreseen it.
        assert_eq!(ran.report().duration_ms, ran.schedule.makespan_ms);
        assert_eq!(
            ran.schedule.makespan_ms,
            60_000 * 4_u64.div_ceil(machines.into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_ends_early_makes_room_at_once() {
    let (mut plan, _) = limits(Limits {
        machines: Some(1),
        ..Limits::default()
    });
    plan.filesystems(["a", "b"]);
    let script = "[[life]]\ncells = { filesystem = 'a' }\nfault = 'capacity'\n";
    let ran = simulate(&plan.build(), script).await;
    assert!(ran.report().duration_ms < ran.schedule.makespan_ms);
    assert_eq!(ran.of("b", "c").verdict, Verdict::Passed);
}

/// Cells `a` and `b` of `smoke`, then `c` of `release`, then `d` of `full`.
fn gated() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    plan.test("boots", 10, &[]);
    plan.filesystems(["d", "c", "b", "a"]);
    for (cell, matrix) in [
        ("a", "smoke"),
        ("b", "smoke"),
        ("c", "release"),
        ("d", "full"),
    ] {
        plan.matrices.insert(cell.into(), matrix.into());
    }
    let gate = |first: &str, then: &str| Gate {
        first: first.into(),
        then: then.into(),
    };
    plan.policy.gates = vec![gate("release", "full"), gate("smoke", "release")];
    plan
}

#[tokio::test(start_paused = true)]
async fn cells_behind_a_gate_wait_for_those_before_it() {
    let ran = simulate(&gated().build(), "").await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    let launches: Vec<_> = ran
        .report()
        .lives
        .iter()
        .map(|life| life.launch_ms)
        .collect();
    assert_eq!(launches, [0, 0, 40_000, 80_000]);
    assert_eq!(ran.report().duration_ms, ran.schedule.makespan_ms);
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_fails_shuts_its_gate_and_those_behind() {
    let script = "[[test]]\ntest = 'boots'\ncells = { filesystem = 'b' }\nexit = 1\n";
    let ran = simulate(&gated().build(), script).await;
    assert_eq!(ran.of("a", "boots").verdict, Verdict::Passed);
    let verdict = |cell| ran.of(cell, "boots").verdict.to_string();
    assert_eq!(verdict("c"), "blocked (gate smoke)");
    assert_eq!(verdict("d"), "blocked (gate release)");
    let message = &ran.of("c", "boots").message;
    let why = "boots in filesystem=b matrix=smoke was failed (expect)";
    assert!(message.contains(why), "{message}");
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
    assert_eq!(ran.report().duration_ms, 40_000);
    let launched = |record: &&Record| matches!(record.event, Event::LifeLaunching { .. });
    assert_eq!(ran.records.iter().filter(launched).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn trouble_shuts_a_gate_and_a_waiver_opens_it() {
    let script = "[[life]]\ncells = { filesystem = 'b' }\nfault = 'capacity'\n";
    let ran = simulate(&gated().build(), script).await;
    assert_eq!(
        ran.of("d", "boots").verdict.to_string(),
        "blocked (gate release)"
    );
    assert_eq!(ran.report().exit, ExitCode::Infrastructure);

    let script = "[[test]]\ntest = 'boots'\ncells = { filesystem = 'b' }\nexit = 1\n";
    let mut plan = gated();
    plan.policy.waivers = vec![waiver(&[TestIx(0)], None)];
    let ran = simulate(&plan.build(), script).await;
    assert_eq!(ran.of("b", "boots").verdict.to_string(), "waived (failed)");
    assert_eq!(ran.of("d", "boots").verdict, Verdict::Passed);
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_journal_in_which_a_life_passes_a_closed_gate_is_refused() {
    let plan = gated().build();
    let ran = simulate(&plan, "").await;
    let schedule = Arc::new(ran.schedule.clone());
    let mut state = dva_runtime::RunState::new(Arc::clone(&ran.plan), schedule);
    state.apply(&ran.records[0]).expect("the run starts");
    let mut early = ran.records[1].clone();
    if let Event::LifeLaunching { life, .. } = &mut early.event {
        *life = ran
            .schedule
            .lives
            .indices()
            .last()
            .expect("there are lives");
    }
    let error = state.apply(&early).expect_err("it is behind a gate");
    assert_eq!(error.kind, IllegalKind::Gate);
}

/// A setup of two commands.
fn with_setup() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    plan.test("a", 1, &[]);
    plan.test("b", 1, &[]);
    let succeeds = plan.exits(0);
    plan.setup = Some(Setup {
        within_ms: 600_000,
        needs: Vec::new(),
        slots: Table::new(),
        steps: vec![
            plan.run("prepare", Some(succeeds), None),
            plan.run("settle", Some(succeeds), None),
        ],
    });
    plan
}

#[tokio::test(start_paused = true)]
async fn a_setup_runs_once_a_life_as_a_part_of_its_boot() {
    let script = "[[test]]\ntest = '@setup'\ntakes = '5s'\n";
    let ran = simulate(&with_setup().build(), script).await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    let life = &ran.report().lives[dva_plan::schedule::LifeIx(0)];
    assert_eq!(life.ready_ms, Some(35_000));
    let commands: Vec<_> = life
        .setup
        .iter()
        .map(|step| step.command.as_deref())
        .collect();
    assert_eq!(commands, [Some("prepare"), Some("settle")]);
    assert_eq!(ran.report().test_runs.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_fails_is_an_error_of_all_tests_of_its_life() {
    let mut plan = with_setup();
    plan.filesystems(["xfs", "ext4"]);
    let script = "[[test]]\ntest = '@setup'\nrun = 1\ncells = { filesystem = 'xfs' }\nexit = 3\n";
    let ran = simulate(&plan.build(), script).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("a", "errored (setup)"), ("b", "errored (setup)")])
    );
    assert_eq!(
        ran.verdicts("ext4"),
        map(&[("a", "passed"), ("b", "passed")])
    );
    let message = &ran.test("a").message;
    assert!(
        message.starts_with("The setup of the plan did not pass: "),
        "{message}"
    );
    assert!(message.contains("exit is 3"), "{message}");
    assert_eq!(ran.report().exit, ExitCode::Infrastructure);
    let mut lives = ran.report().lives.iter();
    assert!(lives.any(|life| life.setup.len() == 2 && life.ready_ms.is_none()));
}

#[tokio::test(start_paused = true)]
async fn a_setup_has_its_limit_and_can_be_stopped() {
    let mut plan = with_setup();
    if let Some(setup) = &mut plan.setup {
        setup.within_ms = 7_000;
    }
    let hang = "[[test]]\ntest = '@setup'\nfault = 'hang'\n";
    let ran = simulate(&plan.build(), hang).await;
    assert_eq!(ran.test("a").verdict.to_string(), "errored (setup)");
    assert!(ran.report().duration_ms < 60_000);

    let mut plan = with_setup();
    plan.policy.limits.elapsed_ms = Some(40_000);
    let ran = simulate(&plan.build(), hang).await;
    assert_eq!(ran.report().exit, ExitCode::Limit);
    assert!(ran.machines.live().is_empty());

    let lost = "[[test]]\ntest = '@setup'\nfault = 'drop'\n";
    let ran = simulate(&with_setup().build(), lost).await;
    assert_eq!(ran.test("a").verdict.to_string(), "errored (ssh.lost)");
}

#[tokio::test(start_paused = true)]
async fn tests_of_two_boots_run_on_two_lives() {
    let mut plan = PlanBuilder::new();
    let prepared = plan.test("prepared", 1, &[]);
    let left = plan.test("left", 1, &[prepared]);
    let right = plan.test("right", 1, &[prepared]);
    plan.test("plain", 1, &[]);
    for (name, test, mode) in [("a", left, BootMode::Uefi), ("b", right, BootMode::Bios)] {
        let boot = plan.boots.push(Boot {
            name: name.into(),
            user_data: None,
            mode: Some(mode),
            root_bytes: Some(15 << 30),
        });
        plan.edit(test).boot = Some(boot);
    }
    plan.conflict(left, right);
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    let boots: Vec<_> = ran.schedule.lives.iter().map(|life| life.boot).collect();
    assert_eq!(boots.len(), 2);
    assert_ne!(boots[0], boots[1]);
}

#[test]
fn what_cannot_be_had_is_refused_with_its_reason() {
    let mut plan = PlanBuilder::new();
    let test = plan.test("a", 1, &[]);
    plan.edit(test).retry = 2;
    plan.policy.market = vec![Market::Spot];
    let plan = plan.build().body;
    let backend = SimBackend::observed(Arc::new(plan.clone()), SimScript::default()).0;
    let found = refusals(&plan, backend.provider.as_ref());
    // The simulator sells spot machines, and tests may be tried again.
    assert_eq!(found, Vec::<String>::new());
}

/// The clock of a waiver is that of the run's options.
#[tokio::test(start_paused = true)]
async fn the_day_of_a_run_is_that_of_its_start() {
    for (unix_ms, verdict) in [
        (1_795_478_399_999, "waived (failed)"),
        (1_795_478_400_000, "failed (expect)"),
    ] {
        let (mut plan, memory) = chain();
        plan.policy.waivers = vec![waiver(&[memory], Some("2026-11-23"))];
        let plan = plan.build();
        let _ = schedule_of(&plan, &SimScript::default());
        let options = RunOptions::new(options().run, WallTime::from_unix_ms(unix_ms));
        let ran = simulate_with(&plan, MEMORY_FAILS, options).await;
        assert_eq!(ran.test("memory").verdict.to_string(), verdict);
    }
}

/// When each execution of `test` ran, first ones first.
fn times_of(ran: &Ran, test: &str) -> Vec<(u64, u64)> {
    let runs = ran.report().test_runs.iter();
    let mut times: Vec<_> = runs
        .filter(|run| run.test.as_str() == test)
        .flat_map(|run| &run.executions)
        .map(|execution| (execution.start_ms, execution.end_ms))
        .collect();
    times.sort_unstable();
    times
}

#[tokio::test(start_paused = true)]
async fn no_more_machines_than_may_use_a_state_of_the_account() {
    for machines in [None, Some(4)] {
        let mut plan = PlanBuilder::new();
        plan.filesystems(["fs0", "fs1", "fs2", "fs3"]);
        plan.policy.limits.machines = machines;
        let licence = plan.account_state("licence", 2);
        let first = plan.test("first", 5, &[]);
        let licensed = plan.test("licensed", 10, &[first]);
        plan.effect(licensed, Effect::borrows(licence));
        let ran = simulate(&plan.build(), "").await;
        assert_eq!(ran.report().exit, ExitCode::Ok);
        let times = times_of(&ran, "licensed");
        assert_eq!(times.len(), 4);
        assert_eq!(times[0], times[1]);
        // Where lives are launched as soon as they may be, it is the tests that wait.
        assert_eq!(times[2].0, times[1].1);
        assert_eq!(times[2], times[3]);
        let waits = machines.is_some();
        assert_eq!(times_of(&ran, "first")[3].0 == 30_000, waits);
    }
}
