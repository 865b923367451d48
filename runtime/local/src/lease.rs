//! The lease file of a machine: what the machine owns on the host, and whether anyone minds it.
//!
//! It lies in the runtime folder under the machine's token. Its lock is held by the machine's
//! supervisor, so a free lock is a dead machine; process ids are not asked, since they are reused. What
//! it records is written before it is made: every name follows from the token.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::provider::LocalConfig;
use crate::supervisor::private_folder;
use crate::trouble::{Trouble, While};

/// How long someone may look at a lease.
const LOOK: Duration = Duration::from_millis(100);

/// What a machine owns on the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its token.
    pub token: String,
    /// Its supervisor, as the host counts processes. A hint for people and for an orderly end; nothing
    /// is decided by it.
    pub supervisor: u32,
    /// Its folder: the changed part of its root file system, its disks, its log.
    pub folder: PathBuf,
    /// Its directories of cgroups.
    pub cgroups: Vec<PathBuf>,
    /// Where it was kept: until when, and how to log in.
    #[serde(default)]
    pub kept: Option<KeptRecord>,
}

/// A machine that outlives its run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KeptRecord {
    /// When it ends, in seconds since 1970.
    pub until_unix_s: u64,
    /// Where its SSH port is.
    pub address: SocketAddr,
    /// Its public host key.
    pub host_key: String,
    /// The file with the private key that may log in.
    pub identity: PathBuf,
}

/// The lease of a machine, with its lock held until this is dropped.
pub(crate) struct Lease {
    file: File,
    path: PathBuf,
}

/// What a lease file says of its machine.
pub(crate) enum Holding {
    /// There is no such file.
    Absent,
    /// Its supervisor lives. The record may not be written yet.
    Held(Option<Record>),
    /// Nobody minds the machine. The lock is ours now. A machine that ended before its record was
    /// written owns nothing.
    Dead(Lease, Option<Record>),
}

impl Lease {
    /// Takes the lease of a machine that is about to be made.
    pub(crate) fn take(config: &LocalConfig, token: &str) -> Result<Self, Trouble> {
        // For root alone: anyone who may open a file may lock it.
        private_folder(&config.runtime)?;
        let path = config.lease(token);
        let begun = Instant::now();
        loop {
            let file = OpenOptions::new()
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .doing(format_args!("open {}", path.display()))?;
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {}
                // Whoever lists machines holds the lock while they look.
                Err(rustix::io::Errno::WOULDBLOCK) if begun.elapsed() < LOOK => {
                    std::thread::sleep(LOOK / 20);
                    continue;
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    return Err(Trouble::new(format!(
                        "machine {token} is already running under another process"
                    )));
                }
                Err(error) => return Err(error).doing(format_args!("lock {}", path.display())),
            }
            // Whoever cleaned up before us may have removed the very file that we then locked.
            if is_at(&file, &path) {
                return Ok(Self { file, path });
            }
        }
    }

    /// Looks at the lease of a machine that is there or was.
    pub(crate) fn look(config: &LocalConfig, token: &str) -> io::Result<Holding> {
        let path = config.lease(token);
        let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Holding::Absent),
            Err(error) => return Err(error),
        };
        let lock = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let record = serde_json::from_slice(&text).ok();
        match lock {
            Ok(()) if is_at(&file, &path) => Ok(Holding::Dead(Self { file, path }, record)),
            Ok(()) => Ok(Holding::Absent),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(Holding::Held(record)),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes what the machine is about to own, in place of what was written before.
    pub(crate) fn write(&mut self, record: &Record) -> io::Result<()> {
        let text = serde_json::to_vec(record)?;
        self.file.write_all_at(&text, 0)?;
        self.file.set_len(text.len() as u64)
    }

    /// Gives the lease up: there is nothing left that it could name.
    pub(crate) fn remove(self) -> io::Result<()> {
        // Still locked, so that nobody takes the file between the two.
        fs::remove_file(&self.path)
    }
}

/// Whether `file` is what lies at `path`.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => ours.ino() == theirs.ino() && ours.dev() == theirs.dev(),
        _ => false,
    }
}
