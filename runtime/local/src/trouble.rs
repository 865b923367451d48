//! What went wrong while a machine was made or taken down: what was being done, and what the kernel
//! said to it. It crosses between our processes as text, so it keeps no type of its own error.

use std::fmt;
use std::io;

/// A step that failed.
#[derive(Debug)]
pub(crate) struct Trouble(String);

impl Trouble {
    /// A trouble that no system call reported.
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Says of a failure what was being done.
pub(crate) trait While<T> {
    /// The failure, with `doing` in front of it: `mount /proc`.
    fn doing(self, doing: impl fmt::Display) -> Result<T, Trouble>;
}

impl<T, E: Into<io::Error>> While<T> for Result<T, E> {
    fn doing(self, doing: impl fmt::Display) -> Result<T, Trouble> {
        self.map_err(|error| Trouble(format!("{doing}: {}", error.into())))
    }
}
