//! Boots, gates, and how many machines there may be.

use dva_plan::plan::{Boot, BootIx, Gate, StateIx};

use super::*;

/// Gives some tests of a random life a boot, and the life as well.
fn add_boot(case: &mut Case, random: &mut Random) -> Option<(LifeIx, BootIx)> {
    let boot = case.plan.boots.push(Boot {
        name: "marker".to_owned(),
        user_data: None,
        mode: None,
        root_bytes: None,
    });
    let life = *random.pick(&case.lives())?;
    let tests: Vec<_> = case.schedule.lives[life].executions.clone();
    let test = random.pick(&tests)?.test;
    case.plan.tests[test].boot = Some(boot);
    for life in case.lives() {
        if case.execution(life, test).is_some() {
            case.life(life).boot = Some(boot);
        }
    }
    case.assert_right();
    Some((life, boot))
}

pub(super) fn boot_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).boot = Some(BootIx(7));
    Some(())
}

pub(super) fn life_without_its_boot(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, _) = add_boot(case, random)?;
    case.life(life).boot = None;
    // Else the schedule is as it was before there were boots.
    let mut lives = case.schedule.lives.iter();
    lives.any(|life| life.boot.is_some()).then_some(())
}

pub(super) fn life_of_another_boot(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, boot) = add_boot(case, random)?;
    let mut other = case.plan.boots[boot].clone();
    other.name = "other".to_owned();
    case.life(life).boot = Some(case.plan.boots.push(other));
    Some(())
}

pub(super) fn boot_for_nothing(case: &mut Case, random: &mut Random) -> Option<()> {
    let (_, boot) = add_boot(case, random)?;
    let lives = case.schedule.lives.enumerate();
    let plain: Vec<_> = lives
        .filter(|(_, life)| life.boot.is_none())
        .map(|(index, _)| index)
        .collect();
    case.life(*random.pick(&plain)?).boot = Some(boot);
    Some(())
}

/// Makes the schedule anew, and brings a life of those that `may` forward, almost to the start of the run.
fn launch_early(
    case: &mut Case,
    random: &mut Random,
    may: impl Fn(&Case, &PlannedLife) -> bool,
) -> Option<()> {
    case.schedule = schedule(&case.plan, DIGEST, &Assumptions::default());
    case.assert_right();
    let lives = case.schedule.lives.enumerate();
    let late: Vec<_> = lives
        .filter(|(_, life)| life.launch_ms > 1 && may(case, life))
        .map(|(index, _)| index)
        .collect();
    let life = case.life(*random.pick(&late)?);
    let early_ms = life.launch_ms - 1;
    for time_ms in [&mut life.launch_ms, &mut life.ready_ms, &mut life.end_ms] {
        *time_ms -= early_ms;
    }
    for execution in &mut life.executions {
        execution.start_ms -= early_ms;
        execution.end_ms -= early_ms;
    }
    case.settle();
    Some(())
}

pub(super) fn too_many_machines(case: &mut Case, random: &mut Random) -> Option<()> {
    case.plan.policy.limits.machines = Some(1 + random.below(3) as u32);
    launch_early(case, random, |_, _| true)
}

/// Adds to each cell of one shape, of which there are several, a life with a test that borrows a new state of
/// the account. As many may have it at once as there are such lives.
fn add_borrowers(case: &mut Case, random: &mut Random) -> Option<(StateIx, TestIx, Vec<LifeIx>)> {
    let of = contested(case);
    let Resource::State(state) = of else {
        return None;
    };
    let borrower = guest("borrower", &[Effect::borrows(of)]);
    let (_, guests) = case.add_guests(random, vec![borrower])?;
    let test = *guests.first()?;
    let lives = case.lives().into_iter();
    let lives: Vec<_> = lives
        .filter(|life| case.execution(*life, test).is_some())
        .collect();
    if lives.len() < 2 {
        return None;
    }
    case.plan.states[state].per_account = Some(lives.len() as u32);
    case.assert_right();
    Some((state, test, lives))
}

fn later(life: &mut PlannedLife, by_ms: u64) {
    for time_ms in [&mut life.launch_ms, &mut life.ready_ms, &mut life.end_ms] {
        *time_ms += by_ms;
    }
    for execution in &mut life.executions {
        execution.start_ms += by_ms;
        execution.end_ms += by_ms;
    }
}

pub(super) fn too_many_borrowers(case: &mut Case, random: &mut Random) -> Option<()> {
    let (state, _, lives) = add_borrowers(case, random)?;
    case.plan.states[state].per_account = Some(1 + random.below(lives.len() - 1) as u32);
    Some(())
}

pub(super) fn borrowed_too_soon(case: &mut Case, random: &mut Random) -> Option<()> {
    let (state, test, lives) = add_borrowers(case, random)?;
    case.plan.states[state].per_account = Some(1);
    for (place, life) in lives.iter().enumerate() {
        later(case.life(*life), place as u64 * GUEST_MS);
    }
    case.settle();
    case.assert_right();
    // All but the last one a moment later, which so is not behind the one before it.
    let lives = case.lives().into_iter();
    let lives: Vec<_> = lives
        .filter(|life| case.execution(*life, test).is_some())
        .collect();
    let (_, others) = lives.split_last()?;
    for life in others {
        later(case.life(*life), 1);
    }
    case.settle();
    Some(())
}

/// Spreads the cells over three matrices, each of which waits for another one.
fn add_gates(case: &mut Case, random: &mut Random) -> Option<()> {
    let names = ["first", "matrix", "then"];
    for cell in case.plan.cells.indices() {
        case.plan.cells[cell].matrix = names[random.below(3)].to_owned();
    }
    let used: BTreeSet<_> = case.plan.cells.iter().map(|cell| &cell.matrix).collect();
    if used.len() < 3 {
        return None;
    }
    let gate = |first: &str, then: &str| Gate {
        first: first.to_owned(),
        then: then.to_owned(),
    };
    case.plan.policy.gates = vec![gate("first", "matrix"), gate("matrix", "then")];
    Some(())
}

pub(super) fn launched_before_the_gate(case: &mut Case, random: &mut Random) -> Option<()> {
    add_gates(case, random)?;
    launch_early(case, random, |_, _| true)
}

pub(super) fn launched_before_the_gate_of_few(case: &mut Case, random: &mut Random) -> Option<()> {
    add_gates(case, random)?;
    case.plan.policy.limits.machines = Some(1);
    launch_early(case, random, |case, life| {
        case.plan.cells[life.cell].matrix == "matrix"
            && case.plan.cells.iter().any(|cell| {
                cell.matrix == "first" && cell.image == case.plan.cells[life.cell].image
            })
    })
}
