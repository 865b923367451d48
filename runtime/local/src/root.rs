//! The root file system of a sandbox: an overlay of the host's `/` with what is the host's own business
//! covered, and with its own `/proc`, `/sys`, `/dev` and `/run`.
//!
//! Everything is mounted in the sandbox's mount namespace alone, so it goes when the sandbox goes. Only
//! the file system that holds the host's `/` is shown; others that are mounted below it are not.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    UnmountFlags,
};

use crate::trouble::{Trouble, While};
use crate::view;
use crate::wire::InitOrder;

/// Folders of the host that every sandbox has empty, with their modes.
const EMPTY: [(&str, u32); 3] = [("root", 0o700), ("home", 0o755), ("tmp", 0o1777)];
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
    let root = mount_overlay(&order.folder)?;
    mount_run(&root)?;
    mount_proc(&root, order, &seen)?;
    let sealed = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(&root, "sys", "sysfs", sealed | MountFlags::RDONLY, "")?;
    mount_dev(&root, order)?;
    for folder in &order.hidden {
        hide(&root, folder)?;
    }
    pivot(&root)
}

/// What is read of the host's `/proc` before it is out of sight.
struct Seen {
    meminfo: String,
    cpuinfo: String,
}

impl Seen {
    fn read() -> Result<Self, Trouble> {
        let read = |path| fs::read_to_string(path).doing(format_args!("read {path}"));
        Ok(Self {
            meminfo: read("/proc/meminfo")?,
            cpuinfo: read("/proc/cpuinfo")?,
        })
    }
}

/// Mounts the overlay and returns where.
fn mount_overlay(folder: &Path) -> Result<PathBuf, Trouble> {
    let (upper, work, root) = (
        folder.join("upper"),
        folder.join("work"),
        folder.join("root"),
    );
    for path in [&upper, &work, &root] {
        make_dir(path, 0o755)?;
    }
    for (name, mode) in EMPTY {
        let path = upper.join(name);
        make_dir(&path, mode)?;
        // Nothing of the host's folder of this name shows through.
        rustix::fs::setxattr(&path, "trusted.overlay.opaque", b"y", XattrFlags::empty())
            .doing(format_args!("cover /{name}"))?;
    }
    let overlay = || -> rustix::io::Result<()> {
        // The newer calls, because a path in options of the older one may hold no comma.
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
        rustix::mount::fsconfig_set_string(&context, "source", "dva-root")?;
        rustix::mount::fsconfig_set_string(&context, "lowerdir", "/")?;
        rustix::mount::fsconfig_set_string(&context, "upperdir", &upper)?;
        rustix::mount::fsconfig_set_string(&context, "workdir", &work)?;
        // Nothing of it outlives the machine, so nothing need reach the disk.
        rustix::mount::fsconfig_set_flag(&context, "volatile")?;
        rustix::mount::fsconfig_create(&context)?;
        let mount = rustix::mount::fsmount(
            &context,
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::empty(),
        )?;
        rustix::mount::move_mount(
            &mount,
            "",
            CWD,
            &root,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    overlay().doing("mount an overlay of /")?;
    Ok(root)
}

fn mount_run(root: &Path) -> Result<(), Trouble> {
    mount(
        root,
        "run",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=755",
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
    ] {
        // Kept in memory: a file of the host's own file system would be a way to it. It needs no name
        // once it is mounted.
        let source = root.join("run").join(name);
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
    mount(
        root,
        "dev/shm",
        "tmpfs",
        MountFlags::NOSUID | MountFlags::NODEV,
        "mode=1777",
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

/// Covers a folder of the host where the sandbox would see it.
fn hide(root: &Path, folder: &Path) -> Result<(), Trouble> {
    let below = folder.strip_prefix("/").unwrap_or(folder);
    if below.as_os_str().is_empty() || !root.join(below).is_dir() {
        return Ok(());
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::RDONLY;
    rustix::mount::mount(
        "dva-empty",
        root.join(below),
        "tmpfs",
        flags,
        c"mode=755,size=4k",
    )
    .doing(format_args!("cover {}", folder.display()))
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

fn make_dir(path: &Path, mode: u32) -> Result<(), Trouble> {
    let doing = format!("make {}", path.display());
    fs::DirBuilder::new()
        .mode(mode)
        .create(path)
        .doing(&doing)?;
    // Whatever the umask was.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).doing(&doing)
}
