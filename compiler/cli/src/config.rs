//! The configuration, `dva.toml`: what belongs to an account, a host or a person, and not into a plan.
//!
//! Read by the command alone, never by the compiler, so plans, cell ids and digests do not depend on
//! it. It holds references to secrets, never secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use dva_plan::ExitCode;
use dva_plan::money::Money;
use dva_plan::unit::{Quantity, display_duration, parse_quantity};
use dva_runtime::console::ConsolePatterns;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::Table;

use crate::args::money;
use crate::failure::Failure;

/// All that can be configured. A key that is not here is an error.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The most that a run may cost, in dollars: `"5.00"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<Amount>,
    /// The addresses from which machines of EC2 may be reached by SSH: `["198.51.100.7/32"]`. That which AWS sees us
    /// at where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_from: Option<Vec<String>>,
    /// Who starts machines, for a tag of theirs; the user of this host where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Accounts by partition: `[account.aws]`. That of the environment where nothing is said.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub account: BTreeMap<String, Account>,
    /// What machines are launched into, by the values of the plan's axis `network`: `[network.dualstack]`; and as
    /// [`USUAL_NETWORK`] for all that are not named.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub network: BTreeMap<String, Network>,
    /// How machines are reached.
    pub ssh: Ssh,
    /// Machines that are sandboxes of this host.
    pub local: Local,
    /// What consoles of machines may say.
    pub console: Console,
    /// The values of inputs, by the names that plans use, and below [`REGIONS`] those of single regions.
    pub input: BTreeMap<String, toml::Value>,
    /// Where secrets come from, by the names that plans use.
    pub secret: BTreeMap<String, SecretSource>,
}

/// The key of `[input]` below which the values of single regions stand: `[input.region.cn-north-1]`. No input
/// can have this name.
pub const REGIONS: &str = "region";

/// The name of the network that holds where the plan's has no table of its own.
pub const USUAL_NETWORK: &str = "default";

/// The partitions of AWS.
const PARTITIONS: [&str; 3] = ["aws", "aws-cn", "aws-us-gov"];

/// `[account.PARTITION]`: whose account is used.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Account {
    /// The profile of the AWS configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The regions in which machines may be started; all that a plan names where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions: Option<Vec<String>>,
    /// Where to call EC2, for clouds that do as EC2 does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// Tags of everything that is made.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
}

/// `[network.NAME]`: what machines are launched into.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// At which address they are reached.
    pub connect: Connect,
    /// What there is for them, by region: `[network.NAME.region.eu-west-1]`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub region: BTreeMap<String, Place>,
}

/// At which address machines are reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Connect {
    /// A public one of IPv4, which is billed.
    #[default]
    Public,
    /// The private one of IPv4.
    Private,
    /// One of IPv6.
    Ipv6,
}

/// What there is for machines in a region.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// Subnets, the best first: one a zone. The default network's where nothing is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subnets: Vec<String>,
    /// Security groups; one that is made for the run where nothing is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<String>,
}

/// `[ssh]`: how machines are reached.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ssh {
    /// How long a machine may take from its start until it lets us in, and has booted; `2min` where nothing is said,
    /// and `5min` for machines of EC2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_within: Option<Within>,
    /// Private keys that are tried after the agent's, in this order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identities: Option<Vec<PathBuf>>,
    /// Files of known host keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_hosts: Option<Vec<PathBuf>>,
    /// A host that all connections go through: `user@host:port`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jump: Option<String>,
    /// A command whose input and output are the connection; `%h`, `%p` and `%r` are host, port and user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_command: Option<String>,
    /// Also offers algorithms that are no longer safe, for very old machines.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub legacy_algorithms: bool,
}

/// An amount of money, written as on the command line: `5.00`.
#[derive(Clone, Copy, Debug)]
pub struct Amount(pub Money);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => money(&text).map(Self).map_err(D::Error::custom),
            _ => Err(D::Error::custom(
                "an amount of US dollars stands in quotes: \"5.00\"",
            )),
        }
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A duration, written as in plans: `90s`.
#[derive(Clone, Copy, Debug)]
pub struct Within(pub Duration);

impl<'de> Deserialize<'de> for Within {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match parse_quantity(&text) {
            Ok(Quantity::Duration(ms)) => Ok(Self(Duration::from_millis(ms))),
            Ok(_) => Err(D::Error::custom(
                "a duration is wanted, for example \"90s\"",
            )),
            Err(error) => Err(D::Error::custom(format!(
                "a duration is wanted, for example \"90s\": {error}"
            ))),
        }
    }
}

impl Serialize for Within {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ms = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        serializer.serialize_str(&display_duration(ms))
    }
}

/// `[local]`: where machines of this host keep what they own.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// The folder for changed files and disks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<PathBuf>,
    /// The folder for lease files; must not survive a reboot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<PathBuf>,
}

/// `[console]`: what consoles of machines may say.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Console {
    /// Lines that match one of these mean nothing: they charge nobody and are not warned of.
    pub ignore: Ignored,
}

/// Regular expressions of lines.
#[derive(Clone, Debug, Default)]
pub struct Ignored {
    texts: Vec<String>,
    /// The patterns that are left.
    pub patterns: Arc<ConsolePatterns>,
}

impl<'de> Deserialize<'de> for Ignored {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let patterns = ConsolePatterns::ignoring(&texts).map_err(D::Error::custom)?;
        Ok(Self {
            texts,
            patterns: Arc::new(patterns),
        })
    }
}

impl Serialize for Ignored {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.texts.serialize(serializer)
    }
}

/// Where a secret comes from: exactly one of these.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum SecretSource {
    /// A variable of the environment.
    Env(String),
    /// A file, without trailing line ends.
    File(PathBuf),
    /// What a command prints, without trailing line ends.
    Command(Vec<String>),
}

impl Config {
    /// The most that a run may cost.
    pub fn max_cost(&self) -> Option<Money> {
        self.max_cost.map(|amount| amount.0)
    }

    /// The configuration that holds here.
    pub fn load(given: Option<&Path>) -> Result<Self, Failure> {
        let mut merged = Table::new();
        for file in files(given)? {
            let text = read(&file)?;
            let table = text.parse().map_err(|error| wrong(&file, &error))?;
            refuse_secrets(&file, &table)?;
            refuse_regions(&file, &table)?;
            refuse_partitions(&file, &table)?;
            // Each file is judged alone, so a message names the file and the line that is wrong.
            toml::from_str::<Self>(&text).map_err(|error| wrong(&file, &error))?;
            merge(&mut merged, table);
        }
        Self::deserialize(merged)
            .map_err(|error| Failure::new(ExitCode::Invocation, format!("dva.toml: {error}")))
    }
}

/// The files that are there, the one that counts least first.
pub fn files(given: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let project = match given {
        // One that was named must be there.
        Some(path) => {
            read(path)?;
            Some(path.to_owned())
        }
        None => Some(PathBuf::from("dva.toml")).filter(|path| path.is_file()),
    };
    let folder = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|folder| !folder.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".config")));
    let user = folder
        .map(|folder| folder.join("dva/config.toml"))
        .filter(|path| path.is_file());
    Ok(user.into_iter().chain(project).collect())
}

/// Refuses a secret that stands in the file itself, without repeating it: a parser's message would
/// show the line.
fn refuse_secrets(path: &Path, table: &Table) -> Result<(), Failure> {
    let secrets = table.get("secret").and_then(toml::Value::as_table);
    let Some((name, _)) = secrets
        .into_iter()
        .flatten()
        .find(|(_, source)| !source.is_table())
    else {
        return Ok(());
    };
    Err(Failure::new(
        ExitCode::Invocation,
        format!(
            "{}: secret.{name} is not a reference. A configuration says where a secret is and never \
             holds one: write {{ env = \"NAME\" }}, {{ file = \"PATH\" }} or \
             {{ command = [\"PROGRAM\", \"ARGUMENT\"] }}.",
            path.display()
        ),
    ))
}

/// Refuses accounts of partitions that AWS has not.
fn refuse_partitions(path: &Path, table: &Table) -> Result<(), Failure> {
    let accounts = table.get("account").and_then(toml::Value::as_table);
    let mut names = accounts.into_iter().flat_map(Table::keys);
    match names.find(|name| !PARTITIONS.contains(&name.as_str())) {
        None => Ok(()),
        Some(name) => Err(Failure::new(
            ExitCode::Invocation,
            format!(
                "{}: `account.{name}` is no account. There is one for each partition of AWS: {}.",
                path.display(),
                PARTITIONS
                    .map(|known| format!("[account.{known}]"))
                    .join(", ")
            ),
        )),
    }
}

/// Refuses values of regions that are not in the table of a region.
fn refuse_regions(path: &Path, table: &Table) -> Result<(), Failure> {
    let inputs = table.get("input").and_then(toml::Value::as_table);
    let Some(regions) = inputs.and_then(|inputs| inputs.get(REGIONS)) else {
        return Ok(());
    };
    let are_tables = |regions: &Table| regions.values().all(toml::Value::is_table);
    if regions.as_table().is_some_and(are_tables) {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Invocation,
        format!(
            "{}: the values of a region stand below its name: [input.{REGIONS}.NAME].",
            path.display()
        ),
    ))
}

/// Puts the keys of each section of `over` in the place of those of `under`. A secret is one key: its
/// source is replaced whole.
fn merge(under: &mut Table, over: Table) {
    for (section, over) in over {
        match (under.get_mut(&section), over) {
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) if section == "input" => {
                merge_inputs(under, over);
            }
            (Some(toml::Value::Table(under)), toml::Value::Table(over)) => under.extend(over),
            (_, over) => {
                under.insert(section, over);
            }
        }
    }
}

/// As [`merge`], where the inputs of each region are a section of their own.
fn merge_inputs(under: &mut Table, mut over: Table) {
    if let Some(toml::Value::Table(regions)) = over.remove(REGIONS) {
        let own = under
            .entry(REGIONS)
            .or_insert_with(|| toml::Value::Table(Table::new()));
        if let toml::Value::Table(own) = own {
            merge(own, regions);
        }
    }
    under.extend(over);
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|error| Failure::file("read", path, &error))
}

fn wrong(path: &Path, error: &toml::de::Error) -> Failure {
    Failure::new(
        ExitCode::Invocation,
        format!("{} is not a configuration.\n{error}", path.display()),
    )
}
