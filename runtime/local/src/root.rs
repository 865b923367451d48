//! The root file system of a sandbox: an overlay of the host's `/` with what is the host's own business
//! covered, or of a root file system in a folder, and with its own `/proc`, `/sys`, `/dev` and `/run`.
//!
//! Everything is mounted in the sandbox's mount namespace alone, so it goes when the sandbox goes. What
//! the host has mounted below its `/` has overlays of its own, see [`overlay`].

pub(crate) mod lock;
mod overlay;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::trouble::{Trouble, While};
use crate::view;
use crate::wire::InitOrder;

/// The character devices in `/dev`.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// The symbolic links in `/dev`.
const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Makes the sandbox's file systems and moves this process into them. Its mount, process and network
/// namespaces are the sandbox's own by now.
pub(crate) fn enter(order: &InitOrder) -> Result<(), Trouble> {
    // Nothing mounted here may reach the host.
    rustix::mount::mount_change(
        "/",
        MountPropagationFlags::REC | MountPropagationFlags::PRIVATE,
    )
    .doing("make mounts private")?;
    let seen = Seen::read()?;
    let root = overlay::mount(order)?;
    mount_run(&root, order)?;
    mount_proc(&root, order, &seen)?;
    let sealed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(&root, "sys", "sysfs", sealed | MountFlags::RDONLY, "")?;
    mount_dev(&root, order)?;
    pivot(&root)?;
    lock::lock_mounts()
}

/// What is read of the host's `/proc` before it is out of sight.
struct Seen {
    meminfo: String,
    cpuinfo: String,
    /// A random one: the kernel's own is that of the host, and stays when a sandbox begins anew.
    boot_id: String,
}

impl Seen {
    fn read() -> Result<Self, Trouble> {
        let read = |path| fs::read_to_string(path).doing(format_args!("read {path}"));
        Ok(Self {
            meminfo: read("/proc/meminfo")?,
            cpuinfo: read("/proc/cpuinfo")?,
            boot_id: read("/proc/sys/kernel/random/uuid")?,
        })
    }
}

fn mount_run(root: &Path, order: &InitOrder) -> Result<(), Trouble> {
    let fifth = order.memory_bytes / 5;
    mount(
        root,
        "run",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        &format!("mode=755,size={fifth}"),
    )?;
    make_dir(&root.join("run/lock"), 0o1777)
}

/// A fresh `/proc` with the kernel's settings read-only and the machine's own size.
fn mount_proc(root: &Path, order: &InitOrder, seen: &Seen) -> Result<(), Trouble> {
    let sealed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(root, "proc", "proc", sealed, "")?;
    for name in ["sys", "sysrq-trigger"] {
        let path = root.join("proc").join(name);
        // A kernel may lack either.
        if path.exists() {
            bind_read_only(&path, &path)?;
        }
    }
    for (name, text) in [
        ("meminfo", view::meminfo(&seen.meminfo, order.memory_bytes)),
        ("cpuinfo", view::cpuinfo(&seen.cpuinfo, order.vcpus)),
        ("sys/kernel/random/boot_id", seen.boot_id.clone()),
    ] {
        // Kept in memory: a file of the host's own file system would be a way to it. It needs no name
        // once it is mounted.
        let source = root.join("run").join(name.replace('/', "-"));
        fs::write(&source, text).doing(format_args!("write {name}"))?;
        bind_read_only(&source, &root.join("proc").join(name))?;
        fs::remove_file(&source).doing(format_args!("remove {}", source.display()))?;
    }
    Ok(())
}

/// A `/dev` with the standard nodes and the machine's disks.
fn mount_dev(root: &Path, order: &InitOrder) -> Result<(), Trouble> {
    mount(root, "dev", "tmpfs", MountFlags::NOSUID, "mode=755")?;
    let dev = root.join("dev");
    for (name, major, minor) in NODES {
        make_node(
            &dev.join(name),
            FileType::CharacterDevice,
            0o666,
            (major, minor),
        )?;
    }
    for disk in &order.disks {
        make_node(
            &dev.join(&disk.name),
            FileType::BlockDevice,
            0o660,
            (disk.number.major, disk.number.minor),
        )?;
    }
    for (name, target) in LINKS {
        symlink(target, dev.join(name)).doing(format_args!("link /dev/{name}"))?;
    }
    make_dir(&dev.join("pts"), 0o755)?;
    make_dir(&dev.join("shm"), 0o1777)?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount(
        root,
        "dev/pts",
        "devpts",
        flags,
        "newinstance,ptmxmode=0666,mode=0620,gid=5",
    )?;
    // Half of the memory, as on every machine; by itself the kernel would take half of the host's.
    let half = order.memory_bytes / 2;
    mount(
        root,
        "dev/shm",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        &format!("mode=1777,size={half}"),
    )
}

/// Makes a device node, with the owner root and exactly this mode.
pub(crate) fn make_node(
    path: &Path,
    kind: FileType,
    mode: u32,
    (major, minor): (u32, u32),
) -> Result<(), Trouble> {
    let doing = format!("make {}", path.display());
    let number = rustix::fs::makedev(major, minor);
    rustix::fs::mknodat(CWD, path, kind, Mode::from_raw_mode(mode), number).doing(&doing)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(&doing)
}

/// Makes `root` the root of this process and lets the host's mounts go.
fn pivot(root: &Path) -> Result<(), Trouble> {
    rustix::process::chdir(root).doing("enter the root")?;
    // The old root is stacked on the new one and taken off again, so neither needs a folder.
    rustix::process::pivot_root(".", ".").doing("change the root")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).doing("leave the host's root")?;
    rustix::process::chdir("/").doing("enter the root")
}

fn mount(
    root: &Path,
    target: &str,
    kind: &str,
    flags: MountFlags,
    options: &str,
) -> Result<(), Trouble> {
    let options = std::ffi::CString::new(options).map_err(std::io::Error::from);
    let options = options.doing(format_args!("mount /{target}"))?;
    rustix::mount::mount(kind, root.join(target), kind, flags, options.as_c_str())
        .doing(format_args!("mount /{target}"))
}

fn bind_read_only(source: &Path, target: &Path) -> Result<(), Trouble> {
    let doing = format!("mount {} read-only", target.display());
    rustix::mount::mount_bind(source, target).doing(&doing)?;
    // Binding takes no other flag; they are set by a second call.
    rustix::mount::mount_remount(
        target,
        MountFlags::BIND
            | MountFlags::RDONLY
            | MountFlags::NOSUID
            | MountFlags::NODEV
            | MountFlags::NOEXEC,
        "",
    )
    .doing(&doing)
}

pub(super) fn make_dir(path: &Path, mode: u32) -> Result<(), Trouble> {
    let doing = format!("make {}", path.display());
    fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .doing(&doing)?;
    // Whatever the umask was.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(&doing)
}
