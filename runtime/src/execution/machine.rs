//! Steps that do something to the machine from outside: reboot, stop, start, disks.

use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::plan::DiskIx;
use dva_plan::report::StepOutcome;
use dva_plan::step::{DetachMode, Step};
use tokio::time::Instant;

use super::{Broken, Gone, Limit, Loss, Runner, judge, late};
use crate::event::Ending;
use crate::guest::Unturned;
use crate::provider::{ControlError, ControlErrorKind};

/// How long after its limit a machine may take to say itself that it is late.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Runner {
    pub(super) async fn reboot(&self, step: &Step, limit: Limit) -> Result<StepOutcome, Broken> {
        let reboot = self.execution.guest.reboot(limit.deadline);
        self.turn("rebooted", reboot, step, limit).await
    }

    pub(super) async fn stop(&self, step: &Step, limit: Limit) -> Result<StepOutcome, Broken> {
        let stop = self.execution.guest.stop();
        self.turn("stopped", stop, step, limit).await
    }

    pub(super) async fn start(&self, step: &Step, limit: Limit) -> Result<StepOutcome, Broken> {
        let start = self.execution.guest.start(limit.deadline);
        self.turn("started", start, step, limit).await
    }

    async fn turn(
        &self,
        what: &str,
        turning: impl Future<Output = Result<(), Unturned>>,
        step: &Step,
        limit: Limit,
    ) -> Result<StepOutcome, Broken> {
        let turned = self.within(limit.deadline + LAST_WORD, turning).await?;
        let at = judge::at(step);
        let (ending, message) = match turned {
            Some(Ok(())) => return Ok(StepOutcome::Passed),
            Some(Err(Unturned::State(state))) => {
                return Err(Broken::Failed {
                    class: FailureClass::Reboot,
                    message: format!("The machine cannot be {what}: {state}{at}"),
                });
            }
            Some(Err(Unturned::Provider(error))) if error.kind != ControlErrorKind::Broken => {
                return Err(refused(
                    &error,
                    &format!("The machine cannot be {what}"),
                    step,
                ));
            }
            Some(Err(Unturned::Provider(error))) => (
                Ending::Errored(FailureClass::Provider),
                format!("The machine could not be {what}: {}{at}", error.message),
            ),
            Some(Err(Unturned::Gone(refused))) => {
                let ending = refused.ending();
                let message = refused.message.trim_end_matches('.');
                (
                    ending,
                    format!("The machine was {what} and did not come back. {message}{at}"),
                )
            }
            None => (
                Ending::Errored(FailureClass::Provider),
                format!("The provider had not {what} the machine when its time was over{at}"),
            ),
        };
        let class = match ending {
            Ending::Errored(class @ FailureClass::MachineInterrupted) => class,
            _ => FailureClass::MachineLost,
        };
        Err(Broken::Gone(Box::new(Gone {
            ending,
            loss: Loss {
                class,
                message: message.clone(),
                running: Ending::Errored(class),
            },
            message,
        })))
    }

    pub(super) async fn attach(
        &self,
        disk: DiskIx,
        step: &Step,
        limit: Limit,
    ) -> Result<StepOutcome, Broken> {
        let attach = self.execution.guest.attach(&self.execution.plan, disk);
        let attached = self.within(limit.deadline, attach).await?;
        self.changed(
            "attached",
            disk,
            attached.map(|done| done.map(|_| ())),
            step,
            limit,
        )
    }

    pub(super) async fn detach(
        &self,
        disk: DiskIx,
        how: DetachMode,
        step: &Step,
        limit: Limit,
    ) -> Result<StepOutcome, Broken> {
        let detach = self.execution.guest.detach(disk, how);
        let detached = self.within(limit.deadline, detach).await?;
        self.changed("detached", disk, detached, step, limit)
    }

    fn changed(
        &self,
        what: &str,
        disk: DiskIx,
        changed: Option<Result<(), ControlError>>,
        step: &Step,
        limit: Limit,
    ) -> Result<StepOutcome, Broken> {
        let name = &self.execution.plan.disks[disk].name;
        match changed {
            Some(Ok(())) => Ok(StepOutcome::Passed),
            Some(Err(error)) => {
                let what = format!("The disk `{name}` could not be {what}");
                Err(refused(&error, &what, step))
            }
            None => Err(late(
                limit,
                &format!("The disk `{name}` to be {what}"),
                step,
            )),
        }
    }

    /// The deadline of what is asked of the provider in passing.
    pub(super) fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }
}

/// The provider would not do something; the machine is as it was.
pub(super) fn refused(error: &ControlError, what: &str, step: &Step) -> Broken {
    Broken::Errored {
        class: FailureClass::Provider,
        message: format!("{what}: {}{}", error.message, judge::at(step)),
    }
}
