//! A machine type and all that is known of it but its price.

use serde::{Deserialize, Deserializer};

use super::embedded;

/// A kind of machine.
///
/// The fields are those that EC2 describes of an instance type, in EC2's units.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineType {
    /// Its name, for example `m7i.large`.
    pub name: String,
    /// Its number of virtual processors.
    pub vcpus: u32,
    /// Its memory in units of 1024² bytes.
    pub memory_mib: u64,
    /// The architectures it comes in.
    pub arch: Vec<String>,
    /// Where it is offered; [`MachineType::regions`] tells.
    #[serde(rename = "regions", deserialize_with = "offered")]
    pub(super) offered: Offered,
    /// What it runs on; `None` for bare metal and for machines of this host.
    #[serde(default)]
    pub hypervisor: Option<Hypervisor>,
    /// Whether it is the whole machine, without a hypervisor.
    #[serde(default)]
    pub bare_metal: bool,
    /// How it earns CPU credits; `None` where it always has its processors whole.
    #[serde(default)]
    pub burstable: Option<Burstable>,
    /// Its graphics processors.
    #[serde(default)]
    pub gpus: Option<Gpus>,
    /// The disks that come with it and are lost with it.
    #[serde(default)]
    pub storage: Option<InstanceStorage>,
    /// Whether its EBS volumes are NVMe devices.
    #[serde(default)]
    pub ebs_nvme: bool,
    /// Whether it has the Elastic Network Adapter, and whether an image must have its driver.
    #[serde(default)]
    pub ena: Ena,
    /// Whether it has the Elastic Fabric Adapter.
    #[serde(default)]
    pub efa: bool,
    /// The ways it boots.
    #[serde(default)]
    pub boot_modes: Vec<BootMode>,
    /// Whether it has a NitroTPM.
    #[serde(default)]
    pub tpm: bool,
    /// Its network.
    #[serde(default)]
    pub network: Network,
    /// Whether it can be had on the spot market.
    #[serde(default)]
    pub spot: bool,
    /// Whether it can hibernate.
    #[serde(default)]
    pub hibernates: bool,
    /// Whether EC2 counts it among the current generation.
    #[serde(default)]
    pub current_generation: bool,
}

/// Where a type is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Offered {
    /// A row of the embedded table, which is read when it is asked for: there are 20,000 cells.
    Row(&'static str),
    /// The names of regions, in order; of their zones nothing is known.
    Regions(Vec<String>),
}

/// Reads the names of regions.
fn offered<'de, D: Deserializer<'de>>(from: D) -> Result<Offered, D::Error> {
    let mut regions = Vec::<String>::deserialize(from)?;
    regions.sort();
    Ok(Offered::Regions(regions))
}

/// What a machine runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hypervisor {
    /// The Nitro system.
    Nitro,
    /// Xen, of the generations before.
    Xen,
}

/// Whether a machine has the Elastic Network Adapter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ena {
    /// It has none.
    #[default]
    Unsupported,
    /// An image with the driver uses it; another one boots all the same.
    Supported,
    /// An image needs the driver.
    Required,
}

/// A way to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootMode {
    /// From the first sector of a disk.
    LegacyBios,
    /// By UEFI.
    Uefi,
}

/// An exact ratio, reduced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Share {
    /// The number above the line.
    pub over: u32,
    /// The number below the line, never 0.
    pub under: u32,
}

/// How a burstable machine earns CPU credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Burstable {
    /// The part of each virtual processor that may be used without spending credits: 1/10 of a
    /// `t3.micro`. Source: EC2 user guide, "Key concepts for burstable performance instances".
    pub baseline: Share,
}

/// Graphics processors.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpus {
    /// How many the machine sees; a part of a divided one counts as one.
    pub count: u32,
    /// Manufacturer and model, for example `NVIDIA A100`.
    pub name: String,
    /// The memory of all together, in units of 1024² bytes.
    pub memory_mib: u64,
}

/// What a disk is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Medium {
    /// Flash.
    Ssd,
    /// Turning disks.
    Hdd,
}

/// The disks that come with a machine; all are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InstanceStorage {
    /// How many there are.
    pub disks: u32,
    /// The size of each in GB, as EC2 states it.
    pub disk_gb: u64,
    /// What they are made of.
    pub medium: Medium,
    /// Whether they are NVMe devices.
    pub nvme: bool,
}

impl InstanceStorage {
    /// The size of all disks together in GB.
    #[must_use]
    pub fn total_gb(&self) -> u64 {
        self.disk_gb.saturating_mul(self.disks.into())
    }
}

/// The network of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// EC2's words, for example `Up to 12.5 Gigabit` or `Low to Moderate`.
    pub performance: String,
    /// What can be had all the time, of all network cards together, in 10⁶ bits a second.
    pub baseline_mbps: Option<u64>,
    /// What can be had for a while, of all network cards together, in 10⁶ bits a second.
    pub peak_mbps: Option<u64>,
}

impl MachineType {
    /// Its memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_mib << 20
    }

    /// What comes before the dot of its name: `m7i` of `m7i.large`.
    #[must_use]
    pub fn family(&self) -> &str {
        self.name
            .split_once('.')
            .map_or(&self.name, |(family, _)| family)
    }

    /// Whether it can run an image of `arch`.
    #[must_use]
    pub fn runs(&self, arch: &str) -> bool {
        self.arch.iter().any(|own| own == arch)
    }

    /// The names of the regions that offer it, in order.
    #[must_use]
    pub fn regions(&self) -> Vec<&str> {
        match &self.offered {
            Offered::Row(row) => embedded::regions_of(row).collect(),
            Offered::Regions(regions) => regions.iter().map(String::as_str).collect(),
        }
    }

    /// Whether `region` offers it.
    #[must_use]
    pub fn is_offered_in(&self, region: &str) -> bool {
        match &self.offered {
            Offered::Row(row) => embedded::zones_of(row, region).is_some(),
            Offered::Regions(regions) => regions.iter().any(|own| own == region),
        }
    }

    /// Whether it is a Mac, which is billed by hosts of its own: an allocated host lasts 24 hours at
    /// least and carries one machine. Source: EC2 user guide, "Amazon EC2 Mac instances".
    #[must_use]
    pub fn is_mac(&self) -> bool {
        self.arch.iter().any(|arch| arch.ends_with("_mac"))
    }

    /// Whether `zone` of `region`, the zone's name ending in a letter, offers it.
    pub(super) fn is_in_zone(&self, region: &str, zone: &str) -> bool {
        let zones = match &self.offered {
            Offered::Row(row) => embedded::zones_of(row, region),
            Offered::Regions(_) => None,
        };
        zones.is_some_and(|letters| zone.ends_with(|last: char| letters.contains(last)))
    }
}
