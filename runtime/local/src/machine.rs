//! A machine as the process that asked for it holds it: its supervisor and the lease.
//!
//! Everything here blocks; the provider calls it from threads that may.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;

use dva_plan::plan::DiskIx;
use dva_runtime::provider::{
    AcquiredMachine, AttachedDisk, DetachMode, DiskRequest, FirstBoot, MachineRequest,
};
use dva_runtime::transport::{Credential, HostKeyCheck, Reach};
use dva_ssh::{KeyPair, TcpDialer};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::gc;
use crate::helper::{self, Role};
use crate::lease::{Holding, Lease};
use crate::provider::LocalConfig;
use crate::supervisor::disk_name;
use crate::trouble::{Trouble, While};
use crate::wire::{self, Command, CommandReport, Detach, Login, Lower, MachineOrder, StartReport};

/// How long the supervisor may take to start a machine, and to say so if it cannot.
const START_PATIENCE: Duration = Duration::from_secs(40);
/// How long the supervisor may take to end one: it has its own limits, which are shorter.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// How long the supervisor may take to do what it is told: a start among it.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// Why something is not done to a machine.
pub(crate) enum Refusal {
    /// It cannot be done as things are, and nothing was changed.
    Busy(String),
    /// It went wrong.
    Broken(String),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Broken(trouble.to_string())
    }
}

/// A machine that runs as long as this is held.
pub(crate) struct RunningMachine {
    supervisor: Child,
    /// Closing it ends the machine; so does our own end, however it comes.
    lease: Option<UnixStream>,
    /// The first process of the sandbox.
    init: i32,
    acquired: AcquiredMachine,
    /// How to log in.
    login: Login,
    /// Which disk each place is for, whether it is in it or not.
    places: Vec<DiskIx>,
}

impl RunningMachine {
    /// Starts a machine, to which `admitted` may log in beside the one who asked for it.
    pub(crate) fn start(
        config: &LocalConfig,
        request: &MachineRequest,
        first_cpu: u32,
        lower: Lower,
        admitted: &[String],
    ) -> Result<Self, Trouble> {
        let (host, client) = (KeyPair::generate(), KeyPair::generate());
        // Bound here, in the host's network, and served from inside the sandbox, which has none.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).doing("bind a port")?;
        let address = listener.local_addr().doing("bind a port")?;
        let (lease, theirs) = UnixStream::pair().doing("make the lease")?;
        let token = request.token.as_str();
        let supervisor = helper::command(Role::Supervisor, token)
            // For whoever lists processes: this tells machines of several configurations apart.
            .arg(&config.runtime)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(OwnedFd::from(listener)))
            .stderr(Stdio::null())
            .spawn()
            .doing("start the supervisor")?;
        let mut machine = Self {
            supervisor,
            lease: None,
            init: 0,
            acquired: AcquiredMachine {
                id: token.to_owned(),
                machine: request.machine.clone(),
                reach: reach(address, &host, &client),
                disks: disks(request),
                first_boot: FirstBoot::Nothing,
            },
            login: Login {
                address,
                private_key: client.private_key.clone(),
                host_key: host.public_key.clone(),
            },
            places: request.disks.iter().map(|disk| disk.disk).collect(),
        };
        let mut order = order(config, request, first_cpu, lower, host, client);
        order.authorized_keys.extend_from_slice(admitted);
        match machine.await_start(&lease, &order) {
            Ok(()) => {
                machine.lease = Some(lease);
                Ok(machine)
            }
            Err(trouble) => {
                drop(lease);
                // The start's own trouble is what is told. What this may leave, `gc` finds.
                let _ = machine.end(config);
                Err(trouble)
            }
        }
    }

    /// What was acquired.
    pub(crate) fn acquired(&self) -> &AcquiredMachine {
        &self.acquired
    }

    /// Ends all processes of the machine and starts it anew.
    pub(crate) fn reboot(&mut self) -> Result<(), Refusal> {
        self.tell(&Command::Reboot).map(|_| ())
    }

    /// Ends all processes of the machine.
    pub(crate) fn stop(&mut self) -> Result<(), Refusal> {
        self.tell(&Command::Stop).map(|_| ())
    }

    /// Starts the machine where it was stopped.
    pub(crate) fn start_again(&mut self) -> Result<(), Refusal> {
        self.tell(&Command::Start).map(|_| ())
    }

    /// Attaches a disk, in the place that it had before if it had one.
    pub(crate) fn attach(&mut self, disk: &DiskRequest) -> Result<AttachedDisk, Refusal> {
        let known = self.places.iter().position(|other| *other == disk.disk);
        let place = known.unwrap_or(self.places.len());
        self.tell(&Command::Attach {
            place,
            size_bytes: disk.size_bytes,
        })?;
        if known.is_none() {
            self.places.push(disk.disk);
        }
        Ok(AttachedDisk {
            disk: disk.disk,
            device: format!("/dev/{}", disk_name(place)),
            serial: None,
        })
    }

    /// Detaches a disk.
    pub(crate) fn detach(&mut self, disk: DiskIx, mode: DetachMode) -> Result<(), Refusal> {
        let Some(place) = self.places.iter().position(|other| *other == disk) else {
            return Ok(());
        };
        let how = match mode {
            DetachMode::Wait => Detach::Wait,
            DetachMode::Nowait => Detach::Nowait,
            DetachMode::Force => Detach::Force,
        };
        self.tell(&Command::Detach { place, how }).map(|_| ())
    }

    /// Whether a disk is attached.
    pub(crate) fn is_attached(&mut self, disk: DiskIx) -> Result<bool, Refusal> {
        let Some(place) = self.places.iter().position(|other| *other == disk) else {
            return Ok(false);
        };
        let report = self.tell(&Command::IsAttached { place })?;
        Ok(matches!(
            report,
            CommandReport::Is {
                so: wire::Answer::Yes
            }
        ))
    }

    /// Has the machine live on for so long, whatever becomes of us. It is to be let go then.
    pub(crate) fn keep(&mut self, lifetime: Duration) -> Result<(), Refusal> {
        let command = Command::Keep {
            lifetime_ms: u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX),
            login: self.login.clone(),
        };
        self.tell(&command).map(|_| ())
    }

    /// Has the supervisor do something.
    fn tell(&mut self, command: &Command) -> Result<CommandReport, Refusal> {
        let Some(lease) = &self.lease else {
            return Err(Refusal::Broken("the machine has ended".into()));
        };
        lease
            .set_read_timeout(Some(COMMAND_PATIENCE))
            .doing("wait for the supervisor")?;
        wire::send(lease, command).doing("tell the supervisor")?;
        match wire::receive(lease).doing("wait for the supervisor")? {
            Some(CommandReport::Busy { message }) => Err(Refusal::Busy(message)),
            Some(CommandReport::Failed { message }) => Err(Refusal::Broken(message)),
            Some(report) => Ok(report),
            None => Err(Refusal::Broken("the machine has ended".into())),
        }
    }

    /// Tells the machine to end, without waiting.
    pub(crate) fn let_go(&mut self) {
        self.lease = None;
    }

    /// Ends the machine and returns once nothing of it is left.
    pub(crate) fn end(&mut self, config: &LocalConfig) -> Result<(), String> {
        self.let_go();
        let ended = wait(&mut self.supervisor, END_PATIENCE);
        if ended.is_ok_and(|ended| ended) {
            return Ok(());
        }
        // It hangs, or it said that something is left. With both processes gone, nothing holds on.
        if let Some(init) = Pid::from_raw(self.init)
            && is_helper(self.init, Role::Init)
        {
            let _ = rustix::process::kill_process(init, Signal::KILL);
        }
        // Fails only for a process that has been waited for.
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
        gc::remove_machine(config, &self.acquired.id)
    }

    fn await_start(&mut self, lease: &UnixStream, order: &MachineOrder) -> Result<(), Trouble> {
        wire::send(lease, order).doing("order the machine")?;
        lease
            .set_read_timeout(Some(START_PATIENCE))
            .doing("wait for the machine")?;
        match wire::receive(lease).doing("wait for the machine")? {
            Some(StartReport::Ready { init }) => {
                self.init = init;
                Ok(())
            }
            Some(StartReport::Failed { message }) => Err(Trouble::new(message)),
            None => Err(Trouble::new(
                "the supervisor ended while the machine started; does `main` begin with \
                 `dva_local::enter_if_helper()`?",
            )),
        }
    }
}

/// Ends a machine that this process did not start, or no longer holds.
pub(crate) fn end_foreign(config: &LocalConfig, token: &str) -> Result<(), String> {
    if let Ok(Holding::Held(Some(record))) = Lease::look(config, token) {
        let supervisor = record.supervisor.cast_signed();
        if let Some(process) = Pid::from_raw(supervisor)
            && is_helper(supervisor, Role::Supervisor)
        {
            // Its sandbox dies with it, and what is left on the host is removed below.
            let _ = rustix::process::kill_process(process, Signal::KILL);
        }
    }
    let mut message = String::new();
    gc::retry(END_PATIENCE, || {
        gc::remove_machine(config, token).map_err(|error| {
            message = error;
            std::io::Error::other("still there")
        })
    })
    .map_err(|_| message)
}

/// Waits for a process for so long. Whether it ended well; an error where it has not ended.
fn wait(process: &mut Child, patience: Duration) -> std::io::Result<bool> {
    let id = Pid::from_raw(process.id().cast_signed())
        .ok_or_else(|| std::io::Error::other("no process id"))?;
    // Not yet waited for, so the id is still its own.
    let watched = rustix::process::pidfd_open(id, PidfdFlags::empty())?;
    let timeout = Timespec::try_from(patience).ok();
    let mut events = [PollFd::new(&watched, PollFlags::IN)];
    rustix::io::retry_on_intr(|| rustix::event::poll(&mut events, timeout.as_ref()))?;
    match process.try_wait()? {
        Some(status) => Ok(status.success()),
        None => Err(std::io::ErrorKind::TimedOut.into()),
    }
}

/// Whether the process of this id is a helper of ours: ids are reused.
fn is_helper(process: i32, role: Role) -> bool {
    std::fs::read(format!("/proc/{process}/cmdline"))
        .is_ok_and(|line| line.split(|byte| *byte == 0).next() == Some(role.marker().as_bytes()))
}

fn order(
    config: &LocalConfig,
    request: &MachineRequest,
    first_cpu: u32,
    lower: Lower,
    host: KeyPair,
    client: KeyPair,
) -> MachineOrder {
    MachineOrder {
        token: request.token.as_str().to_owned(),
        state: config.state.clone(),
        runtime: config.runtime.clone(),
        vcpus: request.machine.vcpus,
        first_cpu,
        memory_bytes: request.machine.memory_bytes,
        lifetime_ms: u64::try_from(request.lifetime.as_millis()).unwrap_or(u64::MAX),
        disks: request.disks.iter().map(|disk| disk.size_bytes).collect(),
        lower,
        host_key: host.private_key,
        authorized_keys: vec![client.public_key],
    }
}

fn reach(address: SocketAddr, host: &KeyPair, client: &KeyPair) -> Reach {
    Reach {
        dialer: Arc::new(TcpDialer::new(address)),
        users: vec!["root".into()],
        credentials: vec![Credential::Key(client.private_key.as_str().into())],
        host_key: HostKeyCheck::Pinned(host.public_key.clone()),
    }
}

fn disks(request: &MachineRequest) -> Vec<AttachedDisk> {
    let attached = |(index, disk): (usize, &dva_runtime::provider::DiskRequest)| AttachedDisk {
        disk: disk.disk,
        device: format!("/dev/{}", disk_name(index)),
        serial: None,
    };
    request.disks.iter().enumerate().map(attached).collect()
}
