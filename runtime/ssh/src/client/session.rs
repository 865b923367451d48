//! A login: hands out the channels of one connection.
//!
//! A machine allows few channels at once (ten is sshd's default), so we take eight at most and the
//! rest wait. A refused channel is a full machine, never a failed command.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dva_runtime::transport::{
    ExecError, ExecErrorKind, ExecOutcome, ExecRequest, Purpose, Session,
};
use russh::Disconnect;
use russh::client::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::client::channel::ExecChannel;
use crate::client::host_key::{Ended, HostKeyPin};
use crate::output::Collector;

/// The most channels at once.
const CHANNELS: usize = 8;
/// The most of them that steps take. What stops a step that hangs is a command too, so one channel
/// is kept for those of our own, which are short.
const STEP_CHANNELS: usize = CHANNELS - 1;
/// How long to wait after a refusal where none of our channels ends before.
const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// How often a channel may be refused while we have no other, before that is an error: a command
/// that was given up may still hold the machine's last channel for a moment.
const REFUSALS_ALONE: u32 = 20;
/// How long a machine is given to take our farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// A login to one machine.
pub(super) struct SshSession {
    link: Arc<Link>,
    /// Cuts the connection, at the latest when the login is dropped.
    cut: CancellationToken,
}

impl SshSession {
    pub(super) fn new(handle: Handle<HostKeyPin>, cut: CancellationToken, ended: Ended) -> Self {
        Self {
            link: Arc::new(Link {
                handle,
                ended,
                channels: Arc::new(Semaphore::new(CHANNELS)),
                steps: Arc::new(Semaphore::new(STEP_CHANNELS)),
                open: AtomicUsize::new(0),
                freed: Notify::new(),
            }),
            cut,
        }
    }
}

#[async_trait]
impl Session for SshSession {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let permits = self.link.admit(&request.purpose).await?;
        // The files come first: where they cannot be had nothing is sent.
        let mut stdout = Collector::open(&request.stdout).await?;
        let mut stderr = Collector::open(&request.stderr).await?;
        // In a task of its own, for a channel whose opening is given up half-way would stay open.
        let link = Arc::clone(&self.link);
        let channel = tokio::spawn(async move { link.open(permits).await }).await;
        let mut channel = channel.map_err(|_| self.link.lost("the runtime is ending"))??;
        let status = channel
            .run(request.command, &mut stdout, &mut stderr)
            .await?;
        drop(channel);
        Ok(ExecOutcome {
            status,
            stdout: stdout.finish().await?,
            stderr: stderr.finish().await?,
        })
    }

    async fn close(&self) {
        let farewell = async {
            let sent = self
                .link
                .handle
                .disconnect(Disconnect::ByApplication, "", "")
                .await;
            // An error means that the connection is gone already.
            if sent.is_ok() {
                self.link.ended.wait().await;
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("a machine did not take our farewell");
        }
        self.cut.cancel();
    }
}

impl Drop for SshSession {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

/// What the channels of a connection share.
pub(super) struct Link {
    handle: Handle<HostKeyPin>,
    ended: Ended,
    channels: Arc<Semaphore>,
    steps: Arc<Semaphore>,
    /// How many channels are open.
    open: AtomicUsize,
    /// Tells that one has ended.
    freed: Notify,
}

impl Link {
    async fn admit(&self, purpose: &Purpose) -> Result<Permits, ExecError> {
        let permit = async |semaphore: &Arc<Semaphore>| {
            Arc::clone(semaphore)
                .acquire_owned()
                .await
                .map_err(|_| self.lost("no channel is to be had"))
        };
        let step = match purpose {
            Purpose::Step { .. } => Some(permit(&self.steps).await?),
            Purpose::Housekeeping => None,
        };
        Ok(Permits {
            _step: step,
            _channel: permit(&self.channels).await?,
        })
    }

    /// Opens a channel, waiting while the machine has none to give.
    async fn open(self: &Arc<Self>, permits: Permits) -> Result<ExecChannel, ExecError> {
        let mut refusals_alone = 0;
        loop {
            // Begun before the question, so that no channel ends unnoticed in between.
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            match self.handle.channel_open_session().await {
                Ok(channel) => {
                    self.open.fetch_add(1, Ordering::SeqCst);
                    let slot = Slot {
                        link: Arc::clone(self),
                        _permits: permits,
                    };
                    return Ok(ExecChannel::new(channel, slot));
                }
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    if self.open.load(Ordering::SeqCst) == 0 {
                        refusals_alone += 1;
                        if refusals_alone > REFUSALS_ALONE {
                            return Err(
                                self.lost(&format!("the machine opens no channel ({reason:?})"))
                            );
                        }
                    }
                    tracing::debug!(?reason, "a channel was refused; waiting for one to end");
                    // Which of the two comes first makes no difference.
                    let _ = tokio::time::timeout(REFUSAL_PAUSE, freed).await;
                }
                Err(error) => return Err(self.lost(&error.to_string())),
            }
        }
    }

    /// The error of a command whose end will not be known.
    pub(super) fn lost(&self, what: &str) -> ExecError {
        ExecError {
            kind: ExecErrorKind::Lost,
            message: what.to_owned(),
        }
    }

    /// The error of a command whose connection broke.
    pub(super) async fn broken(&self) -> ExecError {
        // The task that knows the reason tells it a moment after the channels have ended.
        let _ = tokio::time::timeout(FAREWELL, self.ended.wait()).await;
        self.lost(&format!("the connection broke: {}", self.ended.reason()))
    }
}

/// The right to open a channel.
struct Permits {
    _step: Option<OwnedSemaphorePermit>,
    _channel: OwnedSemaphorePermit,
}

/// The place of an open channel. Dropping it lets the next command on.
pub(super) struct Slot {
    link: Arc<Link>,
    _permits: Permits,
}

impl Slot {
    pub(super) fn link(&self) -> &Link {
        &self.link
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.link.open.fetch_sub(1, Ordering::SeqCst);
        self.link.freed.notify_waiters();
    }
}
