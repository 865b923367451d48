//! What is known, as tables and for programs.

use dva_plan::history::{Observations, Observed};
use dva_schedule::{Expected, History};
use serde::Serialize;

use super::runs;
use crate::render::about;
use crate::table::{Align, Table};

/// What is known of one provider's machines. Times are milliseconds.
#[derive(Serialize)]
pub(super) struct View<'o> {
    provider: &'o str,
    tests: Vec<TestView<'o>>,
    boots: Vec<BootView<'o>>,
}

#[derive(Serialize)]
struct TestView<'o> {
    plan: &'o str,
    test: &'o str,
    arch: &'o str,
    image: &'o str,
    r#type: &'o str,
    times: Times,
}

#[derive(Serialize)]
struct BootView<'o> {
    image: &'o str,
    r#type: &'o str,
    region: &'o str,
    times: Times,
}

/// How often something was seen, what it took, and what it is expected to take the next time, in milliseconds.
#[derive(Serialize)]
struct Times {
    /// How often it ran to its end.
    samples: usize,
    /// How often a limit cut it.
    cut: usize,
    /// The mean of those that ran to their end, and what nine of ten of them took at most. These and all others are
    /// absent where it was never seen to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90_ms: Option<u64>,
    /// What it is expected to take the next time, on average and in nine of ten cases at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_mean_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_p90_ms: Option<u64>,
}

impl Times {
    fn of<K>(row: &Observed<K>, expected: Option<Expected>) -> Self {
        let whole = row.samples.iter().filter(|sample| !sample.cut);
        let mut whole: Vec<u64> = whole.map(|sample| sample.ms).collect();
        whole.sort_unstable();
        let sum: u64 = whole.iter().fold(0, |sum, ms| sum.saturating_add(*ms));
        let number = u64::try_from(whole.len()).unwrap_or(u64::MAX);
        // By the nearest rank.
        let rank = (whole.len() * 9).div_ceil(10).checked_sub(1);
        Self {
            samples: whole.len(),
            cut: row.samples.len() - whole.len(),
            mean_ms: sum.checked_div(number),
            p90_ms: rank.map(|rank| whole[rank]),
            expected_mean_ms: expected.map(|expected| expected.mean_ms),
            expected_p90_ms: expected.map(|expected| expected.p90_ms),
        }
    }

    /// The cells of a table's row: `samples`, `cut`, `mean` and `P90`.
    fn cells(&self) -> [String; 4] {
        let shown = |ms: Option<u64>| ms.map_or_else(String::new, about);
        let cut = match self.cut {
            0 => String::new(),
            cut => cut.to_string(),
        };
        [
            self.samples.to_string(),
            cut,
            shown(self.mean_ms),
            shown(self.p90_ms),
        ]
    }
}

pub(super) fn view(known: &[Observations]) -> Vec<View<'_>> {
    known.iter().map(View::of).collect()
}

pub(super) fn text(known: &[Observations]) -> String {
    let texts = known.iter().map(|of| {
        let view = View::of(of);
        format!(
            "{}: {}\n{}{}",
            of.provider,
            runs(of),
            view.tests(),
            view.boots()
        )
    });
    texts.collect::<Vec<_>>().join("\n")
}

impl<'o> View<'o> {
    fn of(of: &'o Observations) -> Self {
        let history = History::of(of);
        let tests = of.tests.iter().map(|row| {
            let key = &row.of;
            let expected = history.expected_ms(key);
            TestView {
                plan: &key.plan,
                test: key.test.as_str(),
                arch: &key.arch,
                image: &key.image,
                r#type: &key.r#type,
                times: Times::of(row, expected),
            }
        });
        let boots = of.boots.iter().map(|row| {
            let key = &row.of;
            let expected = history.expected_boot_ms(&key.image, &key.r#type, &key.region);
            BootView {
                image: &key.image,
                r#type: &key.r#type,
                region: &key.region,
                times: Times::of(row, expected),
            }
        });
        Self {
            provider: &of.provider,
            tests: tests.collect(),
            boots: boots.collect(),
        }
    }

    fn tests(&self) -> String {
        let mut table = table(["plan", "test", "image", "arch", "type"]);
        for row in &self.tests {
            let names = [row.plan, row.test, row.image, row.arch, row.r#type];
            table.row(
                names
                    .map(str::to_owned)
                    .into_iter()
                    .chain(row.times.cells()),
            );
        }
        match self.tests.is_empty() {
            true => String::new(),
            false => format!("\n{}", table.text()),
        }
    }

    fn boots(&self) -> String {
        let mut table = table(["boot of", "region", "type", "", ""]);
        for row in &self.boots {
            let names = [row.image, row.region, row.r#type, "", ""];
            table.row(
                names
                    .map(str::to_owned)
                    .into_iter()
                    .chain(row.times.cells()),
            );
        }
        match self.boots.is_empty() {
            true => String::new(),
            false => format!("\n{}", table.text()),
        }
    }
}

/// A table whose rows are what these columns name, and then how long it takes.
fn table(names: [&'static str; 5]) -> Table {
    let names = names.map(|name| (name, Align::Left));
    let times = ["samples", "cut", "mean", "P90"].map(|name| (name, Align::Right));
    Table::new(names.into_iter().chain(times))
}
