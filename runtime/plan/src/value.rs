//! Values and their types: what literals, captured output and facts of machines are.
//!
//! No null and no floating point. Comparisons are here; arithmetic, which can fail, is in
//! [`crate::eval`].

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::{display_duration, display_money, display_size};

/// A value. Serializes as `{"type": …, "value": …}`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(tag = "type", content = "value", rename_all = "snake_case")]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A size in bytes.
    Bytes(u64),
    /// A duration in milliseconds.
    Ms(u64),
    /// Money in billionths of a US dollar.
    NanoUsd(i64),
    /// A ratio, percentages among them; the second number is above zero.
    Ratio(i64, i64),
    /// Text.
    String(String),
    /// The name of a thing: an architecture, operating system, region, machine type, image, axis value.
    Name(String),
    /// A version, as text; its order is that of [`compare_versions`].
    Version(String),
    /// A day, `YYYY-MM-DD`.
    Date(String),
    /// A regular expression, in the syntax of the `regex` crate.
    Regex(String),
    /// Values of one type, in order.
    List(Vec<Value>),
    /// Named values.
    Record(BTreeMap<String, Value>),
}

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", content = "of", rename_all = "snake_case")]
pub enum Type {
    /// See [`Value::Bool`].
    Bool,
    /// See [`Value::Int`].
    Int,
    /// See [`Value::Bytes`].
    Bytes,
    /// See [`Value::Ms`].
    Ms,
    /// See [`Value::NanoUsd`].
    NanoUsd,
    /// See [`Value::Ratio`].
    Ratio,
    /// See [`Value::String`].
    String,
    /// See [`Value::Name`]; the text says of what, for example `arch` or `region`.
    Name(String),
    /// See [`Value::Version`].
    Version,
    /// See [`Value::Date`].
    Date,
    /// See [`Value::Regex`].
    Regex,
    /// A list of one type.
    List(Box<Type>),
    /// A record of named types.
    Record(BTreeMap<String, Type>),
}

impl Type {
    /// The type of what a command came to: its exit status and both its outputs.
    #[must_use]
    pub fn of_result() -> Self {
        Self::Record(BTreeMap::from([
            ("exit".to_owned(), Self::Int),
            ("stdout".to_owned(), Self::String),
            ("stderr".to_owned(), Self::String),
        ]))
    }

    /// Whether values of this type have an order, so `<` and its like apply.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        match self {
            Self::Int
            | Self::Bytes
            | Self::Ms
            | Self::NanoUsd
            | Self::Ratio
            | Self::Version
            | Self::Date => true,
            Self::Bool
            | Self::String
            | Self::Name(_)
            | Self::Regex
            | Self::List(_)
            | Self::Record(_) => false,
        }
    }
}

/// The type in the words of the language.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int => f.write_str("int"),
            Self::Bytes => f.write_str("size"),
            Self::Ms => f.write_str("duration"),
            Self::NanoUsd => f.write_str("money"),
            Self::Ratio => f.write_str("percent"),
            Self::String => f.write_str("string"),
            Self::Name(of) => f.write_str(of),
            Self::Version => f.write_str("version"),
            Self::Date => f.write_str("date"),
            Self::Regex => f.write_str("regex"),
            Self::List(of) => write!(f, "[{of}]"),
            Self::Record(fields) => {
                f.write_str("{")?;
                for (place, (name, of)) in fields.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma} {name}: {of}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

impl Value {
    /// Whether this is a value of `of`. An empty list is one of every list type.
    #[must_use]
    pub fn is_of(&self, of: &Type) -> bool {
        match (self, of) {
            (Self::Bool(_), Type::Bool)
            | (Self::Int(_), Type::Int)
            | (Self::Bytes(_), Type::Bytes)
            | (Self::Ms(_), Type::Ms)
            | (Self::NanoUsd(_), Type::NanoUsd)
            | (Self::Ratio(..), Type::Ratio)
            | (Self::String(_), Type::String)
            | (Self::Name(_), Type::Name(_))
            | (Self::Version(_), Type::Version)
            | (Self::Date(_), Type::Date)
            | (Self::Regex(_), Type::Regex) => true,
            (Self::List(items), Type::List(of)) => items.iter().all(|item| item.is_of(of)),
            (Self::Record(fields), Type::Record(types)) => {
                fields.len() == types.len()
                    && fields
                        .iter()
                        .all(|(name, value)| types.get(name).is_some_and(|of| value.is_of(of)))
            }
            _ => false,
        }
    }

    /// Compares two values of one type; `None` where they have no order or differ in type.
    ///
    /// Ratios compare by cross-multiplication in 128 bits, versions by [`compare_versions`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Int(a), Self::Int(b)) | (Self::NanoUsd(a), Self::NanoUsd(b)) => Some(a.cmp(b)),
            (Self::Bytes(a), Self::Bytes(b)) | (Self::Ms(a), Self::Ms(b)) => Some(a.cmp(b)),
            (Self::Ratio(a, b), Self::Ratio(c, d)) => {
                Some((i128::from(*a) * i128::from(*d)).cmp(&(i128::from(*c) * i128::from(*b))))
            }
            (Self::Version(a), Self::Version(b)) => compare_versions(a, b),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }

    /// Whether `self == other` as the language means it.
    ///
    /// A version with fewer parts on the right matches as a prefix: `9.4.1 == 9.4`. A name equals the
    /// text it is written with, since that is how a machine prints it.
    #[must_use]
    pub fn equals(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ratio(..), Self::Ratio(..)) => self.compare(other) == Some(Ordering::Equal),
            (Self::Version(version), Self::Version(prefix)) => {
                let mut parts = version_parts(version);
                version_parts(prefix).all(|part| {
                    parts
                        .next()
                        .is_some_and(|own| compare_parts(own, part) == Ordering::Equal)
                })
            }
            (Self::String(a) | Self::Name(a), Self::String(b) | Self::Name(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b))
            }
            _ => self == other,
        }
    }
}

/// The value as reports and messages show it; text is quoted, a control character is escaped.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Bytes(value) => f.write_str(&display_size(*value)),
            Self::Ms(value) => f.write_str(&display_duration(*value)),
            Self::NanoUsd(value) => f.write_str(&display_money(*value)),
            Self::Ratio(a, b) if *b == 100 => write!(f, "{a}%"),
            Self::Ratio(a, b) => write!(f, "{a}/{b}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Name(text) | Self::Version(text) | Self::Date(text) => f.write_str(text),
            Self::Regex(pattern) => write!(f, "`{pattern}`"),
            Self::List(items) => {
                f.write_str("[")?;
                for (place, item) in items.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            Self::Record(fields) => {
                f.write_str("{")?;
                for (place, (name, value)) in fields.iter().enumerate() {
                    let comma = if place == 0 { "" } else { "," };
                    write!(f, "{comma} {name} = {value}")?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// Orders versions part by part: numbers as numbers (6.10 > 6.9), the rest as text.
///
/// A part that is a number comes after one that is not, so `7.4beta < 7.4`. A version that ends
/// first is the smaller one. `None` where a version has no number at all, such as `rawhide`, unless
/// the texts are equal: such names have no order.
#[must_use]
pub fn compare_versions(a: &str, b: &str) -> Option<Ordering> {
    if a == b {
        return Some(Ordering::Equal);
    }
    let has_number = |text: &str| text.starts_with(|first: char| first.is_ascii_digit());
    if !has_number(a) || !has_number(b) {
        return None;
    }
    let (mut left, mut right) = (version_parts(a), version_parts(b));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Some(Ordering::Equal),
            (None, Some(_)) => return Some(Ordering::Less),
            (Some(_), None) => return Some(Ordering::Greater),
            (Some(a), Some(b)) => match compare_parts(a, b) {
                Ordering::Equal => {}
                order => return Some(order),
            },
        }
    }
}

/// The parts of a version: what stands between `.`, `-`, `_` and `+`.
fn version_parts(version: &str) -> impl Iterator<Item = &str> {
    version.split(['.', '-', '_', '+'])
}

fn compare_parts(a: &str, b: &str) -> Ordering {
    /// Splits leading digits, without leading zeros, from what follows them.
    fn split(part: &str) -> (&str, &str) {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let (number, rest) = part.split_at(digits);
        (number.trim_start_matches('0'), rest)
    }
    let ((a_number, a_rest), (b_number, b_rest)) = (split(a), split(b));
    // Numbers without leading zeros order by length, then digit by digit: no overflow.
    (a_number.len(), a_number)
        .cmp(&(b_number.len(), b_number))
        .then_with(|| match (a_rest, b_rest) {
            ("", "") => Ordering::Equal,
            ("", _) => Ordering::Greater,
            (_, "") => Ordering::Less,
            (a, b) => a.cmp(b),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Value {
        Value::Version(text.into())
    }

    #[test]
    fn versions_are_numeric_by_part() {
        use Ordering::{Equal, Greater, Less};
        for (a, b, order) in [
            ("6.10", "6.9", Some(Greater)),
            ("6.10", "6.1", Some(Greater)),
            ("7", "7.0", Some(Less)),
            ("7.4beta", "7.4", Some(Less)),
            ("15-SP6", "15-SP5", Some(Greater)),
            ("9.4", "9.4", Some(Equal)),
            ("9.04", "9.4", Some(Equal)),
            ("19", "7", Some(Greater)),
            ("rawhide", "40", None),
            ("rawhide", "rawhide", Some(Equal)),
            ("99999999999999999999999.1", "2.1", Some(Greater)),
        ] {
            assert_eq!(compare_versions(a, b), order, "{a} against {b}");
        }
    }

    #[test]
    fn a_shorter_version_on_the_right_is_a_prefix() {
        assert!(version("9.4.1").equals(&version("9.4")));
        assert!(!version("9.4").equals(&version("9.4.1")));
        assert!(!version("9.40").equals(&version("9.4")));
        assert!(version("rawhide").equals(&version("rawhide")));
    }

    #[test]
    fn a_name_equals_its_text() {
        assert!(Value::String("xfs".into()).equals(&Value::Name("xfs".into())));
        assert!(!Value::Name("ext4".into()).equals(&Value::String("xfs".into())));
    }

    #[test]
    fn ratios_compare_without_overflow() {
        let big = Value::Ratio(i64::MAX, 3);
        assert_eq!(big.compare(&Value::Ratio(1, 3)), Some(Ordering::Greater));
        assert!(Value::Ratio(1, 2).equals(&Value::Ratio(50, 100)));
    }

    #[test]
    fn a_list_knows_its_type() {
        let list = Type::List(Box::new(Type::String));
        assert!(Value::List(vec![]).is_of(&list));
        assert!(Value::List(vec![Value::String("a".into())]).is_of(&list));
        assert!(!Value::List(vec![Value::Int(1)]).is_of(&list));
    }
}
