//! Rows, verdicts and setups: what is named, how often, and in which order.

use super::*;

pub(super) fn machine_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).machine = MachineIx(4 + random.below(9) as u32);
    Some(())
}

pub(super) fn test_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let test = TestIx::from_row(case.plan.tests.len() + random.below(9));
    add(case, life, test, random.one_in(2));
    Some(())
}

pub(super) fn test_of_another_cell(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let cell = case.schedule.lives[life].cell;
    let tests = &case.plan.shapes[case.plan.cells[cell].shape].tests;
    let others: Vec<_> = case
        .plan
        .tests
        .indices()
        .filter(|test| !tests.contains(test))
        .collect();
    add(case, life, *random.pick(&others)?, random.one_in(2));
    Some(())
}

pub(super) fn cell_that_is_not(case: &mut Case, random: &mut Random) -> Option<()> {
    let mut life = case.schedule.lives[*random.pick(&case.lives())?].clone();
    life.cell = CellIx::from_row(case.plan.cells.len() + random.below(9));
    case.schedule.lives.push(life);
    case.settle();
    Some(())
}

pub(super) fn test_lost_to_a_wrong_row(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |life, execution| {
        !execution.setup
            && case.is_sink(life, execution.test)
            && !case.is_set_up(life, execution.test)
    })?;
    case.life(life).executions[row].test = TestIx(u32::MAX - random.below(9) as u32);
    Some(())
}

pub(super) fn sink_dropped(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |life, execution| {
        !execution.setup
            && case.is_sink(life, execution.test)
            && !case.is_set_up(life, execution.test)
    })?;
    case.life(life).executions.remove(row);
    case.settle();
    Some(())
}

pub(super) fn life_dropped(case: &mut Case, random: &mut Random) -> Option<()> {
    let mut lives: Vec<_> = case.schedule.lives.iter().cloned().collect();
    let dropped = lives.remove(random.below(lives.len()));
    // Of the lives of a split cell, the second needs the verdicts of the first.
    if lives.iter().any(|life| life.cell == dropped.cell) {
        return None;
    }
    case.schedule.lives = lives.into();
    case.settle();
    Some(())
}

pub(super) fn life_doubled(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = case.schedule.lives[*random.pick(&case.lives())?].clone();
    case.schedule.lives.push(life);
    case.settle();
    Some(())
}

pub(super) fn verdict_twice_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    // A late repetition of a reader would follow the writers.
    let (life, row) = case.choose(random, |_, execution| {
        !execution.setup
            && !case.has_effect(execution.test, EffectKind::Reads)
            && !orders(case, execution.test)
    })?;
    let test = case.schedule.lives[life].executions[row].test;
    add(case, life, test, false);
    Some(())
}

pub(super) fn setup_made_a_verdict(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |_, execution| execution.setup)?;
    case.life(life).executions[row].setup = false;
    Some(())
}

pub(super) fn verdict_made_a_setup(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |_, execution| !execution.setup)?;
    case.life(life).executions[row].setup = true;
    Some(())
}

pub(super) fn setup_beside_its_verdict(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |_, execution| {
        !execution.setup
            && !case.has_effect(execution.test, EffectKind::Reads)
            && !orders(case, execution.test)
    })?;
    let test = case.schedule.lives[life].executions[row].test;
    add(case, life, test, true);
    Some(())
}

pub(super) fn setup_twice_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |_, execution| {
        execution.setup
            && !case.has_effect(execution.test, EffectKind::Reads)
            && !orders(case, execution.test)
    })?;
    let test = case.schedule.lives[life].executions[row].test;
    add(case, life, test, true);
    Some(())
}

pub(super) fn executions_swapped(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.any(random)?;
    let executions = &mut case.life(life).executions;
    (row + 1 < executions.len()).then(|| executions.swap(row, row + 1))
}

pub(super) fn lives_swapped(case: &mut Case, random: &mut Random) -> Option<()> {
    let mut lives: Vec<_> = case.schedule.lives.iter().cloned().collect();
    let row = random.below(lives.len());
    if lives.get(row + 1)?.cell == lives[row].cell {
        return None;
    }
    lives.swap(row, row + 1);
    case.schedule.lives = Table::from(lives);
    Some(())
}

pub(super) fn another_plan(case: &mut Case, random: &mut Random) -> Option<()> {
    case.schedule.plan_digest = format!("sha256:{:016x}", random.next());
    Some(())
}
