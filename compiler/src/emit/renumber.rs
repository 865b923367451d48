//! From the rows of the source to those of the execution plan, which has only what is used.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::expr::{ExprIx, ExpressionBuilder, Expressions, Node};
use dva_plan::id::TestId;
use dva_plan::plan::{BlobIx, DiskIx, Edge, Effect, ImageIx, SecretIx, Shape, Test, TestIx};
use dva_plan::step::{Run, Step, StepKind, WaitCondition, With, WithValue};
use dva_plan::table::Index;
use dva_plan::template::{Piece, Template};

use super::Layout;
use crate::hir::Hir;
use crate::source::Source;
use crate::types::Typed;
use crate::types::step::source_text;

/// The new number of each row that is kept.
pub(super) struct Renumbering {
    /// Images.
    pub(super) images: BTreeMap<ImageIx, ImageIx>,
    /// Disks.
    pub(super) disks: BTreeMap<DiskIx, DiskIx>,
    /// Contents of files.
    pub(super) blobs: BTreeMap<BlobIx, BlobIx>,
    /// Secrets.
    pub(super) secrets: BTreeMap<SecretIx, SecretIx>,
    tests: BTreeMap<TestIx, TestIx>,
    expressions: BTreeMap<ExprIx, ExprIx>,
}

impl Renumbering {
    pub(super) fn new(hir: &Hir<'_>, layout: &Layout) -> Self {
        let images: BTreeSet<_> = layout.cells.cells.iter().map(|cell| cell.image).collect();
        let effects = layout
            .tests
            .iter()
            .flat_map(|test| &hir.tests[*test].effects);
        let disks: BTreeSet<_> = effects.map(|(_, mention)| mention.to).collect();
        Self {
            images: numbered(images),
            disks: numbered(disks),
            blobs: BTreeMap::new(),
            secrets: BTreeMap::new(),
            tests: numbered(layout.tests.iter().copied()),
            expressions: BTreeMap::new(),
        }
    }

    /// Notes the files and secrets that `steps` need.
    pub(super) fn resources<'t>(&mut self, steps: impl Iterator<Item = &'t Step>) {
        let (mut blobs, mut secrets) = (BTreeSet::new(), BTreeSet::new());
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

    /// The nodes that `roots` need, in their order.
    pub(super) fn expressions(
        &mut self,
        nodes: &Expressions,
        roots: impl Iterator<Item = ExprIx>,
    ) -> Expressions {
        let mut needed: BTreeSet<ExprIx> = BTreeSet::new();
        let mut waiting: Vec<ExprIx> = roots.collect();
        while let Some(next) = waiting.pop() {
            if needed.insert(next) {
                waiting.extend(nodes[next].children());
            }
        }
        let mut kept = ExpressionBuilder::default();
        // Children have smaller numbers than their parents, so they are there when they are named.
        for index in needed {
            let node = self.node(&nodes[index]);
            self.expressions.insert(index, kept.add(node));
        }
        kept.finish()
    }

    fn node(&self, node: &Node) -> Node {
        let of = |index: ExprIx| self.expr(index);
        match *node {
            Node::Other { test, slot } => Node::Other {
                test: self.test_ix(test),
                slot,
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
        source: &Source,
        test: TestIx,
    ) -> Option<Test> {
        let (row, made) = (&hir.tests[test], &typed.tests[test]);
        let mut effects: Vec<_> = row
            .effects
            .iter()
            .map(|(kind, mention)| Effect {
                kind: *kind,
                disk: self.disk_ix(mention.to),
            })
            .collect();
        effects.sort_unstable();
        let docs: Vec<_> = row.docs.iter().map(|doc| doc.text.as_str()).collect();
        // A step that is missing was reported.
        if !made.is_complete {
            return None;
        }
        Some(Test {
            id: TestId::new(row.name.text.as_str()),
            doc: docs.join("\n"),
            effects,
            within_ms: made.within_ms,
            takes_ms: made.takes_ms,
            slots: made.slots.clone(),
            steps: made.steps.iter().map(|step| self.step(step)).collect(),
            finally: made.finally.iter().map(|step| self.step(step)).collect(),
            source: source_text(source, row.head),
            needs: made.needs.iter().copied().collect(),
        })
    }

    fn step(&self, step: &Step) -> Step {
        let kind = match &step.kind {
            StepKind::Check(condition) => StepKind::Check(self.expr(*condition)),
            StepKind::Run(run) => StepKind::Run(Run {
                command: self.template(&run.command),
                expect: run.expect.map(|expect| self.expr(expect)),
                capture: run.capture.clone(),
                user: run.user.clone(),
                retry: run.retry,
                with: run.with.iter().map(|with| self.with(with)).collect(),
            }),
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
                    WaitCondition::Holds(condition) => WaitCondition::Holds(self.expr(*condition)),
                    WaitCondition::Succeeds(command) => {
                        WaitCondition::Succeeds(self.template(command))
                    }
                },
                every_ms: *every_ms,
            },
            StepKind::Upload { blob, to, mode } => StepKind::Upload {
                blob: self.blobs[blob],
                to: self.template(to),
                mode: *mode,
            },
            StepKind::Collect { path } => StepKind::Collect {
                path: self.template(path),
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

    fn template(&self, template: &Template) -> Template {
        let pieces = template.0.iter().map(|piece| match piece {
            Piece::Lit(text) => Piece::Lit(text.clone()),
            Piece::Arg { expr, place } => Piece::Arg {
                expr: self.expr(*expr),
                place: *place,
            },
            Piece::Raw(expr) => Piece::Raw(self.expr(*expr)),
        });
        Template(pieces.collect())
    }

    fn with(&self, with: &With) -> With {
        With {
            name: with.name.clone(),
            value: match with.value {
                WithValue::Expr(expr) => WithValue::Expr(self.expr(expr)),
                WithValue::Secret(secret) => WithValue::Secret(self.secrets[&secret]),
            },
        }
    }

    pub(super) fn shape(&self, hir: &Hir<'_>, layout: &Layout) -> Shape {
        let edge = |edge: Edge| Edge {
            test: self.test_ix(edge.test),
            after: self.test_ix(edge.after),
        };
        let after = layout.tests.iter().flat_map(|test| {
            let earlier = hir.tests[*test].after.iter();
            earlier.map(|mention| Edge {
                test: *test,
                after: mention.to,
            })
        });
        let mut after: Vec<_> = after.map(edge).collect();
        let mut order: Vec<_> = layout.order.iter().copied().map(edge).collect();
        after.sort_unstable();
        order.sort_unstable();
        Shape {
            tests: self.tests.values().copied().collect(),
            after,
            order,
        }
    }

    fn expr(&self, index: ExprIx) -> ExprIx {
        self.expressions[&index]
    }

    fn test_ix(&self, test: TestIx) -> TestIx {
        self.tests[&test]
    }

    fn disk_ix(&self, disk: DiskIx) -> DiskIx {
        self.disks[&disk]
    }
}

/// Numbers `rows` in their order.
fn numbered<I: Index>(rows: impl IntoIterator<Item = I>) -> BTreeMap<I, I> {
    let rows = rows.into_iter().enumerate();
    rows.map(|(place, row)| (row, I::from_row(place))).collect()
}
