//! `dva run`: runs a source or an execution plan.

use std::io::{Write, stderr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dva_plan::document::{Loaded, to_bytes};
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_runtime::clock::WallTime;
use dva_runtime::folder::RunFolder;
use dva_runtime::options::{Keep, RunOptions, RunOutcome, StopSignal};
use dva_runtime::provider::Backend;
use dva_runtime::sim::SimScript;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::args::{KeepWhich, ProviderName, RunArguments};
use crate::config::Config;
use crate::failure::Failure;
use crate::input::{self, Input};
use crate::render::counted;
use crate::{inputs, log, outcome, output, packing, progress, providers, secrets, stop_at};

/// Schedules, runs, reports.
pub fn run(arguments: &RunArguments) -> Result<ExitCode, Failure> {
    let reports = Reports::of(arguments)?;
    let Input { bytes, plan, .. } = input::plan(&arguments.input)?;
    let config = Config::load(arguments.config.as_deref())?;
    let body = Arc::new(plan.body.clone());
    let backend = backend(arguments, &config, &body)?;
    refuse_unserved(&plan.body, &backend)?;
    let inputs = inputs::bind(&config, &plan.body)?;
    let secrets = secrets::bind(&config, &plan.body)?;
    let assumptions = providers::assumptions(arguments.provider);
    let schedule = match &arguments.schedule {
        Some(path) => packing::load(path, &plan)?.schedule,
        None => packing::pack(&plan, &assumptions, &arguments.packing)?.schedule,
    };
    refuse(&plan.body, &schedule, &backend)?;
    let started = WallTime::now();
    let id = started.run_id();
    let folder = RunFolder::create(&arguments.state, &id, &bytes, &schedule)
        .map_err(|error| Failure::new(ExitCode::Invocation, error.to_string()))?;
    let place = folder.path().to_owned();
    log::begin(&place, arguments.verbose)?;
    let mut options = RunOptions::new(id, started);
    options.folder = Some(folder);
    options.inputs = inputs;
    options.secrets = secrets;
    options.keep = match arguments.keep {
        None => Keep::Never,
        Some(KeepWhich::OnFailure) => Keep::OnFailure,
        Some(KeepWhich::Always) => Keep::Always,
    };
    options.machines = NonZeroUsize::new(arguments.hosts.len());
    if let Some(within) = config.ssh.connect_within {
        options.limits.connect = within.0;
    }
    options.observer = stop_at::observer(progress::observer(&body, &schedule))?;

    let outcome = execute(arguments.provider, &plan, schedule, backend, options)?;
    say(&outcome, &place);
    // What the run came to is not forgotten because it could not be written down.
    let written = reports.write(&outcome);
    Ok(match (outcome.report.exit, written) {
        (ExitCode::Ok, Err(failure)) => return Err(failure),
        (exit, Err(failure)) => {
            let _ = writeln!(stderr(), "error: {}", failure.message);
            exit
        }
        (exit, Ok(())) => exit,
    })
}

/// The machines and the way to them.
fn backend(
    arguments: &RunArguments,
    config: &Config,
    plan: &Arc<ExecutionPlan>,
) -> Result<Backend, Failure> {
    if !arguments.hosts.is_empty() {
        return providers::hosts(config, &arguments.hosts);
    }
    match (arguments.provider, &arguments.script) {
        (ProviderName::Local, None) => providers::local(config),
        (ProviderName::Local, Some(_)) => Err(Failure::new(
            ExitCode::Invocation,
            "A script is for the simulator. Add `--provider sim`, or leave `--script` out.",
        )),
        (ProviderName::Sim, _) => Ok(providers::simulator(plan, script(arguments, plan)?)),
    }
}

/// The simulator's script: the one given, or the one beside the source, or an empty one.
fn script(arguments: &RunArguments, plan: &ExecutionPlan) -> Result<SimScript, Failure> {
    let beside = arguments.input.file.with_extension("sim.toml");
    let path: PathBuf = match &arguments.script {
        Some(path) => path.clone(),
        None if beside.is_file() => beside,
        None => return Ok(SimScript::default()),
    };
    let text =
        std::fs::read_to_string(&path).map_err(|error| Failure::file("read", &path, &error))?;
    SimScript::parse(&text, plan)
        .map_err(|error| Failure::new(ExitCode::Invocation, format!("{}: {error}", path.display())))
}

/// Refuses a plan some of whose cells this provider cannot serve, before anything is launched.
fn refuse_unserved(plan: &ExecutionPlan, backend: &Backend) -> Result<(), Failure> {
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
fn refuse(plan: &ExecutionPlan, schedule: &Schedule, backend: &Backend) -> Result<(), Failure> {
    let mut reasons = dva_runtime::refusals(plan, backend.provider.as_ref());
    reasons.extend(dva_schedule::over_cost(plan, schedule));
    if reasons.is_empty() {
        return Ok(());
    }
    reasons.push("Nothing was started.".to_owned());
    Err(Failure::new(ExitCode::Refused, reasons.join("\n")))
}

/// Runs to the end, on virtual time where nothing real is waited for.
fn execute(
    provider: ProviderName,
    plan: &Loaded<ExecutionPlan>,
    schedule: Schedule,
    backend: Backend,
    mut options: RunOptions,
) -> Result<RunOutcome, Failure> {
    let runtime = match provider {
        ProviderName::Local => tokio::runtime::Builder::new_multi_thread()
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
        Ok(dva_runtime::run(plan, schedule, backend, options).await)
    })
}

/// Turns Ctrl-C and SIGTERM into stop signals: the first one finishes, the second one ends at once.
fn listen(stop: watch::Sender<StopSignal>) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        for how in [StopSignal::Finish, StopSignal::Now] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            let _ = stop.send(how);
        }
    });
    Ok(())
}

/// Where the reports go.
struct Reports<'r> {
    json: Option<&'r Path>,
    junit: Option<&'r Path>,
}

impl<'r> Reports<'r> {
    /// Both can be written, or nothing is started: a run may take hours and cost money.
    fn of(arguments: &'r RunArguments) -> Result<Self, Failure> {
        let reports = Self {
            json: arguments.json.as_deref(),
            junit: arguments.junit.as_deref(),
        };
        let all = [reports.json, reports.junit];
        let sources = [
            Some(arguments.input.file.as_path()),
            arguments.schedule.as_deref(),
            arguments.script.as_deref(),
        ];
        output::check(all.into_iter().flatten(), sources.into_iter().flatten())?;
        Ok(reports)
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

fn say(outcome: &RunOutcome, place: &Path) {
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
}
