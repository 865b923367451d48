//! Plans to execution plans: what a `plan` selects, checked together, and written in the contract's form.
//!
//! Every plan of a source is laid out, so that its mistakes are found whichever one is compiled; one
//! is written.

mod renumber;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::document::PRODUCER;
use dva_plan::expr::ExprIx;
use dva_plan::plan::{Cell, Edge, ExecutionPlan, MachineIx, Policy, TestIx};
use dva_plan::step::{Step, StepKind, WaitCondition, WithValue};
use dva_plan::table::Table;
use dva_plan::template::{Piece, Template};
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::effects::implied_order;
use crate::expand::{Cells, axes_are_there, expand, versions_are_there};
use crate::hir::{Hir, ItemRef, Plan, PlanIx};
use crate::order::Order;
use crate::source::Source;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::types::{Typed, TypedTest};
use renumber::Renumbering;

/// How many tests may run at once on one machine.
const LANES: u32 = 4;
/// The same where no test says what it does to its machine, so that none can be trusted to share it, or
/// where one takes the machine away from all others, by a reboot for example.
const LANES_ALONE: u32 = 1;

/// What a plan selects.
#[derive(Debug)]
pub struct Layout {
    /// Its tests with all that they are `after`, as rows of the source.
    pub tests: BTreeSet<TestIx>,
    /// Edges of order alone.
    pub order: Vec<Edge>,
    /// Its cells.
    pub cells: Cells,
}

/// Lays out every plan of `hir`; `None` where something of one was reported.
#[must_use]
pub fn lay_out(
    hir: &Hir<'_>,
    order: &Order,
    typed: &Typed,
    catalog: &Catalog,
    bag: &mut Bag,
) -> Table<PlanIx, Option<Layout>> {
    let mut used = BTreeSet::new();
    let layouts = hir
        .plans
        .indices()
        .map(|plan| {
            let tests = order.closure(hir.plans[plan].tests.iter().map(|mention| mention.to));
            used.extend(tests.iter().copied());
            layout(hir, order, typed, catalog, plan, tests, bag)
        })
        .collect();
    // What could not be resolved might have been a mention of any test.
    let all_known = !hir.has_unread
        && hir.plans.iter().all(|plan| plan.intact)
        && hir.tests.iter().all(|test| test.intact);
    if all_known && !hir.plans.is_empty() {
        for (test, row) in hir.tests.enumerate() {
            // A second test of one name was reported, and nothing could list it.
            let own_name = hir.names.get(row.name.text.as_str());
            let is_named = own_name.is_some_and(|(item, _)| *item == ItemRef::Test(test));
            if is_named && !used.contains(&test) {
                let text = format!(
                    "no plan lists `{}`, or a test that is after it",
                    row.name.text
                );
                bag.push(
                    Diagnostic::new(Code::P0508, row.name.span, text)
                        .help("It will never run. Add it to a plan's `tests`, or remove it."),
                );
            }
        }
    }
    layouts
}

fn layout(
    hir: &Hir<'_>,
    order: &Order,
    typed: &Typed,
    catalog: &Catalog,
    plan: PlanIx,
    tests: BTreeSet<TestIx>,
    bag: &mut Bag,
) -> Option<Layout> {
    let row = &hir.plans[plan];
    let tests_are_intact = tests.iter().all(|test| hir.tests[*test].intact);
    let implied =
        (tests_are_intact && order.is_acyclic()).then(|| implied_order(hir, order, &tests, bag));
    let matrix = row.matrix?;
    let cells = expand(hir, typed, catalog, matrix.to, bag);
    let matrix = &hir.matrices[matrix.to];
    let mut fits = row.intact && matrix.intact;
    if matrix.intact {
        for test in &tests {
            let uses = &typed.tests[*test].uses;
            fits &= axes_are_there(matrix, uses, bag);
            fits &= versions_are_there(hir, typed, matrix, uses, bag);
        }
    }
    let (order, cells) = (implied?, cells?);
    fits.then_some(Layout {
        tests,
        order,
        cells,
    })
}

/// The plan to compile: the one named, or the only one.
#[must_use]
pub fn choose(hir: &Hir<'_>, named: Option<&str>, bag: &mut Bag) -> Option<PlanIx> {
    let known = || hir.plans.iter().map(|plan| plan.name.text.as_str());
    // A second plan of one name was reported.
    let is_first = |plan: &(PlanIx, &Plan<'_>)| {
        let own_name = hir.names.get(plan.1.name.text.as_str());
        own_name.is_some_and(|(item, _)| *item == ItemRef::Plan(plan.0))
    };
    let mut plans = hir.plans.enumerate().filter(is_first);
    let first = plans.next();
    match (named, first) {
        (None, Some((only, first))) => {
            let Some((_, second)) = plans.next() else {
                return Some(only);
            };
            bag.push(
                Diagnostic::new(Code::P0702, second.name.span, "a second plan")
                    .and(first.name.span, "the first one")
                    .help(format!(
                        "Say which one is meant, for example `--plan {}`.",
                        first.name.text
                    )),
            );
            None
        }
        (Some(name), Some((_, first))) => {
            let found = hir
                .plans
                .enumerate()
                .find(|(_, plan)| plan.name.text == name);
            if found.is_none() && !hir.has_unread {
                let help = did_you_mean(name, known())
                    .unwrap_or_else(|| format!("The file has {}.", listed(known())));
                let text = format!("no plan is named `{name}`");
                bag.push(Diagnostic::new(Code::P0703, first.name.span, text).help(help));
            }
            found.map(|(plan, _)| plan)
        }
        (_, None) => {
            let has_unread_plan =
                hir.has_unread || hir.names.values().any(|(item, _)| *item == ItemRef::Unread);
            if !has_unread_plan {
                bag.push(
                    Diagnostic::new(
                        Code::P0701,
                        Span::default(),
                        "nothing in this file says what to run",
                    )
                    .help("Add a plan: `plan gate { matrix sizes  tests memory }`."),
                );
            }
            None
        }
    }
}

/// The execution plan of `plan`; `None` where something that it needs was reported.
#[must_use]
pub fn emit(
    hir: &Hir<'_>,
    typed: &Typed,
    source: &Source,
    plan: PlanIx,
    layout: &Layout,
) -> Option<ExecutionPlan> {
    let mut renumbering = Renumbering::new(hir, layout);
    let mut images = Table::new();
    for image in renumbering.images.keys() {
        images.push(typed.images[*image].clone()?);
    }
    let mut disks = Table::new();
    for disk in renumbering.disks.keys() {
        disks.push(typed.disks[*disk].clone()?);
    }
    let roots = layout.tests.iter().flat_map(|test| {
        let test = &typed.tests[*test];
        test.steps.iter().chain(&test.finally).flat_map(roots_of)
    });
    let steps = layout.tests.iter().flat_map(|test| {
        let test = &typed.tests[*test];
        test.steps.iter().chain(&test.finally)
    });
    renumbering.resources(steps);
    let blobs = renumbering.blobs.keys();
    let blobs = blobs.map(|blob| typed.blobs[*blob].clone()).collect();
    let secrets = renumbering.secrets.keys();
    let secrets = secrets
        .map(|secret| hir.inputs[*secret].name.text.clone())
        .collect();
    let expressions = renumbering.expressions(typed.expressions.expressions(), roots);
    let tests = layout
        .tests
        .iter()
        .map(|test| renumbering.test(hir, typed, source, *test))
        .collect::<Option<Table<_, _>>>()?;
    let declares_effects = tests.iter().any(|test| !test.effects.is_empty());
    let mut own = layout.tests.iter().map(|test| &typed.tests[*test]);
    let shares = declares_effects && !own.any(TypedTest::takes_machine_away);
    let mut shapes = Table::new();
    let shape = shapes.push(renumbering.shape(hir, layout));
    let mut machines = Table::new();
    let mut known_machines = BTreeMap::new();
    let mut cells = Table::new();
    for cell in &layout.cells.cells {
        let machine: MachineIx = *known_machines
            .entry(&cell.machine)
            .or_insert_with(|| machines.push(cell.machine.clone()));
        cells.push(Cell {
            id: cell.id.clone(),
            axes: cell.axes.clone(),
            image: *renumbering.images.get(&cell.image)?,
            shape,
            candidates: vec![machine],
        });
    }
    Some(ExecutionPlan {
        producer: PRODUCER.into(),
        name: hir.plans[plan].name.text.clone(),
        source: source.name().to_owned(),
        images,
        disks,
        expressions,
        tests,
        shapes,
        machines,
        cells,
        policy: Policy {
            lanes: if shares { LANES } else { LANES_ALONE },
        },
        blobs,
        secrets,
    })
}

/// The expressions that `step` names.
fn roots_of(step: &Step) -> Vec<ExprIx> {
    let holes = |template: &Template| -> Vec<ExprIx> {
        let pieces = template.0.iter().filter_map(|piece| match piece {
            Piece::Lit(_) => None,
            Piece::Arg { expr, .. } | Piece::Raw(expr) => Some(*expr),
        });
        pieces.collect()
    };
    match &step.kind {
        StepKind::Check(condition) => vec![*condition],
        StepKind::Run(run) => {
            let with = run.with.iter().filter_map(|with| match with.value {
                WithValue::Expr(expr) => Some(expr),
                WithValue::Secret(_) => None,
            });
            let roots = holes(&run.command).into_iter();
            roots.chain(run.expect).chain(with).collect()
        }
        StepKind::WaitUntil { condition, .. } => match condition {
            WaitCondition::Holds(condition) => vec![*condition],
            WaitCondition::Succeeds(command) => holes(command),
        },
        StepKind::Upload { to: path, .. } | StepKind::Collect { path } => holes(path),
        StepKind::Reboot
        | StepKind::Stop
        | StepKind::Start
        | StepKind::Attach(_)
        | StepKind::Detach { .. }
        | StepKind::Wait { .. } => Vec::new(),
    }
}
