//! Executions with real processes: the commands of a run go to a shell of this host, by a transport
//! that stands for SSH. These take real time, so there are few.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dva_plan::Value;
use dva_plan::report::CommandStatus;
use dva_plan::step::{Retry, StepKind, With, WithValue};
use dva_plan::template::{Piece, Template};
use dva_runtime::transport::{
    Collected, ConnectError, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Reach,
    Session, StreamOutput, StreamPlan, TransferError, TransferErrorKind, Transport, UploadContent,
};
use dva_runtime::{Backend, RunFolder, RunOptions, Secrets, SimBackend, SimScript};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::fixture::{PlanBuilder, Ran, map, options, run_on, schedule_of};

/// Gives every command to `sh -c`, as a login's shell would get it.
#[derive(Clone, Default)]
struct Shell {
    /// What `sudo` says, where the login is not root; it may do all where that is nothing.
    sudo: Option<&'static str>,
    /// All that any command's text was.
    commands: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Transport for Shell {
    async fn connect(&self, _: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Session for Shell {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let failed = |error: std::io::Error| ExecError {
            kind: ExecErrorKind::File,
            message: error.to_string(),
        };
        self.commands.lock().unwrap().push(request.command.clone());
        let mut command = request.command;
        if let Some(said) = self.sudo {
            if command.contains("id -u") {
                let look = match said {
                    "" => "uid=1000\nsudo=\n".to_owned(),
                    said => format!("uid=1000\nsaid={said}\n"),
                };
                return Ok(ExecOutcome {
                    stdout: keep(look.into_bytes(), &request.stdout).map_err(failed)?,
                    ..ExecOutcome::default()
                });
            }
            // Nothing of ours goes past `sudo`, which drops the environment of the login.
            let rest = command.strip_prefix("exec sudo -n -- ").unwrap();
            command = format!("exec env -i {rest}");
        }
        let mut child = Command::new("sh")
            .args(["-c", &command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let mut stdin = child.stdin.take().unwrap();
        // A command that reads nothing may be gone by now.
        let _ = stdin.write_all(&request.stdin).await;
        drop(stdin);
        let output = child.wait_with_output().await.map_err(failed)?;
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

    async fn upload(
        &self,
        content: UploadContent,
        remote: &str,
        mode: u32,
    ) -> Result<(), TransferError> {
        let UploadContent::Bytes(bytes) = content else {
            panic!("plans hold bytes");
        };
        std::fs::write(remote, bytes)
            .and_then(|()| std::fs::set_permissions(remote, Permissions::from_mode(mode)))
            .map_err(|error| remote_error(&error))
    }

    async fn collect(&self, remote: &str, into: &Path, _: u64) -> Result<Collected, TransferError> {
        let bytes = std::fs::copy(remote, into).map_err(|error| remote_error(&error))?;
        Ok(Collected {
            bytes,
            truncated: false,
        })
    }

    async fn close(&self) {}
}

fn remote_error(error: &std::io::Error) -> TransferError {
    TransferError {
        kind: TransferErrorKind::Remote,
        message: error.to_string(),
    }
}

/// One piece a byte, as bad as a network can be.
fn keep(bytes: Vec<u8>, plan: &StreamPlan) -> std::io::Result<StreamOutput> {
    let bytes = match &plan.mask {
        Some(mask) => {
            let (mut masked, mut stream) = (Vec::new(), mask.stream());
            bytes
                .iter()
                .for_each(|byte| stream.push(&[*byte], &mut masked));
            stream.finish(&mut masked);
            masked
        }
        None => bytes,
    };
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
    run_in(state.path(), plan, Shell::default(), Secrets::default()).await
}

async fn run_in(state: &Path, plan: PlanBuilder, shell: Shell, secrets: Secrets) -> Ran {
    let plan = plan.build();
    let script = SimScript::parse("boot = '0s'", &plan.body).unwrap();
    let schedule = schedule_of(&plan, &script);
    let options = options();
    let folder = RunFolder::create(state, &options.run, b"", &schedule).unwrap();
    let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
    let backend = Backend {
        provider: sim.provider,
        transport: Arc::new(shell),
    };
    let options = RunOptions {
        folder: Some(folder),
        secrets,
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

#[tokio::test]
async fn variables_reach_their_command_alone_and_secrets_no_argument() {
    const TOKEN: &str = "it's a \"tøken\"\n$(false) `false` \\ end";
    let mut plan = PlanBuilder::new();
    let secret = plan.secret("token");
    let value = plan.constant(Value::String("a'b\n\n".into()));
    let with = |name: &str, value| With {
        name: name.into(),
        value,
    };
    let all = vec![
        with("TOKEN", WithValue::Secret(secret)),
        // Names that our own script uses as well.
        with("command", WithValue::Expr(value)),
        with("user", WithValue::Expr(value)),
    ];
    let text = r#"printf %s "$TOKEN" | wc -c; printf '%s|%s' "$command" "$user"; printf %s "$TOKEN"
printf %s "$TOKEN" | base64; env | grep -a TOKEN >&2; cat; grep -alsF "$(printf %s "$TOKEN" | tail -n 1)" /proc/[0-9]*/cmdline || echo nobody shows it"#;
    let steps = vec![
        plan.run_as(text, |run| run.with = all),
        plan.run_as("echo \"${TOKEN-unset}\"", |_| {}),
    ];
    plan.test_of("secret", 1, &[], steps);
    let shell = Shell::default();
    let commands = Arc::clone(&shell.commands);
    let mut secrets = Secrets::default();
    secrets.bind("token", TOKEN).unwrap();
    let state = tempfile::tempdir().unwrap();
    let ran = run_in(state.path(), plan, shell, secrets).await;
    let run = ran.test("secret");
    assert_eq!(run.verdict.to_string(), "passed", "{run:?}");
    let steps = &run.executions[0].steps;
    let [out, err] = [&steps[0].stdout, &steps[0].stderr].map(|stream| {
        let stream = stream.as_ref().unwrap();
        let path = state.path().join("runs").join(ran.report().run.as_str());
        let filed = std::fs::read_to_string(path.join(stream.path.as_ref().unwrap())).unwrap();
        assert!(
            filed.starts_with(&stream.excerpt),
            "{filed} {}",
            stream.excerpt
        );
        stream.excerpt.clone()
    });
    assert_eq!(
        out,
        format!("{}\na'b\n\n|a'b\n\n******\nnobody shows it\n", TOKEN.len())
    );
    assert_eq!(err, "TOKEN=***\n");
    assert_eq!(steps[1].stdout.as_ref().unwrap().excerpt, "unset\n");
    let commands = commands.lock().unwrap();
    assert!(!commands.iter().any(|command| command.contains("tøken")));
}

#[tokio::test]
async fn a_later_attempt_may_hold() {
    let mut plan = PlanBuilder::new();
    let step = plan.run_as("echo x >>file; cat file; test $(wc -l <file) = 3", |run| {
        run.retry = Some(Retry {
            times: 5,
            every_ms: 1,
        });
    });
    plan.test_of("retry", 1, &[], vec![step]);
    let ran = run_here(plan).await;
    let steps = &ran.test("retry").executions[0].steps;
    assert_eq!((steps.len(), steps[0].attempts), (1, 3));
    // What the report has is the last attempt's.
    let out = steps[0].stdout.as_ref().unwrap();
    assert_eq!((out.excerpt.as_str(), out.offset), ("x\nx\nx\n", 6));
    assert_eq!(steps[0].status, Some(CommandStatus::Exit(0)));
}

fn path(text: &str) -> Template {
    Template(vec![Piece::Lit(text.into())])
}

/// `hello\n` goes up and comes back, whoever the login is and whether or not something is masked.
#[tokio::test]
async fn files_go_up_and_come_back() {
    for (sudo, secret) in [(None, ""), (Some(""), ""), (None, "ell")] {
        let mut plan = PlanBuilder::new();
        let blob = plan.blob("aGVsbG8K");
        let upload = StepKind::Upload {
            blob,
            to: path("a script"),
            mode: 0o750,
        };
        let collect = |from: &str| StepKind::Collect { path: path(from) };
        let steps = vec![
            plan.step(upload, None),
            plan.run_as("test $(stat -c %a 'a script') = 750", |_| {}),
            plan.step(collect("a script"), None),
            plan.step(collect("/proc/self/../self/comm"), None),
            plan.step(collect("missing"), None),
        ];
        plan.test_of("files", 1, &[], steps);
        let shell = Shell {
            sudo,
            ..Shell::default()
        };
        let mut secrets = Secrets::default();
        if !secret.is_empty() {
            secrets.bind("ell", secret).unwrap();
        }
        let state = tempfile::tempdir().unwrap();
        let ran = run_in(state.path(), plan, shell, secrets).await;
        let run = ran.test("files");
        assert_eq!(
            run.verdict.to_string(),
            "failed (transfer)",
            "{}",
            run.message
        );
        assert!(run.message.contains("No such file"), "{}", run.message);
        let steps = &run.executions[0].steps;
        let collected = steps[2].collected.as_ref().unwrap();
        assert!(collected.starts_with("collected/") && collected.contains("/files/"));
        let folder = state.path().join("runs").join(ran.report().run.as_str());
        let content = std::fs::read_to_string(folder.join(collected)).unwrap();
        assert_eq!(
            content,
            if secret.is_empty() {
                "hello\n"
            } else {
                "h***o\n"
            }
        );
        assert!(steps[3].collected.as_ref().unwrap().ends_with("/comm"));
        assert_eq!(steps[4].collected, None);
    }
}

#[tokio::test]
async fn a_login_that_cannot_be_root_runs_nothing() {
    for (said, named) in [
        (
            "sudo: a password is required",
            "sudo: a password is required.",
        ),
        (
            "sudo: sorry, you must have a tty to run sudo",
            "`requiretty` is set",
        ),
    ] {
        let mut plan = PlanBuilder::new();
        plan.test("a", 1, &[]);
        let shell = Shell {
            sudo: Some(said),
            ..Shell::default()
        };
        let state = tempfile::tempdir().unwrap();
        let ran = run_in(state.path(), plan, shell, Secrets::default()).await;
        let run = ran.test("a");
        assert_eq!(run.verdict.to_string(), "errored (ssh.no_root)");
        assert!(run.message.contains(named), "{}", run.message);
        assert!(run.executions.is_empty());
    }
}

#[tokio::test]
async fn a_step_runs_as_the_user_it_names() {
    let is_root = std::process::Command::new("id").arg("-u").output().unwrap();
    if is_root.stdout != b"0\n" {
        assert!(std::env::var_os("DVA_FULL").is_none(), "this needs root");
        println!("SKIP a_step_runs_as_the_user_it_names: this needs root");
        return;
    }
    let mut plan = PlanBuilder::new();
    let secret = plan.secret("token");
    let text = r#"id -un; echo "$USER $PATH $LC_ALL $TOKEN"; umask; test "$(pwd)" = "$DVA_TMP" && cat mine; echo "it's \"$0\"""#;
    let steps = vec![
        plan.run_as("echo readable >mine; id -un", |_| {}),
        plan.run_as(text, |run| {
            run.user = Some("nobody".into());
            run.with = vec![With {
                name: "TOKEN".into(),
                value: WithValue::Secret(secret),
            }];
        }),
        plan.run_as("exit 3", |run| run.user = Some("nobody".into())),
    ];
    plan.test_of("user", 1, &[], steps);
    let steps = vec![plan.run_as("true", |run| run.user = Some("no-such-user".into()))];
    plan.test_of("nobody", 1, &[], steps);
    let mut secrets = Secrets::default();
    secrets.bind("token", "s3cr3t-token").unwrap();
    let state = tempfile::tempdir().unwrap();
    let ran = run_in(state.path(), plan, Shell::default(), secrets).await;
    let steps = &ran.test("user").executions[0].steps;
    let said = |step: usize| steps[step].stdout.as_ref().unwrap().excerpt.as_str();
    assert_eq!(said(0), "root\n");
    assert_eq!(
        said(1),
        "nobody\nnobody /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin C ***\n0022\nreadable\nit's \"/bin/sh\"\n"
    );
    assert_eq!(steps[2].status, Some(CommandStatus::Exit(3)));
    assert_eq!(ran.test("nobody").verdict.to_string(), "failed (expect)");
    assert!(
        ran.test("nobody").message.contains("no-such-user"),
        "{}",
        ran.test("nobody").message
    );
}

#[tokio::test]
async fn the_console_is_read_until_it_says_what_is_waited_for() {
    let mut plan = PlanBuilder::new();
    let steps = vec![plan.step(StepKind::Console("^simulated boot 0$".into()), Some(60_000))];
    plan.test_of("booted", 1, &[], steps);
    let steps = vec![plan.step(StepKind::Console("panic".into()), Some(50))];
    plan.test_of("panicked", 1, &[], steps);
    let ran = run_here(plan).await;
    let verdicts = [("booted", "passed"), ("panicked", "failed (wait)")];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
    let message = &ran.test("panicked").message;
    assert!(
        message.starts_with("The console did not say it within 50ms"),
        "{message}"
    );
}
