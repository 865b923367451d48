//! Why a life has the machine that it has: what it would cost on every other candidate of its cell.

use std::cmp::Reverse;

use dva_compiler::diagnostic::shown;
use dva_plan::plan::MachineIx;
use dva_plan::schedule::PlannedLife;
use serde::Serialize;

use super::Context;
use crate::failure::Failure;
use crate::price::Price;

/// The machine of a life among those that may serve its cell.
#[derive(Serialize)]
pub(super) struct Choice {
    /// Why it is this one.
    pub(super) why: String,
    /// All of them: those that serve first, the cheapest first.
    pub(super) candidates: Vec<Candidate>,
}

/// A machine that may serve a cell.
#[derive(Serialize)]
pub(super) struct Candidate {
    pub(super) region: String,
    pub(super) r#type: String,
    /// What the same life costs on it.
    pub(super) price: Price,
    pub(super) taken: bool,
    /// What a test of the life asks for that it does not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lacks: Option<String>,
    /// Its place in the plan, which has the best first.
    #[serde(skip)]
    place: usize,
}

/// The candidates of the cell for `life`.
pub(super) fn choice(context: &Context<'_>, life: &PlannedLife) -> Result<Choice, Failure> {
    let cell = &context.plan.cells[context.cell];
    let mut candidates = Vec::with_capacity(cell.candidates.len());
    for (place, machine) in cell.candidates.iter().enumerate() {
        let row = &context.plan.machines[*machine];
        let there = PlannedLife {
            machine: *machine,
            ..life.clone()
        };
        candidates.push(Candidate {
            region: row.region.clone(),
            r#type: row.r#type.clone(),
            price: Price::of(context.plan, [&there])?,
            taken: *machine == life.machine,
            lacks: lacks(context, life, *machine),
            place,
        });
    }
    candidates.sort_by_key(|candidate| {
        let known = matches!(candidate.price, Price::Free | Price::Known(_));
        (
            candidate.lacks.is_some(),
            Reverse(known),
            candidate.price.money(),
            candidate.place,
        )
    });
    Ok(Choice {
        why: why(&candidates),
        candidates,
    })
}

fn why(candidates: &[Candidate]) -> String {
    let Some(taken) = candidates.iter().find(|candidate| candidate.taken) else {
        return "the schedule asks for it".to_owned();
    };
    let number = candidates.len();
    if number == 1 {
        return "no other machine may serve this cell".to_owned();
    }
    let able = || candidates.iter().filter(|other| other.lacks.is_none());
    let others = || able().filter(|other| !other.taken);
    if taken.lacks.is_some() {
        return format!("none of the {number} that may serve this cell has all that is asked for");
    }
    if others().next().is_none() {
        return format!("the only one of {number} that has what the tests of this life need");
    }
    let cheaper = others().find(|other| match (other.price.money(), taken.price.money()) {
        (Some(other), Some(own)) => other < own,
        (Some(_), None) => true,
        (None, _) => false,
    });
    if let Some(cheaper) = cheaper {
        return format!(
            "the schedule asks for it; {} in {} would be cheaper",
            cheaper.r#type, cheaper.region
        );
    }
    let alike = others().filter(|other| other.price == taken.price);
    let (alike, is_first) = alike.fold((0_usize, true), |(alike, is_first), other| {
        (alike + 1, is_first && taken.place < other.place)
    });
    let first = match (alike, is_first) {
        (0, _) => "",
        (_, true) => ", and the first in the plan of those that cost the same",
        (_, false) => ", as others are",
    };
    match taken.price {
        Price::Unknown => "no price is known of any that serves".to_owned(),
        Price::Free => format!("it is free{first}"),
        Price::Known(_) | Price::AtLeast(_) => {
            format!("the cheapest for this life of the {number} that may serve the cell{first}")
        }
    }
}

/// What a test of `life` asks for that `machine` does not have.
fn lacks(context: &Context<'_>, life: &PlannedLife, machine: MachineIx) -> Option<String> {
    let plan = context.plan;
    let cell = &plan.cells[life.cell];
    let mut tests = life.executions.iter().map(|execution| execution.test);
    let (test, requirement) =
        tests.find_map(|test| Some((test, plan.lacking(cell, machine, test)?)))?;
    let text = shown::line(&requirement.source.text);
    Some(format!("{} asks for `{text}`", context.name(test)))
}
