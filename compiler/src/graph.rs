//! What a plan runs: its tests and their repeats as one graph, where each applies, and the shapes that
//! come of it.
//!
//! | step | module |
//! |---|---|
//! | what is selected, what that brings along, and repeats | here |
//! | which of it runs in which cell | [`apply`] |
//! | the edges among what runs in a cell | [`contract`] |
//! | the order and the conflicts that effects imply | [`crate::effects`] |
//! | whether there are lives for all of it | [`lives`] |
//! | what comes before its own repeat | [`repeat`] |

pub mod apply;
pub(crate) mod contract;
pub(crate) mod lives;
pub(crate) mod repeat;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::TestIx;
use dva_plan::table::{Index, Table};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Hir, Mention, NodeIx, Plan};
use crate::order::{Order, Reach};
use crate::span::Span;

/// A test of a plan, or its repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// For a repeat, the test that it comes after: `rebooted` in `again memory after rebooted`.
    pub again: Option<TestIx>,
    /// The test.
    pub test: TestIx,
}

/// What a test needs on its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// The other one.
    pub on: NodeIx,
    /// Whether it must have passed; else it must have ended.
    pub passed: bool,
    /// Where that is said.
    pub span: Span,
}

/// The tests of a plan with what they need.
#[derive(Debug)]
pub struct Graph {
    /// The tests by their rows in the source, then repeats by what they come after.
    pub nodes: Table<NodeIx, Node>,
    /// What each of them needs, directly.
    pub needs: Table<NodeIx, Vec<Need>>,
    /// For each part of the plan, which of them it selects by itself.
    pub selected: Vec<BTreeSet<NodeIx>>,
    pub(crate) reach: Reach,
    /// The same over needs that must have passed; `None` where all of them must.
    passed: Option<Reach>,
    known: BTreeMap<Node, NodeIx>,
}

impl Graph {
    /// Whether `node` comes after `other`, over any number of edges.
    #[must_use]
    pub fn is_after(&self, node: NodeIx, other: NodeIx) -> bool {
        self.reach.is_after(node.row(), other.row())
    }

    /// Whether no test is after another one regardless.
    #[must_use]
    pub fn all_pass(&self) -> bool {
        self.passed.is_none()
    }

    /// Whether `node` runs only where `other` has passed, over any number of edges.
    #[must_use]
    pub fn needs_passed(&self, node: NodeIx, other: NodeIx) -> bool {
        let reach = self.passed.as_ref().unwrap_or(&self.reach);
        reach.is_after(node.row(), other.row())
    }

    /// The node whose values `test` gives to `reader`: its repeat where it was repeated with the reader.
    #[must_use]
    pub fn giver(&self, reader: NodeIx, test: TestIx) -> Option<NodeIx> {
        let again = self.nodes[reader].again;
        let repeat = again.and_then(|_| self.known.get(&Node { again, test }));
        repeat
            .or_else(|| self.known.get(&Node { again: None, test }))
            .copied()
    }

    /// The row of `node`, where the plan has it.
    pub(crate) fn node(&self, node: Node) -> Option<NodeIx> {
        self.known.get(&node).copied()
    }

    /// The tests of `selected` and of all that these need.
    #[must_use]
    pub fn tests(&self, selected: &BTreeSet<NodeIx>) -> BTreeSet<TestIx> {
        let mut seen = selected.clone();
        let mut waiting: Vec<NodeIx> = selected.iter().copied().collect();
        while let Some(node) = waiting.pop() {
            let needs = self.needs[node].iter().map(|need| need.on);
            waiting.extend(needs.filter(|on| seen.insert(*on)));
        }
        seen.iter().map(|node| self.nodes[*node].test).collect()
    }

    /// All nodes, each behind what it needs.
    pub(crate) fn sequence(&self) -> impl DoubleEndedIterator<Item = NodeIx> {
        self.reach.sequence().iter().copied().map(NodeIx::from_row)
    }
}

/// The name of a test of a plan: `memory`, `memory@rebooted`.
#[must_use]
pub fn name(hir: &Hir<'_>, node: Node) -> String {
    let name = |test: TestIx| hir.tests[test].id.as_ref();
    match node.again {
        None => name(node.test).to_owned(),
        Some(after) => format!("{}@{}", name(node.test), name(after)),
    }
}

/// The graph of `plan`; `None` where tests of the source wait for each other, or for one that
/// is `last`.
#[must_use]
pub fn graph(hir: &Hir<'_>, order: &Order, plan: &Plan<'_>, bag: &mut Bag) -> Option<Graph> {
    if !order.is_sound() {
        return None;
    }
    let repeats = repeats(plan);
    let mut wanted = Vec::new();
    for part in &plan.parts {
        let tests = part.tests.iter().map(|mention| Node {
            again: None,
            test: mention.to,
        });
        let again = part.again.iter().flat_map(|again| {
            again.tests.iter().map(|mention| Node {
                again: Some(again.after.to),
                test: mention.to,
            })
        });
        wanted.push(tests.chain(again).collect::<BTreeSet<Node>>());
    }
    let again = plan.parts.iter().flat_map(|part| &part.again);
    if again.fold(false, |any, again| {
        any | report_again(hir, again.after, bag)
    }) {
        return None;
    }
    let mut edges: BTreeMap<Node, Vec<(Node, bool, Span)>> = BTreeMap::new();
    let mut waiting: Vec<Node> = wanted.iter().flatten().copied().collect();
    while let Some(node) = waiting.pop() {
        if edges.contains_key(&node) {
            continue;
        }
        let needs = needs(hir, &repeats, node);
        waiting.extend(needs.iter().map(|(on, ..)| *on));
        edges.insert(node, needs);
    }
    let nodes: Table<NodeIx, Node> = edges.keys().copied().collect();
    let known: BTreeMap<Node, NodeIx> = nodes.enumerate().map(|(ix, node)| (*node, ix)).collect();
    let needs: Table<NodeIx, Vec<Need>> = edges
        .values()
        .map(|needs| {
            let needs = needs.iter();
            needs
                .map(|(on, passed, span)| Need {
                    on: known[on],
                    passed: *passed,
                    span: *span,
                })
                .collect()
        })
        .collect();
    let earlier = |all: bool| -> Vec<Vec<usize>> {
        let row = |needs: &Vec<Need>| {
            let needs = needs.iter().filter(|need| all || need.passed);
            needs.map(|need| need.on.row()).collect()
        };
        needs.iter().map(row).collect()
    };
    let reach = Reach::of(earlier(true))?;
    let all_pass = needs.iter().flatten().all(|need| need.passed);
    let passed = (!all_pass).then(|| Reach::of(earlier(false))).flatten();
    let selected = wanted.iter();
    let selected = selected.map(|nodes| nodes.iter().map(|node| known[node]).collect());
    let graph = Graph {
        nodes,
        needs,
        selected: selected.collect(),
        reach,
        passed,
        known,
    };
    report_exceptions(hir, plan, &graph, bag);
    Some(graph)
}

/// By what they come after, the tests that are repeated.
type Repeats = BTreeMap<TestIx, BTreeMap<TestIx, Span>>;

fn repeats(plan: &Plan<'_>) -> Repeats {
    let mut repeats = Repeats::new();
    for again in plan.parts.iter().flat_map(|part| &part.again) {
        let tests = repeats.entry(again.after.to).or_default();
        for mention in &again.tests {
            tests.entry(mention.to).or_insert(again.after.span);
        }
    }
    repeats
}

/// What `node` needs, each once. A repeat needs what its test needs, but for tests that are repeated with
/// it, of which it needs the repeats, however many others lie between.
fn needs(hir: &Hir<'_>, repeats: &Repeats, node: Node) -> Vec<(Node, bool, Span)> {
    let row = &hir.tests[node.test];
    let original = |test: TestIx| Node { again: None, test };
    let Some((after, tests)) = node
        .again
        .and_then(|after| Some((after, repeats.get(&after)?)))
    else {
        let edges = row.predecessors();
        return edges
            .map(|(mention, passed)| (original(mention.to), passed, mention.span))
            .collect();
    };
    let again = Some(after);
    let said = tests.get(&node.test).copied().unwrap_or_default();
    let mut needs: BTreeMap<Node, (bool, Span)> = BTreeMap::new();
    needs.insert(original(after), (true, said));
    let mut seen: BTreeSet<(TestIx, bool)> = BTreeSet::new();
    let mut waiting: Vec<(TestIx, bool, Option<Span>)> = vec![(node.test, true, None)];
    while let Some((at, passed, first)) = waiting.pop() {
        for (mention, edge_passed) in hir.tests[at].predecessors() {
            let (to, passed) = (mention.to, passed && edge_passed);
            let span = first.unwrap_or(mention.span);
            let mut add = |node: Node| {
                let known = needs.entry(node).or_insert((passed, span));
                known.0 |= passed;
            };
            if tests.contains_key(&to) {
                add(Node { again, test: to });
                continue;
            }
            if first.is_none() {
                add(original(to));
            }
            // What comes after the repeats' own predecessor holds none of them.
            if to != after && seen.insert((to, passed)) {
                waiting.push((to, passed, Some(span)));
            }
        }
    }
    let needs = needs.into_iter();
    needs
        .map(|(on, (passed, span))| (on, passed, span))
        .collect()
}

/// Reports a repeat after a test that is `last`; true where it is one.
fn report_again(hir: &Hir<'_>, after: Mention<TestIx>, bag: &mut Bag) -> bool {
    let other = &hir.tests[after.to];
    if let Some(last) = other.last {
        let text = format!("`{}` is the last of every machine", other.id);
        bag.push(
            Diagnostic::new(Code::P0520, after.span, text)
                .and(last, "here")
                .help("Nothing runs behind it. Remove `last`, or this `again`."),
        );
    }
    other.last.is_some()
}

/// Reports exceptions that run all the same, because a selected test is after them.
fn report_exceptions(hir: &Hir<'_>, plan: &Plan<'_>, graph: &Graph, bag: &mut Bag) {
    for (part, selected) in plan.parts.iter().zip(&graph.selected) {
        for except in &part.except {
            let test = except.to;
            let Some(node) = graph.known.get(&Node { again: None, test }) else {
                continue;
            };
            if selected.contains(node) {
                continue;
            }
            let after = selected.iter().find(|other| graph.is_after(**other, *node));
            if let Some(after) = after.map(|after| hir.tests[graph.nodes[*after].test].name) {
                let name = &hir.tests[test].id;
                bag.push(
                    Diagnostic::new(
                        Code::P0722,
                        except.span,
                        format!("`{name}` runs all the same"),
                    )
                    .and(after.span, "this test is selected and is after it")
                    .help("Selecting a test selects what it is after. Except both, or neither."),
                );
            }
        }
    }
}
