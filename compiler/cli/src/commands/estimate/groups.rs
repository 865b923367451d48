//! What a schedule comes to by region and operating system.

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::plan::CellIx;
use dva_plan::schedule::Schedule;
use dva_plan::table::{Index, Table};
use dva_schedule::{BillError, cost};

/// The lives of one operating system in one region.
pub struct Group {
    /// The region.
    pub region: String,
    /// The operating system.
    pub os: String,
    /// How many cells have lives here.
    pub cells: usize,
    /// How many lives there are, each of which begins with the launch of a machine.
    pub lives: usize,
    /// The most of them at one instant.
    pub machines: usize,
    /// What those cost whose machines have a price.
    pub cost: Money,
    /// How many have none.
    pub unpriced: u32,
}

/// The groups, by region and operating system.
pub fn groups(plan: &ExecutionPlan, schedule: &Schedule) -> Result<Vec<Group>, BillError> {
    let mut lives: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (row, life) in schedule.lives.iter().enumerate() {
        let image = &plan.images[plan.cells[life.cell].image];
        let region = plan.machines[life.machine].region.as_str();
        lives.entry((region, &image.os)).or_default().push(row);
    }
    let groups = lives.into_iter().map(|((region, os), rows)| {
        let own = rows
            .iter()
            .map(|row| schedule.lives[Index::from_row(*row)].clone());
        let own = Schedule {
            lives: own.collect::<Table<_, _>>(),
            producer: schedule.producer.clone(),
            plan_digest: schedule.plan_digest.clone(),
            makespan_ms: schedule.makespan_ms,
            defaulted_durations: 0,
        };
        let cost = cost(plan, &own)?;
        let cells: BTreeSet<CellIx> = own.lives.iter().map(|life| life.cell).collect();
        Ok(Group {
            region: region.to_owned(),
            os: os.to_owned(),
            cells: cells.len(),
            lives: rows.len(),
            machines: most_at_once(&own),
            cost: cost.bill.total(),
            unpriced: cost.unpriced_lives(),
        })
    });
    groups.collect()
}

/// The most lives at one instant; one that ends and one that begins at the same one follow each other.
fn most_at_once(schedule: &Schedule) -> usize {
    let mut changes: Vec<(u64, bool)> = Vec::new();
    for life in &schedule.lives {
        changes.extend([(life.launch_ms, true), (life.end_ms, false)]);
    }
    changes.sort_unstable();
    let (mut now, mut most) = (0_usize, 0);
    for (_, begins) in changes {
        now = match begins {
            true => now + 1,
            false => now.saturating_sub(1),
        };
        most = most.max(now);
    }
    most
}
