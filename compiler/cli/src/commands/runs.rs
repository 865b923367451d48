//! `dva runs`: lists the runs of a folder, and removes old ones.

use std::io::{Write, stdout};

use dva_plan::ExitCode;
use dva_plan::unit::display_duration;
use dva_runtime::clock::WallTime;
use dva_runtime::folder::RunFolder;
use dva_runtime::journal::{RunRow, Store};
use serde::Serialize;

use super::run::stored;
use crate::args::{PruneArguments, RunsArguments, RunsCommand};
use crate::failure::Failure;
use crate::past_run::goes_on;
use crate::table::{Align, Table};

/// A run in the list for programs.
#[derive(Serialize)]
struct Listed<'r> {
    run: &'r str,
    plan: &'r str,
    started_unix_ms: u64,
    /// Where it has ended.
    exit: Option<u8>,
    /// Where it has not: whether a process looks after it.
    goes_on: bool,
}

pub fn run(arguments: &RunsArguments) -> Result<ExitCode, Failure> {
    let store = Store::existing(&arguments.state).map_err(|error| stored(&error))?;
    let rows = match &store {
        Some(store) => store.runs().map_err(|error| stored(&error))?,
        None => Vec::new(),
    };
    match (&arguments.command, &store) {
        (Some(RunsCommand::Prune(prune_arguments)), Some(store)) => {
            prune(arguments, prune_arguments, store, &rows)
        }
        (Some(RunsCommand::Prune(_)) | None, _) => list(arguments, &rows),
    }
}

fn list(arguments: &RunsArguments, rows: &[RunRow]) -> Result<ExitCode, Failure> {
    let listed: Vec<Listed<'_>> = rows
        .iter()
        .map(|row| Listed {
            run: row.id.as_str(),
            plan: &row.name,
            started_unix_ms: row.started_unix_ms,
            exit: row.exit.map(ExitCode::number),
            goes_on: row.exit.is_none() && goes_on(&arguments.state, row),
        })
        .collect();
    let mut out = stdout();
    if arguments.json {
        let text = serde_json::to_string(&listed)
            .map_err(|error| Failure::new(ExitCode::Bug, error.to_string()))?;
        let _ = writeln!(out, "{text}");
        return Ok(ExitCode::Ok);
    }
    if listed.is_empty() {
        let _ = writeln!(out, "No run was begun here.");
        return Ok(ExitCode::Ok);
    }
    let columns = ["run", "plan", "began", "state"];
    let mut table = Table::new(columns.map(|column| (column, Align::Left)));
    for row in &listed {
        let state = match (row.exit, row.goes_on) {
            (Some(exit), _) => format!("over, exit {exit}"),
            (None, true) => "goes on".to_owned(),
            (None, false) => format!("broken off; `dva resume {}` goes on with it", row.run),
        };
        let began = WallTime::from_unix_ms(row.started_unix_ms).to_string();
        table.row([row.run.to_owned(), row.plan.to_owned(), began, state]);
    }
    let _ = write!(out, "{}", table.text());
    Ok(ExitCode::Ok)
}

/// Removes runs that are over, with their folders; only says which without `--yes`.
fn prune(
    arguments: &RunsArguments,
    prune: &PruneArguments,
    store: &Store,
    rows: &[RunRow],
) -> Result<ExitCode, Failure> {
    let before_ms = WallTime::now().unix_ms().saturating_sub(prune.older_than);
    let old = rows
        .iter()
        .filter(|row| row.exit.is_some() && row.started_unix_ms <= before_ms);
    let old: Vec<&RunRow> = old.collect();
    let mut out = stdout();
    if old.is_empty() {
        let _ = writeln!(out, "No run that is over is that old.");
        return Ok(ExitCode::Ok);
    }
    for row in &old {
        if !prune.yes {
            let _ = writeln!(out, "{}: would be removed", row.id);
            continue;
        }
        let place = RunFolder::place(&arguments.state, &row.id);
        match std::fs::remove_dir_all(&place) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::file("remove", &place, &error));
            }
            Ok(()) | Err(_) => {}
        }
        store.remove(&row.id).map_err(|error| stored(&error))?;
        let _ = writeln!(out, "{}: removed", row.id);
    }
    if !prune.yes {
        let age = display_duration(prune.older_than);
        let _ = writeln!(
            out,
            "`dva runs prune --older-than {age} --yes` removes them."
        );
    }
    Ok(ExitCode::Ok)
}
