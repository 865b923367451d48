//! What is drawn is well-formed XML, and has every execution once.

use std::collections::BTreeMap;

use dva_plan::document::{PRODUCER, read, to_bytes};
use dva_plan::{ExecutionPlan, Schedule};
use dva_schedule::Assumptions;
use quick_xml::Reader;
use quick_xml::events::Event;

use super::*;
use crate::gantt::Detail;

/// A plan with tests that share machines and tests that cannot, and its schedule.
fn seen() -> (ExecutionPlan, Schedule) {
    let text = include_bytes!("../../../tests/fixtures/seen.plan");
    let options = dva_compiler::Options::default();
    let plan = dva_compiler::compile("seen.plan", text, &options).plan;
    let plan: dva_plan::document::Loaded<ExecutionPlan> =
        read(to_bytes(&plan.expect("it compiles")).as_slice()).expect("it loads");
    assert_eq!(plan.body.producer, PRODUCER);
    let schedule = dva_schedule::schedule(&plan.body, &plan.header.digest, &Assumptions::default());
    (plan.body, schedule)
}

/// How often each class of groups occurs, and the titles in groups of tests and setups. Panics on what is
/// not well-formed.
fn parsed(svg: &str) -> (BTreeMap<String, usize>, Vec<String>) {
    let mut reader = Reader::from_str(svg);
    reader.config_mut().check_end_names = true;
    let (mut classes, mut titles) = (BTreeMap::new(), Vec::new());
    let (mut open, mut is_execution, mut in_title) = (0_i32, false, false);
    loop {
        match reader.read_event().expect("well-formed") {
            Event::Start(element) => {
                open += 1;
                let class = element
                    .attributes()
                    .map(|attribute| attribute.expect("a well-formed attribute"))
                    .find(|attribute| attribute.key.as_ref() == b"class")
                    .map(|attribute| String::from_utf8_lossy(&attribute.value).into_owned());
                match element.name().as_ref() {
                    b"g" => {
                        let class = class.expect("a group has a class");
                        is_execution = class == "test" || class == "setup";
                        *classes.entry(class).or_insert(0) += 1;
                    }
                    b"title" if is_execution => {
                        in_title = true;
                        titles.push(String::new());
                    }
                    _ => {}
                }
            }
            Event::End(element) => {
                open -= 1;
                in_title = false;
                if element.name().as_ref() == b"g" {
                    is_execution = false;
                }
            }
            Event::Text(text) if in_title => {
                let title = titles.last_mut().expect("it is open");
                title.push_str(std::str::from_utf8(&text).expect("UTF-8"));
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(open, 0, "every element is closed");
    (classes, titles)
}

#[test]
fn every_execution_is_there_once() {
    let (plan, schedule) = seen();
    let chart = Chart::of(&plan, &schedule, Detail::All).expect("it has prices");
    let (classes, mut titles) = parsed(&svg(&chart));
    let executions = || schedule.lives.iter().flat_map(|life| &life.executions);
    let setups = executions().filter(|execution| execution.setup).count();
    assert!(setups > 0);
    assert_eq!(classes["setup"], setups);
    assert_eq!(classes["test"], executions().count() - setups);
    assert_eq!(classes["life"], schedule.lives.len());
    assert_eq!(classes["life-boot"], schedule.lives.len());
    let mut expected: Vec<String> = executions()
        .map(|execution| {
            let role = if execution.setup { "setup of " } else { "" };
            let id = plan.tests[execution.test].id.as_str();
            let (start_ms, end_ms) = (execution.start_ms, execution.end_ms);
            format!(
                "{role}{id}\n{} to {}: {}",
                duration(start_ms),
                duration(end_ms),
                duration(end_ms - start_ms)
            )
        })
        .collect();
    titles.sort();
    expected.sort();
    assert_eq!(titles, expected);
}

#[test]
fn lives_that_do_the_same_are_drawn_once() {
    let (plan, schedule) = seen();
    let chart = Chart::of(&plan, &schedule, Detail::Most(100)).expect("it has prices");
    assert_eq!(chart.blocks.len() * 2, schedule.lives.len());
    assert!(chart.blocks.iter().all(|block| block.cells.len() == 2));
    assert_eq!(chart.left_out, 0);
    let few = Chart::of(&plan, &schedule, Detail::Most(1)).expect("it has prices");
    assert_eq!(
        (few.blocks.len(), few.left_out),
        (1, schedule.lives.len() - 2)
    );
}

#[test]
fn the_same_chart_has_the_same_bytes() {
    let (plan, schedule) = seen();
    let chart = || Chart::of(&plan, &schedule, Detail::All).expect("it has prices");
    assert_eq!(svg(&chart()), svg(&chart()));
}

#[test]
fn hostile_names_stay_text() {
    let (mut plan, schedule) = seen();
    let name = "</title><script>\"'&\u{0}\u{1b}[2J\u{202e}\u{ffff}]]>";
    plan.name = name.to_owned();
    for test in plan.tests.iter_mut() {
        test.id = dva_plan::id::TestId::new(name);
    }
    for machine in plan.machines.iter_mut() {
        machine.r#type = name.to_owned();
        machine.region = name.to_owned();
    }
    for cell in plan.cells.iter_mut() {
        for value in cell.axes.values_mut() {
            value.push_str(name);
        }
    }
    for detail in [Detail::All, Detail::Most(2)] {
        let chart = Chart::of(&plan, &schedule, detail).expect("it has prices");
        let svg = svg(&chart);
        parsed(&svg);
        assert!(!svg.contains("<script"));
        assert!(
            svg.chars()
                .all(|letter| !letter.is_control() || letter == '\n')
        );
    }
}

#[test]
fn nothing_is_drawn_beyond_the_page() {
    // A life of a moment in a run of years, and a run of no time at all.
    for (start_ms, span_ms) in [(0, u64::MAX), (u64::MAX - 1, u64::MAX), (0, 0), (5, 1)] {
        let at = place(start_ms, span_ms);
        assert!((LEFT * 10..=RIGHT * 10).contains(&at), "{at}");
    }
}
