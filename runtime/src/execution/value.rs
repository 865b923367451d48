//! Steps that need no machine: values with a name, assumptions and notes. And the console, which says
//! something of its own accord.

use std::time::Duration;

use dva_plan::eval::{EvalFault, eval};
use dva_plan::expr::ExprIx;
use dva_plan::report::{StepOutcome, StepReport};
use dva_plan::step::{Missing, Otherwise, SlotIx, Step};
use dva_plan::unit::display_duration;
use dva_plan::verdict::SkipReason;
use dva_plan::{FailureClass, Value};
use regex::RegexBuilder;
use tokio::time::{Instant, sleep};

use super::facts::StepFacts;
use super::judge::Judged;
use super::machine::refused;
use super::{Broken, Limit, Runner, SlotValue, judge, late};
use crate::excerpt::{escape, shorten};

/// The most characters of a text in a report.
const TEXT_IN_REPORT: usize = 16 << 10;
/// The largest value in a report, as it prints: what was looked up is in the plan.
const NAMED_IN_REPORT: usize = 1 << 10;
/// How often the console is looked at.
const CONSOLE_EVERY: Duration = Duration::from_secs(2);

impl Runner {
    pub(super) fn named_value(
        &mut self,
        slot: SlotIx,
        value: ExprIx,
        otherwise: Option<&Otherwise>,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let facts = StepFacts::new(&self.execution, &self.slots, None);
        let found = eval(&self.execution.plan.expressions, value, &facts);
        let is_unknown = facts.asked_the_unknown();
        match (found, otherwise) {
            (Ok(value), _) => {
                if value.to_string().len() <= NAMED_IN_REPORT {
                    report.captured = Some(value.clone());
                }
                self.slots.insert(slot, SlotValue::Known(value));
                Ok(StepOutcome::Passed)
            }
            (Err(EvalFault::Missing), _) if is_unknown => {
                self.slots.insert(slot, SlotValue::Assumed);
                Ok(StepOutcome::Assumed)
            }
            (Err(EvalFault::NoEntry), Some(Otherwise { how, message })) => {
                let why = self.text(*message);
                report.message.clone_from(&why);
                let message = format!("{why}{}", judge::at(step));
                Err(match how {
                    Missing::Skip => Broken::Skipped {
                        reason: SkipReason::Data,
                        message,
                    },
                    Missing::Fail => Broken::Failed {
                        class: FailureClass::Data,
                        message,
                    },
                })
            }
            (Err(fault), _) => Err(judge::fault(&fault, "Its value cannot be made", step)),
        }
    }

    pub(super) async fn assume(
        &mut self,
        condition: ExprIx,
        because: ExprIx,
        step: &Step,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        self.refresh_disks(condition, step).await?;
        let facts = StepFacts::new(&self.execution, &self.slots, None);
        // The class tells a condition that is false from one that has no value.
        match judge::judge(condition, FailureClass::Check, &facts, step) {
            Judged::Holds => Ok(StepOutcome::Passed),
            Judged::Assumed => Ok(StepOutcome::Assumed),
            Judged::Not {
                class: FailureClass::Check,
                operands,
                message: _,
            } => {
                let why = self.text(because);
                report.operands = operands;
                report.message.clone_from(&why);
                Err(Broken::Skipped {
                    reason: SkipReason::Assumption,
                    message: format!("{why}{}", judge::at(step)),
                })
            }
            Judged::Not {
                class,
                message,
                operands,
            } => {
                report.operands = operands;
                Err(Broken::Failed { class, message })
            }
        }
    }

    pub(super) fn note(&self, text: ExprIx, report: &mut StepReport) -> StepOutcome {
        report.message = self.text(text);
        StepOutcome::Passed
    }

    /// A text for people. It decides nothing, so one that cannot be made says why instead.
    fn text(&self, text: ExprIx) -> String {
        let facts = StepFacts::new(&self.execution, &self.slots, None).with_placeholders();
        let text = match eval(&self.execution.plan.expressions, text, &facts) {
            Ok(Value::String(text)) => text,
            Ok(_) => format!("(its text cannot be made: {})", EvalFault::Ill),
            Err(fault) => format!("(its text cannot be made: {fault})"),
        };
        shorten(&escape(text.as_bytes()), TEXT_IN_REPORT)
    }

    pub(super) async fn console(
        &self,
        pattern: &str,
        step: &Step,
        limit: Limit,
        report: &mut StepReport,
    ) -> Result<StepOutcome, Broken> {
        let guest = &self.execution.guest;
        if guest.link().is_some_and(|link| link.session.assumes()) {
            return Ok(StepOutcome::Assumed);
        }
        let Ok(regex) = RegexBuilder::new(pattern).multi_line(true).build() else {
            let what = "The console cannot be searched";
            return Err(judge::fault(&EvalFault::Ill, what, step));
        };
        let mut looks = 0;
        loop {
            looks += 1;
            report.attempts = looks;
            let said = self.within(limit.deadline, guest.console()).await?;
            match said {
                Some(Ok(said)) => {
                    // A console ends its lines with CR LF.
                    let said = String::from_utf8_lossy(&said).replace('\r', "");
                    if regex.is_match(&said) {
                        return Ok(StepOutcome::Passed);
                    }
                }
                Some(Err(error)) => {
                    return Err(refused(&error, "The console cannot be read", step));
                }
                None => return Err(late(limit, "The console", step)),
            }
            if Instant::now() + CONSOLE_EVERY >= limit.deadline {
                self.within(limit.deadline, std::future::pending::<()>())
                    .await?;
                return Err(if limit.class == FailureClass::LimitTest {
                    late(limit, "The wait for the console", step)
                } else {
                    Broken::Failed {
                        class: FailureClass::Wait,
                        message: format!(
                            "The console did not say it within {}{}",
                            display_duration(limit.ms),
                            judge::at(step)
                        ),
                    }
                });
            }
            self.within(limit.deadline, sleep(CONSOLE_EVERY)).await?;
        }
    }
}
