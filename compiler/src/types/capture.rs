//! Captured values: their types, and what of a command's output they are.

use dva_plan::plan::TestIx;
use dva_plan::step::{Capture, CaptureFrom, SlotIx};
use dva_plan::table::{Index, Table};
use dva_plan::unit::SizeUnit;
use dva_plan::value::Type;
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Hir, ItemRef};
use crate::resolve::check_name;
use crate::suggest::did_you_mean;
use crate::syntax::ast;
use crate::types::Checker;

/// The types that output can be read as.
const TYPES: [(&str, Type); 7] = [
    ("bool", Type::Bool),
    ("duration", Type::Ms),
    ("int", Type::Int),
    ("percent", Type::Ratio),
    ("size", Type::Bytes),
    ("string", Type::String),
    ("version", Type::Version),
];

/// A captured value of a test.
#[derive(Debug)]
pub struct Let<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its type; `None` where it was reported.
    pub r#type: Option<Type>,
    /// The unit of a size that comes as a bare number.
    pub unit: Option<SizeUnit>,
    /// Its place.
    pub slot: SlotIx,
    /// Whether it is captured behind the verdict.
    pub in_finally: bool,
}

/// The captured values of every test, in the order of their steps.
#[must_use]
pub(crate) fn lets<'a>(
    hir: &Hir<'a>,
    catalog: &Catalog,
    bag: &mut Bag,
) -> Table<TestIx, Vec<Let<'a>>> {
    hir.tests
        .iter()
        .map(|test| {
            let mut lets: Vec<Let<'a>> = Vec::new();
            let steps = test.steps.iter().map(|step| (step, false));
            let finally = test.finally.iter().map(|step| (step, true));
            for (step, in_finally) in steps.chain(finally) {
                let ast::StepKind::Let { name, r#type, .. } = &step.kind else {
                    continue;
                };
                check_name(name, catalog, bag);
                let earlier = lets.iter().find(|known| known.name.text == name.text);
                let first = match (earlier, hir.names.get(name.text.as_str())) {
                    (Some(first), _) => Some((first.name.span, "the first one".to_owned())),
                    (None, Some((item, place))) if is_seen_by_steps(*item) => {
                        Some((*place, format!("{} of this name", item.noun())))
                    }
                    (None, _) => None,
                };
                if let Some((place, what)) = first {
                    let text = format!("`{}` is declared a second time", name.text);
                    bag.push(
                        Diagnostic::new(Code::P0201, name.span, text)
                            .and(place, what)
                            .help("A value never changes, and its name is that of nothing else. Rename one of them."),
                    );
                }
                let typed = read_type(r#type, bag);
                let slot = SlotIx::from_row(lets.len());
                lets.push(Let {
                    name,
                    unit: typed.as_ref().and_then(|(_, unit)| *unit),
                    r#type: typed.map(|(of, _)| of),
                    slot,
                    in_finally,
                });
            }
            lets
        })
        .collect()
}

/// Whether steps can name `item`, so that a value of its name would hide it. The name of an image is
/// only looked for where one is expected.
fn is_seen_by_steps(item: ItemRef) -> bool {
    match item {
        ItemRef::Axis(_) | ItemRef::Disk(_) | ItemRef::Input(_) | ItemRef::Test(_) => true,
        ItemRef::Image(_) | ItemRef::Matrix(_) | ItemRef::Plan(_) | ItemRef::Unread => false,
    }
}

/// A written type, with the unit behind `in`.
fn read_type(written: &ast::TypeExpr, bag: &mut Bag) -> Option<(Type, Option<SizeUnit>)> {
    match &written.kind {
        ast::TypeExprKind::Named(name) => named_type(name, bag).map(|of| (of, None)),
        ast::TypeExprKind::List(of) => match read_type(of, bag)? {
            (Type::List(_), _) => {
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
        },
        ast::TypeExprKind::In(name, unit) => {
            let of = named_type(name, bag)?;
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

fn named_type(name: &ast::Name, bag: &mut Bag) -> Option<Type> {
    if let Some((_, of)) = TYPES.iter().find(|(known, _)| *known == name.text) {
        return Some(of.clone());
    }
    let known = || TYPES.iter().map(|(known, _)| *known);
    let help = match name.text.as_str() {
        "text" | "str" | "String" => "Text is of type `string`.".to_owned(),
        "secret" => {
            "A secret is an item, bound in the configuration: `input NAME: secret`.".to_owned()
        }
        "bytes" => "A size is of type `size`.".to_owned(),
        "number" | "integer" | "float" => "Whole numbers are of type `int`.".to_owned(),
        word => did_you_mean(word, known()).unwrap_or_else(|| {
            format!(
                "Output is read as {}, or a list of one of them.",
                crate::suggest::listed(known())
            )
        }),
    };
    let text = format!("`{}` is no type", name.text);
    bag.push(Diagnostic::new(Code::P0311, name.span, text).help(help));
    None
}

impl Checker<'_, '_> {
    /// What of the output `value` is, where `find` stands behind its command or does not.
    pub(crate) fn capture(
        &mut self,
        value: &Let<'_>,
        find: Option<&ast::Command>,
    ) -> Option<Capture> {
        let of = value.r#type.clone();
        let from = match (find, &of) {
            (None, Some(Type::List(_))) => CaptureFrom::Lines,
            (None, _) => CaptureFrom::Text,
            (Some(pattern), _) => {
                let text = self.plain_text(pattern)?;
                let regex = match regex::Regex::new(&text) {
                    Ok(regex) => regex,
                    Err(error) => {
                        self.report_regex(&error, pattern.span);
                        return None;
                    }
                };
                let groups = regex.captures_len() - 1;
                if groups != 1 {
                    let label = match groups {
                        0 => "there is no group".to_owned(),
                        n => format!("there are {n} groups"),
                    };
                    let help = "The value is what the one group in parentheses finds. \
                                Parentheses that only hold together are written `(?:…)`.";
                    self.report(Code::P0310, pattern.span, label, help);
                    return None;
                }
                if matches!(of, Some(Type::List(_))) {
                    let help =
                        "`find` gives one value, a list is made of lines. Leave out one of them.";
                    self.report(Code::P0605, pattern.span, "`find` for a list", help);
                    return None;
                }
                if of == Some(Type::Bytes) && value.unit.is_none() && finds_bare_number(&text) {
                    let help = "The pattern finds a number without its unit. Say which unit it has: `size in KiB`.";
                    self.report(
                        Code::P0312,
                        value.name.span,
                        format!("`{}` has no unit", value.name.text),
                        help,
                    );
                    return None;
                }
                CaptureFrom::Find(text)
            }
        };
        of?;
        Some(Capture {
            slot: value.slot,
            from,
            unit: value.unit,
        })
    }
}

/// Whether the one group of `pattern` can find digits and a point alone.
fn finds_bare_number(pattern: &str) -> bool {
    let Some(group) = text_of_group(pattern) else {
        return false;
    };
    let rest = group
        .replace(r"\d", "")
        .replace("[[:digit:]]", "")
        .replace("[0-9]", "")
        .replace(r"\.", "")
        .replace("(?:", "");
    rest.chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '?' | ')' | '{' | '}' | ','))
}

/// The text between the parentheses of the first group that captures.
fn text_of_group(pattern: &str) -> Option<&str> {
    let (mut start, mut depth, mut in_class, mut escaped) = (None, 0_u32, false, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => {
                let behind = &pattern[at + 1..];
                let captures = !behind.starts_with('?')
                    || behind.starts_with("?P<")
                    || behind.starts_with("?<");
                if start.is_some() {
                    depth += 1;
                } else if captures {
                    start = Some(at + 1);
                }
            }
            ')' if !in_class => match (start, depth) {
                (Some(start), 0) => return pattern.get(start..at),
                (Some(_), _) => depth -= 1,
                (None, _) => {}
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_told_from_a_size() {
        for bare in [
            r"MemTotal: +(\d+) kB",
            r"([0-9]+)",
            r"(?:a|b)=(\d+(?:\.\d+)?)",
            r"\((\d{3})\)",
        ] {
            assert!(finds_bare_number(bare), "{bare}");
        }
        for with_unit in [r"(\d+[KMG]iB)", r"size (.*)$", r"(\S+)", r"(\w+)"] {
            assert!(!finds_bare_number(with_unit), "{with_unit}");
        }
    }
}
