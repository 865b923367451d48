//! The files of a source: their names, their texts, and where their lines begin.
//!
//! Each stands at a place of its own in one row of bytes, so a [`Span`] is a place in one file of it.

use crate::diagnostic::shown;
use crate::span::Span;

/// The largest source that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 32 << 20;

/// A file that is text.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it stands among the files.
    base: u32,
    name: String,
    text: String,
    /// What messages show of it, where that is not the text itself.
    shown: Option<String>,
    line_starts: Vec<u32>,
}

impl Source {
    /// A file named `name`, which messages show as it stands, and the only one.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::at(0, name, text)
    }

    /// As [`Source::new`], where `base` bytes of other files stand before it.
    #[must_use]
    pub fn at(base: u32, name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let behind_line_ends = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| Span::new(at + 1, at + 1).start);
        let line_starts = std::iter::once(0).chain(behind_line_ends).collect();
        Self {
            base,
            name: name.into(),
            shown: shown::excerpt(&text),
            text,
            line_starts,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its text as messages show it: as many bytes, and none that a terminal would obey.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.shown.as_deref().unwrap_or(&self.text)
    }

    /// Where it stands among the files.
    #[must_use]
    pub fn base(&self) -> u32 {
        self.base
    }

    /// `span` as a range of its own text.
    #[must_use]
    pub fn range(&self, span: Span) -> std::ops::Range<usize> {
        let own = |offset: u32| offset.saturating_sub(self.base) as usize;
        own(span.start)..own(span.end)
    }

    /// The text of `span`; empty where it is not one of this file.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(self.range(span)).unwrap_or_default()
    }

    /// The line and column of an offset, both from 1, the column in characters: a tab, a wide letter
    /// and a mark that is put onto the letter before it are one each.
    #[must_use]
    pub fn position(&self, offset: u32) -> (u32, u32) {
        let line = self.line(offset);
        let own = Span {
            start: offset,
            end: offset,
        };
        let until = self.range(own).end;
        let before = self.text.get(self.line_start(line)..until);
        let before = before.unwrap_or_default();
        (line, Span::new(before.chars().count() + 1, 0).start)
    }

    /// The line of an offset, from 1.
    #[must_use]
    pub fn line(&self, offset: u32) -> u32 {
        let own = offset.saturating_sub(self.base);
        let line = self.line_starts.partition_point(|start| *start <= own);
        Span::new(line, line).start
    }

    /// Where a line begins in its text; behind the last line, where the text ends.
    #[must_use]
    pub fn line_start(&self, line: u32) -> usize {
        let row = (line as usize).saturating_sub(1);
        let start = self.line_starts.get(row);
        start.map_or(self.text.len(), |start| *start as usize)
    }
}

/// The files of a source, the one that was asked for before those that it uses.
#[derive(Clone, Debug)]
pub struct Sources {
    files: Vec<Source>,
}

impl Sources {
    /// Those of a source that uses no others.
    #[must_use]
    pub fn of(root: Source) -> Self {
        Self { files: vec![root] }
    }

    /// Where the next file will stand; `None` where there is no place for one of `bytes`.
    ///
    /// A byte stands between two files, so that the end of one is not the start of the next.
    #[must_use]
    pub fn next_base(&self, bytes: usize) -> Option<u32> {
        let last = self.files.last()?;
        let base = last.base as usize + last.text.len() + 1;
        let fits = u32::try_from(base + bytes).is_ok();
        u32::try_from(base).ok().filter(|_| fits)
    }

    /// Adds a file, which stands where [`Sources::next_base`] says.
    pub fn push(&mut self, file: Source) {
        self.files.push(file);
    }

    /// The file that was asked for.
    ///
    /// # Panics
    /// Never: there is always one.
    #[must_use]
    pub fn root(&self) -> &Source {
        &self.files[0]
    }

    /// The files, in order.
    #[must_use]
    pub fn files(&self) -> &[Source] {
        &self.files
    }

    /// Which file `span` stands in.
    #[must_use]
    pub fn row(&self, span: Span) -> usize {
        let behind = self.files.partition_point(|file| file.base <= span.start);
        behind.saturating_sub(1)
    }

    /// The file that `span` stands in.
    #[must_use]
    pub fn file(&self, span: Span) -> &Source {
        &self.files[self.row(span)]
    }

    /// The text of `span`.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.file(span).slice(span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one_and_by_characters() {
        let source = Source::new("a.plan", "ab\nüx\n");
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(2), (1, 3));
        assert_eq!(source.position(3), (2, 1));
        assert_eq!(source.position(5), (2, 2));
        assert_eq!(source.position(7), (3, 1));
    }

    #[test]
    fn a_place_says_which_file_it_is_in() {
        let mut sources = Sources::of(Source::new("a.plan", "ab"));
        let base = sources.next_base(4);
        assert_eq!(base, Some(3));
        sources.push(Source::at(3, "b.plan", "x\nyz"));
        assert_eq!(sources.next_base(u32::MAX as usize), None);
        let (end, start) = (Span::new(2, 2), Span::new(3, 4));
        assert_eq!(sources.file(end).name(), "a.plan");
        assert_eq!(sources.file(start).name(), "b.plan");
        assert_eq!(sources.slice(Span::new(5, 7)), "yz");
        assert_eq!(sources.file(start).position(6), (2, 2));
    }
}
