//! Types as authors write them.

use dva_plan::unit::SizeUnit;
use dva_plan::value::Type;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Hir, ItemRef};
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{Name, TypeExpr, TypeExprKind};

/// The types with a word of their own.
const TYPES: [(&str, Type); 10] = [
    ("bool", Type::Bool),
    ("date", Type::Date),
    ("duration", Type::Ms),
    ("int", Type::Int),
    ("money", Type::NanoUsd),
    ("percent", Type::Ratio),
    ("regex", Type::Regex),
    ("size", Type::Bytes),
    ("string", Type::String),
    ("version", Type::Version),
];
/// The kinds of names that are types; the author's axes are types too.
const NAMES: [&str; 5] = ["arch", "image", "instance", "os", "region"];

/// What is to be of a written type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The output of a command, which is text.
    Output,
    /// Something that a machine or a configuration says, which may have lists and fields.
    Document,
    /// A value of the source, or of a file beside it.
    Value,
}

/// How deep lists and records may hold one another: a plan's own depth is limited.
const MAX_DEPTH: usize = 8;

/// A written type, with the unit behind `in`. `None` where it was reported.
pub(crate) fn written_type(
    written: &TypeExpr,
    whose: Whose,
    hir: &Hir<'_>,
    bag: &mut Bag,
) -> Option<(Type, Option<SizeUnit>)> {
    let (of, unit) = type_in(written, whose, hir, bag)?;
    if depth(&of) > MAX_DEPTH {
        let text = format!("lists and records hold one another more than {MAX_DEPTH} deep");
        let finding = Diagnostic::new(Code::P0106, written.span, text);
        bag.push(finding.help("Take out the part that is needed, and leave out the rest."));
        return None;
    }
    Some((of, unit))
}

fn depth(of: &Type) -> usize {
    match of {
        Type::List(of) => 1 + depth(of),
        Type::Record(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn type_in(
    written: &TypeExpr,
    whose: Whose,
    hir: &Hir<'_>,
    bag: &mut Bag,
) -> Option<(Type, Option<SizeUnit>)> {
    match &written.kind {
        TypeExprKind::Named(name) => named_type(name, whose, hir, bag).map(|of| (of, None)),
        TypeExprKind::List(of) => list_type(written, of, whose, hir, bag),
        TypeExprKind::Record(_) if whose == Whose::Output => {
            let help = "A command prints text. Where that is JSON, say so: \
                        ``let found: { name: string } = run `…` json``.";
            let text = "output has no fields";
            bag.push(Diagnostic::new(Code::P0311, written.span, text).help(help));
            None
        }
        TypeExprKind::Record(fields) => {
            let mut types = std::collections::BTreeMap::new();
            let mut complete = true;
            for field in fields {
                let of = type_in(&field.r#type, whose, hir, bag);
                if let Some((_, Some(_))) = of {
                    let text = "a field has no unit to choose";
                    let help = "Sizes in a record stand in texts, with their unit.";
                    bag.push(Diagnostic::new(Code::P0311, field.r#type.span, text).help(help));
                    complete = false;
                }
                complete &= of.is_some();
                let of = of.map_or(Type::String, |(of, _)| of);
                if types.insert(field.name.text.clone(), of).is_some() {
                    let text = format!("`{}` a second time", field.name.text);
                    let finding = Diagnostic::new(Code::P0208, field.name.span, text);
                    bag.push(finding.help("Remove one of them."));
                }
            }
            complete.then_some((Type::Record(types), None))
        }
        TypeExprKind::In(of) => {
            let (name, unit) = &**of;
            let of = named_type(name, whose, hir, bag)?;
            if of != Type::Bytes {
                let text = format!("`{}` has no unit to choose", name.text);
                bag.push(
                    Diagnostic::new(Code::P0311, written.span, text)
                        .help("Only a size that comes as a bare number has one: `size in KiB`."),
                );
                return None;
            }
            let Some(unit) = SizeUnit::named(&unit.text) else {
                let units = || SizeUnit::ALL.iter().map(|unit| unit.name());
                let help = did_you_mean(&unit.text, units()).unwrap_or_else(|| {
                    "Sizes are in `B`, `KiB`, `MiB`, `GiB`, `TiB` or `kB`, `MB`, `GB`, `TB`."
                        .to_owned()
                });
                let text = format!("`{}` is no unit of size", unit.text);
                bag.push(Diagnostic::new(Code::P0303, unit.span, text).help(help));
                return None;
            };
            Some((of, Some(unit)))
        }
    }
}

fn list_type(
    written: &TypeExpr,
    of: &TypeExpr,
    whose: Whose,
    hir: &Hir<'_>,
    bag: &mut Bag,
) -> Option<(Type, Option<SizeUnit>)> {
    match type_in(of, whose, hir, bag)? {
        (Type::List(_), _) if whose == Whose::Output => {
            let text = "a list of lists";
            bag.push(
                Diagnostic::new(Code::P0311, written.span, text)
                    .help("The lines of an output are a list of values: `[string]`."),
            );
            None
        }
        (_, Some(_)) => {
            bag.push(
                Diagnostic::new(Code::P0311, of.span, "a list of sizes that lack their unit")
                    .help("Each line must have its unit: `[size]`."),
            );
            None
        }
        (of, None) => Some((Type::List(Box::new(of)), None)),
    }
}

fn named_type(name: &Name, whose: Whose, hir: &Hir<'_>, bag: &mut Bag) -> Option<Type> {
    let word = name.text.as_str();
    if let Some((_, of)) = TYPES.iter().find(|(known, _)| *known == word) {
        return Some(of.clone());
    }
    let found = hir.find(word, name.span).map(|(item, _)| item);
    let is_axis = || matches!(found, Some(ItemRef::Axis(_)));
    if whose == Whose::Value && (NAMES.contains(&word) || is_axis()) {
        return Some(Type::Name(word.to_owned()));
    }
    // An axis of this name may stand in what could not be read.
    if whose == Whose::Value && (hir.has_unread || found == Some(ItemRef::Unread)) {
        return None;
    }
    let known = || {
        let names = NAMES.iter().filter(|_| whose == Whose::Value);
        TYPES.iter().map(|(known, _)| known).chain(names).copied()
    };
    let help = match word {
        "text" | "str" | "String" => "Text is of type `string`.".to_owned(),
        "secret" => {
            "A secret is an item, bound in the configuration: `input NAME: secret`.".to_owned()
        }
        "bytes" => "A size is of type `size`.".to_owned(),
        "number" | "integer" | "float" => "Whole numbers are of type `int`.".to_owned(),
        word => did_you_mean(word, known()).unwrap_or_else(|| match whose {
            Whose::Output => format!(
                "Output is read as {}, or a list of one of them.",
                listed_all(known())
            ),
            Whose::Document | Whose::Value => format!("There are {}.", listed_all(known())),
        }),
    };
    let text = format!("`{word}` is no type");
    bag.push(Diagnostic::new(Code::P0311, name.span, text).help(help));
    None
}

/// As [`listed`], whole.
fn listed_all<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    match words.split_last() {
        Some((last, others)) if others.len() >= 8 => {
            let others: Vec<_> = others.iter().map(|word| format!("`{word}`")).collect();
            format!("{} and `{last}`", others.join(", "))
        }
        _ => listed(words),
    }
}
