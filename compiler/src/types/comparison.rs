//! Operators that give a condition: comparisons, membership, looking into texts and lists.

use dva_plan::expr::{Comparison, ExprIx, Node};
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind};
use crate::types::expression::{Sides, without_patterns};
use crate::types::fold::fold;
use crate::types::{Checker, Operand, a_type};

impl Checker<'_, '_> {
    /// Reports `a < b < c`.
    fn refuse_chain(&mut self, sides: Sides<'_>) -> Option<()> {
        for side in [sides.left, sides.right] {
            if let ExprKind::Binary {
                operator,
                operator_span,
                ..
            } = &side.kind
                && is_comparison(*operator)
            {
                self.bag.push(
                    Diagnostic::new(Code::P0307, sides.operator_span, "a second comparison")
                        .and(*operator_span, "the first one")
                        .help("Write `a < b and b < c`, or `b in 1GiB..2GiB`, where both ends belong to it."),
                );
                return None;
            }
        }
        Some(())
    }

    pub(crate) fn comparison(&mut self, sides: Sides<'_>, how: Comparison) -> Option<Operand> {
        self.refuse_chain(sides)?;
        let is_equality = matches!(how, Comparison::Equal | Comparison::NotEqual);
        let right = match is_equality {
            true => without_patterns(sides.right),
            false => std::borrow::Cow::Borrowed(sides.right),
        };
        let (left, right) = self.both(sides.left, &right)?;
        let by_text = matches!(
            (&left.r#type, &right.r#type),
            (Type::String, Type::Name(_)) | (Type::Name(_), Type::String)
        );
        let are_alike = left.r#type == right.r#type || (by_text && is_equality);
        if !are_alike {
            self.unlike(sides, &left.r#type, &right.r#type);
            return None;
        }
        if !is_equality && !left.r#type.is_ordered() {
            let text = format!("{} has no order", a_type(&left.r#type));
            self.report(
                Code::P0308,
                sides.operator_span,
                text,
                "Compare with `==` or `!=`.",
            );
            return None;
        }
        let (left, right) = (left.expr, right.expr);
        self.node(Node::Compare { how, left, right }, Type::Bool, sides.span)
    }

    /// Reports two sides of unlike types.
    pub(crate) fn unlike(&mut self, sides: Sides<'_>, left: &Type, right: &Type) {
        let help = match (left, right) {
            (Type::String, Type::Int) | (Type::Int, Type::String)
                if [sides.left, sides.right]
                    .iter()
                    .any(|side| matches!(side.kind, ExprKind::Text(_))) =>
            {
                "Write the number without quotes."
            }
            (Type::String, Type::Int) | (Type::Int, Type::String) => {
                "Put the number in quotes to compare texts, or capture an int: `let n: int = run …`."
            }
            (Type::Bytes, Type::Int) | (Type::Int, Type::Bytes) => {
                "A size has a unit, for example `4GiB`."
            }
            (Type::Ms, Type::Int) | (Type::Int, Type::Ms) => {
                "A duration has a unit, for example `90s`."
            }
            (Type::Ratio, _) | (_, Type::Ratio) => {
                "A percentage is one of something: `90% of instance.memory`."
            }
            _ => "Only values of one type compare.",
        };
        self.bag.push(
            Diagnostic::new(
                Code::P0302,
                sides.operator_span,
                format!("{} and {}", a_type(left), a_type(right)),
            )
            .and(sides.left.span, a_type(left))
            .and(sides.right.span, a_type(right))
            .help(help),
        );
    }

    /// `VALUE in LIST`, `VALUE in FROM..TO` and `VERSION in 8.*`.
    pub(crate) fn membership(&mut self, sides: Sides<'_>) -> Option<Operand> {
        if matches!(&sides.right.kind, ExprKind::Version(text) if text.ends_with(".*")) {
            return self.comparison(sides, Comparison::Equal);
        }
        self.refuse_chain(sides)?;
        if let ExprKind::Binary {
            operator: BinaryOperator::Range,
            left: from,
            right: to,
            ..
        } = &sides.right.kind
        {
            return self.range(sides, from, to);
        }
        let listed = without_patterns(sides.right);
        let (value, list) = if self.takes_type_from_other(sides.left) {
            let list = self.expression(&listed, None)?;
            let of = match &list.r#type {
                Type::List(of) => Some((**of).clone()),
                _ => None,
            };
            (self.expression(sides.left, of.as_ref())?, list)
        } else {
            let value = self.expression(sides.left, None)?;
            let wanted = Type::List(Box::new(value.r#type.clone()));
            let list = self.expression(&listed, Some(&wanted))?;
            (value, list)
        };
        let Type::List(of) = &list.r#type else {
            let text = format!(
                "this is {}, `in` wants a list or a range",
                a_type(&list.r#type)
            );
            let help = "Write `x in [a, b]` or `x in 4GiB..16GiB`.";
            self.report(Code::P0301, sides.right.span, text, help);
            return None;
        };
        let by_text = matches!(
            (&value.r#type, &**of),
            (Type::String, Type::Name(_)) | (Type::Name(_), Type::String)
        );
        if value.r#type != **of && !by_text {
            self.unlike(sides, &value.r#type, of);
            return None;
        }
        if self.is_empty_list(list.expr) {
            self.report(
                Code::P0315,
                sides.right.span,
                "nothing is in a list of nothing",
                "Put values into the list.",
            );
            return None;
        }
        let (value, list) = (value.expr, list.expr);
        self.node(Node::In { value, list }, Type::Bool, sides.span)
    }

    fn range(&mut self, sides: Sides<'_>, from: &Expr, to: &Expr) -> Option<Operand> {
        let value = self.expression(sides.left, None)?;
        let from_side = self.expression(from, Some(&value.r#type));
        let to_side = self.expression(to, Some(&value.r#type));
        let (from_side, to_side) = (from_side?, to_side?);
        for side in [&from_side, &to_side] {
            if side.r#type != value.r#type {
                self.unlike(sides, &value.r#type, &side.r#type);
                return None;
            }
        }
        if !value.r#type.is_ordered() {
            let text = format!("{} has no order", a_type(&value.r#type));
            self.report(
                Code::P0308,
                sides.operator_span,
                text,
                "List the values: `x in [a, b]`.",
            );
            return None;
        }
        let (x, from, to) = (value.expr, from_side.expr, to_side.expr);
        let ends = Node::Compare {
            how: Comparison::AtMost,
            left: from,
            right: to,
        };
        if let Ok(ends) = fold(self.nodes, ends)
            && *self.nodes.node(ends) == Node::Const(Value::Bool(false))
        {
            let help = "A range goes from the smaller to the larger value.";
            self.report(
                Code::P0315,
                sides.right.span,
                "nothing lies in this range",
                help,
            );
            return None;
        }
        let above = self.node(
            Node::Compare {
                how: Comparison::AtLeast,
                left: x,
                right: from,
            },
            Type::Bool,
            sides.span,
        )?;
        let mut below = self.node(
            Node::Compare {
                how: Comparison::AtMost,
                left: x,
                right: to,
            },
            Type::Bool,
            sides.span,
        )?;
        if value.r#type == Type::Version {
            // 7.4.1 is a 7.4, so it belongs to a range that ends with that.
            let how = Comparison::Equal;
            let (left, right) = (x, to);
            let same = Node::Compare { how, left, right };
            let same = self.node(same, Type::Bool, sides.span)?;
            below = self.node(Node::Or(below.expr, same.expr), Type::Bool, sides.span)?;
        }
        self.node(Node::And(above.expr, below.expr), Type::Bool, sides.span)
    }

    pub(crate) fn has(&mut self, sides: Sides<'_>) -> Option<Operand> {
        self.refuse_chain(sides)?;
        let whole = self.expression(sides.left, None)?;
        let wanted = match &whole.r#type {
            Type::List(of) => (**of).clone(),
            Type::String => Type::String,
            other => {
                let text = format!("this is {}, `has` wants a list or a text", a_type(other));
                self.report(
                    Code::P0308,
                    sides.left.span,
                    text,
                    "Write `list has value` or `text has \"part\"`.",
                );
                return None;
            }
        };
        let part = self.expression(sides.right, Some(&wanted))?;
        if part.r#type != wanted {
            self.unlike(sides, &whole.r#type, &part.r#type);
            return None;
        }
        let (whole, part) = (whole.expr, part.expr);
        self.node(Node::Has { whole, part }, Type::Bool, sides.span)
    }

    pub(crate) fn has_all(&mut self, sides: Sides<'_>) -> Option<Operand> {
        self.refuse_chain(sides)?;
        let (whole, parts) = self.lists(sides, "has all", None)?;
        if self.is_empty_list(parts.expr) {
            let help = "Every list has all of nothing. Put the values in that it must have.";
            self.report(
                Code::P0314,
                sides.right.span,
                "there is nothing that it must have",
                help,
            );
        }
        let (whole, parts) = (whole.expr, parts.expr);
        self.node(Node::HasAll { whole, parts }, Type::Bool, sides.span)
    }

    pub(crate) fn has_none(&mut self, sides: Sides<'_>) -> Option<Operand> {
        self.refuse_chain(sides)?;
        let (whole, parts) = self.lists(sides, "has none", None)?;
        if self.is_empty_list(parts.expr) {
            let help = "Every list has none of nothing. Put the values in that it must not have.";
            self.report(
                Code::P0314,
                sides.right.span,
                "there is nothing that it must not have",
                help,
            );
        }
        let (whole, parts) = (whole.expr, parts.expr);
        self.node(Node::HasNone { whole, parts }, Type::Bool, sides.span)
    }

    fn is_empty_list(&self, expr: ExprIx) -> bool {
        matches!(self.nodes.node(expr), Node::Const(Value::List(items)) if items.is_empty())
    }

    pub(crate) fn matches(&mut self, sides: Sides<'_>) -> Option<Operand> {
        self.refuse_chain(sides)?;
        let text = self.expression(sides.left, None);
        let regex = self.expression(sides.right, Some(&Type::Regex));
        if regex
            .as_ref()
            .is_some_and(|regex| regex.r#type != Type::Regex)
        {
            {
                let help = "Write it down in backticks: ``stdout matches `^ID=rhel$` ``.";
                self.report(
                    Code::P0301,
                    sides.right.span,
                    "`matches` wants a regular expression",
                    help,
                );
            }
            return None;
        }
        let (text, regex) = (text?, regex?);
        if !matches!(text.r#type, Type::String | Type::Name(_) | Type::Version) {
            let label = format!(
                "this is {}, `matches` looks into text",
                a_type(&text.r#type)
            );
            self.report(
                Code::P0308,
                sides.left.span,
                label,
                "Compare it with `==` or `<`.",
            );
            return None;
        }
        let (text, regex) = (text.expr, regex.expr);
        self.node(Node::Matches { text, regex }, Type::Bool, sides.span)
    }
}

fn is_comparison(operator: BinaryOperator) -> bool {
    match operator {
        BinaryOperator::Equal
        | BinaryOperator::NotEqual
        | BinaryOperator::Less
        | BinaryOperator::AtMost
        | BinaryOperator::Greater
        | BinaryOperator::AtLeast
        | BinaryOperator::In
        | BinaryOperator::Has
        | BinaryOperator::HasAll
        | BinaryOperator::HasNone
        | BinaryOperator::Matches => true,
        BinaryOperator::Or
        | BinaryOperator::And
        | BinaryOperator::Range
        | BinaryOperator::Add
        | BinaryOperator::Without
        | BinaryOperator::Multiply
        | BinaryOperator::Of => false,
    }
}
