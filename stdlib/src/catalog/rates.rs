//! What a region charges for beside the machine itself.

use super::price::{Quality, nano_dollars};
use super::table::{Cells, Table};

const RATES: &str = include_str!("../../catalog/rates.tsv");

/// A price by unit, with how far it may be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nano-dollars for one unit.
    pub nano_usd: i64,
    /// How far it may be trusted.
    pub quality: Quality,
    /// Where it comes from.
    pub source: &'static str,
    /// The day it held, or on which it was looked up, as `YYYY-MM-DD`.
    pub as_of: &'static str,
}

/// The rates of a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    /// Storage of a gp3 volume, by GiB and month of 30 days.
    pub ebs_gib_month: Rate,
    /// A public IPv4 address, by hour, in use or idle.
    pub ipv4_hour: Rate,
    /// A vCPU-hour of CPU beyond the credits of a T2, T3 or T3a in unlimited mode, with Linux.
    pub credits_vcpu_hour: Rate,
    /// The same for T4g.
    pub credits_t4g_vcpu_hour: Rate,
    /// The same for T2, T3 or T3a with Windows.
    pub credits_windows_vcpu_hour: Rate,
    /// For how many hours a dedicated host for a Mac is allocated at least. Source: EC2 user guide,
    /// "Amazon EC2 Mac instances".
    pub mac_host_minimum_hours: u32,
}

/// The day on which the sources of the rates were read.
const LOOKED_UP: &str = "2026-11-23";

const EBS: [&str; 2] = [
    "EBS pricing page, gp3 in us-east-1",
    "gp3 in us-east-1, by the median of what machines cost in the region against us-east-1",
];
const IPV4: [&str; 2] = [
    "AWS blog, 28 July 2023, new charge for public IPv4 addresses",
    "the charge of the commercial regions",
];
const CREDITS: [&str; 2] = [
    "EC2 user guide, unlimited mode, T2 and T3 with Linux",
    "the charge of the commercial regions",
];
const OTHER_CREDITS: [&str; 2] = [
    "",
    "EC2 on-demand pricing page, unlimited mode, not checked again",
];

/// The rates of `region`; `None` where none are known.
pub(super) fn rates(region: &str) -> Option<Rates> {
    let row = Table::of(RATES)
        .rows()
        .find(|row| row.split('\t').next() == Some(region))?;
    let mut cells = Cells::of(row);
    cells.text();
    let cells = &mut cells;
    Some(Rates {
        ebs_gib_month: rate(cells, &EBS),
        ipv4_hour: rate(cells, &IPV4),
        credits_vcpu_hour: rate(cells, &CREDITS),
        credits_t4g_vcpu_hour: rate(cells, &OTHER_CREDITS),
        credits_windows_vcpu_hour: rate(cells, &OTHER_CREDITS),
        mac_host_minimum_hours: 24,
    })
}

/// The next cell: dollars, with an `e` behind them where they are estimated.
fn rate(cells: &mut Cells, sources: &[&'static str; 2]) -> Rate {
    let cell = cells.text();
    let (digits, quality, source) = match cell.strip_suffix('e') {
        Some(digits) => (digits, Quality::Estimated, sources[1]),
        None => (cell, Quality::Exact, sources[0]),
    };
    match nano_dollars(digits) {
        Some(nano_usd) => Rate {
            nano_usd,
            quality,
            source,
            as_of: LOOKED_UP,
        },
        None => cells.odd(cell),
    }
}
