//! The command line: what `--help` says is written here.

mod history;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use dva_compiler::suppose::AXES;
use dva_plan::money::Money;
use dva_plan::parse;
use dva_plan::value::{Type, Value};
use dva_schedule::{Effort, QuotaClass};
use serde::{Deserialize, Serialize};

pub use history::{
    BackTestArguments, ExportArguments, HistoryArguments, HistoryCommand, ImportArguments,
    PastArguments, PastOfArguments, ShowHistoryArguments,
};

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
    #[command(after_help = "Examples:\n  dva check examples/storage.plan\n  \
                      dva check examples/storage.plan --format json | jq '.diagnostics[].code'\n\n\
                      Findings go to standard error; with --format json and --format github those of \
                      `dva check` go to standard output.")]
    Check(SourceArguments),
    /// Compiles a source into an execution plan
    #[command(
        after_help = "Examples:\n  dva plan examples/storage.plan -o plan.json\n  \
                      dva plan examples/storage.plan | tail -n 1 | jq '.cells[].axes'"
    )]
    Plan(PlanArguments),
    /// Says what a run would need and cost, without starting anything
    #[command(after_help = "Examples:\n  dva estimate examples/storage.plan\n  \
                      dva estimate plan.json --json | jq .cost_nano_usd")]
    Estimate(EstimateArguments),
    /// Draws on which machine and when every test runs, as text or as SVG
    #[command(after_help = "Examples:\n  dva schedule examples/cheapest.plan\n  \
                      dva schedule plan.json --deadline 40min --svg schedule.svg\n  \
                      dva estimate plan.json -o schedule.json && dva schedule plan.json --schedule schedule.json\n  \
                      dva schedule plan.json --json | jq '.lives[] | {label, type, end_ms}'\n\n\
                      Lives that do the same at the same time are drawn once. `dva explain FILE --cell C --test T` \
                      says why a test runs where and when it does.")]
    Schedule(ScheduleArguments),
    /// Lists machine types and regions, with what they cost
    #[command(
        after_help = "Examples:\n  dva catalog 'memory >= 16GiB and nvme and arch == arm64'\n  \
                      dva catalog m7i.large --region eu-west-1\n  \
                      dva catalog --cheapest 'vcpus >= 8 and not burstable' --region eu-west-1 --os rhel\n  \
                      dva catalog --cheapest 'gpus >= 1' --market spot --limit 3 --json\n  \
                      dva catalog --regions 'partition == aws and not opt_in'\n\n\
                      A condition is what stands behind `types where` and `regions where` in a matrix. \
                      Prices are for an hour of the machine with its operating system; volumes and \
                      addresses are extra. An exact price stands in a price list, a derived one follows \
                      from one by a rule, an estimated one is a guess with a basis."
    )]
    Catalog(CatalogArguments),
    /// Draws the tests and what they come after
    #[command(after_help = "Examples:\n  dva graph examples/storage.plan\n  \
                      dva graph examples/storage.plan --as dot | dot -Tsvg > storage.svg")]
    Graph(GraphArguments),
    /// Runs a source or an execution plan
    #[command(after_help = "Examples:\n  dva run examples/storage.plan\n  \
                      dva run plan.json --json report.json --junit junit.xml\n  \
                      dva run examples/failing.plan --provider sim\n  \
                      dva run plan.json --hosts root@198.51.100.7,root@198.51.100.8:2222\n  \
                      dva run examples/release.plan --provider ec2 --max-cost 1.00\n\n\
                      Ctrl-C once starts nothing more, lets running tests end and ends all machines; \
                      twice ends them at once.")]
    Run(RunArguments),
    /// Goes on with a run whose process has died
    #[command(
        after_help = "Examples:\n  dva resume\n  dva resume 20261123-093000-4f2a --json report.json\n\n\
                      What has a verdict keeps it. Machines that were at work are ended; what they have left open is \
                      run on new ones, with what it is after as setup. Secrets and inputs are bound again."
    )]
    Resume(ResumeArguments),
    /// Runs again what did not pass in a run that is over, with what it is after
    #[command(
        after_help = "Examples:\n  dva rerun\n  dva rerun 20261123-093000-4f2a --json report.json\n\n\
                      It is a run of its own, of a part of the plan: the test runs that failed, were blocked, interrupted \
                      or not judged, and those that they are after. The other run keeps its verdicts."
    )]
    Rerun(RerunArguments),
    /// Finds out which test makes another one fail that ran on the same machine after it
    #[command(
        after_help = "Examples:\n  dva diagnose\n  dva diagnose 20261123-093000-4f2a --max-cost 0.50\n\n\
                      A test that failed on a machine which others had used is run again on fresh ones: alone, behind all \
                      of those, and behind ever fewer. Each trial is a run of its own. Of the cells in which a test failed \
                      one is looked into. `dva run --diagnose` does the same when a run is over."
    )]
    Diagnose(DiagnoseArguments),
    /// Lists the runs that were begun here, and removes old ones
    #[command(
        after_help = "Examples:\n  dva runs\n  dva runs --json | jq '.[] | select(.exit == null)'\n  \
                      dva runs prune --older-than 720h --yes"
    )]
    Runs(RunsArguments),
    /// Says what a run has come to, and what it has cost
    #[command(
        after_help = "Examples:\n  dva show\n  dva show 20261123-093000-4f2a --json | tail -n 1 | jq .exit"
    )]
    Show(ShowArguments),
    /// Shows what tests and boots took in past runs, and carries that elsewhere
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  dva history\n  dva history show --provider local --json | jq '.[].tests[].times'\n  \
                      dva history export history.json\n  dva history import history.json\n  \
                      dva history back-test\n\n\
                      Every run that ends is learned: `dva estimate` and `dva run` pack the next one with the mean of what \
                      tests and boots took on that provider's machines. Providers are kept apart. What the simulator and \
                      hosts took is used only where `--history FILE` names it. `dva runs prune` leaves the history as it is."
    )]
    History(HistoryArguments),
    /// Finds what crashed runs have left on this host or in EC2, and ends it with --yes
    #[command(
        after_help = "Examples:\n  dva gc\n  dva gc --yes\n  dva gc --older-than 2h --yes\n  \
                      dva gc --provider ec2\n  dva gc --provider ec2 --older-than 2h --yes\n\n\
                      In EC2 it finds what has the tag of a run, in all regions that the account has. A run whose machines \
                      are still wanted may go on somewhere else: it is ended only where --run or --older-than means it."
    )]
    Gc(GcArguments),
    #[cfg(feature = "ec2")]
    /// Looks at what a plan needs of an account, before anything is launched
    #[command(
        after_help = "Examples:\n  dva doctor --provider ec2 examples/release.plan\n  \
                      dva doctor --provider ec2 examples/release.plan --policy > policy.json\n\n\
                      Images, networks, types, permissions and quotas of every region that the plan names. Permissions are \
                      tried by calls that EC2 does not carry out. Nothing is made, and nothing costs."
    )]
    Doctor(DoctorArguments),
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
    /// Explains a diagnostic code or a failure class, or why a test runs where and when it does
    #[command(
        after_help = "Examples:\n  dva explain P0301\n  dva explain ssh.lost\n  dva explain --list\n  \
                      dva explain examples/cheapest.plan --cell 'image=debian region=us-east-1' --test mount\n  \
                      dva explain plan.json --schedule schedule.json --cell 0658e7 --test mount --json\n\n\
                      A cell is what `dva schedule` and reports call it, the first digits of its id, or any of its \
                      AXIS=VALUE words that tell it from the others."
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
    /// Gives an input of the source its value; several times for several inputs
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// How findings in the source are shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A source or an execution plan.
#[derive(Debug, Args)]
pub struct InputArguments {
    /// A `.plan` file, or an execution plan (`.json`)
    pub file: PathBuf,
    /// Which `plan` item of the file; needed only where it has several
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
    /// Gives an input of the source its value; several times for several inputs
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// How findings in the source are shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// A form of findings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: drawn, or told in sentences where `NO_GRAPHICS` is set
    #[default]
    Human,
    /// A JSON document on one line, also where nothing was found
    Json,
    /// Workflow commands of GitHub Actions, a line each
    Github,
}

/// `NAME=VALUE`.
fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or("an input and its value are joined by `=`")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// How many there may be.
fn count(text: &str) -> Result<NonZeroUsize, String> {
    let number = text.parse::<usize>().ok().and_then(NonZeroUsize::new);
    number.ok_or_else(|| "a whole number is wanted, at least 1".to_owned())
}

/// A duration as sources have it.
fn duration(text: &str) -> Result<u64, String> {
    match parse::text(text, &Type::Ms, None) {
        Ok(Value::Ms(ms)) if ms > 0 => Ok(ms),
        Ok(Value::Ms(_)) => Err("it is zero, which is no duration here".to_owned()),
        _ => Err("a duration is such as `90s`, `40min` or `2h`".to_owned()),
    }
}

/// An amount as sources have it; the `$`, which a shell would take for its own, may be left out.
pub fn money(text: &str) -> Result<Money, String> {
    let amount = format!("${}", text.trim_start_matches('$'));
    Money::parse(&amount).map_err(|_| "an amount of US dollars is such as `5.00`".to_owned())
}

/// `AXIS=VALUE,VALUE`.
fn supposition(text: &str) -> Result<(String, Vec<String>), String> {
    let (axis, values) = text
        .split_once('=')
        .filter(|(axis, _)| AXES.contains(axis))
        .ok_or("`instance` and `region` alone can be supposed: `instance=m7i.large`, `region=eu-west-1`")?;
    if values.split(',').any(str::is_empty) {
        return Err(format!("no value of `{axis}` is named"));
    }
    let values = values.split(',').map(str::to_owned).collect();
    Ok((axis.to_owned(), values))
}

/// `standard=256`, `us-east-1:g=64`.
fn quota(text: &str) -> Result<(Option<String>, QuotaClass, u32), String> {
    let wrong = || "a quota is such as `standard=256` or `us-east-1:g=64`".to_owned();
    let (pool, vcpus) = text.split_once('=').ok_or_else(wrong)?;
    let (region, class) = match pool.split_once(':') {
        Some((region, class)) => (Some(region.to_owned()), class),
        None => (None, pool),
    };
    let name = |class: &QuotaClass| {
        let first = class.name().split(" and ").next().unwrap_or_default();
        first.to_lowercase().replace(' ', "-")
    };
    let mut classes = QuotaClass::ALL.into_iter();
    let class = classes.find(|known| name(known) == class).ok_or_else(|| {
        let names: Vec<_> = QuotaClass::ALL.iter().map(name).collect();
        format!(
            "`{class}` is no class of quotas; there are {}",
            names.join(", ")
        )
    })?;
    Ok((region, class, vcpus.parse().map_err(|_| wrong())?))
}

/// How a run is packed onto machines.
#[derive(Clone, Debug, Default, Args)]
pub struct PackingArguments {
    /// The least cost of what is over in time, in nine of ten runs: `40min`. The plan's `limit elapsed` where
    /// not given, and however long it takes without one
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "budget")]
    pub deadline: Option<u64>,
    /// The least time for this many US dollars: `5.00`
    #[arg(long, value_name = "AMOUNT", value_parser = money)]
    pub budget: Option<Money>,
    /// At most so many tests at once on a machine
    #[arg(long, value_name = "N")]
    pub lanes: Option<NonZeroU32>,
    /// What an account may have running: `standard=256` virtual processors in each region, `us-east-1:g=64` in
    /// one; several times for several classes (standard, dl, f, g, hpc, high-memory, inf, p, trn, x)
    #[arg(long, value_name = "[REGION:]CLASS=VCPUS", value_parser = quota)]
    pub quota: Vec<(Option<String>, QuotaClass, u32)>,
    /// How long to look for something cheaper, in moves a kind of cell: the same number, the same schedule
    #[arg(long, value_name = "MOVES", default_value_t = Effort::default().0)]
    pub effort: u32,
    /// A machine for every group of tests that come after each other, instead of one a cell
    #[arg(long, conflicts_with_all = ["deadline", "budget"])]
    pub isolate: bool,
    /// What is known of its tests.
    #[command(flatten)]
    pub past: PastArguments,
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
    /// Where it would run, which decides how long a boot is taken to be; by the plan's regions where
    /// not given
    #[arg(long, value_enum)]
    pub provider: Option<ProviderName>,
    /// How it is to be packed.
    #[command(flatten)]
    pub packing: PackingArguments,
    /// The folder that keeps what runs leave behind, and what they took
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
    /// As if machines were bought like this; of a source alone, since the prices of an execution plan are part
    /// of it
    #[arg(long, value_enum)]
    pub market: Option<MarketName>,
    /// As if all matrices had these values: `instance=m7i.large`, `region=eu-west-1,us-east-1`; of a source
    /// alone
    #[arg(long, value_name = "AXIS=VALUE", value_parser = supposition)]
    pub what_if: Vec<(String, Vec<String>)>,
    /// Writes the schedule, which `dva run --schedule` follows
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// Which schedule is looked at.
#[derive(Debug, Args)]
pub struct LookArguments {
    /// Where it would run, which decides how long a boot is taken to be; by the plan's regions where
    /// not given
    #[arg(long, value_enum)]
    pub provider: Option<ProviderName>,
    /// How it is to be packed.
    #[command(flatten)]
    pub packing: PackingArguments,
    /// The folder that keeps what runs leave behind, and what they took
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
    /// Looks at a schedule that `dva estimate -o FILE` wrote for this plan
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["provider", "deadline", "budget", "lanes", "effort", "quota", "isolate", "history", "no_history"]
    )]
    pub schedule: Option<PathBuf>,
}

/// `dva schedule`.
#[derive(Debug, Args)]
pub struct ScheduleArguments {
    /// What is scheduled.
    #[command(flatten)]
    pub input: InputArguments,
    /// Which schedule.
    #[command(flatten)]
    pub look: LookArguments,
    /// Draws every life on its own, also where many do the same
    #[arg(long)]
    pub all: bool,
    /// Writes an SVG instead of text; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// How many characters wide the text is; the terminal's width, or 100, where not given
    #[arg(long, value_name = "N", conflicts_with = "svg", value_parser = clap::value_parser!(u16).range(40..=1000))]
    pub width: Option<u16>,
    /// Prints JSON, with every life on its own
    #[arg(long, conflicts_with_all = ["svg", "width"])]
    pub json: bool,
}

/// `dva catalog`.
#[derive(Debug, Args)]
pub struct CatalogArguments {
    /// Which types, such as 'memory >= 16GiB and nvme', or the name of a type, a family or a region;
    /// all types where not given
    #[arg(value_name = "CONDITION|NAME")]
    pub what: Option<String>,
    /// Lists regions, those that meet the condition
    #[arg(long, conflicts_with_all = ["cheapest", "region", "os", "market"])]
    pub regions: bool,
    /// The cheapest first, 10 of them unless --limit says otherwise
    #[arg(long)]
    pub cheapest: bool,
    /// What is offered in this region, at its price there; several with commas. The cheapest region of
    /// each type where not given
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub region: Vec<String>,
    /// The operating system, by what EC2 charges for it
    #[arg(long, value_enum, value_name = "CLASS", default_value_t)]
    pub os: OsName,
    /// How the machine is bought; spot is shown at the price on demand, which it does not exceed
    #[arg(long, value_enum, default_value_t)]
    pub market: MarketName,
    /// Shows so many at most
    #[arg(long, value_name = "N", value_parser = count)]
    pub limit: Option<NonZeroUsize>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// A class of operating systems.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OsName {
    /// One that EC2 charges nothing for: Debian, Ubuntu, Amazon Linux, a licence of one's own
    #[default]
    Linux,
    /// Red Hat Enterprise Linux
    Rhel,
    /// The same with high availability
    RhelHa,
    /// SUSE Linux Enterprise
    Suse,
    /// Windows
    Windows,
}

/// A way to buy machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum MarketName {
    /// At a fixed price, for as long as it is wanted
    #[default]
    OnDemand,
    /// Until EC2 wants it back
    Spot,
}

/// `dva graph`.
#[derive(Debug, Args)]
pub struct GraphArguments {
    /// What to draw.
    #[command(flatten)]
    pub input: InputArguments,
    /// In which notation
    #[arg(long = "as", value_name = "NOTATION", value_enum, default_value_t)]
    pub notation: Notation,
}

/// A notation of graphs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Notation {
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
    /// How it is packed.
    #[command(flatten)]
    pub packing: PackingArguments,
    /// Follows a schedule that `dva estimate -o FILE` wrote for this plan
    #[arg(long, value_name = "FILE", conflicts_with_all = ["deadline", "budget", "lanes", "effort", "quota", "isolate", "history", "no_history"])]
    pub schedule: Option<PathBuf>,
    /// Keeps machines for an hour after the run, to look at them with `dva ssh`: those on which a test
    /// did not pass, or all
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "always", require_equals = true)]
    pub keep: Option<KeepWhich>,
    /// Puts no timer onto machines of EC2: one that is lost costs until somebody ends it
    #[arg(long, conflicts_with = "hosts")]
    pub no_deadman: bool,
    /// What it may come to.
    #[command(flatten)]
    pub bounds: BoundArguments,
    /// Runs each test that failed among others again on fresh machines, alone and behind ever fewer of those that
    /// ran before it, and names the one that makes it fail; for so many US dollars at most, 1.00 where not given
    #[arg(long, value_name = "AMOUNT", value_parser = money, num_args = 0..=1, default_missing_value = "1.00", require_equals = true)]
    pub diagnose: Option<Money>,
    /// Lets the simulator's machines and commands meet faults at random, the same for the same number
    #[arg(long, value_name = "SEED")]
    pub faults: Option<u64>,
    /// Where things go.
    #[command(flatten)]
    pub controller: ControllerArguments,
}

/// What a run may come to before it is stopped.
#[derive(Clone, Debug, Args)]
pub struct BoundArguments {
    /// Stops when so many test runs have failed; what had not started is blocked
    #[arg(long, value_name = "N", value_parser = count)]
    pub max_failures: Option<NonZeroUsize>,
    /// Lets the run cost so many US dollars at most, even if everything hangs: each machine ends itself in
    /// time. What the plan or `dva.toml` says may be lower
    #[arg(long, value_name = "AMOUNT", value_parser = money)]
    pub max_cost: Option<Money>,
    /// Starts nothing more of an image when so many of its test runs have failed; other images go on
    #[arg(long, value_name = "N", value_parser = count)]
    pub max_failures_per_image: Option<NonZeroUsize>,
}

/// What a process that looks after a run is told of where things go.
#[derive(Debug, Args)]
pub struct ControllerArguments {
    /// Writes the run report as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the run report as JUnit XML; `-` for standard output
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Where it is kept.
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Where a process that looks after runs keeps them, and what it heeds.
#[derive(Debug, Args)]
pub struct PlaceArguments {
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

/// `dva resume`.
#[derive(Debug, Args)]
pub struct ResumeArguments {
    /// The run, by the first digits of its id; the newest that is not over where not given
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Where things go.
    #[command(flatten)]
    pub controller: ControllerArguments,
}

/// `dva rerun`.
#[derive(Debug, Args)]
pub struct RerunArguments {
    /// The run, by the first digits of its id; the newest where not given
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// What it may come to, whatever the other run might.
    #[command(flatten)]
    pub bounds: BoundArguments,
    /// How it is packed.
    #[command(flatten)]
    pub packing: PackingArguments,
    /// Where things go.
    #[command(flatten)]
    pub controller: ControllerArguments,
}

/// `dva diagnose`.
#[derive(Debug, Args)]
pub struct DiagnoseArguments {
    /// The run, by the first digits of its id; the newest where not given
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Spends so many US dollars at most
    #[arg(long, value_name = "AMOUNT", value_parser = money, default_value = "1.00")]
    pub max_cost: Money,
    /// Shows the report of the run with what was found as JSON
    #[arg(long)]
    pub json: bool,
    /// Where trials are kept.
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// `dva runs`.
#[derive(Debug, Args)]
pub struct RunsArguments {
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// Lists them as JSON
    #[arg(long)]
    pub json: bool,
    /// The folder that keeps what runs leave behind for people
    #[arg(long, value_name = "DIR", default_value = ".dva", global = true)]
    pub state: PathBuf,
}

/// What is done to runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Removes runs that are over, with their logs; without --yes only says which
    Prune(PruneArguments),
}

/// `dva runs prune`.
#[derive(Debug, Args)]
pub struct PruneArguments {
    /// Only those that began so long ago
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "720h")]
    pub older_than: u64,
    /// Removes them
    #[arg(long)]
    pub yes: bool,
}

/// `dva show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// The run, by the first digits of its id; the newest where not given
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
    /// Shows its report as JSON
    #[arg(long)]
    pub json: bool,
    /// The folder that keeps what runs leave behind for people
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
}

/// A source of machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderName {
    /// Sandboxes of this host; needs root
    #[default]
    Local,
    /// A simulator: nothing runs, time is virtual
    Sim,
    /// Instances of EC2; costs money
    Ec2,
}

impl ProviderName {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Sim => "sim",
            Self::Ec2 => "ec2",
        }
    }
}

/// Which machines are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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

/// `dva doctor`.
#[cfg(feature = "ec2")]
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// What is to be run.
    #[command(flatten)]
    pub input: InputArguments,
    /// Whose account is looked at
    #[arg(long, value_enum, required = true)]
    pub provider: ProviderName,
    /// How it is to be packed.
    #[command(flatten)]
    pub packing: PackingArguments,
    /// Prints the least policy of IAM that a run of the plan needs, and looks at nothing
    #[arg(long)]
    pub policy: bool,
    /// Prints JSON
    #[arg(long, conflicts_with = "policy")]
    pub json: bool,
    /// The configuration; `./dva.toml`, over the user's own, where not given
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The folder that keeps what runs leave behind, and what they took
    #[arg(long, value_name = "DIR", default_value = ".dva")]
    pub state: PathBuf,
}

/// `dva gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Where to look
    #[arg(long, value_enum, default_value_t)]
    pub provider: ProviderName,
    /// Only in this region of EC2; several with commas
    #[arg(long, value_name = "REGION", value_delimiter = ',')]
    pub region: Vec<String>,
    /// Removes what is found
    #[arg(long)]
    pub yes: bool,
    /// Only of runs that began so long ago
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub older_than: Option<u64>,
    /// Only of this run, by the first digits of its id
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub run: Option<String>,
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
    /// A code such as `P0301`, or a failure class such as `ssh.lost`; with --test a `.plan` file or an
    /// execution plan (`.json`)
    #[arg(required_unless_present = "list", value_name = "CODE|FILE")]
    pub name: Option<String>,
    /// Lists all codes and classes
    #[arg(long, conflicts_with_all = ["cell", "test"])]
    pub list: bool,
    /// The cell, where the plan has several
    #[arg(long, value_name = "CELL")]
    pub cell: Option<String>,
    /// Explains why this test runs where and when it does
    #[arg(long, value_name = "TEST")]
    pub test: Option<String>,
    /// Which `plan` item of the file; needed only where it has several
    #[arg(long, value_name = "NAME")]
    pub plan: Option<String>,
    /// Gives an input of the source its value; several times for several inputs
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// How findings in the source are shown
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// In which schedule.
    #[command(flatten)]
    pub look: LookArguments,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}
