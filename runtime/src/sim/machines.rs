//! Simulated machines: their provider and the way to log in to them.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::plan::{Capability, DiskIx, ImageSource, Machine};
use dva_plan::quote::Market;
use dva_plan::{ExecutionPlan, RunId, TestId};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::fault::LifeFault;
use super::life::{Begun, Parting, SimLives, SimMachine, SimSpan};
use super::script::SimScript;
use super::session::{Login, SimSession};
use crate::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, AttachedDisk, ControlError, ControlErrorKind,
    DetachMode, DiskRequest, FirstBoot, MachineRequest, MachineToken, Provider, ReleaseError,
};
use crate::transport::{
    ByteStream, ConnectError, ConnectErrorKind, Dialer, HostKeyCheck, Reach, Session, Transport,
};

/// What is said where something was done and nobody heard of it.
const LOST: &str = "the provider's answer was lost on its way";

/// The machines of a simulator: at once its provider and its transport. Clones see the same ones.
#[derive(Clone)]
pub struct SimMachines {
    pub(super) plan: Arc<ExecutionPlan>,
    pub(super) script: Arc<SimScript>,
    lives: Arc<Mutex<SimLives>>,
}

impl SimMachines {
    pub(super) fn new(plan: Arc<ExecutionPlan>, script: SimScript) -> Self {
        Self {
            plan,
            script: Arc::new(script),
            lives: Arc::default(),
        }
    }

    /// The tokens of the machines that are there now, one for each.
    #[must_use]
    pub fn live(&self) -> Vec<String> {
        self.lock().machines()
    }

    /// How long each machine was there that there ever was.
    #[must_use]
    pub fn spans(&self) -> Vec<SimSpan> {
        self.lock().spans()
    }

    /// Ends the machine of a token when its time is over, unless it has gone before.
    fn end_in_time(&self, token: &str) {
        let (machines, token) = (self.clone(), token.to_owned());
        tokio::spawn(async move {
            // Its time may be changed while we wait.
            while let Some((ends, gone)) = machines.end_of(&token) {
                if ends <= Instant::now() {
                    if let Some(life) = machines.lock().of(&token) {
                        life.lose();
                    }
                    break;
                }
                tokio::select! {
                    () = gone.cancelled() => break,
                    () = sleep_until(ends) => {}
                }
            }
        });
    }

    fn end_of(&self, token: &str) -> Option<(Instant, CancellationToken)> {
        let mut lives = self.lock();
        let machine = lives.machine(token)?;
        Some((machine.ends, machine.gone.clone()))
    }

    /// A machine does something by itself in the middle of a command.
    pub(super) fn misbehave(&self, token: &str, how: impl FnOnce(&mut SimMachine)) {
        if let Some(machine) = self.lock().machine(token) {
            how(machine);
        }
    }

    /// A machine is taken away.
    pub(super) fn take_away(&self, token: &str) {
        if let Some(life) = self.lock().of(token) {
            life.take_back();
        }
    }

    /// Whether `test` begins only now on the life of a token.
    pub(super) fn begins(&self, token: &str, test: &TestId) -> bool {
        let mut lives = self.lock();
        let life = lives.of(token);
        life.is_some_and(|life| life.begun.insert(test.clone()))
    }

    /// Whether `test` has begun on the life of a token.
    pub(super) fn has_begun(&self, token: &str, test: &TestId) -> bool {
        let mut lives = self.lock();
        let life = lives.of(token);
        life.is_some_and(|life| life.begun.contains(test))
    }

    /// Does something to a machine that is there.
    fn control<T>(
        &self,
        token: &MachineToken,
        what: impl FnOnce(&mut SimMachine) -> Result<T, &'static str>,
    ) -> Result<T, ControlError> {
        let mut lives = self.lock();
        let machine = lives.machine(token.as_str());
        let done = machine.ok_or("there is no such machine").and_then(what);
        done.map_err(|message| ControlError {
            token: token.clone(),
            kind: ControlErrorKind::Busy,
            message: message.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, SimLives> {
        self.lives.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for SimMachines {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn serves(&self, _: &ImageSource, _: &Machine) -> bool {
        true
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([
            Capability::Kernel,
            Capability::Reboot,
            Capability::StopStart,
            Capability::Hotplug,
            Capability::UserData,
            Capability::BootMode,
            Capability::RootSize,
            Capability::Console,
        ])
    }

    fn markets(&self) -> &'static [Market] {
        &[Market::OnDemand, Market::Spot]
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let refused = |kind, message: &str| AcquireError {
            machine_type: request.machine.r#type.clone(),
            region: request.machine.region.clone(),
            kind,
            message: message.to_owned(),
        };
        let Some((cell, _)) = self
            .plan
            .cells
            .enumerate()
            .find(|(_, c)| c.id == request.cell)
        else {
            return Err(refused(
                AcquireErrorKind::Unsupported,
                "the simulator plays another plan",
            ));
        };
        let token = request.token.to_string();
        let (row, machine) = (&self.plan.cells[cell], &request.machine);
        let told = |number, is_first| self.script.life(row, number, machine, is_first);
        let wanted = (machine, request.lifetime);
        let begun = self.lock().begin(&token, cell, wanted, told);
        let Begun {
            number,
            told,
            is_new,
        } = begun.map_err(|(kind, message)| refused(kind, message))?;
        if is_new {
            self.end_in_time(&token);
        }
        if told.fault == Some(LifeFault::Stuck) {
            std::future::pending::<()>().await;
        }
        if is_new {
            if let Some(text) = self.script.boot_console(row, number, machine) {
                self.misbehave(&token, |machine| machine.says(text));
            }
            sleep(told.boot + told.late).await;
            if told.fault == Some(LifeFault::LostAnswer) {
                return Err(refused(AcquireErrorKind::Broken, LOST));
            }
        }
        let disks = self.lock().machine(&token).map(|machine| {
            let disks = request.disks.iter();
            disks.map(|disk| machine.attach(disk.disk)).collect()
        });
        Ok(AcquiredMachine {
            id: format!("sim-{token}"),
            machine: request.machine.clone(),
            reach: Reach {
                dialer: Arc::new(NoDialer),
                users: match request.logins.as_slice() {
                    [] => vec!["root".to_owned()],
                    logins => logins.to_vec(),
                },
                credentials: Vec::new(),
                host_key: HostKeyCheck::Pinned(token),
            },
            disks: disks.unwrap_or_default(),
            first_boot: FirstBoot::Nothing,
        })
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        let refused = |message: &str| ReleaseError {
            token: token.clone(),
            message: message.to_owned(),
        };
        let parting = self.lock().end(token.as_str());
        match parting {
            Parting::Absent => Ok(()),
            Parting::Stays(why) => Err(refused(why)),
            Parting::Ended(told) => {
                sleep(told.late).await;
                if let Some(LifeFault::LostAnswer | LifeFault::LostRelease) = told.fault {
                    return Err(refused(LOST));
                }
                Ok(())
            }
        }
    }

    async fn of_run(&self, run: &RunId) -> Option<Vec<MachineToken>> {
        let live = self.live();
        let tokens = live
            .iter()
            .filter_map(|text| MachineToken::of_run(run, text));
        Some(tokens.collect())
    }

    async fn reboot(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.control(token, |machine| {
            machine.reboot();
            Ok(())
        })
    }

    async fn stop(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.control(token, |machine| {
            machine.go_down();
            Ok(())
        })
    }

    async fn start(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.control(token, |machine| {
            machine.boot();
            Ok(())
        })
    }

    async fn attach(
        &self,
        token: &MachineToken,
        disk: &DiskRequest,
    ) -> Result<AttachedDisk, ControlError> {
        self.control(token, |machine| {
            if machine.attached.contains(&disk.disk) {
                return Err("it is attached already");
            }
            Ok(machine.attach(disk.disk))
        })
    }

    async fn detach(
        &self,
        token: &MachineToken,
        disk: DiskIx,
        _: DetachMode,
    ) -> Result<(), ControlError> {
        self.control(token, |machine| {
            machine.attached.remove(&disk);
            Ok(())
        })
    }

    async fn is_attached(&self, token: &MachineToken, disk: DiskIx) -> Result<bool, ControlError> {
        self.control(token, |machine| Ok(machine.attached.contains(&disk)))
    }

    /// One line for each boot, a panic, and what the script says. Steps that wait for the console do not look: a simulated login
    /// assumes.
    async fn console(&self, token: &MachineToken) -> Result<Vec<u8>, ControlError> {
        self.control(token, |machine| Ok(machine.console.clone().into_bytes()))
    }

    async fn keep(&self, token: &MachineToken, lifetime: Duration) -> Result<(), ControlError> {
        self.control(token, |machine| {
            machine.ends = Instant::now() + lifetime;
            Ok(())
        })
    }

    async fn interruption(&self, token: &MachineToken) -> Result<Option<String>, ControlError> {
        let mut lives = self.lock();
        let was_taken = lives.of(token.as_str()).is_some_and(|life| life.was_taken);
        Ok(was_taken.then(|| "the simulator was told that it wants it for others".to_owned()))
    }
}

#[async_trait]
impl Transport for SimMachines {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        let refused = |kind, message: &str| ConnectError {
            kind,
            message: message.to_owned(),
        };
        let HostKeyCheck::Pinned(token) = &reach.host_key else {
            return Err(refused(ConnectErrorKind::Unreachable, "no such machine"));
        };
        let mut lives = self.lock();
        let life = lives.of(token);
        let there = life.and_then(|life| Some((&*life, life.machine.as_ref()?)));
        let Some((life, machine)) = there else {
            return Err(refused(ConnectErrorKind::Unreachable, "no such machine"));
        };
        let Some(boots) = machine.boots else {
            return Err(refused(ConnectErrorKind::Unreachable, "nobody answers"));
        };
        if let Some((kind, message)) = life.told.fault.and_then(|fault| fault.closed(boots)) {
            return Err(refused(kind, message));
        }
        let login = Login {
            token: token.clone(),
            cell: life.cell,
            life: life.number,
            boot: format!("{token}-boot-{boots}"),
            down: machine.down.child_token(),
        };
        Ok(Arc::new(SimSession::new(self.clone(), login)))
    }
}

/// There is no wire to a machine that is not there.
struct NoDialer;

#[async_trait]
impl Dialer for NoDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "a simulated machine has no port",
        ))
    }
}
