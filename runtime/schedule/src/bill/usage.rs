//! What was used of a machine from its launch until nothing of it is left.
//!
//! All times are milliseconds, planned or measured; whole seconds and minimums are the bill's.

use dva_plan::quote::LineKind;

/// The use of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Its periods of `running`, see [`Period::of_states`]. A reboot stays inside one, a start after a stop begins the next.
    pub periods: Vec<Period>,
    /// Its volumes, each from creation to deletion.
    pub volumes: Vec<VolumeUse>,
    /// Its public IPv4 addresses: for how long each was held, in use or not.
    pub addresses_ms: Vec<u64>,
    /// Whole hosts that were allocated for it: for how long each was `available`. A host that several
    /// lives share belongs to the use of one of them; the others bring none.
    pub hosts_ms: Vec<u64>,
}

/// One stretch of `running`.
///
/// Source of what belongs to it: EC2 user guide, *Instance lifecycle*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// From the transition to `running` until that to `stopping` or `shutting-down`. The time in
    /// `pending` before it is free and not part of it.
    pub running_ms: u64,
    /// How long it then was `stopping` in order to hibernate, which is billed. An ordinary stop is
    /// not: 0.
    pub hibernating_ms: u64,
    /// How much its processors worked: milliseconds of one virtual processor at 100 %. It matters
    /// where the quote has a line for credits, which is to say for burstable types in unlimited mode.
    pub cpu_vcpu_ms: u64,
    /// Who ended it.
    pub ended: Ended,
}

/// Who ended a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// We did, or the machine itself; or it still runs.
    ByUs,
    /// EC2 took a spot instance back: it was terminated, stopped or hibernated.
    Interrupted,
}

/// A volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeUse {
    /// Its size in units of 1,024³ bytes.
    pub gib: u64,
    /// Operations a second above those which its price includes (gp3: above 3,000).
    pub extra_iops: u64,
    /// Units of 1,024² bytes a second above those which its price includes (gp3: above 125).
    pub extra_mibps: u64,
    /// From its creation, at the launch, until its deletion; also while the machine is stopped.
    pub alive_ms: u64,
}

impl Usage {
    /// The use of a machine that ran once, for `running_ms`, and was ended by us.
    #[must_use]
    pub fn of_one_period(running_ms: u64) -> Self {
        Self {
            periods: vec![Period::of(running_ms)],
            ..Self::default()
        }
    }

    /// Whether there is anything that a line of `kind` could be for.
    pub(super) fn uses(&self, kind: LineKind) -> bool {
        let volume = |what: fn(&VolumeUse) -> u64| self.volumes.iter().any(|one| what(one) > 0);
        match kind {
            LineKind::Compute
            | LineKind::OsSurcharge
            | LineKind::Credits
            | LineKind::Marketplace => !self.periods.is_empty(),
            LineKind::Host => !self.hosts_ms.is_empty(),
            LineKind::Disk => volume(|one| one.gib),
            LineKind::DiskIops => volume(|one| one.extra_iops),
            LineKind::DiskThroughput => volume(|one| one.extra_mibps),
            LineKind::Ipv4 => !self.addresses_ms.is_empty(),
        }
    }
}

impl Period {
    /// A period of `running_ms` that we ended, with idle processors.
    #[must_use]
    pub fn of(running_ms: u64) -> Self {
        Self {
            running_ms,
            hibernating_ms: 0,
            cpu_vcpu_ms: 0,
            ended: Ended::ByUs,
        }
    }

    /// The time that is billed; `None` where it cannot be counted.
    pub(super) fn billed_ms(&self) -> Option<u64> {
        self.running_ms.checked_add(self.hibernating_ms)
    }
}
