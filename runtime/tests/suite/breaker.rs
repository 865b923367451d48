//! Machines of one type that do not come up, and images of which too much fails: no more of them are started,
//! and whoever takes over knows it.

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_plan::exit::ExitCode;
use dva_plan::plan::{Image, ImageIx, Limits, MachineIx};
use dva_plan::schedule::LifeIx;
use dva_plan::{ExecutionPlan, FailureClass};
use dva_runtime::event::{LifeTrouble, StopCause, Stopping};
use dva_runtime::journal::MemoryJournal;
use dva_runtime::state::IllegalKind;
use dva_runtime::{Event, Record, RunOptions, RunState, SimBackend, SimScript, resume};

use crate::fixture::{PlanBuilder, Ran, options, options_again, schedule_of, simulate_with};

const FILESYSTEMS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Six cells of one test, one machine at a time; `e` and `f` have a type of their own where that is said.
fn plan(two_types: bool) -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    plan.test("t", 10, &[]);
    plan.filesystems(FILESYSTEMS);
    plan.policy.limits = Limits {
        machines: Some(1),
        ..Limits::default()
    };
    let mut plan = plan.plan();
    if two_types {
        let mut machine = plan.machines[MachineIx(0)].clone();
        machine.r#type = "local.large".into();
        let large = plan.machines.push(machine);
        for cell in plan.cells.indices().skip(4).collect::<Vec<_>>() {
            plan.cells[cell].candidates = vec![large];
        }
    }
    read(to_bytes(&plan).as_slice()).unwrap()
}

fn verdicts(ran: &Ran) -> String {
    let of = FILESYSTEMS.map(|filesystem| ran.of(filesystem, "t").verdict.to_string());
    of.join(", ")
}

fn launches(records: &[Record]) -> usize {
    let launching = |record: &&Record| matches!(record.event, Event::LifeLaunching { .. });
    records.iter().filter(launching).count()
}

/// A fault of the lives of these cells.
fn faults(fault: &str, filesystems: &[&str]) -> String {
    let of = |filesystem: &&str| {
        format!("[[life]]\ncells = {{ filesystem = '{filesystem}' }}\nfault = '{fault}'\n")
    };
    filesystems.iter().map(of).collect()
}

#[tokio::test(start_paused = true)]
async fn after_three_in_a_row_no_more_of_a_type_are_launched() {
    let all = faults("capacity", &FILESYSTEMS);
    for (fault, verdict) in [
        ("capacity", "blocked (capacity)"),
        ("quota", "blocked (quota)"),
        ("broken", "errored (machine.acquire)"),
        ("silent", "errored (ssh.connect_timeout)"),
    ] {
        let script = all.replace("capacity", fault);
        let ran = simulate_with(&plan(false), &script, options()).await;
        assert_eq!(verdicts(&ran), [verdict; 6].join(", "));
        assert_eq!(launches(&ran.records), 3, "{fault}");
        let message = &ran.of("f", "t").message;
        let why = "3 machines in a row of type local.small in local did not come up, so no more of them are started. The machine ";
        assert!(message.starts_with(why), "{message}");
        assert_eq!(ran.report().exit, ExitCode::Infrastructure);
    }
    // The way in is nobody's type.
    let ran = simulate_with(&plan(false), &all.replace("capacity", "auth"), options()).await;
    assert_eq!(launches(&ran.records), 6);
    let never = RunOptions {
        breaker: None,
        ..options()
    };
    let ran = simulate_with(&plan(false), &all, never).await;
    assert_eq!(launches(&ran.records), 6);
    let at_once = RunOptions {
        breaker: NonZeroU32::new(1),
        ..options()
    };
    let ran = simulate_with(&plan(false), &all, at_once).await;
    assert_eq!(launches(&ran.records), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_up_in_between_and_another_type_begin_anew() {
    let script = faults("capacity", &["a", "b", "d", "e"]);
    let ran = simulate_with(&plan(false), &script, options()).await;
    assert_eq!(launches(&ran.records), 6);
    let blocked = "blocked (capacity)";
    let all = [blocked, blocked, "passed", blocked, blocked, "passed"];
    assert_eq!(verdicts(&ran), all.join(", "));

    let script = faults("capacity", &FILESYSTEMS);
    let ran = simulate_with(&plan(true), &script, options()).await;
    // Three of four, and both of the other.
    assert_eq!(launches(&ran.records), 5);
    let given_up = ran.places(|event| matches!(event, Event::MachineGivenUp { .. }));
    assert_eq!(given_up.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn further_lives_count_and_are_none_of_a_type_that_is_given_up() {
    let script = faults("broken", &FILESYSTEMS);
    let ran = simulate_with(&plan(false), &script, options_again()).await;
    // `a` twice, `b` once.
    assert_eq!(launches(&ran.records), 3);
    assert_eq!(verdicts(&ran), ["errored (machine.acquire)"; 6].join(", "));
}

/// Lets another controller go on after each event; with the same machines, none of which is there.
pub async fn whenever_it_is_taken_over(
    plan: &Loaded<ExecutionPlan>,
    script: &str,
    options: impl Fn() -> RunOptions,
    most_launches: usize,
    exits: &[ExitCode],
) {
    let ran = simulate_with(plan, script, options()).await;
    let verdict = |records: &[Record]| {
        let mut state = RunState::new(Arc::clone(&ran.plan), Arc::new(ran.schedule.clone()));
        for record in records {
            state.apply(record).unwrap();
        }
        let judged = state.judged().iter();
        judged
            .map(|(cell, test)| ((*cell, *test), state.judgement(*cell, *test).cloned()))
            .collect::<BTreeMap<_, _>>()
    };
    for kept in 1..ran.records.len() - 1 {
        let before = &ran.records[..kept];
        let script = SimScript::parse(script, &plan.body).unwrap();
        let backend = SimBackend::new(Arc::clone(&ran.plan), script);
        let journal = MemoryJournal::default();
        let options = RunOptions {
            journal: Box::new(journal.clone()),
            ..options()
        };
        let schedule = ran.schedule.clone();
        let outcome = resume(plan, schedule, before, backend, options).await;
        let outcome = outcome.unwrap();
        assert!(exits.contains(&outcome.report.exit), "{kept}");
        let all: Vec<Record> = before.iter().cloned().chain(journal.records()).collect();
        assert!(launches(&all) <= most_launches, "{kept}");
        let after = verdict(&all);
        assert_eq!(after.len(), plan.body.test_runs());
        for (run, judgement) in verdict(before) {
            assert_eq!(after[&run], judgement, "{kept}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_does_not_try_what_was_given_up() {
    let script = faults("capacity", &FILESYSTEMS);
    whenever_it_is_taken_over(
        &plan(false),
        &script,
        options,
        3,
        &[ExitCode::Infrastructure],
    )
    .await;
    let script = faults("broken", &FILESYSTEMS);
    whenever_it_is_taken_over(
        &plan(false),
        &script,
        options_again,
        3,
        &[ExitCode::Infrastructure],
    )
    .await;
}

#[test]
fn what_no_breaker_can_say_is_refused() {
    let plan = plan(true);
    let schedule = schedule_of(&plan, &SimScript::default());
    let mut state = RunState::new(Arc::new(plan.body), Arc::new(schedule.clone()));
    let mut apply = |event| {
        let record = Record { at_ms: 0, event };
        state.apply(&record).map_err(|illegal| illegal.kind)
    };
    let launching = |life| Event::LifeLaunching {
        life: LifeIx(life),
        token: "token".into(),
        within_ms: None,
    };
    let failed = |life| Event::LifeFailed {
        life: LifeIx(life),
        trouble: LifeTrouble::Class(FailureClass::MachineAcquire),
        message: "broken".into(),
    };
    let given_up = |machine, lives| Event::MachineGivenUp {
        machine: MachineIx(machine),
        lives,
    };
    // As many as are enough of one type, and one of the other.
    let (small, large): (Vec<u32>, Vec<u32>) =
        (0..6).partition(|life| schedule.lives[LifeIx(*life)].machine == MachineIx(0));
    apply(started()).unwrap();
    assert_eq!(apply(given_up(9, 1)), Err(IllegalKind::UnknownMachine));
    assert_eq!(apply(given_up(0, 0)), Err(IllegalKind::NotInARow));
    for event in [launching(small[0]), launching(small[1]), failed(small[0])] {
        apply(event).unwrap();
    }
    assert_eq!(apply(given_up(0, 2)), Err(IllegalKind::NotInARow));
    assert_eq!(apply(given_up(1, 1)), Err(IllegalKind::NotInARow));
    // Not while the run is being stopped, when nothing is launched anyway.
    let mut stopping = state.clone();
    for (event, is) in [
        (
            Event::Stopping {
                how: Stopping::Finish,
                why: StopCause::Asked,
            },
            Ok(()),
        ),
        (given_up(0, 1), Err(IllegalKind::Stopping)),
    ] {
        let record = Record { at_ms: 0, event };
        assert_eq!(stopping.apply(&record).map_err(|illegal| illegal.kind), is);
    }
    let mut apply = |event| {
        let record = Record { at_ms: 0, event };
        state.apply(&record).map_err(|illegal| illegal.kind)
    };
    apply(given_up(0, 1)).unwrap();
    assert_eq!(apply(given_up(0, 1)), Err(IllegalKind::NotInARow));
    assert_eq!(apply(launching(small[2])), Err(IllegalKind::GivenUp));
    assert_eq!(apply(launching(large[0])), Ok(()));
    // One that comes up after all closes it.
    let machine = plan_machine();
    apply(Event::LifeAcquired {
        life: LifeIx(small[1]),
        id: "m".into(),
        machine,
    })
    .unwrap();
    apply(Event::LifeReady {
        life: LifeIx(small[1]),
    })
    .unwrap();
    assert_eq!(apply(launching(small[2])), Ok(()));
}

fn started() -> Event {
    Event::RunStarted {
        run: options().run,
        plan: "fixture".into(),
        plan_digest: "digest".into(),
        provider: "none".into(),
        started_unix_ms: 0,
    }
}

fn plan_machine() -> Box<dva_plan::plan::Machine> {
    Box::new(plan(false).body.machines[MachineIx(0)].clone())
}

/// Six cells of a chain of two tests with an image each for the first three and the others, so many
/// machines at a time.
fn two_images(machines: Option<u32>) -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let first = plan.test("t", 10, &[]);
    plan.test("then", 10, &[first]);
    plan.filesystems(FILESYSTEMS);
    plan.policy.limits.machines = machines;
    let mut plan = plan.plan();
    let other = plan.images.push(Image {
        name: "other".into(),
        ..plan.images[ImageIx(0)].clone()
    });
    for cell in plan.cells.indices().skip(3).collect::<Vec<_>>() {
        plan.cells[cell].image = other;
        plan.cells[cell].axes.insert("image".into(), "other".into());
    }
    read(to_bytes(&plan).as_slice()).unwrap()
}

fn one_an_image() -> RunOptions {
    RunOptions {
        max_failures_per_image: NonZeroUsize::new(1),
        ..options_again()
    }
}

/// The cells whose axis `image` is this, as they are launched.
fn in_order(plan: &Loaded<ExecutionPlan>, image: &str) -> Vec<String> {
    let schedule = schedule_of(plan, &SimScript::default());
    let cells = schedule
        .lives
        .iter()
        .map(|life| &plan.body.cells[life.cell]);
    let cells = cells.filter(|cell| cell.axes["image"] == image);
    cells.map(|cell| cell.axes["filesystem"].clone()).collect()
}

/// `t` fails in this cell.
fn fails(filesystem: &str) -> String {
    format!("[[test]]\ntest = 't'\ncells = {{ filesystem = '{filesystem}' }}\nexit = 1\n")
}

#[tokio::test(start_paused = true)]
async fn an_image_of_which_too_much_fails_is_given_up_and_others_go_on() {
    let plan = two_images(None);
    let of_host = in_order(&plan, "host");
    let script = fails(&of_host[0]);
    let ran = simulate_with(&plan, &script, one_an_image()).await;
    let limit = "blocked (limit)";
    let verdicts_in = |plan, ran: &Ran, image, test| -> Vec<String> {
        let cells = in_order(plan, image).into_iter();
        let verdicts = cells.map(|cell| ran.of(&cell, test).verdict.to_string());
        verdicts.collect()
    };
    // Its test runs beside that which fails, and may end.
    let verdicts = |ran: &Ran, image, test| verdicts_in(&plan, ran, image, test);
    let ended = ["failed (expect)", "passed", "passed"];
    assert_eq!(verdicts(&ran, "host", "t"), ended);
    assert_eq!(
        verdicts(&ran, "host", "then"),
        ["blocked by t", limit, limit]
    );
    for test in ["t", "then"] {
        assert_eq!(verdicts(&ran, "other", test), ["passed"; 3]);
    }
    assert_eq!(
        ran.of(&of_host[2], "then").message,
        "A test run of host had failed before it started, and that image was to stop at the first."
    );
    assert_eq!(ran.report().exit, ExitCode::Limit);
    let one_by_one = two_images(Some(1));
    let script = fails(&in_order(&one_by_one, "host")[0]);
    let ran = simulate_with(&one_by_one, &script, one_an_image()).await;
    let verdicts = |ran: &Ran, image, test| verdicts_in(&one_by_one, ran, image, test);
    let began = ["failed (expect)", limit, limit];
    assert_eq!(verdicts(&ran, "host", "t"), began);
    assert_eq!(verdicts(&ran, "other", "t"), ["passed"; 3]);
    assert_eq!(launches(&ran.records), 4);
    // Both limits hold: that of the run, and that of an image.
    let options = RunOptions {
        max_failures: NonZeroUsize::new(1),
        ..one_an_image()
    };
    let ran = simulate_with(&one_by_one, &script, options).await;
    assert!(verdicts(&ran, "other", "t").contains(&limit.to_owned()));
    let two = RunOptions {
        max_failures_per_image: NonZeroUsize::new(2),
        ..options_again()
    };
    let ran = simulate_with(&plan, &script, two).await;
    assert_eq!(ran.report().exit, ExitCode::TestsFailed);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_starts_nothing_of_an_image_that_was_given_up() {
    let plan = two_images(Some(2));
    let script = fails(&in_order(&plan, "host")[0]);
    // Where what fails was lost, it fails on a further life, when nothing else is left to start.
    let ends = [ExitCode::Limit, ExitCode::TestsFailed];
    whenever_it_is_taken_over(&plan, &script, one_an_image, 9, &ends).await;
}

#[test]
fn what_cannot_be_stopped_of_an_image_is_refused() {
    let plan = two_images(Some(2));
    let schedule = schedule_of(&plan, &SimScript::default());
    let of_first = |life: &&LifeIx| plan.body.cells[schedule.lives[**life].cell].image.0 == 0;
    let lives: Vec<LifeIx> = schedule.lives.indices().collect();
    let first = *lives.iter().find(of_first).unwrap();
    let other = *lives.iter().find(|life| !of_first(life)).unwrap();
    let mut state = RunState::new(Arc::new(plan.body.clone()), Arc::new(schedule.clone()));
    let mut apply = |event| {
        let record = Record { at_ms: 0, event };
        state.apply(&record).map_err(|illegal| illegal.kind)
    };
    let stopped = |image| Event::ImageStopped {
        image: ImageIx(image),
        failures: 1,
    };
    let launching = |life| Event::LifeLaunching {
        life,
        token: "token".into(),
        within_ms: None,
    };
    apply(started()).unwrap();
    assert_eq!(apply(stopped(7)), Err(IllegalKind::UnknownImage));
    apply(stopped(0)).unwrap();
    assert_eq!(apply(stopped(0)), Err(IllegalKind::Stopping));
    assert_eq!(apply(launching(first)), Err(IllegalKind::Stopping));
    assert_eq!(apply(launching(other)), Ok(()));
}
