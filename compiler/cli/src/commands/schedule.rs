//! `dva schedule`: on which machine and when every test runs, as `dva run` will do it: text, SVG or JSON.

use std::io::{IsTerminal, stdout};

use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use serde::Serialize;

use crate::args::ScheduleArguments;
use crate::failure::Failure;
use crate::gantt::text::{Paint, text};
use crate::gantt::{Chart, Detail, svg};
use crate::price::Price;
use crate::{input, output, packing, render};

/// How many blocks of lives a text has at most.
const MOST_IN_TEXT: usize = 24;
/// How many an image has.
const MOST_IN_SVG: usize = 120;
/// How wide the text is where there is no terminal.
const PLAIN_WIDTH: u16 = 100;

/// What `--json` prints. Times are milliseconds since the start of the run.
#[derive(Serialize)]
struct View<'a> {
    plan: &'a str,
    makespan_ms: u64,
    price: Price,
    lives: Vec<LifeView<'a>>,
}

#[derive(Serialize)]
struct LifeView<'a> {
    cell: &'a str,
    label: String,
    region: &'a str,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot: Option<&'a str>,
    lanes: u32,
    launch_ms: u64,
    pending_ms: u64,
    ready_ms: u64,
    end_ms: u64,
    price: Price,
    executions: Vec<ExecutionView<'a>>,
}

#[derive(Serialize)]
struct ExecutionView<'a> {
    test: &'a str,
    /// From 0, as in a schedule's file.
    lane: u32,
    start_ms: u64,
    end_ms: u64,
    setup: bool,
}

/// Schedules, or reads a schedule, and draws it.
pub fn run(arguments: &ScheduleArguments) -> Result<ExitCode, Failure> {
    let svg = arguments.svg.as_deref();
    let read = [
        Some(arguments.input.file.as_path()),
        arguments.look.schedule.as_deref(),
    ];
    output::check(svg.into_iter(), read.into_iter().flatten())?;
    let plan = input::plan(&arguments.input)?.plan;
    let (basis, packed) = packing::looked_at(plan, &arguments.look)?;
    let (plan, schedule) = (&basis.plan.body, packed.schedule);
    let chart = |most: usize| {
        let detail = match arguments.all {
            true => Detail::All,
            false => Detail::Most(most),
        };
        Chart::of(plan, &schedule, detail)
    };
    if let Some(path) = svg {
        output::write(path, svg::svg(&chart(MOST_IN_SVG)?).as_bytes())?;
    } else if arguments.json {
        output::print(json(plan, &schedule)?)?;
    } else {
        let width = arguments.width.or_else(terminal_width);
        let paint = match render::colours_of_output() {
            true => Paint::Colours,
            false => Paint::Plain,
        };
        let text = text(&chart(MOST_IN_TEXT)?, width.unwrap_or(PLAIN_WIDTH), paint);
        output::print(text)?;
    }
    Ok(ExitCode::Ok)
}

fn json(plan: &ExecutionPlan, schedule: &Schedule) -> Result<String, Failure> {
    let mut lives = Vec::with_capacity(schedule.lives.len());
    let labels = plan.cell_labels();
    for life in &schedule.lives {
        let (cell, machine) = (&plan.cells[life.cell], &plan.machines[life.machine]);
        let executions = life.executions.iter().map(|execution| ExecutionView {
            test: plan.tests[execution.test].id.as_str(),
            lane: execution.lane,
            start_ms: execution.start_ms,
            end_ms: execution.end_ms,
            setup: execution.setup,
        });
        lives.push(LifeView {
            cell: cell.id.as_str(),
            label: labels.label(&plan.shown_axes(cell), &plan.name),
            region: &machine.region,
            r#type: &machine.r#type,
            boot: life.boot.map(|boot| plan.boots[boot].name.as_str()),
            lanes: life.lanes,
            launch_ms: life.launch_ms,
            pending_ms: life.pending_ms,
            ready_ms: life.ready_ms,
            end_ms: life.end_ms,
            price: Price::of(plan, [life])?,
            executions: executions.collect(),
        });
    }
    Ok(render::json(&View {
        plan: &plan.name,
        makespan_ms: schedule.makespan_ms,
        price: Price::of_schedule(plan, schedule)?,
        lives,
    }))
}

/// How many characters fit a line of the terminal, where there is one.
fn terminal_width() -> Option<u16> {
    if !stdout().is_terminal() {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stdout()).ok()?;
    (size.ws_col >= 40).then_some(size.ws_col)
}
