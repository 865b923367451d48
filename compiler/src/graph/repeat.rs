//! Repeats come second: on a life where a test runs as it is and again, the first time is before what the second
//! one comes after.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::plan::{EffectKind, Resource, TestIx};
use dva_plan::table::Table;

use super::apply::Running;
use super::{Graph, Need, Node};
use crate::effects::Implied;
use crate::hir::{Hir, NodeIx};

/// Pairs of which the first waits for the second where both are on one life: in `again memory after rebooted`,
/// `rebooted` for `memory`. Where effects or edges ask for the contrary, these hold.
pub(crate) fn first_times(
    hir: &Hir<'_>,
    graph: &Graph,
    running: &Running,
    needs: &Table<NodeIx, Vec<Need>>,
    implied: &Implied,
) -> BTreeSet<(NodeIx, NodeIx)> {
    // By what repeats come after, the tests as they are.
    let mut repeated: BTreeMap<NodeIx, Vec<NodeIx>> = BTreeMap::new();
    for (node, of) in graph.nodes.enumerate().filter(|(node, _)| running[*node]) {
        let original = |test| graph.node(Node { again: None, test });
        let both = of
            .again
            .and_then(|after| Some((original(after)?, original(of.test)?)));
        if let Some((after, first)) = both
            && node != first
            && running[after]
            && running[first]
            && may_come_first(hir, graph.nodes[first].test, graph.nodes[after].test)
        {
            repeated.entry(after).or_default().push(first);
        }
    }
    let mut pairs = BTreeSet::new();
    if repeated.is_empty() {
        return pairs;
    }
    let mut then: BTreeMap<NodeIx, Vec<NodeIx>> = BTreeMap::new();
    for (node, needs) in needs.enumerate() {
        for need in needs {
            then.entry(need.on).or_default().push(node);
        }
    }
    for (later, earlier) in implied.order.keys() {
        then.entry(*earlier).or_default().push(*later);
    }
    for (after, firsts) in repeated {
        let mut behind = BTreeSet::from([after]);
        let mut waiting = vec![after];
        while let Some(node) = waiting.pop() {
            let next = then.get(&node).into_iter().flatten();
            waiting.extend(next.copied().filter(|next| behind.insert(*next)));
        }
        for first in firsts.into_iter().filter(|first| !behind.contains(first)) {
            pairs.insert((after, first));
            then.entry(first).or_default().push(after);
        }
    }
    pairs
}

/// Whether nothing that the two say of the machine as a whole, or of the end of lives, forbids that `first` comes
/// before `after`.
fn may_come_first(hir: &Hir<'_>, first: TestIx, after: TestIx) -> bool {
    let does = |test: TestIx, wanted: EffectKind| {
        let mut effects = hir.tests[test].effects.iter();
        effects.any(|(kind, of)| *kind == wanted && of.to == Resource::Machine)
    };
    hir.tests[first].last.is_none()
        && !does(first, EffectKind::Writes)
        && !does(after, EffectKind::Reads)
}
