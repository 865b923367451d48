//! `dva plan`: compiles a source into an execution plan.

use std::io::{Write, stdout};

use dva_plan::ExitCode;

use crate::args::PlanArguments;
use crate::failure::Failure;
use crate::input;

/// Writes the plan's bytes to a file, whole or not at all, or to standard output.
pub fn run(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let (_, bytes) = input::compile(&arguments.source)?;
    match &arguments.output {
        Some(path) => {
            std::fs::write(path, bytes).map_err(|error| Failure::file("write", path, &error))?;
        }
        None => stdout().write_all(&bytes).map_err(|error| {
            Failure::new(ExitCode::Invocation, format!("write the plan: {error}"))
        })?,
    }
    Ok(ExitCode::Ok)
}
