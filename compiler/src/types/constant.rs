//! Values that are known when the plan is made: `let` items, and inputs that the compiler is given.
//!
//! They may be built of one another, so each is read when it is first asked for.

use std::collections::BTreeMap;

use dva_plan::expr::Node;
use dva_plan::parse::{self, ExtraFields};
use dva_plan::plan::InputIx;
use dva_plan::table::{Index, Table};
use dva_plan::unit::SizeUnit;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::{ConstantIx, ItemRef, Origin};
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::syntax::ast::{Expr, Name};
use crate::types::scope::Scope;
use crate::types::written::{Whose, written_type};
use crate::types::{Checker, Operand, a_type};

/// Something that is read when it is first asked for.
#[derive(Clone, Debug)]
pub(crate) enum Lazy<T> {
    /// It has not been read.
    NotYet,
    /// It is being read: who asks now asks for itself.
    Now,
    /// It is this; `None` where it was reported.
    Read(Option<T>),
}

impl Checker<'_, '_> {
    /// Reads all values, whether something uses them or not.
    pub(crate) fn constants(&mut self) {
        for constant in self.hir.constants.indices() {
            let span = self.hir.constants[constant].name.span;
            self.constant_item(constant, span);
        }
        self.unknown_settings();
    }

    /// The value of an item, which is mentioned at `span`.
    pub(crate) fn constant_item(&mut self, constant: ConstantIx, span: Span) -> Option<Operand> {
        match &self.constants[constant] {
            Lazy::Read(value) => return value.clone(),
            Lazy::Now => {
                self.needs_itself(self.hir.constants[constant].name, span);
                return None;
            }
            Lazy::NotYet => {}
        }
        self.constants[constant] = Lazy::Now;
        let value = self.outside(|checker| checker.read_constant(constant));
        self.constants[constant] = Lazy::Read(value.clone());
        value
    }

    /// Does `work` as at the top of the file, whatever is being read here.
    pub(crate) fn outside<T>(&mut self, work: impl FnOnce(&mut Self) -> T) -> T {
        let scope = std::mem::replace(&mut self.scope, Scope::Constant);
        let uses = std::mem::take(&mut self.uses);
        let done = work(self);
        (self.scope, self.uses) = (scope, uses);
        done
    }

    /// Reports a value that is built of itself.
    pub(crate) fn needs_itself(&mut self, name: &Name, span: Span) {
        let text = format!("`{}` is needed to know `{}`", name.text, name.text);
        self.bag.push(
            Diagnostic::new(Code::P0321, span, text)
                .and(name.span, "declared here")
                .help("Follow the values from one to the next, and write one of them down."),
        );
    }

    fn read_constant(&mut self, constant: ConstantIx) -> Option<Operand> {
        let row = &self.hir.constants[constant];
        let written = row
            .r#type
            .map(|written| written_type(written, Whose::Value, self.hir, self.bag));
        // A type that was reported says nothing of the value.
        let wanted = match written {
            Some(None) => return None,
            Some(Some(wanted)) => Some(wanted),
            None => None,
        };
        match row.from {
            // Something of its type of which nothing is known.
            Origin::Open => {
                let (r#type, _) = wanted?;
                let expr = self
                    .nodes
                    .add(Node::Input(InputIx::from_row(usize::from(u16::MAX))));
                Some(Operand { expr, r#type })
            }
            Origin::Written(value) => {
                let of_parameter = row.given.map(|given| (given, row.name.span));
                self.known_value(value, wanted.as_ref().map(|(of, _)| of), of_parameter)
            }
            Origin::Given(default) => {
                let (of, unit) = wanted?;
                let name = row.name;
                if let Some(given) = self.settings.get(&name.text) {
                    return self.given(name, given, &of, unit);
                }
                match default {
                    Some(default) => self.known_value(default, Some(&of), None),
                    None => {
                        let text = format!("nobody says what `{}` is", name.text);
                        let help = format!(
                            "Give it to the command, `--set {}=…`, or say what it is where nobody does: \
                             `input {}: {of} = …`.",
                            name.text, name.text
                        );
                        self.report(Code::P0322, name.span, text, help);
                        None
                    }
                }
            }
        }
    }

    /// `value` as a constant, of type `wanted` where there is one. For a parameter, where it is given and
    /// declared.
    fn known_value(
        &mut self,
        value: &Expr,
        wanted: Option<&Type>,
        of_parameter: Option<(Span, Span)>,
    ) -> Option<Operand> {
        let operand = self.expression(value, wanted)?;
        if let Some(wanted) = wanted
            && *wanted != operand.r#type
        {
            let text = format!("this is {}", a_type(&operand.r#type));
            let (finding, what) = match of_parameter {
                Some((given, name)) => {
                    let finding = Diagnostic::new(Code::P0301, given, text);
                    (finding.and(name, "this parameter"), "The parameter takes")
                }
                None => {
                    let finding = Diagnostic::new(Code::P0301, value.span, text);
                    (finding, "The value is declared as")
                }
            };
            let help = format!("{what} {}.", a_type(wanted));
            self.bag.push(finding.help(help));
            return None;
        }
        if !matches!(self.nodes.node(operand.expr), Node::Const(_)) {
            let text = "this is known only when the test runs";
            let help = "What belongs to the file is known when the plan is made. Give it a name in the test.";
            self.report(Code::P0316, value.span, text, help);
            return None;
        }
        Some(operand)
    }

    /// The value that the command was given for an input.
    fn given(
        &mut self,
        name: &Name,
        given: &str,
        of: &Type,
        unit: Option<SizeUnit>,
    ) -> Option<Operand> {
        let value = match of {
            Type::List(_) | Type::Record(_) => match serde_json::from_str(given) {
                Ok(found) => parse::json(&found, of, unit, ExtraFields::Refused)
                    .map_err(|misfit| misfit.to_string()),
                Err(error) => Err(format!("it is no JSON: {error}")),
            },
            _ => parse::text(given, of, unit).map_err(|misfit| misfit.to_string()),
        };
        let value = value.and_then(|value| match self.foreign_name(&value, of) {
            Some((kind, name)) => Err(format!("`{name}` is not {}", a_type(&Type::Name(kind)))),
            None => Ok(value),
        });
        match value {
            Ok(value) => Some(self.known(value, of.clone())),
            Err(why) => {
                let help = format!(
                    "It is {}. {}",
                    a_type(of),
                    match of {
                        Type::List(_) | Type::Record(_) =>
                            "Lists and records are given as JSON: `--set 'names=[\"a\", \"b\"]'`.",
                        _ => "It is given as in a source, without quotes.",
                    }
                );
                self.report(Code::P0324, name.span, why, help);
                None
            }
        }
    }

    /// A name in `value` that is none of its kind, with the kind.
    pub(crate) fn foreign_name(&self, value: &Value, of: &Type) -> Option<(String, String)> {
        match (value, of) {
            (Value::Name(name), Type::Name(kind)) => {
                (!self.is_value_of(kind, name)).then(|| (kind.clone(), name.clone()))
            }
            (Value::List(items), Type::List(of)) => {
                items.iter().find_map(|item| self.foreign_name(item, of))
            }
            (Value::Record(fields), Type::Record(types)) => fields
                .iter()
                .find_map(|(name, value)| self.foreign_name(value, types.get(name)?)),
            _ => None,
        }
    }

    /// Reports inputs that were given and that the source does not have.
    fn unknown_settings(&mut self) {
        if self.hir.has_unread {
            return;
        }
        for name in self.settings.keys() {
            let hir = self.hir;
            let of_run = hir.run_inputs.iter().map(|input| input.name);
            let of_run = of_run.chain(hir.inputs.iter().map(|secret| secret.name));
            let settings: Vec<&str> = hir
                .constants
                .iter()
                .filter(|row| matches!(row.from, Origin::Given(_)))
                .map(|row| row.name.text.as_str())
                .collect();
            let found = hir.find(name, Span::default()).map(|(item, _)| item);
            if settings.contains(&name.as_str()) || found == Some(ItemRef::Unread) {
                continue;
            }
            let is_of_run = of_run.into_iter().any(|input| input.text == *name);
            let (text, help) = match is_of_run {
                true => (
                    format!("`{name}` is bound when the tests run"),
                    "Bind it in the configuration, `dva.toml`.".to_owned(),
                ),
                false => {
                    let known = || settings.iter().copied();
                    let help =
                        did_you_mean(name, known()).unwrap_or_else(|| match known().next() {
                            None => "The file takes no inputs.".to_owned(),
                            Some(_) => format!("The file takes {}.", listed(known())),
                        });
                    (format!("no input is named `{name}`"), help)
                }
            };
            let finding = Diagnostic::new(Code::P0323, Span::default(), text);
            self.bag.push(finding.help(help));
        }
    }

    /// The inputs that the plan was made with, as text.
    pub(crate) fn settings_in_force(&self) -> BTreeMap<String, String> {
        let constants = self.hir.constants.enumerate();
        let given = constants.filter(|(_, row)| matches!(row.from, Origin::Given(_)));
        let text = |constant: ConstantIx| match &self.constants[constant] {
            Lazy::Read(Some(value)) => match self.nodes.node(value.expr) {
                Node::Const(Value::String(text)) => Some(text.clone()),
                Node::Const(value) => Some(value.to_string()),
                _ => None,
            },
            Lazy::Read(None) | Lazy::Now | Lazy::NotYet => None,
        };
        given
            .filter_map(|(constant, row)| Some((row.name.text.clone(), text(constant)?)))
            .collect()
    }
}

/// As many as there are items, none of them read.
pub(crate) fn unread<I: dva_plan::table::Index, R, T: Clone>(
    rows: &Table<I, R>,
) -> Table<I, Lazy<T>> {
    rows.iter().map(|_| Lazy::NotYet).collect()
}
