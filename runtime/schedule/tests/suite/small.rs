//! Small cells, whose best lives are known.

use dva_plan::ExecutionPlan;
use dva_plan::plan::{CellIx, ShapeIx, TestIx};
use dva_schedule::{Assumptions, Method, Options, optimize};

use crate::generate::{choosy, small};
use crate::oracle::optimum;

#[test]
fn small_cells_are_solved_to_the_end() {
    let assumptions = Assumptions {
        boot_ms: 20_000,
        pending_ms: 5_000,
        ..Assumptions::default()
    };
    for (name, plans) in [("alike", small as fn(u64) -> _), ("choosy", choosy)] {
        let (cells, searched) = solved(plans, &assumptions);
        assert!(cells >= 200, "{name}: {cells} cells");
        assert!(searched * 10 >= cells * 9, "{name}: {searched} of {cells}");
    }
}

/// How many of 300 cells are small, and how many of them the search alone solves as well.
fn solved(plans: fn(u64) -> ExecutionPlan, assumptions: &Assumptions) -> (u32, u32) {
    let (mut cells, mut searched) = (0, 0);
    for seed in 0..300 {
        let plan = plans(seed);
        let shape = &plan.shapes[plan.cells[CellIx(0)].shape];
        if shape.tests.len() > 6 {
            continue;
        }
        let Some(optimum) = optimum(&plan, assumptions) else {
            continue;
        };
        let of = |method| {
            let options = Options {
                assumptions: *assumptions,
                method,
                ..Options::default()
            };
            let planned = optimize(&plan, "", &options).expect("nothing is limited");
            let cell = planned.certificate.cells[&CellIx(0)];
            assert!(cell.lower_bound <= optimum.active, "{seed}");
            assert!(cell.cost >= optimum.followed, "{seed}");
            cell
        };
        let exact = of(Method::Best);
        assert!(exact.is_exact, "{seed}");
        assert_eq!(exact.cost, optimum.followed, "{seed}");
        cells += 1;
        searched += u32::from(of(Method::SearchAlone).cost == optimum.followed);
    }
    (cells, searched)
}

/// What is solved to the end costs no more when there is less to do or to wait for.
#[test]
fn a_shorter_boot_or_one_test_fewer_never_raises_the_cost() {
    let cost = |plan: &ExecutionPlan, boot_ms| {
        let assumptions = Assumptions {
            boot_ms,
            ..Assumptions::default()
        };
        let options = Options {
            assumptions,
            ..Options::default()
        };
        let planned = optimize(plan, "", &options).expect("nothing is limited");
        let cell = planned.certificate.cells[&CellIx(0)];
        (cell.cost, cell.is_exact)
    };
    let mut fewer = 0;
    for seed in 0..300 {
        let plan = small(seed);
        let mut before = cost(&plan, 0);
        for boot_ms in [10_000, 40_000, 200_000] {
            let longer = cost(&plan, boot_ms);
            assert!(before.0 <= longer.0 || !before.1, "{seed}");
            before = longer;
        }
        let mut less = plan.clone();
        let shape = &mut less.shapes[ShapeIx(0)];
        let is_needed = |test: &TestIx| {
            let mut edges = shape.after.iter().chain(&shape.regardless);
            edges.any(|edge| edge.after == *test)
        };
        let Some(gone) = shape.tests.iter().find(|test| !is_needed(test)).copied() else {
            continue;
        };
        if shape.tests.len() == 1 || plan.cells[CellIx(0)].shape != ShapeIx(0) {
            continue;
        }
        shape.tests.retain(|test| *test != gone);
        for edges in [&mut shape.after, &mut shape.regardless, &mut shape.order] {
            edges.retain(|edge| edge.test != gone && edge.after != gone);
        }
        shape
            .conflicts
            .retain(|pair| pair.a != gone && pair.b != gone);
        let all = cost(&plan, 30_000);
        assert!(cost(&less, 30_000).0 <= all.0 || !all.1, "{seed}");
        fewer += 1;
    }
    assert!(fewer >= 50, "{fewer} cells");
}
