//! Steps that judge whether others are done: `let … else`, `assume`, `when`, `for`; and what a test has to
//! say: `note`; and what its machine has: `console contains`.

use dva_plan::expr::{ExprIx, Node};
use dva_plan::plan::Capability;
use dva_plan::step::{Missing, Otherwise, StepKind};
use dva_plan::value::Type;

use crate::diagnostic::Code;
use crate::span::Span;
use crate::syntax::ast::{self, Command, Expr, ExprKind, Prose};
use crate::types::scope::Scope;
use crate::types::step::Progress;
use crate::types::{Checker, a_type};

/// How deep branches and loops may stand in one another: a plan's own depth is limited.
const MAX_BLOCKS: usize = 8;

impl Checker<'_, '_> {
    /// Reports a branch or loop that stands in too many others; those in it are not reported as well.
    fn is_not_too_deep(&mut self, span: Span, typed: &mut Progress) {
        // The steps of the test itself are the first that are open.
        if self.open_blocks.len() == MAX_BLOCKS + 1 {
            typed.is_complete = false;
            let text = format!("{MAX_BLOCKS} branches and loops are open before this one");
            let help = "Join conditions with `and`, or make another test of the inner steps.";
            self.report(Code::P0106, span, text, help);
        }
    }

    /// `let NAME = VALUE else …`; it is the value number `at` of its test.
    pub(crate) fn named_value(
        &mut self,
        at: usize,
        value: &Expr,
        otherwise: Option<&ast::Otherwise>,
        in_finally: bool,
    ) -> Option<StepKind> {
        let Scope::Step { test, .. } = self.scope else {
            return None;
        };
        if matches!(value.kind, ExprKind::Command(_))
            && self.lets[test][at].r#type != Some(Type::Regex)
        {
            let help = "Write `run` before the command: ``let x: string = run `…` ``. A text stands in double \
                        quotes.";
            let text = "nothing says what to do with it";
            self.report(Code::P0114, value.span, text, help);
            return None;
        }
        let before = self.looked_up;
        self.may_miss = otherwise.is_some();
        let declared = self.lets[test][at].r#type.clone();
        let operand = self.expression(value, declared.as_ref());
        self.may_miss = false;
        let looked_up = self.looked_up > before;
        let otherwise = otherwise.map(|otherwise| {
            if operand.is_some() && !looked_up {
                let help = "`else` says what is done where a table has no entry. Remove it.";
                let text = "nothing can be missing here";
                self.report(Code::P0333, otherwise.why.span, text, help);
                return None;
            }
            if in_finally {
                self.judges_in_finally(otherwise.why.span);
                return None;
            }
            Some(Otherwise {
                how: match otherwise.how {
                    ast::Missing::Skip => Missing::Skip,
                    ast::Missing::Fail => Missing::Fail,
                },
                message: self.prose(&otherwise.why)?,
            })
        });
        let operand = operand?;
        match declared {
            Some(declared) if declared != operand.r#type => {
                let text = format!("this is {}", a_type(&operand.r#type));
                let help = format!("The value is declared as {}.", a_type(&declared));
                self.report(Code::P0301, value.span, text, help);
                return None;
            }
            Some(_) => {}
            // A type that was reported stays unknown.
            None if self.lets[test][at].is_written => return None,
            None => self.lets[test][at].r#type = Some(operand.r#type),
        }
        Some(StepKind::Let {
            slot: self.lets[test][at].slot,
            value: operand.expr,
            otherwise: match otherwise {
                None => None,
                Some(otherwise) => Some(otherwise?),
            },
        })
    }

    /// `assume CONDITION because TEXT`
    pub(crate) fn assume(
        &mut self,
        condition: &Expr,
        because: &Prose,
        in_finally: bool,
    ) -> Option<StepKind> {
        let expr = self.condition_in(condition, "`assume`");
        let because = self.prose(because);
        if in_finally {
            self.judges_in_finally(condition.span);
            return None;
        }
        Some(StepKind::Assume {
            condition: expr?,
            because: because?,
        })
    }

    fn judges_in_finally(&mut self, span: Span) {
        let help =
            "`finally` runs behind the verdict, whatever it is. Judge among the steps of the test.";
        self.report(Code::P0334, span, "a test is not skipped from here", help);
    }

    /// `note TEXT`
    pub(crate) fn note(&mut self, text: &Prose) -> Option<StepKind> {
        self.prose(text).map(StepKind::Note)
    }

    /// `console contains PATTERN`
    pub(crate) fn console(&mut self, pattern: &Command) -> Option<StepKind> {
        self.course.needs.insert(Capability::Console);
        let text = self.plain_text(pattern)?;
        match regex::Regex::new(&text) {
            Ok(_) => Some(StepKind::Console(text)),
            Err(error) => {
                self.report_regex(&error, pattern.span);
                None
            }
        }
    }

    /// `when CONDITION { … } else { … }`
    pub(crate) fn when(
        &mut self,
        condition: &Expr,
        branches: [&[ast::Step]; 2],
        within_ms: u64,
        typed: &mut Progress,
    ) -> Option<StepKind> {
        self.is_not_too_deep(condition.span, typed);
        let expr = self.condition_in(condition, "`when`");
        if let Some(expr) = expr
            && !self.is_of_the_cell(expr)
        {
            let text = "this is known only once the test runs";
            let help = "A branch is chosen by the cell: its image, region, instance and axes. Where a machine \
                        turns out not to be as the test needs it, write `assume … because \"…\"`.";
            self.report(Code::P0331, condition.span, text, help);
            typed.is_complete = false;
        }
        let before = self.course.clone();
        let then = self.block(branches[0], within_ms, typed);
        let after_then = std::mem::replace(&mut self.course, before);
        let otherwise = self.block(branches[1], within_ms, typed);
        self.course.either(&after_then);
        Some(StepKind::When {
            condition: expr?,
            then,
            otherwise,
        })
    }

    /// Whether the value of an expression is known before a test runs.
    fn is_of_the_cell(&self, expr: ExprIx) -> bool {
        let node = self.nodes.node(expr);
        !matches!(
            node,
            Node::Slot(_)
                | Node::Other { .. }
                | Node::Exit
                | Node::Stdout
                | Node::Stderr
                | Node::Disk { .. }
        ) && node
            .children()
            .into_iter()
            .all(|child| self.is_of_the_cell(child))
    }

    /// `for NAME in LIST { … }`
    pub(crate) fn each(
        &mut self,
        list: &Expr,
        steps: &[ast::Step],
        within_ms: u64,
        typed: &mut Progress,
    ) -> Option<StepKind> {
        let Scope::Step { test, .. } = self.scope else {
            return None;
        };
        self.is_not_too_deep(list.span, typed);
        let operand = self.expression(list, None);
        let of = match operand.as_ref().map(|operand| &operand.r#type) {
            Some(Type::List(of)) => Some((**of).clone()),
            Some(other) => {
                let text = format!("this is {}, `for` wants a list", a_type(other));
                let help =
                    "Write `for x in [a, b] { … }`, or name a list that was captured or looked up.";
                self.report(Code::P0301, list.span, text, help);
                None
            }
            None => None,
        };
        let before = self.course.clone();
        let at = typed.count;
        let inside = typed.enter();
        typed.count += 1;
        self.lets[test][at].r#type.clone_from(&of);
        let steps = self.block_entered(inside, steps, within_ms, typed);
        // There may be no values at all.
        self.course.either(&before);
        of?;
        Some(StepKind::For {
            slot: self.lets[test][at].slot,
            list: operand?.expr,
            steps,
        })
    }
}
