//! The simulator: machines that only exist on tokio's clock. Under a paused clock a run of hours takes
//! milliseconds, and the whole dispatcher runs unchanged.
//!
//! A machine boots for 30 s. The first command of a test takes as long as the test `takes` (1 s where
//! nobody knows), the others no time; each ends as its test wishes. What a command wrote is then
//! unknown: a check or expectation that needs it counts as passed and is shown *assumed*. So is a file
//! that is copied. What is done to a machine from outside takes no time and works.
//!
//! A script says otherwise, for single tests, cells and lives. All keys but `test` and `fault` of a life
//! may be left out; of several entries that fit the last one counts.
//!
//! ```toml
//! boot = "20s"                        # how long machines take to start
//! takes = "2s"                        # of tests that nobody knows better
//!
//! [[test]]
//! test = "format"                     # the test's id
//! cells = { filesystem = "xfs" }      # only in cells with these axis values
//! life = 0                            # only on this life of each cell, from 0, as they are launched
//! run = 1                             # which of its commands, from 0 (the first); those of `finally` go on counting;
//!                                     # one that is tried again ends the same way each time
//!                                     # so does one in a loop; those of both branches are counted
//! exit = 1                            # its exit status, 0 where only output is given
//! signal = "KILL"                     # or: the signal that ends it
//! stdout = "xfs\n"                    # what it writes
//! stderr = "no space left on device\n"
//! takes = "5min"                      # how long it takes
//! leaves = ["sleep"]                  # names of processes it leaves behind
//! fault = "hang"                      # it never ends by itself; or "drop": the connection breaks in the middle of it;
//!                                     # or "reboot": the machine reboots by itself in the middle of it
//!
//! [[life]]
//! cells = { filesystem = "ext4" }     # only machines of these cells
//! life = 1                            # only this one of each cell
//! boot = "90s"
//! fault = "capacity"
//! ```
//!
//! | fault of a life | what happens |
//! |---|---|
//! | `capacity`, `quota`, `broken` | the machine cannot be started |
//! | `stuck` | the provider never answers |
//! | `silent` | nobody answers SSH |
//! | `auth` | the machine refuses our key |
//! | `host_key` | the machine shows another host key |
//! | `no_return` | nobody answers SSH any more after the machine was rebooted or started again |
//! | `release` | the machine cannot be ended |

mod machines;
mod script;
mod session;

use std::sync::Arc;

use dva_plan::ExecutionPlan;

use crate::provider::Backend;
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
