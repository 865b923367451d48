//! Test runs that a life has left open, on further lives.

use std::num::NonZeroUsize;

use dva_plan::exit::ExitCode;
use dva_runtime::RunOptions;
use dva_runtime::journal::{Journal, NewRun, Store, StoreErrorKind};

use crate::fixture::{PlanBuilder, map, options_again, simulate, simulate_with};

/// `mount` after `format`, and `memory` by itself.
fn chain() -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    let format = plan.test("format", 2, &[]);
    plan.test("mount", 3, &[format]);
    plan.test("memory", 1, &[]);
    plan
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_machine_leaves_open_runs_on_a_fresh_one_with_its_setup() {
    let script = "[[test]]\ntest = 'mount'\nlife = 0\nfault = 'drop'\n";
    let ran = simulate_with(&chain().build(), script, options_again()).await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    assert_eq!(
        ran.lives(),
        [vec!["format", "memory", "mount"], vec!["(format)", "mount"]]
    );
}

#[tokio::test(start_paused = true)]
async fn a_second_loss_is_the_last_one() {
    let script = "[[test]]\ntest = 'mount'\nfault = 'drop'\n";
    let ran = simulate_with(&chain().build(), script, options_again()).await;
    assert_eq!(ran.report().lives.len(), 2);
    let verdicts = [
        ("format", "passed"),
        ("memory", "passed"),
        ("mount", "errored (ssh.lost)"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
}

#[tokio::test(start_paused = true)]
async fn what_runs_once_is_not_repeated() {
    let mut plan = chain();
    plan.edit(dva_plan::plan::TestIx(0)).once = true;
    let script = "[[test]]\ntest = 'mount'\nlife = 0\nfault = 'drop'\n";
    let ran = simulate_with(&plan.build(), script, options_again()).await;
    assert_eq!(ran.report().lives.len(), 1);
    assert_eq!(ran.test("mount").verdict.to_string(), "errored (ssh.lost)");
}

#[tokio::test(start_paused = true)]
async fn a_setup_that_fails_on_the_fresh_machine_is_an_error_of_what_needs_it() {
    let script = "[[test]]\ntest = 'mount'\nlife = 0\nfault = 'drop'\n\
                  [[test]]\ntest = 'format'\nlife = 1\nexit = 1\n";
    let ran = simulate_with(&chain().build(), script, options_again()).await;
    let verdicts = [
        ("format", "passed"),
        ("memory", "passed"),
        ("mount", "errored (setup)"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
}

#[tokio::test(start_paused = true)]
async fn a_test_with_retry_that_passes_later_is_flaky_and_lets_others_run() {
    for (fails, verdict, mount, lives) in [
        (1, "flaky", "passed", 2),
        (2, "flaky", "passed", 3),
        (3, "failed (expect)", "blocked by format", 3),
    ] {
        let mut plan = chain();
        plan.edit(dva_plan::plan::TestIx(0)).retry = 2;
        let script: String = (0..fails)
            .map(|life| format!("[[test]]\ntest = 'format'\nlife = {life}\nexit = 1\n"))
            .collect();
        let ran = simulate(&plan.build(), &script).await;
        assert_eq!(ran.test("format").verdict.to_string(), verdict, "{fails}");
        assert_eq!(ran.test("mount").verdict.to_string(), mount, "{fails}");
        assert_eq!(ran.report().lives.len(), lives, "{fails}");
        assert_eq!(ran.test("format").executions.len(), lives, "{fails}");
        assert_eq!(ran.test("memory").executions.len(), 1, "{fails}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_stops_when_as_many_have_failed_as_may() {
    let mut plan = chain();
    plan.lanes(1);
    let options = RunOptions {
        max_failures: NonZeroUsize::new(1),
        ..options_again()
    };
    let script = "[[test]]\ntest = 'format'\nexit = 1\n";
    let ran = simulate_with(&plan.build(), script, options).await;
    assert_eq!(ran.report().exit, ExitCode::Limit);
    let verdicts = [
        ("format", "failed (expect)"),
        ("memory", "blocked (limit)"),
        ("mount", "blocked by format"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
}

#[tokio::test(start_paused = true)]
async fn a_store_gives_back_what_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let plan = chain().build();
    let ran = simulate(&plan, "").await;
    let store = Store::open(folder.path()).unwrap();
    let run = options_again().run;
    let new = NewRun {
        id: &run,
        started_unix_ms: 7,
        name: "fixture",
        plan: b"plan",
        schedule: b"schedule",
        history: Some(b"history"),
        told: "told",
    };
    store.add(new).unwrap();
    assert!(store.add(new).is_err());
    let mut journal = store.journal(&run, 0).unwrap();
    for record in &ran.records {
        journal.append(record).unwrap();
    }
    journal.commit().wait().await.unwrap();
    let found = Store::open(folder.path()).unwrap().load(&run).unwrap();
    assert_eq!(found.records, ran.records);
    assert_eq!(found.row.exit, Some(ExitCode::Ok));
    assert_eq!((&*found.plan, &*found.told), (&b"plan"[..], "told"));
    assert_eq!(found.history.as_deref(), Some(&b"history"[..]));
    store.remove(&run).unwrap();
    let gone = store.load(&run).unwrap_err();
    assert!(matches!(gone.kind, StoreErrorKind::NoRun(_)), "{gone}");
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let path = folder.path().join("state.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = Store::open(folder.path()).unwrap_err();
    assert!(
        matches!(refused.kind, StoreErrorKind::Newer(99)),
        "{refused}"
    );
}
