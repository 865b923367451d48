//! What an account's machines are started with: everything that a plan does not say.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dva_runtime::transport::Dialer;
use thiserror::Error;

use crate::request::{Addressing, OWNER_TAG};

/// Makes the way to an address. The command gives TCP or a jump host; tests give ways of their own.
pub type Dial = Arc<dyn Fn(SocketAddr) -> Arc<dyn Dialer> + Send + Sync>;

/// How EC2 is used.
#[derive(Clone)]
pub struct Ec2Config {
    /// The accounts by partition; a partition without one has that of the environment.
    pub accounts: BTreeMap<String, Account>,
    /// The regions in which a run may have machines, with their partitions. What is left of a run is looked for in all
    /// of them.
    pub regions: BTreeMap<String, String>,
    /// What machines are launched into, by what the plan calls their network.
    pub networks: BTreeMap<String, NetworkUse>,
    /// What they are launched into where the plan calls it nothing, or something that is not among those.
    pub usual_network: NetworkUse,
    /// Which addresses may reach the SSH port of machines.
    pub ssh_from: Vec<SourceRange>,
    /// The key pair of this process.
    pub key: LoginKey,
    /// The account to log in to where the image names none.
    pub user: String,
    /// Who starts the machines; becomes a tag.
    pub owner: String,
    /// Whether machines get the timer that ends them.
    pub timer: TimerUse,
    /// How machines are reached.
    pub dial: Dial,
    /// What is waited for, and for how long.
    pub patience: Patience,
}

impl Ec2Config {
    /// What a network of this name means.
    #[must_use]
    pub fn network(&self, name: Option<&str>) -> &NetworkUse {
        let known = name.and_then(|name| self.networks.get(name));
        known.unwrap_or(&self.usual_network)
    }

    /// The account of a region.
    pub(crate) fn account(&self, region: &str) -> Option<&Account> {
        self.accounts.get(self.regions.get(region)?)
    }

    /// The tags of everything that a run makes in a region: who made it, and what the account wants on all.
    pub(crate) fn tags(&self, region: &str) -> Vec<(String, String)> {
        let own = (OWNER_TAG.to_owned(), self.owner.clone());
        let of_account = self.account(region).map(|account| account.tags.clone());
        let of_account = of_account.unwrap_or_default();
        [own].into_iter().chain(of_account).collect()
    }
}

/// An account of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The profile of the AWS configuration; `AWS_PROFILE` and `default` hold where there is none.
    pub profile: Option<String>,
    /// Where to call EC2, for clouds that do as EC2 does; `AWS_ENDPOINT_URL` and what a profile says hold where
    /// there is none.
    pub endpoint_url: Option<String>,
    /// Tags of everything that is made.
    pub tags: BTreeMap<String, String>,
}

/// What machines of a network are launched into, and how they are reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkUse {
    /// At which address machines are reached.
    pub addressing: Addressing,
    /// What there is for them, by region; a region without has its default network.
    pub places: BTreeMap<String, Place>,
}

impl NetworkUse {
    /// What there is in a region.
    #[must_use]
    pub fn place(&self, region: &str) -> Option<&Place> {
        self.places.get(region)
    }

    /// The subnets of a region, the best first; none where it is the region's usual one.
    #[must_use]
    pub fn subnets(&self, region: &str) -> &[String] {
        self.place(region).map_or(&[], |place| &place.subnets)
    }
}

/// What there is for machines in a region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Subnets, the best first; the default network's where there is none.
    pub subnets: Vec<String>,
    /// Security groups that machines get instead of one that is made for the run; one is made where there is none.
    pub security_groups: Vec<String>,
}

/// A key pair to log in with, in OpenSSH's text forms. EC2 is given the public half alone.
#[derive(Clone)]
pub struct LoginKey {
    /// The private key.
    pub private: Arc<str>,
    /// The public key on one line.
    pub public: String,
}

impl LoginKey {
    /// What tells this key, and the process that has it, from others: eight letters and digits of its public half.
    pub(crate) fn process(&self) -> String {
        let data = self.public.split_whitespace().nth(1).unwrap_or_default();
        let plain = data.chars().filter(char::is_ascii_alphanumeric).rev();
        plain.take(8).collect()
    }
}

/// Shows the public key alone.
impl fmt::Debug for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoginKey")
            .field("public", &self.public)
            .finish_non_exhaustive()
    }
}

/// Whether machines get a timer that ends them, whoever is still there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimerUse {
    /// They do.
    #[default]
    Set,
    /// Nothing is put onto them: a machine that is lost costs until somebody finds it.
    Never,
}

/// How long things are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Between two looks at the machines of a region, which all who wait share.
    pub poll: Duration,
    /// Between two tries to dial a machine.
    pub dial: Duration,
    /// How long EC2 may not show what it has made: it is consistent in the end alone.
    pub settle: Duration,
    /// How long a machine may take to show its host keys on its console, from when its SSH port answers. After that
    /// the key that it shows first is taken for its own.
    pub host_key: Duration,
    /// How long a machine may take to go down for a reboot. EC2 pulls its plug after four minutes.
    pub reboot: Duration,
    /// How long a volume may take to come or to go.
    pub volume: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            poll: Duration::from_secs(1),
            dial: Duration::from_millis(500),
            settle: Duration::from_secs(30),
            host_key: Duration::from_secs(15),
            reboot: Duration::from_secs(300),
            volume: Duration::from_secs(60),
        }
    }
}

/// A range of addresses from which machines may be reached: `198.51.100.7/32`, `2001:db8::/64`. Never all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceRange(String);

/// A text that is no range of addresses which may be let in.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SourceRangeError {
    /// It is no range.
    #[error("`{0}` is no range of addresses; one is written 198.51.100.7/32 or 2001:db8::/64")]
    NoRange(String),
    /// It is everybody.
    #[error("`{0}` lets the whole world in; name the addresses from which machines are reached")]
    Everybody(String),
}

impl SourceRange {
    /// Reads a range.
    ///
    /// # Errors
    /// [`SourceRangeError`].
    pub fn parse(text: &str) -> Result<Self, SourceRangeError> {
        let no_range = || SourceRangeError::NoRange(text.to_owned());
        let (address, length) = text.split_once('/').ok_or_else(no_range)?;
        let address: IpAddr = address.parse().map_err(|_| no_range())?;
        let length: u8 = length.parse().map_err(|_| no_range())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match length {
            0 => Err(SourceRangeError::Everybody(text.to_owned())),
            length if length <= most => Ok(Self(text.to_owned())),
            _ => Err(no_range()),
        }
    }

    /// That of one address alone.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        let length = if address.is_ipv4() { 32 } else { 128 };
        Self(format!("{address}/{length}"))
    }

    /// The range as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is of IPv6.
    #[must_use]
    pub fn is_ipv6(&self) -> bool {
        self.0.contains(':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_and_the_whole_world_is_not_let_in() {
        let of = |text: &str| SourceRange::parse(text);
        assert_eq!(
            of("198.51.100.7/32").expect("a range").as_str(),
            "198.51.100.7/32"
        );
        assert!(of("2001:db8::/64").expect("a range").is_ipv6());
        assert!(!of("10.0.0.0/8").expect("a range").is_ipv6());
        for text in ["0.0.0.0/0", "::/0"] {
            assert_eq!(of(text), Err(SourceRangeError::Everybody(text.to_owned())));
        }
        for text in [
            "",
            "10.0.0.1",
            "10.0.0.0/33",
            "::/129",
            "ten/8",
            "10.0.0.0/-1",
        ] {
            assert_eq!(
                of(text),
                Err(SourceRangeError::NoRange(text.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn debug_text_keeps_the_secret() {
        let key = LoginKey {
            private: "PRIVATE".into(),
            public: "ssh-ed25519 AAAA".to_owned(),
        };
        assert!(!format!("{key:?}").contains("PRIVATE"));
    }
}
