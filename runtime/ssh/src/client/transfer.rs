//! Files to and from a machine: by SFTP, or where the machine has none, by `cat`.

mod plain;
mod sftp;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use dva_runtime::transport::{
    Collected, ExecError, ExecErrorKind, TransferError, TransferErrorKind, UploadContent,
};
use tokio::fs::File;

use crate::client::pool::Pool;
use sftp::Sftp;

/// Copies files over the connections of a pool.
pub(super) struct Transfers {
    pool: Arc<Pool>,
    /// Set once the machine has said that it has no SFTP.
    has_no_sftp: AtomicBool,
}

impl Transfers {
    pub(super) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            has_no_sftp: AtomicBool::new(false),
        }
    }

    /// Writes the file `remote`.
    ///
    /// # Errors
    /// [`TransferError`].
    pub(super) async fn upload(
        &self,
        content: UploadContent,
        remote: &str,
        mode: u32,
    ) -> Result<(), TransferError> {
        check(remote)?;
        let mode = mode & 0o7777;
        // Asked first: where our own file cannot be read the machine is left alone.
        let content = match content {
            UploadContent::Bytes(bytes) => Content::Bytes(bytes),
            UploadContent::File(path) => {
                let file = File::open(&path).await;
                let file = file.map_err(|error| local("open", &path, &error))?;
                Content::File(file, path)
            }
        };
        match self.sftp().await? {
            Some(sftp) => sftp.upload(content, remote, mode).await,
            None => plain::upload(&self.pool, content, remote, mode).await,
        }
    }

    /// Copies the beginning of the file `remote` into the file `into`.
    ///
    /// # Errors
    /// [`TransferError`].
    pub(super) async fn collect(
        &self,
        remote: &str,
        into: &Path,
        limit: u64,
    ) -> Result<Collected, TransferError> {
        check(remote)?;
        let file = File::create(into).await;
        let file = file.map_err(|error| local("create", into, &error))?;
        match self.sftp().await? {
            Some(sftp) => sftp.collect(remote, file, into, limit).await,
            None => plain::collect(&self.pool, remote, file, into, limit).await,
        }
    }

    /// `None` where the machine has no SFTP.
    async fn sftp(&self) -> Result<Option<Sftp>, TransferError> {
        if self.has_no_sftp.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let sftp = Sftp::open(&self.pool).await?;
        if sftp.is_none() {
            tracing::debug!("the machine has no sftp; files go through `cat`");
            self.has_no_sftp.store(true, Ordering::SeqCst);
        }
        Ok(sftp)
    }
}

/// What is uploaded.
enum Content {
    Bytes(Vec<u8>),
    /// An open file and its path.
    File(File, std::path::PathBuf),
}

fn check(remote: &str) -> Result<(), TransferError> {
    if remote.is_empty() || remote.contains('\0') {
        return Err(TransferError {
            kind: TransferErrorKind::Remote,
            message: format!("{remote:?} is no path"),
        });
    }
    Ok(())
}

fn local(action: &str, path: &Path, error: &dyn std::fmt::Display) -> TransferError {
    TransferError {
        kind: TransferErrorKind::Local,
        message: format!("{action} {}: {error}", path.display()),
    }
}

fn remote_error(remote: &str, what: &str) -> TransferError {
    TransferError {
        kind: TransferErrorKind::Remote,
        // A machine says it, so it goes to no terminal as it is.
        message: format!("{remote}: {}", what.trim().escape_debug()),
    }
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Self {
        Self(TransferError {
            kind: match error.kind {
                ExecErrorKind::Lost => TransferErrorKind::Lost,
                ExecErrorKind::Refused => TransferErrorKind::Remote,
                ExecErrorKind::File => TransferErrorKind::Local,
            },
            message: error.message,
        })
    }
}

/// The same trouble in a transfer's words.
struct Failure(TransferError);

impl From<Failure> for TransferError {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}
