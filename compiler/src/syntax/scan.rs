//! The file cut into items before any of them is parsed.
//!
//! pest stops at its first error, so each item is parsed on its own and a mistake costs one item. What
//! would spoil the cutting is found here and reported here: texts without an end, brackets that do not
//! match or nest too deep, text that starts no item, documentation that documents nothing. An item with
//! such a mistake is not sound, and nobody parses it.
//!
//! An item ends with the `}` that closes its first `{`; one without a body, such as an `input`, ends
//! where the next item begins. Where brackets went wrong, an item keyword and a name at the start of a
//! line begin the next one. A `let` there may as well be a step: what stands behind it is read again
//! where the test around it turns out to have no end.

mod message;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::span::Span;
use crate::syntax::ast::{Comment, Doc, Name};
use crate::syntax::lex::{Bracket, Lexer, Token, TokenKind};

/// How deep brackets may nest; pest and every later stage recurse with them.
pub(super) const MAX_DEPTH: usize = 64;

/// The words that begin an item.
pub(super) const ITEM_KEYWORDS: [&str; 13] = [
    "axis", "boot", "disk", "fact", "image", "input", "let", "matrix", "plan", "state", "table",
    "test", "use",
];

/// Those among them whose items may have no braces.
const BARE_KEYWORDS: [&str; 6] = ["fact", "input", "let", "state", "table", "use"];

/// Those among them whose items have no body: braces in them are those of a type.
const BODILESS_KEYWORDS: [&str; 4] = ["fact", "input", "let", "table"];

/// Those among them whose items hold steps, of which `let` is one.
const STEP_KEYWORDS: [&str; 2] = ["plan", "test"];

/// Words that are operators, so that the next word belongs to the same value.
const OPERATORS: [&str; 10] = [
    "all", "and", "has", "in", "matches", "none", "not", "of", "or", "without",
];

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

impl Scan {
    /// The same of a file that `base` bytes of others stand before.
    pub(super) fn shifted(mut self, base: u32) -> Self {
        if base == 0 {
            return self;
        }
        let shift = |span: &mut Span| *span = span.shifted(base);
        let slices = &mut self.slices;
        let of_slices = slices.iter_mut().flat_map(|slice| &mut slice.docs);
        self.docs
            .iter_mut()
            .chain(of_slices)
            .for_each(|doc| shift(&mut doc.span));
        for slice in &mut self.slices {
            shift(&mut slice.span);
            slice.name.iter_mut().for_each(|name| shift(&mut name.span));
            slice.stray_docs.iter_mut().for_each(shift);
        }
        self.comments
            .iter_mut()
            .for_each(|comment| shift(&mut comment.span));
        self
    }
}

/// Cuts `text` into items.
pub(super) fn scan(text: &str, bag: &mut Bag) -> Scan {
    let mut scanner = Scanner {
        text,
        scan: Scan::default(),
        pending: Vec::new(),
        current: None,
        last_close: None,
        in_stray_brackets: false,
        behind_mark: false,
        next_item: None,
        found: Vec::new(),
        read_to: 0,
    };
    let mut tokens = Lexer::new(text);
    loop {
        let before = tokens.clone();
        let back = match tokens.next() {
            Some(token) => scanner.take(token, &before, &tokens),
            None => match scanner.end() {
                None => break,
                back => back,
            },
        };
        if let Some(back) = back {
            tokens = back;
        }
    }
    for diagnostic in scanner.found {
        bag.push(diagnostic);
    }
    scanner.scan
}

struct Scanner<'a> {
    text: &'a str,
    scan: Scan,
    /// Documentation that waits for its item.
    pending: Vec<Doc>,
    current: Option<Current<'a>>,
    /// The bracket that ended the item before.
    last_close: Option<Span>,
    /// Whether the token before was a bracket that closes nothing, so that a row of them is one mistake.
    in_stray_brackets: bool,
    /// Whether the token before was a mark, such as a colon or a dot, which the next one belongs to.
    behind_mark: bool,
    /// Where the next token stands that is neither comment nor documentation, and whether it begins an
    /// item: remembered, lest every line of a long comment look for it again.
    next_item: Option<(u32, bool)>,
    /// What was found wrong so far.
    found: Vec<Diagnostic>,
    /// Up to where the text was read before it was read again; no place is read three times.
    read_to: u32,
}

/// The item that is being read.
struct Current<'a> {
    keyword: &'a str,
    /// Where its keyword ends, or its first word where that is none.
    head_end: u32,
    span: Span,
    docs: Vec<Doc>,
    name: Option<Name>,
    stray_docs: Vec<Span>,
    /// The first word where it is no item keyword.
    no_item: Option<Span>,
    open: Vec<Opened>,
    /// How many brackets are open beyond [`MAX_DEPTH`].
    too_deep: usize,
    /// A pair of braces whose second half stands in the column of an outer one.
    doubtful: Option<(Span, Span)>,
    /// The first `let` inside it that would be an item if brackets went wrong before.
    maybe_item: Option<Return<'a>>,
    sound: bool,
}

/// A place to go back to, and how things stood there.
struct Return<'a> {
    tokens: Lexer<'a>,
    at: Span,
    end: u32,
    sound: bool,
    open: Vec<Opened>,
    found: usize,
}

/// A bracket that is open.
#[derive(Clone, Copy)]
struct Opened {
    bracket: Bracket,
    span: Span,
    indent: u32,
}

impl Current<'_> {
    /// Whether another item may begin anywhere behind this one.
    fn may_end(&self) -> bool {
        let bare = BARE_KEYWORDS.contains(&self.keyword);
        (bare || self.no_item.is_some()) && self.open.is_empty()
    }

    /// Whether the brace that closes its first one ends it.
    fn has_body(&self) -> bool {
        !BODILESS_KEYWORDS.contains(&self.keyword)
    }
}

impl<'a> Scanner<'a> {
    /// Reads a token; `before` stands in front of it and `behind` behind it. Returns where to go on
    /// instead, if the text has to be read again from there.
    fn take(&mut self, token: Token, before: &Lexer<'a>, behind: &Lexer<'a>) -> Option<Lexer<'a>> {
        if let Some(back) = self.restart(token, behind) {
            return Some(back);
        }
        self.note_let(token, before, behind);
        match token.kind {
            TokenKind::Comment => self.scan.comments.push(Comment { span: token.span }),
            TokenKind::ModuleDoc => self.module_doc(token),
            TokenKind::ItemDoc => self.item_doc(token),
            TokenKind::Close(bracket) => self.close(bracket, token),
            TokenKind::Word
            | TokenKind::Number
            | TokenKind::Text { .. }
            | TokenKind::Command { .. }
            | TokenKind::Open(_)
            | TokenKind::Mark => self.significant(token, behind),
        }
        if is_significant(&token) {
            self.behind_mark =
                matches!(token.kind, TokenKind::Mark) || OPERATORS.contains(&self.word(token));
        }
        None
    }

    /// Ends the item that is being read where the token begins another one.
    fn restart(&mut self, token: Token, behind: &Lexer<'a>) -> Option<Lexer<'a>> {
        let current = self.current.as_ref()?;
        if token.span.start < current.head_end {
            return None;
        }
        let ends = match token.kind {
            TokenKind::ItemDoc => {
                let may_end = token.column == 0 || current.may_end();
                let stray_text = current.no_item.is_some() && current.open.is_empty();
                stray_text || (may_end && self.next_begins_item(token.span.end, behind))
            }
            TokenKind::Word => {
                let goes_on = self.behind_mark && token.column != token.indent;
                let may_be_step =
                    STEP_KEYWORDS.contains(&current.keyword) && self.word(token) == "let";
                let at_margin = token.column == 0 && !may_be_step;
                (at_margin || (current.may_end() && !goes_on))
                    && begins_item(self.text, token, behind)
            }
            TokenKind::Number
            | TokenKind::Text { .. }
            | TokenKind::Command { .. }
            | TokenKind::Open(_)
            | TokenKind::Close(_)
            | TokenKind::Comment
            | TokenKind::ModuleDoc
            | TokenKind::Mark => false,
        };
        ends.then(|| self.finish(Some(token.span))).flatten()
    }

    /// Remembers a `let` at the start of a line inside a test or a plan.
    fn note_let(&mut self, token: Token, before: &Lexer<'a>, behind: &Lexer<'a>) {
        let is_let = token.column == 0 && self.word(token) == "let";
        if !is_let || token.span.start < self.read_to || !begins_item(self.text, token, behind) {
            return;
        }
        let found = self.found.len();
        if let Some(current) = &mut self.current
            && STEP_KEYWORDS.contains(&current.keyword)
            && current.maybe_item.is_none()
        {
            current.maybe_item = Some(Return {
                tokens: before.clone(),
                at: token.span,
                end: current.span.end,
                sound: current.sound,
                open: current.open.clone(),
                found,
            });
        }
    }

    fn word(&self, token: Token) -> &'a str {
        self.text.get(token.span.range()).unwrap_or_default()
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

    fn item_doc(&mut self, token: Token) {
        if self.current.is_none() {
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
        self.found
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

    fn begin(&mut self, token: Token, behind: &Lexer<'_>) -> Current<'a> {
        let mut behind = behind.clone().filter(is_significant);
        let mut first = token;
        while self.word(first) == "pub" {
            let Some(next) = behind.next() else {
                break;
            };
            first = next;
        }
        let is_item = is_item_keyword(self.text, first);
        let keyword = if is_item { self.word(first) } else { "" };
        // What `use` names is declared elsewhere.
        let name = behind.next().filter(|name| {
            let is_word = matches!(name.kind, TokenKind::Word);
            is_word && keyword != "use"
        });
        let name = name.map(|name| Name {
            text: self.word(name).to_owned(),
            span: name.span,
        });
        Current {
            keyword,
            head_end: first.span.end,
            span: token.span,
            docs: std::mem::take(&mut self.pending),
            name,
            stray_docs: Vec::new(),
            no_item: (!is_item).then_some(first.span),
            open: Vec::new(),
            too_deep: 0,
            doubtful: None,
            maybe_item: None,
            sound: true,
        }
    }

    fn open(&mut self, current: &mut Current<'a>, bracket: Bracket, token: Token) {
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
            self.found.push(
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
            if ends {
                self.cut(current);
            } else {
                self.current = Some(current);
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
        let ends = current.open.is_empty() && bracket == Bracket::Brace && current.has_body();
        if ends {
            self.cut(current);
            self.last_close = Some(token.span);
        } else {
            self.current = Some(current);
        }
    }

    /// Ends the item that is being read where the next one begins, or the file ends. Returns where to
    /// go on instead, where the next one began before.
    fn finish(&mut self, next: Option<Span>) -> Option<Lexer<'a>> {
        let mut current = self.current.take()?;
        let mut next = next;
        let mut back = None;
        if let Some(maybe) = current.maybe_item.take() {
            self.read_to = next.map_or(u32::MAX, |next| next.start);
            self.found.truncate(maybe.found);
            let before = |comment: &Comment| comment.span < maybe.at;
            let kept = self.scan.comments.partition_point(before);
            self.scan.comments.truncate(kept);
            self.next_item = None;
            current.span.end = maybe.end;
            current.sound = maybe.sound;
            current.open = maybe.open;
            next = Some(maybe.at);
            back = Some(maybe.tokens);
        }
        if let (Some(open), true) = (current.open.first().copied(), current.sound)
            && current.no_item.is_none()
        {
            current.sound = false;
            self.not_closed(&current, open, next);
        }
        self.cut(current);
        back
    }

    /// Adds an item to those that were cut.
    fn cut(&mut self, mut current: Current<'a>) {
        if let Some(word) = current.no_item {
            if current.sound {
                self.no_item(word);
            }
            current.sound = false;
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

    /// Ends the item that the file ends in; as [`Scanner::finish`].
    fn end(&mut self) -> Option<Lexer<'a>> {
        if let Some(back) = self.finish(None) {
            return Some(back);
        }
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
        None
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

/// Whether an item begins with `token`, although the one before has not ended: a keyword and a name,
/// with `pub` before it or not. `matrix NAME` is also a clause of a plan, `boot NAME` a need, and
/// `disk as NAME` stands behind `use`, so there a `{` must follow, or what else an item goes on with.
fn begins_item(text: &str, token: Token, behind: &Lexer<'_>) -> bool {
    let word = |token: Token| text.get(token.span.range()).unwrap_or_default();
    let mut next = behind.clone().filter(is_significant);
    let mut keyword = token;
    while word(keyword) == "pub" {
        let Some(behind_pub) = next.next() else {
            return false;
        };
        keyword = behind_pub;
    }
    if !is_item_keyword(text, keyword) {
        return false;
    }
    let Some(name) = next.next() else {
        return false;
    };
    let is_name = match name.kind {
        TokenKind::Word => true,
        TokenKind::Text { .. } => word(keyword) == "use",
        TokenKind::Number
        | TokenKind::Command { .. }
        | TokenKind::Open(_)
        | TokenKind::Close(_)
        | TokenKind::Comment
        | TokenKind::ItemDoc
        | TokenKind::ModuleDoc
        | TokenKind::Mark => false,
    };
    let in_doubt = ["boot", "matrix"].contains(&word(keyword))
        || word(name) == "as"
        || OPERATORS.contains(&word(name));
    is_name
        && (!in_doubt
            || next.next().is_some_and(|next| {
                let is_brace = matches!(next.kind, TokenKind::Open(Bracket::Brace));
                is_brace || [":", "="].contains(&word(next))
            }))
}
