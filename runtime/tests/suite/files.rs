//! The run folder, and JUnit made of a report.

use std::fs;
use std::io;
use std::sync::Arc;

use dva_plan::document::{read, to_bytes};
use dva_plan::exit::ExitCode;
use dva_plan::{RunReport, Schedule};
use dva_runtime::journal::Journal;
use dva_runtime::{
    Record, RunFolder, RunOptions, SimBackend, SimScript, junit::junit, report, run,
};

use crate::fixture::{PlanBuilder, options, schedule_of, simulate, simulate_with};

fn plan() -> dva_plan::document::Loaded<dva_plan::ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let succeeds = plan.exits(0);
    let steps = vec![
        plan.run("mkfs", Some(succeeds), None),
        plan.run("mount", Some(succeeds), None),
    ];
    let format = plan.test_of("storage.format", 2, &[], steps);
    plan.test("storage.write", 1, &[format]);
    plan.test("running(\"sshd\")", 1, &[]);
    plan.filesystems(["xfs", "ext4"]);
    plan.build()
}

/// Both commands of `storage.format` write; the second one fails on xfs.
const SCRIPT: &str = r#"
[[test]]
test = "storage.format"
stdout = "meta-data=1\n"
[[test]]
test = "storage.format"
run = 1
stdout = "mounting\n"
stderr = "mount: \u001b[31mbad\u001b[0m & <worse>\u0000\n"
[[test]]
test = "storage.format"
cells = { filesystem = "xfs" }
run = 1
exit = 32
stdout = "mounting\n"
stderr = "mount: \u001b[31mbad\u001b[0m & <worse>\u0000\n"
"#;

#[tokio::test(start_paused = true)]
async fn a_run_folder_holds_everything() {
    let state = tempfile::tempdir().unwrap();
    let plan = plan();
    let bytes = to_bytes(&plan.body);
    let script = SimScript::parse(SCRIPT, &plan.body).unwrap();
    let schedule = schedule_of(&plan, &script);
    let options = options();
    let folder = RunFolder::create(state.path(), &options.run, &bytes, &schedule).unwrap();
    let path = folder.path().to_owned();
    assert_eq!(path, state.path().join("runs/20261123-093000-4f2a"));
    let ran = simulate_with(
        &plan,
        SCRIPT,
        RunOptions {
            folder: Some(folder),
            ..options
        },
    )
    .await;
    assert_eq!(ran.outcome.folder_problem, None);
    assert_eq!(fs::read(path.join("plan.json")).unwrap(), bytes);
    let read_schedule: Schedule = read(fs::File::open(path.join("schedule.json")).unwrap())
        .unwrap()
        .body;
    assert_eq!(read_schedule, schedule);
    let read_report: RunReport = read(fs::File::open(path.join("report.json")).unwrap())
        .unwrap()
        .body;
    assert_eq!(read_report, ran.outcome.report);

    // The events on disk give the report again.
    let events = fs::read_to_string(path.join("events.jsonl")).unwrap();
    let records: Vec<Record> = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records, ran.records);

    let steps = &ran.test("storage.format").executions[0].steps;
    let cell = &ran.test("storage.format").cell;
    let second = steps[1].stdout.as_ref().unwrap();
    assert_eq!(
        second.path.as_deref(),
        Some(format!("logs/{cell}/storage.format.out").as_str())
    );
    assert_eq!(second.offset, 12);
    let log = fs::read_to_string(path.join(second.path.as_ref().unwrap())).unwrap();
    assert_eq!(log, "meta-data=1\nmounting\n");
    // Raw in the file, escaped in the report; and no file where nothing was written.
    let stderr = steps[1].stderr.as_ref().unwrap();
    assert!(stderr.excerpt.contains("\\u{1b}[31mbad"));
    let raw = fs::read(path.join(stderr.path.as_ref().unwrap())).unwrap();
    assert!(raw.contains(&0x1b) && raw.contains(&0));
    assert_eq!(steps[0].stderr.as_ref().unwrap().path, None);
}

#[test]
fn a_run_folder_is_nobody_elses() {
    let state = tempfile::tempdir().unwrap();
    let plan = plan();
    let schedule = schedule_of(&plan, &SimScript::default());
    let create = || RunFolder::create(state.path(), &options().run, b"", &schedule);
    create().unwrap();
    let error = create().unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(error.what, "create");
}

/// A disk that is full after some events.
struct Full(usize);

impl Journal for Full {
    fn append(&mut self, _: &Record) -> io::Result<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(io::Error::from(io::ErrorKind::StorageFull)),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_cannot_be_recorded_ends_and_leaves_nothing() {
    for events in 0..24 {
        let plan = plan();
        let (backend, machines) =
            SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
        let schedule = schedule_of(&plan, &SimScript::default());
        let mut options = options();
        options.journal = Box::new(Full(events));
        let outcome = run(&plan, schedule, backend, options).await;
        assert!(machines.live().is_empty(), "{events}");
        assert!(outcome.folder_problem.is_some(), "{events}");
        if events < 10 {
            assert_eq!(outcome.report.exit, ExitCode::Infrastructure, "{events}");
            let verdicts = outcome.report.test_runs.iter();
            assert!(
                verdicts
                    .map(|run| run.verdict.to_string())
                    .all(|verdict| verdict == "errored (run.folder)" || verdict == "passed"),
                "{events}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn junit_is_golden() {
    let ran = simulate(
        &plan(),
        &format!("{SCRIPT}[[life]]\ncells = {{ filesystem = 'ext4' }}\nfault = 'host_key'\n"),
    )
    .await;
    let xml = junit(ran.report()).unwrap();
    insta::assert_snapshot!(xml);
    assert_eq!(xml, junit(ran.report()).unwrap());
    let control = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    assert!(!xml.contains(control));
}

#[tokio::test(start_paused = true)]
async fn a_report_of_a_run_that_never_began_is_none() {
    let plan = plan();
    let schedule = schedule_of(&plan, &SimScript::default());
    let state = dva_runtime::RunState::new(Arc::new(plan.body), Arc::new(schedule));
    assert_eq!(report::report(&state), None);
}
