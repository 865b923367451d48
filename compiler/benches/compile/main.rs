//! How long sources take to be read, checked and made into plans, and how much memory that needs.
//!
//! `cargo bench -p dva-compiler`. Prints medians, the peak of the heap above what was in use before,
//! and the goals beside them; a goal that is missed is marked, and fails nothing. `parse` is text to
//! tree, `check` is names, order and types, `emit` is cells, the plan and its bytes.

#![expect(clippy::disallowed_methods, reason = "a bench is about time")]

mod heap;
mod sources;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dva_compiler::diagnostic::Bag;
use dva_compiler::files::NoFiles;
use dva_compiler::{Options, compile, effects, emit, modules, order, resolve, syntax, types};
use dva_plan::document::to_bytes;
use dva_stdlib::Catalog;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

fn main() {
    // The catalog is read once in a process, by whoever asks first.
    let _ = Catalog::embedded();

    println!("Sources of many tests, one cell:");
    let mut wholes = Vec::new();
    for (tests, repeats) in [(10, 101), (1_000, 21), (10_000, 5), (100_000, 3)] {
        wholes.push(stages(
            &format!("{tests} tests"),
            &sources::many_tests(tests),
            repeats,
        ));
    }
    let ratio = wholes[3].as_nanos() * 10 / wholes[2].as_nanos().max(1);
    println!(
        "  100,000 tests ÷ 10,000 tests: {}.{} {}",
        ratio / 10,
        ratio % 10,
        goal(ratio <= 120, "≤ 12")
    );

    println!("3,600 cells × 75 tests:");
    let cells = sources::many_cells();
    let whole = stages("release", &cells, 11);
    let before = heap::mark();
    let bytes = plan(&cells);
    let peak = heap::peak_above(before);
    println!(
        "  in all {whole:.1?} {}, {} MiB at most {}, {} kB of plan {}",
        goal(whole <= Duration::from_millis(400), "≤ 400 ms"),
        peak / MIB,
        goal(peak <= 400 * MIB, "≤ 400 MiB"),
        bytes.len() / 1_000,
        goal(bytes.len() <= 10_000_000, "≤ 10 MB"),
    );

    println!("A source as people write them:");
    let written = sources::written();
    let check = median(101, || {
        drop(black_box(compile(
            "written.plan",
            written.as_bytes(),
            &Options::default(),
        )));
    });
    println!(
        "  {} lines checked in {check:.1?} {}",
        written.lines().count(),
        goal(check <= Duration::from_millis(10), "≤ 10 ms")
    );
}

/// Prints how long each stage takes; returns the whole.
fn stages(name: &str, text: &str, repeats: usize) -> Duration {
    let catalog = Catalog::embedded();
    let before = heap::mark();
    let mut bag = Bag::default();
    let source = syntax::decode("bench.plan", text.as_bytes(), &mut bag).expect("it is text");
    let modules = modules::load(source, &NoFiles, &mut bag);
    let sources = &modules.sources;
    let parse_peak = heap::peak_above(before);

    let check = |bag: &mut Bag| {
        let hir = resolve::resolve(&modules, catalog, bag);
        let order = order::order(&hir, bag);
        let outside = types::Outside {
            settings: &BTreeMap::new(),
            loader: &NoFiles,
        };
        let typed = types::check(&hir, &order, sources, catalog, outside, bag);
        effects::report_undeclared(&hir, &typed, bag);
        (hir, order, typed)
    };
    let before = heap::mark();
    let (hir, order, typed) = check(&mut bag);
    let check_peak = heap::peak_above(before);

    let make = |bag: &mut Bag| {
        let layouts = emit::lay_out(&hir, &order, &typed, catalog, bag);
        let chosen = emit::choose(&hir, None, bag).expect("there is one plan");
        let layout = layouts[chosen].as_ref().expect("it is laid out");
        to_bytes(&emit::emit(&hir, &typed, sources, chosen, layout).expect("it is right"))
    };
    let before = heap::mark();
    let bytes = make(&mut bag);
    let emit_peak = heap::peak_above(before);
    let found = bag.into_sorted();
    assert_eq!(found, [], "the bench compiles sources without mistakes");

    let parse_time = median(repeats, || {
        drop(syntax::parse(text, &mut Bag::default()));
    });
    let check_time = median(repeats, || drop(check(&mut Bag::default())));
    let emit_time = median(repeats, || drop(make(&mut Bag::default())));
    println!(
        "  {name:<14} {:>6} KiB of source: parse {parse_time:>8.1?} ({} MiB), check {check_time:>8.1?} \
         ({} MiB), emit {emit_time:>8.1?} ({} MiB), {} kB of plan",
        text.len() / KIB,
        parse_peak / MIB,
        check_peak / MIB,
        emit_peak / MIB,
        bytes.len() / 1_000
    );
    parse_time + check_time + emit_time
}

/// The bytes of the plan, by the public door.
fn plan(text: &str) -> Vec<u8> {
    let compilation = compile("bench.plan", text.as_bytes(), &Options::default());
    to_bytes(&compilation.plan.expect("it is right"))
}

fn median(repeats: usize, mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..repeats)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}

fn goal(is_met: bool, goal: &str) -> String {
    if is_met {
        format!("(goal {goal})")
    } else {
        format!("(MISSED: goal {goal})")
    }
}
