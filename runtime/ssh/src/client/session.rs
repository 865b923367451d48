//! A login: commands and files over the connections of a pool.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use dva_runtime::transport::{
    Collected, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Purpose,
    STDIN_LIMIT, Session, TransferError, UploadContent,
};

use crate::client::channel::{ExecChannel, Input};
use crate::client::login::{Connection, Login};
use crate::client::pool::Pool;
use crate::client::transfer::Transfers;
use crate::output::Collector;

/// A login to one machine.
pub(crate) struct SshSession {
    pool: Arc<Pool>,
    transfers: Transfers,
}

impl SshSession {
    pub(super) fn new(login: Login, connection: Connection) -> Self {
        let pool = Pool::new(login, connection);
        Self {
            transfers: Transfers::new(Arc::clone(&pool)),
            pool,
        }
    }

    /// Whether no connection of it has broken, as far as is known.
    pub(super) fn is_up(&self) -> bool {
        self.pool.broken() == 0
    }
}

#[async_trait]
impl Session for SshSession {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        // A server that reads C strings would run another command, or hang up.
        if request.command.contains('\0') {
            return Err(refused("a command cannot hold a NUL"));
        }
        if request.stdin.len() > STDIN_LIMIT {
            return Err(refused("its input is too large"));
        }
        // The files come first: where they cannot be had nothing is sent.
        let mut stdout = Collector::open(&request.stdout)?;
        let mut stderr = Collector::open(&request.stderr)?;
        let input = Input::Bytes(request.stdin);
        let status = exec(
            &self.pool,
            &request.purpose,
            request.command,
            input,
            &mut stdout,
            &mut stderr,
        )
        .await;
        // What came before a break is kept, too.
        let (stdout, stderr) = (stdout.finish().await, stderr.finish().await);
        Ok(ExecOutcome {
            status: status?,
            stdout: stdout?,
            stderr: stderr?,
        })
    }

    async fn upload(
        &self,
        content: UploadContent,
        remote: &str,
        mode: u32,
    ) -> Result<(), TransferError> {
        self.transfers.upload(content, remote, mode).await
    }

    async fn collect(
        &self,
        remote: &str,
        into: &Path,
        limit: u64,
    ) -> Result<Collected, TransferError> {
        self.transfers.collect(remote, into, limit).await
    }

    fn broken_connections(&self) -> u64 {
        self.pool.broken()
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}

/// Runs one command on some connection of `pool`.
pub(super) async fn exec(
    pool: &Arc<Pool>,
    purpose: &Purpose,
    command: String,
    input: Input,
    stdout: &mut Collector,
    stderr: &mut Collector,
) -> Result<ExecStatus, ExecError> {
    let (channel, place) = pool.open(purpose).await?.into_parts();
    let mut channel = ExecChannel::new(channel, place);
    channel.run(command, input, stdout, stderr).await
}

fn refused(what: &str) -> ExecError {
    ExecError {
        kind: ExecErrorKind::Refused,
        message: what.to_owned(),
    }
}
