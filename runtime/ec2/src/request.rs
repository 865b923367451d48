//! The call that launches machines, made from what a run asks for.
//!
//! It is made, not sent, and only of what is passed in: a call that is made again is the same call, which is what
//! lets EC2 know it again by its client token. All that has to be right about a launch is said in it, so that
//! nothing is left to do between the launch and the first login: tags (a machine is found by them, whatever becomes of
//! us), what ends with the machine, and the timer.
//!
//! Machines that differ in nothing but whose they are come by one call ([`Shape`]). Its tags are those of all of
//! them, so the lives stand in one tag, and EC2's launch index says which of them a machine is.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesInputBuilder;
use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{
    BlockDeviceMapping, CreditSpecificationRequest, EbsBlockDevice, HttpTokensState,
    InstanceMarketOptionsRequest, InstanceMetadataEndpointState, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, InstanceType, MarketType, ResourceType,
    ShutdownBehavior, SpotInstanceType, SpotMarketOptions, Tag, TagSpecification, VolumeType,
};
use base64ct::{Base64, Encoding};
use dva_plan::plan::Network;
use dva_plan::quote::Market;
use dva_plan::{CellId, RunId};
use dva_runtime::provider::MachineRequest;
use thiserror::Error;

use crate::config::TimerUse;
use crate::user_data::{self, Timer, UserDataError};

/// The tag of a machine's run.
pub const RUN_TAG: &str = "dva:run";
/// The tag of a machine's cell, or of all that were asked for together, with commas.
pub const CELL_TAG: &str = "dva:cell";
/// The tag of the lives that were asked for together, as [`lives_text`] has them: the machine with launch index `i` is
/// that of life number `i` among them. A volume that was attached later has that of its machine alone.
pub const LIVES_TAG: &str = "dva:lives";
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
    /// The names of the other disks that the image comes with, which end with the machine as well.
    pub other_devices: Vec<String>,
    /// The key pair to log in with.
    pub key_name: String,
    /// The security groups of its network interface.
    pub security_groups: Vec<String>,
    /// Which address it is reached at.
    pub addressing: Addressing,
    /// What else its network must be.
    pub network: Network,
    /// Whether it ends itself.
    pub timer: TimerUse,
    /// Tags that everything has.
    pub tags: Vec<(String, String)>,
    /// What no two processes have alike: part of client tokens, since two processes make two calls.
    pub process: String,
}

/// What is asked for of machines that come by one call: all of them are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// The call without what is the call's own: its number of machines, its client token, tags and user data.
    pub call: RunInstancesInputBuilder,
    /// The user data of the plan.
    pub user_data: Option<Vec<u8>>,
    /// How long each may live.
    pub lifetime: Duration,
    /// Whether they end themselves then.
    pub timer: TimerUse,
    /// The run.
    pub run: RunId,
    /// Tags that everything has.
    pub tags: Vec<(String, String)>,
    /// As in [`Ground`].
    pub process: String,
}

/// One of the machines that are asked for by a call. They are ordered by their lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The number of its life in the run.
    pub life: u32,
    /// Its cell.
    pub cell: CellId,
    /// Which try to get it this is: no client token is used for two calls.
    pub attempt: u8,
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

/// What is asked for of the machine of `request`, bought so, in this subnet and for so long.
///
/// # Errors
/// [`RequestError`]: no call could be right.
pub fn shape(
    request: &MachineRequest,
    ground: &Ground,
    subnet: &str,
    market: Market,
    lifetime: Duration,
) -> Result<Shape, RequestError> {
    let mut call = RunInstancesInputBuilder::default()
        .image_id(&ground.image)
        .instance_type(InstanceType::from(request.machine.r#type.as_str()))
        .key_name(&ground.key_name)
        .network_interfaces(network_interface(ground, subnet))
        .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate)
        .metadata_options(metadata_options())
        .set_block_device_mappings(Some(block_devices(request, ground)?));
    if is_burstable(request) {
        let standard = CreditSpecificationRequest::builder().cpu_credits("standard");
        call = call.credit_specification(standard.build());
    }
    if market == Market::Spot {
        call = call.instance_market_options(spot());
    }
    let user_data = request.boot.user_data.clone();
    // Said now: when the call is made nobody is there who could do something about it.
    user_data::user_data(
        user_data.as_deref(),
        timer(ground.timer, lifetime, UNIX_EPOCH),
    )?;
    Ok(Shape {
        call,
        user_data,
        lifetime,
        timer: ground.timer,
        run: request.run.clone(),
        tags: ground.tags.clone(),
        process: ground.process.clone(),
    })
}

/// The call for all of `wanted`, in the order of their lives, as it is made at `now`. EC2 may launch fewer.
///
/// # Errors
/// [`RequestError`]: no call could be right.
pub fn run_instances(
    shape: &Shape,
    wanted: &[Wanted],
    now: SystemTime,
) -> Result<RunInstancesInputBuilder, RequestError> {
    let expires = now + shape.lifetime;
    let timer = timer(shape.timer, shape.lifetime, expires);
    let user_data = user_data::user_data(shape.user_data.as_deref(), timer)?;
    let client_token = wanted.first().map(|first| {
        let (run, process, count) = (&shape.run, &shape.process, wanted.len());
        // 64 characters of ASCII at most.
        format!("{run}-{}.{}.{count}.{process}", first.life, first.attempt)
    });
    let call = shape.call.clone();
    Ok(call
        // What there is of them is taken; the others ask elsewhere.
        .min_count(1)
        .set_max_count(i32::try_from(wanted.len()).ok())
        .set_client_token(client_token)
        .set_user_data(user_data.map(|bytes| Base64::encode_string(&bytes)))
        .set_tag_specifications(Some(tag_specifications(shape, wanted, expires))))
}

fn timer(used: TimerUse, lifetime: Duration, at: SystemTime) -> Option<Timer> {
    match used {
        TimerUse::Set => Some(Timer { at, lifetime }),
        TimerUse::Never => None,
    }
}

/// The most characters of a tag's value. Source: EC2 user guide, *Tag restrictions*.
const MOST_OF_A_TAG: usize = 256;

/// Whether one call can be about all of these: whether its tags hold them.
#[must_use]
pub fn fit_together(wanted: &[Wanted]) -> bool {
    let lives: Vec<_> = wanted.iter().map(|of| of.life).collect();
    lives_text(&lives).len() <= MOST_OF_A_TAG && cells_text(wanted).len() <= MOST_OF_A_TAG
}

/// The numbers of lives, ascending, as their tag has them: `3-5,9`.
#[must_use]
pub fn lives_text(lives: &[u32]) -> String {
    let runs = lives.chunk_by(|one, next| one.checked_add(1) == Some(*next));
    let texts = runs.filter_map(|run| match (run.first()?, run.last()?) {
        (first, last) if first == last => Some(first.to_string()),
        (first, last) => Some(format!("{first}-{last}")),
    });
    texts.collect::<Vec<_>>().join(",")
}

/// The life of the machine with this launch index, of those of a tag.
#[must_use]
pub fn life_of(lives: &str, launch_index: u32) -> Option<u32> {
    let mut before = 0;
    for run in lives.split(',') {
        let (first, last) = run.split_once('-').unwrap_or((run, run));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        let life = first.checked_add(launch_index.checked_sub(before)?)?;
        if life <= last {
            return Some(life);
        }
        before = before
            .checked_add(last.checked_sub(first)?)?
            .checked_add(1)?;
    }
    None
}

/// The cells of machines, each once: EC2 allows commas.
fn cells_text(wanted: &[Wanted]) -> String {
    let cells: BTreeSet<_> = wanted.iter().map(|of| of.cell.as_str()).collect();
    cells.into_iter().collect::<Vec<_>>().join(",")
}

fn network_interface(ground: &Ground, subnet: &str) -> InstanceNetworkInterfaceSpecification {
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .delete_on_termination(true)
        .set_groups(Some(ground.security_groups.clone()))
        .subnet_id(subnet)
        .associate_public_ip_address(ground.addressing == Addressing::Public);
    let has_ipv6 = ground.network.ipv6 || ground.addressing == Addressing::Ipv6;
    interface
        .set_ipv6_address_count(has_ipv6.then_some(1))
        .build()
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
    for name in &ground.other_devices {
        let volume = EbsBlockDevice::builder().delete_on_termination(true);
        devices.push(mapping(name, volume.build()));
    }
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
    shape: &Shape,
    wanted: &[Wanted],
    expires: SystemTime,
) -> Vec<TagSpecification> {
    let lives: Vec<_> = wanted.iter().map(|of| of.life).collect();
    let own = [
        (RUN_TAG, shape.run.to_string()),
        (CELL_TAG, cells_text(wanted)),
        (LIVES_TAG, lives_text(&lives)),
        (EXPIRES_TAG, timestamp(expires)),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    let tags: Vec<_> = own.into_iter().chain(shape.tags.clone()).collect();
    [ResourceType::Instance, ResourceType::Volume]
        .into_iter()
        .map(|resource| tagged(resource, &tags))
        .collect()
}

/// The tags of something that is made.
pub(crate) fn tagged(resource: ResourceType, tags: &[(String, String)]) -> TagSpecification {
    let tags = tags
        .iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(tags.collect()))
        .build()
}

/// The value of a tag, where it is there.
pub(crate) fn tag_value<'t>(tags: &'t [Tag], key: &str) -> Option<&'t str> {
    tags.iter().find(|tag| tag.key() == Some(key))?.value()
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
