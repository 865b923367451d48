//! What of a command's output is shown: its beginning and its end, with nothing in it that a terminal
//! or XML could take for more than text. The bytes themselves are in files.

use std::fmt::Write;

use crate::transport::{HEAD_BYTES, StreamOutput, TAIL_BYTES};

/// The first 64 KiB and the last 192 KiB of a stream, escaped.
pub(crate) fn excerpt(output: &StreamOutput) -> String {
    let head = &output.head;
    if output.whole().is_some() && head.len() <= HEAD_BYTES + TAIL_BYTES {
        return escape(head);
    }
    let first = &head[..border_before(head, HEAD_BYTES.min(head.len()))];
    let tail = if output.tail.is_empty() {
        &head[head.len().saturating_sub(TAIL_BYTES).max(first.len())..]
    } else {
        &output.tail
    };
    let last = &tail[border_after(tail)..];
    let left_out = output
        .total
        .saturating_sub((first.len() + last.len()) as u64);
    format!(
        "{}\n[{left_out} bytes are left out]\n{}",
        escape(first),
        escape(last)
    )
}

/// Text of `bytes`: what is not UTF-8 becomes `\xNN`, control characters their escapes. Line ends and
/// tabs stay.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_text(c) {
                text.push(c);
            } else {
                text.extend(c.escape_default());
            }
        }
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

/// `text` without the end that goes beyond `limit` characters.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Takes the middle out of an excerpt that is longer than twice `kept` bytes.
pub(crate) fn shorten_middle(text: &mut String, kept: usize) {
    if text.len() <= 2 * kept {
        return;
    }
    let (first, last) = (
        text.floor_char_boundary(kept),
        text.ceil_char_boundary(text.len() - kept),
    );
    text.replace_range(first..last, "\n[the middle is left out]\n");
    text.shrink_to_fit();
}

/// Whether a character can stand in a terminal and in XML as it is. Those that turn the direction of
/// writing can make text look like another.
fn is_text(c: char) -> bool {
    let turns = matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let in_no_xml = matches!(c, '\u{fffe}' | '\u{ffff}');
    matches!(c, '\n' | '\t') || !(c.is_control() || turns || in_no_xml)
}

/// The last place at or before `end` where no character is cut.
fn border_before(bytes: &[u8], end: usize) -> usize {
    (end.saturating_sub(3)..=end)
        .rev()
        .find(|place| bytes.get(*place).is_none_or(|byte| is_border(*byte)))
        .unwrap_or(end)
}

/// The first place where no character is cut.
fn border_after(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .take(4)
        .position(|byte| is_border(*byte))
        .unwrap_or(0)
}

/// Whether a byte begins a character.
fn is_border(byte: u8) -> bool {
    byte & 0b1100_0000 != 0b1000_0000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_text_is_left() {
        assert_eq!(
            escape(b"a\tb\n\x1b[31mred\x00\r\xff\xc3\xa9\xe2\x80\xae"),
            "a\tb\n\\u{1b}[31mred\\u{0}\\r\\xffé\\u{202e}"
        );
    }

    #[test]
    fn a_long_output_keeps_both_ends_and_cuts_no_character() {
        let body = "é".repeat(400 << 10).into_bytes();
        let whole = StreamOutput {
            total: body.len() as u64,
            head: body.clone(),
            tail: Vec::new(),
            filed: 0,
        };
        let larger = StreamOutput {
            total: 10 << 20,
            head: vec![b'a'; 1 << 20],
            // The stream ends with a whole character and was cut in the middle of one.
            tail: body[1..TAIL_BYTES].to_vec(),
            filed: 0,
        };
        for output in [whole, larger] {
            let text = excerpt(&output);
            assert!(!text.contains("\\x"), "{}", &text[..100]);
            assert!(text.contains(" bytes are left out]"));
            assert!(text.len() < HEAD_BYTES + TAIL_BYTES + 100);
        }
    }

    #[test]
    fn a_short_output_is_whole() {
        let output = StreamOutput {
            total: 3,
            head: b"abc".to_vec(),
            ..StreamOutput::default()
        };
        assert_eq!(excerpt(&output), "abc");
    }
}
