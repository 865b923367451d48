//! Literals: numbers by the type that is expected, quantities by their unit, texts, regular
//! expressions and lists.

use dva_plan::date::is_date;
use dva_plan::expr::Node;
use dva_plan::unit::{Quantity, SizeUnit, UnitError, parse_quantity};
use dva_plan::value::{Type, Value};

use crate::diagnostic::Code;
use crate::span::Span;
use crate::suggest::did_you_mean;
use crate::syntax::ast;
use crate::types::{Checker, Operand, a_type, plural};

/// The units of time, money apart; see [`parse_quantity`].
const DURATION_UNITS: [&str; 5] = ["ms", "s", "min", "h", "d"];

impl Checker<'_, '_> {
    /// A number without a unit: an integer or a version.
    pub(crate) fn number(
        &mut self,
        text: &str,
        span: Span,
        expected: Option<&Type>,
    ) -> Option<Operand> {
        let is_whole = !text.contains('.');
        if expected == Some(&Type::Version) || (!is_whole && expected != Some(&Type::Int)) {
            return Some(self.known(Value::Version(text.to_owned()), Type::Version));
        }
        if !is_whole {
            let help = "An int has no point. A version is written `9.4`, a percentage `1.5%`.";
            self.report(Code::P0301, span, format!("`{text}` is no int"), help);
            return None;
        }
        match text.parse() {
            Ok(value) => Some(self.known(Value::Int(value), Type::Int)),
            Err(_) => {
                let text = "the number does not fit 64 bits";
                self.report(
                    Code::P0305,
                    span,
                    text,
                    format!("The largest is {}.", i64::MAX),
                );
                None
            }
        }
    }

    /// A number with a unit.
    pub(crate) fn quantity(&mut self, text: &str, span: Span) -> Option<Operand> {
        match parse_quantity(text) {
            Ok(Quantity::Size(bytes)) => Some(self.known(Value::Bytes(bytes), Type::Bytes)),
            Ok(Quantity::Duration(ms)) => Some(self.known(Value::Ms(ms), Type::Ms)),
            Ok(Quantity::Percent(a, b)) => Some(self.known(Value::Ratio(a, b), Type::Ratio)),
            Ok(Quantity::Money(nano)) => Some(self.known(Value::NanoUsd(nano), Type::NanoUsd)),
            Err(UnitError::TooLarge) => {
                self.report(Code::P0305, span, format!("`{text}` is too large"), "");
                None
            }
            Err(why @ UnitError::UnknownUnit) => {
                let unit =
                    text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '$');
                self.report(
                    Code::P0303,
                    span,
                    why.to_string(),
                    help_for_unit(text, unit),
                );
                None
            }
            Err(why @ (UnitError::NoNumber | UnitError::NoUnit | UnitError::NotWhole)) => {
                let help = "A quantity is a number with its unit, such as `10GiB`, `90s`, `5%` or `$5.00`.";
                self.report(Code::P0303, span, why.to_string(), help);
                None
            }
        }
    }

    /// A day.
    pub(crate) fn date(
        &mut self,
        text: &str,
        span: Span,
        expected: Option<&Type>,
    ) -> Option<Operand> {
        if expected == Some(&Type::Version) {
            return Some(self.known(Value::Version(text.to_owned()), Type::Version));
        }
        if is_date(text) {
            return Some(self.known(Value::Date(text.to_owned()), Type::Date));
        }
        let help = "A day is written as year, month and day: `2027-01-31`.";
        self.report(
            Code::P0335,
            span,
            format!("the calendar has no `{text}`"),
            help,
        );
        None
    }

    /// A text in quotes, which is also a way to write a version or a name.
    pub(crate) fn text(
        &mut self,
        text: &str,
        span: Span,
        expected: Option<&Type>,
    ) -> Option<Operand> {
        match expected {
            Some(Type::Version) => Some(self.known(Value::Version(text.to_owned()), Type::Version)),
            Some(Type::Name(kind)) => {
                if self.is_value_of(kind, text) {
                    return Some(
                        self.known(Value::Name(text.to_owned()), Type::Name(kind.clone())),
                    );
                }
                self.no_such_value(kind, text, span);
                None
            }
            Some(Type::Regex) => self.regex(text, span),
            Some(Type::Date) if is_date(text) => {
                Some(self.known(Value::Date(text.to_owned()), Type::Date))
            }
            _ => Some(self.known(Value::String(text.to_owned()), Type::String)),
        }
    }

    /// A regular expression.
    pub(crate) fn regex(&mut self, pattern: &str, span: Span) -> Option<Operand> {
        match regex::Regex::new(pattern) {
            Ok(_) => Some(self.known(Value::Regex(pattern.to_owned()), Type::Regex)),
            Err(error) => {
                self.report_regex(&error, span);
                None
            }
        }
    }

    /// Says what is wrong with a regular expression in the words of the library that refused it.
    pub(crate) fn report_regex(&mut self, error: &regex::Error, span: Span) {
        let message = error.to_string();
        let last = message.lines().last().unwrap_or_default();
        let why = last.trim().trim_start_matches("error: ");
        let help =
            "The syntax is that of the Rust crate `regex`: no look-around and no back-references.";
        self.report(Code::P0309, span, why, help);
    }

    /// `[VALUE, …]`: constants of one type.
    pub(crate) fn list(
        &mut self,
        items: &[ast::Expr],
        span: Span,
        expected: Option<&Type>,
    ) -> Option<Operand> {
        let mut of = match expected {
            Some(Type::List(of)) => Some((**of).clone()),
            _ => None,
        };
        let mut values = Vec::new();
        let mut complete = true;
        for item in items {
            let Some(operand) = self.expression(item, of.as_ref()) else {
                complete = false;
                continue;
            };
            match &of {
                Some(of) if *of != operand.r#type => {
                    let text = format!(
                        "this is {}, the list is of {}",
                        a_type(&operand.r#type),
                        plural(of)
                    );
                    self.report(
                        Code::P0301,
                        item.span,
                        text,
                        "A list has values of one type.",
                    );
                    complete = false;
                    continue;
                }
                Some(_) => {}
                None => of = Some(operand.r#type),
            }
            match self.nodes.node(operand.expr) {
                Node::Const(value) => values.push(value.clone()),
                _ => {
                    let help = "A list in brackets is made of values that are written down.";
                    self.report(
                        Code::P0316,
                        item.span,
                        "this is known only when the test runs",
                        help,
                    );
                    complete = false;
                }
            }
        }
        if !complete {
            return None;
        }
        let Some(of) = of else {
            let help = "Put the values in, or compare with a list that has a type.";
            self.report(
                Code::P0301,
                span,
                "a list of nothing has no type here",
                help,
            );
            return None;
        };
        Some(self.known(Value::List(values), Type::List(Box::new(of))))
    }
}

/// What to write instead of a unit that does not exist.
fn help_for_unit(text: &str, unit: &str) -> String {
    if text.starts_with('$') {
        return "Money is written `$5.00`, without a unit behind it.".to_owned();
    }
    if matches!(
        unit,
        "k" | "K" | "M" | "G" | "T" | "KB" | "kb" | "mb" | "gb" | "tb" | "m"
    ) {
        let meant = match unit {
            "m" => "min",
            "k" | "K" | "KB" | "kb" => "KiB",
            "M" | "mb" => "MiB",
            "G" | "gb" => "GiB",
            _ => "TiB",
        };
        return match meant {
            "min" => "Minutes are written `min`: `m` could be months or metres.".to_owned(),
            _ => format!(
                "Write `{meant}` for the power of 1024, or `{}` for that of 1000.",
                match meant {
                    "KiB" => "kB",
                    "MiB" => "MB",
                    "GiB" => "GB",
                    _ => "TB",
                }
            ),
        };
    }
    let sizes = SizeUnit::ALL.iter().map(|unit| unit.name());
    did_you_mean(unit, sizes.chain(DURATION_UNITS)).unwrap_or_else(|| {
        "Sizes are in `B`, `KiB`, `MiB`, `GiB`, `TiB` or `kB`, `MB`, `GB`, `TB`; durations in `ms`, \
         `s`, `min`, `h`, `d`."
            .to_owned()
    })
}
