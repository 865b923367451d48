//! Text in backticks: its pieces, and what may stand in a hole.
//!
//! A hole is parsed apart from its command, so that the shell's own `${…}` is reported as what it is and
//! the item around it is still read.

use dva_grammar::{PlanParser, Rule};
use pest::Parser;
use pest::iterators::Pair;

use super::{Builder, Parts, bug, expression};
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{Command, CommandPiece, Expr, ExprKind};
use crate::syntax::lex::{Lexer, TokenKind};
use crate::syntax::scan::MAX_DEPTH;

impl Builder<'_> {
    /// A command that is run, with its holes.
    pub(super) fn command(&mut self, pair: Pair<'_, Rule>) -> Command {
        let span = self.span(&pair);
        let mut pieces = Vec::new();
        for piece in pair.into_inner() {
            let span = self.span(&piece);
            match piece.as_rule() {
                Rule::command_text => add_text(&mut pieces, span, piece.as_str()),
                Rule::hole_escape => add_text(&mut pieces, span, "${"),
                Rule::hole => pieces.push(self.hole(piece)),
                other => bug(other),
            }
        }
        pieces.shrink_to_fit();
        Command { span, pieces }
    }

    /// Text in backticks that is no command, such as a pattern. It takes no values, so each of its holes
    /// is refused by a later stage, whatever stands in it; nothing is said about that here.
    pub(super) fn plain_text(&mut self, pair: Pair<'_, Rule>) -> Command {
        let mut unheard = Bag::default();
        let mut builder = Builder {
            base: self.base,
            bag: &mut unheard,
        };
        builder.command(pair)
    }

    fn hole(&mut self, pair: Pair<'_, Rule>) -> CommandPiece {
        let span = self.span(&pair);
        let closed = pair
            .clone()
            .into_inner()
            .any(|part| part.as_rule() == Rule::hole_close);
        let body = Parts::of(pair).one();
        let place = self.span(&body);
        let (raw, value) = if closed {
            self.hole_value(body.as_str(), place, span)
        } else {
            let open = Span {
                start: span.start,
                end: span.start + 2,
            };
            self.wrong_hole(open, "this `${` has no `}`", SHELL_HELP);
            (false, None)
        };
        let value = value.unwrap_or(Expr {
            span: place,
            kind: ExprKind::Error,
        });
        CommandPiece::Hole { span, raw, value }
    }

    /// What stands in a hole, and whether `raw` stands before it.
    fn hole_value(&mut self, body: &str, place: Span, hole: Span) -> (bool, Option<Expr>) {
        let open = Lexer::new(body)
            .filter(|token| matches!(token.kind, TokenKind::Open(_)))
            .count();
        if open > MAX_DEPTH {
            self.wrong_hole(hole, "too many brackets", SHORTER_HELP);
            return (false, None);
        }
        let Ok(pairs) = PlanParser::parse(Rule::one_hole, body) else {
            self.wrong_hole(hole, explain(body), SHELL_HELP);
            return (false, None);
        };
        let mut raw = false;
        let mut builder = Builder {
            base: place.start as usize,
            bag: self.bag,
        };
        for part in pairs.flat_map(Pair::into_inner) {
            match part.as_rule() {
                Rule::kw_raw => raw = true,
                Rule::reference => {
                    if expression::is_too_deep(&part) {
                        self.wrong_hole(hole, "too many operators", SHORTER_HELP);
                        return (raw, None);
                    }
                    return (raw, Some(builder.reference(part)));
                }
                other => bug(other),
            }
        }
        (raw, None)
    }

    fn wrong_hole(&mut self, span: Span, label: &str, help: &str) {
        self.bag
            .push(Diagnostic::new(Code::P0110, span, label).help(help));
    }
}

/// Said of anything that only a shell understands.
const SHELL_HELP: &str = "A hole is a name, such as `${data.device}`, or a call, such as \
                          `${data.part(1)}`. Write `$VAR`, or `$${…}` for the shell's own. A \
                          look-up gets a name with `let` first.";

const SHORTER_HELP: &str = "Make what stands in the hole shorter.";

/// What is wrong with the inside of a hole that is neither a name nor a call.
fn explain(body: &str) -> &'static str {
    let inner = body.trim();
    if inner.is_empty() {
        return "nothing stands in this hole";
    }
    let name_end = inner
        .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .unwrap_or(inner.len());
    let behind = &inner[name_end..];
    let is_shell = inner.starts_with(['#', '!', '@', '*', '?', '$', '-', '_'])
        || inner.starts_with(|digit: char| digit.is_ascii_digit())
        || behind.starts_with([':', '%', '#', '/', '[', '-', '+', '=', '?', '^', ',', '@']);
    if is_shell {
        "this is the shell's own"
    } else {
        "a name or a call is wanted here"
    }
}

/// Adds text to the piece before it where that is text too.
fn add_text(pieces: &mut Vec<CommandPiece>, span: Span, more: &str) {
    if let Some(CommandPiece::Text { span: before, text }) = pieces.last_mut() {
        *before = before.to(span);
        text.push_str(more);
        return;
    }
    pieces.push(CommandPiece::Text {
        span,
        text: more.to_owned(),
    });
}
