//! What one execution does: steps, captures, expectations, limits, `finally`.

use dva_plan::Type;
use dva_plan::Value;
use dva_plan::document::Loaded;
use dva_plan::exit::ExitCode;
use dva_plan::expr::{Comparison, DiskFact, MachineFact, Node};
use dva_plan::plan::{ExecutionPlan, TestIx};
use dva_plan::report::{CommandStatus, Operands, StepOutcome, StepReport};
use dva_plan::step::{CaptureFrom, SlotIx};

use crate::fixture::{PlanBuilder, Ran, capture, map, simulate};

fn first(ran: &Ran, step: usize) -> &StepReport {
    &ran.report().test_runs[0].executions[0].steps[step]
}

/// A test that captures `fstype` and checks it, and one after it that uses it.
fn captures() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let slot = SlotIx(0);
    let succeeds = plan.exits(0);
    let is_xfs = plan.compare(
        Node::Slot(slot),
        Comparison::Equal,
        Value::String("xfs".into()),
    );
    let steps = vec![
        plan.run("findmnt", Some(succeeds), capture(slot, CaptureFrom::Text)),
        plan.check(is_xfs, "fstype == \"xfs\""),
    ];
    let mount = plan.test_of("mount", 1, &[], steps);
    plan.slot(mount, "fstype", Type::String);
    let other = plan.expressions.add(Node::Other { test: mount, slot });
    let steps = vec![plan.run_with("echo", other)];
    plan.test_of("show", 1, &[mount], steps);
    plan.build()
}

#[tokio::test(start_paused = true)]
async fn what_is_captured_is_checked_and_crosses_edges() {
    let script = "[[test]]\ntest = 'mount'\nstdout = \"xfs\\n\"\n";
    let ran = simulate(&captures(), script).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("mount", "passed"), ("show", "passed")])
    );
    assert_eq!(first(&ran, 0).captured, Some(Value::String("xfs".into())));
    assert_eq!(first(&ran, 0).status, Some(CommandStatus::Exit(0)));
    assert_eq!(first(&ran, 0).stdout.as_ref().unwrap().excerpt, "xfs\n");
    let show = &ran.test("show").executions[0].steps[0];
    assert_eq!(show.command.as_deref(), Some("echo 'xfs'"));
}

#[tokio::test(start_paused = true)]
async fn a_failed_check_shows_both_sides() {
    let script = "[[test]]\ntest = 'mount'\nstdout = \"ext\\u001b4\\n\"\n";
    let ran = simulate(&captures(), script).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("mount", "failed (check)"), ("show", "blocked by mount")])
    );
    assert_eq!(
        ran.test("mount").message,
        "Expected fstype == \"xfs\", but fstype is \"ext\\u{1b}4\" (line 7: `check fstype == \"xfs\"`)."
    );
    assert_eq!(
        first(&ran, 1).operands,
        Some(Operands {
            left: "\"ext\\u{1b}4\"".into(),
            operator: "==".into(),
            right: "\"xfs\"".into(),
        })
    );
    assert_eq!(first(&ran, 1).outcome, StepOutcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn what_the_simulator_was_not_told_is_assumed() {
    let ran = simulate(&captures(), "").await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    assert_eq!(first(&ran, 0).outcome, StepOutcome::Assumed);
    assert_eq!(first(&ran, 0).captured, None);
    assert_eq!(first(&ran, 0).status, None);
    assert_eq!(first(&ran, 1).outcome, StepOutcome::Assumed);
    let show = &ran.test("show").executions[0].steps[0];
    assert_eq!(show.command.as_deref(), Some("echo '<fstype>'"));
}

#[tokio::test(start_paused = true)]
async fn missing_items_of_a_list_are_named() {
    let mut plan = PlanBuilder::new();
    let slot = SlotIx(0);
    let names = |names: &[&str]| {
        Value::List(
            names
                .iter()
                .map(|name| Value::String((*name).into()))
                .collect(),
        )
    };
    let whole = plan.expressions.add(Node::Slot(slot));
    let parts = plan.constant(names(&["bash", "chrony", "kernel"]));
    let has_all = plan.expressions.add(Node::HasAll { whole, parts });
    let steps = vec![
        plan.run("rpm -qa", None, capture(slot, CaptureFrom::Lines)),
        plan.check(has_all, "installed has all required"),
    ];
    let test = plan.test_of("packages", 1, &[], steps);
    plan.slot(test, "installed", Type::List(Box::new(Type::String)));
    let script = "[[test]]\ntest = 'packages'\nstdout = \"bash\\nzlib\\n\"\n";
    let ran = simulate(&plan.build(), script).await;
    assert_eq!(
        ran.test("packages").message,
        "Expected installed has all [\"bash\", \"chrony\", \"kernel\"]; missing: chrony, kernel \
         (line 7: `check installed has all required`)."
    );
    let operands = first(&ran, 1).operands.clone().unwrap();
    assert_eq!(operands.operator, "has all");
    assert_eq!(operands.left, "[\"bash\", \"zlib\"]");
}

#[tokio::test(start_paused = true)]
async fn an_output_that_is_not_what_its_capture_expects() {
    let mut plan = PlanBuilder::new();
    let slot = SlotIx(0);
    let steps = vec![plan.run("nproc", None, capture(slot, CaptureFrom::Text))];
    let test = plan.test_of("cpus", 1, &[], steps);
    plan.slot(test, "count", Type::Int);
    let plan = plan.build();
    let ran = simulate(&plan, "[[test]]\ntest = 'cpus'\nstdout = 'many'\n").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("cpus", "failed (capture.parse)")])
    );
    assert_eq!(
        ran.test("cpus").message,
        "`count` could not be captured: `many` is no int: it is not a whole number of at most 64 bits \
         (line 7: `run `nproc``)."
    );
    let large = format!(
        "[[test]]\ntest = 'cpus'\nstdout = '{}'\n",
        "9".repeat((1 << 20) + 1)
    );
    let ran = simulate(&plan, &large).await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("cpus", "failed (capture.size)")])
    );
    let stdout = first(&ran, 0).stdout.as_ref().unwrap();
    assert_eq!(stdout.bytes, (1 << 20) + 1);
    assert!(stdout.excerpt.len() < 257 << 10);
}

#[tokio::test(start_paused = true)]
async fn how_a_command_ended_is_only_judged_by_its_expectation() {
    let mut plan = PlanBuilder::new();
    let one = plan.exits(1);
    let steps = vec![plan.run("grep", Some(one), None)];
    plan.test_of("strict", 1, &[], steps);
    let steps = vec![plan.run("grep", None, None)];
    plan.test_of("any", 1, &[], steps);
    let plan = plan.build();
    let both =
        |end: &str| format!("[[test]]\ntest = 'strict'\n{end}\n[[test]]\ntest = 'any'\n{end}\n");
    for (end, strict) in [
        ("exit = 1", "passed"),
        ("exit = 0", "failed (expect)"),
        // A lost connection is never told as a status, so this one is the command's.
        ("exit = 255", "failed (expect)"),
        ("signal = 'KILL'", "failed (expect)"),
    ] {
        let ran = simulate(&plan, &both(end)).await;
        assert_eq!(
            ran.verdicts("xfs"),
            map(&[("strict", strict), ("any", "passed")]),
            "{end}"
        );
    }
    let ran = simulate(&plan, &both("signal = 'KILL'")).await;
    assert_eq!(
        ran.test("strict").message,
        "The command did not exit: signal KILL ended it (line 7: `run `grep``)."
    );
}

#[tokio::test(start_paused = true)]
async fn limits_stop_a_command_and_the_rest_goes_on() {
    let mut plan = PlanBuilder::new();
    let mut steps = vec![plan.run("one", None, None), plan.run("two", None, None)];
    steps[1].within_ms = Some(20_000);
    let a = plan.test_of("a", 10, &[], steps);
    plan.edit(a).finally = vec![PlanBuilder::new().run("undo", None, None)];
    plan.edit(a).within_ms = 25_000;
    plan.test("b", 1, &[a]);
    plan.test("c", 1, &[]);
    let plan = plan.build();
    for (script, verdict, duration_ms, limit) in [
        (
            "[[test]]\ntest = 'a'\ntakes = '0s'\n[[test]]\ntest = 'a'\nrun = 1\nfault = 'hang'\n",
            "failed (limit.step)",
            20_000,
            "its limit of 20s",
        ),
        (
            "[[test]]\ntest = 'a'\nrun = 1\nfault = 'hang'\n",
            "failed (limit.test)",
            15_000,
            "the test's limit of 25s",
        ),
        (
            "[[test]]\ntest = 'a'\ntakes = '0s'\n[[test]]\ntest = 'a'\nrun = 1\ntakes = '1h'\n",
            "failed (limit.step)",
            // It is not found by its mark, so it is given up on.
            25_000,
            "its limit of 20s",
        ),
    ] {
        let ran = simulate(&plan, script).await;
        assert_eq!(
            ran.verdicts("xfs"),
            map(&[("a", verdict), ("b", "blocked by a"), ("c", "passed")])
        );
        let steps = &ran.test("a").executions[0].steps;
        assert_eq!(steps[1].status, Some(CommandStatus::TimedOut));
        assert_eq!(steps[1].duration_ms, duration_ms);
        assert!(
            ran.test("a").message.contains(limit),
            "{}",
            ran.test("a").message
        );
        assert!(steps[2].in_finally);
        assert_eq!(steps[2].outcome, StepOutcome::Assumed);
    }
}

/// A test with two steps and two of `finally`.
fn with_finally() -> (Loaded<ExecutionPlan>, TestIx) {
    let mut plan = PlanBuilder::new();
    let succeeds = plan.exits(0);
    let steps = vec![
        plan.run("one", Some(succeeds), None),
        plan.run("two", Some(succeeds), None),
    ];
    let test = plan.test_of("a", 1, &[], steps);
    let finally = vec![
        plan.run("three", Some(succeeds), None),
        plan.run("four", Some(succeeds), None),
    ];
    plan.edit(test).finally = finally;
    (plan.build(), test)
}

#[tokio::test(start_paused = true)]
async fn finally_runs_whatever_happened() {
    let (plan, _) = with_finally();
    let ran = simulate(&plan, "[[test]]\ntest = 'a'\nexit = 3\n").await;
    let steps = &ran.test("a").executions[0].steps;
    let commands: Vec<_> = steps
        .iter()
        .filter_map(|step| step.command.clone())
        .collect();
    assert_eq!(commands, ["one", "three", "four"]);
    assert_eq!(ran.verdicts("xfs"), map(&[("a", "failed (expect)")]));
}

#[tokio::test(start_paused = true)]
async fn finally_that_fails_is_a_failure_and_is_tried_to_its_end() {
    let (plan, _) = with_finally();
    let ran = simulate(&plan, "[[test]]\ntest = 'a'\nrun = 2\nexit = 3\n").await;
    assert_eq!(ran.verdicts("xfs"), map(&[("a", "failed (finally)")]));
    assert_eq!(ran.test("a").executions[0].steps.len(), 4);
    assert!(
        ran.test("a")
            .message
            .starts_with("Its steps held, its `finally` did not.")
    );
    // The first failure is the verdict's.
    let both = "[[test]]\ntest = 'a'\nexit = 3\n[[test]]\ntest = 'a'\nrun = 3\nexit = 3\n";
    let ran = simulate(&plan, both).await;
    assert_eq!(ran.verdicts("xfs"), map(&[("a", "failed (expect)")]));
}

#[tokio::test(start_paused = true)]
async fn finally_has_five_minutes_in_all() {
    let (plan, _) = with_finally();
    let script = "[[test]]\ntest = 'a'\nrun = 2\ntakes = '4min'\n[[test]]\ntest = 'a'\nrun = 3\nfault = 'hang'\n";
    let ran = simulate(&plan, script).await;
    assert_eq!(ran.verdicts("xfs"), map(&[("a", "failed (finally)")]));
    assert_eq!(ran.times("a"), (30_000, 31_000 + 300_000));
}

#[tokio::test(start_paused = true)]
async fn a_value_that_cannot_be_computed_fails_its_test() {
    let mut plan = PlanBuilder::new();
    let of_others = plan.expressions.add(Node::Slot(SlotIx(0)));
    let memory = plan.expressions.add(Node::Machine(MachineFact::Memory));
    let steps = vec![plan.run_with("echo", of_others)];
    let missing = plan.test_of("missing", 1, &[], steps);
    plan.slot(missing, "never", Type::String);
    let steps = vec![plan.run_with("echo", memory)];
    plan.test_of("no_text", 1, &[], steps);
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[
            ("missing", "failed (evaluation)"),
            ("no_text", "failed (evaluation)")
        ])
    );
    assert_eq!(
        ran.test("missing").message,
        "Its command cannot be made: a value it needs was not captured (line 7: `run `echo ${…}``)."
    );
}

#[tokio::test(start_paused = true)]
async fn disks_are_attached_for_their_tests_and_named_in_commands() {
    let mut plan = PlanBuilder::new();
    let disk = plan.disk("data");
    let part = plan.expressions.add(Node::Disk {
        disk,
        what: DiskFact::Part(2),
    });
    let steps = vec![plan.run_with("mkfs.xfs", part)];
    let test = plan.test_of("format", 1, &[], steps);
    plan.writes(test, disk);
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(
        first(&ran, 0).command.as_deref(),
        Some("mkfs.xfs '/dev/sdb2'")
    );
}
