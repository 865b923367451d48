//! `dva doctor`: looks at what a plan needs of an account, before anything is launched.

use std::fmt::Write as _;
use std::sync::Arc;

use dva_ec2::doctor::{Checkup, Finding, Grade};
use dva_ec2::{TimerUse, policy};
use dva_plan::ExitCode;
use dva_schedule::peak_vcpus;
use serde::Serialize;

use crate::args::{DoctorArguments, ProviderName};
use crate::basis::Basis;
use crate::config::Config;
use crate::failure::Failure;
use crate::input::{self, Input};
use crate::providers::{self, Callers, connect, ec2_config, on_a_runtime, regions_of};
use crate::{output, packing};

/// Says what is there and what is missing. Exits with 5 where a run would fail.
pub fn run(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    if arguments.provider != ProviderName::Ec2 {
        let message =
            "Accounts are EC2's: `--provider ec2`. `dva run` says itself what this host lacks.";
        return Err(Failure::new(ExitCode::Invocation, message));
    }
    let Input { plan, .. } = input::plan(&arguments.input)?;
    if arguments.policy {
        output::print(format!("{:#}\n", policy(&plan.body)))?;
        return Ok(ExitCode::Ok);
    }
    let config = Config::load(arguments.config.as_deref())?;
    let body = Arc::new(plan.body.clone());
    let regions = regions_of(&body);
    if regions.is_empty() {
        let message = format!(
            "The plan {} has no machine in any region of EC2.",
            body.name
        );
        return Err(Failure::new(ExitCode::Invocation, message));
    }
    let assumptions = providers::assumptions(arguments.provider);
    let whose = providers::history_for(&body, Some(arguments.provider));
    let basis = Basis::of(
        plan,
        assumptions,
        whose,
        &arguments.state,
        &arguments.packing.past,
    )?;
    let schedule = packing::pack(&basis, &arguments.packing)?.schedule;
    let peaks = peak_vcpus(&body, &schedule);
    let (checkups, ssh_from, left_out) = on_a_runtime(async {
        let wanted = ec2_config(&config, regions.clone(), TimerUse::Set, Callers::Asked).await?;
        let ranges = wanted.ssh_from.iter().map(|range| range.as_str());
        let ssh_from = ranges.collect::<Vec<_>>().join(", ");
        let left_out: Vec<_> = regions
            .into_keys()
            .filter(|region| !wanted.regions.contains_key(region))
            .collect();
        let checkups = connect(wanted).await?.check_up(&body, &peaks).await;
        Ok((checkups, ssh_from, left_out))
    })?;
    let is_bad = !left_out.is_empty()
        || checkups
            .iter()
            .flat_map(|checkup| &checkup.findings)
            .any(|finding| finding.grade == Grade::Bad);
    let shown = Shown {
        ssh_from: &ssh_from,
        left_out: &left_out,
        regions: checkups.iter().map(ShownRegion::of).collect(),
    };
    match arguments.json {
        #[expect(clippy::expect_used, reason = "its keys are text")]
        true => output::print(format!(
            "{}\n",
            serde_json::to_string(&shown).expect("it serializes")
        ))?,
        false => output::print(text(&shown, is_bad))?,
    }
    Ok(match is_bad {
        true => ExitCode::Refused,
        false => ExitCode::Ok,
    })
}

/// What is shown.
#[derive(Serialize)]
struct Shown<'c> {
    /// From where machines may be reached by SSH.
    ssh_from: &'c str,
    /// Regions of the plan that the configuration does not allow.
    left_out: &'c [String],
    regions: Vec<ShownRegion<'c>>,
}

#[derive(Serialize)]
struct ShownRegion<'c> {
    region: &'c str,
    partition: &'c str,
    findings: Vec<ShownFinding<'c>>,
}

#[derive(Serialize)]
struct ShownFinding<'c> {
    grade: &'static str,
    what: &'c str,
    message: &'c str,
}

impl<'c> ShownRegion<'c> {
    fn of(checkup: &'c Checkup) -> Self {
        Self {
            region: &checkup.region,
            partition: &checkup.partition,
            findings: checkup.findings.iter().map(ShownFinding::of).collect(),
        }
    }
}

impl<'c> ShownFinding<'c> {
    fn of(finding: &'c Finding) -> Self {
        Self {
            grade: match finding.grade {
                Grade::Good => "ok",
                Grade::Doubtful => "unsure",
                Grade::Bad => "missing",
            },
            what: &finding.what,
            message: &finding.message,
        }
    }
}

fn text(shown: &Shown<'_>, is_bad: bool) -> String {
    let mut text = String::new();
    // A string takes all that is written to it.
    let _ = writeln!(text, "SSH to machines is let in from {}.", shown.ssh_from);
    for region in shown.left_out {
        let _ = writeln!(
            text,
            "\n{region}\n  missing  account  dva.toml allows other regions alone"
        );
    }
    for ShownRegion {
        region,
        partition,
        findings,
    } in &shown.regions
    {
        let _ = writeln!(text, "\n{region} ({partition})");
        let widest = findings.iter().map(|finding| finding.what.len()).max();
        let width = widest.unwrap_or_default();
        for ShownFinding {
            grade,
            what,
            message,
        } in findings
        {
            let _ = writeln!(text, "  {grade:7}  {what:width$}  {message}");
        }
    }
    let end = match is_bad {
        true => "A run would fail for want of what is missing. Nothing was started.",
        false => {
            "Nothing is missing. `dva doctor … --policy` prints the least policy that a run needs."
        }
    };
    let _ = writeln!(text, "\n{end}");
    text
}
