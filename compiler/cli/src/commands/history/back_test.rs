//! How well runs would have been foretold from those before them.

use std::collections::BTreeMap;
use std::sync::Arc;

use dva_plan::{ExecutionPlan, ExitCode, RunReport, Schedule};
use dva_runtime::journal::{RunRow, Store};
use dva_runtime::report::report;
use dva_schedule::{Assumptions, BackTest, Foretold, MoneyTest, back_test, money_test};
use serde::Serialize;

use super::{existing, is_wanted};
use crate::args::BackTestArguments;
use crate::commands::run::stored;
use crate::failure::Failure;
use crate::output;
use crate::past_run::{document, followed};
use crate::render;
use crate::render::counted;

/// A run that is over.
struct Over {
    plan: Arc<ExecutionPlan>,
    schedule: Schedule,
    report: RunReport,
}

/// How well the runs of one provider would have been foretold.
#[derive(Serialize)]
struct View {
    provider: String,
    runs: usize,
    /// How many durations were foretold.
    foretold: u64,
    /// How many were not: nothing was known of their tests.
    unforetold: u64,
    /// How many in a thousand took no longer than half should: 500 is right.
    under_p50_permille: u32,
    /// How many in a thousand took no longer than nine of ten should: 900 is right.
    under_p90_permille: u32,
    /// The mean pinball loss, in microseconds: of the history, of the last duration, of the plain mean.
    loss_p50_us: [u64; 3],
    loss_p90_us: [u64; 3],
    /// How many bills were foretold.
    bills: u32,
    /// How far beside the bill on average, in thousandths of it.
    bill_permille: u64,
    /// The same by what the plans state.
    stated_bill_permille: u64,
}

impl View {
    fn of(provider: String, runs: &[Over]) -> Self {
        let reports: Vec<_> = runs.iter().map(|run| (&*run.plan, &run.report)).collect();
        let BackTest {
            points,
            unforetold,
            under_p50_permille,
            under_p90_permille,
            loss,
            loss_of_last,
            loss_of_mean,
        } = back_test(&reports);
        let foretold = runs.iter().map(|run| Foretold {
            plan: &run.plan,
            schedule: &run.schedule,
            report: &run.report,
        });
        let MoneyTest {
            bills,
            measured_permille,
            stated_permille,
        } = money_test(foretold, &Assumptions::default());
        let losses = [loss, loss_of_last, loss_of_mean];
        Self {
            provider,
            runs: runs.len(),
            foretold: points,
            unforetold,
            under_p50_permille,
            under_p90_permille,
            loss_p50_us: losses.map(|loss| loss.p50_us),
            loss_p90_us: losses.map(|loss| loss.p90_us),
            bills,
            bill_permille: measured_permille,
            stated_bill_permille: stated_permille,
        }
    }

    fn text(&self) -> String {
        let mut text = format!("{}: {}\n", self.provider, counted(self.runs, "run"));
        let mut line = |name: &str, value: String| {
            text.push_str(&format!("  {name:<10} {value}\n"));
        };
        let Self {
            foretold,
            unforetold,
            ..
        } = self;
        line(
            "durations",
            format!(
                "{foretold} foretold from the runs before, {unforetold} of which nothing was known"
            ),
        );
        if *foretold == 0 {
            return text;
        }
        let share = |permille: u32| format!("{}.{}%", permille / 10, permille % 10);
        line(
            "half",
            format!(
                "{} took no longer than half should",
                share(self.under_p50_permille)
            ),
        );
        line(
            "P90",
            format!(
                "{} took no longer than nine of ten should",
                share(self.under_p90_permille)
            ),
        );
        let [own, last, mean] = self.loss_p90_us.map(seconds);
        line(
            "loss",
            format!(
                "{own} at P90; {last} if each took what the last one did, {mean} the mean of those before"
            ),
        );
        if self.bills > 0 {
            let bills = counted(usize::try_from(self.bills).unwrap_or(usize::MAX), "bill");
            let percent = |permille: u64| format!("{}.{}%", permille / 10, permille % 10);
            line(
                "money",
                format!(
                    "{bills} foretold, {} beside on average; {} by what is stated",
                    percent(self.bill_permille),
                    percent(self.stated_bill_permille)
                ),
            );
        }
        text
    }
}

/// `0.406s`.
fn seconds(us: u64) -> String {
    let ms = us.div_ceil(1_000);
    format!("{}.{:03}s", ms / 1_000, ms % 1_000)
}

/// Tests against the runs that are over and still in the journal.
pub(super) fn run(arguments: &BackTestArguments) -> Result<ExitCode, Failure> {
    let mut by_provider: BTreeMap<String, Vec<Over>> = BTreeMap::new();
    if let Some(store) = existing(&arguments.of.state)? {
        let mut rows = store.runs().map_err(|error| stored(&error))?;
        // Ids sort by time.
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        for row in rows.iter().filter(|row| row.exit.is_some()) {
            if let Some(over) = over(&store, row)?
                && is_wanted(&arguments.of, &over.report.provider)
            {
                let provider = over.report.provider.clone();
                by_provider.entry(provider).or_default().push(over);
            }
        }
    }
    let views = by_provider.into_iter();
    let views: Vec<View> = views.map(|(name, runs)| View::of(name, &runs)).collect();
    let text = match (arguments.json, views.is_empty()) {
        (true, _) => render::json(&views),
        (false, true) => "No run that is over is in the journal.\n".to_owned(),
        (false, false) => views.iter().map(View::text).collect(),
    };
    output::print(text)?;
    Ok(ExitCode::Ok)
}

fn over(store: &Store, row: &RunRow) -> Result<Option<Over>, Failure> {
    let run = store.load(&row.id).map_err(|error| stored(&error))?;
    let plan = Arc::new(document::<ExecutionPlan>(&run.plan, "plan")?.body);
    let schedule = document::<Schedule>(&run.schedule, "schedule")?.body;
    let report = report(&followed(&run, &plan, &schedule)?);
    Ok(report.map(|report| Over {
        plan,
        schedule,
        report,
    }))
}
