//! The provider of machines that are EC2 instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ec2::types::{InstanceStateName, VolumeAttachmentState};
use dva_plan::RunId;
use dva_plan::plan::{Capability, DiskIx, ImageSource, Machine};
use dva_plan::quote::Market;
use dva_runtime::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, AttachedDisk, ConsoleUse, ControlError,
    ControlErrorKind, DetachMode, DiskRequest, EndRunError, MachineRequest, MachineToken, Provider,
    ReleaseError,
};
use thiserror::Error;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::account;
use crate::bucket::{Api, Buckets};
use crate::call::{AccountOf, CallError, Line};
use crate::config::Ec2Config;
use crate::console;
use crate::ending::{self, Search, Volumes};
use crate::error::Meaning;
use crate::instance::InstanceView;
use crate::launch::{self, Held, Launch};
use crate::reach::MachineDialer;
use crate::request::Addressing;
use crate::site::Site;
use crate::volume::{self, Making, Volume};

/// Starts machines of EC2, and ends them.
///
/// What it still runs when it is dropped goes on running, until [`Provider::end_run`] is called, by this process or
/// another one, or until the machines' timers end them.
pub struct Ec2Provider {
    config: Ec2Config,
    /// By partition.
    accounts: BTreeMap<String, Arc<AccountOf>>,
    buckets: Arc<Buckets>,
    sites: Mutex<BTreeMap<(String, RunId), Arc<Site>>>,
    /// A machine is behind a lock of its own, so that two calls about one token wait for each other and
    /// for nobody else.
    held: Mutex<BTreeMap<MachineToken, Arc<AsyncMutex<Held>>>>,
}

/// Nobody says who we are in a partition.
#[derive(Clone, Debug, Error)]
#[error("there are no credentials for the partition `{partition}`: {message}")]
pub struct NoCredentials {
    /// The partition.
    pub partition: String,
    /// What was found instead.
    pub message: String,
}

/// A machine that runs, as the calls that change it need it.
struct Running {
    site: Arc<Site>,
    id: String,
    dialer: Arc<MachineDialer>,
    addressing: Addressing,
    is_nitro: bool,
}

impl Ec2Provider {
    /// A provider that has no machines yet. Each partition has the account that its profile, the environment, single
    /// sign-on or the machine that this runs on gives. Nothing is asked of EC2.
    pub async fn connect(config: Ec2Config) -> Self {
        let mut accounts = BTreeMap::new();
        for (region, partition) in &config.regions {
            if !accounts.contains_key(partition) {
                let sdk = account::load(config.accounts.get(partition), region).await;
                accounts.insert(partition.clone(), sdk);
            }
        }
        Self::with_accounts(config, accounts)
    }

    /// A provider that has no machines yet, with these accounts by partition.
    #[must_use]
    pub fn with_accounts(config: Ec2Config, accounts: BTreeMap<String, SdkConfig>) -> Self {
        let partitions = accounts.into_iter();
        let accounts = partitions.map(|(partition, sdk)| {
            let account = AccountOf {
                partition: partition.clone(),
                sdk,
            };
            (partition, Arc::new(account))
        });
        Self {
            config,
            accounts: accounts.collect(),
            buckets: Arc::default(),
            sites: Mutex::default(),
            held: Mutex::default(),
        }
    }

    /// Whether there are credentials for all partitions. What they are good for is not asked.
    ///
    /// # Errors
    /// [`NoCredentials`] of the first partition without.
    pub async fn check_credentials(&self) -> Result<(), NoCredentials> {
        for account in self.accounts.values() {
            let checked = account.check_credentials().await;
            checked.map_err(|message| NoCredentials {
                partition: account.partition.clone(),
                message,
            })?;
        }
        Ok(())
    }

    /// What it was told.
    pub(crate) fn config(&self) -> &Ec2Config {
        &self.config
    }

    /// What a run has in a region.
    pub(crate) fn site(&self, region: &str, run: &RunId) -> Arc<Site> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (region.to_owned(), run.clone());
        let site = sites.entry(key).or_insert_with(|| {
            let line = Line::new(&self.account(region), region, &self.buckets);
            Arc::new(Site::new(line, run, &self.config))
        });
        Arc::clone(site)
    }

    /// A region, for looks that are no run's.
    pub(crate) fn site_of_nobody(&self, region: &str) -> Arc<Site> {
        self.site(region, &RunId::new("00000000-000000-0000"))
    }

    /// The account of a region. One of a region that is not configured can do nothing.
    fn account(&self, region: &str) -> Arc<AccountOf> {
        let partition = self.config.regions.get(region);
        let known = partition.and_then(|partition| self.accounts.get(partition));
        known.map_or_else(|| Arc::new(AccountOf::nobody()), Arc::clone)
    }

    fn held(&self, token: &MachineToken) -> Arc<AsyncMutex<Held>> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(held.entry(token.clone()).or_default())
    }

    /// Ends the machine of a token and the volumes that were made for it, in every region where it may be.
    async fn end(&self, token: &MachineToken, held: &mut Held) -> Result<(), ReleaseError> {
        let search = match &held.launch {
            Launch::Never => Search::Shown,
            Launch::Asked if held.attempts > 1 => Search::AnotherMayCome,
            Launch::Unknown | Launch::Asked => Search::MayCome,
            Launch::Is(id) => Search::Known(id.clone()),
        };
        let regions: Vec<_> = match &held.region {
            Some(region) => vec![region],
            None => self.config.regions.keys().collect(),
        };
        let detached = held
            .detached
            .iter()
            .filter_map(|disk| held.volumes.get(disk));
        let detached: Vec<_> = detached.map(|volume| volume.id.clone()).collect();
        let volumes = match held.launch == Launch::Unknown || !held.volumes.is_empty() {
            true => Volumes::Besides(detached),
            false => Volumes::WithMachine,
        };
        let run = token.run();
        let mut ends = JoinSet::new();
        for region in regions {
            let (site, patience) = (self.site(region, &run), self.config.patience);
            let (token, search, volumes) = (token.clone(), search.clone(), volumes.clone());
            ends.spawn(async move {
                let ended = ending::end_life(&site, token, &search, &volumes, patience).await;
                ended.map_err(|error| (site.line.region.clone(), error))
            });
        }
        for ended in ends.join_all().await {
            ended.map_err(|(region, error)| release_error(token, &region, held, &error))?;
        }
        held.forget();
        Ok(())
    }

    /// The machine of a token, which was acquired here.
    async fn running(&self, token: &MachineToken) -> Result<Running, ControlError> {
        let held = self.held(token);
        let held = held.lock().await;
        match (&held.launch, &held.region, &held.dialer) {
            (Launch::Is(id), Some(region), Some(dialer)) => Ok(Running {
                site: self.site(region, &token.run()),
                id: id.clone(),
                dialer: Arc::clone(dialer),
                addressing: held.addressing,
                is_nitro: held.is_nitro,
            }),
            _ => Err(ControlError {
                token: token.clone(),
                kind: ControlErrorKind::Broken,
                message: "this provider has no such machine".to_owned(),
            }),
        }
    }

    /// Waits until a machine that went down answers again.
    async fn until_back(&self, machine: &Running) -> Result<(), CallError> {
        let Running { site, id, .. } = machine;
        let back = launch::until(site, id, &InstanceStateName::Running).await?;
        if let Some(address) = back.address(machine.addressing) {
            machine.dialer.moved(address);
        }
        launch::until_answers(site, &self.config, id, &machine.dialer).await
    }

    /// Waits until a machine does not answer any more.
    async fn until_down(&self, machine: &Running) -> Result<(), CallError> {
        let until = Instant::now() + self.config.patience.reboot;
        while machine.dialer.answers().await {
            if Instant::now() >= until {
                let message = format!("{} does not go down for its reboot", machine.id);
                return Err(CallError::told(Meaning::Unknown, message));
            }
            sleep(self.config.patience.dial).await;
        }
        Ok(())
    }

    /// The volume of a disk of a machine: the one that it had before, or a blank one.
    async fn volume_of(
        &self,
        token: &MachineToken,
        machine: &InstanceView,
        site: &Site,
        disk: &DiskRequest,
    ) -> Result<Volume, CallError> {
        let held = self.held(token);
        let mut held = held.lock().await;
        let known = held.volumes.get(&disk.disk).map(|volume| volume.id.clone());
        let id = match known {
            Some(id) => id,
            None => {
                let zone = machine.zone.as_deref().unwrap_or_default();
                let making = Making {
                    tags: self.config.tags(&site.line.region),
                    expires: held.expires,
                    process: format!("{}.{}", held.attempts, self.config.key.process()),
                };
                volume::create(site, token, zone, disk, making).await?
            }
        };
        let mut taken: BTreeSet<_> = machine.volumes.keys().map(String::as_str).collect();
        // What is being attached right now is not shown yet.
        let others = held
            .volumes
            .iter()
            .filter(|(other, _)| **other != disk.disk);
        taken.extend(others.map(|(_, volume)| volume.device_name.as_str()));
        let device_name = volume::free_name(&taken)?;
        let volume = Volume { id, device_name };
        held.volumes.insert(disk.disk, volume.clone());
        held.detached.remove(&disk.disk);
        Ok(volume)
    }

    /// The volume of a disk that this machine has had.
    async fn known_volume(&self, token: &MachineToken, disk: DiskIx) -> Option<Volume> {
        self.held(token).lock().await.volumes.get(&disk).cloned()
    }
}

fn release_error(
    token: &MachineToken,
    region: &str,
    held: &Held,
    error: &CallError,
) -> ReleaseError {
    let command = match &held.launch {
        Launch::Is(id) => {
            format!("`aws ec2 terminate-instances --region {region} --instance-ids {id}` ends it")
        }
        Launch::Unknown | Launch::Never | Launch::Asked => format!(
            "`aws ec2 describe-instances --region {region} --filters Name=tag:dva:run,Values={}` shows it",
            token.run()
        ),
    };
    ReleaseError {
        token: token.clone(),
        message: format!("{error}; {command}"),
    }
}

fn control_error(token: &MachineToken, error: &CallError) -> ControlError {
    let kind = match error.meaning {
        Meaning::Busy => ControlErrorKind::Busy,
        Meaning::Unsupported => ControlErrorKind::Unsupported,
        _ => ControlErrorKind::Broken,
    };
    ControlError {
        token: token.clone(),
        kind,
        message: error.message.clone(),
    }
}

#[async_trait]
impl Provider for Ec2Provider {
    fn name(&self) -> &'static str {
        "ec2"
    }

    /// All but the choice of what starts an image: that is a property of the image.
    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([
            Capability::Kernel,
            Capability::Reboot,
            Capability::StopStart,
            Capability::Hotplug,
            Capability::UserData,
            Capability::RootSize,
            Capability::Console,
        ])
    }

    /// Reading them is among the calls that EC2 allows least: five a second in a region.
    fn console_use(&self) -> ConsoleUse {
        ConsoleUse::AfterFailures
    }

    fn markets(&self) -> &'static [Market] {
        &[Market::OnDemand, Market::Spot]
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        let is_of_ec2 = match image {
            ImageSource::Ec2Ami { .. }
            | ImageSource::Ec2AmiNamed { .. }
            | ImageSource::Ec2AmiParameter { .. } => true,
            ImageSource::LocalHost | ImageSource::LocalRootfs { .. } => false,
        };
        is_of_ec2
            && self.config.regions.contains_key(&machine.region)
            && image.serves(&machine.region, &machine.partition)
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let failed = |error: CallError, left: Option<ReleaseError>| AcquireError {
            machine_type: request.machine.r#type.clone(),
            region: request.machine.region.clone(),
            kind: match left {
                None => error.meaning.of_acquire(),
                // Nobody may ask for another machine under a token that may have one.
                Some(_) => AcquireErrorKind::Broken,
            },
            message: match left {
                None => error.message,
                Some(left) => format!("{}; {left}", error.message),
            },
        };
        if !self.serves(&request.image, &request.machine) {
            let message = "this image cannot be started there";
            return Err(failed(CallError::told(Meaning::Unsupported, message), None));
        }
        let held = self.held(&request.token);
        let mut held = held.lock().await;
        if let Some(machine) = &held.acquired {
            return Ok(machine.clone());
        }
        held.region = Some(request.machine.region.clone());
        let site = self.site(&request.machine.region, &request.run);
        match launch::start(&site, &self.config, request, &mut held).await {
            Ok(machine) => Ok(held.acquired.insert(machine).clone()),
            Err(error) => {
                let left = self.end(&request.token, &mut held).await.err();
                Err(failed(error, left))
            }
        }
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        let held = self.held(token);
        let mut held = held.lock().await;
        self.end(token, &mut held).await
    }

    /// Ends all that a run has in any region, whoever started it: machines, volumes, key pairs and security groups.
    /// To be called as well when a run that broke off is cleared away.
    ///
    /// # Errors
    /// [`EndRunError`] of the first region in which something may be left; the other regions are ended all the same.
    async fn end_run(&self, run: &RunId) -> Result<(), EndRunError> {
        let patience = self.config.patience;
        let mut regions = JoinSet::new();
        for region in self.config.regions.keys() {
            let site = self.site(region, run);
            regions.spawn(async move {
                let ended = ending::end_run(&site, patience).await;
                (site.line.region.clone(), ended)
            });
        }
        let mut ended = regions.join_all().await;
        ended.sort_by(|(one, _), (other, _)| one.cmp(other));
        for (region, ended) in ended {
            ended.map_err(|error| EndRunError {
                run: run.clone(),
                message: format!(
                    "{}; `aws ec2 describe-tags --region {region} --filters Name=tag:dva:run,Values={run}` shows what \
                     is left",
                    error.message
                ),
                region,
            })?;
        }
        Ok(())
    }

    async fn of_run(&self, run: &RunId) -> Option<Vec<MachineToken>> {
        let mut tokens = BTreeSet::new();
        for region in self.config.regions.keys() {
            let machines = self.site(region, run).machines().await.ok()?;
            let alive = machines.iter().filter(|machine| !machine.has_ended());
            tokens.extend(alive.filter_map(|machine| machine.token.clone()));
        }
        Some(tokens.into_iter().collect())
    }

    async fn reboot(&self, token: &MachineToken) -> Result<(), ControlError> {
        let machine = self.running(token).await?;
        let rebooted = async {
            let line = &machine.site.line;
            let call = line.client.reboot_instances().instance_ids(&machine.id);
            line.call(Api::Mutating, 0, || call.clone().send()).await?;
            // EC2 answers before anything has happened.
            self.until_down(&machine).await?;
            self.until_back(&machine).await
        };
        rebooted.await.map_err(|error| control_error(token, &error))
    }

    async fn stop(&self, token: &MachineToken) -> Result<(), ControlError> {
        let machine = self.running(token).await?;
        let stopped = async {
            let line = &machine.site.line;
            let call = line.client.stop_instances().instance_ids(&machine.id);
            line.call(Api::StopInstances, 1, || call.clone().send())
                .await?;
            launch::until(&machine.site, &machine.id, &InstanceStateName::Stopped).await
        };
        let stopped = stopped.await.map(drop);
        stopped.map_err(|error| control_error(token, &error))
    }

    /// The machine may come back at another address, which is dialled from then on.
    async fn start(&self, token: &MachineToken) -> Result<(), ControlError> {
        let machine = self.running(token).await?;
        let started = async {
            let line = &machine.site.line;
            let call = line.client.start_instances().instance_ids(&machine.id);
            line.call(Api::StartInstances, 1, || call.clone().send())
                .await?;
            self.until_back(&machine).await
        };
        started.await.map_err(|error| control_error(token, &error))
    }

    async fn attach(
        &self,
        token: &MachineToken,
        disk: &DiskRequest,
    ) -> Result<AttachedDisk, ControlError> {
        let running = self.running(token).await?;
        let Running { site, id, .. } = &running;
        let attached = async {
            if let Some(volume) = self.known_volume(token, disk.disk).await
                && volume::attachment(&site.line, &volume).await?.is_some()
            {
                let message = format!("the disk {} is attached already", disk.name);
                return Err(CallError::told(Meaning::Busy, message));
            }
            let machine = launch::until(site, id, &InstanceStateName::Running).await?;
            let volume = self.volume_of(token, &machine, site, disk).await?;
            volume::attach(&site.line, id, &volume, self.config.patience).await?;
            Ok(volume::attached(disk.disk, &volume, running.is_nitro))
        };
        attached.await.map_err(|error| control_error(token, &error))
    }

    async fn detach(
        &self,
        token: &MachineToken,
        disk: DiskIx,
        mode: DetachMode,
    ) -> Result<(), ControlError> {
        let running = self.running(token).await?;
        let Some(volume) = self.known_volume(token, disk).await else {
            return Ok(());
        };
        self.held(token).lock().await.detached.insert(disk);
        let (line, patience) = (&running.site.line, self.config.patience);
        let detached = volume::detach(line, &running.id, &volume, mode, patience).await;
        detached.map_err(|error| control_error(token, &error))
    }

    async fn is_attached(&self, token: &MachineToken, disk: DiskIx) -> Result<bool, ControlError> {
        let running = self.running(token).await?;
        let Some(volume) = self.known_volume(token, disk).await else {
            return Ok(false);
        };
        let state = volume::attachment(&running.site.line, &volume).await;
        let state = state.map_err(|error| control_error(token, &error))?;
        Ok(state.is_some_and(|state| state != VolumeAttachmentState::Detached))
    }

    async fn console(&self, token: &MachineToken) -> Result<Vec<u8>, ControlError> {
        let machine = self.running(token).await?;
        let said = console::read(&machine.site.line, &machine.id, machine.is_nitro).await;
        said.map_err(|error| control_error(token, &error))
    }

    async fn interruption(&self, token: &MachineToken) -> Result<Option<String>, ControlError> {
        let running = self.running(token).await?;
        let machines = running.site.machines().await;
        let machines = machines.map_err(|error| control_error(token, &error))?;
        let mine = machines.iter().find(|machine| machine.id == running.id);
        Ok(mine.and_then(interruption))
    }
}

/// What is known of a machine's being taken back.
///
/// Source: EC2 API reference, *StateReason*.
fn interruption(machine: &InstanceView) -> Option<String> {
    let (code, _) = machine.reason.as_ref()?;
    match code.as_str() {
        "Server.SpotInstanceTermination" => Some("EC2 took the spot machine back".to_owned()),
        "Server.SpotInstanceShutdown" => Some("EC2 stopped the spot machine".to_owned()),
        _ => None,
    }
}
