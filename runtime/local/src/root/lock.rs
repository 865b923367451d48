//! Locks the mounts of a sandbox: none of them can be taken off, moved, made writable, or seen without
//! what is mounted on it, whatever capabilities a process has.
//!
//! The kernel does this to mounts that pass into a mount namespace of a lesser user namespace. So one is
//! made with a user namespace that no process is in, and this process moves there: it keeps all it may do,
//! and mounts that are made later are as free as ever.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rustix::process::{Pid, WaitOptions};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::trouble::{Trouble, While};

/// Moves this process into a copy of its mount namespace in which all mounts are locked.
pub(crate) fn lock_mounts() -> Result<(), Trouble> {
    locked_copy()
        .and_then(|namespace| {
            Ok(rustix::thread::move_into_link_name_space(
                namespace.as_fd(),
                Some(LinkNameSpaceType::Mount),
            )?)
        })
        .doing("lock the mounts")
}

/// Has a child make the copy, and opens it before the child is gone.
fn locked_copy() -> io::Result<File> {
    let (mut made, mut making) = io::pipe()?;
    let (mut wait, go) = io::pipe()?;
    // SAFETY: this process has one thread, so its child may go on as it pleases.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    if child == 0 {
        drop((made, go));
        // SAFETY: one thread, and neither flag concerns its descriptors.
        let unshared =
            unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER | UnshareFlags::NEWNS) };
        let number = unshared.err().map_or(0, rustix::io::Errno::raw_os_error);
        if making.write_all(&number.to_le_bytes()).is_ok() {
            // Ends when the parent has opened the namespace, or has died.
            let _ = wait.read(&mut [0]);
        }
        // SAFETY: ends this process without running what its parent has registered.
        unsafe { libc::_exit(0) };
    }
    drop((making, wait));
    let mut number = [0; 4];
    let opened = made
        .read_exact(&mut number)
        .and_then(|()| match i32::from_le_bytes(number) {
            0 => File::open(format!("/proc/{child}/ns/mnt")),
            number => Err(io::Error::from_raw_os_error(number)),
        });
    drop(go);
    let _ = rustix::process::waitpid(Pid::from_raw(child), WaitOptions::empty());
    opened
}
