//! Files of known hosts, by the rules of OpenSSH.
//!
//! Read at each login, never written. Certificate authorities are not followed: a line marked so
//! says nothing.

use std::io;
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use russh::keys::PublicKey;
use russh::keys::ssh_key::public::KeyData;
use sha1::Sha1;

/// The port that goes without saying.
const SSH_PORT: u16 = 22;

/// What the files say of one host.
#[derive(Debug, Default)]
pub(super) struct KnownKeys {
    /// The keys that it may show.
    pub(super) accepted: Vec<PublicKey>,
    /// The keys that nobody may show as this host any more.
    pub(super) revoked: Vec<PublicKey>,
}

impl KnownKeys {
    /// Reads `files`; those that do not exist say nothing.
    ///
    /// # Errors
    /// The file that cannot be read, and why.
    pub(super) fn read(files: &[PathBuf], host: &str, port: u16) -> Result<Self, String> {
        let mut texts = Vec::new();
        for file in files {
            match read_lossy(file) {
                Ok(text) => texts.push(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("read {}: {error}", file.display())),
            }
        }
        let name = host_name(host, port);
        let mut known = Self::of(&texts, &name);
        if known.accepted.is_empty() && port != SSH_PORT {
            // As OpenSSH does: a key of the host will do where its port is not known.
            let anywhere = Self::of(&texts, &host_name(host, SSH_PORT));
            known.accepted = anywhere.accepted;
            known.revoked.extend(anywhere.revoked);
        }
        Ok(known)
    }

    fn of(texts: &[String], name: &str) -> Self {
        let mut known = Self::default();
        for line in texts.iter().flat_map(|text| text.lines()) {
            match Entry::read(line, name) {
                Some(Entry { is_revoked, key }) if is_revoked => known.revoked.push(key),
                Some(Entry { key, .. }) => known.accepted.push(key),
                None => {}
            }
        }
        known
    }

    /// Whether the host may show `key`.
    pub(super) fn judge(&self, key: &KeyData) -> Judgement {
        let has = |keys: &[PublicKey]| keys.iter().any(|known| known.key_data() == key);
        if has(&self.revoked) {
            Judgement::Revoked
        } else if has(&self.accepted) {
            Judgement::Known
        } else if self.accepted.is_empty() {
            Judgement::UnknownHost
        } else {
            Judgement::OtherKey
        }
    }
}

/// What becomes of a key that was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// It is one of the host's.
    Known,
    /// The host has other keys.
    OtherKey,
    /// The host has no keys.
    UnknownHost,
    /// It must not be used any more.
    Revoked,
}

/// The name by which a file knows a host: with its port where that is not the usual one.
pub(super) fn host_name(host: &str, port: u16) -> String {
    let host = host.to_ascii_lowercase();
    if port == SSH_PORT {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

fn read_lossy(file: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&std::fs::read(file)?).into_owned())
}

/// A line about the host.
struct Entry {
    is_revoked: bool,
    key: PublicKey,
}

impl Entry {
    /// `None` where the line is not about `name`, or cannot be read: a file that many programs write
    /// may have lines for others.
    fn read(line: &str, name: &str) -> Option<Self> {
        let line = line.trim();
        if line.starts_with('#') {
            return None;
        }
        let mut words = line.split_ascii_whitespace();
        let mut hosts = words.next()?;
        let is_revoked = match hosts {
            "@revoked" => true,
            marker if marker.starts_with('@') => return None,
            _ => false,
        };
        if is_revoked {
            hosts = words.next()?;
        }
        if !names(hosts, name) {
            return None;
        }
        let key = format!("{} {}", words.next()?, words.next()?);
        Some(Self {
            is_revoked,
            key: PublicKey::from_openssh(&key).ok()?,
        })
    }
}

/// Whether a list of patterns names `name`: one of them does, and none that begins with `!`.
fn names(patterns: &str, name: &str) -> bool {
    let mut named = false;
    for pattern in patterns.split(',') {
        if let Some(pattern) = pattern.strip_prefix('!') {
            if is_like(pattern, name) {
                return false;
            }
        } else if let Some(hashed) = pattern.strip_prefix("|1|") {
            named |= is_hash_of(hashed, name).unwrap_or(false);
        } else {
            named |= is_like(pattern, name);
        }
    }
    named
}

/// `salt|hash`, both base64: HMAC-SHA1 of the name under the salt.
fn is_hash_of(hashed: &str, name: &str) -> Option<bool> {
    let (salt, hash) = hashed.split_once('|')?;
    let decode = |text: &str| data_encoding::BASE64.decode(text.as_bytes()).ok();
    let mut mac = Hmac::<Sha1>::new_from_slice(&decode(salt)?).ok()?;
    mac.update(name.as_bytes());
    Some(mac.verify_slice(&decode(hash)?).is_ok())
}

/// Whether `name` is like `pattern`, in which `*` stands for any text and `?` for any one character.
fn is_like(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.as_bytes());
    let pattern = pattern.as_bytes();
    let (mut p, mut n) = (0, 0);
    // Where the last `*` was, and how far the name went when it stood for as little as it does now.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&byte) if byte == b'?' || byte == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match &mut star {
                Some((at, taken)) => {
                    *taken += 1;
                    (p, n) = (*at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::KeyPair;

    fn judge(file: &str, host: &str, port: u16, key: &str) -> Judgement {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("known_hosts");
        std::fs::write(&path, file).expect("a file");
        let missing = folder.path().join("missing");
        let known = KnownKeys::read(&[missing, path], host, port).expect("reads");
        known.judge(PublicKey::from_openssh(key).expect("a key").key_data())
    }

    #[test]
    fn a_host_is_known_by_its_name_and_port() {
        let (key, other) = (
            KeyPair::generate().public_key,
            KeyPair::generate().public_key,
        );
        let file = format!(
            "# a comment\n\nnot a line\nhost,10.0.0.1 {key}\n[host]:2222 {other} comment here\n"
        );
        for (host, port, shown, expected) in [
            ("host", 22, &key, Judgement::Known),
            ("HOST", 22, &key, Judgement::Known),
            ("10.0.0.1", 22, &key, Judgement::Known),
            ("host", 22, &other, Judgement::OtherKey),
            ("host", 2222, &other, Judgement::Known),
            ("host", 2222, &key, Judgement::OtherKey),
            ("host", 2223, &key, Judgement::Known),
            ("hos", 22, &key, Judgement::UnknownHost),
            ("host2", 22, &key, Judgement::UnknownHost),
        ] {
            assert_eq!(judge(&file, host, port, shown), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_host_may_have_many_keys_and_lose_them() {
        let keys: Vec<_> = (0..3).map(|_| KeyPair::generate().public_key).collect();
        let file = format!(
            "h {}\nh {}\n@revoked * {}\n@cert-authority * {}\n",
            keys[0], keys[1], keys[1], keys[2]
        );
        assert_eq!(judge(&file, "h", 22, &keys[0]), Judgement::Known);
        assert_eq!(judge(&file, "h", 22, &keys[1]), Judgement::Revoked);
        assert_eq!(judge(&file, "h", 22, &keys[2]), Judgement::OtherKey);
    }

    #[test]
    fn patterns_and_exceptions() {
        let key = KeyPair::generate().public_key;
        let file = format!("*.example.org,!bad.example.org,db? {key}\n[10.1.*]:* {key}\n");
        for (host, port, expected) in [
            ("a.example.org", 22, Judgement::Known),
            ("bad.example.org", 22, Judgement::UnknownHost),
            ("example.org", 22, Judgement::UnknownHost),
            ("db1", 22, Judgement::Known),
            ("db", 22, Judgement::UnknownHost),
            ("10.1.2.3", 2022, Judgement::Known),
        ] {
            assert_eq!(judge(&file, host, port, &key), expected, "{host}:{port}");
        }
    }

    #[test]
    fn a_hashed_name_is_recognised() {
        // As `ssh-keygen -H` writes it.
        let key = KeyPair::generate().public_key;
        let salt = [7_u8; 20];
        let mut mac = Hmac::<Sha1>::new_from_slice(&salt).expect("any length");
        mac.update(b"[localhost]:2222");
        let encode = |bytes: &[u8]| data_encoding::BASE64.encode(bytes);
        let file = format!(
            "|1|{}|{} {key}\n|1|broken {key}\n|1|!|! {key}\n",
            encode(&salt),
            encode(&mac.finalize().into_bytes())
        );
        assert_eq!(judge(&file, "localhost", 2222, &key), Judgement::Known);
        assert_eq!(judge(&file, "localhost", 22, &key), Judgement::UnknownHost);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]
        #[test]
        fn any_line_is_read_without_a_panic(line in ".{0,80}", name in "[a-z*?.\\[\\]:0-9]{0,12}") {
            let _ = Entry::read(&line, &name);
            prop_assert!(is_like("*", &name) && is_like(&name, &name));
            let pattern = format!("*{name}*");
            let text = format!("ab{name}cd");
            prop_assert!(is_like(&pattern, &text));
        }
    }
}
