//! `dva check`: finds the mistakes in a source.

use std::io::{Write, stdout};

use dva_plan::ExitCode;

use crate::args::SourceArguments;
use crate::failure::Failure;
use crate::input;
use crate::render::counted;

/// Compiles and throws the plan away.
pub fn run(arguments: &SourceArguments) -> Result<ExitCode, Failure> {
    let (compilation, _) = input::compile(arguments)?;
    if let Some(plan) = &compilation.plan {
        let _ = writeln!(
            stdout(),
            "{}: plan {}, {}, {}, {}",
            arguments.file.display(),
            plan.name,
            counted(plan.cells.len(), "cell"),
            counted(plan.tests.len(), "test"),
            counted(plan.test_runs(), "test run"),
        );
    }
    Ok(ExitCode::Ok)
}
