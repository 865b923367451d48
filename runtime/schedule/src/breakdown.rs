//! What a schedule comes to in each region and for each operating system: the rows of an estimate.
//!
//! It looks at the schedule alone and not at how it was made. Its main function is [`breakdown`].

use std::collections::BTreeMap;

use dva_plan::ExecutionPlan;
use dva_plan::schedule::Schedule;
use dva_plan::table::Index;

use crate::bill::BillError;
use crate::cost::{Cost, life_cost};

/// Where lives are, and what runs there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The region of their machines.
    pub region: String,
    /// The operating system of their images, as the plan names it.
    pub os: String,
}

/// What the lives of one place come to. All times are milliseconds since the start of the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// How many cells have lives there.
    pub cells: u32,
    /// How many lives there are.
    pub lives: u32,
    /// How many of them begin with the launch of a machine: all, until machines can be reset.
    pub launches: u32,
    /// The executions that give a verdict.
    pub executions: u32,
    /// The executions that only prepare a life.
    pub setup_executions: u32,
    /// How many lives ask for each type of machine.
    pub machines_by_type: BTreeMap<String, u32>,
    /// What they cost.
    pub cost: Cost,
    /// When the last of them is launched: how long the ramp is.
    pub last_launch_ms: u64,
    /// When the last of them ends.
    pub end_ms: u64,
}

/// `schedule`, which must be one that [`check`](crate::check()) accepts for `plan`, by region and operating system.
///
/// # Errors
/// As [`cost`](crate::cost()).
///
/// # Panics
/// If it names a row that is not in `plan`.
pub fn breakdown(
    plan: &ExecutionPlan,
    schedule: &Schedule,
) -> Result<BTreeMap<Place, Share>, BillError> {
    let mut shares: BTreeMap<Place, Share> = BTreeMap::new();
    // Where each cell has been counted.
    let mut seen: BTreeMap<usize, Vec<Place>> = BTreeMap::new();
    for life in &schedule.lives {
        let cell = &plan.cells[life.cell];
        let machine = &plan.machines[life.machine];
        let place = Place {
            region: machine.region.clone(),
            os: plan.images[cell.image].os.clone(),
        };
        let share = shares.entry(place.clone()).or_default();
        let places = seen.entry(life.cell.row()).or_default();
        if !places.contains(&place) {
            places.push(place);
            share.cells += 1;
        }
        share.lives += 1;
        share.launches += 1;
        let of_type = share.machines_by_type.entry(machine.r#type.clone());
        *of_type.or_default() += 1;
        for execution in &life.executions {
            match execution.setup {
                true => share.setup_executions += 1,
                false => share.executions += 1,
            }
        }
        share.last_launch_ms = share.last_launch_ms.max(life.launch_ms);
        share.end_ms = share.end_ms.max(life.end_ms);
        let own = life_cost(plan, life)?;
        let cost = std::mem::take(&mut share.cost);
        share.cost = cost.merge(own)?;
    }
    Ok(shares)
}
