//! Prices, as the package apache-libcloud carries them: one table for each class of operating system,
//! a type and a region to a cell.
//!
//! The cells are rows of the AWS price list that were not told apart by tenancy: about a sixth are 0
//! (dedicated hosts), a fifth of the others carry the surcharge of dedicated instances, and Windows
//! rows with and without licence are mixed. The five tables were mixed apart from one another, which
//! is what `repair` rests on.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::MakeError;
use crate::decimal::nano_dollars;
use crate::wheel::Wheel;

/// A class of operating systems that is priced by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Os {
    Linux,
    Rhel,
    RhelHa,
    Suse,
    Windows,
}

impl Os {
    pub const ALL: [Self; 5] = [
        Self::Linux,
        Self::Rhel,
        Self::RhelHa,
        Self::Suse,
        Self::Windows,
    ];

    fn table(self) -> &'static str {
        match self {
            Self::Linux => "ec2_linux",
            Self::Rhel => "ec2_rhel",
            Self::RhelHa => "ec2_rhel_ha",
            Self::Suse => "ec2_suse",
            Self::Windows => "ec2_windows",
        }
    }
}

/// Nano-dollars an hour, by type and region; cells of 0 are left out.
pub type Table = BTreeMap<String, BTreeMap<String, i64>>;

/// The price tables.
#[derive(Default)]
pub struct Prices {
    pub tables: BTreeMap<Os, Table>,
    /// The types that each region has a cell for in any table, also one of 0.
    pub listed: BTreeMap<String, BTreeSet<String>>,
    /// How many cells of the Linux table there are, and how many of them are 0.
    pub cells: usize,
    pub zeros: usize,
}

#[derive(Deserialize)]
struct File {
    compute: BTreeMap<String, serde_json::Value>,
    updated: u64,
}

/// When the package says that its prices were taken, in seconds since 1970: 2 March 2025.
const UPDATED: u64 = 1_740_936_978;

impl Prices {
    /// The price of `name` in `region` as it stands, where it is not 0.
    pub fn get(&self, os: Os, name: &str, region: &str) -> Option<i64> {
        self.tables.get(&os)?.get(name)?.get(region).copied()
    }

    /// Reads the tables out of the package.
    pub fn read(wheel: &mut Wheel) -> Result<Self, MakeError> {
        const PATH: &str = "libcloud/data/pricing.json";
        let odd = |what: String| MakeError::Package(PATH.to_owned(), what);
        let mut file: File = wheel.json(PATH)?;
        if file.updated != UPDATED {
            return Err(odd(format!(
                "it is of another date ({}) than the catalog's texts say",
                file.updated
            )));
        }
        let mut all = Self::default();
        for os in Os::ALL {
            let table = file
                .compute
                .remove(os.table())
                .ok_or_else(|| odd(format!("it has no table {}", os.table())))?;
            let table: BTreeMap<String, BTreeMap<String, f64>> =
                serde_json::from_value(table).map_err(|error| odd(error.to_string()))?;
            let mut kept = Table::new();
            for (name, cells) in table {
                let mut row = BTreeMap::new();
                for (region, dollars) in cells {
                    let nano = nano_dollars(dollars)
                        .ok_or_else(|| odd(format!("{name} costs {dollars} in {region}")))?;
                    if os == Os::Linux {
                        all.cells += 1;
                        all.zeros += usize::from(nano == 0);
                    }
                    all.listed
                        .entry(region.clone())
                        .or_default()
                        .insert(name.clone());
                    if nano > 0 {
                        row.insert(region, nano);
                    }
                }
                kept.insert(name, row);
            }
            all.tables.insert(os, kept);
        }
        Ok(all)
    }
}
