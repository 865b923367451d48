//! Reports of runs that go exactly as they were scheduled.

use std::collections::BTreeMap;

use dva_plan::document::PRODUCER;
use dva_plan::exit::ExitCode;
use dva_plan::id::RunId;
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::report::{ExecutionReport, LifeReport, StepOutcome, StepReport, TestRunReport};
use dva_plan::schedule::Schedule;
use dva_plan::step::SourceText;
use dva_plan::verdict::Verdict;
use dva_plan::{ExecutionPlan, RunReport};

/// The report of a run of `schedule` in which all passes and takes what is expected of it.
pub fn follow(plan: &ExecutionPlan, schedule: &Schedule) -> RunReport {
    let lives = schedule.lives.iter().map(|life| LifeReport {
        console: None,
        cell: plan.cells[life.cell].id.clone(),
        machine: Some("i-0".to_owned()),
        r#type: plan.machines[life.machine].r#type.clone(),
        region: plan.machines[life.machine].region.clone(),
        launch_ms: life.launch_ms,
        ready_ms: Some(life.ready_ms),
        end_ms: Some(life.end_ms),
        problem: None,
        setup: Vec::new(),
    });
    let mut executions = executions(schedule);
    let test_runs = plan.cells.enumerate().flat_map(|(row, cell)| {
        let tests = &plan.shapes[cell.shape].tests;
        tests.iter().map(move |test| (row, cell, *test))
    });
    let test_runs = test_runs.map(|(row, cell, test)| TestRunReport {
        cell: cell.id.clone(),
        axes: cell.axes.clone(),
        test: plan.tests[test].id.clone(),
        verdict: Verdict::Passed,
        message: String::new(),
        executions: executions.remove(&(row, test)).unwrap_or_default(),
    });
    RunReport {
        producer: PRODUCER.into(),
        run: RunId::new("20261123-093000-0000"),
        plan: plan.name.clone(),
        plan_digest: schedule.plan_digest.clone(),
        provider: "ec2".to_owned(),
        started_unix_ms: 0,
        duration_ms: schedule.makespan_ms,
        exit: ExitCode::Ok,
        warnings: Vec::new(),
        bill: None,
        diagnoses: Vec::new(),
        lives: lives.collect(),
        test_runs: test_runs.collect(),
    }
}

fn executions(schedule: &Schedule) -> BTreeMap<(CellIx, TestIx), Vec<ExecutionReport>> {
    let mut executions: BTreeMap<_, Vec<ExecutionReport>> = BTreeMap::new();
    for (life, planned) in schedule.lives.enumerate() {
        for execution in &planned.executions {
            let of_test = executions.entry((planned.cell, execution.test));
            of_test.or_default().push(ExecutionReport {
                life,
                lane: execution.lane,
                setup: execution.setup,
                start_ms: execution.start_ms,
                end_ms: execution.end_ms,
                steps: Vec::new(),
                left_processes: Vec::new(),
            });
        }
    }
    for of_test in executions.values_mut() {
        of_test.sort_by_key(|execution| execution.start_ms);
    }
    executions
}

/// A step that ended like this.
pub fn step(outcome: StepOutcome) -> StepReport {
    StepReport {
        source: SourceText::default(),
        depth: 0,
        label: String::new(),
        message: String::new(),
        in_finally: false,
        outcome,
        duration_ms: 0,
        attempts: 1,
        command: None,
        status: None,
        captured: None,
        collected: None,
        operands: None,
        stdout: None,
        stderr: None,
    }
}
