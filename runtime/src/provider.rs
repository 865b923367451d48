//! Providers: where machines come from.
//!
//! A provider starts and ends machines and knows nothing of tests. How to talk to a machine is the
//! business of [`crate::transport`]; a provider only hands out the way to it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::plan::{BootMode, Capability, DiskIx, ImageSource, Machine, Network};
use dva_plan::quote::Market;
use dva_plan::{CellId, RunId};
use thiserror::Error;

use crate::transport::Reach;

/// A source of machines. Object-safe; one value serves a whole run, from many tasks at once.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Its name, as given to `--provider`.
    fn name(&self) -> &'static str;

    /// Whether it can start this image on this machine, known before anything is launched.
    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool;

    /// What its machines can do. Tests that need more are skipped before anything is launched.
    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::new()
    }

    /// When consoles are worth a look.
    fn console_use(&self) -> ConsoleUse {
        ConsoleUse::Always
    }

    /// How its machines can be bought. A plan that wants none of these is not run.
    fn markets(&self) -> &'static [Market] {
        &[Market::OnDemand]
    }

    /// Starts a machine and returns once its SSH port can be dialled; the machine may still refuse.
    ///
    /// Idempotent by token: asked twice with one token it gives the machine it gave before. Where that is none, for a
    /// reason of its kind ([`AcquireErrorKind::is_of_its_kind`]), another machine may be asked for with the same token.
    ///
    /// # Errors
    /// [`AcquireError`]; whatever was started for the token has been ended again.
    ///
    /// # Cancellation
    /// Dropping the future may leave a machine behind; [`Provider::release_token`] ends it.
    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError>;

    /// Ends the machine of a token and returns once nothing of it is left. Idempotent: a machine that
    /// is gone, or never was, is no error.
    ///
    /// # Errors
    /// [`ReleaseError`]: the machine may still be there.
    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError>;

    /// The machines of a run that are there, or may be; `None` where this provider cannot tell.
    async fn of_run(&self, run: &RunId) -> Option<Vec<MachineToken>> {
        let _ = run;
        None
    }

    /// Ends all that a run has made beside its machines, such as key pairs and security groups, whoever made it: called
    /// when its machines have ended and none is kept. Idempotent; a run that has made nothing is no error.
    ///
    /// # Errors
    /// [`EndRunError`]: something may still be there.
    ///
    /// # Cancellation
    /// Dropping the future leaves what is there; it is to be called again.
    async fn end_run(&self, run: &RunId) -> Result<(), EndRunError> {
        let _ = run;
        Ok(())
    }

    /// Restarts a machine's system: every process on it ends, its disks and its host key stay, and its
    /// boot id is another. Returns once its SSH port can be dialled again, at the address it had.
    ///
    /// # Errors
    /// [`ControlError`]. Where this is no [`ControlErrorKind::Unsupported`], the machine may be unusable.
    async fn reboot(&self, token: &MachineToken) -> Result<(), ControlError> {
        Err(ControlError::unsupported(token, "reboot"))
    }

    /// Stops a machine, which keeps its disks and stays acquired. One that is stopped is left so. Its SSH
    /// port may be refused meanwhile, or be dialled and say nothing until the machine is started.
    ///
    /// # Errors
    /// [`ControlError`].
    async fn stop(&self, token: &MachineToken) -> Result<(), ControlError> {
        Err(ControlError::unsupported(token, "stop"))
    }

    /// Starts a machine that was stopped. Returns as [`Provider::reboot`] does; one that runs is left so.
    ///
    /// # Errors
    /// [`ControlError`].
    async fn start(&self, token: &MachineToken) -> Result<(), ControlError> {
        Err(ControlError::unsupported(token, "start"))
    }

    /// Attaches a disk to a running machine and returns once its node is there. A disk of this index that
    /// was attached before, and detached since, comes back with what was on it; any other is blank.
    ///
    /// # Errors
    /// [`ControlError`]: of kind [`ControlErrorKind::Busy`] where the disk is attached already.
    async fn attach(
        &self,
        token: &MachineToken,
        disk: &DiskRequest,
    ) -> Result<AttachedDisk, ControlError> {
        let _ = disk;
        Err(ControlError::unsupported(token, "attach a disk"))
    }

    /// Detaches a disk from a running machine. One that is not attached is left so. What is on it is kept
    /// until the machine ends.
    ///
    /// # Errors
    /// [`ControlError`]: of kind [`ControlErrorKind::Busy`] where the machine uses the disk and `mode` is
    /// [`DetachMode::Wait`].
    async fn detach(
        &self,
        token: &MachineToken,
        disk: DiskIx,
        mode: DetachMode,
    ) -> Result<(), ControlError> {
        let _ = (disk, mode);
        Err(ControlError::unsupported(token, "detach a disk"))
    }

    /// Whether a disk is attached to a machine: one that was to be detached without waiting still is as
    /// long as the machine uses it. Where this is [`ControlErrorKind::Unsupported`], what was asked of the
    /// provider counts as done.
    ///
    /// # Errors
    /// [`ControlError`].
    async fn is_attached(&self, token: &MachineToken, disk: DiskIx) -> Result<bool, ControlError> {
        let _ = disk;
        Err(ControlError::unsupported(
            token,
            "tell whether a disk is attached",
        ))
    }

    /// What a machine has said on its console since it was started: of much, the last part.
    ///
    /// # Errors
    /// [`ControlError`].
    async fn console(&self, token: &MachineToken) -> Result<Vec<u8>, ControlError> {
        Err(ControlError::unsupported(token, "show its console"))
    }

    /// Whether a machine was taken back by its provider, as spot machines are, or is about to be: what is known
    /// of that, as the end of a sentence; `None` where it was not.
    ///
    /// # Errors
    /// [`ControlError`].
    async fn interruption(&self, token: &MachineToken) -> Result<Option<String>, ControlError> {
        Err(ControlError::unsupported(
            token,
            "tell why a machine has gone",
        ))
    }

    /// Lets a machine live on for so long after this run, and this process, have gone. It ends itself
    /// then; nobody asks this provider about it any more.
    ///
    /// # Errors
    /// [`ControlError`]; the machine is to be released then.
    async fn keep(&self, token: &MachineToken, lifetime: Duration) -> Result<(), ControlError> {
        let _ = lifetime;
        Err(ControlError::unsupported(token, "keep a machine"))
    }
}

/// When consoles are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsoleUse {
    /// At the end of every machine, for something that somebody should look at.
    Always,
    /// Where something has failed, or could not be judged: a look takes a call of which there are few.
    AfterFailures,
}

/// How a disk is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetachMode {
    /// Returns once the disk has gone from the machine; refused where the machine uses it.
    Wait,
    /// Asks, and returns without waiting: where the machine uses the disk, it goes when the machine has
    /// let go of it.
    Nowait,
    /// Pulls it, as one pulls a cable: who uses it meets errors.
    Force,
}

/// The name under which a machine is asked for: unique to one life of one run, chosen before the call.
/// Lower-case letters, digits and hyphens, at most 60 of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineToken(String);

impl MachineToken {
    /// The token of life number `life` of `run`.
    #[must_use]
    pub fn new(run: &RunId, life: u32) -> Self {
        Self(format!("{run}-{life}"))
    }

    /// A token that was read somewhere; `None` where it is none of `run`.
    #[must_use]
    pub fn of_run(run: &RunId, text: &str) -> Option<Self> {
        let life = text.strip_prefix(run.as_str())?.strip_prefix('-')?;
        life.parse::<u32>().ok().map(|life| Self::new(run, life))
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> RunId {
        let run = self.0.rsplit_once('-').map(|(run, _)| run);
        RunId::new(run.unwrap_or(&self.0))
    }

    /// The number of the life.
    #[must_use]
    pub fn life(&self) -> u32 {
        let number = self.0.rsplit_once('-').map(|(_, number)| number.parse());
        number.and_then(Result::ok).unwrap_or_default()
    }

    /// The token as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What machine is wanted.
#[derive(Clone, Debug)]
pub struct MachineRequest {
    /// The name to ask under.
    pub token: MachineToken,
    /// The run it is for; becomes a tag.
    pub run: RunId,
    /// The cell it is for; becomes a tag.
    pub cell: CellId,
    /// Its image.
    pub image: ImageSource,
    /// The accounts of the image to log in to, tried in this order; where it has none, the provider's usual
    /// one.
    pub logins: Vec<String>,
    /// Its region, type and size.
    pub machine: Machine,
    /// Extra blank disks to attach before the first test.
    pub disks: Vec<DiskRequest>,
    /// What it needs at its launch. Only of a provider whose machines can be given all of it.
    pub boot: BootRequest,
    /// What its network must be.
    pub network: Network,
    /// The value of the cell's axis `network`, where it has one: what people call the network that is wanted.
    pub network_name: Option<String>,
    /// How it may be bought, the best way first; empty for on demand.
    pub market: Vec<Market>,
    /// How long it may live at most; it ends itself then, whoever is still there.
    pub lifetime: Duration,
}

/// What a machine needs at its launch. What is absent is left to the image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootRequest {
    /// The user data.
    pub user_data: Option<Vec<u8>>,
    /// What starts its image.
    pub mode: Option<BootMode>,
    /// The size of its root disk in bytes.
    pub root_bytes: Option<u64>,
}

/// An extra disk of a machine.
#[derive(Clone, Debug)]
pub struct DiskRequest {
    /// Which disk of the plan.
    pub disk: DiskIx,
    /// Its name, for messages.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// A machine that was started.
#[derive(Clone)]
pub struct AcquiredMachine {
    /// The provider's own name for it, for people.
    pub id: String,
    /// What was really obtained: `machine(…)` of expressions reads this.
    pub machine: Machine,
    /// How to reach its SSH port.
    pub reach: Reach,
    /// Its extra disks.
    pub disks: Vec<AttachedDisk>,
    /// What is to be waited for after the login, before anything is done there.
    pub first_boot: FirstBoot,
}

/// What a machine does by itself when it boots for the first time, beside what every boot does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstBoot {
    /// Nothing that is to be waited for.
    #[default]
    Nothing,
    /// It runs cloud-init, if its image has that.
    CloudInit,
}

/// An extra disk as the machine sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttachedDisk {
    /// Which disk of the plan.
    pub disk: DiskIx,
    /// The path of its device node on the machine, for example `/dev/sdb`, or a link to it below `/dev/disk/`.
    pub device: String,
    /// Its serial number as the machine's kernel shows it, where the provider knows that. Then nobody takes `device` to
    /// be there before the machine says so, and where it never comes the disk is found by this.
    pub serial: Option<String>,
}

impl AttachedDisk {
    /// The path of the node of partition `number`: a `p` goes between where the device's name ends
    /// in a digit, as in `/dev/nvme1n1p1`. Links of udev have `-part`, whatever they end in.
    #[must_use]
    pub fn partition(&self, number: u32) -> String {
        let separator = if self.device.starts_with("/dev/disk/") {
            "-part"
        } else if self.device.ends_with(|last: char| last.is_ascii_digit()) {
            "p"
        } else {
            ""
        };
        format!("{}{separator}{number}", self.device)
    }
}

/// A machine that could not be started.
#[derive(Clone, Debug, Error)]
#[error("start {machine_type} in {region}: {message}")]
pub struct AcquireError {
    /// The type that was asked for.
    pub machine_type: String,
    /// The region it was asked of.
    pub region: String,
    /// Whose trouble it is.
    pub kind: AcquireErrorKind,
    /// What happened, in the provider's words.
    pub message: String,
}

/// Whose trouble a failed start is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireErrorKind {
    /// There is no such machine to be had now.
    Capacity,
    /// The account may not have it.
    Quota,
    /// The provider cannot do this at all.
    Unsupported,
    /// The provider has too much to do for now, or was called too often: asked again later it may give the
    /// machine.
    Throttled,
    /// Something broke.
    Broken,
}

impl AcquireErrorKind {
    /// Whether it is the machine's type or region that keeps it from being started, so that another one may be had.
    #[must_use]
    pub fn is_of_its_kind(self) -> bool {
        match self {
            Self::Capacity | Self::Quota | Self::Unsupported => true,
            Self::Throttled | Self::Broken => false,
        }
    }
}

/// A machine that may still be there.
#[derive(Clone, Debug, Error)]
#[error("end machine {token}: {message}")]
pub struct ReleaseError {
    /// The machine.
    pub token: MachineToken,
    /// What happened, and the command that ends it.
    pub message: String,
}

/// What a run has made beside its machines may still be there.
#[derive(Clone, Debug, Error)]
#[error("end run {run} in {region}: {message}")]
pub struct EndRunError {
    /// The run.
    pub run: RunId,
    /// Where it may still be.
    pub region: String,
    /// What may still be there, and what ends it.
    pub message: String,
}

/// Something that could not be done to a machine that runs.
#[derive(Clone, Debug, Error)]
#[error("machine {token}: {message}")]
pub struct ControlError {
    /// The machine.
    pub token: MachineToken,
    /// What is in the way.
    pub kind: ControlErrorKind,
    /// What happened, in the provider's words.
    pub message: String,
}

impl ControlError {
    /// A provider cannot do this to any machine.
    fn unsupported(token: &MachineToken, what: &str) -> Self {
        Self {
            token: token.clone(),
            kind: ControlErrorKind::Unsupported,
            message: format!("this provider cannot {what}"),
        }
    }
}

/// What is in the way of changing a machine that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlErrorKind {
    /// The provider cannot do this at all.
    Unsupported,
    /// The machine is not in the state for it, or uses what is to be taken; nothing was changed.
    Busy,
    /// Something broke.
    Broken,
}

/// The way to a machine and the transport that speaks over it. What a run is given.
#[derive(Clone)]
pub struct Backend {
    /// Starts and ends machines.
    pub provider: Arc<dyn Provider>,
    /// Runs commands on them.
    pub transport: Arc<dyn crate::transport::Transport>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_tells_its_run_and_its_life() {
        let run = RunId::new("20261128-150000-4f2a");
        let token = MachineToken::new(&run, 7);
        assert_eq!((token.run(), token.life()), (run, 7));
    }

    #[test]
    fn partitions_are_named_as_the_kernel_names_them() {
        let disk = |device: &str| AttachedDisk {
            disk: DiskIx(0),
            device: device.into(),
            serial: None,
        };
        assert_eq!(disk("/dev/sdb").partition(1), "/dev/sdb1");
        assert_eq!(disk("/dev/nvme1n1").partition(2), "/dev/nvme1n1p2");
        assert_eq!(
            disk("/dev/disk/by-id/nvme-disk0").partition(3),
            "/dev/disk/by-id/nvme-disk0-part3"
        );
    }
}
