//! Parts of plans: whatever test runs are taken out of a plan, they and what they need are a plan again.

use std::collections::BTreeSet;

use dva_plan::plan::{CellIx, TestIx};
use dva_plan::validate::validate;
use dva_schedule::{Assumptions, check, schedule};
use proptest::prelude::*;

use crate::generate::{Random, Size, rich};

proptest! {
    #[test]
    fn a_part_of_a_plan_is_a_plan(
        seed in any::<u64>(),
        tests in 1..=20_usize,
        cells in 1..=8_usize,
        one_in in 1..=6_usize,
    ) {
        let plan = rich(seed, Size { tests, cells, lanes: 2 });
        let mut random = Random(seed);
        let all = plan.cells.enumerate().flat_map(|(index, cell)| {
            plan.shapes[cell.shape].tests.iter().map(move |test| (index, *test))
        });
        let wanted: BTreeSet<(CellIx, TestIx)> = all.filter(|_| random.one_in(one_in)).collect();
        let Some(part) = plan.restricted_to(&wanted) else {
            prop_assert!(wanted.is_empty());
            return Ok(());
        };
        prop_assert_eq!(validate(&part), vec![]);
        for (cell, test) in &wanted {
            let id = &plan.cells[*cell].id;
            let there = part.cells.iter().find(|cell| cell.id == *id).expect("it is there");
            prop_assert!(part.shapes[there.shape].tests.contains(test));
        }
        let made = schedule(&part, "sha256:00", &Assumptions::default());
        prop_assert_eq!(check(&part, "sha256:00", &made), vec![]);
        // Taken whole it is what it was, but for shapes that nobody has.
        let whole: BTreeSet<(CellIx, TestIx)> = plan
            .cells
            .enumerate()
            .flat_map(|(index, cell)| {
                plan.shapes[cell.shape].tests.iter().map(move |test| (index, *test))
            })
            .collect();
        let whole = plan.restricted_to(&whole).expect("it has tests");
        prop_assert_eq!(whole.test_runs(), plan.test_runs());
        prop_assert_eq!(whole.cells.len(), plan.cells.len());
    }
}
