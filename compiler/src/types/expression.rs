//! Operators: what they take, what they give, and what of it is known already.
//!
//! The side of an operator that says its type is read first, so that the other one, a bare word or a
//! number, can be read as one of that type.

use std::borrow::Cow;

use dva_plan::eval::EvalFault;
use dva_plan::expr::{Comparison, ExprIx, Node};
use dva_plan::unit::{UnitError, parse_quantity};
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind};
use crate::types::fold::fold;
use crate::types::{Checker, Operand, a_type};

/// The sides of an operator as they are written.
#[derive(Clone, Copy)]
pub(crate) struct Sides<'e> {
    pub(crate) operator: BinaryOperator,
    pub(crate) operator_span: Span,
    pub(crate) left: &'e Expr,
    pub(crate) right: &'e Expr,
    pub(crate) span: Span,
}

impl Checker<'_, '_> {
    /// The meaning of `expr`, where a value of type `expected` is looked for. The type of the result
    /// may be another one, which the caller reports. `None` where something was reported.
    pub(crate) fn expression(&mut self, expr: &Expr, expected: Option<&Type>) -> Option<Operand> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Bool(value) => Some(self.known(Value::Bool(*value), Type::Bool)),
            // `7.4beta` is a number with a unit by its looks.
            ExprKind::Quantity(text)
                if expected == Some(&Type::Version) && is_version_word(text) =>
            {
                Some(self.known(Value::Version(text.clone()), Type::Version))
            }
            ExprKind::Quantity(text) => self.quantity(text, expr.span),
            ExprKind::Number(text) => self.number(text, expr.span, expected),
            ExprKind::Text(text) => self.text(text, expr.span, expected),
            ExprKind::Command(command) => {
                let text = self.plain_text(command)?;
                match expected {
                    Some(Type::Regex) => self.regex(&text, expr.span),
                    _ => self.text(&text, expr.span, expected),
                }
            }
            ExprKind::Path(path) => self.path(path, expected),
            ExprKind::Call { callee, arguments } => self.call(callee, arguments, expr.span),
            ExprKind::Version(text) if text.ends_with(".*") => {
                let text = "this is a pattern, not a version";
                let help = "A pattern stands behind `==`, `!=` and `in`: `image.version == 8.*`.";
                self.report(Code::P0320, expr.span, text, help);
                None
            }
            ExprKind::Version(text) => {
                Some(self.known(Value::Version(text.clone()), Type::Version))
            }
            ExprKind::Date(text) => self.date(text, expr.span, expected),
            ExprKind::Prose(prose) => {
                let expr = self.prose(prose)?;
                let r#type = Type::String;
                Some(Operand { expr, r#type })
            }
            ExprKind::Index { table, key } => self.look_up(table, key, expr.span),
            ExprKind::Entries(_) => {
                let text = "names in a list mean nothing here";
                let help = "They belong to the `ids` and the `owner` of `ami(…)`, by region and by partition. A \
                            list is `[\"a\", \"b\"]`; values by a key are a `table`.";
                self.report(Code::P0210, expr.span, text, help);
                None
            }
            ExprKind::List(items) => self.list(items, expr.span, expected),
            ExprKind::Group(inner) => self.expression(inner, expected),
            ExprKind::Not(inner) => {
                let operand = self.condition_in(inner, "`not`")?;
                self.node(Node::Not(operand), Type::Bool, expr.span)
            }
            ExprKind::Binary {
                operator,
                operator_span,
                left,
                right,
            } => self.binary(
                Sides {
                    operator: *operator,
                    operator_span: *operator_span,
                    left,
                    right,
                    span: expr.span,
                },
                expected,
            ),
        }
    }

    /// A condition: an expression that must be true or false. `user` says whose it is.
    pub(crate) fn condition_in(&mut self, expr: &Expr, user: &str) -> Option<ExprIx> {
        if matches!(expr.kind, ExprKind::Command(_)) {
            let text = format!("a command is no condition, and {user} runs none");
            let help = "Write ``run `…` ``: the test fails unless the command exits with 0.";
            self.report(Code::P0114, expr.span, text, help);
            return None;
        }
        let operand = self.expression(expr, Some(&Type::Bool))?;
        if operand.r#type == Type::Bool {
            return Some(operand.expr);
        }
        let text = format!(
            "this is {}, {user} wants a condition",
            a_type(&operand.r#type)
        );
        let help = match operand.r#type {
            Type::Bytes => "Compare it, for example `> 1GiB`.",
            Type::Ms => "Compare it, for example `< 5min`.",
            Type::Int => "Compare it, for example `== 0`.",
            _ => "Compare it, for example with `==`.",
        };
        self.report(Code::P0301, expr.span, text, help);
        None
    }

    /// Adds `node`, calculated where it can be.
    pub(crate) fn node(&mut self, node: Node, r#type: Type, span: Span) -> Option<Operand> {
        match fold(self.nodes, node) {
            Ok(expr) => Some(Operand { expr, r#type }),
            Err(fault) => {
                let help = match &fault {
                    EvalFault::Unordered { .. } => {
                        "Versions without a number have no order; compare with `==`."
                    }
                    _ => "All of it is known now, and it has no value.",
                };
                self.report(Code::P0313, span, fault.to_string(), help);
                None
            }
        }
    }

    fn binary(&mut self, sides: Sides<'_>, expected: Option<&Type>) -> Option<Operand> {
        match sides.operator {
            BinaryOperator::And | BinaryOperator::Or => self.logic(sides),
            BinaryOperator::Equal => self.comparison(sides, Comparison::Equal),
            BinaryOperator::NotEqual => self.comparison(sides, Comparison::NotEqual),
            BinaryOperator::Less => self.comparison(sides, Comparison::Less),
            BinaryOperator::AtMost => self.comparison(sides, Comparison::AtMost),
            BinaryOperator::Greater => self.comparison(sides, Comparison::Greater),
            BinaryOperator::AtLeast => self.comparison(sides, Comparison::AtLeast),
            BinaryOperator::In => self.membership(sides),
            BinaryOperator::Has => self.has(sides),
            BinaryOperator::HasAll => self.has_all(sides),
            BinaryOperator::HasNone => self.has_none(sides),
            BinaryOperator::Matches => self.matches(sides),
            BinaryOperator::Range => {
                let help =
                    "A range says between what a value lies: `instance.memory in 4GiB..16GiB`.";
                self.report(
                    Code::P0308,
                    sides.span,
                    "a range has a meaning behind `in` only",
                    help,
                );
                None
            }
            BinaryOperator::Add => self.add(sides, expected),
            BinaryOperator::Without => self.without(sides, expected),
            BinaryOperator::Multiply | BinaryOperator::Of => self.multiply(sides),
        }
    }

    fn logic(&mut self, sides: Sides<'_>) -> Option<Operand> {
        let is_and = sides.operator == BinaryOperator::And;
        if let Some(finding) = mixed(
            sides.operator,
            sides.operator_span,
            [sides.left, sides.right],
        ) {
            self.bag.push(finding);
            return None;
        }
        let user = if is_and { "`and`" } else { "`or`" };
        // Both sides are read even where one is wrong: they are separate mistakes.
        let left = self.condition_in(sides.left, user);
        let right = self.condition_in(sides.right, user);
        let (left, right) = (left?, right?);
        let node = if is_and {
            Node::And(left, right)
        } else {
            Node::Or(left, right)
        };
        self.node(node, Type::Bool, sides.span)
    }

    /// Both sides, the one that says its type first.
    pub(crate) fn both(&mut self, left: &Expr, right: &Expr) -> Option<(Operand, Operand)> {
        if self.takes_type_from_other(left) && !self.takes_type_from_other(right) {
            let right = self.expression(right, None);
            let left = self.expression(left, right.as_ref().map(|side| &side.r#type));
            // A side that has no meaning would make the other a second message.
            return Some((left?, right?));
        }
        let left_side = self.expression(left, None)?;
        let right_side = self.expression(right, Some(&left_side.r#type))?;
        Some((left_side, right_side))
    }

    /// Whether `expr` may be of several types: a number, a text, a bare word.
    pub(crate) fn takes_type_from_other(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Number(_) | ExprKind::Text(_) | ExprKind::Command(_) => true,
            ExprKind::Quantity(text) => is_version_word(text),
            ExprKind::Path(path) => self.is_bare_word(path),
            ExprKind::List(items) => items.iter().all(|item| self.takes_type_from_other(item)),
            ExprKind::Group(inner) => self.takes_type_from_other(inner),
            _ => false,
        }
    }
}

/// Whether `text`, a number with letters behind it, may be a version, since the letters are no unit.
fn is_version_word(text: &str) -> bool {
    parse_quantity(text) == Err(UnitError::UnknownUnit) && !text.starts_with('$')
}

/// `expr` with the patterns of versions in it, such as `8.*`, as the versions that they begin with: that is
/// what `==` and `in` compare with, since a version with fewer parts is the beginning of one with more.
pub(crate) fn without_patterns(expr: &Expr) -> Cow<'_, Expr> {
    let kind = match &expr.kind {
        ExprKind::Version(text) => match text.strip_suffix(".*") {
            Some(start) => ExprKind::Version(start.to_owned()),
            None => return Cow::Borrowed(expr),
        },
        ExprKind::Group(inner) => ExprKind::Group(Box::new(without_patterns(inner).into_owned())),
        ExprKind::List(items) => {
            let items = items.iter().map(|item| without_patterns(item).into_owned());
            ExprKind::List(items.collect())
        }
        _ => return Cow::Borrowed(expr),
    };
    let span = expr.span;
    Cow::Owned(Expr { span, kind })
}

/// `and` beside `or` without parentheses, where `operator` is one of them and one of its `sides` the other.
pub(crate) fn mixed(
    operator: BinaryOperator,
    operator_span: Span,
    sides: [&Expr; 2],
) -> Option<Diagnostic> {
    let (this, that, other) = match operator {
        BinaryOperator::And => ("and", "or", BinaryOperator::Or),
        BinaryOperator::Or => ("or", "and", BinaryOperator::And),
        _ => return None,
    };
    sides.into_iter().find_map(|side| match &side.kind {
        ExprKind::Binary {
            operator,
            operator_span: inner,
            ..
        } if *operator == other => Some(
            Diagnostic::new(Code::P0306, operator_span, format!("an `{this}`"))
                .and(*inner, format!("an `{that}`"))
                .help("Say with parentheses which of them comes first: `a and (b or c)`."),
        ),
        _ => None,
    })
}
