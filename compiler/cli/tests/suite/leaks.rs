//! Whatever is killed whenever: nothing is left on the host, after `dva gc` at the latest.
//!
//! A run of four machines is held at every event it has, and then `dva`, a machine's supervisor, or both
//! are killed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use dva_local::{HostInventory, LocalConfig};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::console::{dva, playground};
use crate::local::turn;

/// What is killed while `dva` is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Dva,
    Supervisor,
    Both,
}

/// A folder with a configuration of its own, so that machines of others do not matter.
struct Ground {
    folder: tempfile::TempDir,
    config: LocalConfig,
    before: HostInventory,
}

impl Ground {
    fn new() -> Self {
        let folder = playground();
        let config = LocalConfig {
            state: folder.path().join("state"),
            runtime: folder.path().join("lease"),
        };
        let text = format!(
            "[ssh]\nconnect_within = \"2s\"\n[local]\nstate = {:?}\nruntime = {:?}\n",
            config.state, config.runtime
        );
        fs::write(folder.path().join("dva.toml"), text).expect("written");
        let before = HostInventory::take_with(&config);
        Self {
            folder,
            config,
            before,
        }
    }

    /// Starts a run that holds itself at the `number`th `event`.
    fn run_until(&self, event: &str, number: u32) -> Child {
        dva(self.folder.path())
            .args(["run", "fixtures/four.plan"])
            .env("DVA_TEST_STOP_AT", format!("{event}:{number}"))
            .stderr(Stdio::null())
            .spawn()
            .expect("dva starts")
    }

    /// The supervisors that the leases name.
    fn supervisors(&self) -> Vec<Pid> {
        let leases = fs::read_dir(&self.config.runtime).into_iter().flatten();
        let number = |path: PathBuf| -> Option<Pid> {
            let record: serde_json::Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
            let number = record["supervisor"].as_i64()?;
            Pid::from_raw(number.try_into().ok()?)
        };
        leases
            .filter_map(|entry| number(entry.ok()?.path()))
            .collect()
    }

    /// Asks `gc` until nothing is in use, which the supervisors see to by themselves, and asserts that
    /// nothing is left then.
    fn nothing_is_left(&self, when: &str) {
        let mut said = String::new();
        for _ in 0..300 {
            let output = dva(self.folder.path())
                .args(["gc", "--yes"])
                .output()
                .expect("dva starts");
            said = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && !said.contains("in use") {
                break;
            }
        }
        let left = HostInventory::take_with(&self.config).difference(&self.before);
        assert!(
            left.is_empty(),
            "{when}: left on the host: {left:#?}\ngc said: {said}"
        );
    }
}

/// Waits until the child has stopped itself; `false` where it has ended instead.
fn held(child: &Child) -> bool {
    let pid = Pid::from_child(child);
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED)
        .expect("it is our child")
        .expect("we wait");
    status.stopped()
}

#[test]
fn killed_at_any_event_nothing_is_left() {
    let Some(_turn) = turn() else { return };
    let ground = Ground::new();
    let mut held_at = BTreeSet::new();
    // The first, a middle and the last time that an event of a machine comes, one after the other, so
    // that every event meets every victim.
    for (index, (event, times)) in EVENTS.into_iter().enumerate() {
        for (turn, victim) in [Victim::Dva, Victim::Supervisor, Victim::Both]
            .into_iter()
            .enumerate()
        {
            let number = [1, times.div_ceil(2), times][(index + turn) % 3];
            let when = format!("{victim:?} killed at {event}:{number}");
            let mut child = ground.run_until(event, number);
            assert!(held(&child), "{when}: the run ended before");
            held_at.insert(event);
            if victim != Victim::Dva
                && let Some(supervisor) = ground.supervisors().first()
            {
                // One that has ended by itself meanwhile is as dead as it can be.
                let _ = kill_process(*supervisor, Signal::KILL);
            }
            if victim == Victim::Supervisor {
                kill_process(Pid::from_child(&child), Signal::CONT).expect("it is held");
            } else {
                child.kill().expect("it is held");
            }
            child.wait().expect("it ends");
            ground.nothing_is_left(&when);
        }
    }
    assert_eq!(held_at.len(), EVENTS.len());
}

#[test]
fn a_panic_at_any_event_ends_with_101_and_leaves_nothing() {
    let Some(_turn) = turn() else { return };
    let ground = Ground::new();
    for (event, times) in EVENTS {
        let number = times.div_ceil(2);
        let output = dva(ground.folder.path())
            .args(["run", "fixtures/four.plan"])
            .env("DVA_TEST_STOP_AT", format!("{event}:{number}:panic"))
            .output()
            .expect("dva starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(101), "{event}: {said}");
        assert!(said.contains("a bug in dva"), "{event}: {said}");
        ground.nothing_is_left(&format!("a panic at {event}:{number}"));
    }
}

/// The events of a run of `fixtures/four.plan`, each with how often it comes.
const EVENTS: [(&str, u32); 9] = [
    ("run_started", 1),
    ("life_launching", 4),
    ("life_acquired", 4),
    ("life_ready", 4),
    ("execution_started", 8),
    ("execution_ended", 8),
    ("life_releasing", 4),
    ("life_ended", 4),
    ("run_ended", 1),
];

#[test]
fn a_run_has_the_events_that_are_listed() {
    let Some(_turn) = turn() else { return };
    let ground = Ground::new();
    let output = dva(ground.folder.path())
        .args(["run", "fixtures/four.plan"])
        .output()
        .expect("dva starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let events = events_of_the_run(ground.folder.path());
    for (event, times) in EVENTS {
        let seen = events.iter().filter(|seen| *seen == event).count();
        assert_eq!(seen, times as usize, "{event}");
    }
    let listed: usize = EVENTS.iter().map(|(_, times)| *times as usize).sum();
    assert_eq!(events.len(), listed, "{events:?}");
    ground.nothing_is_left("a run that passed");
}

/// The names of the events of the one run of a folder.
fn events_of_the_run(folder: &Path) -> Vec<String> {
    let runs = fs::read_dir(folder.join(".dva/runs")).expect("a run");
    let run = runs.last().expect("one run").expect("readable").path();
    let text = fs::read_to_string(run.join("events.jsonl")).expect("its events");
    let name = |line: &str| {
        let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
        record["event"]["what"].as_str().expect("a name").to_owned()
    };
    text.lines().map(name).collect()
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let Some(_turn) = turn() else { return };
    let ground = Ground::new();
    let start = || {
        dva(ground.folder.path())
            .args(["run", "fixtures/four.plan"])
            .stderr(Stdio::null())
            .spawn()
            .expect("dva starts")
    };
    let (mut one, mut other) = (start(), start());
    // What looks for left-overs meanwhile finds none: all machines are in use.
    let gc = dva(ground.folder.path())
        .args(["gc", "--yes"])
        .output()
        .expect("dva starts");
    assert!(
        gc.status.success(),
        "{}",
        String::from_utf8_lossy(&gc.stdout)
    );
    assert!(one.wait().expect("it ends").success());
    assert!(other.wait().expect("it ends").success());
    ground.nothing_is_left("two runs");
}
