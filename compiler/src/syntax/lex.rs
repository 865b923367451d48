//! The text cut into tokens, coarsely: enough to find where items begin and end, which brackets belong
//! together and what stood where the grammar stopped.
//!
//! It knows what may hide a bracket (texts, commands, comments) and never fails; what a token means,
//! and whether it may stand where it stands, is the grammar's business.

use crate::span::Span;

/// A piece of the text that is not blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// What it looks like.
    pub kind: TokenKind,
    /// Its place.
    pub span: Span,
    /// How many bytes of its line stand before it.
    pub column: u32,
    /// How many bytes of its line stand before the line's first token.
    pub indent: u32,
}

/// What a token looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// Letters, digits, `_` and `-`, of which the first is no digit. A dot is a mark of its own.
    Word,
    /// What begins with a digit, or with `$` and a digit: `10GiB`, `9.4`, `90%`, `$5.00`.
    Number,
    /// `"…"`
    Text {
        /// Whether its second quote stands on the same line.
        ended: bool,
    },
    /// `` `…` ``
    Command {
        /// Whether its second backtick stands on the same line.
        ended: bool,
    },
    /// `(`, `[` or `{`.
    Open(Bracket),
    /// `)`, `]` or `}`.
    Close(Bracket),
    /// `// …`, and `//// …`.
    Comment,
    /// `/// …`
    ItemDoc,
    /// `//! …`
    ModuleDoc,
    /// Anything else: an operator, a comma, a character that the language does not know.
    Mark,
}

/// A kind of bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bracket {
    /// `(` and `)`.
    Paren,
    /// `[` and `]`.
    Square,
    /// `{` and `}`.
    Brace,
}

impl Bracket {
    /// Its opening form.
    pub(super) fn open(self) -> char {
        match self {
            Self::Paren => '(',
            Self::Square => '[',
            Self::Brace => '{',
        }
    }

    /// Its closing form.
    pub(super) fn close(self) -> char {
        match self {
            Self::Paren => ')',
            Self::Square => ']',
            Self::Brace => '}',
        }
    }
}

/// Marks of two characters, which would otherwise fall apart.
const LONG_MARKS: [&str; 10] = ["==", "!=", "<=", ">=", "->", "..", "&&", "||", "/*", "*/"];

/// The tokens of a text, in order. Cheap to clone, which is how one looks ahead.
#[derive(Clone, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line_start: usize,
    indent: Option<u32>,
}

impl<'a> Lexer<'a> {
    /// The tokens of `text`.
    pub(super) fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            line_start: 0,
            indent: None,
        }
    }

    /// Steps over blanks, counting lines.
    fn skip_blanks(&mut self) {
        while let Some(byte) = self.text.as_bytes().get(self.at) {
            match byte {
                b'\n' => {
                    self.at += 1;
                    self.line_start = self.at;
                    self.indent = None;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                _ => break,
            }
        }
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        self.skip_blanks();
        let rest = self.text.get(self.at..)?;
        let first = rest.chars().next()?;
        let (kind, length) = token(rest, first);
        let column = Span::new(self.at - self.line_start, 0).start;
        let token = Token {
            kind,
            span: Span::new(self.at, self.at + length),
            column,
            indent: *self.indent.get_or_insert(column),
        };
        self.at += length;
        Some(token)
    }
}

/// The kind and the length of the token that `rest` begins with.
fn token(rest: &str, first: char) -> (TokenKind, usize) {
    match first {
        '(' => (TokenKind::Open(Bracket::Paren), 1),
        '[' => (TokenKind::Open(Bracket::Square), 1),
        '{' => (TokenKind::Open(Bracket::Brace), 1),
        ')' => (TokenKind::Close(Bracket::Paren), 1),
        ']' => (TokenKind::Close(Bracket::Square), 1),
        '}' => (TokenKind::Close(Bracket::Brace), 1),
        '"' => {
            let (ended, length) = quoted(rest);
            (TokenKind::Text { ended }, length)
        }
        '`' => {
            let (ended, length) = ticked(rest);
            (TokenKind::Command { ended }, length)
        }
        '/' if rest.starts_with("//") => (comment(rest), line(rest).len()),
        first if is_word_start(first) => (TokenKind::Word, run_of(rest, is_word)),
        first if first.is_ascii_digit() => (TokenKind::Number, number(rest)),
        '$' if rest[1..].starts_with(|digit: char| digit.is_ascii_digit()) => {
            (TokenKind::Number, 1 + number(&rest[1..]))
        }
        first => {
            let long = LONG_MARKS.iter().find(|mark| rest.starts_with(**mark));
            (
                TokenKind::Mark,
                long.map_or(first.len_utf8(), |mark| mark.len()),
            )
        }
    }
}

/// What kind of comment a line is that begins with `//`.
fn comment(rest: &str) -> TokenKind {
    if rest.starts_with("//!") {
        TokenKind::ModuleDoc
    } else if rest.starts_with("///") && !rest.starts_with("////") {
        TokenKind::ItemDoc
    } else {
        TokenKind::Comment
    }
}

/// The first line of `rest`, without its end and without the blanks before that.
fn line(rest: &str) -> &str {
    let line = rest.split_once('\n').map_or(rest, |(line, _)| line);
    line.trim_end()
}

/// Whether the quotes at the start of `rest` are closed on their line, and how long the text is.
fn quoted(rest: &str) -> (bool, usize) {
    let mut escaped = false;
    for (at, byte) in rest.bytes().enumerate().skip(1) {
        match byte {
            b'\n' => break,
            b'"' if !escaped => return (true, at + 1),
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    (false, line(rest).len())
}

/// Whether the backtick at the start of `rest` is closed on its line, and how long the command is.
fn ticked(rest: &str) -> (bool, usize) {
    // The whole line is looked at only where nothing closes the command, so once a line.
    match rest[1..].find(['`', '\n']) {
        Some(at) if rest[1 + at..].starts_with('`') => (true, at + 2),
        _ => (false, line(rest).len()),
    }
}

fn is_word_start(first: char) -> bool {
    first.is_alphabetic() || first == '_'
}

/// Whether a character goes on with a word.
pub(super) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '-')
}

/// The length of the run of characters at the start of `rest` that `belongs` accepts.
fn run_of(rest: &str, belongs: impl Fn(char) -> bool) -> usize {
    rest.find(|character| !belongs(character))
        .unwrap_or(rest.len())
}

/// The length of the number at the start of `rest`: a dot belongs to it with a letter or a digit behind
/// alone, so that `4..16` is three tokens, or with the star of `8.*`.
fn number(rest: &str) -> usize {
    let mut length = 0;
    loop {
        length += run_of(&rest[length..], is_word);
        let mut behind = rest[length..].chars();
        match (behind.next(), behind.next()) {
            (Some('.'), Some(next)) if next.is_ascii_alphanumeric() => length += 1,
            (Some('.'), Some('*')) => return length + 2,
            (Some('%'), _) => return length + 1,
            _ => return length,
        }
    }
}
