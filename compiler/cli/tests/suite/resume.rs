//! Runs whose process is killed, and another one that goes on with them: for real, on machines of this host.
//!
//! `DVA_KILLS=50 cargo test -p dva resume` kills so many.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use dva_plan::document::read;
use dva_plan::{RunReport, Verdict};

use crate::console::{dva, playground};
use crate::local::turn;

/// How many runs are killed where nobody says otherwise.
const KILLS: u32 = 6;
/// About how many lines a run says.
const LINES: u32 = 78;

#[test]
fn whenever_the_process_is_killed_another_one_ends_the_run() {
    let Some(turn) = turn() else {
        return;
    };
    let kills = std::env::var("DVA_KILLS")
        .ok()
        .and_then(|of| of.parse().ok());
    let kills: u32 = kills.unwrap_or(KILLS);
    for kill in 0..kills {
        let home = playground();
        let lines = (kill * 29 + 7) % LINES;
        let mut run = dva(home.path())
            .args(["run", "examples/storage.plan"])
            .stderr(Stdio::piped())
            .spawn()
            .expect("dva starts");
        let said = BufReader::new(run.stderr.take().expect("it is piped"));
        // Whatever it does meanwhile, it is killed when it has said so much.
        for line in said.lines().take(lines as usize) {
            line.expect("it is text");
        }
        run.kill().expect("it is ours");
        run.wait().expect("it has ended");
        let resumed = dva(home.path())
            .args(["resume", "--json", "report.json"])
            .output()
            .expect("dva starts");
        let said = String::from_utf8_lossy(&resumed.stderr);
        assert_eq!(
            resumed.status.code(),
            Some(0),
            "after {lines} lines: {said}"
        );
        turn.nothing_is_left();
        if said.contains("nothing to resume") {
            continue;
        }
        let file = std::fs::File::open(home.path().join("report.json")).expect("a report");
        let report: RunReport = read(file).unwrap_or_else(|error| panic!("{error}")).body;
        for run in &report.test_runs {
            assert_eq!(
                run.verdict,
                Verdict::Passed,
                "after {lines} lines: {}",
                run.test
            );
            let complete = run
                .executions
                .iter()
                .filter(|of| !of.setup && !of.steps.is_empty());
            assert_eq!(complete.count(), 1, "after {lines} lines: {}", run.test);
        }
        let again = dva(home.path()).arg("resume").output().expect("dva starts");
        assert_eq!(again.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&again.stderr).contains("nothing to resume"));
    }
}
