//! Whether an execution plan that decoded makes sense.
//!
//! The compiler makes no plan that fails here; a file may come from anywhere. What passes can be
//! indexed without fear and run without a surprise of form. Types of expressions are not checked
//! again: an ill-typed one is a fault of its test, see [`crate::eval::EvalFault::Ill`].

use std::collections::BTreeSet;
use std::fmt;

use crate::expr::{ExprIx, Node};
use crate::plan::{DiskIx, ExecutionPlan, Shape, Test, TestIx};
use crate::quote::Quote;
use crate::step::{CaptureFrom, Run, Step, StepKind, WaitCondition, WithValue};
use crate::table::Index;
use crate::template::{Piece, Template};
use crate::value::{Type, Value};

/// Something that does not hold together: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place, as a path into the document: `tests[3].steps[0]`.
    pub place: String,
    /// What is wrong there.
    pub what: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// All that is wrong with `plan`; empty where nothing is.
#[must_use]
pub fn validate(plan: &ExecutionPlan) -> Vec<Fault> {
    let mut validation = Validation {
        plan,
        faults: Vec::new(),
    };
    validation.expressions();
    validation.tests();
    validation.shapes();
    validation.machines();
    validation.cells();
    validation.expect(
        plan.policy.lanes >= 1,
        "policy",
        "there must be at least one lane",
    );
    validation.faults
}

struct Validation<'a> {
    plan: &'a ExecutionPlan,
    faults: Vec<Fault>,
}

impl Validation<'_> {
    fn expect(&mut self, holds: bool, place: impl Into<String>, what: &'static str) {
        if !holds {
            self.faults.push(Fault {
                place: place.into(),
                what,
            });
        }
    }

    fn expressions(&mut self) {
        let plan = self.plan;
        for (index, node) in plan.expressions.enumerate() {
            let place = || format!("expressions[{}]", index.row());
            let earlier = node
                .children()
                .iter()
                .all(|child| child.row() < index.row());
            self.expect(earlier, place(), "a child does not come before its parent");
            match node {
                Node::Other { test, slot } => {
                    let known = plan
                        .tests
                        .get(*test)
                        .is_some_and(|test| test.slots.get(*slot).is_some());
                    self.expect(known, place(), "it names a slot that is not there");
                }
                Node::Disk { disk, .. } => {
                    self.expect(
                        plan.disks.get(*disk).is_some(),
                        place(),
                        "it names a disk that is not there",
                    );
                }
                Node::Const(Value::Regex(pattern)) => {
                    self.expect(
                        regex::Regex::new(pattern).is_ok(),
                        place(),
                        "it is no regular expression",
                    );
                }
                Node::Const(Value::Ratio(_, denominator)) => {
                    self.expect(
                        *denominator > 0,
                        place(),
                        "a ratio's second number is not above zero",
                    );
                }
                _ => {}
            }
        }
    }

    fn tests(&mut self) {
        let plan = self.plan;
        let mut ids = BTreeSet::new();
        for (index, test) in plan.tests.enumerate() {
            let place = format!("tests[{}]", index.row());
            self.expect(ids.insert(&test.id), &place, "another test has the same id");
            let needs = test.needs.is_sorted_by(|a, b| a < b);
            self.expect(needs, &place, "its needs are not ascending");
            let disks = test
                .effects
                .iter()
                .all(|effect| plan.disks.get(effect.disk).is_some());
            self.expect(disks, &place, "an effect names a disk that is not there");
            for (list, steps) in [("steps", &test.steps), ("finally", &test.finally)] {
                for (number, step) in steps.iter().enumerate() {
                    self.step(test, step, &format!("{place}.{list}[{number}]"));
                }
            }
        }
    }

    fn step(&mut self, test: &Test, step: &Step, place: &str) {
        match &step.kind {
            StepKind::Check(condition) => self.expression(test, *condition, place),
            StepKind::Reboot | StepKind::Stop | StepKind::Start | StepKind::Wait { .. } => {}
            StepKind::Attach(disk) | StepKind::Detach { disk, how: _ } => self.disk(*disk, place),
            StepKind::WaitUntil {
                condition,
                every_ms,
            } => {
                self.expect(*every_ms > 0, place, "it looks again without a pause");
                match condition {
                    WaitCondition::Holds(condition) => self.expression(test, *condition, place),
                    WaitCondition::Succeeds(command) => self.template(test, command, place),
                }
            }
            StepKind::Upload { blob, to, mode: _ } => {
                let known = self.plan.blobs.get(*blob).is_some();
                self.expect(known, place, "it names a blob that is not there");
                self.template(test, to, place);
            }
            StepKind::Collect { path } => self.template(test, path, place),
            StepKind::Run(Run {
                command,
                expect,
                capture,
                user: _,
                retry: _,
                with,
            }) => {
                self.template(test, command, place);
                for with in with {
                    match with.value {
                        WithValue::Expr(expr) => self.expression(test, expr, place),
                        WithValue::Secret(secret) => {
                            let known = self.plan.secrets.get(secret).is_some();
                            self.expect(known, place, "it names a secret that is not there");
                        }
                    }
                }
                if let Some(expect) = expect {
                    self.expression(test, *expect, place);
                }
                if let Some(capture) = capture {
                    let fits = test.slots.get(capture.slot).is_some_and(|slot| {
                        matches!(slot.r#type, Type::List(_))
                            == matches!(capture.from, CaptureFrom::Lines)
                            && (capture.unit.is_none() || slot.r#type == Type::Bytes)
                    });
                    self.expect(fits, place, "its capture does not fit its slot");
                    if let CaptureFrom::Find(pattern) = &capture.from {
                        let group =
                            regex::Regex::new(pattern).is_ok_and(|regex| regex.captures_len() == 2);
                        self.expect(
                            group,
                            place,
                            "its pattern is no regular expression with one group",
                        );
                    }
                }
            }
        }
    }

    fn disk(&mut self, disk: DiskIx, place: &str) {
        let known = self.plan.disks.get(disk).is_some();
        self.expect(known, place, "it names a disk that is not there");
    }

    fn template(&mut self, test: &Test, template: &Template, place: &str) {
        for piece in &template.0 {
            match piece {
                Piece::Arg { expr, .. } | Piece::Raw(expr) => self.expression(test, *expr, place),
                Piece::Lit(text) => {
                    self.expect(!text.contains('\0'), place, "a command holds a NUL");
                }
            }
        }
    }

    /// Checks that `root` exists and reads no slots but the test's own.
    fn expression(&mut self, test: &Test, root: ExprIx, place: &str) {
        let nodes = &self.plan.expressions;
        let (mut waiting, mut seen) = (vec![root], BTreeSet::new());
        while let Some(index) = waiting.pop() {
            let Some(node) = nodes.get(index) else {
                self.expect(false, place, "it names an expression that is not there");
                return;
            };
            if let Node::Slot(slot) = node {
                self.expect(
                    test.slots.get(*slot).is_some(),
                    place,
                    "it names a slot that is not there",
                );
            }
            // Children that do not come first are reported where the table is checked.
            let children = node.children();
            waiting.extend(
                children
                    .into_iter()
                    .filter(|child| *child < index && seen.insert(*child)),
            );
        }
    }

    fn shapes(&mut self) {
        for (index, shape) in self.plan.shapes.enumerate() {
            let place = format!("shapes[{}]", index.row());
            let known = shape
                .tests
                .iter()
                .all(|test| self.plan.tests.get(*test).is_some());
            self.expect(known, &place, "it names a test that is not there");
            self.expect(!shape.tests.is_empty(), &place, "it has no tests");
            let ascending = shape.tests.is_sorted_by(|a, b| a < b);
            self.expect(ascending, &place, "its tests are not ascending");
            for edges in [&shape.after, &shape.order] {
                let inside = |test: TestIx| shape.tests.binary_search(&test).is_ok();
                let closed = edges
                    .iter()
                    .all(|edge| inside(edge.test) && inside(edge.after));
                self.expect(closed, &place, "an edge leaves it");
                self.expect(
                    edges.is_sorted_by(|a, b| a < b),
                    &place,
                    "its edges are not ascending",
                );
            }
            self.expect(is_acyclic(shape), &place, "its edges form a cycle");
        }
    }

    fn machines(&mut self) {
        for (index, machine) in self.plan.machines.enumerate() {
            for (line, what) in machine.quote.iter().flat_map(Quote::faults) {
                let place = format!("machines[{}].quote.lines[{line}]", index.row());
                self.expect(false, place, what);
            }
        }
    }

    fn cells(&mut self) {
        let plan = self.plan;
        let mut ids = BTreeSet::new();
        self.expect(!plan.cells.is_empty(), "cells", "there are none");
        for (index, cell) in plan.cells.enumerate() {
            let place = format!("cells[{}]", index.row());
            self.expect(ids.insert(&cell.id), &place, "another cell has the same id");
            self.expect(
                plan.images.get(cell.image).is_some(),
                &place,
                "it names an image that is not there",
            );
            self.expect(
                plan.shapes.get(cell.shape).is_some(),
                &place,
                "it names a shape that is not there",
            );
            self.expect(!cell.candidates.is_empty(), &place, "it has no candidates");
            let known = cell
                .candidates
                .iter()
                .all(|machine| plan.machines.get(*machine).is_some());
            self.expect(known, &place, "it names a machine that is not there");
        }
    }
}

/// Whether the edges of `shape`, both kinds together, have no cycle.
fn is_acyclic(shape: &Shape) -> bool {
    let edges = || shape.after.iter().chain(&shape.order);
    let mut left: BTreeSet<TestIx> = shape.tests.iter().copied().collect();
    loop {
        let waits: BTreeSet<TestIx> = edges()
            .filter(|edge| left.contains(&edge.after) && left.contains(&edge.test))
            .map(|edge| edge.test)
            .collect();
        let free = left.len();
        left.retain(|test| waits.contains(test));
        if left.is_empty() {
            return true;
        }
        if left.len() == free {
            return false;
        }
    }
}
