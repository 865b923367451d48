//! Simulated machines: their provider and the way to log in to them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::plan::{Capability, CellIx, DiskIx, ImageSource, Machine};
use dva_plan::quote::Market;
use dva_plan::{ExecutionPlan, RunId};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::script::{LifeFault, SimScript};
use super::session::{Login, SimSession};
use crate::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, AttachedDisk, ControlError, ControlErrorKind,
    DetachMode, DiskRequest, MachineRequest, MachineToken, Provider, ReleaseError,
};
use crate::transport::{
    ByteStream, ConnectError, ConnectErrorKind, Dialer, HostKeyCheck, Reach, Session, Transport,
};

/// The machines of a simulator: at once its provider and its transport. Clones see the same ones.
#[derive(Clone)]
pub struct SimMachines {
    pub(super) plan: Arc<ExecutionPlan>,
    pub(super) script: Arc<SimScript>,
    live: Arc<Mutex<BTreeMap<String, SimMachine>>>,
    /// How many lives of each cell were asked for.
    lives: Arc<Mutex<BTreeMap<CellIx, u32>>>,
}

/// A machine that is there.
struct SimMachine {
    cell: CellIx,
    /// Which of the lives of its cell it is, from 0.
    life: u32,
    /// How often it has booted; absent while it is stopped.
    boots: Option<u32>,
    /// How often it had booted when it was stopped.
    last_boots: u32,
    /// Ends every connection of this boot.
    down: CancellationToken,
    /// The letters of the disks that it has had, in the order of their numbers.
    disks: BTreeMap<DiskIx, char>,
    attached: BTreeSet<DiskIx>,
}

impl SimMachine {
    fn new(cell: CellIx, life: u32) -> Self {
        Self {
            cell,
            life,
            boots: Some(0),
            last_boots: 0,
            down: CancellationToken::new(),
            disks: BTreeMap::new(),
            attached: BTreeSet::new(),
        }
    }

    fn go_down(&mut self) {
        self.down.cancel();
        self.last_boots = self.boots.take().unwrap_or(self.last_boots);
    }

    fn boot(&mut self) {
        self.down = CancellationToken::new();
        self.boots = Some(self.last_boots + 1);
    }

    fn attach(&mut self, disk: DiskIx) -> AttachedDisk {
        let next = ('b'..='z').nth(self.disks.len()).unwrap_or('z');
        let letter = *self.disks.entry(disk).or_insert(next);
        self.attached.insert(disk);
        AttachedDisk {
            disk,
            device: format!("/dev/sd{letter}"),
        }
    }
}

impl SimMachines {
    pub(super) fn new(plan: Arc<ExecutionPlan>, script: SimScript) -> Self {
        Self {
            plan,
            script: Arc::new(script),
            live: Arc::default(),
            lives: Arc::default(),
        }
    }

    /// The tokens of the machines that are there now.
    #[must_use]
    pub fn live(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// A machine reboots by itself.
    pub(super) fn crash(&self, token: &str) {
        if let Some(machine) = self.lock().get_mut(token) {
            machine.go_down();
            machine.boot();
        }
    }

    /// What is said about the life of a machine.
    fn told(&self, token: &str) -> Option<LifeFault> {
        let (cell, life) = self
            .lock()
            .get(token)
            .map(|machine| (machine.cell, machine.life))?;
        self.script.life(&self.plan.cells[cell], life).fault
    }

    /// The number of a life of `cell` that begins now.
    fn next_life(&self, cell: CellIx) -> u32 {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        let next = lives.entry(cell).or_default();
        let life = *next;
        *next += 1;
        life
    }

    /// Does something to a machine that runs.
    fn control<T>(
        &self,
        token: &MachineToken,
        what: impl FnOnce(&mut SimMachine) -> Result<T, &'static str>,
    ) -> Result<T, ControlError> {
        let mut machines = self.lock();
        let machine = machines.get_mut(token.as_str());
        let done = machine.ok_or("there is no such machine").and_then(what);
        done.map_err(|message| ControlError {
            token: token.clone(),
            kind: ControlErrorKind::Busy,
            message: message.to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SimMachine>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
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
        let number = self.next_life(cell);
        let life = self.script.life(&self.plan.cells[cell], number);
        match life.fault {
            Some(LifeFault::Capacity) => {
                return Err(refused(AcquireErrorKind::Capacity, "there is none left"));
            }
            Some(LifeFault::Quota) => {
                return Err(refused(AcquireErrorKind::Quota, "the quota is used up"));
            }
            Some(LifeFault::Broken) => {
                return Err(refused(AcquireErrorKind::Broken, "something broke"));
            }
            Some(
                LifeFault::Stuck
                | LifeFault::Silent
                | LifeFault::Auth
                | LifeFault::HostKey
                | LifeFault::NoReturn
                | LifeFault::Release,
            )
            | None => {}
        }
        let token = request.token.to_string();
        self.lock()
            .insert(token.clone(), SimMachine::new(cell, number));
        if life.fault == Some(LifeFault::Stuck) {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(life.boot_ms)).await;
        let disks = self.lock().get_mut(&token).map(|machine| {
            let disks = request.disks.iter();
            disks.map(|disk| machine.attach(disk.disk)).collect()
        });
        Ok(AcquiredMachine {
            id: format!("sim-{token}"),
            machine: request.machine.clone(),
            reach: Reach {
                dialer: Arc::new(NoDialer),
                user: "root".to_owned(),
                credentials: Vec::new(),
                host_key: HostKeyCheck::Pinned(token),
            },
            disks: disks.unwrap_or_default(),
        })
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        if self.told(token.as_str()) == Some(LifeFault::Release) {
            return Err(ReleaseError {
                token: token.clone(),
                message: "the simulator was told to keep it".to_owned(),
            });
        }
        if let Some(machine) = self.lock().remove(token.as_str()) {
            machine.down.cancel();
        }
        Ok(())
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
            machine.go_down();
            machine.boot();
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

    /// One line for each boot. Steps that wait for the console do not look: a simulated login assumes.
    async fn console(&self, token: &MachineToken) -> Result<Vec<u8>, ControlError> {
        self.control(token, |machine| {
            let boots = 0..=machine.boots.unwrap_or(machine.last_boots);
            let lines = boots.map(|boot| format!("simulated boot {boot}\r\n"));
            Ok(lines.collect::<String>().into_bytes())
        })
    }

    async fn keep(&self, token: &MachineToken, _: Duration) -> Result<(), ControlError> {
        self.control(token, |_| Ok(()))
    }
}

#[async_trait]
impl Transport for SimMachines {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        let refused = |kind, message: &str| ConnectError {
            kind,
            message: message.to_owned(),
        };
        let machine = match &reach.host_key {
            HostKeyCheck::Pinned(token) => {
                let machines = self.lock();
                let machine = machines.get(token);
                machine.map(|machine| {
                    let down = machine.down.child_token();
                    (
                        token.clone(),
                        (machine.cell, machine.life),
                        machine.boots,
                        down,
                    )
                })
            }
            HostKeyCheck::Known { .. } => None,
        };
        let Some((token, (cell, life), Some(boots), down)) = machine else {
            return Err(refused(ConnectErrorKind::Unreachable, "no such machine"));
        };
        let boot = format!("{token}-boot-{boots}");
        match self.script.life(&self.plan.cells[cell], life).fault {
            Some(LifeFault::Silent) => {
                Err(refused(ConnectErrorKind::Unreachable, "nobody answers"))
            }
            Some(LifeFault::NoReturn) if boots > 0 => {
                Err(refused(ConnectErrorKind::Unreachable, "nobody answers"))
            }
            Some(LifeFault::Auth) => Err(refused(ConnectErrorKind::Auth, "our key is refused")),
            Some(LifeFault::HostKey) => Err(refused(
                ConnectErrorKind::HostKey,
                "it is not the one it was started with",
            )),
            Some(
                LifeFault::Capacity
                | LifeFault::Quota
                | LifeFault::Broken
                | LifeFault::Stuck
                | LifeFault::NoReturn
                | LifeFault::Release,
            )
            | None => Ok(Arc::new(SimSession::new(
                self.clone(),
                Login {
                    token,
                    cell,
                    life,
                    boot,
                    down,
                },
            ))),
        }
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
