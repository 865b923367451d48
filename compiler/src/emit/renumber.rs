//! From the rows of the source to those of the execution plan, which has only what is used.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::expr::{ExprIx, ExpressionBuilder, Expressions, Node};
use dva_plan::id::TestId;
use dva_plan::plan::{
    BlobIx, BootIx, DiskIx, Edge, Effect, ImageIx, InputIx, Pair, Requirement, Resource, SecretIx,
    Shape, StateIx, TableIx, Test, TestIx,
};
use dva_plan::step::{Run, Step, StepKind, WaitCondition, With, WithValue};
use dva_plan::table::Index;
use dva_plan::template::{Piece, Template};

use super::{Demands, Layout};
use crate::graph::apply::Running;
use crate::graph::{Graph, name};
use crate::hir::{Hir, NodeIx};
use crate::source::Sources;
use crate::types::Typed;
use crate::types::boot;
use crate::types::step::source_text;

/// The new number of each row that is kept.
pub(super) struct Renumbering {
    /// Images.
    pub(super) images: BTreeMap<ImageIx, ImageIx>,
    /// Disks.
    pub(super) disks: BTreeMap<DiskIx, DiskIx>,
    /// States.
    pub(super) states: BTreeMap<StateIx, StateIx>,
    /// Contents of files.
    pub(super) blobs: BTreeMap<BlobIx, BlobIx>,
    /// Secrets.
    pub(super) secrets: BTreeMap<SecretIx, SecretIx>,
    /// Boots.
    pub(super) boots: BTreeMap<BootIx, BootIx>,
    /// Tables.
    pub(super) tables: BTreeMap<TableIx, TableIx>,
    /// Inputs that are bound when the tests run.
    pub(super) inputs: BTreeMap<InputIx, InputIx>,
    tests: BTreeMap<NodeIx, TestIx>,
    /// The expressions of tests and of the plan itself, by their old rows.
    expressions: Vec<Option<ExprIx>>,
    /// Those of repeats, by what they come after, since the values of others that they name are those of
    /// repeats too.
    repeated: BTreeMap<(TestIx, ExprIx), ExprIx>,
}

impl Renumbering {
    pub(super) fn new(hir: &Hir<'_>, layout: &Layout) -> Self {
        let mut images = BTreeSet::new();
        for (part, sets) in layout.parts.iter().zip(&layout.applied.cells) {
            let cells = part.cells.cells.iter().zip(sets);
            images.extend(
                cells
                    .filter(|(_, set)| set.is_some())
                    .map(|(cell, _)| cell.image),
            );
        }
        let mut running = vec![false; layout.graph.nodes.len()];
        for set in &layout.applied.sets {
            for (node, runs) in set.enumerate() {
                running[node.row()] |= *runs;
            }
        }
        let nodes = layout.graph.nodes.indices();
        let nodes = nodes.filter(|node| running[node.row()]).enumerate();
        let tests: BTreeMap<NodeIx, TestIx> = nodes
            .map(|(place, node)| (node, TestIx::from_row(place)))
            .collect();
        let (mut disks, mut states) = (BTreeSet::new(), BTreeSet::new());
        let mut boots = BTreeSet::new();
        for node in tests.keys() {
            let row = &hir.tests[layout.graph.nodes[*node].test];
            boots.extend(row.boot.map(|boot| boot.to));
            for (_, mention) in &row.effects {
                match mention.to {
                    Resource::Machine => {}
                    Resource::Disk(disk) => {
                        disks.insert(disk);
                    }
                    Resource::State(state) => {
                        states.insert(state);
                    }
                }
            }
        }
        Self {
            images: numbered(images),
            disks: numbered(disks),
            states: numbered(states),
            boots: numbered(boots),
            blobs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            tables: BTreeMap::new(),
            inputs: BTreeMap::new(),
            tests,
            expressions: Vec::new(),
            repeated: BTreeMap::new(),
        }
    }

    /// The tests that run in some cell, in order.
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIx> {
        self.tests.keys().copied()
    }

    /// Those tests.
    pub(super) fn all_tests(&self) -> impl Iterator<Item = TestIx> {
        self.tests.values().copied()
    }

    /// Notes the files and secrets that `steps` and the boots need.
    pub(super) fn resources<'t>(&mut self, typed: &Typed, steps: impl Iterator<Item = &'t Step>) {
        let (mut blobs, mut secrets) = (BTreeSet::new(), BTreeSet::new());
        let boots = self
            .boots
            .keys()
            .filter_map(|boot| typed.boots[*boot].as_ref());
        blobs.extend(boots.filter_map(|boot| boot.user_data));
        for step in steps {
            match &step.kind {
                StepKind::Upload { blob, .. } => {
                    blobs.insert(*blob);
                }
                StepKind::Run(run) => {
                    secrets.extend(run.with.iter().filter_map(|with| match with.value {
                        WithValue::Secret(secret) => Some(secret),
                        WithValue::Expr(_) => None,
                    }));
                }
                StepKind::Check(_)
                | StepKind::Let { .. }
                | StepKind::Assume { .. }
                | StepKind::Note(_)
                | StepKind::When { .. }
                | StepKind::For { .. }
                | StepKind::Console(_)
                | StepKind::Reboot
                | StepKind::Stop
                | StepKind::Start
                | StepKind::Attach(_)
                | StepKind::Detach { .. }
                | StepKind::Wait { .. }
                | StepKind::WaitUntil { .. }
                | StepKind::Collect { .. } => {}
            }
        }
        self.blobs = numbered(blobs);
        self.secrets = numbered(secrets);
    }

    /// The nodes that `roots` need, those of each test, in their order; and `own`, what the plan says
    /// itself, which names no values of tests.
    pub(super) fn expressions(
        &mut self,
        graph: &Graph,
        nodes: &Expressions,
        roots: Vec<(NodeIx, Vec<ExprIx>)>,
        own: Vec<ExprIx>,
    ) -> Expressions {
        let mut by_repeat: BTreeMap<Option<TestIx>, (NodeIx, Vec<ExprIx>)> = BTreeMap::new();
        for (node, roots) in roots {
            let again = graph.nodes[node].again;
            let known = by_repeat.entry(again).or_insert((node, Vec::new()));
            known.1.extend(roots);
        }
        let of_plan = by_repeat.entry(None);
        of_plan
            .or_insert_with(|| (NodeIx::from_row(0), Vec::new()))
            .1
            .extend(own);
        // The reader, and which expressions it and those like it need.
        let mut groups: Vec<(Option<TestIx>, NodeIx, Vec<ExprIx>)> = Vec::new();
        for (again, (reader, mut waiting)) in by_repeat {
            let mut is_needed = vec![false; nodes.len()];
            while let Some(next) = waiting.pop() {
                if !std::mem::replace(&mut is_needed[next.row()], true) {
                    waiting.extend(nodes[next].children());
                }
            }
            let needed = nodes.indices().filter(|index| is_needed[index.row()]);
            groups.push((again, reader, needed.collect()));
        }
        let all = groups.iter().flat_map(|(_, _, needed)| needed);
        self.values(all.map(|index| &nodes[*index]));
        let mut kept = ExpressionBuilder::default();
        self.expressions = vec![None; nodes.len()];
        // Children have smaller numbers than their parents, so they are there when they are named.
        for (again, reader, needed) in groups {
            for index in needed {
                let node = self.node(graph, reader, again, &nodes[index]);
                let new = kept.add(node);
                match again {
                    None => self.expressions[index.row()] = Some(new),
                    Some(again) => drop(self.repeated.insert((again, index), new)),
                }
            }
        }
        kept.finish()
    }

    /// `node` as tests have it that are repeated as `reader` is.
    fn node(&self, graph: &Graph, reader: NodeIx, again: Option<TestIx>, node: &Node) -> Node {
        let of = |index: ExprIx| self.expr(again, index);
        match *node {
            Node::Other { test, slot } => Node::Other {
                test: self.giver(graph, reader, test),
                slot,
            },
            Node::Lookup(table) => Node::Lookup(self.tables[&table]),
            Node::Input(input) => Node::Input(self.inputs[&input]),
            Node::Field {
                of: record,
                ref name,
            } => Node::Field {
                of: of(record),
                name: name.clone(),
            },
            Node::Join(ref parts) => Node::Join(parts.iter().map(|part| of(*part)).collect()),
            Node::InUnit { of: amount, unit } => Node::InUnit {
                of: of(amount),
                unit,
            },
            Node::Disk { disk, what } => Node::Disk {
                disk: self.disk_ix(disk),
                what,
            },
            Node::Not(inner) => Node::Not(of(inner)),
            Node::And(left, right) => Node::And(of(left), of(right)),
            Node::Or(left, right) => Node::Or(of(left), of(right)),
            Node::Compare { how, left, right } => Node::Compare {
                how,
                left: of(left),
                right: of(right),
            },
            Node::Arithmetic { how, left, right } => Node::Arithmetic {
                how,
                left: of(left),
                right: of(right),
            },
            Node::Matches { text, regex } => Node::Matches {
                text: of(text),
                regex: of(regex),
            },
            Node::Has { whole, part } => Node::Has {
                whole: of(whole),
                part: of(part),
            },
            Node::HasAll { whole, parts } => Node::HasAll {
                whole: of(whole),
                parts: of(parts),
            },
            Node::HasNone { whole, parts } => Node::HasNone {
                whole: of(whole),
                parts: of(parts),
            },
            Node::Without { whole, parts } => Node::Without {
                whole: of(whole),
                parts: of(parts),
            },
            Node::In { value, list } => Node::In {
                value: of(value),
                list: of(list),
            },
            Node::Const(_)
            | Node::Slot(_)
            | Node::Exit
            | Node::Stdout
            | Node::Stderr
            | Node::Cell(_)
            | Node::Machine(_) => node.clone(),
        }
    }

    pub(super) fn test(
        &self,
        hir: &Hir<'_>,
        typed: &Typed,
        sources: &Sources,
        graph: &Graph,
        (node, setup): (NodeIx, Option<TestIx>),
    ) -> Option<Test> {
        let of = graph.nodes[node];
        let (row, made) = (&hir.tests[of.test], &typed.tests[of.test]);
        let mut effects: Vec<_> = row
            .effects
            .iter()
            .map(|(kind, mention)| Effect {
                kind: *kind,
                of: match mention.to {
                    Resource::Machine => Resource::Machine,
                    Resource::Disk(disk) => Resource::Disk(self.disk_ix(disk)),
                    Resource::State(state) => Resource::State(self.states[&state]),
                },
            })
            .collect();
        effects.sort_unstable();
        let mut tags: Vec<_> = row.tags.iter().map(|tag| tag.text.clone()).collect();
        tags.sort_unstable();
        let docs: Vec<_> = row.docs.iter().map(|doc| doc.text.as_str()).collect();
        // A step that is missing was reported.
        if !made.is_complete {
            return None;
        }
        let mut needs = made.needs.clone();
        let boot = row.boot.and_then(|boot| typed.boots[boot.to].as_ref());
        needs.extend(boot.into_iter().flat_map(boot::needs));
        needs.extend(
            setup
                .into_iter()
                .flat_map(|setup| &typed.tests[setup].needs),
        );
        Some(Test {
            id: TestId::new(name(hir, of)),
            doc: docs.join("\n"),
            tags,
            effects,
            last: row.last.is_some(),
            once: row.once.is_some(),
            within_ms: made.within_ms,
            takes_ms: made.takes_ms,
            takes_p90_ms: None,
            slots: made.slots.clone(),
            steps: made
                .steps
                .iter()
                .map(|step| self.step(of.again, step))
                .collect(),
            finally: made
                .finally
                .iter()
                .map(|step| self.step(of.again, step))
                .collect(),
            source: source_text(sources, row.head),
            boot: row.boot.map(|boot| self.boots[&boot.to]),
            retry: made.retry,
            needs: needs.into_iter().collect(),
            requires: made
                .requires
                .iter()
                .map(|required| Requirement {
                    condition: self.expr(of.again, required.condition),
                    source: required.source.clone(),
                })
                .collect(),
        })
    }

    pub(super) fn step(&self, again: Option<TestIx>, step: &Step) -> Step {
        let kind = match &step.kind {
            StepKind::Check(condition) => StepKind::Check(self.expr(again, *condition)),
            StepKind::Run(run) => StepKind::Run(Run {
                command: self.template(again, &run.command),
                expect: run.expect.map(|expect| self.expr(again, expect)),
                capture: run.capture.clone(),
                user: run.user.clone(),
                retry: run.retry,
                with: run.with.iter().map(|with| self.with(again, with)).collect(),
            }),
            StepKind::Let { .. }
            | StepKind::Assume { .. }
            | StepKind::Note(_)
            | StepKind::When { .. }
            | StepKind::For { .. }
            | StepKind::Console(_) => self.step_of_values(again, &step.kind),
            StepKind::Attach(disk) => StepKind::Attach(self.disk_ix(*disk)),
            StepKind::Detach { disk, how } => StepKind::Detach {
                disk: self.disk_ix(*disk),
                how: *how,
            },
            StepKind::WaitUntil {
                condition,
                every_ms,
            } => StepKind::WaitUntil {
                condition: match condition {
                    WaitCondition::Holds(condition) => {
                        WaitCondition::Holds(self.expr(again, *condition))
                    }
                    WaitCondition::Succeeds(command) => {
                        WaitCondition::Succeeds(self.template(again, command))
                    }
                },
                every_ms: *every_ms,
            },
            StepKind::Upload { blob, to, mode } => StepKind::Upload {
                blob: self.blobs[blob],
                to: self.template(again, to),
                mode: *mode,
            },
            StepKind::Collect { path } => StepKind::Collect {
                path: self.template(again, path),
            },
            kind
            @ (StepKind::Reboot | StepKind::Stop | StepKind::Start | StepKind::Wait { .. }) => {
                kind.clone()
            }
        };
        Step {
            kind,
            within_ms: step.within_ms,
            source: step.source.clone(),
        }
    }

    fn template(&self, again: Option<TestIx>, template: &Template) -> Template {
        let pieces = template.0.iter().map(|piece| match piece {
            Piece::Lit(text) => Piece::Lit(text.clone()),
            Piece::Arg { expr, place } => Piece::Arg {
                expr: self.expr(again, *expr),
                place: *place,
            },
            Piece::Raw(expr) => Piece::Raw(self.expr(again, *expr)),
        });
        Template(pieces.collect())
    }

    fn with(&self, again: Option<TestIx>, with: &With) -> With {
        With {
            name: with.name.clone(),
            value: match with.value {
                WithValue::Expr(expr) => WithValue::Expr(self.expr(again, expr)),
                WithValue::Secret(secret) => WithValue::Secret(self.secrets[&secret]),
            },
        }
    }

    pub(super) fn shape(
        &self,
        running: &Running,
        Demands {
            needs,
            implied,
            first_times,
        }: &Demands,
    ) -> Shape {
        let edge = |test: NodeIx, after: NodeIx| Edge {
            test: self.tests[&test],
            after: self.tests[&after],
        };
        let (mut after, mut regardless) = (Vec::new(), Vec::new());
        for (node, needs) in needs.enumerate() {
            for need in needs {
                let edges = if need.passed {
                    &mut after
                } else {
                    &mut regardless
                };
                edges.push(edge(node, need.on));
            }
        }
        let order = implied.order.keys().chain(first_times);
        let mut order: Vec<_> = order.map(|(test, after)| edge(*test, *after)).collect();
        let conflicts = implied.conflicts.iter();
        let mut conflicts: Vec<_> = conflicts
            .map(|(one, other)| Pair::of(self.tests[one], self.tests[other]))
            .collect();
        after.sort_unstable();
        regardless.sort_unstable();
        order.sort_unstable();
        order.dedup();
        conflicts.sort_unstable();
        let tests = running.enumerate().filter(|(_, runs)| **runs);
        Shape {
            tests: tests.map(|(node, _)| self.tests[&node]).collect(),
            after,
            regardless,
            order,
            conflicts,
        }
    }

    pub(super) fn expr(&self, again: Option<TestIx>, index: ExprIx) -> ExprIx {
        let new = match again {
            None => self.expressions[index.row()],
            Some(again) => self.repeated.get(&(again, index)).copied(),
        };
        match new {
            Some(new) => new,
            None => panic!("an expression is renumbered before it is named"),
        }
    }

    /// The tests of the plan that run `test`, as it is or again.
    pub(super) fn tests_of(&self, graph: &Graph, test: TestIx) -> Vec<TestIx> {
        let own = self.tests.iter();
        own.filter(|(node, _)| graph.nodes[**node].test == test)
            .map(|(_, test)| *test)
            .collect()
    }

    /// The test whose value `reader` names.
    fn giver(&self, graph: &Graph, reader: NodeIx, test: TestIx) -> TestIx {
        match graph.giver(reader, test) {
            Some(giver) => self.tests[&giver],
            None => panic!("a test is after those whose values it names"),
        }
    }

    fn disk_ix(&self, disk: DiskIx) -> DiskIx {
        self.disks[&disk]
    }
}

/// Numbers `rows` in their order.
pub(super) fn numbered<I: Index>(rows: impl IntoIterator<Item = I>) -> BTreeMap<I, I> {
    let rows = rows.into_iter().enumerate();
    rows.map(|(place, row)| (row, I::from_row(place))).collect()
}
