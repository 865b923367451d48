//! Text to tree.
//!
//! ```text
//! bytes ─ decode ─► Source ─ scan ─► items ─ pest, build ─► ast::Module
//! ```
//!
//! [`parse`] is total: what cannot be read is reported and becomes an error node. It knows no names and
//! no types; which axes, fields and units there are is for later stages.

pub mod ast;
mod build;
mod lex;
mod mistake;
mod scan;

use std::borrow::Cow;

use crate::diagnostic::shown::is_hidden;
use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::source::{MAX_SOURCE_BYTES, Source};
use crate::span::Span;
use ast::{Item, ItemKind, Module};

/// Reads the bytes of a source named `name`. `None` where they hold nothing that could be parsed, which
/// is reported; a byte order mark at the start is accepted and dropped.
pub fn decode(name: &str, bytes: &[u8], bag: &mut Bag) -> Option<Source> {
    let start = Span::default();
    if bytes.len() > MAX_SOURCE_BYTES {
        let label = format!("it has {} bytes", bytes.len());
        bag.push(Diagnostic::new(Code::P0103, start, label).help(format!(
            "A source may have {} MiB. Is this the file you meant?",
            MAX_SOURCE_BYTES >> 20
        )));
        return None;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            bag.push(not_utf8(bytes, error.valid_up_to()));
            return None;
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let says_nothing = text
        .lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with("//"));
    if says_nothing {
        let label = if text.trim().is_empty() {
            "nothing stands in it"
        } else {
            "only comments stand in it"
        };
        bag.push(Diagnostic::new(Code::P0101, start, label).help(
            "Write at least an image, a matrix, a test and a plan; the language reference begins with \
             a whole file.",
        ));
        return None;
    }
    Some(Source::new(name, text))
}

/// Reads a text. Nothing that it holds makes this fail: what cannot be read is added to the bag.
pub fn parse(text: &str, bag: &mut Bag) -> Module {
    parse_at(text, 0, bag)
}

/// As [`parse`], of a file that `base` bytes of others stand before.
pub fn parse_at(text: &str, base: u32, bag: &mut Bag) -> Module {
    let mut own = Bag::default();
    let text = blank_out_controls(text, &mut own);
    let scan = scan::scan(&text, &mut own).shifted(base);
    bag.extend(own, base);
    let items = scan.slices.into_iter().map(|slice| {
        let read = slice
            .sound
            .then(|| read(&text, base, &slice, bag))
            .flatten();
        let (public, kind) = read.unwrap_or((None, ItemKind::Error(slice.name)));
        Item {
            span: slice.span,
            docs: slice.docs,
            public,
            kind,
        }
    });
    let items = items.collect();
    Module {
        docs: scan.docs,
        items,
        comments: scan.comments,
    }
}

/// Reads a condition that stands alone. `None` where it could not be read, which was reported.
pub fn condition(text: &str, bag: &mut Bag) -> Option<ast::Expr> {
    let text = blank_out_controls(text, bag);
    build::condition(&text, bag)
}

/// Reads an item that was cut out of `text`, which stands at `file`.
fn read(
    text: &str,
    file: u32,
    slice: &scan::Slice,
    bag: &mut Bag,
) -> Option<(Option<Span>, ItemKind)> {
    let base = slice.span.range().start;
    let start = base - file as usize;
    let own = text.get(start..start + slice.span.range().len());
    let own = own.unwrap_or_default();
    if slice.stray_docs.is_empty() {
        return build::item(own, base, bag);
    }
    let mut own = own.to_owned();
    for doc in &slice.stray_docs {
        let range = doc.range();
        blank_out(&mut own, range.start - base..range.end - base);
    }
    build::item(&own, base, bag)
}

/// Reports that the file is no text, as far as can be told from the byte that is none.
fn not_utf8(bytes: &[u8], offset: usize) -> Diagnostic {
    let line = 1 + bytes
        .iter()
        .take(offset)
        .filter(|byte| **byte == b'\n')
        .count();
    let byte = bytes.get(offset).copied().unwrap_or_default();
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let advice = if utf16 {
        "It looks like UTF-16: save the file as UTF-8."
    } else {
        "Save the file as UTF-8."
    };
    Diagnostic::new(
        Code::P0102,
        Span::default(),
        format!("the byte 0x{byte:02x} is not part of any character"),
    )
    .help(format!(
        "It is byte {offset} of the file, counted from 0, on line {line}. {advice}"
    ))
}

/// The text with blanks for the characters that must not stand in a source: those that show nothing or
/// turn the direction of what is around them, so that a reader sees something else than what is run.
/// The first one is reported.
fn blank_out_controls<'a>(text: &'a str, bag: &mut Bag) -> Cow<'a, str> {
    let mut found = text
        .char_indices()
        .filter(|(at, character)| match character {
            '\t' | '\n' => false,
            '\r' => !text[at + 1..].starts_with('\n'),
            other => is_hidden(*other),
        });
    let Some((first, character)) = found.next() else {
        return Cow::Borrowed(text);
    };
    let mut owned = text.to_owned();
    blank_out(&mut owned, first..first + character.len_utf8());
    let mut more = 0_usize;
    for (at, other) in found {
        blank_out(&mut owned, at..at + other.len_utf8());
        more += 1;
    }
    let others = match more {
        0 => String::new(),
        1 => " One more stands further on.".to_owned(),
        more => format!(" {more} more stand further on."),
    };
    let label = format!("the character U+{:04X}", u32::from(character));
    let span = Span::new(first, first + character.len_utf8());
    bag.push(Diagnostic::new(Code::P0109, span, label).help(format!(
        "Take it away; in a text it can be written as `\\u{{{:X}}}`.{others}",
        u32::from(character)
    )));
    Cow::Owned(owned)
}

/// Puts as many blanks as there are bytes, so that every other place stays where it is.
fn blank_out(text: &mut String, range: std::ops::Range<usize>) {
    let blanks = " ".repeat(range.len());
    text.replace_range(range, &blanks);
}

#[cfg(test)]
mod tests;
