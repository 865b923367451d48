//! Findings as miette sees them. Which renderer shows them is the command's choice.
//!
//! Whatever comes from the user, names and excerpts, is handed over as [`shown`] makes it.

use std::fmt;

use miette::{
    LabeledSpan, MietteError, Severity as MietteSeverity, SourceCode, SourceSpan, SpanContents,
};

use super::{Diagnostic, Label, Severity, shown};
use crate::source::Source;
use crate::span::Span;

/// A finding together with the source it is about.
#[derive(Debug)]
pub struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedText<'a>,
}

impl<'a> Report<'a> {
    /// The finding, to be shown in its source.
    #[must_use]
    pub fn new(diagnostic: &'a Diagnostic, source: &'a Source) -> Self {
        Self {
            diagnostic,
            source: NamedText(source),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.diagnostic.code.summary())
    }
}

impl std::error::Error for Report<'_> {}

impl miette::Diagnostic for Report<'_> {
    fn code<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        Some(Box::new(self.diagnostic.code))
    }

    fn severity(&self) -> Option<MietteSeverity> {
        Some(match self.diagnostic.code.severity() {
            Severity::Error => MietteSeverity::Error,
            Severity::Warning => MietteSeverity::Warning,
        })
    }

    fn help<'b>(&'b self) -> Option<Box<dyn fmt::Display + 'b>> {
        (!self.diagnostic.help.is_empty())
            .then(|| Box::new(&self.diagnostic.help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let primary = LabeledSpan::new_primary_with_span(
            Some(shown::line(&self.diagnostic.primary.text).into_owned()),
            to_miette(self.diagnostic.primary.span),
        );
        let secondary = self
            .diagnostic
            .secondary
            .iter()
            .map(|Label { span, text }| {
                LabeledSpan::new_with_span(Some(shown::line(text).into_owned()), to_miette(*span))
            });
        Some(Box::new(std::iter::once(primary).chain(secondary)))
    }
}

fn to_miette(span: Span) -> SourceSpan {
    let range = span.range();
    SourceSpan::new(range.start.into(), range.len())
}

/// A source with its name, so that messages say which file and line.
#[derive(Debug)]
struct NamedText<'a>(&'a Source);

impl SourceCode for NamedText<'_> {
    /// The lines of `span` and those around it. With no line before, what is given begins at the span
    /// itself, and its column is that of [`Source::position`]; miette's own reader counts bytes, and
    /// begins to count lines at the start of the file for every label.
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let source = self.0;
        let text = source.shown();
        let (start, end) = (span.offset(), span.offset() + span.len());
        if end > text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let span = Span::new(start, end);
        // The last character of the span, so that one that ends with a line ends on that line.
        let last = span.end.saturating_sub(1).max(span.start);
        let lines = |number: usize| Span::new(number, number).start;
        let (first_line, column) = source.position(span.start);
        let last_line = source.line(last).saturating_add(lines(lines_after));
        let end = source.line_start(last_line.saturating_add(1)) as usize;
        let (line, column, start) = if lines_before == 0 {
            (first_line, column, start)
        } else {
            let line = first_line.saturating_sub(lines(lines_before)).max(1);
            (line, 1, source.line_start(line) as usize)
        };
        Ok(Box::new(miette::MietteSpanContents::new_named(
            shown::line(source.name()).into_owned(),
            &text.as_bytes()[start..end],
            SourceSpan::new(start.into(), end - start),
            line as usize - 1,
            column as usize - 1,
            (last_line - line) as usize + 1,
        )))
    }
}
