//! Simulated machines: their provider and the way to log in to them.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::ExecutionPlan;
use dva_plan::plan::{CellIx, ImageSource, Machine};
use tokio::time::sleep;

use super::script::{LifeFault, SimScript};
use super::session::SimSession;
use crate::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, AttachedDisk, MachineRequest, MachineToken,
    Provider, ReleaseError,
};
use crate::transport::{
    ByteStream, ConnectError, ConnectErrorKind, Dialer, HostKeyCheck, Reach, Session, Transport,
};

/// The machines of a simulator: at once its provider and its transport. Clones see the same ones.
#[derive(Clone)]
pub struct SimMachines {
    plan: Arc<ExecutionPlan>,
    script: Arc<SimScript>,
    live: Arc<Mutex<BTreeMap<String, CellIx>>>,
}

impl SimMachines {
    pub(super) fn new(plan: Arc<ExecutionPlan>, script: SimScript) -> Self {
        Self {
            plan,
            script: Arc::new(script),
            live: Arc::default(),
        }
    }

    /// The tokens of the machines that are there now.
    #[must_use]
    pub fn live(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, CellIx>> {
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
        let life = self.script.life(&self.plan.cells[cell]);
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
                | LifeFault::Release,
            )
            | None => {}
        }
        let token = request.token.to_string();
        self.lock().insert(token.clone(), cell);
        if life.fault == Some(LifeFault::Stuck) {
            std::future::pending::<()>().await;
        }
        sleep(Duration::from_millis(life.boot_ms)).await;
        Ok(AcquiredMachine {
            id: format!("sim-{token}"),
            machine: request.machine.clone(),
            reach: Reach {
                dialer: Arc::new(NoDialer),
                user: "root".to_owned(),
                credentials: Vec::new(),
                host_key: HostKeyCheck::Pinned(token),
            },
            disks: request
                .disks
                .iter()
                .zip('b'..='z')
                .map(|(disk, letter)| AttachedDisk {
                    disk: disk.disk,
                    device: format!("/dev/sd{letter}"),
                })
                .collect(),
        })
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        let cell = self.lock().get(token.as_str()).copied();
        let fault = cell.and_then(|cell| self.script.life(&self.plan.cells[cell]).fault);
        if fault == Some(LifeFault::Release) {
            return Err(ReleaseError {
                token: token.clone(),
                message: "the simulator was told to keep it".to_owned(),
            });
        }
        self.lock().remove(token.as_str());
        Ok(())
    }
}

#[async_trait]
impl Transport for SimMachines {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        let refused = |kind, message: &str| ConnectError {
            kind,
            message: message.to_owned(),
        };
        let cell = match &reach.host_key {
            HostKeyCheck::Pinned(token) => self.lock().get(token).copied(),
            HostKeyCheck::Known { .. } => None,
        };
        let Some(cell) = cell else {
            return Err(refused(ConnectErrorKind::Unreachable, "no such machine"));
        };
        match self.script.life(&self.plan.cells[cell]).fault {
            Some(LifeFault::Silent) => {
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
                | LifeFault::Release,
            )
            | None => Ok(Arc::new(SimSession::new(
                Arc::clone(&self.plan),
                Arc::clone(&self.script),
                cell,
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
