//! Every start has a reason, every path adds up, and what is said to be apart is apart.

use std::collections::BTreeSet;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_schedule::{Assumptions, Effort, Goal, Options, Risk, optimize, schedule_isolated};

use super::binds::BindKind;
use super::*;

/// The plans of these tests.
fn plans() -> Vec<Loaded<ExecutionPlan>> {
    let sources: [(&str, &[u8], Option<&str>); 5] = [
        (
            "seen",
            include_bytes!("../../tests/fixtures/seen.plan"),
            None,
        ),
        (
            "reasons",
            include_bytes!("../../tests/fixtures/reasons.plan"),
            None,
        ),
        (
            "limits",
            include_bytes!("../../tests/fixtures/limits.plan"),
            Some("one"),
        ),
        (
            "queue",
            include_bytes!("../../tests/fixtures/queue.plan"),
            None,
        ),
        (
            "cheapest",
            include_bytes!("../../../../examples/cheapest.plan"),
            None,
        ),
    ];
    let compiled = sources.iter().map(|(name, text, plan)| {
        let options = dva_compiler::Options {
            plan: plan.map(str::to_owned),
            ..dva_compiler::Options::default()
        };
        let plan = dva_compiler::compile(name, text, &options).plan;
        read(to_bytes(&plan.expect("it compiles")).as_slice()).expect("it loads")
    });
    compiled.collect()
}

/// Schedules of a plan that differ in lanes and in what they are for.
fn schedules(plan: &Loaded<ExecutionPlan>) -> Vec<Schedule> {
    let digest = &plan.header.digest;
    let assumptions = Assumptions::default();
    let mut schedules = vec![schedule_isolated(&plan.body, digest, &assumptions)];
    for lanes in [1, 2, 4] {
        for goal in [
            Goal::LeastCost,
            Goal::Deadline {
                within_ms: 170_000,
                risk: Risk::Expected,
            },
        ] {
            let options = Options {
                lanes: Some(lanes),
                goal,
                effort: Effort(30),
                ..Options::default()
            };
            schedules.extend(optimize(&plan.body, digest, &options).map(|made| made.schedule));
        }
    }
    schedules
}

/// What is to be looked at: each execution with its schedule.
fn every(look: impl Fn(&Context<'_>, &PlannedLife, &PlannedExecution)) {
    let mut seen = 0;
    for plan in plans() {
        for schedule in schedules(&plan) {
            for life in &schedule.lives {
                for execution in &life.executions {
                    let what = (life.cell, execution.test);
                    look(&Context::of(&plan.body, &schedule, what), life, execution);
                    seen += 1;
                }
            }
        }
    }
    assert!(seen > 300, "{seen}");
}

#[test]
fn every_start_has_a_reason() {
    every(|context, life, execution| {
        let binds = binds::binds(context, life, execution);
        let name = context.name(execution.test);
        assert!(!binds.is_empty(), "{name}");
        for bind in binds {
            assert!(bind.kind != BindKind::Nothing, "{name}: {}", bind.why);
            // The plan's own words are for what no effect explains; here all have one.
            assert!(!bind.why.contains("the plan puts"), "{name}: {}", bind.why);
        }
    });
}

#[test]
fn every_path_leads_from_the_launch_to_the_end_without_a_gap() {
    every(|context, life, execution| {
        let path = binds::path(context, life, execution);
        assert_eq!(path[0].start_ms, life.launch_ms);
        assert_eq!(path[path.len() - 1].end_ms, execution.end_ms);
        for (one, next) in path.iter().zip(&path[1..]) {
            assert_eq!(one.end_ms, next.start_ms);
        }
    });
}

#[test]
fn what_is_apart_never_shares_a_life_and_all_else_may() {
    every(|context, life, _| {
        let apart: BTreeSet<String> = apart::apart(context)
            .into_iter()
            .map(|apart| apart.test)
            .collect();
        for other in &life.executions {
            let name = context.plan.tests[other.test].id.as_str();
            assert!(!apart.contains(name), "{name}");
        }
        for other in &context.shape.tests {
            let ours = apart::closed(context, context.test);
            let both = &ours | &apart::closed(context, *other);
            let name = context.plan.tests[*other].id.as_str();
            assert_eq!(
                context.together.fits(&both),
                !apart.contains(name),
                "{name}"
            );
        }
    });
}

#[test]
fn whatever_is_asked_has_an_answer() {
    for plan in plans() {
        for schedule in schedules(&plan) {
            for (cell, row) in plan.body.cells.enumerate() {
                for test in &plan.body.shapes[row.shape].tests {
                    let why = Why::of(&plan.body, &schedule, (cell, *test), None)
                        .expect("it has a verdict");
                    let text = why.text();
                    assert!(text.lines().count() >= 8, "{text}");
                    let alone = why.alone.price.money();
                    let life = why.share.life.money();
                    if why.apart.is_empty() && why.verdicts.len() == 1 {
                        // A life with less on it does not cost more.
                        assert!(alone <= life, "{text}");
                    }
                }
            }
        }
    }
}
