//! Small cells, whose best lives are known.

use dva_plan::plan::CellIx;
use dva_schedule::{Assumptions, Method, Options, optimize};

use crate::generate::small;
use crate::oracle::optimum;

#[test]
fn small_cells_are_solved_to_the_end() {
    let assumptions = Assumptions {
        boot_ms: 20_000,
        pending_ms: 5_000,
        ..Assumptions::default()
    };
    let (mut cells, mut searched) = (0, 0);
    for seed in 0..300 {
        let plan = small(seed);
        let shape = &plan.shapes[plan.cells[CellIx(0)].shape];
        if shape.tests.len() > 6 {
            continue;
        }
        let Some(optimum) = optimum(&plan, &assumptions) else {
            continue;
        };
        let of = |method| {
            let options = Options {
                assumptions,
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
    assert!(cells >= 200, "{cells} cells");
    assert!(searched * 10 >= cells * 9, "{searched} of {cells}");
}
