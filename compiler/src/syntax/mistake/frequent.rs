//! The mistakes that are made often: each is told by the tokens around the place.

use dva_grammar::{Rule, rule_name};

use super::keyword::{
    CLAUSES, CONDITIONS, MODIFIERS, PLAIN_WORDS, PLAN_CLAUSES, RESERVED, STEPS, begins_anything,
};
use super::{MAX_FOUND, Place, nearest};
use crate::diagnostic::{Code, Diagnostic};
use crate::syntax::lex::{Bracket, TokenKind};

/// Units as they are written behind a number, and as they are wrongly written most often.
const UNITS: [&str; 24] = [
    "%", "B", "GB", "GiB", "KB", "KiB", "MB", "MiB", "PB", "PiB", "TB", "TiB", "d", "h", "hours",
    "kB", "m", "min", "minutes", "ms", "s", "sec", "seconds", "us",
];

impl Place<'_> {
    /// `tests a, b,` and then what is no test.
    pub(super) fn trailing_comma(&self) -> Option<Diagnostic> {
        let before = self.at.checked_sub(1)?;
        let ends_here = match self.kind(self.at) {
            Some(TokenKind::Close(_) | TokenKind::Open(Bracket::Brace)) | None => true,
            Some(_) => false,
        };
        let comma = if self.word(before) == "," && ends_here {
            before
        } else {
            let two_before = before.checked_sub(1)?;
            let word = self.word(before);
            let no_name = begins_anything(word) && !PLAIN_WORDS.contains(&word);
            let in_matrix = self.is_item("matrix");
            let is_axis = self.word(self.at) == "=" && in_matrix;
            match two_before.checked_sub(1) {
                _ if self.word(two_before) == "," && (no_name || is_axis) => two_before,
                // `each a, b,` and then `exclude c == d`, where `c` is read as the name of an axis.
                Some(comma)
                    if in_matrix
                        && self.word(comma) == ","
                        && nearest(self.word(two_before), &["exclude"]).is_some() =>
                {
                    comma
                }
                _ => return None,
            }
        };
        if self.is_in_brackets(comma) {
            return None;
        }
        let follows = self.found(comma + 1);
        Some(
            Diagnostic::new(
                Code::P0111,
                self.span(comma),
                format!("{follows} follows, which does not belong to the list"),
            )
            .help("Take the comma away. Only a list in brackets may end with one."),
        )
    }

    /// `10 GiB`
    pub(super) fn unit_apart(&self) -> Option<Diagnostic> {
        let unit = [Some(self.at), self.at.checked_sub(1)]
            .into_iter()
            .flatten()
            .find(|unit| UNITS.contains(&self.word(*unit)))?;
        let number = unit.checked_sub(1)?;
        let written = self.word(number);
        let bare = matches!(self.kind(number), Some(TokenKind::Number))
            && written.ends_with(|digit: char| digit.is_ascii_digit());
        bare.then(|| {
            let joined = format!("{written}{}", self.word(unit));
            Diagnostic::new(
                Code::P0112,
                self.span(number).to(self.span(unit)),
                "a blank stands before the unit",
            )
            .help(format!("Write `{joined}`."))
        })
    }

    /// `check a = b`
    pub(super) fn one_equals_sign(&self) -> Option<Diagnostic> {
        if self.word(self.at) != "=" {
            return None;
        }
        let clause = (0..self.at)
            .rev()
            .find(|before| self.begins_part(*before))?;
        CONDITIONS.contains(&self.word(clause)).then(|| {
            Diagnostic::new(
                Code::P0113,
                self.span(self.at),
                "this gives a field its value and compares nothing",
            )
            .help("Write `==` to compare.")
        })
    }

    /// `run x retry 3`, which is not to be taken for the test's own `retry`.
    pub(super) fn retry_without_every(&self) -> Option<Diagnostic> {
        if !self.expected.contains(&Rule::kw_every) {
            return None;
        }
        let retry = (0..self.at)
            .rev()
            .find(|before| self.word(*before) == "retry")?;
        let last = self.at.checked_sub(1)?;
        let span = self.span(retry).to(self.span(last));
        let written = self.text.get(span.range()).unwrap_or_default();
        let shown = if written.len() > MAX_FOUND {
            "retry 3"
        } else {
            written
        };
        Some(
            Diagnostic::new(Code::P0120, span, "how long it waits in between is missing").help(
                format!(
                    "Write `{shown} every 2s`. The `retry` of a whole test, which repeats it on a \
                     fresh machine, stands before the test's steps.",
                ),
            ),
        )
    }

    /// `run "mkfs …"`, `run mkfs …`
    pub(super) fn no_backticks(&self) -> Option<Diagnostic> {
        let before = self.at.checked_sub(1)?;
        let keyword = self.word(before);
        let wants_command = self.expected.contains(&Rule::command);
        if !wants_command || !["run", "find", "contains"].contains(&keyword) {
            return None;
        }
        let word = self.word(self.at);
        let (label, command) = match self.kind(self.at)? {
            TokenKind::Text { .. } => (
                "quotes stand around a text, not around a command",
                word.trim_matches('"').to_owned(),
            ),
            TokenKind::Word | TokenKind::Number => {
                ("backticks stand around a command", format!("{word} …"))
            }
            TokenKind::Mark if ["'", "/", "$"].contains(&word) => {
                ("backticks stand around a command", "…".to_owned())
            }
            TokenKind::Command { .. }
            | TokenKind::Open(_)
            | TokenKind::Close(_)
            | TokenKind::Comment
            | TokenKind::ItemDoc
            | TokenKind::ModuleDoc
            | TokenKind::Mark => return None,
        };
        let shown = if command.len() > MAX_FOUND || command.contains(['`', '\\']) {
            "…"
        } else {
            &command
        };
        Some(
            Diagnostic::new(Code::P0115, self.span(self.at), label).help(format!(
                "Write {keyword} `{shown}`. Text in backticks is raw: nothing in it needs an escape."
            )),
        )
    }

    /// A command alone, or behind the `=` of a `let`.
    pub(super) fn no_run(&self) -> Option<Diagnostic> {
        let is_command = matches!(self.kind(self.at), Some(TokenKind::Command { .. }));
        let before = self.at.checked_sub(1);
        if is_command && before.is_some_and(|before| self.word(before) == "run") {
            let label = "`run` is taken for a value here";
            let diagnostic = Diagnostic::new(Code::P0108, self.span(self.at - 1), label);
            return Some(diagnostic.help("Write the value that is missing before it."));
        }
        let wants_run = self
            .expected
            .iter()
            .any(|rule| matches!(rule, Rule::run | Rule::kw_run | Rule::clause | Rule::step));
        (is_command && wants_run).then(|| {
            Diagnostic::new(
                Code::P0114,
                self.span(self.at),
                "nothing says what to do with it",
            )
            .help("Write `run` before the command.")
        })
    }

    /// `test x after a after b`, and the same with `per`.
    pub(super) fn second_after(&self) -> Option<Diagnostic> {
        let word = self.word(self.at);
        if !["after", "per"].contains(&word) || !self.is_item("test") {
            return None;
        }
        let head_ends = self
            .tokens
            .iter()
            .position(|token| matches!(token.kind, TokenKind::Open(Bracket::Brace)));
        if head_ends.is_some_and(|end| end < self.at) {
            return None;
        }
        let first = (self.head() + 2..self.at).find(|before| self.word(*before) == word)?;
        let (code, what) = match word {
            "after" => (Code::P0117, "tests"),
            _ => (Code::P0108, "axes"),
        };
        let label = format!("one `{word}` is enough");
        Some(
            Diagnostic::new(code, self.span(self.at), label)
                .and(self.span(first), "the first one stands here")
                .help(format!(
                    "Name all the {what} behind the first `{word}`, with commas between them."
                )),
        )
    }

    /// A word that is nearly one of the keywords that may stand here.
    pub(super) fn unknown_keyword(&self) -> Option<Diagnostic> {
        let candidates = self.keywords();
        let before = self.at.checked_sub(1)?;
        // `exlude a == b` is read as the name of an axis, and what fails is the word behind it.
        let exclude = self.is_item("matrix") && self.expected.contains(&Rule::assign);
        let (at, keyword) = if exclude {
            (before, nearest(self.word(before), &["exclude"])?)
        } else {
            (self.at, nearest(self.word(self.at), &candidates)?)
        };
        let is_word = matches!(self.kind(at), Some(TokenKind::Word));
        let is_word = is_word && !RESERVED.contains(&self.word(at));
        (is_word && self.word(at) != keyword).then(|| {
            Diagnostic::new(
                Code::P0116,
                self.span(at),
                format!("did you mean `{keyword}`?"),
            )
            .help(format!("Write `{keyword}`."))
        })
    }

    /// The keywords that may stand here.
    fn keywords(&self) -> Vec<&'static str> {
        let mut keywords = Vec::new();
        for rule in &self.expected {
            match rule {
                Rule::clause => keywords.extend(CLAUSES.into_iter().chain(STEPS)),
                Rule::step => keywords.extend(STEPS),
                Rule::modifier => keywords.extend(MODIFIERS),
                Rule::plan_clause => keywords.extend(PLAN_CLAUSES),
                Rule::matrix_clause | Rule::exclude => keywords.push("exclude"),
                other => {
                    let name = rule_name(*other).unwrap_or_default().trim_matches('`');
                    if name.starts_with(|letter: char| letter.is_ascii_lowercase())
                        && !name.contains(' ')
                    {
                        keywords.push(name);
                    }
                }
            }
        }
        keywords
    }

    /// Whether a token stands between parentheses or square brackets.
    fn is_in_brackets(&self, at: usize) -> bool {
        let mut depth = 0_i64;
        for token in &self.tokens[..at] {
            match token.kind {
                TokenKind::Open(Bracket::Paren | Bracket::Square) => depth += 1,
                TokenKind::Close(Bracket::Paren | Bracket::Square) => depth -= 1,
                TokenKind::Word
                | TokenKind::Number
                | TokenKind::Text { .. }
                | TokenKind::Command { .. }
                | TokenKind::Open(Bracket::Brace)
                | TokenKind::Close(Bracket::Brace)
                | TokenKind::Comment
                | TokenKind::ItemDoc
                | TokenKind::ModuleDoc
                | TokenKind::Mark => {}
            }
        }
        depth > 0
    }
}
