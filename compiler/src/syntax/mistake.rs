//! Where the grammar stopped, said in an author's words.
//!
//! pest knows the place and which rules it tried there. The tokens around the place tell the frequent
//! mistakes apart, each of which has a code, a label and advice of its own; what is left is a syntax
//! error that names what was expected and what was found.

mod other;

use std::ops::Range;

use dva_grammar::{Rule, rule_name};
use pest::error::{Error, ErrorVariant, InputLocation};

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::span::Span;
use crate::syntax::lex::{Bracket, Lexer, Token, TokenKind};

/// Words that begin a clause of a test.
const CLAUSES: [&str; 18] = [
    "attach", "check", "collect", "detach", "finally", "let", "needs", "reads", "reboot", "run",
    "script", "start", "stop", "takes", "upload", "wait", "within", "writes",
];

/// Words that begin a step.
const STEPS: [&str; 12] = [
    "attach", "check", "collect", "detach", "let", "reboot", "run", "script", "start", "stop",
    "upload", "wait",
];

/// Words that begin a modifier of a step.
const MODIFIERS: [&str; 7] = ["by", "every", "expect", "find", "retry", "with", "within"];

/// Words that begin a part of any block, so that a name in a list is not meant where one stands.
const BEGINNINGS: [&str; 24] = [
    "attach", "check", "collect", "detach", "every", "exclude", "expect", "finally", "find", "let",
    "matrix", "needs", "reads", "reboot", "retry", "run", "script", "takes", "tests", "upload",
    "wait", "with", "within", "writes",
];

/// Units as they are written behind a number, and as they are wrongly written most often.
const UNITS: [&str; 24] = [
    "%", "B", "GB", "GiB", "KB", "KiB", "MB", "MiB", "PB", "PiB", "TB", "TiB", "d", "h", "hours",
    "kB", "m", "min", "minutes", "ms", "s", "sec", "seconds", "us",
];

/// How much of a found word a label shows.
const MAX_FOUND: usize = 40;

/// Reports the error that pest met in the item `text`, which stands at `base` in the file, unless the
/// mistake stands before `done`: then it follows from one that was reported. Returns what to leave out to
/// find further mistakes, where that can be told.
pub(super) fn report(
    error: &Error<Rule>,
    text: &str,
    base: usize,
    done: usize,
    bag: &mut Bag,
) -> Option<Range<usize>> {
    let tokens: Vec<Token> = Lexer::new(text)
        .filter(|token| {
            !matches!(
                token.kind,
                TokenKind::Comment | TokenKind::ItemDoc | TokenKind::ModuleDoc
            )
        })
        .collect();
    let offset = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at,
    };
    let place = Place {
        text,
        tokens: &tokens,
        at: tokens.partition_point(|token| token.span.end as usize <= offset),
        offset,
        expected: expected(error),
    };
    let mut diagnostic = place.diagnose();
    let wrong = diagnostic.primary.span.range();
    if wrong.start < done {
        return None;
    }
    diagnostic.primary.span = shift(diagnostic.primary.span, base);
    for label in &mut diagnostic.secondary {
        label.span = shift(label.span, base);
    }
    bag.push(diagnostic);
    place.lines_to_leave_out(wrong.start)
}

/// The candidate that `word` is most likely meant to be, if it is close to any.
pub(super) fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    if word.len() > MAX_FOUND {
        return None;
    }
    let word = word.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .filter(|(distance, _)| *distance < word.chars().count())
        .min()
        .map(|(_, candidate)| candidate)
}

fn shift(span: Span, base: usize) -> Span {
    let range = span.range();
    Span::new(base + range.start, base + range.end)
}

/// The rules that pest tried where it stopped.
fn expected(error: &Error<Rule>) -> Vec<Rule> {
    match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives.clone(),
        ErrorVariant::CustomError { .. } => Vec::new(),
    }
}

/// The place where the grammar stopped.
struct Place<'a> {
    text: &'a str,
    tokens: &'a [Token],
    /// The token that does not fit; behind the last one at the end of the item.
    at: usize,
    /// The byte where the grammar stopped, which may stand inside that token.
    offset: usize,
    expected: Vec<Rule>,
}

impl Place<'_> {
    fn diagnose(&self) -> Diagnostic {
        self.trailing_comma()
            .or_else(|| self.unit_apart())
            .or_else(|| self.one_equals_sign())
            .or_else(|| self.no_backticks())
            .or_else(|| self.no_run())
            .or_else(|| self.second_after())
            .or_else(|| self.unknown_keyword())
            .unwrap_or_else(|| self.other())
    }

    /// `tests a, b,` and then what is no test.
    fn trailing_comma(&self) -> Option<Diagnostic> {
        let before = self.at.checked_sub(1)?;
        let ends_here = match self.kind(self.at) {
            Some(TokenKind::Close(_) | TokenKind::Open(Bracket::Brace)) | None => true,
            Some(_) => false,
        };
        let comma = if self.word(before) == "," && ends_here {
            before
        } else {
            let two_before = before.checked_sub(1)?;
            let no_name = BEGINNINGS.contains(&self.word(before));
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
    fn unit_apart(&self) -> Option<Diagnostic> {
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
    fn one_equals_sign(&self) -> Option<Diagnostic> {
        if self.word(self.at) != "=" {
            return None;
        }
        let clause = (0..self.at)
            .rev()
            .find(|before| self.begins_part(*before))?;
        ["check", "exclude", "expect"]
            .contains(&self.word(clause))
            .then(|| {
                Diagnostic::new(
                    Code::P0113,
                    self.span(self.at),
                    "this gives a field its value and compares nothing",
                )
                .help("Write `==` to compare.")
            })
    }

    /// `run "mkfs …"`, `run mkfs …`
    fn no_backticks(&self) -> Option<Diagnostic> {
        let before = self.at.checked_sub(1)?;
        let keyword = self.word(before);
        let wants_command = self.expected.contains(&Rule::command);
        if !wants_command || !["run", "find"].contains(&keyword) {
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
    fn no_run(&self) -> Option<Diagnostic> {
        let is_command = matches!(self.kind(self.at), Some(TokenKind::Command { .. }));
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

    /// `test x after a after b`
    fn second_after(&self) -> Option<Diagnostic> {
        if self.word(self.at) != "after" || !self.is_item("test") {
            return None;
        }
        let head_ends = self
            .tokens
            .iter()
            .position(|token| matches!(token.kind, TokenKind::Open(Bracket::Brace)));
        if head_ends.is_some_and(|end| end < self.at) {
            return None;
        }
        let first = (2..self.at).find(|before| self.word(*before) == "after")?;
        Some(
            Diagnostic::new(Code::P0117, self.span(self.at), "one `after` is enough")
                .and(self.span(first), "the first one stands here")
                .help("Name all the tests behind the first `after`, with commas between them."),
        )
    }

    /// A word that is nearly one of the keywords that may stand here.
    fn unknown_keyword(&self) -> Option<Diagnostic> {
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
                Rule::clause => keywords.extend(CLAUSES),
                Rule::step => keywords.extend(STEPS),
                Rule::modifier => keywords.extend(MODIFIERS),
                Rule::plan_clause => keywords.extend(["matrix", "tests"]),
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

    /// The lines from the one of `wrong` to the one where the grammar stopped, if what follows can be
    /// read without them: they must hold whole clauses, and a clause must begin behind them.
    fn lines_to_leave_out(&self, wrong: usize) -> Option<Range<usize>> {
        let is_first = |at: usize| {
            self.tokens
                .get(at)
                .is_some_and(|token| token.column == token.indent)
        };
        let wrong = self
            .tokens
            .partition_point(|token| token.span.end as usize <= wrong);
        let first = (0..=wrong).rev().find(|at| is_first(*at))?;
        let next = (self.at + 1..self.tokens.len()).find(|at| is_first(*at))?;
        let last = next.checked_sub(1).filter(|last| *last >= self.at)?;
        let mut depth = 0_i64;
        for token in self.tokens.get(first..=last)? {
            match token.kind {
                TokenKind::Open(_) => depth += 1,
                TokenKind::Close(_) => depth -= 1,
                TokenKind::Word
                | TokenKind::Number
                | TokenKind::Text { .. }
                | TokenKind::Command { .. }
                | TokenKind::Comment
                | TokenKind::ItemDoc
                | TokenKind::ModuleDoc
                | TokenKind::Mark => {}
            }
            if depth < 0 {
                return None;
            }
        }
        let assigns = self.word(next + 1) == "=";
        let is_clause = match self.word(next) {
            "every" | "expect" | "find" | "retry" | "with" => false,
            "}" => true,
            _ => self.begins_part(next) || assigns,
        };
        (first > 0 && depth == 0 && is_clause).then(|| {
            let start = self.span(first).range().start;
            start..self.span(last).range().end
        })
    }

    fn is_item(&self, keyword: &str) -> bool {
        self.word(0) == keyword
    }

    /// Whether a clause, a modifier or a block begins or ends with the token.
    fn begins_part(&self, at: usize) -> bool {
        matches!(
            self.kind(at),
            Some(TokenKind::Open(Bracket::Brace) | TokenKind::Close(Bracket::Brace))
        ) || BEGINNINGS.contains(&self.word(at))
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

    /// A token as a label shows it.
    fn found(&self, at: usize) -> String {
        match self.kind(at) {
            None => "the end of the item".to_owned(),
            Some(TokenKind::Text { .. }) => "a text".to_owned(),
            Some(TokenKind::Command { .. }) => "a command".to_owned(),
            Some(_) => {
                let word = self.word(at);
                if let Some(blank) = word.chars().find(|character| character.is_whitespace()) {
                    return format!("the blank U+{:04X}", u32::from(blank));
                }
                match word.char_indices().nth(MAX_FOUND) {
                    None => format!("`{word}`"),
                    Some((end, _)) => format!("`{}…`", &word[..end]),
                }
            }
        }
    }

    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.tokens.get(at).map(|token| token.kind)
    }

    /// The text of a token; empty at the end.
    fn word(&self, at: usize) -> &str {
        self.tokens
            .get(at)
            .and_then(|token| self.text.get(token.span.range()))
            .unwrap_or_default()
    }

    /// The span of a token; behind the last one at the end.
    fn span(&self, at: usize) -> Span {
        match (self.tokens.get(at), self.tokens.last()) {
            (Some(token), _) => token.span,
            (None, Some(last)) => last.span.after(),
            (None, None) => Span::default(),
        }
    }
}
