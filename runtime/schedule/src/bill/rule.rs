//! The rules by which Amazon bills, each with its words and its source.

use std::fmt;

use dva_plan::quote::{LineKind, Market, Quote};

/// By which rule a line was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BillingRule {
    /// On demand, by the second.
    Seconds,
    /// On demand, by the hour: SUSE.
    Hours,
    /// Spot, by the second.
    SpotSeconds,
    /// Spot, by the hour: SUSE.
    SpotHours,
    /// A whole host.
    Host,
    /// Volumes.
    Volumes,
    /// Public addresses.
    Addresses,
    /// Surplus credits.
    SurplusCredits,
    /// Software.
    Software,
}

impl BillingRule {
    /// All of them, in their order.
    pub const ALL: [Self; 9] = [
        Self::Seconds,
        Self::Hours,
        Self::SpotSeconds,
        Self::SpotHours,
        Self::Host,
        Self::Volumes,
        Self::Addresses,
        Self::SurplusCredits,
        Self::Software,
    ];

    /// The rule for a line of `kind` in `quote`.
    pub(super) fn of(quote: &Quote, kind: LineKind) -> Self {
        match kind {
            LineKind::Compute | LineKind::OsSurcharge => {
                match (quote.market, quote.os.is_billed_by_the_hour()) {
                    (Market::OnDemand, false) => Self::Seconds,
                    (Market::OnDemand, true) => Self::Hours,
                    (Market::Spot, false) => Self::SpotSeconds,
                    (Market::Spot, true) => Self::SpotHours,
                }
            }
            LineKind::Host => Self::Host,
            LineKind::Disk | LineKind::DiskIops | LineKind::DiskThroughput => Self::Volumes,
            LineKind::Ipv4 => Self::Addresses,
            LineKind::Credits => Self::SurplusCredits,
            LineKind::Marketplace => Self::Software,
        }
    }

    /// The rule in words.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Seconds => "each start by the second from `running`, 60 seconds at least",
            Self::Hours => "each start by the started hour from `running`",
            Self::SpotSeconds => {
                "each start by the second from `running`, 60 seconds at least; nothing where EC2 interrupts in the first hour"
            }
            Self::SpotHours => {
                "each start by the started hour from `running`; where EC2 interrupts, whole hours only"
            }
            Self::Host => "each host by the second from its allocation, 24 hours at least",
            Self::Volumes => {
                "each volume by the second from creation to deletion, 60 seconds at least, a month being 30 days"
            }
            Self::Addresses => "each public address by the second while it is held",
            Self::SurplusCredits => {
                "processor time above the baseline, settled when the machine stops or ends"
            }
            Self::Software => "each start by the started hour from `running`, whoever ends it",
        }
    }

    /// Where that is documented.
    #[must_use]
    pub fn source(self) -> &'static str {
        match self {
            Self::Seconds | Self::Hours => {
                "repost.aws/knowledge-center/ec2-instance-hour-billing; EC2 user guide, Instance lifecycle"
            }
            Self::SpotSeconds | Self::SpotHours => {
                "EC2 user guide, Billing for interrupted Spot Instances"
            }
            Self::Host => "EC2 user guide, Amazon EC2 Mac instances",
            Self::Volumes => "aws.eu/ebs/pricing, worked example",
            Self::Addresses => {
                "aws.amazon.com/blogs, Public IPv4 address charge; that seconds are counted is not confirmed"
            }
            Self::SurplusCredits => {
                "EC2 user guide, Unlimited mode for burstable performance instances"
            }
            Self::Software => {
                "aws.amazon.com/about-aws/whats-new/2017/10, per-second billing: Marketplace stays hourly"
            }
        }
    }
}

impl fmt::Display for BillingRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}
