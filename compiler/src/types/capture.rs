//! Captured values: what of a command's output they are.

use dva_plan::step::{Capture, CaptureFrom};
use dva_plan::value::Type;

use crate::diagnostic::Code;
use crate::types::Checker;
use crate::types::lets::Let;
use crate::types::modifier::Modifiers;

impl Checker<'_, '_> {
    /// What of the output `value` is, by what stands behind its command.
    pub(crate) fn capture(
        &mut self,
        value: &Let<'_>,
        modifiers: &Modifiers<'_>,
    ) -> Option<Capture> {
        let of = value.r#type.clone();
        let find = modifiers.find;
        if let Some((span, word)) = find
            .map(|find| (find.span, "find"))
            .or(modifiers.json.map(|json| (json, "json")))
            && value.is_result
        {
            let name = &value.name.text;
            let text = format!("nothing says what type `{name}` has");
            let help = format!(
                "`{word}` reads a value of a type: ``let {name}: string = run …``. Without a type the value is \
                 all that the command came to: `{name}.exit`, `{name}.stdout` and `{name}.stderr`."
            );
            self.report(Code::P0605, span, text, help);
            return None;
        }
        if let (Some(find), Some(json)) = (find, modifiers.json) {
            let help =
                "`find` looks for a value in text, `json` reads all of it. Leave out one of them.";
            let text = format!("`json` beside {}", self.sources.slice(find.span));
            self.report(Code::P0605, json, text, help);
            return None;
        }
        let from = match (find, &of) {
            (None, _) if value.is_result => CaptureFrom::Result,
            (None, _) if modifiers.json.is_some() => CaptureFrom::Json,
            (None, Some(Type::List(_))) => CaptureFrom::Lines,
            (None, _) => CaptureFrom::Text,
            (Some(pattern), _) => {
                let text = self.plain_text(pattern)?;
                let regex = match regex::Regex::new(&text) {
                    Ok(regex) => regex,
                    Err(error) => {
                        self.report_regex(&error, pattern.span);
                        return None;
                    }
                };
                let groups = regex.captures_len() - 1;
                if groups != 1 {
                    let label = match groups {
                        0 => "there is no group".to_owned(),
                        n => format!("there are {n} groups"),
                    };
                    let help = "The value is what the one group in parentheses finds. \
                                Parentheses that only hold together are written `(?:…)`.";
                    self.report(Code::P0310, pattern.span, label, help);
                    return None;
                }
                if matches!(of, Some(Type::List(_))) {
                    let help =
                        "`find` gives one value, a list is made of lines. Leave out one of them.";
                    self.report(Code::P0605, pattern.span, "`find` for a list", help);
                    return None;
                }
                if of == Some(Type::Bytes) && value.unit.is_none() && finds_bare_number(&text) {
                    let help = "The pattern finds a number without its unit. Say which unit it has: `size in KiB`.";
                    self.report(
                        Code::P0312,
                        value.name.span,
                        format!("`{}` has no unit", value.name.text),
                        help,
                    );
                    return None;
                }
                CaptureFrom::Find(text)
            }
        };
        of?;
        Some(Capture {
            slot: value.slot,
            from,
            unit: value.unit,
        })
    }
}

/// Whether the one group of `pattern` can find digits and a point alone.
fn finds_bare_number(pattern: &str) -> bool {
    let Some(group) = text_of_group(pattern) else {
        return false;
    };
    let rest = group
        .replace(r"\d", "")
        .replace("[[:digit:]]", "")
        .replace("[0-9]", "")
        .replace(r"\.", "")
        .replace("(?:", "");
    rest.chars()
        .all(|c| c.is_ascii_digit() || matches!(c, '+' | '*' | '?' | ')' | '{' | '}' | ','))
}

/// The text between the parentheses of the first group that captures.
fn text_of_group(pattern: &str) -> Option<&str> {
    let (mut start, mut depth, mut in_class, mut escaped) = (None, 0_u32, false, false);
    for (at, c) in pattern.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => {
                let behind = &pattern[at + 1..];
                let captures = !behind.starts_with('?')
                    || behind.starts_with("?P<")
                    || behind.starts_with("?<");
                if start.is_some() {
                    depth += 1;
                } else if captures {
                    start = Some(at + 1);
                }
            }
            ')' if !in_class => match (start, depth) {
                (Some(start), 0) => return pattern.get(start..at),
                (Some(_), _) => depth -= 1,
                (None, _) => {}
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_told_from_a_size() {
        for bare in [
            r"MemTotal: +(\d+) kB",
            r"([0-9]+)",
            r"(?:a|b)=(\d+(?:\.\d+)?)",
            r"\((\d{3})\)",
        ] {
            assert!(finds_bare_number(bare), "{bare}");
        }
        for with_unit in [r"(\d+[KMG]iB)", r"size (.*)$", r"(\S+)", r"(\w+)"] {
            assert!(!finds_bare_number(with_unit), "{with_unit}");
        }
    }
}
