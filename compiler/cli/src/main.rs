//! The `dva` command: reads its arguments, does one thing, ends with an exit code of the contract.

mod args;
mod basis;
mod begin;
mod commands;
mod config;
mod failure;
mod gantt;
mod input;
mod inputs;
mod log;
mod outcome;
mod output;
mod packing;
mod past_run;
mod price;
mod progress;
mod providers;
mod render;
mod secrets;
mod selection;
mod stop_at;
mod table;
mod told;
mod trials;
mod why;

use std::io::{Write, stderr};
use std::process::ExitCode as ProcessExitCode;

use clap::Parser;
use dva_plan::ExitCode;

use crate::args::{Arguments, Command};
use crate::failure::Failure;

/// A large run makes a few hundred million small things.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ProcessExitCode {
    // A local machine's helpers are this program started again under another name. That has to be
    // settled before there is a second thread.
    #[cfg(feature = "local")]
    dva_local::enter_if_helper();

    let code = std::panic::catch_unwind(|| run(&Arguments::parse())).unwrap_or_else(|_| {
        let _ = writeln!(
            stderr(),
            "This is a bug in dva. Please report it with the text above; \
             `dva gc` shows whether machines were left."
        );
        ExitCode::Bug
    });
    ProcessExitCode::from(code.number())
}

fn run(arguments: &Arguments) -> ExitCode {
    let outcome = match &arguments.command {
        Command::Check(arguments) => commands::check::run(arguments),
        Command::Plan(arguments) => commands::plan::run(arguments),
        Command::Estimate(arguments) => commands::estimate::run(arguments),
        Command::Schedule(arguments) => commands::schedule::run(arguments),
        Command::Catalog(arguments) => commands::catalog::run(arguments),
        Command::Graph(arguments) => commands::graph::run(arguments),
        Command::Run(arguments) => commands::run::run(arguments),
        Command::Resume(arguments) => commands::resume::run(arguments),
        Command::Rerun(arguments) => commands::rerun::run(arguments),
        Command::Diagnose(arguments) => commands::diagnose::run(arguments),
        Command::Runs(arguments) => commands::runs::run(arguments),
        Command::Show(arguments) => commands::show::run(arguments),
        Command::History(arguments) => commands::history::run(arguments),
        #[cfg(feature = "ec2")]
        Command::Doctor(arguments) => commands::doctor::run(arguments),
        Command::Gc(arguments) => commands::gc::run(arguments),
        #[cfg(feature = "local")]
        Command::Ssh(arguments) => commands::ssh::run(arguments),
        Command::Config(arguments) => commands::config::run(arguments),
        Command::Explain(arguments) => commands::explain::run(arguments),
    };
    outcome.unwrap_or_else(|Failure { code, message }| {
        if !message.is_empty() {
            let _ = writeln!(stderr(), "error: {message}");
        }
        code
    })
}
