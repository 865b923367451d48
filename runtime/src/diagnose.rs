//! Who polluted it? Why a test has failed that shared its machine with others.
//!
//! A test that failed on a machine where other tests had run is run again on fresh ones: alone, with what it is
//! `after` and nothing else; then behind all that had run before; then behind ever fewer of that, until one
//! test is found that makes the difference. Each of these trials is a run of its own, of a part of the plan by a
//! schedule in which all tests run one after the other. Verdicts do not change by it.
//!
//! What is here is pure: [`suspicions`] finds what may be looked into, [`Suspicion::trial`] says what to run,
//! and [`Search`] what to make of it.

mod search;

use std::collections::BTreeSet;

use dva_plan::document::{Loaded, PRODUCER, read, to_bytes};
use dva_plan::plan::{CellIx, MachineIx, TestIx};
use dva_plan::report::{ExecutionReport, RunReport, TestRunReport};
use dva_plan::schedule::{PlannedExecution, PlannedLife};
use dva_plan::table::{Index, Table};
use dva_plan::verdict::Waived;
use dva_plan::{ExecutionPlan, Schedule, TestId, Verdict};

use dva_schedule::Assumptions;

pub use search::{Culprit, Heard, Search, Turn};

/// A test run that has failed, and what had run on its machine by then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suspicion {
    /// The cell.
    pub cell: CellIx,
    /// The test that has failed.
    pub test: TestIx,
    /// The machine that it failed on.
    pub machine: MachineIx,
    /// What it needs, in the order in which that ran.
    needs: Vec<TestIx>,
    /// All others that had started on its machine before it ended, in the order in which they did. Whatever one
    /// of them needs comes before it, or is needed by the test itself.
    pub suspects: Vec<TestIx>,
}

/// What is run to find out.
#[derive(Clone, Debug)]
pub struct Trial {
    /// A part of the plan.
    pub plan: Loaded<ExecutionPlan>,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// One life of it, with one lane.
    pub schedule: Schedule,
}

/// The test runs of a run that failed, once at least, on a machine that others had used, by their cell and test.
/// Tests that may run but once are neither tried again nor suspected.
#[must_use]
pub fn suspicions(plan: &ExecutionPlan, report: &RunReport) -> Vec<Suspicion> {
    let failed = report.test_runs.iter().filter(|run| {
        matches!(
            run.verdict,
            Verdict::Failed { .. }
                | Verdict::Flaky
                | Verdict::Waived {
                    what: Waived::Failed
                }
        )
    });
    failed
        .filter_map(|run| suspicion(plan, report, run))
        .collect()
}

fn suspicion(plan: &ExecutionPlan, report: &RunReport, run: &TestRunReport) -> Option<Suspicion> {
    let (cell, row) = plan
        .cells
        .enumerate()
        .find(|(_, cell)| cell.id == run.cell)?;
    let named = |id: &TestId| plan.tests.enumerate().find(|(_, test)| test.id == *id);
    let (test, _) = named(&run.test)?;
    // A later one was on a machine that was as good as its own.
    let first = run.executions.iter().find(|execution| !execution.setup)?;
    let life = report.lives.get(first.life)?;
    let machine = row.candidates.iter().copied().find(|machine| {
        let machine = &plan.machines[*machine];
        machine.r#type == life.r#type && machine.region == life.region
    })?;
    let shape = &plan.shapes[row.shape];
    let needed = shape.closed(BTreeSet::from([test]));
    if needed.iter().any(|test| plan.tests[*test].once) {
        return None;
    }
    let mut before: Vec<(&ExecutionReport, TestIx)> = report
        .test_runs
        .iter()
        .filter(|other| other.cell == run.cell && other.test != run.test)
        .filter_map(|other| Some((other, named(&other.test)?.0)))
        .flat_map(|(other, test)| other.executions.iter().map(move |of| (of, test)))
        .filter(|(of, _)| of.life == first.life && of.start_ms < first.end_ms)
        .collect();
    before.sort_by_key(|(of, test)| (of.start_ms, of.lane, *test));
    let mut needs = Vec::new();
    let mut suspects = Vec::new();
    for (_, other) in before {
        if needed.contains(&other) {
            needs.push(other);
            continue;
        }
        let mut of_other = shape.closed(BTreeSet::from([other])).into_iter();
        if !of_other.any(|need| plan.tests[need].once) {
            suspects.push(other);
        }
    }
    (!suspects.is_empty()).then_some(Suspicion {
        cell,
        test,
        machine,
        needs,
        suspects,
    })
}

impl Suspicion {
    /// What to run: these of the suspects with what they need, and then the test. `None` where that cannot be a
    /// plan.
    #[must_use]
    pub fn trial(
        &self,
        plan: &ExecutionPlan,
        suspects: &[TestIx],
        assumptions: &Assumptions,
    ) -> Option<Trial> {
        let shape = &plan.shapes[plan.cells[self.cell].shape];
        let wanted = suspects.iter().chain([&self.test]).copied().collect();
        let wanted = shape.closed(wanted);
        let before = self.needs.iter().chain(&self.suspects);
        let before = before.copied().filter(|test| wanted.contains(test));
        let order: Vec<TestIx> = before.chain([self.test]).collect();
        let runs: BTreeSet<_> = order.iter().map(|test| (self.cell, *test)).collect();
        let mut plan = plan.restricted_to(&runs)?;
        // A try that fails is what we want to see.
        plan.tests.iter_mut().for_each(|test| test.retry = 0);
        plan.policy.lanes = 1;
        plan.policy.gates.clear();
        let cell = CellIx::from_row(0);
        plan.cells[cell].candidates = vec![self.machine];
        let bytes = to_bytes(&plan);
        let plan: Loaded<ExecutionPlan> = read(bytes.as_slice()).ok()?;
        let life = self.life(&plan.body, &order, assumptions);
        let without = |of: &&PlannedExecution| plan.body.tests[of.test].takes_ms.is_none();
        let defaulted = life.executions.iter().filter(without).count();
        let schedule = Schedule {
            producer: PRODUCER.into(),
            plan_digest: plan.header.digest.clone(),
            makespan_ms: life.end_ms,
            defaulted_durations: u32::try_from(defaulted).unwrap_or(u32::MAX),
            lives: Table::from_iter([life]),
        };
        Some(Trial {
            plan,
            bytes,
            schedule,
        })
    }

    /// One test after the other, in this order.
    fn life(
        &self,
        plan: &ExecutionPlan,
        order: &[TestIx],
        assumptions: &Assumptions,
    ) -> PlannedLife {
        let mut at_ms = assumptions.boot_ms;
        let executions = order.iter().map(|test| {
            let start_ms = at_ms;
            let takes_ms = plan.tests[*test].takes_ms;
            at_ms = at_ms.saturating_add(takes_ms.unwrap_or(assumptions.default_takes_ms));
            PlannedExecution {
                test: *test,
                lane: 0,
                start_ms,
                end_ms: at_ms,
                setup: false,
            }
        });
        let executions: Vec<PlannedExecution> = executions.collect();
        PlannedLife {
            cell: CellIx::from_row(0),
            machine: self.machine,
            boot: executions.iter().find_map(|of| plan.tests[of.test].boot),
            lanes: 1,
            launch_ms: 0,
            pending_ms: assumptions.pending_ms,
            ready_ms: assumptions.boot_ms,
            end_ms: at_ms,
            executions,
        }
    }
}

/// What a trial says of the test.
#[must_use]
pub fn heard(plan: &ExecutionPlan, suspicion: &Suspicion, report: &RunReport) -> Heard {
    let id = &plan.tests[suspicion.test].id;
    let run = report.test_runs.iter().find(|run| run.test == *id);
    match run.map(|run| &run.verdict) {
        Some(Verdict::Passed | Verdict::Flaky) => Heard::Passed,
        Some(Verdict::Failed { .. } | Verdict::Waived { .. }) => Heard::Failed,
        Some(other) => Heard::Nothing(other.to_string()),
        None => Heard::Nothing("it is not in the report".to_owned()),
    }
}
