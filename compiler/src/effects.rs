//! What tests do to disks and states, and the order and the conflicts that follow from it.
//!
//! Packing tests onto machines must never change a verdict: what a test finds on its life is what those
//! tests left that it is after, or what was shipped. So
//!
//! - tests that write one thing and are tied together by what they need have an order that the author
//!   gives;
//! - those that are not tied together do not share a life;
//! - a test that reads a thing ends before any writer of it starts that it is not after. It is enough to
//!   say so of the first of several writers that need each other to have passed;
//! - a reboot leaves a state that it loses as it always does, whoever wrote it before. So it is no
//!   conflict with them: whatever touches the state and is not after the reboot goes before it.
//!
//! A `last` test finds what its life left: that is what it is for. Only among themselves have such tests
//! an order. Effects on the machine as a whole are in [`crate::graph::lives`].
//!
//! Nothing here looks at all pairs of tests: those that touch a thing are found by it, and those of them
//! that write it and are tied together stand in one line.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::{DiskIx, EffectKind, Resource};
use dva_plan::table::{Index, Table};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::graph::apply::Running;
use crate::graph::{Graph, name};
use crate::hir::{Hir, Mention, NodeIx};
use crate::span::Span;
use crate::types::Typed;

/// The most edges and conflicts that effects may imply in one shape.
pub const MAX_IMPLIED: usize = 1_000_000;

/// What a test does to something, in the sense of this module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Touch {
    /// It reads or borrows it.
    Sees,
    /// It writes it.
    Writes,
    /// It reboots, which loses it, and that is all it does to it.
    Loses,
}

/// Where each test of a plan touches each thing, by what it is.
#[derive(Debug)]
pub(crate) struct Touches(BTreeMap<Resource, Vec<(NodeIx, Touch, Span)>>);

/// Why one test comes before another on a life that both share: `first` touches the thing at one place,
/// `then` at the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reason {
    pub(crate) of: Resource,
    pub(crate) first: Span,
    pub(crate) then: Span,
    /// Whether the later one is a reboot that loses it.
    pub(crate) is_lost: bool,
}

/// What effects imply among the tests that run in a cell.
#[derive(Debug, Default)]
pub(crate) struct Implied {
    /// The first waits for the second.
    pub(crate) order: BTreeMap<(NodeIx, NodeIx), Reason>,
    /// Tests that do not share a life, the smaller one first.
    pub(crate) conflicts: BTreeSet<(NodeIx, NodeIx)>,
}

impl Touches {
    /// Those of all tests of `graph`.
    pub(crate) fn of(hir: &Hir<'_>, graph: &Graph) -> Self {
        let lost = || {
            hir.states
                .enumerate()
                .filter(|(_, state)| state.lost.is_some())
        };
        let mut touches: BTreeMap<Resource, Vec<(NodeIx, Touch, Span)>> = BTreeMap::new();
        for (node, of) in graph.nodes.enumerate() {
            let row = &hir.tests[of.test];
            let mut own: BTreeMap<Resource, (Touch, Span)> = BTreeMap::new();
            for (kind, mention) in &row.effects {
                let touch = match kind {
                    EffectKind::Reads | EffectKind::Borrows => Touch::Sees,
                    EffectKind::Writes => Touch::Writes,
                };
                let known = own.entry(mention.to).or_insert((touch, mention.span));
                if touch == Touch::Writes {
                    *known = (touch, mention.span);
                }
            }
            if let Some(reboot) = row.takes_machine_away() {
                for (state, _) in lost() {
                    // Who sees it as well must not find what others wrote before the reboot.
                    let known = own
                        .entry(Resource::State(state))
                        .or_insert((Touch::Loses, reboot));
                    if known.0 == Touch::Sees {
                        known.0 = Touch::Writes;
                    }
                }
            }
            own.remove(&Resource::Machine);
            for (of, (touch, span)) in own {
                touches.entry(of).or_default().push((node, touch, span));
            }
        }
        // What nobody changes needs no order.
        touches.retain(|_, all| all.iter().any(|(_, touch, _)| *touch != Touch::Sees));
        Self(touches)
    }
}

/// What the effects of the tests of `running` imply. `atoms` has the group of each that is tied together.
pub(crate) fn implied(
    hir: &Hir<'_>,
    graph: &Graph,
    touches: &Touches,
    running: &Running,
    atoms: &Table<NodeIx, NodeIx>,
    bag: &mut Bag,
) -> Implied {
    let mut implied = Implied::default();
    let is_last = |node: NodeIx| hir.tests[graph.nodes[node].test].last.is_some();
    for (of, all) in &touches.0 {
        let present = || all.iter().copied().filter(|(node, ..)| running[*node]);
        let (last, own): (Vec<_>, Vec<_>) = present().partition(|(node, ..)| is_last(*node));
        let mut thing = Thing::new(hir, graph, *of, &mut implied, bag);
        thing.among(own, |node| atoms[node]);
        // All of them end one life.
        thing.among(last, |_| NodeIx::from_row(0));
        if implied.order.len() + implied.conflicts.len() > MAX_IMPLIED {
            let span = match of {
                Resource::Machine => Span::default(),
                Resource::Disk(disk) => hir.disks[*disk].name.span,
                Resource::State(state) => hir.states[*state].name.span,
            };
            let text = format!(
                "{} tests touch this, too many of them without an order",
                all.len()
            );
            bag.push(Diagnostic::new(Code::P0526, span, text).help(format!(
                "More than {MAX_IMPLIED} pairs of them may share a machine in one order only, or not at \
                 all. Say with `after` which come first."
            )));
            return implied;
        }
    }
    implied
}

/// One thing that tests touch.
struct Thing<'e, 'a> {
    hir: &'e Hir<'a>,
    graph: &'e Graph,
    of: Resource,
    implied: &'e mut Implied,
    bag: &'e mut Bag,
}

/// Tests in the sequence of their graph, with the place of each.
type Line = Vec<(NodeIx, Span)>;

impl<'e, 'a> Thing<'e, 'a> {
    fn new(
        hir: &'e Hir<'a>,
        graph: &'e Graph,
        of: Resource,
        implied: &'e mut Implied,
        bag: &'e mut Bag,
    ) -> Self {
        Self {
            hir,
            graph,
            of,
            implied,
            bag,
        }
    }

    fn among(&mut self, mut all: Vec<(NodeIx, Touch, Span)>, atom: impl Fn(NodeIx) -> NodeIx) {
        let graph = self.graph;
        all.sort_by_key(|(node, ..)| graph.reach.place(node.row()));
        let (mut writers, mut losers): (BTreeMap<NodeIx, Line>, BTreeMap<NodeIx, Line>) =
            Default::default();
        for (node, touch, span) in &all {
            let lines = match touch {
                Touch::Sees => continue,
                Touch::Writes => &mut writers,
                Touch::Loses => &mut losers,
            };
            lines.entry(atom(*node)).or_default().push((*node, *span));
        }
        for line in writers.values() {
            self.writers_are_in_line(line);
        }
        let firsts: Vec<_> = writers
            .iter()
            .filter_map(|(atom, line)| Some((*atom, *line.first()?)))
            .collect();
        for (at, (_, (one, _))) in firsts.iter().enumerate() {
            for (_, (other, _)) in &firsts[..at] {
                let pair = (*one.min(other), *one.max(other));
                self.implied.conflicts.insert(pair);
            }
            if self.implied.conflicts.len() > MAX_IMPLIED {
                return;
            }
        }
        let heads: BTreeMap<NodeIx, Line> = writers
            .iter()
            .map(|(atom, line)| (*atom, heads(graph, line)))
            .collect();
        let none = Line::new();
        for (node, touch, span) in &all {
            let own = atom(*node);
            let lost = losers.get(&own).unwrap_or(&none);
            if *touch == Touch::Sees {
                let line = writers.get(&own).unwrap_or(&none);
                let sees_shipped = self.sees((*node, *span), line, lost);
                if sees_shipped {
                    let others = heads.iter().filter(|(atom, _)| **atom != own);
                    for writer in others.flat_map(|(_, heads)| heads) {
                        self.before((*node, *span), *writer, false);
                    }
                }
            }
            if *touch != Touch::Loses {
                for (atom, losers) in &losers {
                    self.before_losers((*node, *span), losers, *atom == own);
                }
            }
            if self.implied.order.len() > MAX_IMPLIED {
                return;
            }
        }
    }

    fn before(&mut self, first: (NodeIx, Span), then: (NodeIx, Span), is_lost: bool) {
        let reason = Reason {
            of: self.of,
            first: first.1,
            then: then.1,
            is_lost,
        };
        let order = &mut self.implied.order;
        order.entry((then.0, first.0)).or_insert(reason);
    }

    /// Reports writers that are tied together without an order.
    fn writers_are_in_line(&mut self, line: &Line) {
        for (at, (later, span)) in line.iter().enumerate().skip(1) {
            if self.graph.is_after(*later, line[at - 1].0) {
                continue;
            }
            // One message for each writer that is too many, not one for each pair.
            let mut others = line[..at].iter();
            let other = others.find(|(other, _)| !self.graph.is_after(*later, *other));
            if let Some(other) = other {
                self.report_writers((*later, *span), *other, None);
            }
        }
    }

    /// Puts a reader before the first of the writers it is tied to that it is not after. Whether it sees
    /// what was shipped.
    fn sees(&mut self, reader: (NodeIx, Span), line: &Line, losers: &Line) -> bool {
        let graph = self.graph;
        let after = |other: &(NodeIx, Span)| graph.is_after(reader.0, other.0);
        let seen = line.partition_point(after);
        let losers: Vec<_> = losers.iter().filter(|loser| after(loser)).collect();
        if let (Some(writer), false) = (line[..seen].last(), losers.is_empty()) {
            let apart = losers.iter().find(|loser| {
                !graph.is_after(loser.0, writer.0) && !graph.is_after(writer.0, loser.0)
            });
            if let Some(loser) = apart {
                self.report_writers(*writer, **loser, Some(reader.1));
            }
        }
        // A reboot that was blocked loses nothing.
        let lost: Vec<_> = losers
            .iter()
            .filter(|loser| graph.needs_passed(reader.0, loser.0))
            .collect();
        let mut added: Vec<NodeIx> = Vec::new();
        for writer in &line[seen..] {
            if graph.is_after(writer.0, reader.0) {
                break;
            }
            if added.iter().any(|head| graph.needs_passed(writer.0, *head)) {
                continue;
            }
            // A writer that is not after a reboot goes before it, so what it wrote is lost.
            if lost.iter().all(|loser| graph.is_after(writer.0, loser.0)) {
                self.before(reader, *writer, false);
                added.push(writer.0);
                if graph.all_pass() {
                    break;
                }
            }
        }
        seen == 0 && lost.is_empty()
    }

    /// Puts a test before the reboots of one group that it is not after, and that are not after it.
    fn before_losers(&mut self, first: (NodeIx, Span), losers: &Line, is_tied: bool) {
        let graph = self.graph;
        let mut added: Vec<NodeIx> = Vec::new();
        for loser in losers {
            let ordered =
                is_tied && (graph.is_after(loser.0, first.0) || graph.is_after(first.0, loser.0));
            // Where one reboot needs another, the other is on the life as well.
            if !ordered
                && !added
                    .iter()
                    .any(|other| graph.needs_passed(loser.0, *other))
            {
                added.push(loser.0);
                self.before(first, *loser, true);
            }
        }
    }

    fn report_writers(
        &mut self,
        (later, span): (NodeIx, Span),
        (earlier, first): (NodeIx, Span),
        reader: Option<Span>,
    ) {
        let name = |node: NodeIx| name(self.hir, self.graph.nodes[node]);
        // A repeat stands where its `again` says.
        let again = self.graph.nodes[later].again;
        let (mut own, later, earlier) = (name(later), name(later), name(earlier));
        if let Some(again) = again {
            own.clone_from(&self.hir.tests[again].name.text);
        }
        let thing = thing(self.hir, self.of);
        let text = format!("`{later}` writes `{thing}`");
        let mut finding = Diagnostic::new(Code::P0502, span, text).and(
            first,
            match reader {
                None => format!("`{earlier}` writes it as well"),
                Some(_) => format!("`{earlier}` loses it"),
            },
        );
        if let Some(reader) = reader {
            finding = finding.and(reader, "this is read behind both");
        }
        self.bag.push(finding.help(format!(
            "Whichever came last would decide what `{thing}` is. Say which one comes first, for \
             example `test {own} after {earlier}`."
        )));
    }
}

/// Those of `line` that do not need another one to have passed. What comes before these comes before all:
/// where one of them does not run, neither does what needs it; but what comes after it regardless does.
fn heads(graph: &Graph, line: &Line) -> Line {
    let mut heads = Line::new();
    for writer in line {
        let mut known = heads.iter();
        if !known.any(|head| graph.needs_passed(writer.0, head.0)) {
            heads.push(*writer);
        }
    }
    heads
}

/// The name of what tests touch.
pub(crate) fn thing<'a>(hir: &Hir<'a>, of: Resource) -> &'a str {
    match of {
        Resource::Machine => "machine",
        Resource::Disk(disk) => &hir.disks[disk].name.text,
        Resource::State(state) => &hir.states[state].name.text,
    }
}

/// Reports tests that use a disk which they neither read nor write, or attach or detach one that they do
/// not write or borrow; and `last` tests that want what none of them can have.
pub fn report_undeclared(hir: &Hir<'_>, typed: &Typed, bag: &mut Bag) {
    for (test, row) in hir.tests.enumerate() {
        if !row.intact || row.is_setup {
            continue;
        }
        let mut effects = row.effects.iter();
        let fresh =
            effects.find(|(kind, of)| *kind == EffectKind::Reads && of.to == Resource::Machine);
        if let (Some(last), Some((_, fresh))) = (row.last, fresh) {
            bag.push(
                Diagnostic::new(
                    Code::P0527,
                    fresh.span,
                    "this runs before all that changes it",
                )
                .and(last, "and this behind all other tests")
                .help("Remove one of them."),
            );
        }
        let uses = &typed.tests[test].uses;
        let undeclared = |disk: DiskIx| {
            let writes = |(kind, mention): &(EffectKind, Mention<Resource>)| {
                *kind != EffectKind::Reads && mention.to == Resource::Disk(disk)
            };
            uses.moved.contains_key(&disk) && !row.effects.iter().any(writes)
        };
        for (disk, span) in &uses.moved {
            if !undeclared(*disk) {
                continue;
            }
            let name = &hir.disks[*disk].name.text;
            let mut reads = row.effects.iter();
            let finding = match reads.find(|(_, mention)| mention.to == Resource::Disk(*disk)) {
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
            if undeclared(*disk)
                || row
                    .effects
                    .iter()
                    .any(|(_, mention)| mention.to == Resource::Disk(*disk))
            {
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
