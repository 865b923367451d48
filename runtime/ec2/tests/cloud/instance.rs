//! An instance that has booted: a local machine behind the SSH port of an address of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dva_local::{LocalConfig, LocalProvider};
use dva_plan::plan::{DiskIx, ImageSource, Machine, Network};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{
    AcquiredMachine, BootRequest, DetachMode, DiskRequest, MachineRequest, MachineToken, Provider,
};
use dva_runtime::transport::{
    Dialer, ExecRequest, ExecStatus, HostKeyCheck, Purpose, StreamPlan, Transport,
};
use dva_ssh::SshTransport;
use tokio::net::TcpListener;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::{JoinHandle, JoinSet};

/// How long a machine does not answer that reboots: whoever looks now and then has to see it.
const DOWN: Duration = Duration::from_millis(700);

/// What an instance is made of.
#[derive(Clone)]
pub(super) struct Order {
    /// EC2's name for it.
    pub id: String,
    /// Its type.
    pub r#type: String,
    /// How many processors that has.
    pub vcpus: u32,
    /// How much memory that has.
    pub memory_bytes: u64,
    /// Who may log in.
    pub public_key: Option<String>,
    /// Its extra volumes.
    pub volumes: Vec<Volume>,
}

/// A volume that is attached.
#[derive(Clone)]
pub(super) struct Volume {
    /// EC2's name for it.
    pub id: String,
    /// The name under which it is attached: `/dev/sdf`.
    pub name: String,
    /// Its size in GiB.
    pub gibibytes: u64,
}

/// An instance.
pub(super) struct Instance {
    order: Order,
    address: Mutex<Seat>,
    state: AsyncMutex<State>,
}

/// An address, which is nobody else's as long as this is there.
struct Seat {
    address: Ipv4Addr,
    _reserved: UdpSocket,
}

#[derive(Default)]
struct State {
    machine: Option<Booted>,
    port: Option<Port>,
    /// The volumes that it has had, each with its place and its size.
    volumes: BTreeMap<String, Place>,
    has_ended: bool,
}

#[derive(Clone)]
struct Place {
    disk: DiskIx,
    volume: Volume,
    /// Its node inside, while it is attached.
    device: Option<String>,
    /// Whether it goes once nobody uses it.
    is_leaving: bool,
}

struct Booted {
    provider: LocalProvider,
    token: MachineToken,
    acquired: AcquiredMachine,
}

impl Instance {
    /// One that has not booted yet.
    pub(super) fn new(order: Order) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            order,
            address: Mutex::new(Seat::take()?),
            state: AsyncMutex::default(),
        }))
    }

    /// Where it is reached.
    pub(super) fn address(&self) -> Ipv4Addr {
        self.address
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .address
    }

    /// Starts it, unless it has ended by now; without a configuration of local machines, its port alone.
    pub(super) async fn boot(&self, config: Option<&LocalConfig>) -> Result<(), String> {
        static LIVES: AtomicU32 = AtomicU32::new(1);
        let mut state = self.state.lock().await;
        if state.has_ended {
            return Ok(());
        }
        let Some(config) = config else {
            return self.open(&mut state).await;
        };
        let run = RunId::new(format!("ec2-{}", std::process::id()));
        let life = LIVES.fetch_add(1, Ordering::Relaxed);
        let request = self.request(&run, life);
        let provider = LocalProvider::new(config.clone()).admitting(self.order.public_key.clone());
        let acquired = provider.acquire(&request).await;
        let acquired = acquired.map_err(|error| error.to_string())?;
        for (volume, disk) in self.order.volumes.iter().zip(&acquired.disks) {
            let place = Place {
                disk: disk.disk,
                volume: volume.clone(),
                device: Some(disk.device.clone()),
                is_leaving: false,
            };
            state.volumes.insert(volume.id.clone(), place);
        }
        state.machine = Some(Booted {
            provider,
            token: request.token,
            acquired,
        });
        self.open(&mut state).await
    }

    fn request(&self, run: &RunId, life: u32) -> MachineRequest {
        let disks = (0..).zip(&self.order.volumes);
        MachineRequest {
            token: MachineToken::new(run, life),
            run: run.clone(),
            cell: CellId::new("0"),
            image: ImageSource::LocalHost,
            logins: Vec::new(),
            machine: Machine {
                region: "local".to_owned(),
                partition: String::new(),
                r#type: self.order.r#type.clone(),
                vcpus: self.order.vcpus,
                memory_bytes: self.order.memory_bytes,
                arch: std::env::consts::ARCH.to_owned(),
                features: None,
                quote: None,
            },
            disks: disks
                .map(|(number, volume)| request_of(DiskIx(number), volume))
                .collect(),
            boot: BootRequest::default(),
            network: Network::default(),
            network_name: None,
            market: Vec::new(),
            lifetime: Duration::from_secs(3_600),
        }
    }

    /// Makes the links to its volumes and lets its port answer.
    async fn open(&self, state: &mut State) -> Result<(), String> {
        if state.has_ended {
            return Ok(());
        }
        let dialer = match &state.machine {
            None => None,
            Some(machine) => {
                let attached = state.volumes.values();
                let script: String = attached
                    .filter_map(|place| Some(links(&place.volume, place.device.as_ref()?)))
                    .collect();
                machine.run(&script).await?;
                Some(Arc::clone(&machine.acquired.reach.dialer))
            }
        };
        let port = Port::open(self.address(), dialer).await;
        state.port = Some(port.map_err(|error| format!("{}: {error}", self.address()))?);
        Ok(())
    }

    /// Its host key; `None` before it has one.
    pub(super) async fn host_key(&self) -> Option<String> {
        let state = self.state.lock().await;
        match &state.machine.as_ref()?.acquired.reach.host_key {
            HostKeyCheck::Pinned(key) => Some(key.clone()),
            _ => None,
        }
    }

    /// Ends it and all that it has on this host.
    pub(super) async fn end(&self) -> Result<(), String> {
        let mut state = self.state.lock().await;
        state.has_ended = true;
        state.port = None;
        let Some(machine) = state.machine.take() else {
            return Ok(());
        };
        let released = machine.provider.release_token(&machine.token).await;
        released.map_err(|error| error.to_string())
    }

    /// Lets nobody in any more.
    pub(super) async fn close(&self) {
        self.state.lock().await.port = None;
    }

    /// Restarts it; it has been closed before.
    pub(super) async fn reboot(&self) -> Result<(), String> {
        let mut state = self.state.lock().await;
        if let Some(machine) = &state.machine {
            let rebooted = machine.provider.reboot(&machine.token).await;
            rebooted.map_err(|error| error.to_string())?;
        }
        tokio::time::sleep(DOWN).await;
        self.open(&mut state).await
    }

    /// Stops it.
    pub(super) async fn stop(&self) -> Result<(), String> {
        let mut state = self.state.lock().await;
        state.port = None;
        let Some(machine) = &state.machine else {
            return Ok(());
        };
        let stopped = machine.provider.stop(&machine.token).await;
        stopped.map_err(|error| error.to_string())
    }

    /// Takes another address, as one does that is started again.
    pub(super) fn moves(&self) -> io::Result<()> {
        let mut seat = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        *seat = Seat::take()?;
        Ok(())
    }

    /// Starts it where it was stopped.
    pub(super) async fn start(&self) -> Result<(), String> {
        let mut state = self.state.lock().await;
        if let Some(machine) = &state.machine {
            let started = machine.provider.start(&machine.token).await;
            started.map_err(|error| error.to_string())?;
        }
        self.open(&mut state).await
    }

    /// Attaches a volume.
    pub(super) async fn attach(&self, volume: Volume) -> Result<(), String> {
        let mut state = self.state.lock().await;
        let next = DiskIx(u32::try_from(state.volumes.len()).unwrap_or(u32::MAX));
        let disk = state.volumes.get(&volume.id).map_or(next, |it| it.disk);
        let Some(machine) = &state.machine else {
            return Ok(());
        };
        let request = request_of(disk, &volume);
        let attached = machine.provider.attach(&machine.token, &request).await;
        let attached = attached.map_err(|error| error.to_string())?;
        machine.run(&links(&volume, &attached.device)).await?;
        let id = volume.id.clone();
        let place = Place {
            disk,
            volume,
            device: Some(attached.device),
            is_leaving: false,
        };
        state.volumes.insert(id, place);
        Ok(())
    }

    /// Detaches a volume; whether it has gone. One that is in use goes when it is not any more.
    pub(super) async fn detach(&self, volume: &str, mode: DetachMode) -> Result<bool, String> {
        let mut state = self.state.lock().await;
        let State {
            machine, volumes, ..
        } = &mut *state;
        let (Some(machine), Some(place)) = (machine, volumes.get_mut(volume)) else {
            return Ok(true);
        };
        let detached = machine
            .provider
            .detach(&machine.token, place.disk, mode)
            .await;
        detached.map_err(|error| error.to_string())?;
        place.is_leaving = true;
        machine.has_let_go(place).await
    }

    /// The volumes that were to go, each with whether it has gone by now.
    pub(super) async fn leaving(&self) -> Result<Vec<(String, bool)>, String> {
        let mut state = self.state.lock().await;
        let State {
            machine, volumes, ..
        } = &mut *state;
        let mut leaving = Vec::new();
        if let Some(machine) = machine {
            for (volume, place) in volumes.iter_mut().filter(|(_, place)| place.is_leaving) {
                leaving.push((volume.clone(), machine.has_let_go(place).await?));
            }
        }
        Ok(leaving)
    }

    /// Whether it has, or had, this volume.
    pub(super) async fn has(&self, volume: &str) -> bool {
        self.state.lock().await.volumes.contains_key(volume)
    }
}

impl Booted {
    /// Runs a script on the machine.
    async fn run(&self, script: &str) -> Result<(), String> {
        if script.is_empty() {
            return Ok(());
        }
        let session = SshTransport::new().connect(&self.acquired.reach).await;
        let session = session.map_err(|error| error.to_string())?;
        let request = ExecRequest {
            command: format!("PATH=/usr/sbin:/usr/bin:/sbin:/bin\n{script}"),
            stdin: Vec::new(),
            stdout: StreamPlan::default(),
            stderr: StreamPlan::default(),
            purpose: Purpose::Housekeeping,
        };
        let ended = session
            .exec(request)
            .await
            .map_err(|error| error.to_string())?;
        session.close().await;
        match ended.status {
            ExecStatus::Exit(0) => Ok(()),
            status => Err(format!("{script}: {status:?}")),
        }
    }

    /// Whether a volume that was to go has gone; its links go with it.
    async fn has_let_go(&self, place: &mut Place) -> Result<bool, String> {
        let is_attached = self.provider.is_attached(&self.token, place.disk).await;
        if is_attached.map_err(|error| error.to_string())? {
            return Ok(false);
        }
        place.is_leaving = false;
        place.device = None;
        let [by_serial, by_name] = names(&place.volume);
        self.run(&format!("rm -f {by_serial}* {by_name}*\n"))
            .await?;
        Ok(true)
    }
}

fn request_of(disk: DiskIx, volume: &Volume) -> DiskRequest {
    DiskRequest {
        disk,
        name: volume.id.clone(),
        size_bytes: volume.gibibytes << 30,
    }
}

/// What its machine calls a volume: the link that udev makes where disks are NVMe, and the node that there is under Xen.
fn names(volume: &Volume) -> [String; 2] {
    let serial = volume.id.replace('-', "");
    [
        format!("/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_{serial}"),
        volume.name.replace("/dev/sd", "/dev/xvd"),
    ]
}

/// Makes links of these names to a device, and to partitions of it, which may come later.
fn links(volume: &Volume, device: &str) -> String {
    let [by_serial, by_name] = names(volume);
    format!(
        "mkdir -p /dev/disk/by-id && ln -sfn {device} {by_serial} && ln -sfn {device} {by_name} &&\n\
         for part in 1 2 3 4; do\n\
         ln -sfn {device}$part {by_serial}-part$part && ln -sfn {device}$part {by_name}$part\n\
         done\n"
    )
}

impl Seat {
    /// The next address that nobody has.
    fn take() -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        for _ in 0..u16::MAX {
            // Processes begin far from each other.
            let number = std::process::id() * 251 + NEXT.fetch_add(1, Ordering::Relaxed);
            let [.., third, fourth] = number.to_be_bytes();
            let address = Ipv4Addr::new(127, 77, third, fourth);
            // Nobody talks over it: what matters is that no two can have it.
            if let Ok(reserved) = UdpSocket::bind((address, 22)) {
                return Ok(Self {
                    address,
                    _reserved: reserved,
                });
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }
}

/// An open port: all who connect are put through. Its end is that of all connections.
struct Port(JoinHandle<()>);

impl Port {
    async fn open(address: Ipv4Addr, dialer: Option<Arc<dyn Dialer>>) -> io::Result<Self> {
        let listener = TcpListener::bind((address, 22)).await?;
        Ok(Self(tokio::spawn(async move {
            let mut relays = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let Some(dialer) = dialer.clone() else {
                    continue;
                };
                relays.spawn(async move {
                    let _ = client.set_nodelay(true);
                    if let Ok(mut machine) = dialer.dial().await {
                        // However it ends, both see that it has.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut machine).await;
                    }
                });
                while relays.try_join_next().is_some() {}
            }
        })))
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.0.abort();
    }
}
