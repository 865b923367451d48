//! The setup of a plan, as lives run it: one more test, which is in no shape and has no verdict.

use std::sync::Arc;

use dva_plan::plan::{Test, TestIx};
use dva_plan::step::SourceText;
use dva_plan::{ExecutionPlan, TestId};

/// What the setup is called where tests have their ids. No author can write it.
pub(crate) const SETUP_ID: &str = "@setup";

/// The plan with its setup as one more test, and that test.
pub(super) fn with_setup(plan: &Arc<ExecutionPlan>) -> (Arc<ExecutionPlan>, Option<TestIx>) {
    let Some(setup) = &plan.setup else {
        return (Arc::clone(plan), None);
    };
    let mut whole = ExecutionPlan::clone(plan);
    let test = whole.tests.push(Test {
        id: TestId::new(SETUP_ID),
        doc: String::new(),
        tags: Vec::new(),
        effects: Vec::new(),
        last: false,
        once: false,
        boot: None,
        retry: 0,
        needs: Vec::new(),
        requires: Vec::new(),
        within_ms: setup.within_ms,
        takes_ms: None,
        takes_p90_ms: None,
        slots: setup.slots.clone(),
        steps: setup.steps.clone(),
        finally: Vec::new(),
        source: SourceText::default(),
    });
    (Arc::new(whole), Some(test))
}
