//! What the host must have and the user must be allowed for local machines.

use std::fs::{self, OpenOptions};

use caps::{CapSet, Capability};
use thiserror::Error;

use crate::cgroup::Cgroups;

/// What this host or this user lacks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("machines of this host cannot be started:{}", lines(.missing))]
pub struct MissingPrivilege {
    /// All that is missing; never empty.
    pub missing: Vec<Missing>,
}

/// One thing that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What it is: `overlay file systems`.
    pub what: &'static str,
    /// The command that gives it.
    pub command: &'static str,
}

fn lines(missing: &[Missing]) -> String {
    missing
        .iter()
        .map(|missing| format!("\n  {}: {}", missing.what, missing.command))
        .collect()
}

/// Looks for everything at once, so that it can be given at once.
pub(crate) fn check() -> Result<(), MissingPrivilege> {
    let checks = [
        (
            is_root(),
            "the privileges of root",
            "run the same command under `sudo`",
        ),
        (
            has_overlay(),
            "overlay file systems",
            "sudo modprobe overlay",
        ),
        (
            // Without root it says nothing about the host.
            !is_root() || has_loop_devices(),
            "loop devices (/dev/loop-control)",
            "sudo modprobe loop",
        ),
        (
            // Where there is no such limit, there are user namespaces.
            fs::read_to_string("/proc/sys/user/max_user_namespaces")
                .map_or(true, |limit| limit.trim() != "0"),
            "user namespaces, by which mounts are locked",
            "sudo sysctl user.max_user_namespaces=1000",
        ),
        (
            has_program("partx"),
            "the program `partx`",
            "sudo apt-get install util-linux (or: sudo dnf install util-linux)",
        ),
        (
            !is_root() || Cgroups::missing_controller().is_none(),
            "the cgroup controllers cpu, memory, pids and devices",
            "sudo mount -t cgroup2 none /sys/fs/cgroup",
        ),
    ];
    let missing: Vec<_> = checks
        .into_iter()
        .filter(|(present, ..)| !present)
        .map(|(_, what, command)| Missing { what, command })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(MissingPrivilege { missing })
}

/// Root of a container may lack what root has.
fn is_root() -> bool {
    let has = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false);
    rustix::process::geteuid().is_root()
        && has(Capability::CAP_SYS_ADMIN)
        && has(Capability::CAP_MKNOD)
}

fn has_overlay() -> bool {
    fs::read_to_string("/proc/filesystems")
        .is_ok_and(|list| list.lines().any(|line| line.ends_with("\toverlay")))
}

fn has_loop_devices() -> bool {
    OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/loop-control")
        .is_ok()
}

/// Looks where a supervisor would.
pub(crate) fn has_program(name: &str) -> bool {
    [
        "/usr/local/sbin",
        "/usr/local/bin",
        "/usr/sbin",
        "/usr/bin",
        "/sbin",
        "/bin",
    ]
    .iter()
    .any(|folder| fs::metadata(format!("{folder}/{name}")).is_ok_and(|file| file.is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_the_command_that_gives_it() {
        let error = MissingPrivilege {
            missing: vec![Missing {
                what: "overlay file systems",
                command: "sudo modprobe overlay",
            }],
        };
        assert_eq!(
            error.to_string(),
            "machines of this host cannot be started:\n  overlay file systems: sudo modprobe overlay"
        );
    }
}
