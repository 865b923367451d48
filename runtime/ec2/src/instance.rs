//! A machine as EC2 shows it, reduced to what a run asks about.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_sdk_ec2::types::{Filter, Instance, InstanceStateName};
use dva_plan::RunId;
use dva_runtime::provider::MachineToken;

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::error::Meaning;
use crate::request::{Addressing, LIVES_TAG, RUN_TAG, life_of, tag_value};

/// A machine.
#[derive(Clone, Debug)]
pub(crate) struct InstanceView {
    /// EC2's name for it.
    pub(crate) id: String,
    /// The token it was started under.
    pub(crate) token: Option<MachineToken>,
    /// What it does.
    pub(crate) state: InstanceStateName,
    /// The code of why it does that, and EC2's words.
    pub(crate) reason: Option<(String, String)>,
    /// The name of the key pair that it lets in.
    pub(crate) key_name: Option<String>,
    /// Its availability zone.
    pub(crate) zone: Option<String>,
    /// Its volumes by the device names they are attached under.
    pub(crate) volumes: BTreeMap<String, String>,
    public: Option<IpAddr>,
    private: Option<IpAddr>,
    ipv6: Option<IpAddr>,
}

/// All machines that a filter lets through.
pub(crate) async fn all(line: &Line, of: Filter) -> Result<Vec<Instance>, CallError> {
    /// The most machines of one page of an answer.
    const PAGE: i32 = 1_000;
    let (mut machines, mut next) = (Vec::new(), None);
    loop {
        let call = line.client.describe_instances().filters(of.clone());
        let call = call.max_results(PAGE).set_next_token(next);
        let answer = line.call(Api::Describe, 0, || call.clone().send()).await?;
        let reservations = answer.reservations.unwrap_or_default().into_iter();
        machines.extend(reservations.flat_map(|some| some.instances.unwrap_or_default()));
        next = answer.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(machines);
        }
    }
}

impl InstanceView {
    /// The view of `instance`; `None` where EC2 leaves out its id or state.
    pub(crate) fn of(instance: &Instance) -> Option<Self> {
        let reason = instance.state_reason().and_then(|reason| {
            let words = reason.message().unwrap_or_default();
            Some((reason.code()?.to_owned(), words.to_owned()))
        });
        Some(Self {
            id: instance.instance_id()?.to_owned(),
            token: token(instance),
            state: instance.state()?.name()?.clone(),
            reason,
            key_name: instance.key_name().map(str::to_owned),
            zone: instance
                .placement()
                .and_then(|placement| placement.availability_zone())
                .map(str::to_owned),
            volumes: volumes(instance),
            public: address(instance.public_ip_address()),
            private: address(instance.private_ip_address()),
            ipv6: ipv6(instance),
        })
    }

    /// The address to reach it at, where it has one of that kind.
    pub(crate) fn address(&self, addressing: Addressing) -> Option<IpAddr> {
        match addressing {
            Addressing::Public => self.public,
            Addressing::Private => self.private,
            Addressing::Ipv6 => self.ipv6,
        }
    }

    /// Whether it has ended, and nothing of it costs any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.state == InstanceStateName::Terminated
    }

    /// Whether it has ended or is about to.
    pub(crate) fn is_ending(&self) -> bool {
        self.has_ended() || self.state == InstanceStateName::ShuttingDown
    }

    /// Why a machine has ended that should not have.
    pub(crate) fn why_ended(&self) -> CallError {
        match &self.reason {
            Some((code, words)) => {
                let words = words
                    .strip_prefix(code.as_str())
                    .map_or(words.as_str(), |rest| rest.trim_start_matches([':', ' ']));
                CallError::answered(code, words)
            }
            None => CallError::told(
                Meaning::Unknown,
                format!("{} has ended, and EC2 does not say why", self.id),
            ),
        }
    }
}

/// The token of a machine: its tags are those of all that were launched with it.
fn token(instance: &Instance) -> Option<MachineToken> {
    let tag = |key: &str| tag_value(instance.tags(), key);
    let index = instance.ami_launch_index().unwrap_or_default();
    let life = life_of(tag(LIVES_TAG)?, u32::try_from(index).ok()?)?;
    Some(MachineToken::new(&RunId::new(tag(RUN_TAG)?), life))
}

fn volumes(instance: &Instance) -> BTreeMap<String, String> {
    let mappings = instance.block_device_mappings().iter();
    mappings
        .filter_map(|mapping| {
            let volume = mapping.ebs()?.volume_id()?;
            Some((mapping.device_name()?.to_owned(), volume.to_owned()))
        })
        .collect()
}

fn address(text: Option<&str>) -> Option<IpAddr> {
    text?.parse().ok()
}

fn ipv6(instance: &Instance) -> Option<IpAddr> {
    let of_interfaces = instance
        .network_interfaces()
        .iter()
        .flat_map(|interface| interface.ipv6_addresses())
        .find_map(|address| address.ipv6_address());
    address(instance.ipv6_address().or(of_interfaces))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{InstanceState, StateReason};

    use super::*;

    fn instance() -> aws_sdk_ec2::types::builders::InstanceBuilder {
        let running = InstanceState::builder().name(InstanceStateName::Running);
        Instance::builder()
            .instance_id("i-1")
            .state(running.build())
    }

    #[test]
    fn a_machine_is_reached_at_the_address_that_was_asked_for_alone() {
        let instance = instance()
            .public_ip_address("198.51.100.7")
            .private_ip_address("10.0.0.7")
            .build();
        let view = InstanceView::of(&instance).expect("a machine");
        let text = |addressing| view.address(addressing).map(|address| address.to_string());
        assert_eq!(text(Addressing::Public).as_deref(), Some("198.51.100.7"));
        assert_eq!(text(Addressing::Private).as_deref(), Some("10.0.0.7"));
        assert_eq!(text(Addressing::Ipv6), None);
    }

    #[test]
    fn why_a_machine_ended_is_told_by_its_code() {
        let reason = StateReason::builder()
            .code("Server.InsufficientInstanceCapacity")
            .message("Server.InsufficientInstanceCapacity: There is none left.");
        let instance = instance().state_reason(reason.build()).build();
        let why = InstanceView::of(&instance).expect("a machine").why_ended();
        assert_eq!(why.meaning, Meaning::Capacity);
        assert_eq!(
            why.message,
            "Server.InsufficientInstanceCapacity: There is none left"
        );
    }
}
