//! Places in the files of a source: half-open ranges of bytes.
//!
//! The files of one compilation stand behind one another, so a place says which file it is in; see
//! [`crate::source::Sources`].

/// A range of bytes of one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte behind the last one.
    pub end: u32,
}

impl Span {
    /// The range from `start` up to `end`. The files of a source are at most 4 GiB, so 32 bits hold any offset.
    ///
    /// # Panics
    /// If an offset does not fit: no file is read behind that.
    #[must_use]
    pub fn new(start: usize, end: usize) -> Self {
        let offset = |at: usize| match u32::try_from(at) {
            Ok(at) => at,
            Err(_) => panic!("an offset beyond the largest source"),
        };
        Self {
            start: offset(start),
            end: offset(end),
        }
    }

    /// The smallest range that covers both.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self {
            start: self.start.min(other.start),
            end: self.end.max(other.end),
        }
    }

    /// The range that is `by` bytes further on.
    #[must_use]
    pub fn shifted(self, by: u32) -> Self {
        Self {
            start: self.start + by,
            end: self.end + by,
        }
    }

    /// The empty range right behind this one.
    #[must_use]
    pub fn after(self) -> Self {
        Self {
            start: self.end,
            end: self.end,
        }
    }

    /// The range as one of `usize`, to cut text with.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}
