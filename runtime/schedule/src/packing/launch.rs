//! When lives are launched: all at the start of the run, but for gates, limits of machines and of states of the
//! account, quotas and the rate of launches.
//!
//! A list schedule: whenever something may be had, the life goes first that has the most behind it: its own
//! length, and that of what waits at the gates it opens. A life that has to wait lets others go ahead. It
//! only moves lives as wholes; one has a state of the account from the first test that touches it
//! to the end of the last one.

mod account;
mod rate;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{CellIx, ImageIx, MachineIx};
use dva_plan::schedule::PlannedLife;

use crate::quota::{QuotaClass, Quotas};
use account::Accounts;
use rate::Launches;

/// How many lives of a region and class that cannot be launched are passed over in search of one that can.
const PASSED_OVER: usize = 64;

/// The lives of one image in the cells of one matrix.
type Group<'p> = (&'p str, ImageIx);
/// Lives whose virtual processors are counted together.
pub(super) type Pool<'p> = (&'p str, QuotaClass);

/// Moves `lives`, all launched at 0, to their launch, and sorts them by it, then by cell.
///
/// # Errors
/// The virtual processors that some life alone needs, where a quota has fewer.
pub(super) fn assign(
    plan: &ExecutionPlan,
    quotas: &Quotas,
    lives: &mut [PlannedLife],
) -> Result<(), BTreeMap<(String, QuotaClass), u32>> {
    if !is_coupled(plan, quotas) {
        return Ok(());
    }
    let most = plan.policy.limits.machines.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX).max(1)
    });
    let missing = missing(plan, quotas, lives);
    if !missing.is_empty() {
        return Err(missing);
    }
    let mut launcher = Launcher::new(plan, quotas, lives, most);
    launcher.run(lives);
    lives.sort_by_key(|life| (life.launch_ms, life.cell));
    Ok(())
}

/// Whether a life may have to wait for others.
pub(super) fn is_coupled(plan: &ExecutionPlan, quotas: &Quotas) -> bool {
    !plan.policy.gates.is_empty()
        || plan.policy.limits.machines.is_some()
        || plan.states.iter().any(|state| state.per_account.is_some())
        || !quotas.are_none()
}

/// What lives need alone and quotas do not allow.
fn missing(
    plan: &ExecutionPlan,
    quotas: &Quotas,
    lives: &[PlannedLife],
) -> BTreeMap<(String, QuotaClass), u32> {
    let mut missing: BTreeMap<(String, QuotaClass), u32> = BTreeMap::new();
    for life in lives {
        let machine = &plan.machines[life.machine];
        if !quotas.allow(machine) {
            let class = QuotaClass::of(machine);
            let needed = missing.entry((machine.region.clone(), class)).or_default();
            *needed = machine.vcpus.max(*needed);
        }
    }
    missing
}

/// A run of launches.
struct Launcher<'p> {
    plan: &'p ExecutionPlan,
    quotas: &'p Quotas,
    /// How many machines there may be at once.
    most: usize,
    /// The rows of lives by urgency, and the urgency of each row.
    by_urgency: Vec<usize>,
    urgency: Vec<usize>,
    /// What may be launched, by urgency.
    ready: BTreeMap<Pool<'p>, BTreeSet<usize>>,
    /// The pools in which something may have become possible.
    stirred: BTreeSet<Pool<'p>>,
    /// When else something may become possible.
    wakes: BTreeSet<(u64, Pool<'p>)>,
    used_vcpus: BTreeMap<Pool<'p>, u32>,
    running: BinaryHeap<Reverse<(u64, usize)>>,
    accounts: Accounts,
    launches: Launches<'p>,
    gates: Gates<'p>,
}

/// Which lives wait at gates.
struct Gates<'p> {
    /// How many lives of each group have not ended.
    left: BTreeMap<Group<'p>, usize>,
    /// How many open groups each one waits for.
    closed: BTreeMap<Group<'p>, usize>,
    opens: BTreeMap<Group<'p>, Vec<Group<'p>>>,
    waiting: BTreeMap<Group<'p>, Vec<usize>>,
}

impl<'p> Launcher<'p> {
    fn new(
        plan: &'p ExecutionPlan,
        quotas: &'p Quotas,
        lives: &[PlannedLife],
        most: usize,
    ) -> Self {
        let gates = Gates::of(plan, lives);
        let by_urgency = gates.by_urgency(plan, lives);
        let mut urgency = vec![0; lives.len()];
        for (place, row) in by_urgency.iter().enumerate() {
            urgency[*row] = place;
        }
        let mut launcher = Self {
            plan,
            quotas,
            most,
            by_urgency,
            urgency,
            ready: BTreeMap::new(),
            stirred: BTreeSet::new(),
            wakes: BTreeSet::new(),
            used_vcpus: BTreeMap::new(),
            running: BinaryHeap::new(),
            accounts: Accounts::default(),
            launches: Launches::new(quotas.launches),
            gates,
        };
        for (row, life) in lives.iter().enumerate() {
            let group = group(plan, life.cell);
            if launcher.gates.closed.contains_key(&group) {
                let waiting = launcher.gates.waiting.entry(group).or_default();
                waiting.push(row);
            } else {
                launcher.open(life, row);
            }
        }
        launcher
    }

    fn run(&mut self, lives: &mut [PlannedLife]) {
        let mut now_ms = 0;
        loop {
            self.launch_what_may(lives, now_ms);
            let end_ms = self.running.peek().map(|Reverse((end_ms, _))| *end_ms);
            let wake_ms = self.wakes.first().map(|(wake_ms, _)| *wake_ms);
            let Some(next_ms) = end_ms.into_iter().chain(wake_ms).min() else {
                return;
            };
            now_ms = next_ms;
            while let Some((wake_ms, pool)) = self.wakes.first().copied()
                && wake_ms <= now_ms
            {
                self.wakes.remove(&(wake_ms, pool));
                self.stirred.insert(pool);
            }
            while let Some(Reverse((end_ms, row))) = self.running.peek().copied()
                && end_ms <= now_ms
            {
                self.running.pop();
                self.end(lives, row);
            }
        }
    }

    /// The life may be launched as far as gates are concerned.
    fn open(&mut self, life: &PlannedLife, row: usize) {
        let pool = pool(self.plan, life.machine);
        self.ready
            .entry(pool)
            .or_default()
            .insert(self.urgency[row]);
        self.stirred.insert(pool);
    }

    fn end(&mut self, lives: &[PlannedLife], row: usize) {
        let pool = pool(self.plan, lives[row].machine);
        if let Some(used) = self.used_vcpus.get_mut(&pool) {
            *used = used.saturating_sub(self.plan.machines[lives[row].machine].vcpus);
        }
        self.stirred.insert(pool);
        if self.most < usize::MAX {
            self.stirred.extend(self.ready.keys());
        }
        for opened in self.gates.end(group(self.plan, lives[row].cell)) {
            self.open(&lives[opened], opened);
        }
    }

    /// Launches lives of the pools that are stirred, the most urgent of all first.
    fn launch_what_may(&mut self, lives: &mut [PlannedLife], now_ms: u64) {
        // Where to look on in each pool, and how many were passed over.
        let mut looked: BTreeMap<Pool<'p>, (usize, usize)> = std::mem::take(&mut self.stirred)
            .into_iter()
            .map(|pool| (pool, (0, 0)))
            .collect();
        while self.running.len() < self.most {
            let next = |(pool, (from, _)): (&Pool<'p>, &(usize, usize))| {
                let urgency = *self.ready.get(pool)?.range(*from..).next()?;
                Some((urgency, *pool))
            };
            let Some((urgency, pool)) = looked.iter().filter_map(next).min() else {
                return;
            };
            let row = self.by_urgency[urgency];
            let launched = self.launch(&mut lives[row], row, pool, now_ms);
            if let Some((from, passed_over)) = looked.get_mut(&pool) {
                *from = urgency + 1;
                *passed_over += usize::from(!launched);
                if *passed_over > PASSED_OVER {
                    looked.remove(&pool);
                }
            }
        }
    }

    /// Launches the life, if nothing is against it; else notes when there may be less against it.
    fn launch(&mut self, life: &mut PlannedLife, row: usize, pool: Pool<'p>, now_ms: u64) -> bool {
        let vcpus = self.plan.machines[life.machine].vcpus;
        let used = self.used_vcpus.get(&pool).copied().unwrap_or(0);
        let most = self.quotas.vcpus_in(pool.0, pool.1);
        if most.is_some_and(|most| used.saturating_add(vcpus) > most) {
            return false;
        }
        let uses = Accounts::uses(self.plan, life);
        let free_ms = self.accounts.free_ms(&uses, now_ms);
        if free_ms > now_ms {
            self.wakes.insert((free_ms, pool));
            return false;
        }
        if let Err(wake_ms) = self.launches.take(self.plan, life, now_ms) {
            self.wakes.insert((wake_ms, pool));
            return false;
        }
        if let Some(ready) = self.ready.get_mut(&pool) {
            ready.remove(&self.urgency[row]);
        }
        self.used_vcpus.insert(pool, used.saturating_add(vcpus));
        self.accounts.take(&uses, now_ms);
        delay(life, now_ms);
        self.running.push(Reverse((life.end_ms, row)));
        true
    }
}

impl<'p> Gates<'p> {
    fn of(plan: &'p ExecutionPlan, lives: &[PlannedLife]) -> Self {
        let mut left: BTreeMap<Group<'_>, usize> = BTreeMap::new();
        for life in lives {
            *left.entry(group(plan, life.cell)).or_default() += 1;
        }
        let mut closed: BTreeMap<Group<'_>, usize> = BTreeMap::new();
        let mut opens: BTreeMap<Group<'_>, Vec<Group<'_>>> = BTreeMap::new();
        for gate in &plan.policy.gates {
            for (matrix, image) in left.keys().copied() {
                if matrix == gate.first && left.contains_key(&(gate.then.as_str(), image)) {
                    let then = (gate.then.as_str(), image);
                    *closed.entry(then).or_default() += 1;
                    opens.entry((matrix, image)).or_default().push(then);
                }
            }
        }
        Self {
            left,
            closed,
            opens,
            waiting: BTreeMap::new(),
        }
    }

    /// The lives that may go now that one of `ended` has ended.
    fn end(&mut self, ended: Group<'p>) -> Vec<usize> {
        let mut opened = Vec::new();
        let Some(others) = self.left.get_mut(&ended) else {
            return opened;
        };
        *others -= 1;
        if *others > 0 {
            return opened;
        }
        for then in self.opens.remove(&ended).into_iter().flatten() {
            if let Some(gates) = self.closed.get_mut(&then) {
                *gates -= 1;
                if *gates == 0 {
                    self.closed.remove(&then);
                    opened.extend(self.waiting.remove(&then).into_iter().flatten());
                }
            }
        }
        opened
    }

    /// The rows of `lives`, those first behind which most has still to be waited for.
    fn by_urgency(&self, plan: &'p ExecutionPlan, lives: &[PlannedLife]) -> Vec<usize> {
        let mut longest: BTreeMap<Group<'_>, u64> = BTreeMap::new();
        for life in lives {
            let length_ms = longest.entry(group(plan, life.cell)).or_default();
            *length_ms = life.end_ms.max(*length_ms);
        }
        // Gates form no cycle, so that many rounds settle what is behind each.
        let mut behind: BTreeMap<Group<'_>, u64> = BTreeMap::new();
        for _ in 0..=plan.policy.gates.len() {
            for (first, opens) in &self.opens {
                let then_ms = opens.iter().map(|then| {
                    let own_ms = longest.get(then).copied().unwrap_or(0);
                    own_ms.saturating_add(behind.get(then).copied().unwrap_or(0))
                });
                let then_ms = then_ms.max().unwrap_or(0);
                behind.insert(*first, then_ms);
            }
        }
        let mut rows: Vec<usize> = (0..lives.len()).collect();
        rows.sort_by_cached_key(|row| {
            let life = &lives[*row];
            let behind_ms = behind.get(&group(plan, life.cell)).copied().unwrap_or(0);
            // The rows of cells say nothing; those of the lives of one cell do.
            let id = plan.cells[life.cell].id.as_str();
            (Reverse(life.end_ms.saturating_add(behind_ms)), id, *row)
        });
        rows
    }
}

fn group(plan: &ExecutionPlan, cell: CellIx) -> Group<'_> {
    let cell = &plan.cells[cell];
    (&cell.matrix, cell.image)
}

/// Where the processors of `machine` are counted.
pub(super) fn pool(plan: &ExecutionPlan, machine: MachineIx) -> Pool<'_> {
    let machine = &plan.machines[machine];
    (&machine.region, QuotaClass::of(machine))
}

fn delay(life: &mut PlannedLife, by_ms: u64) {
    let later = |time_ms: &mut u64| *time_ms = time_ms.saturating_add(by_ms);
    later(&mut life.launch_ms);
    later(&mut life.ready_ms);
    later(&mut life.end_ms);
    for execution in &mut life.executions {
        later(&mut execution.start_ms);
        later(&mut execution.end_ms);
    }
}
