//! What an account's machines are started with: everything that a plan does not say.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use dva_runtime::transport::Dialer;
use thiserror::Error;

use crate::request::Addressing;

/// Makes the way to an address. The command gives TCP or a jump host; tests give ways of their own.
pub type Dial = Arc<dyn Fn(SocketAddr) -> Arc<dyn Dialer> + Send + Sync>;

/// How EC2 is used.
#[derive(Clone)]
pub struct Ec2Config {
    /// Where to call EC2, for clouds that do as EC2 does; `AWS_ENDPOINT_URL` and what a profile says hold where
    /// there is none.
    pub endpoint_url: Option<String>,
    /// The profile of the AWS configuration; `AWS_PROFILE` and `default` hold where there is none.
    pub profile: Option<String>,
    /// The regions in which a run may have machines. What is left of a run is looked for in all of them.
    pub regions: Vec<String>,
    /// Subnets by region, the best first; a region without any has those of its default network.
    pub subnets: BTreeMap<String, Vec<String>>,
    /// Security groups by region that machines get instead of one that is made for the run.
    pub security_groups: BTreeMap<String, Vec<String>>,
    /// Which addresses may reach the SSH port of machines.
    pub ssh_from: Vec<SourceRange>,
    /// At which address machines are reached.
    pub addressing: Addressing,
    /// The key pair of the run.
    pub key: LoginKey,
    /// The account to log in to.
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

/// A key pair to log in with, in OpenSSH's text forms. EC2 is given the public half alone.
#[derive(Clone)]
pub struct LoginKey {
    /// The private key.
    pub private: Arc<str>,
    /// The public key on one line.
    pub public: String,
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
        let address: std::net::IpAddr = address.parse().map_err(|_| no_range())?;
        let length: u8 = length.parse().map_err(|_| no_range())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        match length {
            0 => Err(SourceRangeError::Everybody(text.to_owned())),
            length if length <= most => Ok(Self(text.to_owned())),
            _ => Err(no_range()),
        }
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
