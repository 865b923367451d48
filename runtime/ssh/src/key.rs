//! Key pairs: made anew for every machine, never read from a user's folder.

use std::fmt;

use russh::keys::ssh_key::LineEnding;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::{PrivateKey, PublicKey};

/// A key pair in OpenSSH's text forms.
#[derive(Clone)]
pub struct KeyPair {
    /// The private key, without a passphrase.
    pub private_key: String,
    /// The public key on one line, without a comment.
    pub public_key: String,
}

impl KeyPair {
    /// A new Ed25519 pair from the kernel's random bytes.
    ///
    /// # Panics
    /// Where the kernel has no random bytes to give.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "a machine without random bytes can make no key, and a new key always has a text"
    )]
    pub fn generate() -> Self {
        let key = PrivateKey::from(Ed25519Keypair::from_seed(&seed()));
        Self {
            private_key: key
                .to_openssh(LineEnding::LF)
                .expect("a new key has a text form")
                .to_string(),
            public_key: key
                .public_key()
                .to_openssh()
                .expect("a new key has a text form"),
        }
    }
}

/// Shows the public key alone.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair")
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

/// The private key of this text.
///
/// # Errors
/// What is wrong with the text; never the text itself.
pub(crate) fn private_key(text: &str) -> Result<PrivateKey, String> {
    russh::keys::decode_secret_key(text, None).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => {
            "it is encrypted: give it to an agent with `ssh-add`, nobody is asked for a passphrase"
                .to_owned()
        }
        error => error.to_string(),
    })
}

/// The public key of this line.
///
/// # Errors
/// What is wrong with the line.
pub(crate) fn public_key(line: &str) -> Result<PublicKey, String> {
    PublicKey::from_openssh(line).map_err(|error| error.to_string())
}

/// 32 random bytes.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    let mut filled = 0;
    while filled < seed.len() {
        match rustix::rand::getrandom(&mut seed[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel has no random bytes: {error}"),
        }
    }
    seed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_reads_back_and_its_halves_belong_together() {
        let pair = KeyPair::generate();
        let private = private_key(&pair.private_key).expect("own text");
        let public = public_key(&pair.public_key).expect("own text");
        assert_eq!(private.public_key().key_data(), public.key_data());
        assert_ne!(pair.public_key, KeyPair::generate().public_key);
    }

    #[test]
    fn debug_text_keeps_the_secret() {
        let pair = KeyPair::generate();
        assert!(!format!("{pair:?}").contains("PRIVATE"));
    }
}
