//! The facts of machine types and regions: which there are, of which type, and what they mean.
//!
//! This is the one list of them. In the condition behind `where` a fact may be named alone, `memory`;
//! elsewhere it is a field of `instance` or `region`.

use dva_plan::expr::{CellFact, MachineFact};
use dva_plan::features::{BootMode, Ena, Features, Gpus, Hypervisor, InstanceStorage, Medium};
use dva_plan::plan::Machine;
use dva_plan::value::Type;
use dva_stdlib::catalog::machine as catalog;
use dva_stdlib::{MachineType, Region};

use crate::diagnostic::Code;
use crate::hir::{Choice, FactType};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast;
use crate::types::{Checker, Operand};

/// What a fact is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Int,
    /// A size.
    Size,
    /// A share of something.
    Share,
    /// A text.
    Text,
    /// A word of this kind.
    Word(&'static str),
}

impl Of {
    /// Its type.
    #[must_use]
    pub fn r#type(self) -> Type {
        match self {
            Self::Bool => Type::Bool,
            Self::Int => Type::Int,
            Self::Size => Type::Bytes,
            Self::Share => Type::Ratio,
            Self::Text => Type::String,
            Self::Word(kind) => Type::Name(kind.to_owned()),
        }
    }

    /// Its type in the words of the reference.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Size => "size",
            Self::Share => "percent",
            Self::Text => "string",
            Self::Word(_) => "a name",
        }
    }
}

/// All facts of machine types and regions but the two that are these themselves: the fact, its type and
/// what it means. The reference has a line for each.
pub const FACTS: [(MachineFact, Of, &str); 29] = [
    (
        MachineFact::Arch,
        Of::Word("arch"),
        "architecture, that of the image",
    ),
    (
        MachineFact::BareMetal,
        Of::Bool,
        "the whole machine, without a hypervisor",
    ),
    (
        MachineFact::Baseline,
        Of::Share,
        "of each processor, without spending CPU credits",
    ),
    (
        MachineFact::Bios,
        Of::Bool,
        "boots from the first sector of a disk",
    ),
    (MachineFact::Burstable, Of::Bool, "earns CPU credits"),
    (MachineFact::Current, Of::Bool, "of the current generation"),
    (
        MachineFact::EbsNvme,
        Of::Bool,
        "EBS volumes are NVMe devices",
    ),
    (MachineFact::Efa, Of::Bool, "has the Elastic Fabric Adapter"),
    (
        MachineFact::Ena,
        Of::Bool,
        "has the Elastic Network Adapter",
    ),
    (
        MachineFact::EnaRequired,
        Of::Bool,
        "the image must have its driver",
    ),
    (
        MachineFact::Family,
        Of::Word("family"),
        "`m7i` of `m7i.large`",
    ),
    (
        MachineFact::Gpu,
        Of::Text,
        "maker and model of the graphics processors, `\"NVIDIA A100\"`",
    ),
    (
        MachineFact::GpuMemory,
        Of::Size,
        "of all graphics processors",
    ),
    (MachineFact::Gpus, Of::Int, "graphics processors"),
    (MachineFact::Hibernation, Of::Bool, "can hibernate"),
    (
        MachineFact::Hypervisor,
        Of::Word("hypervisor"),
        "`nitro`, `xen` or `none`",
    ),
    (MachineFact::Memory, Of::Size, "memory"),
    (
        MachineFact::NetworkBaseline,
        Of::Int,
        "10⁶ bits a second, all the time",
    ),
    (
        MachineFact::NetworkPeak,
        Of::Int,
        "10⁶ bits a second, for a while",
    ),
    (
        MachineFact::Nvme,
        Of::Bool,
        "disks of its own, which are NVMe devices",
    ),
    (MachineFact::Spot, Of::Bool, "is sold on the spot market"),
    (
        MachineFact::Storage,
        Of::Size,
        "of all disks of its own, which are lost with it",
    ),
    (MachineFact::StorageDisks, Of::Int, "disks of its own"),
    (
        MachineFact::StorageMedium,
        Of::Word("medium"),
        "`ssd`, `hdd` or `none`",
    ),
    (MachineFact::Tpm, Of::Bool, "has a NitroTPM"),
    (MachineFact::Uefi, Of::Bool, "boots by UEFI"),
    (MachineFact::Vcpus, Of::Int, "virtual processors"),
    (
        MachineFact::OptIn,
        Of::Bool,
        "an account must ask for it before it can be used",
    ),
    (
        MachineFact::Partition,
        Of::Word("partition"),
        "`aws`, `aws-cn`, `aws-us-gov` or `local`",
    ),
];

/// The names of the facts of `of`, which is `instance` or `region`, with what they are.
pub(crate) fn facts_of(of: &'static str) -> impl Iterator<Item = (&'static str, MachineFact, Of)> {
    FACTS.iter().filter_map(move |(fact, kind, _)| {
        let (thing, field) = fact.path().split_once('.')?;
        (thing == of).then_some((field, *fact, *kind))
    })
}

impl Choice {
    /// What one of them is called in expressions.
    pub(crate) fn thing(self) -> &'static str {
        match self {
            Self::Regions => "region",
            Self::Types => "instance",
        }
    }

    /// What they are called in sources.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Regions => "regions",
            Self::Types => "types",
        }
    }
}

impl Checker<'_, '_> {
    /// `instance.FIELD` or `region.FIELD`, or one of these alone.
    pub(crate) fn machine_field(
        &mut self,
        of: &'static str,
        fields: &[ast::Name],
    ) -> Option<Operand> {
        let names: Vec<_> = facts_of(of).map(|(name, _, _)| name).collect();
        let field = self.one_field(fields, of, &names)?;
        let alone = match of {
            "region" => MachineFact::Region,
            _ => MachineFact::Type,
        };
        let (fact, r#type) = facts_of(of)
            .find(|(name, _, _)| *name == field)
            .map_or((alone, Type::Name(of.to_owned())), |(_, fact, kind)| {
                (fact, kind.r#type())
            });
        self.fact(fact, r#type)
    }

    /// `image.FIELD`, or `image` alone.
    pub(crate) fn image_field(&mut self, fields: &[ast::Name], span: Span) -> Option<Operand> {
        let hir = self.hir;
        let mut known = vec!["arch", "os", "version"];
        known.extend(hir.facts.iter().map(|fact| fact.name.text.as_str()));
        let of_name = |kind: &str| Type::Name(kind.to_owned());
        match self.one_field(fields, "image", &known)? {
            "" => self.cell(CellFact::Axis("image".into()), of_name("image")),
            "arch" => self.cell(CellFact::ImageArch, of_name("arch")),
            "os" => self.cell(CellFact::ImageOs, of_name("os")),
            "version" => {
                self.uses.image_version.get_or_insert(span);
                self.cell(CellFact::ImageVersion, Type::Version)
            }
            own => {
                let fact = hir.facts.iter().find(|fact| fact.name.text == own)?;
                let r#type = self.type_of_fact(fact)?;
                self.cell(CellFact::ImageFact(own.to_owned()), r#type)
            }
        }
    }

    /// The type of an author's fact; `None` where that was reported.
    pub(crate) fn type_of_fact(&self, fact: &crate::hir::Fact<'_>) -> Option<Type> {
        match &fact.r#type {
            FactType::OneOf(_) => Some(Type::Name(fact.name.text.clone())),
            FactType::Named(name) => Some(match name.text.as_str() {
                "bool" => Type::Bool,
                "int" => Type::Int,
                "version" => Type::Version,
                "size" => Type::Bytes,
                "duration" => Type::Ms,
                "percent" => Type::Ratio,
                "date" => Type::Date,
                _ => Type::String,
            }),
            FactType::Unknown => None,
        }
    }

    /// The one field behind `of`: empty where there is none; reported where it is unknown.
    pub(crate) fn one_field<'k>(
        &mut self,
        fields: &[ast::Name],
        of: &str,
        known: &[&'k str],
    ) -> Option<&'k str> {
        let Some(field) = fields.first() else {
            return Some("");
        };
        let found = known.iter().find(|known| **known == field.text);
        if let (Some(found), None) = (found, fields.get(1)) {
            return Some(found);
        }
        let wrong = if found.is_some() { &fields[1] } else { field };
        let help = match known {
            [] => format!("`{of}` is one value."),
            _ if found.is_some() => format!("`{of}.{}` is one value.", field.text),
            _ => did_you_mean(&field.text, known.iter().copied())
                .unwrap_or_else(|| format!("`{of}` has {}.", listed(known.iter().copied()))),
        };
        let text = format!("`{of}` has no field `{}`", wrong.text);
        self.report(Code::P0206, wrong.span, text, help);
        None
    }
}

/// The machine of type `of` in `region`, with an image of `arch`; its price comes later.
#[must_use]
pub fn machine(of: &MachineType, region: &Region, arch: &str) -> Machine {
    Machine {
        region: region.name.clone(),
        partition: region.partition.clone(),
        r#type: of.name.clone(),
        vcpus: of.vcpus,
        memory_bytes: of.memory_bytes(),
        arch: arch.to_owned(),
        features: Some(Features {
            opt_in: region.opt_in,
            ..features(of)
        }),
        quote: None,
    }
}

/// What the catalog says of a type, in the contract's words.
fn features(of: &MachineType) -> Features {
    let mut boot_modes: Vec<BootMode> = of.boot_modes.iter().copied().map(boot_mode).collect();
    boot_modes.sort_unstable();
    Features {
        hypervisor: of.hypervisor.map(|hypervisor| match hypervisor {
            catalog::Hypervisor::Nitro => Hypervisor::Nitro,
            catalog::Hypervisor::Xen => Hypervisor::Xen,
        }),
        bare_metal: of.bare_metal,
        baseline: of
            .burstable
            .map(|burstable| (burstable.baseline.over, burstable.baseline.under)),
        gpus: of.gpus.as_ref().map(|gpus| Gpus {
            count: gpus.count,
            name: gpus.name.clone(),
            memory_bytes: gpus.memory_mib << 20,
        }),
        storage: of.storage.map(|storage| InstanceStorage {
            disks: storage.disks,
            bytes: storage.total_gb().saturating_mul(1_000_000_000),
            medium: match storage.medium {
                catalog::Medium::Ssd => Medium::Ssd,
                catalog::Medium::Hdd => Medium::Hdd,
            },
            nvme: storage.nvme,
        }),
        ebs_nvme: of.ebs_nvme,
        ena: match of.ena {
            catalog::Ena::Unsupported => Ena::Unsupported,
            catalog::Ena::Supported => Ena::Supported,
            catalog::Ena::Required => Ena::Required,
        },
        efa: of.efa,
        boot_modes,
        tpm: of.tpm,
        network_baseline_mbps: of.network.baseline_mbps,
        network_peak_mbps: of.network.peak_mbps,
        spot: of.spot,
        hibernation: of.hibernates,
        current: of.current_generation,
        opt_in: false,
    }
}

/// A way to boot, in the contract's words.
pub(crate) fn boot_mode(mode: catalog::BootMode) -> BootMode {
    match mode {
        catalog::BootMode::LegacyBios => BootMode::Bios,
        catalog::BootMode::Uefi => BootMode::Uefi,
    }
}
