//! Keeps the nodes of partitions in step with the tables on the disks.
//!
//! A table lies in the first sectors of a disk, and its second copy in the last. When either has changed,
//! or when the kernel has lost partitions, the supervisor is asked; it has the kernel read the table, and
//! the nodes are made here. Logical partitions that are added inside an extended one, where that does
//! not change the first sectors, are not noticed before something else is.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use rustix::fs::FileType;

use crate::partition;
use crate::root::make_node;
use crate::wire::{self, DiskNode, PartitionNode, PartitionReport, SandboxReport};

/// A GPT with its entries is 34 sectors at the front and 33 at the back.
const WATCHED_BYTES: u64 = 34 * 512;
/// How long the supervisor may take; `partx` takes some 10 ms.
const PATIENCE: Duration = Duration::from_secs(5);

/// The disks of a machine, and the way to its supervisor.
pub(super) struct PartitionWatch {
    /// One command at a time looks; the others then find nothing changed.
    state: Mutex<State>,
    disk_count: usize,
}

struct State {
    disks: Vec<WatchedDisk>,
    supervisor: UnixStream,
    reports: mpsc::Receiver<PartitionReport>,
}

struct WatchedDisk {
    node: DiskNode,
    /// As it was when the nodes were last made.
    seen: Option<Sight>,
}

/// All of a disk that tells whether its table may have changed.
#[derive(PartialEq, Eq)]
struct Sight {
    ends: u64,
    partitions: Vec<PartitionNode>,
}

impl PartitionWatch {
    /// Starts watching, and starts the thread that ends this process when the supervisor dies.
    pub(super) fn new(disks: &[DiskNode], supervisor: UnixStream) -> io::Result<Self> {
        let (sender, reports) = mpsc::channel();
        let socket = supervisor.try_clone()?;
        std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || {
                while let Ok(Some(report)) = wire::receive(&socket) {
                    if sender.send(report).is_err() {
                        break;
                    }
                }
                // Without a supervisor there is no machine. Init ends with this process, and everything
                // else inside with init.
                std::process::exit(0);
            })?;
        let mut disks: Vec<_> = disks
            .iter()
            .map(|node| WatchedDisk {
                node: node.clone(),
                seen: None,
            })
            .collect();
        for disk in &mut disks {
            disk.seen = disk.sight().ok();
        }
        Ok(Self {
            disk_count: disks.len(),
            state: Mutex::new(State {
                disks,
                supervisor,
                reports,
            }),
        })
    }

    /// Whether there is nothing to watch.
    pub(super) fn has_no_disks(&self) -> bool {
        self.disk_count == 0
    }

    /// Makes the nodes follow the tables. Takes microseconds where none has changed.
    pub(super) fn look(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for index in 0..self.disk_count {
            if let Err(error) = state.look_at(index) {
                eprintln!("look at disk {index}: {error}");
            }
        }
    }
}

impl State {
    fn look_at(&mut self, index: usize) -> io::Result<()> {
        let Self {
            disks,
            supervisor,
            reports,
        } = self;
        let Some(disk) = disks.get_mut(index) else {
            return Ok(());
        };
        if disk.seen.is_some() && disk.sight().ok() == disk.seen {
            return Ok(());
        }
        wire::send(supervisor, &SandboxReport::Repartitioned { disk: index })?;
        let report = reports.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        if let Some(trouble) = report.trouble {
            eprintln!("{}: {trouble}", disk.node.name);
        }
        disk.make_nodes(&report.partitions)?;
        disk.seen = disk.sight().ok();
        Ok(())
    }
}

impl WatchedDisk {
    fn sight(&self) -> io::Result<Sight> {
        let mut device = File::open(format!("/dev/{}", self.node.name))?;
        let size = device.seek(SeekFrom::End(0))?;
        let mut ends = DefaultHasher::new();
        let mut bytes = vec![0; usize::try_from(WATCHED_BYTES.min(size)).unwrap_or_default()];
        for start in [0, size.saturating_sub(WATCHED_BYTES)] {
            device.read_exact_at(&mut bytes, start)?;
            bytes.hash(&mut ends);
        }
        Ok(Sight {
            ends: ends.finish(),
            partitions: partition::known(&self.node.kernel_name),
        })
    }

    /// Makes the nodes of these partitions, and removes those of all others.
    fn make_nodes(&self, partitions: &[PartitionNode]) -> io::Result<()> {
        let name = &self.node.name;
        let wanted: BTreeSet<_> = partitions
            .iter()
            .map(|partition| format!("{name}{}", partition.index))
            .collect();
        for entry in fs::read_dir("/dev")?.flatten() {
            let Ok(file) = entry.file_name().into_string() else {
                continue;
            };
            let number = file.strip_prefix(name.as_str()).unwrap_or_default();
            let is_ours = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            if is_ours && !wanted.contains(&file) {
                fs::remove_file(entry.path())?;
            }
        }
        for partition in partitions {
            let path = PathBuf::from(format!("/dev/{name}{}", partition.index));
            // The kernel may have given a partition of the same index another number.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let number = (partition.number.major, partition.number.minor);
            make_node(&path, FileType::BlockDevice, 0o660, number)
                .map_err(|trouble| io::Error::other(trouble.to_string()))?;
        }
        Ok(())
    }
}
