//! What a schedule should cost: the bill of each of its lives, added up.
//!
//! The use of a life is what its schedule says and no more: nothing is measured, and no machine is
//! chosen by its price here. What a schedule does not say is assumed, the same for every life:
//!
//! | what | is assumed |
//! |---|---|
//! | running | from the end of `pending_ms` to the end of the life |
//! | root volume | the size that its boot says, [`ROOT_VOLUME_GIB`] where it says none; from launch to end |
//! | data disks | those of the life's tests, from launch to end, also where a step attaches them later |
//! | addresses | one public IPv4 address |
//! | hosts | one for each life of a machine that is billed by hosts |
//! | processors | they stay within what the price covers: burstable machines earn the credits they spend |
//! | ends | ours: no spot instance is interrupted |

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{DiskIx, Resource};
use dva_plan::quote::{LineKind, Quote};
use dva_plan::schedule::{PlannedLife, Schedule};

use crate::bill::{Bill, BillError, Usage, VolumeUse, bill};

/// The size of a root volume where nobody states it, in units of 1,024³ bytes: that of the images of
/// RHEL and SUSE. Most others are a little smaller, and those of Windows larger.
pub const ROOT_VOLUME_GIB: u64 = 10;

const GIB: u64 = 1 << 30;

/// What a schedule should cost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The bills of all lives whose machines have a price.
    pub bill: Bill,
    /// How many lives cost nothing.
    pub free_lives: u32,
    /// The machines without a price, by region and type, with how many lives run on each. What those
    /// cost is not known and not in the bill; it is never taken for nothing.
    pub unpriced: BTreeMap<(String, String), u32>,
    /// The oldest day of the rates that the bill rests on, `YYYY-MM-DD`; `None` where there are none.
    pub as_of: Option<String>,
}

impl Cost {
    /// How many lives run on a machine without a price.
    #[must_use]
    pub fn unpriced_lives(&self) -> u32 {
        self.unpriced
            .values()
            .fold(0, |sum, lives| sum.saturating_add(*lives))
    }

    /// Whether it is known that nothing has to be paid.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.unpriced.is_empty() && self.bill == Bill::default()
    }
}

/// What `schedule` should cost, which must be one that [`check`](crate::check()) accepts for `plan`.
///
/// # Errors
/// [`BillError::Quote`] where a machine's quote breaks a rule of its form, and
/// [`BillError::Overflow`] where the amount cannot be counted.
///
/// # Panics
/// If it names a row that is not in `plan`.
pub fn cost(plan: &ExecutionPlan, schedule: &Schedule) -> Result<Cost, BillError> {
    let mut cost = Cost::default();
    for life in &schedule.lives {
        cost.add(plan, life)?;
    }
    Ok(cost)
}

/// What one life should cost.
pub(crate) fn life_cost(plan: &ExecutionPlan, life: &PlannedLife) -> Result<Cost, BillError> {
    let mut cost = Cost::default();
    cost.add(plan, life)?;
    Ok(cost)
}

impl Cost {
    fn add(&mut self, plan: &ExecutionPlan, life: &PlannedLife) -> Result<(), BillError> {
        let machine = &plan.machines[life.machine];
        match &machine.quote {
            Some(quote) if !quote.is_free() => {
                let usage = usage(plan, life, quote);
                let own = bill(quote, &usage)?;
                for line in own.lines() {
                    self.rests_on(quote, line.kind);
                }
                self.bill = std::mem::take(&mut self.bill).merge(&own)?;
            }
            Some(_) => self.free_lives = self.free_lives.saturating_add(1),
            None if machine.is_of_this_host() => {
                self.free_lives = self.free_lives.saturating_add(1);
            }
            None => {
                let key = (machine.region.clone(), machine.r#type.clone());
                let lives = self.unpriced.entry(key).or_default();
                *lives = lives.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Notes the day of a line's rate.
    fn rests_on(&mut self, quote: &Quote, kind: LineKind) {
        let Some(line) = quote.line(kind) else {
            return;
        };
        // Days of this form are in order as text.
        if self.as_of.as_ref().is_none_or(|as_of| line.as_of < *as_of) {
            self.as_of = Some(line.as_of.clone());
        }
    }
}

/// The use of a life by the assumptions of this module.
fn usage(plan: &ExecutionPlan, life: &PlannedLife, quote: &Quote) -> Usage {
    let alive_ms = life.end_ms.saturating_sub(life.launch_ms);
    let volume = |gib| VolumeUse {
        gib,
        extra_iops: 0,
        extra_mibps: 0,
        alive_ms,
    };
    let disks = disks(plan, life)
        .into_iter()
        .filter(|disk| plan.disks[*disk].from.is_volume())
        .map(|disk| plan.disks[disk].size_bytes.div_ceil(GIB));
    let hosts = quote.line(LineKind::Host).map(|_| alive_ms);
    let root = life.boot.and_then(|boot| plan.boots[boot].root_bytes);
    let root = root.map_or(ROOT_VOLUME_GIB, |bytes| bytes.div_ceil(GIB));
    Usage {
        volumes: std::iter::once(root).chain(disks).map(volume).collect(),
        addresses_ms: vec![alive_ms],
        hosts_ms: hosts.into_iter().collect(),
        ..Usage::of_one_period(alive_ms.saturating_sub(life.pending_ms))
    }
}

/// The extra disks of a life: those on which its tests have effects.
fn disks(plan: &ExecutionPlan, life: &PlannedLife) -> BTreeSet<DiskIx> {
    let tests = life
        .executions
        .iter()
        .map(|execution| &plan.tests[execution.test]);
    tests
        .flat_map(|test| &test.effects)
        .filter_map(|effect| match effect.of {
            Resource::Disk(disk) => Some(disk),
            Resource::Machine | Resource::State(_) => None,
        })
        .collect()
}
