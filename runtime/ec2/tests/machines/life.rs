//! A machine from its launch to its end, over SSH.

use std::sync::Arc;

use dva_plan::RunId;
use dva_plan::plan::DiskIx;
use dva_runtime::provider::{
    AcquiredMachine, AttachedDisk, ControlErrorKind, DetachMode, DiskRequest, MachineRequest,
    Provider,
};
use dva_runtime::transport::{
    ExecRequest, ExecStatus, HostKeyCheck, Purpose, Session, StreamPlan, Transport,
};
use dva_ssh::SshTransport;

use crate::cloud::Boots;
use crate::runner::{Done, Test};
use crate::{Stand, ground};

pub const TESTS: &[Test] = &[
    ("life::a_machine_is_what_its_type_promises", promises),
    ("life::disks_are_there_and_come_and_go", disks),
    ("life::a_machine_comes_back", comes_back),
];

/// A login to a machine.
struct Guest(Arc<dyn Session>);

impl Guest {
    async fn login(machine: &AcquiredMachine) -> Self {
        let session = SshTransport::new().connect(&machine.reach).await;
        Self(session.expect("a login"))
    }

    /// Runs a command that must succeed; what it wrote.
    async fn ok(&self, command: &str) -> String {
        let request = ExecRequest {
            command: format!("exec 2>&1\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n{command}"),
            stdin: Vec::new(),
            stdout: StreamPlan::default(),
            stderr: StreamPlan::default(),
            purpose: Purpose::Housekeeping,
        };
        let outcome = self.0.exec(request).await.expect("an end");
        let text = String::from_utf8_lossy(&outcome.stdout.head).into_owned();
        assert_eq!(outcome.status, ExecStatus::Exit(0), "{command}: {text}");
        text.trim_end().to_owned()
    }
}

fn disk(row: u32) -> DiskRequest {
    DiskRequest {
        disk: DiskIx(row),
        name: format!("disk{row}"),
        size_bytes: 1 << 30,
    }
}

/// A cloud, and what is asked of it: a machine that is logged in to as root, with these disks.
fn asked(region: &'static str, disks: Vec<DiskRequest>) -> Option<(Stand, MachineRequest)> {
    let stand = Stand::up(region, Boots::Machines)?;
    let mut request = ground::request(region, &RunId::new("20261128-150000-0001"), 1);
    request.logins = vec!["root".to_owned()];
    request.disks = disks;
    Some((stand, request))
}

fn promises() -> Done {
    let Some((stand, request)) = asked("eu-west-1", Vec::new()) else {
        return Done::Passed;
    };
    stand.runtime.block_on(async {
        let machine = stand.provider.acquire(&request).await.expect("a machine");
        assert!(
            matches!(machine.reach.host_key, HostKeyCheck::Pinned(_)),
            "its console shows its host key"
        );
        let guest = Guest::login(&machine).await;
        assert_eq!(guest.ok("id -u").await, "0");
        let total = guest.ok("grep MemTotal /proc/meminfo").await;
        assert_eq!(total.split_whitespace().nth(1), Some("8388608"), "{total}");
        assert_eq!(guest.ok("grep -c ^processor /proc/cpuinfo").await, "2");
        let ended = stand.provider.release_token(&request.token).await;
        ended.expect("it ends");
        assert_eq!(stand.cloud.machines(), 0);
        stand
            .provider
            .end_run(&request.run)
            .await
            .expect("nothing is left");
    });
    stand.nothing_is_left();
    Done::Passed
}

fn disks() -> Done {
    let Some((stand, request)) = asked("eu-west-2", vec![disk(0)]) else {
        return Done::Passed;
    };
    let (provider, token) = (&stand.provider, &request.token);
    stand.runtime.block_on(async {
        let machine = provider.acquire(&request).await.expect("a machine");
        let guest = Guest::login(&machine).await;
        use_disk(&guest, &machine.disks[0], "first").await;

        let other = provider.attach(token, &disk(1)).await.expect("a disk");
        use_disk(&guest, &other, "second").await;
        let busy = provider.detach(token, DiskIx(1), DetachMode::Wait).await;
        let busy = busy.expect_err("it is mounted").kind;
        assert_eq!(busy, ControlErrorKind::Busy);
        assert!(provider.is_attached(token, DiskIx(1)).await.expect("said"));
        guest.ok("umount /mnt/second").await;
        let gone = provider.detach(token, DiskIx(1), DetachMode::Wait).await;
        gone.expect("it goes");
        assert!(!provider.is_attached(token, DiskIx(1)).await.expect("said"));
        guest.ok(&format!("test ! -e {}", other.device)).await;
        let again = provider.attach(token, &disk(1)).await.expect("the disk");
        guest
            .ok(&format!("mount {} /mnt/second", again.partition(1)))
            .await;
        assert_eq!(guest.ok("cat /mnt/second/probe").await, "second");

        provider.release_token(token).await.expect("it ends");
        provider
            .end_run(&request.run)
            .await
            .expect("nothing is left");
    });
    stand.nothing_is_left();
    Done::Passed
}

/// Partitions it, formats it, mounts it and writes to it.
async fn use_disk(guest: &Guest, disk: &AttachedDisk, name: &str) {
    let (device, part) = (&disk.device, disk.partition(1));
    guest
        .ok(&format!("sgdisk --zap-all --new=1:0:0 {device}"))
        .await;
    guest.ok(&format!("mkfs.ext4 -q {part}")).await;
    guest
        .ok(&format!("mkdir -p /mnt/{name} && mount {part} /mnt/{name}"))
        .await;
    guest
        .ok(&format!("echo {name} >/mnt/{name}/probe && sync"))
        .await;
}

fn comes_back() -> Done {
    let Some((stand, request)) = asked("eu-west-3", vec![disk(0)]) else {
        return Done::Passed;
    };
    let (provider, token) = (&stand.provider, &request.token);
    stand.runtime.block_on(async {
        let machine = provider.acquire(&request).await.expect("a machine");
        let device = &machine.disks[0].device;
        let boot_id = "cat /proc/sys/kernel/random/boot_id";
        let first = Guest::login(&machine).await.ok(boot_id).await;
        provider.reboot(token).await.expect("it comes back");
        let guest = Guest::login(&machine).await;
        let second = guest.ok(boot_id).await;
        assert_ne!(first, second);
        guest.ok(&format!("test -b {device}")).await;

        // At another address, with the same host key.
        provider.stop(token).await.expect("it stops");
        provider.start(token).await.expect("it starts");
        let guest = Guest::login(&machine).await;
        assert_ne!(guest.ok(boot_id).await, second);
        guest.ok(&format!("test -b {device}")).await;
        provider.release_token(token).await.expect("it ends");
        provider
            .end_run(&request.run)
            .await
            .expect("nothing is left");
    });
    stand.nothing_is_left();
    Done::Passed
}
