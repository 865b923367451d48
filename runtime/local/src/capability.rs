//! The capabilities that processes of a sandbox do without.

use caps::{CapSet, Capability};

use crate::trouble::Trouble;

/// What could reach the host from a sandbox however it is walled in: its modules, memory, clock, power,
/// log and kernel. Reading by file handle is among them because a handle names a file of the host's file
/// system by number, past every mount; for all else `CAP_DAC_OVERRIDE` does the same.
const DROPPED: [Capability; 9] = [
    Capability::CAP_SYS_MODULE,
    Capability::CAP_SYS_RAWIO,
    Capability::CAP_SYS_TIME,
    Capability::CAP_SYS_BOOT,
    Capability::CAP_MAC_ADMIN,
    Capability::CAP_SYSLOG,
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_DAC_READ_SEARCH,
];

/// Drops them from this process and from all it will start. `CAP_MKNOD` stays, since partitions get
/// their nodes inside; what a node may open is decided by the devices cgroup.
pub(crate) fn drop_dangerous() -> Result<(), Trouble> {
    for capability in DROPPED {
        // The bounding set goes first: it can be lowered only while `CAP_SETPCAP` is held, and it is
        // what keeps a program that root executes from getting the capability back.
        for set in [
            CapSet::Bounding,
            CapSet::Inheritable,
            CapSet::Effective,
            CapSet::Permitted,
        ] {
            caps::drop(None, set, capability)
                .map_err(|error| Trouble::new(format!("drop {capability}: {error}")))?;
        }
    }
    Ok(())
}
