//! Operators that give an amount or a list.

use dva_plan::expr::{Node, Operator};
use dva_plan::value::Type;

use crate::diagnostic::Code;
use crate::syntax::ast::BinaryOperator;
use crate::types::expression::Sides;
use crate::types::{Checker, Operand, a_type, plural};

impl Checker<'_, '_> {
    /// Two lists of one type.
    pub(crate) fn lists(
        &mut self,
        sides: Sides<'_>,
        word: &str,
        expected: Option<&Type>,
    ) -> Option<(Operand, Operand)> {
        let whole = self.expression(sides.left, expected)?;
        let parts = self.expression(sides.right, Some(&whole.r#type))?;
        for (side, expr) in [(&whole, sides.left), (&parts, sides.right)] {
            if !matches!(side.r#type, Type::List(_)) {
                let text = format!("this is {}, `{word}` wants lists", a_type(&side.r#type));
                self.report(
                    Code::P0308,
                    expr.span,
                    text,
                    "A list is written `[a, b]`, or captured: `let names: [string] = run …`.",
                );
                return None;
            }
        }
        if whole.r#type != parts.r#type {
            self.unlike(sides, &whole.r#type, &parts.r#type);
            return None;
        }
        Some((whole, parts))
    }

    pub(crate) fn without(&mut self, sides: Sides<'_>, expected: Option<&Type>) -> Option<Operand> {
        let (whole, parts) = self.lists(sides, "without", expected)?;
        let node = Node::Without {
            whole: whole.expr,
            parts: parts.expr,
        };
        self.node(node, whole.r#type, sides.span)
    }

    pub(crate) fn add(&mut self, sides: Sides<'_>, expected: Option<&Type>) -> Option<Operand> {
        let left = self.expression(
            sides.left,
            expected.filter(|_| self.takes_type_from_other(sides.left)),
        )?;
        let right = self.expression(sides.right, Some(&left.r#type))?;
        if left.r#type != right.r#type {
            let text = format!("{} and {}", a_type(&left.r#type), a_type(&right.r#type));
            self.report(
                Code::P0308,
                sides.operator_span,
                text,
                "`+` adds values of one type.",
            );
            return None;
        }
        if !is_amount(&left.r#type) {
            let text = format!("`+` does not add {}", plural(&left.r#type));
            self.report(
                Code::P0308,
                sides.operator_span,
                text,
                "It adds ints, sizes, durations and money.",
            );
            return None;
        }
        let node = Node::Arithmetic {
            how: Operator::Add,
            left: left.expr,
            right: right.expr,
        };
        self.node(node, left.r#type, sides.span)
    }

    /// `A * N`, `N * A`, `P * A`, `A * P` and `P of A`.
    pub(crate) fn multiply(&mut self, sides: Sides<'_>) -> Option<Operand> {
        let left = self.expression(sides.left, None);
        let right = self.expression(sides.right, None);
        let (left, right) = (left?, right?);
        let of = sides.operator == BinaryOperator::Of;
        let (how, a, b, result) = match (&left.r#type, &right.r#type) {
            (Type::Ratio, amount) if is_amount(amount) => (Operator::Share, &left, &right, amount),
            (amount, Type::Ratio) if is_amount(amount) && !of => {
                (Operator::Share, &right, &left, amount)
            }
            (amount, Type::Int) if is_amount(amount) && !of => {
                (Operator::Multiply, &left, &right, amount)
            }
            (Type::Int, amount) if is_amount(amount) && !of => {
                (Operator::Multiply, &right, &left, amount)
            }
            (a, b) => {
                let text = format!("{} and {}", a_type(a), a_type(b));
                let help = if of {
                    "`of` takes a percentage of something: `90% of instance.memory`."
                } else {
                    "`*` multiplies an int, size, duration or money by an int or a percentage."
                };
                self.report(Code::P0308, sides.operator_span, text, help);
                return None;
            }
        };
        let node = Node::Arithmetic {
            how,
            left: a.expr,
            right: b.expr,
        };
        self.node(node, result.clone(), sides.span)
    }
}

fn is_amount(of: &Type) -> bool {
    matches!(of, Type::Int | Type::Bytes | Type::Ms | Type::NanoUsd)
}
