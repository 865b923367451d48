//! Look-ups: `TABLE[KEY]`.
//!
//! Where the key is a fact of the cell, the value is found when the plan is run, among entries that are
//! chosen here; where it is written down, it is found here.

use dva_plan::expr::{CellFact, MachineFact, Node};
use dva_plan::plan::TableIx;
use dva_plan::value::{Type, Value};

use crate::diagnostic::{Code, Diagnostic};
use crate::hir::ItemRef;
use crate::resolve::{dotted, private};
use crate::span::Span;
use crate::syntax::ast::{Expr, Path};
use crate::types::scope::Scope;
use crate::types::table::KeyOf;
use crate::types::{Checker, Operand};

impl Checker<'_, '_> {
    /// `TABLE[KEY]`
    pub(crate) fn look_up(&mut self, path: &Path, key: &Expr, span: Span) -> Option<Operand> {
        let table_ix = self.named_table(path)?;
        let table = self.table(table_ix, path.span)?;
        self.looked_up += 1;
        let wanted = match &table.key {
            KeyOf::Fact(_, kind) => Type::Name(kind.clone()),
            KeyOf::Text => Type::String,
        };
        let own = match &table.key {
            KeyOf::Fact(CellFact::ImageOs, _) => "image.os",
            KeyOf::Fact(CellFact::ImageArch, _) => "image.arch",
            KeyOf::Fact(_, kind) => kind.as_str(),
            KeyOf::Text => "\"…\"",
        };
        let help = format!("Its keys are looked up so: `{}[{own}]`.", table.name);
        let found = self.expression(key, Some(&wanted))?;
        if found.r#type != wanted {
            let text = format!("`{}` has no such keys", table.name);
            self.report(Code::P0332, key.span, text, help);
            return None;
        }
        let fact = match self.nodes.node(found.expr) {
            Node::Const(Value::Name(name) | Value::String(name)) => {
                let name = name.clone();
                return match table.value(&name) {
                    Some(value) => Some(self.known(value.clone(), table.of.clone())),
                    // What is done without is said, and a table of texts is looked up in by no cell, so
                    // the plan has it without entries.
                    None if self.may_miss && table.key == KeyOf::Text => {
                        let (expr, r#type) =
                            (self.nodes.add(Node::Lookup(table_ix)), table.of.clone());
                        Some(Operand { expr, r#type })
                    }
                    None => {
                        let text = format!("`{}` has no entry for `{name}`", table.name);
                        let help = "Every look-up with this key would find nothing. Add the entry to the file.";
                        self.report(Code::P0330, key.span, text, help);
                        None
                    }
                };
            }
            Node::Cell(fact) => Some(fact.clone()),
            Node::Machine(MachineFact::Region) => Some(CellFact::Axis("region".to_owned())),
            Node::Machine(MachineFact::Type) => Some(CellFact::Axis("instance".to_owned())),
            Node::Machine(MachineFact::Arch) => Some(CellFact::ImageArch),
            _ => None,
        };
        if !matches!((&table.key, &fact), (KeyOf::Fact(own, _), Some(fact)) if own == fact) {
            let text = "this key is known only when the test runs";
            self.report(Code::P0332, key.span, text, help);
            return None;
        }
        if !matches!(self.scope, Scope::Step { .. }) {
            let text = "which cell it is is not known here";
            let help = "Steps look up what holds for their cell. Here a key is written down.";
            self.report(Code::P0210, span, text, help);
            return None;
        }
        if self.may_miss {
            self.uses.may_miss.insert(table_ix);
        } else {
            self.uses.lookups.entry(table_ix).or_insert(span);
        }
        let (expr, r#type) = (self.nodes.add(Node::Lookup(table_ix)), table.of.clone());
        Some(Operand { expr, r#type })
    }

    pub(crate) fn named_table(&mut self, path: &Path) -> Option<TableIx> {
        let name = dotted(path);
        match self.find(&name, path.span) {
            Some((ItemRef::Table(table), _)) => return Some(table),
            Some((ItemRef::Unread, _)) => {}
            Some((ItemRef::Private, place)) => self.bag.push(private(&name, path.span, place)),
            Some((item, place)) => {
                let text = format!("`{name}` is {}, not a table", item.noun());
                self.bag.push(
                    Diagnostic::new(Code::P0205, path.span, text)
                        .and(place, "declared here")
                        .help("Only tables are looked up in."),
                );
            }
            None if self.hir.has_unread => {}
            None => {
                let tables = self.hir.tables.iter().map(|table| table.name.text.as_str());
                let help = crate::suggest::did_you_mean(&name, tables).unwrap_or_else(|| {
                    "A table is a file of values: `table packages: image -> [string] = \"./packages.toml\"`."
                        .to_owned()
                });
                let text = format!("no table is named `{name}`");
                self.report(Code::P0204, path.span, text, help);
            }
        }
        None
    }
}
