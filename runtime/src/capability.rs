//! Which test runs cannot be done at all: those that need what a provider's machines cannot, and those
//! that need another machine than their cell has. That is known before anything is launched.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Capability, CellIx, TestIx};

use crate::provider::Provider;

/// A test run that a provider cannot do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The cell.
    pub cell: CellIx,
    /// The test.
    pub test: TestIx,
    /// Why, in a sentence.
    pub message: String,
}

/// The test runs of `plan` that `provider` cannot do: those that need what its machines cannot, those
/// that the plan itself says cannot be done in their cell, and all that come after one of them. By cell, each after what it comes after.
#[must_use]
pub fn unsupported(plan: &ExecutionPlan, provider: &dyn Provider) -> Vec<Unsupported> {
    let can = provider.capabilities();
    let mut unsupported = Vec::new();
    for (cell, row) in plan.cells.enumerate() {
        let shape = &plan.shapes[row.shape];
        // The test that a test run falls with, itself among them.
        let mut causes: BTreeMap<TestIx, TestIx> = BTreeMap::new();
        let mut waiting = Vec::new();
        for test in &row.unsupported {
            causes.insert(*test, *test);
            waiting.push(*test);
        }
        for test in &shape.tests {
            if causes.contains_key(test) {
                continue;
            }
            if !plan.tests[*test]
                .needs
                .iter()
                .all(|need| can.contains(need))
            {
                causes.insert(*test, *test);
                waiting.push(*test);
            }
        }
        let mut order = Vec::new();
        while let Some(test) = waiting.pop() {
            order.push(test);
            for edge in shape.after.iter().filter(|edge| edge.after == test) {
                if let std::collections::btree_map::Entry::Vacant(free) = causes.entry(edge.test) {
                    free.insert(test);
                    waiting.push(edge.test);
                }
            }
        }
        for test in order {
            let missing = plan.tests[test]
                .needs
                .iter()
                .filter(|need| !can.contains(need));
            let missing: Vec<_> = missing.map(|need| word(*need)).collect();
            let message = if row.unsupported.contains(&test) {
                let required = plan.tests[test].requires.iter();
                let required: Vec<_> = required.map(|of| of.source.text.as_str()).collect();
                format!(
                    "No machine of the cell is what it needs: {}.",
                    required.join(", ")
                )
            } else if missing.is_empty() {
                let cause = &plan.tests[causes[&test]].id;
                format!("It comes after {cause}, which cannot be done here.")
            } else {
                format!(
                    "It needs {}, which no machine of the provider `{}` can.",
                    missing.join(" and "),
                    provider.name()
                )
            };
            unsupported.push(Unsupported {
                cell,
                test,
                message,
            });
        }
    }
    unsupported
}

/// What a machine must be able to do, as a noun.
fn word(capability: Capability) -> &'static str {
    match capability {
        Capability::Kernel => "a kernel of its own",
        Capability::Reboot => "a reboot from outside",
        Capability::StopStart => "a stop and start from outside",
        Capability::UserData => "user data",
        Capability::BootMode => "a boot mode that is chosen",
        Capability::RootSize => "a root disk whose size is chosen",
        Capability::Hotplug => "disks to be attached and detached",
        Capability::Console => "a console that can be read",
    }
}
