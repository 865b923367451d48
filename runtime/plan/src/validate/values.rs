//! Whether what a plan says of values makes sense: tables, and the steps that make, use and judge them.

use super::Validation;
use crate::plan::Test;
use crate::step::{SlotIx, Step, StepKind};
use crate::table::Index;
use crate::value::Type;

impl Validation<'_> {
    pub(super) fn tables(&mut self) {
        for (index, table) in self.plan.tables.enumerate() {
            let place = format!("tables[{}]", index.row());
            let known = table.entries.keys().all(|key| table.value(key).is_some());
            self.expect(known, &place, "an entry names a value that is not there");
        }
    }

    pub(super) fn step_of_values(&mut self, test: &Test, step: &Step, place: &str) {
        match &step.kind {
            StepKind::Let {
                slot,
                value,
                otherwise,
            } => {
                self.slot(test, *slot, place);
                self.expression(test, *value, place);
                if let Some(otherwise) = otherwise {
                    self.expression(test, otherwise.message, place);
                }
            }
            StepKind::Assume { condition, because } => {
                self.expression(test, *condition, place);
                self.expression(test, *because, place);
            }
            StepKind::Note(text) => self.expression(test, *text, place),
            StepKind::When {
                condition,
                then,
                otherwise,
            } => {
                self.expression(test, *condition, place);
                for (list, steps) in [("then", then), ("otherwise", otherwise)] {
                    self.block(test, steps, &format!("{place}.{list}"));
                }
            }
            StepKind::For { slot, list, steps } => {
                self.slot(test, *slot, place);
                self.expression(test, *list, place);
                self.block(test, steps, &format!("{place}.steps"));
            }
            StepKind::Console(pattern) => {
                let parses = regex::Regex::new(pattern).is_ok();
                self.expect(parses, place, "its pattern is no regular expression");
            }
            _ => {}
        }
    }

    fn block(&mut self, test: &Test, steps: &[Step], place: &str) {
        for (number, step) in steps.iter().enumerate() {
            self.step(test, step, &format!("{place}[{number}]"));
        }
    }

    fn slot(&mut self, test: &Test, slot: SlotIx, place: &str) {
        let known: Option<&Type> = test.slots.get(slot).map(|slot| &slot.r#type);
        self.expect(known.is_some(), place, "it names a slot that is not there");
    }
}
