//! What can be done to a machine that runs: a reboot, a stop and a start, disks that come and go, and
//! living on after its run.

use std::fs;
use std::time::{Duration, SystemTime};

use dva_local::{LocalProvider, end_kept, leftovers, remove};
use dva_plan::plan::DiskIx;
use dva_runtime::provider::{ControlErrorKind, DetachMode, DiskRequest, Provider};

use crate::ground::{Ground, Guest, await_that, block_on, request, request_with_disks, token};
use crate::{Done, Test};

pub(crate) const TESTS: &[Test] = &[
    ("control::a_reboot_keeps_files_and_ends_processes", reboot),
    ("control::a_stopped_machine_starts_again", stop_and_start),
    ("control::disks_come_and_go", disks),
    ("control::a_disk_in_use_goes_when_it_is_free", deferred),
    ("control::a_disk_can_be_pulled", pulled),
    ("control::a_kept_machine_outlives_its_provider", kept),
    (
        "control::a_kept_machine_ends_when_its_time_is_over",
        kept_expires,
    ),
];

fn disk(index: u32, mib: u64) -> DiskRequest {
    DiskRequest {
        disk: DiskIx(index),
        name: format!("data{index}"),
        size_bytes: mib << 20,
    }
}

const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";

fn reboot() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request_with_disks(1, &[64]))
            .await
            .expect("a machine");
        guest.ok("echo kept > /etc/kept && rm -rf /opt").await;
        guest
            .ok("echo lost > /run/lost && echo lost > /dev/shm/lost")
            .await;
        // A table of one partition of 32 MiB.
        guest
            .ok("printf '\\000\\000\\000\\000\\203\\000\\000\\000\\000\\010\\000\\000\\000\\000\\001\\000' | dd of=/dev/sdb bs=1 seek=446 conv=notrunc status=none && printf '\\125\\252' | dd of=/dev/sdb bs=1 seek=510 conv=notrunc status=none")
            .await;
        guest
            .ok("mkfs.ext4 -q /dev/sdb1 && mount /dev/sdb1 /mnt && echo kept > /mnt/kept && umount /mnt")
            .await;
        guest.ok("setsid sleep 600 > /dev/null 2>&1 &").await;
        let before = guest.ok(BOOT_ID).await;
        assert_eq!(before.len(), 36, "{before}");
        assert_eq!(guest.ok(BOOT_ID).await, before);

        ground.provider.reboot(&token(1)).await.expect("a reboot");
        // At the same address, and with the same host key.
        let guest = Guest::login(guest.machine).await;
        let after = guest.ok(BOOT_ID).await;
        assert_ne!(after, before);
        assert_eq!(guest.ok("cat /etc/kept").await, "kept");
        guest.ok("! test -e /opt").await;
        guest.fails("cat /run/lost").await;
        guest.fails("cat /dev/shm/lost").await;
        guest.fails("pgrep -x sleep").await;
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdb\n/dev/sdb1");
        assert_eq!(
            guest.ok("mount /dev/sdb1 /mnt && cat /mnt/kept").await,
            "kept"
        );
        // With the disk still mounted, and once more.
        ground.provider.reboot(&token(1)).await.expect("a reboot");
        let guest = Guest::login(guest.machine).await;
        assert_eq!(
            guest.ok("mount /dev/sdb1 /mnt && cat /mnt/kept").await,
            "kept"
        );
        assert_eq!(guest.ok("cat /etc/kept").await, "kept");
        let error = ground
            .provider
            .reboot(&token(9))
            .await
            .expect_err("no machine");
        assert_eq!(error.kind, ControlErrorKind::Broken);
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn stop_and_start() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request(1))
            .await
            .expect("a machine");
        guest.ok("echo kept > /etc/kept").await;
        let provider = &ground.provider;
        provider.stop(&token(1)).await.expect("a stop");
        provider.stop(&token(1)).await.expect("still stopped");
        let processes = ground
            .leaked()
            .into_iter()
            .filter(|thing| thing.starts_with("process"));
        assert_eq!(
            processes.count(),
            1,
            "the supervisor alone: {:?}",
            ground.leaked()
        );
        let error = provider.reboot(&token(1)).await.expect_err("nothing runs");
        assert_eq!(error.kind, ControlErrorKind::Busy);
        // A disk can be changed meanwhile.
        let attached = provider
            .attach(&token(1), &disk(0, 16))
            .await
            .expect("a disk");
        assert_eq!(attached.device, "/dev/sdb");
        provider.start(&token(1)).await.expect("a start");
        provider.start(&token(1)).await.expect("still started");
        let guest = Guest::login(guest.machine).await;
        assert_eq!(
            guest.ok("cat /etc/kept; ls /dev/sd*").await,
            "kept\n/dev/sdb"
        );
        // It ends from either state.
        provider.stop(&token(1)).await.expect("a stop");
        provider.release_token(&token(1)).await.expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn disks() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request_with_disks(1, &[16]))
            .await
            .expect("a machine");
        let provider = &ground.provider;
        let attached = provider
            .attach(&token(1), &disk(7, 32))
            .await
            .expect("a disk");
        assert_eq!(
            (attached.disk, attached.device.as_str()),
            (DiskIx(7), "/dev/sdc")
        );
        assert_eq!(guest.ok("blockdev --getsize64 /dev/sdc").await, "33554432");
        let again = provider
            .attach(&token(1), &disk(7, 32))
            .await
            .expect_err("twice");
        assert_eq!(again.kind, ControlErrorKind::Busy);
        guest
            .ok("mkfs.ext4 -q /dev/sdc && mount /dev/sdc /mnt && echo kept > /mnt/kept")
            .await;
        let number = guest.ok("stat -c '0x%t 0x%T' /dev/sdc").await;

        let busy = provider
            .detach(&token(1), DiskIx(7), DetachMode::Wait)
            .await
            .expect_err("it is mounted");
        assert_eq!(busy.kind, ControlErrorKind::Busy);
        assert_eq!(guest.ok("cat /mnt/kept; umount /mnt").await, "kept");
        for _ in 0..2 {
            provider
                .detach(&token(1), DiskIx(7), DetachMode::Wait)
                .await
                .expect("it is free");
        }
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdb");
        // Not by its number either.
        guest.fails(&format!("mknod /tmp/x b {number}")).await;
        // What was on it is there when it comes back, in its place.
        let attached = provider
            .attach(&token(1), &disk(7, 32))
            .await
            .expect("a disk");
        assert_eq!(attached.device, "/dev/sdc");
        assert_eq!(
            guest.ok("mount /dev/sdc /mnt && cat /mnt/kept").await,
            "kept"
        );
        // One from the start goes just as well.
        provider
            .detach(&token(1), DiskIx(0), DetachMode::Wait)
            .await
            .expect("it is free");
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdc");
        provider.release_token(&token(1)).await.expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn deferred() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request_with_disks(1, &[16]))
            .await
            .expect("a machine");
        let provider = &ground.provider;
        guest
            .ok("mkfs.ext4 -q /dev/sdb && mount /dev/sdb /mnt")
            .await;
        provider
            .detach(&token(1), DiskIx(0), DetachMode::Nowait)
            .await
            .expect("it is asked");
        guest.ok("echo still > /mnt/there && sync").await;
        let attached = provider
            .is_attached(&token(1), DiskIx(0))
            .await
            .expect("an answer");
        assert!(attached, "it has gone while it was mounted");
        guest.ok("umount /mnt").await;
        await_that("it has gone", || {
            !block_in(provider.is_attached(&token(1), DiskIx(0)))
        });
        guest.ok("! test -e /dev/sdb").await;
        // One that nobody uses goes at once.
        provider
            .attach(&token(1), &disk(0, 16))
            .await
            .expect("a disk");
        provider
            .detach(&token(1), DiskIx(0), DetachMode::Nowait)
            .await
            .expect("it is free");
        guest.ok("! test -e /dev/sdb").await;
        provider.release_token(&token(1)).await.expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

/// Waits inside of what is waited for.
fn block_in<E: std::fmt::Debug>(future: impl Future<Output = Result<bool, E>>) -> bool {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
        .expect("an answer")
}

fn pulled() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request_with_disks(1, &[64]))
            .await
            .expect("a machine");
        let provider = &ground.provider;
        guest
            .ok("mkfs.ext4 -q /dev/sdb && mount /dev/sdb /mnt && echo kept > /mnt/kept && sync")
            .await;
        provider
            .detach(&token(1), DiskIx(0), DetachMode::Force)
            .await
            .expect("it is pulled");
        guest.ok("! test -e /dev/sdb").await;
        // Who still uses it meets errors, and the machine goes on.
        guest
            .fails("head -c 1M /dev/zero > /mnt/more && sync /mnt/more")
            .await;
        guest.ok("umount -l /mnt && echo alive").await;
        let attached = provider
            .attach(&token(1), &disk(0, 64))
            .await
            .expect("a disk");
        assert_eq!(attached.device, "/dev/sdb");
        guest.ok("mount /dev/sdb /mnt && cat /mnt/kept").await;
        provider.release_token(&token(1)).await.expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn kept() -> Done {
    let ground = Ground::new();
    block_on(async {
        let provider = LocalProvider::new(ground.config.clone());
        let guest = Guest::start(&provider, &request_with_disks(1, &[16]))
            .await
            .expect("a machine");
        guest.ok("echo kept > /etc/kept").await;
        let [alive] = &leftovers(&ground.config)[..] else {
            panic!("one machine");
        };
        assert_eq!(alive.kept, None);
        assert!(end_kept(alive).is_err(), "a machine of a run was ended");
        let lifetime = Duration::from_secs(600);
        provider
            .keep(&token(1), lifetime)
            .await
            .expect("it is kept");
        drop(provider);

        let [leftover] = &leftovers(&ground.config)[..] else {
            panic!("one machine");
        };
        assert!(!leftover.dead, "{leftover:?}");
        let kept = leftover.kept.as_ref().expect("it is kept");
        let left = kept
            .until
            .duration_since(SystemTime::now())
            .expect("it is to come");
        assert!(left <= lifetime && left > lifetime / 2, "{left:?}");
        let key = fs::read_to_string(&kept.identity).expect("a key");
        assert!(key.contains("PRIVATE KEY"), "no key");
        assert!(
            kept.host_key.starts_with("ssh-ed25519 "),
            "{}",
            kept.host_key
        );
        assert!(remove(leftover).is_err(), "a kept machine was removed");
        let guest = Guest::login(guest.machine).await;
        assert_eq!(guest.ok("cat /etc/kept").await, "kept");
        end_kept(leftover).expect("an end");
        end_kept(leftover).expect("it is gone");
        assert_eq!(leftovers(&ground.config), []);
    });
    ground.assert_clean();
    Done::Passed
}

fn kept_expires() -> Done {
    let ground = Ground::new();
    block_on(async {
        let guest = Guest::start(&ground.provider, &request(1))
            .await
            .expect("a machine");
        guest.ok("true").await;
        ground
            .provider
            .keep(&token(1), Duration::from_millis(300))
            .await
            .expect("it is kept");
    });
    ground.await_clean();
    Done::Passed
}
