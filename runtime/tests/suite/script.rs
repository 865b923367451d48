//! Scripts of the simulator.

use dva_runtime::SimScript;
use dva_runtime::sim::{ScriptError, ScriptErrorKind};

use crate::fixture::{PlanBuilder, simulate};

fn plan() -> dva_plan::document::Loaded<dva_plan::ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    plan.test("storage.mount", 1, &[]);
    plan.test("memory", 1, &[]);
    plan.filesystems(["xfs", "ext4"]);
    plan.build()
}

fn error(text: &str) -> String {
    let error: ScriptError = SimScript::parse(text, &plan().body).unwrap_err();
    error.to_string()
}

#[test]
fn what_is_not_known_is_an_error_with_a_suggestion() {
    for (text, message) in [
        (
            "bot = '3s'",
            "the script: there is no key `bot`; did you mean `boot`?",
        ),
        (
            "[[test]]\ntest = 'storage.mont'",
            "test 1: there is no test `storage.mont`; did you mean `storage.mount`?",
        ),
        (
            "[[test]]\ntest = 'memory'\n[[test]]\ntest = 'memory'\nexitt = 1",
            "test 2: there is no key `exitt`; did you mean `exit`?",
        ),
        ("[[test]]\nexit = 1", "test 1: `test` is missing"),
        (
            "[[test]]\ntest = 'quite other'",
            "test 1: there is no test `quite other`",
        ),
        (
            "[[life]]\ncells = { filesytem = 'xfs' }",
            "life 1: there is no axis `filesytem`; did you mean `filesystem`?",
        ),
        (
            "[[life]]\ncells = { filesystem = 'ext3' }",
            "life 1: there is no axis value `ext3`; did you mean `ext4`?",
        ),
        (
            "[[life]]\nfault = 'hostkey'",
            "life 1: there is no fault of a life `hostkey`; did you mean `host_key`?",
        ),
        (
            "boot = '3'",
            "the script: `boot` must be a duration such as \"30s\"",
        ),
        (
            "[[test]]\ntest = 'memory'\nrun = 1",
            "test 1: `run` must be below 1, the number of its commands",
        ),
        (
            "[[test]]\ntest = 'memory'\nexit = -1",
            "test 1: `exit` must be a whole number, not below 0",
        ),
        (
            "test = 3",
            "the script: `test` must be a list of tables, each `[[test]]`",
        ),
    ] {
        assert_eq!(error(text), message);
    }
    let syntax = SimScript::parse("boot =", &plan().body).unwrap_err();
    assert!(matches!(syntax.kind, ScriptErrorKind::Syntax(_)));
}

#[test]
fn the_example_of_the_documentation_is_a_script() {
    let documentation = include_str!("../../docs/simulator.md");
    let example: Vec<&str> = documentation
        .lines()
        .skip_while(|line| !line.contains("```toml"))
        .skip(1)
        .take_while(|line| !line.contains("```"))
        .collect();
    assert!(example.len() > 10);
    let mut plan = PlanBuilder::new();
    let steps = vec![plan.run("one", None, None), plan.run("two", None, None)];
    plan.test_of("format", 1, &[], steps);
    plan.test("mount", 1, &[]);
    plan.filesystems(["xfs", "ext4"]);
    SimScript::parse(&example.join("\n"), &plan.build().body).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_entry_may_be_for_some_cells_and_the_last_that_fits_counts() {
    let script = "
boot = '10s'
[[test]]
test = 'memory'
exit = 1
[[test]]
test = 'memory'
cells = { filesystem = 'ext4' }
exit = 0
takes = '5s'
[[life]]
cells = { filesystem = 'ext4' }
boot = '20s'
";
    let ran = simulate(&plan(), script).await;
    assert_eq!(
        ran.of("xfs", "memory").verdict.to_string(),
        "failed (expect)"
    );
    assert_eq!(ran.of("ext4", "memory").verdict.to_string(), "passed");
    let execution = &ran.of("ext4", "memory").executions[0];
    assert_eq!((execution.start_ms, execution.end_ms), (20_000, 25_000));
    assert_eq!(ran.of("xfs", "memory").executions[0].start_ms, 10_000);
}
