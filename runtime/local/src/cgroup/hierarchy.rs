//! Where the cgroups of new machines go: the hierarchies that the host has, and which controller is in
//! which.
//!
//! Reads what the kernel says of them, and passes controllers of version 2 on where that is needed.

use std::fs;
use std::path::{Path, PathBuf};

use super::{CONTROLLERS, DEVICES, Group, Version};
use crate::trouble::{Trouble, While};

/// The hierarchies of the host: in each the directory below which our new cgroups go, and the controllers
/// that we set there.
pub(super) fn hierarchies(own: &str, mounts: &[CgroupMount]) -> Result<Vec<Group>, Trouble> {
    let mut groups: Vec<Group> = Vec::new();
    // Lines of version 1 first: what one of them has, version 2 has not.
    let mut lines: Vec<_> = own
        .lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .collect();
    lines.sort_by_key(|(names, _)| names.is_empty());
    for (names, path) in lines {
        let version = if names.is_empty() {
            Version::Two
        } else {
            Version::One
        };
        let is_it = |mount: &&CgroupMount| {
            mount.version == version
                && (version == Version::Two
                    || names
                        .split(',')
                        .all(|name| mount.options.iter().any(|option| option == name)))
        };
        // One that is not mounted cannot be mounted from a sandbox either.
        let Some(mount) = mounts.iter().find(is_it) else {
            continue;
        };
        // A mount may show a part of the tree only, as in a container.
        let below = Path::new(path)
            .strip_prefix(&mount.root)
            .unwrap_or(Path::new(""));
        let directory = mount.point.join(below);
        let is_free = |name: &str| !groups.iter().any(|group| group.controllers.contains(&name));
        groups.push(match version {
            Version::One => Group {
                version,
                directory,
                controllers: CONTROLLERS
                    .into_iter()
                    .filter(|name| names.split(',').any(|other| other == *name))
                    .collect(),
            },
            Version::Two => {
                let offered = read(&mount.point, "cgroup.controllers");
                let controllers: Vec<_> = CONTROLLERS
                    .into_iter()
                    // Devices are no controller of version 2: they are restricted by a program.
                    .filter(|name| is_free(name) && (*name == DEVICES || has(&offered, name)))
                    .collect();
                Group {
                    version,
                    directory: passing_on(&controllers, &mount.point, &directory)?,
                    controllers,
                }
            }
        });
    }
    Ok(groups)
}

/// A controller that no hierarchy has.
pub(super) fn missing(groups: &[Group]) -> Option<&'static str> {
    CONTROLLERS
        .into_iter()
        .find(|name| !groups.iter().any(|group| group.controllers.contains(name)))
}

/// A cgroup file system of the host.
pub(super) struct CgroupMount {
    version: Version,
    /// Where it is mounted.
    pub(super) point: PathBuf,
    /// Which directory of it is mounted there.
    root: PathBuf,
    /// Its options, which name its controllers.
    options: Vec<String>,
}

/// The cgroup file systems of the host.
pub(super) fn mounts() -> Result<Vec<CgroupMount>, Trouble> {
    let text = fs::read_to_string("/proc/self/mountinfo").doing("read /proc/self/mountinfo")?;
    Ok(text.lines().filter_map(parse_mount).collect())
}

/// Reads a line like `35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory`.
fn parse_mount(line: &str) -> Option<CgroupMount> {
    let (mount, file_system) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut file_system = file_system.split(' ');
    let version = match file_system.next()? {
        "cgroup" => Version::One,
        "cgroup2" => Version::Two,
        _ => return None,
    };
    let options = file_system.nth(1)?.split(',').map(str::to_owned).collect();
    Some(CgroupMount {
        version,
        point: point.into(),
        root: root.into(),
        options,
    })
}

/// The nearest cgroup of version 2, from `directory` up to `top`, whose children get these controllers.
/// A cgroup that holds processes itself can pass none on, unless it is the topmost.
fn passing_on(controllers: &[&str], top: &Path, directory: &Path) -> Result<PathBuf, Trouble> {
    let needed = || controllers.iter().filter(|name| **name != DEVICES);
    for candidate in directory
        .ancestors()
        .take_while(|path| path.starts_with(top))
    {
        let passes = || {
            let list = read(candidate, "cgroup.subtree_control");
            needed().all(|name| has(&list, name))
        };
        if !passes() {
            for name in needed() {
                // Refused where this cgroup holds processes; then the next one up is tried.
                let _ = fs::write(candidate.join("cgroup.subtree_control"), format!("+{name}"));
            }
        }
        if passes() {
            return Ok(candidate.to_owned());
        }
    }
    Err(Trouble::new(format!(
        "no cgroup above {} passes on the controllers {}",
        directory.display(),
        controllers.join(", ")
    )))
}

fn read(directory: &Path, file: &str) -> String {
    fs::read_to_string(directory.join(file)).unwrap_or_default()
}

fn has(list: &str, name: &str) -> bool {
    list.split_whitespace().any(|word| word == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_both_versions_are_found() {
        let mounts: Vec<_> = "\
29 1 0:29 / /cg/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
30 1 0:30 /docker/x /cg/memory rw shared:9 - cgroup none rw,memory
31 1 0:31 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd
32 1 0:32 / /cg/pids rw - cgroup cgroup rw,pids
33 1 0:33 / /proc rw - proc proc rw
34 1 0:34 / /cg/unified rw - cgroup2 cgroup2 rw,nsdelegate"
            .lines()
            .filter_map(parse_mount)
            .collect();
        let own = "5:cpu,cpuacct:/user\n4:memory:/docker/x/y\n3:name=systemd:/\n2:pids:/\n9:freezer:/\n0::/z\n";
        let groups = hierarchies(own, &mounts).expect("hierarchies");
        let found: Vec<_> = groups
            .iter()
            .map(|group| (group.directory.as_path(), group.controllers.as_slice()))
            .collect();
        let nothing: &[&str] = &[];
        assert_eq!(
            found,
            [
                (Path::new("/cg/cpu,cpuacct/user"), &["cpu"][..]),
                (Path::new("/cg/memory/y"), &["memory"]),
                (Path::new("/cg/systemd"), nothing),
                (Path::new("/cg/pids"), &["pids"]),
                (Path::new("/cg/unified/z"), &["devices"]),
            ]
        );
        assert_eq!(missing(&groups), None);
        assert_eq!(missing(&groups[..2]), Some("pids"));
    }
}
