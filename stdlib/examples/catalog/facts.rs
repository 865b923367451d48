//! Facts that neither package carries, each with its source.

use crate::libcloud::Os;

/// What a burstable type earns in an hour, in tenths of a CPU credit (a credit is one vCPU-minute).
///
/// Source: EC2 user guide, "Key concepts for burstable performance instances", table of earned
/// credits. T3, T3a and T4g are alike.
pub fn credits_per_hour(name: &str) -> Option<u32> {
    let (family, size) = name.split_once('.')?;
    Some(match (family, size) {
        ("t2", "nano") => 30,
        ("t2", "micro") => 60,
        ("t2", "small") => 120,
        ("t2", "medium") => 240,
        ("t2", "large") => 360,
        ("t2", "xlarge") => 540,
        ("t2", "2xlarge") => 816,
        ("t3" | "t3a" | "t4g", "nano") => 60,
        ("t3" | "t3a" | "t4g", "micro") => 120,
        ("t3" | "t3a" | "t4g", "small" | "medium") => 240,
        ("t3" | "t3a" | "t4g", "large") => 360,
        ("t3" | "t3a" | "t4g", "xlarge") => 960,
        ("t3" | "t3a" | "t4g", "2xlarge") => 1920,
        _ => return None,
    })
}

/// What a class of operating systems adds to a machine in an hour, in nano-dollars.
///
/// The rules are published: Red Hat's by vCPU since 1 July 2024 (EC2 spot pricing page, notice), SUSE's
/// by machine, Windows by vCPU. The rates are those that the tables differ by, the same in every region:
/// RHEL, RHEL with high availability and Windows in more than 9 of 10 cells of one tenancy.
pub fn surcharge(os: Os, vcpus: u32) -> i128 {
    let by_vcpu = match (os, vcpus) {
        (Os::Linux, _) => 0,
        (Os::Rhel, ..=8) => 14_400_000,
        (Os::Rhel, 9..=127) => 10_800_000,
        (Os::Rhel, _) => 9_600_000,
        (Os::RhelHa, ..=8) => 31_900_000,
        (Os::RhelHa, 9..=127) => 24_800_000,
        (Os::RhelHa, _) => 20_100_000,
        (Os::Windows, _) => 46_000_000,
        (Os::Suse, ..=4) => return 56_300_000,
        (Os::Suse, _) => return 125_000_000,
    };
    by_vcpu * i128::from(vcpus)
}

/// What SUSE adds to machines of the families before the sixth generation, in nano-dollars an hour.
pub const OLD_SUSE: i128 = 100_000_000;

/// A GiB of a gp3 volume for a month in us-east-1, in nano-dollars. Source: EBS pricing page.
pub const GP3_MONTH: i128 = 80_000_000;

/// Families whose prices were cut after the date of the tables: AWS lowered those of P4 and P5 by a third
/// and more in June 2025. What the tables say of them is not called more than estimated.
///
/// Source: AWS News Blog, 5 June 2025, price reduction for NVIDIA GPU-accelerated instances.
pub fn is_repriced(family: &str) -> bool {
    matches!(family, "p4d" | "p4de" | "p5" | "p5en")
}

/// Regions that an account may use without asking for them: those that AWS opened before
/// 20 March 2019. GovCloud and China are accounts of their own, and no region in them is opted into.
///
/// Source: AWS account management guide, "Enable or disable AWS Regions in your account".
pub fn is_opt_in(region: &str) -> bool {
    !(region.starts_with("us-gov-")
        || region.starts_with("cn-")
        || matches!(
            region,
            "ap-northeast-1"
                | "ap-northeast-2"
                | "ap-northeast-3"
                | "ap-south-1"
                | "ap-southeast-1"
                | "ap-southeast-2"
                | "ca-central-1"
                | "eu-central-1"
                | "eu-north-1"
                | "eu-west-1"
                | "eu-west-2"
                | "eu-west-3"
                | "sa-east-1"
                | "us-east-1"
                | "us-east-2"
                | "us-west-1"
                | "us-west-2"
        ))
}

/// The partition of a region: its own network of accounts, named by the region's first words.
///
/// Source: AWS general reference, "Amazon Resource Names", partitions.
pub fn partition(region: &str) -> &'static str {
    match region.split('-').collect::<Vec<_>>().as_slice() {
        ["cn", ..] => "aws-cn",
        ["us", "gov", ..] => "aws-us-gov",
        ["us", "iso", ..] => "aws-iso",
        ["us", "isob", ..] => "aws-iso-b",
        ["eu", "isoe", ..] => "aws-iso-e",
        ["us", "isof", ..] => "aws-iso-f",
        _ => "aws",
    }
}

/// The region whose prices are in yuan. What it offers is what has a price there.
pub const IN_YUAN: &str = "cn-north-1";

/// What a yuan is taken for, in US cents: more than it cost on any day from July 2022 to the end of 2025,
/// when a dollar was always worth more than 6.67 yuan. So a limit on cost holds too early rather than too
/// late.
pub const CENTS_PER_YUAN: i128 = 15;

/// Regions that there are no types or prices for, and that can be named all the same.
pub const WITHOUT_DATA: [&str; 1] = ["cn-northwest-1"];

/// A local zone of us-west-2, which stands among the regions of libcloud.
pub const NO_REGION: [&str; 1] = ["us-west-2-lax-1"];
