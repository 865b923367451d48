//! Which algorithms a login may use.

use std::borrow::Cow;

use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Preferred, cipher, kex, mac};

/// Which algorithms are acceptable. Both sides have to agree on one of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithms {
    /// Those that are held to be sound.
    #[default]
    Sound,
    /// Also those that old systems need and that are broken or nearly so: signatures and key exchange
    /// with SHA-1, ciphers in CBC mode. The sound ones are preferred still.
    Legacy,
}

impl Algorithms {
    pub(super) fn preferred(self, host_keys: Vec<Algorithm>) -> Preferred {
        let sound = Preferred {
            key: Cow::Owned(host_keys),
            ..Preferred::DEFAULT
        };
        match self {
            Self::Sound => sound,
            Self::Legacy => Preferred {
                kex: with(
                    &sound.kex,
                    &[
                        kex::ECDH_SHA2_NISTP256,
                        kex::DH_GEX_SHA1,
                        kex::DH_G14_SHA1,
                        kex::DH_G1_SHA1,
                    ],
                ),
                cipher: with(
                    &sound.cipher,
                    &[
                        cipher::AES_256_CBC,
                        cipher::AES_192_CBC,
                        cipher::AES_128_CBC,
                    ],
                ),
                mac: with(&sound.mac, &[mac::HMAC_SHA1_ETM, mac::HMAC_SHA1]),
                ..sound
            },
        }
    }

    /// The algorithms by which a machine can show a key of the kind of `key`.
    pub(super) fn of_host_key(self, key: &Algorithm) -> Vec<Algorithm> {
        let Algorithm::Rsa { .. } = key else {
            return vec![key.clone()];
        };
        let mut hashes = vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256)];
        if self == Self::Legacy {
            hashes.push(None);
        }
        let rsa = |hash| Algorithm::Rsa { hash };
        hashes.into_iter().map(rsa).collect()
    }

    /// The algorithms by which a machine can show any key at all.
    pub(super) fn of_any_host_key(self) -> Vec<Algorithm> {
        let ecdsa = |curve| Algorithm::Ecdsa { curve };
        let mut all = vec![
            Algorithm::Ed25519,
            ecdsa(EcdsaCurve::NistP256),
            ecdsa(EcdsaCurve::NistP384),
            ecdsa(EcdsaCurve::NistP521),
        ];
        all.extend(self.of_host_key(&Algorithm::Rsa { hash: None }));
        all
    }

    /// The hashes to sign with by an RSA key, in the order in which they are tried, given what the
    /// machine says it takes. It may say more than it does.
    pub(super) fn rsa_hashes(self, said: Option<Option<HashAlg>>) -> Vec<Option<HashAlg>> {
        // A machine that says nothing of it is older than these hashes, or just says nothing.
        let sound = said.flatten().unwrap_or(HashAlg::Sha512);
        match self {
            Self::Sound => vec![Some(sound)],
            Self::Legacy if said == Some(None) => vec![None],
            Self::Legacy => vec![Some(sound), None],
        }
    }
}

/// `sound`, then `more`.
fn with<T: Clone>(sound: &[T], more: &[T]) -> Cow<'static, [T]> {
    Cow::Owned([sound, more].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_with_sha1_is_offered_unless_asked_for() {
        let names = |algorithms: Algorithms| {
            let preferred = algorithms.preferred(algorithms.of_any_host_key());
            let mut names: Vec<String> = preferred.key.iter().map(ToString::to_string).collect();
            names.extend(preferred.kex.iter().map(|name| name.as_ref().to_owned()));
            names.extend(preferred.cipher.iter().map(|name| name.as_ref().to_owned()));
            names.extend(preferred.mac.iter().map(|name| name.as_ref().to_owned()));
            names
        };
        let weak =
            |name: &String| name.contains("sha1") || name.ends_with("-cbc") || name == "ssh-rsa";
        assert!(!names(Algorithms::Sound).iter().any(weak));
        let legacy = names(Algorithms::Legacy);
        assert!(legacy.iter().any(|name| name == "ssh-rsa"));
        assert!(
            legacy
                .iter()
                .any(|name| name == "diffie-hellman-group14-sha1")
        );
        assert_eq!(legacy.iter().filter(|name| weak(name)).count(), 9);
    }
}
