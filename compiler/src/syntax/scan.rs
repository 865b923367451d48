//! The file cut into items before any of them is parsed.
//!
//! pest stops at its first error, so each item is parsed on its own and a mistake costs one item. What
//! would spoil the cutting is found here and reported here: texts without an end, brackets that do not
//! match or nest too deep, text that starts no item, documentation that documents nothing. An item with
//! such a mistake is not sound, and nobody parses it.
//!
//! An item ends with the `}` that closes its first `{`; an `input`, which has none, ends where the next
//! item begins. Where brackets went wrong, an item keyword and a name at the start of a line begin the
//! next one.

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{Comment, Doc, Name};
use crate::syntax::lex::{Bracket, Lexer, Token, TokenKind};
use crate::syntax::mistake::nearest;

/// How deep brackets may nest; pest and every later stage recurse with them.
pub(super) const MAX_DEPTH: usize = 64;

/// The words that begin an item.
pub(super) const ITEM_KEYWORDS: [&str; 7] =
    ["axis", "disk", "image", "input", "matrix", "plan", "test"];

/// A file that has been cut.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The lines that document the file.
    pub docs: Vec<Doc>,
    /// The items in order.
    pub slices: Vec<Slice>,
    /// The plain comments in order.
    pub comments: Vec<Comment>,
}

/// The text of an item.
#[derive(Debug)]
pub(super) struct Slice {
    /// From its first word to its last bracket.
    pub span: Span,
    /// The lines that document it.
    pub docs: Vec<Doc>,
    /// Its name, as far as it could be told.
    pub name: Option<Name>,
    /// Documentation inside it, which was reported and is not to be parsed.
    pub stray_docs: Vec<Span>,
    /// Whether it can be parsed; if not, why not was reported.
    pub sound: bool,
}

/// Cuts `text` into items.
pub(super) fn scan(text: &str, bag: &mut Bag) -> Scan {
    let mut scanner = Scanner {
        text,
        bag,
        scan: Scan::default(),
        pending: Vec::new(),
        current: None,
        last_close: None,
        in_stray_brackets: false,
        next_item: None,
    };
    let mut tokens = Lexer::new(text);
    while let Some(token) = tokens.next() {
        scanner.take(token, &tokens);
    }
    scanner.end();
    scanner.scan
}

struct Scanner<'a> {
    text: &'a str,
    bag: &'a mut Bag,
    scan: Scan,
    /// Documentation that waits for its item.
    pending: Vec<Doc>,
    current: Option<Current>,
    /// The bracket that ended the item before.
    last_close: Option<Span>,
    /// Whether the token before was a bracket that closes nothing, so that a row of them is one mistake.
    in_stray_brackets: bool,
    /// Where the next token stands that is neither comment nor documentation, and whether it begins an
    /// item: remembered, lest every line of a long comment look for it again.
    next_item: Option<(u32, bool)>,
}

/// The item that is being read.
struct Current {
    span: Span,
    docs: Vec<Doc>,
    name: Option<Name>,
    stray_docs: Vec<Span>,
    /// The first word where it is no item keyword.
    no_item: Option<Span>,
    /// Whether it is an item without braces.
    bare: bool,
    open: Vec<Opened>,
    /// How many brackets are open beyond [`MAX_DEPTH`].
    too_deep: usize,
    /// A pair of braces whose second half stands in the column of an outer one.
    doubtful: Option<(Span, Span)>,
    sound: bool,
}

/// A bracket that is open.
#[derive(Clone, Copy)]
struct Opened {
    bracket: Bracket,
    span: Span,
    indent: u32,
}

impl Current {
    /// Whether another item may begin anywhere behind this one.
    fn may_end(&self) -> bool {
        (self.bare || self.no_item.is_some()) && self.open.is_empty()
    }
}

impl Scanner<'_> {
    fn take(&mut self, token: Token, behind: &Lexer<'_>) {
        match token.kind {
            TokenKind::Comment => self.scan.comments.push(Comment { span: token.span }),
            TokenKind::ModuleDoc => self.module_doc(token),
            TokenKind::ItemDoc => self.item_doc(token, behind),
            TokenKind::Close(bracket) => self.close(bracket, token),
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Text { .. }
            | TokenKind::Command { .. }
            | TokenKind::Open(_)
            | TokenKind::Mark => self.significant(token, behind),
        }
    }

    fn module_doc(&mut self, token: Token) {
        let at_the_top =
            self.current.is_none() && self.scan.slices.is_empty() && self.pending.is_empty();
        if at_the_top {
            let doc = self.doc(token.span);
            self.scan.docs.push(doc);
        } else {
            self.stray_doc(
                token.span,
                "the documentation of the file stands at its top",
                "Move the line above everything else, or write `//` for a plain comment.",
            );
        }
    }

    fn item_doc(&mut self, token: Token, behind: &Lexer<'_>) {
        let may_end = |current: &Current| token.column == 0 || current.may_end();
        let next_begins_item = self.current.as_ref().is_some_and(may_end)
            && self.next_begins_item(token.span.end, behind);
        let between_items = match &self.current {
            None => true,
            Some(current) => {
                next_begins_item || (current.no_item.is_some() && current.open.is_empty())
            }
        };
        if between_items {
            self.finish(Some(token.span));
            let doc = self.doc(token.span);
            self.pending.push(doc);
        } else {
            self.stray_doc(
                token.span,
                "nothing is documented here",
                "`///` documents the item below it. Write `//` for a plain comment.",
            );
        }
    }

    /// Whether the next token that is neither comment nor documentation begins an item.
    fn next_begins_item(&mut self, offset: u32, behind: &Lexer<'_>) -> bool {
        if let Some((at, answer)) = self.next_item
            && offset <= at
        {
            return answer;
        }
        let mut behind = behind.clone();
        let next = behind.find(is_significant);
        let answer = next.is_some_and(|next| begins_item(self.text, next, &behind));
        self.next_item = Some((next.map_or(u32::MAX, |next| next.span.start), answer));
        answer
    }

    fn stray_doc(&mut self, span: Span, label: &str, help: &str) {
        self.bag
            .push(Diagnostic::new(Code::P0119, span, label).help(help));
        self.scan.comments.push(Comment { span });
        if let Some(current) = &mut self.current {
            current.stray_docs.push(span);
        }
    }

    fn doc(&self, span: Span) -> Doc {
        let text = self.text.get(span.range()).unwrap_or_default();
        let text = text.get(3..).unwrap_or_default();
        Doc {
            span,
            text: text.strip_prefix(' ').unwrap_or(text).to_owned(),
        }
    }

    /// A token that belongs to an item and closes nothing.
    fn significant(&mut self, token: Token, behind: &Lexer<'_>) {
        self.in_stray_brackets = false;
        let restart = self.current.as_ref().is_some_and(|current| {
            (token.column == 0 || current.may_end()) && begins_item(self.text, token, behind)
        });
        if restart {
            self.finish(Some(token.span));
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin(token, behind),
        };
        current.span.end = token.span.end;
        if let TokenKind::Open(bracket) = token.kind {
            self.open(&mut current, bracket, token);
        }
        if matches!(
            token.kind,
            TokenKind::Text { ended: false } | TokenKind::Command { ended: false }
        ) {
            self.no_end(&mut current, token);
        }
        self.current = Some(current);
    }

    fn begin(&mut self, token: Token, behind: &Lexer<'_>) -> Current {
        let next = behind.clone().find(is_significant);
        let name = next
            .filter(|next| matches!(next.kind, TokenKind::Word))
            .map(|next| Name {
                text: self
                    .text
                    .get(next.span.range())
                    .unwrap_or_default()
                    .to_owned(),
                span: next.span,
            });
        let is_item = is_item_keyword(self.text, token);
        Current {
            span: token.span,
            docs: std::mem::take(&mut self.pending),
            name,
            stray_docs: Vec::new(),
            no_item: (!is_item).then_some(token.span),
            bare: is_item && self.text.get(token.span.range()) == Some("input"),
            open: Vec::new(),
            too_deep: 0,
            doubtful: None,
            sound: true,
        }
    }

    fn open(&mut self, current: &mut Current, bracket: Bracket, token: Token) {
        if current.open.len() < MAX_DEPTH {
            current.open.push(Opened {
                bracket,
                span: token.span,
                indent: token.indent,
            });
            return;
        }
        if current.too_deep == 0 && current.sound && current.no_item.is_none() {
            current.sound = false;
            self.bag.push(
                Diagnostic::new(
                    Code::P0106,
                    token.span,
                    format!("{MAX_DEPTH} brackets are open before this one"),
                )
                .help("Take brackets away, or write the inner part as an item of its own."),
            );
        }
        current.too_deep += 1;
    }

    fn no_end(&mut self, current: &mut Current, token: Token) {
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
        self.bag
            .push(Diagnostic::new(Code::P0104, mark, label).help(help));
    }

    fn close(&mut self, bracket: Bracket, token: Token) {
        let Some(mut current) = self.current.take() else {
            self.closes_nothing(bracket, token.span);
            return;
        };
        self.in_stray_brackets = false;
        current.span.end = token.span.end;
        if current.too_deep > 0 {
            current.too_deep -= 1;
            self.current = Some(current);
            return;
        }
        let Some(partner) = current
            .open
            .iter()
            .rposition(|open| open.bracket == bracket)
        else {
            if current.sound {
                if current.no_item.is_some() || current.open.is_empty() {
                    self.closes_nothing(bracket, token.span);
                } else {
                    self.closes_nothing_inside(&current, bracket, token.span);
                }
            }
            current.sound = false;
            // Only a brace can be meant to end the item.
            let ends = current.open.is_empty() && bracket == Bracket::Brace;
            self.current = Some(current);
            if ends {
                self.finish(None);
            }
            return;
        };
        if let Some(inner) = current.open.get(partner + 1).copied()
            && current.sound
            && current.no_item.is_none()
        {
            current.sound = false;
            self.not_closed_before(inner, bracket, token.span);
        }
        if let Some(opened) = current.open.get(partner).copied() {
            let first_of_line = token.column == token.indent;
            if first_of_line && token.column < opened.indent && current.doubtful.is_none() {
                current.doubtful = Some((opened.span, token.span));
            }
        }
        current.open.truncate(partner);
        let ends = current.open.is_empty() && bracket == Bracket::Brace;
        self.current = Some(current);
        if ends {
            self.finish(None);
            self.last_close = Some(token.span);
        }
    }

    /// A bracket that is still open where one around it closes.
    fn not_closed_before(&mut self, inner: Opened, outer: Bracket, span: Span) {
        let label = format!("this `{}` is not closed", inner.bracket.open());
        let closes = format!("`{}` stands here", outer.close());
        let help = format!(
            "Write `{}` before the `{}`.",
            inner.bracket.close(),
            outer.close()
        );
        self.bag.push(
            Diagnostic::new(Code::P0105, inner.span, label)
                .and(span, closes)
                .help(help),
        );
    }

    /// A bracket outside of every item, or in the head of one.
    fn closes_nothing(&mut self, bracket: Bracket, span: Span) {
        if !self.in_stray_brackets {
            let label = format!("this `{}` closes nothing", bracket.close());
            let mut diagnostic = Diagnostic::new(Code::P0105, span, label)
                .help("Take it away, or the one that closed too early before it.");
            if let Some(close) = self.last_close {
                diagnostic = diagnostic.and(close, "the item before ended here");
            }
            self.bag.push(diagnostic);
        }
        self.in_stray_brackets = true;
    }

    fn closes_nothing_inside(&mut self, current: &Current, bracket: Bracket, span: Span) {
        let label = format!("this `{}` closes nothing", bracket.close());
        let mut diagnostic = Diagnostic::new(Code::P0105, span, label);
        if let Some(open) = current.open.last() {
            let innermost = format!(
                "the innermost open bracket is this `{}`",
                open.bracket.open()
            );
            diagnostic = diagnostic.and(open.span, innermost);
        }
        self.bag.push(diagnostic.help(format!(
            "Take it away, or write the `{}` that it closes.",
            bracket.open()
        )));
    }

    /// Ends the item that is being read; `next` is what the next one begins with, where that is what
    /// ended it.
    fn finish(&mut self, next: Option<Span>) {
        let Some(mut current) = self.current.take() else {
            return;
        };
        if let Some(word) = current.no_item {
            if current.sound {
                self.no_item(word);
            }
            current.sound = false;
        } else if let (Some(open), true) = (current.open.first().copied(), current.sound) {
            current.sound = false;
            self.not_closed(&current, open, next);
        }
        let end = current.span.end;
        current.stray_docs.retain(|doc| doc.end <= end);
        self.scan.slices.push(Slice {
            span: current.span,
            docs: current.docs,
            name: current.name,
            stray_docs: current.stray_docs,
            sound: current.sound,
        });
    }

    fn no_item(&mut self, word: Span) {
        let text = self.text.get(word.range()).unwrap_or_default();
        let (label, help) = match nearest(text, &ITEM_KEYWORDS) {
            Some(keyword) => (
                format!("did you mean `{keyword}`?"),
                format!("Write `{keyword}` and the name of the item."),
            ),
            None => (
                "no item begins like this".to_owned(),
                "An item begins with `image`, `axis`, `matrix`, `disk`, `input`, `test` or `plan`."
                    .to_owned(),
            ),
        };
        self.bag
            .push(Diagnostic::new(Code::P0107, word, label).help(help));
    }

    fn not_closed(&mut self, current: &Current, outermost: Opened, next: Option<Span>) {
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
        self.bag.push(diagnostic.help(format!(
            "Write `{}` where the part that it opens is to end.",
            missing.close()
        )));
    }

    fn end(&mut self) {
        self.finish(None);
        if let (Some(first), Some(last)) = (self.pending.first(), self.pending.last()) {
            let span = first.span.to(last.span);
            let pending = std::mem::take(&mut self.pending);
            self.stray_doc(
                span,
                "no item follows",
                "`///` documents the item below it. Write `//` for a plain comment, or `//!` at the \
                 top for the file.",
            );
            self.scan.comments.pop();
            let comments = pending.iter().map(|doc| Comment { span: doc.span });
            self.scan.comments.extend(comments);
            self.scan.comments.sort_by_key(|comment| comment.span);
        }
    }
}

/// Whether a token is neither comment nor documentation.
fn is_significant(token: &Token) -> bool {
    !matches!(
        token.kind,
        TokenKind::Comment | TokenKind::ItemDoc | TokenKind::ModuleDoc
    )
}

fn is_item_keyword(text: &str, token: Token) -> bool {
    let word = text.get(token.span.range()).unwrap_or_default();
    matches!(token.kind, TokenKind::Word) && ITEM_KEYWORDS.contains(&word)
}

/// Whether an item begins with `token`, although the one before has not ended: a keyword and a name.
/// `matrix NAME` is also a clause of a plan, so there a `{` must follow.
fn begins_item(text: &str, token: Token, behind: &Lexer<'_>) -> bool {
    if !is_item_keyword(text, token) {
        return false;
    }
    let mut next = behind.clone().filter(is_significant);
    let named = next
        .next()
        .is_some_and(|next| matches!(next.kind, TokenKind::Word));
    let clause = text.get(token.span.range()) == Some("matrix");
    named
        && (!clause
            || next
                .next()
                .is_some_and(|next| matches!(next.kind, TokenKind::Open(Bracket::Brace))))
}
