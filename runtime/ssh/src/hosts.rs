//! The provider of machines that exist already: `--hosts user@host:port`.
//!
//! A host is lent to one life at a time and given back as it is: nothing is started, ended or
//! cleaned. Which image a host runs and what type it is nobody can check, so both count as asserted;
//! what can be read is read from the host.

mod address;
mod facts;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use dva_plan::plan::{ImageSource, Machine};
use dva_runtime::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, FirstBoot, MachineRequest, MachineToken,
    Provider, ReleaseError,
};
use dva_runtime::transport::{Credential, Dialer, HostKeyCheck, Reach};
use tokio::sync::Semaphore;

use crate::client::{Algorithms, SshTransport};
use crate::dial::{CommandDialer, JumpDialer, TcpDialer};

pub use address::{HostAddress, HostAddressError};

/// The key files that are tried where the user names none, in their folder `.ssh`.
const DEFAULT_KEYS: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// Which hosts there are and how to log in to them.
#[derive(Clone, Debug, Default)]
pub struct HostsConfig {
    /// The hosts, in the order in which they are given out.
    pub hosts: Vec<HostAddress>,
    /// Key files, tried after the keys of the agent. Where there are none, the usual ones of the
    /// user are.
    pub identities: Vec<PathBuf>,
    /// Files of known hosts. Where there are none, the user's and the system's are.
    pub known_hosts: Vec<PathBuf>,
    /// The host to go through.
    pub jump: Option<HostAddress>,
    /// The command to go through; it comes before `jump`.
    pub proxy_command: Option<String>,
    /// Which algorithms are acceptable.
    pub algorithms: Algorithms,
}

impl HostsConfig {
    /// A transport for these hosts.
    #[must_use]
    pub fn transport(&self) -> SshTransport {
        SshTransport::new().with_algorithms(self.algorithms)
    }
}

/// Lends existing hosts to lives.
pub struct HostsProvider {
    config: HostsConfig,
    transport: SshTransport,
    /// One permit for each host that is free; who waits longest is served first.
    free: Semaphore,
    state: Mutex<State>,
}

/// Who has which host, by its place in the configuration.
struct State {
    free: VecDeque<usize>,
    lent: BTreeMap<MachineToken, usize>,
}

impl HostsProvider {
    /// A provider of these hosts.
    #[must_use]
    pub fn new(config: HostsConfig) -> Self {
        let transport = config.transport();
        Self::with_transport(config, transport)
    }

    /// The same with another transport to look at hosts and jump hosts with.
    #[must_use]
    pub fn with_transport(config: HostsConfig, transport: SshTransport) -> Self {
        let count = config.hosts.len();
        Self {
            config,
            transport,
            free: Semaphore::new(count),
            state: Mutex::new(State {
                free: (0..count).collect(),
                lent: BTreeMap::new(),
            }),
        }
    }

    /// The transport that hosts are looked at with. Who uses it as well takes over the login by which a
    /// host was looked at.
    #[must_use]
    pub fn transport(&self) -> SshTransport {
        self.transport.clone()
    }

    /// The way to a host.
    #[must_use]
    pub fn reach(&self, host: &HostAddress) -> Reach {
        self.reach_by(host, self.dialer(host))
    }

    /// The way to the SSH port of a host: straight, through the command or through the jump host.
    #[must_use]
    pub fn dialer(&self, host: &HostAddress) -> Arc<dyn Dialer> {
        match (&self.config.proxy_command, &self.config.jump) {
            (Some(command), _) => Arc::new(CommandDialer::new(
                command,
                host.host(),
                host.port(),
                host.user(),
            )),
            (None, Some(jump)) => {
                let through = TcpDialer::of_host(jump.host(), jump.port());
                let jump = self.reach_by(jump, Arc::new(through));
                Arc::new(JumpDialer::new(
                    &self.transport,
                    &jump,
                    host.host(),
                    host.port(),
                ))
            }
            (None, None) => Arc::new(TcpDialer::of_host(host.host(), host.port())),
        }
    }

    fn reach_by(&self, host: &HostAddress, dialer: Arc<dyn Dialer>) -> Reach {
        let mut credentials = vec![Credential::Agent];
        let usual = || in_home(&DEFAULT_KEYS);
        let identities = or_else(&self.config.identities, usual);
        credentials.extend(identities.into_iter().map(Credential::KeyFile));
        Reach {
            dialer,
            users: vec![host.user().to_owned()],
            credentials,
            host_key: HostKeyCheck::Known {
                files: or_else(&self.config.known_hosts, || {
                    let mut files = in_home(&["known_hosts", "known_hosts2"]);
                    files.push("/etc/ssh/ssh_known_hosts".into());
                    files
                }),
                host: host.host().to_owned(),
                port: host.port(),
            },
        }
    }

    /// Lends the next free host, once there is one.
    async fn lend(&self, token: &MachineToken) -> Option<usize> {
        if let Some(host) = self.state().lent.get(token) {
            return Some(*host);
        }
        // A provider without hosts has none to wait for.
        if self.config.hosts.is_empty() {
            return None;
        }
        let permit = self.free.acquire().await.ok()?;
        let mut state = self.state();
        // The same token may have waited twice.
        if let Some(host) = state.lent.get(token) {
            return Some(*host);
        }
        let host = state.free.pop_front()?;
        state.lent.insert(token.clone(), host);
        permit.forget();
        Some(host)
    }

    fn give_back(&self, token: &MachineToken) {
        let mut state = self.state();
        if let Some(host) = state.lent.remove(token) {
            state.free.push_back(host);
            self.free.add_permits(1);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for HostsProvider {
    fn name(&self) -> &'static str {
        "hosts"
    }

    fn serves(&self, _: &ImageSource, _: &Machine) -> bool {
        true
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let failed = |kind, message| AcquireError {
            machine_type: request.machine.r#type.clone(),
            region: request.machine.region.clone(),
            kind,
            message,
        };
        if let Some(disk) = request.disks.first() {
            return Err(failed(
                AcquireErrorKind::Unsupported,
                format!(
                    "no disk can be attached to a host, and {} is wanted",
                    disk.name
                ),
            ));
        }
        let Some(host) = self.lend(&request.token).await else {
            return Err(failed(
                AcquireErrorKind::Unsupported,
                "no hosts were given".to_owned(),
            ));
        };
        let host = &self.config.hosts[host];
        let reach = self.reach(host);
        match facts::read(&self.transport, &reach, &request.machine).await {
            Ok(machine) => Ok(AcquiredMachine {
                id: host.to_string(),
                machine,
                reach,
                disks: Vec::new(),
                first_boot: FirstBoot::Nothing,
            }),
            Err(message) => {
                self.give_back(&request.token);
                Err(failed(
                    AcquireErrorKind::Broken,
                    format!("{host}: {message}"),
                ))
            }
        }
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        self.give_back(token);
        Ok(())
    }
}

fn or_else(given: &[PathBuf], usual: impl FnOnce() -> Vec<PathBuf>) -> Vec<PathBuf> {
    if given.is_empty() {
        usual()
    } else {
        given.to_vec()
    }
}

/// These files of the user's folder `.ssh`.
fn in_home(names: &[&str]) -> Vec<PathBuf> {
    let folder = std::env::home_dir().map(|home| home.join(".ssh"));
    folder
        .map(|folder| names.iter().map(|name| folder.join(name)).collect())
        .unwrap_or_default()
}
