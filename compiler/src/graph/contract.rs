//! The edges among the tests that run in a cell.
//!
//! What a test that does not run would have needed takes its place, so that an order over it holds all
//! the same. An edge over several others asks for what each of them asks: the other must have passed
//! only where all of them say so.

use std::collections::BTreeMap;

use dva_plan::table::Table;

use super::{Graph, Need};
use crate::graph::apply::Running;
use crate::hir::NodeIx;

/// What each running test needs of those that run; nothing for the others.
pub(crate) fn contract(graph: &Graph, running: &Running) -> Table<NodeIx, Vec<Need>> {
    let mut contracted: Table<NodeIx, Vec<Need>> = graph.nodes.iter().map(|_| Vec::new()).collect();
    for node in graph.sequence() {
        let needs = &graph.needs[node];
        if needs.iter().all(|need| running[need.on]) {
            contracted[node].clone_from(needs);
            continue;
        }
        let mut own: BTreeMap<NodeIx, Need> = BTreeMap::new();
        let mut add = |need: Need| {
            let known = own.entry(need.on).or_insert(need);
            known.passed |= need.passed;
        };
        for need in needs {
            if running[need.on] {
                add(*need);
                continue;
            }
            for behind in &contracted[need.on] {
                add(Need {
                    on: behind.on,
                    passed: need.passed && behind.passed,
                    span: need.span,
                });
            }
        }
        contracted[node] = own.into_values().collect();
    }
    // What does not run was needed for what comes after it.
    for (node, runs) in running.enumerate() {
        if !runs {
            contracted[node].clear();
        }
    }
    contracted
}

/// The groups of running tests that share a need, as a number for each; a test alone is a group.
pub(crate) fn atoms(needs: &Table<NodeIx, Vec<Need>>) -> Table<NodeIx, NodeIx> {
    let mut parent: Table<NodeIx, NodeIx> = needs.indices().collect();
    fn first(parent: &mut Table<NodeIx, NodeIx>, mut node: NodeIx) -> NodeIx {
        while parent[node] != node {
            let up = parent[parent[node]];
            parent[node] = up;
            node = up;
        }
        node
    }
    for (node, needs) in needs.enumerate() {
        for need in needs {
            let (one, other) = (first(&mut parent, node), first(&mut parent, need.on));
            parent[one.max(other)] = one.min(other);
        }
    }
    needs
        .indices()
        .map(|node| first(&mut parent, node))
        .collect()
}
