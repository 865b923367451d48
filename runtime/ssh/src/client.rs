//! The transport: logs in to machines over SSH.
//!
//! A login accepts the host keys that it was told of and no others, offers the keys that it was told
//! of and no others, and has one limit of time for all of it. Trying again while a machine boots is
//! the caller's business.

mod algorithms;
mod channel;
mod host_key;
mod identity;
mod known_hosts;
mod line;
mod login;
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
use session::SshSession;

/// How long dialling, the handshake and authentication may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Logs in to machines over SSH. Holds no connection; one value serves a whole run.
#[derive(Clone, Debug)]
pub struct SshTransport {
    connect_timeout: Duration,
    algorithms: Algorithms,
    agent_socket: Option<PathBuf>,
}

impl SshTransport {
    /// A transport that gives a login ten seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
            algorithms: Algorithms::default(),
            agent_socket: None,
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
        let login = self.login(reach);
        let connection = login.perform().await?;
        Ok(Arc::new(SshSession::new(login, connection)))
    }
}

fn unreachable(message: String) -> ConnectError {
    ConnectError {
        kind: ConnectErrorKind::Unreachable,
        message,
    }
}
