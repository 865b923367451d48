//! What plans say of their runs: limits and waivers; and their setups, which are steps like those of tests.

use dva_plan::date::Day;
use dva_plan::expr::{ExprIx, Node};
use dva_plan::money::Money;
use dva_plan::plan::{Limits, TestIx};
use dva_plan::policy::MAX_RETRIES;
use dva_plan::value::{Type, Value};

use crate::diagnostic::Code;
use crate::hir::{LimitOf, Plan, Waiver};
use crate::syntax::ast::{self, ExprKind};
use crate::types::lets::OUTERMOST;
use crate::types::machine::{Course, with_inner};
use crate::types::scope::Scope;
use crate::types::step::{DEFAULT_WITHIN_MS, Progress};
use crate::types::{Checker, TypedTest, Uses};

/// What a plan says of its runs.
#[derive(Debug, Default)]
pub struct TypedPolicy {
    /// Its limits.
    pub limits: Limits,
    /// Its waivers, in order; `None` where something of one was reported.
    pub waivers: Vec<Option<TypedWaiver>>,
}

/// Failures that do not count.
#[derive(Debug)]
pub struct TypedWaiver {
    /// In which cells.
    pub condition: Option<ExprIx>,
    /// What the condition needs of the matrices.
    pub uses: Uses,
    /// Why.
    pub because: String,
    /// The last day.
    pub until: Option<String>,
}

impl Checker<'_, '_> {
    pub(crate) fn policy(&mut self, plan: &Plan<'_>) -> TypedPolicy {
        self.scope = Scope::Constant;
        let mut limits = Limits::default();
        for (of, limit) in &plan.policy.limits {
            let value = &limit.value;
            match of {
                LimitOf::Cost => limits.cost_nano_usd = self.most_cost(value),
                LimitOf::Elapsed => limits.elapsed_ms = self.duration(value, "a limit"),
                LimitOf::Machines => limits.machines = self.most_machines(value),
            }
        }
        let waivers = plan.policy.waivers.iter();
        let waivers = waivers.map(|waiver| self.waiver(waiver)).collect();
        TypedPolicy { limits, waivers }
    }

    fn most_cost(&mut self, value: &ast::Expr) -> Option<Money> {
        let help = "what a run costs is money, for example `$5.00`";
        match self.constant(value, &Type::NanoUsd, help)? {
            Value::NanoUsd(nano_usd) => Some(Money::from_nano_usd(nano_usd)),
            _ => None,
        }
    }

    fn most_machines(&mut self, value: &ast::Expr) -> Option<u32> {
        let help = "machines are counted, for example `20`";
        let Value::Int(count) = self.constant(value, &Type::Int, help)? else {
            return None;
        };
        let machines = u32::try_from(count).ok().filter(|count| *count > 0);
        if machines.is_none() {
            let help = format!("There may be from 1 to {} machines at once.", u32::MAX);
            self.report(Code::P0305, value.span, "not so many machines", help);
        }
        machines
    }

    fn waiver(&mut self, waiver: &Waiver<'_>) -> Option<TypedWaiver> {
        let written = waiver.written;
        self.scope = Scope::Matrix;
        self.uses = Uses::default();
        let condition = written.condition.as_ref();
        let condition = condition.map(|condition| {
            let expr = self.condition_in(condition, "`waive`")?;
            self.report_constant(expr, condition.span, "the condition")?;
            Some(expr)
        });
        let uses = std::mem::take(&mut self.uses);
        let because = self.because(&written.because);
        let until = written.until.as_ref().map(|until| self.last_day(until));
        Some(TypedWaiver {
            condition: said(condition)?,
            uses,
            because: because?,
            until: said(until)?,
        })
    }

    /// Why: a text that is known when the plan is made.
    fn because(&mut self, because: &ast::Prose) -> Option<String> {
        self.scope = Scope::Constant;
        let text = self.prose(because)?;
        let Node::Const(Value::String(text)) = self.nodes.node(text) else {
            let text = "this is not known when the plan is made";
            let help = "A reason stands in the report as it is written here.";
            self.report(Code::P0316, because.span, text, help);
            return None;
        };
        let whole = text.clone();
        if whole.trim().is_empty() {
            let text = "no reason at all";
            let help = "Say what is known of the failure, for example `because \"BZ 1234567\"`.";
            self.report(Code::P0740, because.span, text, help);
            return None;
        }
        Some(whole)
    }

    fn last_day(&mut self, until: &ast::Expr) -> Option<String> {
        let text = match &until.kind {
            ExprKind::Error => return None,
            ExprKind::Date(text) if Day::parse(text).is_some() => return Some(text.clone()),
            ExprKind::Date(_) => "the calendar has no such day",
            _ => "this is no day",
        };
        let help = "A day is written year, month, day: `until 2027-01-31`. It is the last one on \
                    which the waiver holds.";
        self.report(Code::P0737, until.span, text, help);
        None
    }

    /// How many further attempts a test may have.
    pub(crate) fn retries(&mut self, times: &ast::Expr) -> Option<u32> {
        let help = "`retry` says how many more attempts there may be, for example `retry 2`";
        let Value::Int(count) = self.constant(times, &Type::Int, help)? else {
            return None;
        };
        let count_fits = u32::try_from(count).ok();
        let retries = count_fits.filter(|count| (1..=MAX_RETRIES).contains(count));
        if retries.is_none() {
            let help = format!(
                "There may be from 1 to {MAX_RETRIES} more attempts, each on a fresh machine."
            );
            self.report(Code::P0305, times.span, "not so many attempts", help);
        }
        retries
    }

    /// The steps of a plan's setup, which has its row among the tests.
    pub(crate) fn setup(&mut self, setup: TestIx) -> TypedTest {
        let hir = self.hir;
        let row = &hir.tests[setup];
        self.uses = Uses::default();
        self.course = Course::default();
        if row.steps.is_empty() {
            let text = "it has no steps";
            let help = "Write what every machine needs before its first test, or remove it.";
            self.report(Code::P0738, row.head, text, help);
        }
        let mut typed = Progress::begin();
        self.open_blocks = vec![OUTERMOST];
        let mut fit = true;
        for step in with_inner(row.steps.iter().copied()) {
            let what = match &step.kind {
                ast::StepKind::Attach(_) | ast::StepKind::Detach { .. } => {
                    "disks belong to the tests that use them"
                }
                ast::StepKind::Collect(_) => "there is no test that could keep the file",
                ast::StepKind::Assume { .. } => "there is no test that could be skipped",
                ast::StepKind::Let {
                    value:
                        ast::Bound::Value {
                            otherwise: Some(otherwise),
                            ..
                        },
                    ..
                } if otherwise.how == ast::Missing::Skip => {
                    "there is no test that could be skipped"
                }
                _ => continue,
            };
            let help = "A setup prepares the machine. Move this step into a test that the others \
                        are `after`.";
            self.report(Code::P0738, step.span, what, help);
            fit = false;
        }
        if !fit {
            return TypedTest::default();
        }
        let steps = self.steps(setup, &row.steps, u64::MAX, &mut typed);
        self.machine_is_started();
        let uses = std::mem::take(&mut self.uses);
        if let Some(span) = uses.disks.values().chain(uses.moved.values()).next() {
            let text = "a setup has no disks";
            let help = "Disks belong to the tests that use them. Move this step into one.";
            self.report(Code::P0738, *span, text, help);
            typed.is_complete = false;
        }
        let limits = steps.iter().filter_map(|step| step.within_ms);
        let all_limits = limits.fold(0_u64, u64::saturating_add);
        TypedTest {
            within_ms: all_limits.max(DEFAULT_WITHIN_MS),
            takes_ms: None,
            retry: 0,
            slots: self.slots(setup),
            steps,
            finally: Vec::new(),
            is_complete: typed.is_complete,
            needs: std::mem::take(&mut self.course).needs,
            requires: Vec::new(),
            uses,
            applies: None,
        }
    }
}

/// What was said, or that nothing was; `None` where what was said is wrong.
fn said<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    value.map_or(Some(None), |value| value.map(Some))
}
