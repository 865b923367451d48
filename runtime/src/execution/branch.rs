//! Steps that hold others: branches and loops. What stands in one is reported behind it, one deeper.

use std::pin::Pin;

use dva_plan::Value;
use dva_plan::eval::{EvalFault, eval};
use dva_plan::expr::ExprIx;
use dva_plan::report::StepOutcome;
use dva_plan::step::{SlotIx, Step};
use tokio::time::Instant;

use super::facts::StepFacts;
use super::{Broken, Frame, Runner, SlotValue, commands_in, judge, step_report};
use crate::excerpt::{escape, shorten};

/// The most characters of a value in a label.
const IN_LABEL: usize = 80;

impl Runner {
    /// Carries out `steps` up to the first that does not hold.
    ///
    /// Boxed, since a step may hold steps.
    pub(super) fn block<'r>(
        &'r mut self,
        steps: &'r [Step],
        frame: Frame,
    ) -> Pin<Box<dyn Future<Output = Option<Broken>> + Send + 'r>> {
        Box::pin(async move {
            for step in steps {
                let broken = self.step(step, frame).await;
                if broken.is_some() {
                    return broken;
                }
            }
            None
        })
    }

    /// One of two branches.
    pub(super) async fn when(
        &mut self,
        condition: ExprIx,
        [then, otherwise]: [&[Step]; 2],
        step: &Step,
        frame: Frame,
    ) -> Option<Broken> {
        let started = Instant::now();
        let at = self.open(step, frame);
        // Commands have their numbers whichever branch is taken.
        let first = self.commands;
        let (of_then, of_both) = (
            commands_in(then),
            commands_in(then) + commands_in(otherwise),
        );
        let facts = StepFacts::new(&self.execution, &self.slots, None);
        let chosen = eval(&self.execution.plan.expressions, condition, &facts);
        let broken = match chosen {
            Ok(Value::Bool(holds)) => {
                let (label, steps) = if holds {
                    ("then", then)
                } else {
                    ("else", otherwise)
                };
                self.reports[at].label = label.to_owned();
                if !holds {
                    self.commands = first + of_then;
                }
                self.block(steps, frame.inside()).await
            }
            other => {
                let fault = other.err().unwrap_or(EvalFault::Ill);
                Some(judge::fault(&fault, "Its branch cannot be chosen", step))
            }
        };
        self.commands = first + of_both;
        self.close(at, started, broken.as_ref());
        broken
    }

    /// The steps of a loop, for each value of its list.
    pub(super) async fn each(
        &mut self,
        slot: SlotIx,
        list: ExprIx,
        steps: &[Step],
        step: &Step,
        frame: Frame,
    ) -> Option<Broken> {
        let first = self.commands;
        let facts = StepFacts::new(&self.execution, &self.slots, None);
        let items = eval(&self.execution.plan.expressions, list, &facts);
        let is_unknown = items == Err(EvalFault::Missing) && facts.asked_the_unknown();
        let items = match items {
            Ok(Value::List(items)) => items,
            // What only a simulator does not know has no values.
            Err(EvalFault::Missing) if is_unknown => Vec::new(),
            other => {
                let started = Instant::now();
                let at = self.open(step, frame);
                let fault = other.err().unwrap_or(EvalFault::Ill);
                let broken = judge::fault(&fault, "Its list cannot be made", step);
                self.close(at, started, Some(&broken));
                return Some(broken);
            }
        };
        if items.is_empty() {
            let at = self.open(step, frame);
            self.reports[at].label = "no values".to_owned();
            if is_unknown {
                self.reports[at].outcome = StepOutcome::Assumed;
            }
        }
        let name = self.execution.plan.tests[self.execution.test].slots[slot]
            .name
            .clone();
        let mut failed = None;
        for item in items {
            let started = Instant::now();
            let at = self.open(step, frame);
            let label = shorten(&escape(item.to_string().as_bytes()), IN_LABEL);
            let label = format!("{name} = {label}");
            self.reports[at].label.clone_from(&label);
            self.slots.insert(slot, SlotValue::Known(item));
            self.commands = first;
            let broken = self.block(steps, frame.inside()).await;
            self.close(at, started, broken.as_ref());
            match broken {
                None => {}
                Some(Broken::Failed { class, message }) => {
                    self.reports[at].message.clone_from(&message);
                    // Every other value would fail in the same way.
                    let is_over = frame
                        .limit
                        .is_some_and(|limit| limit.deadline <= Instant::now());
                    failed.get_or_insert(Broken::Failed {
                        class,
                        message: format!("With {label}: {message}"),
                    });
                    if is_over {
                        break;
                    }
                }
                Some(skipped @ Broken::Skipped { .. }) => {
                    failed.get_or_insert(skipped);
                    break;
                }
                Some(end @ (Broken::Errored { .. } | Broken::Cut(_) | Broken::Gone(_))) => {
                    return Some(end);
                }
            }
        }
        self.commands = first + commands_in(steps);
        failed
    }

    /// Begins the report of a step that others stand in, and says where it is.
    fn open(&mut self, step: &Step, frame: Frame) -> usize {
        self.reports.push(step_report(step, frame));
        self.reports.len() - 1
    }

    fn close(&mut self, at: usize, started: Instant, broken: Option<&Broken>) {
        let report = &mut self.reports[at];
        report.duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        if let Some(broken) = broken {
            report.outcome = broken.outcome();
        }
    }
}
