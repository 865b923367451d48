//! What a machine costs in an hour, and how far the figure may be trusted.
//!
//! The tables are looked up when a price is asked for, never loaded as a whole. `catalog/README.md`
//! says how each figure was found.

use std::borrow::Cow;
use std::sync::OnceLock;

use serde::Deserialize;

use super::table::Table;

const PRICES: &str = include_str!("../../catalog/prices.tsv");
const SURCHARGES: &str = include_str!("../../catalog/surcharges.tsv");

/// The day of the prices: the stamp of the package's price file.
pub const PRICES_AS_OF: &str = "2025-03-02";

/// The day of the prices in yuan, of which the package has none.
const YUAN_AS_OF: &str = "2023-09-18";

/// What an image's operating system means for its bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OsClass {
    /// One that EC2 charges nothing for.
    Linux,
    /// Red Hat Enterprise Linux, a charge by virtual processor.
    Rhel,
    /// The same with high availability.
    RhelHa,
    /// SUSE Linux Enterprise, a charge by machine.
    Suse,
    /// Windows with its licence, a charge by virtual processor.
    Windows,
}

impl OsClass {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [
        Self::Linux,
        Self::Rhel,
        Self::RhelHa,
        Self::Suse,
        Self::Windows,
    ];

    /// Its column in the table of surcharges, the type's name being column 0.
    fn column(self) -> Option<usize> {
        match self {
            Self::Linux => None,
            Self::Rhel => Some(1),
            Self::RhelHa => Some(2),
            Self::Suse => Some(3),
            Self::Windows => Some(4),
        }
    }
}

/// How a machine is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// At a fixed price, for as long as it is wanted.
    OnDemand,
    /// At a price that moves, until EC2 wants it back.
    Spot,
}

/// How far a figure may be trusted, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// It stands in the source as it is, and other rows confirm it.
    Exact,
    /// It follows by a rule from figures of the source that confirm one another.
    Derived,
    /// It is a guess with a basis, or a figure that nothing confirms.
    Estimated,
}

/// What a machine costs in an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// The machine alone, as Linux has it, in nano-dollars; more than 0.
    pub nano_usd_per_hour: i64,
    /// What the operating system adds, in nano-dollars; 0 for Linux.
    pub surcharge_nano_usd_per_hour: i64,
    /// How far the sum may be trusted: the worse of the next two.
    pub quality: Quality,
    /// How far the price of the machine alone may be trusted.
    pub machine_quality: Quality,
    /// How far the surcharge may be trusted.
    pub surcharge_quality: Quality,
    /// Where the price of the machine comes from.
    pub source: Cow<'static, str>,
    /// The day it held, as `YYYY-MM-DD`.
    pub as_of: Cow<'static, str>,
    /// The day on which the surcharge held.
    pub surcharge_as_of: Cow<'static, str>,
}

impl Price {
    /// The machine with its operating system, in nano-dollars an hour.
    #[must_use]
    pub fn total_nano_usd_per_hour(&self) -> i64 {
        self.nano_usd_per_hour
            .saturating_add(self.surcharge_nano_usd_per_hour)
    }
}

/// A figure of a table with what its letter says.
struct Figure {
    nano: i64,
    quality: Quality,
    source: &'static str,
    as_of: &'static str,
}

/// The price of an embedded type on demand; `None` where there is no basis for one, or where the
/// operating system cannot be had on the type.
pub(super) fn embedded(region: &str, machine_type: &str, os: OsClass) -> Option<Price> {
    let prices = index(&PRICE_ROWS, PRICES);
    let column = prices.columns.iter().position(|name| *name == region)?;
    let machine = figure(prices.cell(machine_type, column)?, &MACHINE_WAYS)?;
    let surcharge = match os.column() {
        None => Figure {
            nano: 0,
            quality: Quality::Exact,
            source: "",
            as_of: PRICES_AS_OF,
        },
        Some(column) => {
            let surcharges = index(&SURCHARGE_ROWS, SURCHARGES);
            let found = figure(surcharges.cell(machine_type, column)?, &SURCHARGE_WAYS)?;
            // The rules are those of the package's regions. Where it has none, they are a guess.
            let quality = if machine.as_of == PRICES_AS_OF {
                found.quality
            } else {
                Quality::Estimated
            };
            Figure { quality, ..found }
        }
    };
    Some(Price {
        nano_usd_per_hour: machine.nano,
        surcharge_nano_usd_per_hour: surcharge.nano,
        quality: machine.quality.max(surcharge.quality),
        machine_quality: machine.quality,
        surcharge_quality: surcharge.quality,
        source: Cow::Borrowed(machine.source),
        as_of: Cow::Borrowed(machine.as_of),
        surcharge_as_of: Cow::Borrowed(surcharge.as_of),
    })
}

/// The price on demand as what the spot market costs at most.
pub(super) fn as_spot_ceiling(price: Price) -> Price {
    Price {
        quality: Quality::Estimated,
        machine_quality: Quality::Estimated,
        source: Cow::Borrowed("the price on demand, as the most that spot costs"),
        ..price
    }
}

/// What the letter behind a price says: the letter, the quality and the source in words.
const MACHINE_WAYS: [(&str, Quality, &str); 8] = [
    (
        "",
        Quality::Exact,
        "apache-libcloud 3.9.1, a row that its family confirms",
    ),
    (
        "f",
        Quality::Derived,
        "apache-libcloud 3.9.1, the price by size that the type's family agrees on",
    ),
    (
        "t",
        Quality::Estimated,
        "apache-libcloud 3.9.1, several rows of one type that no other size confirms",
    ),
    (
        "a",
        Quality::Estimated,
        "apache-libcloud 3.9.1, unconfirmed, or repriced since",
    ),
    (
        "r",
        Quality::Estimated,
        "by the proportion that a like family keeps between regions",
    ),
    (
        "o",
        Quality::Estimated,
        "from the generation before, by the usual step in price",
    ),
    (
        "m",
        Quality::Estimated,
        "bare metal, by its share of the family's processors",
    ),
    (
        IN_YUAN,
        Quality::Estimated,
        "AWS price list for cn-north-1 of 2023-09-18, in yuan, at $0.15 each",
    ),
];

/// The letter behind a price that stands in yuan where it comes from.
const IN_YUAN: &str = "y";

const SURCHARGE_WAYS: [(&str, Quality, &str); 2] =
    [("", Quality::Derived, ""), ("e", Quality::Estimated, "")];

fn figure(cell: &str, ways: &[(&str, Quality, &'static str)]) -> Option<Figure> {
    if cell.is_empty() {
        return None;
    }
    let digits = cell.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let letter = &cell[digits.len()..];
    let (_, quality, source) = ways.iter().find(|(own, _, _)| *own == letter)?;
    Some(Figure {
        nano: nano_dollars(digits)?,
        quality: *quality,
        source,
        as_of: if letter == IN_YUAN {
            YUAN_AS_OF
        } else {
            PRICES_AS_OF
        },
    })
}

/// A decimal number of dollars with at most nine places, in nano-dollars.
pub(super) fn nano_dollars(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || fraction.len() > 9 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let places = u32::try_from(9 - fraction.len()).ok()?;
    let fraction: i64 = match fraction {
        "" => 0,
        digits => digits.parse().ok()?,
    };
    let whole: i64 = whole.parse().ok()?;
    whole
        .checked_mul(1_000_000_000)?
        .checked_add(fraction.checked_mul(10_i64.pow(places))?)
}

/// The rows of a table, which are in the order of the types' names.
struct Index {
    columns: Vec<&'static str>,
    rows: Vec<&'static str>,
}

static PRICE_ROWS: OnceLock<Index> = OnceLock::new();
static SURCHARGE_ROWS: OnceLock<Index> = OnceLock::new();

fn index(once: &'static OnceLock<Index>, text: &'static str) -> &'static Index {
    once.get_or_init(|| {
        let table = Table::of(text);
        Index {
            columns: table.header.split('\t').collect(),
            rows: table.rows().collect(),
        }
    })
}

impl Index {
    /// The cell of a type in `column`, the type's name being column 0.
    fn cell(&self, machine_type: &str, column: usize) -> Option<&'static str> {
        let name = |row: &'static str| row.split_once('\t').map_or(row, |(name, _)| name);
        let place = self
            .rows
            .binary_search_by(|row| name(row).cmp(machine_type))
            .ok()?;
        self.rows[place].split('\t').nth(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly() {
        assert_eq!(nano_dollars("0.0768"), Some(76_800_000));
        assert_eq!(nano_dollars("407.68"), Some(407_680_000_000));
        assert_eq!(nano_dollars("7"), Some(7_000_000_000));
        assert_eq!(nano_dollars("0.000000001"), Some(1));
        for odd in ["", ".5", "1e3", "-1", "1.0000000001", "99999999999999"] {
            assert_eq!(nano_dollars(odd), None, "{odd}");
        }
    }

    /// Every cell that is not empty is understood, and no price is 0.
    #[test]
    fn all_cells_are_figures() {
        let prices = index(&PRICE_ROWS, PRICES);
        let surcharges = index(&SURCHARGE_ROWS, SURCHARGES);
        for (index, ways) in [
            (prices, &MACHINE_WAYS[..]),
            (surcharges, &SURCHARGE_WAYS[..]),
        ] {
            assert!(index.rows.is_sorted());
            for row in &index.rows {
                assert_eq!(row.split('\t').count(), index.columns.len(), "{row}");
                for cell in row.split('\t').skip(1).filter(|cell| !cell.is_empty()) {
                    let figure = figure(cell, ways);
                    let is_price = figure.is_some_and(|figure| {
                        figure.nano > 0 || (figure.nano == 0 && ways.len() == SURCHARGE_WAYS.len())
                    });
                    assert!(is_price, "{cell:?} in {row}");
                }
            }
        }
    }
}
