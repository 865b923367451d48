//! Which test runs are skipped because a table has no entry for their cell. Where a test asks before it does
//! anything, that is known before anything is launched.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::Value;
use dva_plan::eval::{EvalFault, eval};
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::step::{Missing, StepKind};

use crate::cell_facts::CellFacts;
use crate::excerpt::escape;

/// A test run that is skipped for want of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WithoutEntry {
    /// The cell.
    pub cell: CellIx,
    /// The test.
    pub test: TestIx,
    /// Why, in a sentence.
    pub message: String,
}

/// The test runs of `plan` that find no entry in a table and are skipped for it, and all that come after one
/// of them. By cell, each after what it comes after. One that finds out only while it runs is not among them.
#[must_use]
pub fn without_entry(plan: &ExecutionPlan) -> Vec<WithoutEntry> {
    let mut skipped = Vec::new();
    for (cell, row) in plan.cells.enumerate() {
        let shape = &plan.shapes[row.shape];
        let mut messages: BTreeMap<TestIx, String> = BTreeMap::new();
        let mut waiting = Vec::new();
        for test in &shape.tests {
            if let Some(message) = lacks(plan, cell, *test) {
                messages.insert(*test, message);
                waiting.push(*test);
            }
        }
        while let Some(test) = waiting.pop() {
            skipped.push(WithoutEntry {
                cell,
                test,
                message: messages.get(&test).cloned().unwrap_or_default(),
            });
            let id = &plan.tests[test].id;
            for edge in shape.after.iter().filter(|edge| edge.after == test) {
                messages.entry(edge.test).or_insert_with(|| {
                    waiting.push(edge.test);
                    format!("It comes after {id}, for which a table has no entry.")
                });
            }
        }
    }
    skipped
}

/// Why `test` is skipped in `cell`, where it says so before it does anything else.
fn lacks(plan: &ExecutionPlan, cell: CellIx, test: TestIx) -> Option<String> {
    let facts = CellFacts {
        plan,
        cell,
        machine: None,
    };
    let nodes = &plan.expressions;
    for step in &plan.tests[test].steps {
        let (value, otherwise) = match &step.kind {
            StepKind::Let {
                value,
                otherwise: Some(otherwise),
                ..
            } => (*value, otherwise),
            StepKind::Let {
                otherwise: None, ..
            }
            | StepKind::Note(_) => continue,
            _ => return None,
        };
        if eval(nodes, value, &facts) != Err(EvalFault::NoEntry) {
            continue;
        }
        return match eval(nodes, otherwise.message, &facts) {
            Ok(Value::String(why)) if otherwise.how == Missing::Skip => {
                Some(escape(why.as_bytes()))
            }
            _ => None,
        };
    }
    None
}
