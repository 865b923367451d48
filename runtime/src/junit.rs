//! JUnit: a run report as the XML that build servers read. One test suite a cell, one test case a test.
//!
//! | verdict | becomes |
//! |---|---|
//! | passed, flaky | success |
//! | failed | failure |
//! | errored, interrupted | error |
//! | blocked, skipped, waived | skipped |

use std::time::Duration;

use dva_plan::CellId;
use dva_plan::RunReport;
use dva_plan::label::CellLabels;
use dva_plan::report::{
    CommandStatus, ExecutionReport, StepOutcome, StepReport, StreamReport, TestRunReport,
};
use dva_plan::unit::display_duration;
use dva_plan::verdict::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use thiserror::Error;

use crate::clock::WallTime;
use crate::excerpt::escape;

/// A report that could not be written as XML.
#[derive(Debug, Error)]
#[error("write JUnit: {0}")]
pub struct JunitError(#[from] quick_junit::SerializeError);

/// The report as JUnit XML. Same report, same bytes.
///
/// # Errors
/// [`JunitError`], which no report is known to cause.
pub fn junit(report: &RunReport) -> Result<String, JunitError> {
    let mut xml = Report::new(clean(&report.plan));
    xml.set_time(Duration::from_millis(report.duration_ms));
    let labels = CellLabels::of(report.test_runs.iter().map(|run| &run.axes));
    let mut rest = report.test_runs.as_slice();
    // The test runs of a cell stand together.
    while let Some(first) = rest.first() {
        let same = |run: &&TestRunReport| run.cell == first.cell;
        let (of_cell, others) = rest.split_at(rest.iter().take_while(same).count());
        xml.add_test_suite(suite(report, &first.cell, of_cell, &labels));
        rest = others;
    }
    Ok(xml.to_string()?)
}

fn suite(
    report: &RunReport,
    cell: &CellId,
    runs: &[TestRunReport],
    labels: &CellLabels,
) -> TestSuite {
    let started = WallTime::from_unix_ms(report.started_unix_ms);
    let label = labels.label(&runs[0].axes, &report.plan);
    let mut suite = TestSuite::new(clean(&label));
    let lives = || report.lives.iter().filter(|life| life.cell == *cell);
    let launch_ms = lives().map(|life| life.launch_ms).min().unwrap_or(0);
    let end_ms = lives()
        .map(|life| life.end_ms.unwrap_or(report.duration_ms))
        .max()
        .unwrap_or(launch_ms);
    // An attribute of ours, since the library's takes types of a crate that is not.
    let timestamp = started.plus_ms(launch_ms).to_string();
    suite.extra.insert("timestamp".into(), timestamp.into());
    suite.set_time(Duration::from_millis(end_ms.saturating_sub(launch_ms)));
    suite.add_property(("run", report.run.as_str()));
    suite.add_property(("cell", cell.as_str()));
    suite.add_property(("provider", report.provider.as_str()));
    for (axis, value) in &runs[0].axes {
        suite.add_property((clean(axis), clean(value)));
    }
    suite.add_test_cases(runs.iter().map(|run| case(run, &label, started)));
    suite
}

fn case(run: &TestRunReport, label: &str, started: WallTime) -> TestCase {
    let mut status = match &run.verdict {
        Verdict::Passed | Verdict::Flaky => TestCaseStatus::success(),
        Verdict::Failed { .. } => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Errored { .. } | Verdict::Interrupted => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
        Verdict::Blocked { .. } | Verdict::Skipped { .. } | Verdict::Waived { .. } => {
            TestCaseStatus::skipped()
        }
    };
    if !run.verdict.unlocks() {
        let message = if run.message.is_empty() {
            run.verdict.to_string()
        } else {
            format!("{}: {}", run.verdict, run.message)
        };
        status.set_message(clean(&message));
        if let Some(class) = run.verdict.class() {
            status.set_type(class.name());
        }
    }
    let mut case = TestCase::new(clean(run.test.as_str()), status);
    case.set_classname(clean(label));
    if let Some(execution) = decisive(run) {
        let timestamp = started.plus_ms(execution.start_ms).to_string();
        case.extra.insert("timestamp".into(), timestamp.into());
        let took_ms = execution.end_ms.saturating_sub(execution.start_ms);
        case.set_time(Duration::from_millis(took_ms));
        let mut out: String = execution.steps.iter().map(step).collect();
        if !execution.left_processes.is_empty() {
            let left = execution.left_processes.join(", ");
            out.push_str(&format!("processes left behind: {left}\n"));
        }
        case.set_system_out(clean(&out));
    }
    case
}

/// The execution to show: of those that are no setup the last one, or the first with a step that did
/// not hold, where the test run has not passed; for a `last` test has several.
fn decisive(run: &TestRunReport) -> Option<&ExecutionReport> {
    let judging = || run.executions.iter().filter(|execution| !execution.setup);
    let holds =
        |step: &StepReport| matches!(step.outcome, StepOutcome::Passed | StepOutcome::Assumed);
    judging()
        .find(|execution| !run.verdict.unlocks() && !execution.steps.iter().all(holds))
        .or_else(|| judging().next_back())
}

/// A step as text: what it did, and what it wrote.
fn step(step: &StepReport) -> String {
    let outcome = match step.outcome {
        StepOutcome::Passed => "passed",
        StepOutcome::Assumed => "assumed",
        StepOutcome::Failed => "failed",
        StepOutcome::Errored => "errored",
        StepOutcome::Skipped => "skipped",
        StepOutcome::Interrupted => "interrupted",
    };
    let finally = if step.in_finally { "finally: " } else { "" };
    let took = display_duration(step.duration_ms);
    let indent = "  ".repeat(usize::try_from(step.depth).unwrap_or_default());
    let label = match step.label.as_str() {
        "" => String::new(),
        label => format!(" ({label})"),
    };
    let mut text = format!(
        "{indent}{finally}{}{label} [{outcome}, {took}]\n",
        step.source.text
    );
    if !step.message.is_empty() {
        text.push_str(&format!("{indent}  {}\n", step.message));
    }
    if let Some(command) = &step.command {
        text.push_str(&format!("$ {command}\n"));
    }
    match &step.status {
        None | Some(CommandStatus::Exit(0)) => {}
        Some(CommandStatus::Exit(status)) => text.push_str(&format!("exit status {status}\n")),
        Some(CommandStatus::Signal(name)) => text.push_str(&format!("ended by signal {name}\n")),
        Some(CommandStatus::TimedOut) => text.push_str("stopped at its limit\n"),
    }
    for (name, stream) in [("stdout", &step.stdout), ("stderr", &step.stderr)] {
        if let Some(StreamReport { excerpt, .. }) = stream
            && !excerpt.is_empty()
        {
            text.push_str(&format!("--- {name}\n{excerpt}"));
            if !excerpt.ends_with('\n') {
                text.push('\n');
            }
        }
    }
    text
}

/// Text without anything that XML cannot hold: a report may come from a file of any making.
fn clean(text: &str) -> String {
    escape(text.as_bytes())
}
