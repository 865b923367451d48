//! Where a machine's changes to its root file system go: a file system of its own in a sparse file, so
//! that a machine that fills its disk fills that and not the host's.
//!
//! The host may still run out of space where many machines write much, or large extra disks fill up; see
//! [`Reserve`].

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::disk::LoopDisk;
use crate::host;
use crate::trouble::{Trouble, While};

/// How much a machine may write to its root file system.
const SIZE_BYTES: u64 = 8 << 30;
/// The program that makes the file system.
const PROGRAM: &str = "mke2fs";
/// Free space below which machines that have written much are ended: this part of the file system, and at
/// most so many bytes.
const RESERVE_PART: u64 = 20;
const RESERVE_BYTES: u64 = 1 << 30;

/// Makes the file and attaches it. `None` where the host lacks the program: changes then go to a folder,
/// and only [`Reserve`] bounds them.
pub(crate) fn create(folder: &Path) -> Result<Option<LoopDisk>, Trouble> {
    if !host::has_program(PROGRAM) {
        return Ok(None);
    }
    let path = folder.join("changes.img");
    let disk = LoopDisk::create(&path, SIZE_BYTES)?;
    let made = Command::new(PROGRAM)
        .args(["-q", "-F", "-t", "ext4", "-m", "0"])
        // Nothing of it outlives the machine, so nothing need survive a crash; what is not written yet
        // takes no space.
        .args(["-O", "^has_journal,^resize_inode"])
        .args(["-E", "lazy_itable_init=1,nodiscard"])
        .arg(&path)
        .stdin(Stdio::null())
        .output()
        .doing(format_args!("run {PROGRAM}"))?;
    if !made.status.success() {
        return Err(Trouble::new(format!(
            "{PROGRAM} {}: {}",
            path.display(),
            String::from_utf8_lossy(&made.stderr).trim()
        )));
    }
    Ok(Some(disk))
}

/// The free space that the host keeps.
pub(crate) struct Reserve {
    state: PathBuf,
    folder: PathBuf,
}

impl Reserve {
    pub(crate) fn new(state: &Path, folder: &Path) -> Self {
        Self {
            state: state.to_owned(),
            folder: folder.to_owned(),
        }
    }

    /// Whether the host is short of space and this machine is among those that have taken much of it.
    pub(crate) fn is_broken(&self) -> bool {
        let Ok(space) = rustix::fs::statvfs(&self.state) else {
            return false;
        };
        let reserve = (space.f_blocks * space.f_frsize / RESERVE_PART).min(RESERVE_BYTES);
        space.f_bavail * space.f_frsize < reserve && self.taken() > reserve / 4
    }

    /// What the machine's files take. What it changed where there is no image of its own is not counted.
    fn taken(&self) -> u64 {
        fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.metadata().ok())
            .map(|file| file.blocks() * 512)
            .sum()
    }
}
