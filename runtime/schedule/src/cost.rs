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
//!
//! The bill after a run rests on the same, see [`spent`](mod@crate::spent): both go through `LifeUse`.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{BootIx, DiskIx, Machine, Resource, TestIx};
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

    /// Both together.
    ///
    /// # Errors
    /// [`BillError::Overflow`].
    pub fn merge(mut self, other: Self) -> Result<Self, BillError> {
        self.bill = std::mem::take::<Bill>(&mut self.bill).merge(&other.bill)?;
        self.free_lives = self.free_lives.saturating_add(other.free_lives);
        for (machine, lives) in other.unpriced {
            let sum = self.unpriced.entry(machine).or_default();
            *sum = sum.saturating_add(lives);
        }
        // Days of this form are in order as text.
        self.as_of = match (self.as_of, other.as_of) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Ok(self)
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
        cost = cost.merge(life_cost(plan, life)?)?;
    }
    Ok(cost)
}

/// What one life should cost.
pub(crate) fn life_cost(plan: &ExecutionPlan, life: &PlannedLife) -> Result<Cost, BillError> {
    LifeUse::planned(plan, life).cost(plan)
}

/// The use of a life, planned or measured, from which its cost follows.
pub(crate) struct LifeUse<'p> {
    /// Its machine; `None` where nobody knows it, so that it has no price.
    pub(crate) machine: Option<&'p Machine>,
    /// The region and the type of it.
    pub(crate) place: (&'p str, &'p str),
    /// The boot that it has.
    pub(crate) boot: Option<BootIx>,
    /// What ran on it.
    pub(crate) tests: BTreeSet<TestIx>,
    /// From the launch to the end, in milliseconds.
    pub(crate) alive_ms: u64,
    /// How much of that is free, in milliseconds.
    pub(crate) pending_ms: u64,
}

impl<'p> LifeUse<'p> {
    fn planned(plan: &'p ExecutionPlan, life: &PlannedLife) -> Self {
        let machine = &plan.machines[life.machine];
        let executions = life.executions.iter();
        Self {
            machine: Some(machine),
            place: (&machine.region, &machine.r#type),
            boot: life.boot,
            tests: executions.map(|execution| execution.test).collect(),
            alive_ms: life.end_ms.saturating_sub(life.launch_ms),
            pending_ms: life.pending_ms,
        }
    }

    /// What it costs.
    pub(crate) fn cost(&self, plan: &ExecutionPlan) -> Result<Cost, BillError> {
        let mut cost = Cost::default();
        match self.machine {
            Some(Machine {
                quote: Some(quote), ..
            }) if !quote.is_free() => {
                cost.bill = bill(quote, &self.usage(plan, quote))?;
                let lines = cost.bill.lines().filter_map(|line| quote.line(line.kind));
                // Days of this form are in order as text.
                cost.as_of = lines.map(|line| &line.as_of).min().cloned();
            }
            Some(machine) if machine.quote.is_some() || machine.is_of_this_host() => {
                cost.free_lives = 1;
            }
            Some(_) | None => {
                let (region, r#type) = self.place;
                let key = (region.to_owned(), r#type.to_owned());
                cost.unpriced.insert(key, 1);
            }
        }
        Ok(cost)
    }

    /// The use by the assumptions of this module.
    fn usage(&self, plan: &ExecutionPlan, quote: &Quote) -> Usage {
        let alive_ms = self.alive_ms;
        let volume = |gib| VolumeUse {
            gib,
            extra_iops: 0,
            extra_mibps: 0,
            alive_ms,
        };
        let disks = self
            .disks(plan)
            .into_iter()
            .filter(|disk| plan.disks[*disk].from.is_volume())
            .map(|disk| plan.disks[disk].size_bytes.div_ceil(GIB));
        let hosts = quote.line(LineKind::Host).map(|_| alive_ms);
        let root = self.boot.and_then(|boot| plan.boots[boot].root_bytes);
        let root = root.map_or(ROOT_VOLUME_GIB, |bytes| bytes.div_ceil(GIB));
        Usage {
            volumes: std::iter::once(root).chain(disks).map(volume).collect(),
            addresses_ms: vec![alive_ms],
            hosts_ms: hosts.into_iter().collect(),
            ..Usage::of_one_period(alive_ms.saturating_sub(self.pending_ms))
        }
    }

    /// The extra disks: those on which its tests have effects.
    fn disks(&self, plan: &ExecutionPlan) -> BTreeSet<DiskIx> {
        let tests = self.tests.iter().map(|test| &plan.tests[*test]);
        tests
            .flat_map(|test| &test.effects)
            .filter_map(|effect| match effect.of {
                Resource::Disk(disk) => Some(disk),
                Resource::Machine | Resource::State(_) => None,
            })
            .collect()
    }
}
