//! Images with several accounts: which of them is used, and what is said where none lets us in.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dva_plan::document::{read, to_bytes};
use dva_plan::exit::ExitCode;
use dva_plan::plan::ImageIx;
use dva_plan::step::StepKind;

use dva_runtime::transport::{
    ConnectError, ConnectErrorKind, ExecError, ExecOutcome, ExecRequest, Reach, Session,
    StreamOutput, Transport,
};
use dva_runtime::{Backend, SimBackend, SimScript};

use crate::fixture::{PlanBuilder, Ran, options, run_on, schedule_of};

/// Refuses some users, greets others, and lets the rest in.
struct Doors {
    inner: Arc<dyn Transport>,
    greeted: &'static [&'static str],
    refused: &'static [&'static str],
    /// So often everybody is refused at first.
    shut: Mutex<usize>,
    /// Who came.
    came: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Transport for Doors {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        let user = reach.user();
        self.came.lock().unwrap().push(user.to_owned());
        let is_shut = {
            let mut shut = self.shut.lock().unwrap();
            let is_shut = *shut > 0;
            *shut = shut.saturating_sub(1);
            is_shut
        };
        if is_shut || self.refused.contains(&user) {
            return Err(ConnectError {
                kind: ConnectErrorKind::Auth,
                message: "our key is refused".to_owned(),
            });
        }
        if self.greeted.contains(&user) {
            return Ok(Arc::new(Greeter));
        }
        self.inner.connect(reach).await
    }
}

/// An account that is not meant for logins.
struct Greeter;

#[async_trait]
impl Session for Greeter {
    async fn exec(&self, _: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let said = b"Please login as the user \"admin\" rather than the user \"root\".\n";
        Ok(ExecOutcome {
            stdout: StreamOutput {
                total: said.len() as u64,
                head: said.to_vec(),
                ..StreamOutput::default()
            },
            ..ExecOutcome::default()
        })
    }

    async fn close(&self) {}
}

/// A test that reboots, on an image with these accounts; what came of it, and who came.
async fn at_doors(
    logins: &[&str],
    greeted: &'static [&'static str],
    refused: &'static [&'static str],
    shut: usize,
) -> (Ran, Vec<String>) {
    let mut plan = PlanBuilder::new();
    let steps = vec![
        plan.run("before", None, None),
        plan.step(StepKind::Reboot, Some(60_000)),
        plan.run("after", None, None),
    ];
    plan.test_of("a", 1, &[], steps);
    let mut plan = plan.plan();
    plan.images[ImageIx(0)].logins = logins.iter().map(|login| (*login).to_owned()).collect();
    let plan = read(to_bytes(&plan).as_slice()).unwrap();
    let schedule = schedule_of(&plan, &SimScript::default());
    let (sim, machines) = SimBackend::observed(Arc::new(plan.body.clone()), SimScript::default());
    let came = Arc::default();
    let backend = Backend {
        provider: sim.provider,
        transport: Arc::new(Doors {
            inner: sim.transport,
            greeted,
            refused,
            shut: Mutex::new(shut),
            came: Arc::clone(&came),
        }),
    };
    let ran = run_on(&plan, schedule, backend, machines, options()).await;
    let came = came.lock().unwrap().clone();
    (ran, came)
}

#[tokio::test(start_paused = true)]
async fn the_first_account_that_runs_commands_is_used_from_then_on() {
    let logins = ["fedora", "root", "admin", "ec2-user"];
    let (ran, came) = at_doors(&logins, &["root"], &["fedora"], 0).await;
    assert_eq!(ran.test("a").verdict.to_string(), "passed");
    assert_eq!(came[..3], ["fedora", "root", "admin"]);
    let later = &came[3..];
    assert!(!later.is_empty(), "it has rebooted");
    assert!(later.iter().all(|user| user == "admin"), "{later:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_boots_may_refuse_the_right_account_for_a_while() {
    let (ran, came) = at_doors(&["fedora", "admin"], &[], &["fedora"], 5).await;
    assert_eq!(ran.test("a").verdict.to_string(), "passed");
    let expected = ["fedora", "admin"].repeat(4);
    assert_eq!(came[..6], expected[..6]);
}

#[tokio::test(start_paused = true)]
async fn where_every_account_is_refused_all_are_named() {
    let (ran, _) = at_doors(&["fedora", "root"], &["root"], &["fedora"], 0).await;
    assert_eq!(ran.test("a").verdict.to_string(), "errored (ssh.auth)");
    let life = ran.report().lives.iter().next().unwrap();
    let said = life.problem.clone().unwrap_or_default();
    for part in [
        "as `fedora`: our key is refused",
        "as `root`: the login runs no commands: Please login as the user",
    ] {
        assert!(said.contains(part), "{said}");
    }
    assert_eq!(ran.report().exit, ExitCode::Infrastructure);
}

#[tokio::test(start_paused = true)]
async fn an_image_without_accounts_has_the_one_of_the_provider() {
    let (ran, came) = at_doors(&[], &[], &[], 0).await;
    assert_eq!(ran.test("a").verdict.to_string(), "passed");
    assert!(came.iter().all(|user| user == "root"), "{came:?}");
}
