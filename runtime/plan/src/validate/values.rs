//! Whether what a plan says of values makes sense: tables, and the steps that make, use and judge them.

use super::{Slots, Validation};
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

    pub(super) fn step_of_values(&mut self, slots: &Slots, step: &Step, place: &str) {
        match &step.kind {
            StepKind::Let {
                slot,
                value,
                otherwise,
            } => {
                self.slot(slots, *slot, place);
                self.expression(slots, *value, place);
                if let Some(otherwise) = otherwise {
                    self.expression(slots, otherwise.message, place);
                }
            }
            StepKind::Assume { condition, because } => {
                self.expression(slots, *condition, place);
                self.expression(slots, *because, place);
            }
            StepKind::Note(text) => self.expression(slots, *text, place),
            StepKind::When {
                condition,
                then,
                otherwise,
            } => {
                self.expression(slots, *condition, place);
                for (list, steps) in [("then", then), ("otherwise", otherwise)] {
                    self.block(slots, steps, &format!("{place}.{list}"));
                }
            }
            StepKind::For { slot, list, steps } => {
                self.slot(slots, *slot, place);
                self.expression(slots, *list, place);
                self.block(slots, steps, &format!("{place}.steps"));
            }
            StepKind::Console(pattern) => {
                let parses = regex::Regex::new(pattern).is_ok();
                self.expect(parses, place, "its pattern is no regular expression");
            }
            _ => {}
        }
    }

    fn block(&mut self, slots: &Slots, steps: &[Step], place: &str) {
        for (number, step) in steps.iter().enumerate() {
            self.step(slots, step, &format!("{place}[{number}]"));
        }
    }

    fn slot(&mut self, slots: &Slots, slot: SlotIx, place: &str) {
        let known: Option<&Type> = slots.get(slot).map(|slot| &slot.r#type);
        self.expect(known.is_some(), place, "it names a slot that is not there");
    }
}
