//! What our processes say to each other over their sockets: frames of JSON behind their length.
//!
//! A frame is read to its last byte and not one further, so one socket can be handed from init to the
//! server between two frames.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// More than any message needs. The sandbox is not trusted to keep to it.
const FRAME_LIMIT: u32 = 1 << 20;

/// `dva` to the supervisor: the machine that is wanted.
#[derive(Serialize, Deserialize)]
pub(crate) struct MachineOrder {
    /// The machine's token.
    pub token: String,
    /// See [`crate::LocalConfig::state`].
    pub state: PathBuf,
    /// See [`crate::LocalConfig::runtime`].
    pub runtime: PathBuf,
    /// How many processors it has.
    pub vcpus: u32,
    /// The processor of the host that it takes first.
    pub first_cpu: u32,
    /// How much memory it has.
    pub memory_bytes: u64,
    /// How long it may live.
    pub lifetime_ms: u64,
    /// The sizes of its extra disks in bytes.
    pub disks: Vec<u64>,
    /// What its root file system is an overlay of.
    pub lower: Lower,
    /// Its private host key.
    pub host_key: String,
    /// The public keys that may log in.
    pub authorized_keys: Vec<String>,
}

/// What a root file system is an overlay of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lower {
    /// The host's own.
    Host,
    /// The one in this folder.
    Folder(PathBuf),
}

/// `dva` to the supervisor, while the machine is there: what is to be done to it.
#[derive(Serialize, Deserialize)]
pub(crate) enum Command {
    /// End all its processes and begin anew.
    Reboot,
    /// End all its processes.
    Stop,
    /// Begin anew where it was stopped.
    Start,
    /// Attach the disk of this place, counted from 0: the one that was there before, or a blank one.
    Attach { place: usize, size_bytes: u64 },
    /// Detach it.
    Detach { place: usize, how: Detach },
    /// Say whether it is attached.
    IsAttached { place: usize },
    /// Live on for so long, whoever goes away.
    Keep { lifetime_ms: u64, login: Login },
}

/// See [`dva_runtime::provider::DetachMode`].
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Detach {
    Wait,
    Nowait,
    Force,
}

/// How to log in to a machine.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    /// Where its SSH port is.
    pub address: SocketAddr,
    /// The private key that may log in.
    pub private_key: String,
    /// Its public host key.
    pub host_key: String,
}

/// The supervisor's answer to a [`Command`].
#[derive(Serialize, Deserialize)]
pub(crate) enum CommandReport {
    /// It is done.
    Done,
    /// The answer to a question.
    Is { so: Answer },
    /// It cannot be done as things are, and nothing was changed.
    Busy { message: String },
    /// It went wrong.
    Failed { message: String },
}

/// Yes or no.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Yes,
    No,
}

/// The supervisor to `dva`: how the start ended.
#[derive(Serialize, Deserialize)]
pub(crate) enum StartReport {
    /// The machine serves. `init` is its first process, as the host counts.
    Ready { init: i32 },
    /// There is no machine, and nothing is left of it.
    Failed { message: String },
}

/// The supervisor to init, once it is in its cgroups: the sandbox to make.
#[derive(Serialize, Deserialize)]
pub(crate) struct InitOrder {
    /// The machine's token, which becomes its host name.
    pub token: String,
    /// The machine's own folder on the host.
    pub folder: PathBuf,
    /// Folders of the host that the sandbox must not show.
    pub hidden: Vec<PathBuf>,
    /// How many processors it has.
    pub vcpus: u32,
    /// The processor of the host that it takes first.
    pub first_cpu: u32,
    /// How much memory it has.
    pub memory_bytes: u64,
    /// Its extra disks.
    pub disks: Vec<DiskNode>,
    /// What its root file system is an overlay of.
    pub lower: Lower,
    /// The device that takes its changes, or `None` where the machine's own folder does.
    pub changes: Option<PathBuf>,
    /// The files that take a process into the cgroups of commands.
    pub commands: Vec<PathBuf>,
}

/// A disk as the sandbox sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct DiskNode {
    /// Its place among the machine's disks, counted from 0.
    pub place: usize,
    /// The name of its node in `/dev` of the sandbox: `sdb`.
    pub name: String,
    /// The name the kernel has for it: `loop3`.
    pub kernel_name: String,
    /// Its number.
    pub number: DeviceNumber,
}

/// The number of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct DeviceNumber {
    /// Which driver.
    pub major: u32,
    /// Which of its devices.
    pub minor: u32,
}

/// The supervisor to the server, through the socket that init hands on.
#[derive(Serialize, Deserialize)]
pub(crate) struct ServerOrder {
    /// Its private host key.
    pub host_key: String,
    /// The public keys that may log in.
    pub authorized_keys: Vec<String>,
    /// The machine's extra disks.
    pub disks: Vec<DiskNode>,
}

/// Init or the server to the supervisor.
#[derive(Serialize, Deserialize)]
pub(crate) enum SandboxReport {
    /// The server accepts connections.
    Serving,
    /// The sandbox could not be made.
    Failed { message: String },
    /// Init is under its filters. New mounts are reported on this descriptor of it; it goes on when the
    /// order of the server comes.
    Filtered { listener: i32 },
    /// The partition table of the disk of this place may have changed.
    Repartitioned { disk: usize },
    /// What a [`ServerCommand`] asked for is done.
    Done,
}

/// The supervisor to the server that runs.
#[derive(Serialize, Deserialize)]
pub(crate) enum ServerCommand {
    /// The answer to [`SandboxReport::Repartitioned`].
    Partitions(PartitionReport),
    /// A disk has come: make its nodes.
    Attached(DiskNode),
    /// A disk goes: remove its nodes.
    Detached { place: usize },
}

/// What the kernel has of a disk whose table may have changed.
#[derive(Serialize, Deserialize)]
pub(crate) struct PartitionReport {
    /// The partitions that the kernel now has for the disk, allowed for this machine.
    pub partitions: Vec<PartitionNode>,
    /// What could not be done about others.
    pub trouble: Option<String>,
}

/// A partition that the kernel has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct PartitionNode {
    /// Its number in the table, from 1.
    pub index: u32,
    /// Its device number, which the kernel chooses.
    pub number: DeviceNumber,
}

/// Sends one message.
pub(crate) fn send<T: Serialize>(mut stream: &UnixStream, message: &T) -> io::Result<()> {
    let body = serde_json::to_vec(message)?;
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = length.to_le_bytes().to_vec();
    frame.extend(body);
    stream.write_all(&frame)
}

/// Receives one message; `None` where the other side has gone.
pub(crate) fn receive<T: DeserializeOwned>(mut stream: &UnixStream) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length);
    if length > FRAME_LIMIT {
        return Err(io::Error::other("a message is too long"));
    }
    let mut body = vec![0; length as usize];
    stream.read_exact(&mut body)?;
    Ok(Some(serde_json::from_slice(&body)?))
}
