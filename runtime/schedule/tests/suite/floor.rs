//! What no run can be better than, whatever it is scheduled for.

use dva_schedule::{Assumptions, Effort, Goal, Options, floor, optimize};
use proptest::prelude::*;

use crate::generate::{Random, Size, plan, priced, rich};

proptest! {
    #[test]
    fn no_schedule_is_below_the_floor(
        seed in any::<u64>(),
        tests in 1..=20_usize,
        cells in 1..=3_usize,
        lanes in 1..=4_u32,
        boot_ms in prop_oneof![Just(0_u64), Just(30_000)],
    ) {
        let size = Size { tests, cells, lanes };
        let made = if seed.is_multiple_of(2) { plan(seed, size) } else { rich(seed, size) };
        let plan = priced(made, &mut Random(seed));
        let assumptions = Assumptions { boot_ms, pending_ms: 0, default_takes_ms: 1_000 };
        let options = Options {
            assumptions,
            goal: Goal::LeastCost,
            effort: Effort(10),
            ..Options::default()
        };
        let floor = floor(&plan, &assumptions);
        let planned = optimize(&plan, "sha256:00", &options).expect("nothing is limited");
        prop_assert!(floor.cost <= planned.certificate.cost);
        prop_assert!(floor.elapsed_ms <= planned.schedule.makespan_ms);
        let chain = floor.chain.iter().map(|test| plan.tests[*test].takes_ms.unwrap_or(1_000));
        prop_assert_eq!(chain.sum::<u64>() + boot_ms, floor.elapsed_ms);
    }
}
