//! Cells whose machine is left open: where the planned one is not to be had, the next best candidates are asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dva_plan::document::{Loaded, read, to_bytes};
use dva_plan::expr::{Comparison, MachineFact, Node};
use dva_plan::money::Money;
use dva_plan::plan::{MachineIx, Requirement};
use dva_plan::schedule::LifeIx;
use dva_plan::step::SourceText;
use dva_plan::{ExecutionPlan, Value};
use dva_runtime::event::LifeTrouble;
use dva_runtime::journal::MemoryJournal;
use dva_runtime::{Event, RunOptions, SimBackend, SimScript, resume, run};
use tokio::time::timeout;

use crate::cost::quote_of;
use crate::fixture::{PlanBuilder, Ran, map, options, schedule_of, simulate_with};

/// A cell with a test of 10 s and these candidates, each with its price in percent of $0.001 a second and its
/// number of processors. The test needs `vcpus` of them.
fn plan(candidates: &[(&str, i64, u32)], vcpus: u32, cells: usize) -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let test = plan.test("t", 10, &[]);
    let enough = Node::Machine(MachineFact::Vcpus);
    let condition = plan.compare(enough, Comparison::AtLeast, Value::Int(vcpus.into()));
    let source = SourceText::default();
    plan.edit(test).requires = vec![Requirement { condition, source }];
    plan.filesystems((0..cells).map(|number| format!("fs{number}")));
    let mut plan = plan.plan();
    let first = plan.machines[MachineIx(0)].clone();
    plan.machines = candidates
        .iter()
        .map(|(name, percent, vcpus)| {
            let mut machine = first.clone();
            machine.r#type = (*name).to_owned();
            machine.vcpus = *vcpus;
            machine.quote = Some(quote_of(*percent));
            machine
        })
        .collect();
    let all: Vec<MachineIx> = plan.machines.indices().collect();
    for cell in plan.cells.indices().collect::<Vec<_>>() {
        plan.cells[cell].candidates.clone_from(&all);
    }
    read(to_bytes(&plan).as_slice()).unwrap()
}

fn faults(of: &[(&str, &str)]) -> String {
    let entry =
        |(name, fault): &(&str, &str)| format!("[[life]]\ntype = '{name}'\nfault = '{fault}'\n");
    of.iter().map(entry).collect()
}

/// What was asked for after the first machine, by type.
fn asked(ran: &Ran) -> Vec<&str> {
    let events = ran.records.iter().map(|record| &record.event);
    let next = events.filter_map(|event| match event {
        Event::CandidateRefused { next, .. } => Some(ran.plan.machines[*next].r#type.as_str()),
        _ => None,
    });
    next.collect()
}

const THREE: &[(&str, i64, u32)] = &[("a", 100, 2), ("b", 110, 2), ("c", 200, 2)];

#[tokio::test(start_paused = true)]
async fn the_next_best_that_serves_is_asked_for() {
    for (candidates, wrong, then, had, verdict) in [
        (THREE, &[][..], &[][..], "a", "passed"),
        (THREE, &[("a", "capacity")][..], &["b"][..], "b", "passed"),
        (THREE, &[("a", "quota")], &["b"], "b", "passed"),
        (
            THREE,
            &[("a", "capacity"), ("b", "quota")],
            &["b", "c"],
            "c",
            "passed",
        ),
        // One that is too small for the test is not asked for.
        (
            &[("a", 100, 2), ("b", 110, 1), ("c", 200, 2)],
            &[("a", "capacity")],
            &["c"],
            "c",
            "passed",
        ),
        // What broke may break again; it is no reason for another machine.
        (
            THREE,
            &[("a", "broken")],
            &[],
            "a",
            "errored (machine.acquire)",
        ),
        (
            THREE,
            &[("a", "quota"), ("b", "capacity"), ("c", "quota")],
            &["b", "c"],
            "c",
            "blocked (capacity)",
        ),
        (
            THREE,
            &[("a", "quota"), ("b", "quota"), ("c", "quota")],
            &["b", "c"],
            "c",
            "blocked (quota)",
        ),
    ] {
        let ran = simulate_with(&plan(candidates, 2, 1), &faults(wrong), options()).await;
        assert_eq!(ran.verdicts("fs0"), map(&[("t", verdict)]), "{wrong:?}");
        assert_eq!(asked(&ran), then, "{wrong:?}");
        assert_eq!(ran.report().lives[LifeIx(0)].r#type, had, "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn four_are_asked_for_and_all_of_them_are_named() {
    let names = ["a", "b", "c", "d", "e"];
    let candidates = names.map(|name| (name, 100, 2));
    let wrong = names.map(|name| (name, "capacity"));
    let ran = simulate_with(&plan(&candidates, 2, 1), &faults(&wrong), options()).await;
    assert_eq!(asked(&ran), ["b", "c", "d"]);
    let message = &ran.of("fs0", "t").message;
    let one =
        |name| format!("The machine {name} in local could not be started: there is none left.");
    let all = ["a", "b", "c", "d"].map(one).join(" ");
    let none = "None of the 4 machines that were asked for was to be had.";
    assert_eq!(*message, format!("{none} {all}"));
}

#[tokio::test(start_paused = true)]
async fn what_was_obtained_is_billed_and_told() {
    let script = faults(&[("a", "capacity")]);
    let ran = simulate_with(&plan(THREE, 2, 2), &script, options()).await;
    let bill = ran.report().bill.as_ref().unwrap();
    // Two machines of $0.0011 for a minute, the least that is billed, where $0.001 was expected.
    assert_eq!(bill.nano_usd, Money::from_nano_usd(132_000_000));
    assert_eq!(bill.expected.nano_usd, Money::from_nano_usd(120_000_000));
    assert_eq!(bill.by_type.keys().collect::<Vec<_>>(), ["b"]);
    let warning = "2 lives, first filesystem=fs0 (life 0), had a machine b in local, since the planned a in local \
                   was not to be had.";
    assert_eq!(ran.report().warnings, [warning]);
}

#[tokio::test(start_paused = true)]
async fn a_dearer_one_is_taken_where_what_was_reserved_pays_for_it() {
    // It is expected to take 40 s, and at least 60 s are billed: $0.06.
    for (limit, then) in [(90, &["c"][..]), (89, &[][..]), (60, &[]), (10_000, &["b"])] {
        let candidates = &[("a", 100, 2), ("b", 1_000, 2), ("c", 150, 2)];
        let options = RunOptions {
            max_cost: Some(Money::from_nano_usd(limit * 1_000_000)),
            ..options()
        };
        let script = faults(&[("a", "capacity")]);
        let ran = simulate_with(&plan(candidates, 2, 1), &script, options).await;
        assert_eq!(asked(&ran), then, "{limit}");
        let verdict = if then.is_empty() {
            "blocked (capacity)"
        } else {
            "passed"
        };
        assert_eq!(ran.verdicts("fs0"), map(&[("t", verdict)]), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn refused_candidates_do_not_count_as_machines_that_did_not_come_up() {
    let script = faults(&[("a", "capacity")]);
    let ran = simulate_with(&plan(THREE, 2, 6), &script, options()).await;
    assert_eq!(ran.report().lives.len(), 6);
    assert!(ran.report().lives.iter().all(|life| life.r#type == "b"));
    // One of which no more are launched is not asked for any more.
    let mut plan = plan(&THREE[..2], 2, 6).body;
    plan.policy.limits.machines = Some(1);
    let plan = read(to_bytes(&plan).as_slice()).unwrap();
    let script = faults(&[("a", "capacity"), ("b", "silent")]);
    let ran = simulate_with(&plan, &script, options()).await;
    assert_eq!(asked(&ran), ["b", "b", "b"]);
    let count = |word: &str| {
        let runs = ran.report().test_runs.iter();
        runs.filter(|run| run.verdict.to_string() == word).count()
    };
    assert_eq!(count("errored (ssh.connect_timeout)"), 3);
    assert_eq!(count("blocked (capacity)"), 3);
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_over_asks_for_the_machine_that_was_asked_for_last() {
    let plan = plan(THREE, 2, 1);
    let script = SimScript::parse(&faults(&[("a", "capacity")]), &plan.body).unwrap();
    let schedule = schedule_of(&plan, &script);
    // While it boots, and once it is there.
    for dies_after_s in [10, 31] {
        let (backend, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script.clone());
        let journal = MemoryJournal::default();
        let first = RunOptions {
            journal: Box::new(journal.clone()),
            ..options()
        };
        let first = run(&plan, schedule.clone(), backend.clone(), first);
        let died = timeout(Duration::from_secs(dies_after_s), first).await;
        died.expect_err("it dies");
        let records = journal.records();
        let outcome = resume(&plan, schedule.clone(), &records, backend, options());
        let outcome = outcome.await.unwrap();
        assert!(outcome.report.lives.iter().any(|life| life.r#type == "b"));
        let had: BTreeSet<String> = machines
            .spans()
            .into_iter()
            .map(|span| span.machine.r#type)
            .collect();
        assert_eq!(had, BTreeSet::from(["b".to_owned()]));
        assert!(machines.live().is_empty());
    }
}

#[test]
fn an_event_of_a_refusal_reads_as_it_was_written() {
    let event = Event::CandidateRefused {
        life: LifeIx(0),
        trouble: LifeTrouble::Capacity,
        message: "There is none.".to_owned(),
        next: MachineIx(1),
        within_ms: None,
    };
    let text = serde_json::to_string(&event).unwrap();
    let expected = r#"{"what":"candidate_refused","life":0,"trouble":"capacity","message":"There is none.","next":1}"#;
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
}
