//! What of the catalog meets a condition, in the language's own words: for commands that list it.
//!
//! The condition is what stands behind `types where` and `regions where` in a matrix.

use std::collections::BTreeMap;

use dva_stdlib::{Catalog, MachineType, Region};

use crate::diagnostic::{Bag, Diagnostic};
use crate::hir::{Choice, Hir};
use crate::source::{Source, Sources};
use crate::syntax;
use crate::types::choose;

/// The machine types that meet `condition`, such as `memory >= 16GiB and nvme`, in the order of their
/// names.
///
/// # Errors
/// What is wrong with the condition; nothing meeting it is wrong too. Places are those of a
/// [`Source`] that has this text.
pub fn types<'c>(
    catalog: &'c Catalog,
    condition: &str,
) -> Result<Vec<&'c MachineType>, Vec<Diagnostic>> {
    let names = names(catalog, Choice::Types, condition)?;
    let types = names.iter().filter_map(|name| catalog.machine_type(name));
    Ok(types.collect())
}

/// The regions that meet `condition`, such as `partition == aws-cn`, in the order of their names.
///
/// # Errors
/// As [`types`].
pub fn regions<'c>(
    catalog: &'c Catalog,
    condition: &str,
) -> Result<Vec<&'c Region>, Vec<Diagnostic>> {
    let names = names(catalog, Choice::Regions, condition)?;
    let regions: BTreeMap<&str, &Region> = catalog
        .regions()
        .map(|region| (region.name.as_str(), region))
        .collect();
    let found = names.iter().filter_map(|name| regions.get(name.as_str()));
    Ok(found.copied().collect())
}

fn names(catalog: &Catalog, from: Choice, condition: &str) -> Result<Vec<String>, Vec<Diagnostic>> {
    let mut bag = Bag::default();
    let sources = Sources::of(Source::new("condition", condition));
    let names = syntax::condition(condition, &mut bag).and_then(|condition| {
        choose(
            &Hir::default(),
            &sources,
            catalog,
            from,
            &condition,
            &mut bag,
        )
    });
    match names {
        Some(names) if !bag.has_errors() => Ok(names),
        _ => Err(bag.into_sorted()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    fn types_of(condition: &str) -> Vec<&'static str> {
        let types = types(Catalog::embedded(), condition);
        let types = types.unwrap_or_else(|found| panic!("{condition}: {found:?}"));
        types.iter().map(|machine| machine.name.as_str()).collect()
    }

    fn codes_of(condition: &str) -> Vec<Code> {
        let found = types(Catalog::embedded(), condition).expect_err(condition);
        assert!(found.iter().all(|finding| !finding.help.is_empty()));
        found.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn types_are_found_by_what_they_are() {
        let all = Catalog::embedded().machine_types().count();
        let with = types_of("memory >= 16GiB and nvme");
        let without = types_of("not (memory >= 16GiB and nvme)");
        assert_eq!(with.len() + without.len(), all);
        assert!(with.contains(&"m5d.xlarge") && !with.contains(&"m5.xlarge"));
        assert_eq!(
            types_of("family == local and vcpus == 2"),
            ["local.large", "local.medium"]
        );
        assert_eq!(
            types_of("instance == u-6tb1.112xlarge"),
            ["u-6tb1.112xlarge"]
        );
        // A type of two architectures is found by either.
        for arch in ["arch == x86_64", "arch == arm64", "arch in [x86_64, arm64]"] {
            assert!(types_of(arch).contains(&"local.small"), "{arch}");
        }
    }

    #[test]
    fn regions_are_found_by_what_they_are() {
        let found = regions(Catalog::embedded(), "partition == aws-cn");
        let names = |regions: &Vec<&Region>| -> Vec<String> {
            regions.iter().map(|region| region.name.clone()).collect()
        };
        assert_eq!(
            found.as_ref().map(names),
            Ok(vec!["cn-north-1".into(), "cn-northwest-1".into()])
        );
        let found = regions(Catalog::embedded(), "opt_in and region != eu-south-2");
        assert!(found.is_ok_and(|found| found.iter().all(|region| region.opt_in)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(codes_of("familly == m5"), [Code::P0204]);
        assert_eq!(codes_of("family == m55"), [Code::P0304]);
        assert_eq!(codes_of("memory >= 1000TiB"), [Code::P0415]);
        assert_eq!(codes_of("memory > 4"), [Code::P0302]);
        assert_eq!(codes_of("memory"), [Code::P0301]);
        let found = types(Catalog::embedded(), "nvme =").expect_err("a lone `=`");
        assert!(found[0].help.contains("`==` compares"), "{found:?}");
        for odd in [
            "",
            " ",
            "memory >=",
            "(nvme",
            "nvme)",
            "nvme nvme",
            "memory >= 4 GiB",
            "nvme // x",
        ] {
            let _ = types(Catalog::embedded(), odd);
            assert!(
                types(Catalog::embedded(), odd).is_err() || odd.contains("//"),
                "{odd:?}"
            );
        }
        assert!(types(Catalog::embedded(), &"(".repeat(1_000)).is_err());
        assert!(types(Catalog::embedded(), &"nvme and ".repeat(10_000)).is_err());
    }
}
