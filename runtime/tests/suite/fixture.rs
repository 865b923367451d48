//! Plans made in a few lines, and runs of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dva_plan::document::{Loaded, PRODUCER, read, to_bytes};
use dva_plan::expr::{Comparison, ExprIx, ExpressionBuilder, Node};
use dva_plan::plan::{
    Blob, BlobIx, Boot, BootIx, Cell, Disk, DiskIx, Edge, Effect, Image, ImageIx, ImageSource,
    Input, InputIx, Lookup, Machine, MachineIx, Pair, Policy, Resource, SecretIx, Setup, Shape,
    ShapeIx, State, StateIx, TableIx, Test, TestIx,
};
use dva_plan::quote::Quote;
use dva_plan::report::{RunReport, TestRunReport};
use dva_plan::step::{Capture, CaptureFrom, Run, Slot, SlotIx, SourceText, Step, StepKind};
use dva_plan::table::{Index, Table};
use dva_plan::template::{Piece, Place, Template};
use dva_plan::{CellId, ExecutionPlan, RunId, Schedule, TestId, Type, Value, Verdict};
use dva_runtime::journal::MemoryJournal;
use dva_runtime::sim::SimMachines;
use dva_runtime::state::ExecutionState;
use dva_runtime::{
    Event, Record, RunOptions, RunOutcome, RunState, SimBackend, SimScript, WallTime, report, run,
};

/// A plan in the making: one shape, one image, one machine, a cell for each file system.
pub struct PlanBuilder {
    pub expressions: ExpressionBuilder,
    tests: Table<TestIx, Test>,
    disks: Table<DiskIx, Disk>,
    states: Table<StateIx, State>,
    blobs: Table<BlobIx, Blob>,
    secrets: Table<SecretIx, String>,
    inputs: Table<InputIx, Input>,
    tables: Table<TableIx, Lookup>,
    shape: Shape,
    lanes: u32,
    filesystems: Vec<String>,
    pub policy: Policy,
    pub boots: Table<BootIx, Boot>,
    pub setup: Option<Setup>,
    /// The matrix of the cell of each file system, where it is another one.
    pub matrices: BTreeMap<String, String>,
    pub quote: Option<Quote>,
}

impl PlanBuilder {
    pub fn new() -> Self {
        Self {
            expressions: ExpressionBuilder::default(),
            tests: Table::new(),
            disks: Table::new(),
            states: Table::new(),
            blobs: Table::new(),
            secrets: Table::new(),
            inputs: Table::new(),
            tables: Table::new(),
            shape: Shape::default(),
            lanes: 4,
            filesystems: vec!["xfs".into()],
            policy: Policy::default(),
            boots: Table::new(),
            setup: None,
            matrices: BTreeMap::new(),
            quote: None,
        }
    }

    pub fn lanes(&mut self, lanes: u32) -> &mut Self {
        self.lanes = lanes;
        self
    }

    pub fn filesystems(&mut self, names: impl IntoIterator<Item = impl Into<String>>) -> &mut Self {
        self.filesystems = names.into_iter().map(Into::into).collect();
        self
    }

    /// A test of one command that must exit 0, which takes `takes_s` seconds, after these.
    pub fn test(&mut self, name: &str, takes_s: u64, after: &[TestIx]) -> TestIx {
        let succeeds = self.exits(0);
        let step = self.run(name, Some(succeeds), None);
        self.test_of(name, takes_s, after, vec![step])
    }

    pub fn test_of(
        &mut self,
        name: &str,
        takes_s: u64,
        after: &[TestIx],
        steps: Vec<Step>,
    ) -> TestIx {
        let test = self.tests.push(Test {
            id: TestId::new(name),
            doc: String::new(),
            tags: Vec::new(),
            last: false,
            once: false,
            effects: Vec::new(),
            within_ms: 600_000,
            takes_ms: Some(takes_s * 1_000),
            takes_p90_ms: None,
            boot: None,
            retry: 0,
            slots: Table::new(),
            steps,
            finally: Vec::new(),
            source: SourceText::default(),
            needs: Vec::new(),
            requires: Vec::new(),
        });
        self.shape.tests.push(test);
        for before in after {
            self.shape.after.push(Edge {
                test,
                after: *before,
            });
        }
        self.shape.after.sort();
        test
    }

    pub fn edit(&mut self, test: TestIx) -> &mut Test {
        &mut self.tests[test]
    }

    /// `test` goes after `before` is over, however that went.
    pub fn order(&mut self, test: TestIx, before: TestIx) {
        self.shape.order.push(Edge {
            test,
            after: before,
        });
        self.shape.order.sort();
    }

    /// `test` is after `before`, however that ends.
    pub fn regardless(&mut self, test: TestIx, before: TestIx) {
        self.shape.regardless.push(Edge {
            test,
            after: before,
        });
        self.shape.regardless.sort();
    }

    /// `one` and `other` must not share a life.
    pub fn conflict(&mut self, one: TestIx, other: TestIx) {
        self.shape.conflicts.push(Pair::of(one, other));
        self.shape.conflicts.sort();
    }

    pub fn state(&mut self, name: &str) -> Resource {
        Resource::State(self.states.push(State {
            name: name.into(),
            lost_on_reboot: false,
            per_account: None,
        }))
    }

    /// A state that a reboot loses.
    pub fn lost_state(&mut self, name: &str) -> Resource {
        Resource::State(self.states.push(State {
            name: name.into(),
            lost_on_reboot: true,
            per_account: None,
        }))
    }

    /// A state of the account that so many lives may use at once.
    pub fn account_state(&mut self, name: &str, most: u32) -> Resource {
        Resource::State(self.states.push(State {
            name: name.into(),
            lost_on_reboot: false,
            per_account: Some(most),
        }))
    }

    pub fn effect(&mut self, test: TestIx, effect: Effect) {
        self.tests[test].effects.push(effect);
        self.tests[test].effects.sort();
    }

    pub fn disk(&mut self, name: &str) -> DiskIx {
        self.disks.push(Disk {
            name: name.into(),
            from: dva_plan::plan::DiskOrigin::Volume,
            size_bytes: 1 << 30,
            attached: true,
        })
    }

    /// A disk that a step attaches.
    pub fn loose_disk(&mut self, name: &str) -> DiskIx {
        self.disks.push(Disk {
            name: name.into(),
            from: dva_plan::plan::DiskOrigin::Volume,
            size_bytes: 1 << 30,
            attached: false,
        })
    }

    pub fn blob(&mut self, base64: &str) -> BlobIx {
        self.blobs.push(Blob {
            name: "blob".into(),
            digest: String::new(),
            base64: base64.into(),
        })
    }

    pub fn secret(&mut self, name: &str) -> SecretIx {
        self.secrets.push(name.into())
    }

    pub fn input(&mut self, name: &str, of: Type) -> InputIx {
        self.inputs.push(Input {
            name: name.into(),
            r#type: of,
        })
    }

    pub fn table(&mut self, table: Lookup) -> TableIx {
        self.tables.push(table)
    }

    /// A text with values in it.
    pub fn text(&mut self, parts: Vec<Node>) -> ExprIx {
        let parts = parts.into_iter().map(|part| self.expressions.add(part));
        let parts = parts.collect();
        self.expressions.add(Node::Join(parts))
    }

    pub fn step(&self, kind: StepKind, within_ms: Option<u64>) -> Step {
        Step {
            source: source(&format!("{kind:?}")),
            kind,
            within_ms,
        }
    }

    /// A command that must exit 0, with what `edit` makes of it.
    pub fn run_as(&mut self, text: &str, edit: impl FnOnce(&mut Run)) -> Step {
        let succeeds = self.exits(0);
        let mut step = self.run(text, Some(succeeds), None);
        if let StepKind::Run(run) = &mut step.kind {
            edit(run);
        }
        step
    }

    pub fn writes(&mut self, test: TestIx, disk: DiskIx) {
        self.tests[test]
            .effects
            .push(Effect::writes(Resource::Disk(disk)));
    }

    pub fn slot(&mut self, test: TestIx, name: &str, of: Type) -> SlotIx {
        self.tests[test].slots.push(Slot {
            name: name.into(),
            r#type: of,
        })
    }

    pub fn constant(&mut self, value: Value) -> ExprIx {
        self.expressions.add(Node::Const(value))
    }

    pub fn compare(&mut self, left: Node, how: Comparison, right: Value) -> ExprIx {
        let left = self.expressions.add(left);
        let right = self.constant(right);
        self.expressions.add(Node::Compare { how, left, right })
    }

    pub fn exits(&mut self, status: i64) -> ExprIx {
        self.compare(Node::Exit, Comparison::Equal, Value::Int(status))
    }

    pub fn run(&self, text: &str, expect: Option<ExprIx>, capture: Option<Capture>) -> Step {
        Step {
            kind: StepKind::Run(Run {
                command: Template(vec![Piece::Lit(text.into())]),
                expect,
                capture,
                user: None,
                retry: None,
                with: Vec::new(),
            }),
            within_ms: None,
            source: source(&format!("run `{text}`")),
        }
    }

    /// A command with a value at its end.
    pub fn run_with(&self, text: &str, expr: ExprIx) -> Step {
        Step {
            kind: StepKind::Run(Run {
                command: Template(vec![
                    Piece::Lit(format!("{text} ")),
                    Piece::Arg {
                        expr,
                        place: Place::Bare,
                    },
                ]),
                expect: None,
                capture: None,
                user: None,
                retry: None,
                with: Vec::new(),
            }),
            within_ms: None,
            source: source(&format!("run `{text} ${{…}}`")),
        }
    }

    pub fn check(&self, condition: ExprIx, text: &str) -> Step {
        Step {
            kind: StepKind::Check(condition),
            within_ms: None,
            source: source(&format!("check {text}")),
        }
    }

    pub fn build(self) -> Loaded<ExecutionPlan> {
        read(to_bytes(&self.plan()).as_slice()).unwrap()
    }

    /// The plan, whether it holds together or not.
    pub fn plan(self) -> ExecutionPlan {
        let cells = self.filesystems.iter().map(|filesystem| {
            let axes = [("image", "host"), ("filesystem", filesystem)];
            Cell {
                id: CellId::of("matrix", axes),
                matrix: self
                    .matrices
                    .get(filesystem)
                    .cloned()
                    .unwrap_or("matrix".into()),
                axes: axes
                    .iter()
                    .map(|(axis, value)| ((*axis).to_owned(), (*value).to_owned()))
                    .collect(),
                image: ImageIx(0),
                shape: ShapeIx(0),
                candidates: vec![MachineIx(0)],
                unsupported: Vec::new(),
                network: Default::default(),
            }
        });
        ExecutionPlan {
            producer: PRODUCER.into(),
            name: "fixture".into(),
            source: "fixture.plan".into(),
            images: Table::from(vec![Image {
                name: "host".into(),
                os: "rhel".into(),
                version: Some("9.4".into()),
                arch: "x86_64".into(),
                sources: vec![ImageSource::LocalHost],
                logins: Vec::new(),
                facts: BTreeMap::new(),
            }]),
            disks: self.disks,
            states: self.states,
            expressions: self.expressions.finish(),
            tests: self.tests,
            shapes: Table::from(vec![self.shape]),
            machines: Table::from(vec![Machine {
                region: "local".into(),
                r#type: "local.small".into(),
                vcpus: 1,
                memory_bytes: 512 << 20,
                arch: "x86_64".into(),
                quote: self.quote,
                partition: String::new(),
                features: None,
            }]),
            cells: cells.collect(),
            policy: Policy {
                lanes: self.lanes,
                ..self.policy
            },
            boots: self.boots,
            setup: self.setup,
            blobs: self.blobs,
            secrets: self.secrets,
            inputs: self.inputs,
            settings: BTreeMap::new(),
            tables: self.tables,
        }
    }
}

fn source(text: &str) -> SourceText {
    SourceText {
        text: text.into(),
        line: 7,
        file: None,
    }
}

pub fn capture(slot: SlotIx, from: CaptureFrom) -> Option<Capture> {
    Some(Capture {
        slot,
        from,
        unit: None,
    })
}

/// A run that has ended.
pub struct Ran {
    pub outcome: RunOutcome,
    pub records: Vec<Record>,
    pub machines: SimMachines,
    pub plan: Arc<ExecutionPlan>,
    pub schedule: Schedule,
}

pub fn schedule_of(plan: &Loaded<ExecutionPlan>, script: &SimScript) -> Schedule {
    let assumptions = dva_schedule::Assumptions {
        boot_ms: script.boot_ms(),
        pending_ms: 0,
        default_takes_ms: script.takes_ms(),
    };
    let schedule = dva_schedule::schedule(&plan.body, &plan.header.digest, &assumptions);
    let violations = dva_schedule::check(&plan.body, &plan.header.digest, &schedule);
    assert_eq!(violations, vec![]);
    schedule
}

/// Options of a run that gives up what a lost machine leaves open.
pub fn options() -> RunOptions {
    RunOptions {
        after_loss: 0,
        ..options_again()
    }
}

/// As they are by default.
pub fn options_again() -> RunOptions {
    RunOptions::new(
        RunId::new("20261123-093000-4f2a"),
        WallTime::from_unix_ms(1_795_426_200_000),
    )
}

pub async fn simulate(plan: &Loaded<ExecutionPlan>, script: &str) -> Ran {
    simulate_with(plan, script, options()).await
}

pub async fn simulate_with(plan: &Loaded<ExecutionPlan>, script: &str, options: RunOptions) -> Ran {
    let script = SimScript::parse(script, &plan.body).unwrap();
    let schedule = schedule_of(plan, &script);
    let (backend, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
    run_on(plan, schedule, backend, machines, options).await
}

/// Runs and checks what must be true of every run: its events give its report again, they are in
/// order, every test run is in the report, and no machine is left that it does not name.
pub async fn run_on(
    plan: &Loaded<ExecutionPlan>,
    schedule: Schedule,
    backend: dva_runtime::Backend,
    machines: SimMachines,
    mut options: RunOptions,
) -> Ran {
    let journal = MemoryJournal::default();
    options.journal = Box::new(journal.clone());
    let outcome = run(plan, schedule.clone(), backend, options).await;
    let records = journal.records();
    let body = Arc::new(plan.body.clone());
    let mut state = RunState::new(Arc::clone(&body), Arc::new(schedule.clone()));
    for record in &records {
        // As they stand in the file.
        let line = serde_json::to_string(record).unwrap();
        state.apply(&serde_json::from_str(&line).unwrap()).unwrap();
    }
    assert_eq!(report::report(&state).as_ref(), Some(&outcome.report));
    assert_eq!(outcome.report.test_runs.len(), plan.body.test_runs());
    let counts = state.counts();
    assert_eq!(counts.open, 0, "{counts:?}");
    let left = outcome
        .machines_left
        .iter()
        .map(|left| left.token.to_string());
    let kept = outcome.kept.iter().map(|kept| kept.token.to_string());
    let left: Vec<_> = left.chain(kept).collect();
    assert_eq!(machines.live(), left);
    for life in state.lives() {
        let waits = |execution: &ExecutionState| *execution == ExecutionState::Waiting;
        assert!(!life.executions().iter().any(waits));
    }
    Ran {
        outcome,
        records,
        machines,
        plan: body,
        schedule,
    }
}

impl Ran {
    pub fn report(&self) -> &RunReport {
        &self.outcome.report
    }

    /// The report of `test` in the cell of `filesystem`.
    pub fn of(&self, filesystem: &str, test: &str) -> &TestRunReport {
        self.report()
            .test_runs
            .iter()
            .find(|run| run.axes["filesystem"] == filesystem && run.test.as_str() == test)
            .unwrap()
    }

    /// The report of `test` in the cell of `xfs`.
    pub fn test(&self, test: &str) -> &TestRunReport {
        self.of("xfs", test)
    }

    /// All verdicts in the cell of `filesystem`, as people read them.
    pub fn verdicts(&self, filesystem: &str) -> BTreeMap<String, String> {
        self.report()
            .test_runs
            .iter()
            .filter(|run| run.axes["filesystem"] == filesystem)
            .map(|run| (run.test.to_string(), run.verdict.to_string()))
            .collect()
    }

    /// All executions on each life, by start: setups in brackets.
    pub fn lives(&self) -> Vec<Vec<String>> {
        let mut lives = vec![Vec::new(); self.report().lives.len()];
        for run in &self.report().test_runs {
            for execution in &run.executions {
                let name = match execution.setup {
                    true => format!("({})", run.test),
                    false => run.test.to_string(),
                };
                lives[row(execution.life)].push((execution.start_ms, name));
            }
        }
        let in_order = |mut life: Vec<(u64, String)>| {
            life.sort();
            life.into_iter().map(|(_, name)| name).collect()
        };
        lives.into_iter().map(in_order).collect()
    }

    /// When `test` started and ended on the first life, in milliseconds.
    pub fn times(&self, test: &str) -> (u64, u64) {
        let execution = &self.test(test).executions[0];
        (execution.start_ms, execution.end_ms)
    }

    /// The places in the list of events where `is` holds.
    pub fn places(&self, is: impl Fn(&Event) -> bool) -> Vec<usize> {
        let events = self.records.iter().enumerate();
        events
            .filter(|(_, record)| is(&record.event))
            .map(|(place, _)| place)
            .collect()
    }

    /// How many lives there were at once, at most.
    pub fn most_lives_at_once(&self) -> usize {
        let (mut live, mut most) = (0_usize, 0);
        for Record { event, .. } in &self.records {
            match event {
                Event::LifeLaunching { .. } => live += 1,
                Event::LifeEnded { .. } => live -= 1,
                _ => {}
            }
            most = most.max(live);
        }
        most
    }

    pub fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        let runs = self.report().test_runs.iter();
        runs.filter(|run| is(&run.verdict)).count()
    }
}

/// Verdicts as a map, to compare with.
pub fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(test, verdict)| ((*test).to_owned(), (*verdict).to_owned()))
        .collect()
}

/// The row of a table, for messages.
pub fn row(index: impl Index) -> usize {
    index.row()
}
