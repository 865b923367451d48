//! Executions with real processes: the commands of a run go to a shell of this host, by a transport
//! that stands for SSH. These take real time, so there are few.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::sync::Arc;

use async_trait::async_trait;
use dva_plan::report::CommandStatus;
use dva_runtime::transport::{
    ConnectError, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Reach, Session,
    StreamOutput, StreamPlan, Transport,
};
use dva_runtime::{Backend, RunFolder, RunOptions, SimBackend, SimScript};
use tokio::process::Command;

use crate::fixture::{PlanBuilder, Ran, map, options, run_on, schedule_of};

/// Gives every command to `sh -c`, as a login's shell would get it.
struct Shell;

#[async_trait]
impl Transport for Shell {
    async fn connect(&self, _: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        Ok(Arc::new(Shell))
    }
}

#[async_trait]
impl Session for Shell {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let failed = |error: std::io::Error| ExecError {
            kind: ExecErrorKind::File,
            message: error.to_string(),
        };
        let output = Command::new("sh")
            .args(["-c", &request.command])
            .stdin(Stdio::null())
            .output()
            .await
            .map_err(failed)?;
        let status = match (output.status.code(), output.status.signal()) {
            (_, Some(9)) => ExecStatus::Signal("KILL".into()),
            (_, Some(15)) => ExecStatus::Signal("TERM".into()),
            (code, _) => ExecStatus::Exit(code.map_or(255, i32::unsigned_abs)),
        };
        Ok(ExecOutcome {
            status,
            stdout: keep(output.stdout, &request.stdout).map_err(failed)?,
            stderr: keep(output.stderr, &request.stderr).map_err(failed)?,
        })
    }

    async fn close(&self) {}
}

fn keep(bytes: Vec<u8>, plan: &StreamPlan) -> std::io::Result<StreamOutput> {
    let total = bytes.len() as u64;
    if let Some(path) = &plan.file {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(&bytes)?;
    }
    Ok(StreamOutput {
        total,
        head: bytes,
        tail: Vec::new(),
        filed: total,
    })
}

async fn run_here(plan: PlanBuilder) -> Ran {
    let state = tempfile::tempdir().unwrap();
    let plan = plan.build();
    let script = SimScript::parse("boot = '0s'", &plan.body).unwrap();
    let schedule = schedule_of(&plan, &script);
    let options = options();
    let folder = RunFolder::create(state.path(), &options.run, b"", &schedule).unwrap();
    let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
    let backend = Backend {
        provider: sim.provider,
        transport: Arc::new(Shell),
    };
    let options = RunOptions {
        folder: Some(folder),
        ..options
    };
    run_on(&plan, schedule, backend, machines, options).await
}

#[tokio::test]
async fn steps_share_a_folder_and_tests_do_not() {
    let mut plan = PlanBuilder::new();
    let succeeds = plan.exits(0);
    let steps = vec![
        plan.run("echo \"$DVA_TEST\" >file; pwd", Some(succeeds), None),
        plan.run(
            "cat file; test \"$(pwd)\" = \"$DVA_TMP\"",
            Some(succeeds),
            None,
        ),
    ];
    let one = plan.test_of("it's one", 1, &[], steps);
    let steps = vec![plan.run("test ! -e file", Some(succeeds), None)];
    plan.test_of("other", 1, &[one], steps);
    let ran = run_here(plan).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("it's one", "passed"), ("other", "passed")])
    );
    let steps = &ran.test("it's one").executions[0].steps;
    assert_eq!(steps[1].stdout.as_ref().unwrap().excerpt, "it's one\n");
    let folder = steps[0].stdout.as_ref().unwrap().excerpt.trim_end();
    assert!(folder.starts_with("/var/tmp/dva-"), "{folder}");
    assert!(!std::path::Path::new(folder).exists(), "{folder}");
}

#[tokio::test]
async fn a_limit_stops_what_ignores_it_and_what_is_left_is_named() {
    let mut plan = PlanBuilder::new();
    let stubborn = "( setsid sh -c 'trap \"\" TERM; for i in 1 2 3 4 5 6 7 8 9; do sleep 5; done' >/dev/null 2>&1 & ); sleep 45";
    let mut steps = vec![plan.run(stubborn, None, None)];
    steps[0].within_ms = Some(300);
    let a = plan.test_of("stubborn", 1, &[], steps);
    let finally = vec![plan.run("echo undone", None, None)];
    plan.edit(a).finally = finally;
    let leaves = "( sleep 60 >/dev/null 2>&1 & echo $! )";
    let steps = vec![plan.run(leaves, None, None)];
    plan.test_of("leaves", 1, &[], steps);
    let ran = run_here(plan).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("stubborn", "failed (limit.step)"), ("leaves", "passed")])
    );
    let stopped = &ran.test("stubborn").executions[0];
    assert_eq!(stopped.steps[0].status, Some(CommandStatus::TimedOut));
    assert_eq!(
        stopped.steps[1].stdout.as_ref().unwrap().excerpt,
        "undone\n"
    );
    assert!(
        stopped.left_processes.is_empty(),
        "{:?}",
        stopped.left_processes
    );

    let left = &ran.test("leaves").executions[0];
    assert_eq!(left.left_processes, ["sleep"]);
    let pid = left.steps[0].stdout.as_ref().unwrap().excerpt.trim_end();
    let killed = std::process::Command::new("kill")
        .arg(pid)
        .status()
        .unwrap();
    assert!(killed.success());
}
