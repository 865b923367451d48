//! Which tests run in which cells.
//!
//! A test that a plan selects runs in every cell that it applies to; with `per`, in one cell for each
//! value of its axes. What others need runs where they do. What does not apply runs nowhere, but what it
//! is after is needed all the same.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::eval::eval;
use dva_plan::expr::ExprIx;
use dva_plan::money::Money;
use dva_plan::plan::{MachineIx, TestIx};
use dva_plan::quote::Market;
use dva_plan::table::Table;
use dva_plan::value::Value;
use dva_stdlib::Catalog;

use super::{Graph, Need, name};
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::expand::{Cell, Cells, report_version};
use crate::hir::{Hir, NodeIx, Plan};
use crate::quote::hourly;
use crate::types::Typed;

/// For each test of a plan, whether it runs.
pub type Running = Table<NodeIx, bool>;

/// Which tests run in which cells of a plan.
#[derive(Debug, Default)]
pub struct Applied {
    /// The sets of tests that run in some cell, each once.
    pub sets: Vec<Running>,
    /// For each part of the plan and each of its cells, the place of its set; `None` where nothing runs.
    pub cells: Vec<Vec<Option<usize>>>,
    /// For each test that does not apply everywhere, the number of cells where it would run if it did.
    pub elsewhere: BTreeMap<NodeIx, usize>,
}

/// Finds what runs where. `cells` has those of each part of `plan`; `None` where a mistake was reported.
#[must_use]
pub(crate) fn apply(
    (hir, typed, catalog): (&Hir<'_>, &Typed, &Catalog),
    plan: &Plan<'_>,
    graph: &Graph,
    cells: &[&Cells],
    bag: &mut Bag,
) -> Option<Applied> {
    let mut applying = Vec::new();
    for cells in cells.iter().copied() {
        let mut own = Vec::new();
        for cell in &cells.cells {
            own.push(applies(hir, typed, graph, cells, cell, bag)?);
        }
        applying.push(own);
    }
    let axes_are_there = axes_are_there(hir, plan, graph, bag);
    let edges_are_sound = report_apart(hir, graph, &applying, bag);
    if !axes_are_there || !edges_are_sound {
        return None;
    }
    let mut applied = Applied::default();
    let mut known: BTreeMap<Vec<bool>, usize> = BTreeMap::new();
    for ((part, cells), applying) in (0..).zip(cells.iter().copied()).zip(&applying) {
        let wanted = wanted(
            (hir, catalog, plan.policy.first_market()),
            graph,
            &graph.selected[part],
            cells,
            applying,
        );
        let mut sets = Vec::new();
        for (mut wanted, applies) in wanted.into_iter().zip(applying) {
            for node in graph.sequence().rev() {
                if wanted[node] {
                    for need in &graph.needs[node] {
                        wanted[need.on] = true;
                    }
                }
            }
            let mut running = Vec::new();
            for (node, wanted) in wanted.enumerate() {
                running.push(*wanted && applies[node]);
                let test = &hir.tests[graph.nodes[node].test];
                let is_own = test.per.is_empty() && graph.selected[part].contains(&node);
                if (*wanted || is_own) && !applies[node] {
                    *applied.elsewhere.entry(node).or_default() += 1;
                }
            }
            let set = running.contains(&true).then(|| {
                *known.entry(running).or_insert_with_key(|running| {
                    applied.sets.push(Table::from(running.clone()));
                    applied.sets.len() - 1
                })
            });
            sets.push(set);
        }
        applied.cells.push(sets);
    }
    if applied.sets.is_empty() {
        let text = format!("`{}` has nothing to run", plan.name.text);
        let mut finding = Diagnostic::new(Code::P0523, plan.name.span, text);
        let mut whens = graph.nodes.iter();
        if let Some(when) = whens.find_map(|node| hir.tests[node.test].condition()) {
            finding = finding.and(when, "this holds in none of its cells");
        }
        bag.push(finding.help("Check `when` against the values of the matrix."));
        return None;
    }
    Some(applied)
}

/// Whether each test applies to `cell`; `None` where that cannot be judged.
fn applies(
    hir: &Hir<'_>,
    typed: &Typed,
    graph: &Graph,
    cells: &Cells,
    cell: &Cell,
    bag: &mut Bag,
) -> Option<Running> {
    let machines: Vec<_> = cells.facts(cell, typed)?.collect();
    let mut decided: BTreeMap<ExprIx, bool> = BTreeMap::new();
    let mut holds = |test: TestIx| -> Option<bool> {
        if hir.tests[test].when.is_none() {
            return Some(true);
        }
        // A condition that was reported.
        let condition = typed.tests[test].applies.as_ref()?;
        if let Some(known) = decided.get(&condition.condition) {
            return Some(*known);
        }
        let nodes = typed.expressions.expressions();
        let of = |facts| eval(nodes, condition.condition, facts);
        let value = of(machines.first()?);
        if machines.iter().any(|facts| of(facts) != value) {
            let text = "this is known only when the machine is chosen";
            let finding = Diagnostic::new(Code::P0316, condition.span, text);
            bag.push(finding.help(
                "Several machines may serve the cell, and it holds on some of them. Say it as a need of \
                 the test, `needs instance.gpus >= 1`, or let the matrix have `each` of the machines.",
            ));
            return None;
        }
        // What has no value, such as an order of `rawhide` and `40`, does not hold; but a version that
        // is missing is the image's mistake.
        if let (Err(_), Some(version)) = (&value, condition.uses.image_version)
            && let Some(image) = typed.images[cell.image].as_ref()
            && image.version.is_none()
        {
            report_version(hir, cell.image, version, bag);
            return None;
        }
        let holds = value == Ok(Value::Bool(true));
        decided.insert(condition.condition, holds);
        Some(holds)
    };
    let mut running = Vec::new();
    for node in &graph.nodes {
        let again = node.again.map_or(Some(true), &mut holds)?;
        running.push(holds(node.test)? && again);
    }
    Some(Table::from(running))
}

/// Whether the matrices have the axes behind `per`.
fn axes_are_there(hir: &Hir<'_>, plan: &Plan<'_>, graph: &Graph, bag: &mut Bag) -> bool {
    let mut all = true;
    for (part, selected) in plan.parts.iter().zip(&graph.selected) {
        let Some(matrix) = part.matrix.map(|matrix| &hir.matrices[matrix.to]) else {
            continue;
        };
        for node in selected {
            let test = &hir.tests[graph.nodes[*node].test];
            let per = test.per.iter().filter(|_| test.intact);
            for axis in per.filter(|axis| matrix.axis(&axis.text).is_none()) {
                all = false;
                let text = format!("`{}` has no axis `{}`", matrix.name.text, axis.text);
                bag.push(
                    Diagnostic::new(Code::P0408, axis.span, text)
                        .and(matrix.name.span, "this matrix")
                        .help(format!(
                            "Give the matrix the axis: `{} = each …`.",
                            axis.text
                        )),
                );
            }
        }
    }
    all
}

/// Reports edges whose ends both apply somewhere, but never to one cell. True where there are none.
fn report_apart(hir: &Hir<'_>, graph: &Graph, applying: &[Vec<Running>], bag: &mut Bag) -> bool {
    let when = |node: NodeIx| hir.tests[graph.nodes[node].test].condition();
    let mut sound = true;
    let cells = || applying.iter().flatten();
    for (node, needs) in graph.needs.enumerate() {
        let Some(own) = when(node) else {
            continue;
        };
        for Need { on, span, .. } in needs {
            let Some(other) = when(*on) else {
                continue;
            };
            let meet = cells().any(|applies| applies[node] && applies[*on]);
            let alone = |node: NodeIx| cells().any(|applies| applies[node]);
            if meet || !alone(node) || !alone(*on) {
                continue;
            }
            sound = false;
            let (from, to) = (name(hir, graph.nodes[node]), name(hir, graph.nodes[*on]));
            let text = format!("`{from}` is after `{to}`, and no cell has both");
            bag.push(
                Diagnostic::new(Code::P0521, *span, text)
                    .and(own, format!("`{from}` applies here"))
                    .and(other, format!("`{to}` applies here"))
                    .help(format!(
                        "The edge {from} -> {to} never holds. Remove it, or let the conditions meet."
                    )),
            );
        }
    }
    sound
}

/// For each cell, what runs there because the plan selects it.
fn wanted(
    (hir, catalog, market): (&Hir<'_>, &Catalog, Market),
    graph: &Graph,
    selected: &BTreeSet<NodeIx>,
    cells: &Cells,
    applying: &[Running],
) -> Vec<Running> {
    let none: Running = graph.nodes.iter().map(|_| false).collect();
    let mut wanted = vec![none; cells.cells.len()];
    let rate = |cell: &Cell| {
        let machines = cell.candidates.iter();
        machines
            .map(|machine| rate(catalog, market, cells, *machine))
            .min()
    };
    let rates: Vec<_> = cells.cells.iter().map(rate).collect();
    // By its axes, the cell of each combination of values.
    for node in selected {
        let per = &hir.tests[graph.nodes[*node].test].per;
        let applies = |place: &usize| applying[*place][*node];
        if per.is_empty() {
            for place in (0..wanted.len()).filter(applies) {
                wanted[place][*node] = true;
            }
            continue;
        }
        let mut best: BTreeMap<Vec<Option<&String>>, usize> = BTreeMap::new();
        for place in (0..wanted.len()).filter(applies) {
            let axes = &cells.cells[place].axes;
            let values = per.iter().map(|axis| axes.get(&axis.text)).collect();
            let first = best.entry(values).or_insert(place);
            if rates[place] < rates[*first] {
                *first = place;
            }
        }
        for place in best.into_values() {
            wanted[place][*node] = true;
        }
    }
    wanted
}

/// What an hour of `machine` costs, as far as that is known; what is not known comes last.
fn rate(
    catalog: &Catalog,
    market: Market,
    cells: &Cells,
    machine: MachineIx,
) -> (bool, Option<Money>) {
    let row = &cells.machines[machine];
    let class = cells.classes[machine];
    let price = hourly(catalog, &row.region, &row.r#type, class, market);
    (price.is_none(), price)
}
