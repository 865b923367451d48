//! A source: its name, its text, and where its lines begin.

use crate::diagnostic::shown;
use crate::span::Span;

/// The largest source that is read, in bytes.
pub const MAX_SOURCE_BYTES: usize = 32 << 20;

/// A source that is text.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    /// What messages show of it, where that is not the text itself.
    shown: Option<String>,
    line_starts: Vec<u32>,
}

impl Source {
    /// A source named `name`, which messages show as it stands.
    #[must_use]
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        let text = text.into();
        let behind_line_ends = text
            .bytes()
            .enumerate()
            .filter(|(_, byte)| *byte == b'\n')
            .map(|(at, _)| Span::new(at + 1, at + 1).start);
        let line_starts = std::iter::once(0).chain(behind_line_ends).collect();
        Self {
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

    /// The text of `span`; empty where it is not one of this source.
    #[must_use]
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The line and column of an offset, both from 1, the column in characters: a tab, a wide letter
    /// and a mark that is put onto the letter before it are one each.
    #[must_use]
    pub fn position(&self, offset: u32) -> (u32, u32) {
        let line = self.line(offset);
        let start = self.line_start(line);
        let before = self.slice(Span { start, end: offset });
        (line, Span::new(before.chars().count() + 1, 0).start)
    }

    /// The line of an offset, from 1.
    #[must_use]
    pub fn line(&self, offset: u32) -> u32 {
        let line = self.line_starts.partition_point(|start| *start <= offset);
        Span::new(line, line).start
    }

    /// Where a line begins; behind the last line, where the text ends.
    #[must_use]
    pub fn line_start(&self, line: u32) -> u32 {
        let row = (line as usize).saturating_sub(1);
        let end = || Span::new(self.text.len(), self.text.len()).start;
        self.line_starts.get(row).copied().unwrap_or_else(end)
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
}
