//! When lives are launched: all at the start of the run, but for gates, a limit of machines and limits of
//! states of the account.
//!
//! A list schedule: whenever a machine may be had, the first life in the order of rows is launched that
//! no gate and no such state keeps waiting. It only moves lives as wholes, and a life has a state of the
//! account from the first test that touches it to the end of the last one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{CellIx, ImageIx, StateIx};
use dva_plan::schedule::PlannedLife;

/// The lives of one image in the cells of one matrix.
type Group<'p> = (&'p str, ImageIx);

/// Moves `lives`, all launched at 0, to their launch, and sorts them by it, then by cell.
pub(super) fn assign(plan: &ExecutionPlan, lives: &mut [PlannedLife]) {
    let policy = &plan.policy;
    let most = policy.limits.machines.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX).max(1)
    });
    let mut accounts = Accounts::default();
    let is_limited = plan.states.iter().any(|state| state.per_account.is_some());
    if policy.gates.is_empty() && lives.len() <= most && !is_limited {
        return;
    }
    let group = |cell: CellIx| -> Group<'_> {
        let cell = &plan.cells[cell];
        (&cell.matrix, cell.image)
    };
    // How many lives of each group have not ended, and how many open groups each one waits for.
    let mut left: BTreeMap<Group<'_>, usize> = BTreeMap::new();
    for life in &*lives {
        *left.entry(group(life.cell)).or_default() += 1;
    }
    let mut closed: BTreeMap<Group<'_>, usize> = BTreeMap::new();
    let mut opens: BTreeMap<Group<'_>, Vec<Group<'_>>> = BTreeMap::new();
    for gate in &policy.gates {
        for (matrix, image) in left.keys().copied() {
            if matrix == gate.first && left.contains_key(&(gate.then.as_str(), image)) {
                let then = (gate.then.as_str(), image);
                *closed.entry(then).or_default() += 1;
                opens.entry((matrix, image)).or_default().push(then);
            }
        }
    }
    let mut ready: BTreeSet<usize> = BTreeSet::new();
    let mut waiting: BTreeMap<Group<'_>, Vec<usize>> = BTreeMap::new();
    for (row, life) in lives.iter().enumerate() {
        match closed.contains_key(&group(life.cell)) {
            true => waiting.entry(group(life.cell)).or_default().push(row),
            false => drop(ready.insert(row)),
        }
    }
    let mut running: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut now_ms = 0;
    loop {
        // When the first of those that wait for a state of the account may go.
        let mut next_ms = None;
        let mut row = 0;
        while running.len() < most
            && let Some(first) = ready.range(row..).next().copied()
        {
            row = first + 1;
            let uses = Accounts::uses(plan, &lives[first]);
            let free_ms = accounts.free_ms(&uses, now_ms);
            if free_ms > now_ms {
                next_ms = Some(next_ms.map_or(free_ms, |next_ms: u64| next_ms.min(free_ms)));
                continue;
            }
            ready.remove(&first);
            accounts.take(&uses, now_ms);
            delay(&mut lives[first], now_ms);
            running.push(Reverse((lives[first].end_ms, first)));
        }
        if let Some(next_ms) = next_ms
            && running
                .peek()
                .is_none_or(|Reverse((end_ms, _))| next_ms < *end_ms)
        {
            now_ms = next_ms;
            continue;
        }
        let Some(Reverse((end_ms, row))) = running.pop() else {
            break;
        };
        now_ms = end_ms;
        let ended = group(lives[row].cell);
        let Some(others) = left.get_mut(&ended) else {
            continue;
        };
        *others -= 1;
        if *others > 0 {
            continue;
        }
        for then in opens.remove(&ended).into_iter().flatten() {
            if let Some(gates) = closed.get_mut(&then) {
                *gates -= 1;
                if *gates == 0 {
                    ready.extend(waiting.remove(&then).into_iter().flatten());
                }
            }
        }
    }
    lives.sort_by_key(|life| (life.launch_ms, life.cell));
}

/// When lives that have been launched have states of the account.
#[derive(Default)]
struct Accounts {
    taken: BTreeMap<StateIx, Vec<(u64, u64)>>,
}

/// A state of the account that a life uses, how many lives may at once, and from when until when, by the
/// clock of a life that is launched at 0.
struct Use {
    state: StateIx,
    most: usize,
    from_ms: u64,
    until_ms: u64,
}

impl Accounts {
    /// What `life`, launched at 0, uses.
    fn uses(plan: &ExecutionPlan, life: &PlannedLife) -> Vec<Use> {
        let mut uses: Vec<Use> = Vec::new();
        for execution in &life.executions {
            for (state, most) in plan.account_states(execution.test) {
                match uses.iter_mut().find(|of| of.state == state) {
                    Some(of) => {
                        of.from_ms = of.from_ms.min(execution.start_ms);
                        of.until_ms = of.until_ms.max(execution.end_ms);
                    }
                    None => uses.push(Use {
                        state,
                        most: usize::try_from(most).unwrap_or(usize::MAX).max(1),
                        from_ms: execution.start_ms,
                        until_ms: execution.end_ms,
                    }),
                }
            }
        }
        uses
    }

    /// When a life that uses all this may be launched, `now_ms` or later: when enough of the others that
    /// would use something with it have left it.
    fn free_ms(&self, uses: &[Use], now_ms: u64) -> u64 {
        let mut launch_ms = now_ms;
        while let Some(later_ms) = uses.iter().find_map(|of| self.later_ms(of, launch_ms)) {
            launch_ms = later_ms;
        }
        launch_ms
    }

    /// The first launch behind `launch_ms` that one life fewer would meet, where too many would be met then.
    fn later_ms(&self, of: &Use, launch_ms: u64) -> Option<u64> {
        let from_ms = launch_ms.saturating_add(of.from_ms);
        let until_ms = launch_ms.saturating_add(of.until_ms);
        let taken = self.taken.get(&of.state).into_iter().flatten();
        let met = taken.filter(|(from, until)| *from < until_ms && from_ms < *until);
        let ends: Vec<u64> = met.map(|(_, until)| *until).collect();
        if ends.len() < of.most {
            return None;
        }
        let first_ms = ends.into_iter().min()?;
        Some(first_ms.saturating_sub(of.from_ms))
    }

    /// Notes that a life that uses all this is launched at `now_ms`.
    fn take(&mut self, uses: &[Use], now_ms: u64) {
        for of in uses {
            let from_ms = now_ms.saturating_add(of.from_ms);
            let until_ms = now_ms.saturating_add(of.until_ms);
            let taken = self.taken.entry(of.state).or_default();
            taken.retain(|(_, until_ms)| *until_ms > now_ms);
            taken.push((from_ms, until_ms));
        }
    }
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
