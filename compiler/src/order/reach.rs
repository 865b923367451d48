//! Whether one row of a graph without cycles comes after another, without a table of all pairs.
//!
//! A chain of 100,000 tests has five billion such pairs, so none of them is kept. Two numberings decide
//! most questions at once: a row is after all that lie between it and the root of its tree of first
//! edges, and is not after what lies outside its range of a numbering from the earliest to the latest.
//! The rest is searched, over rows that may still lead there.

use std::cell::RefCell;

/// The rows of a graph without cycles, by what each of them comes right after.
#[derive(Clone, Debug)]
pub(crate) struct Reach {
    earlier: Vec<Vec<usize>>,
    /// All rows, each behind what it is after.
    sequence: Vec<usize>,
    /// Where each row stands in the sequence.
    place: Vec<usize>,
    /// For each row the half-open range of numbers of its tree of first edges, whose parents come first.
    tree: Vec<(usize, usize)>,
    /// The smallest and the own number in a numbering where a row's range covers those of all that it is after.
    range: Vec<(usize, usize)>,
    /// When each row was seen last, and the number of searches.
    seen: RefCell<(Vec<u32>, u32)>,
}

impl Reach {
    /// `None` where the edges form a cycle.
    pub(crate) fn of(earlier: Vec<Vec<usize>>) -> Option<Self> {
        let sequence = sequence(&earlier)?;
        let count = earlier.len();
        let mut place = vec![0; count];
        for (at, row) in sequence.iter().enumerate() {
            place[*row] = at;
        }
        let tree = first_edges(&earlier, &sequence);
        let range = ranges(&earlier, count);
        Some(Self {
            earlier,
            sequence,
            place,
            tree,
            range,
            seen: RefCell::new((vec![0; count], 0)),
        })
    }

    /// All rows, each behind what it is after.
    pub(crate) fn sequence(&self) -> &[usize] {
        &self.sequence
    }

    /// Where `row` stands in the sequence.
    pub(crate) fn place(&self, row: usize) -> usize {
        self.place[row]
    }

    /// Whether `row` comes after `other`, over at least one edge.
    pub(crate) fn is_after(&self, row: usize, other: usize) -> bool {
        if self.place[row] <= self.place[other] || !self.covers(row, other) {
            return false;
        }
        if self.is_in_tree(row, other) {
            return true;
        }
        let mut seen = self.seen.borrow_mut();
        let (rows, search) = &mut *seen;
        *search = search.wrapping_add(1);
        if *search == 0 {
            rows.fill(0);
            *search = 1;
        }
        let mut waiting = vec![row];
        while let Some(at) = waiting.pop() {
            for next in &self.earlier[at] {
                if *next == other || self.is_in_tree(*next, other) {
                    return true;
                }
                if self.place[*next] > self.place[other]
                    && self.covers(*next, other)
                    && rows[*next] != *search
                {
                    rows[*next] = *search;
                    waiting.push(*next);
                }
            }
        }
        false
    }

    /// Whether `other` lies between `row` and the root of its tree of first edges.
    fn is_in_tree(&self, row: usize, other: usize) -> bool {
        let (first, end) = self.tree[other];
        let (own, _) = self.tree[row];
        first < own && own < end
    }

    /// Whether `row` may be after `other`.
    fn covers(&self, row: usize, other: usize) -> bool {
        self.range[row].0 <= self.range[other].0 && self.range[other].1 <= self.range[row].1
    }
}

/// All rows, each behind what it is after and small ones first; `None` where there is a cycle.
pub(super) fn sequence(earlier: &[Vec<usize>]) -> Option<Vec<usize>> {
    let mut waits: Vec<usize> = earlier.iter().map(Vec::len).collect();
    let mut then: Vec<Vec<usize>> = vec![Vec::new(); earlier.len()];
    for (row, earlier) in earlier.iter().enumerate() {
        for other in earlier {
            then[*other].push(row);
        }
    }
    let free = (0..earlier.len()).filter(|row| waits[*row] == 0);
    let mut sequence: Vec<usize> = free.collect();
    let mut at = 0;
    while let Some(row) = sequence.get(at).copied() {
        at += 1;
        for next in &then[row] {
            waits[*next] -= 1;
            if waits[*next] == 0 {
                sequence.push(*next);
            }
        }
    }
    (sequence.len() == earlier.len()).then_some(sequence)
}

/// The ranges of the trees whose edges are the first ones of each row.
fn first_edges(earlier: &[Vec<usize>], sequence: &[usize]) -> Vec<(usize, usize)> {
    // The size of each row's tree, from the latest rows to the earliest.
    let mut size = vec![1_usize; earlier.len()];
    for row in sequence.iter().rev() {
        if let Some(parent) = earlier[*row].first() {
            size[*parent] += size[*row];
        }
    }
    let mut tree = vec![(0, 0); earlier.len()];
    // The next free number of each row's tree, and of all trees.
    let mut free = vec![0_usize; earlier.len()];
    let mut all = 0;
    for row in sequence {
        let next = match earlier[*row].first() {
            Some(parent) => &mut free[*parent],
            None => &mut all,
        };
        let first = *next;
        *next += size[*row];
        tree[*row] = (first, first + size[*row]);
        free[*row] = first + 1;
    }
    tree
}

/// Numbers rows when all that they are after has been numbered, one search after the other.
fn ranges(earlier: &[Vec<usize>], count: usize) -> Vec<(usize, usize)> {
    let mut range = vec![(usize::MAX, usize::MAX); count];
    let mut entered = vec![false; count];
    let mut number = 0;
    for root in 0..count {
        // Each row with how many of its edges were followed.
        let mut open = vec![(root, 0)];
        if entered[root] {
            continue;
        }
        entered[root] = true;
        while let Some((row, followed)) = open.last_mut() {
            let row = *row;
            if let Some(next) = earlier[row].get(*followed).copied() {
                *followed += 1;
                if !entered[next] {
                    entered[next] = true;
                    open.push((next, 0));
                }
                continue;
            }
            open.pop();
            let below = earlier[row].iter().map(|next| range[*next].0).min();
            range[row] = (below.map_or(number, |below| below.min(number)), number);
            number += 1;
        }
    }
    range
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// Graphs whose rows come after rows of smaller numbers, with the numbers then mixed.
    fn graph() -> impl Strategy<Value = Vec<Vec<usize>>> {
        let row = proptest::collection::vec(any::<u16>(), 0..4);
        let rows = proptest::collection::vec(row, 1..24);
        (rows, any::<u64>()).prop_map(|(rows, seed)| {
            let count = rows.len();
            let mut mixed: Vec<usize> = (0..count).collect();
            let mut state = seed | 1;
            for at in (1..count).rev() {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                mixed.swap(at, (state >> 33) as usize % (at + 1));
            }
            let mut earlier = vec![Vec::new(); count];
            for (row, picks) in rows.iter().enumerate().skip(1) {
                let picked: BTreeSet<usize> = picks.iter().map(|p| usize::from(*p) % row).collect();
                earlier[mixed[row]] = picked.into_iter().map(|other| mixed[other]).collect();
            }
            earlier
        })
    }

    proptest! {
        #[test]
        fn it_answers_as_a_search_of_all_edges(earlier in graph()) {
            let reach = Reach::of(earlier.clone()).expect("it has no cycle");
            for row in 0..earlier.len() {
                let (mut waiting, mut after) = (vec![row], BTreeSet::new());
                while let Some(at) = waiting.pop() {
                    waiting.extend(earlier[at].iter().filter(|next| after.insert(**next)));
                }
                for other in 0..earlier.len() {
                    prop_assert_eq!(reach.is_after(row, other), after.contains(&other));
                }
            }
        }
    }

    #[test]
    fn a_cycle_has_no_order() {
        assert!(Reach::of(vec![vec![1], vec![0]]).is_none());
        assert!(Reach::of(vec![vec![0]]).is_none());
    }
}
