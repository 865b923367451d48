//! `dva plan`: compiles a source into an execution plan.

use std::io::{Write, stderr};
use std::path::Path;

use dva_plan::ExitCode;

use crate::args::PlanArguments;
use crate::failure::Failure;
use crate::render::{Stream, left_out};
use crate::{input, output};

/// Writes the plan's bytes to a file, whole or not at all, or to standard output.
pub fn run(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let output = arguments.output.as_deref();
    output::check(
        output.into_iter(),
        std::iter::once(arguments.source.file.as_path()),
    )?;
    let compilation = input::compile(&arguments.source, Stream::Error)?;
    let bytes = input::plan_bytes(&arguments.source.file, &compilation)?;
    let _ = write!(stderr(), "{}", left_out(&compilation));
    output::write(output.unwrap_or(Path::new("-")), &bytes)?;
    Ok(ExitCode::Ok)
}
