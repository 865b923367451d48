//! Keys of tables by image: which images a key fits, and which of two keys is the narrower one.
//!
//! | key | fits |
//! |---|---|
//! | `rhel94` | the image of this name |
//! | `rhel 9.4` | images of this operating system and version: `9.4` and `9.4.1`, as `==` has it |
//! | `rhel 8.*` | the same as `rhel 8` |
//! | `fedora 40..41` | versions from one to the other, both among them |
//! | `rhel` | images of this operating system |
//! | `*` | all images |

use std::cmp::Ordering;

use dva_plan::value::{Value, compare_versions};

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ImageKey {
    /// The image of this name.
    Image(String),
    /// All versions of an operating system that begin like this.
    Prefix { os: String, version: String },
    /// All versions of an operating system between two.
    Range {
        os: String,
        from: String,
        to: String,
    },
    /// All versions of an operating system.
    Os(String),
    /// All images.
    Any,
}

/// An image, as keys see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'i> {
    /// Its name.
    pub(crate) name: &'i str,
    /// Its operating system.
    pub(crate) os: &'i str,
    /// The version of that.
    pub(crate) version: Option<&'i str>,
}

/// Which key an image falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// None.
    None,
    /// This one, by its number.
    One(usize),
    /// These two, neither of which is the narrower.
    Several(usize, usize),
}

/// The narrowest of `keys` that fits `image`.
pub(crate) fn narrowest(keys: &[ImageKey], image: &Image<'_>) -> Under {
    let fitting = || keys.iter().enumerate().filter(|(_, key)| key.fits(image));
    let Some((first, _)) = fitting().next() else {
        return Under::None;
    };
    // The one that none is narrower than, if there is only one.
    let best = fitting().fold(first, |best, (number, key)| {
        if key.is_narrower_than(&keys[best]) {
            number
        } else {
            best
        }
    });
    match fitting().find(|(number, key)| *number != best && !keys[best].is_narrower_than(key)) {
        Some((other, _)) => Under::Several(best.min(other), best.max(other)),
        None => Under::One(best),
    }
}

impl ImageKey {
    /// Reads a key; `is_image` says whether a word is the name of an image.
    ///
    /// # Errors
    /// What is wrong with it, as the end of a sentence.
    pub(crate) fn parse(text: &str, is_image: impl Fn(&str) -> bool) -> Result<Self, &'static str> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let is_word = |word: &str| {
            !word.is_empty()
                && word
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
        };
        match *words {
            ["*"] => Ok(Self::Any),
            [word] if is_image(word) => Ok(Self::Image(word.to_owned())),
            [os] if is_word(os) => Ok(Self::Os(os.to_owned())),
            [os, versions] if is_word(os) => {
                let os = os.to_owned();
                if let Some((from, to)) = versions.split_once("..") {
                    let order = compare_versions(from, to);
                    if !is_word(from) || !is_word(to) || order.is_none() {
                        return Err("its range has no two versions with an order");
                    }
                    if order == Some(Ordering::Greater) {
                        return Err("its range goes from the larger to the smaller version");
                    }
                    let (from, to) = (from.to_owned(), to.to_owned());
                    return Ok(Self::Range { os, from, to });
                }
                let version = versions.strip_suffix(".*").unwrap_or(versions);
                if !is_word(version) {
                    return Err("its version is none");
                }
                let version = version.to_owned();
                Ok(Self::Prefix { os, version })
            }
            _ => Err("it is not of one or two words"),
        }
    }

    fn fits(&self, image: &Image<'_>) -> bool {
        let version = |os: &str| image.version.filter(|_| os == image.os);
        match self {
            Self::Any => true,
            Self::Image(name) => name == image.name,
            Self::Os(os) => os == image.os,
            Self::Prefix { os, version: start } => {
                version(os).is_some_and(|version| begins(version, start))
            }
            Self::Range { os, from, to } => {
                version(os).is_some_and(|version| lies_in(version, from, to))
            }
        }
    }

    /// Whether all images that this key fits are images that `other` fits, and not the other way round.
    fn is_narrower_than(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Image(_), Self::Image(_)) => false,
            (Self::Image(_), _) => true,
            (_, Self::Image(_)) => false,
            (Self::Any, _) => false,
            (_, Self::Any) => true,
            (Self::Os(_), _) => false,
            (_, Self::Os(_)) => true,
            (_, _) => self.is_inside(other) && !other.is_inside(self),
        }
    }

    /// Whether the versions of this key are among those of `other`.
    fn is_inside(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix { version, .. }, Self::Prefix { version: start, .. }) => {
                begins(version, start)
            }
            (Self::Prefix { version, .. }, Self::Range { from, to, .. }) => {
                lies_in(version, from, to)
            }
            (Self::Range { from, to, .. }, Self::Prefix { version, .. }) => {
                begins(from, version) && begins(to, version)
            }
            (
                Self::Range { from, to, .. },
                Self::Range {
                    from: low,
                    to: high,
                    ..
                },
            ) => lies_in(from, low, high) && lies_in(to, low, high),
            (_, _) => false,
        }
    }
}

/// Whether `version` is `start`, or one with more parts that begins so.
fn begins(version: &str, start: &str) -> bool {
    Value::Version(version.to_owned()).equals(&Value::Version(start.to_owned()))
}

fn lies_in(version: &str, from: &str, to: &str) -> bool {
    let above = compare_versions(version, from).is_some_and(Ordering::is_ge);
    let below = compare_versions(version, to).is_some_and(Ordering::is_le) || begins(version, to);
    above && below
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key that `os version` falls under, or the two.
    fn under(keys: &[&str], os: &str, version: &str) -> Vec<String> {
        let parsed: Vec<_> = keys
            .iter()
            .map(|key| ImageKey::parse(key, |word| word == "rhel94").expect("a key"))
            .collect();
        let image = Image {
            name: "rhel94",
            os,
            version: Some(version).filter(|version| !version.is_empty()),
        };
        match narrowest(&parsed, &image) {
            Under::None => vec![],
            Under::One(one) => vec![keys[one].to_owned()],
            Under::Several(one, other) => vec![keys[one].to_owned(), keys[other].to_owned()],
        }
    }

    #[test]
    fn the_narrowest_key_holds() {
        let keys = [
            "*",
            "rhel",
            "rhel 8.*",
            "rhel 8.2..8.6",
            "rhel 8.4",
            "rhel 9.4",
            "fedora 40..41",
        ];
        for (os, version, key) in [
            ("sles", "15-SP6", "*"),
            ("rhel", "7.9", "rhel"),
            ("rhel", "", "rhel"),
            ("rhel", "8.10", "rhel 8.*"),
            ("rhel", "8.3", "rhel 8.2..8.6"),
            ("rhel", "8.6.1", "rhel 8.2..8.6"),
            ("rhel", "8.4", "rhel 8.4"),
            ("rhel", "8.4.1", "rhel 8.4"),
            ("rhel", "9.4", "rhel 9.4"),
            ("rhel", "9.40", "rhel"),
            ("fedora", "41", "fedora 40..41"),
            ("fedora", "rawhide", "*"),
        ] {
            assert_eq!(under(&keys, os, version), [key], "{os} {version}");
        }
        assert_eq!(
            under(&["rhel 9.4", "rhel94", "*"], "rhel", "9.4"),
            ["rhel94"]
        );
        assert_eq!(under(&["rhel 8.*"], "rhel", "9.4"), [""; 0]);
    }

    #[test]
    fn keys_that_overlap_without_one_being_narrower_are_two() {
        for keys in [
            ["rhel 8", "rhel 8.*"],
            ["rhel 8.2..8.6", "rhel 8.4..8.8"],
            ["rhel 8.4..8.4", "rhel 8.4"],
        ] {
            assert_eq!(under(&keys, "rhel", "8.4"), keys);
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in [
            "",
            "rhel 9 4",
            "rhel ..8",
            "rhel 9..8",
            "rhel 8..rawhide",
            "rh*l",
            "rhel *",
        ] {
            assert!(ImageKey::parse(text, |_| false).is_err(), "{text}");
        }
    }
}
