//! Plans to execution plans: what a `plan` selects, checked together, and written in the contract's form.
//!
//! Every plan of a source is laid out, so that its mistakes are found whichever one is compiled; one
//! is written.

pub(crate) mod limits;
mod policy;
mod renumber;
mod serve;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::document::PRODUCER;
use dva_plan::expr::ExprIx;
use dva_plan::plan::{Cell, ExecutionPlan, Machine, MachineIx, Shape, ShapeIx, TableIx, TestIx};
use dva_plan::step::{Step, StepKind, WaitCondition, WithValue, every_step};
use dva_plan::table::{Index, Table};
use dva_plan::template::{Piece, Template};
use dva_stdlib::Catalog;

use crate::Outcome;
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::effects::{Implied, Touches, implied};
use crate::expand::{Cells, Reason, axes_are_there, expand, report_version};
use crate::graph::apply::{Applied, Running, apply};
use crate::graph::contract::{atoms, contract};
use crate::graph::lives::Lives;
use crate::graph::repeat::first_times;
use crate::graph::{Graph, Need, graph, name};
use crate::hir::{Hir, ItemRef, MatrixIx, NodeIx, Plan, PlanIx};
use crate::order::Order;
use crate::source::Sources;
use crate::span::Span;
use crate::suggest::{did_you_mean, listed};
use crate::types::Typed;
use renumber::Renumbering;
pub use serve::Served;
use serve::Serving;
use values::Rows;

/// How many tests may run at once on one machine.
const LANES: u32 = 4;
/// The same where no test says what it does to its machine, so that none can be trusted to share it.
const LANES_ALONE: u32 = 1;

/// What a plan selects.
#[derive(Debug)]
pub struct Layout {
    /// Its tests.
    pub graph: Graph,
    /// The parts of the plan.
    pub parts: Vec<Part>,
    /// The machines that serve its cells, each once.
    pub machines: Table<MachineIx, Machine>,
    /// Which tests run in which cells.
    pub applied: Applied,
    /// In how many cells a test finds no entry in a table, and is skipped or fails for it.
    pub without_entry: BTreeMap<(TestIx, TableIx), usize>,
    /// The edges of each set of tests.
    shapes: Vec<Demands>,
}

/// A matrix of a plan, laid out.
#[derive(Debug)]
pub struct Part {
    /// The matrix.
    pub matrix: MatrixIx,
    /// Its cells.
    pub cells: Cells,
    /// What serves each of them.
    pub served: Vec<Served>,
}

/// What the tests of one set demand of each other.
#[derive(Debug)]
struct Demands {
    needs: Table<NodeIx, Vec<Need>>,
    implied: Implied,
    /// What waits for the first time of a test that is repeated.
    first_times: BTreeSet<(NodeIx, NodeIx)>,
}

impl Layout {
    /// What the matrices came to.
    #[must_use]
    pub fn outcome(&self, hir: &Hir<'_>) -> Outcome {
        let mut outcome = Outcome::default();
        for (part, sets) in self.parts.iter().zip(&self.applied.cells) {
            outcome.combinations += part.cells.combinations;
            for (reason, count) in &part.cells.dropped {
                *outcome.dropped.entry(*reason).or_default() += count;
            }
            let empty = sets.iter().filter(|set| set.is_none()).count();
            if empty > 0 {
                *outcome.dropped.entry(Reason::NoTest).or_default() += empty;
            }
        }
        let elsewhere = self.applied.elsewhere.iter();
        outcome.not_applicable = elsewhere
            .map(|(node, count)| (name(hir, self.graph.nodes[*node]), *count))
            .collect();
        outcome.without_entry = self
            .without_entry
            .iter()
            .map(|((test, table), count)| {
                let names = (&hir.tests[*test].id, &hir.tables[*table].name.text);
                ((names.0.to_string(), names.1.clone()), *count)
            })
            .collect();
        outcome
    }
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
    let mut all_known = !hir.has_unread
        && hir.plans.iter().all(|plan| plan.intact)
        && hir.tests.iter().all(|test| test.intact);
    let layouts = hir
        .plans
        .enumerate()
        .map(|(row, plan)| {
            let Some(graph) = graph(hir, order, plan, bag) else {
                all_known = false;
                return None;
            };
            used.extend(graph.nodes.iter().map(|node| node.test));
            layout(hir, typed, catalog, (row, plan), graph, bag)
        })
        .collect();
    // What could not be resolved might have been a mention of any test.
    if all_known && !hir.plans.is_empty() {
        // A second test of one name was reported, and nothing could list it.
        for (name, item) in hir.own_names() {
            let (is_used, span) = match item {
                ItemRef::Test(test) => (used.contains(&test), hir.tests[test].name.span),
                ItemRef::Template(template) => {
                    let row = &hir.templates[template];
                    let mut instances = row.instances.values();
                    (
                        instances.any(|test| used.contains(test)),
                        row.test.name.span,
                    )
                }
                _ => continue,
            };
            if !is_used {
                let text = format!("no plan lists `{name}`, or a test that is after it");
                bag.push(
                    Diagnostic::new(Code::P0508, span, text)
                        .help("It will never run. Add it to a plan's `tests`, or remove it."),
                );
            }
        }
    }
    layouts
}

fn layout(
    hir: &Hir<'_>,
    typed: &Typed,
    catalog: &Catalog,
    (row, plan): (PlanIx, &Plan<'_>),
    graph: Graph,
    bag: &mut Bag,
) -> Option<Layout> {
    let mut parts = Vec::new();
    let (mut fits, mut may_be_judged) = (plan.intact, plan.intact);
    let tests: BTreeSet<TestIx> = graph.nodes.iter().map(|node| node.test).collect();
    for (part, selected) in plan.parts.iter().zip(&graph.selected) {
        let Some(matrix) = part.matrix else {
            continue;
        };
        let cells = expand(hir, typed, catalog, matrix.to, bag);
        if hir.matrices[matrix.to].intact {
            for test in &graph.tests(selected) {
                let matrix = &hir.matrices[matrix.to];
                if let Some(applies) = &typed.tests[*test].applies {
                    may_be_judged &= axes_are_there(matrix, &applies.uses, bag);
                }
                fits &= axes_are_there(matrix, &typed.tests[*test].uses, bag);
            }
        } else {
            fits = false;
        }
        match cells {
            Some(cells) => parts.push(Part {
                matrix: matrix.to,
                cells,
                served: Vec::new(),
            }),
            None => fits = false,
        }
    }
    fits &= policy::fits(hir, typed, (plan, &typed.policies[row]), &tests, bag);
    let tests_are_intact = tests.iter().all(|test| hir.tests[*test].intact);
    // Without cells it is not known what runs where; then everything does, so that no mistake waits
    // for another one.
    let everywhere = || Applied {
        sets: vec![graph.nodes.iter().map(|_| true).collect()],
        ..Applied::default()
    };
    let (mut applied, mut without_entry) = (None, BTreeMap::new());
    if may_be_judged && parts.len() == plan.parts.len() {
        let cells: Vec<&Cells> = parts.iter().map(|part| &part.cells).collect();
        applied = apply((hir, typed, catalog), plan, &graph, &cells, bag);
        fits &= applied.is_some();
        if let Some(applied) = &applied {
            fits &= versions_are_known(hir, typed, &graph, applied, &cells, bag);
            let tables = Rows {
                hir,
                typed,
                graph: &graph,
                applied,
                cells: &cells,
                setup: plan.policy.setup,
            };
            fits &= tables.entries_are_there(bag);
            without_entry = tables.without_entry();
        }
    }
    let mut machines = Table::new();
    if let Some(applied) = &applied {
        let mut serving = Serving::new((hir, typed, catalog), plan, (&graph, applied), bag);
        for (place, part) in parts.iter_mut().enumerate() {
            match serving.serve(place, &part.cells) {
                Some(served) => part.served = served,
                None => fits = false,
            }
        }
        machines = serving.machines();
    }
    if !tests_are_intact {
        return None;
    }
    let was_judged = applied.is_some();
    let applied = applied.unwrap_or_else(everywhere);
    let mut sets = Demanding {
        hir,
        typed,
        graph: &graph,
        touches: Touches::of(hir, &graph),
    };
    let shapes: Vec<_> = applied
        .sets
        .iter()
        .map(|running| sets.demands(running, bag))
        .collect();
    let shapes: Vec<Demands> = shapes.into_iter().collect::<Option<_>>()?;
    (fits && was_judged).then_some(Layout {
        graph,
        parts,
        machines,
        applied,
        without_entry,
        shapes,
    })
}

/// Works out what tests demand of each other.
struct Demanding<'e, 'a> {
    hir: &'e Hir<'a>,
    typed: &'e Typed,
    graph: &'e Graph,
    touches: Touches,
}

impl Demanding<'_, '_> {
    /// `None` where there can be no lives for them.
    fn demands(&mut self, running: &Running, bag: &mut Bag) -> Option<Demands> {
        let (hir, graph) = (self.hir, self.graph);
        let needs = contract(graph, running);
        let atoms = atoms(&needs);
        self.values_are_there(running, bag);
        let implied = implied(hir, graph, &self.touches, running, &atoms, bag);
        let lives = Lives {
            hir,
            graph,
            running,
            needs: &needs,
            atoms: &atoms,
            implied: &implied,
        };
        lives.check(bag).then(|| Demands {
            first_times: first_times(hir, graph, running, &needs, &implied),
            needs,
            implied,
        })
    }

    /// Reports tests that use a value of one that does not apply to the same cells.
    fn values_are_there(&self, running: &Running, bag: &mut Bag) {
        let (hir, graph) = (self.hir, self.graph);
        for (node, _) in running.enumerate().filter(|(_, runs)| **runs) {
            let reader = graph.nodes[node].test;
            for (test, span) in &self.typed.tests[reader].uses.values {
                let Some(giver) = graph.giver(node, *test) else {
                    continue;
                };
                if running[giver] {
                    continue;
                }
                let (reader, giver) = (name(hir, graph.nodes[node]), name(hir, graph.nodes[giver]));
                let text = format!("`{giver}` does not run in every cell of `{reader}`");
                let mut finding = Diagnostic::new(Code::P0522, *span, text);
                if let Some(when) = hir.tests[*test].condition() {
                    finding = finding.and(when, format!("`{giver}` applies here alone"));
                }
                bag.push(finding.help(format!(
                    "Where it does not run there is no value. Give `{reader}` the same `when`."
                )));
            }
        }
    }
}

/// Whether the images have a version in whose cells a test names it.
fn versions_are_known(
    hir: &Hir<'_>,
    typed: &Typed,
    graph: &Graph,
    applied: &Applied,
    cells: &[&Cells],
    bag: &mut Bag,
) -> bool {
    let named: Vec<(NodeIx, Span)> = graph
        .nodes
        .enumerate()
        .filter_map(|(node, of)| Some((node, typed.tests[of.test].uses.image_version?)))
        .collect();
    let mut seen = BTreeSet::new();
    for (cells, sets) in cells.iter().zip(&applied.cells) {
        for (cell, set) in cells.cells.iter().zip(sets) {
            let has_version = typed.images[cell.image]
                .as_ref()
                .is_none_or(|image| image.version.is_some());
            let Some(set) = set.filter(|_| !has_version) else {
                continue;
            };
            let running = &applied.sets[set];
            let named = named.iter().filter(|(node, _)| running[*node]);
            seen.extend(named.map(|(_, span)| (cell.image, *span)));
        }
    }
    for (image, span) in &seen {
        report_version(hir, *image, *span, bag);
    }
    seen.is_empty()
}

/// The plan to compile: the one named, or the only one.
#[must_use]
pub fn choose(hir: &Hir<'_>, named: Option<&str>, bag: &mut Bag) -> Option<PlanIx> {
    let known = || hir.plans.iter().map(|plan| plan.name.text.as_str());
    // A second plan of one name was reported.
    let is_first = |plan: &(PlanIx, &Plan<'_>)| {
        let own_name = hir.find(&plan.1.name.text, plan.1.name.span);
        own_name.is_some_and(|(item, _)| item == ItemRef::Plan(plan.0))
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
            // A file that is there for others says what to test, not on what.
            let is_for_others = hir.plans.is_empty()
                && hir
                    .files
                    .indices()
                    .next()
                    .is_some_and(|root| hir.public_of(root).next().is_some());
            if !hir.may_be_unread() && !is_for_others {
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
    sources: &Sources,
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
    let mut states = Table::new();
    for state in renumbering.states.keys() {
        states.push(typed.states[*state].clone()?);
    }
    let (row, policy) = (&hir.plans[plan], &typed.policies[plan]);
    let setup = row.policy.setup;
    let nodes: Vec<NodeIx> = renumbering.nodes().collect();
    let tests = nodes.iter().map(|node| layout.graph.nodes[*node].test);
    let steps = tests.chain(setup).flat_map(|test| {
        let test = &typed.tests[test];
        every_step(test.steps.iter().chain(&test.finally))
    });
    renumbering.resources(typed, steps);
    let boots = renumbering.boots(typed)?;
    let blobs = renumbering.blobs.keys();
    let blobs = blobs.map(|blob| typed.blobs[*blob].clone()).collect();
    let secrets = renumbering.secrets.keys();
    let secrets = secrets
        .map(|secret| hir.inputs[*secret].name.text.clone())
        .collect();
    let roots = nodes.iter().map(|node| {
        let test = &typed.tests[layout.graph.nodes[*node].test];
        let requires = test.requires.iter().map(|required| required.condition);
        let steps = every_step(test.steps.iter().chain(&test.finally));
        (
            *node,
            steps
                .into_iter()
                .flat_map(roots_of)
                .chain(requires)
                .collect(),
        )
    });
    let roots: Vec<(NodeIx, Vec<ExprIx>)> = roots.collect();
    // What the plan says itself.
    let steps = setup
        .iter()
        .flat_map(|setup| every_step(&typed.tests[*setup].steps));
    let own = steps.flat_map(roots_of).chain(policy::roots(policy));
    let own = own.collect();
    let nodes_of_all = typed.expressions.expressions();
    let expressions = renumbering.expressions(&layout.graph, nodes_of_all, roots, own);
    let tests = nodes
        .iter()
        .map(|node| renumbering.test(hir, typed, sources, &layout.graph, (*node, setup)))
        .collect::<Option<Table<_, _>>>()?;
    let setup = renumbering.setup(typed, row)?;
    let declares_effects = tests.iter().any(|test| !test.effects.is_empty());
    let shapes = layout.applied.sets.iter().zip(&layout.shapes);
    let shapes: Table<ShapeIx, Shape> = shapes
        .map(|(running, demands)| {
            let mut shape = renumbering.shape(running, demands);
            shape.conflicts = policy::with_boots(&tests, &shape);
            shape
        })
        .collect();
    let mut cells = Table::new();
    for (part, sets) in layout.parts.iter().zip(&layout.applied.cells) {
        let matrix = hir.qualified(hir.matrices[part.matrix].name);
        let laid_out = part.cells.cells.iter().zip(&part.served);
        for ((cell, served), set) in laid_out.zip(sets) {
            let Some(set) = set else {
                continue;
            };
            let unsupported: BTreeSet<TestIx> = served
                .unsupported
                .iter()
                .flat_map(|test| renumbering.tests_of(&layout.graph, *test))
                .collect();
            let running = &shapes[ShapeIx::from_row(*set)].tests;
            cells.push(Cell {
                id: cell.id.clone(),
                matrix: matrix.clone(),
                axes: cell.axes.clone(),
                image: *renumbering.images.get(&cell.image)?,
                shape: ShapeIx::from_row(*set),
                candidates: served.candidates.clone(),
                unsupported: unsupported
                    .into_iter()
                    .filter(|test| running.contains(test))
                    .collect(),
                network: cell.network,
            });
        }
    }
    Some(ExecutionPlan {
        producer: PRODUCER.into(),
        name: hir.plans[plan].name.text.clone(),
        source: sources.root().name().to_owned(),
        images,
        disks,
        states,
        expressions,
        tests,
        shapes,
        machines: layout.machines.clone(),
        cells,
        policy: renumbering.policy(
            (hir, &layout.graph),
            (row, policy),
            if declares_effects { LANES } else { LANES_ALONE },
        )?,
        boots,
        setup,
        blobs,
        secrets,
        inputs: renumbering.run_inputs(hir, typed)?,
        tables: renumbering.lookups(typed, layout)?,
        settings: typed.settings.clone(),
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
        StepKind::Let {
            value, otherwise, ..
        } => {
            let message = otherwise.iter().map(|otherwise| otherwise.message);
            message.chain([*value]).collect()
        }
        StepKind::Assume { condition, because } => vec![*condition, *because],
        StepKind::Note(text) => vec![*text],
        // The steps in them are asked for themselves.
        StepKind::When { condition, .. } => vec![*condition],
        StepKind::For { list, .. } => vec![*list],
        StepKind::Console(_) => Vec::new(),
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
