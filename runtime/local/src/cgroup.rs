//! The cgroups of a machine, written directly, below the ones this process is in: version 1, version 2
//! or a mix of both, each controller wherever the host has it.
//!
//! Each is two directories deep. The outer one carries the limits; the processes are in the inner one,
//! which is also the root of the sandbox's own view of cgroups. So a sandbox that mounts a cgroup file
//! system finds the inner one alone and cannot lift its limits. For the same reason a machine has cgroups
//! in all hierarchies of the host, also where it is not limited: in any other, the sandbox would find
//! those of the host.
//!
//! Where processes or memory are counted, commands have a directory beside the inner one, with limits
//! that leave something to the server: a command that takes all there is can still be followed by another.

mod device_program;
mod hierarchy;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hierarchy::{hierarchies, missing, mounts};

use crate::provider::LocalConfig;
use crate::trouble::{Trouble, While};
use crate::wire::DeviceNumber;

/// The inner directory.
const INNER: &str = "box";
/// The directory of commands.
const COMMANDS: &str = "run";
/// What a machine is limited in.
const CONTROLLERS: [&str; 4] = ["cpu", "memory", PIDS, DEVICES];
/// The controller that counts processes.
const PIDS: &str = "pids";
/// The controller that version 2 has no files for.
const DEVICES: &str = "devices";
/// The most processes and threads of a machine: enough for a parallel build, too few to starve a host.
const PROCESS_LIMIT: u32 = 4096;
/// How many of them are kept for init, the server, and commands that are about to begin.
const RESERVED_PROCESSES: u32 = 64;
/// How much memory they have beside that of the machine.
const RESERVED_MEMORY: u64 = 32 << 20;
/// The controllers that count what is kept for them.
const RESERVES: [&str; 2] = ["memory", PIDS];
/// The span over which processor time is counted, in microseconds; the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;
/// Character devices that every machine has: `null`, `zero`, `full`, `random`, `urandom`, `tty`, `ptmx`,
/// and all pseudo-terminals.
const STANDARD_DEVICES: [(u32, Option<u32>); 8] = [
    (1, Some(3)),
    (1, Some(5)),
    (1, Some(7)),
    (1, Some(8)),
    (1, Some(9)),
    (5, Some(0)),
    (5, Some(2)),
    (136, None),
];

/// The cgroups of one machine.
pub(crate) struct Cgroups {
    groups: Vec<Group>,
    /// The block devices it may use, which version 2 has to be told all at once.
    blocks: Vec<DeviceNumber>,
}

/// One outer directory and the controllers that are set there.
struct Group {
    version: Version,
    directory: PathBuf,
    controllers: Vec<&'static str>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// What a machine may use.
pub(crate) struct Limits {
    /// Processors.
    pub vcpus: u32,
    /// Memory in bytes, without swap.
    pub memory_bytes: u64,
}

impl Cgroups {
    /// Finds where the cgroups of a machine go. Makes nothing but what version 2 needs to pass
    /// controllers on.
    pub(crate) fn plan(config: &LocalConfig, token: &str) -> Result<Self, Trouble> {
        let own = fs::read_to_string("/proc/self/cgroup").doing("read /proc/self/cgroup")?;
        let mut groups = hierarchies(&own, &mounts()?)?;
        if let Some(controller) = missing(&groups) {
            return Err(Trouble::new(format!(
                "the host has no cgroup controller `{controller}`"
            )));
        }
        let name = format!("{}{token}", name_prefix(config));
        for group in &mut groups {
            group.directory.push(&name);
        }
        Ok(Self {
            groups,
            blocks: Vec::new(),
        })
    }

    /// A controller that the host lacks, if any.
    pub(crate) fn missing_controller() -> Option<&'static str> {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let groups = hierarchies(&own, &mounts().unwrap_or_default()).unwrap_or_default();
        missing(&groups)
    }

    /// The outer directories.
    pub(crate) fn directories(&self) -> Vec<PathBuf> {
        self.groups
            .iter()
            .map(|group| group.directory.clone())
            .collect()
    }

    /// Makes them, with `limits` and with `blocks` as the only block devices.
    pub(crate) fn create(
        &mut self,
        limits: &Limits,
        blocks: &[DeviceNumber],
    ) -> Result<(), Trouble> {
        self.blocks = blocks.to_vec();
        for group in &self.groups {
            let directory = &group.directory;
            fs::create_dir(directory).doing(format_args!("make {}", directory.display()))?;
            for controller in &group.controllers {
                group.set(controller, limits, blocks)?;
            }
            // Made last: a new cgroup of version 1 copies the list of devices that its parent then has.
            let inner = directory.join(INNER);
            fs::create_dir(&inner).doing(format_args!("make {}", inner.display()))?;
            group.inherit_cpuset(directory)?;
            group.inherit_cpuset(&inner)?;
            group.limit_commands(limits)?;
        }
        Ok(())
    }

    /// The files that take a process into the cgroups of commands.
    pub(crate) fn commands(&self) -> Vec<PathBuf> {
        self.groups
            .iter()
            .filter(|group| group.reserves().next().is_some())
            .map(|group| group.directory.join(COMMANDS).join("cgroup.procs"))
            .collect()
    }

    /// Moves a process into them.
    pub(crate) fn add(&self, process: u32) -> Result<(), Trouble> {
        for group in &self.groups {
            group.write(&format!("{INNER}/cgroup.procs"), &process.to_string())?;
        }
        Ok(())
    }

    /// Lets the machine use one more block device.
    pub(crate) fn allow(&mut self, block: DeviceNumber) -> Result<(), Trouble> {
        self.blocks.push(block);
        self.change_devices("devices.allow", block)
    }

    /// Takes a block device from the machine again.
    pub(crate) fn deny(&mut self, block: DeviceNumber) -> Result<(), Trouble> {
        self.blocks.retain(|other| *other != block);
        self.change_devices("devices.deny", block)
    }

    fn change_devices(&self, file: &str, block: DeviceNumber) -> Result<(), Trouble> {
        for group in &self.groups {
            if !group.controllers.contains(&DEVICES) {
                continue;
            }
            match group.version {
                // A cgroup does not get what its parent gets later, and may not have what it has not.
                Version::One => {
                    group.write(file, &block_rule(block))?;
                    for inner in [INNER, COMMANDS] {
                        // Where both are counted together, commands have left the first.
                        if group.directory.join(inner).is_dir() {
                            group.write(&format!("{inner}/{file}"), &block_rule(block))?;
                        }
                    }
                }
                Version::Two => group.attach_device_program(&self.blocks)?,
            }
        }
        Ok(())
    }
}

impl Group {
    /// Sets the limits of one controller.
    fn set(
        &self,
        controller: &str,
        limits: &Limits,
        blocks: &[DeviceNumber],
    ) -> Result<(), Trouble> {
        let memory = limits.memory_bytes.saturating_add(RESERVED_MEMORY);
        match (controller, self.version) {
            ("cpu", Version::One) => self.limit_cpu_v1(limits.vcpus),
            ("cpu", Version::Two) => {
                let quota = CPU_PERIOD_US * u64::from(limits.vcpus);
                self.write("cpu.max", &format!("{quota} {CPU_PERIOD_US}"))
            }
            ("memory", _) => self.limit_memory("", memory),
            (DEVICES, Version::One) => {
                self.write("devices.deny", "a")?;
                for (major, minor) in STANDARD_DEVICES {
                    let minor = minor.map_or("*".into(), |minor| minor.to_string());
                    self.write("devices.allow", &format!("c {major}:{minor} rwm"))?;
                }
                blocks
                    .iter()
                    .try_for_each(|block| self.write("devices.allow", &block_rule(*block)))
            }
            (DEVICES, Version::Two) => self.attach_device_program(blocks),
            _ => self.write("pids.max", &PROCESS_LIMIT.to_string()),
        }
    }

    /// The controllers of this hierarchy that keep something for the server.
    fn reserves(&self) -> impl Iterator<Item = &'static str> {
        let ours = self.controllers.iter().copied();
        ours.filter(|controller| RESERVES.contains(controller))
    }

    /// Makes the directory of commands, with its limits, where something is kept for the server.
    fn limit_commands(&self, limits: &Limits) -> Result<(), Trouble> {
        if self.reserves().next().is_none() {
            return Ok(());
        }
        let commands = self.directory.join(COMMANDS);
        fs::create_dir(&commands).doing(format_args!("make {}", commands.display()))?;
        self.inherit_cpuset(&commands)?;
        for controller in self.reserves() {
            if self.version == Version::Two {
                self.write("cgroup.subtree_control", &format!("+{controller}"))?;
            }
            if controller == PIDS {
                let limit = PROCESS_LIMIT - RESERVED_PROCESSES;
                self.write(&format!("{COMMANDS}/pids.max"), &limit.to_string())?;
            } else {
                self.limit_memory(&format!("{COMMANDS}/"), limits.memory_bytes)?;
            }
        }
        Ok(())
    }

    /// Limits the memory of the directory below, without swap.
    fn limit_memory(&self, below: &str, bytes: u64) -> Result<(), Trouble> {
        let bytes = bytes.to_string();
        if self.version == Version::Two {
            self.write(&format!("{below}memory.max"), &bytes)?;
            return self.write_if_there(&format!("{below}memory.swap.max"), "0");
        }
        self.write(&format!("{below}memory.limit_in_bytes"), &bytes)?;
        // Memory and swap together. A kernel may not count swap.
        self.write_if_there(&format!("{below}memory.memsw.limit_in_bytes"), &bytes)
    }

    /// A quota where the kernel has one, a share else.
    fn limit_cpu_v1(&self, vcpus: u32) -> Result<(), Trouble> {
        let vcpus = u64::from(vcpus);
        if self.directory.join("cpu.cfs_quota_us").exists() {
            self.write("cpu.cfs_period_us", &CPU_PERIOD_US.to_string())?;
            return self.write("cpu.cfs_quota_us", &(CPU_PERIOD_US * vcpus).to_string());
        }
        self.write("cpu.shares", &(1024 * vcpus).to_string())
    }

    /// A new cgroup of the cpuset hierarchy of version 1 takes no process before it is told what its
    /// parent has.
    fn inherit_cpuset(&self, directory: &Path) -> Result<(), Trouble> {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let path = directory.join(file);
            let Some(above) = directory.parent().map(|parent| parent.join(file)) else {
                continue;
            };
            if self.version == Version::One && path.exists() && above.exists() {
                let value = fs::read(&above).doing(format_args!("read {}", above.display()))?;
                fs::write(&path, value).doing(format_args!("write {}", path.display()))?;
            }
        }
        Ok(())
    }

    fn attach_device_program(&self, blocks: &[DeviceNumber]) -> Result<(), Trouble> {
        device_program::attach(&self.directory, &STANDARD_DEVICES, blocks).doing(format_args!(
            "restrict the devices of {}",
            self.directory.display()
        ))
    }

    fn write(&self, file: &str, value: &str) -> Result<(), Trouble> {
        let path = self.directory.join(file);
        fs::write(&path, value).doing(format_args!("write `{value}` to {}", path.display()))
    }

    fn write_if_there(&self, file: &str, value: &str) -> Result<(), Trouble> {
        if self.directory.join(file).exists() {
            self.write(file, value)?;
        }
        Ok(())
    }
}

fn block_rule(block: DeviceNumber) -> String {
    format!("b {}:{} rwm", block.major, block.minor)
}

/// What the names of all cgroups of this configuration begin with. Where machines of another
/// configuration run on the same host, theirs are not taken for left-overs of ours.
pub(crate) fn name_prefix(config: &LocalConfig) -> String {
    // FNV-1a: short, and the same in every build.
    let hash = config
        .runtime
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    format!("dva-{hash:08x}-")
}

/// The cgroups of this configuration that are on the host, each with its machine's token.
pub(crate) fn present(config: &LocalConfig) -> Vec<(String, PathBuf)> {
    let prefix = name_prefix(config);
    all_named("dva-")
        .into_iter()
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?;
            let token = name.strip_prefix(&prefix)?;
            Some((token.to_owned(), path.clone()))
        })
        .collect()
}

/// Where the host has mounted its hierarchies.
pub(crate) fn mount_points() -> Vec<PathBuf> {
    mounts()
        .unwrap_or_default()
        .into_iter()
        .map(|mount| mount.point)
        .collect()
}

/// All directories of cgroups on the host whose names begin with `prefix`, in order.
pub(crate) fn all_named(prefix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut unseen = mount_points();
    while let Some(directory) = unseen.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            // A cgroup that goes away while it is looked at is no cgroup.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry
                    .file_name()
                    .as_encoded_bytes()
                    .starts_with(prefix.as_bytes())
                {
                    found.push(entry.path());
                }
                unseen.push(entry.path());
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Kills what still runs in these cgroups and removes them. Those that are gone are no error.
pub(crate) fn remove(directories: &[PathBuf], patience: Duration) -> io::Result<()> {
    for directory in directories {
        crate::gc::retry(patience, || {
            for path in [
                directory.join(COMMANDS),
                directory.join(INNER),
                directory.clone(),
            ] {
                kill_all(&path);
                match fs::remove_dir(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            Ok(())
        })
        .map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", directory.display()))
        })?;
    }
    Ok(())
}

/// The processes of a cgroup, those of its children apart.
pub(crate) fn processes(directory: &Path) -> Vec<i32> {
    fs::read_to_string(directory.join("cgroup.procs"))
        .unwrap_or_default()
        .lines()
        .filter_map(|line| line.parse().ok())
        .collect()
}

fn kill_all(directory: &Path) {
    for process in processes(directory) {
        if let Some(process) = rustix::process::Pid::from_raw(process) {
            // It may have ended meanwhile, which is as good.
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
    }
}
