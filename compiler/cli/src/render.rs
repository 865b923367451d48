//! How findings in a source are shown to people.

use std::io::{IsTerminal, Write};

use dva_compiler::Compilation;
use dva_compiler::diagnostic::report::Report;
use dva_compiler::diagnostic::{Diagnostic, Severity};
use dva_compiler::source::Source;
use miette::{GraphicalReportHandler, GraphicalTheme};

/// How wide messages are where the width of a terminal is not known.
const PLAIN_WIDTH: usize = 100;

/// Writes all findings to standard error, and how many there were.
pub fn diagnostics(name: &str, compilation: &Compilation) {
    if compilation.diagnostics.is_empty() {
        return;
    }
    let nothing = Source::new(name, "");
    let source = compilation.source.as_ref().unwrap_or(&nothing);
    let handler = handler();
    let mut text = String::new();
    for diagnostic in &compilation.diagnostics {
        // Writing into a string cannot fail, and a message that cannot be drawn is still counted.
        let _ = handler.render_report(&mut text, &Report::new(diagnostic, source));
        text.push('\n');
    }
    text.push_str(&summary(name, &compilation.diagnostics));
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `2 errors and 1 warning in storage.plan. \`dva explain P0201\` says more.`
fn summary(name: &str, found: &[Diagnostic]) -> String {
    let count = |severity| {
        found
            .iter()
            .filter(|diagnostic| diagnostic.code.severity() == severity)
            .count()
    };
    let parts: Vec<_> = [
        (count(Severity::Error), "error"),
        (count(Severity::Warning), "warning"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, noun)| counted(number, noun))
    .collect();
    let first = found
        .iter()
        .find(|diagnostic| diagnostic.code.severity() == Severity::Error)
        .or(found.first());
    let more = first.map_or(String::new(), |first| {
        format!(" `dva explain {}` says more.", first.code)
    });
    format!("{} in {name}.{more}", parts.join(" and "))
}

/// `1 test`, `2 tests`.
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Whether standard error is a terminal whose user wants colours.
pub fn colours() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

fn handler() -> GraphicalReportHandler {
    let theme = if colours() {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    if std::io::stderr().is_terminal() {
        handler
    } else {
        handler.with_width(PLAIN_WIDTH)
    }
}
