//! What a life costs by the length it has, without making a bill of it: the same arithmetic as
//! [`bill`](crate::bill()), reduced to the lines that a schedule can know of.
//!
//! A search asks this many thousands of times; the amounts are those of [`cost`](crate::cost()) to the
//! billionth, which a test holds. Its main type is [`Tariff`].

use dva_plan::money::Money;
use dva_plan::plan::Machine;
use dva_plan::quote::{LineKind, Quote};

/// How a machine's lives are charged.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Tariff {
    lines: Vec<Line>,
}

/// A line of a quote that every life uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Line {
    clock: Clock,
    granularity_s: u64,
    minimum_s: u64,
    nano_usd: u64,
    /// How many of what the rate is for: virtual processors, or 1.
    times: u64,
    unit_s: u64,
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Clock {
    /// The time from `running` to the end.
    Running,
    /// The time from the launch to the end.
    Alive,
    /// The same, of each GiB of the life's volumes.
    Gib,
}

/// How long a life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Length {
    /// From the launch to the end, in milliseconds.
    pub(crate) alive_ms: u64,
    /// How much of it is free, since the machine is not `running` yet.
    pub(crate) pending_ms: u64,
    /// The size of its volumes in units of 1,024³ bytes.
    pub(crate) gib: u64,
}

/// Whether the price of a machine is known.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pricing {
    /// Nobody charges for it.
    Free,
    /// By this.
    Priced(Tariff),
    /// Nobody knows.
    Unknown,
}

impl Pricing {
    /// That of `machine`. A quote with a fault counts as unknown: its bill is an error.
    pub(crate) fn of(machine: &Machine) -> Self {
        match &machine.quote {
            Some(quote) if quote.is_free() => Self::Free,
            Some(quote) => Tariff::of(quote).map_or(Self::Unknown, Self::Priced),
            None if machine.is_of_this_host() => Self::Free,
            None => Self::Unknown,
        }
    }
}

impl Tariff {
    /// `None` where the quote has a fault.
    pub(crate) fn of(quote: &Quote) -> Option<Self> {
        if !quote.faults().is_empty() {
            return None;
        }
        let lines = quote.lines.iter().filter_map(|line| {
            let clock = match line.kind {
                LineKind::Compute | LineKind::OsSurcharge | LineKind::Marketplace => Clock::Running,
                LineKind::Host | LineKind::Ipv4 => Clock::Alive,
                LineKind::Disk => Clock::Gib,
                // No schedule says that a machine works harder than its price covers.
                LineKind::DiskIops | LineKind::DiskThroughput | LineKind::Credits => return None,
            };
            let per_processor = matches!(line.kind, LineKind::Compute | LineKind::OsSurcharge);
            Some(Line {
                clock,
                granularity_s: line.granularity_s,
                minimum_s: line.minimum_s,
                nano_usd: u64::try_from(line.nano_usd.nano_usd()).ok()?,
                times: match line.vcpus {
                    Some(vcpus) if per_processor => u64::from(vcpus),
                    Some(_) | None => 1,
                },
                unit_s: line.unit.seconds(),
            })
        });
        Some(Self {
            lines: lines.collect(),
        })
    }

    /// One billionth a millisecond: for machines whose price does not matter.
    pub(crate) fn of_time() -> Self {
        Self { lines: Vec::new() }
    }

    /// What a life of `length` costs, in billionths; of [`Tariff::of_time`] its milliseconds.
    pub(crate) fn life(&self, length: Length) -> u128 {
        if self.lines.is_empty() {
            return u128::from(length.alive_ms);
        }
        self.lines.iter().map(|line| line.life(length)).sum()
    }

    /// No `lives` lives that are together at least `together` long cost less. The time that is free
    /// has been taken off by the caller for all of them.
    pub(crate) fn least(&self, lives: u64, together: Length) -> u128 {
        if self.lines.is_empty() {
            return u128::from(together.alive_ms);
        }
        let lines = self.lines.iter();
        lines.map(|line| line.least(lives, together)).sum()
    }

    /// What `together` costs at the rates alone, without rounding up and without a least amount.
    pub(crate) fn time(&self, together: Length) -> u128 {
        if self.lines.is_empty() {
            return u128::from(together.alive_ms);
        }
        let lines = self.lines.iter();
        lines.map(|line| line.time(together)).sum()
    }

    /// The hour or host or other span into which lives are rounded up, and the least that is billed: what
    /// tells tariffs apart when only times are sought, and all that is left of the rates of one machine.
    pub(crate) fn rounding(&self) -> Self {
        let mut lines: Vec<Line> = Vec::new();
        for line in &self.lines {
            // The rates of what is rounded alike are weighed alike: a tenth for what is no machine.
            let weight = match line.clock {
                Clock::Running => 1_000_000_000,
                Clock::Alive if line.minimum_s > 0 => 1_000_000_000,
                Clock::Alive | Clock::Gib => 50_000_000,
            };
            let line = Line {
                nano_usd: weight,
                times: 1,
                unit_s: 3_600,
                clock: match line.clock {
                    Clock::Gib => Clock::Alive,
                    other => other,
                },
                ..line.clone()
            };
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
        lines.sort_unstable();
        Self { lines }
    }
}

impl Line {
    /// What is counted, and how many times.
    fn counted(&self, length: Length) -> (u64, u64) {
        match self.clock {
            Clock::Running => (length.alive_ms.saturating_sub(length.pending_ms), 1),
            Clock::Alive => (length.alive_ms, 1),
            Clock::Gib => (length.alive_ms, length.gib),
        }
    }

    fn time(&self, together: Length) -> u128 {
        let (ms, times) = self.counted(together);
        self.amount(u128::from(ms / 1_000) * u128::from(times))
    }

    fn life(&self, length: Length) -> u128 {
        let (ms, times) = self.counted(length);
        let seconds = self.rounded(ms.div_ceil(1_000).max(self.minimum_s));
        self.amount(u128::from(seconds) * u128::from(times))
    }

    fn least(&self, lives: u64, together: Length) -> u128 {
        let (ms, times) = self.counted(together);
        let each = u128::from(lives) * u128::from(self.rounded(self.minimum_s));
        let all = u128::from(self.rounded(ms.div_ceil(1_000)));
        self.amount(each.max(all) * u128::from(times))
    }

    fn rounded(&self, seconds: u64) -> u64 {
        seconds
            .checked_next_multiple_of(self.granularity_s)
            .unwrap_or(u64::MAX)
    }

    fn amount(&self, seconds: u128) -> u128 {
        let product = seconds
            .saturating_mul(u128::from(self.times))
            .saturating_mul(u128::from(self.nano_usd));
        product.div_ceil(u128::from(self.unit_s))
    }
}

/// `nano_usd` as money; the most there is where it does not fit.
pub(crate) fn money(nano_usd: u128) -> Money {
    Money::from_nano_usd(i64::try_from(nano_usd).unwrap_or(i64::MAX))
}
