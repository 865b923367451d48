//! Command texts with holes, filled so that no value can leave the place it was put in.
//!
//! The compiler has scanned the shell text and decided for each hole whether it stands bare, in
//! double or in single quotes; here it is only rendered. A property test in
//! `tests/suite/shell.rs` holds this to a real `sh`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::eval::{EvalFault, Facts, eval};
use crate::expr::{ExprIx, Expressions};
use crate::value::Value;

/// A text with holes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Template(pub Vec<Piece>);

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// Text as it stands.
    Lit(String),
    /// A value, quoted for its place.
    Arg {
        /// The value.
        expr: ExprIx,
        /// Where it stands.
        place: Place,
    },
    /// A value as it stands: the author has written `raw`.
    Raw(ExprIx),
}

/// Where in shell text a hole stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Outside quotes: becomes one single-quoted word; a list becomes several.
    Bare,
    /// Inside `"…"`.
    Double,
    /// Inside `'…'`.
    Single,
}

impl Template {
    /// The text with every hole filled.
    ///
    /// # Errors
    /// [`EvalFault`] where a value is missing, [`EvalFault::Ill`] where it has no text form.
    pub fn render(&self, nodes: &Expressions, facts: &dyn Facts) -> Result<String, EvalFault> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Lit(lit) => text.push_str(lit),
                Piece::Arg { expr, place } => {
                    text.push_str(&quote(&eval(nodes, *expr, facts)?, *place)?);
                }
                Piece::Raw(expr) => text.push_str(&plain(&eval(nodes, *expr, facts)?)?),
            }
        }
        Ok(text)
    }

    /// The text with every value as it stands: of a path, which no shell reads.
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn text(&self, nodes: &Expressions, facts: &dyn Facts) -> Result<String, EvalFault> {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Lit(lit) => text.push_str(lit),
                Piece::Arg { expr, .. } | Piece::Raw(expr) => {
                    text.push_str(&plain(&eval(nodes, *expr, facts)?)?);
                }
            }
        }
        if text.contains('\0') {
            return Err(EvalFault::Ill);
        }
        Ok(text)
    }
}

/// The text of `value` as `place` needs it.
///
/// # Errors
/// [`EvalFault::Ill`] where the value has no text form or holds a NUL, which no argument can.
pub fn quote(value: &Value, place: Place) -> Result<String, EvalFault> {
    if let (Value::List(items), Place::Bare) = (value, place) {
        let words: Result<Vec<_>, _> = items.iter().map(|item| quote(item, place)).collect();
        return Ok(words?.join(" "));
    }
    let text = plain(value)?;
    if text.contains('\0') {
        return Err(EvalFault::Ill);
    }
    Ok(match place {
        Place::Bare => single_quoted(&text),
        Place::Single => in_single_quotes(&text),
        Place::Double => text.chars().fold(String::new(), |mut escaped, c| {
            if matches!(c, '$' | '`' | '"' | '\\') {
                escaped.push('\\');
            }
            escaped.push(c);
            escaped
        }),
    })
}

/// `text` as one single-quoted word of a shell. It holds no NUL: no word can.
#[must_use]
pub fn single_quoted(text: &str) -> String {
    let mut word = String::new();
    push_single_quoted(&mut word, text);
    word
}

/// The same at the end of `words`.
pub fn push_single_quoted(words: &mut String, text: &str) {
    words.push('\'');
    let mut parts = text.split('\'');
    words.push_str(parts.next().unwrap_or_default());
    for part in parts {
        words.push_str(r"'\''");
        words.push_str(part);
    }
    words.push('\'');
}

/// `text` as it stands between single quotes.
fn in_single_quotes(text: &str) -> String {
    text.replace('\'', r"'\''")
}

/// The text of a value in a text for people: as [`plain`], with commas between the values of a list;
/// money and percentages are written as in a source.
///
/// # Errors
/// [`EvalFault::Ill`] where the value has no text form: a size or duration without its unit, a record.
pub fn spoken(value: &Value) -> Result<String, EvalFault> {
    match value {
        Value::NanoUsd(_) | Value::Ratio(..) => Ok(value.to_string()),
        Value::List(items) => {
            let words: Result<Vec<_>, _> = items.iter().map(spoken).collect();
            Ok(words?.join(", "))
        }
        other => plain(other),
    }
}

/// The text of a value, unquoted. Sizes, durations, money, ratios and records have none: the unit
/// that a command wants is its author's to say.
///
/// # Errors
/// [`EvalFault::Ill`] where the value has no text form.
pub fn plain(value: &Value) -> Result<String, EvalFault> {
    match value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Int(value) => Ok(value.to_string()),
        Value::String(text)
        | Value::Name(text)
        | Value::Version(text)
        | Value::Date(text)
        | Value::Regex(text) => Ok(text.clone()),
        Value::List(items) => {
            let words: Result<Vec<_>, _> = items.iter().map(plain).collect();
            Ok(words?.join(" "))
        }
        Value::Bytes(_)
        | Value::Ms(_)
        | Value::NanoUsd(_)
        | Value::Ratio(..)
        | Value::Record(_) => Err(EvalFault::Ill),
    }
}
