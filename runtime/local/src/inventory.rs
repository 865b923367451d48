//! The leak check: all on the host that a local machine could leave behind.
//!
//! Tests take an inventory before and after; it looks at the host and not at leases, so it also sees
//! what nothing recorded.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::helper::{MARK, Role};
use crate::provider::LocalConfig;
use crate::{cgroup, disk, image};

/// What is on the host at one moment, each thing as a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostInventory {
    things: BTreeSet<String>,
}

impl HostInventory {
    /// Looks at the whole host, with the folders of the default configuration. Machines of others that
    /// come and go meanwhile show.
    #[must_use]
    pub fn take() -> Self {
        let nobody = BTreeSet::new();
        Self::look(&LocalConfig::default(), || nobody.clone())
    }

    /// Looks at the host with the folders of this configuration, and leaves out what belongs to live
    /// machines of other configurations: theirs are no leaks of ours.
    #[must_use]
    pub fn take_with(config: &LocalConfig) -> Self {
        let config = config.clone().resolved();
        Self::look(&config, || foreign_tokens(&config))
    }

    /// What is there now and was not in `before`, sorted; empty where nothing leaked.
    #[must_use]
    pub fn difference(&self, before: &Self) -> Vec<String> {
        self.things.difference(&before.things).cloned().collect()
    }

    fn look(config: &LocalConfig, foreign: impl Fn() -> BTreeSet<String>) -> Self {
        let mut found = Vec::new();
        // Before and after, so that no machine is seen whose supervisor was not.
        let mut others = foreign();
        loop_devices(&mut found);
        mounts(&mut found);
        processes(&mut found);
        for path in cgroup::all_named("dva-") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            found.push(Thing {
                token: token_of_cgroup(&name),
                text: format!("cgroup {}", path.display()),
            });
        }
        for folder in [&config.state, &config.runtime] {
            files(folder, &mut found);
        }
        others.extend(foreign());
        let is_ours = |thing: &Thing| {
            thing
                .token
                .as_ref()
                .is_none_or(|token| !others.contains(token))
        };
        Self {
            things: found
                .into_iter()
                .filter(is_ours)
                .map(|thing| thing.text)
                .collect(),
        }
    }
}

/// One thing, and the token of the machine that it names as its own.
struct Thing {
    token: Option<String>,
    text: String,
}

/// The tokens of live machines whose leases are not in our runtime folder.
fn foreign_tokens(config: &LocalConfig) -> BTreeSet<String> {
    let supervisor = Role::Supervisor.marker().as_bytes();
    numbered_folders()
        .filter_map(|folder| {
            let command = fs::read(folder.join("cmdline")).ok()?;
            let mut arguments = command.split(|byte| *byte == 0);
            let is_supervisor = arguments.next()? == supervisor;
            let token = String::from_utf8(arguments.next()?.to_vec()).ok()?;
            let runtime = Path::new(OsStr::from_bytes(arguments.next()?));
            (is_supervisor && runtime != config.runtime).then_some(token)
        })
        .collect()
}

/// The token in the name of a cgroup, `dva-<8 digits>-<token>`.
fn token_of_cgroup(name: &str) -> Option<String> {
    let (_, token) = name.strip_prefix("dva-")?.split_once('-')?;
    Some(token.to_owned())
}

/// The folders of processes in `/proc`.
fn numbered_folders() -> impl Iterator<Item = std::path::PathBuf> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_bytes().iter().all(u8::is_ascii_digit)
        })
        .map(|entry| entry.path())
}

/// Loop devices in use, and nodes of partitions, which can outlive their device.
fn loop_devices(found: &mut Vec<Thing>) {
    let attached = disk::attached();
    // The folder of a machine is named for it.
    let token_of = |file: &Path| {
        file.iter()
            .filter_map(|part| part.to_str()?.strip_prefix("dva-"))
            .next_back()
            .map(str::to_owned)
    };
    for (name, file) in &attached {
        found.push(Thing {
            token: token_of(file),
            text: format!("loop device /dev/{name} of {}", file.display()),
        });
    }
    for entry in fs::read_dir("/dev").into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let rest = name.strip_prefix("loop");
        if let Some((number, partition)) = rest.and_then(|rest| rest.split_once('p'))
            && [number, partition]
                .iter()
                .all(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        {
            let device = format!("loop{number}");
            let file = attached.iter().find(|(other, _)| *other == device);
            found.push(Thing {
                token: file.and_then(|(_, file)| token_of(file)),
                text: format!("partition node /dev/{name}"),
            });
        }
    }
}

fn mounts(found: &mut Vec<Thing>) {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for line in text.lines() {
        if let Some(point) = line.split(' ').nth(4) {
            found.push(Thing {
                token: None,
                text: format!("mount {point}"),
            });
        }
    }
}

/// Processes of ours by mark, name or cgroup, and the network namespaces of all processes.
fn processes(found: &mut Vec<Thing>) {
    for folder in numbered_folders() {
        if has_ended(&folder) {
            continue;
        }
        let command = fs::read(folder.join("cmdline")).unwrap_or_default();
        let environment = fs::read(folder.join("environ")).unwrap_or_default();
        let cgroups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        let mark = format!("{MARK}=");
        let by_mark = environment
            .split(|byte| *byte == 0)
            .find_map(|variable| variable.strip_prefix(mark.as_bytes()))
            .map(|token| String::from_utf8_lossy(token).into_owned());
        let by_cgroup = cgroups.split(['/', '\n']).find_map(token_of_cgroup);
        let name = command.split(|byte| *byte == 0).next().unwrap_or_default();
        let is_helper = Role::ALL
            .iter()
            .any(|role| role.marker().as_bytes() == name);
        let is_ours = is_helper || by_mark.is_some() || by_cgroup.is_some();
        // A process can set its environment, but not its cgroup.
        let token = by_cgroup.or(by_mark);
        if let Ok(namespace) = fs::read_link(folder.join("ns/net")) {
            found.push(Thing {
                token: token.clone(),
                text: format!("network namespace {}", namespace.display()),
            });
        }
        if is_ours {
            let number = folder.file_name().unwrap_or_default().display();
            let command = String::from_utf8_lossy(&command).replace('\0', " ");
            found.push(Thing {
                token,
                text: format!("process {number} {}", command.trim_end()),
            });
        }
    }
}

/// Whether a process is one no more but for its exit status, which its parent has yet to collect. An init
/// whose supervisor was killed is left to the host's own.
fn has_ended(folder: &Path) -> bool {
    // The name of the program comes before, in parentheses, and may hold any character.
    fs::read_to_string(folder.join("stat")).is_ok_and(|stat| {
        let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
        state.is_some_and(|rest| rest.starts_with(['Z', 'X']))
    })
}

/// Everything in a folder, two levels deep: below that is what a machine itself has written.
fn files(folder: &Path, found: &mut Vec<Thing>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        // Unpacked images are kept for later machines.
        if entry.file_name() == image::CACHE {
            continue;
        }
        let inside = fs::read_dir(entry.path()).into_iter().flatten().flatten();
        for path in std::iter::once(entry.path()).chain(inside.map(|inner| inner.path())) {
            found.push(Thing {
                token: None,
                text: format!("file {}", path.display()),
            });
        }
    }
}
