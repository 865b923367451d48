//! A stress without a goal: assembly lines. Tasks with an order are put onto as few stations as can be, none of
//! which works longer than the cycle.
//!
//! `DVA_SALBP=otto2013.jsonl cargo bench -p dva-schedule --bench salbp` reads a JSON object a line: `cycle`,
//! `times`, `edges` (from 1) and `optimum`. A task is a test on one lane, a station a life of at most the
//! cycle, an edge one of order, and every life costs an hour.
//!
//! It is not quite the same problem: on a line the stations follow each other, and an edge of order binds on one
//! life only. So a packing may have fewer lives than a line has stations, and one that has as many need not
//! make a line; how often one does of 8 that are sought, so that the optimum is reached, is counted as well.

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../tests/suite/generate.rs"]
mod generate;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::{MachineIx, Policy};
use dva_plan::quote::OsClass;
use dva_plan::schedule::Schedule;
use dva_plan::table::Index;
use dva_schedule::{Assumptions, Goal, Options, Risk, check, optimize};

use generate::{quote, single, test};

/// From how many seeds a line is sought.
const SEEDS: u64 = 8;

/// What was counted of the instances with so many tasks.
#[derive(Default)]
struct Count {
    known: u32,
    same: u32,
    lines: u32,
    fewer: u32,
    more: u32,
}

#[expect(clippy::disallowed_methods, reason = "a bench reads data from outside")]
fn main() {
    let Ok(path) = std::env::var("DVA_SALBP") else {
        println!("SKIP: DVA_SALBP names no file of instances");
        return;
    };
    let text = std::fs::read_to_string(path).expect("the instances can be read");
    let mut counts: BTreeMap<usize, Count> = BTreeMap::new();
    for line in text.lines() {
        let times = numbers(line, "times");
        let edges: Vec<(u32, u32)> = numbers(line, "edges")
            .chunks(2)
            .map(|edge| (edge[1] as u32 - 1, edge[0] as u32 - 1))
            .collect();
        let [cycle] = numbers(line, "cycle")[..] else {
            continue;
        };
        let [optimum] = numbers(line, "optimum")[..] else {
            continue;
        };
        let schedule = packed(&times, &edges, cycle, 0);
        let lives = schedule.lives.len() as u64;
        let makes_line = |schedule: &Schedule| {
            schedule.lives.len() as u64 == optimum && is_line(schedule, &edges)
        };
        let line = makes_line(&schedule)
            || (1..SEEDS).any(|seed| makes_line(&packed(&times, &edges, cycle, seed)));
        let count = counts.entry(times.len()).or_default();
        count.known += 1;
        count.same += u32::from(lives == optimum);
        count.lines += u32::from(line);
        count.fewer += u32::from(lives < optimum);
        count.more += u32::from(lives > optimum);
    }
    println!("tasks  known optima  as many lives  lines as long  fewer  more");
    for (tasks, count) in counts {
        println!(
            "{tasks:>5} {:>13} {:>14} {:>15} {:>6} {:>5}",
            count.known, count.same, count.lines, count.fewer, count.more
        );
    }
}

/// The fewest lives that are found.
fn packed(times: &[u64], edges: &[(u32, u32)], cycle: u64, seed: u64) -> Schedule {
    let tests = times
        .iter()
        .enumerate()
        .map(|(row, time)| test(&format!("task_{row:03}"), Some(time * 1_000)));
    let mut plan = single(tests.collect(), &[], edges);
    plan.policy = Policy {
        lanes: 1,
        ..Policy::default()
    };
    let machine = &mut plan.machines[MachineIx(0)];
    machine.region = "eu-west-1".to_owned();
    machine.quote = Some(quote(OsClass::Suse, 1_000_000_000));
    let options = Options {
        assumptions: Assumptions {
            boot_ms: 0,
            ..Assumptions::default()
        },
        goal: Goal::Deadline {
            within_ms: cycle * 1_000,
            risk: Risk::Expected,
        },
        seed,
        ..Options::default()
    };
    let planned = optimize(&plan, "", &options).expect("each task fits the cycle");
    assert_eq!(check(&plan, "", &planned.schedule), vec![]);
    planned.schedule
}

/// Whether the lives can follow each other so that no edge leads back.
fn is_line(schedule: &Schedule, edges: &[(u32, u32)]) -> bool {
    let mut life_of = BTreeMap::new();
    for (row, life) in schedule.lives.enumerate() {
        for execution in &life.executions {
            life_of.insert(execution.test.0, row.row());
        }
    }
    let mut before: BTreeSet<(usize, usize)> = edges
        .iter()
        .map(|(test, after)| (life_of[after], life_of[test]))
        .filter(|(one, other)| one != other)
        .collect();
    let mut left: BTreeSet<usize> = (0..schedule.lives.len()).collect();
    // Whoever has nobody before goes next.
    while let Some(next) = left
        .iter()
        .copied()
        .find(|life| before.iter().all(|(_, then)| then != life))
    {
        left.remove(&next);
        before.retain(|(first, _)| *first != next);
    }
    left.is_empty()
}

/// The numbers behind `key`, up to the next key.
fn numbers(line: &str, key: &str) -> Vec<u64> {
    let Some((_, rest)) = line.split_once(&format!("\"{key}\":")) else {
        return Vec::new();
    };
    let own = rest.split('"').next().unwrap_or(rest);
    let words = own.split(|letter: char| !letter.is_ascii_digit());
    words.filter_map(|word| word.parse().ok()).collect()
}
