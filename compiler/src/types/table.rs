//! Tables: files of values by a key, read and typed.
//!
//! A file is a map at its top, in JSON or TOML. What its keys are is in [`key`]; looking something up in it
//! in [`super::lookup`].

pub(crate) mod document;
pub(crate) mod key;

use std::collections::BTreeMap;
use std::rc::Rc;

use dva_plan::expr::{CellFact, Node};
use dva_plan::parse::{self, ExtraFields};
use dva_plan::plan::TableIx;
use dva_plan::unit::SizeUnit;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::ItemRef;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{LookupTable, Name};
use crate::types::constant::Lazy;
use crate::types::written::{Whose, written_type};
use crate::types::{Checker, a_type};
use document::{Document, Format};
use key::{ImageKey, Under};

/// The most values of a file that are reported as wrong.
const MAX_MISFITS: usize = 5;

/// A table, read.
#[derive(Debug)]
pub struct TypedTable {
    /// Its name.
    pub name: String,
    /// What its keys are values of.
    pub key: KeyOf,
    /// The type of its values.
    pub of: Type,
    /// For each name that has an entry of its own, the place of its value.
    entries: BTreeMap<String, u32>,
    /// The place of the value for all other names.
    rest: Option<u32>,
    /// The values, each once.
    pub values: Vec<Value>,
}

/// What the keys of a table are values of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOf {
    /// A fact of cells, with the kind of its names.
    Fact(CellFact, String),
    /// Texts of the author's own.
    Text,
}

impl TypedTable {
    /// The place of the value for `name`.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<u32> {
        self.entries.get(name).copied().or(self.rest)
    }

    /// The value for `name`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(usize::try_from(self.place(name)?).ok()?)
    }
}

impl Checker<'_, '_> {
    /// Reads all tables, whether something uses them or not.
    pub(crate) fn tables(&mut self) {
        for table in self.hir.tables.indices() {
            self.table(table, self.hir.tables[table].name.span);
        }
    }

    /// A table, which is mentioned at `span`.
    pub(crate) fn table(&mut self, table: TableIx, span: Span) -> Option<Rc<TypedTable>> {
        let row = self.hir.tables[table];
        match &self.tables[table] {
            Lazy::Read(read) => return read.clone(),
            Lazy::Now => {
                self.needs_itself(&row.name, span);
                return None;
            }
            Lazy::NotYet => {}
        }
        self.tables[table] = Lazy::Now;
        let read = self.outside(|checker| checker.read_table(row)).map(Rc::new);
        self.tables[table] = Lazy::Read(read.clone());
        read
    }

    fn read_table(&mut self, table: &LookupTable) -> Option<TypedTable> {
        let key = self.key_of(&table.key);
        let of = written_type(&table.value, Whose::Value, self.hir, self.bag);
        let span = table.file.span;
        let path = self.prose(&table.file)?;
        let path = match self.nodes.node(path) {
            Node::Const(Value::String(path)) => path.clone(),
            _ => {
                let help = "A file is read when the plan is made. Its name may have inputs of the compiler in it.";
                self.report(
                    Code::P0316,
                    span,
                    "this is known only when the test runs",
                    help,
                );
                return None;
            }
        };
        let (key, (of, unit)) = (key?, of?);
        let Some(format) = Format::of(&path) else {
            let help =
                "Files of values are JSON or TOML, and their names end in `.json` or `.toml`.";
            self.report(Code::P0326, span, "this is no file of values", help);
            return None;
        };
        let content = self.content(&path, span)?;
        let document = match Document::parse(format, &content) {
            Ok(document) => document,
            Err(why) => {
                let text = format!("`{path}` cannot be read: {why}");
                let help = "At the top of the file stand keys, each with its value.";
                self.report(Code::P0326, span, text, help);
                return None;
            }
        };
        let mut typed = TypedTable {
            name: self.hir.qualified(&table.name),
            key,
            of,
            entries: BTreeMap::new(),
            rest: None,
            values: Vec::new(),
        };
        let places = self.values_of_table(table, &path, &document, &mut typed, unit);
        let keys = self.keys_of_table(&path, span, &document, places.as_deref(), &mut typed);
        (places.is_some() && keys).then_some(typed)
    }

    /// What the word behind the colon says of the keys.
    fn key_of(&mut self, name: &Name) -> Option<KeyOf> {
        let axis = |axis: &str| CellFact::Axis(axis.to_owned());
        let fact = match name.text.as_str() {
            "string" => return Some(KeyOf::Text),
            kind @ ("image" | "region" | "instance") => axis(kind),
            "os" => CellFact::ImageOs,
            "arch" => CellFact::ImageArch,
            word => match self.find(word, name.span) {
                Some((ItemRef::Axis(_), _)) => axis(word),
                Some((ItemRef::Unread, _)) => return None,
                None if self.hir.has_unread => return None,
                _ => {
                    let mut known = vec!["arch", "image", "instance", "os", "region", "string"];
                    known.extend(self.hir.axes.iter().map(|axis| axis.name.text.as_str()));
                    let help = did_you_mean(word, known.iter().copied())
                        .unwrap_or_else(|| format!("There are {}.", listed(known.iter().copied())));
                    let text = format!("`{word}` has no values that could be keys");
                    self.report(Code::P0304, name.span, text, help);
                    return None;
                }
            },
        };
        Some(KeyOf::Fact(fact, name.text.clone()))
    }

    /// The place of the value of each key, in the order of the file.
    fn values_of_table(
        &mut self,
        table: &LookupTable,
        path: &str,
        document: &Document,
        typed: &mut TypedTable,
        unit: Option<SizeUnit>,
    ) -> Option<Vec<u32>> {
        let mut places = Vec::new();
        let mut misfits = 0;
        for (key, found) in &document.entries {
            let value = parse::json(found, &typed.of, unit, ExtraFields::Refused)
                .map_err(|mut misfit| {
                    misfit.found = shortened(&misfit.found);
                    misfit.to_string()
                })
                .and_then(|value| match self.foreign_name(&value, &typed.of) {
                    Some((kind, name)) => {
                        Err(format!("`{name}` is not {}", a_type(&Type::Name(kind))))
                    }
                    None => Ok(value),
                });
            match value {
                Ok(value) => {
                    let known = typed.values.iter().position(|own| *own == value);
                    let place = known.unwrap_or_else(|| {
                        typed.values.push(value);
                        typed.values.len() - 1
                    });
                    places.push(u32::try_from(place).ok()?);
                }
                Err(why) => {
                    misfits += 1;
                    if misfits > MAX_MISFITS {
                        continue;
                    }
                    let text = format!("in `{path}`, key \"{}\": {why}", shortened(key));
                    self.bag.push(
                        Diagnostic::new(Code::P0327, table.file.span, text)
                            .and(table.value.span, "the type of its values")
                            .help("Correct the file, or the type."),
                    );
                }
            }
        }
        (misfits == 0).then_some(places)
    }

    /// Finds what each key is for; false where one is for nothing or two are for the same.
    fn keys_of_table(
        &mut self,
        path: &str,
        span: Span,
        document: &Document,
        places: Option<&[u32]>,
        typed: &mut TypedTable,
    ) -> bool {
        let key = typed.key.clone();
        let kind = match &key {
            KeyOf::Fact(_, kind) if kind == "image" => {
                return self.keys_of_images(path, span, document, places, typed);
            }
            KeyOf::Fact(_, kind) => Some(kind.as_str()),
            KeyOf::Text => None,
        };
        let mut sound = true;
        for (number, (name, _)) in document.entries.iter().enumerate() {
            let place = places.and_then(|places| places.get(number)).copied();
            if name == "*" {
                typed.rest = place;
            } else if let Some(kind) = kind.filter(|kind| !self.is_value_of(kind, name)) {
                sound = false;
                let known = self.values_of(kind);
                let known = || known.iter().map(String::as_str);
                let help = did_you_mean(name, known()).unwrap_or_else(|| {
                    format!("There are {}, and `*` for all others.", listed(known()))
                });
                let text = format!(
                    "in `{path}`, \"{}\" is not {}",
                    shortened(name),
                    a_type(&Type::Name(kind.to_owned()))
                );
                self.report(Code::P0328, span, text, help);
            } else {
                typed
                    .entries
                    .extend(place.map(|place| (name.clone(), place)));
            }
        }
        sound
    }

    fn keys_of_images(
        &mut self,
        path: &str,
        span: Span,
        document: &Document,
        places: Option<&[u32]>,
        typed: &mut TypedTable,
    ) -> bool {
        let images: Vec<String> = self.values_of("image");
        let mut keys = Vec::new();
        let mut sound = true;
        for (name, _) in &document.entries {
            match ImageKey::parse(name, |word| images.iter().any(|image| image == word)) {
                Ok(key) => keys.push(key),
                Err(why) => {
                    sound = false;
                    let text = format!("in `{path}`, \"{}\" fits no image: {why}", shortened(name));
                    let help = "A key is the name of an image, an operating system, alone or with its \
                                versions (`rhel 9.4`, `rhel 8.*`, `fedora 40..41`), or `*`.";
                    self.report(Code::P0328, span, text, help);
                }
            }
        }
        if !sound {
            return false;
        }
        for image in self.hir.images.indices() {
            let row = &self.hir.images[image];
            // A field that was reported says nothing here.
            let Some((os, version)) = row.fields.get("os").and_then(|field| self.os(&field.value))
            else {
                continue;
            };
            let name = row.name.text.clone();
            let of = key::Image {
                name: &name,
                os: &os,
                version: version.as_deref(),
            };
            match key::narrowest(&keys, &of) {
                Under::One(number) => {
                    let place = places.and_then(|places| places.get(number)).copied();
                    typed
                        .entries
                        .extend(place.map(|place| (name.clone(), place)));
                }
                Under::None => {}
                Under::Several(one, other) => {
                    sound = false;
                    let [one, other] = [one, other].map(|key| document.entries[key].0.as_str());
                    let text = format!("in `{path}`, \"{one}\" and \"{other}\" both fit `{name}`");
                    self.bag.push(
                        Diagnostic::new(Code::P0329, span, text)
                            .and(row.name.span, "this image")
                            .help("The narrowest key holds, and neither of these is narrower than the other."),
                    );
                }
            }
        }
        sound
    }
}

/// A text of a file as a message shows it.
fn shortened(text: &str) -> String {
    const MAX: usize = 60;
    let shown: String = text
        .chars()
        .flat_map(char::escape_debug)
        .take(MAX)
        .collect();
    if shown.chars().count() == MAX {
        format!("{shown}…")
    } else {
        shown.replace("\\\"", "\"").replace("\\'", "'")
    }
}
