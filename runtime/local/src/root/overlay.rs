//! The overlays of a sandbox: what the host or an image has, with the sandbox's own changes on top.
//!
//! What must not be seen of the host is *opaque* in the sandbox's own layer rather than covered by a
//! mount: there is nothing underneath that could be laid bare.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, XattrFlags};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags};

use super::make_dir;
use crate::trouble::{Trouble, While};
use crate::wire::{InitOrder, Lower};

/// Folders of the host that every sandbox has empty, with their modes.
const EMPTY: [(&str, u32); 3] = [("/root", 0o700), ("/home", 0o755), ("/tmp", 0o1777)];
/// Folders that something is mounted on, or that a system has. An image need not have them.
const NEEDED: [(&str, u32); 6] = [
    ("proc", 0o755),
    ("sys", 0o755),
    ("dev", 0o755),
    ("run", 0o755),
    ("tmp", 0o1777),
    ("root", 0o700),
];
/// Where the host mounts what is its own business, or what the sandbox has its own of.
const NOT_SHOWN: [&str; 7] = ["/proc", "/sys", "/dev", "/run", "/tmp", "/home", "/root"];
/// Kinds of file system that hold no files of a system, and overlays: those of containers.
const NO_FILES: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "overlay",
    "proc",
    "pstore",
    "ramfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "sysfs",
    "tracefs",
    "fuse.portal",
];

/// Mounts all of them and returns where the root is.
pub(super) fn mount(order: &InitOrder) -> Result<PathBuf, Trouble> {
    let changes = order.folder.join("changes");
    make_dir_if_missing(&changes)?;
    if let Some(device) = &order.changes {
        // Inode tables are not filled up in the background, which would fill the host's disk.
        rustix::mount::mount(
            device,
            &changes,
            "ext4",
            MountFlags::NOATIME,
            c"noinit_itable,discard",
        )
        .doing("mount the machine's changes")?;
    }
    let root = order.folder.join("root");
    make_dir_if_missing(&root)?;
    match &order.lower {
        Lower::Folder(folder) => {
            Layer::make(&changes.join("root"))?.mount(folder, &root)?;
            for (name, mode) in NEEDED {
                need(&root.join(name), mode)?;
            }
        }
        Lower::Host => {
            let hidden: Vec<_> = EMPTY
                .iter()
                .map(|(path, mode)| (PathBuf::from(path), *mode))
                .chain(
                    // In a folder that is empty anyway there is nothing to hide.
                    order
                        .hidden
                        .iter()
                        .filter(|path| !EMPTY.iter().any(|(empty, _)| path.starts_with(empty)))
                        .map(|path| (path.clone(), 0o755)),
                )
                .collect();
            let table =
                fs::read_to_string("/proc/self/mountinfo").doing("read /proc/self/mountinfo")?;
            let points = shown(&table, &hidden);
            for (number, point) in std::iter::once(Path::new("/"))
                .chain(points.iter().map(PathBuf::as_path))
                .enumerate()
            {
                let layer = Layer::make(&changes.join(format!("layer{number}")))?;
                for (path, mode) in &hidden {
                    // On the file system of the innermost mount above it.
                    let innermost = points
                        .iter()
                        .rfind(|other| path.starts_with(other))
                        .map_or(Path::new("/"), PathBuf::as_path);
                    if innermost == point {
                        layer.hide(point, path, *mode)?;
                    }
                }
                let target = below(&root, point);
                match layer.mount(point, &target) {
                    Ok(()) => {}
                    Err(trouble) if point == Path::new("/") => return Err(trouble),
                    // Not all kinds can be below an overlay, FAT among them. It is shown as it is then.
                    Err(_) => super::bind_read_only(point, &target)?,
                }
            }
        }
    }
    Ok(root)
}

/// One overlay's own layer.
struct Layer {
    upper: PathBuf,
    work: PathBuf,
}

impl Layer {
    fn make(folder: &Path) -> Result<Self, Trouble> {
        let layer = Self {
            upper: folder.join("upper"),
            work: folder.join("work"),
        };
        make_dir_if_missing(folder)?;
        if !layer.upper.exists() {
            make_dir(&layer.upper, 0o755)?;
        }
        // What an earlier start left there would say that the layer was not taken off in order.
        if layer.work.exists() {
            fs::remove_dir_all(&layer.work).doing("begin anew")?;
        }
        make_dir(&layer.work, 0o755)?;
        Ok(layer)
    }

    /// Makes `path` an empty folder that nothing shows through. Those above it stay as they are.
    fn hide(&self, point: &Path, path: &Path, mode: u32) -> Result<(), Trouble> {
        let doing = format!("hide {}", path.display());
        let inside = path.strip_prefix(point).unwrap_or(path);
        // The whole file system is not shown then, or there is nothing to hide.
        if inside.as_os_str().is_empty() || !path.is_dir() {
            return Ok(());
        }
        let (mut above, mut ours) = (point.to_owned(), self.upper.clone());
        for part in inside.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            above.push(name);
            ours.push(name);
            if ours.exists() {
                continue;
            }
            let seen = fs::metadata(&above).doing(&doing)?;
            make_dir(&ours, seen.mode() & 0o7777)?;
            std::os::unix::fs::chown(&ours, Some(seen.uid()), Some(seen.gid())).doing(&doing)?;
            if above == path {
                make_opaque(&ours).doing(&doing)?;
                fs::set_permissions(&ours, std::os::unix::fs::PermissionsExt::from_mode(mode))
                    .doing(&doing)?;
            }
        }
        Ok(())
    }

    /// Mounts the overlay of `lower` on `target`.
    fn mount(&self, lower: &Path, target: &Path) -> Result<(), Trouble> {
        let overlay = || -> rustix::io::Result<()> {
            // The newer calls, because a path in options of the older one may hold no comma.
            let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
            rustix::mount::fsconfig_set_string(&context, "source", "dva-root")?;
            rustix::mount::fsconfig_set_string(&context, "lowerdir", escaped(lower))?;
            rustix::mount::fsconfig_set_string(&context, "upperdir", &self.upper)?;
            rustix::mount::fsconfig_set_string(&context, "workdir", &self.work)?;
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
                target,
                MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
            )
        };
        overlay().doing(format_args!("mount an overlay of {}", lower.display()))
    }
}

/// Nothing of the folder of this name below shows through.
fn make_opaque(folder: &Path) -> rustix::io::Result<()> {
    rustix::fs::setxattr(folder, "trusted.overlay.opaque", b"y", XattrFlags::empty())
}

/// Several layers may be named, with colons between them.
fn escaped(path: &Path) -> OsString {
    let mut text = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b'\\') {
            text.push(b'\\');
        }
        text.push(*byte);
    }
    OsString::from_vec(text)
}

/// A folder that an image must have, if not by itself. A link there could lead anywhere.
fn need(path: &Path, mode: u32) -> Result<(), Trouble> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(Trouble::new(format!(
            "the image's /{} is no folder",
            path.file_name().unwrap_or_default().display()
        ))),
        Err(_) => make_dir(path, mode),
    }
}

fn make_dir_if_missing(path: &Path) -> Result<(), Trouble> {
    if path.is_dir() {
        return Ok(());
    }
    make_dir(path, 0o755)
}

/// Where a path of the host is below `root`.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Where the host has mounted file systems that belong to its system, those above first.
fn shown(table: &str, hidden: &[(PathBuf, u32)]) -> Vec<PathBuf> {
    let mut points: Vec<PathBuf> = table
        .lines()
        .filter_map(|line| {
            let (mount, file_system) = line.split_once(" - ")?;
            let kind = file_system.split(' ').next()?;
            let point = unescaped(mount.split(' ').nth(4)?);
            let is_shown = point != Path::new("/")
                && !NO_FILES.contains(&kind)
                && !NOT_SHOWN.iter().any(|other| point.starts_with(other))
                && !hidden.iter().any(|(other, _)| point.starts_with(other));
            is_shown.then_some(point)
        })
        .collect();
    points.sort();
    points.dedup();
    // A file that something is mounted on, and what is mounted under another mount and out of reach.
    points.retain(|point| point.is_dir());
    points
}

/// Spaces and the like are written as octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, more)) = rest.split_first() {
        let number = (*first == b'\\')
            .then(|| more.get(..3))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match number {
            Some(number) => {
                bytes.push(number);
                rest = more.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_system_are_shown_and_no_others() {
        let table = "\
1 0 8:1 / / rw - ext4 /dev/vda rw
2 1 0:2 / /proc rw - proc proc rw
3 1 0:3 / /usr rw - tmpfs usr rw
4 1 0:4 / /usr/lib rw - tmpfs lib rw
5 1 0:5 / /tmp/x rw - tmpfs x rw
6 1 0:6 / /var/lib/dva/x rw - ext4 x rw
7 1 0:7 / /etc/passwd rw - ext4 x rw
8 1 0:8 / /bin/../var rw - overlay x rw";
        let hidden = [(PathBuf::from("/var/lib/dva"), 0o755)];
        assert_eq!(
            shown(table, &hidden),
            [PathBuf::from("/usr"), PathBuf::from("/usr/lib")]
        );
    }

    #[test]
    fn paths_are_read_as_they_are_written_there() {
        assert_eq!(unescaped(r"/a\040b\134c"), Path::new(r"/a b\c"));
        assert_eq!(escaped(Path::new(r"/a:b\c")), OsString::from(r"/a\:b\\c"));
    }
}
