//! What is seen of a run while it goes on: a line a machine on a terminal, else a line an event.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use dva_plan::ExecutionPlan;
use dva_plan::label::CellLabels;
use dva_plan::plan::{CellIx, TestIx};
use dva_plan::schedule::{LifeIx, PlannedLife, Schedule};
use dva_plan::unit::display_duration;
use dva_runtime::event::{Ending, Event, StopCause, Stopping};
use dva_runtime::observe::Observer;
use dva_runtime::state::RunState;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::render;

/// The display for this standard error.
pub fn observer(plan: &Arc<ExecutionPlan>, schedule: &Schedule) -> Box<dyn Observer> {
    let names = Names::new(plan, schedule);
    if stderr().is_terminal() {
        Box::new(Bars {
            names,
            all: MultiProgress::new(),
            lives: BTreeMap::new(),
        })
    } else {
        Box::new(Lines {
            names,
            unwritten: String::new(),
        })
    }
}

/// What lives and tests are called.
struct Names {
    plan: Arc<ExecutionPlan>,
    lives: BTreeMap<LifeIx, Named>,
}

/// A life as it is shown.
struct Named {
    cell: CellIx,
    /// The label of its cell, with a number where the cell has several machines.
    label: String,
    tests: u64,
    /// What runs there only as preparation for others.
    setup: BTreeSet<TestIx>,
}

impl Named {
    fn new(
        plan: &ExecutionPlan,
        labels: &CellLabels,
        planned: &PlannedLife,
        number: Option<usize>,
    ) -> Self {
        let axes = plan.shown_axes(&plan.cells[planned.cell]);
        let mut label = labels.label(&axes, &plan.name);
        if let Some(number) = number {
            label.push_str(&format!(" #{number}"));
        }
        let executions = planned.executions.iter();
        let setup = executions.filter(|execution| execution.setup);
        Self {
            cell: planned.cell,
            label,
            tests: planned.executions.len() as u64,
            setup: setup.map(|execution| execution.test).collect(),
        }
    }
}

impl Names {
    fn new(plan: &Arc<ExecutionPlan>, schedule: &Schedule) -> Self {
        let labels = plan.cell_labels();
        let mut of_cells: BTreeMap<CellIx, usize> = BTreeMap::new();
        for planned in &schedule.lives {
            *of_cells.entry(planned.cell).or_default() += 1;
        }
        let mut numbers: BTreeMap<CellIx, usize> = BTreeMap::new();
        let mut lives = BTreeMap::new();
        for (life, planned) in schedule.lives.enumerate() {
            let number = numbers.entry(planned.cell).or_default();
            *number += 1;
            let number = (of_cells[&planned.cell] > 1).then_some(*number);
            lives.insert(life, Named::new(plan, &labels, planned, number));
        }
        Self {
            plan: Arc::clone(plan),
            lives,
        }
    }

    /// A life that was not in the schedule is called like its cell, with the number that comes next.
    fn heed(&mut self, event: &Event) {
        let Event::LifeAdded { life, planned, .. } = event else {
            return;
        };
        let of_cell = self
            .lives
            .values()
            .filter(|named| named.cell == planned.cell);
        let number = of_cell.count() + 1;
        let labels = self.plan.cell_labels();
        let named = Named::new(&self.plan, &labels, planned, Some(number));
        self.lives.insert(*life, named);
    }

    fn life(&self, life: LifeIx) -> &str {
        self.lives.get(&life).map_or("", |named| &named.label)
    }

    fn test(&self, life: LifeIx, test: TestIx) -> String {
        let id = self.plan.tests[test].id.as_str();
        let named = self.lives.get(&life);
        match named.is_some_and(|named| named.setup.contains(&test)) {
            true => format!("{id} (as preparation)"),
            false => id.to_owned(),
        }
    }

    fn tests_of(&self, life: LifeIx) -> u64 {
        self.lives.get(&life).map_or(0, |named| named.tests)
    }
}

/// What is said of an event; nothing where it is not worth a line.
fn sentence(names: &Names, event: &Event) -> Option<(Option<LifeIx>, String)> {
    match event {
        Event::Stopping { how, why } => Some((
            None,
            match how {
                Stopping::Finish if matches!(why, StopCause::Failures(_)) => {
                    "stopping: as many test runs have failed as may; running ones may end"
                        .to_owned()
                }
                Stopping::Finish => {
                    "stopping: running tests may end; once more ends the machines at once"
                        .to_owned()
                }
                Stopping::Now => match why {
                    StopCause::Limit(ms) => format!(
                        "stopping: the {} that the plan allows are over; machines are ended at once",
                        display_duration(*ms)
                    ),
                    StopCause::Asked | StopCause::Failures(_) | StopCause::RunFolder(_) => {
                        "stopping: machines are ended at once".to_owned()
                    }
                },
            },
        )),
        Event::LifeReady { life } => Some((Some(*life), "ready".to_owned())),
        Event::CandidateRefused {
            life,
            message,
            next,
            ..
        } => {
            let next = &names.plan.machines[*next];
            let asked = format!("{} in {} is asked for", next.r#type, next.region);
            Some((Some(*life), format!("{message} {asked}")))
        }
        Event::BootWarned { life, message } => Some((Some(*life), message.clone())),
        Event::LifeFailed { life, message, .. } | Event::LifeCrashed { life, message } => {
            Some((Some(*life), message.clone()))
        }
        Event::CellBlocked { gate, message, .. } => Some((
            None,
            format!("a cell behind {gate} is not started: {message}"),
        )),
        Event::ImageStopped { image, failures } => Some((
            None,
            format!(
                "nothing more of {} is started: {} of its test runs {} failed",
                names.plan.images[*image].name,
                failures,
                if *failures == 1 { "has" } else { "have" },
            ),
        )),
        Event::MachineGivenUp { machine, lives } => {
            let machine = &names.plan.machines[*machine];
            Some((
                None,
                format!(
                    "no more machines of type {} are started in {}: {} in a row did not come up",
                    machine.r#type, machine.region, lives
                ),
            ))
        }
        Event::ReleaseFailed { life, message } => {
            Some((Some(*life), format!("may still be running: {message}")))
        }
        Event::EndRunFailed { message } => Some((None, message.clone())),
        Event::ExecutionStarted { life, test, .. } => {
            Some((Some(*life), format!("{} …", names.test(*life, *test))))
        }
        Event::ExecutionEnded {
            life, test, ending, ..
        } => Some((
            Some(*life),
            format!("{} {}", names.test(*life, *test), ending.verdict()),
        )),
        Event::ProcessesLeft {
            life,
            test,
            names: left,
        } => Some((
            Some(*life),
            format!(
                "{} left processes behind: {}",
                names.test(*life, *test),
                left.join(", ")
            ),
        )),
        Event::LifeKept { life, .. } => Some((Some(*life), "kept".to_owned())),
        Event::LifeBlocked { life, message, .. } => {
            Some((Some(*life), format!("never launched: {message}")))
        }
        Event::LifeEnded { life } => Some((Some(*life), "ended".to_owned())),
        Event::RunResumed { .. } => Some((None, "the run goes on".to_owned())),
        Event::LifeAdded {
            life, instead_of, ..
        } => Some((
            Some(*life),
            format!(
                "goes on with what {} has left open",
                names.life(*instead_of)
            ),
        )),
        // At the end, with what other consoles say.
        Event::ConsoleRead { .. }
        | Event::RunStarted { .. }
        | Event::TestsGivenUp { .. }
        | Event::TestSkipped { .. }
        | Event::LifeSetUp { .. }
        | Event::LifeLaunching { .. }
        | Event::LifeAcquired { .. }
        | Event::LifeReleasing { .. }
        | Event::RunEnded { .. } => None,
    }
}

/// A line an event: for logs.
struct Lines {
    names: Names,
    /// Lines of this moment: there may be thousands.
    unwritten: String,
}

impl Observer for Lines {
    fn event(&mut self, at_ms: u64, event: &Event, _: &RunState) {
        self.names.heed(event);
        if let Some((life, text)) = sentence(&self.names, event) {
            let place = life.map_or("", |life| self.names.life(life));
            let separator = if place.is_empty() { "" } else { ": " };
            let line = format!("{} {place}{separator}{text}\n", seconds(at_ms));
            self.unwritten.push_str(&line);
        }
    }

    fn rest(&mut self) {
        if !self.unwritten.is_empty() {
            // Nobody who reads it is no reason to stop the run.
            let _ = stderr().write_all(self.unwritten.as_bytes());
            self.unwritten.clear();
        }
    }
}

/// Whatever ends the run, what happened before is shown.
impl Drop for Lines {
    fn drop(&mut self) {
        self.rest();
    }
}

/// `[   12.3s]`, so that times stand below each other.
fn seconds(ms: u64) -> String {
    format!("[{:>4}.{}s]", ms / 1_000, ms % 1_000 / 100)
}

/// A line a machine: for terminals.
struct Bars {
    names: Names,
    all: MultiProgress,
    lives: BTreeMap<LifeIx, Bar>,
}

/// The line of one machine.
struct Bar {
    bar: ProgressBar,
    running: Vec<String>,
}

impl Bar {
    fn show_running(&self) {
        self.bar.set_message(self.running.join(", "));
    }
}

impl Bars {
    fn bar(&mut self, life: LifeIx) -> &mut Bar {
        let (names, all) = (&self.names, &self.all);
        self.lives.entry(life).or_insert_with(|| {
            let bar = all.add(ProgressBar::new(names.tests_of(life)));
            let template = if render::colours() {
                "{spinner:.cyan} {prefix} {pos}/{len} {wide_msg:.dim}"
            } else {
                "{spinner} {prefix} {pos}/{len} {wide_msg}"
            };
            // The template is ours, so the plain style is only ever a fallback.
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.set_prefix(names.life(life).to_owned());
            bar.enable_steady_tick(Duration::from_millis(100));
            Bar {
                bar,
                running: Vec::new(),
            }
        })
    }
}

impl Observer for Bars {
    fn event(&mut self, _: u64, event: &Event, _: &RunState) {
        self.names.heed(event);
        match event {
            Event::LifeLaunching { life, .. } => self.bar(*life).bar.set_message("starting"),
            Event::LifeReady { life } => self.bar(*life).bar.set_message("ready"),
            Event::ExecutionStarted { life, test, .. } => {
                let name = self.names.test(*life, *test);
                let bar = self.bar(*life);
                bar.running.push(name);
                bar.show_running();
            }
            Event::ExecutionEnded {
                life, test, ending, ..
            } => {
                let name = self.names.test(*life, *test);
                if *ending != Ending::Passed {
                    let line = format!("{}: {name} {}", self.names.life(*life), ending.verdict());
                    let _ = self.all.println(line);
                }
                let bar = self.bar(*life);
                bar.running.retain(|running| *running != name);
                bar.bar.inc(1);
                bar.show_running();
            }
            Event::LifeReleasing { life } => self.bar(*life).bar.set_message("ending"),
            Event::LifeEnded { life } => self.bar(*life).bar.finish_with_message("ended"),
            Event::Stopping { .. }
            | Event::RunResumed { .. }
            | Event::LifeAdded { .. }
            | Event::CellBlocked { .. }
            | Event::LifeBlocked { .. }
            | Event::CandidateRefused { .. }
            | Event::ImageStopped { .. }
            | Event::MachineGivenUp { .. }
            | Event::LifeFailed { .. }
            | Event::LifeCrashed { .. }
            | Event::ReleaseFailed { .. }
            | Event::EndRunFailed { .. }
            | Event::BootWarned { .. }
            | Event::ProcessesLeft { .. } => {
                if let Some((life, text)) = sentence(&self.names, event) {
                    let place =
                        life.map_or(String::new(), |life| format!("{}: ", self.names.life(life)));
                    let _ = self.all.println(format!("{place}{text}"));
                }
            }
            Event::LifeKept { life, .. } => self.bar(*life).bar.finish_with_message("kept"),
            Event::RunStarted { .. }
            | Event::ConsoleRead { .. }
            | Event::TestsGivenUp { .. }
            | Event::TestSkipped { .. }
            | Event::LifeAcquired { .. }
            | Event::LifeSetUp { .. }
            | Event::RunEnded { .. } => {}
        }
    }
}
