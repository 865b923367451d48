//! Names that live longer than one document: cells, tests, runs.
//!
//! Indices into the tables of one document are declared beside those tables.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Declares text ids.
macro_rules! define_text_id {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Takes `text` as it stands.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

define_text_id! {
    /// A cell, by what it is made of: see [`CellId::of`]. Twenty hexadecimal digits.
    CellId;
    /// A test: module path, name, arguments, `@repeat`; for example `storage.mount` or `memory@rebooted`.
    TestId;
    /// One execution of an execution plan, for example `20261123-093000-4f2a`. Sorts by time.
    RunId;
}

impl CellId {
    /// 80 bits of SHA-256 over the matrix name and its (axis, value) pairs, which are sorted here.
    ///
    /// An `each` axis gives its resolved name; an `any` axis is left out. So an id survives
    /// formatting, new image ids, prices, accounts and chosen types.
    #[must_use]
    pub fn of<'a>(matrix: &str, axes: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut pairs: Vec<_> = axes.into_iter().collect();
        pairs.sort_unstable();
        let mut hash = Sha256::new();
        hash.update(matrix);
        for (axis, value) in pairs {
            // Names hold no control characters, so these separators keep the encoding unambiguous.
            hash.update("\n");
            hash.update(axis);
            hash.update("=");
            hash.update(value);
        }
        Self(hex(&hash.finalize()[..10]))
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_id_ignores_the_order_of_axes_and_nothing_else() {
        let id = CellId::of("sizes", [("image", "host"), ("fs", "xfs")]);
        assert_eq!(id.as_str().len(), 20);
        assert_eq!(id, CellId::of("sizes", [("fs", "xfs"), ("image", "host")]));
        assert_ne!(id, CellId::of("other", [("image", "host"), ("fs", "xfs")]));
        assert_ne!(id, CellId::of("sizes", [("image", "host"), ("fs", "ext4")]));
        assert_ne!(id, CellId::of("sizes", [("image", "host")]));
    }
}
