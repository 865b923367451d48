//! A folder whose configuration knows a cloud, and the command that runs in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use dva_plan::RunReport;
use dva_plan::document::read;

use crate::cloud::{Boots, Cloud, xml};

/// Runs the plan.
pub const RUN: [&str; 6] = [
    "run",
    "test.plan",
    "--provider",
    "ec2",
    "--json",
    "report.json",
];

/// The image of most plans.
const IMAGE: &str = r#"image host { os = linux  arch = x86_64  login = "root"  ec2 = ami(name = "test-*", owner = "123456789012") }"#;
/// The region of most plans.
const REGION: &str = "eu-west-1";

/// The partition of a region.
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// A folder and its cloud.
pub struct Home {
    /// What is called in place of EC2.
    pub cloud: Cloud,
    folder: tempfile::TempDir,
    regions: Vec<String>,
    before: BTreeSet<String>,
}

impl Home {
    /// One with a plan of [`IMAGE`], which is put before it, in [`REGION`].
    pub fn with(plan: &str) -> Option<Self> {
        Self::of(&format!("{IMAGE}\n{plan}"), &[REGION])
    }

    /// One with a plan and these regions; `None`, having said why, where there can be no cloud.
    pub fn of(plan: &str, regions: &[&str]) -> Option<Self> {
        let cloud = Cloud::up(Boots::Machines)?;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("test.plan"), plan).expect("written");
        let mut config = "ssh_from = [\"198.51.100.7/32\"]\nowner = \"tests\"\n".to_owned();
        let partitions: BTreeSet<_> = regions.iter().map(|region| partition(region)).collect();
        for partition in partitions {
            let of_it = regions
                .iter()
                .filter(|region| self::partition(region) == partition);
            let (of_it, url) = (of_it.collect::<Vec<_>>(), cloud.url());
            config +=
                &format!("[account.{partition}]\nregions = {of_it:?}\nendpoint_url = \"{url}\"\n");
        }
        fs::write(folder.path().join("dva.toml"), config).expect("written");
        let mut home = Self {
            before: BTreeSet::new(),
            regions: regions.iter().map(|region| (*region).to_owned()).collect(),
            cloud,
            folder,
        };
        home.before = home.there();
        Some(home)
    }

    /// Says more in the configuration.
    pub fn configure(&mut self, more: &str) {
        let path = self.path().join("dva.toml");
        let config = fs::read_to_string(&path).expect("it was written");
        fs::write(path, config + more).expect("written");
        // What was made for it is no remains of a run.
        self.before = self.there();
    }

    /// Makes a subnet of IPv4 and IPv6 in a region's default network.
    pub fn dual_subnet(&self, region: &str) -> String {
        let networks = self.cloud.ask(region, "DescribeVpcs", &[]);
        let network = xml::text(&networks, "vpcId").expect("there is one");
        let subnet = [
            ("VpcId", network),
            ("CidrBlock", "172.31.128.0/20"),
            ("Ipv6CidrBlock", "2001:db8:1:2::/64"),
        ];
        let made = self.cloud.ask(region, "CreateSubnet", &subnet);
        let id = xml::text(&made, "subnetId");
        id.unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The command with these words, as somebody whom the cloud knows.
    pub fn dva(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dva"));
        command
            .args(words)
            .current_dir(self.path())
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("HOME", self.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE")
            .env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the command to its end.
    pub fn said(&self, words: &[&str]) -> (Option<i32>, String) {
        let Output {
            status,
            stdout,
            stderr,
        } = self.dva(words).output().expect("dva starts");
        let text = [stdout, stderr].concat();
        (status.code(), String::from_utf8_lossy(&text).into_owned())
    }

    /// Starts the command, and reads nothing of what it says.
    pub fn begun(&self, words: &[&str]) -> Child {
        let log = fs::File::create(self.path().join("log")).expect("a file");
        let mut command = self.dva(words);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(log).spawn().expect("dva starts")
    }

    /// What the command said that was begun.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// The id of the one run that was begun.
    pub fn run(&self) -> String {
        let runs = fs::read_dir(self.path().join(".dva/runs")).expect("a folder");
        let names = runs.map(|run| run.expect("an entry").file_name());
        let mut names = names.filter_map(|name| name.into_string().ok());
        let run = names.find(|name| name.starts_with(|first: char| first.is_ascii_digit()));
        run.expect("a run was begun")
    }

    /// The report of the last run.
    pub fn report(&self) -> RunReport {
        let file = fs::File::open(self.path().join("report.json")).expect("a report");
        read(file).unwrap_or_else(|error| panic!("{error}")).body
    }

    /// What is in the cloud that was not there before.
    pub fn left(&self) -> Vec<String> {
        self.there().difference(&self.before).cloned().collect()
    }

    fn there(&self) -> BTreeSet<String> {
        let regions = self.regions.iter();
        regions.flat_map(|region| self.cloud.left(region)).collect()
    }
}
