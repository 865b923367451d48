//! What tests do to disks, and the order that follows from it.
//!
//! Packing tests onto machines must never change a verdict. So two tests that write one disk need an
//! order that the author gives; and a test that reads a disk which another one writes, without being
//! `after` it, sees the disk as shipped and ends before the writer starts.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::{DiskIx, Edge, EffectKind, TestIx};
use petgraph::algo::tarjan_scc;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::hir::{Hir, Mention};
use crate::order::{Graph, Order};
use crate::span::Span;
use crate::types::Typed;

/// The edges of order alone among `tests`, which hold all that they are `after`. Ascending.
#[must_use]
pub fn implied_order(
    hir: &Hir<'_>,
    order: &Order,
    tests: &BTreeSet<TestIx>,
    bag: &mut Bag,
) -> Vec<Edge> {
    let mut edges: BTreeMap<Edge, (DiskIx, Span, Span)> = BTreeMap::new();
    for disk in hir.disks.indices() {
        let touches = |test: TestIx, kind: EffectKind| {
            let effects = hir.tests[test].effects.iter();
            let mut same = effects.filter(|(own, mention)| *own == kind && mention.to == disk);
            same.next().map(|(_, mention)| (test, mention.span))
        };
        let writers: Vec<_> = tests
            .iter()
            .filter_map(|test| touches(*test, EffectKind::Writes))
            .collect();
        let is_ordered = |a, b| order.is_after(a, b) || order.is_after(b, a);
        for (place, (later, span)) in writers.iter().enumerate() {
            // One message for each writer that is too many, not one for each pair.
            let mut others = writers[..place].iter();
            if let Some((earlier, first)) = others.find(|(other, _)| !is_ordered(*later, *other)) {
                report_writers(hir, disk, (*later, *span), (*earlier, *first), bag);
            }
        }
        for test in tests {
            let Some((reader, read)) = touches(*test, EffectKind::Reads) else {
                continue;
            };
            for (writer, written) in &writers {
                if *writer != reader && !is_ordered(*writer, reader) {
                    let edge = Edge {
                        test: *writer,
                        after: reader,
                    };
                    edges.entry(edge).or_insert((disk, read, *written));
                }
            }
        }
    }
    report_cycles(hir, tests, &edges, bag);
    edges.into_keys().collect()
}

fn report_writers(
    hir: &Hir<'_>,
    disk: DiskIx,
    (later, span): (TestIx, Span),
    (earlier, first): (TestIx, Span),
    bag: &mut Bag,
) {
    let name = |test: TestIx| hir.tests[test].name.text.as_str();
    let disk = &hir.disks[disk].name.text;
    let text = format!("`{}` writes `{disk}`", name(later));
    bag.push(
        Diagnostic::new(Code::P0502, span, text)
            .and(first, format!("`{}` writes it as well", name(earlier)))
            .help(format!(
                "Whichever came last would decide what the disk holds. Say which one comes first, for \
                 example `test {} after {}`.",
                name(later),
                name(earlier)
            )),
    );
}

/// Reports implied edges that lie on a cycle with those of `after`.
fn report_cycles(
    hir: &Hir<'_>,
    tests: &BTreeSet<TestIx>,
    implied: &BTreeMap<Edge, (DiskIx, Span, Span)>,
    bag: &mut Bag,
) {
    let mut graph: Graph<()> = Graph::default();
    for test in tests {
        for mention in &hir.tests[*test].after {
            graph.add_edge(*test, mention.to, ());
        }
    }
    for edge in implied.keys() {
        graph.add_edge(edge.test, edge.after, ());
    }
    for knot in tarjan_scc(&graph) {
        let inside = |test: &TestIx| knot.contains(test);
        let mut on_cycle: Vec<_> = implied
            .iter()
            .filter(|(edge, _)| {
                edge.test != edge.after && inside(&edge.test) && inside(&edge.after)
            })
            .collect();
        on_cycle.sort_by_key(|(_, (_, read, _))| *read);
        let Some(((edge, (disk, read, written)), others)) = on_cycle.split_first() else {
            continue;
        };
        let name = |test: TestIx| hir.tests[test].name.text.as_str();
        let (reader, writer) = (name(edge.after), name(edge.test));
        let disk = &hir.disks[*disk].name.text;
        let mut finding = Diagnostic::new(
            Code::P0503,
            *read,
            format!("`{reader}` reads `{disk}` as shipped, so it ends before `{writer}` starts"),
        )
        .and(*written, format!("`{writer}` writes it"));
        for (edge, (disk, read, _)) in others {
            let (reader, writer) = (name(edge.after), name(edge.test));
            let disk = &hir.disks[*disk].name.text;
            finding = finding.and(
                *read,
                format!("`{reader}` reads `{disk}` before `{writer}` writes it"),
            );
        }
        bag.push(finding.help(format!(
            "The order of the tests says the opposite, so on one machine neither can be first. Where \
             `{reader}` should see what `{writer}` wrote, write `test {reader} after {writer}`."
        )));
    }
}

/// Reports tests that use a disk which they neither read nor write, or attach or detach one that they do
/// not write.
pub fn report_undeclared(hir: &Hir<'_>, typed: &Typed, bag: &mut Bag) {
    for (test, row) in hir.tests.enumerate() {
        if !row.intact {
            continue;
        }
        let uses = &typed.tests[test].uses;
        let undeclared = |disk: DiskIx| {
            let writes = |(kind, mention): &(EffectKind, Mention<DiskIx>)| {
                *kind == EffectKind::Writes && mention.to == disk
            };
            uses.moved.contains_key(&disk) && !row.effects.iter().any(writes)
        };
        for (disk, span) in &uses.moved {
            if !undeclared(*disk) {
                continue;
            }
            let name = &hir.disks[*disk].name.text;
            let mut reads = row.effects.iter();
            let finding = match reads.find(|(_, mention)| mention.to == *disk) {
                Some((_, mention)) => {
                    let text = format!("`{}` only reads `{name}`", row.name.text);
                    Diagnostic::new(Code::P0504, *span, text).and(mention.span, "here")
                }
                None => {
                    let text = format!("`{}` says nothing of `{name}`", row.name.text);
                    Diagnostic::new(Code::P0504, *span, text).and(row.name.span, "this test")
                }
            };
            bag.push(finding.help(format!(
                "A disk that is attached or detached changes for every test on the machine. Write \
                 `writes {name}`."
            )));
        }
        for (disk, span) in &uses.disks {
            if undeclared(*disk) || row.effects.iter().any(|(_, mention)| mention.to == *disk) {
                continue;
            }
            let name = &hir.disks[*disk].name.text;
            let text = format!("`{}` says nothing of `{name}`", row.name.text);
            bag.push(
                Diagnostic::new(Code::P0504, *span, text)
                    .and(row.name.span, "this test")
                    .help(format!(
                        "A machine has the disk only for tests that say what they do to it. Add \
                         `writes {name}`, or `reads {name}` where the test leaves it as it is."
                    )),
            );
        }
    }
}
