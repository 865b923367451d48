//! Extra disks: volumes that come to a machine while it runs, and go again.

use std::collections::BTreeSet;
use std::time::SystemTime;

use aws_sdk_ec2::types::{
    EbsInstanceBlockDeviceSpecification, Filter, InstanceBlockDeviceMappingSpecification,
    ResourceType, VolumeAttachmentState, VolumeState, VolumeType,
};
use dva_plan::plan::DiskIx;
use dva_runtime::provider::{AttachedDisk, DetachMode, DiskRequest, MachineToken};
use tokio::time::{Instant, sleep};

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::config::Patience;
use crate::error::Meaning;
use crate::image::filter;
use crate::request::{EXPIRES_TAG, LIVES_TAG, RUN_TAG, device_name, gibibytes, tagged, timestamp};
use crate::site::{Site, once_free, unless};

/// A volume of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Volume {
    /// EC2's name for it.
    pub(crate) id: String,
    /// The name under which it is, or was last, attached.
    pub(crate) device_name: String,
}

/// A volume as its machine sees it.
pub(crate) fn attached(disk: DiskIx, volume: &Volume, is_nvme: bool) -> AttachedDisk {
    AttachedDisk {
        disk,
        device: device(volume, is_nvme),
        serial: is_nvme.then(|| serial(volume)),
    }
}

/// The serial number of a volume on newer machines.
fn serial(volume: &Volume) -> String {
    volume.id.replace('-', "")
}

/// The path of a volume's device on its machine. On newer machines the kernel numbers devices as it finds them, so the
/// path is the link that udev makes from the volume's serial number, which is its id.
///
/// Sources: EC2 user guide, *Amazon EBS volumes and NVMe* (the serial number is the id without its hyphen) and *Device
/// names* (`/dev/sdf` is seen as `/dev/xvdf` under Xen); systemd, `60-persistent-storage.rules`.
pub(crate) fn device(volume: &Volume, is_nvme: bool) -> String {
    if is_nvme {
        let serial = serial(volume);
        format!("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}")
    } else {
        volume.device_name.replace("/dev/sd", "/dev/xvd")
    }
}

/// What is said of a volume that is made, beside whose it is.
pub(crate) struct Making {
    /// Tags that everything has.
    pub(crate) tags: Vec<(String, String)>,
    /// When nobody needs it any more.
    pub(crate) expires: Option<SystemTime>,
    /// What no two processes have alike, nor two machines of one token.
    pub(crate) process: String,
}

/// Makes a blank volume where a machine is.
pub(crate) async fn create(
    site: &Site,
    token: &MachineToken,
    zone: &str,
    disk: &DiskRequest,
    making: Making,
) -> Result<String, CallError> {
    let size = gibibytes(disk.size_bytes)
        .map_err(|error| CallError::told(Meaning::Parameters, error.to_string()))?;
    let own = [
        (RUN_TAG, site.run.to_string()),
        (LIVES_TAG, token.life().to_string()),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    let expires = making
        .expires
        .map(|expires| (EXPIRES_TAG.to_owned(), timestamp(expires)));
    let tags: Vec<_> = own.into_iter().chain(expires).chain(making.tags).collect();
    let call = site
        .line
        .client
        .create_volume()
        .availability_zone(zone)
        .size(size)
        .volume_type(VolumeType::Gp3)
        // A machine has one volume of a disk, however often it is asked for.
        .client_token(format!("{token}.d{}.{}", disk.disk.0, making.process))
        .tag_specifications(tagged(ResourceType::Volume, &tags));
    let made = site
        .line
        .call(Api::CreateVolume, 0, || call.clone().send())
        .await?;
    made.volume_id
        .ok_or_else(|| CallError::told(Meaning::Unknown, "EC2 names no volume that it made"))
}

/// A name that nothing of a machine is attached under.
pub(crate) fn free_name(taken: &BTreeSet<&str>) -> Result<String, CallError> {
    let mut names = (0..).map_while(device_name);
    let free = names.find(|name| !taken.contains(name.as_str()));
    free.ok_or_else(|| {
        CallError::told(
            Meaning::Busy,
            "the machine has no name left for another disk",
        )
    })
}

/// Attaches a volume and waits until it is.
pub(crate) async fn attach(
    line: &Line,
    machine: &str,
    volume: &Volume,
    patience: Patience,
) -> Result<(), CallError> {
    until_state(line, volume, &[VolumeState::Available], patience).await?;
    let call = line
        .client
        .attach_volume()
        .instance_id(machine)
        .volume_id(&volume.id)
        .device(&volume.device_name);
    line.call(Api::Mutating, 0, || call.clone().send()).await?;
    let until = Instant::now() + patience.volume;
    while attachment(line, volume).await? != Some(VolumeAttachmentState::Attached) {
        wait(until, patience, volume, "is not attached").await?;
    }
    ends_with_machine(line, machine, volume).await
}

/// Has a volume that came later end with its machine, as those do that it was launched with: nobody may be there to
/// delete it.
async fn ends_with_machine(line: &Line, machine: &str, volume: &Volume) -> Result<(), CallError> {
    let ends = EbsInstanceBlockDeviceSpecification::builder().delete_on_termination(true);
    let device = InstanceBlockDeviceMappingSpecification::builder()
        .device_name(&volume.device_name)
        .ebs(ends.build());
    let call = line.client.modify_instance_attribute();
    let call = call
        .instance_id(machine)
        .block_device_mappings(device.build());
    let done = line.call(Api::Mutating, 0, || call.clone().send()).await;
    done.map(drop)
}

/// Detaches a volume; unless that is to wait for nothing, waits until it has gone.
pub(crate) async fn detach(
    line: &Line,
    machine: &str,
    volume: &Volume,
    mode: DetachMode,
    patience: Patience,
) -> Result<(), CallError> {
    if attachment(line, volume).await?.is_none() {
        return Ok(());
    }
    let call = line
        .client
        .detach_volume()
        .instance_id(machine)
        .volume_id(&volume.id)
        .force(mode == DetachMode::Force);
    let done = line.call(Api::Mutating, 0, || call.clone().send()).await;
    unless(Meaning::Gone, done.map(drop))?;
    if mode == DetachMode::Nowait {
        return Ok(());
    }
    let until = Instant::now() + patience.volume;
    while let Some(state) = attachment(line, volume).await? {
        if state == VolumeAttachmentState::Busy {
            let message = format!("the machine uses {}", volume.id);
            return Err(CallError::told(Meaning::Busy, message));
        }
        wait(until, patience, volume, "does not go").await?;
    }
    Ok(())
}

/// How a volume is attached; `None` where it is not.
pub(crate) async fn attachment(
    line: &Line,
    volume: &Volume,
) -> Result<Option<VolumeAttachmentState>, CallError> {
    let call = line.client.describe_volumes().volume_ids(&volume.id);
    let answer = line.call(Api::Describe, 0, || call.clone().send()).await?;
    let attachments = answer
        .volumes()
        .iter()
        .flat_map(|volume| volume.attachments());
    let state = attachments
        .filter_map(|attachment| attachment.state())
        .next();
    Ok(state
        .filter(|state| **state != VolumeAttachmentState::Detached)
        .cloned())
}

async fn until_state(
    line: &Line,
    volume: &Volume,
    states: &[VolumeState],
    patience: Patience,
) -> Result<(), CallError> {
    let until = Instant::now() + patience.volume;
    loop {
        let call = line.client.describe_volumes().volume_ids(&volume.id);
        let answer = line.call(Api::Describe, 0, || call.clone().send()).await;
        match answer {
            Ok(answer) => {
                let seen = answer.volumes().first().and_then(|volume| volume.state());
                if seen.is_some_and(|state| states.contains(state)) {
                    return Ok(());
                }
            }
            // It was made a moment ago.
            Err(error) if error.meaning == Meaning::Gone => {}
            Err(error) => return Err(error),
        }
        wait(until, patience, volume, "is not ready").await?;
    }
}

async fn wait(
    until: Instant,
    patience: Patience,
    volume: &Volume,
    what: &str,
) -> Result<(), CallError> {
    if Instant::now() >= until {
        let message = format!("the volume {} {what}", volume.id);
        return Err(CallError::told(Meaning::Busy, message));
    }
    sleep(patience.poll).await;
    Ok(())
}

/// Deletes all volumes with these tags, and returns when EC2 has taken note of it. For volumes whose machines have ended:
/// one that is still attached is waited for.
pub(crate) async fn delete_tagged(
    line: &Line,
    tags: &[(&str, &str)],
    patience: Patience,
) -> Result<(), CallError> {
    let filters = tags
        .iter()
        .map(|(key, value)| filter(&format!("tag:{key}"), value));
    for volume in all(line, filters.collect()).await? {
        if let Some(id) = volume.volume_id() {
            delete(line, id, patience).await?;
        }
    }
    Ok(())
}

/// All volumes that these filters let through, but for those that are about to go.
pub(crate) async fn all(
    line: &Line,
    filters: Vec<Filter>,
) -> Result<Vec<aws_sdk_ec2::types::Volume>, CallError> {
    let (mut volumes, mut next) = (Vec::new(), None);
    loop {
        let call = line.client.describe_volumes();
        let call = call.set_filters(Some(filters.clone())).set_next_token(next);
        let answer = line.call(Api::Describe, 0, || call.clone().send()).await?;
        let seen = answer.volumes.unwrap_or_default().into_iter();
        volumes.extend(seen.filter(|volume| {
            let going = [VolumeState::Deleting, VolumeState::Deleted];
            !volume.state().is_some_and(|state| going.contains(state))
        }));
        next = answer.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(volumes);
        }
    }
}

/// Deletes a volume; one that is still attached is waited for.
pub(crate) async fn delete(line: &Line, id: &str, patience: Patience) -> Result<(), CallError> {
    let call = line.client.delete_volume().volume_id(id);
    once_free(line, patience, || call.clone().send()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_found_by_its_serial_number_where_there_are_nvme_devices() {
        let volume = Volume {
            id: "vol-0123456789abcdef0".to_owned(),
            device_name: "/dev/sdf".to_owned(),
        };
        assert_eq!(
            device(&volume, true),
            "/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_vol0123456789abcdef0"
        );
        assert_eq!(device(&volume, false), "/dev/xvdf");
    }

    #[test]
    fn names_are_taken_in_order_until_there_are_no_more() {
        let first = free_name(&BTreeSet::from(["/dev/sdf", "/dev/sdh"]));
        assert_eq!(first.expect("a name"), "/dev/sdg");
        let all: Vec<_> = (0..).map_while(device_name).collect();
        let all = all.iter().map(String::as_str).collect();
        let none = free_name(&all).expect_err("there is none");
        assert_eq!(none.meaning, Meaning::Busy);
    }
}
