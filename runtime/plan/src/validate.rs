//! Whether an execution plan that decoded makes sense.
//!
//! The compiler makes no plan that fails here; a file may come from anywhere. What passes can be
//! indexed without fear and run without a surprise of form. Types of expressions are not checked
//! again: an ill-typed one is a fault of its test, see [`crate::eval::EvalFault::Ill`].

mod policy;
mod values;

use std::collections::BTreeSet;
use std::fmt;

use crate::expr::{ExprIx, Node};
use crate::plan::{DiskIx, ExecutionPlan, Resource, Shape, TestIx};
use crate::quote::Quote;
use crate::step::{CaptureFrom, Run, Slot, SlotIx, Step, StepKind, WaitCondition, WithValue};
use crate::table::{Index, Table};
use crate::template::{Piece, Template};
use crate::together::{Together, is_acyclic};
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
    validation.tables();
    validation.states();
    validation.tests();
    validation.shapes();
    validation.machines();
    validation.cells();
    validation.boots();
    validation.setup();
    validation.policy();
    validation.faults
}

/// What a test or a setup captures.
type Slots = Table<SlotIx, Slot>;

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

    fn states(&mut self) {
        let plan = self.plan;
        for (index, state) in plan.states.enumerate() {
            let place = format!("states[{}]", index.row());
            let what = "no life may use it";
            self.expect(state.per_account != Some(0), place, what);
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
                Node::Lookup(table) => {
                    let known = plan.tables.get(*table).is_some();
                    self.expect(known, place(), "it names a table that is not there");
                }
                Node::Input(input) => {
                    let known = plan.inputs.get(*input).is_some();
                    self.expect(known, place(), "it names an input that is not there");
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
            let tags = test.tags.is_sorted_by(|a, b| a < b);
            self.expect(tags, &place, "its tags are not ascending");
            let effects = test.effects.is_sorted_by(|a, b| a < b);
            self.expect(effects, &place, "its effects are not ascending");
            for effect in &test.effects {
                match effect.of {
                    Resource::Machine => {}
                    Resource::Disk(disk) => {
                        let known = plan.disks.get(disk).is_some();
                        self.expect(known, &place, "an effect names a disk that is not there");
                    }
                    Resource::State(state) => {
                        let known = plan.states.get(state).is_some();
                        self.expect(known, &place, "an effect names a state that is not there");
                    }
                }
            }
            for required in &test.requires {
                self.expression(&test.slots, required.condition, &place);
            }
            for (list, steps) in [("steps", &test.steps), ("finally", &test.finally)] {
                for (number, step) in steps.iter().enumerate() {
                    self.step(&test.slots, step, &format!("{place}.{list}[{number}]"));
                }
            }
        }
    }

    fn step(&mut self, slots: &Slots, step: &Step, place: &str) {
        match &step.kind {
            StepKind::Check(condition) => self.expression(slots, *condition, place),
            StepKind::Let { .. }
            | StepKind::Assume { .. }
            | StepKind::Note(_)
            | StepKind::When { .. }
            | StepKind::For { .. }
            | StepKind::Console(_) => self.step_of_values(slots, step, place),
            StepKind::Reboot | StepKind::Stop | StepKind::Start | StepKind::Wait { .. } => {}
            StepKind::Attach(disk) | StepKind::Detach { disk, how: _ } => self.disk(*disk, place),
            StepKind::WaitUntil {
                condition,
                every_ms,
            } => {
                self.expect(*every_ms > 0, place, "it looks again without a pause");
                match condition {
                    WaitCondition::Holds(condition) => self.expression(slots, *condition, place),
                    WaitCondition::Succeeds(command) => self.template(slots, command, place),
                }
            }
            StepKind::Upload { blob, to, mode: _ } => {
                let known = self.plan.blobs.get(*blob).is_some();
                self.expect(known, place, "it names a blob that is not there");
                self.template(slots, to, place);
            }
            StepKind::Collect { path } => self.template(slots, path, place),
            StepKind::Run(Run {
                command,
                expect,
                capture,
                user: _,
                retry: _,
                with,
            }) => {
                self.template(slots, command, place);
                for with in with {
                    match with.value {
                        WithValue::Expr(expr) => self.expression(slots, expr, place),
                        WithValue::Secret(secret) => {
                            let known = self.plan.secrets.get(secret).is_some();
                            self.expect(known, place, "it names a secret that is not there");
                        }
                    }
                }
                if let Some(expect) = expect {
                    self.expression(slots, *expect, place);
                }
                if let Some(capture) = capture {
                    let fits = slots.get(capture.slot).is_some_and(|slot| {
                        let is_list = matches!(slot.r#type, Type::List(_));
                        let is_record = matches!(slot.r#type, Type::Record(_));
                        let form = match capture.from {
                            CaptureFrom::Text | CaptureFrom::Find(_) => !is_list && !is_record,
                            CaptureFrom::Lines => is_list,
                            CaptureFrom::Json => true,
                            CaptureFrom::Result => slot.r#type == Type::of_result(),
                        };
                        form && (capture.unit.is_none() || slot.r#type == Type::Bytes)
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

    fn template(&mut self, slots: &Slots, template: &Template, place: &str) {
        for piece in &template.0 {
            match piece {
                Piece::Arg { expr, .. } | Piece::Raw(expr) => self.expression(slots, *expr, place),
                Piece::Lit(text) => {
                    self.expect(!text.contains('\0'), place, "a command holds a NUL");
                }
            }
        }
    }

    /// Checks that `root` exists and reads no slots but these.
    fn expression(&mut self, slots: &Slots, root: ExprIx, place: &str) {
        let nodes = &self.plan.expressions;
        let (mut waiting, mut seen) = (vec![root], BTreeSet::new());
        while let Some(index) = waiting.pop() {
            let Some(node) = nodes.get(index) else {
                self.expect(false, place, "it names an expression that is not there");
                return;
            };
            if let Node::Slot(slot) = node {
                self.expect(
                    slots.get(*slot).is_some(),
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
            let inside = |test: TestIx| shape.tests.binary_search(&test).is_ok();
            for edges in [&shape.after, &shape.regardless, &shape.order] {
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
            let conflicts = &shape.conflicts;
            let closed = conflicts
                .iter()
                .all(|pair| inside(pair.a) && inside(pair.b));
            self.expect(closed, &place, "a conflict leaves it");
            let ascending = conflicts.is_sorted_by(|a, b| a < b)
                && conflicts.iter().all(|pair| pair.a < pair.b);
            self.expect(ascending, &place, "its conflicts are not ascending");
            self.last_tests(shape, &place);
            self.lives(shape, &place);
        }
    }

    /// Nothing waits for a `last` test but others, and none is in a conflict: it is on every life.
    fn last_tests(&mut self, shape: &Shape, place: &str) {
        let is_last = |test: TestIx| self.plan.tests.get(test).is_some_and(|test| test.last);
        let needed = shape
            .after
            .iter()
            .chain(&shape.regardless)
            .any(|edge| is_last(edge.after));
        let goes_first = shape
            .order
            .iter()
            .any(|edge| is_last(edge.after) && !is_last(edge.test));
        let apart = shape
            .conflicts
            .iter()
            .any(|pair| is_last(pair.a) || is_last(pair.b));
        let what = "something comes after a `last` test";
        self.expect(!needed && !goes_first, place, what);
        self.expect(!apart, place, "a `last` test is in a conflict");
    }

    /// There are lives for all tests: what one test needs, and what needs a test that may run but once,
    /// can share one.
    fn lives(&mut self, shape: &Shape, place: &str) {
        let needs = shape.after.iter().chain(&shape.regardless).copied();
        let tests: BTreeSet<TestIx> = shape.tests.iter().copied().collect();
        let acyclic = is_acyclic(&tests, needs);
        self.expect(acyclic, place, "its edges form a cycle");
        if !acyclic {
            return;
        }
        let together = Together::of(self.plan, shape);
        if together.fits_one_life() {
            return;
        }
        let mut lives = together.atoms();
        lives.push(together.last().clone());
        let fits = lives.iter().all(|atom| {
            together.fits(atom) || together.parts(atom).iter().all(|part| together.fits(part))
        });
        self.expect(fits, place, "what a test needs cannot share a life");
    }

    fn machines(&mut self) {
        for (index, machine) in self.plan.machines.enumerate() {
            let baseline = machine.features.as_ref().and_then(|of| of.baseline);
            let place = format!("machines[{}].features", index.row());
            let what = "the second number of its baseline is not above zero";
            self.expect(!matches!(baseline, Some((_, 0))), place, what);
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
            let ascending = cell.unsupported.is_sorted_by(|a, b| a < b);
            let what = "its unsupported tests are not ascending";
            self.expect(ascending, &place, what);
            let shape = plan.shapes.get(cell.shape);
            let its_own = cell
                .unsupported
                .iter()
                .all(|test| shape.is_some_and(|shape| shape.tests.contains(test)));
            self.expect(its_own, &place, "an unsupported test is none of its own");
        }
    }
}
