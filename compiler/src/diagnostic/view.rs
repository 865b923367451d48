//! Findings for programs: what `--format json` prints. `docs/FORMATS.md` says what each key means.
//!
//! A view only tells what a [`Diagnostic`] says and where it is; all of its keys are always there.

use serde::Serialize;

use super::{Diagnostic, Label, Severity};
use crate::source::Sources;
use crate::span::Span;

/// The version of the form, as major and minor number; 0 promises nothing.
pub const VERSION: [u32; 2] = [0, 1];

/// All findings of one compilation.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Findings<'a> {
    /// Always `dva-diagnostics`.
    pub format: &'static str,
    /// See [`VERSION`].
    pub version: [u32; 2],
    /// How many findings are errors; where there is one, there is no plan.
    pub errors: usize,
    /// How many findings are warnings.
    pub warnings: usize,
    /// The findings in the order of the source.
    pub diagnostics: Vec<Finding<'a>>,
}

/// One finding.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding<'a> {
    /// Which mistake: `P0204`.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The mistake in a few words, without any name of the user's.
    pub summary: &'static str,
    /// What is wrong at its place.
    pub message: &'a str,
    /// What to do; may be empty.
    pub help: &'a str,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place<'a>,
    /// Other places that belong to it.
    pub labels: Vec<Other<'a>>,
}

/// Another place that belongs to a finding.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Other<'a> {
    /// What there is to say about it.
    pub message: &'a str,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place<'a>,
}

/// A place in a file: a half-open range. Lines and columns count from 1, columns in characters;
/// bytes count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place<'a> {
    /// The file, as it was named, or one that it uses.
    pub file: &'a str,
    /// The line of the first character.
    pub line: u32,
    /// Its column.
    pub column: u32,
    /// The line of the end.
    pub end_line: u32,
    /// The column behind the last character.
    pub end_column: u32,
    /// The first byte.
    pub byte_start: u32,
    /// The byte behind the last one.
    pub byte_end: u32,
}

impl<'a> Findings<'a> {
    /// The findings `found` in `sources`.
    #[must_use]
    pub fn of(found: &'a [Diagnostic], sources: &'a Sources) -> Self {
        let count = |severity: Severity| {
            let findings = found.iter().map(|diagnostic| diagnostic.code.severity());
            findings.filter(|other| *other == severity).count()
        };
        Self {
            format: "dva-diagnostics",
            version: VERSION,
            errors: count(Severity::Error),
            warnings: count(Severity::Warning),
            diagnostics: found
                .iter()
                .map(|diagnostic| Finding::of(diagnostic, sources))
                .collect(),
        }
    }
}

impl<'a> Finding<'a> {
    /// `diagnostic`, found in `sources`.
    #[must_use]
    pub fn of(diagnostic: &'a Diagnostic, sources: &'a Sources) -> Self {
        let Diagnostic {
            code,
            primary,
            secondary,
            help,
        } = diagnostic;
        let other = |Label { span, text }: &'a Label| Other {
            message: text,
            place: Place::of(*span, sources),
        };
        Self {
            code: code.name(),
            severity: code.severity().name(),
            summary: code.summary(),
            message: &primary.text,
            help,
            place: Place::of(primary.span, sources),
            labels: secondary.iter().map(other).collect(),
        }
    }
}

impl<'a> Place<'a> {
    /// The place of `span` in `sources`.
    #[must_use]
    pub fn of(span: Span, sources: &'a Sources) -> Self {
        let source = sources.file(span);
        let (line, column) = source.position(span.start);
        let (end_line, end_column) = source.position(span.end);
        Self {
            file: source.name(),
            line,
            column,
            end_line,
            end_column,
            byte_start: span.start - source.base(),
            byte_end: span.end - source.base(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Source;

    #[test]
    fn columns_are_of_characters_whatever_their_width() {
        // A tab, a letter of two bytes, one that is two columns wide, an emoji of four bytes.
        let source = Sources::of(Source::new("a.plan", "one\n\tü漢😀 xy\nz"));
        let place = |start, end| {
            let place = Place::of(Span::new(start, end), &source);
            (
                (place.line, place.column),
                (place.end_line, place.end_column),
            )
        };
        assert_eq!(place(4, 5), ((2, 1), (2, 2)));
        assert_eq!(place(5, 7), ((2, 2), (2, 3)));
        assert_eq!(place(7, 10), ((2, 3), (2, 4)));
        assert_eq!(place(15, 17), ((2, 6), (2, 8)));
        assert_eq!(place(15, 18), ((2, 6), (3, 1)));
        assert_eq!(place(19, 19), ((3, 2), (3, 2)));
    }

    #[test]
    fn findings_are_counted() {
        let source = Sources::of(Source::new("a.plan", "ab"));
        let found = [
            Diagnostic::new(Code::P0204, Span::new(0, 1), "x").and(Span::new(1, 2), "y"),
            Diagnostic::new(Code::P0508, Span::new(1, 2), "z"),
        ];
        let findings = Findings::of(&found, &source);
        assert_eq!((findings.errors, findings.warnings), (1, 1));
        assert_eq!(findings.diagnostics[0].labels[0].place.column, 2);
        assert_eq!(findings.diagnostics[1].severity, "warning");
    }
}
