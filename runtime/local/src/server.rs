//! The SSH server of a sandbox, and what it does about partitions after each command.

mod partition_watch;

use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use async_trait::async_trait;
use dva_ssh::{ExecHook, ServerConfig};

use crate::helper;
use crate::trouble::{Trouble, While};
use crate::wire::{self, SandboxReport, ServerOrder};
use partition_watch::PartitionWatch;

/// Serves until the supervisor goes away.
pub(crate) fn run() -> Result<(), Trouble> {
    let supervisor = UnixStream::from(helper::take_stdin().doing("take the supervisor's socket")?);
    let listener = TcpListener::from(helper::take_stdout().doing("take the listener")?);
    let order: Option<ServerOrder> = wire::receive(&supervisor).doing("receive the order")?;
    let Some(order) = order else {
        return Ok(());
    };
    // One thread for all connections: a machine has few, and its tests do the work.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .doing("start the server")?;
    runtime.block_on(serve(listener, supervisor, order))
}

async fn serve(
    listener: TcpListener,
    supervisor: UnixStream,
    order: ServerOrder,
) -> Result<(), Trouble> {
    listener.set_nonblocking(true).doing("use the listener")?;
    let listener = tokio::net::TcpListener::from_std(listener).doing("use the listener")?;
    wire::send(&supervisor, &SandboxReport::Serving).doing("report to the supervisor")?;
    let watch = PartitionWatch::new(&order.disks, supervisor).doing("watch the disks")?;
    let config = ServerConfig {
        host_key: order.host_key,
        authorized_key: order.authorized_key,
        hook: Arc::new(AfterExec(Arc::new(watch))),
    };
    dva_ssh::serve(listener, config).await.doing("serve")
}

/// Looks at the disks after each command, before its end is reported.
struct AfterExec(Arc<PartitionWatch>);

#[async_trait]
impl ExecHook for AfterExec {
    async fn after_exec(&self) {
        if self.0.has_no_disks() {
            return;
        }
        let watch = Arc::clone(&self.0);
        // It reads from devices and waits for the supervisor.
        if let Err(error) = tokio::task::spawn_blocking(move || watch.look()).await {
            eprintln!("look at the disks: {error}");
        }
    }
}
