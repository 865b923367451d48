//! What the same cells cost if they are put onto machines as other runners do it, in multiples of what they cost here.
//!
//! Run with `cargo bench -p dva-schedule --bench peers`. A policy is described in `dva_schedule::peers`.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

#[expect(dead_code, reason = "shared by benches that use parts of it")]
#[path = "shared/families.rs"]
mod families;

use std::collections::BTreeMap;

use dva_plan::money::Money;
use dva_schedule::{Options, Peer, optimize, peers};

use families::{Family, family};

const CELLS: u64 = 20;

fn main() {
    print!(
        "{:<15} {:>5} {:>12} {:>6}",
        "family", "tests", "$ a cell", "lives"
    );
    for peer in Peer::ALL {
        print!(" {:>16}", peer.name());
    }
    println!();
    for of in Family::ALL {
        for tests in [75, 300] {
            row(of, tests);
        }
    }
}

fn row(of: Family, tests: usize) {
    let options = Options::default();
    let (mut cost, mut lives) = (0_i64, 0);
    let mut theirs: BTreeMap<Peer, i64> = BTreeMap::new();
    for seed in 0..CELLS {
        let plan = family(of, tests, seed);
        let planned = optimize(&plan, "digest", &options).expect("nothing is limited");
        cost += planned.certificate.cost.nano_usd();
        lives += planned.certificate.lives;
        for (peer, of) in peers(&plan, &options) {
            *theirs.entry(peer).or_default() += of.cost.nano_usd();
        }
    }
    let each = Money::from_nano_usd(cost / CELLS as i64 / 1_000_000 * 1_000_000);
    print!(
        "{:<15} {tests:>5} {:>12} {:>6}",
        of.name(),
        each.to_string(),
        tenths(lives * 10 / CELLS)
    );
    for peer in Peer::ALL {
        let times = theirs[&peer] * 100 / cost;
        print!(" {:>14}.{:02}", times / 100, times % 100);
    }
    println!();
}

fn tenths(tenths: u64) -> String {
    format!("{}.{}", tenths / 10, tenths % 10)
}
