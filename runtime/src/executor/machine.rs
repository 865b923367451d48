//! A life's calls to its provider.

use std::collections::BTreeSet;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use dva_plan::FailureClass;
use dva_plan::plan::{CellIx, DiskIx, ExecutionPlan, ImageSource, MachineIx, Resource};
use dva_plan::schedule::PlannedLife;
use dva_plan::unit::display_duration;
use tokio::time::{sleep, timeout};

use super::{Ask, Life, throttle};
use crate::event::LifeTrouble;
use crate::guest::disk_request;
use crate::options::Limits;
use crate::provider::{AcquireErrorKind, AcquiredMachine, BootRequest, MachineRequest, Provider};

/// How often a machine is asked to end, and the pause in between.
pub(crate) const RELEASE_ATTEMPTS: u32 = 3;
pub(crate) const RELEASE_PAUSE: Duration = Duration::from_secs(2);

/// A machine that was not started.
pub(super) struct NotAcquired {
    pub trouble: LifeTrouble,
    /// Why, in a sentence.
    pub message: String,
    /// Whether it is of its kind, so that another one may be had.
    pub is_of_its_kind: bool,
}

impl NotAcquired {
    fn broken(message: String) -> Self {
        Self {
            trouble: LifeTrouble::Class(FailureClass::MachineAcquire),
            message,
            is_of_its_kind: false,
        }
    }
}

/// Starts the machine that is asked for.
pub(super) async fn acquire(life: &Life, ask: Ask) -> Result<AcquiredMachine, NotAcquired> {
    let Some(request) = request(life, ask) else {
        let provider = life.backend.provider.name();
        let message = format!("The provider `{provider}` cannot start this image on this machine.");
        return Err(NotAcquired {
            is_of_its_kind: true,
            ..NotAcquired::broken(message)
        });
    };
    let acquire = throttle::acquire(&*life.backend.provider, &request);
    match timeout(life.limits.acquire, acquire).await {
        Ok(Ok(machine)) => Ok(machine),
        Ok(Err(error)) => {
            let trouble = match error.kind {
                AcquireErrorKind::Capacity => LifeTrouble::Capacity,
                AcquireErrorKind::Quota => LifeTrouble::Quota,
                AcquireErrorKind::Unsupported
                | AcquireErrorKind::Throttled
                | AcquireErrorKind::Broken => LifeTrouble::Class(FailureClass::MachineAcquire),
            };
            Err(NotAcquired {
                trouble,
                message: format!(
                    "The machine {} in {} could not be started: {}.",
                    error.machine_type, error.region, error.message
                ),
                is_of_its_kind: error.kind.is_of_its_kind(),
            })
        }
        Err(_) => {
            let limit = milliseconds(life.limits.acquire);
            Err(NotAcquired::broken(format!(
                "The machine {} in {} was not started within {}.",
                request.machine.r#type,
                request.machine.region,
                display_duration(limit)
            )))
        }
    }
}

/// Ends the life's machine, whether or not there is one.
pub(super) async fn release(life: &Life) -> Result<(), String> {
    let mut attempt = 1;
    loop {
        let release = life.backend.provider.release_token(&life.token);
        let problem = match timeout(life.limits.release, release).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.message,
            Err(_) => format!(
                "the provider did not say so within {}",
                display_duration(milliseconds(life.limits.release))
            ),
        };
        if attempt == RELEASE_ATTEMPTS {
            return Err(format!("The machine could not be ended: {problem}."));
        }
        attempt += 1;
        sleep(RELEASE_PAUSE).await;
    }
}

/// What to ask the provider for; `None` where it cannot start the image.
fn request(life: &Life, ask: Ask) -> Option<MachineRequest> {
    let plan = &*life.plan;
    let cell = &plan.cells[life.planned.cell];
    let machine = &plan.machines[ask.machine];
    let image = source(
        plan,
        life.planned.cell,
        ask.machine,
        &*life.backend.provider,
    )?;
    Some(MachineRequest {
        token: life.token.clone(),
        run: life.run.clone(),
        cell: cell.id.clone(),
        image: image.clone(),
        logins: plan.images[cell.image].logins.clone(),
        machine: machine.clone(),
        disks: disks(plan, &life.planned)
            .into_iter()
            .map(|disk| disk_request(plan, disk))
            .collect(),
        boot: boot(life).ok()?,
        network: cell.network,
        network_name: cell.axes.get("network").cloned(),
        market: plan.policy.market.clone(),
        lifetime: ask.lifetime,
    })
}

/// From where the provider can start the image of a cell on a machine, if it can.
pub(crate) fn source<'p>(
    plan: &'p ExecutionPlan,
    cell: CellIx,
    machine: MachineIx,
    provider: &dyn Provider,
) -> Option<&'p ImageSource> {
    let sources = &plan.images[plan.cells[cell].image].sources;
    let machine = &plan.machines[machine];
    let mut sources = sources.iter();
    sources.find(|source| provider.serves(source, machine))
}

/// What the life needs at its launch.
fn boot(life: &Life) -> Result<BootRequest, base64ct::Error> {
    let Some(boot) = life.planned.boot.map(|boot| &life.plan.boots[boot]) else {
        return Ok(BootRequest::default());
    };
    let content = boot.user_data.map(|blob| &life.plan.blobs[blob].base64);
    Ok(BootRequest {
        user_data: content
            .map(|content| Base64::decode_vec(content))
            .transpose()?,
        mode: boot.mode,
        root_bytes: boot.root_bytes,
    })
}

/// The disks that the life's tests have an effect on, but for those that a step attaches.
fn disks(plan: &ExecutionPlan, planned: &PlannedLife) -> BTreeSet<DiskIx> {
    planned
        .executions
        .iter()
        .flat_map(|execution| &plan.tests[execution.test].effects)
        .filter_map(|effect| match effect.of {
            Resource::Disk(disk) => Some(disk),
            Resource::Machine | Resource::State(_) => None,
        })
        .filter(|disk| plan.disks[*disk].attached)
        .collect()
}

/// The longest that a life can take if every part of it takes as long as it may, one after the other.
pub(crate) fn longest(plan: &ExecutionPlan, planned: &PlannedLife, limits: &Limits) -> Duration {
    /// For stopping a command that ran too long, and for looks at the machine in between.
    const SLACK: Duration = Duration::from_secs(60);
    let tests: Duration = planned
        .executions
        .iter()
        .map(|execution| {
            let within = Duration::from_millis(plan.tests[execution.test].within_ms);
            within + limits.finally + SLACK
        })
        .sum();
    let setup = plan.setup.as_ref().map_or(Duration::ZERO, |setup| {
        Duration::from_millis(setup.within_ms) + SLACK
    });
    limits.acquire + limits.connect + setup + tests + limits.release + SLACK
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
