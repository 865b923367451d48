//! Quotas, the rate of launches, deadline and budget.

use dva_plan::money::Money;
use dva_schedule::{
    Bucket, Goal, LaunchRate, Options, QuotaClass, Quotas, Risk, Spread, cost, forecast, optimize,
};

use super::*;
use crate::generate::priced;

/// The same cells on machines of a cloud, within quotas and at a rate that are kept.
fn rented(case: &mut Case, random: &mut Random) -> Option<()> {
    case.plan = priced(case.plan.clone(), random);
    let rate = LaunchRate {
        requests: Bucket {
            capacity: 2,
            refill_a_second: 1,
        },
        instances: Bucket {
            capacity: 2,
            refill_a_second: 1,
        },
        instances_a_request: 2,
    };
    let quotas = Quotas {
        vcpus_elsewhere: [(QuotaClass::Standard, 4)].into(),
        launches: Some(rate),
        ..Quotas::default()
    };
    case.terms.quotas = quotas.clone();
    let options = Options {
        quotas,
        ..Options::default()
    };
    case.schedule = optimize(&case.plan, DIGEST, &options).ok()?.schedule;
    case.assert_right();
    Some(())
}

/// The region of a life.
fn region(case: &Case, life: LifeIx) -> &str {
    &case.plan.machines[case.schedule.lives[life].machine].region
}

/// Moves a life forward, to be launched at `launch_ms`.
fn beside(case: &mut Case, launch_ms: u64, life: LifeIx) -> Option<()> {
    let by_ms = case.schedule.lives[life].launch_ms.checked_sub(launch_ms)?;
    let life = case.life(life);
    for time_ms in [&mut life.launch_ms, &mut life.ready_ms, &mut life.end_ms] {
        *time_ms -= by_ms;
    }
    for execution in &mut life.executions {
        execution.start_ms -= by_ms;
        execution.end_ms -= by_ms;
    }
    case.settle();
    Some(())
}

pub(super) fn too_many_processors(case: &mut Case, random: &mut Random) -> Option<()> {
    rented(case, random)?;
    case.terms.quotas.launches = None;
    let late = case.lives().into_iter().filter(|life| {
        // A third life of two processors, where the quota has room for two lives.
        let before = case.lives().into_iter().filter(|other| {
            case.schedule.lives[*other].launch_ms == 0
                && region(case, *other) == region(case, *life)
        });
        case.schedule.lives[*life].launch_ms > 5_000 && before.count() >= 2
    });
    let late: Vec<_> = late.collect();
    let life = *random.pick(&late)?;
    beside(case, 1, life)
}

/// A quota counts a machine from its launch on, and not from when it is ready.
pub(super) fn pending_beside_the_last(case: &mut Case, random: &mut Random) -> Option<()> {
    rented(case, random)?;
    case.terms.quotas.launches = None;
    let waited = case.lives().into_iter().filter(|life| {
        let launch_ms = case.schedule.lives[*life].launch_ms;
        let mut others = case.lives().into_iter();
        others.any(|other| {
            case.schedule.lives[other].end_ms == launch_ms
                && region(case, other) == region(case, *life)
        })
    });
    let waited: Vec<_> = waited.collect();
    let life = *random.pick(&waited)?;
    let launch_ms = case.schedule.lives[life].launch_ms.checked_sub(1)?;
    beside(case, launch_ms, life)
}

pub(super) fn too_many_at_once(case: &mut Case, random: &mut Random) -> Option<()> {
    rented(case, random)?;
    case.terms.quotas.vcpus_elsewhere.clear();
    let late = case.lives().into_iter().filter(|life| {
        let before = case.lives().into_iter().filter(|other| {
            case.schedule.lives[*other].launch_ms == 0
                && region(case, *other) == region(case, *life)
        });
        case.schedule.lives[*life].launch_ms > 0 && before.count() == 2
    });
    let late: Vec<_> = late.collect();
    let life = *random.pick(&late)?;
    beside(case, 0, life)
}

pub(super) fn too_many_calls(case: &mut Case, random: &mut Random) -> Option<()> {
    rented(case, random)?;
    // Two lives that were asked for in one call each want one.
    let rate = case.terms.quotas.launches.as_mut()?;
    rate.requests.capacity = 1;
    let at_once = case.schedule.lives.iter();
    let mut regions: Vec<_> = at_once
        .filter(|life| life.launch_ms == 0)
        .map(|life| case.plan.machines[life.machine].region.clone())
        .collect();
    regions.sort();
    let twice = regions.windows(2).any(|pair| pair[0] == pair[1]);
    if !twice {
        return None;
    }
    case.terms.quotas.launches.as_mut()?.instances_a_request = 1;
    Some(())
}

pub(super) fn asked_too_soon(case: &mut Case, random: &mut Random) -> Option<()> {
    rented(case, random)?;
    case.terms.quotas.vcpus_elsewhere.clear();
    case.terms.quotas.launches.as_mut()?.instances.capacity = 1;
    let mut regions: Vec<_> = case
        .lives()
        .into_iter()
        .map(|life| {
            (
                region(case, life).to_owned(),
                case.schedule.lives[life].launch_ms,
            )
        })
        .collect();
    regions.sort();
    // Two within less than the second that one token takes.
    let soon = regions
        .windows(2)
        .any(|pair| pair[0].0 == pair[1].0 && pair[1].1 - pair[0].1 < 1_000);
    soon.then_some(())
}

pub(super) fn over_too_late(case: &mut Case, _: &mut Random) -> Option<()> {
    let makespan_ms = case.schedule.makespan_ms;
    case.terms.deadline = Some((makespan_ms, Risk::Expected));
    case.assert_right();
    case.terms.deadline = Some((makespan_ms.checked_sub(1)?, Risk::Expected));
    Some(())
}

pub(super) fn over_too_late_in_one_of_ten(case: &mut Case, _: &mut Random) -> Option<()> {
    let ninth_ms = forecast(&case.plan, &case.schedule, &Spread::default()).makespan_p90_ms;
    case.terms.deadline = Some((ninth_ms, Risk::P90));
    case.assert_right();
    case.terms.deadline = Some((ninth_ms.checked_sub(1)?, Risk::P90));
    Some(())
}

pub(super) fn too_dear(case: &mut Case, random: &mut Random) -> Option<()> {
    case.plan = priced(case.plan.clone(), random);
    let options = Options {
        goal: Goal::LeastCost,
        ..Options::default()
    };
    case.schedule = optimize(&case.plan, DIGEST, &options).ok()?.schedule;
    let total = cost(&case.plan, &case.schedule).ok()?.bill.total();
    case.terms.budget = Some(total);
    case.assert_right();
    case.terms.budget = Some(Money::from_nano_usd(total.nano_usd() - 1));
    Some(())
}
