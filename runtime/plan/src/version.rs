//! Versions of document formats and who can read what.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[major, minor]` of a document format. The major number must match; the minor may be older than
/// the reader's, never newer. While the major number is 0 the formats promise nothing beyond that.
///
/// History: `[0, 1]` first light.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct FormatVersion(pub u16, pub u16);

impl FormatVersion {
    /// What this build writes and can read, of all documents.
    pub const CURRENT: Self = Self(0, 1);

    /// The oldest version this build can read: of the same major number, and one that was ever written.
    pub const OLDEST: Self = Self(0, 1);

    /// Whether this build can read a document of this version.
    ///
    /// # Errors
    /// [`Unreadable`] says which way it differs.
    pub fn check_readable(self) -> Result<(), Unreadable> {
        if self > Self::CURRENT {
            Err(Unreadable::TooNew)
        } else if self < Self::OLDEST {
            Err(Unreadable::TooOld)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for FormatVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// How an unreadable version differs from ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its major number is smaller.
    TooOld,
    /// Its major or minor number is larger.
    TooNew,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_number_matches_and_the_minor_may_be_older() {
        let FormatVersion(major, minor) = FormatVersion::CURRENT;
        assert_eq!(FormatVersion::OLDEST.0, major);
        assert_eq!(FormatVersion::CURRENT.check_readable(), Ok(()));
        assert_eq!(FormatVersion::OLDEST.check_readable(), Ok(()));
        assert_eq!(
            FormatVersion(0, 0).check_readable(),
            Err(Unreadable::TooOld)
        );
        assert_eq!(
            FormatVersion(major, minor + 1).check_readable(),
            Err(Unreadable::TooNew)
        );
        assert_eq!(
            FormatVersion(major + 1, 0).check_readable(),
            Err(Unreadable::TooNew)
        );
    }
}
