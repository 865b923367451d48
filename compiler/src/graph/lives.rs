//! Whether there are lives for all tests of a shape.
//!
//! Tests that wait for each other in the order that effects imply are put onto several lives. That
//! cannot be where one test needs all of them, or where a test that may run but once is needed by all.
//! Effects on the machine as a whole, and `last`, are looked at here alone: the plan's reader works them
//! out again from the tests themselves, see `dva_plan::together`.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::{BootIx, EffectKind, Resource};
use dva_plan::table::Table;

use super::apply::Running;
use super::{Graph, Need, name};
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::effects::{Implied, Reason, thing};
use crate::hir::{Hir, Mention, NodeIx};
use crate::order::{Reach, knots, shortest_cycle};
use crate::span::Span;

/// How many tests a shortest cycle is looked for from; any cycle would do.
const MAX_STARTS: usize = 64;

/// A shape as far as lives are concerned.
pub(crate) struct Lives<'e, 'a> {
    pub(crate) hir: &'e Hir<'a>,
    pub(crate) graph: &'e Graph,
    pub(crate) running: &'e Running,
    pub(crate) needs: &'e Table<NodeIx, Vec<Need>>,
    pub(crate) atoms: &'e Table<NodeIx, NodeIx>,
    pub(crate) implied: &'e Implied,
}

/// Why one test waits for another.
#[derive(Clone, Copy)]
enum Why {
    Needs(Span),
    Effect(Reason),
    /// The other one wants its machine as it was shipped.
    Fresh(Span),
    /// This one leaves the machine to nobody.
    Dirty(Span),
    /// This one is `last`.
    Last(Span),
}

/// What a message says of one edge: whether an author wrote it, its place and words, and a second place.
type Label = (bool, Span, String, Option<(Span, String)>);

/// A test, and the boot that it needs.
type Booted = (NodeIx, Mention<BootIx>);

/// What waits for what among some tests, and why.
type Waits = BTreeMap<NodeIx, BTreeMap<NodeIx, Why>>;

impl Lives<'_, '_> {
    /// Reports tests that need each other's life and cannot share one. True where there are none.
    pub(crate) fn check(&self, bag: &mut Bag) -> bool {
        let mut groups: BTreeMap<NodeIx, Vec<NodeIx>> = BTreeMap::new();
        for (node, atom) in self.atoms.enumerate() {
            if self.running[node] {
                groups.entry(*atom).or_default().push(node);
            }
        }
        let mut effects: BTreeMap<NodeIx, Vec<(NodeIx, NodeIx, Reason)>> = BTreeMap::new();
        for ((test, after), reason) in &self.implied.order {
            let atom = self.atoms[*test];
            if atom == self.atoms[*after] {
                let own = effects.entry(atom).or_default();
                own.push((*test, *after, *reason));
            }
        }
        let none = Vec::new();
        let mut sound = self.last_tests_boot_anywhere(bag);
        for (atom, tests) in &groups {
            sound &= self.have_one_boot(tests, bag);
            let effects = effects.get(atom).unwrap_or(&none);
            if effects.is_empty() && !tests.iter().any(|test| self.is_special(*test)) {
                continue;
            }
            let waits = self.waits(tests, effects);
            if self.cycle(tests, &waits).is_none() {
                continue;
            }
            for part in self.parts(tests) {
                let part: Vec<_> = part.into_iter().collect();
                if let Some(way) = self.cycle(&part, &waits) {
                    sound = false;
                    self.report(&way, &waits, self.tied_by(tests, &way), bag);
                }
            }
        }
        sound && self.last_tests_fit(bag)
    }

    /// All `last` tests end one life together.
    fn last_tests_fit(&self, bag: &mut Bag) -> bool {
        let last: Vec<NodeIx> = self
            .running
            .enumerate()
            .filter(|(_, runs)| **runs)
            .map(|(node, _)| node)
            .filter(|node| self.last(*node).is_some())
            .collect();
        if last.is_empty() {
            return true;
        }
        let effects: Vec<_> = self
            .implied
            .order
            .iter()
            .filter(|((test, after), _)| last.contains(test) && last.contains(after))
            .map(|((test, after), reason)| (*test, *after, *reason))
            .collect();
        let waits = self.waits(&last, &effects);
        let way = self.cycle(&last, &waits);
        if let Some(way) = &way {
            self.report(way, &waits, None, bag);
        }
        way.is_none()
    }

    /// A `last` test is on lives of any boot, so it has none of its own.
    fn last_tests_boot_anywhere(&self, bag: &mut Bag) -> bool {
        let mut sound = true;
        for (node, _) in self.running.enumerate().filter(|(_, runs)| **runs) {
            if let (Some(boot), Some(last)) = (self.row(node).boot, self.last(node)) {
                sound = false;
                let text = format!(
                    "`{}` is on every life",
                    name(self.hir, self.graph.nodes[node])
                );
                bag.push(
                    Diagnostic::new(Code::P0731, boot.span, text)
                        .and(last, "since it is the last")
                        .help("Lives have different boots. Remove one of them."),
                );
            }
        }
        sound
    }

    /// Reports tests of one atom whose life would have two boots.
    fn have_one_boot(&self, tests: &[NodeIx], bag: &mut Bag) -> bool {
        let booted = tests
            .iter()
            .filter_map(|test| Some(self.row(*test).boot?.to));
        if booted.collect::<BTreeSet<_>>().len() < 2 {
            return true;
        }
        let mut sound = true;
        for part in self.parts(tests) {
            let own = |test: NodeIx| Some((test, self.row(test).boot?));
            let booted: Vec<_> = part.iter().filter_map(|test| own(*test)).collect();
            // The first two that differ among what `test` is and what it needs on its life.
            let clash = |test: NodeIx| {
                let mut on_life = booted
                    .iter()
                    .filter(|(other, _)| self.graph.is_after(test, *other))
                    .copied();
                let first = own(test).or_else(|| on_life.next())?;
                let second = on_life.find(|(_, boot)| boot.to != first.1.to)?;
                Some((first, second))
            };
            let mut is_whole = true;
            for test in &part {
                let Some(both) = clash(*test) else {
                    continue;
                };
                is_whole = false;
                // Whoever comes later has the same fault; it is said once.
                let mut earlier = self.needs[*test].iter();
                if !earlier.any(|earlier| clash(earlier.on).is_some()) {
                    self.report_boots(*test, both, bag);
                }
            }
            // A test that runs but once ties those together that need it.
            let once = part.iter().find(|test| self.row(**test).once.is_some());
            if let (true, Some(first), Some(once)) = (is_whole, booted.first(), once)
                && let Some(second) = booted.iter().find(|(_, boot)| boot.to != first.1.to)
            {
                is_whole = false;
                self.report_boots(*once, (*first, *second), bag);
            }
            sound &= is_whole;
        }
        sound
    }

    fn report_boots(&self, test: NodeIx, (first, second): (Booted, Booted), bag: &mut Bag) {
        let name = |test: NodeIx| name(self.hir, self.graph.nodes[test]);
        let label = |test: NodeIx, boot: BootIx| {
            let boot = &self.hir.boots[boot].name.text;
            format!("`{}` needs the boot `{boot}`", name(test))
        };
        let ((one, boot), (other, other_boot)) = (first, second);
        let row = self.row(test);
        let finding = if one == test {
            Diagnostic::new(Code::P0731, boot.span, label(one, boot.to))
        } else if self.graph.is_after(test, one) {
            let text = format!("`{}` is after tests of two boots", name(test));
            Diagnostic::new(Code::P0731, row.name.span, text).and(boot.span, label(one, boot.to))
        } else {
            let text = format!("`{}` runs but once, for tests of two boots", name(test));
            let span = row.once.unwrap_or(row.name.span);
            Diagnostic::new(Code::P0731, span, text).and(boot.span, label(one, boot.to))
        };
        bag.push(
            finding
                .and(other_boot.span, label(other, other_boot.to))
                .help(
                    "What a test is after ran on the same life, and a life has one boot. Put both \
                     needs into one boot, or remove an edge.",
                ),
        );
    }

    fn row(&self, node: NodeIx) -> &crate::hir::Test<'_> {
        &self.hir.tests[self.graph.nodes[node].test]
    }

    fn last(&self, node: NodeIx) -> Option<Span> {
        self.row(node).last
    }

    /// Where `node` has an effect on the machine as a whole.
    fn on_machine(&self, node: NodeIx, wanted: EffectKind) -> Option<Span> {
        let mut effects = self.row(node).effects.iter();
        let own = effects.find(|(kind, of)| *kind == wanted && of.to == Resource::Machine);
        own.map(|(_, mention)| mention.span)
    }

    /// Whether `node` changes its machine.
    fn changes(&self, node: NodeIx) -> bool {
        let row = self.row(node);
        let mut effects = row.effects.iter();
        effects.any(|(kind, _)| *kind == EffectKind::Writes) || row.takes_machine_away().is_some()
    }

    /// Whether `node` waits for more than what it needs and what states ask for.
    fn is_special(&self, node: NodeIx) -> bool {
        self.last(node).is_some()
            || self.on_machine(node, EffectKind::Reads).is_some()
            || self.on_machine(node, EffectKind::Writes).is_some()
    }

    /// What waits for what among `tests`, of which `effects` are those that states and disks imply.
    fn waits(&self, tests: &[NodeIx], effects: &[(NodeIx, NodeIx, Reason)]) -> Waits {
        let mut waits = Waits::new();
        let mut add = |test: NodeIx, after: NodeIx, why: Why| {
            waits.entry(test).or_default().entry(after).or_insert(why);
        };
        for test in tests {
            for need in &self.needs[*test] {
                add(*test, need.on, Why::Needs(need.span));
            }
        }
        for (test, after, reason) in effects {
            add(*test, *after, Why::Effect(*reason));
        }
        for test in tests {
            let others = || tests.iter().filter(|other| *other != test);
            let is_last = self.last(*test);
            if let (Some(fresh), None) = (self.on_machine(*test, EffectKind::Reads), is_last) {
                for other in others() {
                    if self.changes(*other) && !self.graph.is_after(*test, *other) {
                        add(*other, *test, Why::Fresh(fresh));
                    }
                }
            }
            if let Some(dirty) = self.on_machine(*test, EffectKind::Writes) {
                for other in others() {
                    let behind = self.last(*other).is_some() && is_last.is_none();
                    if !behind && !self.graph.is_after(*other, *test) {
                        add(*test, *other, Why::Dirty(dirty));
                    }
                }
            }
            if let Some(last) = is_last {
                for other in others().filter(|other| self.last(**other).is_none()) {
                    add(*test, *other, Why::Last(last));
                }
            }
        }
        waits
    }

    /// A shortest way along `waits` from one of `tests` back to it, within them.
    fn cycle(&self, tests: &[NodeIx], waits: &Waits) -> Option<Vec<NodeIx>> {
        let place: BTreeMap<NodeIx, usize> =
            (0..).zip(tests).map(|(at, test)| (*test, at)).collect();
        let row = |test: &NodeIx| -> Vec<usize> {
            let others = waits.get(test).into_iter().flatten();
            others
                .filter_map(|(other, _)| place.get(other).copied())
                .collect()
        };
        let earlier: Vec<Vec<usize>> = tests.iter().map(row).collect();
        if Reach::of(earlier.clone()).is_some() {
            return None;
        }
        let knot = knots(&earlier).into_iter().min_by_key(BTreeSet::len)?;
        let starts = knot.iter().take(MAX_STARTS);
        let ways = starts.filter_map(|start| shortest_cycle(&earlier, &knot, *start));
        let way = ways.min_by_key(Vec::len)?;
        Some(way.into_iter().map(|at| tests[at]).collect())
    }

    /// The smallest groups of the tests of an atom that can be put onto lives apart from each other, as
    /// `dva_plan::together::Together::parts` makes them.
    fn parts(&self, tests: &[NodeIx]) -> Vec<BTreeSet<NodeIx>> {
        let mut parts = self.needed_together(tests);
        for once in tests.iter().filter(|test| self.row(**test).once.is_some()) {
            let (bound, free): (Vec<_>, Vec<_>) =
                parts.into_iter().partition(|part| part.contains(once));
            parts = free;
            parts.push(bound.into_iter().flatten().collect());
        }
        parts
    }

    /// The same if every test might run several times: each test that no other one needs, with what it
    /// needs.
    fn needed_together(&self, tests: &[NodeIx]) -> Vec<BTreeSet<NodeIx>> {
        let needed: BTreeSet<NodeIx> = tests
            .iter()
            .flat_map(|test| self.needs[*test].iter().map(|need| need.on))
            .collect();
        let ends = tests.iter().filter(|test| !needed.contains(test));
        let part = |end: &NodeIx| {
            let (mut waiting, mut part) = (vec![*end], BTreeSet::from([*end]));
            while let Some(test) = waiting.pop() {
                let needs = self.needs[test].iter().map(|need| need.on);
                waiting.extend(needs.filter(|on| part.insert(*on)));
            }
            part
        };
        ends.map(part).collect()
    }

    /// The test that runs but once and so keeps those of `way` on one life, where a second life would help
    /// otherwise.
    fn tied_by(&self, tests: &[NodeIx], way: &[NodeIx]) -> Option<(NodeIx, Span)> {
        let apart = self.needed_together(tests);
        let holds_all = |part: &BTreeSet<NodeIx>| way.iter().all(|test| part.contains(test));
        if apart.iter().any(holds_all) {
            return None;
        }
        let touches = |part: &&BTreeSet<NodeIx>| way.iter().any(|test| part.contains(test));
        let once = |test: &NodeIx| Some((*test, self.row(*test).once?));
        // The one that most of them need.
        let found = tests.iter().filter_map(once);
        found.max_by_key(|(test, _)| {
            let with = apart.iter().filter(touches);
            with.filter(|part| part.contains(test)).count()
        })
    }

    /// Reports the circle `way`, whose tests are on one life since `tied` runs but once, if it is that.
    fn report(&self, way: &[NodeIx], waits: &Waits, tied: Option<(NodeIx, Span)>, bag: &mut Bag) {
        let name = |node: NodeIx| name(self.hir, self.graph.nodes[node]);
        let steps = way.windows(2).filter_map(|pair| {
            let why = waits.get(&pair[0])?.get(&pair[1])?;
            Some((pair[0], pair[1], *why))
        });
        let mut labels: Vec<Label> = Vec::new();
        let mut offered: Option<(Span, String, String)> = None;
        for (then, first, why) in steps {
            let (later, earlier) = (name(then), name(first));
            let label = match why {
                Why::Needs(span) => (true, span, format!("`{later}` is after `{earlier}`"), None),
                Why::Effect(reason) => {
                    let thing = thing(self.hir, reason.of);
                    if reason.is_lost {
                        (
                            false,
                            reason.first,
                            format!("`{earlier}` ends before `{later}` loses `{thing}`"),
                            Some((reason.then, format!("`{later}` loses it"))),
                        )
                    } else {
                        let offer = (reason.first, earlier.clone(), later.clone());
                        offered = offered.into_iter().chain([offer]).min();
                        (
                            false,
                            reason.first,
                            format!(
                                "`{earlier}` reads `{thing}` as shipped, so it ends before `{later}` starts"
                            ),
                            Some((reason.then, format!("`{later}` writes it"))),
                        )
                    }
                }
                Why::Fresh(span) => (
                    false,
                    span,
                    format!(
                        "`{earlier}` wants its machine fresh, so it ends before `{later}` starts"
                    ),
                    None,
                ),
                Why::Dirty(span) => (
                    false,
                    span,
                    format!(
                        "`{later}` leaves its machine to nobody, so `{earlier}` ends before it starts"
                    ),
                    None,
                ),
                Why::Last(span) => (false, span, format!("`{later}` is the last"), None),
            };
            labels.push(label);
        }
        labels.sort();
        let Some((_, span, text, second)) = labels.first() else {
            return;
        };
        let mut finding = Diagnostic::new(Code::P0503, *span, text);
        if let Some((span, text)) = second {
            finding = finding.and(*span, text);
        }
        for (_, span, text, second) in &labels[1..] {
            finding = finding.and(*span, text);
            if let Some((span, text)) = second {
                finding = finding.and(*span, text);
            }
        }
        if let Some((once, span)) = tied {
            let text = format!("`{}` runs but once, so they share its machine", name(once));
            finding = finding.and(span, text);
        }
        let path: Vec<_> = way.iter().map(|node| name(*node)).collect();
        let mut help = format!(
            "On one machine none of them can be first: {}.",
            path.join(" -> ")
        );
        match offered {
            Some((_, reader, writer)) if !reader.contains('@') => help.push_str(&format!(
                " Where `{reader}` should see what `{writer}` wrote, write `test {reader} after {writer}`."
            )),
            _ => help.push_str(" Remove one of these."),
        }
        if tied.is_some() {
            help.push_str(" Without `once` a second machine would do.");
        }
        bag.push(finding.help(help));
    }
}
