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
//! Kept to itself, whatever root inside does, is a machine by: namespaces; mounts that are locked; an
//! allow-list of what may be mounted; cgroups, of devices among them; dropped capabilities; and refused
//! system calls. What is not: time on the processors beyond the quota where the host has no quota, and
//! the kernel itself, which all machines share with the host.

mod capability;
mod cgroup;
mod disk;
mod gc;
mod helper;
mod host;
mod image;
mod init;
mod inventory;
mod lease;
mod machine;
mod mount;
mod mount_broker;
mod partition;
mod provider;
mod root;
mod seccomp;
mod server;
mod supervisor;
mod trouble;
mod upper;
mod view;
mod wire;

pub use gc::{Kept, Leftover, RemoveError, end_kept, leftovers, remove};
pub use helper::enter_if_helper;
pub use host::{Missing, MissingPrivilege};
pub use inventory::HostInventory;
pub use provider::{LocalConfig, LocalProvider};
