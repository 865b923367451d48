//! Where rows of a graph wait for each other.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;

/// The sets of rows that wait for each other, each ascending, by their first rows.
pub(crate) fn knots(earlier: &[Vec<usize>]) -> Vec<BTreeSet<usize>> {
    let edges = earlier.iter().enumerate();
    let edges = edges.flat_map(|(row, earlier)| earlier.iter().map(move |other| (row, *other)));
    let mut graph: DiGraph<(), ()> = DiGraph::new();
    let rows: Vec<_> = earlier.iter().map(|_| graph.add_node(())).collect();
    for (row, other) in edges {
        graph.add_edge(rows[row], rows[other], ());
    }
    let mut knots: Vec<BTreeSet<usize>> = kosaraju_scc(&graph)
        .into_iter()
        .map(|knot| knot.into_iter().map(|row| row.index()).collect())
        .filter(|knot: &BTreeSet<usize>| {
            let mut rows = knot.iter();
            knot.len() > 1 || rows.any(|row| earlier[*row].contains(row))
        })
        .collect();
    knots.sort();
    knots
}

/// A shortest way along the edges within `knot` from `start` back to it, with `start` at both ends.
pub(crate) fn shortest_cycle(
    earlier: &[Vec<usize>],
    knot: &BTreeSet<usize>,
    start: usize,
) -> Option<Vec<usize>> {
    let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(at) = waiting.pop_front() {
        for next in earlier[at].iter().filter(|next| knot.contains(next)) {
            if *next == start {
                let mut way = vec![start];
                let mut at = at;
                while at != start {
                    way.push(at);
                    at = came_from.get(&at).copied()?;
                }
                way.push(start);
                way.reverse();
                return Some(way);
            }
            if !came_from.contains_key(next) {
                came_from.insert(*next, at);
                waiting.push_back(*next);
            }
        }
    }
    None
}
