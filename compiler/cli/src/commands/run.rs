//! `dva run`: runs a source or an execution plan.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dva_plan::document::{Loaded, to_bytes};
use dva_plan::money::Money;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_runtime::journal::{Store, StoreError};
use dva_runtime::options::{RunOptions, RunOutcome, StopSignal};
use dva_runtime::provider::Backend;
use dva_schedule::{CostLimit, narrow_cost, over_cost};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::{ControllerArguments, ProviderName, RunArguments};
use crate::basis::Basis;
use crate::begin::{Begun, NewPlanRun, begin};
use crate::config::Config;
use crate::failure::Failure;
use crate::input::{self, Input};
use crate::render::counted;
use crate::told::{ScriptText, Told};
use crate::trials::{Trials, left_of};
use crate::{outcome, output, packing, progress, providers, trials};

/// Schedules, runs, reports.
pub fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let reports = Reports::of(&arguments.controller);
    let sources = [
        Some(arguments.input.file.as_path()),
        arguments.schedule.as_deref(),
        arguments.script.as_deref(),
        arguments.packing.past.history.as_deref(),
    ];
    reports.check(sources.into_iter().flatten())?;
    let Input { bytes, plan, .. } = input::plan(&arguments.input)?;
    let config = Config::load(arguments.controller.place.config.as_deref())?;
    let body = Arc::new(plan.body.clone());
    let told = told(arguments, &config, &body)?;
    let basis = basis(arguments, &told, &plan)?;
    let backend = told.backend(&config, &basis)?;
    refuse_unserved(&plan.body, &backend)?;
    let schedule = match &arguments.schedule {
        Some(path) => packing::load(path, &plan)?.schedule,
        None => packing::pack(&basis, &arguments.packing)?.schedule,
    };
    refuse(&plan.body, &schedule, &backend, told.max_cost)?;
    let Begun {
        mut outcome,
        place,
        store,
    } = begin(NewPlanRun {
        plan: &plan,
        bytes: &bytes,
        history: basis.snapshot(),
        told: &told,
        config: &config,
        backend,
        place: &arguments.controller.place,
        is_trial: false,
        observer: progress::observer(&body, &schedule),
        schedule,
    })?;
    say(&outcome, &place);
    if let Some(most) = arguments.diagnose {
        let trials = Trials {
            plan: &plan.body,
            told: &told,
            config: &config,
            place: &arguments.controller.place,
        };
        let limit = CostLimit::of(&body, told.max_cost);
        let bill = outcome.report.bill.as_ref();
        let spent = bill.map_or(Money::ZERO, |bill| bill.nano_usd);
        let most = limit.map_or(most, |limit| most.min(left_of(limit.amount, spent)));
        let found = trials.diagnose(&outcome.report, most)?;
        found.keep(&mut outcome, &place);
    }
    conclude(&store, &body, &outcome, &reports)
}

/// What the plan is packed with. A schedule that was written before rests on what it did then.
fn basis(
    arguments: &RunArguments,
    told: &Told,
    plan: &Loaded<ExecutionPlan>,
) -> Result<Basis, Failure> {
    let assumptions = providers::assumptions(arguments.provider);
    if arguments.schedule.is_some() {
        return Ok(Basis::stated(plan.clone(), assumptions));
    }
    let whose = told.history_of(&plan.body);
    let (state, past) = (&arguments.controller.place.state, &arguments.packing.past);
    Basis::of(plan.clone(), assumptions, whose, state, past)
}

/// What this run is told, for whoever has to go on with it.
fn told(arguments: &RunArguments, config: &Config, plan: &ExecutionPlan) -> Result<Told, Failure> {
    let script = match (arguments.provider, &arguments.script) {
        (ProviderName::Sim, _) => script(arguments)?,
        (ProviderName::Local | ProviderName::Ec2, None) => None,
        (ProviderName::Local | ProviderName::Ec2, Some(_)) => {
            return Err(Failure::new(
                ExitCode::Invocation,
                "A script is for the simulator. Add `--provider sim`, or leave `--script` out.",
            ));
        }
    };
    if arguments.diagnose.is_some() && !arguments.hosts.is_empty() {
        return Err(Failure::new(ExitCode::Invocation, trials::NOT_FRESH));
    }
    if arguments.faults.is_some() && arguments.provider != ProviderName::Sim {
        return Err(Failure::new(
            ExitCode::Invocation,
            "Faults are for the simulator. Add `--provider sim`, or leave `--faults` out.",
        ));
    }
    if arguments.provider == ProviderName::Ec2 && arguments.keep.is_some() {
        return Err(Failure::new(
            ExitCode::Invocation,
            "Machines of EC2 are not kept: the key that they let in is gone with this process. Leave `--keep` out; \
             the console of a machine on which a test failed is kept with its output.",
        ));
    }
    if arguments.provider != ProviderName::Ec2 && arguments.no_deadman {
        return Err(Failure::new(
            ExitCode::Invocation,
            "Timers are on machines of EC2. Add `--provider ec2`, or leave `--no-deadman` out.",
        ));
    }
    let max_cost = arguments.bounds.max_cost.or_else(|| config.max_cost());
    if arguments.no_deadman && (max_cost.is_some() || plan.policy.limits.cost_nano_usd.is_some()) {
        return Err(Failure::new(
            ExitCode::Invocation,
            "A limit on cost holds because machines end themselves. Leave `--no-deadman` out, or the limit.",
        ));
    }
    let told = Told {
        provider: arguments.provider,
        hosts: arguments.hosts.clone(),
        script,
        faults: arguments.faults,
        keep: arguments.keep,
        max_failures: None,
        max_cost: None,
        max_failures_per_image: None,
        no_deadman: arguments.no_deadman,
        is_part: false,
    }
    .bounded(&arguments.bounds, config);
    // Before anything is made of it, since it names its file.
    told.script(plan)?;
    Ok(told)
}

/// The simulator's script: the one given, or the one beside the source.
fn script(arguments: &RunArguments) -> Result<Option<ScriptText>, Failure> {
    let beside = arguments.input.file.with_extension("sim.toml");
    let path: PathBuf = match &arguments.script {
        Some(path) => path.clone(),
        None if beside.is_file() => beside,
        None => return Ok(None),
    };
    let text =
        std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
    Ok(Some(ScriptText {
        path: path.display().to_string(),
        text,
    }))
}

/// Refuses a plan some of whose cells this provider cannot serve, before anything is launched.
pub fn refuse_unserved(plan: &ExecutionPlan, backend: &Backend) -> Result<(), Failure> {
    let unserved = dva_runtime::unserved(plan, backend.provider.as_ref());
    let Some(first) = unserved.first() else {
        return Ok(());
    };
    Err(Failure::new(
        ExitCode::Refused,
        format!(
            "The provider `{}` has no machine for {} of {}, first of them `{}`. Nothing was started.",
            backend.provider.name(),
            unserved.len(),
            counted(plan.cells.len(), "cell"),
            plan.cell_labels()
                .label(&plan.shown_axes(&plan.cells[*first]), &plan.name),
        ),
    ))
}

/// Refuses a plan that cannot keep its limits, or asks for what this provider has not.
pub fn refuse(
    plan: &ExecutionPlan,
    schedule: &Schedule,
    backend: &Backend,
    max_cost: Option<Money>,
) -> Result<(), Failure> {
    let mut reasons = dva_runtime::refusals(plan, backend.provider.as_ref());
    let limit = CostLimit::of(plan, max_cost);
    reasons.extend(limit.and_then(|limit| over_cost(plan, schedule, limit)));
    if reasons.is_empty() {
        warn_of_narrow(plan, schedule, limit);
        return Ok(());
    }
    reasons.push("Nothing was started.".to_owned());
    Err(Failure::new(ExitCode::Refused, reasons.join("\n")))
}

/// Says what a limit on cost does that is near to what is expected.
pub fn warn_of_narrow(plan: &ExecutionPlan, schedule: &Schedule, limit: Option<CostLimit>) {
    if let Some(why) = limit.and_then(|limit| narrow_cost(plan, schedule, limit)) {
        let _ = writeln!(stderr(), "warning: {why}");
    }
}

/// Runs to the end, on virtual time where nothing real is waited for.
pub fn execute(
    provider: ProviderName,
    mut options: RunOptions,
    goes_on: impl AsyncFnOnce(RunOptions) -> Result<RunOutcome, Failure>,
) -> Result<RunOutcome, Failure> {
    let runtime = match provider {
        ProviderName::Local | ProviderName::Ec2 => tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build(),
        ProviderName::Sim => tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build(),
    }
    .map_err(|error| Failure::new(ExitCode::Invocation, format!("start threads: {error}")))?;
    runtime.block_on(async {
        let (stop, stopped) = watch::channel(StopSignal::Run);
        options.stop = stopped;
        listen(stop).map_err(|error| {
            Failure::new(ExitCode::Invocation, format!("listen for signals: {error}"))
        })?;
        goes_on(options).await
    })
}

/// Learns of a run and writes its reports.
pub fn conclude(
    store: &Store,
    plan: &ExecutionPlan,
    outcome: &RunOutcome,
    reports: &Reports<'_>,
) -> Result<ExitCode, Failure> {
    if let Err(error) = store.learn(plan, &outcome.report) {
        let _ = writeln!(
            stderr(),
            "warning: nothing was learned of this run: {error}"
        );
    }
    // What the run came to is not forgotten because it could not be written down.
    let written = reports.write(outcome);
    Ok(match (outcome.report.exit, written) {
        (ExitCode::Ok, Err(failure)) => return Err(failure),
        (exit, Err(failure)) => {
            let _ = writeln!(stderr(), "error: {}", failure.message);
            exit
        }
        (exit, Ok(())) => exit,
    })
}

/// A journal that cannot be used.
pub fn stored(error: &StoreError) -> Failure {
    Failure::new(ExitCode::Invocation, format!("{error}."))
}

/// Turns Ctrl-C, SIGTERM and SIGHUP into stop signals: the first one finishes, the second one ends at once.
fn listen(stop: watch::Sender<StopSignal>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::spawn(async move {
        for how in [StopSignal::Finish, StopSignal::Now] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                // Its terminal was closed.
                _ = hangup.recv() => {}
            }
            let _ = stop.send(how);
        }
    });
    Ok(())
}

/// Where the reports go.
pub struct Reports<'r> {
    json: Option<&'r Path>,
    junit: Option<&'r Path>,
}

impl<'r> Reports<'r> {
    pub fn of(arguments: &'r ControllerArguments) -> Self {
        Self {
            json: arguments.json.as_deref(),
            junit: arguments.junit.as_deref(),
        }
    }

    /// Both can be written, or nothing is started: a run may take hours and cost money.
    pub fn check(&self, sources: impl Iterator<Item = &'r Path>) -> Result<(), Failure> {
        output::check([self.json, self.junit].into_iter().flatten(), sources)
    }

    /// Writes both, and says what went wrong with the first that could not be.
    fn write(&self, outcome: &RunOutcome) -> Result<(), Failure> {
        let json = self.json.map_or(Ok(()), |path| {
            output::write(path, &to_bytes(&outcome.report))
        });
        let junit = self.junit.map_or(Ok(()), |path| {
            let xml = dva_runtime::junit::junit(&outcome.report)
                .map_err(|error| Failure::new(ExitCode::Bug, format!("write JUnit: {error}")))?;
            output::write(path, xml.as_bytes())
        });
        json.and(junit)
    }
}

/// Says what a run came to.
pub fn say(outcome: &RunOutcome, place: &Path) {
    let mut text = outcome::text(&outcome.report);
    text.push_str(&format!("Output is in {}.\n", place.display()));
    let _ = stderr().write_all(text.as_bytes());
    if let Some(problem) = &outcome.folder_problem {
        let _ = writeln!(stderr(), "warning: {problem}");
    }
    for kept in &outcome.kept {
        let _ = writeln!(
            stderr(),
            "{} is kept: `dva ssh {}` logs in, `dva gc --yes --kept` ends it.",
            kept.token,
            kept.token
        );
    }
    for left in &outcome.machines_left {
        let _ = writeln!(
            stderr(),
            "error: {} may still be running: {}",
            left.token,
            left.message
        );
    }
    if let Some(left) = &outcome.left_at_provider {
        let _ = writeln!(stderr(), "error: {left}");
    }
}
