//! `dva show`: what a run has come to, from its journal; also of one that goes on, or was broken off.

use std::io::{Write, stdout};
use std::sync::Arc;

use dva_plan::document::to_bytes;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_runtime::journal::Store;
use dva_runtime::report::report;

use super::resume::{document, find, followed};
use super::run::stored;
use crate::args::ShowArguments;
use crate::failure::Failure;
use crate::outcome;

pub fn run(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let none = || Failure::new(ExitCode::Invocation, "No run was begun here.");
    let store = Store::existing(&arguments.state).map_err(|error| stored(&error))?;
    let store = store.ok_or_else(none)?;
    let rows = store.runs().map_err(|error| stored(&error))?;
    let row = match &arguments.run {
        Some(named) => find(&rows, named)?,
        None => rows.first().ok_or_else(none)?,
    };
    let run = store.load(&row.id).map_err(|error| stored(&error))?;
    let plan = Arc::new(document::<ExecutionPlan>(&run.plan, "plan")?.body);
    let schedule = document::<Schedule>(&run.schedule, "schedule")?.body;
    let state = followed(&run, &plan, &schedule)?;
    let mut out = stdout();
    let Some(report) = report(&state) else {
        let _ = writeln!(out, "Run {} was broken off before it did anything.", row.id);
        return Ok(ExitCode::Ok);
    };
    if arguments.json {
        let _ = out.write_all(&to_bytes(&report));
        return Ok(ExitCode::Ok);
    }
    let open = state.counts().open;
    let mut text = format!("run {} of {}\n\n", row.id, row.name);
    text.push_str(&outcome::text(&report));
    if row.exit.is_none() {
        text.push_str(&format!(
            "It is not over: {open} test runs have no verdict and count as interrupted here.\n"
        ));
    }
    let _ = out.write_all(text.as_bytes());
    Ok(ExitCode::Ok)
}
