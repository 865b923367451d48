//! Who must be on a life, and who must not: conflicts, `last`, `once`.

use super::*;

pub(super) fn conflict_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    let (host, guests) = case.add_guests(random, vec![guest("guest", &[])])?;
    let other = random.pick(&host.0.executions)?.test;
    let shape = case.plan.cells[host.0.cell].shape;
    let pair = Pair::of(other, guests[0]);
    case.plan.shapes[shape].conflicts.push(pair);
    case.assert_right();
    case.bring(&host, guests[0], host.0.end_ms)
}

/// Adds a `last` test to all lives that have the shape of a random one, which is given back with the row
/// of the new execution.
fn add_last(case: &mut Case, random: &mut Random) -> Option<(LifeIx, usize)> {
    let mut last = guest("last", &[]);
    last.last = true;
    let last = case.plan.tests.push(last);
    let life = *random.pick(&case.lives())?;
    let shape = case.plan.cells[case.schedule.lives[life].cell].shape;
    case.plan.shapes[shape].tests.push(last);
    for life in case.lives() {
        let cell = case.schedule.lives[life].cell;
        if case.plan.cells[cell].shape == shape {
            add(case, life, last, false);
        }
    }
    case.assert_right();
    Some((life, case.execution(life, last)?))
}

/// The same where the cell has several lives.
fn add_last_on_several(case: &mut Case, random: &mut Random) -> Option<(LifeIx, usize)> {
    case.split(random)?;
    let (life, row) = add_last(case, random)?;
    let cell = case.schedule.lives[life].cell;
    let lives = case.schedule.lives.iter();
    let several = lives.filter(|life| life.cell == cell).count() > 1;
    several.then_some((life, row))
}

pub(super) fn last_too_soon(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = add_last(case, random)?;
    let life = case.life(life);
    let latest_ms = life.executions[row].start_ms;
    let execution = &mut life.executions[row];
    let early_ms = 1 + random.next() % (latest_ms - life.ready_ms);
    execution.start_ms -= early_ms;
    execution.end_ms -= early_ms;
    case.settle();
    Some(())
}

pub(super) fn last_missing(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = add_last(case, random)?;
    let cell = case.schedule.lives[life].cell;
    let lives = case.schedule.lives.iter();
    if lives.filter(|life| life.cell == cell).count() > 1 {
        return None;
    }
    case.life(life).executions.remove(row);
    case.settle();
    Some(())
}

pub(super) fn last_missing_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = add_last_on_several(case, random)?;
    case.life(life).executions.remove(row);
    case.settle();
    Some(())
}

pub(super) fn last_set_up(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = add_last_on_several(case, random)?;
    case.life(life).executions[row].setup = true;
    Some(())
}

pub(super) fn last_twice_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = add_last(case, random)?;
    let last = case.life(life).executions[row].test;
    add(case, life, last, false);
    Some(())
}

pub(super) fn once_set_up(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |_, execution| execution.setup)?;
    let test = case.life(life).executions[row].test;
    case.plan.tests[test].once = true;
    Some(())
}
