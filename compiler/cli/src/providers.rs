//! The providers: the one place that names them all.

use std::sync::Arc;

use dva_plan::{ExecutionPlan, ExitCode};
use dva_runtime::provider::Backend;
use dva_runtime::sim::{SimBackend, SimScript};
use dva_schedule::Assumptions;

use crate::args::ProviderName;
use crate::failure::Failure;

/// How long a sandbox of this host takes until its first test, in milliseconds.
const LOCAL_BOOT_MS: u64 = 500;

/// What the scheduler assumes where nobody has said or measured it.
pub fn assumptions(provider: ProviderName) -> Assumptions {
    match provider {
        ProviderName::Local => Assumptions {
            boot_ms: LOCAL_BOOT_MS,
            ..Assumptions::default()
        },
        ProviderName::Sim => Assumptions::default(),
    }
}

/// A simulator that follows `script`.
pub fn simulator(plan: &Arc<ExecutionPlan>, script: SimScript) -> Backend {
    SimBackend::new(Arc::clone(plan), script)
}

#[cfg(feature = "local")]
mod local {
    use dva_local::{LocalConfig, LocalProvider};
    use dva_ssh::SshTransport;

    use super::{Arc, Backend, ExitCode, Failure};

    /// Machines of this host, if it can have any.
    pub fn local() -> Result<Backend, Failure> {
        LocalProvider::check_host()
            .map_err(|missing| Failure::new(ExitCode::Invocation, missing.to_string()))?;
        Ok(Backend {
            provider: Arc::new(LocalProvider::new(LocalConfig::default())),
            transport: Arc::new(SshTransport::default()),
        })
    }
}

#[cfg(feature = "local")]
pub use local::local;

/// Without the feature there are no machines of this host.
#[cfg(not(feature = "local"))]
pub fn local() -> Result<Backend, Failure> {
    Err(Failure::new(
        ExitCode::Invocation,
        "This dva was built without machines of this host (feature `local`).",
    ))
}
