//! Edges: what a test comes after is there and has ended.

use super::*;

pub(super) fn setup_dropped(case: &mut Case, random: &mut Random) -> Option<()> {
    case.split(random)?;
    let (life, row) = case.choose(random, |life, execution| {
        execution.setup && !case.is_sink(life, execution.test)
    })?;
    case.life(life).executions.remove(row);
    case.settle();
    Some(())
}

pub(super) fn dependent_moved_alone(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.choose(random, |life, execution| {
        !execution.setup && !case.ancestors(life, execution.test).is_empty()
    })?;
    let mut second = case.schedule.lives[life].clone();
    let moved = case.life(life).executions.remove(row);
    second.executions = vec![moved];
    case.schedule.lives.push(second);
    case.settle();
    Some(())
}

/// Moves the dependent of an edge to a moment before the other one has ended.
fn start_too_soon(
    case: &mut Case,
    random: &mut Random,
    edges: impl Fn(&Case, LifeIx) -> Vec<Edge>,
) -> Option<()> {
    // A writer that comes too soon may also overtake a reader.
    let pairs: Vec<_> = case
        .lives()
        .into_iter()
        .flat_map(|life| edges(case, life).into_iter().map(move |edge| (life, edge)))
        .filter(|(_, edge)| !case.has_effect(edge.test, EffectKind::Writes))
        .filter_map(|(life, edge)| {
            let first = case.execution(life, edge.after)?;
            Some((life, case.execution(life, edge.test)?, first))
        })
        .collect();
    let (life, row, first) = *random.pick(&pairs)?;
    let lane = case.spare_lane(life);
    let life = case.life(life);
    let room_ms = life.executions[first].end_ms - life.ready_ms;
    let start_ms = life.ready_ms + random.below(room_ms as usize) as u64;
    let execution = &mut life.executions[row];
    execution.end_ms = start_ms + (execution.end_ms - execution.start_ms);
    execution.start_ms = start_ms;
    execution.lane = lane;
    case.settle();
    Some(())
}

pub(super) fn starts_before_what_it_is_after(case: &mut Case, random: &mut Random) -> Option<()> {
    start_too_soon(case, random, |case, life| case.after(life).to_vec())
}

pub(super) fn starts_before_its_order(case: &mut Case, random: &mut Random) -> Option<()> {
    // Few plans have an edge of order to a test that writes nothing, so one is made of two tests
    // that already follow each other.
    let pairs: Vec<_> = case
        .lives()
        .into_iter()
        .flat_map(|index| {
            let life = &case.schedule.lives[index];
            let executions = || life.executions.iter();
            executions()
                .flat_map(move |first| executions().map(move |then| (index, first, then)))
                .filter(|(_, first, then)| first.end_ms <= then.start_ms)
        })
        .filter(|(_, _, then)| !case.has_effect(then.test, EffectKind::Writes))
        .filter(|(life, first, then)| !case.ancestors(*life, then.test).contains(&first.test))
        .map(|(life, first, then)| (life, first.test, then.test))
        .collect();
    let (life, after, test) = *random.pick(&pairs)?;
    // The other lives of this shape need not follow it.
    let shape = case.plan.cells[case.schedule.lives[life].cell].shape;
    let shared = case.plan.cells.iter().filter(|cell| cell.shape == shape);
    if shared.count() > 1 || case.lives().len() > case.plan.cells.len() {
        return None;
    }
    let order = &mut case.plan.shapes[shape].order;
    let edge = Edge { test, after };
    if let Err(place) = order.binary_search(&edge) {
        order.insert(place, edge);
    }
    assert_eq!(case.check(), vec![]);
    start_too_soon(
        case,
        random,
        |_, of| if of == life { vec![edge] } else { vec![] },
    )
}

/// Each `after` becomes `regardless`, which the checker must treat alike.
fn forget_endings(case: &mut Case) {
    for shape in case.plan.shapes.indices() {
        let shape = &mut case.plan.shapes[shape];
        shape.regardless = std::mem::take(&mut shape.after);
    }
}

pub(super) fn setup_dropped_of_regardless(case: &mut Case, random: &mut Random) -> Option<()> {
    setup_dropped(case, random)?;
    forget_endings(case);
    Some(())
}

pub(super) fn starts_before_regardless(case: &mut Case, random: &mut Random) -> Option<()> {
    starts_before_what_it_is_after(case, random)?;
    forget_endings(case);
    Some(())
}
