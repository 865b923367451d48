//! The leak check sees what is planted, and `gc` finds what no lease names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dva_local::{HostInventory, leftovers, remove};
use dva_runtime::provider::Provider;

use crate::ground::{Ground, Guest, await_that, block_on, program, request_with_disks, token};
use crate::{Done, Test};

pub(crate) const TESTS: &[Test] = &[
    ("leaks::planted_leaks_are_seen", planted),
    ("leaks::machines_of_others_are_no_leaks", others),
    ("leaks::gc_finds_orphans", orphans),
];

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("a program");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {text}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A directory of cgroups of this host.
fn cgroups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("mounts");
    mounts
        .lines()
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .find(|fields| fields[2].starts_with("cgroup"))
        .map(|fields| PathBuf::from(fields[1]))
        .expect("cgroups")
}

/// Plants with `plant`, looks for a thing that begins with `seen`, takes it away and looks again.
fn sees(ground: &Ground, seen: &str, plant: impl FnOnce() -> Box<dyn FnOnce()>) {
    let before = HostInventory::take_with(&ground.config);
    let uproot = plant();
    let found = HostInventory::take_with(&ground.config).difference(&before);
    uproot();
    assert!(
        found.iter().any(|thing| thing.starts_with(seen)),
        "{seen}: {found:?}"
    );
    await_that("the plant is gone", || ground.leaked().is_empty());
}

fn planted() -> Done {
    if program("losetup").is_none() {
        return Done::Skipped("the host has no losetup".into());
    }
    let ground = Ground::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();

    let image = path("image");
    fs::File::create(&image)
        .and_then(|file| file.set_len(1 << 20))
        .expect("a file");
    sees(&ground, "loop device /dev/loop", || {
        let device = run("losetup", &["--find", "--show", &image]);
        Box::new(move || drop(run("losetup", &["--detach", &device])))
    });
    sees(&ground, "partition node /dev/loop4095p1", || {
        run("mknod", &["/dev/loop4095p1", "b", "259", "1000"]);
        Box::new(|| fs::remove_file("/dev/loop4095p1").expect("a node"))
    });
    let mount = path("mount");
    fs::create_dir(&mount).expect("a folder");
    sees(&ground, &format!("mount {mount}"), || {
        run("mount", &["-t", "tmpfs", "dva-plant", &mount]);
        let mount = mount.clone();
        Box::new(move || drop(run("umount", &[&mount])))
    });
    let cgroup = cgroups().join(format!("dva-plant-{}", std::process::id()));
    sees(&ground, &format!("cgroup {}", cgroup.display()), || {
        fs::create_dir(&cgroup).expect("a cgroup");
        let cgroup = cgroup.clone();
        Box::new(move || fs::remove_dir(cgroup).expect("a cgroup"))
    });
    let sleeper = |program: &str, arguments: &[&str]| {
        let mut child = Command::new(program)
            .args(arguments)
            .env("DVA_MACHINE", "plant")
            .stdin(Stdio::null())
            .spawn()
            .expect("a process");
        // Not before it has become what it is to be.
        let line = format!("/proc/{}/cmdline", child.id());
        await_that("it sleeps", || {
            fs::read(&line).is_ok_and(|line| line.starts_with(b"sleep\0"))
        });
        Box::new(move || {
            child.kill().expect("a kill");
            child.wait().expect("an end");
        }) as Box<dyn FnOnce()>
    };
    sees(&ground, "process ", || sleeper("sleep", &["600"]));
    sees(&ground, "network namespace", || {
        sleeper("unshare", &["--net", "sleep", "600"])
    });
    let file = ground.config.state.join("planted");
    sees(&ground, &format!("file {}", file.display()), || {
        fs::write(&file, "").expect("a file");
        let file = file.clone();
        Box::new(move || fs::remove_file(file).expect("a file"))
    });
    ground.assert_clean();
    Done::Passed
}

fn others() -> Done {
    let (ground, other) = (Ground::new(), Ground::new());
    let before = HostInventory::take();
    block_on(async {
        let request = request_with_disks(1, &[16]);
        let guest = Guest::start(&other.provider, &request)
            .await
            .expect("a machine");
        guest.ok("true").await;
        ground.assert_clean();
        for inventory in [other.leaked(), HostInventory::take().difference(&before)] {
            for kind in ["cgroup", "process", "loop device", "network namespace"] {
                assert!(
                    inventory.iter().any(|thing| thing.starts_with(kind)),
                    "{kind}: {inventory:?}"
                );
            }
        }
        other
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    other.assert_clean();
    Done::Passed
}

/// Things of a machine whose lease is gone: a folder with a loop device on a file in it.
fn orphans() -> Done {
    if program("losetup").is_none() {
        return Done::Skipped("the host has no losetup".into());
    }
    let ground = Ground::new();
    let folder = ground.config.state.join("dva-orphan-1");
    fs::create_dir(&folder).expect("a folder");
    let image = folder.join("disk0");
    fs::File::create(&image)
        .and_then(|file| file.set_len(8 << 20))
        .expect("a file");
    // As an interrupted machine leaves it: with partitions.
    let device = run(
        "losetup",
        &["--find", "--show", "--partscan", &image.to_string_lossy()],
    );
    run("addpart", &[&device, "1", "2048", "2048"]);
    assert!(Path::new(&format!("{device}p1")).exists(), "{device}p1");

    let found = leftovers(&ground.config);
    let [orphan] = &found[..] else {
        panic!("one orphan: {found:?}");
    };
    assert_eq!(orphan.token, "orphan-1");
    assert!(orphan.dead, "{orphan:?}");
    assert_eq!(orphan.remains.len(), 2, "{orphan:?}");
    remove(orphan).expect("nothing left");
    remove(orphan).expect("still nothing left");
    assert_eq!(leftovers(&ground.config), []);
    ground.assert_clean();

    // A device that lets its partitions outlive it.
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("image");
    fs::File::create(&image)
        .and_then(|file| file.set_len(8 << 20))
        .expect("a file");
    let device = run("losetup", &["--find", "--show", &image.to_string_lossy()]);
    run("addpart", &[&device, "1", "2048", "2048"]);
    run("losetup", &["--detach", &device]);
    let found = leftovers(&ground.config);
    for stale in &found {
        assert_eq!(
            Some(stale.token.as_str()),
            device.strip_prefix("/dev/"),
            "{stale:?}"
        );
        remove(stale).expect("nothing left");
    }
    println!("partitions that outlived a device: {found:?}");
    ground.assert_clean();
    Done::Passed
}
