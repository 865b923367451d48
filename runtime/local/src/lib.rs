//! Machines that are sandboxes of this host: namespaces, an overlay of `/`, cgroups and loop devices.
//!
//! A machine is a line of three processes, all of them this very program under another name:
//!
//! * the *supervisor* lives in the host's namespaces, owns everything the machine has on the host,
//!   and takes it all down when the one who asked for the machine goes away or its time is over;
//! * *init* is process 1 of the sandbox: it makes the sandbox around itself, and reaps;
//! * the *server* is the sandbox's SSH server, so that a local machine is reached like any other.
//!
//! A program that uses [`LocalProvider`] calls [`enter_if_helper`] as the first line of its `main`.
//!
//! What is not here: root file systems other than the host's own, and seccomp.

mod capability;
mod cgroup;
mod disk;
mod gc;
mod helper;
mod host;
mod init;
mod inventory;
mod lease;
mod machine;
mod partition;
mod provider;
mod root;
mod server;
mod supervisor;
mod trouble;
mod view;
mod wire;

pub use gc::{Leftover, RemoveError, leftovers, remove};
pub use helper::enter_if_helper;
pub use host::{Missing, MissingPrivilege};
pub use inventory::HostInventory;
pub use provider::{LocalConfig, LocalProvider};
