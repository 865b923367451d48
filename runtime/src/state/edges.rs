//! The edges of a shape, by either end: those of the plan and those that follow from what tests say of
//! themselves.

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Shape, TestIx};
use dva_plan::together::Together;

/// Looks up a test's neighbours without a walk over all edges.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    after: BTreeMap<TestIx, Vec<TestIx>>,
    regardless: BTreeMap<TestIx, Vec<TestIx>>,
    order: BTreeMap<TestIx, Vec<TestIx>>,
    dependents: BTreeMap<TestIx, Vec<TestIx>>,
}

impl Edges {
    pub(super) fn of(plan: &ExecutionPlan, shape: &Shape) -> Self {
        let mut edges = Self {
            after: BTreeMap::new(),
            regardless: BTreeMap::new(),
            order: BTreeMap::new(),
            dependents: BTreeMap::new(),
        };
        for edge in &shape.after {
            edges.after.entry(edge.test).or_default().push(edge.after);
            let dependents = edges.dependents.entry(edge.after).or_default();
            dependents.push(edge.test);
        }
        for edge in &shape.regardless {
            let regardless = edges.regardless.entry(edge.test).or_default();
            regardless.push(edge.after);
        }
        for edge in Together::of(plan, shape).order() {
            edges.order.entry(edge.test).or_default().push(edge.after);
        }
        edges
    }

    /// The tests that must have passed before `test`.
    pub(super) fn after(&self, test: TestIx) -> &[TestIx] {
        neighbours(&self.after, test)
    }

    /// The tests that must be on one life with `test`: what it is `after`, regardless or not.
    pub(super) fn needs(&self, test: TestIx) -> impl Iterator<Item = &TestIx> {
        let regardless = neighbours(&self.regardless, test);
        self.after(test).iter().chain(regardless)
    }

    /// The tests that must be over before `test`, those it is `after` regardless among them.
    pub(super) fn order(&self, test: TestIx) -> &[TestIx] {
        neighbours(&self.order, test)
    }

    /// The tests that come directly `after` `test`.
    pub(super) fn dependents(&self, test: TestIx) -> &[TestIx] {
        neighbours(&self.dependents, test)
    }
}

fn neighbours(map: &BTreeMap<TestIx, Vec<TestIx>>, test: TestIx) -> &[TestIx] {
    map.get(&test).map(Vec::as_slice).unwrap_or_default()
}
