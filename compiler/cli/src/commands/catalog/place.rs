//! Regions: a list, or one whole.

use dva_stdlib::catalog::TYPES_AS_OF;
use dva_stdlib::{Catalog, Region};

use super::view::{RateView, RegionView, RegionsView};
use super::{Answer, offer};
use crate::args::CatalogArguments;
use crate::render;
use crate::table::{Align, Table, heading};

/// A list of `regions`.
pub fn regions(catalog: &Catalog, regions: &[&Region], arguments: &CatalogArguments) -> Answer {
    let found = regions.len();
    let limit = arguments.limit.map_or(found, usize::from);
    let regions = &regions[..limit.min(found)];
    if arguments.json {
        let regions = regions.iter().map(|region| view(catalog, region));
        let view = RegionsView {
            regions: regions.collect(),
        };
        return Answer {
            text: render::json(&view),
            note: String::new(),
        };
    }
    let mut table = Table::new([
        ("region", Align::Left),
        ("partition", Align::Left),
        ("opt-in", Align::Left),
        ("zones", Align::Right),
        ("types", Align::Right),
        ("GiB-month", Align::Right),
        ("quality", Align::Left),
    ]);
    for region in regions {
        let types = catalog.types_in(&region.name).count();
        let zones = region.zones.len();
        let disk = catalog.rates(&region.name).map(|rates| rates.ebs_gib_month);
        table.row([
            region.name.clone(),
            region.partition.clone(),
            if region.opt_in { "yes" } else { "no" }.to_owned(),
            if zones > 0 {
                zones.to_string()
            } else {
                String::new()
            },
            if types > 0 {
                types.to_string()
            } else {
                String::new()
            },
            disk.map_or(String::new(), |rate| offer::money(rate.nano_usd)),
            disk.map_or(String::new(), |rate| {
                offer::quality(rate.quality).to_owned()
            }),
        ]);
    }
    let count = match found {
        1 => "1 region".to_owned(),
        found if limit < found => format!("{limit} of {found} regions"),
        found => format!("{found} regions"),
    };
    Answer {
        text: table.text(),
        note: format!("{count}. What is offered is as of {TYPES_AS_OF}.\n"),
    }
}

/// All that is known of `region`.
pub fn region(catalog: &Catalog, region: &Region, arguments: &CatalogArguments) -> Answer {
    let view = view(catalog, region);
    if arguments.json {
        return Answer {
            text: render::json(&view),
            note: String::new(),
        };
    }
    let mut text = format!("{}\n", heading(&region.name));
    let mut line = |name: &str, value: &str| text.push_str(&format!("  {name:<12} {value}\n"));
    line("partition", &region.partition);
    line("opt-in", if region.opt_in { "yes" } else { "no" });
    let zones: Vec<_> = region
        .zones
        .iter()
        .map(|zone| format!("{} ({})", zone.name, zone.id))
        .collect();
    let zones = zones.join(", ");
    line(
        "zones",
        if zones.is_empty() {
            "not known"
        } else {
            &zones
        },
    );
    let types = match view.types {
        0 => "none known".to_owned(),
        types => types.to_string(),
    };
    line("types", &types);
    let mut note = String::new();
    if let Some(rates) = catalog.rates(&region.name) {
        for (name, unit, rate) in [
            ("disk", "a GiB-month", rates.ebs_gib_month),
            ("public IPv4", "an hour", rates.ipv4_hour),
        ] {
            let (price, quality) = (offer::money(rate.nano_usd), offer::quality(rate.quality));
            let (source, as_of) = (rate.source, rate.as_of);
            line(
                name,
                &format!("{price} {unit}, {quality}, {as_of}: {source}"),
            );
        }
        note = format!("`dva catalog --region {}` lists its types.\n", region.name);
    }
    Answer { text, note }
}

fn view<'c>(catalog: &Catalog, region: &'c Region) -> RegionView<'c> {
    let rates = catalog.rates(&region.name).map_or(Vec::new(), |rates| {
        vec![
            RateView::of("disk", "gib_month", rates.ebs_gib_month),
            RateView::of("ipv4", "hour", rates.ipv4_hour),
        ]
    });
    let types = catalog.types_in(&region.name).count();
    RegionView::of(region, types, rates)
}
