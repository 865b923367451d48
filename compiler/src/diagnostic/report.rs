//! Findings as miette sees them. Which renderer shows them is the command's choice.
//!
//! Whatever comes from the user, names and excerpts, is handed over as [`shown`] makes it.

use std::fmt;

use miette::{
    LabeledSpan, MietteError, Severity as MietteSeverity, SourceCode, SourceSpan, SpanContents,
};

use super::{Diagnostic, Label, Severity, shown};
use crate::source::{Source, Sources};
use crate::span::Span;

/// A finding together with the file it is about.
#[derive(Debug)]
pub struct Report<'a> {
    diagnostic: &'a Diagnostic,
    source: NamedText<'a>,
    /// The places in other files, which cannot be shown in this one.
    elsewhere: Vec<Elsewhere<'a>>,
}

impl<'a> Report<'a> {
    /// The finding, to be shown in the file it is about.
    #[must_use]
    pub fn new(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Self {
        let own = sources.row(diagnostic.primary.span);
        let others = diagnostic.secondary.iter();
        let others = others.filter(|label| sources.row(label.span) != own);
        Self {
            diagnostic,
            source: NamedText(&sources.files()[own]),
            elsewhere: others
                .map(|label| Elsewhere {
                    label,
                    source: NamedText(sources.file(label.span)),
                })
                .collect(),
        }
    }

    /// Whether `label` can be shown in the file of the finding.
    fn is_here(&self, label: &Label) -> bool {
        let mut elsewhere = self.elsewhere.iter();
        !elsewhere.any(|other| std::ptr::eq(other.label, label))
    }
}

/// A place in another file that belongs to a finding.
#[derive(Debug)]
struct Elsewhere<'a> {
    label: &'a Label,
    source: NamedText<'a>,
}

impl fmt::Display for Elsewhere<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("in another file")
    }
}

impl std::error::Error for Elsewhere<'_> {}

impl miette::Diagnostic for Elsewhere<'_> {
    fn severity(&self) -> Option<MietteSeverity> {
        Some(MietteSeverity::Advice)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = self.source.label(self.label, false);
        Some(Box::new(std::iter::once(label)))
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.diagnostic.code.summary())?;
        match self.diagnostic.is_placeless() {
            true => write!(f, ": {}", shown::line(&self.diagnostic.primary.text)),
            false => Ok(()),
        }
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
        (!self.diagnostic.is_placeless()).then_some(&self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.diagnostic.is_placeless() {
            return None;
        }
        let primary = self.source.label(&self.diagnostic.primary, true);
        let secondary = self.diagnostic.secondary.iter();
        let secondary = secondary.filter(|label| self.is_here(label));
        let secondary = secondary.map(|label| self.source.label(label, false));
        Some(Box::new(std::iter::once(primary).chain(secondary)))
    }

    fn related<'b>(&'b self) -> Option<Box<dyn Iterator<Item = &'b dyn miette::Diagnostic> + 'b>> {
        let related = self.elsewhere.iter();
        let related = related.map(|other| other as &dyn miette::Diagnostic);
        (!self.elsewhere.is_empty()).then(|| Box::new(related) as _)
    }
}

/// A source with its name, so that messages say which file and line.
#[derive(Debug)]
struct NamedText<'a>(&'a Source);

impl NamedText<'_> {
    /// A label of this text as miette has it.
    fn label(&self, Label { span, text }: &Label, is_primary: bool) -> LabeledSpan {
        let range = self.0.range(*span);
        let span = SourceSpan::new(range.start.into(), range.len());
        let text = Some(shown::line(text).into_owned());
        match is_primary {
            true => LabeledSpan::new_primary_with_span(text, span),
            false => LabeledSpan::new_with_span(text, span),
        }
    }
}

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
        let span = Span::new(start, end).shifted(source.base());
        // The last character of the span, so that one that ends with a line ends on that line.
        let last = span.end.saturating_sub(1).max(span.start);
        let lines = |number: usize| Span::new(number, number).start;
        let (first_line, column) = source.position(span.start);
        let last_line = source.line(last).saturating_add(lines(lines_after));
        let end = source.line_start(last_line.saturating_add(1));
        let (line, column, start) = if lines_before == 0 {
            (first_line, column, start)
        } else {
            let line = first_line.saturating_sub(lines(lines_before)).max(1);
            (line, 1, source.line_start(line))
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
