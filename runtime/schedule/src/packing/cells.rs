//! All cells of a plan, each shape solved once: the lives that each cell may have, and from them a schedule.
//!
//! Cells of one shape whose machines round alike share what a search found; what it costs is worked out for each
//! cell by its own prices. Its main type is [`Cells`].

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::exclusions::Exclusions;
use dva_plan::plan::{Cell, CellIx, MachineIx, ShapeIx, TestIx};
use dva_plan::schedule::{PlannedExecution, PlannedLife};

use super::bound::ShapeBound;
use super::meter::Meter;
use super::parallel;
use super::partition::{PackedLife, Packing, Partitions};
use super::sequence::{Direction, Sequencer};
use super::solve::{Search, Solution, Solver, Sought};
use super::workload::Workload;
use crate::options::{Assumptions, Effort, Options};
use crate::quota::Quotas;

/// A plan made ready to be scheduled.
pub(crate) struct Cells<'p> {
    pub(crate) plan: &'p ExecutionPlan,
    assumptions: Assumptions,
    pub(crate) workloads: BTreeMap<ShapeIx, Workload>,
    pub(crate) bounds: BTreeMap<ShapeIx, ShapeBound>,
    /// What cells have in common that are alike in all that matters here.
    pub(crate) kinds: Vec<Kind>,
    /// The kind of each cell.
    pub(crate) kind_of: Vec<usize>,
    lanes: usize,
}

/// Cells that are alike.
pub(crate) struct Kind {
    pub(crate) shape: ShapeIx,
    pub(crate) candidates: Vec<MachineIx>,
    pub(crate) meter: Meter,
    /// The lives that it may have, the cheapest first, each packing shorter than the one before.
    pub(crate) choices: Vec<Choice>,
    /// Whether nothing is cheaper than the first.
    pub(crate) is_exact: bool,
    is_isolated: bool,
}

/// Lives that a cell may have.
pub(crate) struct Choice {
    /// The length of the longest life with its boot.
    pub(crate) span_ms: u64,
    /// What they cost by the meter of the kind.
    pub(crate) cost: u128,
    pub(crate) lives: Vec<PlannedLife>,
}

/// A shape to be solved, with a cell of each kind that has it.
struct Job<'p> {
    shape: ShapeIx,
    cells: Vec<&'p Cell>,
}

/// A shape that is solved.
struct Solved {
    workload: Workload,
    bound: ShapeBound,
    kinds: Vec<Kind>,
}

impl Job<'_> {
    fn solved(
        &self,
        plan: &ExecutionPlan,
        exclusions: &Exclusions,
        (assumptions, quotas): (&Assumptions, &Quotas),
        search: Search,
        sought: Sought,
    ) -> Solved {
        let shape = &plan.shapes[self.shape];
        let workload = Workload::of(plan, shape, exclusions, assumptions.default_takes_ms);
        let bound = ShapeBound::of(&workload, search.lanes);
        let mut solver = Solver::new(&workload, &bound, search, sought);
        let kinds = self.cells.iter().map(|cell| {
            let meter = Meter::of(plan, cell, &workload, assumptions, quotas);
            let solution = solver.solve(&meter);
            Kind::of(plan, &workload, &solution, self.shape, meter, cell)
        });
        let kinds = kinds.collect();
        Solved {
            kinds,
            workload,
            bound,
        }
    }
}

impl<'p> Cells<'p> {
    pub(crate) fn of(plan: &'p ExecutionPlan, options: &Options, sought: Sought) -> Self {
        let assumptions = options.assumptions;
        let lanes = plan.policy.lanes.max(1);
        let lanes = options.lanes.map_or(lanes, |fewer| fewer.min(lanes)).max(1);
        let search = Search {
            lanes: usize::try_from(lanes).unwrap_or(usize::MAX),
            moves: options.effort.0,
            seed: options.seed,
            method: options.method,
        };
        let exclusions = Exclusions::of(plan);
        let mut jobs: Vec<Job<'_>> = Vec::new();
        let mut job_of: BTreeMap<ShapeIx, usize> = BTreeMap::new();
        /// What cells of one kind have in common.
        type Key<'p> = (ShapeIx, &'p [MachineIx], &'p [TestIx]);
        let mut known: BTreeMap<Key<'_>, (usize, usize)> = BTreeMap::new();
        // The kind of each cell by its job and its place there.
        let mut places = Vec::with_capacity(plan.cells.len());
        for cell in &plan.cells {
            let key = (
                cell.shape,
                cell.candidates.as_slice(),
                cell.unsupported.as_slice(),
            );
            let place = known.entry(key).or_insert_with(|| {
                let job = *job_of.entry(cell.shape).or_insert_with(|| {
                    jobs.push(Job {
                        shape: cell.shape,
                        cells: Vec::new(),
                    });
                    jobs.len() - 1
                });
                jobs[job].cells.push(cell);
                (job, jobs[job].cells.len() - 1)
            });
            places.push(*place);
        }
        let solved = parallel::each(&jobs, |job| {
            let account = (&assumptions, &options.quotas);
            job.solved(plan, &exclusions, account, search, sought)
        });
        let mut cells = Self {
            plan,
            assumptions,
            workloads: BTreeMap::new(),
            bounds: BTreeMap::new(),
            kinds: Vec::new(),
            kind_of: Vec::new(),
            lanes: search.lanes,
        };
        let mut first = Vec::with_capacity(jobs.len());
        for (job, solved) in jobs.iter().zip(solved) {
            first.push(cells.kinds.len());
            cells.workloads.insert(job.shape, solved.workload);
            cells.bounds.insert(job.shape, solved.bound);
            cells.kinds.extend(solved.kinds);
        }
        let places = places.into_iter();
        cells.kind_of = places.map(|(job, place)| first[job] + place).collect();
        cells
    }

    /// The same with lives of its own for each atom.
    pub(crate) fn isolated(plan: &'p ExecutionPlan, options: &Options) -> Self {
        let mut cells = Self::of(
            plan,
            &Options {
                effort: Effort(1),
                ..options.clone()
            },
            Sought::Cheapest,
        );
        let lanes = cells.lanes;
        for (number, cell) in cells.kind_of.clone().into_iter().zip(&plan.cells) {
            let kind = &mut cells.kinds[number];
            if kind.is_isolated {
                continue;
            }
            let workload = &cells.workloads[&cell.shape];
            let mut lives = Vec::new();
            for atom in workload.atoms() {
                let mut partitions =
                    Partitions::new(&atom, &kind.meter, lanes, options.effort.0, options.seed);
                lives.extend(partitions.cheapest().lives);
            }
            kind.choices = vec![kind.choice(plan, workload, &Packing::of(lives))];
            kind.is_isolated = true;
        }
        cells
    }

    pub(crate) fn kind(&self, cell: CellIx) -> &Kind {
        &self.kinds[self.kind_of[dva_plan::table::Index::row(cell)]]
    }

    /// How long the boot of a life takes.
    pub(crate) fn boot_ms(&self) -> u64 {
        self.assumptions.boot_ms
    }

    /// The lives of all cells, each launched at 0, by what `choose` takes of each cell's choices; `None`
    /// where that is nothing.
    pub(crate) fn lives(
        &self,
        choose: impl Fn(&Kind) -> Option<&Choice>,
    ) -> Option<Vec<PlannedLife>> {
        let mut lives = Vec::new();
        for cell in self.plan.cells.indices() {
            let choice = choose(self.kind(cell))?;
            lives.extend(choice.lives.iter().map(|life| PlannedLife {
                cell,
                ..life.clone()
            }));
        }
        Some(lives)
    }
}

impl Kind {
    pub(crate) fn cheapest(&self) -> Option<&Choice> {
        self.choices.first()
    }

    fn of(
        plan: &ExecutionPlan,
        workload: &Workload,
        solution: &Solution,
        shape: ShapeIx,
        meter: Meter,
        cell: &Cell,
    ) -> Self {
        let mut kind = Self {
            shape,
            candidates: cell.candidates.clone(),
            meter,
            choices: Vec::new(),
            is_exact: solution.is_exact,
            is_isolated: false,
        };
        let choices = solution.packings.iter();
        let choices = choices.map(|packing| kind.choice(plan, workload, packing));
        let mut choices: Vec<Choice> = choices.collect();
        // By the cell's own prices the order may be another one.
        choices.sort_by_key(|choice| (choice.cost, choice.span_ms));
        for choice in choices {
            let last = kind.choices.last();
            if last.is_none_or(|last| choice.span_ms < last.span_ms) {
                kind.choices.push(choice);
            }
        }
        kind
    }

    fn choice(&self, plan: &ExecutionPlan, workload: &Workload, packing: &Packing) -> Choice {
        let mut judged: BTreeSet<TestIx> = BTreeSet::new();
        let mut lives = Vec::with_capacity(packing.lives.len());
        let mut cost = 0;
        for packed in &packing.lives {
            let charge = self
                .meter
                .charge(workload, &packed.tests, packed.order.length_ms);
            cost += charge.map_or(0, |charge| charge.cost);
            let place = charge.map_or(0, |charge| charge.place);
            let machine = self.candidates[place];
            let mut life = planned(workload, packed, machine, &self.meter);
            for execution in &mut life.executions {
                let is_new = judged.insert(execution.test);
                execution.setup = !plan.tests[execution.test].last && !is_new;
            }
            life.executions
                .sort_by_key(|execution| (execution.start_ms, execution.lane));
            lives.push(life);
        }
        Choice {
            span_ms: self.meter.boot_ms.saturating_add(packing.span_ms()),
            cost,
            lives,
        }
    }
}

/// The life, launched at 0, with its executions by start and then urgency, none of them a setup as yet.
fn planned(
    workload: &Workload,
    packed: &PackedLife,
    machine: MachineIx,
    meter: &Meter,
) -> PlannedLife {
    let mut sequencer = Sequencer::new(workload);
    let order = &packed.order;
    sequencer.prepare(&packed.tests);
    let length_ms = sequencer.play(&order.list, order.lanes, Direction::Forward);
    let mut free_from_ms: Vec<u64> = vec![0; order.lanes];
    let mut executions = Vec::with_capacity(sequencer.started().len());
    for test in sequencer.started() {
        let start_ms = sequencer.start_ms(*test);
        let end_ms = start_ms.saturating_add(workload.takes_ms[*test]);
        let free = free_from_ms.iter().position(|from_ms| *from_ms <= start_ms);
        // There are never more at once than lanes.
        let lane = free.unwrap_or(0);
        free_from_ms[lane] = end_ms;
        executions.push(PlannedExecution {
            test: workload.tests[*test],
            lane: u32::try_from(lane).unwrap_or(u32::MAX),
            start_ms: start_ms.saturating_add(meter.boot_ms),
            end_ms: end_ms.saturating_add(meter.boot_ms),
            setup: false,
        });
    }
    PlannedLife {
        cell: CellIx(0),
        machine,
        boot: workload.boot(&packed.tests),
        lanes: u32::try_from(order.lanes).unwrap_or(u32::MAX),
        launch_ms: 0,
        pending_ms: meter.pending_ms,
        ready_ms: meter.boot_ms,
        executions,
        end_ms: length_ms.saturating_add(meter.boot_ms),
    }
}
