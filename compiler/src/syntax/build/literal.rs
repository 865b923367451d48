//! Texts in quotes: their escapes replaced, the wrong ones reported, and the values in them.

use dva_grammar::{PlanParser, Rule};
use pest::Parser;
use pest::iterators::Pair;

use super::{Builder, expression};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{Expr, ExprKind, Prose, ProsePiece};
use crate::syntax::lex::{Lexer, TokenKind};
use crate::syntax::scan::MAX_DEPTH;

impl Builder<'_> {
    /// A text in quotes, with the values in it.
    pub(super) fn prose(&mut self, pair: &Pair<'_, Rule>) -> Prose {
        let span = self.span(pair);
        let start = pair.as_span().start();
        let written = pair.as_str();
        let inner = written.get(1..written.len() - 1).unwrap_or_default();
        let mut pieces = Vec::new();
        let mut text = String::new();
        let mut sound = true;
        let mut rest = inner;
        while let Some(open) = rest.find("${") {
            let at = |rest: &str| start + 1 + (inner.len() - rest.len());
            if rest[..open].ends_with('$') {
                let before = self.unescaped(&rest[..open - 1], at(rest));
                sound &= before.is_some();
                text.push_str(&before.unwrap_or_default());
                text.push_str("${");
                rest = &rest[open + 2..];
                continue;
            }
            let before = self.unescaped(&rest[..open], at(rest));
            sound &= before.is_some();
            text.push_str(&before.unwrap_or_default());
            let hole = &rest[open..];
            let Some(length) = hole.find('}').map(|end| end + 1) else {
                let open = self.shift(at(hole), at(hole) + 2);
                let help =
                    "Write `}` behind the value, or `$${` for the two characters themselves.";
                let finding = Diagnostic::new(Code::P0110, open, "this `${` has no `}`");
                self.bag.push(finding.help(help));
                return Prose { span, pieces: None };
            };
            if !text.is_empty() {
                pieces.push(ProsePiece::Text(std::mem::take(&mut text)));
            }
            let from = at(hole);
            let place = self.shift(from, from + length);
            let value = self.value_in_text(&hole[2..length - 1], from + 2, place);
            pieces.push(ProsePiece::Hole(place, value));
            rest = &hole[length..];
        }
        let tail = self.unescaped(rest, start + 1 + (inner.len() - rest.len()));
        sound &= tail.is_some();
        text.push_str(&tail.unwrap_or_default());
        if !text.is_empty() {
            pieces.push(ProsePiece::Text(text));
        }
        Prose {
            span,
            pieces: sound.then_some(pieces),
        }
    }

    /// The value `written` in a hole of a text, which begins at `at`.
    fn value_in_text(&mut self, written: &str, at: usize, hole: Span) -> Expr {
        let span = self.shift(at, at + written.len());
        if written.trim().is_empty() {
            let help = "Write a value in it, or `$${` for the two characters themselves.";
            let finding = Diagnostic::new(Code::P0110, hole, "nothing stands in this hole");
            self.bag.push(finding.help(help));
            return Expr {
                span,
                kind: ExprKind::Error,
            };
        }
        let opened = |kind| matches!(kind, TokenKind::Open(_));
        let open = Lexer::new(written)
            .filter(|token| opened(token.kind))
            .count();
        let parsed = PlanParser::parse(Rule::one_value, written)
            .ok()
            .filter(|_| open <= MAX_DEPTH)
            .and_then(|pairs| pairs.flat_map(Pair::into_inner).next())
            .filter(|value| !expression::is_too_deep(value));
        let Some(value) = parsed else {
            let help = "A value stands in it, such as `${image}`. Write `$${` for the two characters \
                        themselves.";
            let finding = Diagnostic::new(Code::P0110, span, "no value can be read here");
            self.bag.push(finding.help(help));
            return Expr {
                span,
                kind: ExprKind::Error,
            };
        };
        let mut builder = Builder {
            base: self.base + at,
            bag: self.bag,
        };
        builder.expr(value)
    }

    /// The text of `written`, which begins at `at` and still has its quotes, where no values may stand.
    /// `None` where an escape is wrong, which is reported.
    pub(super) fn text(&mut self, written: &str, at: usize) -> Option<String> {
        let inner = written.get(1..written.len() - 1).unwrap_or_default();
        self.unescaped(inner, at + 1)
    }

    /// `inner`, which begins at `at`, with its escapes replaced.
    fn unescaped(&mut self, inner: &str, at: usize) -> Option<String> {
        let mut text = String::with_capacity(inner.len());
        let mut sound = true;
        let mut rest = inner;
        while let Some(backslash) = rest.find('\\') {
            text.push_str(&rest[..backslash]);
            let escape = &rest[backslash..];
            let start = at + (inner.len() - escape.len());
            let (character, length) = escaped(escape);
            match character {
                Ok(character) => text.push(character),
                Err(label) => {
                    sound = false;
                    let span = self.shift(start, start + length);
                    self.bag.push(Diagnostic::new(Code::P0118, span, label).help(
                        "The escapes are `\\\"`, `\\\\`, `\\n`, `\\t` and `\\u{1F600}`; a backslash \
                         itself is `\\\\`. Text in backticks is raw and has none.",
                    ));
                }
            }
            rest = &escape[length..];
        }
        text.push_str(rest);
        sound.then_some(text)
    }
}

/// The character that the escape at the start of `rest` stands for, or what is wrong with it, and how
/// long it is.
fn escaped(rest: &str) -> (Result<char, &'static str>, usize) {
    let Some(kind) = rest.chars().nth(1) else {
        return (Err("nothing stands behind the backslash"), rest.len());
    };
    match kind {
        '"' | '\\' => (Ok(kind), 2),
        'n' => (Ok('\n'), 2),
        't' => (Ok('\t'), 2),
        'u' => unicode(rest),
        other => (Err("no such escape"), 1 + other.len_utf8()),
    }
}

/// `\u{HEX}` at the start of `rest`.
fn unicode(rest: &str) -> (Result<char, &'static str>, usize) {
    let digits = rest
        .strip_prefix("\\u{")
        .and_then(|inner| inner.split_once('}'))
        .map(|(digits, _)| digits);
    let Some(digits) = digits else {
        return (Err("`\\u` takes its number in braces"), 2);
    };
    let length = "\\u{}".len() + digits.len();
    let all_hex = !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_hexdigit());
    let character = all_hex
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
        .and_then(char::from_u32);
    (character.ok_or("no character has this number"), length)
}
