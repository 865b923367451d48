//! What past runs took: how it is used, and `dva history`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What past runs say of the next one.
#[derive(Clone, Debug, Default, Args)]
pub struct PastArguments {
    /// Packs with what these runs took, which `dva history export` wrote, instead of those that were begun here; the
    /// simulator then takes as long
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Packs with what the plan states, whatever past runs took
    #[arg(long, conflicts_with = "history")]
    pub no_history: bool,
}

/// `dva history`.
#[derive(Debug, Args)]
pub struct HistoryArguments {
    #[command(subcommand)]
    pub command: Option<HistoryCommand>,
    /// What is shown, where nothing else is to be done.
    #[command(flatten)]
    pub show: ShowHistoryArguments,
}

/// What is done with the history.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Shows what is known: how often it was seen, the mean, and what nine of ten take at most
    Show(ShowHistoryArguments),
    /// Writes what is known of one provider's machines
    #[command(after_help = "Examples:\n  dva history export history.json\n  \
                            dva history export - --provider sim | tail -n 1 | jq .tests")]
    Export(ExportArguments),
    /// Adds what was exported elsewhere; the same again changes nothing
    #[command(after_help = "Example:\n  dva history import history.json")]
    Import(ImportArguments),
    /// Says how well each run in the journal would have been foretold from those before it
    #[command(
        after_help = "Examples:\n  dva history back-test\n  dva history back-test --json | jq '.[].under_p90_permille'"
    )]
    BackTest(BackTestArguments),
}

/// What is known, of whom.
#[derive(Debug, Args)]
pub struct PastOfArguments {
    /// On whose machines: local, hosts, ec2 or sim; all where not given
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// The folder that keeps what runs leave behind, and what they took
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
}

/// `dva history show`.
#[derive(Debug, Args)]
pub struct ShowHistoryArguments {
    /// Of whom.
    #[command(flatten)]
    pub of: PastOfArguments,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// `dva history export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The file; `-` for standard output
    pub file: PathBuf,
    /// Of whom.
    #[command(flatten)]
    pub of: PastOfArguments,
}

/// `dva history import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// What `dva history export` wrote
    pub file: PathBuf,
    /// The folder that keeps what runs leave behind, and what they took
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
}

/// `dva history back-test`.
#[derive(Debug, Args)]
pub struct BackTestArguments {
    /// Of whom.
    #[command(flatten)]
    pub of: PastOfArguments,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
