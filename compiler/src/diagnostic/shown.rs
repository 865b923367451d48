//! Text as it may be shown: nothing in it moves the cursor, sets a colour or turns the direction of
//! what stands around it.
//!
//! Names of files and parts of sources are other people's, and a terminal obeys what it is sent.

use std::borrow::Cow;

/// Whether a character shows nothing and changes how others are shown: control characters, the marks
/// of direction, and a byte order mark that is not at the start.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'
        )
}

/// `text` on one line, hidden characters written as escapes: `\n`, `\u{1b}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_hidden(character) {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    Cow::Owned(shown)
}

/// `text` with a visible character of the same length in bytes for each hidden one, so that every
/// place stays where it is. Line ends and tabs stay. `None` where nothing has to change.
#[must_use]
pub fn excerpt(text: &str) -> Option<String> {
    let is_replaced = |at: usize, character: char| match character {
        '\t' | '\n' => false,
        '\r' => !text[at + 1..].starts_with('\n'),
        other => is_hidden(other),
    };
    let first = text
        .char_indices()
        .find(|(at, character)| is_replaced(*at, *character))?
        .0;
    let mut shown = String::with_capacity(text.len());
    shown.push_str(&text[..first]);
    for (at, character) in text[first..].char_indices() {
        shown.push(match character.len_utf8() {
            _ if !is_replaced(first + at, character) => character,
            1 => '?',
            2 => '·',
            _ => '\u{fffd}',
        });
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_on_their_line() {
        assert_eq!(line("a b, c%.plan"), "a b, c%.plan");
        assert_eq!(line("a\nb\u{1b}[2J\u{202e}"), "a\\nb\\u{1b}[2J\\u{202e}");
    }

    #[test]
    fn excerpts_keep_every_place() {
        assert_eq!(excerpt("a\r\n\tü"), None);
        let text = "a\u{1b}b\u{85}c\u{202e}d\re\r\n";
        let shown = excerpt(text).expect("some of it is hidden");
        assert_eq!(shown, "a?b·c\u{fffd}d?e\r\n");
        assert_eq!(shown.len(), text.len());
    }
}
