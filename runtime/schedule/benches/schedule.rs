//! How long 3,600 cells of 75 tests take to be scheduled, checked and summed up.
//!
//! Once with one shape for all cells, once with a shape of its own for each, and once with conflicts in
//! these, so that cells need several lives; the median and the
//! slowest of the repeats, in milliseconds. Run with `cargo bench -p dva-schedule`.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Edge, ImageIx, MachineIx, Pair, Policy, Shape, ShapeIx, TestIx};
use dva_plan::table::Index;
use dva_schedule::{Assumptions, check, schedule, summarize};

use generate::{Random, cell, single, test};

const CELLS: usize = 3_600;
const TESTS: usize = 75;
const REPEATS: usize = 15;

fn main() {
    for (name, shapes, conflicts) in [
        ("one shape", 1, 0),
        ("a shape for each cell", CELLS, 0),
        ("a shape for each cell, with conflicts", CELLS, 12),
    ] {
        let plan = plan(shapes, conflicts);
        let assumptions = Assumptions::default();
        let made = schedule(&plan, "digest", &assumptions);
        assert_eq!(check(&plan, "digest", &made), vec![]);
        let summary = summarize(&plan, &made);
        println!(
            "{CELLS} cells of {TESTS} tests, {name}: {} lives, {} setups, makespan {} ms, at least {} ms",
            summary.lives,
            summary.setup_executions,
            summary.makespan_ms,
            summary.makespan_lower_bound_ms
        );
        measure("schedule", || {
            schedule(black_box(&plan), "digest", &assumptions)
        });
        measure("check", || check(&plan, "digest", black_box(&made)));
        measure("summarize", || summarize(&plan, black_box(&made)));
    }
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
