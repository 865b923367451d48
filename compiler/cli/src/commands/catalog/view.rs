//! What `--json` prints of the catalog. Names and units are those of the execution plan.

use dva_stdlib::{
    BootMode, Burstable, Ena, Hypervisor, MachineType, Medium, OsClass, Rate, Region, Zone,
};
use serde::Serialize;

use super::offer::{self, Hour, Offer, Terms};

/// A list of types.
#[derive(Serialize)]
pub struct TypesView<'c> {
    /// How many there are, shown or not.
    pub found: usize,
    /// Those that are shown.
    pub types: Vec<TypeView<'c>>,
    /// With `--cheapest`: what would be among them if its price were known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unpriced: Vec<&'c str>,
}

/// A type. What is left out, it has not.
#[derive(Serialize)]
pub struct TypeView<'c> {
    r#type: &'c str,
    family: &'c str,
    vcpus: u32,
    memory_bytes: u64,
    arch: &'c [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    hypervisor: Option<&'static str>,
    bare_metal: bool,
    /// The part of each virtual processor that spends no credits, of a burstable type.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<(u32, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpus: Option<GpusView<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    storage: Option<StorageView>,
    ebs_nvme: bool,
    ena: &'static str,
    efa: bool,
    boot_modes: Vec<&'static str>,
    tpm: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    network: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_baseline_mbps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    network_peak_mbps: Option<u64>,
    spot: bool,
    hibernation: bool,
    current: bool,
    /// In a list: the price in the region that is shown. It is left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    price: Option<PriceView<'c>>,
    /// Of a type alone: all regions that offer it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    offerings: Vec<OfferingView<'c>>,
}

#[derive(Serialize)]
struct GpusView<'c> {
    count: u32,
    name: &'c str,
    memory_bytes: u64,
}

#[derive(Serialize)]
struct StorageView {
    disks: u32,
    disk_gb: u64,
    medium: &'static str,
    nvme: bool,
}

/// What an hour costs.
#[derive(Serialize)]
pub struct PriceView<'c> {
    region: &'c str,
    os: &'static str,
    market: &'static str,
    /// The machine with its operating system.
    nano_usd_per_hour: i64,
    /// The operating system alone.
    surcharge_nano_usd_per_hour: i64,
    quality: &'static str,
    source: String,
    /// The day it held; a machine of this host has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    as_of: String,
}

/// A type in a region.
#[derive(Serialize)]
pub struct OfferingView<'c> {
    /// The region.
    pub region: &'c str,
    /// Its zones that offer the type; none where they are not known.
    pub zones: Vec<ZoneView<'c>>,
    /// The prices that are known, by class of operating systems.
    pub prices: Vec<PriceView<'c>>,
}

/// A zone.
#[derive(Serialize)]
pub struct ZoneView<'c> {
    name: &'c str,
    #[serde(skip_serializing_if = "str::is_empty")]
    id: &'c str,
}

/// A list of regions.
#[derive(Serialize)]
pub struct RegionsView<'c> {
    /// They.
    pub regions: Vec<RegionView<'c>>,
}

/// A region.
#[derive(Serialize)]
pub struct RegionView<'c> {
    /// Its name.
    pub region: &'c str,
    /// Its partition.
    pub partition: &'c str,
    /// Whether an account must ask for it.
    pub opt_in: bool,
    /// Its zones.
    pub zones: Vec<ZoneView<'c>>,
    /// How many types it offers.
    pub types: usize,
    /// What else it charges for, as far as it is known.
    pub rates: Vec<RateView>,
}

/// A rate of something beside machines.
#[derive(Serialize)]
pub struct RateView {
    kind: &'static str,
    unit: &'static str,
    nano_usd: i64,
    quality: &'static str,
    source: &'static str,
    as_of: &'static str,
}

impl<'c> TypeView<'c> {
    /// A type without its prices.
    pub fn of(machine: &'c MachineType) -> Self {
        Self {
            r#type: &machine.name,
            family: machine.family(),
            vcpus: machine.vcpus,
            memory_bytes: machine.memory_bytes(),
            arch: &machine.arch,
            hypervisor: machine.hypervisor.map(hypervisor),
            bare_metal: machine.bare_metal,
            baseline: machine
                .burstable
                .map(|Burstable { baseline }| (baseline.over, baseline.under)),
            gpus: machine.gpus.as_ref().map(|gpus| GpusView {
                count: gpus.count,
                name: &gpus.name,
                memory_bytes: gpus.memory_mib << 20,
            }),
            storage: machine.storage.map(|storage| StorageView {
                disks: storage.disks,
                disk_gb: storage.disk_gb,
                medium: match storage.medium {
                    Medium::Ssd => "ssd",
                    Medium::Hdd => "hdd",
                },
                nvme: storage.nvme,
            }),
            ebs_nvme: machine.ebs_nvme,
            ena: ena(machine.ena),
            efa: machine.efa,
            boot_modes: machine.boot_modes.iter().copied().map(boot_mode).collect(),
            tpm: machine.tpm,
            network: &machine.network.performance,
            network_baseline_mbps: machine.network.baseline_mbps,
            network_peak_mbps: machine.network.peak_mbps,
            spot: machine.spot,
            hibernation: machine.hibernates,
            current: machine.current_generation,
            price: None,
            offerings: Vec::new(),
        }
    }

    /// The same with its price in one region, where that is known.
    pub fn at(self, price: Option<PriceView<'c>>) -> Self {
        Self { price, ..self }
    }

    /// The same with all that is offered.
    pub fn offered(self, offerings: Vec<OfferingView<'c>>) -> Self {
        Self { offerings, ..self }
    }
}

impl<'c> Offer<'c> {
    /// Its price; `None` where it is not known.
    pub fn view(&self, terms: &Terms) -> Option<PriceView<'c>> {
        let (total, surcharge, source, as_of) = match &self.hour {
            Hour::Unknown => return None,
            Hour::Free => (0, 0, "a machine of this host", ""),
            Hour::Priced(price) => (
                price.total_nano_usd_per_hour(),
                price.surcharge_nano_usd_per_hour,
                &*price.source,
                &*price.as_of,
            ),
        };
        Some(PriceView {
            region: self.region,
            os: offer::os(terms.os),
            market: offer::market(terms.market),
            nano_usd_per_hour: total,
            surcharge_nano_usd_per_hour: surcharge,
            quality: self.hour.quality(),
            source: source.to_owned(),
            as_of: as_of.to_owned(),
        })
    }

    /// Whether this is the price of some class of operating systems rather than of the machine alone.
    pub fn is_of(&self, os: OsClass) -> bool {
        os == OsClass::Linux || !matches!(self.hour, Hour::Free)
    }
}

impl<'c> ZoneView<'c> {
    /// A zone.
    pub fn of(zone: &'c Zone) -> Self {
        Self {
            name: &zone.name,
            id: &zone.id,
        }
    }
}

impl<'c> RegionView<'c> {
    /// A region that offers so many types.
    pub fn of(region: &'c Region, types: usize, rates: Vec<RateView>) -> Self {
        Self {
            region: &region.name,
            partition: &region.partition,
            opt_in: region.opt_in,
            zones: region.zones.iter().map(ZoneView::of).collect(),
            types,
            rates,
        }
    }
}

impl RateView {
    /// What `kind` costs by `unit`.
    pub fn of(kind: &'static str, unit: &'static str, rate: Rate) -> Self {
        Self {
            kind,
            unit,
            nano_usd: rate.nano_usd,
            quality: offer::quality(rate.quality),
            source: rate.source,
            as_of: rate.as_of,
        }
    }
}

/// The word for it.
pub fn hypervisor(hypervisor: Hypervisor) -> &'static str {
    match hypervisor {
        Hypervisor::Nitro => "nitro",
        Hypervisor::Xen => "xen",
    }
}

/// The word for it.
pub fn ena(ena: Ena) -> &'static str {
    match ena {
        Ena::Unsupported => "unsupported",
        Ena::Supported => "supported",
        Ena::Required => "required",
    }
}

/// The word for it.
pub fn boot_mode(mode: BootMode) -> &'static str {
    match mode {
        BootMode::LegacyBios => "bios",
        BootMode::Uefi => "uefi",
    }
}
