//! Texts for people with values in them: notes, reasons, and texts that are compared.

use dva_plan::expr::{ExprIx, Node};
use dva_plan::template::spoken;
use dva_plan::unit::Unit;
use dva_plan::value::{Type, Value};

use crate::diagnostic::Code;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{BinaryOperator, Expr, ExprKind, Prose, ProsePiece};
use crate::types::{Checker, a_type};

/// The units that a text can give a number in.
const UNITS: [&str; 14] = [
    "B", "KiB", "MiB", "GiB", "TiB", "kB", "MB", "GB", "TB", "ms", "s", "min", "h", "d",
];

impl Checker<'_, '_> {
    /// A text. `None` where something in it was reported.
    pub(crate) fn prose(&mut self, prose: &Prose) -> Option<ExprIx> {
        let mut parts = Vec::new();
        let mut complete = true;
        for piece in prose.pieces.as_ref()? {
            let part = match piece {
                ProsePiece::Text(text) => Some(self.words(text.clone())),
                ProsePiece::Hole(span, value) => self.value_in_text(*span, value),
            };
            complete &= part.is_some();
            if let Some(part) = part {
                let joined = parts.last().and_then(|last| self.joined(*last, part));
                if joined.is_some() {
                    parts.pop();
                }
                parts.push(joined.unwrap_or(part));
            }
        }
        if !complete {
            return None;
        }
        match *parts {
            [] => Some(self.words(String::new())),
            _ => {
                let joined = self.node(Node::Join(parts), Type::String, prose.span)?;
                Some(joined.expr)
            }
        }
    }

    /// Two parts that are known, as one.
    fn joined(&mut self, left: ExprIx, right: ExprIx) -> Option<ExprIx> {
        let text = |expr: ExprIx| match self.nodes.node(expr) {
            Node::Const(value) => spoken(value).ok(),
            _ => None,
        };
        let text = text(left)? + &text(right)?;
        Some(self.words(text))
    }

    fn words(&mut self, text: String) -> ExprIx {
        self.nodes.add(Node::Const(Value::String(text)))
    }

    fn value_in_text(&mut self, span: Span, value: &Expr) -> Option<ExprIx> {
        if let ExprKind::Binary {
            operator: BinaryOperator::In,
            left,
            right,
            ..
        } = &value.kind
            && let ExprKind::Path(unit) = &right.kind
            && let [unit] = unit.segments.as_slice()
            && (UNITS.contains(&unit.text.as_str()) || self.is_bare_word_name(unit))
        {
            return self.value_in_unit(left, &unit.text, unit.span, value.span);
        }
        let operand = self.expression(value, None)?;
        let words = self.sources.slice(value.span).to_owned();
        let example = |unit: &str| {
            format!(
                "A text says in which unit: `${{{words} in {unit}}}`, which gives the number alone."
            )
        };
        let (code, text, help) = match innermost(&operand.r#type) {
            Type::Bytes if operand.r#type == Type::Bytes => (
                Code::P0312,
                "this is a size without its unit".to_owned(),
                example("MiB"),
            ),
            Type::Ms if operand.r#type == Type::Ms => (
                Code::P0312,
                "this is a duration without its unit".to_owned(),
                example("s"),
            ),
            Type::Bytes | Type::Ms | Type::Record(_) => (
                Code::P0604,
                format!("this is {}, which has no text", a_type(&operand.r#type)),
                "Name one value of it.".to_owned(),
            ),
            _ => return Some(operand.expr),
        };
        self.report(code, span, text, help);
        None
    }

    /// `VALUE in UNIT`
    fn value_in_unit(
        &mut self,
        value: &Expr,
        unit: &str,
        unit_span: Span,
        span: Span,
    ) -> Option<ExprIx> {
        let operand = self.expression(value, None)?;
        if !matches!(operand.r#type, Type::Bytes | Type::Ms) {
            let text = format!("{} has no unit to choose", a_type(&operand.r#type));
            let help = "Only sizes and durations are given in a unit.";
            self.report(Code::P0303, unit_span, text, help);
            return None;
        }
        let named = Unit::named(unit)
            .filter(|unit| matches!(unit, Unit::Size(_)) == (operand.r#type == Type::Bytes));
        let Some(unit) = named else {
            let units = UNITS.iter().copied().filter(|unit| {
                let is_size = matches!(Unit::named(unit), Some(Unit::Size(_)));
                is_size == (operand.r#type == Type::Bytes)
            });
            let units: Vec<_> = units.collect();
            let help = did_you_mean(unit, units.iter().copied())
                .unwrap_or_else(|| format!("There are {}.", listed(units.iter().copied())));
            let text = format!("`{unit}` is no unit of {}", a_type(&operand.r#type));
            self.report(Code::P0303, unit_span, text, help);
            return None;
        };
        let of = operand.expr;
        let node = self.node(Node::InUnit { of, unit }, Type::String, span)?;
        Some(node.expr)
    }
}

/// The type of the values in a list, however deep.
fn innermost(of: &Type) -> &Type {
    match of {
        Type::List(of) => innermost(of),
        other => other,
    }
}
