//! The edges of a shape, by either end.

use std::collections::BTreeMap;

use dva_plan::plan::{Shape, TestIx};

/// Looks up a test's neighbours without a walk over all edges.
#[derive(Clone, Debug)]
pub(super) struct Edges {
    after: BTreeMap<TestIx, Vec<TestIx>>,
    order: BTreeMap<TestIx, Vec<TestIx>>,
    dependents: BTreeMap<TestIx, Vec<TestIx>>,
}

impl Edges {
    pub(super) fn new(shape: &Shape) -> Self {
        let mut edges = Self {
            after: BTreeMap::new(),
            order: BTreeMap::new(),
            dependents: BTreeMap::new(),
        };
        for edge in &shape.after {
            edges.after.entry(edge.test).or_default().push(edge.after);
            let dependents = edges.dependents.entry(edge.after).or_default();
            dependents.push(edge.test);
        }
        for edge in &shape.order {
            edges.order.entry(edge.test).or_default().push(edge.after);
        }
        edges
    }

    /// The tests that must have passed before `test`.
    pub(super) fn after(&self, test: TestIx) -> &[TestIx] {
        neighbours(&self.after, test)
    }

    /// The tests that must be over before `test`.
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
