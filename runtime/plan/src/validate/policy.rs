//! Rules of the policy of a plan, its boots and its setup.

use std::collections::{BTreeMap, BTreeSet};

use super::Validation;
use crate::date::Day;
use crate::money::Money;
use crate::plan::{Blob, Pair};
use crate::policy::{Gate, MAX_RETRIES, MAX_USER_DATA_BYTES, Waiver};
use crate::step::{Missing, Step, StepKind, every_step};
use crate::table::{Index, Table};

impl Validation<'_> {
    pub(super) fn policy(&mut self) {
        let plan = self.plan;
        let policy = &plan.policy;
        let limits = policy.limits;
        self.expect(
            policy.lanes >= 1,
            "policy",
            "there must be at least one lane",
        );
        let is_paid = limits.cost_nano_usd.is_none_or(|cost| cost >= Money::ZERO);
        self.expect(is_paid, "policy.limits", "the cost is negative");
        self.expect(
            limits.elapsed_ms != Some(0) && limits.machines != Some(0),
            "policy.limits",
            "a limit allows nothing",
        );
        let ways: BTreeSet<_> = policy.market.iter().collect();
        self.expect(
            ways.len() == policy.market.len(),
            "policy.market",
            "a way to buy is there twice",
        );
        for (number, waiver) in policy.waivers.iter().enumerate() {
            self.waiver(waiver, &format!("policy.waivers[{number}]"));
        }
        let place = "policy.gates";
        let ascending = policy.gates.is_sorted_by(|a, b| a < b);
        self.expect(ascending, place, "they are not ascending");
        let matrices: BTreeSet<&str> = plan.cells.iter().map(|cell| &*cell.matrix).collect();
        let known = policy.gates.iter().all(|gate| {
            matrices.contains(gate.first.as_str()) && matrices.contains(gate.then.as_str())
        });
        self.expect(known, place, "one names a matrix that has no cells");
        self.expect(is_open(&policy.gates), place, "they form a cycle");
    }

    fn waiver(&mut self, waiver: &Waiver, place: &str) {
        let tests = &waiver.tests;
        let known = tests
            .iter()
            .all(|test| self.plan.tests.get(*test).is_some());
        self.expect(known, place, "it names a test that is not there");
        let ascending = !tests.is_empty() && tests.is_sorted_by(|a, b| a < b);
        self.expect(ascending, place, "its tests are none or not ascending");
        if let Some(condition) = waiver.condition {
            self.expression(&Table::new(), condition, place);
        }
        let until = waiver.until.as_deref();
        self.expect(
            until.is_none_or(|until| Day::parse(until).is_some()),
            place,
            "its date is no day",
        );
    }

    pub(super) fn boots(&mut self) {
        let plan = self.plan;
        let mut names = BTreeSet::new();
        for (index, boot) in plan.boots.enumerate() {
            let place = format!("boots[{}]", index.row());
            let is_first = names.insert(&boot.name);
            self.expect(is_first, &place, "another boot has the same name");
            self.expect(boot.root_bytes != Some(0), &place, "its root disk is empty");
            let Some(user_data) = boot.user_data else {
                continue;
            };
            let blob = plan.blobs.get(user_data);
            self.expect(blob.is_some(), &place, "it names a blob that is not there");
            let fits = blob.is_none_or(|blob| size_of(blob) <= MAX_USER_DATA_BYTES);
            self.expect(fits, &place, "its user data is too large");
        }
        for (index, test) in plan.tests.enumerate() {
            let place = format!("tests[{}]", index.row());
            let known = test.boot.is_none_or(|boot| plan.boots.get(boot).is_some());
            self.expect(known, &place, "it names a boot that is not there");
            let is_everywhere = test.last && test.boot.is_some();
            self.expect(!is_everywhere, &place, "a `last` test needs a boot");
            self.expect(test.retry <= MAX_RETRIES, &place, "it is retried too often");
        }
        for (index, shape) in plan.shapes.enumerate() {
            let place = format!("shapes[{}]", index.row());
            let booted = shape.tests.iter().filter_map(|test| {
                let boot = plan.tests.get(*test)?.boot?;
                Some((*test, boot))
            });
            let booted: Vec<_> = booted.collect();
            let apart = |pair| shape.conflicts.binary_search(&pair).is_ok();
            let all_apart = booted.iter().enumerate().all(|(at, (one, boot))| {
                let mut others = booted[at + 1..].iter();
                others
                    .all(|(other, other_boot)| boot == other_boot || apart(Pair::of(*one, *other)))
            });
            let what = "tests of two boots are in no conflict";
            self.expect(all_apart, &place, what);
        }
    }

    pub(super) fn setup(&mut self) {
        let Some(setup) = &self.plan.setup else {
            return;
        };
        self.expect(!setup.steps.is_empty(), "setup", "it has no steps");
        let needs = setup.needs.is_sorted_by(|a, b| a < b);
        self.expect(needs, "setup", "its needs are not ascending");
        for (number, step) in setup.steps.iter().enumerate() {
            let place = format!("setup.steps[{number}]");
            let fits = every_step([step]).into_iter().all(is_for_a_setup);
            self.expect(fits, &place, "it is no step of a setup");
            self.step(&setup.slots, step, &place);
        }
    }
}

/// Whether a setup may have `step`: it has no disks, keeps no files, and cannot be skipped.
fn is_for_a_setup(step: &Step) -> bool {
    match &step.kind {
        StepKind::Attach(_)
        | StepKind::Detach { .. }
        | StepKind::Collect { .. }
        | StepKind::Assume { .. } => false,
        StepKind::Let { otherwise, .. } => otherwise
            .as_ref()
            .is_none_or(|otherwise| otherwise.how == Missing::Fail),
        _ => true,
    }
}

/// Whether no matrix waits for itself, over any number of gates.
fn is_open(gates: &[Gate]) -> bool {
    let mut waits: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for gate in gates {
        waits.entry(&gate.then).or_default().insert(&gate.first);
    }
    let mut left = waits.len() + 1;
    while left > waits.len() {
        left = waits.len();
        let open: BTreeSet<&str> = waits
            .iter()
            .filter(|(_, first)| !first.iter().any(|first| waits.contains_key(first)))
            .map(|(then, _)| *then)
            .collect();
        waits.retain(|then, _| !open.contains(then));
    }
    waits.is_empty()
}

/// The size of the content.
fn size_of(blob: &Blob) -> usize {
    let filling = blob.base64.bytes().rev().take_while(|byte| *byte == b'=');
    (blob.base64.len() / 4 * 3).saturating_sub(filling.count())
}
