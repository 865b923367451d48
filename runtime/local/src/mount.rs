//! Mounts that are made read-only, and writable again.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::fs::CWD;
use rustix::mount::OpenTreeFlags;

/// `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// A read-only mount of one file, in no namespace.
pub(crate) fn read_only_copy(path: &CStr) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let copy = rustix::mount::open_tree(CWD, path, flags)?;
    let read_only = Attributes {
        set: libc::MOUNT_ATTR_RDONLY,
        ..Attributes::default()
    };
    change(copy.as_raw_fd(), c"", libc::AT_EMPTY_PATH, &read_only)?;
    Ok(copy)
}

/// Makes all mounts of this process's namespace read-only, and keeps them from reaching others. Async-signal-
/// safe.
pub(crate) fn make_all_read_only() -> io::Result<()> {
    let read_only = Attributes {
        set: libc::MOUNT_ATTR_RDONLY,
        propagation: libc::MS_PRIVATE,
        ..Attributes::default()
    };
    change(libc::AT_FDCWD, c"/", libc::AT_RECURSIVE, &read_only)
}

/// Makes one mount writable again.
pub(crate) fn make_writable(point: &CStr) -> io::Result<()> {
    let writable = Attributes {
        clear: libc::MOUNT_ATTR_RDONLY,
        ..Attributes::default()
    };
    change(libc::AT_FDCWD, point, 0, &writable)
}

fn change(
    folder: RawFd,
    path: &CStr,
    flags: libc::c_int,
    attributes: &Attributes,
) -> io::Result<()> {
    // SAFETY: `attributes` has the layout of `struct mount_attr` of the size given, and is only read.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            folder,
            path.as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<Attributes>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
