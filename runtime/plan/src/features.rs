//! What is known of a kind of machine beside its size, and the facts that expressions ask of one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expr::{CellFact, MachineFact};
use crate::plan::{Image, Machine};
use crate::value::Value;

/// What a kind of machine has, as EC2 describes an instance type. What is left out, it has not.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Features {
    /// What it runs on; nothing for bare metal and for machines of this host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<Hypervisor>,
    /// It is the whole machine, without a hypervisor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare_metal: bool,
    /// It earns CPU credits; the part of each virtual processor that spends none, as a ratio whose
    /// second number is above zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<(u32, u32)>,
    /// Its graphics processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<Gpus>,
    /// The disks that come with it and are lost with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<InstanceStorage>,
    /// Its EBS volumes are NVMe devices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ebs_nvme: bool,
    /// Whether it has the Elastic Network Adapter.
    #[serde(default, skip_serializing_if = "Ena::is_unsupported")]
    pub ena: Ena,
    /// It has the Elastic Fabric Adapter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub efa: bool,
    /// The ways it boots, ascending; none where they are not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boot_modes: Vec<BootMode>,
    /// It has a NitroTPM.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tpm: bool,
    /// What its network carries all the time, in 10⁶ bits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_baseline_mbps: Option<u64>,
    /// What its network carries for a while, in 10⁶ bits a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_peak_mbps: Option<u64>,
    /// It can be had on the spot market.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spot: bool,
    /// It can hibernate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hibernation: bool,
    /// EC2 counts it among the current generation.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub current: bool,
    /// An account must ask for its region before it can be used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opt_in: bool,
}

/// What virtual machines run on.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Hypervisor {
    /// EC2's own, since 2017.
    Nitro,
    /// The one before.
    Xen,
}

/// Whether a machine has the Elastic Network Adapter.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Ena {
    /// It has none.
    #[default]
    Unsupported,
    /// An image with the driver uses it; another one boots all the same.
    Supported,
    /// An image needs the driver.
    Required,
}

impl Ena {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_unsupported(&self) -> bool {
        *self == Self::Unsupported
    }
}

/// A way to boot.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum BootMode {
    /// From the first sector of a disk.
    Bios,
    /// By UEFI.
    Uefi,
}

impl BootMode {
    /// Its name in the language.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Uefi => "uefi",
        }
    }
}

/// Graphics processors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Gpus {
    /// How many the machine sees; a part of a divided one counts as one.
    pub count: u32,
    /// Manufacturer and model, for example `NVIDIA A100`.
    pub name: String,
    /// The memory of all together, in bytes.
    pub memory_bytes: u64,
}

/// The disks that come with a machine; all are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct InstanceStorage {
    /// How many there are.
    pub disks: u32,
    /// Their size together, in bytes.
    pub bytes: u64,
    /// What they are made of.
    pub medium: Medium,
    /// They are NVMe devices.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nvme: bool,
}

/// What a disk is made of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Medium {
    /// Flash.
    Ssd,
    /// Turning disks.
    Hdd,
}

impl Machine {
    /// What comes before the dot of its type's name: `m7i` of `m7i.large`.
    #[must_use]
    pub fn family(&self) -> &str {
        let parts = self.r#type.split_once('.');
        parts.map_or(&self.r#type, |(family, _)| family)
    }

    /// The answer to what an expression asks of it; `None` where that is not known.
    #[must_use]
    pub fn fact(&self, fact: MachineFact) -> Option<Value> {
        let name = |name: &str| Value::Name(name.to_owned());
        let of = self.features.as_ref();
        Some(match fact {
            MachineFact::Vcpus => Value::Int(self.vcpus.into()),
            MachineFact::Memory => Value::Bytes(self.memory_bytes),
            MachineFact::Type => name(&self.r#type),
            MachineFact::Region => name(&self.region),
            MachineFact::Arch => name(&self.arch),
            MachineFact::Family => name(self.family()),
            MachineFact::Partition if self.partition.is_empty() => return None,
            MachineFact::Partition => name(&self.partition),
            MachineFact::OptIn => Value::Bool(of?.opt_in),
            MachineFact::Hypervisor => name(match of?.hypervisor {
                None => "none",
                Some(Hypervisor::Nitro) => "nitro",
                Some(Hypervisor::Xen) => "xen",
            }),
            MachineFact::BareMetal => Value::Bool(of?.bare_metal),
            MachineFact::Burstable => Value::Bool(of?.baseline.is_some()),
            MachineFact::Baseline => {
                let (over, under) = of?.baseline.unwrap_or((1, 1));
                Value::Ratio(over.into(), under.into())
            }
            MachineFact::Gpus => Value::Int(of?.gpus.as_ref().map_or(0, |gpus| gpus.count.into())),
            MachineFact::Gpu => {
                let gpus = of?.gpus.as_ref();
                Value::String(gpus.map_or(String::new(), |gpus| gpus.name.clone()))
            }
            MachineFact::GpuMemory => {
                Value::Bytes(of?.gpus.as_ref().map_or(0, |gpus| gpus.memory_bytes))
            }
            MachineFact::Storage => {
                Value::Bytes(of?.storage.as_ref().map_or(0, |storage| storage.bytes))
            }
            MachineFact::StorageDisks => {
                let storage = of?.storage.as_ref();
                Value::Int(storage.map_or(0, |storage| storage.disks.into()))
            }
            MachineFact::StorageMedium => {
                name(match of?.storage.as_ref().map(|storage| storage.medium) {
                    None => "none",
                    Some(Medium::Ssd) => "ssd",
                    Some(Medium::Hdd) => "hdd",
                })
            }
            MachineFact::Nvme => Value::Bool(of?.storage.as_ref().is_some_and(|of| of.nvme)),
            MachineFact::EbsNvme => Value::Bool(of?.ebs_nvme),
            MachineFact::Ena => Value::Bool(of?.ena != Ena::Unsupported),
            MachineFact::EnaRequired => Value::Bool(of?.ena == Ena::Required),
            MachineFact::Efa => Value::Bool(of?.efa),
            MachineFact::Bios => Value::Bool(of?.boot_modes.contains(&BootMode::Bios)),
            MachineFact::Uefi => Value::Bool(of?.boot_modes.contains(&BootMode::Uefi)),
            MachineFact::Tpm => Value::Bool(of?.tpm),
            MachineFact::NetworkBaseline => mbps(of?.network_baseline_mbps?)?,
            MachineFact::NetworkPeak => mbps(of?.network_peak_mbps?)?,
            MachineFact::Spot => Value::Bool(of?.spot),
            MachineFact::Hibernation => Value::Bool(of?.hibernation),
            MachineFact::Current => Value::Bool(of?.current),
        })
    }
}

fn mbps(rate: u64) -> Option<Value> {
    i64::try_from(rate).ok().map(Value::Int)
}

impl Image {
    /// The answer to what an expression asks of a cell about its image; `None` where it asks something
    /// else, or the image does not say.
    #[must_use]
    pub fn fact(&self, fact: &CellFact) -> Option<Value> {
        Some(match fact {
            CellFact::Axis(_) => return None,
            CellFact::ImageOs => Value::Name(self.os.clone()),
            CellFact::ImageVersion => Value::Version(self.version.clone()?),
            CellFact::ImageArch => Value::Name(self.arch.clone()),
            CellFact::ImageFact(name) => self.facts.get(name)?.clone(),
        })
    }
}

impl MachineFact {
    /// What an author writes for it: `instance.memory`.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Vcpus => "instance.vcpus",
            Self::Memory => "instance.memory",
            Self::Type => "instance",
            Self::Region => "region",
            Self::Arch => "instance.arch",
            Self::Family => "instance.family",
            Self::Partition => "region.partition",
            Self::OptIn => "region.opt_in",
            Self::Hypervisor => "instance.hypervisor",
            Self::BareMetal => "instance.bare_metal",
            Self::Burstable => "instance.burstable",
            Self::Baseline => "instance.baseline",
            Self::Gpus => "instance.gpus",
            Self::Gpu => "instance.gpu",
            Self::GpuMemory => "instance.gpu_memory",
            Self::Storage => "instance.storage",
            Self::StorageDisks => "instance.storage_disks",
            Self::StorageMedium => "instance.storage_medium",
            Self::Nvme => "instance.nvme",
            Self::EbsNvme => "instance.ebs_nvme",
            Self::Ena => "instance.ena",
            Self::EnaRequired => "instance.ena_required",
            Self::Efa => "instance.efa",
            Self::Bios => "instance.bios",
            Self::Uefi => "instance.uefi",
            Self::Tpm => "instance.tpm",
            Self::NetworkBaseline => "instance.network_baseline",
            Self::NetworkPeak => "instance.network_peak",
            Self::Spot => "instance.spot",
            Self::Hibernation => "instance.hibernation",
            Self::Current => "instance.current",
        }
    }
}

impl CellFact {
    /// What an author writes for it: `image.os`.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Axis(axis) => axis.clone(),
            Self::ImageOs => "image.os".to_owned(),
            Self::ImageVersion => "image.version".to_owned(),
            Self::ImageArch => "image.arch".to_owned(),
            Self::ImageFact(name) => format!("image.{name}"),
        }
    }
}
