//! Security groups: who reaches the machines of a run, and what these reach. One is made in each network that has
//! machines of the run, when the first of them needs it, and found by its tags when the run ends, whoever made it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType};
use dva_runtime::provider::MachineRequest;
use tokio::time::sleep;

use crate::bucket::Api;
use crate::call::CallError;
use crate::config::Ec2Config;
use crate::error::Meaning;
use crate::image::filter;
use crate::request::tagged;
use crate::site::{SSH_PORT, Site, unless};

/// The groups that are there.
#[derive(Default)]
pub(crate) struct Groups {
    /// By the ids of their networks and their names.
    ids: BTreeMap<(String, String), String>,
    /// The networks that subnets are of.
    networks: BTreeMap<String, String>,
}

impl Site {
    /// The security groups of a machine in a subnet.
    pub(crate) async fn security_groups(
        &self,
        config: &Ec2Config,
        request: &MachineRequest,
        subnet: &str,
    ) -> Result<Vec<String>, CallError> {
        let network = config.network(request.network_name.as_deref());
        let place = network.place(&self.line.region);
        if let Some(place) = place.filter(|place| !place.security_groups.is_empty()) {
            return Ok(place.security_groups.clone());
        }
        // Held while a group is made: two machines that come at once want the same one.
        let mut groups = self.groups.lock().await;
        let network = match groups.networks.get(subnet) {
            Some(known) => known.clone(),
            None => {
                let found = self.network_of(subnet).await?;
                groups.networks.insert(subnet.to_owned(), found.clone());
                found
            }
        };
        let name = match request.network.closed {
            true => format!("{}-closed", self.name()),
            false => self.name(),
        };
        let key = (network.clone(), name.clone());
        if let Some(known) = groups.ids.get(&key) {
            return Ok(vec![known.clone()]);
        }
        let group = self.make_group(config, &name, &network).await?;
        self.let_in(config, &group).await?;
        if request.network.closed {
            self.let_nothing_out(&group).await?;
        }
        groups.ids.insert(key, group.clone());
        Ok(vec![group])
    }

    /// Takes away the rule that EC2 gives every group, by which machines reach whatever they like. Answers to those who
    /// were let in still go out.
    async fn let_nothing_out(&self, group: &str) -> Result<(), CallError> {
        let ipv4 = IpPermission::builder()
            .ip_protocol("-1")
            .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build());
        let ipv6 = IpPermission::builder()
            .ip_protocol("-1")
            .ipv6_ranges(Ipv6Range::builder().cidr_ipv6("::/0").build());
        // One after the other: a network without IPv6 has no such rule, and would keep the other one.
        for anywhere in [ipv4.build(), ipv6.build()] {
            let call = self.line.client.revoke_security_group_egress();
            let call = call.group_id(group).ip_permissions(anywhere);
            let done = self.once_known(|| call.clone().send()).await.map(drop);
            match done {
                Err(error) if error.code.as_deref() == Some("InvalidPermission.NotFound") => {}
                done => done?,
            }
        }
        Ok(())
    }

    /// Makes a call about a group that was made a moment ago: EC2 may not know it everywhere yet.
    async fn once_known<T, E, R, F>(&self, send: impl Fn() -> F) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        const TRIES: u32 = 10;
        for _ in 1..TRIES {
            match self.line.call(Api::Expensive, 0, &send).await {
                Err(error) if error.code.as_deref() == Some("InvalidGroup.NotFound") => {
                    sleep(Duration::from_secs(1)).await;
                }
                answer => return answer,
            }
        }
        self.line.call(Api::Expensive, 0, &send).await
    }

    async fn make_group(
        &self,
        config: &Ec2Config,
        name: &str,
        network: &str,
    ) -> Result<String, CallError> {
        let call = self
            .line
            .client
            .create_security_group()
            .group_name(name)
            .description("SSH to the machines of a run of dva")
            .vpc_id(network)
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
        network: &str,
        exists: CallError,
    ) -> Result<String, CallError> {
        let call = self
            .line
            .client
            .describe_security_groups()
            .filters(filter("group-name", name))
            .filters(filter("vpc-id", network));
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
        let done = self.once_known(|| call.clone().send()).await;
        unless(Meaning::Exists, done.map(drop))
    }
}
