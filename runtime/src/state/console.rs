//! What consoles have said that somebody should look at, and boots that did not go well, as warnings of the report.

use std::collections::BTreeMap;

use dva_plan::schedule::LifeIx;
use dva_plan::table::Index;

use super::RunState;
use crate::console::without_numbers;

/// The most lines that are warned of in a run.
const MOST: usize = 50;

/// A line that consoles have said.
struct Said<'a> {
    line: &'a str,
    first: LifeIx,
    lives: usize,
}

impl RunState {
    /// A sentence for each line of a console that somebody should look at, in the order of lives; lines that
    /// differ in numbers alone share one. What a life was lost of is no warning: its tests say it.
    pub(crate) fn console_warnings(&self) -> Vec<String> {
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        let mut all: Vec<Said<'_>> = Vec::new();
        for (life, state) in self.lives.enumerate() {
            let lines = state.console().into_iter().flat_map(|said| &said.lines);
            let trouble = state.trouble().map_or("", |(_, message)| message);
            for line in lines.filter(|line| !trouble.contains(line.as_str())) {
                let place = *places.entry(without_numbers(line)).or_insert(all.len());
                match all.get_mut(place) {
                    Some(said) => said.lives += 1,
                    None => all.push(Said {
                        line,
                        first: life,
                        lives: 1,
                    }),
                }
            }
        }
        let more = all.len().saturating_sub(MOST);
        all.truncate(MOST);
        let mut warnings = self.tell(&all);
        if more > 0 {
            warnings.push(format!(
                "Consoles say {more} other things; see the run's log."
            ));
        }
        warnings
    }

    /// A sentence for each way in which machines did not boot as they should, though they came up.
    pub(crate) fn boot_warnings(&self) -> Vec<String> {
        let mut all: BTreeMap<&str, (LifeIx, usize)> = BTreeMap::new();
        for (life, state) in self.lives.enumerate() {
            if let Some(message) = state.boot_warning() {
                all.entry(message).or_insert((life, 0)).1 += 1;
            }
        }
        let labels = self.plan.cell_labels();
        let tell = |(message, (first, lives)): (&str, (LifeIx, usize))| {
            let cell = &self.plan.cells[self.schedule.lives[first].cell];
            let label = labels.label(&self.plan.shown_axes(cell), &self.plan.name);
            let place = format!("{label} (life {})", first.row());
            match lives {
                1 => format!("On {place} {message}."),
                lives => format!("On {lives} lives, first on {place}, {message}."),
            }
        };
        all.into_iter().take(MOST).map(tell).collect()
    }

    fn tell(&self, all: &[Said<'_>]) -> Vec<String> {
        if all.is_empty() {
            return Vec::new();
        }
        let labels = self.plan.cell_labels();
        let tell = |Said { line, first, lives }: &Said<'_>| {
            let cell = &self.plan.cells[self.schedule.lives[*first].cell];
            let label = labels.label(&self.plan.shown_axes(cell), &self.plan.name);
            let place = format!("{label} (life {})", first.row());
            match lives {
                1 => format!("The console of {place} says: {line}"),
                lives => format!("The consoles of {lives} lives, first of {place}, say: {line}"),
            }
        };
        all.iter().map(tell).collect()
    }
}
