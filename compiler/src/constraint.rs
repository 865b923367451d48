//! Which of several conditions leave nothing over: the fewest that must go so that something is left.

/// Conditions that bind, and what there would be without them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Binding {
    /// The conditions, ascending, by number.
    pub(crate) conditions: Vec<usize>,
    /// What would be left without them, ascending, by number.
    pub(crate) without: Vec<usize>,
}

/// The smallest set of conditions without which something is left. `holds` says of each thing which
/// conditions it meets. Of several sets of one size that which leaves the most is taken, and of those
/// the first. `None` where there are no things, or one meets all conditions.
pub(crate) fn binding(holds: &[Vec<bool>]) -> Option<Binding> {
    let failed = |row: &Vec<bool>| -> Vec<usize> {
        let failed = row.iter().enumerate().filter(|(_, holds)| !**holds);
        failed.map(|(condition, _)| condition).collect()
    };
    let mut best: Option<Binding> = None;
    let mut seen: std::collections::BTreeSet<Vec<usize>> = std::collections::BTreeSet::new();
    let fewest = holds.iter().map(|row| failed(row).len()).min()?;
    for conditions in holds.iter().map(failed) {
        if conditions.len() != fewest || !seen.insert(conditions.clone()) {
            continue;
        }
        let without: Vec<usize> = holds
            .iter()
            .enumerate()
            .filter(|(_, row)| failed(row).iter().all(|one| conditions.contains(one)))
            .map(|(thing, _)| thing)
            .collect();
        let better = best.as_ref().is_none_or(|best| {
            (without.len(), &best.conditions) > (best.without.len(), &conditions)
        });
        if better {
            best = Some(Binding {
                conditions,
                without,
            });
        }
    }
    best.filter(|best| !best.conditions.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fewest_conditions_bind() {
        let (yes, no) = (true, false);
        assert_eq!(binding(&[]), None);
        assert_eq!(binding(&[vec![no], vec![yes]]), None);
        let one = binding(&[
            vec![no, no, yes],
            vec![yes, no, yes],
            vec![no, yes, yes],
            vec![yes, no, yes],
        ]);
        let expected = Binding {
            conditions: vec![1],
            without: vec![1, 3],
        };
        assert_eq!(one, Some(expected));
        // No single one would do.
        let two = binding(&[vec![no, no, yes], vec![yes, no, no], vec![no, no, no]]);
        assert_eq!(two.map(|two| two.conditions), Some(vec![0, 1]));
    }
}
