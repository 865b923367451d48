//! A sandbox as its supervisor holds it: its init, the socket to its server, and the mounts it asks for.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use super::disk_place::DiskPlace;
use crate::cgroup::Cgroups;
use crate::helper::{self, Role};
use crate::mount;
use crate::mount_broker::MountBroker;
use crate::trouble::{Trouble, While};
use crate::wire::{self, InitOrder, SandboxReport, ServerCommand, ServerOrder};

/// How long a sandbox may take to serve.
const BOOT_PATIENCE: Duration = Duration::from_secs(20);
/// How long a message from the sandbox may take once it has begun, and the server to do what it is told.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(5);

/// Something that a supervisor waits for.
#[derive(Clone, Copy)]
pub(super) enum Event {
    /// `dva` has said something, or has gone.
    Dva,
    /// The sandbox has ended.
    InitEnded,
    /// The server has said something, or has gone.
    Report,
    /// Someone inside wants to mount something.
    Mount,
}

/// A sandbox that runs, until this is dropped.
pub(super) struct Sandbox {
    init: Init,
    /// Tells when init ends.
    init_end: OwnedFd,
    socket: UnixStream,
    broker: Option<MountBroker>,
}

impl Sandbox {
    /// Starts init, in its cgroups. It waits for its order.
    pub(super) fn spawn(
        token: &str,
        listener: OwnedFd,
        cgroups: &Cgroups,
    ) -> Result<Self, Trouble> {
        let (socket, theirs) = UnixStream::pair().doing("make a socket")?;
        let init = Init(spawn_init(token, theirs, listener)?);
        let process = Pid::from_raw(init.0.id().cast_signed())
            .ok_or_else(|| Trouble::new("init has no process id"))?;
        let init_end = rustix::process::pidfd_open(process, PidfdFlags::empty());
        let sandbox = Self {
            init_end: init_end.doing("watch init")?,
            init,
            socket,
            broker: None,
        };
        // From here on init runs under its limits.
        cgroups.add(sandbox.init.0.id())?;
        Ok(sandbox)
    }

    /// Has init make the sandbox around itself.
    pub(super) fn enclose(&mut self, order: &InitOrder) -> Result<(), Trouble> {
        self.socket
            .set_read_timeout(Some(BOOT_PATIENCE))
            .doing("wait for the sandbox")?;
        wire::send(&self.socket, order).doing("order the sandbox")?;
        let log = order.folder.join("log");
        let SandboxReport::Filtered { listener } = self.next_report(&log)? else {
            return Err(Trouble::new("the sandbox is out of step"));
        };
        // SAFETY: plain numbers. Init is ours until it serves, so it named the right one.
        let taken = unsafe {
            libc::syscall(
                libc::SYS_pidfd_getfd,
                self.init_end.as_raw_fd(),
                listener,
                0,
            )
        };
        if taken < 0 {
            return Err(io::Error::last_os_error()).doing("take the reports of mounts");
        }
        let taken = i32::try_from(taken)
            .map_err(io::Error::other)
            .doing("take the reports of mounts")?;
        // SAFETY: the kernel has just made this descriptor for us, and nothing else knows of it.
        let listener = unsafe { OwnedFd::from_raw_fd(taken) };
        self.broker = Some(MountBroker::new(listener));
        Ok(())
    }

    /// Has init start the server, and returns once it serves.
    pub(super) fn serve(&mut self, order: &ServerOrder) -> Result<(), Trouble> {
        wire::send(&self.socket, order).doing("order the server")?;
        match self.next_report(std::path::Path::new("/dev/null"))? {
            SandboxReport::Serving => {}
            _ => return Err(Trouble::new("the sandbox is out of step")),
        }
        self.socket
            .set_read_timeout(Some(MESSAGE_PATIENCE))
            .doing("listen to the sandbox")
    }

    /// Init as the host counts processes.
    pub(super) fn init(&self) -> i32 {
        self.init.0.id().cast_signed()
    }

    /// What tells of it.
    pub(super) fn sources(&self) -> impl Iterator<Item = (Event, BorrowedFd<'_>)> {
        let broker = self.broker.iter();
        [
            (Event::InitEnded, self.init_end.as_fd()),
            (Event::Report, self.socket.as_fd()),
        ]
        .into_iter()
        .chain(broker.map(|broker| (Event::Mount, broker.listener().as_fd())))
    }

    /// Serves a mount that someone inside wants.
    pub(super) fn serve_mount(&mut self, cgroups: &Cgroups) {
        if let Some(broker) = &mut self.broker {
            broker.serve(cgroups);
        }
    }

    /// Takes a report of the server and does what is to be done about it. Whether the server still serves.
    pub(super) fn hear(
        &mut self,
        disks: &mut [DiskPlace],
        cgroups: &mut Cgroups,
    ) -> Result<bool, Trouble> {
        match wire::receive(&self.socket).doing("listen to the sandbox")? {
            Some(SandboxReport::Repartitioned { disk }) => {
                let Some(disk) = disks.get_mut(disk) else {
                    return Err(Trouble::new("the sandbox named a disk that it has not"));
                };
                let report = ServerCommand::Partitions(disk.reread_table(cgroups)?);
                wire::send(&self.socket, &report).doing("answer the sandbox")?;
                Ok(true)
            }
            // Late, by a server that was told long ago.
            Some(SandboxReport::Done) => Ok(true),
            Some(
                SandboxReport::Serving
                | SandboxReport::Failed { .. }
                | SandboxReport::Filtered { .. },
            )
            | None => Ok(false),
        }
    }

    /// Has the server do something, and returns once it is done.
    pub(super) fn tell(
        &mut self,
        command: &ServerCommand,
        disks: &mut [DiskPlace],
        cgroups: &mut Cgroups,
    ) -> Result<(), Trouble> {
        wire::send(&self.socket, command).doing("tell the server")?;
        loop {
            match wire::receive(&self.socket).doing("listen to the sandbox")? {
                Some(SandboxReport::Done) => return Ok(()),
                Some(SandboxReport::Repartitioned { disk }) => {
                    let Some(disk) = disks.get_mut(disk) else {
                        return Err(Trouble::new("the sandbox named a disk that it has not"));
                    };
                    let report = ServerCommand::Partitions(disk.reread_table(cgroups)?);
                    wire::send(&self.socket, &report).doing("answer the sandbox")?;
                }
                _ => return Err(Trouble::new("the server has gone")),
            }
        }
    }

    fn next_report(&self, log: &std::path::Path) -> Result<SandboxReport, Trouble> {
        match wire::receive(&self.socket).doing("wait for the sandbox")? {
            Some(SandboxReport::Failed { message }) => Err(Trouble::new(message)),
            Some(report) => Ok(report),
            None => {
                let log = fs::read_to_string(log).unwrap_or_default();
                Err(Trouble::new(format!(
                    "the sandbox ended while it started: {}",
                    log.trim()
                )))
            }
        }
    }
}

/// Init as our child. However it is left, it is ended and waited for, and with it all of its sandbox.
struct Init(Child);

impl Drop for Init {
    fn drop(&mut self) {
        // Both fail only for a process that has ended and been waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts init as process 1 of a new process namespace. It waits for its order.
///
/// Root inside reaches the files that init is mapped from through `/proc/1`, past all mounts of the sandbox.
/// So init is executed from read-only mounts: its program from one of its own, all else from a copy of the
/// host's mounts.
fn spawn_init(token: &str, socket: UnixStream, listener: OwnedFd) -> Result<Child, Trouble> {
    let program = mount::read_only_copy(c"/proc/self/exe").doing("make our program read-only")?;
    let own = File::open("/proc/self/ns/pid").doing("open our process namespace")?;
    // SAFETY: this process has one thread, and the flag concerns its children alone.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWPID) }
        .doing("make a process namespace")?;
    let path = format!("/proc/self/fd/{}", program.as_raw_fd());
    let mut command = helper::command_of(path, Role::Init, token);
    // SAFETY: the closure runs between fork and exec, where only async-signal-safe calls are allowed; it
    // makes two system calls and allocates nothing.
    unsafe {
        command.pre_exec(|| {
            rustix::thread::unshare_unsafe(UnshareFlags::NEWNS)?;
            mount::make_all_read_only()
        });
    }
    let spawned: io::Result<Child> = command
        .stdin(Stdio::from(OwnedFd::from(socket)))
        .stdout(Stdio::from(listener))
        .spawn();
    // Later children, `partx` among them, see the host's files, so the sandbox must not see them.
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(LinkNameSpaceType::ProcessID))
        .doing("return to our process namespace")?;
    spawned.doing("start init")
}
