//! The places for extra disks of a machine: each has a file, which may be attached.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{Machine, disk_name};
use crate::cgroup::Cgroups;
use crate::disk::LoopDisk;
use crate::partition;
use crate::trouble::Trouble;
use crate::wire::{Detach, DeviceNumber, DiskNode, PartitionNode, PartitionReport, ServerCommand};

/// Why something is not done.
pub(super) enum Refusal {
    /// It cannot be done as things are, and nothing was changed.
    Busy(String),
    /// It went wrong.
    Failed(Trouble),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Failed(trouble)
    }
}

/// A place for a disk.
pub(super) struct DiskPlace {
    place: usize,
    file: PathBuf,
    attached: Option<Attached>,
}

/// A disk in its place.
struct Attached {
    /// Keeps the disk attached.
    device: LoopDisk,
    /// The partitions that the machine may use.
    partitions: Vec<PartitionNode>,
    /// Whether it is to go as soon as nobody uses it.
    leaving: bool,
}

impl DiskPlace {
    /// A place with nothing in it.
    pub(super) fn new(folder: &Path, place: usize) -> Self {
        Self {
            place,
            file: folder.join(format!("disk{place}")),
            attached: None,
        }
    }

    /// Attaches its file, which is blank where there was none.
    pub(super) fn plug(&mut self, size_bytes: u64) -> Result<(), Trouble> {
        let device = if self.file.exists() {
            LoopDisk::open(&self.file)?
        } else {
            LoopDisk::create(&self.file, size_bytes)?
        };
        self.attached = Some(Attached {
            device,
            partitions: Vec::new(),
            leaving: false,
        });
        Ok(())
    }

    /// The disk as the sandbox sees it, where there is one.
    pub(super) fn node(&self) -> Option<DiskNode> {
        let attached = self.attached.as_ref()?;
        Some(DiskNode {
            place: self.place,
            name: disk_name(self.place),
            kernel_name: attached.device.kernel_name.clone(),
            number: attached.device.number,
        })
    }

    /// Whether it is to go as soon as nobody uses it.
    pub(super) fn is_leaving(&self) -> bool {
        self.attached.as_ref().is_some_and(|disk| disk.leaving)
    }

    /// All device numbers that the machine may use on its account.
    pub(super) fn numbers(&self) -> Vec<DeviceNumber> {
        self.attached
            .iter()
            .flat_map(|disk| {
                let partitions = disk.partitions.iter().map(|partition| partition.number);
                std::iter::once(disk.device.number).chain(partitions)
            })
            .collect()
    }

    /// Has the kernel read the disk's table, and allows the machine exactly the partitions it has.
    pub(super) fn reread_table(
        &mut self,
        cgroups: &mut Cgroups,
    ) -> Result<PartitionReport, Trouble> {
        let Some(disk) = &mut self.attached else {
            return Ok(PartitionReport {
                partitions: Vec::new(),
                trouble: None,
            });
        };
        let (partitions, trouble) = partition::reread(&disk.device.kernel_name);
        let numbers = |of: &[PartitionNode]| -> BTreeMap<_, ()> {
            of.iter().map(|partition| (partition.number, ())).collect()
        };
        let (before, now) = (numbers(&disk.partitions), numbers(&partitions));
        // Taken away first: another machine may get the number next.
        for gone in before.keys().filter(|number| !now.contains_key(number)) {
            cgroups.deny(*gone)?;
        }
        for new in now.keys().filter(|number| !before.contains_key(number)) {
            cgroups.allow(*new)?;
        }
        disk.partitions.clone_from(&partitions);
        Ok(PartitionReport {
            partitions,
            trouble,
        })
    }
}

impl Machine<'_> {
    /// Attaches a disk: the one that was in the place before, or a blank one in the next place.
    pub(super) fn attach(&mut self, place: usize, size_bytes: u64) -> Result<(), Refusal> {
        if place == self.disks.len() {
            let folder = &self.owned.record.folder;
            self.disks.push(DiskPlace::new(folder, place));
        }
        let Some(disk) = self.disks.get_mut(place) else {
            return Err(Trouble::new("there is no such place for a disk").into());
        };
        if disk.attached.is_some() {
            return Err(Refusal::Busy("the disk is attached already".into()));
        }
        disk.plug(size_bytes)?;
        let Some(node) = disk.node() else {
            return Err(Trouble::new("the disk has gone again").into());
        };
        self.cgroups.allow(node.number)?;
        // It may come with a table.
        disk.reread_table(&mut self.cgroups)?;
        self.tell(&ServerCommand::Attached(node))?;
        Ok(())
    }

    /// Detaches a disk. An empty place is left as it is.
    pub(super) fn detach(&mut self, place: usize, how: Detach) -> Result<(), Refusal> {
        let Some(disk) = self.disks.get_mut(place) else {
            return Ok(());
        };
        let Some(attached) = &mut disk.attached else {
            return Ok(());
        };
        if how == Detach::Force {
            attached.device.cut()?;
        } else if attached.device.is_in_use() {
            if how == Detach::Wait {
                let name = disk_name(place);
                return Err(Refusal::Busy(format!("the machine uses /dev/{name}")));
            }
            attached.leaving = true;
            return Ok(());
        }
        Ok(self.unplug(place)?)
    }

    /// Detaches the disks that were to go and that nobody uses any more.
    pub(super) fn detach_what_is_free(&mut self) -> Result<(), Trouble> {
        for place in 0..self.disks.len() {
            let free = self.disks[place]
                .attached
                .as_ref()
                .is_some_and(|disk| disk.leaving && !disk.device.is_in_use());
            if free {
                self.unplug(place)?;
            }
        }
        Ok(())
    }

    fn unplug(&mut self, place: usize) -> Result<(), Trouble> {
        self.tell(&ServerCommand::Detached { place })?;
        for number in self.disks[place].numbers() {
            self.cgroups.deny(number)?;
        }
        // With its last descriptor closed, here or inside, the device goes.
        self.disks[place].attached = None;
        Ok(())
    }

    /// Has the server do something, where there is one. One that is started later learns it then.
    fn tell(&mut self, command: &ServerCommand) -> Result<(), Trouble> {
        match &mut self.sandbox {
            Some(sandbox) => sandbox.tell(command, &mut self.disks, &mut self.cgroups),
            None => Ok(()),
        }
    }
}
