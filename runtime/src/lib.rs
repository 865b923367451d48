//! Runs execution plans: loads, dispatches, reports, simulates.
//!
//! It decides where and when; what is to be run was decided by the compiler, which this crate does
//! not know. Machines come through [`provider::Provider`], commands go through
//! [`transport::Transport`].
//!
//! ```text
//!                    StopSignal
//!                        │
//!   Observer ◄── ┌───────▼──────┐  Order   ┌──────────┐ acquire, release ┌──────────┐
//!    Journal ◄── │  dispatcher  ├─────────►│ executor ├─────────────────►│ Provider │
//!                │   RunState   │◄─────────┤ (a life) │                  └──────────┘
//!                └───────┬──────┘  Message └────┬─────┘
//!                        │                      │ one task a test
//!                    RunReport            ┌─────▼─────┐ exec  ┌─────────┐
//!                        │                │ execution ├──────►│ Session │
//!                     JUnit, …            └───────────┘       └─────────┘
//! ```
//!
//! - [`run`] is the dispatcher: the only owner of the run's state, one message at a time. It records
//!   every [`event`] before it makes the call that the event announces.
//! - [`state`] is what the events mean: a pure fold, which refuses events that cannot be. It says what
//!   may start; the dispatcher starts it.
//! - An executor is a task with one life of one machine. It obeys orders and says what came of them.
//! - An execution is one test on that machine: templates, steps, captures, `finally`.
//! - A guest is that machine as all executions of its life share it: the login, the disks, what is done
//!   to it from outside.
//! - [`secrets`] reach commands alone: [`mask`] takes them out of output where it comes in, and out of
//!   every event before it is recorded.
//! - All time is tokio's, so a paused clock and the simulator ([`sim`]) run all of this unchanged.

pub mod capability;
mod cell_facts;
pub mod clock;
pub mod console;
pub mod diagnose;
pub mod dispatcher;
pub mod entries;
pub mod environment;
pub mod event;
mod excerpt;
mod execution;
mod executor;
pub mod folder;
mod guest;
pub mod inputs;
pub mod journal;
pub mod junit;
pub mod mask;
pub mod observe;
pub mod options;
pub mod provider;
pub mod refusal;
pub mod report;
pub mod secrets;
pub mod sim;
pub mod state;
pub mod transport;

pub use capability::{Unsupported, unsupported};
pub use clock::WallTime;
pub use dispatcher::{resume, run};
pub use entries::{WithoutEntry, without_entry};
pub use event::{Event, Record};
pub use folder::{FolderError, RunFolder};
pub use inputs::{Inputs, UnboundInput, unbound_inputs};
pub use observe::Observer;
pub use options::{Keep, Limits, MachineKept, MachineLeft, RunOptions, RunOutcome, StopSignal};
pub use provider::Backend;
pub use refusal::{refusals, unserved};
pub use secrets::{Secrets, unbound_secrets};
pub use sim::{SimBackend, SimScript};
pub use state::RunState;
