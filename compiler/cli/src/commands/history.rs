//! `dva history`: what past runs took, by provider: shows it, carries it elsewhere, and says how well it foretells.

mod back_test;
mod show;

use std::collections::BTreeSet;
use std::io::{Write, stdout};
use std::path::Path;

use dva_plan::ExitCode;
use dva_plan::document::to_bytes;
use dva_plan::history::Observations;
use dva_runtime::journal::Store;
use dva_schedule::History;

use super::run::stored;
use crate::args::{
    ExportArguments, HistoryArguments, HistoryCommand, ImportArguments, PastOfArguments,
    ShowHistoryArguments,
};
use crate::failure::Failure;
use crate::render::counted;
use crate::{basis, output, render};

pub fn run(arguments: &HistoryArguments) -> Result<ExitCode, Failure> {
    match &arguments.command {
        None => show(&arguments.show),
        Some(HistoryCommand::Show(arguments)) => show(arguments),
        Some(HistoryCommand::Export(arguments)) => export(arguments),
        Some(HistoryCommand::Import(arguments)) => import(arguments),
        Some(HistoryCommand::BackTest(arguments)) => back_test::run(arguments),
    }
}

fn show(arguments: &ShowHistoryArguments) -> Result<ExitCode, Failure> {
    let known = known(&arguments.of)?;
    let text = match (arguments.json, known.is_empty()) {
        (true, _) => render::json(&show::view(&known)),
        (false, true) => nothing(&arguments.of),
        (false, false) => show::text(&known),
    };
    output::print(text)?;
    Ok(ExitCode::Ok)
}

fn export(arguments: &ExportArguments) -> Result<ExitCode, Failure> {
    output::check(std::iter::once(&*arguments.file), std::iter::empty())?;
    let known = known(&arguments.of)?;
    let refuse = |message: String| Err(Failure::new(ExitCode::Invocation, message));
    match known.as_slice() {
        [] => refuse(nothing(&arguments.of).trim_end().to_owned()),
        [only] => {
            output::write(&arguments.file, &to_bytes(only))?;
            Ok(ExitCode::Ok)
        }
        several => {
            let names: Vec<&str> = several.iter().map(|of| &*of.provider).collect();
            refuse(format!(
                "A history is of one provider. Say with `--provider` which one: {}.",
                names.join(", ")
            ))
        }
    }
}

fn import(arguments: &ImportArguments) -> Result<ExitCode, Failure> {
    let observations = basis::document(&arguments.file)?;
    let store = Store::open(&arguments.state).map_err(|error| stored(&error))?;
    let provider = &observations.provider;
    let before = store.history(provider).map_err(|error| stored(&error))?;
    store.merge(&observations).map_err(|error| stored(&error))?;
    let other = History::of(&observations);
    let (known, brought) = (before.runs(), other.runs());
    let new = brought.difference(&known).count();
    let runs = counted(brought.len(), "run");
    let _ = writeln!(stdout(), "{provider}: {runs}, {new} of them new");
    Ok(ExitCode::Ok)
}

/// What the folder knows, of all providers or of the one that is named.
fn known(arguments: &PastOfArguments) -> Result<Vec<Observations>, Failure> {
    let mut known = match existing(&arguments.state)? {
        Some(store) => store.histories().map_err(|error| stored(&error))?,
        None => Vec::new(),
    };
    known.retain(|of| is_wanted(arguments, &of.provider));
    Ok(known)
}

fn existing(state: &Path) -> Result<Option<Store>, Failure> {
    Store::existing(state).map_err(|error| stored(&error))
}

fn is_wanted(arguments: &PastOfArguments, provider: &str) -> bool {
    let mut wanted = arguments.provider.iter();
    wanted.all(|wanted| wanted == provider)
}

fn nothing(arguments: &PastOfArguments) -> String {
    match &arguments.provider {
        Some(provider) => format!("Nothing is known of runs on `{provider}` here.\n"),
        None => "Nothing is known of past runs here.\n".to_owned(),
    }
}

/// `3 runs`: those of which something is known.
fn runs(of: &Observations) -> String {
    let tests = of.tests.iter().flat_map(|row| &row.samples);
    let boots = of.boots.iter().flat_map(|row| &row.samples);
    let runs: BTreeSet<_> = tests.chain(boots).map(|sample| &sample.run).collect();
    counted(runs.len(), "run")
}
