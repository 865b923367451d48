//! What the lives of a cell cost on the cheapest of its candidates: the measure of a search.
//!
//! One larger machine for all tests or two smaller ones is decided here as well, life by life: a candidate
//! serves a life if it is what all the tests there require. Its main type is [`Meter`].

use std::collections::BTreeSet;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Cell, MachineIx};

use super::Assumptions;
use super::set::TestSet;
use super::tariff::{Length, Pricing, Tariff};
use super::workload::Workload;
use crate::quota::Quotas;

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
    /// machines without a known price are not chosen; nor are those that `quotas` do not allow, as long as
    /// others serve.
    pub(crate) fn of(
        plan: &ExecutionPlan,
        cell: &Cell,
        workload: &Workload,
        assumptions: &Assumptions,
        quotas: &Quotas,
    ) -> Self {
        let all = Self::regardless(plan, cell, workload, assumptions);
        all.within(plan, cell, workload, quotas).without_twins()
    }

    /// The same with the machines alone that may be had.
    fn within(
        self,
        plan: &ExecutionPlan,
        cell: &Cell,
        workload: &Workload,
        quotas: &Quotas,
    ) -> Self {
        if quotas.are_none() {
            return self;
        }
        let machine = |candidate: &Candidate| &plan.machines[cell.candidates[candidate.place]];
        let allowed = |most: u32| {
            let mut meter = self.clone();
            meter.candidates.retain(|candidate| {
                let machine = machine(candidate);
                quotas.allow(machine) || machine.vcpus <= most
            });
            meter
        };
        // Where a quota has to be raised, then for as few as can be.
        let sizes = self.candidates.iter().map(|it| machine(it).vcpus);
        let sizes: BTreeSet<u32> = sizes.chain([0]).collect();
        let serves = |meter: &Self| {
            let mut parts = workload.parts.iter();
            parts.all(|part| {
                let tests = workload.with_last(&part.tests);
                meter.charge(workload, &tests, 0).is_some()
            })
        };
        let least = sizes.into_iter().map(allowed).find(serves);
        least.unwrap_or(self)
    }

    /// The same without what costs as much and serves the same as one before it.
    fn without_twins(mut self) -> Self {
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in self.candidates {
            let is_twin = |other: &Candidate| {
                candidate.serves == other.serves && candidate.tariff == other.tariff
            };
            if !candidates.iter().any(is_twin) {
                candidates.push(candidate);
            }
        }
        self.candidates = candidates;
        self
    }

    fn regardless(
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
            candidates.push(candidate);
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

    /// Which candidates serve the test at `place`.
    pub(crate) fn serving(&self, place: usize) -> impl Iterator<Item = &Candidate> {
        let serves = move |candidate: &&Candidate| {
            let serves = candidate.serves.as_ref();
            serves.is_none_or(|serves| serves.contains(place))
        };
        self.candidates.iter().filter(serves)
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
    let is_able = |place: usize| plan.lacking(cell, machine, workload.tests[place]).is_none();
    let able = TestSet::of(workload.len(), (0..workload.len()).filter(|p| is_able(*p)));
    (able.len() < workload.len()).then_some(able)
}
