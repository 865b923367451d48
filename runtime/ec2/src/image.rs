//! Which image of a region a plan means, and what has to be known of it before it is launched.

use aws_sdk_ec2::types::{BootModeValues, DeviceType, Filter, Image, VirtualizationType};
use dva_plan::features::{BootMode, Ena, Hypervisor};
use dva_plan::plan::{ImageSource, Machine};
use dva_plan::quote::OsClass;

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::error::Meaning;
use crate::service;

/// An image of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundImage {
    /// Its id.
    pub(crate) id: String,
    /// The name of its root device.
    pub(crate) root_device: String,
    /// The size of its root disk where the image says it, in GiB.
    pub(crate) root_gibibytes: Option<i32>,
    /// The names of the other volumes that it comes with.
    pub(crate) other_devices: Vec<String>,
    arch: Option<String>,
    is_paravirtual: bool,
    has_ena: Option<bool>,
    boot_mode: Option<BootModeValues>,
    /// By which rules its operating system is billed: `RunInstances:0010`.
    usage_operation: Option<String>,
}

/// Finds the image of `source` for machines like `machine`.
///
/// # Errors
/// Of [`Meaning::Parameters`] where there is none, or it starts from no volume.
pub(crate) async fn find(
    line: &Line,
    source: &ImageSource,
    machine: &Machine,
) -> Result<FoundImage, CallError> {
    let images = describe(line, source, machine).await?;
    // Names sort by date where they hold one; the date itself is what EC2 says it is.
    let newest = images
        .iter()
        .max_by_key(|image| image.creation_date().unwrap_or_default());
    let wrong = |message: String| CallError::told(Meaning::Parameters, message);
    let newest = newest.ok_or_else(|| {
        wrong(format!(
            "there is no image {} in {}",
            named(source, machine),
            line.region
        ))
    })?;
    reduced(newest).map_err(wrong)
}

async fn describe(
    line: &Line,
    source: &ImageSource,
    machine: &Machine,
) -> Result<Vec<Image>, CallError> {
    let call = line.client.describe_images();
    let call = match source {
        ImageSource::Ec2Ami { ids } => {
            call.set_image_ids(ids.get(&machine.region).map(|id| vec![id.clone()]))
        }
        ImageSource::Ec2AmiNamed { name, owners } => call
            .set_owners(
                owners
                    .get(&machine.partition)
                    .map(|owner| vec![owner.clone()]),
            )
            .filters(filter("name", name))
            .filters(filter("architecture", &machine.arch))
            .filters(filter("state", "available")),
        ImageSource::Ec2AmiParameter { parameters } => {
            let name = parameters.get(&machine.partition);
            let name = name.map_or("", String::as_str);
            call.image_ids(service::parameter(&line.caller(), name).await?)
        }
        ImageSource::LocalHost | ImageSource::LocalRootfs { .. } => return Ok(Vec::new()),
    };
    let answer = line.call(Api::Describe, 0, || call.clone().send()).await?;
    Ok(answer.images.unwrap_or_default())
}

/// What is known of an image that machines can be launched from; else what is in the way.
fn reduced(image: &Image) -> Result<FoundImage, String> {
    let id = image.image_id().unwrap_or_default();
    if image.root_device_type() == Some(&DeviceType::InstanceStore) {
        return Err(format!("the image {id} does not start from an EBS volume"));
    }
    let root_device = image
        .root_device_name()
        .ok_or_else(|| format!("EC2 does not say what the root device of {id} is called"))?;
    let virtualization = image.virtualization_type();
    Ok(FoundImage {
        id: id.to_owned(),
        root_device: root_device.to_owned(),
        root_gibibytes: root_gibibytes(image, root_device),
        other_devices: other_devices(image, root_device),
        arch: image.architecture().map(|arch| arch.as_str().to_owned()),
        is_paravirtual: virtualization == Some(&VirtualizationType::Paravirtual),
        has_ena: image.ena_support(),
        boot_mode: image.boot_mode().cloned(),
        usage_operation: image.usage_operation().map(str::to_owned),
    })
}

fn root_gibibytes(image: &Image, root_device: &str) -> Option<i32> {
    let mut mappings = image.block_device_mappings().iter();
    let root = mappings.find(|mapping| mapping.device_name() == Some(root_device))?;
    root.ebs()?.volume_size()
}

fn other_devices(image: &Image, root_device: &str) -> Vec<String> {
    let volumes = image.block_device_mappings().iter();
    let volumes = volumes.filter(|mapping| mapping.ebs().is_some());
    let names = volumes.filter_map(|mapping| mapping.device_name());
    let others = names.filter(|name| *name != root_device);
    others.map(str::to_owned).collect()
}

impl FoundImage {
    /// Whether it boots on `machine`, and costs there what the plan says; else why not, as EC2 would say after the
    /// launch, or the bill.
    pub(crate) fn fits(&self, machine: &Machine) -> Result<(), CallError> {
        match self.misfit(machine) {
            Some(why) => Err(CallError::told(Meaning::Parameters, why)),
            None => Ok(()),
        }
    }

    fn misfit(&self, machine: &Machine) -> Option<String> {
        let (id, r#type) = (&self.id, &machine.r#type);
        if let Some(arch) = self.arch.as_ref().filter(|arch| **arch != machine.arch) {
            let wanted = &machine.arch;
            return Some(format!(
                "the image {id} is of {arch}, and {type} is of {wanted}"
            ));
        }
        if let Some(features) = &machine.features {
            let is_nitro = features.hypervisor == Some(Hypervisor::Nitro) || features.bare_metal;
            if self.is_paravirtual && is_nitro {
                return Some(format!(
                    "the image {id} is paravirtual, and {type} runs none"
                ));
            }
            if features.ena == Ena::Required && self.has_ena == Some(false) {
                return Some(format!(
                    "the image {id} is not marked as one with the driver for ENA, and {type} has no other network"
                ));
            }
            if let Some(mode) = self.needs(&features.boot_modes) {
                let mode = mode.name();
                return Some(format!(
                    "the image {id} boots by {mode} alone, and {type} does not"
                ));
            }
        }
        self.dearer(machine)
    }

    /// The way to boot that it needs, where it is none of these.
    fn needs(&self, modes: &[BootMode]) -> Option<BootMode> {
        let mode = match self.boot_mode {
            Some(BootModeValues::LegacyBios) => BootMode::Bios,
            Some(BootModeValues::Uefi) => BootMode::Uefi,
            // Either will do.
            _ => return None,
        };
        (!modes.is_empty() && !modes.contains(&mode)).then_some(mode)
    }

    /// Why it costs what the plan does not count. A plan that counts more than is billed does no harm.
    fn dearer(&self, machine: &Machine) -> Option<String> {
        let operation = self.usage_operation.as_ref()?;
        let billed = os_class(operation)?;
        let planned = machine.quote.as_ref()?.os;
        (billed != planned && billed != OsClass::Linux).then(|| {
            format!(
                "the image {} is billed as `{billed}` ({operation}), and the plan counts `{planned}`; its `os` says \
                 which it is",
                self.id
            )
        })
    }
}

/// By which rules an image is billed. `None` for what no plan can say.
///
/// Source: EC2 user guide, *AMI billing information fields*.
fn os_class(usage_operation: &str) -> Option<OsClass> {
    match usage_operation {
        // Licences of one's own: Red Hat's, and Windows'.
        "RunInstances" | "RunInstances:00g0" | "RunInstances:0800" => Some(OsClass::Linux),
        "RunInstances:0010" => Some(OsClass::Rhel),
        "RunInstances:1010" => Some(OsClass::RhelHa),
        "RunInstances:000g" => Some(OsClass::Suse),
        "RunInstances:0g00" => Some(OsClass::UbuntuPro),
        "RunInstances:0002" => Some(OsClass::Windows),
        _ => None,
    }
}

/// The image as the plan names it.
fn named(source: &ImageSource, machine: &Machine) -> String {
    match source {
        ImageSource::Ec2Ami { ids } => ids.get(&machine.region).cloned().unwrap_or_default(),
        ImageSource::Ec2AmiNamed { name, owners } => {
            let owner = owners.get(&machine.partition).map_or("?", String::as_str);
            format!("`{name}` of {owner}")
        }
        ImageSource::Ec2AmiParameter { parameters } => {
            let name = parameters
                .get(&machine.partition)
                .map_or("?", String::as_str);
            format!("of the parameter `{name}`")
        }
        ImageSource::LocalHost | ImageSource::LocalRootfs { .. } => "of this host".to_owned(),
    }
}

/// A filter with one value.
pub(crate) fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

#[cfg(test)]
mod tests {
    use dva_plan::features::Features;
    use dva_plan::quote::{Market, Quote};

    use super::*;

    fn image() -> FoundImage {
        let image = Image::builder()
            .image_id("ami-1")
            .root_device_name("/dev/sda1")
            .architecture("x86_64".into())
            .virtualization_type(VirtualizationType::Hvm)
            .ena_support(true)
            .usage_operation("RunInstances");
        reduced(&image.build()).expect("it starts from a volume")
    }

    fn machine() -> Machine {
        Machine {
            region: "eu-west-1".to_owned(),
            partition: "aws".to_owned(),
            r#type: "m7i.large".to_owned(),
            vcpus: 2,
            memory_bytes: 8 << 30,
            arch: "x86_64".to_owned(),
            features: Some(Features {
                hypervisor: Some(Hypervisor::Nitro),
                ena: Ena::Required,
                boot_modes: vec![BootMode::Bios],
                ..Features::default()
            }),
            quote: Some(Quote {
                market: Market::OnDemand,
                os: OsClass::Rhel,
                lines: Vec::new(),
            }),
        }
    }

    #[test]
    fn what_cannot_boot_or_costs_more_is_told_before_it_is_launched() {
        let fits = |image: FoundImage| image.misfit(&machine()).unwrap_or_default();
        // What costs less than was counted does no harm.
        assert_eq!(fits(image()), "");
        let arm = Some("arm64".to_owned());
        assert!(
            fits(FoundImage {
                arch: arm,
                ..image()
            })
            .contains("is of arm64")
        );
        let paravirtual = FoundImage {
            is_paravirtual: true,
            ..image()
        };
        assert!(fits(paravirtual).contains("paravirtual"));
        let has_ena = Some(false);
        assert!(fits(FoundImage { has_ena, ..image() }).contains("ENA"));
        let boot_mode = Some(BootModeValues::Uefi);
        assert!(
            fits(FoundImage {
                boot_mode,
                ..image()
            })
            .contains("by uefi alone")
        );
        let boot_mode = Some(BootModeValues::UefiPreferred);
        assert_eq!(
            fits(FoundImage {
                boot_mode,
                ..image()
            }),
            ""
        );
        let usage_operation = Some("RunInstances:000g".to_owned());
        let suse = FoundImage {
            usage_operation,
            ..image()
        };
        assert!(
            fits(suse).contains("billed as `suse` (RunInstances:000g), and the plan counts `rhel`")
        );
        let usage_operation = Some("RunInstances:9999".to_owned());
        let unknown = FoundImage {
            usage_operation,
            ..image()
        };
        assert_eq!(fits(unknown), "");
    }
}
