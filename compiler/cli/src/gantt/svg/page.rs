//! The elements of an SVG, written one behind another: the only place that knows how text is escaped there.
//!
//! All places and lengths are whole tenths of a pixel. Its main type is [`Page`].

use std::fmt::Write;

/// A document that is being written.
pub struct Page {
    text: String,
}

/// How a text looks and which of its ends stands at its place.
#[derive(Clone, Copy)]
pub struct Style {
    classes: &'static str,
    anchor: Anchor,
}

/// Which part of a text stands at its place.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// Its first letter.
    Start,
    /// Its middle.
    Middle,
    /// Its last letter.
    End,
}

impl Style {
    /// Text of these classes.
    pub fn new(classes: &'static str, anchor: Anchor) -> Self {
        Self { classes, anchor }
    }
}

impl Page {
    /// A page of so many pixels; `title` tells those who do not see it what it is.
    pub fn new(width: u64, height: u64, title: &str) -> Self {
        let mut page = Self {
            text: String::new(),
        };
        page.put(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"dva\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n"
        ));
        page.title(title);
        page.text.push('\n');
        page
    }

    /// Rules of CSS, which are the program's own.
    pub fn style(&mut self, rules: &'static str) {
        self.put(format_args!("<style>{rules}</style>\n"));
    }

    /// The hatching of what is idle.
    pub fn idle_pattern(&mut self, id: &'static str) {
        self.put(format_args!(
            "<defs><pattern id=\"{id}\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" \
             patternTransform=\"rotate(45)\"><rect width=\"6\" height=\"6\" fill=\"#f3f5f7\"/><path d=\"M0 0V6\" \
             stroke=\"#d5dbe1\" stroke-width=\"2\"/></pattern></defs>\n"
        ));
    }

    /// A box with round corners, at x and y, so wide and high.
    pub fn rect(&mut self, class: &'static str, place: (u64, u64, u64, u64), round: u64) {
        self.put(format_args!("<rect class=\"{class}\""));
        self.rest_of_rect(place, round);
    }

    /// A box that looks as the group says that it stands in.
    pub fn rect_plain(&mut self, place: (u64, u64, u64, u64), round: u64) {
        self.text.push_str("<rect");
        self.rest_of_rect(place, round);
    }

    fn rest_of_rect(&mut self, (x, y, width, height): (u64, u64, u64, u64), round: u64) {
        let (x, y, width, height) = (Px(x), Px(y), Px(width), Px(height));
        self.put(format_args!(
            " x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\""
        ));
        if round > 0 {
            self.put(format_args!(" rx=\"{}\"", Px(round)));
        }
        self.text.push_str("/>\n");
    }

    /// A line.
    pub fn line(&mut self, class: &'static str, from: (u64, u64), to: (u64, u64)) {
        self.put(format_args!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n",
            Px(from.0),
            Px(from.1),
            Px(to.0),
            Px(to.1)
        ));
    }

    /// Text on one line.
    pub fn text(&mut self, style: Style, x: u64, y: u64, text: &str) {
        let anchor = match style.anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.put(format_args!(
            "<text class=\"{}\" x=\"{}\" y=\"{}\"{anchor}>{}</text>\n",
            style.classes,
            Px(x),
            Px(y),
            escaped(text)
        ));
    }

    /// Begins an element that holds others.
    pub fn open(&mut self, element: &'static str, class: &'static str) {
        self.put(format_args!("<{element} class=\"{class}\">"));
    }

    /// What is said of the element that was opened last.
    pub fn title(&mut self, text: &str) {
        self.put(format_args!("<title>{}</title>", escaped(text)));
    }

    /// Ends an element.
    pub fn close(&mut self, element: &'static str) {
        self.put(format_args!("</{element}>\n"));
    }

    /// The document.
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = self.text.write_fmt(arguments);
    }
}

/// Tenths of a pixel, as SVG has numbers.
struct Px(u64);

impl std::fmt::Display for Px {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 % 10 {
            0 => write!(f, "{}", self.0 / 10),
            tenth => write!(f, "{}.{tenth}", self.0 / 10),
        }
    }
}

/// `text` as XML has it; what XML cannot have, and what would turn the direction of text, is `�`.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push('\n'),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            hidden if dva_compiler::diagnostic::shown::is_hidden(hidden) => {
                escaped.push('\u{fffd}');
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// No font of `size` pixels sets `text` wider, in tenths of a pixel: 0.62 of its size most letters, one of its size
/// what is not Latin.
pub fn width(text: &str, size: u64) -> u64 {
    let hundredths: u64 = text
        .chars()
        .map(|letter| match letter {
            'm' | 'w' | 'M' | 'W' | '@' | '%' => 90,
            'i' | 'j' | 'l' | '.' | ',' | ':' | '\'' | '|' | ' ' => 32,
            'f' | 't' | 'r' | 'I' | '(' | ')' | '[' | ']' | '/' | '-' => 42,
            '\0'..='\u{24f}' => 62,
            _ => 100,
        })
        .sum();
    (hundredths * size).div_ceil(10)
}

/// Whether `text` fits into `room` tenths of a pixel with air at both sides.
pub fn fits(text: &str, room: u64, size: u64) -> bool {
    width(text, size) + 80 <= room
}

/// As much of `text` as fits into `room` tenths of a pixel, with `…` where that is not all; empty where
/// nothing fits.
pub fn fitting(text: &str, room: u64, size: u64) -> String {
    if width(text, size) <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(width("…", size));
    let mut short = String::new();
    for letter in text.chars() {
        let own = width(letter.encode_utf8(&mut [0; 4]), size);
        if own > left {
            break;
        }
        left -= own;
        short.push(letter);
    }
    if short.is_empty() {
        return short;
    }
    format!("{}…", short.trim_end())
}
