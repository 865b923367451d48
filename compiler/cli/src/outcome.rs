//! What is said of a run when it is over: every test run that did not pass, then the count and the bill.

mod bill;

use std::collections::BTreeMap;

use dva_plan::label::CellLabels;
use dva_plan::report::{Diagnosis, Finding, RunReport};
use dva_plan::verdict::Verdict;

use crate::render::counted;

/// The text, a block a cell that has something to say.
pub fn text(report: &RunReport) -> String {
    let labels = CellLabels::of(report.test_runs.iter().map(|run| &run.axes));
    let mut text = String::new();
    let mut cell = None;
    for run in &report.test_runs {
        if run.verdict == Verdict::Passed {
            continue;
        }
        if cell != Some(&run.cell) {
            cell = Some(&run.cell);
            text.push_str(&format!("{}\n", labels.label(&run.axes, &report.plan)));
        }
        text.push_str(&format!("  {} {}\n", run.test, run.verdict));
        for line in run.message.lines() {
            text.push_str(&format!("    {line}\n"));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    for warning in &report.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    text.push_str(&count(report));
    text.push_str(&bill::text(report));
    text
}

/// Who made tests fail, a line each; nothing where nobody has looked.
pub fn diagnoses(report: &RunReport) -> String {
    let labels = CellLabels::of(report.test_runs.iter().map(|run| &run.axes));
    let mut text = String::new();
    for Diagnosis {
        cell,
        test,
        finding,
        trials,
    } in &report.diagnoses
    {
        let of_cell = report.test_runs.iter().find(|run| run.cell == *cell);
        let label = of_cell.map_or_else(
            || cell.to_string(),
            |run| labels.label(&run.axes, &report.plan),
        );
        let found = match finding {
            Finding::FailsAlone => "fails on a machine of its own as well".to_owned(),
            Finding::Polluted {
                by,
                is_enough: true,
            } => format!("passes alone, and fails after {by}"),
            Finding::Polluted {
                by,
                is_enough: false,
            } => format!(
                "passes alone, and fails after {by} where others have run before that; after {by} alone it passes"
            ),
            Finding::NotReproduced => {
                "passes alone, and also after all that ran before it: it failed by chance, or because of what ran at \
                 the same time"
                    .to_owned()
            }
            Finding::Unknown { why } => format!("remains unexplained: {why}"),
        };
        let tried = counted(trials.len(), "trial");
        text.push_str(&format!("{test} in {label} {found} ({tried}).\n"));
    }
    text
}

/// `33 passed, 1 failed, 2 blocked on 5 machines in 6.1s.`
fn count(report: &RunReport) -> String {
    let mut counts = BTreeMap::new();
    for run in &report.test_runs {
        *counts.entry(kind(&run.verdict)).or_insert(0_usize) += 1;
    }
    let parts: Vec<_> = counts
        .iter()
        .map(|((_, word), number)| format!("{number} {word}"))
        .collect();
    let machines = report.lives.iter().filter(|life| life.machine.is_some());
    let machines = machines.count();
    format!(
        "{} on {} in {}.{}s.\n",
        parts.join(", "),
        counted(machines, "machine"),
        report.duration_ms / 1_000,
        report.duration_ms % 1_000 / 100,
    )
}

/// The kind of a verdict, good ones first.
fn kind(verdict: &Verdict) -> (u8, &'static str) {
    match verdict {
        Verdict::Passed => (0, "passed"),
        Verdict::Flaky => (1, "flaky"),
        Verdict::Failed { .. } => (2, "failed"),
        Verdict::Blocked { .. } => (3, "blocked"),
        Verdict::Errored { .. } => (4, "errored"),
        Verdict::Skipped { .. } => (5, "skipped"),
        Verdict::Waived { .. } => (6, "waived"),
        Verdict::Interrupted => (7, "interrupted"),
    }
}
