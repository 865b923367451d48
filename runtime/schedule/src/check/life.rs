//! The rules that concern one life at a time; those that follow from effects are in [`super::effects`].

use std::collections::BTreeMap;

use dva_plan::plan::{Cell, TestIx};
use dva_plan::schedule::{LifeIx, PlannedExecution, PlannedLife};
use dva_plan::table::Index;

use super::Check;
use super::rule::Rule;
use super::shape::Demands;

impl Check<'_> {
    /// Checks `life` by itself and notes what it gives a verdict of and what it sets up.
    pub(super) fn life(&mut self, index: LifeIx, life: &PlannedLife) {
        let mut on_life = OnLife {
            check: self,
            index,
            life,
        };
        on_life.times();
        on_life.rows();
        on_life.lanes();
        let Some(cell) = on_life.check.plan.cells.get(life.cell) else {
            let message = format!("it serves cell {}, which is not there", life.cell.row());
            on_life.add(Rule::References, None, &message);
            return;
        };
        on_life.machine(cell);
        let executions = on_life.executions(cell);
        // A shape that is not there has no tests, so each of the executions was refused.
        let Some(shape) = on_life.check.plan.shapes.get(cell.shape) else {
            return;
        };
        let plan = on_life.check.plan;
        let demands = on_life
            .check
            .demands
            .remove(&cell.shape)
            .unwrap_or_else(|| Demands::of(plan, shape));
        on_life.order(&executions, &demands);
        on_life.effects(&executions, &demands);
        on_life.presence(&executions, &demands);
        self.demands.insert(cell.shape, demands);
        for execution in executions.all() {
            match execution.setup {
                true => self.setups.push((index, life.cell, execution.test)),
                false => self.verdicts[life.cell.row()].push((execution.test, index)),
            }
        }
    }
}

/// The life being checked.
pub(super) struct OnLife<'c, 'p, 's> {
    pub(super) check: &'c mut Check<'p>,
    index: LifeIx,
    life: &'s PlannedLife,
}

/// The executions of a life whose tests are there, by test. A test that has more than one breaks
/// `one-verdict` or `setup-elsewhere`; all of them are held to everything else.
#[derive(Default)]
pub(super) struct Executions<'s> {
    by_test: BTreeMap<TestIx, Vec<&'s PlannedExecution>>,
}

impl<'s> Executions<'s> {
    pub(super) fn all(&self) -> impl Iterator<Item = &'s PlannedExecution> {
        self.by_test.values().flatten().copied()
    }

    pub(super) fn of(&self, test: TestIx) -> &[&'s PlannedExecution] {
        self.by_test.get(&test).map_or(&[], Vec::as_slice)
    }

    /// When the first execution of `test` ends.
    fn first_end_ms(&self, test: TestIx) -> Option<u64> {
        self.of(test).iter().map(|execution| execution.end_ms).min()
    }
}

impl<'s> OnLife<'_, '_, 's> {
    /// Adds a violation on this life.
    pub(super) fn add(&mut self, rule: Rule, test: impl Into<Option<TestIx>>, message: &str) {
        let message = format!("life {}: {message}", self.index.row());
        self.check.add(rule, self.index, test, message);
    }

    pub(super) fn name(&self, test: TestIx) -> String {
        self.check.name(test)
    }

    /// Launch, readiness, starts and ends follow each other.
    fn times(&mut self) {
        let life = self.life;
        if life.launch_ms > life.ready_ms {
            let message = format!(
                "it is launched at {} ms and ready before, at {} ms",
                life.launch_ms, life.ready_ms
            );
            self.add(Rule::Times, None, &message);
        }
        if life.ready_ms > life.end_ms {
            let message = format!(
                "it is ready at {} ms and ends before, at {} ms",
                life.ready_ms, life.end_ms
            );
            self.add(Rule::Times, None, &message);
        }
        for execution in &life.executions {
            let (start_ms, end_ms) = (execution.start_ms, execution.end_ms);
            let what = if start_ms < life.ready_ms {
                format!("before the life is ready, at {} ms", life.ready_ms)
            } else if end_ms < start_ms {
                format!("after it ends, at {end_ms} ms")
            } else if end_ms > life.end_ms {
                format!(
                    "and ends at {end_ms} ms, after the life, at {} ms",
                    life.end_ms
                )
            } else {
                continue;
            };
            let message = format!(
                "{} starts at {start_ms} ms, {what}",
                self.name(execution.test)
            );
            self.add(Rule::Times, execution.test, &message);
        }
    }

    /// Executions are listed by start, then lane.
    fn rows(&mut self) {
        let key = |execution: &PlannedExecution| (execution.start_ms, execution.lane);
        for pair in self.life.executions.windows(2) {
            if let [before, behind] = pair
                && key(before) > key(behind)
            {
                let message = format!(
                    "{} stands behind one of a later start or lane",
                    self.name(behind.test)
                );
                self.add(Rule::RowOrder, behind.test, &message);
            }
        }
    }

    /// The lanes are as many as may be, and none runs two tests at once. With both, there are never
    /// more tests at one instant than lanes.
    fn lanes(&mut self) {
        let (life, allowed) = (self.life, self.check.plan.policy.lanes);
        if life.lanes == 0 || life.lanes > allowed {
            let message = format!("it has {} lanes of 1 to {allowed}", life.lanes);
            self.add(Rule::Lanes, None, &message);
        }
        let mut busy: BTreeMap<u32, &PlannedExecution> = BTreeMap::new();
        let mut by_start: Vec<_> = life.executions.iter().collect();
        by_start.sort_by_key(|execution| (execution.start_ms, execution.end_ms));
        for execution in by_start {
            if execution.lane >= life.lanes {
                let message = format!(
                    "{} runs on lane {}, and the lanes are numbered from 0 to less than {}",
                    self.name(execution.test),
                    execution.lane,
                    life.lanes
                );
                self.add(Rule::Lanes, execution.test, &message);
            }
            // The one that ends last is the one to compare with: it may outlast a shorter one.
            match busy.get(&execution.lane) {
                Some(other) if other.end_ms > execution.start_ms => {
                    let message = format!(
                        "{} starts on lane {} at {} ms, where {} runs until {} ms",
                        self.name(execution.test),
                        execution.lane,
                        execution.start_ms,
                        self.name(other.test),
                        other.end_ms
                    );
                    let outlasts = other.end_ms > execution.end_ms;
                    self.add(Rule::Lanes, execution.test, &message);
                    if outlasts {
                        continue;
                    }
                }
                Some(_) | None => {}
            }
            busy.insert(execution.lane, execution);
        }
    }

    /// The machine is one of the cell's, and the image can run on it.
    fn machine(&mut self, cell: &Cell) {
        let plan = self.check.plan;
        let Some(machine) = plan.machines.get(self.life.machine) else {
            let message = format!(
                "it asks for machine {}, which is not there",
                self.life.machine.row()
            );
            return self.add(Rule::References, None, &message);
        };
        let r#type = machine.r#type.escape_debug();
        if !cell.candidates.contains(&self.life.machine) {
            let message = format!("{type} is not a candidate of its cell");
            self.add(Rule::MachineFits, None, &message);
        }
        if let Some(image) = plan.images.get(cell.image)
            && image.arch != machine.arch
        {
            let message = format!(
                "{type} is {}, its image is {}",
                machine.arch.escape_debug(),
                image.arch.escape_debug()
            );
            self.add(Rule::MachineFits, None, &message);
        }
        self.needs(cell);
    }

    /// The machine is what the tests there need; what no machine of the cell is, is not asked of it.
    fn needs(&mut self, cell: &Cell) {
        let plan = self.check.plan;
        for execution in &self.life.executions {
            let test = execution.test;
            if plan.tests.get(test).is_none() {
                continue;
            }
            if let Some(lacking) = plan.lacking(cell, self.life.machine, test) {
                let message = format!(
                    "{} needs `{}`, and its machine is not like that",
                    self.name(test),
                    lacking.source.text.escape_debug()
                );
                self.add(Rule::MachineFits, test, &message);
            }
        }
    }

    /// The executions by test; those of tests that are not the cell's are reported and left out.
    fn executions(&mut self, cell: &Cell) -> Executions<'s> {
        let plan = self.check.plan;
        let tests = plan
            .shapes
            .get(cell.shape)
            .map_or(&[][..], |shape| &shape.tests);
        let mut executions = Executions::default();
        for execution in &self.life.executions {
            let test = execution.test;
            if plan.tests.get(test).is_some() && tests.binary_search(&test).is_ok() {
                executions.by_test.entry(test).or_default().push(execution);
            } else {
                let message = format!("{} is not a test of its cell", self.name(test));
                self.add(Rule::References, test, &message);
            }
        }
        executions
    }

    /// What a test needs is there and has ended; what it has an edge of order to has ended, if it is
    /// there.
    fn order(&mut self, executions: &Executions<'_>, demands: &Demands) {
        for execution in executions.all() {
            let test = execution.test;
            for other in demands.needs.get(&test).into_iter().flatten() {
                match executions.first_end_ms(*other) {
                    Some(end_ms) => self.follows(execution, *other, end_ms),
                    None => {
                        let message = format!(
                            "{} is there without {}, which it is after",
                            self.name(test),
                            self.name(*other)
                        );
                        self.add(Rule::LifeClosed, test, &message);
                    }
                }
            }
            for other in demands.order.get(&test).into_iter().flatten() {
                if let Some(end_ms) = executions.first_end_ms(*other) {
                    self.follows(execution, *other, end_ms);
                }
            }
        }
    }

    /// `execution` starts no earlier than `end_ms`, when `other` ends.
    fn follows(&mut self, execution: &PlannedExecution, other: TestIx, end_ms: u64) {
        if execution.start_ms < end_ms {
            let message = format!(
                "{} starts at {} ms, before {} has ended, at {end_ms} ms",
                self.name(execution.test),
                execution.start_ms,
                self.name(other)
            );
            self.add(Rule::OrderKept, execution.test, &message);
        }
    }
}
