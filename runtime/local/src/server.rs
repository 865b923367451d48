//! The SSH server of a sandbox, and what it does about partitions after each command.

mod partition_watch;

use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use async_trait::async_trait;
use dva_ssh::{ExecHook, ServerConfig};

use crate::trouble::{Trouble, While};
use crate::wire::{self, SandboxReport, ServerOrder};
use partition_watch::PartitionWatch;

/// Serves until the supervisor goes away. `commands` take a process into the cgroups of commands.
pub(crate) fn run(
    supervisor: UnixStream,
    listener: OwnedFd,
    commands: Vec<File>,
) -> Result<(), Trouble> {
    let listener = TcpListener::from(listener);
    let order: Option<ServerOrder> = wire::receive(&supervisor).doing("receive the order")?;
    let Some(order) = order else {
        return Ok(());
    };
    // One thread for all connections: a machine has few, and its tests do the work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing("start the server")?;
    runtime.block_on(serve(listener, supervisor, order, commands))
}

async fn serve(
    listener: TcpListener,
    supervisor: UnixStream,
    order: ServerOrder,
    commands: Vec<File>,
) -> Result<(), Trouble> {
    listener.set_nonblocking(true).doing("use the listener")?;
    let listener = tokio::net::TcpListener::from_std(listener).doing("use the listener")?;
    let reports = supervisor
        .try_clone()
        .doing("share the supervisor's socket")?;
    let watch = PartitionWatch::start(&order.disks, supervisor).doing("watch the disks")?;
    wire::send(&reports, &SandboxReport::Serving).doing("report to the supervisor")?;
    let config = ServerConfig {
        host_key: order.host_key,
        authorized_keys: order.authorized_keys,
        hook: Arc::new(Hook { watch, commands }),
    };
    dva_ssh::serve(listener, config).await.doing("serve")
}

/// Looks at the disks after each command, before its end is reported.
struct Hook {
    watch: Arc<PartitionWatch>,
    commands: Vec<File>,
}

#[async_trait]
impl ExecHook for Hook {
    /// A command counts against the limits of commands, which leave this server what it needs.
    fn enter_command(&self) -> io::Result<()> {
        for cgroup in &self.commands {
            rustix::io::write(cgroup, b"0")?;
        }
        Ok(())
    }

    async fn after_exec(&self) {
        if self.watch.has_no_disks() {
            return;
        }
        let watch = Arc::clone(&self.watch);
        // It reads from devices and waits for the supervisor.
        if let Err(error) = tokio::task::spawn_blocking(move || watch.look()).await {
            eprintln!("look at the disks: {error}");
        }
    }
}
