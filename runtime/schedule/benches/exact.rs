//! A thousand small cells against their optimum, which is found by trying everything; once with all the time
//! there is, and then within deadlines.
//!
//! Run with `cargo bench -p dva-schedule --bench exact`.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

#[path = "../tests/suite/oracle.rs"]
mod oracle;

use dva_plan::money::Money;
use dva_plan::plan::CellIx;
use dva_schedule::{Assumptions, Goal, Method, Options, Risk, optimize, schedule_isolated};

use generate::small;
use oracle::{optimum, optimum_within};

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
    for hundredths in [300, 150, 110] {
        in_a_hurry(hundredths);
    }
}

/// Cells that have to be over within hundredths of the time of their longest atom: how much of the distance
/// between cost and bound is the search's, and how much the bound's.
fn in_a_hurry(hundredths: u64) {
    let assumptions = Assumptions::default();
    let (mut cells, mut costs, mut bounds, mut optima) = (0, 0, 0, 0);
    let (mut optimal, mut tight) = (0, 0);
    for seed in 0..u64::from(CELLS) {
        let plan = small(seed);
        if plan.shapes[plan.cells[CellIx(0)].shape].tests.len() > TESTS {
            continue;
        }
        let isolated = schedule_isolated(&plan, "", &assumptions);
        let limit_ms = (isolated.makespan_ms - assumptions.boot_ms) * hundredths / 100;
        let Some(optimum) = optimum_within(&plan, &assumptions, limit_ms) else {
            continue;
        };
        let options = Options {
            method: Method::SearchAlone,
            goal: Goal::Deadline {
                within_ms: assumptions.boot_ms + limit_ms,
                risk: Risk::Expected,
            },
            ..Options::default()
        };
        let Ok(planned) = optimize(&plan, "", &options) else {
            println!("  none was found in time of cell {seed}");
            continue;
        };
        let cell = planned.certificate.cells[&CellIx(0)];
        assert!(cell.cost >= optimum.followed && cell.lower_bound <= optimum.active);
        cells += 1;
        costs += cell.cost.nano_usd();
        bounds += cell.lower_bound.nano_usd();
        optima += optimum.followed.nano_usd();
        optimal += u32::from(cell.cost == optimum.followed);
        tight += u32::from(cell.lower_bound == optimum.followed);
    }
    println!(
        "within {hundredths} hundredths of the longest atom, {cells} cells: {optimal} optimal by the search alone, \
         {tight} with a bound that is the optimum; in thousandths of all optima, what was found costs {}, and the \
         bounds {}",
        costs * 1_000 / optima,
        bounds * 1_000 / optima,
    );
}

fn permille(cost: Money, of: Money) -> i64 {
    cost.nano_usd() * 1_000 / of.nano_usd().max(1)
}
