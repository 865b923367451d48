//! What a plan says of its runs, held against what it runs, and written into the execution plan.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::expr::ExprIx;
use dva_plan::plan::{Boot, BootIx, Gate, Pair, Policy, Setup, Shape, Test, TestIx, Waiver};
use dva_plan::table::Table;

use super::renumber::Renumbering;
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::expand::{axes_are_there, versions_are_there};
use crate::graph::Graph;
use crate::hir::{Hir, MatrixIx, Mention, Plan};
use crate::types::{Typed, TypedPolicy};

/// Whether what `plan` says of its runs fits `tests`, those that it runs, and its matrices.
pub(super) fn fits(
    hir: &Hir<'_>,
    typed: &Typed,
    (plan, policy): (&Plan<'_>, &TypedPolicy),
    tests: &BTreeSet<TestIx>,
    bag: &mut Bag,
) -> bool {
    let waived = waivers_fit(hir, typed, (plan, policy), tests, bag);
    let gated = gates_fit(hir, plan, bag);
    waived && gated && policy.waivers.iter().all(Option::is_some)
}

fn waivers_fit(
    hir: &Hir<'_>,
    typed: &Typed,
    (plan, policy): (&Plan<'_>, &TypedPolicy),
    tests: &BTreeSet<TestIx>,
    bag: &mut Bag,
) -> bool {
    let mut fit = true;
    for (waiver, made) in plan.policy.waivers.iter().zip(&policy.waivers) {
        for mention in &waiver.tests {
            if plan.intact && !tests.contains(&mention.to) {
                fit = false;
                let name = &hir.tests[mention.to].id;
                let text = format!("`{}` does not run `{name}`", plan.name.text);
                bag.push(
                    Diagnostic::new(Code::P0732, mention.span, text)
                        .and(plan.name.span, "this plan")
                        .help("Remove the waiver, or add the test to `tests`."),
                );
            }
        }
        let Some(made) = made else {
            continue;
        };
        // What a matrix lacks has no value in its cells, so one that has it is enough.
        let matrices: Vec<_> = matrices_of(plan)
            .iter()
            .map(|to| &hir.matrices[*to])
            .collect();
        let lacks: Vec<Bag> = matrices
            .iter()
            .filter(|matrix| matrix.intact)
            .map(|matrix| {
                let mut missing = Bag::default();
                axes_are_there(matrix, &made.uses, &mut missing);
                versions_are_there(hir, typed, matrix, &made.uses, &mut missing);
                missing
            })
            .collect();
        if !lacks.is_empty() && lacks.iter().all(Bag::has_errors) {
            fit = false;
            let first = lacks.into_iter().next().unwrap_or_default();
            first
                .into_sorted()
                .into_iter()
                .for_each(|found| bag.push(found));
        }
    }
    fit
}

/// The matrices that `plan` runs.
fn matrices_of(plan: &Plan<'_>) -> BTreeSet<MatrixIx> {
    let parts = plan.parts.iter();
    parts.filter_map(|part| Some(part.matrix?.to)).collect()
}

fn gates_fit(hir: &Hir<'_>, plan: &Plan<'_>, bag: &mut Bag) -> bool {
    let run = matrices_of(plan);
    let mut fit = true;
    for gate in &plan.policy.gates {
        for mention in [gate.first, gate.then] {
            if plan.intact && !run.contains(&mention.to) {
                fit = false;
                let name = &hir.matrices[mention.to].name.text;
                let text = format!("`{}` does not run `{name}`", plan.name.text);
                bag.push(
                    Diagnostic::new(Code::P0733, mention.span, text)
                        .and(plan.name.span, "this plan")
                        .help(format!("Say what runs there: `on {name} {{ tests … }}`.")),
                );
            }
        }
    }
    fit & gates_are_open(hir, plan, bag)
}

/// Reports matrices that wait for themselves: one message for each gate that closes a circle.
fn gates_are_open(hir: &Hir<'_>, plan: &Plan<'_>, bag: &mut Bag) -> bool {
    let name = |matrix: MatrixIx| hir.matrices[matrix].name.text.as_str();
    let mut before: BTreeMap<MatrixIx, Vec<Mention<MatrixIx>>> = BTreeMap::new();
    let mut open = true;
    for gate in &plan.policy.gates {
        // From what comes first back to what waits, over the gates that stand before this one.
        let mut came_from = BTreeMap::from([(gate.first.to, gate.first)]);
        let mut waiting = vec![gate.first.to];
        let mut path = None;
        while let Some(at) = waiting.pop() {
            if at == gate.then.to {
                path = Some(at);
                break;
            }
            for earlier in before.get(&at).into_iter().flatten() {
                if let std::collections::btree_map::Entry::Vacant(first) =
                    came_from.entry(earlier.to)
                {
                    first.insert(Mention {
                        to: at,
                        span: earlier.span,
                    });
                    waiting.push(earlier.to);
                }
            }
        }
        let Some(mut at) = path else {
            before.entry(gate.then.to).or_default().push(gate.first);
            continue;
        };
        open = false;
        let span = gate.first.span.to(gate.then.span);
        let text = format!(
            "`{}` waits for `{}`",
            name(gate.then.to),
            name(gate.first.to)
        );
        let mut finding = Diagnostic::new(Code::P0734, span, text);
        let mut words = vec![name(at)];
        while at != gate.first.to {
            let from = came_from[&at];
            let text = format!("`{}` waits for `{}`", name(from.to), name(at));
            finding = finding.and(from.span, text);
            words.push(name(from.to));
            at = from.to;
        }
        words.push(name(gate.then.to));
        bag.push(finding.help(format!(
            "None of them can be first: {}. Remove one of the gates.",
            words.join(" before ")
        )));
    }
    open
}

/// The expressions that the policy of a plan names.
pub(super) fn roots(policy: &TypedPolicy) -> impl Iterator<Item = ExprIx> {
    let waivers = policy.waivers.iter().flatten();
    waivers.filter_map(|waiver| waiver.condition)
}

impl Renumbering {
    /// The boots that the plan's tests need; `None` where one was reported.
    pub(super) fn boots(&self, typed: &Typed) -> Option<Table<BootIx, Boot>> {
        let made = self.boots.keys().map(|boot| {
            let made = typed.boots[*boot].clone()?;
            Some(Boot {
                user_data: made.user_data.map(|blob| self.blobs[&blob]),
                ..made
            })
        });
        made.collect()
    }

    /// The setup of `plan`; `None` where something of it was reported.
    pub(super) fn setup(&self, typed: &Typed, plan: &Plan<'_>) -> Option<Option<Setup>> {
        let Some(setup) = plan.policy.setup else {
            return Some(None);
        };
        let made = &typed.tests[setup];
        made.is_complete.then(|| {
            Some(Setup {
                within_ms: made.within_ms,
                needs: made.needs.iter().copied().collect(),
                slots: made.slots.clone(),
                steps: made
                    .steps
                    .iter()
                    .map(|step| self.step(None, step))
                    .collect(),
            })
        })
    }

    /// The rules of the runs of `plan`.
    pub(super) fn policy(
        &self,
        (hir, graph): (&Hir<'_>, &Graph),
        (plan, made): (&Plan<'_>, &TypedPolicy),
        lanes: u32,
    ) -> Option<Policy> {
        let waivers = plan.policy.waivers.iter().zip(&made.waivers);
        let waivers = waivers.map(|(waiver, made)| {
            let made = made.as_ref()?;
            let tests: BTreeSet<TestIx> = if waiver.all {
                self.all_tests().collect()
            } else {
                let named = waiver.tests.iter();
                named
                    .flat_map(|test| self.tests_of(graph, test.to))
                    .collect()
            };
            Some(Waiver {
                tests: tests.into_iter().collect(),
                condition: made.condition.map(|condition| self.expr(None, condition)),
                because: made.because.clone(),
                until: made.until.clone(),
            })
        });
        let mut waivers: Vec<Waiver> = waivers.collect::<Option<_>>()?;
        // What applies to no cell has nothing to be waived.
        waivers.retain(|waiver| !waiver.tests.is_empty());
        let name = |matrix: MatrixIx| hir.qualified(hir.matrices[matrix].name);
        let gates: BTreeSet<Gate> = plan
            .policy
            .gates
            .iter()
            .map(|gate| Gate {
                first: name(gate.first.to),
                then: name(gate.then.to),
            })
            .collect();
        let market = plan.policy.market.as_ref();
        Some(Policy {
            lanes,
            limits: made.limits,
            market: market.map_or(Vec::new(), |(_, market)| market.clone()),
            waivers,
            gates: gates.into_iter().collect(),
        })
    }
}

/// The conflicts of `shape`, with the pairs of its tests that no life can have together since they need
/// two boots. Ascending.
pub(super) fn with_boots(tests: &Table<TestIx, Test>, shape: &Shape) -> Vec<Pair> {
    let booted: Vec<_> = shape
        .tests
        .iter()
        .filter_map(|test| Some((*test, tests[*test].boot?)))
        .collect();
    let mut pairs: BTreeSet<Pair> = shape.conflicts.iter().copied().collect();
    for (at, (one, boot)) in booted.iter().enumerate() {
        let others = booted[at + 1..].iter().filter(|(_, other)| other != boot);
        pairs.extend(others.map(|(other, _)| Pair::of(*one, *other)));
    }
    pairs.into_iter().collect()
}
