//! What runs have left in accounts of EC2.
//!
//! Nobody here can know whether a run goes on somewhere else. So one whose machines are still wanted is left alone,
//! unless it is named, or as old as `--older-than` says.

use std::collections::BTreeMap;
use std::io::{Write, stderr, stdout};
use std::time::SystemTime;

use dva_ec2::left::LeftRun;
use dva_ec2::{Ec2Provider, TimerUse};
use dva_plan::ExitCode;
use dva_runtime::provider::Provider;

use super::{Meant, begun_before, minutes, none_left};
use crate::args::GcArguments;
use crate::config::Config;
use crate::failure::Failure;
use crate::providers::{Callers, connect, ec2_config, on_a_runtime};
use crate::render::counted;

/// The region of each partition that knows all others of it.
const HOMES: [(&str, &str); 3] = [
    ("aws", "us-east-1"),
    ("aws-cn", "cn-north-1"),
    ("aws-us-gov", "us-gov-west-1"),
];

/// How long a run that has no machine now may be about to have one: it waits for others, or for a quota.
const PREPARING_MS: u64 = 24 * 3_600_000;

/// Lists what is left; with `--yes` ends it.
pub fn run(
    arguments: &GcArguments,
    config: &Config,
    meant: &Meant<'_>,
) -> Result<ExitCode, Failure> {
    on_a_runtime(async {
        let provider = provider(arguments, config).await?;
        let left = provider.left().await;
        let mut out = stdout();
        let mut remaining = 0;
        let runs: Vec<_> = left
            .runs
            .iter()
            .filter(|(run, _)| meant.is(run.as_str()))
            .collect();
        for (run, what) in &runs {
            // What is in a region that nobody saw may be at work.
            let unseen = left.unseen.keys().next().filter(|_| meant.run.is_none());
            let why = match unseen {
                Some(region) => Some(format!(
                    "may be in use in {region}, which was not looked at"
                )),
                None => spared(run.as_str(), what, meant),
            };
            let fate = match why {
                Some(why) => format!("{} {why}", described(what)),
                None if !arguments.yes => {
                    remaining += 1;
                    format!("left behind: {}", described(what))
                }
                None => match provider.end_run(run).await {
                    Ok(()) => "ended".to_owned(),
                    Err(error) => {
                        remaining += 1;
                        format!("not ended: {error}")
                    }
                },
            };
            let _ = writeln!(out, "{run}: {fate}");
        }
        for (region, error) in &left.unseen {
            let _ = writeln!(stderr(), "error: {region} was not looked at: {error}");
        }
        if runs.is_empty() && left.unseen.is_empty() {
            let _ = writeln!(out, "{} is left in EC2.", none_left(meant));
        }
        if remaining > 0 && !arguments.yes {
            let _ = writeln!(out, "`dva gc --provider ec2 --yes` ends them.");
        }
        Ok(match remaining == 0 && left.unseen.is_empty() {
            true => ExitCode::Ok,
            false => ExitCode::MachinesLeft,
        })
    })
}

/// Somebody who may look into the regions that are meant: those that are named, those that the configuration names, or
/// all that its accounts have.
async fn provider(arguments: &GcArguments, config: &Config) -> Result<Ec2Provider, Failure> {
    let is_used = |partition: &str| match config.account.is_empty() {
        true => partition == "aws",
        false => config.account.contains_key(partition),
    };
    let mut regions = BTreeMap::new();
    for (partition, home) in HOMES
        .into_iter()
        .filter(|(partition, _)| is_used(partition))
    {
        let account = config.account.get(partition);
        let named: Vec<_> = arguments
            .region
            .iter()
            .filter(|region| partition_of(region) == partition)
            .cloned()
            .collect();
        let names = match account.and_then(|account| account.regions.clone()) {
            _ if !arguments.region.is_empty() => named,
            Some(names) => names,
            None => enabled(config, partition, home).await?,
        };
        regions.extend(names.into_iter().map(|name| (name, partition.to_owned())));
    }
    let wanted = ec2_config(config, regions, TimerUse::Set, Callers::Nobody).await?;
    connect(wanted).await
}

async fn enabled(config: &Config, partition: &str, home: &str) -> Result<Vec<String>, Failure> {
    let regions = [(home.to_owned(), partition.to_owned())].into();
    let wanted = ec2_config(config, regions, TimerUse::Set, Callers::Nobody).await?;
    let names = connect(wanted).await?.enabled_regions(home).await;
    names.map_err(|error| {
        let message = format!("{home} does not say which regions there are: {error}.");
        Failure::new(ExitCode::Invocation, message)
    })
}

fn partition_of(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Why a run is left alone; `None` where it is not.
fn spared(run: &str, what: &LeftRun, meant: &Meant<'_>) -> Option<String> {
    if *meant != Meant::ALL {
        return None;
    }
    match what.expires {
        Some(expires) if expires > SystemTime::now() => Some(format!(
            "may be in use for {} more; `dva gc --provider ec2 --run {run} --yes` ends it all the same",
            minutes(expires)
        )),
        Some(_) => None,
        // It may be about to start its first machine.
        None => (*run >= *begun_before(PREPARING_MS)).then(|| {
            format!("may be about to be used; `dva gc --provider ec2 --run {run} --yes` ends it all the same")
        }),
    }
}

fn described(what: &LeftRun) -> String {
    let counts = [
        (what.machines, "machine"),
        (what.volumes, "volume"),
        (what.key_pairs, "key pair"),
        (what.security_groups, "security group"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, noun)| counted(usize::try_from(count).unwrap_or(usize::MAX), noun))
        .collect();
    let regions: Vec<_> = what.regions.iter().map(String::as_str).collect();
    format!("{} in {}", counts.join(", "), regions.join(", "))
}
