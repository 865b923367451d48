//! Findings as workflow commands of GitHub Actions, which shows them beside the lines of a change.
//!
//! The form and the escapes are those of "Workflow commands for GitHub Actions" and of
//! `packages/core/src/command.ts` of actions/toolkit: `%`, CR and LF everywhere, in properties `:` and
//! `,` too. A command is one line, whatever the names of files and values hold.

use std::fmt::Write as _;

use super::view::{Finding, Place};
use super::{Diagnostic, shown};
use crate::source::Sources;

/// The command for `diagnostic`, found in `sources`, without a line end.
///
/// The title has the code and the summary; the message says what is wrong there, what other places
/// belong to it, and what to do, a line each. The end is given as in [`Place`]; where it is on another
/// line than the start, columns are left out, since annotations over several lines have none.
#[must_use]
pub fn command(diagnostic: &Diagnostic, sources: &Sources) -> String {
    let finding = Finding::of(diagnostic, sources);
    let Place {
        file,
        line,
        column,
        end_line,
        end_column,
        ..
    } = finding.place;
    let mut command = format!(
        "::{} file={},line={line},endLine={end_line}",
        finding.severity,
        property(&without_controls(file))
    );
    // Writing into a string cannot fail.
    if line == end_line {
        let _ = write!(command, ",col={column},endColumn={end_column}");
    }
    let title = format!("{} {}", finding.code, finding.summary);
    let _ = write!(command, ",title={}::", property(&title));
    let mut lines = vec![shown::line(finding.message).into_owned()];
    for label in &finding.labels {
        let text = shown::line(label.message);
        let Place {
            file: other,
            line,
            column,
            ..
        } = label.place;
        lines.push(match other == file {
            true => format!("Line {line}, column {column}: {text}"),
            false => format!("{other}, line {line}, column {column}: {text}"),
        });
    }
    if !finding.help.is_empty() {
        lines.push(finding.help.to_owned());
    }
    command.push_str(&data(&lines.join("\n")));
    command
}

/// A name with escapes for the hidden characters that a command has none of its own for.
fn without_controls(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for character in name.chars() {
        if shown::is_hidden(character) && !matches!(character, '\r' | '\n') {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// A text as the message of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A text as the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;
    use crate::source::Source;
    use crate::span::Span;

    #[test]
    fn a_command_is_one_line_and_its_parts_stay_apart() {
        let source = Source::new("a,b:c%\r\n::error::x\u{1b}.plan", "one\ntwo three\n");
        let source = Sources::of(source);
        let finding = Diagnostic::new(Code::P0204, Span::new(8, 13), "100% of `a::b`,\nno")
            .and(Span::new(0, 3), "this, one")
            .help("First: do.\nThen: go.");
        assert_eq!(
            command(&finding, &source),
            "::error file=a%2Cb%3Ac%25%0D%0A%3A%3Aerror%3A%3Ax\\u{1b}.plan,line=2,endLine=2,col=5,\
             endColumn=10,title=P0204 unknown name::100%25 of `a::b`,\\nno%0ALine 1, column 1: this, one%0A\
             First: do.%0AThen: go."
        );
    }

    #[test]
    fn several_lines_have_no_columns() {
        let source = Sources::of(Source::new("a.plan", "one\ntwo\n"));
        let finding = Diagnostic::new(Code::P0508, Span::new(1, 6), "x");
        assert_eq!(
            command(&finding, &source),
            "::warning file=a.plan,line=1,endLine=2,title=P0508 no plan uses the test::x"
        );
    }
}
