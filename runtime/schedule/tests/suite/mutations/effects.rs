//! Effects on states, disks and machines: who sees what, and who is in peace.

use dva_plan::step::{SourceText, Step, StepKind};

use super::*;

/// Two tests of a life of which the first reads a disk as shipped and nothing is after it, and the
/// other one writes that disk.
fn reader_and_writer(case: &Case, random: &mut Random) -> Option<(LifeIx, usize, usize)> {
    let mut found = Vec::new();
    for life in case.lives() {
        let executions = &case.schedule.lives[life].executions;
        for (row, reader) in executions.iter().enumerate() {
            let ancestors = case.ancestors(life, reader.test);
            let touches = |test: TestIx, kind, of| {
                let effect = Effect { kind, of };
                case.plan.tests[test].effects.contains(&effect)
            };
            for effect in &case.plan.tests[reader.test].effects {
                let of = effect.of;
                let as_left = ancestors
                    .iter()
                    .any(|test| touches(*test, EffectKind::Writes, of));
                if effect.kind != EffectKind::Reads
                    || as_left
                    || case.has_effect(reader.test, EffectKind::Writes)
                    || !case.is_sink(life, reader.test)
                {
                    continue;
                }
                for (other, writer) in executions.iter().enumerate() {
                    if other != row && touches(writer.test, EffectKind::Writes, of) {
                        found.push((life, row, other));
                    }
                }
            }
        }
    }
    random.pick(&found).copied()
}

/// Moves the reader's start by `by_ms` from the writer's.
fn move_reader(
    case: &mut Case,
    (life, reader, writer): (LifeIx, usize, usize),
    start_ms: impl Fn(&PlannedExecution, u64) -> u64,
) {
    let lane = case.spare_lane(life);
    let executions = &mut case.life(life).executions;
    let takes_ms = executions[reader].end_ms - executions[reader].start_ms;
    let start_ms = start_ms(&executions[writer], takes_ms);
    executions[reader].start_ms = start_ms;
    executions[reader].end_ms = start_ms + takes_ms;
    executions[reader].lane = lane;
    case.settle();
}

/// Without edges of order in the plan only the effects tell.
fn forget_order(case: &mut Case) {
    for shape in case.plan.shapes.indices() {
        case.plan.shapes[shape].order.clear();
    }
}

pub(super) fn reader_after_the_writer(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = reader_and_writer(case, random)?;
    forget_order(case);
    let late_ms = random.below(50) as u64;
    move_reader(case, pair, |writer, _| writer.end_ms + late_ms);
    Some(())
}

pub(super) fn reader_beside_the_writer(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = reader_and_writer(case, random)?;
    forget_order(case);
    let share = random.next();
    move_reader(case, pair, |writer, takes_ms| {
        writer.start_ms - share % takes_ms
    });
    Some(())
}

pub(super) fn reader_after_the_writer_despite_order(
    case: &mut Case,
    random: &mut Random,
) -> Option<()> {
    let pair = reader_and_writer(case, random)?;
    move_reader(case, pair, |writer, _| writer.end_ms);
    Some(())
}

/// Brings together a reboot and, behind it, who touches a new state that it loses.
fn touched_and_lost(
    case: &mut Case,
    random: &mut Random,
    effect: fn(Resource) -> Effect,
) -> Option<()> {
    let of = contested(case);
    if let Resource::State(state) = of {
        case.plan.states[state].lost_on_reboot = true;
    }
    // Behind each other, for a reboot has the machine to itself.
    let apart_ms = GUEST_MS + random.below(20) as u64;
    let toucher = guest("toucher", &[effect(of)]);
    two_together(case, random, (rebooting(), toucher), apart_ms)
}

pub(super) fn writer_after_what_loses_it(case: &mut Case, random: &mut Random) -> Option<()> {
    touched_and_lost(case, random, Effect::writes)
}

pub(super) fn reader_after_what_loses_it(case: &mut Case, random: &mut Random) -> Option<()> {
    touched_and_lost(case, random, Effect::reads)
}

/// Brings together `count` writers of a new state, none after another.
fn writers_together(case: &mut Case, random: &mut Random, count: u64) -> Option<()> {
    let effects = [Effect::writes(contested(case))];
    let writers = (0..count).map(|number| guest(&format!("writer_{number}"), &effects));
    let (host, writers) = case.add_guests(random, writers.collect())?;
    case.assert_right();
    for (start_ms, writer) in (host.0.end_ms..).step_by(10).zip(writers) {
        case.bring(&host, writer, start_ms)?;
    }
    Some(())
}

pub(super) fn two_writers_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    writers_together(case, random, 2)
}

pub(super) fn three_writers_on_a_life(case: &mut Case, random: &mut Random) -> Option<()> {
    writers_together(case, random, 3)
}

/// Brings together two tests with these effects, the second one so many milliseconds behind the first.
fn two_together(
    case: &mut Case,
    random: &mut Random,
    (first, second): (Test, Test),
    apart_ms: u64,
) -> Option<()> {
    let (host, guests) = case.add_guests(random, vec![first, second])?;
    case.assert_right();
    case.bring(&host, guests[0], host.0.end_ms)?;
    case.bring(&host, guests[1], host.0.end_ms + apart_ms)
}

pub(super) fn borrower_beside_a_reader(case: &mut Case, random: &mut Random) -> Option<()> {
    let of = contested(case);
    let borrower = guest("borrower", &[Effect::borrows(of)]);
    let reader = guest("reader", &[Effect::reads(of)]);
    let apart_ms = random.next() % GUEST_MS;
    match random.one_in(2) {
        true => two_together(case, random, (borrower, reader), apart_ms),
        false => two_together(case, random, (reader, borrower), apart_ms),
    }
}

pub(super) fn borrower_beside_a_borrower(case: &mut Case, random: &mut Random) -> Option<()> {
    let effects = [Effect::borrows(contested(case))];
    let pair = (guest("one", &effects), guest("other", &effects));
    let apart_ms = random.next() % GUEST_MS;
    two_together(case, random, pair, apart_ms)
}

/// A writer of a new state and a test that wants the machine fresh.
fn writer_and_fresh(case: &mut Case) -> (Test, Test) {
    let writer = guest("writer", &[Effect::writes(contested(case))]);
    (writer, guest("fresh", &[Effect::reads(Resource::Machine)]))
}

pub(super) fn fresh_after_a_writer(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = writer_and_fresh(case);
    two_together(case, random, pair, GUEST_MS)
}

pub(super) fn fresh_beside_a_writer(case: &mut Case, random: &mut Random) -> Option<()> {
    let pair = writer_and_fresh(case);
    let apart_ms = random.next() % GUEST_MS;
    two_together(case, random, pair, apart_ms)
}

pub(super) fn fresh_after_a_reboot(case: &mut Case, random: &mut Random) -> Option<()> {
    let fresh = guest("fresh", &[Effect::reads(Resource::Machine)]);
    two_together(case, random, (rebooting(), fresh), GUEST_MS)
}

fn rebooting() -> Test {
    let mut reboots = guest("reboots", &[]);
    reboots.finally.push(Step {
        kind: StepKind::Reboot,
        within_ms: None,
        source: SourceText::default(),
    });
    reboots
}

pub(super) fn dirty_before_others(case: &mut Case, random: &mut Random) -> Option<()> {
    let dirty = guest("dirty", &[Effect::writes(Resource::Machine)]);
    let (host, guests) = case.add_guests(random, vec![dirty])?;
    case.assert_right();
    case.bring(&host, guests[0], host.0.ready_ms)
}

/// Brings a test beside one of the host's.
fn beside_another(case: &mut Case, random: &mut Random, guest: Test) -> Option<()> {
    let (host, guests) = case.add_guests(random, vec![guest])?;
    case.assert_right();
    let start_ms = random.pick(&host.0.executions)?.start_ms;
    case.bring(&host, guests[0], start_ms)
}

pub(super) fn reboot_beside_others(case: &mut Case, random: &mut Random) -> Option<()> {
    beside_another(case, random, rebooting())
}

pub(super) fn exclusive_beside_others(case: &mut Case, random: &mut Random) -> Option<()> {
    let exclusive = guest("exclusive", &[Effect::borrows(Resource::Machine)]);
    beside_another(case, random, exclusive)
}
