//! The call that launches one machine, made from what a run asks for.
//!
//! It is made, not sent, and only of what is passed in: a call that is made again is the same call, which is what
//! lets EC2 know it again by its client token. All that has to be right about a launch is said in it, so that
//! nothing is left to do between the launch and the first login: tags (a machine is found by them, whatever becomes of
//! us), what ends with the machine, and the timer.

use std::time::SystemTime;

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesInputBuilder;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, CreditSpecificationRequest, EbsBlockDevice, HttpTokensState,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, ResourceType,
    ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tag, TagSpecification, VolumeType,
};
use base64ct::{Base64, Encoding};
use dva_plan::quote::Market;
use dva_runtime::provider::{MachineRequest, MachineToken};
use thiserror::Error;

use crate::user_data::{Timer, UserDataError, user_data};

/// The tag of a machine's run.
pub const RUN_TAG: &str = "dva:run";
/// The tag of a machine's cell.
pub const CELL_TAG: &str = "dva:cell";
/// The tag of a machine's token, which its volumes have as well.
pub const TOKEN_TAG: &str = "dva:token";
/// The tag of who started a machine.
pub const OWNER_TAG: &str = "dva:owner";
/// The tag of the time after which nobody needs a machine any more, in UTC: `2026-11-28T16:00:00Z`.
pub const EXPIRES_TAG: &str = "dva:expires";

/// Which address a machine is reached at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addressing {
    /// A public one of IPv4, which is asked for and billed.
    #[default]
    Public,
    /// The private one of IPv4; there is no public one.
    Private,
    /// One of IPv6; there is no public one of IPv4.
    Ipv6,
}

/// What a machine is launched from and into. The same for all machines of an image, a region and a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ground {
    /// The id of the image in the region.
    pub image: String,
    /// The name of its root device, as the image has it: `/dev/xvda`.
    pub root_device: String,
    /// The size of its root disk where the image says it, in GiB.
    pub root_gibibytes: Option<i32>,
    /// The key pair to log in with.
    pub key_name: String,
    /// The security groups of its network interface.
    pub security_groups: Vec<String>,
    /// Which address it is reached at.
    pub addressing: Addressing,
    /// Who starts it.
    pub owner: String,
}

/// One try to launch a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Which one of this machine's; each has a client token of its own, for no two are the same call.
    pub number: u8,
    /// The subnet; the region's usual one where there is none.
    pub subnet: Option<String>,
    /// How it is bought.
    pub market: Market,
    /// When nobody needs it any more.
    pub expires: SystemTime,
    /// When it ends itself, unless it is not to.
    pub timer: Option<Timer>,
}

/// A machine that cannot be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Its user data.
    #[error(transparent)]
    UserData(#[from] UserDataError),
    /// It has more extra disks than there are names for.
    #[error("{0} extra disks are asked for, and a machine has names for {MOST_DISKS}")]
    TooManyDisks(usize),
    /// A disk of this many bytes is none of EC2's.
    #[error("a disk of {0} bytes is larger than any of EC2's")]
    TooLarge(u64),
}

/// The most extra disks of one machine.
pub const MOST_DISKS: usize = 11;

/// The name under which extra disk number `position` of a machine, from 0, is attached: `/dev/sdf` and on. What the
/// machine calls it is the machine's business.
///
/// Source: EC2 user guide, *Device names for volumes*: `f` to `p` are for EBS volumes.
#[must_use]
pub fn device_name(position: usize) -> Option<String> {
    let letter = ('f'..='p').nth(position)?;
    Some(format!("/dev/sd{letter}"))
}

/// The client token of a machine's attempt, 64 characters of ASCII at most.
#[must_use]
pub fn client_token(token: &MachineToken, attempt: u8) -> String {
    format!("{token}.{attempt}")
}

/// The call for one machine.
///
/// # Errors
/// [`RequestError`]: no call could be right.
pub fn run_instances(
    request: &MachineRequest,
    ground: &Ground,
    attempt: &Attempt,
) -> Result<RunInstancesInputBuilder, RequestError> {
    let user_data = user_data(request.boot.user_data.as_deref(), attempt.timer)?;
    let mut call = RunInstancesInputBuilder::default()
        .image_id(&ground.image)
        .instance_type(InstanceType::from(request.machine.r#type.as_str()))
        .min_count(1)
        .max_count(1)
        .client_token(client_token(&request.token, attempt.number))
        .key_name(&ground.key_name)
        .network_interfaces(network_interface(ground, attempt))
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .metadata_options(metadata_options())
        .set_user_data(user_data.map(|bytes| Base64::encode_string(&bytes)))
        .set_block_device_mappings(Some(block_devices(request, ground)?))
        .set_tag_specifications(Some(tag_specifications(request, ground, attempt)));
    if is_burstable(request) {
        let standard = CreditSpecificationRequest::builder().cpu_credits("standard");
        call = call.credit_specification(standard.build());
    }
    if attempt.market == Market::Spot {
        call = call.instance_market_options(spot());
    }
    Ok(call)
}

fn network_interface(ground: &Ground, attempt: &Attempt) -> InstanceNetworkInterfaceSpecification {
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .delete_on_termination(true)
        .set_groups(Some(ground.security_groups.clone()))
        .set_subnet_id(attempt.subnet.clone())
        .associate_public_ip_address(ground.addressing == Addressing::Public);
    match ground.addressing {
        Addressing::Ipv6 => interface.ipv6_address_count(1).build(),
        Addressing::Public | Addressing::Private => interface.build(),
    }
}

/// Version 2 alone: what runs on the machine cannot be tricked into giving the credentials of its role away.
fn metadata_options() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .build()
}

/// Whether it earns CPU credits, and would be billed for those that it overdraws unless told not to.
fn is_burstable(request: &MachineRequest) -> bool {
    let features = request.machine.features.as_ref();
    features.is_some_and(|features| features.baseline.is_some())
}

fn spot() -> InstanceMarketOptionsRequest {
    let once = SpotMarketOptions::builder().spot_instance_type(SpotInstanceType::OneTime);
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(once.build())
        .build()
}

/// The root disk, which ends with the machine whatever the image says, and the extra ones.
fn block_devices(
    request: &MachineRequest,
    ground: &Ground,
) -> Result<Vec<BlockDeviceMapping>, RequestError> {
    let root_size = request.boot.root_bytes.map(gibibytes).transpose()?;
    let root = EbsBlockDevice::builder()
        .delete_on_termination(true)
        .set_volume_size(root_size.or(ground.root_gibibytes))
        .build();
    let mut devices = vec![mapping(&ground.root_device, root)];
    for (position, disk) in request.disks.iter().enumerate() {
        let too_many = RequestError::TooManyDisks(request.disks.len());
        let name = device_name(position).ok_or(too_many)?;
        let volume = EbsBlockDevice::builder()
            .delete_on_termination(true)
            .volume_size(gibibytes(disk.size_bytes)?)
            .volume_type(VolumeType::Gp3)
            .build();
        devices.push(mapping(&name, volume));
    }
    Ok(devices)
}

fn mapping(device: &str, volume: EbsBlockDevice) -> BlockDeviceMapping {
    BlockDeviceMapping::builder()
        .device_name(device)
        .ebs(volume)
        .build()
}

/// The size of a volume that holds so many bytes: EC2 counts in GiB.
///
/// # Errors
/// [`RequestError::TooLarge`].
pub(crate) fn gibibytes(bytes: u64) -> Result<i32, RequestError> {
    let gibibytes = bytes.div_ceil(1 << 30).max(1);
    i32::try_from(gibibytes).map_err(|_| RequestError::TooLarge(bytes))
}

fn tag_specifications(
    request: &MachineRequest,
    ground: &Ground,
    attempt: &Attempt,
) -> Vec<TagSpecification> {
    let tags = [
        (RUN_TAG, request.run.to_string()),
        (CELL_TAG, request.cell.to_string()),
        (TOKEN_TAG, request.token.to_string()),
        (OWNER_TAG, ground.owner.clone()),
        (EXPIRES_TAG, timestamp(attempt.expires)),
    ];
    [ResourceType::Instance, ResourceType::Volume]
        .into_iter()
        .map(|resource| tagged(resource, &tags))
        .collect()
}

/// The tags of something that is made.
pub(crate) fn tagged(resource: ResourceType, tags: &[(&str, String)]) -> TagSpecification {
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(*key).value(value).build());
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(tags.collect()))
        .build()
}

/// A time as its tag has it, in whole seconds of UTC.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let seconds = DateTime::from(time).secs();
    DateTime::from_secs(seconds)
        .fmt(DateTimeFormat::DateTime)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
