//! Lists of machine types, by name or by price.

use std::collections::BTreeSet;

use dva_compiler::suggest::listed;
use dva_plan::ExitCode;
use dva_plan::unit::display_size;
use dva_stdlib::{Catalog, MachineType, Market, Medium, OsClass};

use super::Answer;
use super::offer::{self, Hour, Offer, Terms, cheapest};
use super::view::{TypeView, TypesView};
use crate::args::CatalogArguments;
use crate::failure::Failure;
use crate::render;
use crate::table::{Align, Table};

/// How many of the cheapest are shown where nothing is said.
const CHEAPEST: usize = 10;

/// A row of the list.
struct Row<'c> {
    machine: &'c MachineType,
    offer: Offer<'c>,
}

/// A list of `types`, of which there is at least one.
pub fn types<'c>(
    catalog: &'c Catalog,
    types: &[&'c MachineType],
    terms: &Terms,
    arguments: &'c CatalogArguments,
) -> Result<Answer, Failure> {
    let mut regions: Vec<&str> = arguments.region.iter().map(String::as_str).collect();
    if regions.is_empty() {
        let known = catalog.regions().map(|region| region.name.as_str());
        regions.extend(known);
    }
    let mut rows: Vec<Row<'_>> = types
        .iter()
        .filter_map(|machine| {
            let offer = cheapest(catalog, &regions, machine, terms)?;
            Some(Row { machine, offer })
        })
        .collect();
    let mut unpriced = Vec::new();
    if arguments.cheapest {
        // Machines of this host cost nothing and are no match for those of a cloud.
        rows.retain(|row| !arguments.region.is_empty() || !matches!(row.offer.hour, Hour::Free));
        unpriced = rows
            .iter()
            .filter(|row| matches!(row.offer.hour, Hour::Unknown))
            .map(|row| row.machine.name.as_str())
            .collect();
        rows.retain(|row| !matches!(row.offer.hour, Hour::Unknown));
        rows.sort_by(|a, b| a.offer.hour.by_price(&b.offer.hour));
    }
    if rows.is_empty() {
        return Err(nothing(catalog, types, &regions, terms, arguments));
    }
    let found = rows.len();
    let limit = arguments.limit.map(usize::from);
    if let Some(limit) = limit.or(arguments.cheapest.then_some(CHEAPEST)) {
        rows.truncate(limit);
    }
    if arguments.json {
        let types = rows
            .iter()
            .map(|row| TypeView::of(row.machine).at(row.offer.view(terms)));
        let view = TypesView {
            found,
            types: types.collect(),
            unpriced,
        };
        return Ok(Answer {
            text: render::json(&view),
            note: String::new(),
        });
    }
    Ok(Answer {
        text: table(&rows),
        note: note(&rows, found, &unpriced, terms, arguments),
    })
}

fn table(rows: &[Row<'_>]) -> String {
    let mut table = Table::new([
        ("type", Align::Left),
        ("vCPU", Align::Right),
        ("memory", Align::Right),
        ("arch", Align::Left),
        ("storage", Align::Left),
        ("GPUs", Align::Left),
        ("network", Align::Left),
        ("an hour", Align::Right),
        ("quality", Align::Left),
        ("region", Align::Left),
    ]);
    for Row { machine, offer } in rows {
        table.row([
            machine.name.clone(),
            machine.vcpus.to_string(),
            display_size(machine.memory_bytes()),
            machine.arch.join(","),
            storage(machine),
            gpus(machine),
            machine.network.performance.clone(),
            offer.hour.text(),
            offer.hour.quality().to_owned(),
            offer.region.to_owned(),
        ]);
    }
    table.text()
}

/// `2 × 474GB nvme`; empty where the type has no disks of its own.
pub(super) fn storage(machine: &MachineType) -> String {
    machine.storage.map_or(String::new(), |storage| {
        let medium = match (storage.nvme, storage.medium) {
            (true, _) => "nvme",
            (false, Medium::Ssd) => "ssd",
            (false, Medium::Hdd) => "hdd",
        };
        format!("{} × {}GB {medium}", storage.disks, storage.disk_gb)
    })
}

/// `8 × NVIDIA A100`; empty where the type has none.
pub(super) fn gpus(machine: &MachineType) -> String {
    let gpus = machine.gpus.as_ref();
    gpus.map_or(String::new(), |gpus| {
        format!("{} × {}", gpus.count, gpus.name)
    })
}

/// What to know of the list.
fn note(
    rows: &[Row<'_>],
    found: usize,
    unpriced: &[&str],
    terms: &Terms,
    arguments: &CatalogArguments,
) -> String {
    let mut parts = Vec::new();
    parts.push(match found {
        1 => "1 type.".to_owned(),
        found if found > rows.len() => format!("{} of {found} types.", rows.len()),
        found => format!("{found} types."),
    });
    let prices = rows.iter().filter_map(|row| row.offer.hour.price());
    // Days of this form are in order as text.
    if let Some(as_of) = prices.map(|price| &*price.as_of).min() {
        let place = match arguments.region.as_slice() {
            [] => ", in the cheapest region of each",
            [_] => "",
            _ => ", in the cheaper region of each",
        };
        let market = match terms.market {
            Market::OnDemand => "on demand",
            Market::Spot => "the most that spot costs",
        };
        let os = offer::os(terms.os);
        parts.push(format!(
            "Prices are {market}, with {os}{place}, as of {as_of}."
        ));
    }
    let mut text = format!("{}\n", parts.join(" "));
    if !unpriced.is_empty() {
        let (number, names) = (unpriced.len(), listed(unpriced.iter().copied()));
        text.push_str(&format!(
            "Not among them, since no price of theirs is known ({number}): {names}.\n"
        ));
    }
    text
}

/// Why the list is empty: which one of the things that were asked for leaves nothing over.
fn nothing(
    catalog: &Catalog,
    types: &[&MachineType],
    regions: &[&str],
    terms: &Terms,
    arguments: &CatalogArguments,
) -> Failure {
    let left = |regions: &[&'_ str], terms: &Terms| {
        let offers = types
            .iter()
            .filter_map(|machine| cheapest(catalog, regions, machine, terms));
        let mut offers = offers.map(|offer| offer.hour);
        offers.any(|hour| !arguments.cheapest || hour.price().is_some())
    };
    let anywhere: Vec<&str> = catalog
        .regions()
        .map(|region| region.name.as_str())
        .collect();
    let which = match types {
        [only] => format!("`{}` is not", only.name),
        types => format!("None of the {} types is", types.len()),
    };
    let with_linux = Terms {
        os: OsClass::Linux,
        ..*terms
    };
    let on_demand = Terms {
        market: Market::OnDemand,
        ..*terms
    };
    let text = if left(regions, &with_linux) {
        let os = offer::os(terms.os);
        format!("{which} sold with `{os}`. Leave out `--os {os}`.")
    } else if left(regions, &on_demand) {
        format!("{which} sold on the spot market. Leave out `--market spot`.")
    } else if left(&anywhere, terms) {
        let elsewhere = types.iter().flat_map(|machine| machine.regions());
        let elsewhere: BTreeSet<&str> = elsewhere.collect();
        let (regions, elsewhere) = (listed(regions.iter().copied()), listed(elsewhere));
        format!("{which} offered in {regions}. There are some in {elsewhere}.")
    } else if left(
        &anywhere,
        &Terms {
            os: OsClass::Linux,
            ..on_demand
        },
    ) {
        format!("{which} sold like that. Leave out `--region`, `--os` or `--market`.")
    } else {
        let whose = match types {
            [only] => format!("`{}`", only.name),
            types => format!("any of the {} types", types.len()),
        };
        format!("No price of {whose} is known. Without `--cheapest` you see what there is.")
    };
    Failure::new(ExitCode::Invocation, text)
}
