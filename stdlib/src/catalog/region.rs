//! Regions and their zones.

use serde::Deserialize;

/// A place that machines are started in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Its name, for example `eu-west-1` or `local`.
    pub name: String,
    /// The part of the world it belongs to, which decides where its images come from: `aws`, `aws-cn`,
    /// `aws-us-gov`; `local` means this host.
    pub partition: String,
    /// Whether an account must ask for it before it can be used.
    #[serde(default)]
    pub opt_in: bool,
    /// Its zones in the order of their names; none where they are not known.
    #[serde(default)]
    pub zones: Vec<Zone>,
}

/// A zone of a region.
///
/// Accounts call the same zone by different names in some regions. The name here is the one that the
/// catalog's data use; the id is the same for every account.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// Its name, for example `us-east-1a`.
    pub name: String,
    /// Its id, for example `use1-az2`; empty where it is not known.
    pub id: String,
}
