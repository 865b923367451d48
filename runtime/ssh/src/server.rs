//! The SSH server of local machines: runs inside a sandbox as a plain process.
//!
//! It does what the runtime needs and what sshd would do: keys of the user `root`, `exec`
//! requests and files by SFTP, no terminal, no forwarding. What a command's own environment is, the caller
//! writes into the command.

mod command;
mod connection;
mod sftp;

use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use russh::{MethodKind, MethodSet, SshId, server};
use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

use crate::key;
use connection::Connection;

/// How long a client may take to name itself.
const GREETING_TIMEOUT: Duration = Duration::from_secs(30);
/// How long accepting rests while the process has no descriptor or memory to spare.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Messages of one channel that wait; each holds at most 32 KiB.
const WAITING_MESSAGES: usize = 16;

/// What a server needs to know.
#[derive(Clone)]
pub struct ServerConfig {
    /// The private host key in OpenSSH's text form.
    pub host_key: String,
    /// The public keys that may log in, in OpenSSH's text form; no others may.
    pub authorized_keys: Vec<String>,
    /// What is done after each command.
    pub hook: Arc<dyn ExecHook>,
}

/// Something to be done after each command.
#[async_trait]
pub trait ExecHook: Send + Sync {
    /// Called in the process of a command before it becomes the command, between fork and exec: only
    /// what is async-signal-safe may be done, and nothing may be allocated.
    ///
    /// # Errors
    /// The command is not run.
    fn enter_command(&self) -> io::Result<()> {
        Ok(())
    }

    /// Called after a command has ended and before its client is told; the client waits for it.
    async fn after_exec(&self);
}

/// Does nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHook;

#[async_trait]
impl ExecHook for NoHook {
    async fn after_exec(&self) {}
}

/// Serves all that connect to `listener`, until the process ends or the future is dropped. It needs
/// a tokio runtime with IO and time.
///
/// # Errors
/// Where a key cannot be read, at once; where the listener breaks.
///
/// # Cancellation
/// Dropping the future ends accepting. Connections that stand, and their commands, go on as long as
/// the runtime does.
pub async fn serve(listener: TcpListener, config: ServerConfig) -> io::Result<()> {
    let invalid = |what: &str, message: String| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{what}: {message}"))
    };
    let host_key =
        key::private_key(&config.host_key).map_err(|message| invalid("host key", message))?;
    let authorized = config.authorized_keys.iter().map(|line| {
        let key = key::public_key(line).map_err(|message| invalid("authorized key", message))?;
        Ok(key.key_data().clone())
    });
    let authorized: Arc<[_]> = authorized.collect::<io::Result<_>>()?;
    let russh_config = Arc::new(server::Config {
        server_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-dva_",
            env!("CARGO_PKG_VERSION")
        ))),
        methods: MethodSet::from(&[MethodKind::PublicKey][..]),
        // Nobody can guess at a key, so a refusal need not be slow.
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        // A step may be silent for hours.
        inactivity_timeout: None,
        keys: vec![host_key],
        channel_buffer_size: WAITING_MESSAGES,
        nodelay: true,
        ..server::Config::default()
    });
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => match error.raw_os_error().map(Errno::from_raw_os_error) {
                Some(Errno::CONNABORTED | Errno::INTR | Errno::PERM) => continue,
                // A test may have used up what there is; it gives it back when it ends.
                Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
                _ => return Err(error),
            },
        };
        let connection = Connection::new(Arc::clone(&authorized), Arc::clone(&config.hook));
        tokio::spawn(attend(Arc::clone(&russh_config), stream, connection));
    }
}

/// Serves one connection to its end.
async fn attend(config: Arc<server::Config>, stream: TcpStream, connection: Connection) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay");
    }
    let greeting = server::run_stream(config, stream, connection);
    let ended = match tokio::time::timeout(GREETING_TIMEOUT, greeting).await {
        Ok(Ok(session)) => session.await,
        Ok(Err(error)) => Err(error),
        Err(_) => return,
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}
