//! The order that authors ask for: what comes before what over any number of edges, and cycles.
//!
//! The order that effects imply is in [`crate::effects`].

mod cycle;
mod reach;

pub(crate) use cycle::{knots, shortest_cycle};
pub(crate) use reach::Reach;

use dva_plan::plan::TestIx;
use dva_plan::table::Index;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::Hir;
use crate::span::Span;

/// What comes before what among the tests of a source.
#[derive(Debug)]
pub struct Order {
    /// Over edges of `after` alone; `None` where tests wait for each other.
    passed: Option<Reach>,
    /// Over edges of `after` and of `after … regardless`.
    ended: Option<Reach>,
    /// Whether nothing comes after a test that is `last`.
    ends_with_last: bool,
}

impl Order {
    /// Whether `earlier` has passed where `test` runs: `test` is `after` it, over any number of edges.
    #[must_use]
    pub fn is_after(&self, test: TestIx, earlier: TestIx) -> bool {
        let reach = self.passed.as_ref();
        reach.is_some_and(|reach| reach.is_after(test.row(), earlier.row()))
    }

    /// Whether `earlier` has ended where `test` runs, however it ended.
    #[must_use]
    pub fn is_behind(&self, test: TestIx, earlier: TestIx) -> bool {
        let reach = self.ended.as_ref();
        reach.is_some_and(|reach| reach.is_after(test.row(), earlier.row()))
    }

    /// The tests of `hir`, each behind those that it is `after`; as they stand where some wait for each
    /// other.
    #[must_use]
    pub fn forwards(&self, hir: &Hir<'_>) -> Vec<TestIx> {
        match &self.ended {
            Some(reach) => reach
                .sequence()
                .iter()
                .map(|row| TestIx::from_row(*row))
                .collect(),
            None => hir.tests.indices().collect(),
        }
    }

    /// Whether no test waits for itself, or for one that is `last`.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.ended.is_some() && self.ends_with_last
    }
}

/// Follows the edges of all tests, and reports those that lead back to where they began, or to a test
/// that is `last`.
#[must_use]
pub fn order(hir: &Hir<'_>, bag: &mut Bag) -> Order {
    let ends_with_last = report_last(hir, bag);
    let earlier = |regardless: bool| -> Vec<Vec<usize>> {
        let row = |test: &crate::hir::Test<'_>| {
            let edges = test.predecessors();
            let kept = edges.filter(|(_, passed)| regardless || *passed);
            kept.map(|(mention, _)| mention.to.row()).collect()
        };
        hir.tests.iter().map(row).collect()
    };
    let ended = Reach::of(earlier(true));
    if ended.is_none() {
        report_cycles(hir, &earlier(true), bag);
        return Order {
            passed: None,
            ended,
            ends_with_last,
        };
    }
    let none_regardless = hir.tests.iter().all(|test| test.regardless.is_empty());
    let passed = if none_regardless {
        ended.clone()
    } else {
        Reach::of(earlier(false))
    };
    Order {
        passed,
        ended,
        ends_with_last,
    }
}

/// A `last` test runs behind all others, so nothing is after it. True where that holds.
fn report_last(hir: &Hir<'_>, bag: &mut Bag) -> bool {
    let mut sound = true;
    for (test, row) in hir.tests.enumerate() {
        for (mention, _) in row.predecessors() {
            let other = &hir.tests[mention.to];
            if let (Some(last), true) = (other.last, mention.to != test) {
                sound = false;
                let text = format!("`{}` is the last of every machine", other.id);
                bag.push(
                    Diagnostic::new(Code::P0520, mention.span, text)
                        .and(last, "here")
                        .help("Nothing runs behind it. Remove `last`, or this edge."),
                );
            }
        }
    }
    sound
}

/// One message for each knot of tests that wait for each other, with a shortest way round.
fn report_cycles(hir: &Hir<'_>, earlier: &[Vec<usize>], bag: &mut Bag) {
    for knot in knots(earlier) {
        let Some(way) = knot
            .first()
            .and_then(|first| shortest_cycle(earlier, &knot, *first))
        else {
            continue;
        };
        let test = |row: usize| &hir.tests[TestIx::from_row(row)];
        let name = |row: usize| test(row).id.as_ref();
        let path: Vec<_> = way.iter().map(|row| name(*row)).collect();
        let edges = way.windows(2).filter_map(|pair| {
            let mut edges = test(pair[0]).predecessors();
            let (edge, _) = edges.find(|(mention, _)| mention.to.row() == pair[1])?;
            let text = format!("`{}` waits for `{}`", name(pair[0]), name(pair[1]));
            Some((edge.span, text))
        });
        let mut edges: std::vec::IntoIter<(Span, String)> = edges.collect::<Vec<_>>().into_iter();
        let Some((span, text)) = edges.next() else {
            continue;
        };
        let mut finding = Diagnostic::new(Code::P0501, span, text);
        for (span, text) in edges {
            finding = finding.and(span, text);
        }
        bag.push(finding.help(format!(
            "None of them can be first: {}. Remove one of these edges.",
            path.join(" -> ")
        )));
    }
}
