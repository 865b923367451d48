//! The program under another name: how a machine's processes are started from the one that is running.
//!
//! They are started by executing `/proc/self/exe` with a marker as its name, never by forking and going
//! on: the program that starts them has threads.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The variable that every process of ours carries, with the machine's token: the mark by which it is
/// known on the host.
pub(crate) const MARK: &str = "DVA_MACHINE";

/// What a helper process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Owns a machine on the host.
    Supervisor,
    /// Process 1 of a sandbox. The server is a copy of it, and goes by the same name.
    Init,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 2] = [Self::Supervisor, Self::Init];

    /// The name it is started under.
    pub(crate) fn marker(self) -> &'static str {
        match self {
            Self::Supervisor => "dva-supervisor",
            Self::Init => "dva-init",
        }
    }
}

/// Becomes a process of a machine where this program was started as one, and then never returns.
///
/// Must be the first line of `main` of every program that uses [`crate::LocalProvider`]: before any
/// thread, since namespaces are made by single-threaded processes.
pub fn enter_if_helper() {
    let name = std::env::args_os().next().unwrap_or_default();
    let Some(role) = Role::ALL.into_iter().find(|role| name == role.marker()) else {
        return;
    };
    close_inherited();
    let ended = match role {
        Role::Supervisor => crate::supervisor::run(),
        Role::Init => crate::init::run(),
    };
    if let Err(trouble) = ended {
        // Standard error is the log in the machine's folder.
        eprintln!("{}: {trouble}", role.marker());
        std::process::exit(1);
    }
    std::process::exit(0);
}

/// Closes what whoever started `dva` left open in it: a folder of the host that is open inside a sandbox
/// is a way out of it.
fn close_inherited() {
    let (first, last, flags) = (3_u32, u32::MAX, 0_u32);
    // SAFETY: this process has just begun, so nothing in it uses a descriptor above the standard ones.
    // Kernels before 5.9 have no such call, and no overlay that we can mount either.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) };
}

/// The command that starts a helper. Its environment is empty but for the mark: what the host's
/// environment holds is no business of a sandbox.
pub(crate) fn command(role: Role, token: &str) -> Command {
    command_of("/proc/self/exe", role, token)
}

/// The same from another path of the program.
pub(crate) fn command_of(program: impl AsRef<OsStr>, role: Role, token: &str) -> Command {
    let mut command = Command::new(program);
    command
        .arg0(role.marker())
        .arg(token)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("LC_ALL", "C")
        .env(MARK, token)
        .current_dir("/");
    command
}

/// Takes over what was passed as standard input and puts `/dev/null` in its place.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
    rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?)?;
    Ok(taken)
}

/// Takes over what was passed as standard output and puts `/dev/null` in its place.
pub(crate) fn take_stdout() -> io::Result<OwnedFd> {
    let taken = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
    rustix::stdio::dup2_stdout(std::fs::File::options().write(true).open("/dev/null")?)?;
    Ok(taken)
}
