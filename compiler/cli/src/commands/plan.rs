//! `dva plan`: compiles a source into an execution plan.

use std::io::{Write, stderr, stdout};

use dva_plan::ExitCode;

use crate::args::PlanArguments;
use crate::failure::Failure;
use crate::input;
use crate::render::{Stream, left_out};

/// Writes the plan's bytes to a file, whole or not at all, or to standard output.
pub fn run(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let (compilation, bytes) = input::compile(&arguments.source, Stream::Error)?;
    let _ = write!(stderr(), "{}", left_out(&compilation));
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
