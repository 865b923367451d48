//! What the committed files hold, and how they are asked.

use super::*;
use crate::{BootMode, Ena, Hypervisor, Medium, Share};

fn machine(name: &str) -> &'static MachineType {
    Catalog::embedded()
        .machine_type(name)
        .unwrap_or_else(|| panic!("{name} is a type"))
}

fn linux(region: &str, name: &str) -> Option<Price> {
    Catalog::embedded().price(region, name, OsClass::Linux, Market::OnDemand)
}

#[test]
fn the_embedded_catalog_holds_together() {
    let catalog = Catalog::embedded();
    for machine in catalog.machine_types() {
        assert!(machine.vcpus > 0 && machine.memory_mib > 0, "{machine:?}");
        let regions = machine.regions();
        assert!(!regions.is_empty() && regions.is_sorted(), "{machine:?}");
        for region in regions {
            assert!(catalog.region(region).is_some(), "{machine:?}");
            assert!(machine.is_offered_in(region), "{machine:?}");
        }
        for arch in &machine.arch {
            assert!(catalog.architectures().any(|known| known == arch));
        }
        if let Some(burstable) = &machine.burstable {
            let Share { over, under } = burstable.baseline;
            assert!(over > 0 && over < under, "{machine:?}");
        }
        let is_bare = machine.hypervisor.is_none();
        assert!(
            is_bare == (machine.bare_metal || machine.family() == "local"),
            "{machine:?}"
        );
    }
    for ours in catalog.also.values() {
        let mut ours_are = catalog.architectures().chain(catalog.operating_systems());
        assert!(ours_are.any(|known| known == ours));
    }
}

/// Every zone that offers a type is one of the region's, and every region whose zones are known offers
/// each of its types in one of them.
#[test]
fn offerings_and_zones_agree() {
    let catalog = Catalog::embedded();
    let mut pairs = 0;
    for region in catalog.regions() {
        assert!(region.zones.iter().map(|zone| &zone.name).is_sorted());
        for machine in catalog.types_in(&region.name) {
            let zones = catalog.zones_offering(&region.name, &machine.name).count();
            assert_eq!(
                zones == 0,
                region.zones.is_empty(),
                "{} {}",
                region.name,
                machine.name
            );
            pairs += usize::from(zones > 0);
        }
    }
    // As many as the package has rows.
    assert_eq!(pairs, 19_119);
}

#[test]
fn prices_are_positive_and_no_better_than_their_parts() {
    let catalog = Catalog::embedded();
    for region in catalog.regions() {
        for machine in catalog.types_in(&region.name) {
            for os in OsClass::ALL {
                let of = |market| catalog.price(&region.name, &machine.name, os, market);
                let Some(price) = of(Market::OnDemand) else {
                    continue;
                };
                assert!(price.nano_usd_per_hour > 0, "{price:?}");
                assert!(price.surcharge_nano_usd_per_hour >= 0, "{price:?}");
                assert!(price.quality >= price.machine_quality, "{price:?}");
                assert!(price.quality >= price.surcharge_quality, "{price:?}");
                assert_eq!(of(Market::Spot).is_some(), machine.spot);
                // Bare metal is only ever estimated.
                assert!(!machine.bare_metal || price.quality == Quality::Estimated);
            }
        }
    }
}

#[test]
fn types_are_as_ec2_describes_them() {
    let m5d = machine("m5d.xlarge");
    assert_eq!(
        (m5d.vcpus, m5d.memory_mib, m5d.family()),
        (4, 16_384, "m5d")
    );
    assert_eq!(m5d.hypervisor, Some(Hypervisor::Nitro));
    assert_eq!(m5d.boot_modes, [BootMode::LegacyBios, BootMode::Uefi]);
    assert_eq!(
        (m5d.ena, m5d.efa, m5d.tpm, m5d.ebs_nvme),
        (Ena::Required, false, true, true)
    );
    assert_eq!(m5d.network.performance, "Up to 10 Gigabit");
    assert_eq!(
        (m5d.network.baseline_mbps, m5d.network.peak_mbps),
        (Some(1250), Some(10_000))
    );
    let storage = m5d.storage.expect("it has a disk");
    assert_eq!(
        (storage.total_gb(), storage.medium, storage.nvme),
        (150, Medium::Ssd, true)
    );
    assert!(m5d.gpus.is_none() && m5d.burstable.is_none() && !m5d.bare_metal);

    let p4d = machine("p4d.24xlarge");
    let gpus = p4d.gpus.as_ref().expect("it has GPUs");
    assert_eq!(
        (gpus.count, gpus.name.as_str(), gpus.memory_mib),
        (8, "NVIDIA A100", 327_680)
    );
    assert_eq!(p4d.storage.map(|storage| storage.total_gb()), Some(8000));

    let baseline = |name| {
        machine(name)
            .burstable
            .map(|of| (of.baseline.over, of.baseline.under))
    };
    assert_eq!(baseline("t3.micro"), Some((1, 10)));
    assert_eq!(baseline("t2.xlarge"), Some((9, 40)));
    assert_eq!(
        machine("d2.xlarge").storage.map(|storage| storage.medium),
        Some(Medium::Hdd)
    );
    assert!(machine("m5.metal").bare_metal);
    assert!(machine("mac2.metal").is_mac() && machine("t4g.nano").runs("arm64"));
}

#[test]
fn regions_have_partitions_and_zones() {
    let catalog = Catalog::embedded();
    let region = |name| catalog.region(name).expect("it is a region");
    assert_eq!(region("eu-west-1").partition, "aws");
    assert_eq!(region("us-gov-west-1").partition, "aws-us-gov");
    assert_eq!(region("cn-north-1").partition, "aws-cn");
    assert!(region("af-south-1").opt_in && !region("eu-west-1").opt_in);
    let ids: Vec<_> = region("eu-west-1")
        .zones
        .iter()
        .map(|zone| zone.id.as_str())
        .collect();
    assert_eq!(ids, ["euw1-az3", "euw1-az1", "euw1-az2"]);
    let zones = catalog
        .zones_offering("us-east-1", "t3.micro")
        .map(|zone| zone.name.as_str());
    // us-east-1e is old and has few types.
    assert!(zones.eq([
        "us-east-1a",
        "us-east-1b",
        "us-east-1c",
        "us-east-1d",
        "us-east-1f"
    ]));
    assert_eq!(catalog.zones_offering("local", "t3.micro").count(), 0);
    assert_eq!(
        catalog.zones_offering("us-east-1", "nothing.large").count(),
        0
    );
    assert!(catalog.families().contains("m7i-flex"));
}

/// Prices that are common knowledge, among them one whose row in the package is 0 (m5.xlarge) and one
/// whose row is that of a dedicated instance (m5.large in eu-west-1).
#[test]
fn prices_are_those_of_shared_tenancy() {
    let nano =
        |region, name| linux(region, name).map(|price| (price.nano_usd_per_hour, price.quality));
    assert_eq!(
        nano("us-east-1", "t3.micro").map(|(nano, _)| nano),
        Some(10_400_000)
    );
    assert_eq!(
        nano("us-east-1", "m5.xlarge"),
        Some((192_000_000, Quality::Derived))
    );
    assert_eq!(
        nano("eu-west-1", "m5.large"),
        Some((107_000_000, Quality::Derived))
    );
    assert_eq!(
        nano("us-gov-west-1", "m5.large").map(|(nano, _)| nano),
        Some(121_000_000)
    );
    // Cut after the day of the tables, so never called better than estimated.
    assert_eq!(
        nano("us-east-1", "p4d.24xlarge").map(|of| of.1),
        Some(Quality::Estimated)
    );
}

#[test]
fn an_operating_system_is_a_surcharge() {
    let catalog = Catalog::embedded();
    let of = |name, os| {
        let price = catalog.price("us-east-1", name, os, Market::OnDemand)?;
        Some(price.surcharge_nano_usd_per_hour)
    };
    assert_eq!(of("m5.large", OsClass::Linux), Some(0));
    assert_eq!(of("m5.large", OsClass::Rhel), Some(28_800_000));
    assert_eq!(of("m5.24xlarge", OsClass::Rhel), Some(1_036_800_000));
    assert_eq!(of("c6i.32xlarge", OsClass::Rhel), Some(1_228_800_000));
    assert_eq!(of("m6i.large", OsClass::Suse), Some(56_300_000));
    assert_eq!(of("m6i.2xlarge", OsClass::Suse), Some(125_000_000));
    assert_eq!(of("m5.2xlarge", OsClass::Suse), Some(100_000_000));
    assert_eq!(of("m5.large", OsClass::Windows), Some(92_000_000));
    assert_eq!(of("t3.micro", OsClass::Windows), Some(9_200_000));
    assert_eq!(of("m7g.large", OsClass::Windows), None);
}

#[test]
fn spot_is_the_price_on_demand_at_most() {
    let catalog = Catalog::embedded();
    let spot = catalog.price("us-east-1", "m5.large", OsClass::Linux, Market::Spot);
    let spot = spot.expect("m5.large is on the spot market");
    assert_eq!(
        (spot.nano_usd_per_hour, spot.quality),
        (96_000_000, Quality::Estimated)
    );
    assert!(spot.source.contains("at most") || spot.source.contains("the most"));
}

#[test]
fn what_has_no_basis_has_no_price() {
    assert_eq!(linux("us-east-1", "mac2.metal"), None);
    assert_eq!(linux("cn-northwest-1", "m5.large"), None);
    assert_eq!(linux("cn-north-1", "m7i.large"), None);
    assert_eq!(linux("local", "local.small"), None);
    assert_eq!(linux("us-east-1", "nothing.large"), None);
    assert!(Catalog::embedded().rates("local").is_none());
    assert!(Catalog::embedded().rates("cn-northwest-1").is_none());
}

/// 1.013 yuan at $0.15, of a day of its own. What RHEL adds there is no better known than that.
#[test]
fn prices_in_yuan_are_estimated_in_dollars() {
    let catalog = Catalog::embedded();
    let price = catalog.price("cn-north-1", "m5.large", OsClass::Rhel, Market::OnDemand);
    let price = price.expect("it is offered there");
    assert_eq!(price.nano_usd_per_hour, 151_950_000);
    assert_eq!(price.surcharge_nano_usd_per_hour, 28_800_000);
    assert_eq!(price.machine_quality, Quality::Estimated);
    assert_eq!(price.surcharge_quality, Quality::Estimated);
    assert_eq!(
        (&*price.as_of, &*price.surcharge_as_of),
        ("2023-09-18", "2025-03-02")
    );
    assert!(price.source.contains("in yuan"));
    // The list is what the region offers, and nothing is known of its zones.
    for machine in catalog.types_in("cn-north-1") {
        assert!(linux("cn-north-1", &machine.name).is_some());
        assert_eq!(
            catalog.zones_offering("cn-north-1", &machine.name).count(),
            0
        );
    }
    let rates = catalog.rates("cn-north-1").expect("it has rates");
    let qualities = [
        rates.ebs_gib_month,
        rates.ipv4_hour,
        rates.credits_vcpu_hour,
    ];
    assert!(
        qualities
            .iter()
            .all(|rate| rate.quality == Quality::Estimated)
    );
}

#[test]
fn regions_have_rates() {
    let catalog = Catalog::embedded();
    for region in catalog.regions() {
        let offers = catalog
            .types_in(&region.name)
            .any(|machine| machine.family() != "local");
        assert_eq!(
            catalog.rates(&region.name).is_some(),
            offers,
            "{}",
            region.name
        );
    }
    let rates = catalog.rates("us-east-1").expect("it has rates");
    assert_eq!(
        (rates.ebs_gib_month.nano_usd, rates.ebs_gib_month.quality),
        (80_000_000, Quality::Exact)
    );
    assert_eq!(rates.ipv4_hour.nano_usd, 5_000_000);
    assert_eq!(rates.credits_vcpu_hour.nano_usd, 50_000_000);
    assert_eq!(rates.mac_host_minimum_hours, 24);
    let far = catalog.rates("eu-west-1").expect("it has rates");
    assert_eq!(far.ebs_gib_month.quality, Quality::Estimated);
}

#[test]
fn local_machines_are_as_documented() {
    let sizes: Vec<_> = Catalog::embedded()
        .types_in("local")
        .map(|machine| (machine.name.as_str(), machine.vcpus, machine.memory_mib))
        .collect();
    assert_eq!(
        sizes,
        [
            ("local.large", 2, 8192),
            ("local.medium", 2, 2048),
            ("local.small", 1, 512),
        ]
    );
    let small = machine("local.small");
    assert!(small.is_offered_in("local") && small.runs("x86_64") && small.runs("arm64"));
}

#[test]
fn an_unknown_key_is_refused() {
    assert!(Catalog::default().add("colour = \"red\"").is_err());
}

#[test]
fn a_file_may_bring_types_and_prices() {
    let mut catalog = Catalog::default();
    let text = r#"
        [[region]]
        name = "moon-1"
        partition = "moon"
        opt_in = true
        zones = [{ name = "moon-1a", id = "m1" }]
        [[type]]
        name = "big.large"
        vcpus = 2
        memory_mib = 4096
        arch = ["arm64"]
        regions = ["moon-1"]
        hypervisor = "nitro"
        burstable.baseline = { over = 1, under = 5 }
        [[price]]
        region = "moon-1"
        type = "big.large"
        nano_usd_per_hour = 7
        quality = "derived"
        source = "a test"
        as_of = "2026-01-01"
    "#;
    catalog
        .add(text)
        .expect("the rows have the form of the catalog");
    let price = |os| catalog.price("moon-1", "big.large", os, Market::OnDemand);
    assert_eq!(
        price(OsClass::Linux).map(|price| price.total_nano_usd_per_hour()),
        Some(7)
    );
    assert_eq!(price(OsClass::Rhel), None);
    // Its zones are known, and which of them offer the type is not.
    assert_eq!(catalog.zones_offering("moon-1", "big.large").count(), 0);
    assert_eq!(
        catalog.price("us-east-1", "m5.large", OsClass::Linux, Market::OnDemand),
        None
    );
}
