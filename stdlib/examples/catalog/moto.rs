//! Machine types and offerings, as the package moto carries them: the answers of
//! `DescribeInstanceTypes` and `DescribeInstanceTypeOfferings`.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::MakeError;
use crate::decimal::scaled;
use crate::estimate::Kind;
use crate::facts::credits_per_hour;
use crate::wheel::Wheel;

/// A machine type, with the fields that the catalog keeps.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Type {
    pub bare_metal: bool,
    burstable_performance_supported: bool,
    current_generation: bool,
    hibernation_supported: bool,
    hypervisor: Option<String>,
    memory_info: Memory,
    #[serde(rename = "VCpuInfo")]
    vcpu_info: Vcpus,
    processor_info: Processor,
    supported_boot_modes: Vec<String>,
    supported_usage_classes: Vec<String>,
    nitro_tpm_support: String,
    network_info: Network,
    ebs_info: Ebs,
    instance_storage_info: Option<Storage>,
    gpu_info: Option<Gpus>,
}

#[derive(Deserialize)]
struct Memory {
    #[serde(rename = "SizeInMiB")]
    size_in_mib: u64,
}

#[derive(Deserialize)]
struct Vcpus {
    #[serde(rename = "DefaultVCpus")]
    default: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Processor {
    supported_architectures: Vec<String>,
    manufacturer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Network {
    network_performance: String,
    ena_support: String,
    efa_supported: bool,
    #[serde(default)]
    network_cards: Vec<Card>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Card {
    baseline_bandwidth_in_gbps: Option<f64>,
    peak_bandwidth_in_gbps: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Ebs {
    nvme_support: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Storage {
    disks: Vec<Disk>,
    nvme_support: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Disk {
    count: u32,
    #[serde(rename = "SizeInGB")]
    size_in_gb: u64,
    r#type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Gpus {
    gpus: Vec<Gpu>,
    #[serde(rename = "TotalGpuMemoryInMiB")]
    total_mib: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Gpu {
    logical_gpu_count: u32,
    manufacturer: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Offering {
    instance_type: String,
    location: String,
}

/// Where a type is offered.
#[derive(Default)]
pub struct Offerings {
    /// The zones of each region, by name.
    pub zones: BTreeMap<String, BTreeMap<String, String>>,
    /// For each region and type the last letters of the zones that offer it.
    pub offered: BTreeMap<String, BTreeMap<String, String>>,
}

const RESOURCES: &str = "moto/ec2/resources/";

impl Type {
    pub fn vcpus(&self) -> u32 {
        self.vcpu_info.default
    }

    /// Whether it earns CPU credits.
    pub fn is_burstable(&self) -> bool {
        self.burstable_performance_supported
    }

    /// Whether it runs images of `arch`.
    pub fn runs(&self, arch: &str) -> bool {
        let mut own = self.processor_info.supported_architectures.iter();
        own.any(|own| own == arch)
    }

    /// What its family is like.
    pub fn kind(&self) -> Kind {
        Kind {
            maker: self.processor_info.manufacturer.clone(),
            gpu: self.gpu_info.is_some(),
            disks: self.instance_storage_info.is_some(),
            memory: self.memory_info.size_in_mib / u64::from(self.vcpus()).max(1),
        }
    }

    /// Its row in `types.tsv`, whose columns `dva_stdlib` documents.
    pub fn row(&self, name: &str) -> Result<String, MakeError> {
        let odd = |what: &str| MakeError::Type(name.to_owned(), what.to_owned());
        let mbps = |of: fn(&Card) -> Option<f64>| -> String {
            let cards: Option<Vec<i64>> = self
                .network_info
                .network_cards
                .iter()
                .map(|card| of(card).and_then(|gbps| scaled(gbps, 3)))
                .collect();
            match cards {
                Some(cards) if !cards.is_empty() => cards.iter().sum::<i64>().to_string(),
                _ => String::new(),
            }
        };
        let disk = match &self.instance_storage_info {
            None => None,
            Some(info) => match info.disks.as_slice() {
                [disk] => Some((disk, info.nvme_support != "unsupported")),
                _ => return Err(odd("has disks of several sizes")),
            },
        };
        let gpu = match &self.gpu_info {
            None => None,
            Some(info) => match info.gpus.as_slice() {
                [gpu] => Some((gpu, info.total_mib)),
                _ => return Err(odd("has several kinds of GPU")),
            },
        };
        let baseline = match (self.burstable_performance_supported, credits_per_hour(name)) {
            (false, _) => String::new(),
            (true, None) => return Err(odd("is burstable and its credits are not known")),
            (true, Some(tenths)) => share_of_an_hour(tenths, self.vcpus()),
        };
        let flags = [
            ("metal", self.bare_metal),
            ("current", self.current_generation),
            (
                "spot",
                self.supported_usage_classes
                    .iter()
                    .any(|class| class == "spot"),
            ),
            ("hibernates", self.hibernation_supported),
            ("efa", self.network_info.efa_supported),
            ("tpm", self.nitro_tpm_support == "supported"),
            ("ebs-nvme", self.ebs_info.nvme_support != "unsupported"),
            ("storage-nvme", disk.is_some_and(|(_, nvme)| nvme)),
        ];
        let flags: Vec<&str> = flags
            .into_iter()
            .filter_map(|(flag, holds)| holds.then_some(flag))
            .collect();
        let cells = [
            name.to_owned(),
            self.vcpus().to_string(),
            self.memory_info.size_in_mib.to_string(),
            self.processor_info.supported_architectures.join(" "),
            self.hypervisor.clone().unwrap_or_default(),
            self.supported_boot_modes.join(" "),
            self.network_info.ena_support.clone(),
            self.network_info.network_performance.clone(),
            mbps(|card| card.baseline_bandwidth_in_gbps),
            mbps(|card| card.peak_bandwidth_in_gbps),
            disk.map_or_else(String::new, |(disk, _)| disk.count.to_string()),
            disk.map_or_else(String::new, |(disk, _)| disk.size_in_gb.to_string()),
            disk.map_or_else(String::new, |(disk, _)| disk.r#type.clone()),
            gpu.map_or_else(String::new, |(gpu, _)| gpu.logical_gpu_count.to_string()),
            gpu.map_or_else(String::new, |(gpu, _)| {
                format!("{} {}", gpu.manufacturer, gpu.name)
            }),
            gpu.map_or_else(String::new, |(_, mib)| mib.to_string()),
            baseline,
            flags.join(" "),
        ];
        if cells.iter().any(|cell| cell.contains(['\t', '\n'])) {
            return Err(odd("has a tab or a line break in a field"));
        }
        Ok(cells.join("\t"))
    }
}

/// The part of an hour that `tenths` of a credit (a vCPU-minute each) are of each of `vcpus`, reduced.
fn share_of_an_hour(tenths: u32, vcpus: u32) -> String {
    let (over, under) = (tenths, vcpus * 600);
    let divisor = (1..=over)
        .rev()
        .find(|divisor| over % divisor == 0 && under % divisor == 0)
        .unwrap_or(1);
    format!("{}/{}", over / divisor, under / divisor)
}

/// The machine types of the package, by name.
pub fn types(wheel: &mut Wheel) -> Result<BTreeMap<String, Type>, MakeError> {
    wheel.json(&format!("{RESOURCES}instance_types.json.gz"))
}

/// The offerings of the package.
pub fn offerings(wheel: &mut Wheel) -> Result<Offerings, MakeError> {
    let mut all = Offerings::default();
    let folder = |kind: &str| format!("{RESOURCES}instance_type_offerings/{kind}/");
    for file in wheel.names_in(&folder("region")) {
        let Some(region) = file
            .strip_prefix(&folder("region"))
            .and_then(|rest| rest.strip_suffix(".json.gz"))
            .map(str::to_owned)
        else {
            continue;
        };
        let whole: Vec<Offering> = wheel.json(&file)?;
        let mut rows = |kind: &str| -> Result<Vec<Offering>, MakeError> {
            wheel.json(&format!("{}{region}.json.gz", folder(kind)))
        };
        let (named, identified) = (rows("availability-zone")?, rows("availability-zone-id")?);
        let mut letters: BTreeMap<String, String> = whole
            .into_iter()
            .map(|row| (row.instance_type, String::new()))
            .collect();
        for row in &named {
            let letter = row.location.strip_prefix(&region).unwrap_or_default();
            let [b'a'..=b'z'] = letter.as_bytes() else {
                let what = format!("is offered in `{}`", row.location);
                return Err(MakeError::Type(row.instance_type.clone(), what));
            };
            letters
                .entry(row.instance_type.clone())
                .or_default()
                .push_str(letter);
        }
        for zones in letters.values_mut() {
            let sorted: BTreeSet<char> = zones.chars().collect();
            *zones = sorted.into_iter().collect();
        }
        all.zones.insert(
            region.clone(),
            zone_ids(&by_place(&named), &by_place(&identified)),
        );
        all.offered.insert(region, letters);
    }
    Ok(all)
}

fn by_place(rows: &[Offering]) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut places: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        places
            .entry(&row.location)
            .or_default()
            .insert(&row.instance_type);
    }
    places
}

/// The id of each zone: the one that offers the same types. Where two offer the same, they are taken in
/// order, which says the same of what is offered where.
fn zone_ids(
    named: &BTreeMap<&str, BTreeSet<&str>>,
    identified: &BTreeMap<&str, BTreeSet<&str>>,
) -> BTreeMap<String, String> {
    let mut taken = BTreeSet::new();
    let mut ids = BTreeMap::new();
    for (name, types) in named {
        let same = identified
            .iter()
            .find(|(id, others)| *others == types && !taken.contains(*id));
        let id = same.map_or("", |(id, _)| *id);
        taken.insert(id);
        ids.insert((*name).to_owned(), id.to_owned());
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_is_an_exact_ratio() {
        assert_eq!(share_of_an_hour(120, 2), "1/10");
        assert_eq!(share_of_an_hour(540, 4), "9/40");
        assert_eq!(share_of_an_hour(816, 8), "17/100");
    }

    #[test]
    fn a_zone_has_the_id_that_offers_the_same() {
        let row = |location: &str, instance_type: &str| Offering {
            location: location.to_owned(),
            instance_type: instance_type.to_owned(),
        };
        let named = [
            row("xa", "t.a"),
            row("xa", "t.b"),
            row("xb", "t.a"),
            row("xc", "t.a"),
        ];
        let ids = [
            row("x-az1", "t.a"),
            row("x-az2", "t.a"),
            row("x-az2", "t.b"),
            row("x-az3", "t.a"),
        ];
        let found = zone_ids(&by_place(&named), &by_place(&ids));
        let found: Vec<_> = found
            .iter()
            .map(|(a, b)| (a.as_str(), b.as_str()))
            .collect();
        assert_eq!(found, [("xa", "x-az2"), ("xb", "x-az1"), ("xc", "x-az3")]);
    }
}
