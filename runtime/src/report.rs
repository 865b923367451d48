//! The run report, made of a run's state: the plan joined with what happened, and the bill of that.

use std::collections::BTreeMap;

use dva_plan::RunReport;
use dva_plan::document::PRODUCER;
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::{ExecutionReport, LifeReport, TestRunReport};
use dva_plan::schedule::LifeIx;
use dva_plan::verdict::Verdict;

use crate::state::{ExecutionState, RunState, machine_of};

/// The report of a run as it stands. Every planned test run is in it: one without a verdict, as when
/// the controller died, counts as interrupted. `None` before the run has started.
#[must_use]
pub fn report(state: &RunState) -> Option<RunReport> {
    let lives = state.lives().iter();
    joined(state, lives.map(|life| life.executions().to_vec()))
}

/// The same of a run that is over. What steps wrote is large, so it is no copy.
pub(crate) fn into_report(mut state: RunState) -> Option<RunReport> {
    let executions = state.take_executions();
    joined(&state, executions.into_iter())
}

/// The report, with the executions of each life.
fn joined(
    state: &RunState,
    executions_of_lives: impl Iterator<Item = Vec<ExecutionState>>,
) -> Option<RunReport> {
    let start = state.start()?;
    let plan = state.plan();
    let mut executions = executions(state, executions_of_lives);
    let test_runs = plan
        .cells
        .enumerate()
        .flat_map(|(index, cell)| {
            let tests = &plan.shapes[cell.shape].tests;
            tests.iter().map(move |test| (index, cell, *test))
        })
        .map(|(index, cell, test)| {
            let (verdict, message) = match state.final_judgement(index, test) {
                Some(judgement) => (judgement.verdict, judgement.message),
                None => (
                    Verdict::Interrupted,
                    match state.has_ended() {
                        true => "The run ended before this was judged.".to_owned(),
                        false => "It has no verdict so far.".to_owned(),
                    },
                ),
            };
            TestRunReport {
                cell: cell.id.clone(),
                axes: plan.shown_axes(cell),
                test: plan.tests[test].id.clone(),
                verdict,
                message,
                executions: executions.remove(&(index, test)).unwrap_or_default(),
            }
        })
        .collect();
    let mut report = RunReport {
        producer: PRODUCER.into(),
        run: start.run.clone(),
        plan: plan.name.clone(),
        plan_digest: start.plan_digest.clone(),
        provider: start.provider.clone(),
        started_unix_ms: start.started_unix_ms,
        duration_ms: state.now_ms(),
        exit: state.exit(),
        bill: None,
        diagnoses: Vec::new(),
        warnings: [
            state.warnings(),
            state.candidate_warnings(),
            state.boot_warnings(),
            state.console_warnings(),
            state
                .left_at_provider()
                .map(str::to_owned)
                .into_iter()
                .collect(),
        ]
        .concat(),
        lives: state
            .lives()
            .indices()
            .map(|life| life_report(state, life))
            .collect(),
        test_runs,
    };
    add_bill(state, &mut report);
    Some(report)
}

/// What the run has cost, and what it should have.
fn add_bill(state: &RunState, report: &mut RunReport) {
    let plan = state.plan();
    let expected = dva_schedule::expected(plan, state.planned_lives());
    let spent = dva_schedule::spent(plan, report);
    match expected.and_then(|expected| Ok(spent?.bill_report(expected))) {
        Ok(bill) => report.bill = bill,
        Err(error) => report
            .warnings
            .push(format!("What this has cost cannot be counted: {error}.")),
    }
}

fn life_report(state: &RunState, index: LifeIx) -> LifeReport {
    let (life, planned) = (&state.lives()[index], &state.schedule().lives[index]);
    let machine = machine_of(state, index);
    let problems: Vec<&str> = life
        .trouble()
        .map(|(_, message)| message)
        .into_iter()
        .chain(life.release_problem())
        .chain(
            life.launch_ms()
                .is_none()
                .then_some("It was never launched."),
        )
        .collect();
    LifeReport {
        cell: state.plan().cells[planned.cell].id.clone(),
        machine: life.id().map(str::to_owned),
        r#type: machine.r#type.clone(),
        region: machine.region.clone(),
        launch_ms: life.launch_ms().unwrap_or(planned.launch_ms),
        ready_ms: life.ready_ms(),
        end_ms: life.end_ms(),
        problem: (!problems.is_empty()).then(|| problems.join(" ")),
        console: life.console().and_then(|console| console.file.clone()),
        setup: life.setup_steps().to_vec(),
    }
}

/// The executions of each test run, in the order they started.
fn executions(
    state: &RunState,
    of_lives: impl Iterator<Item = Vec<ExecutionState>>,
) -> BTreeMap<(CellIx, TestIx), Vec<ExecutionReport>> {
    let mut reports: BTreeMap<_, Vec<ExecutionReport>> = BTreeMap::new();
    for ((life, planned), states) in state.schedule().lives.enumerate().zip(of_lives) {
        for (execution, state_of) in planned.executions.iter().zip(states) {
            let (lane, start_ms, end_ms, steps, left_processes) = match state_of {
                ExecutionState::Waiting | ExecutionState::Never => continue,
                ExecutionState::Running { lane, start_ms } => {
                    (lane, start_ms, state.now_ms(), vec![], vec![])
                }
                ExecutionState::Ended {
                    lane,
                    start_ms,
                    end_ms,
                    ending: _,
                    steps,
                    left_processes,
                } => (lane, start_ms, end_ms, steps, left_processes),
            };
            // Nearly every test runs once.
            let of_test = reports.entry((planned.cell, execution.test));
            let of_test = of_test.or_insert_with(|| Vec::with_capacity(1));
            of_test.push(ExecutionReport {
                life,
                lane,
                setup: execution.setup,
                start_ms,
                end_ms,
                steps,
                left_processes,
            });
        }
    }
    for of_test in reports.values_mut() {
        of_test.sort_by_key(|execution| execution.start_ms);
    }
    reports
}
