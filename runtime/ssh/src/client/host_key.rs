//! What a connection calls back: which host key is accepted, and why the connection ended.

use std::sync::{Arc, OnceLock};

use russh::client::{DisconnectReason, Handler};
use russh::keys::{HashAlg, PublicKey, PublicKeyOrCertificate};
use thiserror::Error;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Accepts one host key.
pub(super) struct HostKeyPin {
    pinned: PublicKey,
    reason: Arc<OnceLock<String>>,
    /// Dropped with the connection's task, whatever ended it.
    _gone: DropGuard,
}

impl HostKeyPin {
    /// The check, and what is known of the connection's end.
    pub(super) fn new(pinned: PublicKey) -> (Self, Ended) {
        let reason = Arc::new(OnceLock::new());
        let gone = CancellationToken::new();
        let pin = Self {
            pinned,
            reason: Arc::clone(&reason),
            _gone: gone.clone().drop_guard(),
        };
        (pin, Ended { reason, gone })
    }
}

impl Handler for HostKeyPin {
    type Error = LinkError;

    /// Called before authentication. A certificate is refused like any other key: none was pinned.
    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, LinkError> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. }
                if key.key_data() == self.pinned.key_data() =>
            {
                Ok(true)
            }
            shown => Err(LinkError::HostKey {
                pinned: fingerprint(&self.pinned),
                shown: fingerprint(&shown.public_key()),
            }),
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
    /// Another host key than the pinned one.
    #[error("the machine shows host key {shown}, pinned is {pinned}")]
    HostKey {
        /// The fingerprint of the pinned key.
        pinned: String,
        /// The fingerprint of the key that was shown.
        shown: String,
    },
    /// Anything else.
    #[error(transparent)]
    Ssh(#[from] russh::Error),
}

fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}
