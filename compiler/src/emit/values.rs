//! Tables and inputs of a plan: which of them it has, and what of a table its cells need.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::expr::{CellFact, Node};
use dva_plan::plan::{Input, InputIx, Lookup, Machine, TableIx, TestIx};
use dva_plan::step::{Otherwise, Step, StepKind};
use dva_plan::table::Table;

use super::Layout;
use super::renumber::{Renumbering, numbered};
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::expand::{Cell, Cells};
use crate::graph::Graph;
use crate::graph::apply::Applied;
use crate::hir::Hir;
use crate::span::Span;
use crate::suggest::listed;
use crate::types::Typed;
use crate::types::table::{KeyOf, TypedTable};

/// The words of a fact that a cell is looked up by, one for each machine that may serve it.
fn keys_of(typed: &Typed, cells: &Cells, cell: &Cell, fact: &CellFact) -> BTreeSet<String> {
    let of_machines = |word: fn(&Machine) -> &String| {
        let machines = cell.candidates.iter();
        machines
            .map(|machine| word(&cells.machines[*machine]).clone())
            .collect()
    };
    match fact {
        CellFact::Axis(axis) => match (cell.axes.get(axis), axis.as_str()) {
            (Some(value), _) => BTreeSet::from([value.clone()]),
            (None, "region") => of_machines(|machine| &machine.region),
            (None, "instance") => of_machines(|machine| &machine.r#type),
            (None, _) => BTreeSet::new(),
        },
        of_image => {
            let image = typed.images[cell.image].as_ref();
            let value = image.and_then(|image| image.fact(of_image));
            value.map(|value| value.to_string()).into_iter().collect()
        }
    }
}

/// What the tests of a plan look up, and where they run.
pub(super) struct Rows<'e, 'a> {
    pub(super) hir: &'e Hir<'a>,
    pub(super) typed: &'e Typed,
    pub(super) graph: &'e Graph,
    pub(super) applied: &'e Applied,
    /// The cells of each part of the plan.
    pub(super) cells: &'e [&'e Cells],
    /// What every life of the plan does first.
    pub(super) setup: Option<TestIx>,
}

impl Rows<'_, '_> {
    /// The tests, each once, and the setup.
    fn tests(&self) -> BTreeSet<TestIx> {
        let tests = self.graph.nodes.iter().map(|node| node.test);
        tests.chain(self.setup).collect()
    }

    /// For each cell that `test` runs in, the keys of `fact`.
    fn keys(&self, test: TestIx, fact: &CellFact) -> Vec<BTreeSet<String>> {
        let runs = |set: &usize| {
            let mut running = self.applied.sets[*set].enumerate();
            let is_setup = self.setup == Some(test);
            running.any(|(node, runs)| *runs && (is_setup || self.graph.nodes[node].test == test))
        };
        let runs: Vec<bool> = (0..self.applied.sets.len()).map(|set| runs(&set)).collect();
        let mut keys = Vec::new();
        for (cells, sets) in self.cells.iter().zip(&self.applied.cells) {
            for (cell, set) in cells.cells.iter().zip(sets) {
                if set.is_some_and(|set| runs[set]) {
                    keys.push(keys_of(self.typed, cells, cell, fact));
                }
            }
        }
        keys
    }

    /// Whether every cell has an entry in the tables that its tests rely on.
    pub(super) fn entries_are_there(&self, bag: &mut Bag) -> bool {
        let mut lookups: BTreeMap<(TableIx, Span), BTreeSet<String>> = BTreeMap::new();
        for test in self.tests() {
            for (table, span) in &self.typed.tests[test].uses.lookups {
                let Some((read, fact)) = self.table(*table) else {
                    continue;
                };
                let keys = self.keys(test, fact).into_iter().flatten();
                let missing = keys.filter(|key| read.place(key).is_none());
                lookups.entry((*table, *span)).or_default().extend(missing);
            }
        }
        let mut all = true;
        for ((table, span), missing) in &lookups {
            if missing.is_empty() {
                continue;
            }
            all = false;
            let name = &self.hir.tables[*table].name;
            let missing = listed(missing.iter().map(String::as_str));
            let text = format!("`{}` has no entry for {missing}", name.text);
            bag.push(
                Diagnostic::new(Code::P0330, *span, text)
                    .and(name.span, "this table")
                    .help(
                        "Add the entry to the file, or say what becomes of the test without one: \
                         `let x = table[key] else skip \"why\"`, or `else fail`.",
                    ),
            );
        }
        all
    }

    /// The tests that will be skipped, or fail, in cells for which a table has no entry: how many cells,
    /// by test and table.
    pub(super) fn without_entry(&self) -> BTreeMap<(TestIx, TableIx), usize> {
        let mut counts = BTreeMap::new();
        for test in self.tests() {
            for table in &self.typed.tests[test].uses.may_miss {
                let Some((read, fact)) = self.table(*table) else {
                    continue;
                };
                let lacks =
                    |keys: &&BTreeSet<String>| keys.iter().any(|key| read.place(key).is_none());
                let count = self.keys(test, fact).iter().filter(lacks).count();
                if count > 0 {
                    counts.insert((test, *table), count);
                }
            }
        }
        counts
    }

    fn table(&self, table: TableIx) -> Option<(&TypedTable, &CellFact)> {
        let read = self.typed.tables[table].as_ref()?;
        match &read.key {
            KeyOf::Fact(fact, _) => Some((read, fact)),
            _ => None,
        }
    }
}

impl Renumbering {
    /// Notes the tables and inputs that the nodes `needed` name.
    pub(super) fn values<'n>(&mut self, needed: impl Iterator<Item = &'n Node>) {
        let (mut tables, mut inputs) = (BTreeSet::new(), BTreeSet::new());
        for node in needed {
            match node {
                Node::Lookup(table) => {
                    tables.insert(*table);
                }
                Node::Input(input) => {
                    inputs.insert(*input);
                }
                _ => {}
            }
        }
        self.tables = numbered(tables);
        self.inputs = numbered(inputs);
    }

    /// The inputs that must be bound; `None` where the type of one was reported.
    pub(super) fn run_inputs(&self, hir: &Hir<'_>, typed: &Typed) -> Option<Table<InputIx, Input>> {
        let inputs = self.inputs.keys().map(|input| {
            Some(Input {
                name: hir.run_inputs[*input].name.text.clone(),
                r#type: typed.run_inputs[*input].clone()?,
            })
        });
        inputs.collect()
    }

    /// Of each table what the cells need; `None` where something of one was reported.
    pub(super) fn lookups(&self, typed: &Typed, layout: &Layout) -> Option<Table<TableIx, Lookup>> {
        let tables = self.tables.keys().map(|table| {
            let read = typed.tables[*table].as_ref()?;
            let KeyOf::Fact(fact, _) = &read.key else {
                // What is found in it by a written key stands in the plan as it is; what is left are
                // look-ups that find nothing, whatever the key.
                return Some(Lookup {
                    name: read.name.clone(),
                    key: CellFact::ImageOs,
                    entries: BTreeMap::new(),
                    values: Vec::new(),
                });
            };
            let parts = layout.parts.iter().zip(&layout.applied.cells);
            let keys = parts.flat_map(|(part, sets)| {
                let cells = part.cells.cells.iter().zip(sets);
                let cells = cells.filter(|(_, set)| set.is_some());
                cells.flat_map(|(cell, _)| keys_of(typed, &part.cells, cell, fact))
            });
            let places: BTreeMap<String, u32> = keys
                .filter_map(|key| read.place(&key).map(|place| (key, place)))
                .collect();
            // The values in the order of the file, without those that no cell has.
            let used: BTreeSet<u32> = places.values().copied().collect();
            let new: BTreeMap<u32, u32> = used.iter().copied().zip(0..).collect();
            Some(Lookup {
                name: read.name.clone(),
                key: fact.clone(),
                entries: places
                    .into_iter()
                    .map(|(key, place)| (key, new[&place]))
                    .collect(),
                values: used
                    .iter()
                    .filter_map(|place| read.values.get(usize::try_from(*place).ok()?).cloned())
                    .collect(),
            })
        });
        tables.collect()
    }

    /// A step that names, judges or repeats.
    pub(super) fn step_of_values(&self, again: Option<TestIx>, kind: &StepKind) -> StepKind {
        let steps = |steps: &[Step]| steps.iter().map(|step| self.step(again, step)).collect();
        match kind {
            StepKind::Let {
                slot,
                value,
                otherwise,
            } => StepKind::Let {
                slot: *slot,
                value: self.expr(again, *value),
                otherwise: otherwise.as_ref().map(|otherwise| Otherwise {
                    how: otherwise.how,
                    message: self.expr(again, otherwise.message),
                }),
            },
            StepKind::Assume { condition, because } => StepKind::Assume {
                condition: self.expr(again, *condition),
                because: self.expr(again, *because),
            },
            StepKind::Note(text) => StepKind::Note(self.expr(again, *text)),
            StepKind::When {
                condition,
                then,
                otherwise,
            } => StepKind::When {
                condition: self.expr(again, *condition),
                then: steps(then),
                otherwise: steps(otherwise),
            },
            StepKind::For {
                slot,
                list,
                steps: inner,
            } => StepKind::For {
                slot: *slot,
                list: self.expr(again, *list),
                steps: steps(inner),
            },
            other => other.clone(),
        }
    }
}
