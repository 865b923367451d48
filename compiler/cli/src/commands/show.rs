//! `dva show`: what a run has come to, from its journal; also of one that goes on, or was broken off.

use dva_plan::ExitCode;
use dva_plan::document::to_bytes;

use crate::args::ShowArguments;
use crate::failure::Failure;
use crate::past_run::PastRun;
use crate::{outcome, output};

pub fn run(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let past = PastRun::open(&arguments.state, arguments.run.as_deref())?;
    let row = &past.row;
    let Some(report) = &past.report else {
        let text = format!("Run {} was broken off before it did anything.\n", row.id);
        output::print(text)?;
        return Ok(ExitCode::Ok);
    };
    if arguments.json {
        output::print(to_bytes(report))?;
        return Ok(ExitCode::Ok);
    }
    let mut text = format!("run {} of {}\n\n", row.id, row.name);
    text.push_str(&outcome::text(report));
    text.push_str(&outcome::diagnoses(report));
    if row.exit.is_none() {
        let open = past.open;
        text.push_str(&format!(
            "It is not over: {open} test runs have no verdict so far, and count as interrupted here.\n"
        ));
    }
    output::print(text)?;
    Ok(ExitCode::Ok)
}
