//! Process 1 of a sandbox: makes the sandbox around itself, starts the server, and reaps.
//!
//! It is not the server itself, since reaping what others leave would take the server's own children
//! from under it.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::{CpuSet, UnshareFlags};

use crate::helper;
use crate::trouble::{Trouble, While};
use crate::wire::{self, InitOrder, SandboxReport};
use crate::{capability, cgroup, mount, root, seccomp, server};

/// Runs as init until the server ends. When this returns, the kernel ends all that is left inside.
pub(crate) fn run() -> Result<(), Trouble> {
    let supervisor = UnixStream::from(helper::take_stdin().doing("take the supervisor's socket")?);
    let listener = helper::take_stdout().doing("take the listener")?;
    // Comes once this process is in its cgroups, or never where the supervisor has died.
    let order: Option<InitOrder> = wire::receive(&supervisor).doing("receive the order")?;
    let Some(order) = order else {
        return Ok(());
    };
    let started = enclose(&order).and_then(|commands| {
        filter(&supervisor)?;
        start_server(&supervisor, listener, commands)
    });
    let server = match started {
        Ok(server) => server,
        Err(trouble) => {
            let message = trouble.to_string();
            wire::send(&supervisor, &SandboxReport::Failed { message })
                .doing("report a failure")?;
            return Err(trouble);
        }
    };
    // From here on the socket is the server's.
    drop(supervisor);
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((process, _))) if process == server => return Ok(()),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error).doing("wait for processes"),
        }
    }
}

/// Makes the namespaces, the file systems and the limits that are this process's own. Returns the ways
/// into the cgroups of commands, which lie outside.
fn enclose(order: &InitOrder) -> Result<Vec<File>, Trouble> {
    // This namespace of mounts is our own, and read-only throughout. These are to be written to.
    make_folder_writable(&order.folder).doing("make the machine's folder writable")?;
    for point in cgroup::mount_points() {
        make_writable(&point).doing(format_args!("make {} writable", point.display()))?;
    }
    let open = |path: &PathBuf| {
        fs::OpenOptions::new()
            .write(true)
            .open(path)
            .doing(format_args!("open {}", path.display()))
    };
    let commands = order.commands.iter().map(open).collect::<Result<_, _>>()?;
    // SAFETY: this process has one thread, and none of these flags concerns its descriptors.
    unsafe {
        rustix::thread::unshare_unsafe(
            UnshareFlags::NEWNET
                | UnshareFlags::NEWIPC
                | UnshareFlags::NEWUTS
                | UnshareFlags::NEWCGROUP,
        )
    }
    .doing("make namespaces")?;
    rustix::system::sethostname(order.token.as_bytes()).doing("set the host name")?;
    bring_up_loopback().doing("bring up the loopback interface")?;
    root::enter(order)?;
    choose_processors(order)?;
    capability::drop_dangerous()?;
    // The second line behind the supervisor's socket, which the server watches. Set last: a change of
    // credentials takes it back.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
        .doing("tie this process to the supervisor")?;
    Ok(commands)
}

fn make_folder_writable(folder: &Path) -> std::io::Result<()> {
    rustix::mount::mount_bind(folder, folder)?;
    make_writable(folder)
}

fn make_writable(point: &Path) -> std::io::Result<()> {
    let point = CString::new(point.as_os_str().as_encoded_bytes())?;
    mount::make_writable(&point)
}

/// Puts this process under the filters, and waits until the supervisor has taken the reports of mounts.
fn filter(supervisor: &UnixStream) -> Result<(), Trouble> {
    let listener = seccomp::install()?;
    let report = SandboxReport::Filtered {
        listener: listener.as_raw_fd(),
    };
    wire::send(supervisor, &report).doing("report to the supervisor")?;
    // What comes next is for the server. That it comes says that the supervisor has its own copy.
    let mut event = [PollFd::new(supervisor, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut event, None))
        .doing("wait for the supervisor")?;
    Ok(())
}

/// Starts the server as a copy of this process: an image may lack what this program needs to be executed.
fn start_server(
    supervisor: &UnixStream,
    listener: OwnedFd,
    commands: Vec<File>,
) -> Result<Pid, Trouble> {
    let socket = supervisor
        .try_clone()
        .doing("share the supervisor's socket")?;
    // SAFETY: this process has one thread, so its child may go on as it pleases.
    match unsafe { libc::fork() } {
        0 => {
            let status = match server::run(socket, listener, commands) {
                Ok(()) => 0,
                Err(trouble) => {
                    // Standard error is the log in the machine's folder.
                    eprintln!("server: {trouble}");
                    1
                }
            };
            std::process::exit(status);
        }
        child => Pid::from_raw(child)
            .filter(|_| child > 0)
            .ok_or_else(std::io::Error::last_os_error)
            .doing("start the server"),
    }
}

/// Keeps the machine on as many processors as it has, so that programs that count them count right.
/// A host with fewer gives what it has; the quota holds either way.
fn choose_processors(order: &InitOrder) -> Result<(), Trouble> {
    let host = rustix::thread::sched_getaffinity(None).doing("read the processors")?;
    let usable: Vec<_> = (0..CpuSet::MAX_CPU)
        .filter(|cpu| host.is_set(*cpu))
        .collect();
    let mut ours = CpuSet::new();
    let first = order.first_cpu as usize % usable.len().max(1);
    for cpu in usable.iter().cycle().skip(first).take(order.vcpus as usize) {
        ours.set(*cpu);
    }
    rustix::thread::sched_setaffinity(None, &ours).doing("choose processors")
}

/// `ip link set lo up`, without the program, which an image may lack.
fn bring_up_loopback() -> std::io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::INET,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    // SAFETY: all of it is plain data, for which zero is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: `request` is what this call takes, and outlives it.
    let done = unsafe {
        libc::ioctl(
            socket.as_raw_fd(),
            libc::SIOCSIFFLAGS as libc::Ioctl,
            std::ptr::from_ref(&request),
        )
    };
    if done < 0 {
        return Err(std::io::Error::last_os_error());
    }
    Ok(())
}
