//! Reaches machines over SSH, and the embedded SSH server that local machines run.
//!
//! [`SshTransport`] is the runtime's [`Transport`](dva_runtime::transport::Transport) over a byte
//! stream that any dialer opened: how a machine is reached is the provider's business. [`serve`] is
//! the other end for machines that are sandboxes of this host, so that they are tested through the
//! same path as all others.

pub mod client;
pub mod dial;
pub mod hosts;
pub mod key;
mod output;
pub mod server;

pub use client::{Algorithms, SshTransport};
pub use dial::{CommandDialer, JumpDialer, TcpDialer};
pub use hosts::{HostAddress, HostAddressError, HostsConfig, HostsProvider};
pub use key::KeyPair;
pub use server::{ExecHook, NoHook, ServerConfig, serve};
