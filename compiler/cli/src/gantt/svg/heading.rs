//! What stands at the left of a block: its label, on several lines where it is long, its machine and its price.

use super::page::{Anchor, Page, Style, fitting, width};
use super::{Block, LEFT, MARGIN};

/// The height of a line of text in pixels.
const LINE: u64 = 17;
/// How many lines a label has at most.
const LABEL_LINES: usize = 3;
/// How wide the lines may be, in tenths of a pixel.
const WIDE: u64 = (LEFT - MARGIN - 20) * 10;
/// The size of a font that is as wide as the bold one of labels, which is smaller.
const BOLD: u64 = 14;

/// How high it is, in pixels.
pub fn height(block: &Block) -> u64 {
    Heading::of(block).lines() * LINE
}

/// Draws it around the height `middle`, in pixels, with `told` as its tooltip.
pub fn draw(page: &mut Page, block: &Block, middle: u64, told: &str) {
    let heading = Heading::of(block);
    // The first base line, so that all lines together have their middle there.
    let mut y = middle * 10 + 45 - (heading.lines() - 1) * LINE * 5;
    let left = MARGIN * 10;
    page.open("g", "life");
    page.title(told);
    for line in &heading.label {
        page.text(Style::new("label", Anchor::Start), left, y, line);
        y += LINE * 10;
    }
    let style = Style::new("small muted", Anchor::Start);
    page.text(style, left, y, &heading.machine);
    if heading.is_price_beside {
        let style = Style::new("small", Anchor::End);
        page.text(style, left + WIDE, y, &heading.price);
    } else {
        let style = Style::new("small", Anchor::Start);
        page.text(style, left, y + LINE * 10, &heading.price);
    }
    page.close("g");
}

/// The texts, each as wide as there is room.
struct Heading {
    label: Vec<String>,
    machine: String,
    price: String,
    /// Whether the price has room on the line of the machine.
    is_price_beside: bool,
}

impl Heading {
    fn of(block: &Block) -> Self {
        let mut label = short(block);
        if block.cells.len() > 1 {
            // Spaces that do not break.
            label.push_str(&format!(" ×\u{a0}{}\u{a0}cells", block.cells.len()));
        }
        let (machine, price) = (block.machine(), block.price());
        Self {
            label: wrapped(&label),
            is_price_beside: width(&machine, 12) + width(&price, 12) + 120 <= WIDE,
            machine: fitting(&machine, WIDE, 12),
            price: fitting(&price, WIDE, 12),
        }
    }

    fn lines(&self) -> u64 {
        let label = u64::try_from(self.label.len()).unwrap_or(1);
        label + if self.is_price_beside { 1 } else { 2 }
    }
}

/// The label without the type and the region that the line of the machine has; the whole one where nothing else
/// is in it.
fn short(block: &Block) -> String {
    let types = block.types.iter().map(|name| format!("instance={name}"));
    let regions = block.regions.iter().map(|name| format!("region={name}"));
    let said: Vec<String> = types.chain(regions).collect();
    let words = block.label.split(' ');
    let words: Vec<&str> = words
        .filter(|word| !said.iter().any(|said| said == word))
        .collect();
    // A number alone says nothing either.
    let is_nothing = words.iter().all(|word| word.starts_with('#'));
    match is_nothing || block.types.len() > 1 || block.regions.len() > 1 {
        true => block.label.clone(),
        false => words.join(" "),
    }
}

/// A label in lines, broken between words; what does not fit into the last one is cut off.
fn wrapped(label: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in label.split(' ') {
        let number = lines.len();
        match lines.last_mut() {
            Some(line) if fits_behind(line, word) || number == LABEL_LINES => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.to_owned()),
        }
    }
    lines.iter().map(|line| fitting(line, WIDE, BOLD)).collect()
}

fn fits_behind(line: &str, word: &str) -> bool {
    width(line, BOLD) + width(" ", BOLD) + width(word, BOLD) <= WIDE
}
