//! One machine type whole: what it is, where it is offered, and what it costs there.

use dva_plan::ExitCode;
use dva_plan::unit::display_size;
use dva_stdlib::catalog::TYPES_AS_OF;
use dva_stdlib::{Catalog, MachineType, Market, OsClass, Quality};

use super::offer::{Hour, Offer, Terms, offer};
use super::view::{OfferingView, TypeView, ZoneView, boot_mode, ena, hypervisor};
use super::{Answer, list, offer};
use crate::args::CatalogArguments;
use crate::failure::Failure;
use crate::render;
use crate::table::{Align, Table, heading};

/// A region that offers the type, with an offer for each class of operating systems it is sold with.
struct Place<'c> {
    region: &'c str,
    offers: Vec<(OsClass, Offer<'c>)>,
}

/// The page of `machine`. The class of operating systems of `terms` decides nothing but the order.
pub fn machine_type(
    catalog: &Catalog,
    machine: &MachineType,
    terms: &Terms,
    arguments: &CatalogArguments,
) -> Result<Answer, Failure> {
    let is_wanted = |region: &&str| {
        arguments.region.is_empty() || arguments.region.iter().any(|wanted| wanted == region)
    };
    let regions: Vec<&str> = machine.regions().into_iter().filter(is_wanted).collect();
    if regions.is_empty() && !arguments.region.is_empty() {
        // The list says where it is offered.
        return list::types(catalog, &[machine], terms, arguments);
    }
    let mut places: Vec<Place<'_>> = regions
        .into_iter()
        .map(|region| place(catalog, machine, region, terms.market))
        .collect();
    if terms.market == Market::Spot && !machine.spot {
        let text = format!(
            "`{}` is not sold on the spot market. Leave out `--market spot`.",
            machine.name
        );
        return Err(Failure::new(ExitCode::Invocation, text));
    }
    if arguments.cheapest {
        let hour = |place: &Place<'_>| {
            let own = place.offers.iter().find(|(os, _)| *os == terms.os);
            own.map_or(Hour::Unknown, |(_, offer)| offer.hour.clone())
        };
        places.sort_by(|a, b| hour(a).by_price(&hour(b)));
    }
    if let Some(limit) = arguments.limit {
        places.truncate(limit.into());
    }
    if arguments.json {
        return Ok(Answer {
            text: json(catalog, machine, &places, terms.market),
            note: String::new(),
        });
    }
    let sources = Sources::of(&places);
    Ok(Answer {
        text: format!(
            "{}\n{}{}",
            facts(machine),
            prices(catalog, machine, &places, &sources),
            sources.text()
        ),
        note: note(&places, terms.market),
    })
}

fn place<'c>(
    catalog: &Catalog,
    machine: &MachineType,
    region: &'c str,
    market: Market,
) -> Place<'c> {
    let offers = OsClass::ALL.into_iter().filter_map(|os| {
        let offer = offer(catalog, region, machine, &Terms { os, market })?;
        offer.is_of(os).then_some((os, offer))
    });
    Place {
        region,
        offers: offers.collect(),
    }
}

fn json(catalog: &Catalog, machine: &MachineType, places: &[Place<'_>], market: Market) -> String {
    let offerings = places.iter().map(|place| OfferingView {
        region: place.region,
        zones: catalog
            .zones_offering(place.region, &machine.name)
            .map(ZoneView::of)
            .collect(),
        prices: place
            .offers
            .iter()
            .filter_map(|(os, offer)| offer.view(&Terms { os: *os, market }))
            .collect(),
    });
    render::json(&TypeView::of(machine).offered(offerings.collect()))
}

/// What the type is, a line a fact.
fn facts(machine: &MachineType) -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let or_none = |text: String| {
        if text.is_empty() {
            "none".to_owned()
        } else {
            text
        }
    };
    let mut facts = vec![
        ("family", machine.family().to_owned()),
        ("vCPU", machine.vcpus.to_string()),
        ("memory", display_size(machine.memory_bytes())),
        ("arch", machine.arch.join(", ")),
        (
            "hypervisor",
            or_none(
                machine
                    .hypervisor
                    .map_or(String::new(), |is| hypervisor(is).to_owned()),
            ),
        ),
        ("bare metal", yes(machine.bare_metal)),
        (
            "burstable",
            match machine.burstable {
                None => "no".to_owned(),
                Some(burstable) => {
                    let share = burstable.baseline;
                    format!("baseline {}/{} of each vCPU", share.over, share.under)
                }
            },
        ),
        ("storage", or_none(list::storage(machine))),
        ("GPUs", or_none(gpus(machine))),
    ];
    // Of machines of this host nothing of what follows has a meaning.
    let modes: Vec<_> = machine.boot_modes.iter().copied().map(boot_mode).collect();
    if !modes.is_empty() {
        facts.extend([
            ("EBS NVMe", yes(machine.ebs_nvme)),
            ("ENA", ena(machine.ena).to_owned()),
            ("EFA", yes(machine.efa)),
            ("boot", modes.join(", ")),
            ("TPM", yes(machine.tpm)),
            ("network", network(machine)),
            ("spot", yes(machine.spot)),
            ("hibernation", yes(machine.hibernates)),
            ("current", yes(machine.current_generation)),
        ]);
    }
    let mut text = format!("{}\n", heading(&machine.name));
    for (name, value) in facts {
        text.push_str(&format!("  {name:<12} {value}\n"));
    }
    text
}

fn gpus(machine: &MachineType) -> String {
    machine.gpus.as_ref().map_or(String::new(), |of| {
        let memory = display_size(of.memory_mib << 20);
        format!("{}, {memory} of memory in all", list::gpus(machine))
    })
}

fn network(machine: &MachineType) -> String {
    let network = &machine.network;
    let rates = [
        ("all the time", network.baseline_mbps),
        ("for a while", network.peak_mbps),
    ];
    let rates = rates
        .into_iter()
        .filter_map(|(when, mbps)| Some(format!("{} Mbit/s {when}", mbps?)));
    let parts = std::iter::once(network.performance.clone()).chain(rates);
    parts.collect::<Vec<_>>().join(", ")
}

/// Where the prices of machines come from, each source once.
struct Sources {
    rows: Vec<(Quality, String, String)>,
}

impl Sources {
    fn of(places: &[Place<'_>]) -> Self {
        let mut rows: Vec<_> = places.iter().filter_map(source).collect();
        rows.sort();
        rows.dedup();
        Self { rows }
    }

    /// The number of the source of a region's prices, from 1.
    fn number(&self, place: &Place<'_>) -> String {
        let own = source(place);
        let at = self.rows.iter().position(|row| own.as_ref() == Some(row));
        at.map_or(String::new(), |at| (at + 1).to_string())
    }

    fn text(&self) -> String {
        let mut text = String::new();
        if !self.rows.is_empty() {
            text.push('\n');
        }
        for (number, (quality, source, as_of)) in self.rows.iter().enumerate() {
            let quality = offer::quality(*quality);
            text.push_str(&format!("{}  {quality}, {as_of}: {source}\n", number + 1));
        }
        text
    }
}

/// Quality, source and day of the price of the machine alone.
fn source(place: &Place<'_>) -> Option<(Quality, String, String)> {
    let price = place.offers.first()?.1.hour.price()?;
    let (source, as_of) = (price.source.to_string(), price.as_of.to_string());
    Some((price.machine_quality, source, as_of))
}

fn prices(
    catalog: &Catalog,
    machine: &MachineType,
    places: &[Place<'_>],
    sources: &Sources,
) -> String {
    let mut columns = vec![("region", Align::Left), ("zones", Align::Left)];
    columns.extend(OsClass::ALL.map(|os| (offer::os(os), Align::Left)));
    columns.push(("source", Align::Right));
    let mut table = Table::new(columns);
    for place in places {
        let zones = catalog.zones_offering(place.region, &machine.name);
        // The letter says which one, under the region's name.
        let zones: Vec<_> = zones
            .map(|zone| zone.name.strip_prefix(place.region).unwrap_or(&zone.name))
            .collect();
        let mut row = vec![place.region.to_owned(), zones.join(" ")];
        row.extend(OsClass::ALL.map(|os| {
            let own = place.offers.iter().find(|(own, _)| *own == os);
            own.map_or(String::new(), |(_, offer)| marked(&offer.hour))
        }));
        row.push(sources.number(place));
        table.row(row);
    }
    table.text()
}

/// A price with a mark that says how far it may be trusted.
fn marked(hour: &Hour) -> String {
    let mark = match hour.price().map(|price| price.quality) {
        Some(Quality::Derived) => " ~",
        Some(Quality::Estimated) => " ?",
        Some(Quality::Exact) | None => "",
    };
    format!("{}{mark}", hour.text())
}

fn note(places: &[Place<'_>], market: Market) -> String {
    let hours = || {
        let offers = places.iter().flat_map(|place| &place.offers);
        offers.map(|(_, offer)| &offer.hour)
    };
    let prices = if hours().any(|hour| hour.price().is_some()) {
        let market = match market {
            Market::OnDemand => "Prices are for an hour on demand",
            Market::Spot => "Prices are the most that an hour costs on the spot market",
        };
        format!(
            "{market}, with the operating system; ~ derived, ? estimated, - not sold or not known. "
        )
    } else if hours().any(|hour| matches!(hour, Hour::Unknown)) {
        "No price of it is known. ".to_owned()
    } else {
        String::new()
    };
    format!("{prices}What is offered is as of {TYPES_AS_OF}.\n")
}
