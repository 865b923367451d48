//! `dva explain`: the page of a diagnostic code or a failure class, or why a test runs where and when it does.

use dva_compiler::diagnostic::{Code, shown};
use dva_plan::{ExitCode, FailureClass};

use crate::args::{ExplainArguments, InputArguments};
use crate::failure::Failure;
use crate::why::Why;
use crate::{input, output, packing, render, selection};

/// Prints a page, the list of pages, or why a test runs where it does.
pub fn run(arguments: &ExplainArguments) -> Result<ExitCode, Failure> {
    let text = match &arguments.name {
        Some(file) if arguments.test.is_some() || arguments.cell.is_some() => why(file, arguments)?,
        Some(name) => {
            refuse_idle(arguments)?;
            page(name)?.to_owned()
        }
        None => list(),
    };
    output::print(text)?;
    Ok(ExitCode::Ok)
}

/// Why a test runs where and when it does.
fn why(file: &str, arguments: &ExplainArguments) -> Result<String, Failure> {
    let input = InputArguments {
        file: file.into(),
        plan: arguments.plan.clone(),
        set: arguments.set.clone(),
        format: arguments.format,
    };
    let plan = input::plan(&input)?.plan;
    let cell = selection::cell(&plan.body, arguments.cell.as_deref())?;
    let Some(test) = &arguments.test else {
        let tests = &plan.body.shapes[plan.body.cells[cell].shape].tests;
        return Err(Failure::new(
            ExitCode::Invocation,
            format!(
                "Say with `--test` which test of `{}` is to be explained. {}",
                selection::label(&plan.body, cell),
                selection::tests_are(&plan.body, tests)
            ),
        ));
    };
    let test = selection::test(&plan.body, cell, test)?;
    let (basis, packed) = packing::looked_at(plan, &arguments.look)?;
    let lanes = arguments.look.packing.lanes.map(Into::into);
    let why = Why::of(&basis.plan.body, &packed.schedule, (cell, test), lanes)?;
    Ok(match arguments.json {
        true => render::json(&why),
        false => why.text(),
    })
}

/// Refuses what says something of a schedule, where no test of one is asked about.
fn refuse_idle(arguments: &ExplainArguments) -> Result<(), Failure> {
    let look = &arguments.look;
    let packing = &look.packing;
    let is_idle = arguments.json
        || arguments.plan.is_some()
        || !arguments.set.is_empty()
        || look.provider.is_some()
        || look.schedule.is_some()
        || packing.isolate
        || packing.deadline.is_some()
        || packing.budget.is_some()
        || packing.lanes.is_some()
        || packing.past.history.is_some()
        || packing.past.no_history
        || !packing.quota.is_empty();
    match is_idle {
        true => Err(Failure::new(
            ExitCode::Invocation,
            "Such options are for a test of a plan. Say with `--test` which one is to be explained.",
        )),
        false => Ok(()),
    }
}

fn page(name: &str) -> Result<&'static str, Failure> {
    if let Some(code) = Code::named(name) {
        return Ok(code.page());
    }
    if let Some(class) = FailureClass::named(name) {
        return Ok(class.page());
    }
    let is_file = [".plan", ".json"].iter().any(|end| name.ends_with(end));
    let help = match is_file {
        true => "Of a plan, say with `--cell` and `--test` what is to be explained.",
        false => "`dva explain --list` names them all.",
    };
    Err(Failure::new(
        ExitCode::Invocation,
        format!(
            "There is no code and no failure class `{}`. {help}",
            shown::line(name)
        ),
    ))
}

fn list() -> String {
    let codes = Code::ALL
        .iter()
        .map(|code| format!("{code}  {}\n", code.summary()));
    let classes = FailureClass::ALL.iter().map(|class| format!("{class}\n"));
    codes.chain(classes).collect()
}
