//! Labels: what a cell is called where people read, by the axis values that tell it from the others.

use std::collections::{BTreeMap, BTreeSet};

/// The axis values of a cell, by the axes' names.
pub type Axes = BTreeMap<String, String>;

/// Labels for the cells of one plan or report.
#[derive(Clone, Debug)]
pub struct CellLabels {
    varying: BTreeSet<String>,
}

impl CellLabels {
    /// Labels that tell these cells apart; a cell may be given several times.
    pub fn of<'a>(cells: impl IntoIterator<Item = &'a Axes>) -> Self {
        let mut first: Option<&Axes> = None;
        let mut varying = BTreeSet::new();
        for axes in cells {
            let first = *first.get_or_insert(axes);
            for axis in first.keys().chain(axes.keys()) {
                if axes.get(axis) != first.get(axis) && !varying.contains(axis) {
                    varying.insert(axis.clone());
                }
            }
        }
        Self { varying }
    }

    /// The cell's values on one line, in the order of the axes' names: `filesystem=xfs image=host`. Axes
    /// that have one value in all cells are left out; where nothing is left, the image's name stands for
    /// the cell, or `otherwise`.
    #[must_use]
    pub fn label(&self, axes: &Axes, otherwise: &str) -> String {
        let label: Vec<_> = axes
            .iter()
            .filter(|(axis, _)| self.varying.contains(*axis))
            .map(|(axis, value)| format!("{axis}={value}"))
            .collect();
        if label.is_empty() {
            return axes
                .get("image")
                .map_or(otherwise, String::as_str)
                .to_owned();
        }
        label.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(pairs: &[(&str, &str)]) -> Axes {
        let pairs = pairs
            .iter()
            .map(|(axis, value)| (axis.to_string(), value.to_string()));
        pairs.collect()
    }

    #[test]
    fn only_what_differs_is_shown() {
        let xfs = axes(&[("fs", "xfs"), ("image", "host"), ("size", "small")]);
        let ext4 = axes(&[("fs", "ext4"), ("image", "host"), ("size", "small")]);
        let labels = CellLabels::of([&xfs, &ext4, &xfs]);
        assert_eq!(labels.label(&xfs, "plan"), "fs=xfs");
        assert_eq!(labels.label(&ext4, "plan"), "fs=ext4");
        assert_eq!(CellLabels::of([&xfs]).label(&xfs, "plan"), "host");
    }

    #[test]
    fn an_axis_that_some_cells_lack_differs() {
        let with = axes(&[("fs", "xfs")]);
        let without = axes(&[]);
        let labels = CellLabels::of([&without, &with]);
        assert_eq!(labels.label(&with, "plan"), "fs=xfs");
        assert_eq!(labels.label(&without, "plan"), "plan");
    }
}
