//! `dva estimate`: what a run would need, by the runtime's own scheduler, stopped before it launches.

use std::collections::BTreeMap;
use std::io::{Write, stdout};

use dva_plan::unit::display_duration;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_schedule::{Summary, summarize};
use serde::Serialize;

use crate::args::EstimateArguments;
use crate::failure::Failure;
use crate::input;
use crate::providers;
use crate::render::counted;

/// What `--json` prints.
#[derive(Serialize)]
struct View<'a> {
    plan: &'a str,
    cells: usize,
    lives: u32,
    test_runs: u32,
    setup_executions: u32,
    lanes: u32,
    peak_lanes: u32,
    makespan_ms: u64,
    makespan_lower_bound_ms: u64,
    busy_ms: u64,
    defaulted_durations: u32,
    machines: &'a BTreeMap<String, u32>,
}

/// Schedules and says what came out.
pub fn run(arguments: &EstimateArguments) -> Result<ExitCode, Failure> {
    let plan = input::plan(&arguments.input)?.plan;
    let schedule = providers::schedule(&plan, arguments.provider, arguments.isolate);
    let summary = summarize(&plan.body, &schedule);
    let text = if arguments.json {
        json(&plan.body, &summary)
    } else {
        human(&plan.body, &schedule, &summary)
    };
    let _ = stdout().write_all(text.as_bytes());
    Ok(ExitCode::Ok)
}

fn json(plan: &ExecutionPlan, summary: &Summary) -> String {
    let view = View {
        plan: &plan.name,
        cells: plan.cells.len(),
        lives: summary.lives,
        test_runs: summary.test_runs,
        setup_executions: summary.setup_executions,
        lanes: plan.policy.lanes,
        peak_lanes: summary.peak_lanes,
        makespan_ms: summary.makespan_ms,
        makespan_lower_bound_ms: summary.makespan_lower_bound_ms,
        busy_ms: summary.busy_ms,
        defaulted_durations: summary.defaulted_durations,
        machines: &summary.machines_by_type,
    };
    #[expect(
        clippy::expect_used,
        reason = "a view has text keys and no failing serializers"
    )]
    let text = serde_json::to_string_pretty(&view).expect("a view serializes");
    format!("{text}\n")
}

fn human(plan: &ExecutionPlan, schedule: &Schedule, summary: &Summary) -> String {
    let types: Vec<_> = summary
        .machines_by_type
        .iter()
        .map(|(name, number)| format!("{number} × {name}"))
        .collect();
    let mut text = format!(
        "{}: {}, {}\n",
        plan.name,
        counted(plan.cells.len(), "cell"),
        counted(plan.test_runs(), "test run"),
    );
    let mut line = |name: &str, value: String| text.push_str(&format!("  {name:<10} {value}\n"));
    line(
        "lives",
        format!("{} ({})", schedule.lives.len(), types.join(", ")),
    );
    line(
        "lanes",
        format!(
            "{} a life, at most {} busy at once",
            plan.policy.lanes, summary.peak_lanes
        ),
    );
    line(
        "makespan",
        format!(
            "{}, at least {}",
            display_duration(summary.makespan_ms),
            display_duration(summary.makespan_lower_bound_ms),
        ),
    );
    line(
        "durations",
        match summary.defaulted_durations {
            0 => "all stated with `takes`".to_owned(),
            number => format!(
                "{number} of {} are defaults; state them with `takes`",
                summary.test_runs
            ),
        },
    );
    line("cost", "not estimated yet: no prices are known".to_owned());
    text
}
