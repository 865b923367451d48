//! What is said where the cutting went wrong.

use super::{Current, ITEM_KEYWORDS, Opened, Scanner};
use crate::diagnostic::{Code, Diagnostic};
use crate::span::Span;
use crate::syntax::lex::{Bracket, Token, TokenKind};
use crate::syntax::mistake::nearest;

impl<'a> Scanner<'a> {
    pub(super) fn no_end(&mut self, current: &mut Current<'a>, token: Token) {
        if !current.sound || current.no_item.is_some() {
            return;
        }
        current.sound = false;
        let mark = Span {
            start: token.span.start,
            end: token.span.start + 1,
        };
        let (label, help) = if matches!(token.kind, TokenKind::Text { .. }) {
            (
                "no second `\"` on this line",
                "Close the text on its line. A line break inside a text is written `\\n`, a quote `\\\"`.",
            )
        } else {
            (
                "no second backtick on this line",
                "Close the command on its line; join commands with `&&`.",
            )
        };
        self.found
            .push(Diagnostic::new(Code::P0104, mark, label).help(help));
    }

    /// A bracket that is still open where one around it closes.
    pub(super) fn not_closed_before(&mut self, inner: Opened, outer: Bracket, span: Span) {
        let label = format!("this `{}` is not closed", inner.bracket.open());
        let closes = format!("`{}` stands here", outer.close());
        let help = format!(
            "Write `{}` before the `{}`.",
            inner.bracket.close(),
            outer.close()
        );
        self.found.push(
            Diagnostic::new(Code::P0105, inner.span, label)
                .and(span, closes)
                .help(help),
        );
    }

    /// A bracket outside of every item, or in the head of one.
    pub(super) fn closes_nothing(&mut self, bracket: Bracket, span: Span) {
        if !self.in_stray_brackets {
            let label = format!("this `{}` closes nothing", bracket.close());
            let mut diagnostic = Diagnostic::new(Code::P0105, span, label)
                .help("Take it away, or the one that closed too early before it.");
            if let Some(close) = self.last_close {
                diagnostic = diagnostic.and(close, "the item before ended here");
            }
            self.found.push(diagnostic);
        }
        self.in_stray_brackets = true;
    }

    pub(super) fn closes_nothing_inside(
        &mut self,
        current: &Current<'a>,
        bracket: Bracket,
        span: Span,
    ) {
        let label = format!("this `{}` closes nothing", bracket.close());
        let mut diagnostic = Diagnostic::new(Code::P0105, span, label);
        if let Some(open) = current.open.last() {
            let innermost = format!(
                "the innermost open bracket is this `{}`",
                open.bracket.open()
            );
            diagnostic = diagnostic.and(open.span, innermost);
        }
        self.found.push(diagnostic.help(format!(
            "Take it away, or write the `{}` that it closes.",
            bracket.open()
        )));
    }

    pub(super) fn no_item(&mut self, word: Span) {
        let text = self.text.get(word.range()).unwrap_or_default();
        let (label, help) = match (nearest(text, &ITEM_KEYWORDS), text) {
            (None, "secret") => (
                "a secret is an `input`".to_owned(),
                "Write `input NAME: secret`.".to_owned(),
            ),
            (None, "site") => (
                "a value of the configuration is an `input`".to_owned(),
                "Write `input NAME: string at run`.".to_owned(),
            ),
            (None, "import" | "include" | "from") => (
                "items of another file come in with `use`".to_owned(),
                "Write `use \"./other.plan\" { name }`.".to_owned(),
            ),
            (Some(keyword), _) => (
                format!("did you mean `{keyword}`?"),
                format!("Write `{keyword}` and the name of the item."),
            ),
            (None, _) => (
                "no item begins like this".to_owned(),
                "An item begins with a word such as `image`, `matrix`, `test` or `plan`."
                    .to_owned(),
            ),
        };
        self.found
            .push(Diagnostic::new(Code::P0107, word, label).help(help));
    }

    pub(super) fn not_closed(
        &mut self,
        current: &Current<'a>,
        outermost: Opened,
        next: Option<Span>,
    ) {
        let innermost = current.open.last().copied().unwrap_or(outermost);
        let diagnostic = match current.doubtful {
            Some((open, close)) => {
                let close_label = "by its column, this `}` is meant for an outer `{`";
                Diagnostic::new(Code::P0105, open, "this `{` is not closed").and(close, close_label)
            }
            None => {
                let label = format!("this `{}` is not closed", innermost.bracket.open());
                let diagnostic = Diagnostic::new(Code::P0105, innermost.span, label);
                match next {
                    Some(next) => diagnostic.and(next, "the next item begins here"),
                    None => diagnostic.and(current.span.after(), "the file ends here"),
                }
            }
        };
        let missing = if current.doubtful.is_some() {
            Bracket::Brace
        } else {
            innermost.bracket
        };
        self.found.push(diagnostic.help(format!(
            "Write `{}` where the part that it opens is to end.",
            missing.close()
        )));
    }
}
