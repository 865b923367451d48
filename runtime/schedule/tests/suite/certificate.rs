//! What is said with a schedule: its cost, its bounds, and what another goal would come to.

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::plan::Policy;
use dva_plan::validate::validate;
use dva_schedule::{
    Assumptions, Bucket, Effort, Goal, LaunchRate, Options, Peer, Planned, QuotaClass, Quotas,
    Risk, Spread, Terms, breakdown, check, check_terms, cost, forecast, optimize, peers, schedule,
};
use proptest::prelude::*;

use crate::generate::{Random, Size, plan, priced, reordered, rich};

const DIGEST: &str = "sha256:00";

fn size() -> impl Strategy<Value = Size> {
    (1..=24_usize, 1..=4_usize, 1..=5_u32).prop_map(|(tests, cells, lanes)| Size {
        tests,
        cells,
        lanes,
    })
}

/// A plan of either kind on machines with prices, whose tests take minutes.
fn any_plan(seed: u64, size: Size) -> ExecutionPlan {
    let random = &mut Random(seed);
    let plan = match seed.is_multiple_of(3) {
        true => plan(seed, size),
        false => rich(seed, size),
    };
    let mut plan = priced(plan, random);
    let longer = [1, 20, 200][random.below(3)];
    for test in plan.tests.indices() {
        let test = &mut plan.tests[test];
        test.takes_ms = test.takes_ms.map(|takes_ms| takes_ms * longer);
        test.within_ms = test.takes_ms.unwrap_or(1_000) * 3;
    }
    plan
}

fn options(goal: Goal) -> Options {
    Options {
        goal,
        effort: Effort(30),
        assumptions: Assumptions {
            pending_ms: 5_000,
            ..Assumptions::default()
        },
        ..Options::default()
    }
}

fn within(within_ms: u64) -> Options {
    options(Goal::Deadline {
        within_ms,
        risk: Risk::Expected,
    })
}

/// A cost is what the bills of the lives come to, and no more than what is shown.
fn assert_sound(plan: &ExecutionPlan, planned: &Planned) -> Result<(), TestCaseError> {
    prop_assert_eq!(check(plan, DIGEST, &planned.schedule), vec![]);
    let certificate = &planned.certificate;
    let billed = cost(plan, &planned.schedule).expect("it can be counted");
    prop_assert_eq!(billed.bill.total(), certificate.cost);
    prop_assert!(certificate.lower_bound <= certificate.cost);
    prop_assert!(certificate.ratio_permille() >= 1_000);
    prop_assert_eq!(planned.schedule.lives.len() as u64, certificate.lives);
    prop_assert!(certificate.lives_lower_bound <= certificate.lives);
    let cells = certificate.cells.values();
    let sum = |of: fn(&dva_schedule::CellCertificate) -> Money| {
        Money::checked_sum(cells.clone().map(of)).expect("it fits")
    };
    prop_assert_eq!(sum(|cell| cell.cost), certificate.cost);
    prop_assert_eq!(sum(|cell| cell.lower_bound), certificate.lower_bound);
    for cell in certificate.cells.values() {
        prop_assert!(cell.lower_bound <= cell.cost && cell.lives_lower_bound <= cell.lives);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_cost_lies_between_its_bound_and_the_worst(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        prop_assert_eq!(validate(&plan), vec![]);
        let planned = optimize(&plan, DIGEST, &options(Goal::LeastCost)).expect("there is one");
        assert_sound(&plan, &planned)?;
        let forecast = forecast(&plan, &planned.schedule, &Spread { runs: 20, ..Spread::default() });
        prop_assert!(planned.certificate.cost <= forecast.cost_worst);
        prop_assert!(forecast.cost_p90 <= forecast.cost_worst);
        prop_assert!(forecast.cost_mean <= forecast.cost_worst);
        prop_assert!(forecast.makespan_p50_ms <= forecast.makespan_p90_ms);
        prop_assert!(forecast.makespan_p90_ms <= forecast.makespan_worst_ms);
        prop_assert!(planned.schedule.makespan_ms <= forecast.makespan_worst_ms);
        prop_assert_eq!(forecast.chance_permille(u64::MAX), 1_000);
        prop_assert_eq!(forecast.chance_permille(0), 0);
        let shares = breakdown(&plan, &planned.schedule).expect("it can be counted");
        let costs = shares.values().map(|share| share.cost.bill.total());
        prop_assert_eq!(Money::checked_sum(costs), Some(planned.certificate.cost));
        let lives: u32 = shares.values().map(|share| share.lives).sum();
        prop_assert_eq!(lives as usize, planned.schedule.lives.len());
        let ends = shares.values().map(|share| share.end_ms);
        prop_assert_eq!(ends.max(), Some(planned.schedule.makespan_ms));
    }

    /// A later deadline and a larger budget never give anything worse, and both are kept.
    #[test]
    fn cost_falls_with_the_deadline_and_time_with_the_budget(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let cheapest = optimize(&plan, DIGEST, &options(Goal::LeastCost)).expect("there is one");
        let longest_ms = cheapest.schedule.makespan_ms;
        let mut before = Money::ZERO;
        let mut least = None;
        for share in (1..=10).rev() {
            let within_ms = longest_ms * share / 10;
            match optimize(&plan, DIGEST, &within(within_ms)) {
                Ok(planned) => {
                    assert_sound(&plan, &planned)?;
                    prop_assert!(planned.schedule.makespan_ms <= within_ms);
                    prop_assert!(before <= planned.certificate.cost);
                    before = planned.certificate.cost;
                    // For that much, it need not take longer.
                    let budget = Goal::Budget { most: before };
                    let bought = optimize(&plan, DIGEST, &options(budget)).expect("it is enough");
                    assert_sound(&plan, &bought)?;
                    prop_assert!(bought.certificate.cost <= before);
                    prop_assert!(bought.schedule.makespan_ms <= planned.schedule.makespan_ms);
                }
                Err(refused) => {
                    let least_ms = refused.least_deadline_ms.expect("it is too soon");
                    prop_assert!(least_ms > within_ms);
                    prop_assert!(least.is_none_or(|least| least == least_ms));
                    least = Some(least_ms);
                }
            }
        }
        if let Some(least_ms) = least {
            prop_assert!(optimize(&plan, DIGEST, &within(least_ms)).is_ok());
        }
        let nothing = options(Goal::Budget { most: Money::from_nano_usd(1) });
        let refused = optimize(&plan, DIGEST, &nothing).expect_err("nothing is that cheap");
        let enough = options(Goal::Budget { most: refused.least_budget.expect("it costs more") });
        prop_assert!(optimize(&plan, DIGEST, &enough).is_ok());
    }

    #[test]
    fn more_lanes_never_raise_the_cost(seed: u64, size in size()) {
        let mut plan = any_plan(seed, size);
        let mut before = Money::from_nano_usd(i64::MAX);
        for lanes in 1..=5 {
            plan.policy = Policy { lanes, ..Policy::default() };
            let planned = optimize(&plan, DIGEST, &options(Goal::LeastCost)).expect("there is one");
            prop_assert!(planned.certificate.cost <= before);
            before = planned.certificate.cost;
        }
    }

    #[test]
    fn the_order_of_tests_and_cells_changes_nothing(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let other = reordered(&plan, seed);
        let of = |plan: &ExecutionPlan| {
            let planned = optimize(plan, DIGEST, &options(Goal::LeastCost)).expect("there is one");
            let certificate = planned.certificate;
            (certificate.cost, certificate.lower_bound, certificate.lives, planned.schedule.makespan_ms)
        };
        prop_assert_eq!(of(&plan), of(&other));
    }

    /// What runs is kept within what an account may have, and what would do is said where nothing can be.
    #[test]
    fn quotas_and_rates_are_kept(
        seed: u64, size in size(), vcpus in 1..=12_u32, capacity in 1..=4_u32, machines in proptest::option::of(1..=6_u32),
    ) {
        let mut plan = any_plan(seed, size);
        plan.policy.limits.machines = machines;
        let bucket = Bucket { capacity, refill_a_second: 1 };
        let quotas = Quotas {
            vcpus_elsewhere: [(QuotaClass::Standard, vcpus)].into(),
            launches: Some(LaunchRate { requests: bucket, instances: bucket, instances_a_request: 2 }),
            ..Quotas::default()
        };
        let terms = Terms { quotas: quotas.clone(), ..Terms::default() };
        let options = Options { quotas, ..options(Goal::LeastCost) };
        match optimize(&plan, DIGEST, &options) {
            Ok(planned) => {
                assert_sound(&plan, &planned)?;
                prop_assert_eq!(check_terms(&plan, DIGEST, &planned.schedule, &terms), vec![]);
                let free = Options { quotas: Quotas::default(), ..options.clone() };
                let free = optimize(&plan, DIGEST, &free).expect("there is one");
                // Waiting costs nothing before a launch. What a quota rules out may be dearer elsewhere.
                match vcpus {
                    1 => prop_assert!(free.certificate.cost <= planned.certificate.cost),
                    _ => prop_assert_eq!(free.certificate.cost, planned.certificate.cost),
                }
                let soon = Options {
                    goal: Goal::Deadline { within_ms: free.schedule.makespan_ms, risk: Risk::Expected },
                    ..options
                };
                match optimize(&plan, DIGEST, &soon) {
                    Ok(planned) => prop_assert!(planned.schedule.makespan_ms <= free.schedule.makespan_ms),
                    Err(refused) => {
                        prop_assert!(refused.least_deadline_ms > Some(free.schedule.makespan_ms));
                    }
                }
            }
            Err(refused) => {
                prop_assert!(vcpus < 2 && refused.least_vcpus.values().all(|least| *least == 2));
            }
        }
    }

    /// No policy beats the schedule, which could do the same, by more than a hundredth: a search may miss
    /// something. Only a machine for each test could be cheaper, since what tests need is not even repeated there.
    #[test]
    fn peers_are_never_cheaper(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let options = options(Goal::LeastCost);
        let planned = optimize(&plan, DIGEST, &options).expect("there is one");
        let peers = peers(&plan, &options);
        prop_assert_eq!(peers.keys().copied().collect::<Vec<_>>(), Peer::ALL);
        for (peer, of) in peers {
            prop_assert!(of.makespan_ms <= of.alive_ms);
            if peer == Peer::MachinePerTest {
                prop_assert_eq!(of.lives as usize, plan.test_runs());
                continue;
            }
            prop_assert!(of.lives >= planned.certificate.lives_lower_bound, "{}", peer);
            let (theirs, ours) = (of.cost.nano_usd(), planned.certificate.cost.nano_usd());
            prop_assert!(theirs >= ours - ours / 100, "{}: {} < {}", peer, theirs, ours);
        }
    }

    /// Nothing said but what the short way assumes gives the same schedule.
    #[test]
    fn both_ways_to_a_schedule_agree(seed: u64, size in size()) {
        let plan = any_plan(seed, size);
        let planned = optimize(&plan, DIGEST, &Options::default()).expect("there is one");
        prop_assert_eq!(schedule(&plan, DIGEST, &Assumptions::default()), planned.schedule);
    }
}
