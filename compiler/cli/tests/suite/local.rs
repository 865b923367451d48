//! Runs on machines of this host: the examples for real, and what is left when somebody stops them.
//!
//! Needs root and the tools that the examples' steps call.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use dva_local::HostInventory;
use dva_plan::document::read;
use dva_plan::report::{Finding, LifeReport};
use dva_plan::{ExitCode, RunReport, TestId, Verdict};
use rustix::process::{Pid, Signal, kill_process};

use crate::console::{dva, playground};

/// The host is one, so tests that count what is left on it take turns.
static HOST: Mutex<()> = Mutex::new(());

/// A turn on the host, with what was there before.
pub struct Turn {
    before: HostInventory,
    _turn: MutexGuard<'static, ()>,
}

/// Waits for a turn; `None`, having said why, where this host cannot have machines.
pub fn turn() -> Option<Turn> {
    let missing = ["sgdisk", "mkfs.xfs", "mkfs.ext4", "setpriv"]
        .into_iter()
        .find(|tool| !on_path(tool))
        .map(|tool| format!("{tool} is not installed"));
    let trouble = dva_local::LocalProvider::check_host()
        .err()
        .map(|missing| missing.to_string())
        .or(missing);
    if let Some(why) = trouble {
        assert!(std::env::var_os("DVA_FULL").is_none(), "DVA_FULL: {why}");
        println!("SKIP: {why}");
        return None;
    }
    let turn = HOST.lock().unwrap_or_else(PoisonError::into_inner);
    Some(Turn {
        before: HostInventory::take(),
        _turn: turn,
    })
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([
            Path::new("/usr/sbin").to_owned(),
            Path::new("/sbin").to_owned(),
        ])
        .any(|folder| folder.join(tool).is_file())
}

impl Turn {
    /// Asserts that the host is as it was before.
    pub fn nothing_is_left(&self) {
        let left = HostInventory::take().difference(&self.before);
        assert!(left.is_empty(), "left on the host: {left:#?}");
    }
}

/// Runs a plan to its end; returns its report.
fn run(folder: &Path, plan: &str) -> RunReport {
    run_with(folder, plan, &[])
}

fn run_with(folder: &Path, plan: &str, options: &[&str]) -> RunReport {
    let output = dva(folder)
        .args(["run", plan, "--json", "report.json", "--junit", "junit.xml"])
        .args(options)
        .output()
        .expect("dva starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let file = fs::File::open(folder.join("report.json"));
    let report: RunReport = read(file.unwrap_or_else(|_| panic!("no report: {said}")))
        .unwrap_or_else(|error| panic!("{error}"))
        .body;
    assert_eq!(
        output.status.code(),
        Some(report.exit.number().into()),
        "{said}"
    );
    let junit = fs::read_to_string(folder.join("junit.xml")).expect("there is a JUnit report");
    assert_eq!(junit.matches("<testcase ").count(), report.test_runs.len());
    report
}

/// What a run took here is known of the next one, to its estimate as to itself.
#[test]
fn a_run_is_packed_with_what_the_last_one_took_as_its_estimate_says() {
    let Some(turn) = turn() else {
        return;
    };
    let home = playground();
    let first = run(home.path(), "examples/storage.plan");
    let estimate = dva(home.path())
        .args(["estimate", "examples/storage.plan", "-o", "schedule.json"])
        .output()
        .expect("dva starts");
    let said = String::from_utf8_lossy(&estimate.stdout);
    assert!(
        said.contains("durations  35 of 35 measured in 1 run on local, boots too ("),
        "{said}"
    );
    let second = run(home.path(), "examples/storage.plan");
    assert_ne!(first.run, second.run);
    let folder = home.path().join(".dva/runs").join(second.run.as_str());
    let followed = fs::read(folder.join("schedule.json")).expect("it was followed");
    let shown = fs::read(home.path().join("schedule.json")).expect("it was written");
    assert!(followed == shown, "an estimate and a run disagree");
    turn.nothing_is_left();
}

/// The most lives that were ready at one time.
fn overlapping(lives: &[&LifeReport]) -> usize {
    let span = |life: &LifeReport| life.ready_ms.zip(life.end_ms);
    lives
        .iter()
        .filter_map(|life| span(life))
        .map(|(start, _)| {
            lives
                .iter()
                .filter_map(|life| span(life))
                .filter(|(ready, end)| *ready <= start && start < *end)
                .count()
        })
        .max()
        .unwrap_or(0)
}

fn verdict<'a>(report: &'a RunReport, test: &str) -> &'a Verdict {
    let run = report
        .test_runs
        .iter()
        .find(|run| run.test.as_str() == test);
    &run.unwrap_or_else(|| panic!("no {test}")).verdict
}

#[test]
fn storage_passes_in_order_on_four_machines_at_once() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let report = run(folder.path(), "examples/storage.plan");
    for run in &report.test_runs {
        assert_eq!(
            run.verdict,
            Verdict::Passed,
            "{}: {}",
            run.test,
            run.message
        );
    }
    assert_eq!(report.exit, ExitCode::Ok);
    assert_eq!(report.test_runs.len(), 35);
    let lives: Vec<_> = report.lives.iter().collect();
    assert!(overlapping(&lives) >= 4, "{lives:?}");

    let chain = ["partition", "format", "mount", "read_back", "unmount"];
    for pair in chain.windows(2) {
        for cell in report.lives.iter().map(|life| &life.cell) {
            let execution = |test: &str| {
                let run = report
                    .test_runs
                    .iter()
                    .find(|run| run.cell == *cell && run.test.as_str() == test);
                run.and_then(|run| run.executions.first()).expect("it ran")
            };
            assert!(execution(pair[0]).end_ms <= execution(pair[1]).start_ms);
        }
    }
    turn.nothing_is_left();
}

#[test]
fn the_test_is_named_that_leaves_something_behind() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    // In a row, so that the test that leaves something has run before the one that minds it.
    let options = ["--lanes", "1", "--diagnose"];
    let report = run_with(folder.path(), "fixtures/polluted.plan", &options);
    assert_eq!(report.exit, ExitCode::TestsFailed);
    let [found] = &report.diagnoses[..] else {
        panic!("{:#?}", report.diagnoses);
    };
    assert_eq!(found.test.as_str(), "empty");
    let by = Finding::Polluted {
        by: TestId::new("careless"),
        is_enough: true,
    };
    assert_eq!(found.finding, by);
    assert_eq!(found.trials.len(), 2);
    turn.nothing_is_left();
}

#[test]
fn modules_run_on_one_machine_with_two_disks() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let report = run(folder.path(), "examples/modules.plan");
    assert_eq!(report.exit, ExitCode::Ok, "{report:#?}");
    assert_eq!(report.lives.len(), 1);
    for test in [
        "copied",
        "lib.checks.tool(\"mkfs.xfs\")",
        "std.storage.unmounted(copy, \"ext4\")",
    ] {
        assert_eq!(*verdict(&report, test), Verdict::Passed, "{test}");
    }
    turn.nothing_is_left();
}

#[test]
fn without_its_edge_the_example_turns_red() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let text =
        fs::read_to_string(folder.path().join("examples/storage.plan")).expect("it is there");
    let path = folder.path().join("edgeless.plan");

    // Two writers of one disk without an order never share a life: each has a machine and a blank disk.
    let edgeless = text.replace("format after partition", "format");
    assert_ne!(edgeless, text);
    fs::write(&path, &edgeless).expect("written");
    let report = run(folder.path(), "edgeless.plan");
    assert_eq!(report.exit, ExitCode::TestsFailed);
    assert_eq!(*verdict(&report, "partition"), Verdict::Passed);
    assert!(matches!(verdict(&report, "format"), Verdict::Failed { .. }));

    // Without the edge, selecting `format` no longer selects `partition`: there is nothing to format.
    let alone = edgeless.replace("tests  partition, format", "tests  format");
    assert_ne!(alone, edgeless);
    fs::write(&path, &alone).expect("written");
    let report = run(folder.path(), "edgeless.plan");
    assert_eq!(report.exit, ExitCode::TestsFailed);
    assert!(matches!(verdict(&report, "format"), Verdict::Failed { .. }));
    assert!(matches!(verdict(&report, "mount"), Verdict::Blocked { .. }));
    assert_eq!(*verdict(&report, "memory"), Verdict::Passed);
    turn.nothing_is_left();
}

#[test]
fn the_failing_example_fails_and_blocks() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let report = run(folder.path(), "examples/failing.plan");
    assert_eq!(report.exit, ExitCode::TestsFailed);
    assert_eq!(verdict(&report, "kernel").to_string(), "failed (check)");
    assert_eq!(verdict(&report, "modules").to_string(), "blocked by kernel");
    assert_eq!(verdict(&report, "loaded").to_string(), "blocked by kernel");
    assert_eq!(*verdict(&report, "shell"), Verdict::Passed);
    let kernel = report
        .test_runs
        .iter()
        .find(|run| run.test.as_str() == "kernel");
    let message = &kernel.expect("it is there").message;
    assert!(
        message.contains("\"Linux\"") && message.contains("\"Minix\""),
        "{message}"
    );
    turn.nothing_is_left();
}

#[test]
fn steps_that_need_the_provider_work_for_real_and_secrets_do_not_show() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    fs::write(
        folder.path().join("dva.toml"),
        "[secret]\ntoken = { env = \"TOKEN\" }\n",
    )
    .expect("written");
    let output = dva(folder.path())
        .args(["run", "fixtures/steps.plan", "--json", "report.json"])
        .env("TOKEN", "hunter2-Ganz geheim/+")
        .output()
        .expect("dva starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report = fs::File::open(folder.path().join("report.json")).expect("a report");
    let report: RunReport = read(report).unwrap_or_else(|error| panic!("{error}")).body;
    for run in &report.test_runs {
        assert_eq!(
            run.verdict,
            Verdict::Passed,
            "{}: {}",
            run.test,
            run.message
        );
    }
    for path in files_below(folder.path()) {
        let bytes = fs::read(&path).expect("readable");
        let text = String::from_utf8_lossy(&bytes);
        for form in ["hunter2-Ganz geheim/+", "aHVudGVyMi1HYW56IGdlaGVpbS8r"] {
            assert!(!text.contains(form), "{} shows the secret", path.display());
        }
        if path.ends_with("result.txt") {
            assert_eq!(text, "hello\n");
        }
    }
    let collected = files_below(folder.path())
        .into_iter()
        .filter(|path| path.ends_with("result.txt"));
    assert_eq!(collected.count(), 1);
    turn.nothing_is_left();
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("readable").path());
    entries
        .flat_map(|path| {
            if path.is_dir() {
                files_below(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

#[test]
fn a_kept_machine_can_be_logged_in_to_and_is_ended_when_asked() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let said = |arguments: &[&str]| {
        let output = dva(folder.path())
            .args(arguments)
            .output()
            .expect("dva starts");
        let text = [output.stdout, output.stderr].concat();
        (
            output.status.code(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    };
    let (code, text) = said(&["run", "examples/failing.plan", "--keep=on-failure"]);
    assert_eq!(code, Some(ExitCode::TestsFailed.number().into()));
    assert!(text.contains("is kept: `dva ssh"), "{text}");
    let (code, text) = said(&["gc", "--yes"]);
    assert!(code == Some(0) && text.contains("kept for"), "{text}");
    assert_eq!(
        said(&["ssh", "--", "id -u; exit 3"]),
        (Some(3), "0\n".to_owned())
    );
    let (code, text) = said(&["ssh", "nobody"]);
    assert!(code == Some(2) && text.contains("These are kept"), "{text}");
    let (code, text) = said(&["gc", "--yes", "--kept"]);
    assert!(code == Some(0) && text.contains("ended"), "{text}");
    let (code, text) = said(&["ssh"]);
    assert!(
        code == Some(2) && text.contains("No machine is kept"),
        "{text}"
    );
    turn.nothing_is_left();

    // What passed is not kept.
    let (code, text) = said(&["run", "fixtures/four.plan", "--keep=on-failure"]);
    assert!(code == Some(0) && !text.contains("is kept"), "{text}");
    turn.nothing_is_left();
}

/// A run in the background whose progress is read line by line.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStderr>>,
}

impl Running {
    fn start(folder: &Path, plan: &str) -> Self {
        let mut child = dva(folder)
            .args(["run", plan])
            .stderr(Stdio::piped())
            .spawn()
            .expect("dva starts");
        let lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// Reads on until a line has `words`.
    fn until(&mut self, words: &str) {
        let mut seen = String::new();
        for line in self.lines.by_ref() {
            let line = line.expect("a line");
            if line.contains(words) {
                return;
            }
            seen.push_str(&line);
            seen.push('\n');
        }
        panic!("it ended without saying {words:?}:\n{seen}");
    }

    fn send(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is running");
    }

    /// Reads to the end; returns how it ended.
    fn end(mut self) -> Option<i32> {
        self.lines.by_ref().for_each(drop);
        self.child.wait().expect("it ends").code()
    }
}

#[test]
fn ctrl_c_lets_running_tests_end_and_leaves_nothing() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let mut running = Running::start(folder.path(), "fixtures/short.plan");
    running.until("short …");
    running.send(Signal::INT);
    running.until("short passed");
    assert_eq!(running.end(), Some(ExitCode::Interrupted.number().into()));
    turn.nothing_is_left();
}

#[test]
fn ctrl_c_twice_ends_the_machines_at_once() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let mut running = Running::start(folder.path(), "fixtures/long.plan");
    running.until("long …");
    running.send(Signal::INT);
    running.until("stopping: running tests may end");
    running.send(Signal::INT);
    assert_eq!(running.end(), Some(ExitCode::Interrupted.number().into()));
    turn.nothing_is_left();
}

#[test]
fn after_kill_9_the_machines_end_by_themselves() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    let mut running = Running::start(folder.path(), "fixtures/long.plan");
    running.until("long …");
    running.send(Signal::KILL);
    assert_eq!(running.end(), None);
    // The supervisors need a moment. `gc` waits for nobody, so it is asked until nothing is in use.
    for _ in 0..200 {
        let output = dva(folder.path())
            .args(["gc", "--yes"])
            .output()
            .expect("dva starts");
        if output.status.success() && !String::from_utf8_lossy(&output.stdout).contains("in use") {
            break;
        }
    }
    turn.nothing_is_left();
}

#[test]
fn without_root_nothing_is_started_and_what_is_missing_is_named() {
    let Some(turn) = turn() else { return };
    let folder = playground();
    // Another user can reach neither the build folder nor this one as it is.
    let binary = folder.path().join("dva");
    fs::copy(env!("CARGO_BIN_EXE_dva"), &binary).expect("copied");
    for path in [folder.path(), &binary] {
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(path, open).expect("it is ours");
    }
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&binary)
        .args(["run", "examples/storage.plan"])
        .current_dir(folder.path())
        .output()
        .expect("setpriv starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(ExitCode::Invocation.number().into()),
        "{said}"
    );
    assert!(said.contains("root") && said.contains("sudo"), "{said}");
    assert!(!folder.path().join(".dva").exists());
    turn.nothing_is_left();
}
