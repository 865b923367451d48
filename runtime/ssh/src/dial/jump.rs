//! Through another machine.

use std::io;

use async_trait::async_trait;
use dva_runtime::transport::{ByteStream, Dialer, Reach};

use crate::client::{Login, SshTransport};

/// Dials from a machine that we can log in to (a jump host). Each stream has a login of its own: one
/// whose bytes nobody takes holds up no other.
pub struct JumpDialer {
    login: Login,
    host: String,
    port: u16,
}

impl JumpDialer {
    /// A dialer of `host` and `port` as the machine behind `jump` sees them.
    #[must_use]
    pub fn new(transport: &SshTransport, jump: &Reach, host: impl Into<String>, port: u16) -> Self {
        Self {
            login: transport.login(jump),
            host: host.into(),
            port,
        }
    }
}

#[async_trait]
impl Dialer for JumpDialer {
    /// Opens a new stream.
    ///
    /// # Errors
    /// A [`dva_runtime::transport::ConnectError`] within, where the login to the jump host failed.
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let connection = self.login.perform().await.map_err(|mut error| {
            error.message = format!("jump host: {}", error.message);
            io::Error::other(error)
        })?;
        let stream = connection.forward(&self.host, self.port).await;
        let stream = stream.map_err(|message| {
            let (host, port) = (&self.host, self.port);
            io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("the jump host does not connect to {host} port {port}: {message}"),
            )
        })?;
        Ok(Box::new(stream))
    }
}
