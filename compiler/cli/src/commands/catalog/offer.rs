//! Where a type can be had, and for how much.

use std::cmp::Ordering;

use dva_plan::money::Money;
use dva_stdlib::{Catalog, MachineType, Market, OsClass, Price, Quality};

/// How a machine is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// With which operating system.
    pub os: OsClass,
    /// How it is bought.
    pub market: Market,
}

/// A type in a region that offers it, and sells it on the terms asked for.
#[derive(Clone, Debug)]
pub struct Offer<'c> {
    /// The region.
    pub region: &'c str,
    /// What an hour costs.
    pub hour: Hour,
}

/// What an hour of a machine costs.
#[derive(Clone, Debug)]
pub enum Hour {
    /// Nothing: a machine of this host.
    Free,
    /// This.
    Priced(Price),
    /// Something that is not known, which is never the same as nothing.
    Unknown,
}

impl Hour {
    /// The price, if there is one.
    pub fn price(&self) -> Option<&Price> {
        match self {
            Self::Priced(price) => Some(price),
            Self::Free | Self::Unknown => None,
        }
    }

    /// For a table: `$0.1008`, exactly; empty where it is not known.
    pub fn text(&self) -> String {
        match self {
            Self::Free => "free".to_owned(),
            Self::Priced(price) => money(price.total_nano_usd_per_hour()),
            Self::Unknown => String::new(),
        }
    }

    /// How far it may be trusted, in a word.
    pub fn quality(&self) -> &'static str {
        match self {
            Self::Free => "exact",
            Self::Priced(price) => quality(price.quality),
            Self::Unknown => "unknown",
        }
    }

    /// What is cheaper comes first, and what is not known last.
    pub fn by_price(&self, other: &Self) -> Ordering {
        let key = |hour: &Self| match hour {
            Self::Free => (0, 0),
            Self::Priced(price) => (1, price.total_nano_usd_per_hour()),
            Self::Unknown => (2, 0),
        };
        key(self).cmp(&key(other))
    }
}

/// What `region` asks for the type; `None` where it does not offer it, or does not sell it on these
/// terms.
pub fn offer<'c>(
    catalog: &Catalog,
    region: &'c str,
    machine: &MachineType,
    terms: &Terms,
) -> Option<Offer<'c>> {
    if !machine.is_offered_in(region) {
        return None;
    }
    if catalog.region(region)?.partition == "local" {
        // Nobody sells it: terms have no meaning.
        let hour = Hour::Free;
        return Some(Offer { region, hour });
    }
    if terms.market == Market::Spot && !machine.spot {
        return None;
    }
    let price = |os| catalog.price(region, &machine.name, os, terms.market);
    let hour = match price(terms.os) {
        Some(price) => Hour::Priced(price),
        None if price(OsClass::Linux).is_some() => return None,
        None => Hour::Unknown,
    };
    Some(Offer { region, hour })
}

/// The cheapest of the offers in `regions`, the first of several.
pub fn cheapest<'c>(
    catalog: &Catalog,
    regions: &[&'c str],
    machine: &MachineType,
    terms: &Terms,
) -> Option<Offer<'c>> {
    let offers = regions
        .iter()
        .filter_map(|region| offer(catalog, region, machine, terms));
    offers.min_by(|a, b| a.hour.by_price(&b.hour))
}

/// Money, exactly.
pub fn money(nano_usd: i64) -> String {
    Money::from_nano_usd(nano_usd).to_string()
}

/// The word for a quality.
pub fn quality(quality: Quality) -> &'static str {
    match quality {
        Quality::Exact => "exact",
        Quality::Derived => "derived",
        Quality::Estimated => "estimated",
    }
}

/// The word for a class of operating systems, as in documents.
pub fn os(os: OsClass) -> &'static str {
    match os {
        OsClass::Linux => "linux",
        OsClass::Rhel => "rhel",
        OsClass::RhelHa => "rhel_ha",
        OsClass::Suse => "suse",
        OsClass::Windows => "windows",
    }
}

/// The word for a market, as in documents.
pub fn market(market: Market) -> &'static str {
    match market {
        Market::OnDemand => "on_demand",
        Market::Spot => "spot",
    }
}
