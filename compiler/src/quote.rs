//! What a kind of machine is billed by: the lines of its quote, from the prices of the catalog.
//!
//! | line | from |
//! |---|---|
//! | compute, or host for a Mac | the price of the machine alone |
//! | OS surcharge | what the operating system adds, where it adds something |
//! | disk | the rate of gp3 volumes in the region |
//! | public IPv4 | its rate in the region |
//! | CPU credits | the rate beyond the baseline, for types that are unlimited unless told otherwise |
//!
//! What no line is made of: IOPS and throughput beyond those that a gp3 volume includes, traffic, and
//! the Marketplace, whose prices belong to a product.

use dva_plan::money::Money;
use dva_plan::quote::{self, LineKind, Market, OsClass, Quote, QuoteLine, RateUnit};
use dva_stdlib::{Catalog, MachineType, Quality, Rate, Rates};

/// The families that spend more CPU credits than they have unless told otherwise; a T2 stops at its
/// baseline. Source: EC2 user guide, "Unlimited mode for burstable performance instances".
const UNLIMITED: [&str; 3] = ["t3", "t3a", "t4g"];

/// The quote of a machine of `machine_type` in `region` with an operating system of class `os`; `None`
/// where there is no price. A machine of this host costs nothing.
#[must_use]
pub fn quote(
    catalog: &Catalog,
    region: &str,
    machine_type: &str,
    os: OsClass,
    market: Market,
) -> Option<Quote> {
    if catalog.region(region)?.partition == "local" {
        return Some(Quote::free());
    }
    let machine = catalog.machine_type(machine_type)?;
    let price = catalog.price(region, machine_type, class(os)?, market_of(market))?;
    let line = |kind, nano_usd, quality, source: &str, as_of: &str| {
        let rate = quote::Rate {
            nano_usd: Money::from_nano_usd(nano_usd),
            quality: quality_of(quality),
            source: source.to_owned(),
            as_of: as_of.to_owned(),
        };
        QuoteLine::new(kind, os, rate)
    };
    let listed =
        |kind, rate: Rate| line(kind, rate.nano_usd, rate.quality, rate.source, rate.as_of);
    let itself = if machine.is_mac() {
        LineKind::Host
    } else {
        LineKind::Compute
    };
    let mut lines = vec![line(
        itself,
        price.nano_usd_per_hour,
        price.machine_quality,
        &price.source,
        &price.as_of,
    )];
    if price.surcharge_nano_usd_per_hour > 0 {
        lines.push(line(
            LineKind::OsSurcharge,
            price.surcharge_nano_usd_per_hour,
            price.surcharge_quality,
            "the difference of two price lists, by type",
            &price.surcharge_as_of,
        ));
    }
    if let Some(rates) = catalog.rates(region) {
        lines.push(listed(LineKind::Disk, rates.ebs_gib_month));
        lines.push(listed(LineKind::Ipv4, rates.ipv4_hour));
        if let Some(baseline) = unlimited(machine) {
            let credits = listed(LineKind::Credits, credits(machine, os, &rates));
            lines.push(credits.per_vcpu(machine.vcpus).above(baseline));
        }
    }
    lines.sort_by_key(|line| line.kind);
    Some(Quote { market, os, lines })
}

/// What a machine costs in an hour with its operating system, to tell the cheaper of two; `None` where
/// there is no price. The host of a Mac counts with all the hours that it is paid for at least.
#[must_use]
pub fn hourly(
    catalog: &Catalog,
    region: &str,
    machine_type: &str,
    os: OsClass,
    market: Market,
) -> Option<Money> {
    if catalog.region(region)?.partition == "local" {
        return Some(Money::ZERO);
    }
    let machine = catalog.machine_type(machine_type)?;
    let price = catalog.price(region, machine_type, class(os)?, market_of(market))?;
    let hours = if machine.is_mac() {
        let minimum = LineKind::Host.rounding(os).minimum_s;
        minimum.div_ceil(RateUnit::Hour.seconds())
    } else {
        1
    };
    let hourly = Money::from_nano_usd(price.nano_usd_per_hour).checked_rate(hours, 1)?;
    hourly.checked_add(Money::from_nano_usd(price.surcharge_nano_usd_per_hour))
}

/// The share of each processor that costs nothing more, of a machine that may go beyond it.
fn unlimited(machine: &MachineType) -> Option<(u32, u32)> {
    let baseline = machine.burstable.as_ref()?.baseline;
    UNLIMITED
        .contains(&machine.family())
        .then_some((baseline.over, baseline.under))
}

fn credits(machine: &MachineType, os: OsClass, rates: &Rates) -> Rate {
    match os {
        OsClass::Windows | OsClass::WindowsSql => rates.credits_windows_vcpu_hour,
        _ if machine.family() == "t4g" => rates.credits_t4g_vcpu_hour,
        _ => rates.credits_vcpu_hour,
    }
}

/// The catalog's word for a class; `None` for one that it has no prices of.
fn class(os: OsClass) -> Option<dva_stdlib::OsClass> {
    match os {
        OsClass::Linux => Some(dva_stdlib::OsClass::Linux),
        OsClass::Rhel => Some(dva_stdlib::OsClass::Rhel),
        OsClass::RhelHa => Some(dva_stdlib::OsClass::RhelHa),
        OsClass::Suse => Some(dva_stdlib::OsClass::Suse),
        OsClass::Windows => Some(dva_stdlib::OsClass::Windows),
        OsClass::UbuntuPro | OsClass::RhelSql | OsClass::RhelHaSql | OsClass::WindowsSql => None,
    }
}

fn market_of(market: Market) -> dva_stdlib::Market {
    match market {
        Market::OnDemand => dva_stdlib::Market::OnDemand,
        Market::Spot => dva_stdlib::Market::Spot,
    }
}

fn quality_of(quality: Quality) -> quote::Quality {
    match quality {
        Quality::Exact => quote::Quality::Exact,
        Quality::Derived => quote::Quality::Derived,
        Quality::Estimated => quote::Quality::Estimated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(region: &str, machine_type: &str, os: OsClass) -> Vec<LineKind> {
        let quote = quote(
            Catalog::embedded(),
            region,
            machine_type,
            os,
            Market::OnDemand,
        );
        let quote = quote.expect("it has a price");
        assert_eq!(quote.faults(), []);
        quote.lines.iter().map(|line| line.kind).collect()
    }

    #[test]
    fn a_quote_has_a_line_for_all_that_is_paid() {
        use LineKind::{Compute, Credits, Disk, Ipv4, OsSurcharge};
        assert_eq!(
            kinds("us-east-1", "m5.large", OsClass::Linux),
            [Compute, Disk, Ipv4]
        );
        assert_eq!(
            kinds("us-east-1", "t3.medium", OsClass::Rhel),
            [Compute, OsSurcharge, Disk, Ipv4, Credits]
        );
        // It stops at its baseline.
        assert_eq!(
            kinds("us-east-1", "t2.medium", OsClass::Linux),
            [Compute, Disk, Ipv4]
        );
        assert_eq!(kinds("local", "local.small", OsClass::Linux), []);
    }

    #[test]
    fn where_there_is_no_price_there_is_no_quote() {
        let catalog = Catalog::embedded();
        let quote = |region, of, os| quote(catalog, region, of, os, Market::OnDemand);
        assert_eq!(quote("atlantis", "m5.large", OsClass::Linux), None);
        assert_eq!(quote("us-east-1", "m5.gigantic", OsClass::Linux), None);
        assert_eq!(quote("us-east-1", "m5.large", OsClass::RhelSql), None);
        // A catalog without prices.
        let empty = Catalog::default();
        assert_eq!(
            super::quote(
                &empty,
                "us-east-1",
                "m5.large",
                OsClass::Linux,
                Market::OnDemand
            ),
            None
        );
    }

    #[test]
    fn every_quote_of_the_catalog_holds_together() {
        let catalog = Catalog::embedded();
        for region in ["us-east-1", "eu-west-1", "us-gov-west-1"] {
            for machine in catalog.types_in(region) {
                for os in OsClass::ALL {
                    for market in [Market::OnDemand, Market::Spot] {
                        let quote = super::quote(catalog, region, &machine.name, os, market);
                        let faults = quote.as_ref().map(Quote::faults).unwrap_or_default();
                        assert_eq!(faults, [], "{region} {} {os}", machine.name);
                        let hourly = hourly(catalog, region, &machine.name, os, market);
                        assert_eq!(hourly.is_some(), quote.is_some());
                        assert!(hourly.is_none_or(|hourly| hourly > Money::ZERO));
                    }
                }
            }
        }
    }
}
