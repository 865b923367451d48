//! A chart as SVG: one file that needs nothing else, the same bytes for the same chart.
//!
//! It lies on white, so that it reads the same on a dark page. Places are whole tenths of a pixel. Widths of
//! text are taken to be those of a wide font, so a name stands in a bar only where it certainly fits; the
//! rest is in tooltips. The main function is [`svg`].

mod heading;
mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::axis::ticks;
use super::{Bar, Block, Chart};
use crate::render::{counted, duration};
use page::{Anchor, Page, Style, fits, fitting};

/// The whole width in pixels.
const WIDTH: u64 = 1_280;
/// What is free at both sides.
const MARGIN: u64 = 24;
/// Where the time begins.
const LEFT: u64 = 300;
/// Where it ends.
const RIGHT: u64 = WIDTH - MARGIN - 16;
/// What stands above the first block.
const TOP: u64 = 108;
/// The height of a lane, and of the bar in it.
const LANE: u64 = 22;
const BAR: u64 = 18;
/// What is free above and below the lanes of a block.
const PAD: u64 = 8;
/// What stands below the last block.
const BOTTOM: u64 = 52;
/// How close ticks may stand.
const TICK: u64 = 88;

/// The document.
pub fn svg(chart: &Chart) -> String {
    let blocks_height: u64 = chart.blocks.iter().map(height).sum();
    let note = note(chart);
    let notes = if note.is_some() { 22 } else { 0 };
    let end = TOP + blocks_height;
    let mut page = Page::new(WIDTH, end + BOTTOM + notes, &summary(chart));
    page.style(STYLE);
    page.idle_pattern("dva-idle");
    page.rect("paper", (0, 0, WIDTH * 10, (end + BOTTOM + notes) * 10), 0);
    head(&mut page, chart);
    bands(&mut page, chart);
    axis(&mut page, chart, end);
    let mut top = TOP;
    for block in &chart.blocks {
        draw(&mut page, block, chart.makespan_ms, top);
        top += height(block);
    }
    if let Some(note) = note {
        let style = Style::new("small muted", Anchor::Start);
        page.text(style, MARGIN * 10, (end + BOTTOM + 4) * 10, &note);
    }
    page.finish()
}

/// What the marks look like; of this document alone, also where it stands within another one.
const STYLE: &str = "\
.dva text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;fill:#1f2328}\
.dva .paper{fill:#ffffff}\
.dva .band{fill:#f6f8fa}\
.dva .title{font-size:20px;font-weight:600}\
.dva .label{font-size:13px;font-weight:600}\
.dva .small{font-size:12px}\
.dva .tiny{font-size:11px}\
.dva .muted{fill:#59636e}\
.dva .grid{stroke:#d1d9e0;stroke-width:1}\
.dva .boot{fill:#d8dee4}\
.dva .idle{fill:url(#dva-idle)}\
.dva .test rect,.dva .key-test{fill:#0b62c4}\
.dva .test text{fill:#ffffff}\
.dva .setup rect,.dva .key-setup{fill:#fff1cc;stroke:#b07a00;stroke-width:1}\
.dva .setup text{fill:#6b4a00}\
.dva .test .beside,.dva .setup .beside{fill:#1f2328;stroke:#ffffff;stroke-width:3px;paint-order:stroke}";

fn head(page: &mut Page, chart: &Chart) {
    let name = fitting(&chart.name, (WIDTH - 2 * MARGIN) * 10, 20);
    page.text(Style::new("title", Anchor::Start), MARGIN * 10, 400, &name);
    let style = Style::new("small muted", Anchor::Start);
    page.text(style, MARGIN * 10, 620, &summary_of(chart));
    legend(page, chart);
}

/// The legend, from the right, of what there is.
fn legend(page: &mut Page, chart: &Chart) {
    let kinds: BTreeSet<bool> = chart.bars().map(|bar| bar.is_setup).collect();
    let keys = [
        (chart.blocks.iter().any(is_idle), "idle", "idle"),
        (
            kinds.contains(&true),
            "key-setup",
            "setup: has its verdict on another life",
        ),
        (kinds.contains(&false), "key-test", "test"),
        (true, "boot", "boot"),
    ];
    let mut right = (WIDTH - MARGIN) * 10;
    for (_, class, name) in keys.into_iter().filter(|(is_there, ..)| *is_there) {
        let width = page::width(name, 12);
        let style = Style::new("small muted", Anchor::Start);
        page.text(style, right - width, 400, name);
        page.rect(class, (right - width - 200, 290, 140, 140), 30);
        right -= width + 380;
    }
}

/// A pale ground behind every second block, with a line above the first and below the last.
fn bands(page: &mut Page, chart: &Chart) {
    let mut top = TOP;
    for (place, block) in chart.blocks.iter().enumerate() {
        if place % 2 == 0 {
            let width = WIDTH - 2 * MARGIN + 16;
            let band = ((MARGIN - 8) * 10, top * 10, width * 10, height(block) * 10);
            page.rect("band", band, 60);
        }
        top += height(block);
    }
}

/// The lines of the ticks, with their times above and below.
fn axis(page: &mut Page, chart: &Chart, end: u64) {
    let most = (RIGHT - LEFT) / TICK;
    for tick_ms in ticks(chart.makespan_ms, most) {
        let at = place(tick_ms, chart.makespan_ms);
        page.line("grid", (at, (TOP - 6) * 10), (at, (end + 6) * 10));
        let style = Style::new("tiny muted", Anchor::Middle);
        let time = duration(tick_ms);
        page.text(style, at, (TOP - 13) * 10, &time);
        page.text(style, at, (end + 21) * 10, &time);
    }
}

fn draw(page: &mut Page, block: &Block, span_ms: u64, top: u64) {
    heading::draw(page, block, top + height(block) / 2, &told(block));
    let lanes = u64::try_from(block.lanes.len()).unwrap_or(0);
    let first = top + (height(block) - lanes * LANE) / 2 + (LANE - BAR) / 2;
    let (launch, ready) = (
        place(block.launch_ms(), span_ms),
        place(block.ready_ms, span_ms),
    );
    let end = place(block.end_ms, span_ms);
    let whole = (lanes.max(1) - 1) * LANE + BAR;
    if ready > launch {
        page.open("g", "life-boot");
        page.title(&boot(block));
        let box_of = (launch, first * 10, ready - launch, whole * 10);
        page.rect("boot", box_of, 30);
        if fits("boot", ready - launch, 11) {
            let style = Style::new("tiny muted", Anchor::Middle);
            let middle = first * 10 + whole * 5 + 40;
            page.text(style, (launch + ready) / 2, middle, "boot");
        }
        page.close("g");
    }
    for ((_, bars), row) in block.lanes.iter().zip(0..) {
        let y = first + row * LANE;
        idle(page, bars, (ready, end), y, span_ms);
        let nexts = bars
            .iter()
            .skip(1)
            .map(|next| place(next.start_ms, span_ms));
        for (bar, next) in bars.iter().zip(nexts.chain([RIGHT * 10])) {
            execution(page, bar, span_ms, y, next);
        }
    }
}

/// What a lane is free for, between the boot and the end of the life.
fn idle(page: &mut Page, bars: &[Bar], (ready, end): (u64, u64), y: u64, span_ms: u64) {
    let mut free = ready;
    let ends = bars
        .iter()
        .map(|bar| (place(bar.start_ms, span_ms), place(bar.end_ms, span_ms)));
    for (start, next) in ends.chain([(end, end)]) {
        if start > free {
            page.rect("idle", (free, y * 10, start - free, BAR * 10), 0);
        }
        free = next.max(free);
    }
}

/// A bar with its name: inside, else between it and what is `next`, else only in its tooltip.
fn execution(page: &mut Page, bar: &Bar, span_ms: u64, y: u64, next: u64) {
    let (start, end) = (place(bar.start_ms, span_ms), place(bar.end_ms, span_ms));
    // A pixel between neighbours, where there is one; what is shorter than one is seen all the same.
    let gap = if end - start > 40 { 10 } else { 0 };
    let wide = (end - start).saturating_sub(gap).max(10);
    let (class, role) = match bar.is_setup {
        true => ("setup", "setup of "),
        false => ("test", ""),
    };
    page.open("g", class);
    page.title(&format!(
        "{role}{}\n{} to {}: {}",
        bar.name,
        duration(bar.start_ms),
        duration(bar.end_ms),
        duration(bar.end_ms.saturating_sub(bar.start_ms))
    ));
    page.rect_plain((start, y * 10, wide, BAR * 10), wide.min(30));
    let inside = fitting(&bar.name, wide.saturating_sub(80), 11);
    let beside = start + wide + 50;
    if inside != bar.name && beside + page::width(&bar.name, 11) + 40 <= next {
        let style = Style::new("tiny beside", Anchor::Start);
        page.text(style, beside, y * 10 + 130, &bar.name);
    } else if inside == bar.name || inside.chars().count() >= 5 {
        // Two letters and dots would say nothing.
        let style = Style::new("tiny", Anchor::Start);
        page.text(style, start + 40, y * 10 + 130, &inside);
    }
    page.close("g");
}

/// Whether a lane that is used is not used all the time.
fn is_idle(block: &Block) -> bool {
    let ready_ms = block.end_ms.saturating_sub(block.ready_ms);
    block.lanes.values().any(|bars| {
        let busy_ms = bars
            .iter()
            .map(|bar| bar.end_ms.saturating_sub(bar.start_ms));
        busy_ms.fold(0, u64::saturating_add) < ready_ms
    })
}

/// Where a time stands, in tenths of a pixel.
fn place(ms: u64, span_ms: u64) -> u64 {
    let wide = u128::from((RIGHT - LEFT) * 10);
    let at = u128::from(ms.min(span_ms)) * wide / u128::from(span_ms.max(1));
    LEFT * 10 + u64::try_from(at).unwrap_or(0)
}

fn height(block: &Block) -> u64 {
    let lanes = u64::try_from(block.lanes.len()).unwrap_or(0);
    (lanes * LANE).max(heading::height(block)) + 2 * PAD
}

/// What is known of a block, a line each.
fn told(block: &Block) -> String {
    let listed = |names: &mut dyn Iterator<Item = &String>, most: usize| {
        let mut names: Vec<&str> = names.map(String::as_str).collect();
        let hidden = names.len().saturating_sub(most);
        names.truncate(most);
        let more = match hidden {
            0 => String::new(),
            hidden => format!(" and {hidden} more"),
        };
        format!("{}{more}", names.join(", "))
    };
    let mut lines = block.cells.iter().take(12).cloned().collect::<Vec<_>>();
    let hidden = block.cells.len().saturating_sub(lines.len());
    if hidden > 0 {
        lines.push(format!("and {hidden} more cells"));
    }
    lines.push(format!(
        "{} in {}",
        listed(&mut block.types.iter(), 8),
        listed(&mut block.regions.iter(), 8)
    ));
    if let Some(last_ms) = block.last_relaunch_ms() {
        lines.push(format!(
            "launched {} times, the last time at {}; the first is drawn",
            block.launches_ms.len(),
            duration(last_ms)
        ));
    }
    lines.push(format!(
        "{} to {}, {} of {} used, {}",
        duration(block.launch_ms()),
        duration(block.end_ms),
        block.lanes.len(),
        counted(usize::try_from(block.most_lanes).unwrap_or(0), "lane"),
        block.price()
    ));
    lines.join("\n")
}

fn boot(block: &Block) -> String {
    let name = block.boot.iter().map(|boot| format!(" {boot}"));
    let mut text = format!(
        "boot{}\n{} to {}: {}",
        name.collect::<String>(),
        duration(block.launch_ms()),
        duration(block.ready_ms),
        duration(block.ready_ms.saturating_sub(block.launch_ms()))
    );
    if block.pending_ms > 0 {
        text.push_str(&format!(
            ", of which the first {} cost nothing",
            duration(block.pending_ms)
        ));
    }
    text
}

fn summary(chart: &Chart) -> String {
    format!("{}: {}", chart.name, summary_of(chart))
}

/// `4 cells on 4 lives, 16 test runs, 3min 30s, $0.0229`.
fn summary_of(chart: &Chart) -> String {
    let lives = match chart.lives {
        1 => "1 life".to_owned(),
        lives => format!("{lives} lives"),
    };
    format!(
        "{} on {lives}  ·  {}  ·  {}  ·  {}",
        counted(chart.cells, "cell"),
        counted(chart.test_runs, "test run"),
        duration(chart.makespan_ms),
        chart.price
    )
}

/// What is not drawn.
fn note(chart: &Chart) -> Option<String> {
    if chart.left_out > 0 {
        Some(format!(
            "{} of {} lives are not shown; dva schedule --all shows every life on its own.",
            chart.left_out, chart.lives
        ))
    } else if chart.blocks.len() < chart.lives {
        Some(
            "Lives that do the same are shown once; dva schedule --all shows every life on its own."
                .to_owned(),
        )
    } else {
        None
    }
}
