//! The catalog's own files: tables of tab-separated cells under a line of column names.
//!
//! A missing value is an empty cell. Lines that begin with `#` say what the table is and are left out.
//! The files are embedded, so a cell that cannot be read is a mistake of this crate: reading panics,
//! and a test reads them all.

/// The name of each column and the rows, both as they stand.
pub(super) struct Table {
    /// The names of the columns.
    pub(super) header: &'static str,
    /// The text below the header.
    rows: &'static str,
}

impl Table {
    /// The table in `text`.
    pub(super) fn of(text: &'static str) -> Self {
        let mut rest = text;
        loop {
            let (line, below) = rest.split_once('\n').unwrap_or((rest, ""));
            if !line.starts_with('#') {
                return Self {
                    header: line,
                    rows: below,
                };
            }
            rest = below;
        }
    }

    /// The rows from the first to the last.
    pub(super) fn rows(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.rows.lines()
    }
}

/// The cells of a row, from left to right.
pub(super) struct Cells {
    row: &'static str,
    rest: std::str::Split<'static, char>,
}

impl Cells {
    /// The cells of `row`.
    pub(super) fn of(row: &'static str) -> Self {
        Self {
            row,
            rest: row.split('\t'),
        }
    }

    /// The next cell.
    pub(super) fn text(&mut self) -> &'static str {
        match self.rest.next() {
            Some(cell) => cell,
            None => panic!("a row of the catalog is too short: {:?}", self.row),
        }
    }

    /// The next cell as a number.
    pub(super) fn number<T: std::str::FromStr>(&mut self) -> T {
        match self.maybe() {
            Some(number) => number,
            None => panic!(
                "a number is missing in a row of the catalog: {:?}",
                self.row
            ),
        }
    }

    /// The next cell as a number, where there is one.
    pub(super) fn maybe<T: std::str::FromStr>(&mut self) -> Option<T> {
        let cell = self.text();
        if cell.is_empty() {
            return None;
        }
        match cell.parse() {
            Ok(number) => Some(number),
            Err(_) => self.odd(cell),
        }
    }

    /// Reports `cell`, which is none of the values it may have.
    pub(super) fn odd(&self, cell: &str) -> ! {
        panic!(
            "{cell:?} in a row of the catalog is not understood: {:?}",
            self.row
        )
    }
}
