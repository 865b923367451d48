//! A thousand small cells against their optimum, which is found by trying everything.
//!
//! Run with `cargo bench -p dva-schedule --bench exact`.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

#[path = "../tests/suite/oracle.rs"]
mod oracle;

use dva_plan::money::Money;
use dva_plan::plan::CellIx;
use dva_schedule::{Assumptions, Method, Options, optimize};

use generate::small;
use oracle::optimum;

const CELLS: u32 = 1_000;
/// More tests than that make too many orders.
const TESTS: usize = 7;

fn main() {
    let assumptions = Assumptions::default();
    let (mut cells, mut seed) = (0, 0);
    let (mut exact, mut searched, mut bounded, mut active) = (0, 0, 0, 0);
    let mut over = Vec::new();
    while cells < CELLS {
        let plan = small(seed);
        seed += 1;
        if plan.shapes[plan.cells[CellIx(0)].shape].tests.len() > TESTS {
            continue;
        }
        let Some(optimum) = optimum(&plan, &assumptions) else {
            continue;
        };
        let of = |method| {
            let options = Options {
                method,
                ..Options::default()
            };
            let planned = optimize(&plan, "", &options).expect("nothing is limited");
            planned.certificate.cells[&CellIx(0)]
        };
        let (best, search) = (of(Method::Best), of(Method::SearchAlone));
        assert!(best.cost >= optimum.followed && best.lower_bound <= optimum.active);
        cells += 1;
        exact += u32::from(best.cost == optimum.followed);
        searched += u32::from(search.cost == optimum.followed);
        bounded += u32::from(best.lower_bound == optimum.followed);
        active += u32::from(optimum.active == optimum.followed);
        if search.cost > optimum.followed {
            over.push(permille(search.cost, optimum.followed));
        }
    }
    println!("{cells} cells of up to {TESTS} tests");
    println!("  {exact} are optimal by the exact way");
    println!(
        "  {searched} are by the search alone; the others cost, in thousandths of the optimum, {over:?}"
    );
    println!("  {bounded} have a bound that is the optimum");
    println!(
        "  of {active}, the optimum would be no less if a life could wait for something better"
    );
}

fn permille(cost: Money, of: Money) -> i64 {
    cost.nano_usd() * 1_000 / of.nano_usd().max(1)
}
