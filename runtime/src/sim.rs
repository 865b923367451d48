//! The simulator: machines that only exist on tokio's clock. What follows is what its users read.

#![doc = include_str!("../docs/simulator.md")]

mod chance;
mod fault;
mod life;
mod machines;
mod script;
mod session;

use std::sync::Arc;

use dva_plan::ExecutionPlan;

use crate::provider::Backend;
pub use life::SimSpan;
pub use machines::SimMachines;
pub use script::{ScriptError, ScriptErrorKind, SimScript};

/// Makes simulated backends.
#[derive(Clone, Copy, Debug)]
pub struct SimBackend;

impl SimBackend {
    /// A backend that plays `script` for runs of `plan`.
    #[must_use]
    #[expect(
        clippy::new_ret_no_self,
        reason = "what it makes is two halves of one thing, and a run takes them as a `Backend`"
    )]
    pub fn new(plan: Arc<ExecutionPlan>, script: SimScript) -> Backend {
        Self::observed(plan, script).0
    }

    /// As [`SimBackend::new`], with a view on the machines that are there.
    #[must_use]
    pub fn observed(plan: Arc<ExecutionPlan>, script: SimScript) -> (Backend, SimMachines) {
        let machines = SimMachines::new(plan, script);
        let backend = Backend {
            provider: Arc::new(machines.clone()),
            transport: Arc::new(machines.clone()),
        };
        (backend, machines)
    }
}
