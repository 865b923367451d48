//! Texts in quotes: their escapes replaced, and the wrong ones reported.

use super::Builder;
use crate::diagnostic::{Code, Diagnostic};

impl Builder<'_> {
    /// The text of `written`, which begins at `at` and still has its quotes. `None` where an escape is
    /// wrong, which is reported.
    pub(super) fn text(&mut self, written: &str, at: usize) -> Option<String> {
        let inner = written.get(1..written.len() - 1).unwrap_or_default();
        let mut text = String::with_capacity(inner.len());
        let mut sound = true;
        let mut rest = inner;
        while let Some(backslash) = rest.find('\\') {
            text.push_str(&rest[..backslash]);
            let escape = &rest[backslash..];
            let start = at + 1 + (inner.len() - escape.len());
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
