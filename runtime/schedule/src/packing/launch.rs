//! When lives are launched: all at the start of the run, but for gates and a limit of machines.
//!
//! A list schedule: whenever a machine may be had, the first life in the order of rows is launched that
//! no gate keeps waiting. It only moves lives as wholes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use dva_plan::ExecutionPlan;
use dva_plan::plan::{CellIx, ImageIx};
use dva_plan::schedule::PlannedLife;

/// The lives of one image in the cells of one matrix.
type Group<'p> = (&'p str, ImageIx);

/// Moves `lives`, all launched at 0, to their launch, and sorts them by it, then by cell.
pub(super) fn assign(plan: &ExecutionPlan, lives: &mut [PlannedLife]) {
    let policy = &plan.policy;
    let most = policy.limits.machines.map_or(usize::MAX, |most| {
        usize::try_from(most).unwrap_or(usize::MAX).max(1)
    });
    if policy.gates.is_empty() && lives.len() <= most {
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
        while running.len() < most
            && let Some(row) = ready.pop_first()
        {
            delay(&mut lives[row], now_ms);
            running.push(Reverse((lives[row].end_ms, row)));
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
