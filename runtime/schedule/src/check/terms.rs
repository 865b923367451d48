//! The rules that follow from what an account may have and what a run may take: quotas, the rate of
//! launches, deadline and budget. A plan does not say these; who asks for the schedule does.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::plan::{BootIx, ImageIx, Machine, MachineIx};
use dva_plan::schedule::{LifeIx, PlannedLife, Schedule};
use dva_plan::table::Index;

use super::rule::Rule;
use super::{Check, Violation};
use crate::cost::cost;
use crate::forecast::{Spread, forecast};
use crate::options::Risk;
use crate::quota::{Bucket, QuotaClass, Quotas};

/// What a schedule is held against beside its plan.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// What the account may have.
    pub quotas: Quotas,
    /// By when all is over, in milliseconds, and how sure that has to be.
    pub deadline: Option<(u64, Risk)>,
    /// The most that it may cost.
    pub budget: Option<Money>,
}

/// All that is wrong with `schedule`, as [`check`](crate::check()) says it, and then what breaks `terms`.
///
/// Deadline and budget are only looked at where nothing else is wrong: what a broken schedule takes and costs
/// cannot be said.
#[must_use]
pub fn check_terms(
    plan: &ExecutionPlan,
    plan_digest: &str,
    schedule: &Schedule,
    terms: &Terms,
) -> Vec<Violation> {
    let mut check = Check::new(plan);
    check.violations = super::check(plan, plan_digest, schedule);
    check.quotas(schedule, &terms.quotas);
    check.launch_rate(schedule, &terms.quotas);
    if check.violations.is_empty() {
        check.deadline(schedule, terms);
        check.budget(schedule, terms);
    }
    check.violations
}

impl Check<'_> {
    /// The machine of a life, where it is one of the cloud.
    fn rented(&self, life: &PlannedLife) -> Option<&Machine> {
        let machine = self.plan.machines.get(life.machine)?;
        (machine.region != "local").then_some(machine)
    }

    /// The virtual processors of the machines that are there, `pending` ones among them, are within the quota
    /// of their region and class. One that ends and one that is launched at the same instant follow each other.
    fn quotas(&mut self, schedule: &Schedule, quotas: &Quotas) {
        let mut pools: BTreeMap<(String, QuotaClass), Vec<(LifeIx, u32)>> = BTreeMap::new();
        for (index, life) in schedule.lives.enumerate() {
            if let Some(machine) = self.rented(life) {
                let pool = (machine.region.clone(), QuotaClass::of(machine));
                pools.entry(pool).or_default().push((index, machine.vcpus));
            }
        }
        for ((region, class), lives) in pools {
            let Some(most) = quotas.vcpus_in(&region, class) else {
                continue;
            };
            let life = |index: LifeIx| &schedule.lives[index];
            let mut launches = lives.clone();
            launches.sort_by_key(|(index, _)| (life(*index).launch_ms, *index));
            let mut ends = lives;
            ends.sort_by_key(|(index, _)| life(*index).end_ms);
            let mut ended = ends.into_iter().peekable();
            let mut used = 0_i64;
            for (index, vcpus) in launches {
                let launch_ms = life(index).launch_ms;
                while let Some((_, gone)) =
                    ended.next_if(|(other, _)| life(*other).end_ms <= launch_ms)
                {
                    used -= i64::from(gone);
                }
                used += i64::from(vcpus);
                if used > i64::from(most) {
                    let message = format!(
                        "life {}: with it {used} vCPUs of class {class} are used in {} at {launch_ms} ms, and the quota is {most}",
                        index.row(),
                        region.escape_debug()
                    );
                    self.add(Rule::Quota, index, None, message);
                }
            }
        }
    }

    /// No region is asked for more instances, nor in more calls, than the buckets of the API give.
    fn launch_rate(&mut self, schedule: &Schedule, quotas: &Quotas) {
        let Some(rate) = quotas.launches else {
            return;
        };
        type Call = (MachineIx, Option<ImageIx>, Option<BootIx>);
        let mut regions: BTreeMap<String, BTreeMap<u64, Vec<(LifeIx, Call)>>> = BTreeMap::new();
        for (index, life) in schedule.lives.enumerate() {
            if let Some(machine) = self.rented(life) {
                let image = self.plan.cells.get(life.cell).map(|cell| cell.image);
                let call = (life.machine, image, life.boot);
                let region = regions.entry(machine.region.clone()).or_default();
                let at_once = region.entry(life.launch_ms).or_default();
                at_once.push((index, call));
            }
        }
        for (region, launches) in regions {
            let (mut instances, mut requests) =
                (Tokens::full(rate.instances), Tokens::full(rate.requests));
            for (at_ms, lives) in launches {
                let mut calls: BTreeMap<Call, u64> = BTreeMap::new();
                for (_, call) in &lives {
                    *calls.entry(*call).or_default() += 1;
                }
                let asked = u64::try_from(lives.len()).unwrap_or(u64::MAX);
                let each = u64::from(rate.instances_a_request.max(1));
                let made = calls.values().map(|lives| lives.div_ceil(each)).sum();
                let enough = [
                    (instances.take(at_ms, asked), "instances"),
                    (requests.take(at_ms, made), "calls"),
                ];
                for (_, what) in enough.iter().filter(|(enough, _)| !enough) {
                    if let Some((index, _)) = lives.first() {
                        let message = format!(
                            "life {}: at {at_ms} ms, {} is asked for {asked} instances in {made} calls, and there are fewer {what} to be had",
                            index.row(),
                            region.escape_debug()
                        );
                        self.add(Rule::LaunchRate, *index, None, message);
                    }
                }
            }
        }
    }

    fn deadline(&mut self, schedule: &Schedule, terms: &Terms) {
        let Some((within_ms, risk)) = terms.deadline else {
            return;
        };
        let (makespan_ms, how) = match risk {
            Risk::Expected => (schedule.makespan_ms, "is expected to take"),
            Risk::P90 => {
                let forecast = forecast(self.plan, schedule, &Spread::default());
                (forecast.makespan_p90_ms, "takes, in one of ten runs,")
            }
        };
        if makespan_ms > within_ms {
            let message = format!("the run {how} {makespan_ms} ms, and it may take {within_ms} ms");
            self.add(Rule::Deadline, None, None, message);
        }
    }

    fn budget(&mut self, schedule: &Schedule, terms: &Terms) {
        let Some(most) = terms.budget else {
            return;
        };
        let message = match cost(self.plan, schedule) {
            Ok(cost) if cost.bill.total() <= most => return,
            Ok(cost) => format!(
                "the run is expected to cost {}, and it may cost {most}",
                cost.bill.total()
            ),
            Err(error) => format!("what the run will cost cannot be told: {error}"),
        };
        self.add(Rule::Budget, None, None, message);
    }
}

/// A bucket while tokens are taken from it.
struct Tokens {
    bucket: Bucket,
    /// Thousandths of a token.
    left: u128,
    at_ms: u64,
}

impl Tokens {
    fn full(bucket: Bucket) -> Self {
        Self {
            bucket,
            left: u128::from(bucket.capacity) * 1_000,
            at_ms: 0,
        }
    }

    /// Takes `tokens` at `at_ms`, which is no earlier than before; whether there were enough. Where there were
    /// not, all there is is taken.
    fn take(&mut self, at_ms: u64, tokens: u64) -> bool {
        let more = u128::from(at_ms - self.at_ms) * u128::from(self.bucket.refill_a_second);
        self.left = (self.left + more).min(u128::from(self.bucket.capacity) * 1_000);
        self.at_ms = at_ms;
        let wanted = u128::from(tokens) * 1_000;
        let enough = wanted <= self.left;
        self.left = self.left.saturating_sub(wanted);
        enough
    }
}
