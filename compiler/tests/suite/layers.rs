//! Which crate may know which: the rules of the architecture, held to by reading the manifests.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What each package names in `[dependencies]` and `[build-dependencies]`, with its folder.
fn packages() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let workspace = read(&root.join("Cargo.toml"));
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("members are a list");
    members
        .iter()
        .map(|member| {
            let folder = member.as_str().expect("a member is a path").to_owned();
            let manifest = read(&root.join(&folder).join("Cargo.toml"));
            let name = manifest["package"]["name"]
                .as_str()
                .expect("a package has a name");
            let tables = ["dependencies", "build-dependencies"];
            let named = tables
                .iter()
                .filter_map(|table| manifest.get(*table)?.as_table());
            let named = named.flat_map(|table| table.keys().cloned()).collect();
            (name.to_owned(), (folder, named))
        })
        .collect()
}

fn read(path: &Path) -> toml::Table {
    let text = fs::read_to_string(path).expect("a manifest is readable");
    text.parse().expect("a manifest is TOML")
}

#[test]
fn the_runtime_knows_nothing_of_the_language() {
    for (name, (folder, named)) in packages() {
        if !folder.starts_with("runtime") {
            continue;
        }
        for other in ["dva-compiler", "dva-grammar", "dva-stdlib"] {
            assert!(!named.contains(other), "{name} names {other}");
        }
    }
}

#[test]
fn the_pure_crates_can_do_no_io() {
    let packages = packages();
    for pure in [
        "dva-compiler",
        "dva-schedule",
        "dva-plan",
        "dva-grammar",
        "dva-stdlib",
    ] {
        let (_, named) = &packages[pure];
        for other in named {
            let may_not = [
                "tokio",
                "russh",
                "rusqlite",
                "rustix",
                "dva-runtime",
                "async-trait",
            ];
            assert!(
                !may_not.contains(&other.as_str()) && !other.starts_with("aws-"),
                "{pure} names {other}"
            );
        }
    }
}

#[test]
fn only_the_command_names_providers() {
    for (name, (_, named)) in packages() {
        if name == "dva" {
            continue;
        }
        for provider in ["dva-local", "dva-ec2", "dva-qemu"] {
            assert!(!named.contains(provider), "{name} names {provider}");
        }
    }
}

#[test]
fn only_the_contracts_cross() {
    let packages = packages();
    for (name, (folder, named)) in &packages {
        if folder.starts_with("runtime") || name == "dva" {
            continue;
        }
        for other in named {
            let Some((other_folder, _)) = packages.get(other) else {
                continue;
            };
            let is_contract = ["dva-plan", "dva-schedule"].contains(&other.as_str());
            assert!(
                !other_folder.starts_with("runtime") || is_contract,
                "{name} names {other}"
            );
        }
    }
}

#[test]
fn one_crate_derives_a_parser() {
    for (name, (_, named)) in packages() {
        assert!(
            !named.contains("pest_derive") || name == "dva-grammar",
            "{name} names pest_derive"
        );
    }
}

/// `miette-error` of pest pulls in `fancy`, which the command alone may choose.
#[test]
fn rendering_is_the_commands_choice() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, (folder, _)) in packages() {
        let manifest = read(&root.join(folder).join("Cargo.toml"));
        let Some(dependencies) = manifest
            .get("dependencies")
            .and_then(|table| table.as_table())
        else {
            continue;
        };
        let features = |package: &str| -> String {
            let features = dependencies
                .get(package)
                .and_then(|row| row.get("features"));
            features.map(ToString::to_string).unwrap_or_default()
        };
        assert!(!features("pest").contains("miette-error"), "{name}");
        assert!(
            name == "dva" || !features("miette").contains("fancy"),
            "{name}"
        );
    }
}
