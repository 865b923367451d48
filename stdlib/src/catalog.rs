//! The catalog: which regions and machine types exist, and which type is offered where.
//!
//! Its data are the files in `catalog/`, embedded when the crate is built and read once. It is
//! closed: what is not in it cannot be named in a source.

mod embedded;
pub mod machine;
pub mod price;
pub mod rates;
pub mod region;
mod table;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use serde::Deserialize;

use machine::MachineType;
use price::{Market, OsClass, Price, Quality};
use rates::Rates;
use region::{Region, Zone};

/// The day of the types and of what is offered where: the date of the files in the package.
pub const TYPES_AS_OF: &str = "2026-05-10";

/// The files of the catalog that are written by hand.
const EMBEDDED: [&str; 2] = [
    include_str!("../catalog/names.toml"),
    include_str!("../catalog/local.toml"),
];

/// Regions, machine types and the names around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    regions: BTreeMap<String, Region>,
    types: BTreeMap<String, MachineType>,
    arch: Vec<String>,
    os: Vec<String>,
    also: BTreeMap<String, String>,
    prices: BTreeMap<(String, String, OsClass), Price>,
}

/// A file of the catalog.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    arch: Vec<String>,
    #[serde(default)]
    os: Vec<String>,
    #[serde(default)]
    also: BTreeMap<String, String>,
    #[serde(default)]
    region: Vec<Region>,
    #[serde(default)]
    r#type: Vec<MachineType>,
    #[serde(default)]
    price: Vec<PriceRow>,
}

/// A price in a file: that of one type with one class of operating systems in one region, on demand.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriceRow {
    region: String,
    r#type: String,
    #[serde(default = "linux")]
    os: OsClass,
    nano_usd_per_hour: i64,
    #[serde(default)]
    surcharge_nano_usd_per_hour: i64,
    quality: Quality,
    source: String,
    as_of: String,
}

fn linux() -> OsClass {
    OsClass::Linux
}

impl Catalog {
    /// The catalog that this build carries.
    ///
    /// # Panics
    /// If an embedded file does not parse, which a test of this crate excludes.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| {
            let mut catalog = Self {
                regions: embedded::regions()
                    .map(|region| (region.name.clone(), region))
                    .collect(),
                types: embedded::machine_types()
                    .map(|machine| (machine.name.clone(), machine))
                    .collect(),
                ..Self::default()
            };
            for text in EMBEDDED {
                match catalog.add(text) {
                    Ok(()) => {}
                    Err(error) => panic!("the embedded catalog does not parse: {error}"),
                }
            }
            catalog
        })
    }

    /// Adds the text of a catalog file; rows of the same name replace earlier ones.
    ///
    /// A file may have `[[price]]` rows beside those that `catalog/local.toml` shows: `region`, `type`,
    /// `os` (`linux` where it is left out), `nano_usd_per_hour` on demand and without the operating
    /// system, `surcharge_nano_usd_per_hour`, `quality`, `source` and `as_of`.
    ///
    /// # Errors
    /// Where the text is not TOML of the form that `catalog/*.toml` show.
    pub fn add(&mut self, text: &str) -> Result<(), toml::de::Error> {
        let file: File = toml::from_str(text)?;
        self.arch.extend(file.arch);
        self.os.extend(file.os);
        self.also.extend(file.also);
        let regions = file.region.into_iter();
        self.regions
            .extend(regions.map(|region| (region.name.clone(), region)));
        let types = file.r#type.into_iter();
        self.types
            .extend(types.map(|machine| (machine.name.clone(), machine)));
        self.prices.extend(file.price.into_iter().map(|row| {
            let price = Price {
                nano_usd_per_hour: row.nano_usd_per_hour,
                surcharge_nano_usd_per_hour: row.surcharge_nano_usd_per_hour,
                quality: row.quality,
                machine_quality: row.quality,
                surcharge_quality: row.quality,
                source: row.source.into(),
                as_of: row.as_of.clone().into(),
                surcharge_as_of: row.as_of.into(),
            };
            ((row.region, row.r#type, row.os), price)
        }));
        Ok(())
    }

    /// The region named `name`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.get(name)
    }

    /// The regions in the order of their names.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    /// The machine type named `name`.
    #[must_use]
    pub fn machine_type(&self, name: &str) -> Option<&MachineType> {
        self.types.get(name)
    }

    /// The machine types in the order of their names.
    pub fn machine_types(&self) -> impl Iterator<Item = &MachineType> {
        self.types.values()
    }

    /// The machine types that `region` offers, in the order of their names.
    pub fn types_in<'c>(&'c self, region: &'c str) -> impl Iterator<Item = &'c MachineType> {
        self.types
            .values()
            .filter(move |machine| machine.is_offered_in(region))
    }

    /// The families of the machine types, each once and in order: `m7i` of `m7i.large`.
    #[must_use]
    pub fn families(&self) -> BTreeSet<&str> {
        self.types.values().map(MachineType::family).collect()
    }

    /// The zones of `region` that offer the type, in the order of their names. There are none where
    /// the region does not offer it, and where the region's zones are not known.
    pub fn zones_offering<'c>(
        &'c self,
        region: &'c str,
        machine_type: &str,
    ) -> impl Iterator<Item = &'c Zone> {
        let machine = self.types.get(machine_type);
        let zones = self.regions.get(region).map_or(&[][..], |of| &of.zones);
        zones.iter().filter(move |zone| {
            machine.is_some_and(|machine| {
                zone.name.starts_with(region) && machine.is_in_zone(region, &zone.name)
            })
        })
    }

    /// What the type costs in `region` with `os`.
    ///
    /// `None` where the region does not offer the type, where it is not sold with `os` or on `market`,
    /// and where there is no basis for a price; that is never the same as free. No source carries spot
    /// prices: the answer for [`Market::Spot`] is the price on demand, which spot does not exceed, and
    /// is called estimated.
    #[must_use]
    pub fn price(
        &self,
        region: &str,
        machine_type: &str,
        os: OsClass,
        market: Market,
    ) -> Option<Price> {
        let machine = self.types.get(machine_type)?;
        if !machine.is_offered_in(region) {
            return None;
        }
        let added = || {
            let key = (region.to_owned(), machine_type.to_owned(), os);
            self.prices.get(&key).cloned()
        };
        // Few catalogs have prices of their own, and many prices are asked for.
        let own = (!self.prices.is_empty()).then(added).flatten();
        let price = own.or_else(|| price::embedded(region, machine_type, os))?;
        match market {
            Market::OnDemand => Some(price),
            Market::Spot if machine.spot => Some(price::as_spot_ceiling(price)),
            Market::Spot => None,
        }
    }

    /// What `region` charges for beside machines; `None` where that is not known.
    #[must_use]
    pub fn rates(&self, region: &str) -> Option<Rates> {
        self.regions.get(region)?;
        rates::rates(region)
    }

    /// The architectures that an image may have.
    pub fn architectures(&self) -> impl Iterator<Item = &str> {
        self.arch.iter().map(String::as_str)
    }

    /// The operating systems that any file may compare with.
    pub fn operating_systems(&self) -> impl Iterator<Item = &str> {
        self.os.iter().map(String::as_str)
    }

    /// Our name for what `name` also means: `arm64` for `aarch64`.
    #[must_use]
    pub fn our_name_for(&self, name: &str) -> Option<&str> {
        self.also.get(name).map(String::as_str)
    }

    /// Whether `name` is a region, a machine type or an architecture, so that an author cannot have it.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.regions.contains_key(name)
            || self.types.contains_key(name)
            || self.arch.iter().any(|arch| arch == name)
    }
}

#[cfg(test)]
mod tests;
