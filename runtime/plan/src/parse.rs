//! Values from outside: the one way in which captured output, inputs and entries of tables become values of a
//! type.
//!
//! Nothing is guessed: what is not exactly of the type is a [`Misfit`]. Blanks around a text are taken off,
//! except from strings, which are kept as they stand.

use std::fmt;

use regex::Regex;
use serde_json::Value as Json;

use crate::date::is_date;
use crate::unit::{Quantity, SizeUnit, parse_quantity, parse_size_in};
use crate::value::{Type, Value};

/// Something that is not of its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// Where in a list or record, such as `.disks[2]`; empty where it is the whole.
    pub place: String,
    /// What was found: of any length, and with whatever it holds.
    pub found: String,
    /// The type that was wanted.
    pub of: Type,
    /// Why it is none, as the end of a sentence.
    pub why: String,
}

/// `` `10` is no size: the unit is missing ``. Who shows it to people shortens and escapes `found` first.
impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            found,
            of,
            why,
        } = self;
        let at = if place.is_empty() { "" } else { " at " };
        write!(f, "`{found}`{at}{place} is no {of}: {why}")
    }
}

/// What becomes of fields that a record's type does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtraFields {
    /// They are left out: of what others have written.
    Dropped,
    /// They are mistakes: of what the author has written.
    Refused,
}

/// The value that `text` is of type `of`; a bare number is a size in `unit`, where there is one. Lists and
/// records have no text, see [`json`].
///
/// # Errors
/// [`Misfit`] where it is none.
pub fn text(text: &str, of: &Type, unit: Option<SizeUnit>) -> Result<Value, Misfit> {
    if *of == Type::String {
        return Ok(Value::String(text.to_owned()));
    }
    let text = text.trim();
    let no = |why: &str| Misfit {
        place: String::new(),
        found: text.to_owned(),
        of: of.clone(),
        why: why.to_owned(),
    };
    let quantity = || parse_quantity(text).map_err(|error| no(&error.to_string()));
    let word = || {
        if text.is_empty() {
            Err(no("it is empty"))
        } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            Err(no("it is more than one word"))
        } else {
            Ok(text.to_owned())
        }
    };
    match of {
        Type::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(no("it is neither `true` nor `false`")),
        },
        Type::Int => text
            .parse()
            .map(Value::Int)
            .map_err(|_| no("it is not a whole number of at most 64 bits")),
        Type::Bytes => {
            let bare = |c: char| c.is_ascii_digit() || c == '.';
            match unit.filter(|_| text.chars().all(bare)) {
                Some(unit) => parse_size_in(text, unit)
                    .map(Value::Bytes)
                    .map_err(|error| no(&error.to_string())),
                None => match quantity()? {
                    Quantity::Size(bytes) => Ok(Value::Bytes(bytes)),
                    Quantity::Duration(_) | Quantity::Percent(..) | Quantity::Money(_) => {
                        Err(no("its unit is none of size"))
                    }
                },
            }
        }
        Type::Ms => match quantity()? {
            Quantity::Duration(ms) => Ok(Value::Ms(ms)),
            Quantity::Size(_) | Quantity::Percent(..) | Quantity::Money(_) => {
                Err(no("its unit is none of time"))
            }
        },
        Type::NanoUsd => match quantity()? {
            Quantity::Money(nano_usd) => Ok(Value::NanoUsd(nano_usd)),
            Quantity::Size(_) | Quantity::Duration(_) | Quantity::Percent(..) => {
                Err(no("it does not begin with `$`"))
            }
        },
        Type::Ratio => match quantity()? {
            Quantity::Percent(part, whole) => Ok(Value::Ratio(part, whole)),
            Quantity::Size(_) | Quantity::Duration(_) | Quantity::Money(_) => {
                Err(no("it does not end in `%`"))
            }
        },
        Type::Version => word().map(Value::Version),
        Type::Name(_) => word().map(Value::Name),
        Type::Date => {
            if is_date(text) {
                Ok(Value::Date(text.to_owned()))
            } else {
                Err(no("it is no day written YYYY-MM-DD"))
            }
        }
        Type::Regex => Regex::new(text)
            .map(|_| Value::Regex(text.to_owned()))
            .map_err(|_| no("it does not parse")),
        Type::String | Type::List(_) | Type::Record(_) => Err(no("a text gives no such value")),
    }
}

/// The value that `json` is of type `of`. What has a unit stands in a text, as in a source, but for a size
/// in `unit`; a version with a point does too, since no number keeps the difference of 6.10 and 6.1.
///
/// # Errors
/// [`Misfit`] where it is none, or something in it is not.
pub fn json(
    json: &Json,
    of: &Type,
    unit: Option<SizeUnit>,
    extra: ExtraFields,
) -> Result<Value, Misfit> {
    let no = |why: &str| Misfit {
        place: String::new(),
        found: json.to_string(),
        of: of.clone(),
        why: why.to_owned(),
    };
    match (of, json) {
        (Type::List(item), Json::Array(items)) => {
            let items = items.iter().enumerate().map(|(place, found)| {
                self::json(found, item, unit, extra)
                    .map_err(|misfit| misfit.inside(&format!("[{place}]")))
            });
            items.collect::<Result<_, _>>().map(Value::List)
        }
        (Type::List(_), _) => Err(no("it is no list")),
        (Type::Record(types), Json::Object(fields)) => {
            if extra == ExtraFields::Refused
                && let Some(name) = fields.keys().find(|name| !types.contains_key(*name))
            {
                return Err(no(&format!("it has a field `{name}`")));
            }
            let fields = types.iter().map(|(name, of)| {
                let found = fields
                    .get(name)
                    .ok_or_else(|| no(&format!("it has no field `{name}`")))?;
                let value = self::json(found, of, unit, extra);
                let value = value.map_err(|misfit| misfit.inside(&format!(".{name}")))?;
                Ok((name.clone(), value))
            });
            fields.collect::<Result<_, _>>().map(Value::Record)
        }
        (Type::Record(_), _) => Err(no("it has no fields")),
        (Type::Bool, Json::Bool(value)) => Ok(Value::Bool(*value)),
        (Type::Bool, _) => Err(no("it is neither `true` nor `false`")),
        (Type::Int, Json::Number(number)) => number
            .as_i64()
            .map(Value::Int)
            .ok_or_else(|| no("it is not a whole number of at most 64 bits")),
        (Type::Int, _) => Err(no("it is not a number")),
        (Type::Bytes, Json::Number(number)) if unit.is_some() => {
            text(&number.to_string(), of, unit)
        }
        (Type::Version, Json::Number(number)) if number.is_u64() => {
            Ok(Value::Version(number.to_string()))
        }
        (Type::Version, Json::Number(_)) => Err(no("a version with a point stands in quotes")),
        (_, Json::String(found)) => text(found, of, unit),
        (Type::Bytes | Type::Ms | Type::NanoUsd | Type::Ratio, Json::Number(_)) => {
            Err(no("it stands in quotes, with its unit"))
        }
        (_, Json::Null) => Err(no("there is no value")),
        (_, _) => Err(no("it is not a text")),
    }
}

impl Misfit {
    /// The same, seen from what it stands in.
    fn inside(mut self, place: &str) -> Self {
        self.place.insert_str(0, place);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn from(text: &str, of: &Type, unit: Option<SizeUnit>) -> Result<Value, String> {
        let found: Json = serde_json::from_str(text).expect("JSON");
        json(&found, of, unit, ExtraFields::Dropped).map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn json_is_exactly_of_its_type() {
        let strings = Type::List(Box::new(Type::String));
        let list = |items: &[&str]| {
            let items = items.iter().map(|item| Value::String((*item).to_owned()));
            Value::List(items.collect())
        };
        assert_eq!(from(r#"["a", "b"]"#, &strings, None), Ok(list(&["a", "b"])));
        assert_eq!(
            from("7", &Type::Version, None),
            Ok(Value::Version("7".into()))
        );
        assert_eq!(
            from("4", &Type::Bytes, Some(SizeUnit::KiB)),
            Ok(Value::Bytes(4096))
        );
        assert_eq!(
            from("\"10%\"", &Type::Ratio, None),
            Ok(Value::Ratio(10, 100))
        );
        for (text, of, why) in [
            (
                r#"["a", 2]"#,
                &strings,
                "`2` at [1] is no string: it is not a text",
            ),
            (r#""a""#, &strings, "`\"a\"` is no [string]: it is no list"),
            (
                "6.10",
                &Type::Version,
                "`6.1` is no version: a version with a point stands in quotes",
            ),
            (
                "4",
                &Type::Bytes,
                "`4` is no size: it stands in quotes, with its unit",
            ),
            (
                "1.5",
                &Type::Int,
                "`1.5` is no int: it is not a whole number of at most 64 bits",
            ),
            (
                "null",
                &Type::String,
                "`null` is no string: there is no value",
            ),
        ] {
            assert_eq!(from(text, of, None), Err(why.to_owned()));
        }
    }

    #[test]
    fn a_record_has_all_its_fields_and_may_have_more() {
        let of = Type::Record(BTreeMap::from([
            ("region".to_owned(), Type::String),
            ("cpus".to_owned(), Type::Int),
        ]));
        let found = from(r#"{"region": "a", "cpus": 2, "more": [null]}"#, &of, None);
        let fields = BTreeMap::from([
            ("region".to_owned(), Value::String("a".into())),
            ("cpus".to_owned(), Value::Int(2)),
        ]);
        assert_eq!(found, Ok(Value::Record(fields)));
        let lacks = from(r#"{"region": "a"}"#, &of, None).expect_err("no cpus");
        assert!(lacks.ends_with("it has no field `cpus`"), "{lacks}");
        let wrong = from(r#"{"region": "a", "cpus": "2"}"#, &of, None).expect_err("a text");
        assert_eq!(wrong, "`\"2\"` at .cpus is no int: it is not a number");
        let found = serde_json::json!({"region": "a", "cpus": 2, "cpu": 3});
        let extra = json(&found, &of, None, ExtraFields::Refused).expect_err("a typo");
        assert_eq!(extra.why, "it has a field `cpu`");
    }
}
