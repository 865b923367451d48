//! The edges of a shape, by either end: those of the plan and those that follow from what tests say of
//! themselves.

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Shape, TestIx};
use dva_plan::table::Table;
use dva_plan::together::Together;

/// Looks up a test's neighbours without a walk over all edges.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    after: Neighbours,
    regardless: Neighbours,
    order: Neighbours,
    dependents: Neighbours,
}

impl Edges {
    pub(super) fn of(plan: &ExecutionPlan, shape: &Shape) -> Self {
        let none: Neighbours = plan.tests.iter().map(|_| Vec::new()).collect();
        let mut edges = Self {
            after: none.clone(),
            regardless: none.clone(),
            order: none.clone(),
            dependents: none,
        };
        for edge in &shape.after {
            edges.after[edge.test].push(edge.after);
            edges.dependents[edge.after].push(edge.test);
        }
        for edge in &shape.regardless {
            edges.regardless[edge.test].push(edge.after);
        }
        for edge in Together::of(plan, shape).order() {
            edges.order[edge.test].push(edge.after);
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

/// What each test of the plan has at the other end.
type Neighbours = Table<TestIx, Vec<TestIx>>;

fn neighbours(of: &Neighbours, test: TestIx) -> &[TestIx] {
    of.get(test).map(Vec::as_slice).unwrap_or_default()
}
