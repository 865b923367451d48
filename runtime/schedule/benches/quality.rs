//! How near to their bounds schedules are: families of cells × deadlines × sizes.
//!
//! Run with `cargo bench -p dva-schedule --bench quality`. Costs are of the durations that are expected, and
//! deadlines multiples of the longest atom on a machine of its own.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

#[expect(dead_code, reason = "shared by benches that use parts of it")]
#[path = "shared/families.rs"]
mod families;

use std::time::Instant;

use dva_schedule::{Assumptions, Effort, Goal, Options, Risk, check, optimize, schedule_isolated};

use families::{Family, family};

const DIGEST: &str = "digest";

fn main() {
    // `cargo bench … -- 1000 reboot` makes more moves, and shows the families whose names have that.
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.iter().find_map(|word| word.parse().ok());
    let effort = number.map_or(Effort::default(), Effort);
    let is_shown = |of: Family| {
        let mut names = words
            .iter()
            .filter(|word| !word.starts_with('-') && word.parse::<u32>().is_err());
        names.clone().next().is_none() || names.any(|word| of.name().contains(word.as_str()))
    };
    println!(
        "{:<15} {:>5} {:>8} {:>6} {:>7} {:>7} {:>7} {:>7} {:>8}",
        "family", "tests", "deadline", "cells", "mean", "p95", "worst", "lives", "ms/cell"
    );
    for of in Family::ALL.into_iter().filter(|of| is_shown(*of)) {
        for (tests, cells) in [(75, 20), (300, 6)] {
            for deadline in [None, Some(300), Some(150), Some(110)] {
                if words.iter().any(|word| word == "none") && deadline.is_some() {
                    continue;
                }
                row(of, tests, cells, deadline, effort);
            }
        }
    }
}

/// One line of the table: `deadline` in hundredths of the longest atom.
#[expect(clippy::disallowed_methods, reason = "a bench is about time")]
fn row(of: Family, tests: usize, cells: u64, deadline: Option<u64>, effort: Effort) {
    let (mut ratios, mut lives, mut least_lives, mut refused) = (Vec::new(), 0, 0, 0);
    let mut took = std::time::Duration::ZERO;
    for seed in 0..cells {
        let plan = family(of, tests, seed);
        let assumptions = Assumptions::default();
        let isolated = schedule_isolated(&plan, DIGEST, &assumptions);
        let longest_ms = isolated.makespan_ms - assumptions.boot_ms;
        let options = Options {
            effort,
            goal: match deadline {
                None => Goal::LeastCost,
                Some(hundredths) => Goal::Deadline {
                    within_ms: assumptions.boot_ms + longest_ms * hundredths / 100,
                    risk: Risk::Expected,
                },
            },
            ..Options::default()
        };
        let start = Instant::now();
        let planned = optimize(&plan, DIGEST, &options);
        took += start.elapsed();
        let Ok(planned) = planned else {
            refused += 1;
            continue;
        };
        assert_eq!(check(&plan, DIGEST, &planned.schedule), vec![]);
        ratios.push(planned.certificate.ratio_permille());
        lives += planned.certificate.lives;
        least_lives += planned.certificate.lives_lower_bound;
    }
    ratios.sort_unstable();
    let count = ratios.len().max(1);
    let mean = ratios.iter().sum::<u64>() / count as u64;
    let at = |hundredths: usize| ratios.get((count * hundredths).div_ceil(100) - 1).copied();
    let permille = |value: u64| format!("{}.{:03}", value / 1_000, value % 1_000);
    println!(
        "{:<15} {:>5} {:>8} {:>6} {:>7} {:>7} {:>7} {:>7} {:>8} {}",
        of.name(),
        tests,
        deadline.map_or("none".to_owned(), |of| format!(
            "{}.{}",
            of / 100,
            of / 10 % 10
        )),
        cells,
        permille(mean),
        permille(at(95).unwrap_or(0)),
        permille(at(100).unwrap_or(0)),
        permille(lives * 1_000 / least_lives.max(1)),
        took.as_millis() / u128::from(cells),
        if refused > 0 {
            format!("{refused} refused")
        } else {
            String::new()
        },
    );
}
