//! A chart as text: a block a life, a row a lane, a column a slice of the time.
//!
//! A slice that holds several short executions cannot show them; those that a row does not name are named
//! below it. The main function is [`text`].

use dva_compiler::diagnostic::shown;

use super::axis::ticks;
use super::{Bar, Block, Chart};
use crate::render::{counted, duration};

/// What stands left of a row, in characters.
const GUTTER: usize = 10;
/// How many executions without a name in their row are named below it, and how many of a long chart.
const NAMED: usize = 12;
const NAMED_OF_LONG: usize = 4;
/// From so many blocks on, the axis stands below them as well.
const LONG: usize = 6;

/// Whether the text has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// None.
    Plain,
    /// Those of a terminal, as it has them.
    Colours,
}

/// What a column shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// No machine.
    Nothing,
    Boot,
    Idle,
    Test,
    Setup,
}

/// One row while it is drawn.
struct Row {
    columns: Vec<(char, Part)>,
}

/// What of a chart the legend has to explain.
#[derive(Default)]
struct Seen {
    boot: bool,
    idle: bool,
    test: bool,
    setup: bool,
    several: bool,
}

/// `chart`, no line wider than `width` characters but for long names.
pub fn text(chart: &Chart, width: u16, paint: Paint) -> String {
    let columns = usize::from(width).saturating_sub(GUTTER).max(20);
    let mut text = title(chart);
    let axis = axis(chart.makespan_ms, columns);
    text.push('\n');
    text.push_str(&axis);
    let mut seen = Seen::default();
    let is_long = chart.blocks.len() >= LONG;
    for block in &chart.blocks {
        text.push_str(&head(block, width, paint));
        let unnamed = draw(
            block,
            chart.makespan_ms,
            columns,
            paint,
            &mut seen,
            &mut text,
        );
        let named = if is_long { NAMED_OF_LONG } else { NAMED };
        text.push_str(&also(&unnamed, named, columns));
    }
    if is_long {
        text.push_str(&axis);
    }
    text.push('\n');
    text.push_str(&seen.legend(paint));
    if chart.left_out > 0 {
        text.push_str(&format!(
            "{} of {} lives are not shown; `--all` shows every life on its own.\n",
            chart.left_out, chart.lives
        ));
    } else if chart.blocks.len() < chart.lives {
        text.push_str(
            "Lives that do the same are shown once; `--all` shows every life on its own.\n",
        );
    }
    text
}

/// `release: 4 cells on 4 lives, 16 test runs, 3min 30s, $0.0229`.
fn title(chart: &Chart) -> String {
    let lives = match chart.lives {
        1 => "1 life".to_owned(),
        lives => format!("{lives} lives"),
    };
    format!(
        "{}: {} on {lives}, {}, {}, {}\n",
        shown::line(&chart.name),
        counted(chart.cells, "cell"),
        counted(chart.test_runs, "test run"),
        duration(chart.makespan_ms),
        chart.price,
    )
}

/// Two lines: the times, and the ticks under the first letter of each.
fn axis(span_ms: u64, columns: usize) -> String {
    // Labels such as `1h 30min` with some air.
    let most = u64::try_from(columns / 13).unwrap_or(1);
    let mut times = Row::new(columns);
    let mut line = Row::new(columns);
    line.fill(0, columns, '─', Part::Nothing);
    for tick_ms in ticks(span_ms, most) {
        let at = column(tick_ms, span_ms, columns);
        if at >= columns {
            continue;
        }
        let label = duration(tick_ms);
        // A label that would be cut off says nothing.
        if at + label.chars().count() <= columns {
            times.write(at, &label);
        }
        let mark = if at == 0 { '├' } else { '┬' };
        line.fill(at, at + 1, mark, Part::Nothing);
    }
    format!(
        "{:GUTTER$}{}\n{:GUTTER$}{}\n",
        "",
        times.line(Paint::Plain),
        "",
        line.line(Paint::Plain)
    )
}

/// `image=debian × 2 cells  c6g.large in eu-west-1, 0s to 3min 30s, $0.0229`; on two lines where it is long.
fn head(block: &Block, width: u16, paint: Paint) -> String {
    let name = shown::line(&block.label).into_owned();
    let label = match paint {
        Paint::Plain => name.clone(),
        Paint::Colours => format!("\u{1b}[1m{name}\u{1b}[0m"),
    };
    let cells = match block.cells.len() {
        1 => String::new(),
        several => format!(" × {several} cells"),
    };
    let mut parts = vec![shown::line(&block.machine()).into_owned()];
    if let Some(boot) = &block.boot {
        parts.push(format!("boot {}", shown::line(boot)));
    }
    parts.push(format!(
        "{} to {}",
        duration(block.launch_ms()),
        duration(block.end_ms)
    ));
    if let Some(last_ms) = block.last_relaunch_ms() {
        parts.push(format!(
            "and again, the last one from {} on",
            duration(last_ms)
        ));
    }
    parts.push(block.price());
    let parts = parts.join(", ");
    let wide = [&name, &cells, &parts].map(|text| text.chars().count());
    if wide.iter().sum::<usize>() + 2 > usize::from(width) {
        return format!("{label}{cells}\n  {parts}\n");
    }
    format!("{label}{cells}  {parts}\n")
}

/// The lanes of a block; returns the executions whose names had no place there, by start.
fn draw<'c>(
    block: &'c Block,
    span_ms: u64,
    columns: usize,
    paint: Paint,
    seen: &mut Seen,
    text: &mut String,
) -> Vec<&'c Bar> {
    let at = |ms: u64| column(ms, span_ms, columns);
    let mut unnamed: Vec<&'c Bar> = Vec::new();
    for (lane, bars) in &block.lanes {
        let mut row = Row::new(columns);
        row.fill(at(block.launch_ms()), at(block.ready_ms), '░', Part::Boot);
        row.fill(at(block.ready_ms), at(block.end_ms), '·', Part::Idle);
        // Columns before this one are taken.
        let mut free = 0;
        for bar in bars {
            let last = columns.saturating_sub(1);
            let from = at(bar.start_ms).min(last);
            let to = at(bar.end_ms).max(from + 1).min(columns);
            let begins = from.max(free);
            if from < free {
                row.fill(from, free, '┇', Part::Test);
                seen.several = true;
            }
            if begins < to {
                if !row.bar(begins, to, bar) {
                    unnamed.push(bar);
                }
            } else {
                unnamed.push(bar);
            }
            free = to.max(free);
            match bar.is_setup {
                true => seen.setup = true,
                false => seen.test = true,
            }
        }
        let has = |part: Part| row.columns.iter().any(|(_, own)| *own == part);
        seen.boot |= has(Part::Boot);
        seen.idle |= has(Part::Idle);
        let name = format!("  lane {}", u64::from(*lane) + 1);
        text.push_str(&format!("{name:<GUTTER$}{}\n", row.line(paint)));
    }
    unnamed.sort_by_key(|bar| bar.start_ms);
    unnamed
}

/// The executions that no row names, `most` of them, in lines of `columns` characters.
fn also(unnamed: &[&Bar], most: usize, columns: usize) -> String {
    let mut names: Vec<String> = unnamed
        .iter()
        .take(most)
        .map(|bar| {
            format!(
                "{} {} to {}",
                shown::line(&bar.name),
                duration(bar.start_ms),
                duration(bar.end_ms)
            )
        })
        .collect();
    let hidden = unnamed.len().saturating_sub(most);
    if hidden > 0 {
        names.push(format!("and {hidden} more"));
    }
    let (mut text, mut line) = (String::new(), String::new());
    let end = names.len();
    for (place, mut name) in names.into_iter().enumerate() {
        if place + 1 < end {
            name.push(',');
        }
        let wide = line.chars().count() + 1 + name.chars().count();
        if !line.is_empty() && wide > columns {
            text.push_str(&format!("{}{line}\n", gutter(&text)));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&name);
    }
    if !line.is_empty() {
        text.push_str(&format!("{}{line}\n", gutter(&text)));
    }
    text
}

/// What stands before a line of names.
fn gutter(so_far: &str) -> String {
    let name = if so_far.is_empty() { "  also" } else { "" };
    format!("{name:<GUTTER$}")
}

/// The column of a time.
fn column(ms: u64, span_ms: u64, columns: usize) -> usize {
    let wide = u128::try_from(columns).unwrap_or(0);
    let at = u128::from(ms) * wide / u128::from(span_ms.max(1));
    usize::try_from(at).unwrap_or(columns).min(columns)
}

impl Row {
    fn new(columns: usize) -> Self {
        Self {
            columns: vec![(' ', Part::Nothing); columns],
        }
    }

    fn fill(&mut self, from: usize, to: usize, sign: char, part: Part) {
        let to = to.min(self.columns.len());
        if let Some(columns) = self.columns.get_mut(from..to) {
            columns.fill((sign, part));
        }
    }

    fn write(&mut self, from: usize, text: &str) {
        for (column, letter) in self.columns.iter_mut().skip(from).zip(text.chars()) {
            column.0 = letter;
        }
    }

    /// Draws an execution; whether its whole name had place.
    fn bar(&mut self, from: usize, to: usize, bar: &Bar) -> bool {
        let (lone, left, line, right, part) = match bar.is_setup {
            true => ('│', '├', '╌', '┤', Part::Setup),
            false => ('┃', '┣', '━', '┫', Part::Test),
        };
        let width = to - from;
        if width == 1 {
            self.fill(from, to, lone, part);
            return false;
        }
        self.fill(from, to, line, part);
        self.fill(from, from + 1, left, part);
        self.fill(to - 1, to, right, part);
        let inside = width - 2;
        let name = shown::line(&bar.name);
        if name.chars().count() <= inside {
            self.write(from + 1, &name);
            return true;
        }
        // A name of two letters says nothing.
        if inside >= 4 {
            let short: String = name.chars().take(inside - 1).chain(['…']).collect();
            self.write(from + 1, &short);
        }
        false
    }

    /// The row without what stands empty behind it.
    fn line(&self, paint: Paint) -> String {
        let end = self.columns.iter().rposition(|(sign, _)| *sign != ' ');
        let columns = &self.columns[..end.map_or(0, |end| end + 1)];
        if paint == Paint::Plain {
            return columns.iter().map(|(sign, _)| *sign).collect();
        }
        let mut line = String::new();
        for alike in columns.chunk_by(|(_, one), (_, other)| one == other) {
            let signs: String = alike.iter().map(|(sign, _)| *sign).collect();
            line.push_str(&alike[0].1.painted(&signs));
        }
        line
    }
}

impl Part {
    /// `signs` in its colour.
    fn painted(self, signs: &str) -> String {
        let code = match self {
            Self::Nothing => return signs.to_owned(),
            Self::Boot | Self::Idle => 2,
            Self::Test => 36,
            Self::Setup => 33,
        };
        format!("\u{1b}[{code}m{signs}\u{1b}[0m")
    }
}

impl Seen {
    /// What the signs mean, those that there are.
    fn legend(&self, paint: Paint) -> String {
        let signs = [
            (self.boot, "░", Part::Boot, "boot"),
            (self.test, "┣━┫", Part::Test, "test"),
            (
                self.setup,
                "├╌┤",
                Part::Setup,
                "setup: a test that has its verdict on another life",
            ),
            (self.several, "┇", Part::Test, "several tests"),
            (self.idle, "·", Part::Idle, "idle"),
        ];
        let signs = signs.into_iter().filter(|(is_seen, ..)| *is_seen);
        let signs = signs.map(|(_, sign, part, meaning)| match paint {
            Paint::Plain => format!("{sign} {meaning}"),
            Paint::Colours => format!("{} {meaning}", part.painted(sign)),
        });
        format!("{}\n", signs.collect::<Vec<_>>().join("   "))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::price::Price;

    /// A life with executions from and to these milliseconds on one lane.
    fn chart(bars: &[(&str, u64, u64)], makespan_ms: u64) -> Chart {
        let bars = bars.iter().map(|(name, start_ms, end_ms)| Bar {
            name: (*name).to_owned(),
            start_ms: *start_ms,
            end_ms: *end_ms,
            is_setup: false,
        });
        let block = Block {
            label: "host".to_owned(),
            cells: vec!["host".to_owned()],
            types: BTreeSet::from(["local.small".to_owned()]),
            regions: BTreeSet::from(["local".to_owned()]),
            boot: None,
            launches_ms: BTreeSet::from([0]),
            pending_ms: 0,
            ready_ms: 100,
            end_ms: makespan_ms,
            most_lanes: 1,
            lanes: BTreeMap::from([(0, bars.collect())]),
            prices: (Price::Free, Price::Free),
        };
        Chart {
            name: "p".to_owned(),
            cells: 1,
            lives: 1,
            test_runs: 1,
            makespan_ms,
            price: Price::Free,
            blocks: vec![block],
            left_out: 0,
        }
    }

    #[test]
    fn what_is_too_short_for_a_column_is_named_below() {
        let bars = [("a", 100, 110), ("b", 110, 120), ("c", 120, 400)];
        let text = text(&chart(&bars, 1_000), 50, Paint::Plain);
        let lane = text
            .lines()
            .find(|line| line.contains("lane"))
            .expect("a lane");
        assert_eq!(lane, "  lane 1  ░░░░┇┣c━━━━━━━━┫························");
        assert!(
            text.contains("also    a 100ms to 110ms, b 110ms to 120ms\n"),
            "{text}"
        );
        assert!(text.contains("┇ several tests"), "{text}");
    }

    #[test]
    fn any_times_are_drawn_within_the_width() {
        for bars in [
            [("a", 0, 0), ("b", 0, 0)],
            [("a", 999, 1_000), ("b", 1_000, 1_000)],
            [("a", 0, 5_000), ("b", 400, 300)],
            [("\u{1b}[2J", 0, u64::MAX), ("b", 1, 1)],
        ] {
            for makespan_ms in [0, 1_000, u64::MAX] {
                let text = text(&chart(&bars, makespan_ms), 40, Paint::Plain);
                let lanes = text.lines().filter(|line| line.contains("lane "));
                assert!(lanes.clone().count() == 1, "{text}");
                assert!(
                    lanes.clone().all(|lane| lane.chars().count() <= 40),
                    "{text}"
                );
                assert!(!text.contains('\u{1b}'));
            }
        }
    }
}
