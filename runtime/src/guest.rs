//! A machine at work: the login to it, its disks, and what is done to it from outside.
//!
//! The executions of a life run side by side, and a step of one of them may attach a disk, so what is
//! known of the machine is behind a lock, which is held for no longer than a look. While a machine is
//! rebooted or stopped nothing else runs on it: [`crate::state`] sees to that.

mod connect;
mod disk_node;
mod first_boot;
mod witness;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dva_plan::plan::{Capability, DiskIx, Machine};
use dva_plan::step::DetachMode;
use dva_plan::{ExecutionPlan, FailureClass};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info};

use crate::environment::{self, Look, Root};
use crate::event::Ending;
use crate::provider::{
    self, AcquiredMachine, AttachedDisk, Backend, ControlError, ControlErrorKind, DiskRequest,
    FirstBoot, MachineToken,
};
use crate::transport::{ExecRequest, Purpose, Reach, Session, StreamPlan};
pub(crate) use connect::Refused;
use disk_node::{AGAIN, SHOWING};
use first_boot::{Booted, WaitError};
pub(crate) use witness::{Cause, Witness};

/// How long leaving a machine may take.
const CLOSING: Duration = Duration::from_secs(5);
/// How long a machine that goes down may still answer after it has dropped us.
const GOING_DOWN: Duration = Duration::from_secs(3);
/// How long a machine that boots may take before anybody looks for what keeps it from that.
const BOOTING: Duration = Duration::from_secs(30);
/// How long a machine may take to say that it will reboot.
const ASKING: Duration = Duration::from_secs(10);

/// A machine that tests run on.
pub(crate) struct Guest {
    backend: Backend,
    token: MachineToken,
    /// What was obtained.
    pub machine: Machine,
    reach: Reach,
    /// How long a machine may take to let us in.
    limit: Duration,
    state: Mutex<State>,
    /// What has become of it, once a connection broke in the middle of a command.
    fate: OnceCell<Fate>,
    /// Who knows of it when it does not answer.
    witness: Witness,
}

struct State {
    /// Absent while it is stopped.
    link: Option<Link>,
    disks: Vec<GuestDisk>,
}

/// A login, and what it found.
#[derive(Clone)]
pub(crate) struct Link {
    pub session: Arc<dyn Session>,
    /// Who logged in.
    user: String,
    pub root: Root,
    /// Absent where the kernel has none.
    boot: Option<String>,
    /// How many of its connections had broken when the boot id was read.
    broken: u64,
}

struct GuestDisk {
    /// As the provider has named it.
    told: AttachedDisk,
    /// As the machine has it.
    attached: AttachedDisk,
    /// Whether it is to go as soon as the machine lets go of it.
    leaves: bool,
}

impl GuestDisk {
    /// A disk, once the machine has it.
    ///
    /// # Errors
    /// What happened instead, as the end of a sentence.
    async fn found(link: &Link, told: AttachedDisk, within: Duration) -> Result<Self, String> {
        let attached = disk_node::find(link, told.clone(), within).await?;
        Ok(Self {
            told,
            attached,
            leaves: false,
        })
    }
}

/// What has become of a machine whose connection broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is as it was: the network's trouble.
    Same,
    /// It has booted since.
    Rebooted,
    /// It does not answer any more, or not as it was, and this is known to be why.
    Ended(Cause),
    /// It cannot be reached any more; the sentence says how.
    Unreachable(String),
}

/// A reboot, stop or start that did not work.
#[derive(Debug)]
pub(crate) enum Unturned {
    /// The provider would not.
    Provider(ControlError),
    /// It is not in the state for it; a sentence.
    State(&'static str),
    /// The machine did not come back as it should.
    Gone(Refused),
}

impl Guest {
    /// Logs in to a machine that was just started, and waits until it is done with its first boot and has its disks. What
    /// did not go well there, as the end of a sentence, beside it.
    pub(crate) async fn log_in(
        witness: Witness,
        acquired: AcquiredMachine,
        limit: Duration,
    ) -> Result<(Self, Option<String>), Refused> {
        let deadline = Instant::now() + limit;
        let mut link = come_up(&witness, &acquired.reach, deadline, None).await?;
        let mut warning = None;
        if acquired.first_boot == FirstBoot::CloudInit {
            (link, warning) = boot_first(&witness, &acquired.reach, deadline, link).await?;
        }
        if acquired.reach.users.len() > 1 {
            info!(target: "dva", token = %witness.token, user = %link.user, "a machine has let us in");
        }
        let Witness { backend, token, .. } = witness.clone();
        let mut disks = Vec::with_capacity(acquired.disks.len());
        for disk in acquired.disks {
            disks.push(
                GuestDisk::found(&link, disk, SHOWING)
                    .await
                    .map_err(|problem| Refused {
                        class: FailureClass::MachineAcquire,
                        message: format!(
                            "The machine came up without one of its disks: {problem}."
                        ),
                    })?,
            );
        }
        let guest = Self {
            backend,
            token,
            machine: acquired.machine,
            // Whom it has let in once it lets in again.
            reach: acquired.reach.for_user(&link.user),
            limit,
            state: Mutex::new(State {
                link: Some(link),
                disks,
            }),
            fate: OnceCell::new(),
            witness,
        };
        Ok((guest, warning))
    }

    /// The login; `None` while the machine is stopped.
    pub(crate) fn link(&self) -> Option<Link> {
        self.state().link.clone()
    }

    /// The disks that are attached.
    pub(crate) fn disks(&self) -> Vec<AttachedDisk> {
        let state = self.state();
        state
            .disks
            .iter()
            .map(|disk| disk.attached.clone())
            .collect()
    }

    /// What has become of the machine now that a connection broke in the middle of a command. Asked by
    /// several, it is found out once.
    pub(crate) async fn fate(&self) -> &Fate {
        self.fate.get_or_init(|| self.find_fate()).await
    }

    /// Looks for the machine, and meanwhile for what may be known of it: one whose kernel gave up, or that was
    /// taken back, is not waited for.
    async fn find_fate(&self) -> Fate {
        let fate = tokio::select! {
            biased;
            cause = self.witness.certain_end(Duration::ZERO) => return Fate::Ended(cause),
            fate = self.find_again() => fate,
        };
        let cause = match fate {
            Fate::Same | Fate::Ended(_) => None,
            Fate::Rebooted => self.witness.end().await,
            Fate::Unreachable(_) => self.witness.cause().await,
        };
        cause.map_or(fate, Fate::Ended)
    }

    async fn find_again(&self) -> Fate {
        let Some(before) = self.link().map(|link| link.boot) else {
            return Fate::Same;
        };
        let deadline = Instant::now() + self.limit;
        // A machine that goes down may let us in once more on its way.
        let mut looks = 2;
        loop {
            let transport = &*self.backend.transport;
            let link = match connect::log_in(transport, &self.reach, deadline, None).await {
                Ok(link) => link,
                Err(refused) => return Fate::Unreachable(refused.message),
            };
            let _ = timeout(CLOSING, link.session.close()).await;
            if before.is_some() && link.boot != before {
                info!(target: "dva", token = %self.token, "a machine has rebooted by itself");
                return Fate::Rebooted;
            }
            looks -= 1;
            if looks == 0 || before.is_none() {
                return Fate::Same;
            }
            sleep(GOING_DOWN).await;
        }
    }

    /// Whether the machine has booted since the login, where a connection has broken that nobody used.
    /// To be asked before a command is sent, which would take a fresh connection.
    pub(crate) async fn rebooted_unnoticed(&self) -> bool {
        let Some(link) = self.link() else {
            return false;
        };
        let broken = link.session.broken_connections();
        if broken == link.broken {
            return false;
        }
        // Where this does not work either, the command itself will meet the trouble.
        let Ok(Look { boot, .. }) = connect::look(&*link.session).await else {
            return false;
        };
        if boot != link.boot {
            return true;
        }
        if let Some(link) = &mut self.state().link {
            link.broken = broken;
        }
        false
    }

    /// Why its kernel gave up, where its console says that it did.
    pub(crate) async fn end(&self) -> Option<Cause> {
        self.witness.end().await
    }

    /// Restarts the machine and logs in again.
    pub(crate) async fn reboot(&self, deadline: Instant) -> Result<(), Unturned> {
        let before = self.link().ok_or(Unturned::State("it is stopped"))?;
        debug!(target: "dva", token = %self.token, "reboot");
        match self.backend.provider.reboot(&self.token).await {
            Ok(()) => {}
            // A machine that only we can reach is asked itself.
            Err(error)
                if error.kind == ControlErrorKind::Unsupported && self.can(Capability::Reboot) =>
            {
                let ask = before
                    .session
                    .exec(command(environment::reboot(before.root)));
                // It may be gone before it has answered.
                let _ = timeout(ASKING, ask).await;
            }
            Err(error) => return Err(Unturned::Provider(error)),
        }
        self.return_after(before, deadline).await
    }

    /// Stops the machine.
    pub(crate) async fn stop(&self) -> Result<(), Unturned> {
        let before = self
            .link()
            .ok_or(Unturned::State("it is stopped already"))?;
        debug!(target: "dva", token = %self.token, "stop");
        let stopped = self.backend.provider.stop(&self.token).await;
        stopped.map_err(Unturned::Provider)?;
        self.leave(before).await;
        Ok(())
    }

    /// Starts the machine that was stopped and logs in again.
    pub(crate) async fn start(&self, deadline: Instant) -> Result<(), Unturned> {
        if self.link().is_some() {
            return Err(Unturned::State("it runs already"));
        }
        debug!(target: "dva", token = %self.token, "start");
        let started = self.backend.provider.start(&self.token).await;
        started.map_err(Unturned::Provider)?;
        self.enter(None, deadline).await
    }

    async fn return_after(&self, before: Link, deadline: Instant) -> Result<(), Unturned> {
        let boot = before.boot.clone();
        self.leave(before).await;
        self.enter(boot.as_deref(), deadline).await
    }

    async fn leave(&self, link: Link) {
        self.state().link = None;
        // A session that does not close loses its machine anyway.
        let _ = timeout(CLOSING, link.session.close()).await;
    }

    /// Logs in, to a machine that has booted since the boot id `before`.
    async fn enter(&self, before: Option<&str>, deadline: Instant) -> Result<(), Unturned> {
        let link = come_up(&self.witness, &self.reach, deadline, before).await;
        let link = link.map_err(Unturned::Gone)?;
        self.state().link = Some(link.clone());
        self.find_disks_again(&link).await;
        Ok(())
    }

    /// After a boot the kernel may name disks otherwise. One that is not there is met by whoever uses it.
    async fn find_disks_again(&self, link: &Link) {
        let stays = |state: &State| {
            let disks = state.disks.iter().filter(|disk| !disk.leaves);
            disks.map(|disk| disk.told.clone()).collect()
        };
        let told: Vec<AttachedDisk> = stays(&self.state());
        for told in told {
            let Ok(found) = GuestDisk::found(link, told, AGAIN).await else {
                continue;
            };
            let mut state = self.state();
            let mut disks = state.disks.iter_mut();
            if let Some(disk) = disks.find(|disk| disk.told.disk == found.told.disk) {
                disk.attached = found.attached;
            }
        }
    }

    /// Attaches a disk.
    pub(crate) async fn attach(
        &self,
        plan: &ExecutionPlan,
        disk: DiskIx,
    ) -> Result<AttachedDisk, ControlError> {
        let request = disk_request(plan, disk);
        let told = self.backend.provider.attach(&self.token, &request).await?;
        let found = match self.link() {
            Some(link) => GuestDisk::found(&link, told, SHOWING).await,
            None => Ok(GuestDisk {
                attached: told.clone(),
                told,
                leaves: false,
            }),
        };
        let found = found.map_err(|message| ControlError {
            token: self.token.clone(),
            kind: ControlErrorKind::Broken,
            message,
        })?;
        let attached = found.attached.clone();
        let mut state = self.state();
        state.disks.retain(|known| known.attached.disk != disk);
        state.disks.push(found);
        Ok(attached)
    }

    /// Detaches a disk.
    pub(crate) async fn detach(&self, disk: DiskIx, how: DetachMode) -> Result<(), ControlError> {
        let mode = match how {
            DetachMode::Wait => provider::DetachMode::Wait,
            DetachMode::Nowait => provider::DetachMode::Nowait,
            DetachMode::Force => provider::DetachMode::Force,
        };
        self.backend
            .provider
            .detach(&self.token, disk, mode)
            .await?;
        let mut state = self.state();
        if how == DetachMode::Nowait {
            let mut disks = state.disks.iter_mut();
            if let Some(known) = disks.find(|known| known.attached.disk == disk) {
                known.leaves = true;
            }
        } else {
            state.disks.retain(|known| known.attached.disk != disk);
        }
        Ok(())
    }

    /// Learns which of `disks` have gone. Where the provider cannot tell, what was asked of it counts as
    /// done.
    pub(crate) async fn refresh(&self, disks: &BTreeSet<DiskIx>) -> Result<(), ControlError> {
        for disk in disks {
            let known = |of: &GuestDisk| of.attached.disk == *disk;
            let Some(leaves) = self
                .state()
                .disks
                .iter()
                .find(|of| known(of))
                .map(|of| of.leaves)
            else {
                continue;
            };
            let stays = match self.backend.provider.is_attached(&self.token, *disk).await {
                Ok(is_attached) => is_attached,
                Err(error) if error.kind == ControlErrorKind::Unsupported => !leaves,
                Err(error) => return Err(error),
            };
            if !stays {
                self.state().disks.retain(|of| !known(of));
            }
        }
        Ok(())
    }

    /// What the machine has said on its console.
    pub(crate) async fn console(&self) -> Result<Vec<u8>, ControlError> {
        self.backend.provider.console(&self.token).await
    }

    /// Logs out.
    pub(crate) async fn close(&self) {
        if let Some(link) = self.link() {
            // A session that does not close is closed by the end of its machine.
            let _ = timeout(CLOSING, link.session.close()).await;
        }
    }

    fn can(&self, capability: Capability) -> bool {
        self.backend.provider.capabilities().contains(&capability)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Logs in to a machine that boots. Where it does not let us in, what is known of it says why; once that is
/// certain, nobody waits on.
async fn come_up(
    witness: &Witness,
    reach: &Reach,
    deadline: Instant,
    before: Option<&str>,
) -> Result<Link, Refused> {
    let transport = &*witness.backend.transport;
    let refused = tokio::select! {
        biased;
        link = connect::log_in(transport, reach, deadline, before) => match link {
            Err(refused) if refused.is_silence() => refused,
            link => return link,
        },
        cause = witness.certain_end(BOOTING) => return Err(cause.refused()),
    };
    match witness.cause().await {
        Some(cause) => Err(Refused {
            class: cause.class,
            message: format!("{} {cause}", refused.message),
        }),
        None => Err(refused),
    }
}

/// Waits until a machine is done with its first boot; logs in again where it drops us meanwhile. What did not go well
/// is beside the login.
async fn boot_first(
    witness: &Witness,
    reach: &Reach,
    deadline: Instant,
    mut link: Link,
) -> Result<(Link, Option<String>), Refused> {
    loop {
        match first_boot::wait_for_cloud_init(&link, deadline).await {
            Ok(Booted::Well) => return Ok((link, None)),
            Ok(Booted::With(warning)) => return Ok((link, Some(warning))),
            Err(WaitError::Late(refused)) => return Err(refused),
            Err(WaitError::Broken(error)) => {
                debug!(target: "dva", token = %witness.token, %error, "dropped by a machine that boots");
                let _ = timeout(CLOSING, link.session.close()).await;
                sleep(GOING_DOWN).await;
                link = come_up(witness, reach, deadline, None).await?;
            }
        }
    }
}

/// What to ask the provider for.
pub(crate) fn disk_request(plan: &ExecutionPlan, disk: DiskIx) -> DiskRequest {
    DiskRequest {
        disk,
        name: plan.disks[disk].name.clone(),
        size_bytes: plan.disks[disk].size_bytes,
    }
}

/// A command of ours.
pub(crate) fn command(command: String) -> ExecRequest {
    ExecRequest {
        command,
        stdin: Vec::new(),
        stdout: StreamPlan::default(),
        stderr: StreamPlan::default(),
        purpose: Purpose::Housekeeping,
    }
}

impl Refused {
    /// Whether it says nothing, or nothing new: its console may.
    fn is_silence(&self) -> bool {
        matches!(
            self.class,
            FailureClass::SshConnectTimeout | FailureClass::Reboot
        )
    }

    /// How a test ends that wanted the machine back: what a machine shows that is not its own, and one that was
    /// taken back, are nobody's failure.
    pub(crate) fn ending(&self) -> Ending {
        match self.class {
            FailureClass::SshHostKey | FailureClass::MachineInterrupted => {
                Ending::Errored(self.class)
            }
            class if class.is_of_console() => Ending::Failed(class),
            _ => Ending::Failed(FailureClass::Reboot),
        }
    }
}
