//! The catalog: which regions and machine types exist, and which type is offered where.
//!
//! Its data are the files in `catalog/`, embedded when the crate is built and read once. It is
//! closed: what is not in it cannot be named in a source.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

/// The files of the catalog.
const EMBEDDED: [&str; 2] = [
    include_str!("../catalog/names.toml"),
    include_str!("../catalog/local.toml"),
];

/// Regions, machine types and the names around them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    regions: BTreeMap<String, Region>,
    types: BTreeMap<String, MachineType>,
    arch: Vec<String>,
    os: Vec<String>,
    also: BTreeMap<String, String>,
}

/// A place that machines are started in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name, for example `local`.
    pub name: String,
    /// The part of the world it belongs to, which decides where its images come from: `local` means
    /// this host.
    pub partition: String,
}

/// A kind of machine.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineType {
    /// Its name, for example `local.small`.
    pub name: String,
    /// Its number of virtual processors.
    pub vcpus: u32,
    /// Its memory in units of 1024² bytes.
    pub memory_mib: u64,
    /// The architectures it comes in.
    pub arch: Vec<String>,
    /// The names of the regions that offer it.
    pub regions: Vec<String>,
}

impl MachineType {
    /// Its memory in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        self.memory_mib << 20
    }

    /// Whether it can run an image of `arch`.
    #[must_use]
    pub fn runs(&self, arch: &str) -> bool {
        self.arch.iter().any(|own| own == arch)
    }

    /// Whether `region` offers it.
    #[must_use]
    pub fn is_offered_in(&self, region: &str) -> bool {
        self.regions.iter().any(|own| own == region)
    }
}

/// A file of the catalog.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    arch: Vec<String>,
    #[serde(default)]
    os: Vec<String>,
    #[serde(default)]
    also: BTreeMap<String, String>,
    #[serde(default)]
    region: Vec<Region>,
    #[serde(default)]
    r#type: Vec<MachineType>,
}

impl Catalog {
    /// The catalog that this build carries.
    ///
    /// # Panics
    /// If an embedded file does not parse, which a test of this crate excludes.
    #[must_use]
    pub fn embedded() -> &'static Self {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        CATALOG.get_or_init(|| {
            let mut catalog = Self::default();
            for text in EMBEDDED {
                match catalog.add(text) {
                    Ok(()) => {}
                    Err(error) => panic!("the embedded catalog does not parse: {error}"),
                }
            }
            catalog
        })
    }

    /// Adds the text of a catalog file; rows of the same name replace earlier ones.
    ///
    /// # Errors
    /// Where the text is not TOML of the form that `catalog/*.toml` show.
    pub fn add(&mut self, text: &str) -> Result<(), toml::de::Error> {
        let file: File = toml::from_str(text)?;
        self.arch.extend(file.arch);
        self.os.extend(file.os);
        self.also.extend(file.also);
        let regions = file.region.into_iter();
        self.regions
            .extend(regions.map(|region| (region.name.clone(), region)));
        let types = file.r#type.into_iter();
        self.types
            .extend(types.map(|machine| (machine.name.clone(), machine)));
        Ok(())
    }

    /// The region named `name`.
    #[must_use]
    pub fn region(&self, name: &str) -> Option<&Region> {
        self.regions.get(name)
    }

    /// The regions in the order of their names.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    /// The machine type named `name`.
    #[must_use]
    pub fn machine_type(&self, name: &str) -> Option<&MachineType> {
        self.types.get(name)
    }

    /// The machine types in the order of their names.
    pub fn machine_types(&self) -> impl Iterator<Item = &MachineType> {
        self.types.values()
    }

    /// The architectures that an image may have.
    pub fn architectures(&self) -> impl Iterator<Item = &str> {
        self.arch.iter().map(String::as_str)
    }

    /// The operating systems that any file may compare with.
    pub fn operating_systems(&self) -> impl Iterator<Item = &str> {
        self.os.iter().map(String::as_str)
    }

    /// Our name for what `name` also means: `aarch64` for `arm64`.
    #[must_use]
    pub fn our_name_for(&self, name: &str) -> Option<&str> {
        self.also.get(name).map(String::as_str)
    }

    /// Whether `name` is a region, a machine type or an architecture, so that an author cannot have it.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.regions.contains_key(name)
            || self.types.contains_key(name)
            || self.arch.iter().any(|arch| arch == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_catalog_holds_together() {
        let catalog = Catalog::embedded();
        for machine in catalog.machine_types() {
            assert!(machine.vcpus > 0 && machine.memory_mib > 0, "{machine:?}");
            assert!(!machine.regions.is_empty(), "{machine:?}");
            for region in &machine.regions {
                assert!(catalog.region(region).is_some(), "{machine:?}");
            }
            for arch in &machine.arch {
                assert!(catalog.architectures().any(|known| known == arch));
            }
        }
        for ours in catalog.also.values() {
            assert!(catalog.architectures().any(|known| known == ours));
        }
    }

    #[test]
    fn local_machines_are_as_documented() {
        let sizes: Vec<_> = Catalog::embedded()
            .machine_types()
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
        let small = Catalog::embedded().machine_type("local.small");
        assert!(small.is_some_and(|small| small.is_offered_in("local") && small.runs("x86_64")));
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(Catalog::default().add("colour = \"red\"").is_err());
    }
}
