//! `dva diagnose`: finds out which test makes another one fail that ran on the same machine after it.

use std::io::{Write, stderr};

use dva_plan::ExitCode;
use dva_plan::document::to_bytes;
use dva_runtime::folder::{RunFolder, write_report};

use crate::args::DiagnoseArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::past_run::PastRun;
use crate::trials::{self, Trials};
use crate::{outcome, output};

pub fn run(arguments: &DiagnoseArguments) -> Result<ExitCode, Failure> {
    let past = PastRun::open(&arguments.place.state, arguments.run.as_deref())?;
    let mut report = past.over()?.clone();
    if !past.told.hosts.is_empty() {
        return Err(Failure::new(ExitCode::Invocation, trials::NOT_FRESH));
    }
    let config = Config::load(arguments.place.config.as_deref())?;
    let trials = Trials {
        plan: &past.plan.body,
        told: &past.told,
        config: &config,
        place: &arguments.place,
    };
    let found = trials.diagnose(&report, arguments.max_cost)?;
    let exit = found.exit;
    let before = std::mem::take(&mut report.diagnoses);
    report.diagnoses = found.besides(before);
    if report.diagnoses.is_empty() {
        let _ = writeln!(
            stderr(),
            "No test of run {} failed on a machine that others had used before.",
            past.row.id
        );
    }
    let place = RunFolder::place(&arguments.place.state, &past.row.id);
    if let Err(error) = write_report(&place, &report) {
        let _ = writeln!(
            stderr(),
            "warning: the report of the run is as it was: {error}"
        );
    }
    let text = match arguments.json {
        true => to_bytes(&report),
        false => outcome::diagnoses(&report).into_bytes(),
    };
    output::print(&text)?;
    Ok(exit)
}
