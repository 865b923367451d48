//! Which image of a region a plan means, and what has to be known of it before it is launched.

use aws_sdk_ec2::types::{DeviceType, Filter, Image};
use dva_plan::plan::{ImageSource, Machine};

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::error::Meaning;

/// An image of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundImage {
    /// Its id.
    pub(crate) id: String,
    /// The name of its root device.
    pub(crate) root_device: String,
    /// The size of its root disk where the image says it, in GiB.
    pub(crate) root_gibibytes: Option<i32>,
}

/// Finds the image of `source` for `machine`.
///
/// # Errors
/// Of [`Meaning::Parameters`] where there is none, or it cannot run on the machine.
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
    check(newest, machine).map_err(wrong)
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
        ImageSource::Ec2AmiParameter { .. } => {
            let message = "images by parameter are not looked up yet".to_owned();
            return Err(CallError::told(Meaning::Unsupported, message));
        }
        ImageSource::LocalHost | ImageSource::LocalRootfs { .. } => return Ok(Vec::new()),
    };
    let answer = line.call(Api::Describe, 0, || call.clone().send()).await?;
    Ok(answer.images.unwrap_or_default())
}

/// What is known of an image that can be launched on `machine`; else what is in the way.
fn check(image: &Image, machine: &Machine) -> Result<FoundImage, String> {
    let id = image.image_id().unwrap_or_default();
    let arch = image.architecture().map(|arch| arch.as_str());
    if arch.is_some_and(|arch| arch != machine.arch) {
        return Err(format!(
            "the image {id} is of {}, and {} is of {}",
            arch.unwrap_or_default(),
            machine.r#type,
            machine.arch
        ));
    }
    if image.root_device_type() == Some(&DeviceType::InstanceStore) {
        return Err(format!("the image {id} does not start from an EBS volume"));
    }
    let root_device = image
        .root_device_name()
        .ok_or_else(|| format!("EC2 does not say what the root device of {id} is called"))?;
    Ok(FoundImage {
        id: id.to_owned(),
        root_device: root_device.to_owned(),
        root_gibibytes: root_gibibytes(image, root_device),
    })
}

fn root_gibibytes(image: &Image, root_device: &str) -> Option<i32> {
    let mut mappings = image.block_device_mappings().iter();
    let root = mappings.find(|mapping| mapping.device_name() == Some(root_device))?;
    root.ebs()?.volume_size()
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
