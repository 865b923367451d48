//! In which regions lives are launched, where a quota would make them wait for too long on the cheapest machine.
//!
//! A pool of processors is busy for its work divided by its quota, and that is how long its lives take together
//! at least. The longest lives choose first: each takes the cheapest machine whose pool has time for it, or
//! the one whose pool is done soonest. What a life then costs more is counted. Its main type is [`Elsewhere`].

use std::cmp::Reverse;
use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::plan::{Cell, CellIx, MachineIx};
use dva_plan::schedule::PlannedLife;

use super::launch::{Pool, pool};
use crate::cost::life_cost;
use crate::quota::Quotas;

/// Moves lives to other machines that serve them.
pub(super) struct Elsewhere<'p> {
    plan: &'p ExecutionPlan,
    quotas: &'p Quotas,
}

impl<'p> Elsewhere<'p> {
    /// `None` where quotas make nobody wait, or there is nothing else to choose.
    pub(super) fn of(plan: &'p ExecutionPlan, quotas: &'p Quotas) -> Option<Self> {
        let chooses = |cell: &Cell| {
            let mut pools = cell.candidates.iter().map(|it| pool(plan, *it));
            let first = pools.next();
            pools.any(|other| Some(other) != first)
        };
        let is_limited = !quotas.vcpus.is_empty() || !quotas.vcpus_elsewhere.is_empty();
        (is_limited && plan.cells.iter().any(chooses)).then_some(Self { plan, quotas })
    }

    /// Moves `lives` so that no pool is busy for longer than `busy_ms`, as far as that can be; what the lives
    /// of each cell then cost more.
    pub(super) fn apply(&self, lives: &mut [PlannedLife], busy_ms: u64) -> BTreeMap<CellIx, u128> {
        let mut rows: Vec<usize> = (0..lives.len()).collect();
        rows.sort_by_cached_key(|row| {
            let life = &lives[*row];
            // The rows of cells say nothing; those of the lives of one cell do.
            let id = self.plan.cells[life.cell].id.as_str();
            (Reverse(life.end_ms), id, *row)
        });
        let mut work: BTreeMap<Pool<'p>, u128> = BTreeMap::new();
        let mut dearer: BTreeMap<CellIx, u128> = BTreeMap::new();
        for row in rows {
            let life = &mut lives[row];
            let own = life.machine;
            let mut choices = self.choices(life);
            choices.sort_by_key(|(cost, machine)| (*cost, *machine != own, *machine));
            let busy = |machine: MachineIx| self.busy_ms(&work, machine, life.end_ms);
            let in_time = choices
                .iter()
                .find(|(_, it)| busy(*it) <= u128::from(busy_ms));
            let soonest = || choices.iter().min_by_key(|(_, it)| busy(*it));
            let Some((cost, machine)) = in_time.or_else(soonest).copied() else {
                continue;
            };
            let before = choices.iter().find(|(_, it)| *it == own);
            let more = cost.saturating_sub(before.map_or(cost, |(cost, _)| *cost));
            *dearer.entry(life.cell).or_default() += more;
            life.machine = machine;
            let vcpus = self.plan.machines[machine].vcpus;
            *work.entry(pool(self.plan, machine)).or_default() +=
                u128::from(vcpus) * u128::from(life.end_ms);
        }
        dearer
    }

    /// The machines that serve `life` and could be had, with what it costs on each; where its own has a
    /// price, none without.
    fn choices(&self, life: &PlannedLife) -> Vec<(u128, MachineIx)> {
        let plan = self.plan;
        let cost = |machine: MachineIx| {
            let there = PlannedLife {
                machine,
                ..life.clone()
            };
            let cost = life_cost(plan, &there).ok()?;
            let nano_usd = u128::try_from(cost.bill.total().nano_usd()).ok()?;
            Some((cost.unpriced.is_empty(), nano_usd))
        };
        let is_priced = cost(life.machine).is_none_or(|(is_priced, _)| is_priced);
        let cell = &plan.cells[life.cell];
        let serves = |machine: MachineIx| {
            let mut tests = life.executions.iter().map(|execution| execution.test);
            machine == life.machine || tests.all(|test| plan.lacking(cell, machine, test).is_none())
        };
        let candidates = cell.candidates.iter().copied();
        let able = candidates
            .filter(|machine| self.quotas.allow(&plan.machines[*machine]) && serves(*machine));
        let choices = able.filter_map(|machine| {
            let (known, nano_usd) = cost(machine)?;
            (known == is_priced).then_some((nano_usd, machine))
        });
        choices.collect()
    }

    /// For how long the machine's pool is busy with a further life of `length_ms`; one without a quota never is.
    fn busy_ms(&self, work: &BTreeMap<Pool<'p>, u128>, machine: MachineIx, length_ms: u64) -> u128 {
        let pool = pool(self.plan, machine);
        let Some(most) = self.quotas.vcpus_in(pool.0, pool.1) else {
            return 0;
        };
        let vcpus = self.plan.machines[machine].vcpus;
        let own = u128::from(vcpus) * u128::from(length_ms);
        let all = work.get(&pool).copied().unwrap_or(0) + own;
        all.div_ceil(u128::from(most.max(1)))
    }
}
