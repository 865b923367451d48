//! What meets a condition; what is wrong with one is shown like a mistake in a source.

use dva_compiler::diagnostic::Diagnostic;
use dva_compiler::filter;
use dva_compiler::source::{Source, Sources};
use dva_plan::ExitCode;
use dva_stdlib::{Catalog, MachineType, Region};

use crate::failure::Failure;
use crate::render;

/// What messages call the text in place of a file.
const NAME: &str = "condition";

/// The types that meet `condition`: at least one, for a condition that none meets is wrong too.
pub fn types<'c>(catalog: &'c Catalog, condition: &str) -> Result<Vec<&'c MachineType>, Failure> {
    filter::types(catalog, condition).map_err(|found| shown(condition, &found))
}

/// The same of regions.
pub fn regions<'c>(catalog: &'c Catalog, condition: &str) -> Result<Vec<&'c Region>, Failure> {
    filter::regions(catalog, condition).map_err(|found| shown(condition, &found))
}

fn shown(condition: &str, found: &[Diagnostic]) -> Failure {
    render::findings(&Sources::of(Source::new(NAME, condition)), found);
    Failure::silent(ExitCode::Invocation)
}
