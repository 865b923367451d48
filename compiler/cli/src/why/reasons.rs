//! Why two tests have an order, cannot run at once, or cannot share a life: in words, from what they do.
//!
//! Effects imply the edges and conflicts of a plan when it is compiled, so a reason is looked for among them
//! afterwards. Where none is found, what is said is that the plan asks for it, which is always true.

use std::collections::BTreeSet;

use dva_plan::plan::{Edge, EffectKind, Resource, Test, TestIx};

use super::Context;

/// Why `edge` of order holds: a sentence's end behind the name of the earlier test.
pub(super) fn order(context: &Context<'_>, edge: Edge) -> String {
    let (plan, shape) = (context.plan, context.shape);
    let (later, earlier) = (&plan.tests[edge.test], &plan.tests[edge.after]);
    if shape.regardless.contains(&edge) {
        return "which it is after regardless".to_owned();
    }
    if later.last && !earlier.last {
        return "and this one is `last`".to_owned();
    }
    // The end of what it is after regardless says nothing of what that needed and did not get.
    let mut regardless = shape.regardless.iter().filter(|own| own.test == edge.test);
    if let Some(own) =
        regardless.find(|own| context.together.needs(own.after).contains(&edge.after))
    {
        let between = context.name(own.after);
        return format!("which {between} needs that this one is after regardless");
    }
    let first_sees = touched(earlier, &[EffectKind::Reads, EffectKind::Borrows]);
    let then_writes = touched(later, &[EffectKind::Writes]);
    let sees = |of: Resource| first_sees.contains(&of);
    if touched(earlier, &[EffectKind::Reads]).contains(&Resource::Machine) {
        return "which wants the machine fresh".to_owned();
    }
    if then_writes.contains(&Resource::Machine) {
        return "since this one leaves the machine dirty".to_owned();
    }
    if let Some(of) = then_writes.iter().find(|of| sees(**of)) {
        let of = context.resource(*of);
        return format!("which sees {of} before this one writes it");
    }
    if later.takes_machine_away() {
        let lost = touched(
            earlier,
            &[EffectKind::Reads, EffectKind::Writes, EffectKind::Borrows],
        );
        let mut lost = lost.into_iter().filter(|of| is_lost(context, *of));
        if let Some(of) = lost.next() {
            let of = context.resource(of);
            return format!("which uses {of} before this one reboots and loses it");
        }
    }
    "which the plan puts before it".to_owned()
}

/// Why the test cannot run beside `other`, which it excludes: a sentence's end behind the name of the other.
pub(super) fn exclusion(context: &Context<'_>, test: TestIx, other: TestIx) -> String {
    let alone = |test: TestIx| context.exclusions.is_alone(test);
    let away = |test: TestIx| context.plan.tests[test].takes_machine_away();
    if away(other) {
        return "which reboots or stops the machine".to_owned();
    }
    if alone(other) {
        return "which borrows the machine".to_owned();
    }
    if away(test) {
        return "and this one reboots or stops the machine".to_owned();
    }
    if alone(test) {
        return "and this one borrows the machine".to_owned();
    }
    let any = [EffectKind::Reads, EffectKind::Writes, EffectKind::Borrows];
    let of = |test: TestIx, kinds: &[EffectKind]| touched(&context.plan.tests[test], kinds);
    let borrows = [EffectKind::Borrows];
    if let Some(of) = of(other, &borrows).intersection(&of(test, &any)).next() {
        return format!("which borrows {}", context.resource(*of));
    }
    if let Some(of) = of(test, &borrows).intersection(&of(other, &any)).next() {
        return format!("which uses {} that this one borrows", context.resource(*of));
    }
    "beside which it must not run".to_owned()
}

/// Why `one` and `other`, which are in conflict, cannot share a life: a sentence.
pub(super) fn conflict(context: &Context<'_>, one: TestIx, other: TestIx) -> String {
    let (first, second) = (&context.plan.tests[one], &context.plan.tests[other]);
    let (name, other_name) = (context.name(one), context.name(other));
    if let (Some(boot), Some(other_boot)) = (first.boot, second.boot)
        && boot != other_boot
    {
        let boot = &context.plan.boots[boot].name;
        let other_boot = &context.plan.boots[other_boot].name;
        return format!("{name} needs boot `{boot}`, {other_name} boot `{other_boot}`");
    }
    let writes = written(context, first);
    if let Some(of) = writes.intersection(&written(context, second)).next() {
        return format!(
            "{name} and {other_name} both write {}, and neither is after the other",
            context.resource(*of)
        );
    }
    format!("the plan has {name} and {other_name} in conflict")
}

/// A conflict between a test of `ours` and one of `theirs`.
pub(super) fn conflict_between(
    context: &Context<'_>,
    ours: &BTreeSet<TestIx>,
    theirs: &BTreeSet<TestIx>,
) -> Option<(TestIx, TestIx)> {
    context.shape.conflicts.iter().find_map(|pair| {
        if ours.contains(&pair.a) && theirs.contains(&pair.b) {
            Some((pair.a, pair.b))
        } else if ours.contains(&pair.b) && theirs.contains(&pair.a) {
            Some((pair.b, pair.a))
        } else {
            None
        }
    })
}

/// Why `tests`, among which there is no conflict, have no order on one life: a sentence.
pub(super) fn circle(context: &Context<'_>, tests: &BTreeSet<TestIx>) -> String {
    let shape = context.shape;
    let needs = shape.after.iter().chain(&shape.regardless);
    let edges: Vec<Edge> = needs
        .chain(context.together.order())
        .filter(|edge| tests.contains(&edge.test) && tests.contains(&edge.after))
        .copied()
        .collect();
    let dirty = |test: TestIx| {
        touched(&context.plan.tests[test], &[EffectKind::Writes]).contains(&Resource::Machine)
    };
    let both_last = edges.iter().find(|edge| {
        let back = Edge {
            test: edge.after,
            after: edge.test,
        };
        dirty(edge.test) && dirty(edge.after) && edges.contains(&back)
    });
    if let Some(edge) = both_last {
        return format!(
            "{} and {} both leave the machine dirty, so each would have to be the last one",
            context.name(edge.after),
            context.name(edge.test)
        );
    }
    // What waits for nothing is in no circle, nor what waits for that alone.
    let mut left = tests.clone();
    loop {
        let waits: BTreeSet<TestIx> = edges
            .iter()
            .filter(|edge| left.contains(&edge.test) && left.contains(&edge.after))
            .map(|edge| edge.test)
            .collect();
        if waits.len() == left.len() {
            break;
        }
        left = waits;
    }
    // From one to what it waits for, until one comes again.
    let mut walked: Vec<TestIx> = Vec::new();
    let mut at = left.first().copied();
    while let Some(test) = at {
        if let Some(from) = walked.iter().position(|other| *other == test) {
            walked.drain(..from);
            break;
        }
        walked.push(test);
        let mut before = edges
            .iter()
            .filter(|edge| edge.test == test && left.contains(&edge.after));
        at = before.next().map(|edge| edge.after);
    }
    let names: Vec<String> = walked
        .iter()
        .chain(walked.first())
        .map(|test| context.name(*test))
        .collect();
    match names.is_empty() {
        true => "no order lets them share a life".to_owned(),
        false => format!("each would wait for the other: {}", names.join(" for ")),
    }
}

/// What a test has one of these effects on.
fn touched(test: &Test, kinds: &[EffectKind]) -> BTreeSet<Resource> {
    let effects = test.effects.iter();
    effects
        .filter(|effect| kinds.contains(&effect.kind))
        .map(|effect| effect.of)
        .collect()
}

/// What a test writes: also what it sees and its own reboot loses.
fn written(context: &Context<'_>, test: &Test) -> BTreeSet<Resource> {
    let mut written = touched(test, &[EffectKind::Writes]);
    if test.takes_machine_away() {
        let seen = touched(test, &[EffectKind::Reads, EffectKind::Borrows]);
        written.extend(seen.into_iter().filter(|of| is_lost(context, *of)));
    }
    written
}

fn is_lost(context: &Context<'_>, of: Resource) -> bool {
    match of {
        Resource::State(state) => context.plan.states[state].lost_on_reboot,
        Resource::Machine | Resource::Disk(_) => false,
    }
}
