//! A folder whose configuration knows a cloud, and the command that runs in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use dva_plan::RunReport;
use dva_plan::document::read;

use crate::cloud::{Boots, Cloud};

/// The region of all plans.
pub const REGION: &str = "eu-west-1";

/// A folder and its cloud.
pub struct Home {
    /// What is called in place of EC2.
    pub cloud: Cloud,
    folder: tempfile::TempDir,
    before: BTreeSet<String>,
}

impl Home {
    /// One with a plan; `None`, having said why, where there can be no cloud.
    pub fn with(plan: &str) -> Option<Self> {
        let cloud = Cloud::up(Boots::Machines)?;
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("test.plan"), plan).expect("written");
        let config = format!(
            "ssh_from = [\"198.51.100.7/32\"]\nowner = \"tests\"\n\n[account.aws]\nregions = [\"{REGION}\"]\n\
             endpoint_url = \"{}\"\n",
            cloud.url()
        );
        fs::write(folder.path().join("dva.toml"), config).expect("written");
        Some(Self {
            before: cloud.left(REGION),
            cloud,
            folder,
        })
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
        let left = self.cloud.left(REGION);
        left.difference(&self.before).cloned().collect()
    }
}
