//! The transport: logs in to machines over SSH.
//!
//! A login accepts the host keys that it was told of and no others, offers the keys that it was told
//! of and no others, and has one limit of time for all of it. Trying again while a machine boots is
//! the caller's business.
//!
//! A login that was made to look at a machine can be put by for the one who connects next.

mod algorithms;
mod channel;
mod host_key;
mod identity;
mod known_hosts;
mod line;
mod login;
mod parked;
mod pool;
mod session;
mod transfer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dva_runtime::transport::{ConnectError, ConnectErrorKind, Reach, Session, Transport};

pub use algorithms::Algorithms;
pub(crate) use login::Login;
use parked::Parked;
pub(crate) use session::SshSession;

/// How long dialling, the handshake and authentication may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Logs in to machines over SSH. One value serves a whole run; its clones share what is put by.
#[derive(Clone, Debug)]
pub struct SshTransport {
    connect_timeout: Duration,
    algorithms: Algorithms,
    agent_socket: Option<PathBuf>,
    parked: Parked,
}

impl SshTransport {
    /// A transport that gives a login ten seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            algorithms: Algorithms::default(),
            agent_socket: None,
            parked: Parked::default(),
        }
    }

    /// The same with another limit for a login.
    #[must_use]
    pub fn with_connect_timeout(self, connect_timeout: Duration) -> Self {
        Self {
            connect_timeout,
            ..self
        }
    }

    /// The same with other algorithms.
    #[must_use]
    pub fn with_algorithms(self, algorithms: Algorithms) -> Self {
        Self { algorithms, ..self }
    }

    /// The same with the agent at this socket instead of the one that the environment names.
    #[must_use]
    pub fn with_agent_socket(self, socket: PathBuf) -> Self {
        Self {
            agent_socket: Some(socket),
            ..self
        }
    }

    /// Logs in, whatever is put by.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(crate) async fn log_in(&self, reach: &Reach) -> Result<SshSession, ConnectError> {
        let login = self.login(reach);
        let connection = login.perform().await?;
        Ok(SshSession::new(login, connection))
    }

    /// Puts a login by for who next connects by this very `reach`, or a clone of it.
    pub(crate) fn park(&self, reach: &Reach, session: SshSession) {
        self.parked.put(reach, session);
    }

    /// A login that can be performed, again and again.
    pub(crate) fn login(&self, reach: &Reach) -> Login {
        Login {
            reach: reach.clone(),
            timeout: self.connect_timeout,
            algorithms: self.algorithms,
            agent_socket: self.agent_socket.clone(),
        }
    }
}

impl Default for SshTransport {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Transport for SshTransport {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        match self.parked.take(reach) {
            Some(session) => Ok(Arc::new(session)),
            None => Ok(Arc::new(self.log_in(reach).await?)),
        }
    }
}

fn unreachable(message: String) -> ConnectError {
    ConnectError {
        kind: ConnectErrorKind::Unreachable,
        message,
    }
}
