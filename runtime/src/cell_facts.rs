//! What is known of a cell and its machine wherever an expression asks for it.

use dva_plan::Value;
use dva_plan::eval::{Entry, Facts};
use dva_plan::expr::{CellFact, MachineFact};
use dva_plan::plan::{CellIx, ExecutionPlan, Machine, TableIx};

/// A cell, and the machine that serves it where that is known.
pub(crate) struct CellFacts<'a> {
    pub plan: &'a ExecutionPlan,
    pub cell: CellIx,
    pub machine: Option<&'a Machine>,
}

impl Facts for CellFacts<'_> {
    fn cell(&self, fact: &CellFact) -> Option<Value> {
        let cell = &self.plan.cells[self.cell];
        match fact {
            CellFact::Axis(axis) => {
                let value = cell.axes.get(axis).cloned().map(Value::Name);
                // What the cell leaves open is as it was obtained.
                value.or_else(|| match axis.as_str() {
                    "region" => self.machine(MachineFact::Region),
                    "instance" => self.machine(MachineFact::Type),
                    _ => None,
                })
            }
            of_image => self.plan.images[cell.image].fact(of_image),
        }
    }

    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.machine?.fact(fact)
    }

    fn entry(&self, table: TableIx) -> Entry {
        let Some(table) = self.plan.tables.get(table) else {
            return Entry::Unknown;
        };
        match self.cell(&table.key) {
            Some(Value::Name(key) | Value::Version(key) | Value::String(key)) => table
                .value(&key)
                .map_or(Entry::None, |value| Entry::Is(value.clone())),
            Some(_) | None => Entry::Unknown,
        }
    }
}
