//! The supervisor's side of partitions: makes the kernel know what a disk's table says.
//!
//! Not every kernel reads partition tables itself, so `partx` reads them. What the sandbox does about it
//! is in [`crate::server`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::wire::{DeviceNumber, PartitionNode};

// Of `linux/blkpg.h`.
const BLKPG: libc::Ioctl = 0x1269;
const BLKPG_DEL_PARTITION: libc::c_int = 2;

/// Has the kernel's partitions of a disk follow its table, as far as none of them is in use. Returns the
/// partitions that the kernel then has, and what went wrong.
pub(crate) fn reread(kernel_name: &str) -> (Vec<PartitionNode>, Option<String>) {
    let path = format!("/dev/{kernel_name}");
    // Fails where there is no table, which is as good as an empty one.
    let listed = partx(&["--show", "--noheadings", "--output", "NR", &path]);
    let listed: BTreeSet<u32> = listed
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|index| index.parse().ok())
        .collect();
    let updated = if listed.is_empty() {
        Ok(String::new())
    } else {
        partx(&["--update", &path])
    };
    // `partx` leaves the partitions of a table that has become empty.
    let forgotten = File::open(&path).and_then(|device| {
        known(kernel_name)
            .iter()
            .filter(|partition| !listed.contains(&partition.index))
            .try_for_each(|partition| forget(&device, partition.index))
    });
    let trouble = updated
        .err()
        .or(forgotten.err().map(|error| error.to_string()));
    (known(kernel_name), trouble)
}

/// Removes all partitions that the kernel has for a disk.
pub(crate) fn forget_all(kernel_name: &str, device: &File) -> io::Result<()> {
    for partition in known(kernel_name) {
        forget(device, partition.index)?;
    }
    Ok(())
}

/// The partitions that the kernel has for a disk, by number.
pub(crate) fn known(kernel_name: &str) -> Vec<PartitionNode> {
    let mut found = BTreeMap::new();
    let folder = format!("/sys/class/block/{kernel_name}");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Some(partition) = read(&entry.path()) {
            found.insert(partition.index, partition);
        }
    }
    found.into_values().collect()
}

/// Reads a partition's folder in sysfs; other folders there have no such files.
fn read(folder: &Path) -> Option<PartitionNode> {
    let text = |file| fs::read_to_string(folder.join(file)).ok();
    let index = text("partition")?.trim().parse().ok()?;
    let number = text("dev")?;
    let (major, minor) = number.trim().split_once(':')?;
    Some(PartitionNode {
        index,
        number: DeviceNumber {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        },
    })
}

/// Runs `partx` and gives what it wrote, or what it said was wrong.
fn partx(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("partx")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("partx: {error}"))?;
    let text = |bytes| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

/// Removes one partition from the kernel.
pub(crate) fn forget(device: &File, index: u32) -> io::Result<()> {
    let mut partition = BlkpgPartition {
        start: 0,
        length: 0,
        number: index.cast_signed(),
        names: [[0; 64]; 2],
    };
    let argument = BlkpgArgument {
        operation: BLKPG_DEL_PARTITION,
        flags: 0,
        length: size_of::<BlkpgPartition>() as libc::c_int,
        partition: &raw mut partition,
    };
    // SAFETY: both structures have the kernel's layout and outlive the call, which only reads them.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), BLKPG, std::ptr::from_ref(&argument)) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[repr(C)]
struct BlkpgArgument {
    operation: libc::c_int,
    flags: libc::c_int,
    length: libc::c_int,
    partition: *mut BlkpgPartition,
}

#[repr(C)]
struct BlkpgPartition {
    start: i64,
    length: i64,
    number: libc::c_int,
    names: [[u8; 64]; 2],
}
