//! The providers: the one place that names them all.

use std::sync::Arc;

use dva_plan::plan::Machine;
use dva_plan::{ExecutionPlan, ExitCode};
use dva_runtime::provider::Backend;
use dva_runtime::sim::{SimBackend, SimScript};
use dva_schedule::Assumptions;
use dva_ssh::{Algorithms, HostAddress, HostsConfig, HostsProvider};

use crate::args::ProviderName;
use crate::config::Config;
use crate::failure::Failure;

/// How long a sandbox of this host takes until its first test, in milliseconds.
const LOCAL_BOOT_MS: u64 = 500;

/// What is taken for true of this provider.
pub fn assumptions(provider: ProviderName) -> Assumptions {
    match provider {
        ProviderName::Local => Assumptions {
            boot_ms: LOCAL_BOOT_MS,
            ..Assumptions::default()
        },
        ProviderName::Sim | ProviderName::Ec2 => Assumptions::default(),
    }
}

/// What is taken for true of `provider`; where none is named, of where the plan's machines are: of this host
/// where all of them are its own.
pub fn assumptions_for(plan: &ExecutionPlan, provider: Option<ProviderName>) -> Assumptions {
    match provider {
        Some(provider) => assumptions(provider),
        None if plan.machines.iter().all(Machine::is_of_this_host) => {
            assumptions(ProviderName::Local)
        }
        None => Assumptions::default(),
    }
}

/// Whose past runs say how long a plan's tests take on `provider`; where none is named, on that of the plan's machines.
/// What a simulator took says nothing, unless somebody wants it to.
pub fn history_for(plan: &ExecutionPlan, provider: Option<ProviderName>) -> Option<&'static str> {
    match provider {
        Some(ProviderName::Local) => Some("local"),
        Some(ProviderName::Ec2) => Some("ec2"),
        Some(ProviderName::Sim) => None,
        None if plan.machines.iter().all(Machine::is_of_this_host) => Some("local"),
        None => Some("ec2"),
    }
}

/// Machines that exist already.
pub fn hosts(config: &Config, addresses: &[String]) -> Result<Backend, Failure> {
    let addresses = addresses.iter().map(|text| host_address(text));
    let config = HostsConfig {
        hosts: addresses.collect::<Result<_, _>>()?,
        ..hosts_config(config)?
    };
    let provider = HostsProvider::new(config);
    Ok(Backend {
        transport: Arc::new(provider.transport()),
        provider: Arc::new(provider),
    })
}

/// How hosts are reached, without any of them.
fn hosts_config(config: &Config) -> Result<HostsConfig, Failure> {
    let ssh = &config.ssh;
    Ok(HostsConfig {
        hosts: Vec::new(),
        identities: ssh.identities.clone().unwrap_or_default(),
        known_hosts: ssh.known_hosts.clone().unwrap_or_default(),
        jump: ssh.jump.as_deref().map(host_address).transpose()?,
        proxy_command: ssh.proxy_command.clone(),
        algorithms: if ssh.legacy_algorithms {
            Algorithms::Legacy
        } else {
            Algorithms::default()
        },
    })
}

fn host_address(text: &str) -> Result<HostAddress, Failure> {
    HostAddress::parse(text)
        .map_err(|error| Failure::new(ExitCode::Invocation, format!("{text}: {error}.")))
}

/// A simulator that follows `script`.
pub fn simulator(plan: &Arc<ExecutionPlan>, script: SimScript) -> Backend {
    SimBackend::new(Arc::clone(plan), script)
}

#[cfg(feature = "local")]
mod local {
    use dva_local::{LocalConfig, LocalProvider};
    use dva_ssh::SshTransport;

    use super::{Arc, Backend, Config, ExitCode, Failure};

    /// Machines of this host, if it can have any.
    pub fn local(config: &Config) -> Result<Backend, Failure> {
        let config = local_config(config)?;
        Ok(Backend {
            provider: Arc::new(LocalProvider::new(config)),
            transport: Arc::new(SshTransport::default()),
        })
    }

    /// Where machines of this host keep what they own, if it can have any.
    pub fn local_config(config: &Config) -> Result<LocalConfig, Failure> {
        LocalProvider::check_host()
            .map_err(|missing| Failure::new(ExitCode::Invocation, missing.to_string()))?;
        let default = LocalConfig::default();
        Ok(LocalConfig {
            state: config.local.state.clone().unwrap_or(default.state),
            runtime: config.local.runtime.clone().unwrap_or(default.runtime),
        })
    }
}

#[cfg(feature = "ec2")]
mod ec2;

#[cfg(feature = "ec2")]
pub use ec2::{Callers, connect, ec2, ec2_config, on_a_runtime, regions_of};
#[cfg(feature = "local")]
pub use local::{local, local_config};

/// Without the feature there are no machines of EC2.
#[cfg(not(feature = "ec2"))]
pub fn ec2(_: &Config, _: &ExecutionPlan, _: bool) -> Result<Backend, Failure> {
    Err(Failure::new(
        ExitCode::Invocation,
        "This dva was built without machines of EC2 (feature `ec2`). `cargo build --release` builds it with them.",
    ))
}

/// Without the feature there are no machines of this host.
#[cfg(not(feature = "local"))]
pub fn local(_: &Config) -> Result<Backend, Failure> {
    Err(Failure::new(
        ExitCode::Invocation,
        "This dva was built without machines of this host (feature `local`).",
    ))
}
