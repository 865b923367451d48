//! Where the grammar stopped, said in an author's words.
//!
//! pest knows the place and which rules it tried there. The tokens around the place tell the frequent
//! mistakes apart, each of which has a code, a label and advice of its own; what is left is a syntax
//! error that names what was expected and what was found.

mod frequent;
mod keyword;
mod other;

use std::ops::Range;

use dva_grammar::Rule;
use keyword::{CONTINUATIONS, MODIFIERS, begins_anything};
use pest::error::{Error, ErrorVariant, InputLocation};

use crate::diagnostic::{Bag, Diagnostic};
use crate::span::Span;
use crate::syntax::lex::{Bracket, Lexer, Token, TokenKind};

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
            .or_else(|| self.retry_without_every())
            .unwrap_or_else(|| self.other())
    }

    /// The lines from the one of `wrong` to the next clause, if what follows can be read without them:
    /// brackets in them must match.
    fn lines_to_leave_out(&self, wrong: usize) -> Option<Range<usize>> {
        let wrong = self
            .tokens
            .partition_point(|token| token.span.end as usize <= wrong);
        // What a clause lacks at its end shows where the next one begins, which is not wrong itself.
        let lacks = wrong == self.at && self.is_first(wrong) && !self.may_end();
        let (first, behind) = if lacks {
            let begins = |at: &usize| self.is_first(*at) && self.begins_clause(*at);
            ((0..wrong).rev().find(begins)?, wrong)
        } else {
            let first = (0..=wrong).rev().find(|at| self.is_first(*at))?;
            (first, wrong + 1)
        };
        let mut depth = 0_i64;
        for (at, token) in self.tokens.iter().enumerate().skip(first) {
            if at >= behind && depth == 0 && self.is_first(at) && self.begins_clause(at) {
                let last = at.checked_sub(1).filter(|_| first > 0)?;
                let start = self.span(first).range().start;
                return Some(start..self.span(last).range().end);
            }
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
        None
    }

    /// Whether a token is the first of its line.
    fn is_first(&self, at: usize) -> bool {
        self.tokens
            .get(at)
            .is_some_and(|token| token.column == token.indent)
    }

    /// Whether what stands before the place could be all of a clause.
    fn may_end(&self) -> bool {
        let next = [
            Rule::clause,
            Rule::step,
            Rule::plan_clause,
            Rule::matrix_clause,
            Rule::matrix_axis,
            Rule::exclude,
            Rule::field,
            Rule::axis_value,
            Rule::brace_close,
        ];
        next.iter().any(|rule| self.expected.contains(rule))
    }

    /// Whether a clause begins with a token, or the braces around it end there.
    fn begins_clause(&self, at: usize) -> bool {
        let word = self.word(at);
        let goes_on = (MODIFIERS.contains(&word) && word != "within")
            || (CONTINUATIONS.contains(&word) && word != "exclude");
        let assigns = self.word(at + 1) == "=";
        word == "}" || (!goes_on && begins_anything(word)) || assigns
    }

    /// The token with the keyword of the item, behind any `pub`.
    fn head(&self) -> usize {
        (0..self.tokens.len())
            .find(|at| self.word(*at) != "pub")
            .unwrap_or_default()
    }

    fn is_item(&self, keyword: &str) -> bool {
        self.word(self.head()) == keyword
    }

    /// Whether a clause, a modifier or a block begins or ends with the token.
    fn begins_part(&self, at: usize) -> bool {
        matches!(
            self.kind(at),
            Some(TokenKind::Open(Bracket::Brace) | TokenKind::Close(Bracket::Brace))
        ) || begins_anything(self.word(at))
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
