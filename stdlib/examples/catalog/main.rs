//! Makes the catalog's tables from two Python packages and a list of prices in yuan, the same bytes every
//! time.
//!
//! `cargo run --release -p dva-stdlib --example catalog -- MOTO.whl LIBCLOUD.whl` writes
//! `stdlib/catalog/*.tsv` and prints what it repaired and dropped. `catalog/README.md` says where the
//! packages come from and how each figure is made.

mod decimal;
mod estimate;
mod facts;
mod libcloud;
mod moto;
mod prices;
mod repair;
mod wheel;
mod yuan;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use libcloud::Os;
use prices::{Book, Way};
use wheel::Wheel;

/// Why no catalog was made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// A package cannot be read.
    #[error("{0} cannot be read: {1}")]
    Package(String, String),
    /// A type is unlike any that the tables can hold.
    #[error("the type {0} {1}")]
    Type(String, String),
    /// A table cannot be written.
    #[error("{0} cannot be written: {1}")]
    Write(String, std::io::Error),
}

fn main() -> ExitCode {
    let paths: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [moto, libcloud] = paths.as_slice() else {
        eprintln!("two packages are needed: MOTO.whl LIBCLOUD.whl");
        return ExitCode::from(2);
    };
    match make(moto, libcloud) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn make(moto: &Path, libcloud: &Path) -> Result<(), MakeError> {
    let mut moto = Wheel::open(moto)?;
    let types = moto::types(&mut moto)?;
    let offerings = moto::offerings(&mut moto)?;

    let mut table = String::from(TYPES_HEADER);
    for (name, of) in &types {
        table.push_str(&of.row(name)?);
        table.push('\n');
    }
    write("types.tsv", &table)?;

    let prices = libcloud::Prices::read(&mut Wheel::open(libcloud)?)?;
    let yuan = yuan::prices(&types)?;
    let offered = all_offerings(&types, &offerings, &prices, &yuan);
    let mut regions: BTreeSet<&str> = offered.keys().map(String::as_str).collect();
    regions.extend(facts::WITHOUT_DATA);
    write("regions.tsv", &region_table(&regions, &offerings))?;
    write("offerings.tsv", &matrix(&types, &offered, OFFERINGS_ABOUT))?;

    let book = Book::open(&types, &prices, &yuan);
    let younger = book.younger();
    let mut found: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut ways: BTreeMap<Option<Way>, usize> = BTreeMap::new();
    for (region, names) in &offered {
        for name in names.keys() {
            let price = book.price(name, region, &younger);
            *ways.entry(price.map(|price| price.way)).or_default() += 1;
            let cells = found.entry(region.clone()).or_default();
            cells.extend(price.map(|price| (name.clone(), price.cell())));
        }
    }
    write("prices.tsv", &matrix(&types, &found, PRICES_ABOUT))?;
    write("surcharges.tsv", &surcharge_table(&types, &book))?;
    write("rates.tsv", &rate_table(offered.keys(), &book))?;
    println!(
        "{} Linux cells, of them {} are 0",
        prices.cells, prices.zeros
    );
    println!("prices of offered types by way: {ways:?}");
    print_errors("families predicted by other families", &book.hold_out());
    print_errors("sizes predicted by their family", &book.hold_out_sizes());
    Ok(())
}

fn print_errors(what: &str, errors: &[i128]) {
    let at = |percent: usize| {
        errors
            .get(errors.len() * percent / 100)
            .copied()
            .unwrap_or(0)
    };
    let within = errors.iter().filter(|error| **error <= 10_000).count();
    println!(
        "{what}: {} held out, {within} within 1 %; error in ppm: median {}, p90 {}, p95 {}, p99 {}",
        errors.len(),
        at(50),
        at(90),
        at(95),
        at(99)
    );
}

/// Where types are offered: by moto, and in the regions that it has not by the cells of libcloud or by their
/// prices in yuan.
fn all_offerings(
    types: &BTreeMap<String, moto::Type>,
    offerings: &moto::Offerings,
    prices: &libcloud::Prices,
    yuan: &BTreeMap<String, i128>,
) -> BTreeMap<String, BTreeMap<String, String>> {
    let zoneless = |name: &String| (name.clone(), "*".to_owned());
    let mut offered = offerings.offered.clone();
    offered.insert(
        facts::IN_YUAN.to_owned(),
        yuan.keys().map(zoneless).collect(),
    );
    let mut dropped: BTreeSet<&str> = BTreeSet::new();
    for (region, names) in &prices.listed {
        if facts::NO_REGION.contains(&region.as_str()) {
            println!("left out: {region}, {} types, is no region", names.len());
            continue;
        }
        dropped.extend(
            names
                .iter()
                .map(String::as_str)
                .filter(|name| !types.contains_key(*name)),
        );
        if offered.contains_key(region) {
            continue;
        }
        let known: BTreeMap<String, String> = names
            .iter()
            .filter(|name| types.contains_key(*name))
            .map(zoneless)
            .collect();
        println!(
            "{region}: {} types by their prices alone, zones unknown",
            known.len()
        );
        offered.insert(region.clone(), known);
    }
    println!(
        "left out, priced and not described: {}",
        dropped.into_iter().collect::<Vec<_>>().join(" ")
    );
    offered
}

const TYPES_HEADER: &str = "type\tvcpus\tmemory_mib\tarch\thypervisor\tboot_modes\tena\tnetwork\t\
    baseline_mbps\tpeak_mbps\tdisks\tdisk_gb\tdisk_medium\tgpus\tgpu_name\tgpu_memory_mib\tbaseline\t\
    flags\n";

const PRICES_ABOUT: &str =
    "# Dollars an hour, on demand, Linux; a letter behind says how it was found (README.md).\n";

const OFFERINGS_ABOUT: &str = "# The last letters of the zones that offer a type; * where the region does and its zones are not known.\n";

fn region_table(regions: &BTreeSet<&str>, offerings: &moto::Offerings) -> String {
    let mut table = String::from("region\tpartition\topt_in\tzones\n");
    for region in regions {
        let zones: Vec<String> = offerings
            .zones
            .get(*region)
            .into_iter()
            .flatten()
            .map(|(name, id)| format!("{name}={id}"))
            .collect();
        let opt_in = if facts::is_opt_in(region) {
            "yes"
        } else {
            "no"
        };
        let partition = facts::partition(region);
        let _ = writeln!(
            table,
            "{region}\t{partition}\t{opt_in}\t{}",
            zones.join(" ")
        );
    }
    table
}

/// What operating systems add to each type.
fn surcharge_table(types: &BTreeMap<String, moto::Type>, book: &Book<'_>) -> String {
    let mut table = String::from(
        "# Dollars an hour above Linux; e where the rule is not confirmed for the type.\n\
        type\trhel\trhel_ha\tsuse\twindows\n",
    );
    for name in types.keys() {
        table.push_str(name);
        for os in [Os::Rhel, Os::RhelHa, Os::Suse, Os::Windows] {
            table.push('\t');
            if let Some((nano, is_guess)) = book.surcharge(os, name) {
                table.push_str(&prices::dollars(nano));
                table.push_str(if is_guess { "e" } else { "" });
            }
        }
        table.push('\n');
    }
    table
}

/// What regions charge for beside machines.
fn rate_table<'a>(regions: impl Iterator<Item = &'a String>, book: &Book<'_>) -> String {
    let mut table = String::from(
        "# Dollars; e where estimated.\n\
        region\tebs_gib_month\tipv4_hour\tcredits\tcredits_t4g\tcredits_windows\n",
    );
    for region in regions {
        let mark = if facts::partition(region) == "aws" {
            ""
        } else {
            "e"
        };
        let ebs = match book.ebs(region) {
            (nano, false) => prices::dollars(nano),
            (nano, true) => format!("{}e", prices::dollars(nano)),
        };
        let _ = writeln!(
            table,
            "{region}\t{ebs}\t0.005{mark}\t0.05{mark}\t0.04e\t0.096e"
        );
    }
    table
}

/// A table of types by regions.
fn matrix<T>(
    types: &BTreeMap<String, T>,
    cells: &BTreeMap<String, BTreeMap<String, String>>,
    about: &str,
) -> String {
    let mut table = about.to_owned();
    table.push_str("type");
    for region in cells.keys() {
        table.push('\t');
        table.push_str(region);
    }
    table.push('\n');
    for name in types.keys() {
        table.push_str(name);
        for of_region in cells.values() {
            table.push('\t');
            table.push_str(of_region.get(name).map_or("", String::as_str));
        }
        table.push('\n');
    }
    table
}

fn write(name: &str, text: &str) -> Result<(), MakeError> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("catalog")
        .join(name);
    std::fs::write(&path, text).map_err(|error| MakeError::Write(path.display().to_string(), error))
}
