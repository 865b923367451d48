//! The text of an explanation: a line a question, its further lines indented under it.

use dva_compiler::diagnostic::shown;

use super::{Place, Why};
use crate::price::Price;
use crate::render::{amount, counted, duration};
use crate::table::{Align, Table, heading};

/// How many of a list are told; `--json` has all.
const TOLD: usize = 8;
/// How many machines are, since many differ by little.
const MACHINES: usize = 4;

impl Why {
    /// For people.
    pub fn text(&self) -> String {
        let cell: String = self.cell.chars().take(8).collect();
        let title = shown::line(&format!("{} in {}", self.test, self.label)).into_owned();
        let mut text = format!("{} (cell {cell})\n", heading(&title));
        let mut line = |name: &str, value: &str| {
            let value = shown::line(value);
            text.push_str(&format!("  {name:<9} {value}\n"));
        };
        for (place, name) in self.verdicts.iter().zip(names("verdict")) {
            line(name, &place.told());
        }
        if self.verdicts.len() > 1 {
            line(
                "",
                "It is `last`, so it runs on every life. What follows is of the first.",
            );
        }
        for (bind, name) in self.binds.iter().take(TOLD).zip(names("binds")) {
            line(name, &bind.why);
        }
        line("path", &self.path());
        line(
            "machine",
            &format!("{}: {}", self.machine_taken(), self.machine.why),
        );
        for candidate in self.candidates().lines() {
            line("", candidate);
        }
        for (setup, name) in self.setups.iter().take(TOLD).zip(names("setup")) {
            line(
                name,
                &format!(
                    "again on life #{}, {} to {}, for {}: {}",
                    setup.number,
                    duration(setup.start_ms),
                    duration(setup.end_ms),
                    setup.prepares.join(", "),
                    setup.why
                ),
            );
        }
        if self.setups.is_empty() {
            line("setup", "on no other life");
        }
        for (apart, name) in self.apart.iter().take(TOLD).zip(names("apart")) {
            line(name, &format!("from {}: {}", apart.test, apart.why));
        }
        match self.apart.len() {
            0 => line(
                "apart",
                "it can share a life with any other test of the cell",
            ),
            number if number > TOLD => line("", &format!("and from {} more", number - TOLD)),
            _ => {}
        }
        line("alone", &self.alone());
        line("now", &self.now());
        text
    }

    fn machine_taken(&self) -> String {
        let taken = self.machine.candidates.iter().find(|other| other.taken);
        taken.map_or_else(String::new, |taken| {
            format!("{} in {}", taken.r#type, taken.region)
        })
    }

    /// A line each, where there is a choice.
    fn candidates(&self) -> String {
        let all = &self.machine.candidates;
        if all.len() < 2 {
            return String::new();
        }
        let mut table = Table::new([
            ("type", Align::Left),
            ("region", Align::Left),
            ("this life", Align::Right),
            ("", Align::Left),
        ]);
        let told = |(place, candidate): &(usize, &super::machine::Candidate)| {
            *place < MACHINES || candidate.taken
        };
        let mut number = 0;
        for (_, candidate) in all.iter().enumerate().filter(told) {
            let note = match &candidate.lacks {
                Some(lacks) => format!("does not serve: {lacks}"),
                None if candidate.taken => "taken".to_owned(),
                None => " ".to_owned(),
            };
            let price = candidate.price.to_string();
            table.row([
                candidate.r#type.clone(),
                candidate.region.clone(),
                price,
                note,
            ]);
            number += 1;
        }
        let text = table.text();
        // The names of the columns say nothing that the line above does not.
        let mut text: String = text
            .lines()
            .skip(1)
            .map(|line| format!("{line}\n"))
            .collect();
        if number < all.len() {
            text.push_str(&format!("and {} more\n", all.len() - number));
        }
        text
    }

    /// `boot 0s to 30s, format to 50s, mount to 55s`.
    fn path(&self) -> String {
        let mut parts = Vec::new();
        let mut before = None;
        for link in &self.path {
            let name = link.test.as_deref().unwrap_or("boot");
            let end = duration(link.end_ms);
            parts.push(match before {
                Some(before) if before == link.start_ms => format!("{name} to {end}"),
                _ => format!("{name} {} to {end}", duration(link.start_ms)),
            });
            before = Some(link.end_ms);
        }
        // Long chains are told from their ends.
        let hidden = parts.len().saturating_sub(2 * TOLD);
        if hidden > 0 {
            parts.splice(TOLD..TOLD + hidden, [format!("{hidden} more")]);
        }
        parts.join(", ")
    }

    fn alone(&self) -> String {
        let alone = &self.alone;
        let with = match alone.tests.len() {
            1 => String::new(),
            _ => format!(" with what it needs ({})", listed(&alone.tests, &self.test)),
        };
        format!(
            "{} for {} on {} in {}{with}, {} of it boot",
            alone.price,
            duration(alone.length_ms),
            alone.r#type,
            alone.region,
            duration(alone.boot_ms),
        )
    }

    fn now(&self) -> String {
        let share = &self.share;
        let Some(own) = share.test_nano_usd.filter(|_| share.life != Price::Free) else {
            return match share.life {
                Price::Free => "free: nobody charges for its life".to_owned(),
                _ => "not known: its life has no known price".to_owned(),
            };
        };
        let mut text = format!(
            "{} of the {} of its life, by the time that tests take there",
            amount(own),
            share.life
        );
        if let Some(with_needs) = share.with_needs_nano_usd.filter(|_| share.needs > 0) {
            text.push_str(&format!(
                "; {} with the {} that it needs",
                amount(with_needs),
                counted(share.needs, "test")
            ));
        }
        if let Some(setups) = share.setups_nano_usd {
            text.push_str(&format!("; {} more as setup elsewhere", amount(setups)));
        }
        text
    }
}

impl Place {
    fn told(&self) -> String {
        let life = match self.of_lives {
            1 => "the only life of the cell".to_owned(),
            lives => format!("life #{} of {lives}", self.number),
        };
        let boot = self.boot.iter().map(|boot| format!(" with boot {boot}"));
        format!(
            "on {life}, {} in {}{}, lane {} of {}, {} to {}",
            self.r#type,
            self.region,
            boot.collect::<String>(),
            u64::from(self.lane) + 1,
            self.lanes,
            duration(self.start_ms),
            duration(self.end_ms)
        )
    }
}

/// The name of a question before its first line, and nothing before the others.
fn names(name: &str) -> impl Iterator<Item = &str> {
    std::iter::once(name).chain(std::iter::repeat(""))
}

/// The first of `tests`, but for `but`.
fn listed(tests: &[String], but: &str) -> String {
    let others: Vec<&str> = tests
        .iter()
        .map(String::as_str)
        .filter(|test| *test != but)
        .collect();
    let hidden = others.len().saturating_sub(TOLD);
    let shown = others.iter().take(TOLD).copied().collect::<Vec<_>>();
    match hidden {
        0 => shown.join(", "),
        hidden => format!("{} and {hidden} more", shown.join(", ")),
    }
}
