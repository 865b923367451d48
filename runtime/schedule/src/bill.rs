//! What a machine's life costs: its quote's rates times the use that was made of it.
//!
//! [`bill`] is arithmetic on whole numbers and nothing else: it neither measures use nor knows
//! prices. An estimate and the bill after a run come from the same function, the one fed with a
//! schedule's times and the other with measured ones.
//!
//! # Rounding
//!
//! Each use (a start, a volume, an address, a host) is counted in seconds: rounded up to a whole
//! second, raised to the line's minimum, rounded up to its granularity. The uses of a line are added
//! and multiplied by its rate, and only then is the line rounded, once and **up** to a whole
//! billionth of a dollar. So a bill is never too low by rounding, and too high by less than a billionth
//! a line.
//!
//! # What is not billed
//!
//! Data transfer, snapshots, Dedicated Instances and taxes have no line.
//!
//! # What is simplified
//!
//! - Surplus credits are settled at each stop, and credits that a type keeps over a stop are not
//!   counted in its favour: too high at worst. Within one period they are the work above the mean
//!   baseline, without the limit to what may be saved: too low for a machine that idles for more than
//!   a day and then works hard.
//! - The spot price is one rate, though Amazon's may move while a machine runs.
//! - The first hour, in which an interruption makes a spot instance free, is counted from each start.

mod rule;
mod state;
mod usage;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use dva_plan::money::Money;
use dva_plan::quote::{LineKind, Market, Quality, Quote, QuoteLine, RateUnit};
use thiserror::Error;

pub use rule::BillingRule;
pub use state::{InstanceState, StateChange};
pub use usage::{Ended, Period, Usage, VolumeUse};

/// A spot instance that EC2 interrupts before this costs nothing, see [`BillingRule::SpotSeconds`].
const FIRST_HOUR_MS: u64 = 3_600_000;

/// What a life, or many of them, came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bill {
    lines: BTreeMap<LineKey, (u64, Money)>,
    total: Money,
    unpriced: BTreeSet<LineKind>,
}

/// What is added up in one line. The bill of one life has one line of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct LineKey {
    kind: LineKind,
    rule: BillingRule,
    unit: RateUnit,
    quality: Quality,
}

/// A line of a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BillLine {
    /// What is paid for.
    pub kind: LineKind,
    /// By which rule it was counted.
    pub rule: BillingRule,
    /// How much of it was counted.
    pub quantity: Quantity,
    /// What it comes to.
    pub nano_usd: Money,
    /// How far its rate can be trusted.
    pub quality: Quality,
}

/// How much of something for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// Seconds of one of it: of an instance, a virtual processor, a GiB.
    pub seconds: u64,
    /// The unit of the rate, whose hours or months these seconds are parts of.
    pub unit: RateUnit,
}

/// As in `2160 vCPU-seconds`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = match self.unit {
            RateUnit::Hour => "",
            RateUnit::VcpuHour => "vCPU-",
            RateUnit::GibMonth => "GiB-",
            RateUnit::IopsMonth => "IOPS-",
            RateUnit::MibpsMonth => "MiB/s-",
        };
        write!(f, "{} {of}seconds", self.seconds)
    }
}

/// Why there is no bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BillError {
    /// The quote breaks a rule of its form, see [`Quote::faults`].
    #[error("line {line} of the quote: {fault}")]
    Quote {
        /// The number of its line, from 0.
        line: usize,
        /// The fault.
        fault: &'static str,
    },
    /// EC2 interrupts no instance that was bought on demand.
    #[error("an interruption of a machine that was bought on demand")]
    Interruption,
    /// A line or the total is beyond what can be counted: 9.2 billion dollars, or 2⁶⁴ seconds.
    #[error("the amount is too large to count")]
    Overflow,
}

/// The bill of one machine's life.
///
/// A quote without lines is free, whatever was used. With any other, what was used and has no line
/// is named by [`Bill::unpriced`] and missing in the total.
///
/// # Errors
/// See [`BillError`]; every input gives a bill or one of these.
pub fn bill(quote: &Quote, usage: &Usage) -> Result<Bill, BillError> {
    if let Some(&(line, fault)) = quote.faults().first() {
        return Err(BillError::Quote { line, fault });
    }
    let interrupted = |period: &Period| period.ended == Ended::Interrupted;
    if quote.market == Market::OnDemand && usage.periods.iter().any(interrupted) {
        return Err(BillError::Interruption);
    }
    let mut bill = Bill::default();
    for line in &quote.lines {
        if !usage.uses(line.kind) {
            continue;
        }
        let seconds = billed_seconds(quote, line, usage).ok_or(BillError::Overflow)?;
        let nano_usd = line
            .nano_usd
            .checked_rate(seconds, line.unit.seconds())
            .ok_or(BillError::Overflow)?;
        let key = LineKey {
            kind: line.kind,
            rule: BillingRule::of(quote, line.kind),
            unit: line.unit,
            quality: line.quality,
        };
        bill.add(key, seconds, nano_usd)?;
    }
    if !quote.is_free() {
        bill.unpriced = unpriced(quote, usage);
    }
    Ok(bill)
}

/// What was used and has no price. Whether software or credits should have had one cannot be seen.
fn unpriced(quote: &Quote, usage: &Usage) -> BTreeSet<LineKind> {
    let must_have_one = |kind: &LineKind| match kind {
        // On a host of one's own the instance is free.
        LineKind::Compute => quote.line(LineKind::Host).is_none(),
        LineKind::Host
        | LineKind::Disk
        | LineKind::DiskIops
        | LineKind::DiskThroughput
        | LineKind::Ipv4 => true,
        LineKind::OsSurcharge | LineKind::Credits | LineKind::Marketplace => false,
    };
    LineKind::ALL
        .into_iter()
        .filter(|kind| usage.uses(*kind) && quote.line(*kind).is_none())
        .filter(must_have_one)
        .collect()
}

/// The seconds that `line` bills, of one of its unit; `None` where they cannot be counted.
fn billed_seconds(quote: &Quote, line: &QuoteLine, usage: &Usage) -> Option<u64> {
    let periods = usage.periods.iter();
    let volumes = |size: fn(&VolumeUse) -> u64| {
        let there = usage.volumes.iter().filter(move |volume| size(volume) > 0);
        sum(there.map(|volume| rounded(line, volume.alive_ms)?.checked_mul(size(volume))))
    };
    match line.kind {
        LineKind::Compute | LineKind::OsSurcharge => {
            let processors = u64::from(line.vcpus.unwrap_or(1));
            sum(periods.map(|period| running_seconds(quote, line, period)))?.checked_mul(processors)
        }
        // Whoever ends the machine: no source says that software is free where EC2 interrupts.
        LineKind::Marketplace => sum(periods.map(|period| rounded(line, period.billed_ms()?))),
        LineKind::Credits => sum(periods.map(|period| surplus_seconds(line, period))),
        LineKind::Host => sum(usage.hosts_ms.iter().map(|ms| rounded(line, *ms))),
        LineKind::Ipv4 => sum(usage.addresses_ms.iter().map(|ms| rounded(line, *ms))),
        LineKind::Disk => volumes(|volume| volume.gib),
        LineKind::DiskIops => volumes(|volume| volume.extra_iops),
        LineKind::DiskThroughput => volumes(|volume| volume.extra_mibps),
    }
}

fn sum(mut seconds: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    seconds.try_fold(0_u64, |sum, seconds| sum.checked_add(seconds?))
}

/// The seconds for which `ms` are billed.
fn rounded(line: &QuoteLine, ms: u64) -> Option<u64> {
    ms.div_ceil(1_000)
        .max(line.minimum_s)
        .checked_next_multiple_of(line.granularity_s)
}

/// The seconds of an instance from a start until it ended.
fn running_seconds(quote: &Quote, line: &QuoteLine, period: &Period) -> Option<u64> {
    match period.ended {
        Ended::ByUs => rounded(line, period.billed_ms()?),
        Ended::Interrupted if period.running_ms < FIRST_HOUR_MS => Some(0),
        // The hour that is broken off is free.
        Ended::Interrupted if quote.os.is_billed_by_the_hour() => {
            let seconds = period.billed_ms()? / 1_000;
            Some(seconds - seconds.checked_rem(line.granularity_s)?)
        }
        Ended::Interrupted => rounded(line, period.billed_ms()?),
    }
}

/// The seconds of a virtual processor that were used beyond the baseline.
fn surplus_seconds(line: &QuoteLine, period: &Period) -> Option<u64> {
    let (share, whole) = line.baseline?;
    // Both sides in milliseconds of a virtual processor, times `whole`.
    let used = u128::from(period.cpu_vcpu_ms) * u128::from(whole);
    let earned = u128::from(period.running_ms) * u128::from(line.vcpus?);
    let surplus = used.saturating_sub(earned.saturating_mul(share.into()));
    if surplus == 0 {
        return Some(0);
    }
    let ms = surplus.div_ceil(u128::from(whole));
    rounded(line, u64::try_from(ms).ok()?)
}

impl Bill {
    /// The lines by kind; the bill of one life has one of a kind.
    pub fn lines(&self) -> impl Iterator<Item = BillLine> {
        self.lines
            .iter()
            .map(|(key, (seconds, nano_usd))| BillLine {
                kind: key.kind,
                rule: key.rule,
                quantity: Quantity {
                    seconds: *seconds,
                    unit: key.unit,
                },
                nano_usd: *nano_usd,
                quality: key.quality,
            })
    }

    /// The sum of the lines.
    #[must_use]
    pub fn total(&self) -> Money {
        self.total
    }

    /// What was used and has no price: it is missing in the total, so this must be shown with it.
    #[must_use]
    pub fn unpriced(&self) -> &BTreeSet<LineKind> {
        &self.unpriced
    }

    /// How much of the total rests on rates of each quality; all qualities are there.
    #[must_use]
    pub fn by_quality(&self) -> BTreeMap<Quality, Money> {
        Quality::ALL
            .into_iter()
            .map(|quality| (quality, self.sum_where(|key| key.quality == quality)))
            .collect()
    }

    /// What the lines of a kind come to.
    #[must_use]
    pub fn amount(&self, kind: LineKind) -> Money {
        self.sum_where(|key| key.kind == kind)
    }

    /// Both together. Lines are added that agree in kind, rule, unit and quality; nothing is rounded
    /// again, so the order in which bills are merged does not matter.
    ///
    /// # Errors
    /// [`BillError::Overflow`].
    pub fn merge(mut self, other: &Self) -> Result<Self, BillError> {
        for (key, (seconds, nano_usd)) in &other.lines {
            self.add(*key, *seconds, *nano_usd)?;
        }
        self.unpriced.extend(&other.unpriced);
        Ok(self)
    }

    /// All together, see [`Bill::merge`]; of none, an empty bill.
    ///
    /// # Errors
    /// [`BillError::Overflow`].
    pub fn sum<'a>(bills: impl IntoIterator<Item = &'a Self>) -> Result<Self, BillError> {
        bills.into_iter().try_fold(Self::default(), Self::merge)
    }

    fn add(&mut self, key: LineKey, seconds: u64, nano_usd: Money) -> Result<(), BillError> {
        let (had_seconds, had_nano_usd) = self.lines.get(&key).copied().unwrap_or_default();
        let sums = || {
            Some((
                had_seconds.checked_add(seconds)?,
                had_nano_usd.checked_add(nano_usd)?,
                self.total.checked_add(nano_usd)?,
            ))
        };
        let (seconds, nano_usd, total) = sums().ok_or(BillError::Overflow)?;
        self.total = total;
        self.lines.insert(key, (seconds, nano_usd));
        Ok(())
    }

    fn sum_where(&self, which: impl Fn(&LineKey) -> bool) -> Money {
        let chosen = self.lines.iter().filter(|(key, _)| which(key));
        // No amount is negative and all of them together fit, so a part of them does.
        Money::checked_sum(chosen.map(|(_, (_, nano_usd))| *nano_usd)).unwrap_or(self.total)
    }
}
