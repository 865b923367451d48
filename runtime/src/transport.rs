//! Transports: how commands get onto a machine and their output off it.
//!
//! A transport runs a command text as it stands and says how it ended. What a step's environment is
//! and how a step is stopped is the business of [`crate::environment`].

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use dva_plan::TestId;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::mask::Mask;

/// A stream of bytes to a machine's SSH port.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// Opens byte streams to one machine's SSH port: TCP, a jump host, a pipe. One machine comes with one.
#[async_trait]
pub trait Dialer: Send + Sync {
    /// Opens a new stream.
    ///
    /// # Errors
    /// What the operating system said.
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>>;
}

/// All that is needed to log in to a machine.
#[derive(Clone)]
pub struct Reach {
    /// Opens streams to its SSH port.
    pub dialer: Arc<dyn Dialer>,
    /// The users to log in as, tried in this order while the machine refuses them. Never empty.
    pub users: Vec<String>,
    /// What to log in with, tried in this order.
    pub credentials: Vec<Credential>,
    /// Which host key the machine has to show.
    pub host_key: HostKeyCheck,
}

impl Reach {
    /// Who logs in: the first of the users.
    #[must_use]
    pub fn user(&self) -> &str {
        self.users.first().map_or("root", String::as_str)
    }

    /// The same way to the machine, for `user` alone.
    #[must_use]
    pub fn for_user(&self, user: &str) -> Self {
        Self {
            users: vec![user.to_owned()],
            ..self.clone()
        }
    }
}

/// Something to log in with.
#[derive(Clone)]
pub enum Credential {
    /// A private key in OpenSSH's text form.
    Key(Arc<str>),
    /// The file of a private key without a passphrase.
    KeyFile(PathBuf),
    /// The keys of the user's agent.
    Agent,
}

/// Shows no key.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(_) => f.write_str("Key(..)"),
            Self::KeyFile(path) => f.debug_tuple("KeyFile").field(path).finish(),
            Self::Agent => f.write_str("Agent"),
        }
    }
}

/// Which host key a machine has to show. Any other is refused before it is shown a key of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostKeyCheck {
    /// This public key, in OpenSSH's text form.
    Pinned(String),
    /// One that a file of known hosts has for the machine, by the rules of OpenSSH.
    Known {
        /// The files; those that do not exist know no host.
        files: Vec<PathBuf>,
        /// The machine's name or address, as the user wrote it.
        host: String,
        /// The port of its SSH server.
        port: u16,
    },
    /// Whichever it shows first, and from then on that one, in OpenSSH's text form. For a machine that is new and
    /// whose key nobody has told; all who log in to it share the value.
    FirstShown(Arc<OnceLock<String>>),
}

/// Shows no key.
impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach")
            .field("users", &self.users)
            .field("credentials", &self.credentials)
            .field("host_key", &self.host_key)
            .finish_non_exhaustive()
    }
}

/// A way to log in to machines. Object-safe; one value serves a whole run.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Logs in once, as [`Reach::user`]. The caller repeats it while a machine boots, and for the other
    /// users.
    ///
    /// # Errors
    /// [`ConnectError`] says whether trying again can help.
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError>;
}

/// A login to one machine, used by many tasks at once.
#[async_trait]
pub trait Session: Send + Sync {
    /// Runs one command to its end, however long that takes, and never sends it twice.
    ///
    /// # Errors
    /// [`ExecError`]: the command may or may not have run.
    ///
    /// # Cancellation
    /// Dropping the future closes the channel, which kills nothing on the machine.
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError>;

    /// Writes a file of the machine, which then has exactly this content and these permission bits.
    /// Not atomic: where it fails, part of the file may be there.
    ///
    /// # Errors
    /// [`TransferError`]; [`TransferErrorKind::Unsupported`] where not overridden.
    async fn upload(
        &self,
        content: UploadContent,
        remote: &str,
        mode: u32,
    ) -> Result<(), TransferError> {
        let (_, _) = (content, mode);
        Err(TransferError::unsupported(remote))
    }

    /// Copies a file of the machine into the file `into`, which is made or emptied; of a larger one
    /// its first `limit` bytes.
    ///
    /// # Errors
    /// [`TransferError`]; [`TransferErrorKind::Unsupported`] where not overridden.
    async fn collect(
        &self,
        remote: &str,
        into: &Path,
        limit: u64,
    ) -> Result<Collected, TransferError> {
        let (_, _) = (into, limit);
        Err(TransferError::unsupported(remote))
    }

    /// How many connections of this login broke so far. Later commands take fresh ones, so where the
    /// number has changed the machine may have booted: compare its boot id before anything else.
    fn broken_connections(&self) -> u64 {
        0
    }

    /// Whether nothing is really done: what goes well here is shown as *assumed*.
    fn assumes(&self) -> bool {
        false
    }

    /// Lets the time pass that `test`, whose steps have held, takes on a machine on which something is done.
    /// Nothing where not overridden, for there it has passed.
    async fn take_time(&self, test: &TestId) {
        let _ = test;
    }

    /// Logs out. Commands that still run lose their connection.
    async fn close(&self);
}

/// A command to run.
#[derive(Clone)]
pub struct ExecRequest {
    /// The text given to the login's shell.
    pub command: String,
    /// All of its standard input, at most [`STDIN_LIMIT`] bytes. It may be a secret, so no message and
    /// no debug text shows it.
    pub stdin: Vec<u8>,
    /// What to do with standard output.
    pub stdout: StreamPlan,
    /// What to do with standard error.
    pub stderr: StreamPlan,
    /// What it is for. Over a wire this says nothing; a simulator looks its script up by it.
    pub purpose: Purpose,
}

/// Shows the size of the input alone.
impl fmt::Debug for ExecRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecRequest")
            .field("command", &self.command)
            .field("stdin", &format_args!("{} bytes", self.stdin.len()))
            .field("stdout", &self.stdout)
            .field("stderr", &self.stderr)
            .field("purpose", &self.purpose)
            .finish()
    }
}

/// What a command is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A step of a test.
    Step {
        /// The test.
        test: TestId,
        /// The place of the step among those of the test that run commands, from 0; those of `finally` go
        /// on counting.
        run: u32,
        /// Whether it is one of `finally`.
        in_finally: bool,
    },
    /// Our own: making and removing folders, looking for processes.
    Housekeeping,
}

/// What to do with one output stream of a command.
#[derive(Clone, Debug, Default)]
pub struct StreamPlan {
    /// The file that its bytes are appended to as they come, at most [`FILE_LIMIT`] of them.
    pub file: Option<PathBuf>,
    /// What to hide of it, before anything is written, kept or counted.
    pub mask: Option<Arc<Mask>>,
}

/// The most bytes of one stream of one command that go to a file.
pub const FILE_LIMIT: u64 = 16 << 20;
/// The most bytes of one stream of one command that are kept for captures and expectations.
pub const CAPTURE_LIMIT: usize = 1 << 20;
/// The most bytes that a command is given as its input. What is larger is uploaded.
pub const STDIN_LIMIT: usize = 1 << 20;
/// How many of the first bytes of a stream go into a report.
pub const HEAD_BYTES: usize = 64 << 10;
/// How many of the last bytes of a stream go into a report.
pub const TAIL_BYTES: usize = 192 << 10;

/// How a command ended and what it wrote.
#[derive(Clone, Debug, Default)]
pub struct ExecOutcome {
    /// How it ended.
    pub status: ExecStatus,
    /// Its standard output.
    pub stdout: StreamOutput,
    /// Its standard error.
    pub stderr: StreamOutput,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExecStatus {
    /// With an exit status.
    Exit(u32),
    /// By a signal, named without `SIG`.
    Signal(String),
    /// As the test wishes: a simulator was told nothing about it, so its output is unknown.
    Assumed,
}

impl Default for ExecStatus {
    fn default() -> Self {
        Self::Exit(0)
    }
}

/// What a command wrote to one stream.
#[derive(Clone, Debug, Default)]
pub struct StreamOutput {
    /// How many bytes it wrote.
    pub total: u64,
    /// The first [`CAPTURE_LIMIT`] of them.
    pub head: Vec<u8>,
    /// The last [`TAIL_BYTES`] of them; empty where `head` holds all.
    pub tail: Vec<u8>,
    /// How many bytes went to the file, which is less than `total` past [`FILE_LIMIT`].
    pub filed: u64,
}

impl StreamOutput {
    /// All bytes, or `None` where there were more than are kept.
    #[must_use]
    pub fn whole(&self) -> Option<&[u8]> {
        (self.total == self.head.len() as u64).then_some(&self.head)
    }
}

/// A login that did not work.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What is wrong.
    pub kind: ConnectErrorKind,
    /// What happened.
    pub message: String,
}

/// What is wrong with a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectErrorKind {
    /// Nobody answers, or not yet.
    Unreachable,
    /// The host key is not the one pinned. Trying again cannot help.
    HostKey,
    /// The machine refuses our key; while it boots that may pass.
    Auth,
    /// Our own key or a setting is unusable. Trying again cannot help.
    Unusable,
}

/// A command without an end that we know.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct ExecError {
    /// What is wrong.
    pub kind: ExecErrorKind,
    /// What happened.
    pub message: String,
}

/// Why there is no end of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecErrorKind {
    /// The connection broke. The command may or may not have run.
    Lost,
    /// The machine would not start the command: it did not run.
    Refused,
    /// A file of the run folder could not be written.
    File,
}

/// What to write into a file of a machine.
#[derive(Clone)]
pub enum UploadContent {
    /// These bytes; they may be a secret.
    Bytes(Vec<u8>),
    /// What a file of this host holds.
    File(PathBuf),
}

/// Shows the size of bytes alone.
impl fmt::Debug for UploadContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({} bytes)", bytes.len()),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}

/// A file of a machine that was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// How many bytes were copied.
    pub bytes: u64,
    /// Whether the file had more than the limit.
    pub truncated: bool,
}

/// A file that was not copied, or not all of it.
#[derive(Clone, Debug, Error)]
#[error("{message}")]
pub struct TransferError {
    /// What is wrong.
    pub kind: TransferErrorKind,
    /// What happened.
    pub message: String,
}

impl TransferError {
    fn unsupported(remote: &str) -> Self {
        Self {
            kind: TransferErrorKind::Unsupported,
            message: format!("{remote}: this transport copies no files"),
        }
    }
}

/// Why a file was not copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferErrorKind {
    /// The connection broke.
    Lost,
    /// The machine would not: there is no such file, no permission, no space.
    Remote,
    /// A file of this host could not be read or written.
    Local,
    /// This transport copies no files.
    Unsupported,
}
