//! `dva catalog`: machine types and regions, with what they cost.
//!
//! It shows what the compiler goes by: the embedded catalog, chosen from by the language's own
//! conditions. It asks no cloud, so what an account may not use is listed too.

mod condition;
mod list;
mod offer;
mod page;
mod place;
mod view;

use std::io::{Write, stderr};

use dva_compiler::suggest::{did_you_mean, listed};
use dva_plan::ExitCode;
use dva_stdlib::{Catalog, MachineType, Market, OsClass, Region};

use crate::args::{CatalogArguments, MarketName, OsName};
use crate::failure::Failure;
use crate::output;
use offer::Terms;

/// What is asked for.
enum Asked<'a> {
    /// All types, or those that meet a condition.
    Types(Vec<&'a MachineType>),
    /// One type whole.
    Type(&'a MachineType),
    /// All regions, or those that meet a condition.
    Regions(Vec<&'a Region>),
    /// One region whole.
    Region(&'a Region),
}

/// What is shown.
struct Answer {
    /// For standard output.
    text: String,
    /// What people should know beside it, for standard error: so a table stays a table in a pipe.
    note: String,
}

/// Looks up and prints.
pub fn run(arguments: &CatalogArguments) -> Result<ExitCode, Failure> {
    let catalog = Catalog::embedded();
    for name in &arguments.region {
        if catalog.region(name).is_none() {
            return Err(unknown_region(catalog, name));
        }
    }
    let terms = Terms {
        os: match arguments.os {
            OsName::Linux => OsClass::Linux,
            OsName::Rhel => OsClass::Rhel,
            OsName::RhelHa => OsClass::RhelHa,
            OsName::Suse => OsClass::Suse,
            OsName::Windows => OsClass::Windows,
        },
        market: match arguments.market {
            MarketName::OnDemand => Market::OnDemand,
            MarketName::Spot => Market::Spot,
        },
    };
    let answer = match asked(catalog, arguments)? {
        Asked::Types(types) => list::types(catalog, &types, &terms, arguments)?,
        Asked::Type(machine) => page::machine_type(catalog, machine, &terms, arguments)?,
        Asked::Regions(regions) => place::regions(catalog, &regions, arguments),
        Asked::Region(region) => place::region(catalog, region, arguments),
    };
    output::print(answer.text)?;
    let _ = stderr().write_all(answer.note.as_bytes());
    Ok(ExitCode::Ok)
}

fn asked<'c>(catalog: &'c Catalog, arguments: &CatalogArguments) -> Result<Asked<'c>, Failure> {
    let what = arguments.what.as_deref();
    if what.is_some_and(|what| what.trim().is_empty()) {
        let text = "The condition is empty. Write for example 'memory >= 16GiB and nvme'.";
        return Err(Failure::new(ExitCode::Invocation, text));
    }
    if let Some(region) = what.and_then(|name| catalog.region(name)) {
        if arguments.cheapest {
            let name = &region.name;
            let text = format!("`{name}` is a region. Write `--cheapest --region {name}`.");
            return Err(Failure::new(ExitCode::Invocation, text));
        }
        return Ok(Asked::Region(region));
    }
    let Some(what) = what else {
        return Ok(match arguments.regions {
            true => Asked::Regions(catalog.regions().collect()),
            false => Asked::Types(catalog.machine_types().collect()),
        });
    };
    if arguments.regions {
        if is_name(what) {
            return Err(unknown_region(catalog, what));
        }
        return condition::regions(catalog, what).map(Asked::Regions);
    }
    if let Some(machine) = catalog.machine_type(what) {
        return Ok(Asked::Type(machine));
    }
    let of_family = catalog
        .machine_types()
        .filter(|machine| machine.family() == what);
    let of_family: Vec<_> = of_family.collect();
    if !of_family.is_empty() {
        return Ok(Asked::Types(of_family));
    }
    if is_name(what) {
        return Err(unknown_name(catalog, what));
    }
    condition::types(catalog, what).map(Asked::Types)
}

/// Whether `what` can be a name only: facts that stand alone, such as `nvme`, have neither digits nor
/// hyphens nor dots.
fn is_name(what: &str) -> bool {
    let in_names = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    what.chars().all(in_names)
        && what.contains(|letter: char| letter.is_ascii_digit() || "-.".contains(letter))
}

fn unknown_name(catalog: &Catalog, name: &str) -> Failure {
    let types = || catalog.machine_types().map(|machine| machine.name.as_str());
    let regions = catalog.regions().map(|region| region.name.as_str());
    let families = catalog.families();
    let lower = name.to_lowercase();
    let family = lower.split_once('.').map_or(&*lower, |(family, _)| family);
    let mut longer = families
        .iter()
        .copied()
        .filter(|known| known.starts_with(family));
    let help = match lower.split_once('.') {
        // A generation without its kind, `m7`, is nearer to `m7i` than to `m1`.
        _ if !family.is_empty()
            && !families.contains(family)
            && longer.clone().next().is_some() =>
        {
            format!("Families that begin like it are {}.", listed(&mut longer))
        }
        // Where the family is right, its sizes say more than the nearest type of another one.
        Some((family, _)) if families.contains(family) => {
            let of_family = |known: &&str| {
                let rest = known.strip_prefix(family);
                rest.is_some_and(|rest| rest.starts_with('.'))
            };
            let sizes = || types().filter(of_family);
            did_you_mean(&lower, sizes())
                .unwrap_or_else(|| format!("There are {}.", listed(sizes())))
        }
        Some(_) => or_list(did_you_mean(&lower, types())),
        None => or_list(did_you_mean(&lower, families.into_iter().chain(regions))),
    };
    Failure::new(
        ExitCode::Invocation,
        format!("There is no machine type, family or region `{name}`. {help}"),
    )
}

fn or_list(help: Option<String>) -> String {
    help.unwrap_or_else(|| "`dva catalog` and `dva catalog --regions` list them all.".to_owned())
}

fn unknown_region(catalog: &Catalog, name: &str) -> Failure {
    let known = catalog.regions().map(|region| region.name.as_str());
    let help = did_you_mean(&name.to_lowercase(), known)
        .unwrap_or_else(|| "`dva catalog --regions` lists them all.".to_owned());
    Failure::new(
        ExitCode::Invocation,
        format!("There is no region `{name}`. {help}"),
    )
}
