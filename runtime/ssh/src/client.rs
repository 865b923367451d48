//! The transport: logs in to machines over SSH.
//!
//! A login pins the machine's host key, offers one key of ours and nothing else, and has one limit
//! of time for all of it. Trying again while a machine boots is the caller's business.

mod channel;
mod host_key;
mod line;
mod session;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dva_runtime::transport::{
    ConnectError, ConnectErrorKind, Credential, Dialer, HostKeyCheck, Reach, Session, Transport,
};
use russh::client::{self, AuthResult};
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use russh::{AlgorithmKind, Preferred, SshId};

use crate::key;
use host_key::{HostKeyPin, LinkError};
use line::Line;
use session::SshSession;

/// How long dialling, the handshake and authentication may take together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// After this long without a word from the machine it is asked for one.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// So many unanswered questions and the connection is given up.
const KEEPALIVE_MAX: usize = 3;
/// Messages of one channel that wait to be written to a file; each holds at most 32 KiB. Past them
/// the connection is not read until the disk has caught up.
const WAITING_MESSAGES: usize = 16;

/// Logs in to machines over SSH. Holds no connection; one value serves a whole run.
#[derive(Clone, Copy, Debug)]
pub struct SshTransport {
    connect_timeout: Duration,
}

impl SshTransport {
    /// A transport that gives a login ten seconds.
    #[must_use]
    pub fn new() -> Self {
        Self {
            connect_timeout: CONNECT_TIMEOUT,
        }
    }

    /// The same with another limit for a login.
    #[must_use]
    pub fn with_connect_timeout(self, connect_timeout: Duration) -> Self {
        Self { connect_timeout }
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
        let login = Login::new(reach)?;
        // Where the time is up the line is cut, so a silent machine keeps no task and no socket.
        let session = tokio::time::timeout(self.connect_timeout, login.perform())
            .await
            .unwrap_or_else(|_| {
                let seconds = self.connect_timeout.as_secs();
                Err(unreachable(format!("no login within {seconds} s")))
            })?;
        Ok(Arc::new(session))
    }
}

/// All that one login needs, checked.
struct Login<'a> {
    dialer: &'a dyn Dialer,
    user: &'a str,
    key: PrivateKey,
    pinned: PublicKey,
}

impl<'a> Login<'a> {
    fn new(reach: &'a Reach) -> Result<Self, ConnectError> {
        let unusable = |what: &str, message: String| ConnectError {
            kind: ConnectErrorKind::Unusable,
            message: format!("{what}: {message}"),
        };
        Ok(Self {
            dialer: reach.dialer.as_ref(),
            user: &reach.user,
            key: match reach.credentials.first() {
                Some(Credential::Key(text)) => key::private_key(text)
                    .map_err(|message| unusable("our private key", message))?,
                _ => return Err(unusable("credentials", "no key".into())),
            },
            pinned: match &reach.host_key {
                HostKeyCheck::Pinned(text) => key::public_key(text),
                HostKeyCheck::Known { .. } => Err("not pinned".into()),
            }
            .map_err(|message| unusable("the pinned host key", message))?,
        })
    }

    async fn perform(self) -> Result<SshSession, ConnectError> {
        let stream = self
            .dialer
            .dial()
            .await
            .map_err(|error| unreachable(format!("dial: {error}")))?;
        let (line, cut) = Line::new(stream);
        // A login that is given up must not leave its line behind.
        let cut = cut.drop_guard();
        let (pin, ended) = HostKeyPin::new(self.pinned.clone());
        let mut handle = client::connect_stream(Arc::new(config(&self.pinned)), line, pin)
            .await
            .map_err(|error| classify(&error))?;
        let hash = match self.key.algorithm() {
            // It waits up to a second for the machine's word, and only RSA needs it.
            Algorithm::Rsa { .. } => handle
                .best_supported_rsa_hash()
                .await
                .map_err(|error| unreachable(format!("handshake: {error}")))?
                .flatten(),
            _ => None,
        };
        let key = PrivateKeyWithHashAlg::new(Arc::new(self.key), hash);
        match handle.authenticate_publickey(self.user, key).await {
            Ok(AuthResult::Success) => Ok(SshSession::new(handle, cut.disarm(), ended)),
            Ok(AuthResult::Failure {
                remaining_methods, ..
            }) if remaining_methods.is_empty() && handle.is_closed() => Err(unreachable(
                "the connection ended during authentication".into(),
            )),
            Ok(AuthResult::Failure { .. }) => Err(ConnectError {
                kind: ConnectErrorKind::Auth,
                message: format!("the machine refuses our key for {}", self.user),
            }),
            Err(error) => Err(unreachable(format!("authentication: {error}"))),
        }
    }
}

fn config(pinned: &PublicKey) -> client::Config {
    client::Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!(
            "SSH-2.0-dva_",
            env!("CARGO_PKG_VERSION")
        ))),
        inactivity_timeout: None,
        keepalive_interval: Some(KEEPALIVE_INTERVAL),
        keepalive_max: KEEPALIVE_MAX,
        channel_buffer_size: WAITING_MESSAGES,
        preferred: Preferred {
            key: Cow::Owned(host_key_algorithms(pinned)),
            ..Preferred::DEFAULT
        },
        ..client::Config::default()
    }
}

/// The algorithms by which a machine can show the pinned key. A machine has keys of several kinds
/// and shows the kind that is asked for first, so no other may be asked for.
fn host_key_algorithms(pinned: &PublicKey) -> Vec<Algorithm> {
    match pinned.algorithm() {
        Algorithm::Rsa { .. } => vec![
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha512),
            },
            Algorithm::Rsa {
                hash: Some(HashAlg::Sha256),
            },
        ],
        algorithm => vec![algorithm],
    }
}

/// What a failed handshake means. All that may pass by itself is [`ConnectErrorKind::Unreachable`].
fn classify(error: &LinkError) -> ConnectError {
    let kind = match error {
        LinkError::HostKey { .. }
        | LinkError::Ssh(
            russh::Error::UnknownKey
            | russh::Error::WrongServerSig
            | russh::Error::NoCommonAlgo {
                kind: AlgorithmKind::Key,
                ..
            },
        ) => ConnectErrorKind::HostKey,
        LinkError::Ssh(russh::Error::NoCommonAlgo { .. }) => ConnectErrorKind::Unusable,
        LinkError::Ssh(_) => ConnectErrorKind::Unreachable,
    };
    ConnectError {
        kind,
        message: format!("handshake: {error}"),
    }
}

fn unreachable(message: String) -> ConnectError {
    ConnectError {
        kind: ConnectErrorKind::Unreachable,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyPair;

    #[test]
    fn only_the_pinned_kind_of_host_key_is_asked_for() {
        let pinned = key::public_key(&KeyPair::generate().public_key).expect("own text");
        let config = config(&pinned);
        assert_eq!(*config.preferred.key, [Algorithm::Ed25519]);
        assert_eq!(config.inactivity_timeout, None);
    }

    #[test]
    fn a_machine_without_the_pinned_kind_of_key_is_another_machine() {
        let no_common = |kind| {
            classify(&LinkError::Ssh(russh::Error::NoCommonAlgo {
                kind,
                ours: Vec::new(),
                theirs: Vec::new(),
            }))
            .kind
        };
        assert_eq!(no_common(AlgorithmKind::Key), ConnectErrorKind::HostKey);
        assert_eq!(no_common(AlgorithmKind::Cipher), ConnectErrorKind::Unusable);
    }
}
