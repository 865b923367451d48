//! Measures the catalog: how right it is, how much of what is offered it prices, how long it loads and
//! how large it is.
//!
//! `cargo bench -p dva-stdlib -- PRICES.csv` compares with a table of `region,instance_type,usd_per_hour`
//! rows for Linux on demand; without one that part is left out. The table is given by its full path. It
//! only ever checks: no price of the catalog comes from it.

use std::collections::BTreeMap;
use std::time::Instant;

use dva_stdlib::{Catalog, Market, OsClass, Quality};

/// The embedded files.
const FILES: [(&str, &str); 8] = [
    ("names.toml", include_str!("../catalog/names.toml")),
    ("local.toml", include_str!("../catalog/local.toml")),
    ("types.tsv", include_str!("../catalog/types.tsv")),
    ("regions.tsv", include_str!("../catalog/regions.tsv")),
    ("offerings.tsv", include_str!("../catalog/offerings.tsv")),
    ("prices.tsv", include_str!("../catalog/prices.tsv")),
    ("surcharges.tsv", include_str!("../catalog/surcharges.tsv")),
    ("rates.tsv", include_str!("../catalog/rates.tsv")),
];

fn main() {
    let start = Instant::now();
    let catalog = Catalog::embedded();
    let loaded = start.elapsed();
    let start = Instant::now();
    let first = catalog.price("us-east-1", "m5.large", OsClass::Rhel, Market::OnDemand);
    let first_price = start.elapsed();
    println!(
        "loaded in {loaded:?}; first price after another {first_price:?} ({})",
        first.is_some()
    );
    let start = Instant::now();
    let pairs = coverage(catalog);
    println!("{pairs} offered pairs priced in {:?}", start.elapsed());
    let sizes: Vec<String> = FILES
        .iter()
        .map(|(name, text)| format!("{name} {}", text.len()))
        .collect();
    let total: usize = FILES.iter().map(|(_, text)| text.len()).sum();
    println!("size {total} bytes: {}", sizes.join(", "));
    match std::env::args().skip(1).find(|arg| !arg.starts_with("--")) {
        None => println!("SKIP no table to compare with was given"),
        Some(path) => match std::fs::read_to_string(&path) {
            Ok(table) => compare(catalog, &table),
            Err(error) => println!("SKIP {path} cannot be read: {error}"),
        },
    }
}

/// Prints how the offered pairs are priced, those whose zones are known apart; gives their number.
fn coverage(catalog: &Catalog) -> usize {
    let mut counts: BTreeMap<(bool, Option<Quality>), usize> = BTreeMap::new();
    for region in catalog.regions().filter(|region| region.name != "local") {
        for machine in catalog.types_in(&region.name) {
            let price = catalog.price(
                &region.name,
                &machine.name,
                OsClass::Linux,
                Market::OnDemand,
            );
            let key = (region.zones.is_empty(), price.map(|price| price.quality));
            *counts.entry(key).or_default() += 1;
        }
    }
    for (zoneless, name) in [(false, "offered by zone"), (true, "by region alone")] {
        let of = |quality| counts.get(&(zoneless, quality)).copied().unwrap_or(0);
        let (exact, derived) = (of(Some(Quality::Exact)), of(Some(Quality::Derived)));
        let (estimated, none) = (of(Some(Quality::Estimated)), of(None));
        let all = exact + derived + estimated + none;
        println!(
            "{name}: {all} pairs: {exact} exact, {derived} derived, {estimated} estimated, {none} without a price"
        );
    }
    counts.values().sum()
}

/// A group of compared prices.
#[derive(Default)]
struct Group {
    all: usize,
    within: usize,
    wrong: Vec<String>,
}

/// Prints how many prices lie within 1 % of those of `table`.
fn compare(catalog: &Catalog, table: &str) {
    let mut groups: BTreeMap<(bool, Quality, String), Group> = BTreeMap::new();
    let mut unknown = 0;
    for line in table.lines().skip(1) {
        let mut cells = line.split(',');
        let (Some(region), Some(name), Some(dollars)) = (cells.next(), cells.next(), cells.next())
        else {
            continue;
        };
        let price = catalog.price(region, name, OsClass::Linux, Market::OnDemand);
        let (Some(price), Some(right)) = (price, nano_dollars(dollars)) else {
            unknown += 1;
            continue;
        };
        let is_metal = catalog
            .machine_type(name)
            .is_some_and(|machine| machine.bare_metal);
        let key = (is_metal, price.quality, price.source.into_owned());
        let group = groups.entry(key).or_default();
        group.all += 1;
        let error = price.nano_usd_per_hour - right;
        if error.abs().saturating_mul(100) <= right {
            group.within += 1;
        } else {
            let percent = error.saturating_mul(1000) / right.max(1);
            group.wrong.push(format!(
                "{region} {name} {}.{} %",
                percent / 10,
                percent.abs() % 10
            ));
        }
    }
    println!("{unknown} rows of the table have no price here");
    let mut sums = [(0, 0); 3];
    for ((is_metal, quality, source), group) in &groups {
        let metal = if *is_metal { "metal, " } else { "" };
        println!(
            "{metal}{quality:?}, {source}: {} of {} within 1 %",
            group.within, group.all
        );
        if *quality == Quality::Exact || source.starts_with("apache-libcloud") {
            for wrong in &group.wrong {
                println!("    off: {wrong}");
            }
        }
        let mut add = |sum: usize| {
            sums[sum].0 += group.within;
            sums[sum].1 += group.all;
        };
        match (is_metal, source.starts_with("apache-libcloud")) {
            (true, _) => add(2),
            (false, true) => {
                add(0);
                add(1);
            }
            (false, false) => add(1),
        }
    }
    let names = [
        "known to both price tables, without metal",
        "all, without metal",
        "metal",
    ];
    for ((within, all), name) in sums.into_iter().zip(names) {
        let per_mille = within * 1000 / all.max(1);
        println!(
            "{name}: {within} of {all} within 1 % ({}.{} %)",
            per_mille / 10,
            per_mille % 10
        );
    }
}

/// A decimal number of dollars in nano-dollars, cut behind the ninth place.
fn nano_dollars(text: &str) -> Option<i64> {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text, ""));
    let digits = fraction.chars().chain(std::iter::repeat('0')).take(9);
    whole.chars().chain(digits).collect::<String>().parse().ok()
}
