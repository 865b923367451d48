//! The limit on cost: whatever hangs or dies, what all machines cost until they are gone stays within it.

use std::sync::Arc;
use std::time::Duration;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_plan::exit::ExitCode;
use dva_plan::money::Money;
use dva_plan::plan::MachineIx;
use dva_plan::quote::{LineKind, Market, OsClass, Quality, Quote, QuoteLine, Rate};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::table::Index;
use dva_plan::{ExecutionPlan, Schedule};
use dva_runtime::journal::MemoryJournal;
use dva_runtime::sim::SimMachines;
use dva_runtime::{Event, Keep, RunOptions, SimBackend, SimScript, resume, run};
use dva_schedule::{cost, cost_within};
use proptest::prelude::*;
use tokio::time::{sleep, timeout};

use crate::fixture::{PlanBuilder, Ran, map, options, options_again, schedule_of, simulate_with};

/// $3.60 an hour: a thousandth of a dollar a second. Disks and addresses cost nothing.
pub fn quote() -> Quote {
    quote_of(100)
}

/// So many percent of that.
pub fn quote_of(percent: i64) -> Quote {
    let line = |kind, nano_usd| {
        let rate = Rate {
            nano_usd: Money::from_nano_usd(nano_usd),
            quality: Quality::Exact,
            source: "a test".into(),
            as_of: "2026-11-23".into(),
        };
        QuoteLine::new(kind, OsClass::Linux, rate)
    };
    Quote {
        market: Market::OnDemand,
        os: OsClass::Linux,
        lines: vec![
            line(LineKind::Compute, 36_000_000 * percent),
            line(LineKind::Disk, 0),
            line(LineKind::Ipv4, 0),
        ],
    }
}

/// So many machines with two tests of 35 s each, so that each is expected to be there for 100 s.
fn plan(machines: usize) -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    plan.quote = Some(quote());
    plan.lanes(1);
    let a = plan.test("a", 35, &[]);
    plan.test("b", 35, &[a]);
    plan.filesystems((0..machines).map(|number| format!("fs{number}")));
    plan.build()
}

/// The same, where machines of these prices will do as well.
fn with_candidates(plan: Loaded<ExecutionPlan>, percents: &[i64]) -> Loaded<ExecutionPlan> {
    let mut plan = plan.body;
    for percent in percents {
        let mut machine = plan.machines[MachineIx(0)].clone();
        machine.r#type = format!("local.of{percent}");
        machine.quote = Some(quote_of(*percent));
        let machine = plan.machines.push(machine);
        for cell in plan.cells.indices().collect::<Vec<_>>() {
            plan.cells[cell].candidates.push(machine);
        }
    }
    read(to_bytes(&plan).as_slice()).unwrap()
}

fn dollars(thousandths: i64) -> Money {
    Money::from_nano_usd(thousandths * 1_000_000)
}

fn capped(thousandths: i64) -> RunOptions {
    RunOptions {
        max_cost: Some(dollars(thousandths)),
        ..options()
    }
}

/// What each life may cost until its machine ends itself, from its launch.
fn timers(ran: &Ran) -> Vec<u64> {
    let events = ran.records.iter().map(|record| &record.event);
    let timers = events.filter_map(|event| match event {
        Event::LifeLaunching { within_ms, .. } => *within_ms,
        _ => None,
    });
    timers.collect()
}

#[tokio::test(start_paused = true)]
async fn where_there_is_plenty_all_machines_may_last_as_long_as_they_can() {
    let plan = plan(3);
    let unlimited = simulate_with(&plan, "", options()).await;
    assert_eq!(timers(&unlimited), Vec::<u64>::new());
    let ran = simulate_with(&plan, "", capped(1_000_000)).await;
    let worst = timers(&ran);
    assert_eq!(worst.len(), 3);
    // Starting and ending the machine, two tests of up to 10 min and their `finally`: hours are no wonder.
    assert!(worst.iter().all(|ms| *ms > 2 * 600_000), "{worst:?}");
    assert_eq!(ran.report().exit, ExitCode::Ok);
    assert_eq!(ran.most_lives_at_once(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_limit_above_what_is_expected_is_divided() {
    let ran = simulate_with(&plan(4), "", capped(800)).await;
    assert_eq!(timers(&ran), vec![200_000; 4]);
    assert_eq!(ran.most_lives_at_once(), 4);
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_limit_near_what_is_expected_makes_machines_wait_for_each_other() {
    let ran = simulate_with(&plan(4), "", capped(401)).await;
    // Two at first, with half as much again as they are expected to need; then one by one.
    assert_eq!(timers(&ran), vec![150_000, 150_000, 150_000, 101_000]);
    assert_eq!(ran.most_lives_at_once(), 2);
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn what_is_used_up_by_slow_machines_is_missing_at_the_end() {
    // The first machine boots so slowly that nothing comes of it, and costs more than was expected.
    let script = "[[life]]\ncells = { filesystem = 'fs0' }\nboot = '10min'\n";
    let ran = simulate_with(&plan(3), script, capped(320)).await;
    let blocked = "blocked (limit)";
    let passed = map(&[("a", "passed"), ("b", "passed")]);
    assert_eq!(ran.verdicts("fs0"), map(&[("a", blocked), ("b", blocked)]));
    assert_eq!(ran.verdicts("fs1"), passed);
    assert_eq!(ran.verdicts("fs2"), map(&[("a", blocked), ("b", blocked)]));
    assert_eq!(
        ran.of("fs0", "a").message,
        "It was ended in time for its cost: what was left to spend pays for 150s of this machine."
    );
    assert_eq!(
        ran.of("fs2", "a").message,
        "Its machine is expected to cost $0.10, and $0.095 of the $0.32 that the run may cost was left."
    );
    assert_eq!(ran.report().exit, ExitCode::Limit);
    assert!(ran.outcome.machines_left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_test_that_is_cut_short_for_money_is_blocked_by_the_limit() {
    let script = "[[test]]\ntest = 'b'\nfault = 'hang'\n";
    let ran = simulate_with(&plan(1), script, capped(200)).await;
    assert_eq!(
        ran.verdicts("fs0"),
        map(&[("a", "passed"), ("b", "blocked (limit)")])
    );
    let (_, end_ms) = {
        let execution = &ran.of("fs0", "b").executions[0];
        (execution.start_ms, execution.end_ms)
    };
    assert!(end_ms <= 200_000, "{end_ms}");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_what_is_expected_is_just_enough_or_too_little_by_a_moment() {
    for machines in 1..=4 {
        let limit = 100 * i64::try_from(machines).unwrap();
        let ran = simulate_with(&plan(machines), "", capped(limit)).await;
        for run in &ran.report().test_runs {
            let verdict = run.verdict.to_string();
            assert!(
                ["passed", "blocked (limit)"].contains(&verdict.as_str()),
                "{verdict}"
            );
        }
        let exit = ran.report().exit;
        assert!([ExitCode::Ok, ExitCode::Limit].contains(&exit), "{exit:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_made_up_for_by_a_try_that_nobody_pays_for() {
    let mut plan = PlanBuilder::new();
    plan.quote = Some(quote());
    let a = plan.test("a", 70, &[]);
    plan.edit(a).retry = 1;
    let plan = plan.build();
    let script = "[[test]]\ntest = 'a'\nexit = 1\n";
    let ran = simulate_with(
        &plan,
        script,
        RunOptions {
            after_loss: 1,
            ..capped(150)
        },
    )
    .await;
    assert_eq!(ran.verdicts("xfs"), map(&[("a", "failed (expect)")]));
    let blocked = |event: &Event| matches!(event, Event::LifeBlocked { .. });
    assert_eq!(ran.places(blocked).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_nobody_can_pay_for_is_not_kept() {
    let keep = |thousandths| RunOptions {
        keep: Keep::Always,
        keep_for: Duration::from_secs(1_000),
        ..capped(thousandths)
    };
    let ran = simulate_with(&plan(1), "", keep(1_100)).await;
    assert_eq!(ran.outcome.kept.len(), 1);
    let ran = simulate_with(&plan(1), "", keep(1_099)).await;
    assert_eq!(ran.outcome.kept.len(), 0);
    assert!(ran.machines.live().is_empty());
}

/// What all machines of a simulator have cost once nobody has minded them for long.
async fn cost_in_the_end(
    plan: &Loaded<ExecutionPlan>,
    schedule: &Schedule,
    machines: &SimMachines,
) -> Money {
    sleep(Duration::from_secs(30 * 86_400)).await;
    assert_eq!(machines.live(), Vec::<String>::new());
    let costs = machines.spans().into_iter().map(|span| {
        let alive = span.ended.expect("it is gone").duration_since(span.started);
        let alive_ms = u64::try_from(alive.as_millis()).unwrap();
        let machines = &plan.body.machines;
        let machine = machines.iter().position(|machine| *machine == span.machine);
        let life = PlannedLife {
            machine: MachineIx::from_row(machine.expect("it is of the plan")),
            ..schedule.lives[LifeIx(0)].clone()
        };
        let cost = cost_within(&plan.body, &life, alive_ms);
        cost.unwrap().expect("it has a price")
    });
    Money::checked_sum(costs).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Machines hang and die, the provider fails, and the controller dies at any moment: all machines together
    /// have cost no more than they might when the last of them has ended itself.
    #[test]
    fn no_hang_and_no_death_costs_more_than_the_limit(
        machines in 1..6_usize,
        percent in prop_oneof![Just(100), 100..400_i64],
        seed in any::<u64>(),
        permille in 0..600_u32,
        spread in prop::sample::select(vec!["0", "0.8"]),
        dies_after_s in 0..4_000_u64,
        retry in 0..3_u32,
        resumes in any::<bool>(),
        candidates in prop::sample::subsequence(vec![100, 105, 120, 300], 0..=4),
        scarce in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let plan = with_candidates(plan(machines), &candidates);
            let lacks = "[[life]]\ntype = 'local.small'\nfault = 'capacity'\n";
            let lacks = if scarce { lacks } else { "" };
            let script = format!("spread = {spread}\n{lacks}");
            let script = SimScript::parse(&script, &plan.body).unwrap();
            let script = script.with_faults(seed, permille);
            let schedule = schedule_of(&plan, &script);
            let expected = cost(&plan.body, &schedule).unwrap().bill.total().nano_usd();
            let limit = Money::from_nano_usd(expected * percent / 100);
            let (backend, machines) =
                SimBackend::observed(Arc::new(plan.body.clone()), script);
            let options = RunOptions {
                max_cost: Some(limit),
                after_loss: retry,
                ..options_again()
            };
            let journal = MemoryJournal::default();
            let options = RunOptions { journal: Box::new(journal.clone()), ..options };
            let first = run(&plan, schedule.clone(), backend.clone(), options);
            let over = timeout(Duration::from_secs(dies_after_s), first).await.is_ok();
            let records = journal.records();
            if !over && resumes && !records.is_empty() {
                let started = options_again().started.plus_ms(dies_after_s * 1_000);
                let options = RunOptions {
                    started,
                    max_cost: Some(limit),
                    after_loss: retry,
                    ..options_again()
                };
                let resumed = resume(&plan, schedule.clone(), &records, backend, options);
                let limit = Duration::from_secs(30 * 86_400);
                timeout(limit, resumed).await.expect("it ends").unwrap();
            }
            let spent = cost_in_the_end(&plan, &schedule, &machines).await;
            assert!(spent <= limit, "{spent} is more than {limit}");
        });
    }
}
