//! What the compiler says about a source.
//!
//! A [`Diagnostic`] has a [`Code`], the smallest span that is wrong, what is wrong there, why, and what
//! to do. How it is shown is another matter: [`report`] hands it to miette, which the command renders;
//! [`view`] tells programs, [`github`] tells GitHub. `docs/FORMATS.md` describes what is printed.

pub mod code;
pub mod github;
pub mod report;
pub mod shown;
pub mod view;

pub use code::Code;

use crate::span::Span;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Which mistake; its summary names nothing of the user's.
    pub code: Code,
    /// The smallest place that is wrong, and what is wrong there in a few words.
    pub primary: Label,
    /// Other places that belong to it.
    pub secondary: Vec<Label>,
    /// What to do, in a sentence or two, with why where that is not plain; may be empty.
    pub help: String,
}

/// A place with a few words about it: lower case, no full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// The words.
    pub text: String,
}

impl Diagnostic {
    /// A finding at `span`, where `text` says in a few words what is wrong.
    #[must_use]
    pub fn new(code: Code, span: Span, text: impl Into<String>) -> Self {
        Self {
            code,
            primary: Label {
                span,
                text: text.into(),
            },
            secondary: Vec::new(),
            help: String::new(),
        }
    }

    /// Adds another place.
    #[must_use]
    pub fn and(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Whether it is about the source as a whole, or about what the command was told, rather than about a place.
    #[must_use]
    pub fn is_placeless(&self) -> bool {
        self.primary.span == Span::default()
    }

    /// The same, `by` bytes further on.
    #[must_use]
    pub(crate) fn shifted(mut self, by: u32) -> Self {
        for label in std::iter::once(&mut self.primary).chain(&mut self.secondary) {
            label.span = label.span.shifted(by);
        }
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = help.into();
        self
    }
}

/// Findings as they come.
#[derive(Clone, Debug, Default)]
pub struct Bag {
    found: Vec<Diagnostic>,
}

impl Bag {
    /// Adds a finding.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds what was found in a file that `base` bytes of others stand before.
    pub(crate) fn extend(&mut self, other: Self, base: u32) {
        let found = other.found.into_iter();
        self.found
            .extend(found.map(|finding| finding.shifted(base)));
    }

    /// How many findings there are.
    pub(crate) fn len(&self) -> usize {
        self.found.len()
    }

    /// Forgets findings behind the first `known` that say again what one of those says of the same place.
    pub(crate) fn forget_repeated(&mut self, known: usize) {
        let key = |finding: &Diagnostic| (finding.code, finding.primary.span);
        let said: std::collections::BTreeSet<_> = self.found.iter().take(known).map(key).collect();
        let mut row = 0;
        self.found.retain(|finding| {
            row += 1;
            row <= known || !said.contains(&key(finding))
        });
    }

    /// Whether one of the findings is an error, so that there is no plan.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.found
            .iter()
            .any(|diagnostic| diagnostic.code.severity() == Severity::Error)
    }

    /// The findings in the order of the source, each once.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found
            .sort_by_key(|diagnostic| (diagnostic.primary.span, diagnostic.code));
        self.found.dedup();
        self.found
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// There is no plan.
    Error,
    /// There is a plan, and something in it is probably not meant.
    Warning,
}

impl Severity {
    /// As it is written: `error`, `warning`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}
