//! Machines that are not done when they let us in: cloud-init runs, and disks come late or under other names.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use dva_plan::exit::ExitCode;
use dva_plan::expr::{DiskFact, Node};
use dva_plan::plan::{Effect, ImageSource, Machine, Resource};
use dva_runtime::provider::{
    AcquireError, AcquiredMachine, Backend, FirstBoot, MachineRequest, MachineToken, Provider,
    ReleaseError,
};
use dva_runtime::transport::{
    ConnectError, ExecError, ExecErrorKind, ExecOutcome, ExecRequest, ExecStatus, Reach, Session,
    StreamOutput, Transport,
};
use dva_runtime::{RunOutcome, SimBackend, SimScript};

use crate::fixture::{PlanBuilder, options, schedule_of};

/// What a machine says when it is asked whether cloud-init is done, or for its disks.
#[derive(Clone, Copy)]
enum Says {
    Text(&'static str),
    /// Nothing, and it never will.
    Nothing,
    /// The connection breaks at first, and then it says this.
    Breaks(&'static str),
}

/// The simulator, but for what its machines are and say when they have booted.
struct Slow {
    inner: Backend,
    first_boot: FirstBoot,
    serial: Option<&'static str>,
}

#[async_trait]
impl Provider for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        self.inner.provider.serves(image, machine)
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let mut machine = self.inner.provider.acquire(request).await?;
        machine.first_boot = self.first_boot;
        for disk in &mut machine.disks {
            disk.serial = self.serial.map(str::to_owned);
        }
        Ok(machine)
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        self.inner.provider.release_token(token).await
    }
}

#[derive(Clone)]
struct Asked {
    cloud_init: Says,
    disks: Says,
    /// All that was run there.
    commands: Arc<Mutex<Vec<String>>>,
}

struct SlowTransport {
    inner: Arc<dyn Transport>,
    asked: Asked,
}

struct SlowSession {
    inner: Arc<dyn Session>,
    asked: Asked,
}

#[async_trait]
impl Transport for SlowTransport {
    async fn connect(&self, reach: &Reach) -> Result<Arc<dyn Session>, ConnectError> {
        Ok(Arc::new(SlowSession {
            inner: self.inner.connect(reach).await?,
            asked: self.asked.clone(),
        }))
    }
}

#[async_trait]
impl Session for SlowSession {
    async fn exec(&self, request: ExecRequest) -> Result<ExecOutcome, ExecError> {
        let is_of = |words: &str| request.command.contains(words);
        let before = {
            let mut commands = self.asked.commands.lock().unwrap();
            commands.push(request.command.clone());
            let of = commands.iter();
            of.filter(|command| **command == request.command).count()
        };
        let says = if is_of("cloud-init status --wait") {
            self.asked.cloud_init
        } else if is_of("lsblk") {
            self.asked.disks
        } else {
            return self.inner.exec(request).await;
        };
        let text = match says {
            Says::Text(text) => text,
            Says::Nothing => std::future::pending().await,
            Says::Breaks(text) if before > 1 => text,
            Says::Breaks(_) => {
                return Err(ExecError {
                    kind: ExecErrorKind::Lost,
                    message: "the connection broke".to_owned(),
                });
            }
        };
        Ok(ExecOutcome {
            status: ExecStatus::Exit(0),
            stdout: StreamOutput {
                total: text.len() as u64,
                head: text.as_bytes().to_vec(),
                ..StreamOutput::default()
            },
            stderr: StreamOutput::default(),
        })
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// What comes of a test with a disk, and what was run on its machine.
async fn ran(
    first_boot: FirstBoot,
    serial: Option<&'static str>,
    (cloud_init, disks): (Says, Says),
) -> (RunOutcome, Vec<String>) {
    let mut plan = PlanBuilder::new();
    let disk = plan.disk("data");
    let device = plan.expressions.add(Node::Disk {
        disk,
        what: DiskFact::Device,
    });
    let step = plan.run_with("mkfs", device);
    let test = plan.test_of("t", 10, &[], vec![step]);
    plan.effect(test, Effect::writes(Resource::Disk(disk)));
    let plan = plan.build();
    let schedule = schedule_of(&plan, &SimScript::default());
    let inner = SimBackend::new(Arc::new(plan.body.clone()), SimScript::default());
    let asked = Asked {
        cloud_init,
        disks,
        commands: Arc::default(),
    };
    let commands = Arc::clone(&asked.commands);
    let backend = Backend {
        transport: Arc::new(SlowTransport {
            inner: Arc::clone(&inner.transport),
            asked,
        }),
        provider: Arc::new(Slow {
            inner,
            first_boot,
            serial,
        }),
    };
    let outcome = dva_runtime::run(&plan, schedule, backend, options()).await;
    assert!(outcome.machines_left.is_empty());
    let commands = commands.lock().unwrap().clone();
    (outcome, commands)
}

#[tokio::test(start_paused = true)]
async fn cloud_init_is_a_part_of_the_boot() {
    let failed = "On host (life 0) cloud-init has failed: status: error.";
    let recovered = "On host (life 0) cloud-init has recovered from errors: status: done.";
    for (says, warnings) in [
        (Says::Text("absent\n"), &[][..]),
        (Says::Text("0\nstatus: done\n"), &[]),
        (Says::Breaks("0\nstatus: done\n"), &[]),
        (Says::Text("1\nstatus: error\n"), &[failed][..]),
        (Says::Text("2\n...\nstatus: done\n"), &[recovered]),
    ] {
        let (outcome, commands) = ran(FirstBoot::CloudInit, None, (says, Says::Nothing)).await;
        assert_eq!(outcome.report.exit, ExitCode::Ok);
        assert_eq!(outcome.report.warnings, warnings);
        let waits = |command: &&String| command.contains("cloud-init status --wait");
        let times = 1 + usize::from(matches!(says, Says::Breaks(_)));
        assert_eq!(commands.iter().filter(waits).count(), times);
    }
    let (outcome, _) = ran(FirstBoot::CloudInit, None, (Says::Nothing, Says::Nothing)).await;
    let run = &outcome.report.test_runs[0];
    assert_eq!(run.verdict.to_string(), "errored (boot.cloud_init)");
    let message =
        "The machine let us in, but cloud-init was not done when its time to boot was over.";
    assert_eq!(run.message, message);
    assert_eq!(outcome.report.exit, ExitCode::Infrastructure);
    // Nobody asks a machine of which nothing is to be waited for.
    let (outcome, _) = ran(FirstBoot::Nothing, None, (Says::Nothing, Says::Nothing)).await;
    assert_eq!(outcome.report.exit, ExitCode::Ok);
}

#[tokio::test(start_paused = true)]
async fn a_disk_is_there_once_the_machine_says_so() {
    let serial = Some("vol0123456789abcdef0");
    let list = "nvme0n1 vol0a1b2c3d4e5f60718\nnvme2n1 vol0123456789abcdef0\n";
    for (says, device) in [
        (Says::Text("node\n"), "/dev/sdb"),
        (Says::Text(list), "/dev/nvme2n1"),
    ] {
        let (outcome, commands) = ran(FirstBoot::Nothing, serial, (Says::Nothing, says)).await;
        assert_eq!(outcome.report.exit, ExitCode::Ok);
        // The steps of the test are told of it.
        let is_told = |command: &String| !command.contains("lsblk") && command.contains(device);
        assert!(commands.iter().any(is_told), "{device}");
    }
    for says in [Says::Nothing, Says::Text("nvme0n1 vol0a1b2c3d4e5f60718\n")] {
        // A machine that answers at once is not asked without end: an answer takes its time.
        let (outcome, commands) = ran(FirstBoot::Nothing, serial, (Says::Nothing, says)).await;
        let run = &outcome.report.test_runs[0];
        assert_eq!(run.verdict.to_string(), "errored (machine.acquire)");
        let message = "The machine came up without one of its disks: /dev/sdb is not there after 60 s, nor is there a \
                       disk of the serial number vol0123456789abcdef0.";
        assert_eq!(run.message, message);
        assert!(commands.len() < 100, "{}", commands.len());
    }
}
