//! The order that authors ask for: the edges of `after`, what comes before what, and cycles.
//!
//! The order that effects imply is in [`crate::effects`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};

use dva_plan::plan::TestIx;
use dva_plan::table::Table;
use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::Hir;
use crate::span::Span;

/// Tests with edges to what comes before them. It keeps the order of insertion, so no result depends
/// on the hash.
pub(crate) type Graph<E> = DiGraphMap<TestIx, E, BuildHasherDefault<DefaultHasher>>;

/// For each test, the tests that it is `after`, over any number of edges.
#[derive(Debug)]
pub struct Order {
    before: Table<TestIx, BTreeSet<TestIx>>,
}

impl Order {
    /// Whether `test` is `after` `earlier`, over any number of edges.
    #[must_use]
    pub fn is_after(&self, test: TestIx, earlier: TestIx) -> bool {
        self.before[test].contains(&earlier)
    }

    /// Whether no test waits for itself.
    #[must_use]
    pub fn is_acyclic(&self) -> bool {
        let mut tests = self.before.enumerate();
        tests.all(|(test, before)| !before.contains(&test))
    }

    /// `tests` with all that they are `after`.
    #[must_use]
    pub fn closure(&self, tests: impl IntoIterator<Item = TestIx>) -> BTreeSet<TestIx> {
        let mut closed = BTreeSet::new();
        for test in tests {
            closed.insert(test);
            closed.extend(&self.before[test]);
        }
        closed
    }
}

/// Follows the edges of all tests, and reports those that lead back to where they began.
#[must_use]
pub fn order(hir: &Hir<'_>, bag: &mut Bag) -> Order {
    report_cycles(hir, bag);
    let before = hir
        .tests
        .indices()
        .map(|test| {
            let mut before = BTreeSet::new();
            let mut waiting = vec![test];
            while let Some(next) = waiting.pop() {
                let earlier = hir.tests[next].after.iter().map(|mention| mention.to);
                waiting.extend(earlier.filter(|earlier| before.insert(*earlier)));
            }
            before
        })
        .collect();
    Order { before }
}

/// One message for each knot of tests that wait for each other, with a shortest way round.
fn report_cycles(hir: &Hir<'_>, bag: &mut Bag) {
    let mut graph: Graph<Span> = Graph::default();
    for (test, row) in hir.tests.enumerate() {
        for mention in &row.after {
            graph.add_edge(test, mention.to, mention.span);
        }
    }
    for mut knot in tarjan_scc(&graph) {
        knot.sort_unstable();
        let Some(first) = knot.first().copied() else {
            continue;
        };
        if knot.len() == 1 && !graph.contains_edge(first, first) {
            continue;
        }
        let way = way_round(&graph, first);
        let name = |test: TestIx| hir.tests[test].name.text.as_str();
        let path: Vec<_> = way.iter().map(|test| name(*test)).collect();
        let edges: Vec<(TestIx, TestIx, Span)> = way
            .windows(2)
            .filter_map(|pair| {
                let span = graph.edge_weight(pair[0], pair[1])?;
                Some((pair[0], pair[1], *span))
            })
            .collect();
        let Some((from, to, span)) = edges.first() else {
            continue;
        };
        let label =
            |from: &TestIx, to: &TestIx| format!("`{}` waits for `{}`", name(*from), name(*to));
        let mut finding = Diagnostic::new(Code::P0501, *span, label(from, to));
        for (from, to, span) in &edges[1..] {
            finding = finding.and(*span, label(from, to));
        }
        bag.push(finding.help(format!(
            "None of them can be first: {}. Remove one of these edges.",
            path.join(" -> ")
        )));
    }
}

/// A shortest path along the edges from `start` back to it, with `start` at both ends.
fn way_round(graph: &Graph<Span>, start: TestIx) -> Vec<TestIx> {
    let mut came_from: BTreeMap<TestIx, TestIx> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(at) = waiting.pop_front() {
        for next in graph.neighbors(at) {
            if next == start {
                let mut way = vec![start, at];
                let mut at = at;
                while let Some(from) = came_from.get(&at) {
                    way.push(*from);
                    at = *from;
                }
                // `start` has no origin, so a way of one edge holds it twice already.
                if way.len() > 2 || at == start {
                    way.reverse();
                }
                return way;
            }
            if let Entry::Vacant(first) = came_from.entry(next) {
                first.insert(at);
                waiting.push_back(next);
            }
        }
    }
    vec![start]
}
