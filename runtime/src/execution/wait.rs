//! Steps that wait: for time to pass, or for something to hold.

use std::collections::BTreeSet;
use std::time::Duration;

use dva_plan::FailureClass;
use dva_plan::expr::{DiskFact, ExprIx, Node};
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::{Step, WaitCondition};
use dva_plan::unit::display_duration;
use tokio::time::{Instant, sleep};

use super::command::{Command, nodes};
use super::machine::refused;
use super::{Broken, Limit, Runner, judge, late};
use crate::excerpt::escape;
use crate::transport::ExecStatus;

impl Runner {
    pub(super) async fn wait(
        &self,
        ms: u64,
        step: &Step,
        limit: Limit,
    ) -> Result<StepOutcome, Broken> {
        let pause = sleep(Duration::from_millis(ms));
        match self.within(limit.deadline, pause).await? {
            Some(()) => Ok(StepOutcome::Passed),
            None => Err(late(limit, "The wait", step)),
        }
    }

    pub(super) async fn wait_until(
        &mut self,
        condition: &WaitCondition,
        every_ms: u64,
        step: &Step,
        limit: Limit,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let number = self.commands;
        if matches!(condition, WaitCondition::Succeeds(_)) {
            self.commands += 1;
        }
        // Only a test's limit is that of more than this step.
        let over = |last: &str| {
            if limit.class == FailureClass::LimitTest {
                return late(limit, "The wait", step);
            }
            Broken::Failed {
                class: FailureClass::Wait,
                message: format!(
                    "What it waits for did not come within {}{last}{}",
                    display_duration(limit.ms),
                    judge::at(step)
                ),
            }
        };
        let mut looks = 0;
        loop {
            looks += 1;
            report.attempts = looks;
            let (held, last) = match condition {
                WaitCondition::Holds(condition) => {
                    self.refresh_disks(*condition, step).await?;
                    match self.judge(*condition, FailureClass::Wait, None, step, report) {
                        Ok(outcome) => (Some(outcome), String::new()),
                        // A value that cannot be computed will not be later.
                        Err(Broken::Failed {
                            class: FailureClass::Wait,
                            ..
                        }) => (None, String::new()),
                        Err(broken) => return Err(broken),
                    }
                }
                WaitCondition::Succeeds(template) => {
                    let text = self.render(template).map_err(|fault| {
                        judge::fault(&fault, "Its command cannot be made", step)
                    })?;
                    report.command = Some(escape(text.as_bytes()));
                    let disks = self.execution.guest.disks();
                    let command = Command {
                        text: &text,
                        number,
                        nodes: &nodes(template, &self.execution.plan.expressions, &disks),
                        user: None,
                        variables: None,
                    };
                    let Some(outcome) = self.exec(&command, limit, step, report).await? else {
                        return Err(over("; its command was stopped"));
                    };
                    match outcome.status {
                        ExecStatus::Exit(0) => (Some(StepOutcome::Passed), String::new()),
                        ExecStatus::Assumed => (Some(StepOutcome::Assumed), String::new()),
                        ExecStatus::Exit(status) => {
                            (None, format!("; its command exits with {status}"))
                        }
                        ExecStatus::Signal(name) => {
                            let name = escape(name.as_bytes());
                            (None, format!("; signal {name} ends its command"))
                        }
                    }
                }
            };
            if let Some(outcome) = held {
                report.operands = None;
                return Ok(outcome);
            }
            let pause = Duration::from_millis(every_ms);
            if Instant::now() + pause >= limit.deadline {
                // It lasts as long as it was allowed to, like everything that waits.
                self.within(limit.deadline, std::future::pending::<()>())
                    .await?;
                return Err(over(&last));
            }
            self.within(limit.deadline, sleep(pause)).await?;
        }
    }

    /// Asks the provider about the disks of which `condition` wants to know whether they are attached.
    pub(super) async fn refresh_disks(&self, condition: ExprIx, step: &Step) -> Result<(), Broken> {
        let nodes = &self.execution.plan.expressions;
        let mut waiting = vec![condition];
        let mut disks = BTreeSet::new();
        while let Some(index) = waiting.pop() {
            let Some(node) = nodes.get(index) else {
                continue;
            };
            if let Node::Disk {
                disk,
                what: DiskFact::Attached,
            } = node
            {
                disks.insert(*disk);
            }
            waiting.extend(node.children());
        }
        if disks.is_empty() {
            return Ok(());
        }
        let what = "The provider does not say whether a disk is attached";
        let refreshed = self
            .within(Self::soon(), self.execution.guest.refresh(&disks))
            .await?;
        match refreshed {
            Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(refused(&error, what, step)),
            None => Err(Broken::Errored {
                class: FailureClass::Provider,
                message: format!("{what}{}", judge::at(step)),
            }),
        }
    }
}
