//! What a store learns of runs, and keeps when they are removed.

use dva_plan::ExecutionPlan;
use dva_plan::document::Loaded;
use dva_plan::history::Observations;
use dva_runtime::journal::{NewRun, Store, StoreErrorKind};
use dva_schedule::History;

use crate::fixture::{PlanBuilder, simulate};

fn plan() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let format = plan.test("format", 2, &[]);
    plan.test("mount", 3, &[format]);
    plan.build()
}

#[tokio::test(start_paused = true)]
async fn what_a_run_showed_outlives_it() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan();
    let report = simulate(&plan, "").await.report().clone();
    let store = Store::open(folder.path()).unwrap();
    let new = NewRun {
        id: &report.run,
        started_unix_ms: 7,
        name: "fixture",
        plan: b"plan",
        schedule: b"schedule",
        history: None,
        told: "told",
    };
    store.add(new).unwrap();
    store.learn(&plan.body, &report).unwrap();
    // As when it is resumed once more.
    store.learn(&plan.body, &report).unwrap();
    store.remove(&report.run).unwrap();
    let mut expected = History::default();
    expected.learn(&plan.body, &report);
    assert!(!expected.is_empty());
    assert_eq!(store.history("sim").unwrap(), expected);

    // Of another provider nothing is known.
    assert_eq!(store.history("local").unwrap(), History::default());
    let mut elsewhere = expected.observations("local");
    elsewhere.boots.clear();
    store.merge(&elsewhere).unwrap();
    store.merge(&elsewhere).unwrap();
    let known = [elsewhere, expected.observations("sim")];
    assert_eq!(store.histories().unwrap(), known);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_showed_nothing_leaves_no_history() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan();
    let mut report = simulate(&plan, "").await.report().clone();
    report.test_runs.clear();
    report.lives = Vec::new().into();
    let store = Store::open(folder.path()).unwrap();
    store.learn(&plan.body, &report).unwrap();
    assert_eq!(store.histories().unwrap(), Vec::<Observations>::new());
}

/// The tables of version 1, with a run in them.
#[test]
fn an_older_journal_is_brought_up() {
    let folder = tempfile::tempdir().unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE runs (
                id TEXT PRIMARY KEY, started_unix_ms INTEGER NOT NULL, name TEXT NOT NULL,
                plan BLOB NOT NULL, schedule BLOB NOT NULL, told TEXT NOT NULL, exit INTEGER
            ) STRICT;
            CREATE TABLE events (
                run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
                number INTEGER NOT NULL, record TEXT NOT NULL, PRIMARY KEY (run, number)
            ) STRICT, WITHOUT ROWID;
            INSERT INTO runs VALUES ('20261123-093000-4f2a', 7, 'old', x'01', x'02', 'told', 0);
            PRAGMA user_version = 1;",
        )
        .unwrap();
    drop(connection);
    for _ in 0..2 {
        let store = Store::open(folder.path()).unwrap();
        let rows = store.runs().unwrap();
        let run = store.load(&rows[0].id).unwrap();
        assert_eq!((&*run.row.name, &*run.told), ("old", "told"));
        assert_eq!((&*run.plan, run.history), (&[1][..], None));
        assert_eq!(store.history("local").unwrap(), History::default());
    }
}

/// Histories of version 2 did not tell plans apart: they are forgotten, and runs that were packed with one can be read.
#[test]
fn histories_of_version_2_are_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let connection = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    connection
        .execute_batch(
            "INSERT INTO histories VALUES ('local', x'00');
            INSERT INTO runs (id, started_unix_ms, name, plan, schedule, told, history)
                VALUES ('20261123-093000-4f2a', 7, 'old', x'01', x'02', 'told', x'00');
            PRAGMA user_version = 2;",
        )
        .unwrap();
    drop(connection);
    let store = Store::open(folder.path()).unwrap();
    let rows = store.runs().unwrap();
    assert_eq!(store.load(&rows[0].id).unwrap().history, None);
    assert_eq!(store.history("local").unwrap(), History::default());
}

#[test]
fn a_history_that_cannot_be_read_is_told_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let connection = rusqlite::Connection::open(folder.path().join("state.db")).unwrap();
    let spoil = "INSERT INTO histories VALUES ('local', x'00')";
    connection.execute_batch(spoil).unwrap();
    let elsewhere = History::default().observations("local");
    for refused in [
        store.history("local").unwrap_err(),
        store.histories().unwrap_err(),
        store.merge(&elsewhere).unwrap_err(),
    ] {
        assert!(
            matches!(&refused.kind, StoreErrorKind::History { provider, .. } if provider == "local"),
            "{refused}"
        );
    }
    // The next one may still write.
    store
        .merge(&History::default().observations("sim"))
        .unwrap();
}
