//! Extra disks: they appear, can be partitioned, and are their machine's alone.

use dva_plan::plan::DiskIx;
use dva_runtime::provider::{AttachedDisk, Provider};

use crate::ground::{Ground, Guest, block_on, program, request_with_disks, token};
use crate::{Done, Test};

pub(crate) const TESTS: &[Test] = &[
    ("disks::a_partitioned_disk_keeps_a_file_system", partitioned),
    ("disks::nodes_follow_the_table", nodes_follow),
    ("disks::a_partition_table_program_works", table_program),
    ("disks::two_machines_have_their_own", own_disks),
];

/// A shell function that writes a DOS table of one partition, with no program but `dd`: it begins at
/// sector 2048 and has as many sectors as the 4 bytes say, in octal.
const WRITE_TABLE: &str = "write_table() {
    printf '\\000\\000\\000\\000\\203\\000\\000\\000\\000\\010\\000\\000'\"$1\" |
        dd of=/dev/sdb bs=1 seek=446 conv=notrunc status=none
    printf '\\125\\252' | dd of=/dev/sdb bs=1 seek=510 conv=notrunc status=none
}
";
/// 65,536 sectors: 32 MiB.
const MIB_32: &str = "\\000\\000\\001\\000";
/// 32,768 sectors: 16 MiB.
const MIB_16: &str = "\\000\\200\\000\\000";

fn partitioned() -> Done {
    if program("mkfs.ext4").is_none() {
        return Done::Skipped("the host has no mkfs.ext4".into());
    }
    let ground = Ground::new();
    block_on(async {
        let request = request_with_disks(1, &[64, 32]);
        let guest = Guest::start(&ground.provider, &request)
            .await
            .expect("a machine");
        let disk = |index, device: &str| AttachedDisk {
            disk: DiskIx(index),
            device: device.into(),
            serial: None,
        };
        assert_eq!(
            guest.machine.disks,
            [disk(0, "/dev/sdb"), disk(1, "/dev/sdc")]
        );
        assert_eq!(
            guest.ok("blockdev --getsize64 /dev/sdb /dev/sdc").await,
            "67108864\n33554432"
        );
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdb\n/dev/sdc");

        guest
            .ok(&format!("{WRITE_TABLE} write_table '{MIB_32}'"))
            .await;
        assert_eq!(
            guest.ok("ls /dev/sd*").await,
            "/dev/sdb\n/dev/sdb1\n/dev/sdc"
        );
        assert_eq!(guest.ok("blockdev --getsize64 /dev/sdb1").await, "33554432");
        guest
            .ok("mkfs.ext4 -q /dev/sdb1 && mkdir /mnt/data && mount /dev/sdb1 /mnt/data")
            .await;
        guest
            .ok("echo kept > /mnt/data/file && umount /mnt/data && mount /dev/sdb1 /mnt/data")
            .await;
        assert_eq!(guest.ok("cat /mnt/data/file").await, "kept");

        // A disk as a whole.
        guest
            .ok("mkfs.ext4 -q /dev/sdc && mkdir /mnt/whole && mount /dev/sdc /mnt/whole")
            .await;
        guest.ok("echo whole > /mnt/whole/file").await;
        assert_eq!(guest.ok("ls /dev/sdc*").await, "/dev/sdc");
        // Both are still mounted, and a command still runs.
        let (_, text) = guest
            .run("nohup sleep 100 > /mnt/whole/log 2>&1 & echo left")
            .await;
        assert_eq!(text, "left\n");
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn nodes_follow() -> Done {
    let ground = Ground::new();
    block_on(async {
        let request = request_with_disks(1, &[64]);
        let guest = Guest::start(&ground.provider, &request)
            .await
            .expect("a machine");
        guest
            .ok(&format!("{WRITE_TABLE} write_table '{MIB_32}'"))
            .await;
        assert_eq!(guest.ok("blockdev --getsize64 /dev/sdb1").await, "33554432");
        guest
            .ok(&format!("{WRITE_TABLE} write_table '{MIB_16}'"))
            .await;
        assert_eq!(guest.ok("blockdev --getsize64 /dev/sdb1").await, "16777216");
        // A kernel that reads no tables loses partitions here.
        guest.run("blockdev --rereadpt /dev/sdb").await;
        assert_eq!(guest.ok("blockdev --getsize64 /dev/sdb1").await, "16777216");
        // A table of no partitions, and no table.
        guest
            .ok("dd if=/dev/zero of=/dev/sdb bs=1 seek=446 count=16 conv=notrunc status=none")
            .await;
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdb");
        guest
            .ok(&format!("{WRITE_TABLE} write_table '{MIB_32}'"))
            .await;
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdb\n/dev/sdb1");
        guest
            .ok("dd if=/dev/zero of=/dev/sdb bs=1M count=1 conv=notrunc status=none")
            .await;
        assert_eq!(guest.ok("ls /dev/sd*").await, "/dev/sdb");
        guest
            .ok(&format!("{WRITE_TABLE} write_table '{MIB_32}'"))
            .await;
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn table_program() -> Done {
    let (script, more) = if program("sgdisk").is_some() {
        (
            "sgdisk -n 1:0:+16M -n 2:0:+16M /dev/sdb",
            "sgdisk -n 3:0:+8M /dev/sdb",
        )
    } else if program("sfdisk").is_some() {
        (
            "printf 'label: gpt\\nsize=16MiB\\nsize=16MiB\\n' | sfdisk /dev/sdb",
            "echo size=8MiB | sfdisk --append --force /dev/sdb",
        )
    } else {
        return Done::Skipped("the host has neither sgdisk nor sfdisk".into());
    };
    let ground = Ground::new();
    block_on(async {
        let request = request_with_disks(1, &[64]);
        let guest = Guest::start(&ground.provider, &request)
            .await
            .expect("a machine");
        guest.ok(script).await;
        assert_eq!(
            guest.ok("ls /dev/sd*").await,
            "/dev/sdb\n/dev/sdb1\n/dev/sdb2"
        );
        assert_eq!(guest.ok("blockdev --getsize64 /dev/sdb2").await, "16777216");
        // A partition more while another is in use.
        guest
            .ok("mkfs.ext4 -q /dev/sdb1 && mount /dev/sdb1 /mnt")
            .await;
        guest.run(more).await;
        guest.ok("test -b /dev/sdb3 && echo x > /mnt/file && umount /mnt && mount /dev/sdb1 /mnt && cat /mnt/file").await;
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}

fn own_disks() -> Done {
    let ground = Ground::new();
    block_on(async {
        let (one, other) = (request_with_disks(1, &[64]), request_with_disks(2, &[64]));
        let one = Guest::start(&ground.provider, &one)
            .await
            .expect("a machine");
        let other = Guest::start(&ground.provider, &other)
            .await
            .expect("a machine");
        one.ok(&format!("{WRITE_TABLE} write_table '{MIB_32}'"))
            .await;
        one.ok("printf one | dd of=/dev/sdb1 conv=notrunc,nocreat status=none")
            .await;
        assert_eq!(other.ok("ls /dev/sd*").await, "/dev/sdb");
        assert_eq!(
            other.ok("head -c 512 /dev/sdb | tr -d '\\0' | wc -c").await,
            "0"
        );
        // Not by number either, neither the disk nor the partition.
        for node in ["sdb", "sdb1"] {
            let number = one.ok(&format!("stat -c '0x%t 0x%T' /dev/{node}")).await;
            let denied = other.fails(&format!("mknod /tmp/{node} b {number}")).await;
            assert!(denied.contains("not permitted"), "{denied}");
        }
        // The number of a partition that has gone is no longer allowed.
        let number = one.ok("stat -c '0x%t 0x%T' /dev/sdb1").await;
        one.ok("dd if=/dev/zero of=/dev/sdb bs=1M count=1 conv=notrunc status=none")
            .await;
        one.fails(&format!("mknod /tmp/old b {number}")).await;
        ground
            .provider
            .release_token(&token(1))
            .await
            .expect("an end");
        // The other is still whole.
        other
            .ok("dd if=/dev/urandom of=/dev/sdb bs=1M count=1 status=none")
            .await;
        ground
            .provider
            .release_token(&token(2))
            .await
            .expect("an end");
    });
    ground.assert_clean();
    Done::Passed
}
