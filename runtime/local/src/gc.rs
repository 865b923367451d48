//! Left-overs: what machines own on the host when nobody minds them any more, and its removal.
//!
//! An orderly end removes everything itself, by the same [`undo`]. This module never touches a machine
//! whose lease is held, and what it takes for a left-over is of its own configuration only.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::IFlags;
use thiserror::Error;

use crate::lease::{Holding, KeptRecord, Lease, Record};
use crate::provider::LocalConfig;
use crate::{cgroup, disk, machine, partition};

/// How long something that is in use may take to come free.
const PATIENCE: Duration = Duration::from_secs(5);

/// A machine that is on the host, or what is left of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// Its token, or the name of a loop device where nodes of partitions have outlived it.
    pub token: String,
    /// What there is of it, for people.
    pub remains: Vec<String>,
    /// Whether nobody minds it any more. A live machine is listed and never removed.
    pub dead: bool,
    /// Where it lives on after its run: until when, and how to log in. It ends itself then, so one that is
    /// listed as alive has not expired.
    pub kept: Option<Kept>,
    config: LocalConfig,
    kind: Kind,
}

/// A machine that lives on after its run, see
/// [`Provider::keep`](dva_runtime::provider::Provider::keep).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it ends.
    pub until: SystemTime,
    /// Where its SSH port is; the user is `root`.
    pub address: SocketAddr,
    /// Its public host key in OpenSSH's text form.
    pub host_key: String,
    /// The file with the private key that may log in, in OpenSSH's text form.
    pub identity: PathBuf,
}

impl From<KeptRecord> for Kept {
    fn from(record: KeptRecord) -> Self {
        Self {
            until: UNIX_EPOCH + Duration::from_secs(record.until_unix_s),
            address: record.address,
            host_key: record.host_key,
            identity: record.identity,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of a machine.
    Machine,
    /// Nodes of partitions of a loop device that is not in use.
    Partitions,
}

/// Left-overs that could not be removed.
#[derive(Clone, Debug, Error)]
#[error("remove what is left of {token}: {message}")]
pub struct RemoveError {
    /// See [`Leftover::token`].
    pub token: String,
    /// What stood in the way.
    pub message: String,
}

/// All machines of a configuration that are on the host, dead or alive, by token.
#[must_use]
pub fn leftovers(config: &LocalConfig) -> Vec<Leftover> {
    let config = &config.clone().resolved();
    let mut remains: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Things first and leases after: whatever a starting machine has made by now, its lease was there
    // before, so it is not taken for an orphan.
    for (token, path) in cgroup::present(config) {
        note(&mut remains, &token, format!("cgroup {}", path.display()));
    }
    for (name, file) in disk::attached_under(&config.state) {
        if let Some(token) = token_of(config, &file) {
            note(&mut remains, &token, format!("loop device /dev/{name}"));
        }
    }
    for folder in folders(config) {
        if let Some(token) = token_of(config, &folder) {
            note(&mut remains, &token, format!("folder {}", folder.display()));
        }
    }
    for entry in fs::read_dir(&config.runtime)
        .into_iter()
        .flatten()
        .flatten()
    {
        if let Ok(token) = entry.file_name().into_string() {
            let lease = format!("lease {}", entry.path().display());
            note(&mut remains, &token, lease);
        }
    }

    let mut found: Vec<_> = remains
        .into_iter()
        .map(|(token, remains)| {
            let (dead, kept) = match Lease::look(config, &token) {
                Ok(Holding::Held(record)) => (false, record.and_then(|record| record.kept)),
                Ok(Holding::Dead(..) | Holding::Absent) => (true, None),
                Err(_) => (false, None),
            };
            Leftover {
                dead,
                kept: kept.map(Kept::from),
                token,
                remains,
                config: config.clone(),
                kind: Kind::Machine,
            }
        })
        .collect();
    found.extend(stale_partitions(config));
    found
}

/// Removes a left-over. One that is gone by now is no error; a machine that is alive is left alone.
///
/// # Errors
/// [`RemoveError`]: something of it is still there.
pub fn remove(leftover: &Leftover) -> Result<(), RemoveError> {
    let failed = |message: String| RemoveError {
        token: leftover.token.clone(),
        message,
    };
    match leftover.kind {
        Kind::Machine => remove_machine(&leftover.config, &leftover.token).map_err(failed),
        // Somebody may have begun to use the device since it was listed.
        Kind::Partitions if disk::is_attached(&leftover.token) => Ok(()),
        Kind::Partitions => fs::File::open(format!("/dev/{}", leftover.token))
            .and_then(|device| partition::forget_all(&leftover.token, &device))
            .map_err(|error| failed(error.to_string())),
    }
}

/// Ends a machine that was kept, before its time, and removes what is left of it. Any other that is alive
/// is left alone.
///
/// # Errors
/// [`RemoveError`]: it is no kept machine, or something of it is still there.
pub fn end_kept(leftover: &Leftover) -> Result<(), RemoveError> {
    let failed = |message: String| RemoveError {
        token: leftover.token.clone(),
        message,
    };
    match Lease::look(&leftover.config, &leftover.token) {
        Ok(Holding::Held(Some(record))) if record.kept.is_some() => {
            machine::end_foreign(&leftover.config, &leftover.token).map_err(failed)
        }
        Ok(Holding::Held(_)) => Err(failed("the machine is alive, and was not kept".into())),
        Ok(Holding::Dead(..) | Holding::Absent) => remove(leftover),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Removes what is left of a dead machine. A live one is an error, and is left alone.
pub(crate) fn remove_machine(config: &LocalConfig, token: &str) -> Result<(), String> {
    let lease = match Lease::look(config, token).map_err(|error| error.to_string())? {
        Holding::Held(_) => return Err("the machine is alive".into()),
        Holding::Dead(lease, record) => {
            if let Some(record) = record {
                undo(&record)?;
            }
            lease
        }
        // Things without a lease. It is taken while they are removed, so that no machine of this
        // token begins meanwhile.
        Holding::Absent => Lease::take(config, token).map_err(|trouble| trouble.to_string())?,
    };
    let cgroups = cgroup::present(config)
        .into_iter()
        .filter(|(other, _)| other == token)
        .map(|(_, path)| path)
        .collect();
    undo(&Record {
        token: token.to_owned(),
        supervisor: 0,
        kept: None,
        folder: config.folder(token),
        cgroups,
    })?;
    lease.remove().map_err(|error| error.to_string())
}

/// Takes down everything that a record names. What is gone is no error.
pub(crate) fn undo(record: &Record) -> Result<(), String> {
    let text = |error: io::Error| error.to_string();
    // Processes first: they hold the rest.
    cgroup::remove(&record.cgroups, PATIENCE).map_err(text)?;
    disk::detach_under(&record.folder, PATIENCE).map_err(text)?;
    remove_folder(&record.folder)
        .map_err(|error| format!("remove {}: {error}", record.folder.display()))
}

/// Repeats `attempt` until it succeeds or `patience` is over.
pub(crate) fn retry(
    patience: Duration,
    mut attempt: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let begun = Instant::now();
    let mut pause = Duration::from_micros(200);
    loop {
        match attempt() {
            Err(_) if begun.elapsed() < patience => {
                // The kernel tells nobody when it has let go of a cgroup or a device.
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(20));
            }
            ended => return ended,
        }
    }
}

fn note(remains: &mut BTreeMap<String, Vec<String>>, token: &str, what: String) {
    remains.entry(token.to_owned()).or_default().push(what);
}

/// The folders of machines in the state folder.
fn folders(config: &LocalConfig) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(&config.state)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The token of the machine in whose folder `path` lies, or whose folder it is.
fn token_of(config: &LocalConfig, path: &Path) -> Option<String> {
    let name = path.strip_prefix(&config.state).ok()?.iter().next()?;
    name.to_str()?.strip_prefix("dva-").map(str::to_owned)
}

/// Nodes of partitions whose loop device is not in use: the device's next user would inherit them.
fn stale_partitions(config: &LocalConfig) -> Vec<Leftover> {
    let names = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("loop"));
    let mut found: Vec<_> = names
        .filter_map(|name| {
            let stale = partition::known(&name);
            // Asked last: a device that nobody used a moment ago may be partitioned by now.
            (!stale.is_empty() && !disk::is_attached(&name)).then(|| Leftover {
                remains: stale
                    .iter()
                    .map(|partition| format!("partition node /dev/{name}p{}", partition.index))
                    .collect(),
                token: name,
                dead: true,
                kept: None,
                config: config.clone(),
                kind: Kind::Partitions,
            })
        })
        .collect();
    found.sort_by(|one, other| one.token.cmp(&other.token));
    found
}

fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A test may have made files that even root cannot remove as they are.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_removable(folder);
            fs::remove_dir_all(folder)
        }
        ended => ended,
    }
}

/// Takes the flags `immutable` and `append only` from everything under `folder`.
fn make_removable(folder: &Path) {
    let Ok(kind) = fs::symlink_metadata(folder) else {
        return;
    };
    if !kind.is_dir() && !kind.is_file() {
        return;
    }
    if let Ok(file) = fs::File::open(folder)
        && let Ok(flags) = rustix::fs::ioctl_getflags(&file)
        && flags.intersects(IFlags::IMMUTABLE | IFlags::APPEND)
    {
        // Where that fails, removing fails next and is reported.
        let _ = rustix::fs::ioctl_setflags(&file, flags - IFlags::IMMUTABLE - IFlags::APPEND);
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        make_removable(&entry.path());
    }
}
