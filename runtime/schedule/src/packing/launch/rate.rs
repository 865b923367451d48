//! How fast lives may be launched: the token buckets of a region, as they are emptied.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{BootIx, ImageIx, MachineIx};
use dva_plan::schedule::PlannedLife;

use crate::quota::{Bucket, LaunchRate};

/// What is asked for together.
type Call = (MachineIx, ImageIx, Option<BootIx>);

/// The buckets of all regions.
pub(super) struct Launches<'p> {
    rate: Option<LaunchRate>,
    regions: BTreeMap<&'p str, Region>,
}

struct Region {
    requests: Level,
    instances: Level,
    /// When each call was made last, and how many instances it asked for.
    calls: BTreeMap<Call, (u64, u32)>,
}

/// How full a bucket is.
struct Level {
    bucket: Bucket,
    /// Thousandths of a token.
    milli: u64,
    at_ms: u64,
}

impl<'p> Launches<'p> {
    pub(super) fn new(rate: Option<LaunchRate>) -> Self {
        Self {
            rate,
            regions: BTreeMap::new(),
        }
    }

    /// Takes what the launch of `life` takes at `now_ms`; when there will be enough, where there is not.
    pub(super) fn take(
        &mut self,
        plan: &'p ExecutionPlan,
        life: &PlannedLife,
        now_ms: u64,
    ) -> Result<(), u64> {
        let machine = &plan.machines[life.machine];
        let Some(rate) = self.rate.filter(|_| machine.region != "local") else {
            return Ok(());
        };
        let region = self
            .regions
            .entry(&machine.region)
            .or_insert_with(|| Region {
                requests: Level::full(rate.requests),
                instances: Level::full(rate.instances),
                calls: BTreeMap::new(),
            });
        region.instances.refill(now_ms);
        region.requests.refill(now_ms);
        let call = (life.machine, plan.cells[life.cell].image, life.boot);
        let made = region.calls.get(&call).copied();
        let joined = made
            .filter(|(at_ms, instances)| *at_ms == now_ms && *instances < rate.instances_a_request);
        region.instances.has_one()?;
        if joined.is_none() {
            region.requests.has_one()?;
            region.requests.take_one();
        }
        region.instances.take_one();
        let instances = joined.map_or(0, |(_, instances)| instances);
        region
            .calls
            .insert(call, (now_ms, instances.saturating_add(1)));
        Ok(())
    }
}

const WHOLE: u64 = 1_000;

impl Level {
    fn full(bucket: Bucket) -> Self {
        Self {
            bucket,
            milli: u64::from(bucket.capacity) * WHOLE,
            at_ms: 0,
        }
    }

    fn refill(&mut self, now_ms: u64) {
        // So much a second is as many thousandths a millisecond.
        let more = now_ms
            .saturating_sub(self.at_ms)
            .saturating_mul(u64::from(self.bucket.refill_a_second));
        let most = u64::from(self.bucket.capacity) * WHOLE;
        self.milli = self.milli.saturating_add(more).min(most);
        self.at_ms = now_ms;
    }

    /// When there will be one, where there is none.
    fn has_one(&self) -> Result<(), u64> {
        let missing = WHOLE.saturating_sub(self.milli);
        if missing == 0 {
            return Ok(());
        }
        let refill = u64::from(self.bucket.refill_a_second).max(1);
        Err(self.at_ms.saturating_add(missing.div_ceil(refill)))
    }

    fn take_one(&mut self) {
        self.milli = self.milli.saturating_sub(WHOLE);
    }
}
