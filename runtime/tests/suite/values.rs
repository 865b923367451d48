//! Steps that name, judge, repeat and say something, and what tables and inputs give them.

use dva_plan::document::Loaded;
use dva_plan::exit::ExitCode;
use dva_plan::expr::{CellFact, Comparison, ExprIx, MachineFact, Node};
use dva_plan::plan::{ExecutionPlan, Lookup, TestIx};
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::{CaptureFrom, Missing, Otherwise, SlotIx, Step, StepKind};
use dva_plan::{Type, Value};
use dva_runtime::junit::junit;
use dva_runtime::{Event, Inputs, RunOptions, Secrets, UnboundInput, unbound_inputs};

use crate::fixture::{PlanBuilder, Ran, capture, map, options, simulate, simulate_with};

const FIRST: SlotIx = SlotIx(0);

fn text(text: &str) -> Node {
    Node::Const(Value::String(text.into()))
}

fn texts(items: &[&str]) -> Value {
    Value::List(
        items
            .iter()
            .map(|item| Value::String((*item).into()))
            .collect(),
    )
}

fn reports<'r>(ran: &'r Ran, test: &str) -> &'r [StepReport] {
    &ran.test(test).executions[0].steps
}

/// What a step came to, in a line: depth, label, outcome, message.
fn lines(ran: &Ran, test: &str) -> Vec<String> {
    let line = |step: &StepReport| {
        let outcome = format!("{:?}", step.outcome).to_lowercase();
        let words = [
            step.label.as_str(),
            &outcome,
            step.command.as_deref().unwrap_or_default(),
        ];
        let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
        format!("{}{}", "- ".repeat(step.depth as usize), words.join(" "))
    };
    reports(ran, test).iter().map(line).collect()
}

/// `let init = run …` and `assume init.exit == 0`, a command behind it, `finally`, and a test after it.
fn assumes() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let init = plan.expressions.add(Node::Slot(FIRST));
    let name = "exit".to_owned();
    let exit = Node::Field { of: init, name };
    let condition = plan.compare(exit, Comparison::Equal, Value::Int(0));
    let because = plan.text(vec![
        text("no cloud-init on "),
        Node::Cell(CellFact::ImageOs),
    ]);
    let steps = vec![
        plan.run(
            "rpm -q cloud-init",
            None,
            capture(FIRST, CaptureFrom::Result),
        ),
        plan.step(StepKind::Assume { condition, because }, None),
        plan.run("cloud-init status", None, None),
    ];
    let test = plan.test_of("userdata", 1, &[], steps);
    plan.slot(test, "init", Type::of_result());
    plan.edit(test).finally = vec![plan.run("tidy", None, None)];
    plan.test("behind", 1, &[test]);
    plan.test("beside", 1, &[]);
    plan.build()
}

#[tokio::test(start_paused = true)]
async fn an_assumption_that_does_not_hold_skips_the_test_and_what_is_after_it() {
    let script = "[[test]]\ntest = 'userdata'\nexit = 1\n";
    let ran = simulate(&assumes(), script).await;
    let verdicts = [
        ("userdata", "skipped (assumption)"),
        ("behind", "skipped (assumption)"),
        ("beside", "passed"),
    ];
    assert_eq!(ran.verdicts("xfs"), map(&verdicts));
    assert_eq!(ran.report().exit, ExitCode::Ok);
    let [capture, assume, finally] = reports(&ran, "userdata") else {
        panic!("{:?}", lines(&ran, "userdata"));
    };
    assert!(matches!(capture.captured, Some(Value::Record(_))));
    assert_eq!(assume.outcome, StepOutcome::Skipped);
    assert_eq!(assume.message, "no cloud-init on rhel");
    assert_eq!(assume.operands.as_ref().unwrap().left, "1");
    assert!(finally.in_finally);
    let message = &ran.test("userdata").message;
    assert!(
        message.starts_with("no cloud-init on rhel (line 7: "),
        "{message}"
    );
    let xml = junit(ran.report()).unwrap();
    assert!(
        xml.contains("skipped (assumption): no cloud-init on rhel"),
        "{xml}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_assumption_that_holds_or_is_not_known_is_passed_by() {
    let ran = simulate(&assumes(), "[[test]]\ntest = 'userdata'\nexit = 0\n").await;
    assert_eq!(ran.test("userdata").verdict.to_string(), "passed");
    assert_eq!(reports(&ran, "userdata")[1].outcome, StepOutcome::Passed);
    let ran = simulate(&assumes(), "").await;
    assert_eq!(ran.test("behind").verdict.to_string(), "passed");
    assert_eq!(reports(&ran, "userdata")[1].outcome, StepOutcome::Assumed);
}

#[tokio::test(start_paused = true)]
async fn a_finally_that_fails_counts_for_a_test_that_skipped() {
    let mut plan = PlanBuilder::new();
    let condition = plan.compare(
        Node::Cell(CellFact::ImageOs),
        Comparison::Equal,
        Value::Name("sles".into()),
    );
    let because = plan.expressions.add(text("not for this one"));
    let steps = vec![plan.step(StepKind::Assume { condition, because }, None)];
    let test = plan.test_of("t", 1, &[], steps);
    let succeeds = plan.exits(0);
    plan.edit(test).finally = vec![plan.run("tidy", Some(succeeds), None)];
    let ran = simulate(&plan.build(), "[[test]]\ntest = 't'\nexit = 1\n").await;
    assert_eq!(ran.test("t").verdict.to_string(), "failed (finally)");
}

/// A test that looks up its list, which only `xfs` has, and one after it.
fn looks_up(how: Missing, first: bool) -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    plan.filesystems(["xfs", "ext4"]);
    let table = plan.table(Lookup {
        name: "packages".into(),
        key: CellFact::Axis("filesystem".into()),
        entries: [("xfs".to_owned(), 0)].into(),
        values: vec![texts(&["xfsprogs"])],
    });
    let value = plan.expressions.add(Node::Lookup(table));
    let axis = Node::Cell(CellFact::Axis("filesystem".into()));
    let message = plan.text(vec![text("no list for "), axis]);
    let otherwise = Some(Otherwise { how, message });
    let required = StepKind::Let {
        slot: FIRST,
        value,
        otherwise,
    };
    let required = plan.step(required, None);
    let list = plan.expressions.add(Node::Slot(FIRST));
    let rpm = plan.run_with("rpm -q", list);
    let mut steps = vec![required, rpm];
    if !first {
        steps.insert(0, plan.run("true", None, None));
    }
    let test = plan.test_of("packages", 1, &[], steps);
    plan.slot(test, "required", Type::List(Box::new(Type::String)));
    plan.test("behind", 1, &[test]);
    plan
}

#[tokio::test(start_paused = true)]
async fn a_missing_entry_is_known_before_anything_is_launched() {
    let ran = simulate(&looks_up(Missing::Skip, true).build(), "").await;
    let passed = map(&[("packages", "passed"), ("behind", "passed")]);
    assert_eq!(ran.verdicts("xfs"), passed);
    let command = reports(&ran, "packages")[1].command.as_deref();
    assert_eq!(command, Some("rpm -q 'xfsprogs'"));
    let skipped = map(&[("packages", "skipped (data)"), ("behind", "skipped (data)")]);
    assert_eq!(ran.verdicts("ext4"), skipped);
    assert_eq!(ran.of("ext4", "packages").message, "no list for ext4");
    let message = &ran.of("ext4", "behind").message;
    assert_eq!(
        message,
        "It comes after packages, for which a table has no entry."
    );
    let launches = |event: &Event| matches!(event, Event::LifeLaunching { .. });
    assert_eq!(ran.places(launches).len(), 1);
    assert_eq!(ran.report().exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_missing_entry_is_never_a_silent_pass() {
    let ran = simulate(&looks_up(Missing::Skip, false).build(), "").await;
    let skipped = map(&[("packages", "skipped (data)"), ("behind", "skipped (data)")]);
    assert_eq!(ran.verdicts("ext4"), skipped);
    let execution = &ran.of("ext4", "packages").executions[0];
    assert_eq!(execution.steps[1].outcome, StepOutcome::Skipped);
    assert_eq!(execution.steps[1].message, "no list for ext4");

    let ran = simulate(&looks_up(Missing::Fail, true).build(), "").await;
    let failed = map(&[
        ("packages", "failed (data)"),
        ("behind", "blocked by packages"),
    ]);
    assert_eq!(ran.verdicts("ext4"), failed);
    let message = &ran.of("ext4", "packages").message;
    assert!(
        message.starts_with("no list for ext4 (line 7: "),
        "{message}"
    );
}

/// `for service in … { run … }`, with a command behind it.
fn loops(list: impl FnOnce(&mut PlanBuilder) -> ExprIx) -> PlanBuilder {
    let mut plan = PlanBuilder::new();
    let list = list(&mut plan);
    let succeeds = plan.exits(0);
    let is_b = plan.compare(
        Node::Slot(FIRST),
        Comparison::NotEqual,
        Value::String("b".into()),
    );
    let service = plan.expressions.add(Node::Slot(FIRST));
    let inner = vec![
        plan.run_with("is-active", service),
        plan.check(is_b, "service != \"b\""),
    ];
    let each = StepKind::For {
        slot: FIRST,
        list,
        steps: inner,
    };
    let first = plan.run(
        "first",
        Some(succeeds),
        capture(SlotIx(1), CaptureFrom::Lines),
    );
    let each = plan.step(each, None);
    let last = plan.run("last", Some(succeeds), None);
    let test = plan.test_of("services", 1, &[], vec![first, each, last]);
    plan.slot(test, "service", Type::String);
    plan.slot(test, "found", Type::List(Box::new(Type::String)));
    plan
}

#[tokio::test(start_paused = true)]
async fn each_value_of_a_loop_is_tried_and_the_first_that_fails_is_named() {
    let plan = loops(|plan| plan.constant(texts(&["a", "b", "c"]))).build();
    let ran = simulate(&plan, "[[test]]\ntest = 'services'\nrun = 1\nexit = 0\n").await;
    assert_eq!(
        lines(&ran, "services"),
        [
            "assumed first",
            "service = \"a\" passed",
            "- passed is-active 'a'",
            "- passed",
            "service = \"b\" failed",
            "- passed is-active 'b'",
            "- failed",
            "service = \"c\" passed",
            "- passed is-active 'c'",
            "- passed",
        ]
    );
    assert_eq!(ran.test("services").verdict.to_string(), "failed (check)");
    let message = &ran.test("services").message;
    assert_eq!(
        message,
        "With service = \"b\": Expected service != \"b\", but service is \"b\" (line 7: `check service != \"b\"`)."
    );
    let own = &reports(&ran, "services")[4].message;
    assert!(message.ends_with(own), "{own}");
    let xml = junit(ran.report()).unwrap();
    assert!(xml.contains("(service = &quot;b&quot;) [failed"), "{xml}");
}

#[tokio::test(start_paused = true)]
async fn a_loop_over_what_was_captured_has_as_many_values_as_were_scripted() {
    let found = |plan: &mut PlanBuilder| plan.expressions.add(Node::Slot(SlotIx(1)));
    let plan = loops(found).build();
    let ran = simulate(&plan, "").await;
    let expected = ["assumed first", "no values assumed", "assumed last"];
    assert_eq!(lines(&ran, "services"), expected);
    let script = "[[test]]\ntest = 'services'\nstdout = \"x\\ny\\n\"\n\n[[test]]\ntest = 'services'\nrun = 2\nexit = 3\n";
    let ran = simulate(&plan, script).await;
    assert_eq!(ran.test("services").verdict.to_string(), "failed (expect)");
    assert_eq!(
        lines(&ran, "services"),
        [
            "passed first",
            "service = \"x\" passed",
            "- assumed is-active 'x'",
            "- passed",
            "service = \"y\" passed",
            "- assumed is-active 'y'",
            "- passed",
            "failed last",
        ]
    );
    let script = "[[test]]\ntest = 'services'\nstdout = \"\"\nexit = 0\n";
    let ran = simulate(&plan, script).await;
    assert_eq!(lines(&ran, "services")[1], "no values passed");
}

/// A branch by file system, with a command in each half and one behind.
fn branches() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    plan.filesystems(["xfs", "ext4"]);
    let axis = Node::Cell(CellFact::Axis("filesystem".into()));
    let condition = plan.compare(axis, Comparison::Equal, Value::Name("xfs".into()));
    let succeeds = plan.exits(0);
    let run = |text: &str| plan.run(text, Some(succeeds), None);
    let then = vec![run("xfs_info"), run("xfs_repair")];
    let otherwise = vec![run("tune2fs")];
    let last = run("last");
    let when = StepKind::When {
        condition,
        then,
        otherwise,
    };
    let when = plan.step(when, None);
    plan.test_of("mounted", 1, &[], vec![when, last]);
    plan.build()
}

#[tokio::test(start_paused = true)]
async fn a_branch_is_chosen_by_the_cell_and_commands_keep_their_numbers() {
    let script = "[[test]]\ntest = 'mounted'\nrun = 2\nexit = 2\n\n[[test]]\ntest = 'mounted'\nrun = 3\nexit = 0\n";
    let ran = simulate(&branches(), script).await;
    assert_eq!(
        lines(&ran, "mounted"),
        [
            "then passed",
            "- assumed xfs_info",
            "- assumed xfs_repair",
            "passed last"
        ]
    );
    let of_ext4 = ran.of("ext4", "mounted");
    assert_eq!(of_ext4.verdict.to_string(), "failed (expect)");
    let [when, inner] = of_ext4.executions[0].steps.as_slice() else {
        panic!("two steps");
    };
    assert_eq!(
        (when.label.as_str(), when.outcome),
        ("else", StepOutcome::Failed)
    );
    assert_eq!(inner.command.as_deref(), Some("tune2fs"));
}

#[tokio::test(start_paused = true)]
async fn a_note_is_in_the_report_and_shows_no_secret() {
    let mut plan = PlanBuilder::new();
    plan.secret("token");
    let said = plan.text(vec![text("found "), Node::Slot(FIRST)]);
    let early = plan.text(vec![Node::Slot(SlotIx(1))]);
    let steps = vec![
        plan.step(StepKind::Note(early), None),
        plan.run("who", None, capture(FIRST, CaptureFrom::Text)),
        plan.step(StepKind::Note(said), None),
    ];
    let test = plan.test_of("t", 1, &[], steps);
    plan.slot(test, "who", Type::String);
    plan.slot(test, "later", Type::String);
    let mut secrets = Secrets::default();
    secrets.bind("token", "hunter2-hunter2").unwrap();
    let options = RunOptions {
        secrets,
        ..options()
    };
    let script = "[[test]]\ntest = 't'\nstdout = \"me and hunter2-hunter2\\n\"\n";
    let ran = simulate_with(&plan.build(), script, options).await;
    let notes = reports(&ran, "t");
    assert!(
        notes[2].message.starts_with("found me and "),
        "{}",
        notes[2].message
    );
    assert!(
        !notes[2].message.contains("hunter2"),
        "{}",
        notes[2].message
    );
    // A note decides nothing, not even where it cannot be made.
    assert_eq!(
        notes[0].message,
        "(its text cannot be made: a value it needs was not captured)"
    );
    assert_eq!(ran.test("t").verdict.to_string(), "passed");
}

#[tokio::test(start_paused = true)]
async fn inputs_are_bound_by_region_and_refused_before() {
    let mut plan = PlanBuilder::new();
    let proxy = plan.input("proxy", Type::String);
    let proxy = plan.expressions.add(Node::Input(proxy));
    let steps = vec![plan.run_with("curl --proxy", proxy)];
    plan.test_of("t", 1, &[], steps);
    let plan = plan.build();
    let value = |text: &str| Value::String(text.into());
    let mut inputs = Inputs::default();
    let unbound = UnboundInput {
        name: "proxy".into(),
        regions: Vec::new(),
    };
    assert_eq!(
        unbound_inputs(&plan.body, &inputs),
        std::slice::from_ref(&unbound)
    );
    inputs.bind_in("cn-north-1", "proxy", value("other"));
    inputs.bind("proxy", Value::Int(3));
    // One of another type is none.
    assert_eq!(unbound_inputs(&plan.body, &inputs), [unbound]);
    inputs.bind("proxy", value("proxy.example"));
    assert_eq!(unbound_inputs(&plan.body, &inputs), []);
    let options = |inputs: &Inputs| RunOptions {
        inputs: inputs.clone(),
        ..options()
    };
    let ran = simulate_with(&plan, "", options(&inputs)).await;
    let command = reports(&ran, "t")[0].command.as_deref();
    assert_eq!(command, Some("curl --proxy 'proxy.example'"));
    inputs.bind_in("local", "proxy", value("near.example"));
    let ran = simulate_with(&plan, "", options(&inputs)).await;
    let command = reports(&ran, "t")[0].command.as_deref();
    assert_eq!(command, Some("curl --proxy 'near.example'"));
}

#[tokio::test(start_paused = true)]
async fn a_table_by_region_is_asked_with_the_machine_that_was_obtained() {
    let mut plan = PlanBuilder::new();
    let table = plan.table(Lookup {
        name: "mirrors".into(),
        key: CellFact::Axis("region".into()),
        entries: [("local".to_owned(), 0)].into(),
        values: vec![Value::String("here".into())],
    });
    let mirror = plan.expressions.add(Node::Lookup(table));
    let region = plan.expressions.add(Node::Machine(MachineFact::Region));
    let steps = vec![plan.run_with("get", mirror), plan.run_with("say", region)];
    plan.test_of("t", 1, &[], steps);
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(steps_of(&ran), ["get 'here'", "say 'local'"]);
}

fn steps_of(ran: &Ran) -> Vec<&str> {
    let commands = reports(ran, "t").iter();
    commands
        .filter_map(|step| step.command.as_deref())
        .collect()
}

/// `check installed OPERATOR required`, as lists of these.
fn sets(node: impl FnOnce(ExprIx, ExprIx) -> Node, required: &[&str]) -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let installed = plan.expressions.add(Node::Slot(FIRST));
    let required_at = SlotIx(1);
    let required_expr = plan.expressions.add(Node::Slot(required_at));
    let value = plan.constant(texts(required));
    let condition = plan.expressions.add(node(installed, required_expr));
    let required = StepKind::Let {
        slot: required_at,
        value,
        otherwise: None,
    };
    let steps: Vec<Step> = vec![
        plan.step(required, None),
        plan.run("rpm -qa", None, capture(FIRST, CaptureFrom::Lines)),
        plan.check(condition, "…"),
    ];
    let test: TestIx = plan.test_of("t", 1, &[], steps);
    let list = || Type::List(Box::new(Type::String));
    plan.slot(test, "installed", list());
    plan.slot(test, "required", list());
    plan.build()
}

#[tokio::test(start_paused = true)]
async fn a_failed_comparison_of_sets_says_what_they_differ_in() {
    let script = "[[test]]\ntest = 't'\nstdout = \"bash\\nzlib\\ntelnet\\n\"\n";
    let equal = |left, right| Node::Compare {
        how: Comparison::Equal,
        left,
        right,
    };
    let all = |whole, parts| Node::HasAll { whole, parts };
    let none = |whole, parts| Node::HasNone { whole, parts };
    for (plan, message) in [
        (
            sets(equal, &["bash", "chrony", "zlib"]),
            "Expected installed == required; missing: chrony; unexpected: telnet (line 7: `check …`).",
        ),
        (
            sets(all, &["bash", "chrony", "kernel"]),
            "Expected installed has all required; missing: chrony, kernel (line 7: `check …`).",
        ),
        (
            sets(none, &["telnet", "rsh"]),
            "Expected installed has none required; unexpected: telnet (line 7: `check …`).",
        ),
        // The same values in another order.
        (
            sets(equal, &["zlib", "bash", "telnet"]),
            "Expected installed == [\"zlib\", \"bash\", \"telnet\"], but installed is [\"bash\", \"zlib\", \
             \"telnet\"] (line 7: `check …`).",
        ),
    ] {
        let ran = simulate(&plan, script).await;
        assert_eq!(ran.test("t").message, message);
    }
    let many: Vec<String> = (0..700).map(|number| format!("p{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ran = simulate(&sets(all, &many), script).await;
    assert_eq!(
        ran.test("t").message,
        "Expected installed has all required; missing: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, p10, p11 \
         and 688 more (line 7: `check …`)."
    );
}

#[tokio::test(start_paused = true)]
async fn a_simulator_says_on_its_console_what_is_waited_for() {
    let mut plan = PlanBuilder::new();
    let steps = vec![plan.step(StepKind::Console("login:".into()), Some(60_000))];
    plan.test_of("t", 1, &[], steps);
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(reports(&ran, "t")[0].outcome, StepOutcome::Assumed);
}
