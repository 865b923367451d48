//! A `run` step: the command with its values, as often as it takes, and what is kept of its output.

use dva_plan::FailureClass;
use dva_plan::eval::eval;
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::{Run, Step, With, WithValue};
use dva_plan::template::plain;
use tokio::time::{Instant, sleep};

use super::command::{Command, nodes};
use super::facts::StepFacts;
use super::{Broken, Limit, Runner, SlotValue, capture, judge, late};
use crate::environment;
use crate::excerpt::{escape, shorten};
use crate::transport::{ExecStatus, STDIN_LIMIT};

/// The most characters of a command in a report.
const COMMAND_IN_REPORT: usize = 16 << 10;
/// The largest captured value in a report, as it prints. All of it is in the output.
const CAPTURED_IN_REPORT: usize = 16 << 10;

impl Runner {
    pub(super) async fn run(
        &mut self,
        run: &Run,
        step: &Step,
        limit: Limit,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let number = self.commands;
        self.commands += 1;
        let text = self
            .render(&run.command)
            .map_err(|fault| judge::fault(&fault, "Its command cannot be made", step))?;
        report.command = Some(shorten(&escape(text.as_bytes()), COMMAND_IN_REPORT));
        let variables = self.variables(&run.with, step)?;
        let disks = self.execution.guest.disks();
        let command = Command {
            text: &text,
            number,
            nodes: &nodes(&run.command, &self.execution.plan.expressions, &disks),
            user: run.user.as_deref(),
            variables: variables.as_deref(),
        };
        let mut retries = run.retry.map_or(0, |retry| retry.times);
        loop {
            let attempt = self.attempt(run, &command, step, limit, report).await;
            let (Err(Broken::Failed { class, .. }), Some(retry)) = (&attempt, run.retry) else {
                return attempt;
            };
            // What failed in another way than its expectation would fail so again.
            let pause = std::time::Duration::from_millis(retry.every_ms);
            let is_late = Instant::now() + pause >= limit.deadline;
            if *class != FailureClass::Expect || retries == 0 || is_late {
                return attempt;
            }
            retries -= 1;
            self.within(limit.deadline, sleep(pause)).await?;
            report.attempts += 1;
            // Of each attempt the report has only what it did itself.
            (report.status, report.operands) = (None, None);
            (report.stdout, report.stderr) = (None, None);
        }
    }

    async fn attempt(
        &mut self,
        run: &Run,
        command: &Command<'_>,
        step: &Step,
        limit: Limit,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let outcome = self.exec(command, limit, step, report).await?;
        let Some(outcome) = outcome else {
            return Err(late(limit, "The command", step));
        };
        let mut assumed = outcome.status == ExecStatus::Assumed;
        if let Some(expect) = run.expect {
            if let ExecStatus::Signal(name) = &outcome.status {
                return Err(judge::killed(name, step));
            }
            let held = self.judge(expect, FailureClass::Expect, Some(&outcome), step, report)?;
            assumed |= held == StepOutcome::Assumed;
        }
        if let Some(wanted) = &run.capture {
            let value = if outcome.status == ExecStatus::Assumed {
                SlotValue::Assumed
            } else {
                let slot = &self.execution.plan.tests[self.execution.test].slots[wanted.slot];
                let value = capture::capture(wanted, &slot.r#type, &outcome)
                    .map_err(|problem| judge::no_capture(&problem, slot, step))?;
                if value.to_string().len() <= CAPTURED_IN_REPORT {
                    report.captured = Some(value.clone());
                }
                SlotValue::Known(value)
            };
            self.slots.insert(wanted.slot, value);
        }
        Ok(if assumed {
            StepOutcome::Assumed
        } else {
            StepOutcome::Passed
        })
    }

    /// What the command is fed to have the variables of `with`.
    fn variables(&self, with: &[With], step: &Step) -> Result<Option<Vec<u8>>, Broken> {
        if with.is_empty() {
            return Ok(None);
        }
        let plan = &self.execution.plan;
        let facts = StepFacts::new(&self.execution, &self.slots, None).with_placeholders();
        let mut values = Vec::new();
        for With { name, value } in with {
            let broken = |why: String| Broken::Failed {
                class: FailureClass::Evaluation,
                message: format!(
                    "Its variable `{name}` cannot be set: {why}{}",
                    judge::at(step)
                ),
            };
            if !environment::is_name(name) {
                return Err(broken("no shell takes such a name".to_owned()));
            }
            let value = match value {
                WithValue::Expr(expr) => eval(&plan.expressions, *expr, &facts)
                    .and_then(|value| plain(&value))
                    .map_err(|fault| broken(fault.to_string()))?,
                WithValue::Secret(secret) => {
                    let bound = plan.secrets.get(*secret);
                    let bound = bound.and_then(|name| self.execution.secrets.value(name));
                    let unbound = || broken("its secret is not bound".to_owned());
                    bound.ok_or_else(unbound)?.to_owned()
                }
            };
            if value.contains('\0') {
                return Err(broken("its value holds a NUL".to_owned()));
            }
            values.push((name.as_str(), value));
        }
        let pairs: Vec<_> = values
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let fed = environment::variables(&pairs);
        if fed.len() > STDIN_LIMIT {
            return Err(Broken::Failed {
                class: FailureClass::Evaluation,
                message: format!(
                    "Its variables have more than {} MiB together{}",
                    STDIN_LIMIT >> 20,
                    judge::at(step)
                ),
            });
        }
        Ok(Some(fed))
    }
}
