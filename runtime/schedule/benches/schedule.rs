//! How long 3,600 cells of 75 tests take to be scheduled, checked and summed up.
//!
//! Without prices, once with one shape for all cells, once with a shape of its own for each, and once with
//! conflicts in these, so that cells need several lives. Then with prices, 36 to 36,000 cells of all families
//! of `quality.rs`. Run with `cargo bench -p dva-schedule`.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

#[expect(dead_code, reason = "shared by benches that use parts of it")]
#[path = "shared/families.rs"]
mod families;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Edge, ImageIx, MachineIx, Pair, Policy, Shape, ShapeIx, TestIx};
use dva_plan::table::Index;
use dva_schedule::{Options, check, optimize, summarize};

use families::{Family, many};
use generate::{Random, cell, single, test};

const CELLS: usize = 3_600;
const TESTS: usize = 75;
const REPEATS: usize = 3;

fn main() {
    println!("cells of {TESTS} tests; milliseconds are the median and the slowest of {REPEATS}");
    for (name, shapes, conflicts) in [
        ("one shape", 1, 0),
        ("a shape for each cell", CELLS, 0),
        ("a shape for each cell, with conflicts", CELLS, 12),
    ] {
        rows(name, &plan(shapes, conflicts));
    }
    let families = [
        Family::Mixed,
        Family::ChainHeavy,
        Family::Wide,
        Family::ConflictHeavy,
        Family::RebootHeavy,
    ];
    for (shapes, cells) in [
        (36, 36),
        (200, 360),
        (200, CELLS),
        (CELLS, CELLS),
        (200, 10 * CELLS),
    ] {
        rows(
            "with prices, of all families",
            &many(&families, shapes, cells, TESTS),
        );
    }
}

/// The lines of a plan.
fn rows(name: &str, plan: &ExecutionPlan) {
    let options = Options::default();
    let made = optimize(plan, "digest", &options).expect("nothing is limited");
    let certificate = &made.certificate;
    let made = &made.schedule;
    assert_eq!(check(plan, "digest", made), vec![]);
    let summary = summarize(plan, made);
    println!(
        "{} cells, {} shapes, {name}: {} lives, {} setups, makespan {} s, at least {} s; cost {} thousandths of its bound",
        plan.cells.len(),
        plan.shapes.len(),
        summary.lives,
        summary.setup_executions,
        summary.makespan_ms / 1_000,
        summary.makespan_lower_bound_ms / 1_000,
        certificate.ratio_permille(),
    );
    measure("optimize", || optimize(black_box(plan), "digest", &options));
    measure("check", || check(plan, "digest", black_box(made)));
    measure("summarize", || summarize(plan, black_box(made)));
    println!("  most memory so far {} MiB", most_memory_mib());
}

/// The most memory that this process has had, of a file of Linux; 0 where there is none.
#[expect(clippy::disallowed_methods, reason = "a bench is about memory, too")]
fn most_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let words = line.and_then(|line| line.split_whitespace().nth(1));
    words.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

#[expect(clippy::disallowed_methods, reason = "a bench is about time")]
fn measure<T>(name: &str, work: impl Fn() -> T) {
    let mut times: Vec<Duration> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            let made = work();
            let took = start.elapsed();
            drop(made);
            took
        })
        .collect();
    times.sort_unstable();
    println!(
        "  {name:<10} median {:>4} ms, slowest {:>4} ms",
        times[REPEATS / 2].as_millis(),
        times[REPEATS - 1].as_millis()
    );
}

/// Cells on 4 lanes whose tests take 1 to 60 seconds and are after 0 to 2 others.
fn plan(shapes: usize, conflicts: usize) -> ExecutionPlan {
    let random = &mut Random(7);
    let tests = (0..TESTS)
        .map(|row| {
            let takes_ms = 1_000 + random.below(59_000) as u64;
            test(&format!("test_{row}"), Some(takes_ms))
        })
        .collect();
    let mut plan = single(tests, &[], &[]);
    plan.policy = Policy {
        lanes: 4,
        ..Policy::default()
    };
    plan.shapes = (0..shapes).map(|_| shape(random, conflicts)).collect();
    plan.cells = (0..CELLS)
        .map(|number| {
            let shape = ShapeIx::from_row(number % shapes);
            cell(number, ImageIx(0), shape, vec![MachineIx(0)])
        })
        .collect();
    plan
}

fn shape(random: &mut Random, conflicts: usize) -> Shape {
    let mut after = Vec::new();
    for row in 1..TESTS {
        let mut others: Vec<_> = (0..random.below(3)).map(|_| random.below(row)).collect();
        others.sort_unstable();
        others.dedup();
        after.extend(others.into_iter().map(|other| Edge {
            test: TestIx::from_row(row),
            after: TestIx::from_row(other),
        }));
    }
    // Ends of chains conflict, so that each can be reached on a life of its own.
    let is_end = |row: &usize| {
        let mut edges = after.iter();
        edges.all(|edge: &Edge| edge.after != TestIx::from_row(*row))
    };
    let ends: Vec<_> = (0..TESTS).filter(is_end).collect();
    let mut pairs = BTreeSet::new();
    for _ in 0..conflicts {
        if let (Some(one), Some(other)) = (random.pick(&ends), random.pick(&ends))
            && one != other
        {
            pairs.insert(Pair::of(TestIx::from_row(*one), TestIx::from_row(*other)));
        }
    }
    Shape {
        tests: (0..TESTS).map(TestIx::from_row).collect(),
        after,
        conflicts: pairs.into_iter().collect(),
        ..Shape::default()
    }
}
