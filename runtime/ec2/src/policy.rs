//! The least that whoever runs a plan has to be allowed, as a policy of IAM.

use std::collections::BTreeSet;

use dva_plan::plan::{Capability, ExecutionPlan, ImageSource};
use dva_plan::quote::Market;
use serde_json::{Value, json};

use crate::request::RUN_TAG;

/// The policy for `plan`: to look around, to launch, and to change and end what has the tag of a run.
#[must_use]
pub fn policy(plan: &ExecutionPlan) -> Value {
    let has_tag = json!({ "Null": { format!("aws:ResourceTag/{RUN_TAG}"): "false" } });
    let gives_tag = json!({ "Null": { format!("aws:RequestTag/{RUN_TAG}"): "false" } });
    let of_launch = json!({ "StringEquals": { "ec2:CreateAction": [
        "RunInstances", "CreateVolume", "ImportKeyPair", "CreateSecurityGroup"
    ] } });
    let launch = ["ec2:RunInstances"];
    let mut statements = vec![
        statement("Look", &look(), &ANY, None),
        statement("Launch", &launch, &["instance", "volume"], Some(&gives_tag)),
        statement("LaunchWith", &launch, &launched_with(plan), None),
        statement("Make", &make(plan), &MADE, Some(&gives_tag)),
        statement("MakeIn", &["ec2:CreateSecurityGroup"], &["vpc"], None),
        statement("TagWhatIsMade", &["ec2:CreateTags"], &ANY, Some(&of_launch)),
        statement("ChangeAndEnd", &change(plan), &ANY, Some(&has_tag)),
    ];
    let mut images = plan.images.iter().flat_map(|image| &image.sources);
    if images.any(|source| matches!(source, ImageSource::Ec2AmiParameter { .. })) {
        statements.push(statement("FindImages", &["ssm:GetParameter"], &ANY, None));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// Everything.
const ANY: [&str; 0] = [];

/// What is made by itself.
const MADE: [&str; 3] = ["key-pair", "security-group", "volume"];

/// What a machine is launched with that is not made by the launch. A spot machine also needs the role
/// `AWSServiceRoleForEC2Spot`, which an account gets with its first one.
fn launched_with(plan: &ExecutionPlan) -> Vec<&'static str> {
    let mut with = vec![
        "image",
        "key-pair",
        "network-interface",
        "security-group",
        "subnet",
    ];
    if plan.policy.market.contains(&Market::Spot) {
        with.push("spot-instances-request");
    }
    with
}

/// Allows `actions` on resources of EC2 of these kinds; on any where there are none.
fn statement(id: &str, actions: &[&str], kinds: &[&str], condition: Option<&Value>) -> Value {
    let resources: Vec<_> = kinds
        .iter()
        .map(|kind| format!("arn:*:ec2:*:*:{kind}/*"))
        .collect();
    let mut statement = json!({
        "Sid": id,
        "Effect": "Allow",
        "Action": actions,
        "Resource": if resources.is_empty() { json!("*") } else { json!(resources) },
    });
    if let (Some(condition), Some(fields)) = (condition, statement.as_object_mut()) {
        fields.insert("Condition".to_owned(), condition.clone());
    }
    statement
}

/// What `dva doctor`, a run and `dva gc` look at.
fn look() -> Vec<&'static str> {
    vec![
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypeOfferings",
        "ec2:DescribeInstances",
        "ec2:DescribeKeyPairs",
        "ec2:DescribeRegions",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:DescribeVolumes",
        "servicequotas:GetServiceQuota",
    ]
}

fn make(plan: &ExecutionPlan) -> Vec<&'static str> {
    let mut make = vec!["ec2:CreateSecurityGroup", "ec2:ImportKeyPair"];
    if needs(plan).contains(&Capability::Hotplug) {
        make.push("ec2:CreateVolume");
    }
    make
}

fn change(plan: &ExecutionPlan) -> Vec<&'static str> {
    let mut change = vec![
        "ec2:AuthorizeSecurityGroupIngress",
        "ec2:DeleteKeyPair",
        "ec2:DeleteSecurityGroup",
        "ec2:DeleteVolume",
        "ec2:GetConsoleOutput",
        "ec2:TerminateInstances",
    ];
    let needs = needs(plan);
    if needs.contains(&Capability::Reboot) {
        change.push("ec2:RebootInstances");
    }
    if needs.contains(&Capability::StopStart) {
        change.extend(["ec2:StartInstances", "ec2:StopInstances"]);
    }
    if needs.contains(&Capability::Hotplug) {
        change.extend([
            "ec2:AttachVolume",
            "ec2:DetachVolume",
            "ec2:ModifyInstanceAttribute",
        ]);
    }
    if plan.cells.iter().any(|cell| cell.network.closed) {
        change.push("ec2:RevokeSecurityGroupEgress");
    }
    change.sort_unstable();
    change
}

/// What its tests need machines to be able to do.
fn needs(plan: &ExecutionPlan) -> BTreeSet<Capability> {
    let tests = plan.tests.iter();
    tests.flat_map(|test| test.needs.iter().copied()).collect()
}
