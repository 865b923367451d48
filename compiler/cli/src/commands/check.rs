//! `dva check`: finds the mistakes in a source.

use std::io::{Write, stdout};

use dva_compiler::diagnostic::shown;
use dva_plan::ExitCode;

use crate::args::{Format, SourceArguments};
use crate::failure::Failure;
use crate::input;
use crate::render::{Stream, counted, left_out};

/// Compiles and throws the plan away. The findings are what is asked for, so those for programs go to
/// standard output, and nothing else beside JSON.
pub fn run(arguments: &SourceArguments) -> Result<ExitCode, Failure> {
    let compilation = input::compile(arguments, Stream::Output)?;
    if arguments.format == Format::Json {
        return Ok(ExitCode::Ok);
    }
    let name = arguments.file.display().to_string();
    let says = match &compilation.plan {
        Some(plan) => format!(
            "plan {}, {}, {}, {}",
            plan.name,
            counted(plan.cells.len(), "cell"),
            counted(plan.tests.len(), "test"),
            counted(plan.test_runs(), "test run"),
        ),
        None => "no plan; what stands in it is for other files".to_owned(),
    };
    let _ = writeln!(stdout(), "{}: {says}", shown::line(&name));
    let _ = write!(stdout(), "{}", left_out(&compilation));
    Ok(ExitCode::Ok)
}
