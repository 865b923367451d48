//! One login: from a byte stream to a connection that takes commands.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dva_runtime::transport::{ConnectError, ConnectErrorKind, Reach};
use russh::client::{self, Handle, Msg};
use russh::keys::Algorithm;
use russh::{AlgorithmKind, ChannelStream, Disconnect, SshId};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use crate::client::algorithms::Algorithms;
use crate::client::host_key::{Ended, HostKeyGuard, HostKeys, LinkError};
use crate::client::identity::Attempt;
use crate::client::line::Line;
use crate::client::unreachable;

/// After this long without a word from the machine it is asked for one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// So many unanswered questions and the connection is given up.
const KEEPALIVE_MAX: usize = 3;
/// Messages of one channel that wait to be written to a file; each holds at most 32 KiB. Past them
/// the connection is not read until the disk has caught up.
const WAITING_MESSAGES: usize = 16;
/// How long a machine is given to take our farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// All that a login needs. Performed for each connection of a session.
pub(crate) struct Login {
    pub(super) reach: Reach,
    pub(super) timeout: Duration,
    pub(super) algorithms: Algorithms,
    pub(super) agent_socket: Option<PathBuf>,
}

impl Login {
    /// Logs in.
    ///
    /// # Errors
    /// [`ConnectError`].
    ///
    /// # Cancellation
    /// Dropping the future ends the connection.
    pub(crate) async fn perform(&self) -> Result<Connection, ConnectError> {
        // Where the time is up the line is cut, so a silent machine keeps no task and no socket.
        let login = tokio::time::timeout(self.timeout, self.perform_at_leisure());
        login.await.unwrap_or_else(|_| {
            let seconds = self.timeout.as_secs();
            Err(unreachable(format!("no login within {seconds} s")))
        })
    }

    async fn perform_at_leisure(&self) -> Result<Connection, ConnectError> {
        let keys = HostKeys::read(&self.reach.host_key)?;
        let config = config(self.algorithms, keys.algorithms(self.algorithms));
        let stream = self.reach.dialer.dial().await.map_err(dial_error)?;
        let (line, cut) = Line::new(stream);
        // A login that is given up must not leave its line behind.
        let cut = cut.drop_guard();
        let (guard, ended) = HostKeyGuard::new(keys);
        let mut handle = client::connect_stream(Arc::new(config), line, guard)
            .await
            .map_err(|error| classify(&error))?;
        let socket = self.agent_socket.as_deref();
        Attempt::new(&mut handle, self.reach.user(), self.algorithms, socket)
            .perform(&self.reach.credentials)
            .await?;
        Ok(Connection {
            handle,
            cut: cut.disarm(),
            ended,
        })
    }
}

/// A connection to a machine that has let us in. Dropped, it is cut.
pub(crate) struct Connection {
    pub(super) handle: Handle<HostKeyGuard>,
    cut: CancellationToken,
    pub(super) ended: Ended,
}

impl Connection {
    /// A stream to `host` and `port` as the machine sees them. The connection ends with it.
    ///
    /// # Errors
    /// What the machine said.
    pub(crate) async fn forward(self, host: &str, port: u16) -> Result<Forward, String> {
        let channel = self
            .handle
            .channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0)
            .await
            .map_err(|error| error.to_string())?;
        Ok(Forward {
            stream: channel.into_stream(),
            _connection: self,
        })
    }

    /// Says farewell and ends it.
    pub(super) async fn close(&self) {
        let farewell = async {
            let sent = self
                .handle
                .disconnect(Disconnect::ByApplication, "", "")
                .await;
            // An error means that the connection is gone already.
            if sent.is_ok() {
                self.ended.wait().await;
            }
        };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!("a machine did not take our farewell");
        }
        self.cut.cancel();
    }
}

/// A stream through a machine.
pub(crate) struct Forward {
    stream: ChannelStream<Msg>,
    _connection: Connection,
}

impl AsyncRead for Forward {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Forward {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.cut.cancel();
    }
}

fn config(algorithms: Algorithms, host_keys: Vec<Algorithm>) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-dva_",
            env!("CARGO_PKG_VERSION")
        ))),
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVE_MAX,
        channel_buffer_size: WAITING_MESSAGES,
        preferred: algorithms.preferred(host_keys),
        ..client::Config::default()
    }
}

/// A dialer that logs in itself, to a jump host, says what was wrong with that.
fn dial_error(error: io::Error) -> ConnectError {
    match error.downcast::<ConnectError>() {
        Ok(error) => error,
        Err(error) => unreachable(format!("dial: {error}")),
    }
}

/// What a failed handshake means. All that may pass by itself is [`ConnectErrorKind::Unreachable`].
fn classify(error: &LinkError) -> ConnectError {
    let (kind, message) = match error {
        LinkError::HostKey(message) => (ConnectErrorKind::HostKey, message.clone()),
        LinkError::Ssh(russh::Error::UnknownKey | russh::Error::WrongServerSig) => {
            (ConnectErrorKind::HostKey, error.to_string())
        }
        LinkError::Ssh(russh::Error::NoCommonAlgo { kind, theirs, .. }) => {
            let theirs: Vec<_> = theirs
                .iter()
                .map(|name| name.escape_debug().to_string())
                .collect();
            let message = format!(
                "no common algorithm ({kind:?}): the machine has {}",
                theirs.join(", ")
            );
            match kind {
                AlgorithmKind::Key => (ConnectErrorKind::HostKey, message),
                _ => (ConnectErrorKind::Unusable, message),
            }
        }
        LinkError::Ssh(_) => (ConnectErrorKind::Unreachable, error.to_string()),
    };
    ConnectError {
        kind,
        message: format!("handshake: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use dva_runtime::transport::HostKeyCheck;

    use super::*;
    use crate::KeyPair;

    #[test]
    fn only_the_pinned_kind_of_host_key_is_asked_for() {
        let pinned = HostKeyCheck::Pinned(KeyPair::generate().public_key);
        let keys = HostKeys::read(&pinned).expect("own text");
        let config = config(Algorithms::Sound, keys.algorithms(Algorithms::Sound));
        assert_eq!(*config.preferred.key, [Algorithm::Ed25519]);
        assert_eq!(config.inactivity_timeout, None);
    }

    #[test]
    fn a_machine_without_the_pinned_kind_of_key_is_another_machine() {
        let no_common = |kind| {
            classify(&LinkError::Ssh(russh::Error::NoCommonAlgo {
                kind,
                ours: Vec::new(),
                theirs: vec!["ssh-dss".into()],
            }))
        };
        assert_eq!(
            no_common(AlgorithmKind::Key).kind,
            ConnectErrorKind::HostKey
        );
        let cipher = no_common(AlgorithmKind::Cipher);
        assert_eq!(cipher.kind, ConnectErrorKind::Unusable);
        assert!(cipher.message.contains("ssh-dss"), "{cipher}");
    }
}
