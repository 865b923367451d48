//! New mounts of a sandbox, made by its supervisor in its place.
//!
//! Root inside may mount its disks, and may not mount what is the host's own however it is mounted: the
//! kernel's settings, its debugging files, its cgroups. The kernel hands a new mount to the supervisor,
//! which reads the arguments *once*, judges the kind of file system by its own copy, and makes the mount
//! itself with that copy, so nothing can be changed in between. It does so in a process that has joined
//! the sandbox's namespaces, cgroups and root and dropped what the sandbox has dropped; since that is
//! outside the sandbox's process namespace, nobody inside can see or trace it.
//!
//! Not served: sources and targets that begin with `/proc/self`, which is somebody else there.

use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use rustix::process::{Pid, Signal, WaitOptions};
use rustix::thread::LinkNameSpaceType;

use crate::capability;
use crate::cgroup::Cgroups;

/// The kinds that hold files and nothing else: on a device of the sandbox, or in memory that counts as
/// its own.
const SERVED: &[&str] = &[
    "bcachefs", "btrfs", "cramfs", "devpts", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs",
    "hfs", "hfsplus", "iso9660", "jfs", "minix", "mqueue", "msdos", "nilfs2", "ntfs", "ntfs3",
    "overlay", "ramfs", "reiserfs", "romfs", "squashfs", "tmpfs", "udf", "vfat", "xfs",
];
/// The longest path, and the most that the kernel reads of options.
const LONGEST: usize = 4096;
/// The bit of `CAP_SYS_ADMIN`.
const SYS_ADMIN: u32 = 21;

/// Where the mounts of one sandbox are reported.
pub(crate) struct MountBroker {
    listener: OwnedFd,
    /// Processes that are making a mount, which may take long.
    at_work: Vec<Pid>,
}

/// A mount that is wanted.
struct Wanted {
    source: Option<CString>,
    target: CString,
    kind: CString,
    flags: libc::c_ulong,
    options: Option<CString>,
}

impl MountBroker {
    pub(crate) fn new(listener: OwnedFd) -> Self {
        Self {
            listener,
            at_work: Vec::new(),
        }
    }

    /// Where mounts are reported; to be polled.
    pub(crate) fn listener(&self) -> &OwnedFd {
        &self.listener
    }

    /// Takes one report and has it answered. Does not wait for the mount.
    pub(crate) fn serve(&mut self, cgroups: &Cgroups) {
        self.at_work.retain(|process| {
            !matches!(
                rustix::process::waitpid(Some(*process), WaitOptions::NOHANG),
                Ok(Some(_)) | Err(_)
            )
        });
        // SAFETY: all of it is plain data, for which zero is a value, as the kernel demands of it.
        let mut report: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: `report` is what this call fills.
        let taken = unsafe {
            libc::ioctl(
                self.listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_RECV,
                std::ptr::from_mut(&mut report),
            )
        };
        if taken < 0 {
            // The one who asked has gone.
            return;
        }
        // SAFETY: this process has one thread, so its child may go on as it pleases.
        match unsafe { libc::fork() } {
            0 => {
                let outcome = make(&report, &self.listener, cgroups);
                self.answer(&report, outcome);
                // SAFETY: ends this process without running what its parent has registered.
                unsafe { libc::_exit(0) };
            }
            child if child > 0 => self.at_work.extend(Pid::from_raw(child)),
            _ => self.answer(&report, Err(io::Error::last_os_error())),
        }
    }

    fn answer(&self, report: &libc::seccomp_notif, outcome: io::Result<()>) {
        let error = outcome.err().map_or(0, |error| {
            -error
                .raw_os_error()
                .filter(|number| *number > 0)
                .unwrap_or(libc::EPERM)
        });
        let answer = libc::seccomp_notif_resp {
            id: report.id,
            val: 0,
            error,
            flags: 0,
        };
        // SAFETY: `answer` is what this call reads. It fails where the one who asked has gone.
        unsafe {
            libc::ioctl(
                self.listener.as_raw_fd(),
                libc::SECCOMP_IOCTL_NOTIF_SEND,
                std::ptr::from_ref(&answer),
            )
        };
    }
}

impl Drop for MountBroker {
    /// A mount of a sandbox that ends is of no use any more.
    fn drop(&mut self) {
        for process in self.at_work.drain(..) {
            // Not yet waited for, so the id is still its own.
            let _ = rustix::process::kill_process(process, Signal::KILL);
            let _ = rustix::process::waitpid(Some(process), WaitOptions::empty());
        }
    }
}

/// Makes a mount, as a process that does nothing else.
fn make(report: &libc::seccomp_notif, listener: &OwnedFd, cgroups: &Cgroups) -> io::Result<()> {
    let folder = format!("/proc/{}", report.pid);
    let wanted = read_wanted(&folder, &report.data.args)?;
    if !is_served(&wanted.kind) || !is_administrator(&folder)? {
        return Err(io::Error::from_raw_os_error(libc::EPERM));
    }
    let place = |name: &str| {
        fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_PATH)
            .open(format!("{folder}/{name}"))
    };
    let namespace = |name: &str| File::open(format!("{folder}/ns/{name}"));
    let (root, working) = (place("root")?, place("cwd")?);
    let namespaces = [
        (
            namespace("ipc")?,
            LinkNameSpaceType::InterProcessCommunication,
        ),
        (namespace("net")?, LinkNameSpaceType::Network),
        (namespace("mnt")?, LinkNameSpaceType::Mount),
    ];
    // Only now: a process that has gone may have left its number to another.
    if !still_waits(listener, report.id) {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    // Which devices it may use is decided by its cgroup.
    cgroups
        .add(std::process::id())
        .map_err(|trouble| io::Error::other(trouble.to_string()))?;
    for (namespace, kind) in &namespaces {
        rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(*kind))?;
    }
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    rustix::process::fchdir(&working)?;
    capability::drop_dangerous().map_err(|trouble| io::Error::other(trouble.to_string()))?;

    let pointer =
        |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: all pointers are to texts that outlive the call, or null, which it takes for none.
    let done = unsafe {
        libc::mount(
            pointer(&wanted.source),
            wanted.target.as_ptr(),
            wanted.kind.as_ptr(),
            wanted.flags,
            pointer(&wanted.options).cast(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn is_served(kind: &CString) -> bool {
    kind.to_str().is_ok_and(|kind| SERVED.contains(&kind))
}

/// Whether the one who asks may mount at all.
fn is_administrator(folder: &str) -> io::Result<bool> {
    let status = fs::read_to_string(format!("{folder}/status"))?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|digits| u64::from_str_radix(digits.trim(), 16).ok())
        .unwrap_or(0);
    Ok(effective >> SYS_ADMIN & 1 == 1)
}

fn still_waits(listener: &OwnedFd, id: u64) -> bool {
    // SAFETY: `id` is what this call reads.
    let valid = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            std::ptr::from_ref(&id),
        )
    };
    valid == 0
}

fn read_wanted(folder: &str, arguments: &[u64; 6]) -> io::Result<Wanted> {
    let memory = File::open(format!("{folder}/mem"))?;
    let fault = || io::Error::from_raw_os_error(libc::EFAULT);
    let text = |address| read_text(&memory, address);
    let [source, target, kind, flags, options, _] = *arguments;
    Ok(Wanted {
        source: text(source)?,
        target: text(target)?.ok_or_else(fault)?,
        // A new mount without a kind is an error to the kernel too.
        kind: text(kind)?.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?,
        flags,
        options: text(options)?,
    })
}

/// The text at an address, page by page, since the next one may not be there. None at no address.
fn read_text(memory: &File, address: u64) -> io::Result<Option<CString>> {
    if address == 0 {
        return Ok(None);
    }
    let mut text = Vec::new();
    while text.len() < LONGEST {
        let at = address.wrapping_add(text.len() as u64);
        let mut page = vec![0; LONGEST - usize::try_from(at % LONGEST as u64).unwrap_or(0)];
        let count = memory
            .read_at(&mut page, at)
            .map_err(|_| io::Error::from_raw_os_error(libc::EFAULT))?;
        let read = page.get(..count).unwrap_or_default();
        if let Some(end) = read.iter().position(|byte| *byte == 0) {
            text.extend(read.iter().take(end));
            return CString::new(text).map(Some).map_err(io::Error::from);
        }
        if count == 0 {
            return Err(io::Error::from_raw_os_error(libc::EFAULT));
        }
        text.extend(read);
    }
    Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG))
}
