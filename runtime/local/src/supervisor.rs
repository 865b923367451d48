//! The supervisor of a machine: makes what the machine owns on the host, starts its init, and takes
//! everything down when `dva` goes away, the machine's time is over, or the sandbox ends by itself.
//!
//! It lives in the host's namespaces and in a session of its own, so what ends `dva` does not end it.
//! It has one thread and trusts nothing that comes out of the sandbox.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;
use rustix::process::{Pid, PidfdFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::cgroup::{Cgroups, Limits};
use crate::disk::LoopDisk;
use crate::helper::{self, Role};
use crate::lease::{Lease, Record};
use crate::provider::LocalConfig;
use crate::trouble::{Trouble, While};
use crate::wire::{
    self, DiskNode, InitOrder, MachineOrder, PartitionNode, PartitionReport, SandboxReport,
    ServerOrder, StartReport,
};
use crate::{gc, partition};

/// How long a sandbox may take to serve.
const BOOT_PATIENCE: Duration = Duration::from_secs(20);
/// How long a message from the sandbox may take once it has begun.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(2);

/// Runs one machine from its start to its end.
pub(crate) fn run() -> Result<(), Trouble> {
    rustix::process::setsid().doing("begin a session")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let dva = UnixStream::from(helper::take_stdin().doing("take the lease")?);
    let listener = helper::take_stdout().doing("take the listener")?;
    let order: Option<MachineOrder> = wire::receive(&dva).doing("receive the order")?;
    let Some(order) = order else {
        return Ok(());
    };
    let ends = Instant::now() + Duration::from_millis(order.lifetime_ms);

    let failed = |trouble: &Trouble| {
        let message = trouble.to_string();
        // Where `dva` has gone, nobody is there to be told.
        let _ = wire::send(&dva, &StartReport::Failed { message });
    };
    let config = LocalConfig {
        state: order.state.clone(),
        runtime: order.runtime.clone(),
    };
    let owned = Owned::take(&config, &order).inspect_err(failed)?;
    let outcome = owned.boot(&order, listener).and_then(|mut sandbox| {
        let init = sandbox.init.id().cast_signed();
        // Where `dva` has gone, watching ends at once.
        let _ = wire::send(&dva, &StartReport::Ready { init });
        sandbox.watch(&dva, ends)
    });
    // The sandbox is gone by now, and with it every user of what follows.
    let removed = owned.remove();
    if let Err(trouble) = &outcome {
        failed(trouble);
    }
    removed.and(outcome)
}

/// The lease, and what it records.
struct Owned {
    lease: Lease,
    record: Record,
}

impl Owned {
    /// Records all that the machine will own, before any of it is made.
    fn take(config: &LocalConfig, order: &MachineOrder) -> Result<Self, Trouble> {
        let mut lease = Lease::take(config, &order.token)?;
        let written = Cgroups::plan(config, &order.token).and_then(|cgroups| {
            let record = Record {
                token: order.token.clone(),
                supervisor: std::process::id(),
                folder: config.folder(&order.token),
                cgroups: cgroups.directories(),
            };
            lease.write(&record).doing("write the lease")?;
            Ok(record)
        });
        match written {
            Ok(record) => Ok(Self { lease, record }),
            Err(trouble) => {
                lease.remove().doing("remove the lease")?;
                Err(trouble)
            }
        }
    }

    /// Makes all of it and starts the sandbox.
    fn boot(&self, order: &MachineOrder, listener: OwnedFd) -> Result<Sandbox, Trouble> {
        let config = LocalConfig {
            state: order.state.clone(),
            runtime: order.runtime.clone(),
        };
        let folder = &self.record.folder;
        private_folder(folder)?;
        let log = File::create(folder.join("log")).doing("make the log")?;
        rustix::stdio::dup2_stderr(&log).doing("use the log")?;

        let mut disks = Vec::new();
        for (index, size_bytes) in order.disks.iter().enumerate() {
            let disk = LoopDisk::create(&folder.join(format!("disk{index}")), *size_bytes)?;
            disks.push(SandboxDisk {
                node: DiskNode {
                    name: disk_name(index),
                    kernel_name: disk.kernel_name.clone(),
                    number: disk.number,
                },
                _device: disk,
                partitions: Vec::new(),
            });
        }
        let nodes: Vec<_> = disks.iter().map(|disk| disk.node.clone()).collect();
        let numbers: Vec<_> = nodes.iter().map(|node| node.number).collect();
        let mut cgroups = Cgroups::plan(&config, &order.token)?;
        let limits = Limits {
            vcpus: order.vcpus,
            memory_bytes: order.memory_bytes,
        };
        cgroups.create(&limits, &numbers)?;

        let (socket, theirs) = UnixStream::pair().doing("make a socket")?;
        let init = Init(spawn_init(&order.token, theirs, listener)?);
        cgroups.add(init.id())?;
        // From here on init runs under its limits.
        let to_init = InitOrder {
            token: order.token.clone(),
            folder: folder.clone(),
            hidden: vec![order.state.clone(), order.runtime.clone()],
            vcpus: order.vcpus,
            first_cpu: order.first_cpu,
            memory_bytes: order.memory_bytes,
            disks: nodes.clone(),
        };
        let to_server = ServerOrder {
            host_key: order.host_key.clone(),
            authorized_key: order.authorized_key.clone(),
            disks: nodes,
        };
        wire::send(&socket, &to_init).doing("order the sandbox")?;
        wire::send(&socket, &to_server).doing("order the server")?;
        socket
            .set_read_timeout(Some(BOOT_PATIENCE))
            .doing("wait for the sandbox")?;
        match wire::receive(&socket).doing("wait for the sandbox")? {
            Some(SandboxReport::Serving) => {}
            Some(SandboxReport::Failed { message }) => return Err(Trouble::new(message)),
            Some(SandboxReport::Repartitioned { .. }) | None => {
                let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
                return Err(Trouble::new(format!(
                    "the sandbox ended while it started: {}",
                    log.trim()
                )));
            }
        }
        socket
            .set_read_timeout(Some(MESSAGE_PATIENCE))
            .doing("listen to the sandbox")?;
        Ok(Sandbox {
            init,
            socket,
            disks,
            cgroups,
        })
    }

    /// Takes down everything. The lease goes last, since it is what left-overs are found by.
    fn remove(self) -> Result<(), Trouble> {
        gc::undo(&self.record).map_err(Trouble::new)?;
        self.lease.remove().doing("remove the lease")
    }
}

/// A sandbox that serves.
struct Sandbox {
    /// Declared first, so that the sandbox has ended when its disks are let go.
    init: Init,
    socket: UnixStream,
    disks: Vec<SandboxDisk>,
    cgroups: Cgroups,
}

/// A disk of a sandbox.
struct SandboxDisk {
    node: DiskNode,
    /// Keeps the disk attached.
    _device: LoopDisk,
    /// The partitions that the machine may use.
    partitions: Vec<PartitionNode>,
}

impl Sandbox {
    /// Serves the sandbox until there is a reason to end it.
    fn watch(&mut self, dva: &UnixStream, ends: Instant) -> Result<(), Trouble> {
        let init = Pid::from_raw(self.init.id().cast_signed())
            .ok_or_else(|| Trouble::new("init has no process id"))?;
        let init = rustix::process::pidfd_open(init, PidfdFlags::empty()).doing("watch init")?;
        loop {
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let mut events = [
                // Nothing is sent on the lease any more: what comes is its end.
                PollFd::new(dva, PollFlags::IN),
                PollFd::new(&init, PollFlags::IN),
                PollFd::new(&self.socket, PollFlags::IN),
            ];
            // A lifetime past what the kernel can count is no limit.
            let timeout = Timespec::try_from(left).ok();
            match rustix::event::poll(&mut events, timeout.as_ref()) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error).doing("watch the sandbox"),
            }
            let [lease, init, socket] = events.map(|event| !event.revents().is_empty());
            if lease || init {
                return Ok(());
            }
            if socket {
                match wire::receive(&self.socket).doing("listen to the sandbox")? {
                    Some(SandboxReport::Repartitioned { disk }) => self.repartition(disk)?,
                    // The server has gone, so the machine cannot be reached any more.
                    Some(SandboxReport::Serving | SandboxReport::Failed { .. }) | None => {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Has the kernel read a disk's table, and allows the machine exactly the partitions it has.
    fn repartition(&mut self, disk: usize) -> Result<(), Trouble> {
        let Some(disk) = self.disks.get_mut(disk) else {
            return Err(Trouble::new("the sandbox named a disk that it has not"));
        };
        let (partitions, trouble) = partition::reread(&disk.node.kernel_name);
        let numbers = |of: &[PartitionNode]| -> BTreeMap<_, ()> {
            of.iter().map(|partition| (partition.number, ())).collect()
        };
        let (before, now) = (numbers(&disk.partitions), numbers(&partitions));
        // Taken away first: another machine may get the number next.
        for gone in before.keys().filter(|number| !now.contains_key(number)) {
            self.cgroups.deny(*gone)?;
        }
        for new in now.keys().filter(|number| !before.contains_key(number)) {
            self.cgroups.allow(*new)?;
        }
        disk.partitions.clone_from(&partitions);
        let report = PartitionReport {
            partitions,
            trouble,
        };
        wire::send(&self.socket, &report).doing("answer the sandbox")
    }
}

/// Init as our child. However it is left, it is ended and waited for, and with it all of its sandbox.
struct Init(Child);

impl Init {
    fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Init {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts init as process 1 of a new process namespace. It waits for its order.
fn spawn_init(token: &str, socket: UnixStream, listener: OwnedFd) -> Result<Child, Trouble> {
    let own = File::open("/proc/self/ns/pid").doing("open our process namespace")?;
    // SAFETY: this process has one thread, and the flag concerns its children alone.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .doing("make a process namespace")?;
    let spawned: io::Result<Child> = helper::command(Role::Init, token)
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::from(listener))
        .spawn();
    // Later children, `partx` among them, see the host's files, so the sandbox must not see them.
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(&own),
        Some(LinkNameSpaceType::ProcessID),
    )
    .doing("return to our process namespace")?;
    spawned.doing("start init")
}

/// Makes a folder and those above it, for root alone: what a sandbox writes may be anything, programs that
/// run as root among it.
pub(crate) fn private_folder(path: &Path) -> Result<(), Trouble> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing(format_args!("make {}", path.display()))
}

/// The name of the node of extra disk `index`: `sdb`, `sdc`, … `sdz`, `sdaa`, as the kernel goes on.
pub(crate) fn disk_name(index: usize) -> String {
    let mut left = index + 1;
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(
            b'a' + u8::try_from(left % 26).unwrap_or_default(),
        ));
        if left < 26 {
            break;
        }
        left = left / 26 - 1;
    }
    letters.push('d');
    letters.push('s');
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::disk_name;

    #[test]
    fn disks_are_named_as_the_kernel_names_them() {
        assert_eq!(disk_name(0), "sdb");
        assert_eq!(disk_name(24), "sdz");
        assert_eq!(disk_name(25), "sdaa");
        assert_eq!(disk_name(51), "sdba");
    }
}
