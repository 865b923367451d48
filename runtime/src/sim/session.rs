//! A login to a simulated machine.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::TestId;
use dva_plan::plan::CellIx;
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::machines::SimMachines;
use super::script::CommandFault;
use crate::environment;
use crate::transport::{
    CAPTURE_LIMIT, Collected, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus,
    FILE_LIMIT, Purpose, Session, StreamOutput, StreamPlan, TAIL_BYTES, TransferError,
    UploadContent,
};

/// Plays the script's commands.
pub(super) struct SimSession {
    machines: SimMachines,
    login: Login,
    guest: Mutex<Guest>,
}

/// The way into one boot of a machine.
pub(super) struct Login {
    pub(super) token: String,
    pub(super) cell: CellIx,
    /// Which of the lives of its cell it is, from 0.
    pub(super) life: u32,
    /// The boot id.
    pub(super) boot: String,
    /// Cancelled once the connection has broken.
    pub(super) down: CancellationToken,
}

/// What goes on inside the machine.
#[derive(Default)]
struct Guest {
    /// Commands that never end by themselves, each with what ends it.
    hanging: Vec<(String, Arc<Notify>)>,
    /// Processes that were left behind: the command that did, and their names.
    left: Vec<(String, Vec<String>)>,
}

impl SimSession {
    pub(super) fn new(machines: SimMachines, login: Login) -> Self {
        Self {
            machines,
            login,
            guest: Mutex::default(),
        }
    }

    fn guest(&self) -> MutexGuard<'_, Guest> {
        self.guest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our own commands take no time.
    fn housekeeping(&self, command: &str) -> ExecOutcome {
        let mut guest = self.guest();
        guest.hanging.retain(|(hanging, end)| {
            let stopped = environment::carries(hanging, command);
            if stopped {
                end.notify_one();
            }
            !stopped
        });
        let mut stdout = String::new();
        if environment::looks(command) {
            stdout = environment::look_lines(&self.login.boot);
        }
        if environment::finds_left_processes(command) {
            for (by, names) in &guest.left {
                for name in names {
                    stdout.push_str(&environment::process_line(by, name));
                }
            }
        }
        ExecOutcome {
            status: ExecStatus::Exit(0),
            stdout: stream(stdout.as_bytes()),
            stderr: StreamOutput::default(),
        }
    }

    async fn step(
        &self,
        request: &ExecRequest,
        test: &TestId,
        run: u32,
    ) -> Result<ExecOutcome, ExecError> {
        let SimMachines { plan, script, .. } = &self.machines;
        let told = script.command(&plan.cells[self.login.cell], self.login.life, test, run);
        let of_test = plan.tests.iter().find(|other| other.id == *test);
        let usual_ms = match run {
            0 => of_test
                .and_then(|test| test.takes_ms)
                .unwrap_or(script.takes_ms()),
            _ => 0,
        };
        let takes = Duration::from_millis(told.takes_ms.unwrap_or(usual_ms));
        if !told.leaves.is_empty() {
            let left = (request.command.clone(), told.leaves.clone());
            self.guest().left.push(left);
        }
        match told.fault {
            Some(CommandFault::Hang) => {
                let end = Arc::new(Notify::new());
                let hanging = (request.command.clone(), Arc::clone(&end));
                self.guest().hanging.push(hanging);
                end.notified().await;
                return Ok(ExecOutcome {
                    status: ExecStatus::Signal("TERM".to_owned()),
                    ..ExecOutcome::default()
                });
            }
            Some(CommandFault::Drop) => {
                sleep(takes / 2).await;
                self.login.down.cancel();
                return std::future::pending().await;
            }
            Some(CommandFault::Reboot) => {
                sleep(takes / 2).await;
                self.machines.crash(&self.login.token);
                return std::future::pending().await;
            }
            None => sleep(takes).await,
        }
        Ok(ExecOutcome {
            status: told.status(),
            stdout: write(told.stdout.as_deref(), &request.stdout)?,
            stderr: write(told.stderr.as_deref(), &request.stderr)?,
        })
    }
}

#[async_trait]
impl Session for SimSession {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let run = async {
            match &request.purpose {
                Purpose::Housekeeping => Ok(self.housekeeping(&request.command)),
                Purpose::Step {
                    test,
                    run,
                    in_finally: _,
                } => self.step(&request, test, *run).await,
            }
        };
        tokio::select! {
            biased;
            () = self.login.down.cancelled() => Err(ExecError {
                kind: ExecErrorKind::Lost,
                message: "the simulator was told to break it".to_owned(),
            }),
            outcome = run => outcome,
        }
    }

    async fn upload(&self, _: UploadContent, _: &str, _: u32) -> Result<(), TransferError> {
        Ok(())
    }

    async fn collect(&self, _: &str, _: &Path, _: u64) -> Result<Collected, TransferError> {
        Ok(Collected {
            bytes: 0,
            truncated: false,
        })
    }

    fn assumes(&self) -> bool {
        true
    }

    async fn close(&self) {
        self.login.down.cancel();
    }
}

/// An output, which also goes where the request wants it.
fn write(text: Option<&str>, plan: &StreamPlan) -> Result<StreamOutput, ExecError> {
    let text = text.unwrap_or_default();
    let text = plan
        .mask
        .as_ref()
        .map_or(text.to_owned(), |mask| mask.text(text));
    let bytes = text.as_bytes();
    let mut output = stream(bytes);
    if let Some(path) = &plan.file
        && !bytes.is_empty()
    {
        let filed = &bytes[..bytes
            .len()
            .min(usize::try_from(FILE_LIMIT).unwrap_or(usize::MAX))];
        append(path, filed).map_err(|error| ExecError {
            kind: ExecErrorKind::File,
            message: format!("{}: {error}", path.display()),
        })?;
        output.filed = filed.len() as u64;
    }
    Ok(output)
}

fn append(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(bytes)
}

fn stream(bytes: &[u8]) -> StreamOutput {
    let (head, rest) = bytes.split_at(bytes.len().min(CAPTURE_LIMIT));
    StreamOutput {
        total: bytes.len() as u64,
        head: head.to_vec(),
        tail: if rest.is_empty() {
            Vec::new()
        } else {
            bytes[bytes.len().saturating_sub(TAIL_BYTES)..].to_vec()
        },
        filed: 0,
    }
}
