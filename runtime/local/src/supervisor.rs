//! The supervisor of a machine: makes what the machine owns on the host, starts its init, does to it what
//! `dva` asks for, and takes everything down when `dva` goes away, the machine's time is over, or the
//! sandbox ends by itself.
//!
//! It lives in the host's namespaces and in a session of its own, so what ends `dva` does not end it.
//! It has one thread and trusts nothing that comes out of the sandbox.

mod disk_place;
mod sandbox;

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::Mode;

use crate::cgroup::{Cgroups, Limits};
use crate::disk::LoopDisk;
use crate::lease::{KeptRecord, Lease, Record};
use crate::provider::LocalConfig;
use crate::trouble::{Trouble, While};
use crate::upper::{self, Reserve};
use crate::wire::{
    self, Answer, Command, CommandReport, InitOrder, Login, MachineOrder, ServerOrder, StartReport,
};
use crate::{gc, helper};
use disk_place::{DiskPlace, Refusal};
use sandbox::{Event, Sandbox};

/// How often the host's free space is looked at.
const SPACE_LOOK: Duration = Duration::from_secs(1);
/// How often a disk is looked at that is to be detached once it is free.
const DETACH_LOOK: Duration = Duration::from_millis(50);

/// Runs one machine from its start to its end.
pub(crate) fn run() -> Result<(), Trouble> {
    rustix::process::setsid().doing("begin a session")?;
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let dva = UnixStream::from(helper::take_stdin().doing("take the lease")?);
    let listener = helper::take_stdout().doing("take the listener")?;
    let order: Option<MachineOrder> = wire::receive(&dva).doing("receive the order")?;
    let Some(order) = order else {
        return Ok(());
    };
    let ends = Instant::now() + Duration::from_millis(order.lifetime_ms);

    let failed = |trouble: &Trouble| {
        let message = trouble.to_string();
        // Where `dva` has gone, nobody is there to be told.
        let _ = wire::send(&dva, &StartReport::Failed { message });
    };
    let config = LocalConfig {
        state: order.state.clone(),
        runtime: order.runtime.clone(),
    };
    let mut owned = Owned::take(&config, &order).inspect_err(failed)?;
    let served = match Machine::make(&mut owned, &order, listener, ends) {
        Ok(mut machine) => {
            let init = machine.sandbox.as_ref().map_or(0, Sandbox::init);
            // Where `dva` has gone, serving ends at once.
            let _ = wire::send(&dva, &StartReport::Ready { init });
            Ok(machine.serve(&dva))
        }
        Err(trouble) => Err(trouble),
    };
    // The sandbox is gone by now, and with it every user of what follows.
    let removed = owned.remove();
    match served {
        Ok(ended) => removed.and(ended),
        Err(trouble) => {
            failed(&trouble);
            removed.and(Err(trouble))
        }
    }
}

/// The lease, and what it records.
struct Owned {
    lease: Lease,
    record: Record,
}

impl Owned {
    /// Records all that the machine will own, before any of it is made.
    fn take(config: &LocalConfig, order: &MachineOrder) -> Result<Self, Trouble> {
        let mut lease = Lease::take(config, &order.token)?;
        let written = Cgroups::plan(config, &order.token).and_then(|cgroups| {
            let record = Record {
                token: order.token.clone(),
                supervisor: std::process::id(),
                folder: config.folder(&order.token),
                cgroups: cgroups.directories(),
                kept: None,
            };
            lease.write(&record).doing("write the lease")?;
            Ok(record)
        });
        match written {
            Ok(record) => Ok(Self { lease, record }),
            Err(trouble) => {
                lease.remove().doing("remove the lease")?;
                Err(trouble)
            }
        }
    }

    /// Takes down everything. The lease goes last, since it is what left-overs are found by.
    fn remove(self) -> Result<(), Trouble> {
        gc::undo(&self.record).map_err(Trouble::new)?;
        self.lease.remove().doing("remove the lease")
    }
}

/// A machine, which runs or is stopped.
struct Machine<'a> {
    /// Declared first, so that the sandbox has ended when its disks are let go.
    sandbox: Option<Sandbox>,
    owned: &'a mut Owned,
    order: &'a MachineOrder,
    /// Its SSH port, which stays open while the sandbox begins anew.
    listener: OwnedFd,
    cgroups: Cgroups,
    disks: Vec<DiskPlace>,
    /// Takes the changes of its root file system.
    changes: Option<LoopDisk>,
    reserve: Reserve,
    ends: Instant,
}

impl<'a> Machine<'a> {
    /// Makes all of it and starts the sandbox.
    fn make(
        owned: &'a mut Owned,
        order: &'a MachineOrder,
        listener: OwnedFd,
        ends: Instant,
    ) -> Result<Self, Trouble> {
        let config = LocalConfig {
            state: order.state.clone(),
            runtime: order.runtime.clone(),
        };
        let folder = owned.record.folder.clone();
        private_folder(&folder)?;
        let log = File::create(folder.join("log")).doing("make the log")?;
        rustix::stdio::dup2_stderr(&log).doing("use the log")?;

        let mut disks = Vec::new();
        for (place, size_bytes) in order.disks.iter().enumerate() {
            let mut disk = DiskPlace::new(&folder, place);
            disk.plug(*size_bytes)?;
            disks.push(disk);
        }
        let numbers: Vec<_> = disks.iter().flat_map(DiskPlace::numbers).collect();
        let mut cgroups = Cgroups::plan(&config, &order.token)?;
        let limits = Limits {
            vcpus: order.vcpus,
            memory_bytes: order.memory_bytes,
        };
        cgroups.create(&limits, &numbers)?;
        let mut machine = Self {
            sandbox: None,
            changes: upper::create(&folder)?,
            reserve: Reserve::new(&order.state, &folder),
            owned,
            order,
            listener,
            cgroups,
            disks,
            ends,
        };
        machine.start()?;
        Ok(machine)
    }

    /// Starts the sandbox.
    fn start(&mut self) -> Result<(), Trouble> {
        let order = self.order;
        let nodes: Vec<_> = self.disks.iter().filter_map(DiskPlace::node).collect();
        let to_init = InitOrder {
            token: order.token.clone(),
            folder: self.owned.record.folder.clone(),
            hidden: vec![order.state.clone(), order.runtime.clone()],
            vcpus: order.vcpus,
            first_cpu: order.first_cpu,
            memory_bytes: order.memory_bytes,
            disks: nodes.clone(),
            lower: order.lower.clone(),
            changes: self.changes.as_ref().map(LoopDisk::node),
            commands: self.cgroups.commands(),
        };
        let to_server = ServerOrder {
            host_key: order.host_key.clone(),
            authorized_keys: order.authorized_keys.clone(),
            disks: nodes,
        };
        let listener = self.listener.try_clone().doing("share the listener")?;
        // Init mounts it, and then it is out of reach of all inside.
        let changes = self.changes.as_ref().map(|disk| disk.number);
        let cgroups = &mut self.cgroups;
        let mut sandbox = Sandbox::spawn(&order.token, listener, cgroups)?;
        if let Some(number) = changes {
            cgroups.allow(number)?;
        }
        sandbox.enclose(&to_init)?;
        if let Some(number) = changes {
            cgroups.deny(number)?;
        }
        sandbox.serve(&to_server)?;
        self.sandbox = Some(sandbox);
        Ok(())
    }

    /// Serves the sandbox and `dva` until there is a reason to end.
    fn serve(&mut self, dva: &UnixStream) -> Result<(), Trouble> {
        let mut dva = Some(dva);
        loop {
            let left = self.ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            if self.reserve.is_broken() {
                return Err(Trouble::new("the host is short of space"));
            }
            self.detach_what_is_free()?;
            let pending = self.disks.iter().any(DiskPlace::is_leaving);
            let look = if pending { DETACH_LOOK } else { SPACE_LOOK };
            let sources = dva.map(|dva| (Event::Dva, std::os::fd::AsFd::as_fd(dva)));
            let (sources, mut events): (Vec<_>, Vec<_>) = sources
                .into_iter()
                .chain(self.sandbox.iter().flat_map(Sandbox::sources))
                .map(|(event, source)| (event, PollFd::from_borrowed_fd(source, PollFlags::IN)))
                .unzip();
            let timeout = Timespec::try_from(left.min(look)).ok();
            match rustix::event::poll(&mut events, timeout.as_ref()) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error).doing("watch the sandbox"),
            }
            let came: Vec<_> = sources
                .into_iter()
                .zip(&events)
                .filter(|(_, event)| !event.revents().is_empty())
                .map(|(event, _)| event)
                .collect();
            for event in came {
                match (event, dva, &mut self.sandbox) {
                    (Event::Dva, Some(stream), _) => match wire::receive::<Command>(stream) {
                        Ok(Some(command)) => {
                            let report = self.obey(command);
                            // Where `dva` has gone meanwhile, that is the next thing to come.
                            let _ = wire::send(stream, &report);
                            // What else came is of a sandbox that may be another one now.
                            break;
                        }
                        _ if self.owned.record.kept.is_some() => dva = None,
                        _ => return Ok(()),
                    },
                    (Event::InitEnded, ..) => return Ok(()),
                    (Event::Mount, _, Some(sandbox)) => sandbox.serve_mount(&self.cgroups),
                    (Event::Report, _, Some(sandbox)) => {
                        let serves = sandbox.hear(&mut self.disks, &mut self.cgroups)?;
                        // Where the server has gone, the machine cannot be reached any more.
                        if !serves {
                            return Ok(());
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Does what `dva` asks for.
    fn obey(&mut self, command: Command) -> CommandReport {
        let done = match command {
            Command::Reboot if self.sandbox.is_none() => {
                Err(Refusal::Busy("the machine is stopped".into()))
            }
            Command::Reboot => {
                self.sandbox = None;
                self.start().map_err(Refusal::from)
            }
            Command::Stop => {
                self.sandbox = None;
                Ok(())
            }
            Command::Start if self.sandbox.is_some() => Ok(()),
            Command::Start => self.start().map_err(Refusal::from),
            Command::Attach { place, size_bytes } => self.attach(place, size_bytes),
            Command::Detach { place, how } => self.detach(place, how),
            Command::IsAttached { place } => {
                let attached = self.disks.get(place).and_then(DiskPlace::node).is_some();
                let so = if attached { Answer::Yes } else { Answer::No };
                return CommandReport::Is { so };
            }
            Command::Keep { lifetime_ms, login } => {
                self.keep(lifetime_ms, &login).map_err(Refusal::from)
            }
        };
        match done {
            Ok(()) => CommandReport::Done,
            Err(Refusal::Busy(message)) => CommandReport::Busy { message },
            Err(Refusal::Failed(trouble)) => CommandReport::Failed {
                message: trouble.to_string(),
            },
        }
    }

    /// Records how to log in and until when, and ends only then.
    fn keep(&mut self, lifetime_ms: u64, login: &Login) -> Result<(), Trouble> {
        let lifetime = Duration::from_millis(lifetime_ms);
        let identity = self.owned.record.folder.join("login");
        fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&identity)
            .and_then(|mut file| std::io::Write::write_all(&mut file, login.private_key.as_bytes()))
            .doing(format_args!("write {}", identity.display()))?;
        let until = SystemTime::now()
            .checked_add(lifetime)
            .and_then(|until| until.duration_since(UNIX_EPOCH).ok())
            .ok_or_else(|| Trouble::new("no clock counts that far"))?;
        self.owned.record.kept = Some(KeptRecord {
            until_unix_s: until.as_secs(),
            address: login.address,
            host_key: login.host_key.clone(),
            identity,
        });
        self.owned
            .lease
            .write(&self.owned.record)
            .doing("write the lease")?;
        self.ends = Instant::now() + lifetime;
        Ok(())
    }
}

/// Makes a folder and those above it, for root alone: what a sandbox writes may be anything, programs that
/// run as root among it.
pub(crate) fn private_folder(path: &Path) -> Result<(), Trouble> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .doing(format_args!("make {}", path.display()))
}

/// The name of the node of extra disk `index`: `sdb`, `sdc`, … `sdz`, `sdaa`, as the kernel goes on.
pub(crate) fn disk_name(index: usize) -> String {
    let mut left = index + 1;
    let mut letters = Vec::new();
    loop {
        letters.push(char::from(
            b'a' + u8::try_from(left % 26).unwrap_or_default(),
        ));
        if left < 26 {
            break;
        }
        left = left / 26 - 1;
    }
    letters.push('d');
    letters.push('s');
    letters.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::disk_name;

    #[test]
    fn disks_are_named_as_the_kernel_names_them() {
        assert_eq!(disk_name(0), "sdb");
        assert_eq!(disk_name(24), "sdz");
        assert_eq!(disk_name(25), "sdaa");
        assert_eq!(disk_name(51), "sdba");
    }
}
