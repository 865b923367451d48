//! Who we say we are: the keys that a login offers, one after another.
//!
//! A key that cannot be used is passed over and told in the error, should none be accepted: a user
//! has many key files and few of them are for this machine.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use dva_runtime::transport::{ConnectError, ConnectErrorKind, Credential};
use russh::client::{AuthResult, Handle};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::public::KeyData;
use russh::keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg, PublicKey};
use tokio::net::UnixStream;

use crate::client::algorithms::Algorithms;
use crate::client::host_key::{HostKeyGuard, fingerprint};
use crate::client::unreachable;

/// The most keys of an agent that are offered: a machine hangs up after six refusals.
const AGENT_KEYS: usize = 20;
/// The variable that names the agent's socket.
const AGENT_SOCKET: &str = "SSH_AUTH_SOCK";

/// An attempt to be let in.
pub(super) struct Attempt<'a> {
    pub(super) handle: &'a mut Handle<HostKeyGuard>,
    pub(super) user: &'a str,
    pub(super) algorithms: Algorithms,
    /// Instead of the one that the environment names.
    pub(super) agent_socket: Option<&'a Path>,
    /// What the machine says of RSA; asked for once, and only where an RSA key is offered.
    rsa_hashes: Option<Vec<Option<HashAlg>>>,
    offered: Vec<KeyData>,
    refused: Vec<String>,
    unusable: Vec<String>,
}

/// What became of one key.
enum Offer {
    Accepted,
    Refused,
}

impl<'a> Attempt<'a> {
    pub(super) fn new(
        handle: &'a mut Handle<HostKeyGuard>,
        user: &'a str,
        algorithms: Algorithms,
        agent_socket: Option<&'a Path>,
    ) -> Self {
        Self {
            handle,
            user,
            algorithms,
            agent_socket,
            rsa_hashes: None,
            offered: Vec::new(),
            refused: Vec::new(),
            unusable: Vec::new(),
        }
    }

    /// Offers `credentials` in their order until one is accepted.
    ///
    /// # Errors
    /// [`ConnectErrorKind::Auth`] where the machine refuses all of them, and
    /// [`ConnectErrorKind::Unusable`] where there was none to offer.
    pub(super) async fn perform(mut self, credentials: &[Credential]) -> Result<(), ConnectError> {
        for credential in credentials {
            let offer = match credential {
                Credential::Key(text) => match crate::key::private_key(text) {
                    Ok(key) => self.offer_key(key, "the given key").await?,
                    Err(message) => self.pass_over("our private key", &message),
                },
                Credential::KeyFile(path) => match read_key_file(path).await {
                    Ok(key) => self.offer_key(key, &path.display().to_string()).await?,
                    Err(message) => self.pass_over(&path.display().to_string(), &message),
                },
                Credential::Agent => self.offer_agent().await?,
            };
            if matches!(offer, Offer::Accepted) {
                return Ok(());
            }
        }
        Err(self.failure())
    }

    fn pass_over(&mut self, what: &str, why: &str) -> Offer {
        self.unusable.push(format!("{what} ({why})"));
        Offer::Refused
    }

    async fn offer_key(&mut self, key: PrivateKey, name: &str) -> Result<Offer, ConnectError> {
        let public = key.public_key().clone();
        let Some(name) = self.is_new(&public, name) else {
            return Ok(Offer::Refused);
        };
        let key = Arc::new(key);
        for hash in self.hashes(&public).await? {
            let key = PrivateKeyWithHashAlg::new(Arc::clone(&key), hash);
            let answer = self.handle.authenticate_publickey(self.user, key).await;
            let answer = answer.map_err(|error| unreachable(format!("authentication: {error}")))?;
            if self.judge(&answer, &name)? {
                return Ok(Offer::Accepted);
            }
        }
        Ok(Offer::Refused)
    }

    async fn offer_agent(&mut self) -> Result<Offer, ConnectError> {
        let (mut agent, identities) = match self.ask_agent().await {
            Ok(asked) => asked,
            Err(message) => return Ok(self.pass_over("the agent", &message)),
        };
        if identities.is_empty() {
            return Ok(self.pass_over("the agent", "it holds no keys"));
        }
        for identity in identities.into_iter().take(AGENT_KEYS) {
            let public = identity.public_key().into_owned();
            let comment = identity.comment().escape_debug().to_string();
            let Some(name) = self.is_new(&public, &format!("the agent's {comment}")) else {
                continue;
            };
            for hash in self.hashes(&public).await? {
                let answer = match identity.clone() {
                    AgentIdentity::PublicKey { key, .. } => {
                        let with = self
                            .handle
                            .authenticate_publickey_with(self.user, key, hash, &mut agent);
                        with.await
                    }
                    AgentIdentity::Certificate { certificate, .. } => {
                        let with = self.handle.authenticate_certificate_with(
                            self.user,
                            certificate,
                            hash,
                            &mut agent,
                        );
                        with.await
                    }
                };
                match answer {
                    Ok(answer) if self.judge(&answer, &name)? => return Ok(Offer::Accepted),
                    Ok(_) => {}
                    // It does not hold the key any more, or its owner declined.
                    Err(error) => {
                        self.pass_over(&name, &error.to_string());
                    }
                }
            }
        }
        Ok(Offer::Refused)
    }

    async fn ask_agent(&self) -> Result<(AgentClient<UnixStream>, Vec<AgentIdentity>), String> {
        let socket = match self.agent_socket {
            Some(socket) => socket.to_owned(),
            None => std::env::var_os(AGENT_SOCKET)
                .filter(|socket| !socket.is_empty())
                .map(PathBuf::from)
                .ok_or("none is running: SSH_AUTH_SOCK is not set")?,
        };
        let mut agent = AgentClient::connect_uds(&socket)
            .await
            .map_err(|error| format!("{}: {error}", socket.display()))?;
        if let Some(binding) = self.handle.agent_session_binding() {
            // Agents that know nothing of it have no keys that need it.
            if let Err(error) = agent.bind_session(binding, false).await {
                tracing::debug!(%error, "the agent binds no session");
            }
        }
        let identities = agent.request_identities().await;
        Ok((agent, identities.map_err(|error| error.to_string())?))
    }

    /// The name of a key in messages, or `None` where it was offered before.
    fn is_new(&mut self, key: &PublicKey, name: &str) -> Option<String> {
        if self.offered.contains(key.key_data()) {
            return None;
        }
        self.offered.push(key.key_data().clone());
        Some(format!("{name} ({})", fingerprint(key)))
    }

    async fn hashes(&mut self, key: &PublicKey) -> Result<Vec<Option<HashAlg>>, ConnectError> {
        if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
            return Ok(vec![None]);
        }
        if let Some(hashes) = &self.rsa_hashes {
            return Ok(hashes.clone());
        }
        // It waits up to a second for the machine's word.
        let said = self.handle.best_supported_rsa_hash().await;
        let said = said.map_err(|error| unreachable(format!("handshake: {error}")))?;
        let hashes = self.algorithms.rsa_hashes(said);
        self.rsa_hashes = Some(hashes.clone());
        Ok(hashes)
    }

    /// Whether the machine has accepted the key that is called `name`.
    fn judge(&mut self, answer: &AuthResult, name: &str) -> Result<bool, ConnectError> {
        match answer {
            AuthResult::Success => Ok(true),
            AuthResult::Failure {
                remaining_methods, ..
            } if remaining_methods.is_empty() && self.handle.is_closed() => {
                if self.refused.is_empty() {
                    return Err(unreachable(
                        "the connection ended during authentication".into(),
                    ));
                }
                // A machine takes so many refusals, then it hangs up.
                self.refused.push(format!("{name}, at which it hung up"));
                Err(self.failure())
            }
            AuthResult::Failure {
                partial_success, ..
            } => {
                let refused = if *partial_success {
                    format!("{name}, which it takes but wants something else as well")
                } else {
                    name.to_owned()
                };
                if self.refused.last() != Some(&refused) {
                    self.refused.push(refused);
                }
                Ok(false)
            }
        }
    }

    fn failure(&self) -> ConnectError {
        let mut message = if self.refused.is_empty() {
            format!("there is no key to log in with as {}", self.user)
        } else {
            format!(
                "the machine refuses {} with {}",
                self.user,
                self.refused.join(", ")
            )
        };
        if !self.unusable.is_empty() {
            message.push_str("; not usable: ");
            message.push_str(&self.unusable.join(", "));
        }
        ConnectError {
            kind: if self.refused.is_empty() {
                ConnectErrorKind::Unusable
            } else {
                ConnectErrorKind::Auth
            },
            message,
        }
    }
}

async fn read_key_file(path: &Path) -> Result<PrivateKey, String> {
    let text = tokio::fs::read_to_string(path)
        .await
        .map_err(|error| error.to_string())?;
    crate::key::private_key(&text)
}
