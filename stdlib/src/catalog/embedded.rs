//! Reads the embedded tables of types, regions and offerings.

use std::sync::OnceLock;

use super::machine::{
    BootMode, Burstable, Ena, Gpus, Hypervisor, InstanceStorage, MachineType, Medium, Network,
    Offered, Share,
};
use super::region::{Region, Zone};
use super::table::{Cells, Table};

const TYPES: &str = include_str!("../../catalog/types.tsv");
const REGIONS: &str = include_str!("../../catalog/regions.tsv");
const OFFERINGS: &str = include_str!("../../catalog/offerings.tsv");

/// The regions, in the order of their names.
pub(super) fn regions() -> impl Iterator<Item = Region> {
    Table::of(REGIONS).rows().map(|row| {
        let mut cells = Cells::of(row);
        Region {
            name: cells.text().to_owned(),
            partition: cells.text().to_owned(),
            opt_in: match cells.text() {
                "yes" => true,
                "no" => false,
                odd => cells.odd(odd),
            },
            zones: words(cells.text())
                .map(|zone| {
                    let (name, id) = zone.split_once('=').unwrap_or((zone, ""));
                    Zone {
                        name: name.to_owned(),
                        id: id.to_owned(),
                    }
                })
                .collect(),
        }
    })
}

/// The machine types, in the order of their names.
pub(super) fn machine_types() -> impl Iterator<Item = MachineType> {
    let types = Table::of(TYPES).rows();
    types.zip(Table::of(OFFERINGS).rows()).map(machine_type)
}

/// The regions that are the columns of the table of offerings, the type's name being column 0.
fn columns() -> &'static [&'static str] {
    static COLUMNS: OnceLock<Vec<&'static str>> = OnceLock::new();
    COLUMNS.get_or_init(|| Table::of(OFFERINGS).header.split('\t').collect())
}

/// The letters of the zones of `region` that offer the type of `row`, or `*` where they are not known;
/// `None` where the region does not.
pub(super) fn zones_of(row: &'static str, region: &str) -> Option<&'static str> {
    let column = columns().iter().position(|name| *name == region)?;
    row.split('\t').nth(column).filter(|cell| !cell.is_empty())
}

/// The regions that offer the type of `row`, in order.
pub(super) fn regions_of(row: &'static str) -> impl Iterator<Item = &'static str> {
    let cells = columns().iter().zip(row.split('\t')).skip(1);
    cells.filter_map(|(name, cell)| (!cell.is_empty()).then_some(*name))
}

fn machine_type((row, offered): (&'static str, &'static str)) -> MachineType {
    let mut cells = Cells::of(row);
    let cells = &mut cells;
    let name = cells.text();
    let is_its_row = offered
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('\t'));
    assert!(
        is_its_row,
        "the row of `{name}` has another type's offerings: {offered:?}"
    );
    let mut machine = MachineType {
        name: name.to_owned(),
        vcpus: cells.number(),
        memory_mib: cells.number(),
        arch: words(cells.text()).map(str::to_owned).collect(),
        offered: Offered::Row(offered),
        hypervisor: match cells.text() {
            "" => None,
            "nitro" => Some(Hypervisor::Nitro),
            "xen" => Some(Hypervisor::Xen),
            odd => cells.odd(odd),
        },
        boot_modes: words(cells.text())
            .map(|mode| match mode {
                "legacy-bios" => BootMode::LegacyBios,
                "uefi" => BootMode::Uefi,
                odd => cells.odd(odd),
            })
            .collect(),
        ena: match cells.text() {
            "unsupported" => Ena::Unsupported,
            "supported" => Ena::Supported,
            "required" => Ena::Required,
            odd => cells.odd(odd),
        },
        network: Network {
            performance: cells.text().to_owned(),
            baseline_mbps: cells.maybe(),
            peak_mbps: cells.maybe(),
        },
        storage: storage(cells),
        gpus: gpus(cells),
        burstable: burstable(cells),
        bare_metal: false,
        ebs_nvme: false,
        efa: false,
        tpm: false,
        spot: false,
        hibernates: false,
        current_generation: false,
    };
    for flag in words(cells.text()) {
        match flag {
            "metal" => machine.bare_metal = true,
            "current" => machine.current_generation = true,
            "spot" => machine.spot = true,
            "hibernates" => machine.hibernates = true,
            "efa" => machine.efa = true,
            "tpm" => machine.tpm = true,
            "ebs-nvme" => machine.ebs_nvme = true,
            "storage-nvme" => {
                if let Some(storage) = &mut machine.storage {
                    storage.nvme = true;
                }
            }
            odd => cells.odd(odd),
        }
    }
    machine
}

fn storage(cells: &mut Cells) -> Option<InstanceStorage> {
    let (disks, disk_gb) = (cells.maybe(), cells.maybe());
    let medium = match cells.text() {
        "" => None,
        "ssd" => Some(Medium::Ssd),
        "hdd" => Some(Medium::Hdd),
        odd => cells.odd(odd),
    };
    Some(InstanceStorage {
        disks: disks?,
        disk_gb: disk_gb?,
        medium: medium?,
        nvme: false,
    })
}

fn gpus(cells: &mut Cells) -> Option<Gpus> {
    let (count, name, memory_mib) = (cells.maybe(), cells.text(), cells.maybe());
    Some(Gpus {
        count: count?,
        name: name.to_owned(),
        memory_mib: memory_mib?,
    })
}

fn burstable(cells: &mut Cells) -> Option<Burstable> {
    let cell = cells.text();
    let (over, under) = cell.split_once('/')?;
    match (over.parse(), under.parse()) {
        (Ok(over), Ok(under)) => Some(Burstable {
            baseline: Share { over, under },
        }),
        _ => cells.odd(cell),
    }
}

fn words(cell: &'static str) -> impl Iterator<Item = &'static str> {
    cell.split(' ').filter(|word| !word.is_empty())
}
