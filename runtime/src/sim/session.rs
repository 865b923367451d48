//! A login to a simulated machine.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::TestId;
use dva_plan::plan::CellIx;
use dva_plan::step::{Step, StepKind};
use tokio::sync::Notify;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::fault::CommandFault;
use super::life::SimMachine;
use super::machines::SimMachines;
use crate::environment;
use crate::transport::{
    CAPTURE_LIMIT, Collected, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus,
    FILE_LIMIT, Purpose, Session, StreamOutput, StreamPlan, TAIL_BYTES, TransferError,
    UploadContent,
};

/// How long a command may live on that takes no notice of TERM: that of [`environment::stop`].
const GRACE: Duration = Duration::from_secs(5);

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
    /// Commands that never end by themselves.
    hanging: Vec<Hanging>,
    /// Processes that were left behind: the command that did, and their names.
    left: Vec<(String, Vec<String>)>,
}

/// A command that never ends by itself.
struct Hanging {
    command: String,
    /// Ends it.
    end: Arc<Notify>,
    /// How long it takes no notice of being stopped.
    deaf: Duration,
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

    /// Our own commands take no time, but for those that wait for something to end.
    async fn housekeeping(&self, command: &str) -> ExecOutcome {
        let stopped: Vec<Hanging> = {
            let hanging = &mut self.guest().hanging;
            let is_stopped = |of: &mut Hanging| environment::carries(&of.command, command);
            hanging.extract_if(.., is_stopped).collect()
        };
        if let Some(deaf) = stopped.iter().map(|hanging| hanging.deaf).max() {
            sleep(deaf).await;
        }
        for hanging in stopped {
            hanging.end.notify_one();
        }
        let guest = self.guest();
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
        let token = &self.login.token;
        let cell = &plan.cells[self.login.cell];
        let has_begun = |test: &TestId| self.machines.has_begun(token, test);
        let told = script.command(cell, self.login.life, test, run, has_begun);
        let begins = self.machines.begins(token, test);
        let usual_ms = if begins { self.expected_ms(test) } else { 0 };
        let takes = Duration::from_millis(told.takes_ms.unwrap_or(usual_ms));
        if !told.leaves.is_empty() {
            let left = (request.command.clone(), told.leaves.clone());
            self.guest().left.push(left);
        }
        if let Some(text) = &told.console
            && told.fault != Some(CommandFault::Panic)
        {
            self.machines.misbehave(token, |machine| machine.says(text));
        }
        match told.fault {
            Some(CommandFault::Hang) => {
                return Ok(self.hang(request, "TERM", Duration::ZERO).await);
            }
            Some(CommandFault::Stubborn) => return Ok(self.hang(request, "KILL", GRACE).await),
            Some(CommandFault::Refused) => {
                return Err(ExecError {
                    kind: ExecErrorKind::Refused,
                    message: "the simulator was told to refuse it".to_owned(),
                });
            }
            Some(CommandFault::Drop) => {
                return self.break_off(takes, || self.login.down.cancel()).await;
            }
            Some(CommandFault::Reboot) => {
                let reboots = || self.machines.misbehave(token, SimMachine::reboot);
                return self.break_off(takes, reboots).await;
            }
            Some(CommandFault::Panic) => {
                let words = told.console.as_deref();
                let panics = || {
                    self.machines
                        .misbehave(token, |machine| machine.panic(words));
                };
                return self.break_off(takes, panics).await;
            }
            Some(CommandFault::Spot) => {
                return self
                    .break_off(takes, || self.machines.take_away(token))
                    .await;
            }
            Some(CommandFault::DiskFull) | None => sleep(takes).await,
        }
        Ok(ExecOutcome {
            status: told.status(),
            stdout: write(told.stdout.as_deref(), &request.stdout)?,
            stderr: write(told.stderr.as_deref(), &request.stderr)?,
        })
    }

    /// How long a test takes here, in milliseconds, apart from what it waits by its own steps. The setup,
    /// which is none of the plan's tests, takes nothing: schedules have it as a part of the boot.
    fn expected_ms(&self, test: &TestId) -> u64 {
        let SimMachines { plan, script, .. } = &self.machines;
        let Some(of_plan) = plan.tests.iter().find(|other| other.id == *test) else {
            return 0;
        };
        let takes_ms = of_plan.takes_ms.unwrap_or(script.takes_ms());
        let cell = &plan.cells[self.login.cell];
        let takes_ms = script.takes(cell, self.login.life, test, takes_ms);
        let steps = of_plan.steps.iter().chain(&of_plan.finally);
        let waits_ms = steps.filter_map(wait_ms);
        waits_ms.fold(takes_ms, u64::saturating_sub)
    }

    /// A command that ends only when it is stopped, after so long, by this signal.
    async fn hang(&self, request: &ExecRequest, signal: &str, deaf: Duration) -> ExecOutcome {
        let end = Arc::new(Notify::new());
        self.guest().hanging.push(Hanging {
            command: request.command.clone(),
            end: Arc::clone(&end),
            deaf,
        });
        end.notified().await;
        ExecOutcome {
            status: ExecStatus::Signal(signal.to_owned()),
            ..ExecOutcome::default()
        }
    }

    /// Something happens in the middle of a command that ends this connection.
    async fn break_off(
        &self,
        takes: Duration,
        happens: impl FnOnce(),
    ) -> Result<ExecOutcome, ExecError> {
        sleep(takes / 2).await;
        happens();
        std::future::pending().await
    }
}

/// How long a step waits, whatever happens; of those in branches and loops nobody knows how often.
fn wait_ms(step: &Step) -> Option<u64> {
    if let StepKind::Wait { ms } = step.kind {
        Some(ms)
    } else {
        None
    }
}

#[async_trait]
impl Session for SimSession {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let run = async {
            match &request.purpose {
                Purpose::Housekeeping => Ok(self.housekeeping(&request.command).await),
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

    async fn take_time(&self, test: &TestId) {
        if self.machines.begins(&self.login.token, test) {
            sleep(Duration::from_millis(self.expected_ms(test))).await;
        }
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
