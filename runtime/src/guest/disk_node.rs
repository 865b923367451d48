//! The device nodes of disks: waits until a machine has them, and finds them by their serial numbers where the name that
//! the provider gave is not there.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::{Link, command};
use crate::environment;
use crate::excerpt::escape;
use crate::provider::AttachedDisk;

/// How long a disk may take to show itself, once its provider says that it is there; and once it was there before.
pub(super) const SHOWING: Duration = Duration::from_secs(60);
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// How long one command waits, in tenths of seconds: the first for no longer than a usual node takes, so that a
/// machine which names disks otherwise is not waited for in vain.
const FIRST_LOOK: u32 = 50;
const LOOK: u32 = 100;
const PAUSE: Duration = Duration::from_secs(1);

/// The disk with the node that the machine has for it. One without a serial number is taken to be there.
///
/// # Errors
/// What happened instead, as the end of a sentence.
pub(super) async fn find(
    link: &Link,
    mut disk: AttachedDisk,
    within: Duration,
) -> Result<AttachedDisk, String> {
    let Some(serial) = disk.serial.clone() else {
        return Ok(disk);
    };
    let deadline = Instant::now() + within;
    let mut tenths = FIRST_LOOK;
    let absent = || {
        format!(
            "{} is not there after {} s, nor is there a disk of the serial number {serial}",
            disk.device,
            within.as_secs()
        )
    };
    while Instant::now() < deadline {
        let look = command(environment::find_node(link.root, &disk.device, tenths));
        let Ok(looked) = timeout_at(deadline, link.session.exec(look)).await else {
            break;
        };
        let outcome = looked.map_err(|error| error.to_string())?;
        let said = escape(&outcome.stdout.head);
        if said.trim() == "node" {
            return Ok(disk);
        }
        if let Some(device) = device_of(&said, &serial) {
            disk.device = device;
            return Ok(disk);
        }
        tenths = LOOK;
        // Where a machine cannot wait it has answered at once.
        sleep(PAUSE).await;
    }
    Err(absent())
}

/// The node of the disk with this serial number in a list of disks, one a line: its name or node first, its serial
/// number among the words behind it, with or without the hyphen of `vol-0123`.
fn device_of(list: &str, serial: &str) -> Option<String> {
    let serial = plain(serial);
    let name = list.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        words.any(|word| plain(word) == serial).then_some(name)
    })?;
    match name.starts_with("/dev/") {
        true => Some(name.to_owned()),
        false => Some(format!("/dev/{name}")),
    }
}

fn plain(serial: &str) -> String {
    serial.replacen("vol-", "vol", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root volume, two more and an instance store of a machine with NVMe.
    const LSBLK: &str = "\
nvme0n1 vol0a1b2c3d4e5f60718
nvme1n1 AWS1A2B3C4D5E6F70819
nvme2n1 vol-0123456789abcdef0
nvme3n1 vol0fedcba9876543210
";

    const NVME_LIST: &str = "\
Node             SN                   Model                                    Namespace Usage                      Format           FW Rev
---------------- -------------------- ---------------------------------------- --------- -------------------------- ---------------- --------
/dev/nvme0n1     vol0a1b2c3d4e5f60718 Amazon Elastic Block Store               1           8.59  GB /   8.59  GB    512   B +  0 B   1.0
/dev/nvme1n1     AWS1A2B3C4D5E6F70819 Amazon EC2 NVMe Instance Storage         1          75.00  GB /  75.00  GB    512   B +  0 B   0
/dev/nvme2n1     vol0123456789abcdef0 Amazon Elastic Block Store               1           1.07  GB /   1.07  GB    512   B +  0 B   1.0
";

    #[test]
    fn a_disk_is_found_by_its_serial_number_however_that_is_written() {
        let cases = [
            (LSBLK, "vol0123456789abcdef0", Some("/dev/nvme2n1")),
            (LSBLK, "vol-0fedcba9876543210", Some("/dev/nvme3n1")),
            (LSBLK, "AWS1A2B3C4D5E6F70819", Some("/dev/nvme1n1")),
            // No part of another one's.
            (LSBLK, "vol0123456789abcdef", None),
            (NVME_LIST, "vol0123456789abcdef0", Some("/dev/nvme2n1")),
            // Xen has no serial numbers; nor has every disk of virtio.
            ("xvda \nxvdf \n", "vol0123456789abcdef0", None),
            (
                "vda\nvdb  vol0123456789abcdef0\nsr0  QM00001\n",
                "vol0123456789abcdef0",
                Some("/dev/vdb"),
            ),
            ("", "vol0123456789abcdef0", None),
        ];
        for (list, serial, device) in cases {
            assert_eq!(device_of(list, serial).as_deref(), device, "{serial}");
        }
    }
}
