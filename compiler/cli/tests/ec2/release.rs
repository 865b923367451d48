//! The release plan as it is, but for the account that it logs in to, which local machines do not have.

use std::collections::BTreeMap;

use dva_plan::{ExitCode, Verdict};

use crate::cloud::moto::NAMELESS_IMAGE;
use crate::home::{Home, RUN};
use crate::runner::{Done, Test};

pub const TESTS: &[Test] = &[("release::all_of_it_passes_and_leaves_nothing", passes)];

const PLAN: &str = include_str!("../../../../examples/release.plan");
const PARAMETER: &str = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";

/// The plan, and its regions as it names them.
fn plan() -> (String, Vec<&'static str>) {
    let plan = PLAN
        .replace("login = [\"ec2-user\", \"cloud-user\"]", "login = \"root\"")
        .replace("login = \"ec2-user\"", "login = \"root\"");
    assert!(!plan.contains("ec2-user"), "it names an account otherwise");
    let regions = PLAN
        .lines()
        .find_map(|line| line.trim().strip_prefix("region   = each "));
    let regions = regions.expect("it names its regions").split(", ").collect();
    (plan, regions)
}

fn passes() -> Done {
    let (plan, regions) = plan();
    assert_eq!(regions.len(), 4);
    let Some(mut home) = Home::of(&plan, &regions) else {
        return Done::Passed;
    };
    home.cloud.parameter(PARAMETER, NAMELESS_IMAGE);
    home.cloud.quota("L-1216C47A", 256);
    for region in &regions {
        let subnet = home.dual_subnet(region);
        home.configure(&format!(
            "[network.dualstack.region.{region}]\nsubnets = [\"{subnet}\"]\n"
        ));
    }
    let (_, said) = home.said(&["doctor", "test.plan", "--provider", "ec2"]);
    let missing = said.lines().filter(|line| line.starts_with("  missing"));
    // moto does not know what China offers.
    let missing: Vec<_> = missing
        .filter(|line| !line.contains("not offered here"))
        .collect();
    assert_eq!(missing, Vec::<&str>::new(), "{said}");
    home.cloud.forget_calls();
    let (code, said) = home.said(&[&RUN[..], &["--max-cost", "1.00"]].concat());
    assert_eq!(code, Some(0), "{said}\n{:?}", home.cloud.troubles());
    let report = home.report();
    assert_eq!(report.exit, ExitCode::Ok);
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for run in &report.test_runs {
        *verdicts.entry(run.verdict.to_string()).or_default() += 1;
        assert!(
            matches!(run.verdict, Verdict::Passed | Verdict::Skipped { .. }),
            "{}: {} {}",
            run.test,
            run.verdict,
            run.message
        );
    }
    let machines = report.lives.len();
    assert_eq!(machines, 96);
    assert_eq!(home.left(), Vec::<String>::new(), "{said}");
    assert_eq!(home.cloud.troubles(), Vec::<String>::new());
    let calls = home.cloud.calls();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls
        .iter()
        .filter(|call| !call.action.starts_with("Describe"))
    {
        *counts.entry(&call.action).or_default() += 1;
    }
    println!("{verdicts:?}");
    let of_machines = ["GetConsoleOutput", "RunInstances", "TerminateInstances"];
    let own: usize = of_machines
        .iter()
        .filter_map(|action| counts.get(action))
        .sum();
    let others = counts.values().sum::<usize>() - own;
    println!(
        "{own} calls about {machines} machines and {others} others, beside those that describe: {counts:?}"
    );
    assert!(own < 3 * machines, "{counts:?}");
    assert!(others <= 6 * regions.len(), "{counts:?}");
    Done::Passed
}
