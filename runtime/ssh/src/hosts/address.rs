//! Addresses of hosts as users write them.

use std::net::SocketAddr;

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use thiserror::Error;

/// The user where none is written: steps run as root.
const DEFAULT_USER: &str = "root";
const DEFAULT_PORT: u16 = 22;
/// The longest name of a host.
const HOST_LIMIT: usize = 255;

/// `user@host:port`, where user and port may be left out: they are `root` and 22.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostAddress {
    user: String,
    host: String,
    port: u16,
}

/// A text that is no address of a host.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HostAddressError {
    /// There is no host in it.
    #[error("`{0}` names no host; write user@host:port")]
    NoHost(String),
    /// The user is no user's name.
    #[error("`{0}` is no user's name")]
    User(String),
    /// The host is neither a name nor an address.
    #[error("`{0}` is neither the name of a host nor an address; an IPv6 address goes in brackets")]
    Host(String),
    /// The port is none.
    #[error("`{0}` is no port; it is a number from 1 to 65535")]
    Port(String),
}

impl HostAddress {
    /// Reads `user@host:port`, `host`, `[::1]:2222` and the like.
    ///
    /// # Errors
    /// [`HostAddressError`].
    pub fn parse(text: &str) -> Result<Self, HostAddressError> {
        let (user, place) = text.rsplit_once('@').unwrap_or((DEFAULT_USER, text));
        let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if user.is_empty() || user.starts_with('-') || !user.chars().all(is_word) {
            return Err(HostAddressError::User(user.to_owned()));
        }
        let (host, port) = split_port(text, place)?;
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(number @ 1..) if port.bytes().all(|byte| byte.is_ascii_digit()) => number,
                _ => return Err(HostAddressError::Port(port.to_owned())),
            },
        };
        Ok(Self {
            user: user.to_owned(),
            host: host.to_owned(),
            port,
        })
    }

    /// That of an address.
    #[must_use]
    pub fn of(user: &str, address: SocketAddr) -> Self {
        Self {
            user: user.to_owned(),
            host: address.ip().to_string(),
            port: address.port(),
        }
    }

    /// The user to log in as.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The name or address of the host, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port of its SSH server.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

fn split_port<'a>(
    text: &str,
    place: &'a str,
) -> Result<(&'a str, Option<&'a str>), HostAddressError> {
    let wrong = || HostAddressError::Host(place.to_owned());
    if place.is_empty() {
        return Err(HostAddressError::NoHost(text.to_owned()));
    }
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(wrong()),
        };
        return match host.parse::<Ipv6Addr>() {
            Ok(_) => Ok((host, port)),
            Err(_) => Err(wrong()),
        };
    }
    let (host, port) = match place.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        // More than one colon: an address without brackets could have a port or not.
        Some(_) => return Err(wrong()),
        None => (place, None),
    };
    if host.is_empty() {
        return Err(HostAddressError::NoHost(text.to_owned()));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if host.len() > HOST_LIMIT || host.starts_with(['-', '.']) || !host.chars().all(is_word) {
        return Err(wrong());
    }
    Ok((host, port))
}

/// The whole of it, as [`HostAddress::parse`] reads it.
impl fmt::Display for HostAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, host, port } = self;
        if host.contains(':') {
            write!(f, "{user}@[{host}]:{port}")
        } else {
            write!(f, "{user}@{host}:{port}")
        }
    }
}

impl FromStr for HostAddress {
    type Err = HostAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_read() {
        for (text, user, host, port) in [
            ("root@10.0.0.1:22", "root", "10.0.0.1", 22),
            ("host", "root", "host", 22),
            ("ubuntu@host.example.org", "ubuntu", "host.example.org", 22),
            ("[::1]:2222", "root", "::1", 2222),
            ("a_b@[fe80::1]", "a_b", "fe80::1", 22),
        ] {
            let address = HostAddress::parse(text).expect(text);
            assert_eq!(
                (address.user(), address.host(), address.port()),
                (user, host, port)
            );
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        use HostAddressError::{Host, NoHost, Port, User};
        for (text, error) in [
            ("", NoHost(String::new())),
            ("root@", NoHost("root@".into())),
            (":22", NoHost(":22".into())),
            ("@host", User(String::new())),
            ("a b@host", User("a b".into())),
            ("-oProxyCommand=x@host", User("-oProxyCommand=x".into())),
            ("::1", Host("::1".into())),
            ("[::1", Host("[::1".into())),
            ("[host]:22", Host("[host]:22".into())),
            ("-host", Host("-host".into())),
            ("ho st", Host("ho st".into())),
            ("host:", Port(String::new())),
            ("host:0", Port("0".into())),
            ("host:+22", Port("+22".into())),
            ("host:65536", Port("65536".into())),
        ] {
            assert_eq!(HostAddress::parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn what_is_read_reads_back(text in "([a-z.@:0-9\\[\\]-]{0,20}|\\PC{0,10})") {
            if let Ok(address) = HostAddress::parse(&text) {
                prop_assert_eq!(HostAddress::parse(&address.to_string()), Ok(address));
            }
        }
    }
}
