//! A schedule as a Gantt chart: lives one under another, their lanes as bars along the time.
//!
//! What is drawn is decided here, once for all notations: [`text`] and [`svg`] only place it. Lives that do
//! the same are drawn once, or a plan of thousands of cells could not be looked at. Its main type is
//! [`Chart`]; names in it are as the plan has them, and every notation escapes them by its own rules.

pub mod axis;
pub mod svg;
pub mod text;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::label::{Axes, CellLabels};
use dva_plan::plan::{BootIx, CellIx, TestIx};
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::{ExecutionPlan, Schedule};

use crate::failure::Failure;
use crate::price::Price;

/// How many types or regions of the lives of one block are named.
const NAMED: usize = 2;

/// A schedule, made ready to be drawn. Times are milliseconds since the start of the run.
pub struct Chart {
    /// The plan's name.
    pub name: String,
    /// How many cells the plan has.
    pub cells: usize,
    /// How many lives the schedule has.
    pub lives: usize,
    /// How many test runs the plan has.
    pub test_runs: usize,
    /// When the last life ends.
    pub makespan_ms: u64,
    /// What all lives cost.
    pub price: Price,
    /// What is drawn, by launch.
    pub blocks: Vec<Block>,
    /// How many lives are in no block.
    pub left_out: usize,
}

/// Lives that do the same, drawn once.
pub struct Block {
    /// What the cells have in common of what tells cells apart; of one its label, with the number of the life
    /// where it has several: `host #2`.
    pub label: String,
    /// The labels of the cells, by cell.
    pub cells: Vec<String>,
    /// The types of the machines, and their regions.
    pub types: BTreeSet<String>,
    /// Where the machines are.
    pub regions: BTreeSet<String>,
    /// The name of the boot, where there is one.
    pub boot: Option<String>,
    /// The launches; the first one is drawn.
    pub launches_ms: BTreeSet<u64>,
    /// How much of the boot costs nothing.
    pub pending_ms: u64,
    /// When the first one is ready for its first test.
    pub ready_ms: u64,
    /// When the first one ends.
    pub end_ms: u64,
    /// How many tests may run there at once.
    pub most_lanes: u32,
    /// What runs, by the number of the lane from 0, then start; lanes that are never used are left out.
    pub lanes: BTreeMap<u32, Vec<Bar>>,
    /// What each of the lives costs, the cheapest and the dearest.
    pub prices: (Price, Price),
}

/// An execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bar {
    /// The test's id.
    pub name: String,
    /// When it starts.
    pub start_ms: u64,
    /// When it ends.
    pub end_ms: u64,
    /// Whether it only prepares the life for a dependent.
    pub is_setup: bool,
}

/// How much is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Every life on its own.
    All,
    /// Lives that do the same at the same time once; where that is more than this many blocks, lives that do
    /// the same at any time; and of these the first so many.
    Most(usize),
}

/// What makes lives the same: the boot, and when what happens after the launch.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Batch {
    boot: Option<BootIx>,
    lanes: u32,
    pending_ms: u64,
    boot_ms: u64,
    length_ms: u64,
    executions: Vec<(TestIx, u32, u64, u64, bool)>,
}

impl Chart {
    /// `schedule`, which must be one for `plan`.
    pub fn of(plan: &ExecutionPlan, schedule: &Schedule, detail: Detail) -> Result<Self, Failure> {
        let groups = groups(schedule, detail);
        let most = match detail {
            Detail::All => usize::MAX,
            Detail::Most(most) => most,
        };
        let left_out = groups.iter().skip(most).map(Vec::len).sum();
        let (labels, numbers) = (plan.cell_labels(), numbers(schedule));
        let blocks = groups.iter().take(most).map(|group| {
            let lives: Vec<_> = group.iter().map(|life| &schedule.lives[*life]).collect();
            let mut block = Block::of(plan, &labels, &lives)?;
            if let [life] = group.as_slice()
                && let Some(number) = numbers.get(life)
            {
                block.label.push_str(&format!(" #{number}"));
            }
            Ok(block)
        });
        Ok(Self {
            name: plan.name.clone(),
            cells: plan.cells.len(),
            lives: schedule.lives.len(),
            test_runs: plan.test_runs(),
            makespan_ms: schedule.makespan_ms,
            price: Price::of_schedule(plan, schedule)?,
            blocks: blocks.collect::<Result<_, _>>()?,
            left_out,
        })
    }

    /// Every execution that is drawn.
    pub fn bars(&self) -> impl Iterator<Item = &Bar> {
        let lanes = self.blocks.iter().flat_map(|block| block.lanes.values());
        lanes.flatten()
    }
}

/// The lives that are drawn together, in the order of the first of each.
fn groups(schedule: &Schedule, detail: Detail) -> Vec<Vec<LifeIx>> {
    let Detail::Most(most) = detail else {
        return schedule.lives.indices().map(|life| vec![life]).collect();
    };
    let at_once = grouped(schedule, |life| (Batch::of(life), life.launch_ms));
    if at_once.len() <= most {
        return at_once;
    }
    grouped(schedule, Batch::of)
}

fn grouped<K: Ord>(schedule: &Schedule, key: impl Fn(&PlannedLife) -> K) -> Vec<Vec<LifeIx>> {
    let mut places: BTreeMap<K, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<LifeIx>> = Vec::new();
    for (index, life) in schedule.lives.enumerate() {
        let place = *places.entry(key(life)).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(index),
            None => groups.push(vec![index]),
        }
    }
    groups
}

/// Which life of its cell each one is, from 1, as a run calls it; only of cells that have several.
fn numbers(schedule: &Schedule) -> BTreeMap<LifeIx, usize> {
    let mut lives: BTreeMap<CellIx, Vec<LifeIx>> = BTreeMap::new();
    for (index, life) in schedule.lives.enumerate() {
        lives.entry(life.cell).or_default().push(index);
    }
    let several = lives.into_values().filter(|lives| lives.len() > 1);
    several
        .flat_map(|lives| lives.into_iter().zip(1..))
        .collect()
}

impl Batch {
    fn of(life: &PlannedLife) -> Self {
        let since = |ms: u64| ms.saturating_sub(life.launch_ms);
        let executions = life.executions.iter().map(|execution| {
            (
                execution.test,
                execution.lane,
                since(execution.start_ms),
                since(execution.end_ms),
                execution.setup,
            )
        });
        Self {
            boot: life.boot,
            lanes: life.lanes,
            pending_ms: life.pending_ms,
            boot_ms: since(life.ready_ms),
            length_ms: since(life.end_ms),
            executions: executions.collect(),
        }
    }
}

impl Block {
    /// `lives`, which do the same; the first of them is drawn.
    fn of(
        plan: &ExecutionPlan,
        labels: &CellLabels,
        lives: &[&PlannedLife],
    ) -> Result<Self, Failure> {
        let first = lives[0];
        let mut common: Axes = plan.shown_axes(&plan.cells[first.cell]);
        let mut cells = BTreeMap::new();
        let mut prices: Option<(Price, Price)> = None;
        for life in lives {
            let axes = plan.shown_axes(&plan.cells[life.cell]);
            common.retain(|axis, value| axes.get(axis) == Some(value));
            cells.insert(life.cell, labels.label(&axes, &plan.name));
            let price = Price::of(plan, [*life])?;
            let (least, most) = prices.unwrap_or((price, price));
            prices = Some((
                if price.money() < least.money() {
                    price
                } else {
                    least
                },
                if price.money() > most.money() {
                    price
                } else {
                    most
                },
            ));
        }
        let machines = || lives.iter().map(|life| &plan.machines[life.machine]);
        let mut lanes: BTreeMap<u32, Vec<Bar>> = BTreeMap::new();
        for execution in &first.executions {
            lanes.entry(execution.lane).or_default().push(Bar {
                name: plan.tests[execution.test].id.as_str().to_owned(),
                start_ms: execution.start_ms,
                end_ms: execution.end_ms,
                is_setup: execution.setup,
            });
        }
        Ok(Self {
            label: labels.label(&common, &plan.name),
            cells: cells.into_values().collect(),
            types: machines().map(|machine| machine.r#type.clone()).collect(),
            regions: machines().map(|machine| machine.region.clone()).collect(),
            boot: first.boot.map(|boot| plan.boots[boot].name.clone()),
            launches_ms: lives.iter().map(|life| life.launch_ms).collect(),
            pending_ms: first.pending_ms,
            ready_ms: first.ready_ms,
            end_ms: first.end_ms,
            most_lanes: first.lanes,
            lanes,
            prices: prices.unwrap_or((Price::Unknown, Price::Unknown)),
        })
    }

    /// When the life that is drawn is launched.
    pub fn launch_ms(&self) -> u64 {
        self.launches_ms.first().copied().unwrap_or(0)
    }

    /// When the last of its lives is launched, where that is after the first.
    pub fn last_relaunch_ms(&self) -> Option<u64> {
        let last_ms = self.launches_ms.last().copied();
        last_ms.filter(|last_ms| *last_ms > self.launch_ms())
    }

    /// `m7i.large in eu-west-1`; the number of types or regions where there are many.
    pub fn machine(&self) -> String {
        let named = |names: &BTreeSet<String>, noun: &str| match names.len() {
            ..=NAMED => names
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(" and "),
            many => format!("{many} {noun}s"),
        };
        format!(
            "{} in {}",
            named(&self.types, "type"),
            named(&self.regions, "region")
        )
    }

    /// What it costs, of several lives what each does.
    pub fn price(&self) -> String {
        let (least, most) = self.prices;
        match (self.cells.len(), least == most) {
            (_, true) if least == Price::Free => least.to_string(),
            (1, true) => least.to_string(),
            (_, true) => format!("{least} each"),
            (_, false) => format!("{least} to {most} each"),
        }
    }
}
