//! Quotes: by which rates a machine is billed. Rates only, never an amount.
//!
//! Which seconds count and what they come to is decided by `dva-schedule` from a [`Quote`] and the
//! use that was made of the machine. What Amazon rounds and how is here as data: each line carries
//! its own granularity and minimum, and [`LineKind::rounding`] knows the documented ones.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::date::Day;
use crate::money::Money;

/// The price lines of one machine. Without lines it costs nothing; a machine whose price nobody
/// knows has no quote at all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Quote {
    /// How its capacity is bought.
    pub market: Market,
    /// By which rules its operating system is billed.
    pub os: OsClass,
    /// The lines, ascending by kind and one of a kind.
    pub lines: Vec<QuoteLine>,
}

/// How capacity is bought.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Market {
    /// At the listed price, for as long as one likes.
    OnDemand,
    /// Spare capacity, which EC2 may take back.
    Spot,
}

/// The billing class of an operating system: what an image's *usage operation* says, never its name.
///
/// Source: EC2 user guide, *AMI billing information fields*.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OsClass {
    /// Without a surcharge: Amazon Linux, Ubuntu, Debian, and licences of one's own.
    Linux,
    /// Ubuntu Pro.
    UbuntuPro,
    /// Red Hat Enterprise Linux.
    Rhel,
    /// The same with high availability.
    RhelHa,
    /// The same with SQL Server.
    RhelSql,
    /// The same with both.
    RhelHaSql,
    /// SUSE Linux Enterprise Server.
    Suse,
    /// Windows.
    Windows,
    /// The same with SQL Server.
    WindowsSql,
}

impl OsClass {
    /// All classes, in their order.
    pub const ALL: [Self; 9] = [
        Self::Linux,
        Self::UbuntuPro,
        Self::Rhel,
        Self::RhelHa,
        Self::RhelSql,
        Self::RhelHaSql,
        Self::Suse,
        Self::Windows,
        Self::WindowsSql,
    ];

    /// Its name in documents.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Linux => "linux",
            Self::UbuntuPro => "ubuntu_pro",
            Self::Rhel => "rhel",
            Self::RhelHa => "rhel_ha",
            Self::RhelSql => "rhel_sql",
            Self::RhelHaSql => "rhel_ha_sql",
            Self::Suse => "suse",
            Self::Windows => "windows",
            Self::WindowsSql => "windows_sql",
        }
    }

    /// Whether each started hour is billed as a whole one: SUSE alone, all others by the second.
    ///
    /// Sources: `repost.aws/knowledge-center/ec2-instance-hour-billing`; for RHEL, by the second since
    /// 2024-04-01, `aws.amazon.com/about-aws/whats-new/2024/04/per-second-billing-ec2-rhel-based-instances`.
    #[must_use]
    pub fn is_billed_by_the_hour(self) -> bool {
        match self {
            Self::Suse => true,
            Self::Linux
            | Self::UbuntuPro
            | Self::Rhel
            | Self::RhelHa
            | Self::RhelSql
            | Self::RhelHaSql
            | Self::Windows
            | Self::WindowsSql => false,
        }
    }
}

impl fmt::Display for OsClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One line of a quote: a rate, and how that which it is paid for is counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct QuoteLine {
    /// What is paid for.
    pub kind: LineKind,
    /// The rate in billionths of a US dollar per unit; not negative.
    pub nano_usd: Money,
    /// The unit.
    pub unit: RateUnit,
    /// The virtual processors that are billed: with the unit `vcpu_hour`, and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vcpus: Option<u32>,
    /// The share of one virtual processor that its price covers, as a ratio; credits beyond it are
    /// billed. With the kind `credits`, and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<(u32, u32)>,
    /// Use is rounded up to whole multiples of this many seconds; at least 1.
    pub granularity_s: u64,
    /// Each use counts as this many seconds at least.
    pub minimum_s: u64,
    /// How far the rate can be trusted.
    pub quality: Quality,
    /// Cosmetic: where the rate comes from, in short.
    pub source: String,
    /// The day at which the rate was valid, `YYYY-MM-DD`.
    pub as_of: String,
}

/// What a line is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum LineKind {
    /// The instance itself.
    Compute,
    /// Its operating system, where that has a price of its own.
    OsSurcharge,
    /// A whole host, on which the instance itself is free: Mac.
    Host,
    /// The size of its volumes.
    Disk,
    /// What its volumes can do in operations a second, above that which their size includes.
    DiskIops,
    /// What its volumes can carry, above that which their size includes.
    DiskThroughput,
    /// Public IPv4 addresses.
    Ipv4,
    /// Processor time above the baseline of a burstable type in unlimited mode.
    Credits,
    /// Software from the Marketplace.
    Marketplace,
}

/// How use is rounded before it is multiplied by a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rounding {
    /// See [`QuoteLine::granularity_s`].
    pub granularity_s: u64,
    /// See [`QuoteLine::minimum_s`].
    pub minimum_s: u64,
}

impl LineKind {
    /// All kinds, in their order.
    pub const ALL: [Self; 9] = [
        Self::Compute,
        Self::OsSurcharge,
        Self::Host,
        Self::Disk,
        Self::DiskIops,
        Self::DiskThroughput,
        Self::Ipv4,
        Self::Credits,
        Self::Marketplace,
    ];

    /// The words for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::OsSurcharge => "OS surcharge",
            Self::Host => "host",
            Self::Disk => "disk",
            Self::DiskIops => "disk IOPS",
            Self::DiskThroughput => "disk throughput",
            Self::Ipv4 => "public IPv4",
            Self::Credits => "CPU credits",
            Self::Marketplace => "Marketplace",
        }
    }

    /// How Amazon rounds the use of it on a machine of class `os`, as documented.
    ///
    /// | kind | rounding | source |
    /// |---|---|---|
    /// | compute, surcharge | seconds, 60 at least; SUSE started hours | [`OsClass::is_billed_by_the_hour`] |
    /// | host | 24 hours at least; by the second behind that, which is assumed | EC2 user guide, *Mac instances* |
    /// | disk | seconds, 60 at least | EBS pricing page |
    /// | IPv4 | seconds, which is not confirmed: at most an hour's price more a life | `repost.aws`, price of public IPv4 |
    /// | credits | seconds of a virtual processor | EC2 user guide, *unlimited mode* |
    /// | Marketplace | started hours; a product may do better | `whats-new/2017/10`, per-second billing |
    #[must_use]
    pub fn rounding(self, os: OsClass) -> Rounding {
        let (granularity_s, minimum_s) = match self {
            Self::Compute | Self::OsSurcharge if os.is_billed_by_the_hour() => (3_600, 3_600),
            Self::Compute | Self::OsSurcharge => (1, 60),
            Self::Host => (1, 86_400),
            Self::Disk | Self::DiskIops | Self::DiskThroughput => (1, 60),
            Self::Ipv4 | Self::Credits => (1, 0),
            Self::Marketplace => (3_600, 3_600),
        };
        Rounding {
            granularity_s,
            minimum_s,
        }
    }

    /// The units in which its rate may be given, that of [`QuoteLine::new`] first.
    #[must_use]
    pub fn units(self) -> &'static [RateUnit] {
        match self {
            Self::Compute | Self::Host | Self::Ipv4 | Self::Marketplace => &[RateUnit::Hour],
            Self::OsSurcharge => &[RateUnit::Hour, RateUnit::VcpuHour],
            Self::Disk => &[RateUnit::GibMonth],
            Self::DiskIops => &[RateUnit::IopsMonth],
            Self::DiskThroughput => &[RateUnit::MibpsMonth],
            Self::Credits => &[RateUnit::VcpuHour],
        }
    }
}

impl fmt::Display for LineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

/// What a rate is paid for one of. A month is 30 days, see [`RateUnit::seconds`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RateUnit {
    /// An hour.
    Hour,
    /// An hour of one virtual processor.
    VcpuHour,
    /// A month of 1,024³ bytes.
    GibMonth,
    /// A month of one operation a second.
    IopsMonth,
    /// A month of 1,024² bytes a second.
    MibpsMonth,
}

impl RateUnit {
    /// Seconds in its hour or month.
    ///
    /// Amazon divides a month's price by the days of that month; 30, as in the worked example of the EBS
    /// pricing page, is at most 7 % too little (February) and 3 % too much of a line that is itself small.
    #[must_use]
    pub fn seconds(self) -> u64 {
        match self {
            Self::Hour | Self::VcpuHour => 3_600,
            Self::GibMonth | Self::IopsMonth | Self::MibpsMonth => 30 * 86_400,
        }
    }
}

/// How far a rate can be trusted, the best first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Quality {
    /// Listed as it is.
    Exact,
    /// Computed from listed rates by a rule that holds for all that could be compared.
    Derived,
    /// Guessed from what is near.
    Estimated,
}

impl Quality {
    /// All of them, the best first.
    pub const ALL: [Self; 3] = [Self::Exact, Self::Derived, Self::Estimated];
}

impl fmt::Display for Quality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Exact => "exact",
            Self::Derived => "derived",
            Self::Estimated => "estimated",
        })
    }
}

impl Quote {
    /// That of a machine that costs nothing, such as one of this host.
    #[must_use]
    pub fn free() -> Self {
        Self {
            market: Market::OnDemand,
            os: OsClass::Linux,
            lines: Vec::new(),
        }
    }

    /// Whether the machine costs nothing, whatever is done with it.
    #[must_use]
    pub fn is_free(&self) -> bool {
        self.lines.is_empty()
    }

    /// The line of a kind.
    #[must_use]
    pub fn line(&self, kind: LineKind) -> Option<&QuoteLine> {
        self.lines.iter().find(|line| line.kind == kind)
    }

    /// What is wrong with it: the number of the line, and the fault. Empty where nothing is.
    #[must_use]
    pub fn faults(&self) -> Vec<(usize, &'static str)> {
        let mut faults = Vec::new();
        for (number, line) in self.lines.iter().enumerate() {
            faults.extend(line.faults().into_iter().map(|fault| (number, fault)));
            if number > 0 && self.lines[number - 1].kind >= line.kind {
                faults.push((number, "its kind is not above that of the line before"));
            }
        }
        faults
    }
}

impl QuoteLine {
    /// A line of `kind` for a machine of class `os`, with the documented rounding. A surcharge is
    /// by the hour of the machine unless it is made [`per_vcpu`](Self::per_vcpu); credits are complete
    /// with `per_vcpu` and [`above`](Self::above).
    #[must_use]
    pub fn new(kind: LineKind, os: OsClass, rate: Rate) -> Self {
        let Rounding {
            granularity_s,
            minimum_s,
        } = kind.rounding(os);
        Self {
            kind,
            nano_usd: rate.nano_usd,
            unit: kind.units()[0],
            vcpus: None,
            baseline: None,
            granularity_s,
            minimum_s,
            quality: rate.quality,
            source: rate.source,
            as_of: rate.as_of,
        }
    }

    /// The same with a rate for each hour of each of `vcpus` virtual processors.
    #[must_use]
    pub fn per_vcpu(self, vcpus: u32) -> Self {
        Self {
            unit: RateUnit::VcpuHour,
            vcpus: Some(vcpus),
            ..self
        }
    }

    /// The same with the share of a virtual processor that is not billed.
    #[must_use]
    pub fn above(self, baseline: (u32, u32)) -> Self {
        Self {
            baseline: Some(baseline),
            ..self
        }
    }

    fn faults(&self) -> Vec<&'static str> {
        let is_credits = self.kind == LineKind::Credits;
        let per_vcpu = self.unit == RateUnit::VcpuHour;
        let rules = [
            (self.nano_usd >= Money::ZERO, "its rate is negative"),
            (
                self.kind.units().contains(&self.unit),
                "its unit is none of its kind",
            ),
            (self.granularity_s > 0, "its granularity is not above zero"),
            (
                self.vcpus.is_some() == per_vcpu && self.vcpus != Some(0),
                "virtual processors belong to a rate by them, and there only",
            ),
            (
                self.baseline.is_some() == is_credits && !matches!(self.baseline, Some((_, 0))),
                "a baseline belongs to credits, and there only",
            ),
            (
                Day::parse(&self.as_of).is_some(),
                "its date is no YYYY-MM-DD",
            ),
        ];
        let broken = rules.into_iter().filter(|(holds, _)| !holds);
        broken.map(|(_, fault)| fault).collect()
    }
}

/// A rate and where it comes from, without what its kind decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// See [`QuoteLine::nano_usd`].
    pub nano_usd: Money,
    /// See [`QuoteLine::quality`].
    pub quality: Quality,
    /// See [`QuoteLine::source`].
    pub source: String,
    /// See [`QuoteLine::as_of`].
    pub as_of: String,
}
