//! What a connection calls back: which host key is accepted, and why the connection ended.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use dva_runtime::transport::{ConnectError, ConnectErrorKind, HostKeyCheck};
use russh::client::{DisconnectReason, Handler};
use russh::keys::{Algorithm, HashAlg, PublicKey, PublicKeyOrCertificate};
use thiserror::Error;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::client::algorithms::Algorithms;
use crate::client::known_hosts::{Judgement, KnownKeys, host_name};
use crate::key;

/// The host keys that a login accepts.
pub(super) enum HostKeys {
    /// This one.
    Pinned(PublicKey),
    /// Those that files have for a host.
    Known {
        keys: KnownKeys,
        /// The host as the files name it.
        name: String,
        /// The file that a key would be added to.
        file: PathBuf,
    },
    /// That which was shown first, once one was.
    FirstShown(Arc<OnceLock<String>>),
}

impl HostKeys {
    /// Reads what `check` is about.
    ///
    /// # Errors
    /// [`ConnectErrorKind::Unusable`].
    pub(super) fn read(check: &HostKeyCheck) -> Result<Self, ConnectError> {
        let unusable = |message: String| ConnectError {
            kind: ConnectErrorKind::Unusable,
            message,
        };
        match check {
            HostKeyCheck::Pinned(line) => key::public_key(line)
                .map(Self::Pinned)
                .map_err(|message| unusable(format!("the pinned host key: {message}"))),
            HostKeyCheck::Known { files, host, port } => Ok(Self::Known {
                keys: KnownKeys::read(files, host, *port).map_err(unusable)?,
                name: host_name(host, *port),
                file: files
                    .first()
                    .cloned()
                    .unwrap_or_else(|| "~/.ssh/known_hosts".into()),
            }),
            HostKeyCheck::FirstShown(shown) => Ok(Self::FirstShown(Arc::clone(shown))),
        }
    }

    /// The algorithms to ask for. A machine has keys of several kinds and shows the kind that is
    /// asked for first, so where its keys are known no other kind may be asked for.
    pub(super) fn algorithms(&self, allowed: Algorithms) -> Vec<Algorithm> {
        match self {
            Self::Pinned(key) => allowed.of_host_key(&key.algorithm()),
            Self::FirstShown(shown) => shown
                .get()
                .and_then(|line| key::public_key(line).ok())
                .map_or_else(
                    || allowed.of_any_host_key(),
                    |key| allowed.of_host_key(&key.algorithm()),
                ),
            Self::Known { keys, .. } if keys.accepted.is_empty() => allowed.of_any_host_key(),
            Self::Known { keys, .. } => {
                let mut algorithms = Vec::new();
                for key in &keys.accepted {
                    for algorithm in allowed.of_host_key(&key.algorithm()) {
                        if !algorithms.contains(&algorithm) {
                            algorithms.push(algorithm);
                        }
                    }
                }
                algorithms
            }
        }
    }

    /// A certificate is refused like any other key: none was pinned, and no authority is trusted.
    fn check(&self, shown: &PublicKeyOrCertificate) -> Result<(), String> {
        let is_plain = matches!(shown, PublicKeyOrCertificate::PublicKey { .. });
        let shown = shown.public_key();
        let print = fingerprint(&shown);
        match self {
            Self::Pinned(pinned) if is_plain && shown.key_data() == pinned.key_data() => Ok(()),
            Self::Pinned(pinned) => Err(format!(
                "the machine shows host key {print}, pinned is {}",
                fingerprint(pinned)
            )),
            Self::FirstShown(first) => check_first(first, &shown, is_plain, &print),
            Self::Known { keys, name, file } => match keys.judge(shown.key_data()) {
                Judgement::Known if is_plain => Ok(()),
                Judgement::Known | Judgement::OtherKey => Err(format!(
                    "{name} shows host key {print}, but known are {}; where its key was changed on \
                     purpose, forget the old ones with `ssh-keygen -R '{name}' -f {}`",
                    list(&keys.accepted),
                    file.display()
                )),
                Judgement::Revoked => Err(format!(
                    "{name} shows host key {print}, which is marked as revoked"
                )),
                Judgement::UnknownHost => {
                    let line = PublicKey::new(shown.key_data().clone(), "")
                        .to_openssh()
                        .unwrap_or_else(|_| "…".to_owned());
                    Err(format!(
                        "{name} is not a known host; it shows host key {print}. Where that is \
                         right, add it with `echo '{name} {line}' >> {}`",
                        file.display()
                    ))
                }
            },
        }
    }
}

/// Accepts the key that was shown first; any, where this is the first.
fn check_first(
    first: &OnceLock<String>,
    shown: &PublicKey,
    is_plain: bool,
    print: &str,
) -> Result<(), String> {
    let line = PublicKey::new(shown.key_data().clone(), "")
        .to_openssh()
        .map_err(|error| format!("the machine shows host key {print}: {error}"))?;
    if !is_plain {
        return Err(format!(
            "the machine shows a certificate for host key {print}, and no authority is trusted"
        ));
    }
    let first = first.get_or_init(|| line.clone());
    if *first == line {
        return Ok(());
    }
    Err(format!(
        "the machine shows host key {print}, and it showed another one before"
    ))
}

/// Accepts some host keys, and keeps the reason for the connection's end.
pub(super) struct HostKeyGuard {
    keys: HostKeys,
    reason: Arc<OnceLock<String>>,
    /// Dropped with the connection's task, whatever ended it.
    _gone: DropGuard,
}

impl HostKeyGuard {
    /// The check, and what is known of the connection's end.
    pub(super) fn new(keys: HostKeys) -> (Self, Ended) {
        let reason = Arc::new(OnceLock::new());
        let gone = CancellationToken::new();
        let guard = Self {
            keys,
            reason: Arc::clone(&reason),
            _gone: gone.clone().drop_guard(),
        };
        (guard, Ended { reason, gone })
    }
}

impl Handler for HostKeyGuard {
    type Error = LinkError;

    /// Called before authentication.
    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, LinkError> {
        match self.keys.check(shown) {
            Ok(()) => Ok(true),
            Err(message) => Err(LinkError::HostKey(message)),
        }
    }

    async fn disconnected(&mut self, reason: DisconnectReason<LinkError>) -> Result<(), LinkError> {
        let (text, result) = match reason {
            DisconnectReason::ReceivedDisconnect(info) => (
                // What a machine writes is not to be trusted with a terminal.
                format!("the machine ended it: {}", info.message.escape_debug()),
                Ok(()),
            ),
            DisconnectReason::Error(error) => (error.to_string(), Err(error)),
        };
        // Only the first reason counts, and there is but one call.
        let _ = self.reason.set(text);
        result
    }
}

/// What is known of a connection's end.
#[derive(Clone)]
pub(super) struct Ended {
    reason: Arc<OnceLock<String>>,
    gone: CancellationToken,
}

impl Ended {
    /// Returns once the connection's task has ended.
    pub(super) async fn wait(&self) {
        self.gone.cancelled().await;
    }

    /// Whether the connection's task has ended.
    pub(super) fn is_over(&self) -> bool {
        self.gone.is_cancelled()
    }

    /// Why it ended, as far as is known.
    pub(super) fn reason(&self) -> &str {
        self.reason
            .get()
            .map_or("no reason was given", String::as_str)
    }
}

/// What went wrong on a connection.
#[derive(Debug, Error)]
pub(super) enum LinkError {
    /// A host key that is not accepted.
    #[error("{0}")]
    HostKey(String),
    /// Anything else.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
}

fn list(keys: &[PublicKey]) -> String {
    let prints: Vec<_> = keys.iter().map(fingerprint).collect();
    prints.join(", ")
}

/// The kind of a key and its fingerprint.
pub(super) fn fingerprint(key: &PublicKey) -> String {
    format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))
}
