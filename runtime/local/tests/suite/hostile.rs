//! Tests that do their worst: the host and a neighbour stay whole, and nothing is left.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use dva_local::leftovers;
use dva_runtime::provider::Provider;
use dva_runtime::transport::ExecStatus;

use crate::ground::{Ground, Guest, HostMount, await_that, block_on, program, request, token};
use crate::{Done, Test};

pub(crate) const TESTS: &[Test] = &[
    ("hostile::refused_calls_are_refused", refused_calls),
    ("hostile::a_reboot_from_inside_is_none", reboots),
    ("hostile::kernel_settings_are_out_of_reach", settings),
    ("hostile::harmless_mounts_work", harmless_mounts),
    ("hostile::a_fork_bomb_leaves_the_server", fork_bomb),
    ("hostile::a_memory_hog_dies_alone", memory_hog),
    ("hostile::a_full_disk_is_the_machines_own", full_disk),
    (
        "hostile::a_host_short_of_space_ends_who_took_it",
        short_of_space,
    ),
    ("hostile::others_files_are_out_of_sight", others_files),
];

/// Two machines: one that does its worst, and its neighbour.
async fn neighbours(ground: &Ground) -> (Guest, Guest) {
    let mut worst = request(1);
    worst.machine.memory_bytes = 2 << 30;
    let neighbour = request(2);
    let (worst, neighbour) = tokio::join!(
        Guest::start(&ground.provider, &worst),
        Guest::start(&ground.provider, &neighbour)
    );
    let (worst, neighbour) = (worst.expect("a machine"), neighbour.expect("a machine"));
    neighbour.ok("echo mine > /var/tmp/mine").await;
    (worst, neighbour)
}

/// The neighbour works as before, and so does the end of both.
async fn still_whole(ground: &Ground, neighbour: &Guest) {
    assert_eq!(
        neighbour.ok("cat /var/tmp/mine; ls / > /dev/null").await,
        "mine"
    );
    for life in [1, 2] {
        ground
            .provider
            .release_token(&token(life))
            .await
            .expect("an end");
    }
    ground.assert_clean();
}

/// The error of each call, by its name: what a program in the machine gets.
async fn errors(guest: &Guest, calls: &[(&str, i64, &str)]) -> Vec<(String, i32)> {
    let calls: String = calls
        .iter()
        .map(|(name, number, arguments)| format!("['{name}', {number}, {arguments}], "))
        .collect();
    let script = format!(
        "for my $call ({calls}) {{ my ($name, @call) = @$call; $! = 0; \
         my $got = syscall($call[0], @call[1..$#call]); \
         print $name, ' ', ($got == -1 ? $!+0 : 0), qq(\\n) }}"
    );
    guest
        .ok(&format!("perl -e \"{}\"", script.replace('$', "\\$")))
        .await
        .lines()
        .map(|line| {
            let (name, error) = line.rsplit_once(' ').expect("two words");
            (name.to_owned(), error.parse().expect("a number"))
        })
        .collect()
}

fn refused_calls() -> Done {
    if program("perl").is_none() {
        return Done::Skipped("the host has no perl".into());
    }
    let ground = Ground::new();
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        let refused = [
            // With the right magic numbers; the last is the word for switching off.
            (
                "reboot",
                libc::SYS_reboot,
                "0xfee1dead, 672274793, 0x4321fedc, 0",
            ),
            ("kexec_load", libc::SYS_kexec_load, "0, 0, 0, 0"),
            (
                "kexec_file_load",
                libc::SYS_kexec_file_load,
                "0, 0, 0, 0, 0",
            ),
            ("init_module", libc::SYS_init_module, "0, 0, 0"),
            ("finit_module", libc::SYS_finit_module, "0, 0, 0"),
            ("delete_module", libc::SYS_delete_module, "'loop', 0"),
            ("swapon", libc::SYS_swapon, "'/dev/sdb', 0"),
            ("swapoff", libc::SYS_swapoff, "'/dev/sdb'"),
            ("settimeofday", libc::SYS_settimeofday, "0, 0"),
            ("clock_settime", libc::SYS_clock_settime, "0, 0"),
            ("adjtimex", libc::SYS_adjtimex, "0"),
            ("clock_adjtime", libc::SYS_clock_adjtime, "0, 0"),
            ("open_by_handle_at", libc::SYS_open_by_handle_at, "0, 0, 0"),
            ("bpf", libc::SYS_bpf, "0, 0, 0"),
            (
                "perf_event_open",
                libc::SYS_perf_event_open,
                "0, 0, 0, 0, 0",
            ),
            ("userfaultfd", libc::SYS_userfaultfd, "0"),
            ("io_uring_setup", libc::SYS_io_uring_setup, "1, 0"),
            ("keyctl", libc::SYS_keyctl, "0, 0"),
            ("add_key", libc::SYS_add_key, "0, 0, 0, 0, 0"),
            ("request_key", libc::SYS_request_key, "0, 0, 0, 0"),
            ("acct", libc::SYS_acct, "0"),
            ("quotactl", libc::SYS_quotactl, "0, 0, 0, 0"),
            ("unshare", libc::SYS_unshare, "0x10000000"),
            ("clone", libc::SYS_clone, "0x10000011, 0, 0, 0, 0"),
            ("socket", libc::SYS_socket, "40, 1, 0"),
            (
                "sched_setscheduler",
                libc::SYS_sched_setscheduler,
                "0, 1, pack('i', 1)",
            ),
            (
                "sched_setscheduler",
                libc::SYS_sched_setscheduler,
                "0, 0x40000002, pack('i', 1)",
            ),
            ("sched_setattr", libc::SYS_sched_setattr, "0, 0, 0"),
        ];
        for (name, error) in errors(&worst, &refused).await {
            assert_eq!(error, libc::EPERM, "{name}");
        }
        let unknown = [
            ("clone3", libc::SYS_clone3, "0, 0"),
            ("fsopen", libc::SYS_fsopen, "'proc', 0"),
            ("fspick", libc::SYS_fspick, "-100, '/proc', 0"),
        ];
        for (name, error) in errors(&worst, &unknown).await {
            assert_eq!(error, libc::ENOSYS, "{name}");
        }
        // What ordinary programs do.
        let usual = [
            ("unshare of mounts", libc::SYS_unshare, "0x20000"),
            ("socket", libc::SYS_socket, "2, 1, 0"),
            (
                "sched_setscheduler",
                libc::SYS_sched_setscheduler,
                "0, 0, pack('i', 0)",
            ),
        ];
        for (name, error) in errors(&worst, &usual).await {
            assert_eq!(error, 0, "{name}");
        }
        still_whole(&ground, &neighbour).await;
    });
    Done::Passed
}

fn reboots() -> Done {
    let ground = Ground::new();
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        // A host may have none of the programs, or no such file.
        for form in [
            "reboot -f",
            "reboot --force --force",
            "halt -f",
            "poweroff -f",
            "systemctl --force --force reboot",
            "echo b > /proc/sysrq-trigger",
            "echo c > /proc/sysrq-trigger",
            "umount /proc/sysrq-trigger && echo b > /proc/sysrq-trigger",
            "echo mem > /sys/power/state",
        ] {
            worst.fails(form).await;
        }
        // Init takes none of these.
        for signal in ["TERM", "INT", "HUP", "KILL", "USR1", "PWR"] {
            worst.run(&format!("kill -{signal} 1")).await;
        }
        assert_eq!(worst.ok("echo alive").await, "alive");
        still_whole(&ground, &neighbour).await;
    });
    Done::Passed
}

/// Settings of the host that a test could change from a naive sandbox, as they are now.
fn host_settings() -> Vec<Option<String>> {
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/vm/swappiness",
        "/proc/sys/fs/file-max",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ]
    .iter()
    .map(|path| fs::read_to_string(path).ok())
    .collect()
}

fn settings() -> Done {
    let ground = Ground::new();
    let before = host_settings();
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        worst.ok("mkdir -p /tmp/m /tmp/n").await;
        let written = "echo '|/tmp/x' > /proc/sys/kernel/core_pattern";
        worst.fails(written).await;
        worst.fails("sysctl -w vm.swappiness=1").await;
        // None of what could lay the writable ones bare works, here or in mounts of one's own.
        for mount in [
            "umount /proc/sys",
            "umount -l /proc/sys",
            "umount -l /proc",
            "umount -l /sys",
            "umount -l -R /proc",
            "mount -o remount,rw /proc/sys",
            "mount -o remount,bind,rw /proc/sys",
            "mount -o remount,rw /sys",
            "mount -o remount,bind,rw /sys",
            "mount --bind /proc /tmp/m",
            "mount --move /proc/sys /tmp/m",
            "mount --move /proc /tmp/m",
            "mount -t proc proc /tmp/m",
            "mount -t proc proc /proc",
            "mount -t sysfs sysfs /tmp/m",
            "mount -t sysfs sysfs /sys",
        ] {
            worst.fails(mount).await;
            worst.fails(&format!("unshare -m {mount}")).await;
            worst.fails(written).await;
        }
        // What is copied whole stays as it is.
        worst.ok("mount --rbind /proc /tmp/m").await;
        worst.fails("umount /tmp/m/sys").await;
        worst.fails("mount -o remount,bind,rw /tmp/m/sys").await;
        worst.fails("echo 1 > /tmp/m/sys/vm/drop_caches").await;
        worst.ok("umount -l /tmp/m").await;
        // Nor are other file systems of the host's kernel to be had.
        for kind in [
            "debugfs",
            "tracefs",
            "securityfs",
            "configfs",
            "bpf",
            "cgroup",
            "cgroup2",
            "devtmpfs",
            "binfmt_misc",
            "fusectl",
            "pstore",
            "efivarfs",
            "hugetlbfs",
            "selinuxfs",
        ] {
            worst.fails(&format!("mount -t {kind} none /tmp/m")).await;
            worst
                .fails(&format!("unshare -m mount -t {kind} none /tmp/m"))
                .await;
        }
        worst
            .fails("mount -t cgroup -o none,name=evil none /tmp/m")
            .await;
        if program("perl").is_some() {
            // Flags with the mark of old programs mean a new mount, whatever they look like.
            let calls = [
                (
                    "proc",
                    libc::SYS_mount,
                    "'proc', '/tmp/m', 'proc', 0xC0ED0000, 0",
                ),
                (
                    "sysfs",
                    libc::SYS_mount,
                    "'x', '/tmp/m', 'sysfs', 0xC0ED0001, 0",
                ),
            ];
            for (name, error) in errors(&worst, &calls).await {
                assert_eq!(error, libc::EPERM, "{name}");
            }
        }
        assert_eq!(worst.ok("ls /tmp/m").await, "");
        still_whole(&ground, &neighbour).await;
    });
    assert_eq!(host_settings(), before);
    Done::Passed
}

fn harmless_mounts() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request(1))
            .await
            .expect("a machine");
        guest
            .ok("mkdir -p /tmp/m /tmp/n /tmp/l /tmp/u /tmp/w")
            .await;
        guest
            .ok("mount -t tmpfs -o size=1m none /tmp/m && echo x > /tmp/m/x && mount --bind /tmp/m /tmp/n && cat /tmp/n/x")
            .await;
        assert_eq!(
            guest
                .ok("stat -f -c %T /tmp/m; df -k --output=size /tmp/m | tail -n 1 | tr -d ' '")
                .await,
            "tmpfs\n1024"
        );
        guest
            .ok("mount -o remount,ro /tmp/n && ! touch /tmp/n/y")
            .await;
        guest
            .ok("mount -o remount,rw /tmp/n && touch /tmp/n/y")
            .await;
        guest.ok("umount /tmp/n && umount /tmp/m").await;
        // Relative to where the program is, and in mounts of its own.
        guest
            .ok("cd /tmp && unshare -m sh -c 'mount -t tmpfs none m && echo x > m/x && cat /tmp/m/x' && ! test -e m/x")
            .await;
        guest
            .ok("mkdir /tmp/root && cp -r /etc /tmp/root && mount --rbind / /tmp/m && chroot /tmp/m mount -t tmpfs none /tmp/n && test -n \"$(ls -A /tmp/m/etc)\"")
            .await;
        guest
            .ok("mount -t tmpfs none /tmp/u && mkdir /tmp/u/u /tmp/u/w && mount -t overlay -o lowerdir=/tmp/l,upperdir=/tmp/u/u,workdir=/tmp/u/w none /tmp/w && echo x > /tmp/w/x && cat /tmp/u/u/x")
            .await;
        // What cannot be mounted says why; who may not, is told so.
        let denied = guest.fails("mount -t ext4 /dev/null /tmp/n").await;
        assert!(denied.contains("block device"), "{denied}");
        let nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
        let call = "my ($s, $t, $k) = (q(n), q(/tmp/n), q(tmpfs)); exit(syscall(NUMBER, $s, $t, $k, 0, 0) == 0 ? 0 : $!)"
            .replace("NUMBER", &libc::SYS_mount.to_string());
        if program("perl").is_some() {
            let (status, text) = guest.run(&format!("{nobody} perl -e '{call}'")).await;
            assert_eq!(status, ExecStatus::Exit(1), "not permitted: {text}");
            guest
                .ok(&format!("perl -e '{call}' && umount /tmp/n"))
                .await;
        }
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

/// The machine's directory of commands in the hierarchy that counts processes.
fn counted_commands(life: u32) -> PathBuf {
    let found = Command::new("find")
        .args(["/sys/fs/cgroup", "-path"])
        .arg(format!("*-{}/run/pids.events", token(life)))
        .output()
        .expect("find");
    PathBuf::from(String::from_utf8_lossy(&found.stdout).trim())
}

fn fork_bomb() -> Done {
    if program("perl").is_none() {
        return Done::Skipped("the host has no perl".into());
    }
    let ground = Ground::new();
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        // Every process forks until it may not, and then stays.
        worst
            .ok("setsid perl -e 'for (;;) { defined(fork) or sleep 600 }' > /dev/null 2>&1 &")
            .await;
        let events = counted_commands(1);
        await_that("no more processes may begin", || {
            fs::read_to_string(&events).is_ok_and(|text| !text.contains("max 0"))
        });
        // A new login too, and a command that needs no process beside its own.
        assert_eq!(worst.ok("echo alive").await, "alive");
        let again = Guest::login(worst.machine.clone()).await;
        assert_eq!(
            again.ok("exec cat /proc/sys/kernel/hostname").await,
            token(1).as_str()
        );
        still_whole(&ground, &neighbour).await;
    });
    Done::Passed
}

fn memory_hog() -> Done {
    let ground = Ground::new();
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        let small = &neighbour;
        let before = small.ok("pgrep -P 1 | head -n 1").await;
        small
            .fails("head -c 700M /dev/zero | tail -c 700M | wc -c | grep 734003200")
            .await;
        // In memory that belongs to no process.
        small.fails("head -c 700M /dev/zero > /dev/shm/x").await;
        small.ok("rm -f /dev/shm/x").await;
        assert_eq!(small.ok("pgrep -P 1 | head -n 1").await, before);
        assert_eq!(worst.ok("echo alive").await, "alive");
        still_whole(&ground, &neighbour).await;
    });
    Done::Passed
}

fn full_disk() -> Done {
    if program("mke2fs").is_none() {
        return Done::Skipped("the host has no mke2fs".into());
    }
    let ground = Ground::new();
    let free = || {
        let space = rustix::fs::statvfs(&ground.config.state).expect("a file system");
        space.f_bavail * space.f_frsize
    };
    let before = free();
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        let size = worst.ok("df -k --output=size / | tail -n 1").await;
        let size: u64 = size.trim().parse().expect("a number");
        assert!((7 << 20..=8 << 20).contains(&size), "{size} KiB");
        // Space is taken without being written, so that this is quick.
        worst.fails("fallocate -l 9G /var/tmp/fill").await;
        worst
            .ok("rm -f /var/tmp/fill; n=0; for size in 1G 100M 10M 1M 100K 4K; do while fallocate -l $size /var/tmp/fill$n 2> /dev/null; do n=$((n+1)); done; rm -f /var/tmp/fill$n; done")
            .await;
        let full = worst.fails("head -c 1M /dev/zero > /var/tmp/more").await;
        assert!(full.contains("No space left"), "{full}");
        assert_eq!(worst.ok("echo alive").await, "alive");
        neighbour.ok("head -c 1M /dev/zero > /var/tmp/more").await;
        assert!(
            before - free().min(before) < 1 << 30,
            "the host paid for it"
        );
        worst.ok("rm -f /var/tmp/fill*").await;
        worst.ok("head -c 1M /dev/zero > /var/tmp/more").await;
        still_whole(&ground, &neighbour).await;
    });
    Done::Passed
}

/// The state folder on a file system of 64 MiB, of which each machine may write more than there is.
fn short_of_space() -> Done {
    if program("mke2fs").is_none() {
        return Done::Skipped("the host has no mke2fs".into());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let small = HostMount::image(&folder.path().join("small"), 64 << 20);
    let ground = Ground::within(tempfile::tempdir_in(small.path()).expect("a folder"));
    block_on(async {
        let (worst, neighbour) = (request(1), request(2));
        let worst = Guest::start(&ground.provider, &worst)
            .await
            .expect("a machine");
        let neighbour = Guest::start(&ground.provider, &neighbour)
            .await
            .expect("a machine");
        // Its end may come while it still writes.
        worst
            .ok("setsid sh -c 'head -c 100M /dev/urandom > /var/tmp/fill; sync' > /dev/null 2>&1 &")
            .await;
        await_that("it has been ended", || leftovers(&ground.config).len() == 1);
        assert_eq!(
            neighbour
                .ok("echo x > /var/tmp/x; sync; cat /var/tmp/x")
                .await,
            "x"
        );
        for life in [1, 2] {
            ground
                .provider
                .release_token(&token(life))
                .await
                .expect("an end");
        }
    });
    ground.assert_clean();
    Done::Passed
}

fn others_files() -> Done {
    // Where nothing else covers it.
    let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
    let ground = Ground::within(folder);
    block_on(async {
        let (worst, neighbour) = neighbours(&ground).await;
        let (state, runtime) = (
            ground.config.state.display(),
            ground.config.runtime.display(),
        );
        for way in [
            "true",
            "umount -l {}",
            "mount --bind / /mnt && ls -A /mnt{}",
            "mount --bind /var /tmp && cd /tmp && ls -A \"${}\"",
            "mv {} /var/tmp/moved && ls -A /var/tmp/moved",
            "rm -rf {} && mkdir -p {} && ls -A {}",
            "rmdir {}; ls -A {}",
        ] {
            for path in [&state, &runtime] {
                let path = path.to_string();
                let (_, seen) = worst.run(&way.replace("{}", &path)).await;
                assert!(
                    !seen.contains("suite-") && !seen.contains("dva-"),
                    "{way}: {seen}"
                );
                let (_, seen) = worst.run(&format!("ls -A {path}")).await;
                assert!(
                    !seen.contains("suite-") && !seen.contains("dva-"),
                    "{way}: {seen}"
                );
            }
        }
        // Init is mapped from files of the host, which nobody inside may change; changing their owner to
        // whom they have would show it.
        worst
            .fails("chown --reference=/proc/1/exe /proc/1/exe")
            .await;
        worst.fails(": >> /proc/1/exe").await;
        let mapped = worst
            .ok("for f in /proc/1/map_files/*; do chown -L --reference=$f $f 2>&1; done | sort -u")
            .await;
        assert!(
            !mapped.is_empty() && mapped.lines().all(|line| line.contains("Read-only")),
            "{mapped}"
        );
        let mapped = worst
            .ok("for f in /proc/1/map_files/*; do (: >> $f) 2> /dev/null && echo $f; done; true")
            .await;
        assert_eq!(mapped, "", "open for writing");
        worst.fails("mount --bind /proc/1/exe /mnt").await;
        // The processes of the host and of the neighbour are not there at all.
        let (_, found) = worst.run("ls -d /proc/[0-9]*/root/var/tmp/mine").await;
        assert!(found.contains("No such file"), "{found}");
        let (_, found) = worst
            .run("grep -l mine /proc/[0-9]*/cwd/var/tmp/mine")
            .await;
        assert!(found.contains("No such file"), "{found}");
        still_whole(&ground, &neighbour).await;
    });
    Done::Passed
}
