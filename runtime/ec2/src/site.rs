//! What a run has in a region beside its machines: the line to the API, the looks at the machines, and what all of
//! them share, which is a key pair and a security group. Both are made when the first machine needs them, and found by
//! their tags when the run ends, whoever made them.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType};
use dva_plan::RunId;
use dva_plan::plan::{ImageSource, Machine};
use dva_runtime::provider::MachineRequest;
use tokio::sync::{Mutex, OnceCell};

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::config::Ec2Config;
use crate::error::Meaning;
use crate::gather::Gather;
use crate::image::{self, FoundImage, filter};
use crate::instance::InstanceView;
use crate::poll::Poll;
use crate::request::{Ground, RUN_TAG, Shape, Wanted, tagged};
use crate::together::NotLaunched;

/// The port of a machine's SSH server.
pub(crate) const SSH_PORT: u16 = 22;
/// The most machines of one page of an answer.
const PAGE: i32 = 1_000;

/// A run in a region.
pub(crate) struct Site {
    pub(crate) line: Line,
    pub(crate) run: RunId,
    poll: Poll<Vec<InstanceView>>,
    key_name: OnceCell<String>,
    /// By the subnet they are for, none where that is the region's usual one, and whether they let nothing out.
    groups: Mutex<BTreeMap<(Option<String>, bool), Vec<String>>>,
    images: Mutex<BTreeMap<(ImageSourceKey, String), FoundImage>>,
    /// Those who wait to be launched, by what they want.
    pub(crate) launches: Gather<Shape, Wanted, Result<String, NotLaunched>>,
    /// Those who wait to be ended.
    pub(crate) ends: Gather<(), String, Result<bool, CallError>>,
}

/// An image source as a key of a table: its text.
type ImageSourceKey = String;

impl Site {
    pub(crate) fn new(line: Line, run: &RunId, config: &Ec2Config) -> Self {
        Self {
            line,
            run: run.clone(),
            poll: Poll::new(config.patience.poll),
            key_name: OnceCell::new(),
            groups: Mutex::default(),
            images: Mutex::default(),
            launches: Gather::default(),
            ends: Gather::default(),
        }
    }

    /// The machines of the run here, those among them that have ended not long ago, by a look that all who ask
    /// share.
    pub(crate) async fn machines(&self) -> Result<Arc<Vec<InstanceView>>, CallError> {
        self.poll.fresh(self.look()).await
    }

    async fn look(&self) -> Result<Vec<InstanceView>, CallError> {
        let mut machines = Vec::new();
        let mut next = None;
        loop {
            let call = self
                .line
                .client
                .describe_instances()
                .filters(filter(&format!("tag:{RUN_TAG}"), self.run.as_str()))
                .max_results(PAGE)
                .set_next_token(next);
            let answer = self
                .line
                .call(Api::Describe, 0, || call.clone().send())
                .await?;
            let seen = answer
                .reservations()
                .iter()
                .flat_map(|reservation| reservation.instances());
            machines.extend(seen.filter_map(InstanceView::of));
            next = answer.next_token.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(machines);
            }
        }
    }

    /// What a machine is launched from and into.
    pub(crate) async fn ground(
        &self,
        config: &Ec2Config,
        request: &MachineRequest,
        subnet: Option<&str>,
    ) -> Result<Ground, CallError> {
        let image = self.image(&request.image, &request.machine).await?;
        image.fits(&request.machine)?;
        let network = config.network(request.network_name.as_deref());
        Ok(Ground {
            image: image.id,
            root_device: image.root_device,
            root_gibibytes: image.root_gibibytes,
            key_name: self.key_name(config).await?.to_owned(),
            security_groups: self.security_groups(config, request, subnet).await?,
            addressing: network.addressing,
            network: request.network,
            timer: config.timer,
            tags: config.tags(&self.line.region),
            process: config.key.process(),
        })
    }

    /// The image of `source` for machines like `machine`, looked up once.
    pub(crate) async fn image(
        &self,
        source: &ImageSource,
        machine: &Machine,
    ) -> Result<FoundImage, CallError> {
        let key = (source_key(source), machine.arch.clone());
        // Held while it is looked up: those who come at once want the same one.
        let mut images = self.images.lock().await;
        if let Some(found) = images.get(&key) {
            return Ok(found.clone());
        }
        let found = image::find(&self.line, source, machine).await?;
        images.insert(key, found.clone());
        Ok(found)
    }

    /// How the names of all begin that is made for the run.
    fn name(&self) -> String {
        format!("dva-{}", self.run)
    }

    fn tags(&self, config: &Ec2Config) -> Vec<(String, String)> {
        let of_run = (RUN_TAG.to_owned(), self.run.to_string());
        let others = config.tags(&self.line.region);
        [of_run].into_iter().chain(others).collect()
    }

    /// The key pair, which EC2 is given the public half of.
    pub(crate) async fn key_name(&self, config: &Ec2Config) -> Result<&str, CallError> {
        let made = self.key_name.get_or_try_init(|| self.import_key(config));
        made.await.map(String::as_str)
    }

    async fn import_key(&self, config: &Ec2Config) -> Result<String, CallError> {
        // A process that takes a run over has a key of its own: the other one was never written down.
        let name = format!("{}-{}", self.name(), config.key.process());
        let call = self
            .line
            .client
            .import_key_pair()
            .key_name(&name)
            .public_key_material(Blob::new(config.key.public.as_bytes()))
            .tag_specifications(tagged(ResourceType::KeyPair, &self.tags(config)));
        let made = self
            .line
            .call(Api::Expensive, 0, || call.clone().send())
            .await;
        // It is there after a call whose answer was lost.
        unless(Meaning::Exists, made.map(drop))?;
        Ok(name)
    }

    async fn security_groups(
        &self,
        config: &Ec2Config,
        request: &MachineRequest,
        subnet: Option<&str>,
    ) -> Result<Vec<String>, CallError> {
        let network = config.network(request.network_name.as_deref());
        let place = network.place(&self.line.region);
        if let Some(place) = place.filter(|place| !place.security_groups.is_empty()) {
            return Ok(place.security_groups.clone());
        }
        // Held while a group is made: two machines that come at once want the same one.
        let mut groups = self.groups.lock().await;
        let is_closed = request.network.closed;
        let key = (subnet.map(str::to_owned), is_closed);
        if let Some(known) = groups.get(&key) {
            return Ok(known.clone());
        }
        let network = match subnet {
            Some(subnet) => Some(self.network_of(subnet).await?),
            None => None,
        };
        let name = match is_closed {
            true => format!("{}-closed", self.name()),
            false => self.name(),
        };
        let group = self.make_group(config, &name, network.as_deref()).await?;
        self.let_in(config, &group).await?;
        if is_closed {
            self.let_nothing_out(&group).await?;
        }
        groups.insert(key, vec![group.clone()]);
        Ok(vec![group])
    }

    /// Takes away the rule that EC2 gives every group, by which machines reach whatever they like. Answers to those who
    /// were let in still go out.
    async fn let_nothing_out(&self, group: &str) -> Result<(), CallError> {
        let anywhere = IpPermission::builder()
            .ip_protocol("-1")
            .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build());
        let call = self
            .line
            .client
            .revoke_security_group_egress()
            .group_id(group)
            .ip_permissions(anywhere.build());
        let done = self
            .line
            .call(Api::Expensive, 0, || call.clone().send())
            .await;
        unless(Meaning::Gone, done.map(drop))
    }

    /// The network that a subnet is of.
    async fn network_of(&self, subnet: &str) -> Result<String, CallError> {
        let call = self.line.client.describe_subnets().subnet_ids(subnet);
        let answer = self
            .line
            .call(Api::Describe, 0, || call.clone().send())
            .await?;
        let network = answer.subnets().first().and_then(|subnet| subnet.vpc_id());
        network.map(str::to_owned).ok_or_else(|| {
            let message = format!("there is no subnet {subnet} in {}", self.line.region);
            CallError::told(Meaning::Parameters, message)
        })
    }

    async fn make_group(
        &self,
        config: &Ec2Config,
        name: &str,
        network: Option<&str>,
    ) -> Result<String, CallError> {
        let call = self
            .line
            .client
            .create_security_group()
            .group_name(name)
            .description("SSH to the machines of a run of dva")
            .set_vpc_id(network.map(str::to_owned))
            .tag_specifications(tagged(ResourceType::SecurityGroup, &self.tags(config)));
        match self
            .line
            .call(Api::Expensive, 0, || call.clone().send())
            .await
        {
            Ok(made) => made.group_id.ok_or_else(|| {
                CallError::told(Meaning::Unknown, "EC2 names no security group that it made")
            }),
            Err(error) if error.meaning == Meaning::Exists => {
                self.find_group(name, network, error).await
            }
            Err(error) => Err(error),
        }
    }

    /// The group that exists already.
    async fn find_group(
        &self,
        name: &str,
        network: Option<&str>,
        exists: CallError,
    ) -> Result<String, CallError> {
        let mut call = self
            .line
            .client
            .describe_security_groups()
            .filters(filter("group-name", name));
        if let Some(network) = network {
            call = call.filters(filter("vpc-id", network));
        }
        let answer = self
            .line
            .call(Api::Describe, 0, || call.clone().send())
            .await?;
        let group = answer
            .security_groups()
            .first()
            .and_then(|group| group.group_id());
        group.map(str::to_owned).ok_or(exists)
    }

    /// Lets those reach SSH who may.
    async fn let_in(&self, config: &Ec2Config, group: &str) -> Result<(), CallError> {
        let (ipv6, ipv4): (Vec<_>, Vec<_>) =
            config.ssh_from.iter().partition(|range| range.is_ipv6());
        let ipv4 = ipv4
            .into_iter()
            .map(|range| IpRange::builder().cidr_ip(range.as_str()).build());
        let ipv6 = ipv6
            .into_iter()
            .map(|range| Ipv6Range::builder().cidr_ipv6(range.as_str()).build());
        let rule = IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(i32::from(SSH_PORT))
            .to_port(i32::from(SSH_PORT))
            .set_ip_ranges(Some(ipv4.collect()))
            .set_ipv6_ranges(Some(ipv6.collect()));
        let call = self
            .line
            .client
            .authorize_security_group_ingress()
            .group_id(group)
            .ip_permissions(rule.build());
        let done = self
            .line
            .call(Api::Expensive, 0, || call.clone().send())
            .await;
        unless(Meaning::Exists, done.map(drop))
    }
}

/// Takes an error of this meaning for none.
pub(crate) fn unless(meaning: Meaning, done: Result<(), CallError>) -> Result<(), CallError> {
    match done {
        Err(error) if error.meaning == meaning => Ok(()),
        done => done,
    }
}

fn source_key(source: &ImageSource) -> ImageSourceKey {
    format!("{source:?}")
}
