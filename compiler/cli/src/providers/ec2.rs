//! Machines of EC2, as the configuration wants them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use dva_ec2::request::Addressing;
use dva_ec2::{
    Account, Ec2Config, Ec2Provider, LoginKey, NetworkUse, Patience, Place, SourceRange, TimerUse,
    own_address,
};
use dva_plan::{ExecutionPlan, ExitCode};
use dva_runtime::provider::Backend;
use dva_ssh::{HostAddress, HostsProvider, KeyPair};

use super::hosts_config;
use crate::config::{Config, Connect, Network, USUAL_NETWORK};
use crate::failure::Failure;

/// The account that images of EC2 mostly have.
const USUAL_LOGIN: &str = "ec2-user";

/// Machines of EC2, in the regions of `plan`. Whoever AWS takes us for is found out before.
pub fn ec2(config: &Config, plan: &ExecutionPlan, no_deadman: bool) -> Result<Backend, Failure> {
    let timer = match no_deadman {
        true => TimerUse::Never,
        false => TimerUse::Set,
    };
    let provider = on_a_runtime(async {
        let wanted = ec2_config(config, regions_of(plan), timer, Callers::Asked).await?;
        connect(wanted).await
    })?;
    Ok(Backend {
        provider: Arc::new(provider),
        transport: Arc::new(hosts_config(config)?.transport()),
    })
}

/// Does what has to wait for somebody, before there is a run.
pub fn on_a_runtime<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime
        .map_err(|error| Failure::new(ExitCode::Invocation, format!("start threads: {error}")))?;
    runtime.block_on(work)
}

/// A provider whose accounts have credentials.
pub async fn connect(config: Ec2Config) -> Result<Ec2Provider, Failure> {
    let provider = Ec2Provider::connect(config).await;
    provider.check_credentials().await.map_err(|error| {
        let message = format!(
            "{error}.\nThe environment (`AWS_ACCESS_KEY_ID`, `AWS_PROFILE`), a profile in `[account.{}]` of dva.toml, \
             `aws sso login` or the role of this machine give them. Nothing was started.",
            error.partition
        );
        Failure::new(ExitCode::Refused, message)
    })?;
    Ok(provider)
}

/// The regions of a plan that are Amazon's, with their partitions.
pub fn regions_of(plan: &ExecutionPlan) -> BTreeMap<String, String> {
    let machines = plan.machines.iter();
    let of_ec2 = machines.filter(|machine| !machine.is_of_this_host());
    of_ec2
        .map(|machine| (machine.region.clone(), machine.partition.clone()))
        .collect()
}

/// Who may reach machines, where the configuration does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// AWS is asked at which address it sees us.
    Asked,
    /// Nobody: no machine is started.
    Nobody,
}

/// What the configuration says of `regions`: those that its accounts may use.
pub async fn ec2_config(
    config: &Config,
    mut regions: BTreeMap<String, String>,
    timer: TimerUse,
    callers: Callers,
) -> Result<Ec2Config, Failure> {
    regions.retain(|region, partition| {
        let account = config.account.get(partition);
        let allowed = account.and_then(|account| account.regions.as_ref());
        allowed.is_none_or(|allowed| allowed.contains(region))
    });
    let key = KeyPair::generate();
    let hosts = HostsProvider::new(hosts_config(config)?);
    let networks = config.network.iter();
    let mut networks: BTreeMap<_, _> = networks
        .map(|(name, network)| (name.clone(), network_use(network)))
        .collect();
    let usual_network = networks.remove(USUAL_NETWORK).unwrap_or_default();
    Ok(Ec2Config {
        accounts: accounts(config),
        regions,
        networks,
        usual_network,
        ssh_from: ssh_from(config, callers).await?,
        key: LoginKey {
            private: key.private_key.into(),
            public: key.public_key,
        },
        user: USUAL_LOGIN.to_owned(),
        owner: owner(config),
        timer,
        dial: Arc::new(move |address: SocketAddr| {
            hosts.dialer(&HostAddress::of(USUAL_LOGIN, address))
        }),
        patience: Patience::default(),
    })
}

fn accounts(config: &Config) -> BTreeMap<String, Account> {
    let accounts = config.account.iter();
    let of_partition = accounts.map(|(partition, account)| {
        let account = Account {
            profile: account.profile.clone(),
            endpoint_url: account.endpoint_url.clone(),
            tags: account.tags.clone(),
        };
        (partition.clone(), account)
    });
    of_partition.collect()
}

fn network_use(network: &Network) -> NetworkUse {
    let places = network.region.iter().map(|(region, place)| {
        let place = Place {
            subnets: place.subnets.clone(),
            security_groups: place.security_groups.clone(),
        };
        (region.clone(), place)
    });
    NetworkUse {
        addressing: match network.connect {
            Connect::Public => Addressing::Public,
            Connect::Private => Addressing::Private,
            Connect::Ipv6 => Addressing::Ipv6,
        },
        places: places.collect(),
    }
}

/// Who may reach machines: whom the configuration names, else we alone.
async fn ssh_from(config: &Config, callers: Callers) -> Result<Vec<SourceRange>, Failure> {
    let wrong = |why: String| Failure::new(ExitCode::Invocation, why);
    if let Some(ranges) = &config.ssh_from {
        let parsed = ranges.iter().map(|range| SourceRange::parse(range));
        let parsed: Result<Vec<_>, _> = parsed.collect();
        return parsed.map_err(|error| wrong(format!("dva.toml: ssh_from: {error}.")));
    }
    if callers == Callers::Nobody {
        return Ok(Vec::new());
    }
    let is_public = |network: &Network| matches!(network.connect, Connect::Public);
    let is_straight = config.ssh.jump.is_none() && config.ssh.proxy_command.is_none();
    if !is_straight || !config.network.values().all(is_public) {
        return Err(wrong(
            "Machines are not reached straight at public addresses, so it is not known from where. Say in dva.toml from \
             where they may be reached by SSH: ssh_from = [\"10.0.0.0/8\"]. Nothing was started."
                .to_owned(),
        ));
    }
    let address = own_address().await.map_err(|error| {
        wrong(format!(
            "It is not known at which address AWS sees this host: {error}.\nSay in dva.toml from where machines may \
             be reached by SSH: ssh_from = [\"198.51.100.7/32\"]. Nothing was started."
        ))
    })?;
    Ok(vec![SourceRange::of(address)])
}

/// Who starts machines, as far as that is known.
fn owner(config: &Config) -> String {
    let of_host = || std::env::var("USER").ok().filter(|user| !user.is_empty());
    let owner = config.owner.clone().or_else(of_host);
    owner.unwrap_or_else(|| "unknown".to_owned())
}
