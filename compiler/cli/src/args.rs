//! The command line: what `--help` says is written here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Proves cloud images, at the lowest price.
///
/// A `.plan` file says which images are tested under which conditions, by which tests, in which
/// order. dva compiles it into an execution plan, packs the tests onto as few machines as it can, and
/// runs them over SSH.
#[derive(Debug, Parser)]
#[command(
    name = "dva",
    version,
    after_help = "Exit codes: 0 passed · 1 source has errors · 2 bad invocation · 3 plan unreadable · \
                  4 tests failed · 5 refused before launch · 6 machines may still be running · \
                  7 infrastructure · 8 stopped by a limit · 101 bug · 130 interrupted"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Finds the mistakes in a source, without running anything
    #[command(after_help = "Example:\n  dva check examples/storage.plan")]
    Check(SourceArguments),
    /// Compiles a source into an execution plan
    #[command(
        after_help = "Examples:\n  dva plan examples/storage.plan -o plan.json\n  \
                      dva plan examples/storage.plan | tail -n 1 | jq '.cells[].axes'"
    )]
    Plan(PlanArguments),
    /// Says what a run would need, without starting anything
    #[command(
        after_help = "Examples:\n  dva estimate examples/storage.plan\n  dva estimate plan.json --json"
    )]
    Estimate(EstimateArguments),
    /// Draws the tests and what they come after
    #[command(after_help = "Examples:\n  dva graph examples/storage.plan\n  \
                      dva graph examples/storage.plan --format dot | dot -Tsvg > storage.svg")]
    Graph(GraphArguments),
    /// Runs a source or an execution plan
    #[command(after_help = "Examples:\n  dva run examples/storage.plan\n  \
                      dva run plan.json --json report.json --junit junit.xml\n  \
                      dva run examples/failing.plan --provider sim\n  \
                      dva run plan.json --hosts root@198.51.100.7,root@198.51.100.8:2222\n\n\
                      Ctrl-C once starts nothing more, lets running tests end and ends all machines; \
                      twice ends them at once.")]
    Run(RunArguments),
    #[cfg(feature = "local")]
    /// Finds what crashed runs have left on this host, and removes it with --yes
    #[command(after_help = "Examples:\n  dva gc\n  dva gc --yes")]
    Gc(GcArguments),
    #[cfg(feature = "local")]
    /// Logs in to a machine that was kept
    #[command(
        after_help = "Examples:\n  dva run examples/failing.plan --keep=on-failure\n  dva ssh\n  \
                      dva ssh 0658e7 -- cat /etc/os-release"
    )]
    Ssh(SshArguments),
    /// Shows the configuration
    #[command(
        after_help = "The configuration is `--config FILE`, else `./dva.toml`; each key that it does not have \
                      is taken from `dva/config.toml` in the user's configuration folder \
                      (`$XDG_CONFIG_HOME`, or `~/.config`).\n\n\
                      Example:\n  dva config --show"
    )]
    Config(ConfigArguments),
    /// Explains a diagnostic code or a failure class
    #[command(
        after_help = "Examples:\n  dva explain P0301\n  dva explain ssh.lost\n  dva explain --list"
    )]
    Explain(ExplainArguments),
}

/// A source.
#[derive(Debug, Args)]
pub struct SourceArguments {
    /// A `.plan` file
    pub file: PathBuf,
    /// Which `plan` item of the file; needed only where it has several
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
}

/// A source or an execution plan.
#[derive(Debug, Args)]
pub struct InputArguments {
    /// A `.plan` file, or an execution plan (`.json`)
    pub file: PathBuf,
    /// Which `plan` item of the file; needed only where it has several
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
}

/// `dva plan`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// What to compile.
    #[command(flatten)]
    pub source: SourceArguments,
    /// Where to write the execution plan; standard output where not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `dva estimate`.
#[derive(Debug, Args)]
pub struct EstimateArguments {
    /// What to estimate.
    #[command(flatten)]
    pub input: InputArguments,
    /// Where it would run
    #[arg(long, value_enum, default_value_t)]
    pub provider: ProviderName,
    /// A machine for every group of tests that come after each other, instead of one a cell
    #[arg(long)]
    pub isolate: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// `dva graph`.
#[derive(Debug, Args)]
pub struct GraphArguments {
    /// What to draw.
    #[command(flatten)]
    pub input: InputArguments,
    /// In which notation
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
}

/// A notation of graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum GraphFormat {
    /// Mermaid, which many web pages render
    #[default]
    Mermaid,
    /// DOT, for Graphviz
    Dot,
}

/// `dva run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// What to run.
    #[command(flatten)]
    pub input: InputArguments,
    /// Where to run it
    #[arg(long, value_enum, default_value_t)]
    pub provider: ProviderName,
    /// Runs on machines that exist already, each cell on the next free one: `USER@HOST:PORT`, several
    /// with commas
    #[arg(
        long,
        value_name = "HOSTS",
        value_delimiter = ',',
        conflicts_with = "provider"
    )]
    pub hosts: Vec<String>,
    /// The simulator's script; `X.sim.toml` beside `X.plan` where not given and there
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
    /// Writes the run report as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the run report as JUnit XML; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// A machine for every group of tests that come after each other, instead of one a cell
    #[arg(long)]
    pub isolate: bool,
    /// Keeps machines for an hour after the run, to look at them with `dva ssh`: those on which a test
    /// did not pass, or all
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "always", require_equals = true)]
    pub keep: Option<KeepWhich>,
    /// Writes more into the run's log; twice writes everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// The configuration; `./dva.toml`, over the user's own, where not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder that keeps what runs leave behind for people
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
}

/// A source of machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ProviderName {
    /// Sandboxes of this host; needs root
    #[default]
    Local,
    /// A simulator: nothing runs, time is virtual
    Sim,
}

/// Which machines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeepWhich {
    /// Those on which a test did not pass
    OnFailure,
    /// All
    Always,
}

/// `dva ssh`.
#[cfg(feature = "local")]
#[derive(Debug, Args)]
pub struct SshArguments {
    /// The cell it served, by the first digits of its id, or the machine's own name; not needed where
    /// only one machine is kept
    pub machine: Option<String>,
    /// What to run there; a shell where nothing is given
    #[arg(last = true)]
    pub command: Vec<String>,
    /// The configuration; `./dva.toml`, over the user's own, where not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder that keeps what runs leave behind for people
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
}

/// `dva gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Removes what is found
    #[arg(long)]
    pub yes: bool,
    /// With --yes, also ends machines that `dva run --keep` has kept
    #[arg(long, requires = "yes")]
    pub kept: bool,
    /// The configuration; `./dva.toml`, over the user's own, where not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `dva config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// Prints the configuration that holds here, with where it comes from
    #[arg(long, required = true)]
    pub show: bool,
    /// The configuration; `./dva.toml`, over the user's own, where not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `dva explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// A code such as `P0301`, or a failure class such as `ssh.lost`
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// Lists all codes and classes
    #[arg(long)]
    pub list: bool,
}
