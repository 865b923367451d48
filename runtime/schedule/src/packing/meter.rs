//! What the lives of a cell cost on the cheapest of its candidates: the measure of a search.
//!
//! One larger machine for all tests or two smaller ones is decided here as well, life by life: a candidate
//! serves a life if it is what all the tests there require. Its main type is [`Meter`].

use dva_plan::ExecutionPlan;
use dva_plan::eval::{Facts, eval};
use dva_plan::expr::MachineFact;
use dva_plan::plan::{Cell, Machine, MachineIx};
use dva_plan::value::Value;

use super::Assumptions;
use super::set::TestSet;
use super::tariff::{Length, Pricing, Tariff};
use super::workload::Workload;

/// What lives cost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Meter {
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) boot_ms: u64,
    pub(crate) pending_ms: u64,
    /// Whether what it says is money.
    pub(crate) is_priced: bool,
}

/// A machine that may serve lives.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    /// Its place among the candidates of the cell.
    pub(crate) place: usize,
    pub(crate) tariff: Tariff,
    /// Which tests it is able to run; `None` for all.
    serves: Option<TestSet>,
}

/// What a life comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Charge {
    /// In billionths of a dollar; milliseconds, where no machine has a price.
    pub(crate) cost: u128,
    /// The candidate, by its place among those of the cell.
    pub(crate) place: usize,
}

impl Meter {
    /// That of `cell`, whose tests are those of `workload`. Of candidates that serve the same tests, one
    /// that never costs more than another one replaces it. Where a price is known or a machine is free,
    /// machines without a known price are not chosen.
    pub(crate) fn of(
        plan: &ExecutionPlan,
        cell: &Cell,
        workload: &Workload,
        assumptions: &Assumptions,
    ) -> Self {
        let pricings: Vec<Pricing> = cell
            .candidates
            .iter()
            .map(|machine| Pricing::of(&plan.machines[*machine]))
            .collect();
        let is_free = pricings.contains(&Pricing::Free);
        let is_priced = pricings
            .iter()
            .any(|pricing| matches!(pricing, Pricing::Priced(_)));
        let mut candidates: Vec<Candidate> = Vec::new();
        for (place, pricing) in pricings.into_iter().enumerate() {
            let tariff = match pricing {
                Pricing::Free => Tariff::of_time(),
                Pricing::Priced(tariff) if !is_free => tariff,
                Pricing::Unknown if !is_free && !is_priced => Tariff::of_time(),
                Pricing::Priced(_) | Pricing::Unknown => continue,
            };
            let serves = serves(plan, cell, workload, cell.candidates[place]);
            let candidate = Candidate {
                place,
                tariff,
                serves,
            };
            let is_covered = |other: &Candidate| {
                candidate.serves == other.serves && candidate.tariff == other.tariff
            };
            if !candidates.iter().any(is_covered) {
                candidates.push(candidate);
            }
        }
        Self {
            candidates,
            boot_ms: assumptions.boot_ms,
            pending_ms: assumptions.pending_ms.min(assumptions.boot_ms),
            is_priced: is_priced && !is_free,
        }
    }

    /// The same for a search that is to serve many cells: of one candidate only how it rounds.
    pub(crate) fn for_search(&self, workload: &Workload) -> Self {
        let mut meter = self.clone();
        if let [only] = meter.candidates.as_mut_slice()
            && !workload.has_volumes()
        {
            only.tariff = only.tariff.rounding();
            only.place = 0;
        }
        meter
    }

    /// Whether some tests need a machine that is not the cheapest one.
    pub(crate) fn is_choosy(&self) -> bool {
        self.candidates
            .iter()
            .any(|candidate| candidate.serves.is_some())
    }

    /// What a life with `tests` that are done in `length_ms` costs; `None` where no candidate serves it.
    pub(crate) fn charge(
        &self,
        workload: &Workload,
        tests: &TestSet,
        length_ms: u64,
    ) -> Option<Charge> {
        let length = Length {
            alive_ms: self.boot_ms.saturating_add(length_ms),
            pending_ms: self.pending_ms,
            gib: workload.gib(tests),
        };
        let able = self.candidates.iter().filter(|candidate| {
            candidate
                .serves
                .as_ref()
                .is_none_or(|serves| tests.is_subset(serves))
        });
        able.map(|candidate| Charge {
            cost: candidate.tariff.life(length),
            place: candidate.place,
        })
        .min_by_key(|charge| (charge.cost, charge.place))
    }
}

/// Which tests `machine` is able to run; `None` for all. What no machine of the cell can is not run, so
/// any will do.
fn serves(
    plan: &ExecutionPlan,
    cell: &Cell,
    workload: &Workload,
    machine: MachineIx,
) -> Option<TestSet> {
    let facts = OfMachine(&plan.machines[machine]);
    let is_able = |place: usize| {
        let test = workload.tests[place];
        cell.unsupported.binary_search(&test).is_ok()
            || plan.tests[test].requires.iter().all(|required| {
                let holds = eval(&plan.expressions, required.condition, &facts);
                // What is not known of a machine is no reason against it.
                !matches!(holds, Ok(Value::Bool(false)))
            })
    };
    let able = TestSet::of(workload.len(), (0..workload.len()).filter(|p| is_able(*p)));
    (able.len() < workload.len()).then_some(able)
}

/// What is known of a machine before there is one.
struct OfMachine<'p>(&'p Machine);

impl Facts for OfMachine<'_> {
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.0.fact(fact)
    }
}
