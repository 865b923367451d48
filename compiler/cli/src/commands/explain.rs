//! `dva explain`: the page of a diagnostic code or a failure class.

use std::io::{Write, stdout};

use dva_compiler::diagnostic::Code;
use dva_plan::{ExitCode, FailureClass};

use crate::args::ExplainArguments;
use crate::failure::Failure;

/// Prints a page, or the list of pages.
pub fn run(arguments: &ExplainArguments) -> Result<ExitCode, Failure> {
    let text = match &arguments.name {
        Some(name) => page(name)?.to_owned(),
        None => list(),
    };
    let _ = write!(stdout(), "{text}");
    Ok(ExitCode::Ok)
}

fn page(name: &str) -> Result<&'static str, Failure> {
    if let Some(code) = Code::named(name) {
        return Ok(code.page());
    }
    if let Some(class) = FailureClass::named(name) {
        return Ok(class.page());
    }
    Err(Failure::new(
        ExitCode::Invocation,
        format!(
            "There is no code and no failure class `{name}`. `dva explain --list` names them all."
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
