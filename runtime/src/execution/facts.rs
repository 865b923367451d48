//! What the expressions of a step may ask: captured values, the command just run, cell, machine, disks.

use std::cell::Cell as Flag;
use std::collections::BTreeMap;

use dva_plan::eval::{Entry, Facts};
use dva_plan::expr::{CellFact, DiskFact, MachineFact};
use dva_plan::plan::{CellIx, DiskIx, ExecutionPlan, InputIx, Machine, TableIx, TestIx};
use dva_plan::step::SlotIx;
use dva_plan::{Type, Value};

use super::{Execution, SlotValue, Slots};
use crate::cell_facts::CellFacts;
use crate::inputs::Inputs;
use crate::provider::AttachedDisk;
use crate::transport::{ExecOutcome, ExecStatus, StreamOutput};

/// The surroundings of one step.
pub(super) struct StepFacts<'a> {
    pub(super) plan: &'a ExecutionPlan,
    pub(super) test: TestIx,
    cell: CellIx,
    machine: &'a Machine,
    inputs: &'a Inputs,
    /// Those that are attached.
    disks: Vec<AttachedDisk>,
    slots: &'a Slots,
    captured: &'a BTreeMap<TestIx, Slots>,
    pub(super) outcome: Option<&'a ExecOutcome>,
    placeholders: bool,
    assumed: Flag<bool>,
    unreadable: Flag<Option<Unreadable>>,
}

/// Why a command's output is no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// There is more of it than is kept.
    TooLarge,
    /// It is not UTF-8.
    NotUtf8,
}

impl<'a> StepFacts<'a> {
    /// The surroundings of a step, with the command it has run where it is an expectation.
    pub(super) fn new(
        execution: &'a Execution,
        slots: &'a Slots,
        outcome: Option<&'a ExecOutcome>,
    ) -> Self {
        Self {
            plan: &execution.plan,
            test: execution.test,
            cell: execution.cell,
            machine: &execution.guest.machine,
            inputs: &execution.inputs,
            disks: execution.guest.disks(),
            slots,
            captured: &execution.captured,
            outcome,
            placeholders: false,
            assumed: Flag::new(false),
            unreadable: Flag::new(None),
        }
    }

    /// The same, where a value that only a simulator does not know is something to look at.
    pub(super) fn with_placeholders(self) -> Self {
        Self {
            placeholders: true,
            ..self
        }
    }

    /// Whether something was asked that only a simulator does not know.
    pub(super) fn asked_the_unknown(&self) -> bool {
        self.assumed.get()
    }

    /// Why an output that was asked for is no text.
    pub(super) fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable.get()
    }

    fn of_cell(&self) -> CellFacts<'_> {
        CellFacts {
            plan: self.plan,
            cell: self.cell,
            machine: Some(self.machine),
        }
    }

    fn unknown(&self) -> Option<Value> {
        self.assumed.set(true);
        None
    }

    fn captured(&self, slots: Option<&Slots>, test: TestIx, slot: SlotIx) -> Option<Value> {
        match slots?.get(&slot)? {
            SlotValue::Known(value) => Some(value.clone()),
            SlotValue::Assumed if self.placeholders => {
                let slot = self.plan.tests[test].slots.get(slot)?;
                Some(placeholder(&slot.r#type, &slot.name))
            }
            SlotValue::Assumed => self.unknown(),
        }
    }

    fn stream(&self, of: impl Fn(&ExecOutcome) -> &StreamOutput) -> Option<Value> {
        let outcome = self.outcome?;
        if outcome.status == ExecStatus::Assumed {
            return self.unknown();
        }
        match text(of(outcome)) {
            Ok(text) => Some(Value::String(without_line_ends(text).to_owned())),
            Err(why) => {
                self.unreadable.set(Some(why));
                None
            }
        }
    }
}

/// The text of an output, all of it.
pub(super) fn text(output: &StreamOutput) -> Result<&str, Unreadable> {
    let bytes = output.whole().ok_or(Unreadable::TooLarge)?;
    std::str::from_utf8(bytes).map_err(|_| Unreadable::NotUtf8)
}

/// `text` without the line ends at its end.
pub(super) fn without_line_ends(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r'])
}

impl Facts for StepFacts<'_> {
    fn slot(&self, slot: SlotIx) -> Option<Value> {
        self.captured(Some(self.slots), self.test, slot)
    }

    fn other(&self, test: TestIx, slot: SlotIx) -> Option<Value> {
        self.captured(self.captured.get(&test), test, slot)
    }

    fn exit(&self) -> Option<Value> {
        match self.outcome?.status {
            ExecStatus::Exit(status) => Some(Value::Int(status.into())),
            ExecStatus::Signal(_) => None,
            ExecStatus::Assumed => self.unknown(),
        }
    }

    fn stdout(&self) -> Option<Value> {
        self.stream(|outcome| &outcome.stdout)
    }

    fn stderr(&self) -> Option<Value> {
        self.stream(|outcome| &outcome.stderr)
    }

    fn cell(&self, fact: &CellFact) -> Option<Value> {
        self.of_cell().cell(fact)
    }

    fn entry(&self, table: TableIx) -> Entry {
        self.of_cell().entry(table)
    }

    fn input(&self, input: InputIx) -> Option<Value> {
        let name = &self.plan.inputs.get(input)?.name;
        self.inputs.value(name, &self.machine.region).cloned()
    }

    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.of_cell().machine(fact)
    }

    fn disk(&self, disk: DiskIx, fact: DiskFact) -> Option<Value> {
        let attached = || self.disks.iter().find(|own| own.disk == disk);
        Some(match fact {
            DiskFact::Device => Value::String(attached()?.device.clone()),
            DiskFact::Part(number) => Value::String(attached()?.partition(number)),
            DiskFact::Size => Value::Bytes(self.plan.disks.get(disk)?.size_bytes),
            DiskFact::Attached => Value::Bool(attached().is_some()),
        })
    }
}

/// Something of the right type to show in a command of a simulated run.
fn placeholder(of: &Type, name: &str) -> Value {
    let text = || format!("<{name}>");
    match of {
        Type::Bool => Value::Bool(true),
        Type::Int => Value::Int(0),
        Type::Bytes => Value::Bytes(0),
        Type::Ms => Value::Ms(0),
        Type::NanoUsd => Value::NanoUsd(0),
        Type::Ratio => Value::Ratio(0, 1),
        Type::String => Value::String(text()),
        Type::Name(_) => Value::Name(text()),
        Type::Version => Value::Version(text()),
        Type::Date => Value::Date(text()),
        Type::Regex => Value::Regex(text()),
        Type::List(of) => Value::List(vec![placeholder(of, name)]),
        Type::Record(fields) => Value::Record(
            fields
                .iter()
                .map(|(field, of)| (field.clone(), placeholder(of, name)))
                .collect(),
        ),
    }
}
