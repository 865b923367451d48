//! How a machine is reached: its address, which may change when it is stopped, and its host keys, which it may show on
//! its console.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_runtime::transport::{ByteStream, Dialer};
use tokio::time::timeout;

use crate::config::Dial;
use crate::site::SSH_PORT;

/// The longest that one try to dial a machine may take.
const ONE_DIAL: Duration = Duration::from_secs(5);

/// Dials a machine at the address that it has now.
pub(crate) struct MachineDialer {
    address: Mutex<IpAddr>,
    dial: Dial,
}

impl MachineDialer {
    pub(crate) fn new(address: IpAddr, dial: Dial) -> Arc<Self> {
        let address = Mutex::new(address);
        Arc::new(Self { address, dial })
    }

    /// Notes that the machine came back at another address.
    pub(crate) fn moved(&self, address: IpAddr) {
        *self.address.lock().unwrap_or_else(PoisonError::into_inner) = address;
    }

    fn address(&self) -> SocketAddr {
        let address = self.address.lock().unwrap_or_else(PoisonError::into_inner);
        SocketAddr::new(*address, SSH_PORT)
    }

    /// Whether its SSH port answers.
    pub(crate) async fn answers(&self) -> bool {
        matches!(timeout(ONE_DIAL, self.dial()).await, Ok(Ok(_)))
    }
}

#[async_trait]
impl Dialer for MachineDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        (self.dial)(self.address()).dial().await
    }
}

/// The host key that a console shows, as one line in OpenSSH's form: of several the one of the best kind. `None` while
/// it does not show all of them.
///
/// Source: cloud-init documentation, module `keys_to_console`: public keys between these two lines.
pub(crate) fn host_key(console: &str) -> Option<String> {
    const BEGIN: &str = "-----BEGIN SSH HOST KEY KEYS-----";
    const END: &str = "-----END SSH HOST KEY KEYS-----";
    // Of several boots the last.
    let (_, after) = console.rsplit_once(BEGIN)?;
    let (block, _) = after.split_once(END)?;
    let keys: Vec<_> = block.lines().filter_map(plain_key).collect();
    KINDS.iter().find_map(|kind| {
        let key = keys.iter().find(|(found, _)| found == kind);
        key.map(|(kind, data)| format!("{kind} {data}"))
    })
}

/// Kinds of host keys, the best first.
const KINDS: [&str; 5] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
];

/// The kind and the data of a key on a line of a console, which may begin with something else.
fn plain_key(line: &str) -> Option<(&str, &str)> {
    let mut words = line.split_whitespace();
    let kind = words.find(|word| KINDS.contains(word))?;
    let data = words.next()?;
    data.starts_with("AAAA").then_some((kind, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "\
[   11.2] cloud-init[1300]: Cloud-init v. 24.1 running 'modules:final'\r
-----BEGIN SSH HOST KEY KEYS-----\r
ecdsa-sha2-nistp256 AAAAE2Vj root@ip-10-0-0-7\r
ssh-ed25519 AAAAC3Nz root@ip-10-0-0-7\r
ssh-rsa AAAAB3Nz root@ip-10-0-0-7\r
-----END SSH HOST KEY KEYS-----\r
";

    #[test]
    fn of_several_keys_the_best_is_taken() {
        assert_eq!(host_key(CONSOLE).as_deref(), Some("ssh-ed25519 AAAAC3Nz"));
        let without = CONSOLE.replace("ssh-ed25519", "ssh-dss");
        let other = Some("ecdsa-sha2-nistp256 AAAAE2Vj");
        assert_eq!(host_key(&without).as_deref(), other);
    }

    #[test]
    fn a_line_may_begin_with_a_time() {
        let stamped = CONSOLE.replace(
            "ssh-ed25519",
            "[   12.345678] cloud-init[1300]: ssh-ed25519",
        );
        assert_eq!(host_key(&stamped).as_deref(), Some("ssh-ed25519 AAAAC3Nz"));
    }

    #[test]
    fn of_several_boots_the_last_is_taken() {
        let later = format!("{CONSOLE}{}", CONSOLE.replace("AAAAC3Nz", "AAAAnew"));
        assert_eq!(host_key(&later).as_deref(), Some("ssh-ed25519 AAAAnew"));
    }

    #[test]
    fn what_is_not_all_there_is_not_taken() {
        assert_eq!(host_key(""), None);
        assert_eq!(host_key(&CONSOLE.replace("-----END", "")), None);
        assert_eq!(host_key("ssh-ed25519 AAAAC3Nz\n"), None);
    }
}
