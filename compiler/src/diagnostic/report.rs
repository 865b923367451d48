//! Findings as miette sees them. Which renderer shows them is the command's choice.

use std::fmt;

use miette::{
    LabeledSpan, MietteError, Severity as MietteSeverity, SourceCode, SourceSpan, SpanContents,
};

use super::{Diagnostic, Label, Severity};
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
            Some(self.diagnostic.primary.text.clone()),
            to_miette(self.diagnostic.primary.span),
        );
        let secondary = self
            .diagnostic
            .secondary
            .iter()
            .map(|Label { span, text }| {
                LabeledSpan::new_with_span(Some(text.clone()), to_miette(*span))
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
    fn read_span<'b>(
        &'b self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'b> + 'b>, MietteError> {
        let text = self.0.text();
        let contents = text.read_span(span, lines_before, lines_after)?;
        Ok(Box::new(miette::MietteSpanContents::new_named(
            self.0.name().to_owned(),
            contents.data(),
            *contents.span(),
            contents.line(),
            contents.column(),
            contents.line_count(),
        )))
    }
}
