//! How findings in a source are shown: to people on standard error, to programs as JSON or as commands; and
//! how amounts of money and time are.
//!
//! What a finding becomes in each form is the compiler's matter; here it is chosen and written.

use std::io::{IsTerminal, Write};

use dva_compiler::diagnostic::report::Report;
use dva_compiler::diagnostic::view::Findings;
use dva_compiler::diagnostic::{Diagnostic, Severity, github, shown};
use dva_compiler::expand::Reason;
use dva_compiler::source::Sources;
use dva_compiler::{Compilation, Outcome};
use dva_plan::money::Money;
use dva_plan::unit::display_duration;
use miette::{GraphicalReportHandler, GraphicalTheme, NarratableReportHandler};
use serde::Serialize;

use crate::args::Format;

/// How wide messages are where the width of a terminal is not known.
const PLAIN_WIDTH: usize = 100;

/// Where findings for programs go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output, where the findings are all that is asked for.
    Output,
    /// Standard error, where standard output has something else to carry.
    Error,
}

/// Writes all findings, and for people how many there were.
pub fn diagnostics(name: &str, compilation: &Compilation, format: Format, stream: Stream) {
    let (sources, found) = (&compilation.sources, &compilation.diagnostics);
    let text = match format {
        Format::Human => human(name, found, sources),
        Format::Json => document(found, sources),
        Format::Github => commands(found, sources),
    };
    let _ = match (format, stream) {
        (Format::Human, _) | (_, Stream::Error) => std::io::stderr().write_all(text.as_bytes()),
        (_, Stream::Output) => std::io::stdout().write_all(text.as_bytes()),
    };
}

/// Writes findings in `sources`, as people read them.
pub fn findings(sources: &Sources, found: &[Diagnostic]) {
    let text = human(sources.root().name(), found, sources);
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn document(found: &[Diagnostic], sources: &Sources) -> String {
    #[expect(
        clippy::expect_used,
        reason = "a view has text keys and no failing serializers"
    )]
    let text = serde_json::to_string(&Findings::of(found, sources)).expect("a view serializes");
    format!("{text}\n")
}

fn commands(found: &[Diagnostic], sources: &Sources) -> String {
    let commands = found
        .iter()
        .map(|diagnostic| github::command(diagnostic, sources) + "\n");
    commands.collect()
}

fn human(name: &str, found: &[Diagnostic], sources: &Sources) -> String {
    let mut text = String::new();
    if found.is_empty() {
        return text;
    }
    let drawn = graphical();
    let told = NarratableReportHandler::new();
    for diagnostic in found {
        let report = Report::new(diagnostic, sources);
        // Writing into a string cannot fail, and a message that cannot be drawn is still counted.
        let _ = if is_narrated(std::env::var("NO_GRAPHICS").ok().as_deref()) {
            told.render_report(&mut text, &report)
        } else {
            drawn.render_report(&mut text, &report)
        };
        text.push('\n');
    }
    text.push_str(&summary(&shown::line(name), found));
    text.push('\n');
    text
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

/// What a source leaves out without a mistake and without saying so: combinations that are no cells, tests
/// that do not apply everywhere, tables without an entry. A line each; empty where nothing is.
pub fn left_out(compilation: &Compilation) -> String {
    let Outcome {
        combinations,
        dropped,
        not_applicable,
        without_entry,
    } = &compilation.outcome;
    let mut text = String::new();
    let unsaid = dropped
        .iter()
        .filter(|(reason, _)| **reason != Reason::Excluded);
    for (reason, count) in unsaid {
        text.push_str(&format!(
            "{count} of {combinations} combinations are no cells: {reason}\n"
        ));
    }
    for (test, count) in not_applicable {
        let tests = compilation.plan.iter().flat_map(|plan| &plan.tests);
        let runs = tests.into_iter().any(|own| own.id.as_str() == test);
        let cells = counted(*count, "cell");
        text.push_str(&if runs {
            format!("{test}: does not apply to {cells}\n")
        } else {
            format!("{test}: applies to no cell, so it never runs\n")
        });
    }
    for ((test, table), count) in without_entry {
        let cells = counted(*count, "cell");
        text.push_str(&format!(
            "{test}: `{table}` has no entry for {cells}; its `else` holds there\n"
        ));
    }
    text
}

/// `1 test`, `2 tests`.
pub fn counted(number: usize, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// An amount that was worked out, for people: to the cent, or to three digits that count where it is
/// less than a dollar; rounded up, as bills are. `--json` has it whole.
pub fn amount(money: Money) -> String {
    let nano_usd = money.nano_usd().unsigned_abs();
    let cent = 10_000_000_u64;
    let digits = nano_usd.checked_ilog10().unwrap_or(0);
    let step = 10_u64.pow(digits.saturating_sub(2)).min(cent);
    let rounded = nano_usd.div_ceil(step).checked_mul(step);
    let rounded = rounded.and_then(|rounded| i64::try_from(rounded).ok());
    rounded.map_or(money, Money::from_nano_usd).to_string()
}

/// The same rounded down, for what nothing costs less than.
pub fn least_amount(money: Money) -> Money {
    let nano_usd = money.nano_usd().max(0);
    let digits = nano_usd.checked_ilog10().unwrap_or(0);
    let step = 10_i64.pow(digits.saturating_sub(2)).min(10_000_000);
    Money::from_nano_usd(nano_usd / step * step)
}

/// A duration as people read it, rounded up to what matters: `6.9s`, `95s`, `7min 20s`, `50min`, `3h 20min`.
pub fn about(ms: u64) -> String {
    let (tenths, seconds, minutes) = (ms.div_ceil(100), ms.div_ceil(1_000), ms.div_ceil(60_000));
    let two = |large: u64, of: &str, small: u64, name: &str| match small {
        0 => format!("{large}{of}"),
        small => format!("{large}{of} {small}{name}"),
    };
    match seconds {
        0..60 if !tenths.is_multiple_of(10) => format!("{}.{}s", tenths / 10, tenths % 10),
        0..120 => format!("{seconds}s"),
        120..1_200 => two(seconds / 60, "min", seconds % 60, "s"),
        1_200..7_200 => format!("{minutes}min"),
        _ => two(minutes / 60, "h", minutes % 60, "min"),
    }
}

/// A duration, or a time since the start of the run, in the units that people count in: `1h 2min`, `1min 30s`, `5.5s`.
pub fn duration(ms: u64) -> String {
    let (hours, minutes, rest_ms) = (ms / 3_600_000, ms / 60_000 % 60, ms % 60_000);
    let mut parts = Vec::new();
    if hours > 0 {
        parts.push(format!("{hours}h"));
    }
    if minutes > 0 {
        parts.push(format!("{minutes}min"));
    }
    match rest_ms {
        0 if parts.is_empty() => parts.push("0s".to_owned()),
        0 => {}
        _ => parts.push(display_duration(rest_ms)),
    }
    parts.join(" ")
}

/// JSON for programs, with a line break behind it.
pub fn json(view: &impl Serialize) -> String {
    #[expect(
        clippy::expect_used,
        reason = "a view has text keys and no failing serializers"
    )]
    let text = serde_json::to_string_pretty(view).expect("a view serializes");
    format!("{text}\n")
}

/// Whether findings are told in sentences, for those who listen to them: where `NO_GRAPHICS` is set to
/// anything but `0`, which is miette's rule.
fn is_narrated(no_graphics: Option<&str>) -> bool {
    no_graphics.is_some_and(|value| value != "0")
}

/// Whether standard error takes colours and its user wants them.
pub fn colours() -> bool {
    coloured(std::io::stderr().is_terminal())
}

/// The same of standard output.
pub fn colours_of_output() -> bool {
    coloured(std::io::stdout().is_terminal())
}

/// Whether a stream takes colours under the variables that are set.
fn coloured(is_terminal: bool) -> bool {
    let variable = |name: &str| std::env::var(name).ok();
    wants_colours(
        is_terminal,
        variable("NO_COLOR").as_deref(),
        variable("CLICOLOR").as_deref(),
        variable("CLICOLOR_FORCE").as_deref(),
    )
}

/// The rules of no-color.org and bixense.com/clicolors: `NO_COLOR`, unless empty, forbids colours;
/// else `CLICOLOR_FORCE`, unless empty or `0`, brings them; else a terminal has them unless `CLICOLOR`
/// is `0`.
fn wants_colours(
    is_terminal: bool,
    no_color: Option<&str>,
    clicolor: Option<&str>,
    force: Option<&str>,
) -> bool {
    if no_color.is_some_and(|value| !value.is_empty()) {
        return false;
    }
    let forced = force.is_some_and(|value| !value.is_empty() && value != "0");
    forced || (is_terminal && clicolor != Some("0"))
}

fn graphical() -> GraphicalReportHandler {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_three_digits_and_are_rounded_up() {
        let shown = |nano_usd| amount(Money::from_nano_usd(nano_usd));
        assert_eq!(shown(0), "$0.00");
        assert_eq!(shown(1), "$0.000000001");
        assert_eq!(shown(14_816), "$0.0000149");
        assert_eq!(shown(3_378_001), "$0.00338");
        assert_eq!(shown(100_000_000), "$0.10");
        assert_eq!(shown(999_999_999), "$1.00");
        assert_eq!(shown(12_340_000_001), "$12.35");
        // What cannot be rounded up any more stands as it is.
        assert_eq!(shown(i64::MAX), "$9223372036.854775807");
    }

    #[test]
    fn durations_are_rounded_up_to_what_matters() {
        assert_eq!(about(0), "0s");
        assert_eq!(about(6_801), "6.9s");
        assert_eq!(about(41_000), "41s");
        assert_eq!(about(119_000), "119s");
        assert_eq!(about(180_000), "3min");
        assert_eq!(about(439_550), "7min 20s");
        assert_eq!(about(1_200_001), "21min");
        assert_eq!(about(7_199_999), "2h");
        assert_eq!(about(7_260_000), "2h 1min");
    }

    #[test]
    fn durations_are_told_in_units_that_people_count_in() {
        assert_eq!(duration(0), "0s");
        assert_eq!(duration(500), "500ms");
        assert_eq!(duration(5_500), "5.5s");
        assert_eq!(duration(210_000), "3min 30s");
        assert_eq!(duration(3_600_000), "1h");
        assert_eq!(duration(93_784_005), "26h 3min 4.005s");
    }

    #[test]
    fn the_environment_says_how_findings_are_shown() {
        assert!(is_narrated(Some("1")) && is_narrated(Some("")));
        assert!(!is_narrated(Some("0")) && !is_narrated(None));
        assert!(wants_colours(true, None, None, None));
        assert!(wants_colours(true, Some(""), Some("1"), Some("0")));
        assert!(!wants_colours(true, None, Some("0"), None));
        assert!(!wants_colours(false, None, Some("1"), None));
        assert!(wants_colours(false, None, Some("0"), Some("1")));
        assert!(!wants_colours(true, Some("1"), None, Some("1")));
    }
}
