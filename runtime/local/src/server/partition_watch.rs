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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use rustix::fs::FileType;

use crate::partition;
use crate::root::make_node;
use crate::wire::{self, DiskNode, PartitionNode, PartitionReport, SandboxReport, ServerCommand};

/// A GPT with its entries is 34 sectors at the front and 33 at the back.
const WATCHED_BYTES: u64 = 34 * 512;
/// How long the supervisor may take; `partx` takes some 10 ms.
const PATIENCE: Duration = Duration::from_secs(5);

/// The disks of a machine, and the way to its supervisor.
pub(super) struct PartitionWatch {
    /// One command at a time looks; the others then find nothing changed.
    state: Mutex<State>,
}

struct State {
    disks: Vec<WatchedDisk>,
    supervisor: UnixStream,
    reports: mpsc::Receiver<PartitionReport>,
}

struct WatchedDisk {
    node: DiskNode,
    /// As it was when the nodes were last made; `None` where they could not be made as the table says.
    seen: Option<Sight>,
}

/// All of a disk that tells whether its table may have changed.
#[derive(PartialEq, Eq)]
struct Sight {
    ends: u64,
    partitions: Vec<PartitionNode>,
}

impl PartitionWatch {
    /// Starts watching, and starts the thread that does what the supervisor says and ends this process
    /// when the supervisor dies.
    pub(super) fn start(disks: &[DiskNode], supervisor: UnixStream) -> io::Result<Arc<Self>> {
        let (sender, reports) = mpsc::channel();
        let socket = supervisor.try_clone()?;
        let watch = Arc::new(Self {
            state: Mutex::new(State {
                disks: Vec::new(),
                supervisor,
                reports,
            }),
        });
        for disk in disks {
            watch.state().add(disk)?;
        }
        let ours = Arc::clone(&watch);
        std::thread::Builder::new()
            .name("supervisor".into())
            .spawn(move || {
                while let Ok(Some(command)) = wire::receive(&socket) {
                    match command {
                        ServerCommand::Partitions(report) => {
                            if sender.send(report).is_err() {
                                break;
                            }
                        }
                        other => ours.change(other),
                    }
                }
                // Without a supervisor there is no machine. Init ends with this process, and everything
                // else inside with init.
                std::process::exit(0);
            })?;
        Ok(watch)
    }

    /// Whether there is nothing to watch.
    pub(super) fn has_no_disks(&self) -> bool {
        self.state().disks.is_empty()
    }

    /// Makes the nodes follow the tables. Takes microseconds where none has changed.
    pub(super) fn look(&self) {
        let mut state = self.state();
        for index in 0..state.disks.len() {
            if let Err(error) = state.look_at(index) {
                eprintln!("look at disk {index}: {error}");
            }
        }
    }

    /// Does what the supervisor asks for, on a thread of its own: one that looks may hold the state while
    /// it waits for an answer, which comes the same way.
    fn change(self: &Arc<Self>, command: ServerCommand) {
        let watch = Arc::clone(self);
        std::thread::spawn(move || {
            let mut state = watch.state();
            let changed = match command {
                ServerCommand::Attached(node) => state.add(&node),
                ServerCommand::Detached { place } => state.remove(place),
                ServerCommand::Partitions(_) => Ok(()),
            };
            if let Err(error) = changed {
                eprintln!("change the disks: {error}");
            }
            if let Err(error) = wire::send(&state.supervisor, &SandboxReport::Done) {
                eprintln!("report to the supervisor: {error}");
            }
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes the nodes of a disk and of the partitions that the kernel has for it, and watches it.
    fn add(&mut self, node: &DiskNode) -> io::Result<()> {
        let path = PathBuf::from(format!("/dev/{}", node.name));
        if !path.exists() {
            let number = (node.number.major, node.number.minor);
            make_node(&path, FileType::BlockDevice, 0o660, number)
                .map_err(|trouble| io::Error::other(trouble.to_string()))?;
        }
        let mut disk = WatchedDisk {
            node: node.clone(),
            seen: None,
        };
        disk.make_nodes(&partition::known(&node.kernel_name))?;
        disk.seen = disk.sight().ok();
        self.disks.push(disk);
        Ok(())
    }

    /// Removes the nodes of a disk, and watches it no more.
    fn remove(&mut self, place: usize) -> io::Result<()> {
        let Some(index) = self.disks.iter().position(|disk| disk.node.place == place) else {
            return Ok(());
        };
        let disk = self.disks.remove(index);
        disk.make_nodes(&[])?;
        match fs::remove_file(format!("/dev/{}", disk.node.name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

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
        wire::send(
            supervisor,
            &SandboxReport::Repartitioned {
                disk: disk.node.place,
            },
        )?;
        let report = reports.recv_timeout(PATIENCE).map_err(io::Error::other)?;
        disk.make_nodes(&report.partitions)?;
        disk.seen = match report.trouble {
            None => disk.sight().ok(),
            // What held the table up may be over by the next look.
            Some(trouble) => {
                eprintln!("{}: {trouble}", disk.node.name);
                None
            }
        };
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
