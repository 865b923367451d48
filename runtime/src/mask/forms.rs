//! The forms in which a secret may be printed.

use std::collections::BTreeSet;
use std::fmt::Write;

use base64ct::{Base64, Base64Unpadded, Base64Url, Base64UrlUnpadded, Encoding};

/// The shortest part of an encoded form that is looked for: anything shorter stands everywhere.
const SHORTEST_PART: usize = 4;
/// The shortest line of a longer secret that is a form of its own.
const SHORTEST_LINE: usize = 8;
/// Where programs break lines of Base64.
const BASE64_LINES: [usize; 2] = [64, 76];

/// All forms of `secret` that are looked for, each once.
#[must_use]
pub fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    if secret.is_empty() {
        return BTreeSet::new();
    }
    let lines = secret.lines().map(str::trim);
    let long_lines = lines.filter(|line| line.len() >= SHORTEST_LINE && *line != secret);
    for text in [secret].into_iter().chain(long_lines) {
        forms.insert(text.to_owned());
        add_encoded(text.as_bytes(), &mut forms);
        add_percent(text, &mut forms);
        add_quoted(text, &mut forms);
    }
    // What has a line end after it, as when a shell's `echo` writes it, ends in other characters.
    add_encoded(format!("{secret}\n").as_bytes(), &mut forms);
    forms.into_iter().map(String::into_bytes).collect()
}

/// Base64: whole, and the part that is the same whatever stands before and after.
fn add_encoded(bytes: &[u8], forms: &mut BTreeSet<String>) {
    if bytes.is_empty() {
        return;
    }
    for encoded in [base64(bytes), base64_url(bytes)] {
        for width in BASE64_LINES {
            if encoded.len() > width {
                let lines = encoded.as_bytes().chunks(width).filter_map(text);
                forms.extend(
                    lines
                        .filter(|line| line.len() >= SHORTEST_LINE)
                        .map(str::to_owned),
                );
            }
        }
        let whole = [encoded.trim_end_matches('='), &encoded].map(str::to_owned);
        forms.extend(whole.into_iter().filter(|form| form.len() >= SHORTEST_PART));
    }
    for before in 0..3 {
        let shifted = [vec![0; before], bytes.to_vec()].concat();
        // A character is six bits; those that hold bits of neighbours are not the secret's alone.
        let (from, to) = ((8 * before).div_ceil(6), 8 * shifted.len() / 6);
        for encoded in [
            Base64Unpadded::encode_string(&shifted),
            Base64UrlUnpadded::encode_string(&shifted),
        ] {
            if let Some(part) = encoded.get(from..to)
                && part.len() >= SHORTEST_PART
            {
                forms.insert(part.to_owned());
            }
        }
    }
}

/// Percent-encoding: programs differ in what they leave alone and in the case of digits.
fn add_percent(text: &str, forms: &mut BTreeSet<String>) {
    for left_alone in ["-_.~", "-_.~/", "-_.!~*'()", "-_.*"] {
        let is_plain =
            |byte: &u8| byte.is_ascii_alphanumeric() || left_alone.as_bytes().contains(byte);
        for blank in ["%20", "+"] {
            for lower in [false, true] {
                let mut encoded = String::new();
                for byte in text.bytes() {
                    // Writing to a string cannot fail.
                    let _ = match byte {
                        b' ' => encoded.write_str(blank),
                        byte if is_plain(&byte) => encoded.write_char(char::from(byte)),
                        byte if lower => write!(encoded, "%{byte:02x}"),
                        byte => write!(encoded, "%{byte:02X}"),
                    };
                }
                forms.insert(encoded);
            }
        }
    }
}

/// Quoted for a shell, or for JSON. Quotes around it are no part of a form.
fn add_quoted(text: &str, forms: &mut BTreeSet<String>) {
    for quote in [r"'\''", r#"'"'"'"#, r"\'"] {
        forms.insert(text.replace('\'', quote));
    }
    let escaped = |is_special: fn(char) -> bool| {
        let mut escaped = String::new();
        for c in text.chars() {
            if is_special(c) {
                escaped.push('\\');
            }
            escaped.push(c);
        }
        escaped
    };
    forms.insert(escaped(|c| matches!(c, '$' | '`' | '"' | '\\')));
    // As bash's `printf %q` does where there is no control character.
    forms.insert(escaped(|c| {
        c.is_ascii()
            && !(c.is_ascii_alphanumeric() || c.is_ascii_control() || "%+-./:=@_".contains(c))
    }));
    forms.insert(escaped(|c| {
        c.is_ascii_punctuation() && !"%+-./:=@_,".contains(c) || c == ' '
    }));
    // `$'…'`, and JSON as most programs write it.
    let c_like = |quote: char| {
        let mut escaped = String::new();
        for c in text.chars() {
            match c {
                '\n' => escaped.push_str("\\n"),
                '\t' => escaped.push_str("\\t"),
                '\r' => escaped.push_str("\\r"),
                '\\' => escaped.push_str("\\\\"),
                c if c == quote => escaped.extend(['\\', c]),
                c => escaped.push(c),
            }
        }
        escaped
    };
    forms.insert(c_like('\''));
    forms.insert(c_like('"'));
}

pub(super) fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

pub(super) fn base64_url(bytes: &[u8]) -> String {
    Base64Url::encode_string(bytes)
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}
