//! What the simulator does by itself: durations that vary, and faults by script and at random. Whatever
//! goes wrong, every test run has its verdict and no machine is left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dva_plan::document::Loaded;
use dva_plan::exit::ExitCode;
use dva_plan::expr::{Comparison, MachineFact, Node};
use dva_plan::plan::{ImageSource, Network, Setup};
use dva_plan::quote::Market;
use dva_plan::step::StepKind;
use dva_plan::table::Table;
use dva_plan::{ExecutionPlan, RunId, TestId, Type, Value};
use dva_runtime::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, Backend, BootRequest, MachineRequest,
    MachineToken,
};
use dva_runtime::sim::SimMachines;
use dva_runtime::transport::{
    ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Purpose, StreamPlan,
};
use dva_runtime::{SimBackend, SimScript};
use proptest::prelude::*;
use tokio::time::Instant;

use crate::fixture::{PlanBuilder, Ran, map, options, run_on, schedule_of, simulate};

/// Two cells of four tests: a chain of two, one beside it, and one that reboots in its middle.
fn plan() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    plan.test("b", 10, &[a]);
    plan.test("c", 60, &[]);
    let reboot = plan.step(StepKind::Reboot, None);
    let steps = vec![
        plan.run_as("before", |_| {}),
        reboot,
        plan.run_as("after", |_| {}),
    ];
    plan.test_of("reboots", 20, &[a], steps);
    plan.filesystems(["xfs", "ext4"]);
    plan.build()
}

/// The verdicts of `a`, `b`, `c` and `reboots`.
fn verdicts(of: [&str; 4]) -> BTreeMap<String, String> {
    let [a, b, c, reboots] = of;
    map(&[("a", a), ("b", b), ("c", c), ("reboots", reboots)])
}

async fn simulate_script(plan: &Loaded<ExecutionPlan>, script: SimScript) -> Ran {
    let schedule = schedule_of(plan, &script);
    let (backend, machines) = SimBackend::observed(Arc::new(plan.body.clone()), script);
    run_on(plan, schedule, backend, machines, options()).await
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_life_has_its_outcome() {
    const PASSED: &str = "passed";
    let unstarted = "errored (machine.acquire)";
    for (fault, of_xfs, problem) in [
        ("capacity", ["blocked (capacity)"; 4], "there is none left"),
        ("quota", ["blocked (quota)"; 4], "the quota is used up"),
        ("broken", [unstarted; 4], "something broke"),
        ("throttle", [PASSED; 4], ""),
        ("stuck", [unstarted; 4], "was not started within 10min"),
        ("late", [PASSED; 4], ""),
        ("lost_answer", [unstarted; 4], "answer was lost on its way"),
        ("twice", [PASSED; 4], ""),
        (
            "silent",
            ["errored (ssh.connect_timeout)"; 4],
            "nobody answers",
        ),
        ("auth", ["errored (ssh.auth)"; 4], "our key is refused"),
        (
            "host_key",
            ["errored (ssh.host_key)"; 4],
            "another host key than its own",
        ),
        (
            "no_return",
            [PASSED, PASSED, PASSED, "failed (reboot)"],
            "did not come back",
        ),
        ("lost_release", [PASSED; 4], ""),
        ("release", [PASSED; 4], "was told to keep it"),
    ] {
        let script = format!("[[life]]\ncells = {{ filesystem = 'xfs' }}\nfault = '{fault}'\n");
        let ran = simulate(&plan(), &script).await;
        assert_eq!(ran.verdicts("xfs"), verdicts(of_xfs), "{fault}");
        assert_eq!(ran.verdicts("ext4"), verdicts([PASSED; 4]), "{fault}");
        let life = ran.report().lives.iter().next().unwrap();
        let said = life.problem.clone().unwrap_or_default();
        assert_eq!(said.is_empty(), problem.is_empty(), "{fault}: {said}");
        assert!(said.contains(problem), "{fault}: {said}");
        let left = ran.machines.live();
        assert_eq!(left.len(), usize::from(fault == "release"), "{fault}");
        let exit = match fault {
            "release" => ExitCode::MachinesLeft,
            "no_return" => ExitCode::TestsFailed,
            "throttle" | "late" | "twice" | "lost_release" => ExitCode::Ok,
            _ => ExitCode::Infrastructure,
        };
        assert_eq!(ran.report().exit, exit, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_fault_of_a_command_has_its_outcome() {
    let lost = "errored (ssh.lost)";
    let limit = "the test's limit of 10min was over";
    let blocked = "blocked by a";
    for (fault, [of_a, after, beside], end_ms, message) in [
        (
            "hang",
            ["failed (limit.test)", blocked, "passed"],
            630_000,
            limit,
        ),
        // It outlives TERM for so long.
        (
            "stubborn",
            ["failed (limit.test)", blocked, "passed"],
            635_000,
            limit,
        ),
        (
            "refused",
            ["errored (ssh.refused)", blocked, "passed"],
            30_000,
            "would not start a command",
        ),
        // Two looks, 3 s apart, at a machine that is still there.
        (
            "drop",
            [lost, lost, lost],
            38_000,
            "The connection to its machine broke",
        ),
        (
            "reboot",
            [
                "failed (guest.rebooted)",
                blocked,
                "failed (guest.rebooted)",
            ],
            35_000,
            "rebooted by itself",
        ),
        (
            "panic",
            ["failed (guest.panic)", blocked, "failed (guest.panic)"],
            35_000,
            "its console says `Kernel panic - not syncing: the simulator was told so`",
        ),
        (
            "spot",
            ["errored (machine.interrupted)"; 3],
            35_000,
            "Its provider has taken it back",
        ),
        (
            "disk_full",
            ["failed (expect)", blocked, "passed"],
            40_000,
            "No space left on device",
        ),
    ] {
        let script =
            format!("[[test]]\ntest = 'a'\ncells = {{ filesystem = 'xfs' }}\nfault = '{fault}'\n");
        let ran = simulate(&plan(), &script).await;
        let of_xfs = verdicts([of_a, after, beside, after]);
        assert_eq!(ran.verdicts("xfs"), of_xfs, "{fault}");
        assert_eq!(ran.verdicts("ext4"), verdicts(["passed"; 4]), "{fault}");
        assert_eq!(ran.times("a"), (30_000, end_ms), "{fault}");
        let said = &ran.test("a").message;
        assert!(said.contains(message), "{fault}: {said}");
        assert!(ran.machines.live().is_empty(), "{fault}");
        let is_ours = of_a.starts_with("errored");
        let exit = match is_ours {
            true => ExitCode::Infrastructure,
            false => ExitCode::TestsFailed,
        };
        assert_eq!(ran.report().exit, exit, "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_step_with_a_limit_of_its_own_ends_by_it() {
    let mut plan = PlanBuilder::new();
    let mut step = plan.run_as("one", |_| {});
    step.within_ms = Some(20_000);
    plan.test_of("a", 10, &[], vec![step]);
    let plan = plan.build();
    for fault in ["hang", "stubborn"] {
        let script = format!("[[test]]\ntest = 'a'\nfault = '{fault}'\n");
        let ran = simulate(&plan, &script).await;
        assert_eq!(ran.verdicts("xfs"), map(&[("a", "failed (limit.step)")]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_late_costs_its_time_and_past_the_limit_the_life() {
    let script = "[[life]]\nlate = '90s'\n";
    let ran = simulate(&plan(), script).await;
    assert_eq!(ran.verdicts("xfs"), verdicts(["passed"; 4]));
    assert_eq!(ran.times("a").0, 120_000);
    let life = ran.report().lives.iter().next().unwrap();
    let last = ran.report().test_runs.iter();
    let last = last
        .flat_map(|run| run.executions.last())
        .map(|of| of.end_ms);
    assert_eq!(life.end_ms, last.max().map(|end_ms| end_ms + 90_000));
    // Past its limit as well the machine is found and ended: asked a second time, it has gone.
    let ran = simulate(&plan(), "[[life]]\nlate = '10min'\n").await;
    let verdict = "errored (machine.acquire)";
    assert_eq!(ran.verdicts("xfs"), verdicts([verdict; 4]));
    assert!(ran.outcome.machines_left.is_empty());
}

#[tokio::test(start_paused = true)]
async fn tests_without_commands_and_a_setup_take_what_the_schedule_says() {
    let mut plan = PlanBuilder::new();
    let holds = plan.compare(
        Node::Machine(MachineFact::Vcpus),
        Comparison::Equal,
        Value::Int(1),
    );
    let steps = vec![plan.check(holds, "instance.vcpus == 1")];
    let checks = plan.test_of("checks", 20, &[], steps);
    let steps = vec![
        plan.step(StepKind::Wait { ms: 2_000 }, None),
        plan.step(StepKind::Reboot, None),
    ];
    plan.test_of("reboots", 15, &[checks], steps);
    plan.setup = Some(Setup {
        within_ms: 600_000,
        needs: Vec::new(),
        slots: Table::new(),
        steps: vec![plan.run_as("prepare", |_| {})],
    });
    let ran = simulate(&plan.build(), "").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("checks", "passed"), ("reboots", "passed")])
    );
    assert_eq!(ran.times("checks"), (30_000, 50_000));
    assert_eq!(ran.times("reboots"), (50_000, 65_000));
    assert_eq!(ran.report().duration_ms, ran.schedule.makespan_ms);
}

#[tokio::test(start_paused = true)]
async fn a_test_without_commands_has_its_limit() {
    let mut plan = PlanBuilder::new();
    let steps = vec![plan.step(StepKind::Wait { ms: 1_000 }, None)];
    let waits = plan.test_of("waits", 20, &[], steps);
    plan.edit(waits).within_ms = 10_000;
    plan.edit(waits).takes_ms = None;
    let ran = simulate(&plan.build(), "takes = '30s'\n").await;
    assert_eq!(
        ran.verdicts("xfs"),
        map(&[("waits", "failed (limit.test)")])
    );
    assert_eq!(ran.times("waits"), (30_000, 40_000));
}

/// A backend that is spoken to without a run.
struct Direct {
    backend: Backend,
    machines: SimMachines,
    request: MachineRequest,
}

impl Direct {
    fn new(script: &str) -> Self {
        let plan = plan();
        let script = SimScript::parse(script, &plan.body).unwrap();
        let body = Arc::new(plan.body.clone());
        let (backend, machines) = SimBackend::observed(Arc::clone(&body), script);
        let run = RunId::new("20261123-093000-4f2a");
        let request = MachineRequest {
            token: MachineToken::new(&run, 0),
            run,
            cell: body.cells.iter().next().unwrap().id.clone(),
            image: ImageSource::LocalHost,
            logins: Vec::new(),
            machine: body.machines.iter().next().unwrap().clone(),
            disks: Vec::new(),
            boot: BootRequest::default(),
            network: Network::default(),
            network_name: None,
            market: vec![Market::OnDemand],
            lifetime: Duration::from_secs(3_600),
        };
        Self {
            backend,
            machines,
            request,
        }
    }

    async fn acquire(&self) -> Result<AcquiredMachine, AcquireError> {
        self.backend.provider.acquire(&self.request).await
    }

    /// Whether it says that the machine was ended.
    async fn release(&self) -> bool {
        let token = &self.request.token;
        self.backend.provider.release_token(token).await.is_ok()
    }

    async fn console(&self) -> Option<String> {
        let console = self.backend.provider.console(&self.request.token).await;
        console.ok().map(|said| String::from_utf8(said).unwrap())
    }

    async fn command(&self, machine: &AcquiredMachine) -> Result<ExecOutcome, ExecError> {
        let session = self.backend.transport.connect(&machine.reach).await;
        let request = ExecRequest {
            command: "true".to_owned(),
            stdin: Vec::new(),
            stdout: StreamPlan::default(),
            stderr: StreamPlan::default(),
            purpose: Purpose::Step {
                test: TestId::new("a"),
                run: 0,
                in_finally: false,
            },
        };
        session.unwrap().exec(request).await
    }
}

#[tokio::test(start_paused = true)]
async fn asked_twice_under_one_token_it_gives_one_machine() {
    let direct = Direct::new("");
    let first = direct.acquire().await.unwrap();
    let before = Instant::now();
    let second = direct.acquire().await.unwrap();
    assert_eq!(before.elapsed(), Duration::ZERO);
    assert_eq!(first.id, second.id);
    assert_eq!(direct.machines.live().len(), 1);
    assert!(direct.release().await && direct.release().await);
    // What has gone is not started again behind the back of the one who ended it.
    let error = direct.acquire().await.err().unwrap();
    assert_eq!(error.kind, AcquireErrorKind::Broken);
    assert!(direct.machines.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_throttles_gives_the_machine_when_asked_again() {
    let direct = Direct::new("[[life]]\nfault = 'throttle'\n");
    for _ in 0..3 {
        let error = direct.acquire().await.err().unwrap();
        assert_eq!(error.kind, AcquireErrorKind::Throttled);
        assert!(direct.machines.live().is_empty());
    }
    assert!(direct.acquire().await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_run_asks_a_provider_again_that_throttles_and_not_all_at_once() {
    let mut plan = PlanBuilder::new();
    plan.test("a", 10, &[]);
    plan.filesystems((0..8).map(|number| format!("fs{number}")));
    let ran = simulate(&plan.build(), "[[life]]\nfault = 'throttle'\n").await;
    assert_eq!(ran.report().exit, ExitCode::Ok);
    let ready = ran.report().lives.iter().map(|life| life.ready_ms.unwrap());
    let ready: BTreeSet<u64> = ready.collect();
    // Pauses of at most 1 s, 2 s and 4 s, of at least half of that.
    assert!(
        ready.iter().all(|ms| (33_500..=37_000).contains(ms)),
        "{ready:?}"
    );
    assert!(ready.len() > 4, "{ready:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_whose_start_was_not_answered_is_there_until_it_is_ended() {
    let direct = Direct::new("[[life]]\nfault = 'lost_answer'\n");
    assert!(direct.acquire().await.is_err());
    assert_eq!(direct.machines.live().len(), 1);
    // Asked again it would have been found.
    assert!(direct.acquire().await.is_ok());
    assert!(!direct.release().await);
    assert!(direct.machines.live().is_empty());
    assert!(direct.release().await);
}

#[tokio::test(start_paused = true)]
async fn two_machines_under_one_token_are_ended_one_after_the_other() {
    let direct = Direct::new("[[life]]\nfault = 'twice'\n");
    assert!(direct.acquire().await.is_ok());
    assert_eq!(direct.machines.live().len(), 2);
    assert!(!direct.release().await);
    assert_eq!(direct.machines.live().len(), 1);
    assert!(direct.release().await);
    assert!(direct.machines.live().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_kernel_that_panics_says_so_on_the_console() {
    let direct = Direct::new("[[test]]\ntest = 'a'\nfault = 'panic'\n");
    let machine = direct.acquire().await.unwrap();
    let error = direct.command(&machine).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Lost);
    let console = direct.console().await.unwrap();
    assert!(console.starts_with("simulated boot 0\r\n"), "{console}");
    assert!(
        console.contains("Kernel panic - not syncing: "),
        "{console}"
    );
    assert_eq!(direct.machines.live().len(), 1);
    // From outside it can be brought up again.
    let token = &direct.request.token;
    direct.backend.provider.reboot(token).await.unwrap();
    assert!(
        direct
            .backend
            .transport
            .connect(&machine.reach)
            .await
            .is_ok()
    );
    assert!(direct.release().await);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_taken_away_is_known_to_nobody() {
    let direct = Direct::new("[[test]]\ntest = 'a'\nfault = 'spot'\n");
    let machine = direct.acquire().await.unwrap();
    let error = direct.command(&machine).await.unwrap_err();
    assert_eq!(error.kind, ExecErrorKind::Lost);
    assert!(direct.machines.live().is_empty());
    assert_eq!(direct.console().await, None);
    assert!(direct.acquire().await.is_err());
    assert!(direct.release().await);
}

#[tokio::test(start_paused = true)]
async fn what_an_entry_says_of_a_full_disk_counts() {
    let script = "[[test]]\ntest = 'a'\nfault = 'disk_full'\nexit = 28\nstderr = 'ENOSPC'\n";
    let direct = Direct::new(script);
    let machine = direct.acquire().await.unwrap();
    let outcome = direct.command(&machine).await.unwrap();
    assert_eq!(outcome.status, ExecStatus::Exit(28));
    assert_eq!(outcome.stderr.whole(), Some(b"ENOSPC".as_slice()));
}

/// As [`plan`], with a setup, a loop, a branch never taken, a wait, a retry and a test that prepares a
/// second life.
fn rich_plan() -> Loaded<ExecutionPlan> {
    let mut plan = PlanBuilder::new();
    let a = plan.test("a", 10, &[]);
    let b = plan.test("b", 10, &[a]);
    let c = plan.test("c", 60, &[]);
    let loops = looping(&mut plan, "loops", 30, &[a]);
    plan.conflict(c, b);
    plan.edit(b).retry = 1;
    let undo = plan.run_as("undo", |_| {});
    plan.edit(loops).finally = vec![undo];
    plan.setup = Some(Setup {
        within_ms: 600_000,
        needs: Vec::new(),
        slots: Table::new(),
        steps: vec![plan.run_as("prepare", |_| {})],
    });
    let last = plan.test("last", 1, &[]);
    plan.edit(last).last = true;
    plan.filesystems(["xfs", "ext4"]);
    plan.build()
}

/// A test that waits, loops over three values, reboots and takes `takes_s` seconds in all.
fn looping(
    plan: &mut PlanBuilder,
    name: &str,
    takes_s: u64,
    after: &[dva_plan::plan::TestIx],
) -> dva_plan::plan::TestIx {
    let test = plan.test_of(name, takes_s, after, Vec::new());
    let slot = plan.slot(test, "number", Type::Int);
    let numbers = (1..=3).map(Value::Int).collect();
    let list = plan.constant(Value::List(numbers));
    let twice = vec![plan.run_as("one", |_| {}), plan.run_as("two", |_| {})];
    let kinds = [
        StepKind::Wait { ms: 500 },
        StepKind::For {
            slot,
            list,
            steps: twice,
        },
        StepKind::Reboot,
    ];
    let mut steps = kinds.map(|kind| plan.step(kind, None)).to_vec();
    steps.push(plan.run_as("three", |_| {}));
    plan.edit(test).steps = steps;
    test
}

#[tokio::test(start_paused = true)]
async fn whatever_goes_wrong_every_test_run_has_its_verdict_and_no_machine_is_left() {
    let plan = rich_plan();
    let mut seen = BTreeSet::new();
    for seed in 0..200 {
        // That there is a verdict for each and no machine is looked at for every run.
        let ran = simulate_script(&plan, SimScript::random(seed, 50)).await;
        assert!(ran.machines.live().is_empty(), "{seed}");
        assert!(ran.outcome.machines_left.is_empty(), "{seed}");
        assert_ne!(ran.report().exit, ExitCode::Bug, "{seed}");
        for filesystem in ["xfs", "ext4"] {
            seen.extend(ran.verdicts(filesystem).into_values());
        }
    }
    for verdict in [
        "passed",
        "blocked by a",
        "blocked (capacity)",
        "blocked (quota)",
        "errored (machine.acquire)",
        "errored (ssh.connect_timeout)",
        "errored (ssh.auth)",
        "errored (ssh.host_key)",
        "errored (ssh.lost)",
        "errored (ssh.refused)",
        "errored (machine.lost)",
        "errored (machine.interrupted)",
        "errored (setup)",
        "failed (expect)",
        "failed (finally)",
        "failed (guest.panic)",
        "failed (guest.rebooted)",
        "failed (limit.test)",
        "failed (reboot)",
    ] {
        assert!(seen.contains(verdict), "{verdict} is not among {seen:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_goes_wrong_there_is_still_an_end() {
    let ran = simulate_script(&rich_plan(), SimScript::random(1, 1_000)).await;
    assert!(ran.machines.live().is_empty());
    assert_eq!(ran.count(|verdict| verdict.to_string() == "passed"), 0);
    let ran = simulate_script(&rich_plan(), SimScript::random(1, 0)).await;
    let all = ran.report().test_runs.len();
    assert_eq!(ran.count(|verdict| verdict.to_string() == "passed"), all);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_says_what_goes_wrong_comes_before_what_is_random() {
    let script = "faults = { permille = 1000 }\n[[life]]\nfault = 'quota'\n";
    let ran = simulate(&plan(), script).await;
    assert_eq!(ran.verdicts("xfs"), verdicts(["blocked (quota)"; 4]));
}

/// How long each test took in each cell, by seed, spread and lanes.
async fn durations(seed: u64, spread: &str, lanes: u32) -> BTreeMap<(String, String), u64> {
    let mut plan = PlanBuilder::new();
    for number in 0..6 {
        plan.test(&format!("t{number}"), 100, &[]);
    }
    plan.lanes(lanes);
    plan.filesystems((0..4).map(|number| format!("fs{number}")));
    let script = format!("seed = {seed}\nspread = {spread}\n");
    let ran = simulate(&plan.build(), &script).await;
    let of = ran.report().test_runs.iter().map(|run| {
        let execution = &run.executions[0];
        let name = (run.axes["filesystem"].clone(), run.test.to_string());
        (name, execution.end_ms - execution.start_ms)
    });
    of.collect()
}

#[tokio::test(start_paused = true)]
async fn durations_vary_with_the_seed_and_with_nothing_else() {
    let one = durations(1, "0.3", 1).await;
    assert_eq!(one, durations(1, "0.3", 1).await);
    // In another order, side by side.
    assert_eq!(one, durations(1, "0.3", 4).await);
    assert_ne!(one, durations(2, "0.3", 1).await);
    let different: BTreeSet<u64> = one.values().copied().collect();
    assert!(different.len() > 20, "{different:?}");
    let mean = one.values().sum::<u64>() / 24;
    assert!(mean.abs_diff(100_000) < 20_000, "{mean}");
    let widest = durations(1, "0.6", 1).await;
    assert!(widest.values().max() > one.values().max());
    let none = durations(1, "0", 1).await;
    assert!(none.values().all(|ms| *ms == 100_000));
}

#[tokio::test(start_paused = true)]
async fn boots_vary_too_and_what_an_entry_says_does_not() {
    let script = "
seed = 3
spread = 0.5
[[life]]
cells = { filesystem = 'ext4' }
boot = '70s'
[[test]]
test = 'c'
takes = '9s'
";
    let ran = simulate(&plan(), script).await;
    let ready = |filesystem| ran.of(filesystem, "a").executions[0].start_ms;
    assert_eq!(ready("ext4"), 70_000);
    assert_ne!(ready("xfs"), 30_000);
    let (start_ms, end_ms) = ran.times("c");
    assert_eq!(end_ms - start_ms, 9_000);
}

#[test]
fn what_is_random_is_said_in_a_way_that_can_be_meant() {
    for (text, message) in [
        (
            "spread = 'much'",
            "the script: `spread` must be a number from 0 to 2",
        ),
        (
            "spread = 2.001",
            "the script: `spread` must be a number from 0 to 2",
        ),
        (
            "spread = -0.1",
            "the script: `spread` must be a number from 0 to 2",
        ),
        (
            "seed = -1",
            "the script: `seed` must be a whole number, not below 0",
        ),
        ("faults = { seed = 1 }", "faults: `permille` is missing"),
        (
            "faults = { permille = 1001 }",
            "faults: `permille` must be at most 1000",
        ),
        (
            "faults = { permile = 1 }",
            "faults: there is no key `permile`; did you mean `permille`?",
        ),
        (
            "faults = 7",
            "the script: `faults` must be a table with `permille` and `seed`",
        ),
        (
            "[[test]]\ntest = 'a'\nfault = 'panics'",
            "test 1: there is no fault of a command `panics`; did you mean `panic`?",
        ),
        (
            "[[life]]\nfault = 'lost_anser'",
            "life 1: there is no fault of a life `lost_anser`; did you mean `lost_answer`?",
        ),
    ] {
        let error = SimScript::parse(text, &plan().body).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let parsed = |text: &str| SimScript::parse(text, &plan().body).unwrap();
    assert_eq!(
        parsed("faults = { seed = 7, permille = 20 }"),
        SimScript::random(7, 20)
    );
    // Of the script where it has none of its own.
    assert_eq!(
        parsed("seed = 7\nfaults = { permille = 20 }"),
        parsed("seed = 7").with_faults(7, 20)
    );
    assert_eq!(parsed("spread = 2"), parsed("spread = 2.0"));
    assert_eq!(parsed("spread = 0.3"), parsed("spread = 0.3009"));
    assert_ne!(parsed("spread = 0.3"), parsed("spread = 0.299"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Loops, reboots and waits take what their test is expected to take, and no more.
    #[test]
    fn a_run_takes_what_its_schedule_says(
        kinds in prop::collection::vec((any::<bool>(), prop::option::of(0_usize..4)), 1..7),
        lanes in 1_u32..4,
        cells in 1_usize..3,
    ) {
        let mut plan = PlanBuilder::new();
        let mut tests = Vec::new();
        for (number, (loops, after)) in kinds.iter().enumerate() {
            let after: Vec<_> = after.and_then(|after| tests.get(after).copied()).into_iter().collect();
            let name = format!("t{number}");
            // Powers of two: no two sums end at one instant.
            let takes_s = 1 << number;
            tests.push(match loops {
                true => looping(&mut plan, &name, takes_s, &after),
                false => plan.test(&name, takes_s, &after),
            });
        }
        plan.lanes(lanes);
        plan.filesystems((0..cells).map(|number| format!("fs{number}")));
        let plan = plan.build();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let ran = runtime.block_on(simulate(&plan, ""));
        prop_assert_eq!(ran.report().exit, ExitCode::Ok);
        prop_assert_eq!(ran.report().duration_ms, ran.schedule.makespan_ms);
        for run in &ran.report().test_runs {
            let of_plan = ran.plan.tests.iter().find(|test| test.id == run.test).unwrap();
            for execution in &run.executions {
                prop_assert_eq!(Some(execution.end_ms - execution.start_ms), of_plan.takes_ms);
            }
        }
    }
}
