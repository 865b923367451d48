//! Tables for people: columns side by side, plain where nobody watches.

use std::io::{IsTerminal, stdout};

/// A table under construction.
pub struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

/// Where a column's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

impl Table {
    /// A table without rows, with the names of its columns.
    pub fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: a cell for each column, empty where there is nothing.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The text, a line a row under one of names. Columns without anything in them are left out; a lone
    /// empty cell is a `-`.
    pub fn text(&self) -> String {
        let widths: Vec<_> = (0..self.columns.len())
            .map(|column| {
                let cells = self.rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                let name = self.columns[column].0.chars().count();
                (widest > 0).then_some(widest.max(name))
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&self.columns).zip(&widths);
            let padded = padded.filter_map(|((cell, (_, align)), width)| {
                let (width, cell) = ((*width)?, if cell.is_empty() { "-" } else { cell });
                Some(match align {
                    Align::Left => format!("{cell:<width$}"),
                    Align::Right => format!("{cell:>width$}"),
                })
            });
            let line = padded.collect::<Vec<_>>().join("  ");
            line.trim_end().to_owned()
        };
        let mut text = heading(&line(&mut self.columns.iter().map(|(name, _)| *name)));
        for row in &self.rows {
            text.push('\n');
            text.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        text.push('\n');
        text
    }
}

/// The text in bold, where standard output is a terminal whose user wants that.
pub fn heading(text: &str) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if stdout().is_terminal() && !plain {
        format!("\u{1b}[1m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new([
            ("name", Align::Left),
            ("nothing", Align::Left),
            ("number", Align::Right),
            ("rest", Align::Left),
        ]);
        let mut row = |cells: [&str; 4]| table.row(cells.map(str::to_owned));
        row(["a", "", "7", "2 × 4"]);
        row(["longer", "", "1000", ""]);
        assert_eq!(
            table.text(),
            "name    number  rest\na            7  2 × 4\nlonger    1000  -\n"
        );
    }
}
