//! The files of tables, in JSON or TOML: keys with their values, in the order of the file.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;

/// In which notation a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// TOML.
    Toml,
}

impl Format {
    /// The notation of the file at `path`, by the end of its name.
    pub(crate) fn of(path: &str) -> Option<Self> {
        match path.rsplit('/').next()?.rsplit_once('.')?.1 {
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}

/// A file of values.
#[derive(Debug)]
pub(crate) struct Document {
    /// Each key, once, with its value.
    pub(crate) entries: Vec<(String, Json)>,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence.
    pub(crate) fn parse(format: Format, content: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(content).map_err(|_| "it is no UTF-8 text".to_owned())?;
        let entries = match format {
            Format::Json => {
                let Entries(entries) =
                    serde_json::from_str(text).map_err(|error| error.to_string())?;
                entries
            }
            Format::Toml => {
                let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
                    let line = error.span().map_or(1, |span| {
                        text.get(..span.start)
                            .unwrap_or_default()
                            .matches('\n')
                            .count()
                            + 1
                    });
                    format!("{} at line {line}", error.message())
                })?;
                table
                    .into_iter()
                    .map(|(key, value)| (key, as_json(value)))
                    .collect()
            }
        };
        for (number, (key, _)) in entries.iter().enumerate() {
            if entries[..number].iter().any(|(earlier, _)| earlier == key) {
                return Err(format!(
                    "the key \"{}\" stands in it twice",
                    key.escape_debug()
                ));
            }
        }
        Ok(Self { entries })
    }
}

/// The entries of a JSON object as they stand, which a map would make one of where keys repeat.
struct Entries(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("keys with their values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Entries(entries))
    }
}

/// A value of TOML. Its dates become texts; a number with a point stays one, which no type takes.
fn as_json(value: toml::Value) -> Json {
    match value {
        toml::Value::String(text) => Json::String(text),
        toml::Value::Integer(number) => Json::from(number),
        toml::Value::Float(number) => Json::from(number),
        toml::Value::Boolean(truth) => Json::Bool(truth),
        toml::Value::Datetime(date) => Json::String(date.to_string()),
        toml::Value::Array(items) => items.into_iter().map(as_json).collect(),
        toml::Value::Table(fields) => fields
            .into_iter()
            .map(|(name, value)| (name, as_json(value)))
            .collect(),
    }
}
