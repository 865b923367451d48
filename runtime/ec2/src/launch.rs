//! Starting a machine: asked for until there is one, in one subnet after the other, and waited for until it can be
//! reached.
//!
//! What was asked for is noted before each call, so that whoever ends a machine later knows whether one may be there
//! although nobody ever saw it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use aws_sdk_ec2::types::InstanceStateName;
use dva_plan::features::Hypervisor;
use dva_plan::plan::DiskIx;
use dva_plan::quote::Market;
use dva_runtime::provider::{AcquiredMachine, AttachedDisk, FirstBoot, MachineRequest};
use dva_runtime::transport::{Credential, HostKeyCheck, Reach};
use tokio::time::{Instant, sleep};

use crate::call::CallError;
use crate::config::Ec2Config;
use crate::console;
use crate::error::Meaning;
use crate::instance::InstanceView;
use crate::reach::{self, MachineDialer};
use crate::request::{Addressing, Wanted, device_name, shape};
use crate::site::Site;
use crate::volume::{self, Volume};

/// What is known of a token's machine.
#[derive(Default)]
pub(crate) struct Held {
    /// Where it is, or would be.
    pub(crate) region: Option<String>,
    /// Whether there may be one.
    pub(crate) launch: Launch,
    /// Its extra disks, the detached ones as well.
    pub(crate) volumes: BTreeMap<DiskIx, Volume>,
    /// Those of them that were detached, which do not end with the machine.
    pub(crate) detached: BTreeSet<DiskIx>,
    /// Whether it is one of EC2's newer machines: their consoles are shown as they are, and their disks are NVMe.
    pub(crate) is_nitro: bool,
    /// Which of its addresses it is reached at.
    pub(crate) addressing: Addressing,
    /// The way to it.
    pub(crate) dialer: Option<Arc<MachineDialer>>,
    /// What was given out.
    pub(crate) acquired: Option<AcquiredMachine>,
    /// When nobody needs it any more.
    pub(crate) expires: Option<SystemTime>,
    /// How many client tokens are used up.
    pub(crate) attempts: u8,
}

impl Held {
    /// Forgets the machine, which has ended. Client tokens are used once, so how many are used up stays known.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            region: self.region.take(),
            launch: Launch::Never,
            expires: self.expires,
            attempts: self.attempts,
            ..Self::default()
        };
    }
}

/// Whether a token may have a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Launch {
    /// Nothing is known: another process may have asked.
    #[default]
    Unknown,
    /// Nobody asked, or all who did were refused.
    Never,
    /// It was asked for, and there was no answer.
    Asked,
    /// It is this one.
    Is(String),
}

/// Starts the machine of `request`.
///
/// # Errors
/// [`CallError`]; a machine may be there then, as `held` says.
pub(crate) async fn start(
    site: &Arc<Site>,
    config: &Ec2Config,
    request: &MachineRequest,
    held: &mut Held,
) -> Result<AcquiredMachine, CallError> {
    held.is_nitro = is_nitro(request);
    let machine = run(site, config, request, held).await?;
    let addressing = config.network(request.network_name.as_deref()).addressing;
    held.addressing = addressing;
    let address = machine.address(addressing).ok_or_else(|| {
        let message = format!("{} has no address of the kind that is wanted", machine.id);
        CallError::told(Meaning::Parameters, message)
    })?;
    let dialer = MachineDialer::new(address, Arc::clone(&config.dial));
    held.dialer = Some(Arc::clone(&dialer));
    until_answers(site, config, &machine.id, &dialer).await?;
    let host_key = host_key(site, config, &machine.id, held.is_nitro).await;
    let disks = disks(request, &machine, held)?;
    Ok(AcquiredMachine {
        id: machine.id,
        machine: request.machine.clone(),
        reach: Reach {
            dialer,
            users: match request.logins.as_slice() {
                [] => vec![config.user.clone()],
                logins => logins.to_vec(),
            },
            credentials: vec![Credential::Key(Arc::clone(&config.key.private))],
            host_key,
        },
        disks,
        first_boot: FirstBoot::CloudInit,
    })
}

fn is_nitro(request: &MachineRequest) -> bool {
    let features = request.machine.features.as_ref();
    // Where it is not known it is a new one: those are what one gets.
    features.is_none_or(|features| features.hypervisor != Some(Hypervisor::Xen))
}

/// Asks for the machine in one way after the other and waits until it runs.
async fn run(
    site: &Arc<Site>,
    config: &Ec2Config,
    request: &MachineRequest,
    held: &mut Held,
) -> Result<InstanceView, CallError> {
    if held.launch == Launch::Unknown {
        held.launch = taken_over(site, config, request).await?;
    }
    if let Launch::Is(id) = &held.launch {
        return until(site, id, &InstanceStateName::Running).await;
    }
    let mut refused: Option<CallError> = None;
    for (market, subnet) in choices(site, config, request).await? {
        match run_so(site, config, request, held, market, &subnet).await {
            Ok(machine) => return Ok(machine),
            Err(error) => {
                if !another_may_do(error.meaning) {
                    return Err(error);
                }
                // That there is none to be had says more than that one zone does not know the type.
                let says_more = error.meaning == Meaning::Capacity;
                if refused.is_none() || says_more {
                    refused = Some(error);
                }
            }
        }
    }
    Err(refused.unwrap_or_else(|| {
        CallError::told(
            Meaning::Parameters,
            "there is no way to ask for the machine",
        )
    }))
}

/// The ways to ask for a machine: every market that is wanted, and in it every subnet, those of the default network where
/// none is named. From another one on for each cell, so that not all of them ask the same zone first, and all machines
/// of a cell do, which come by one call then.
async fn choices(
    site: &Site,
    config: &Ec2Config,
    request: &MachineRequest,
) -> Result<Vec<(Market, String)>, CallError> {
    let network = config.network(request.network_name.as_deref());
    let mut subnets = match network.subnets(&request.machine.region) {
        [] => site.default_subnets().await?,
        subnets => subnets.to_vec(),
    };
    let bytes = request.cell.as_str().bytes();
    let first = bytes.map(usize::from).sum::<usize>() % subnets.len().max(1);
    subnets.rotate_left(first);
    let markets = match &request.market[..] {
        [] => &[Market::OnDemand],
        markets => markets,
    };
    let of_market = |market: &Market| {
        let market = *market;
        subnets
            .clone()
            .into_iter()
            .map(move |subnet| (market, subnet))
    };
    Ok(markets.iter().flat_map(of_market).collect())
}

/// Whether the next way to ask may do where this one did not.
fn another_may_do(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Capacity | Meaning::Unsupported)
}

async fn run_so(
    site: &Arc<Site>,
    config: &Ec2Config,
    request: &MachineRequest,
    held: &mut Held,
    market: Market,
    subnet: &str,
) -> Result<InstanceView, CallError> {
    let ground = site.ground(config, request, subnet).await?;
    // Counted once for a life: a second machine that it needs ends itself no later.
    let expires = *held
        .expires
        .get_or_insert_with(|| SystemTime::now() + request.lifetime);
    let left = expires.duration_since(SystemTime::now());
    let lifetime = match held.attempts {
        0 => request.lifetime,
        _ => left.unwrap_or_default().min(request.lifetime),
    };
    let shape = shape(request, &ground, subnet, market, lifetime)
        .map_err(|error| CallError::told(Meaning::Parameters, error.to_string()))?;
    let wanted = Wanted {
        life: request.token.life(),
        cell: request.cell.clone(),
        attempt: held.attempts,
    };
    let before = std::mem::replace(&mut held.launch, Launch::Asked);
    // No two calls have one client token, unless they are the same: where nobody hears of it, this one is used up.
    held.attempts = held.attempts.saturating_add(1);
    let id = match site.launch(&shape, wanted).await {
        Ok(launched) => {
            held.attempts = launched.attempt.saturating_add(1);
            launched.id
        }
        Err(refused) => {
            held.attempts = refused.attempt.saturating_add(1);
            if !refused.may_be_there {
                held.launch = before;
            }
            return Err(refused.error);
        }
    };
    held.launch = Launch::Is(id.clone());
    until(site, &id, &InstanceStateName::Running).await
}

/// What a process that is not here any more has launched under the token, as far as EC2 shows it. A machine that lets
/// in a key which nobody has any more is ended.
async fn taken_over(
    site: &Arc<Site>,
    config: &Ec2Config,
    request: &MachineRequest,
) -> Result<Launch, CallError> {
    let machines = site.machines_before().await?;
    let mut alive = machines.iter().filter(|machine| !machine.is_ending());
    let Some(mine) = alive.find(|machine| machine.token.as_ref() == Some(&request.token)) else {
        return Ok(Launch::Never);
    };
    if mine.key_name.as_deref() == Some(site.key_name(config).await?) {
        return Ok(Launch::Is(mine.id.clone()));
    }
    site.terminate(&mine.id).await?;
    Ok(Launch::Never)
}

/// Waits until a machine is in a state, by looks that all share. One that EC2 does not show yet is waited for.
///
/// # Errors
/// Why it ended, where it did.
pub(crate) async fn until(
    site: &Site,
    id: &str,
    state: &InstanceStateName,
) -> Result<InstanceView, CallError> {
    loop {
        let machines = site.machines().await?;
        if let Some(machine) = machines.iter().find(|machine| machine.id == id) {
            if machine.state == *state {
                return Ok(machine.clone());
            }
            if machine.is_ending() {
                return Err(machine.why_ended());
            }
        }
    }
}

/// Waits until the SSH port of a machine answers.
///
/// # Errors
/// Why it ended, where it did.
pub(crate) async fn until_answers(
    site: &Site,
    config: &Ec2Config,
    id: &str,
    dialer: &MachineDialer,
) -> Result<(), CallError> {
    while !dialer.answers().await {
        sleep(config.patience.dial).await;
        let machines = site.machines().await?;
        let mine = machines.iter().find(|machine| machine.id == id);
        if let Some(machine) = mine.filter(|machine| machine.is_ending()) {
            return Err(machine.why_ended());
        }
    }
    Ok(())
}

/// The host key of a machine, from its console where that shows it in time.
async fn host_key(site: &Site, config: &Ec2Config, id: &str, is_nitro: bool) -> HostKeyCheck {
    const BETWEEN: Duration = Duration::from_secs(3);
    let until = Instant::now() + config.patience.host_key;
    while Instant::now() < until {
        let Ok(said) = console::read(&site.line, id, is_nitro).await else {
            break;
        };
        if let Some(key) = reach::host_key(&String::from_utf8_lossy(&said)) {
            return HostKeyCheck::Pinned(key);
        }
        sleep(BETWEEN).await;
    }
    HostKeyCheck::FirstShown(Arc::new(OnceLock::new()))
}

/// The extra disks that a machine was launched with.
fn disks(
    request: &MachineRequest,
    machine: &InstanceView,
    held: &mut Held,
) -> Result<Vec<AttachedDisk>, CallError> {
    let of_disk = |(position, disk): (usize, &dva_runtime::provider::DiskRequest)| {
        let name = device_name(position).unwrap_or_default();
        let id = machine.volumes.get(&name).ok_or_else(|| {
            let message = format!("{} has no volume at {name}", machine.id);
            CallError::told(Meaning::Unknown, message)
        })?;
        let volume = Volume {
            id: id.clone(),
            device_name: name,
        };
        let attached = volume::attached(disk.disk, &volume, held.is_nitro);
        held.volumes.insert(disk.disk, volume);
        Ok(attached)
    };
    request.disks.iter().enumerate().map(of_disk).collect()
}
