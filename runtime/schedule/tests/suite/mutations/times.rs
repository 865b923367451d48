//! Lanes, machines and times.

use super::*;

pub(super) fn lane_too_high(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.any(random)?;
    let life = case.life(life);
    life.executions[row].lane = life.lanes + random.below(3) as u32;
    case.settle();
    Some(())
}

pub(super) fn two_on_one_lane(case: &mut Case, random: &mut Random) -> Option<()> {
    let pairs: Vec<_> = case
        .lives()
        .into_iter()
        .flat_map(|index| {
            let executions = &case.schedule.lives[index].executions;
            let rows = executions.iter().enumerate();
            rows.clone()
                .flat_map(move |one| rows.clone().map(move |other| (index, one, other)))
        })
        .filter(|(_, (_, one), (_, other))| {
            one.lane != other.lane && one.start_ms < other.end_ms && other.start_ms < one.end_ms
        })
        .map(|(index, (row, _), (_, other))| (index, row, other.lane))
        .collect();
    let (life, row, lane) = *random.pick(&pairs)?;
    case.life(life).executions[row].lane = lane;
    case.settle();
    Some(())
}

pub(super) fn no_lanes(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).lanes = 0;
    Some(())
}

pub(super) fn more_lanes_than_allowed(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).lanes = case.plan.policy.lanes + 1 + random.below(3) as u32;
    Some(())
}

pub(super) fn machine_of_another_cell(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let cell = &case.plan.cells[case.schedule.lives[life].cell];
    let arch = &case.plan.images[cell.image].arch;
    let machines = case.plan.machines.enumerate();
    let others: Vec<_> = machines
        .filter(|(index, machine)| machine.arch == *arch && !cell.candidates.contains(index))
        .map(|(index, _)| index)
        .collect();
    case.life(life).machine = *random.pick(&others)?;
    Some(())
}

pub(super) fn machine_of_another_architecture(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let cell = case.schedule.lives[life].cell;
    let other = MachineIx(u32::from(case.plan.cells[cell].image == ImageIx(0)));
    case.plan.cells[cell].candidates.push(other);
    case.life(life).machine = other;
    Some(())
}

pub(super) fn machine_too_small(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let planned = &case.schedule.lives[life];
    let test = random.pick(&planned.executions)?.test;
    let own = case.plan.machines[planned.machine].clone();
    need_vcpus(&mut case.plan, test, own.vcpus.into());
    let cell = planned.cell;
    let smaller = case.plan.machines.push(Machine { vcpus: 1, ..own });
    case.plan.cells[cell].candidates.push(smaller);
    case.life(life).machine = smaller;
    Some(())
}

pub(super) fn launched_after_ready(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let life = case.life(life);
    life.launch_ms = life.ready_ms + 1 + random.below(50) as u64;
    let mut lives: Vec<_> = case.schedule.lives.iter().cloned().collect();
    lives.sort_by_key(|life| (life.launch_ms, life.cell));
    case.schedule.lives = lives.into();
    Some(())
}

pub(super) fn started_before_ready(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    let life = case.life(life);
    life.ready_ms = life.executions.first()?.start_ms + 1;
    // Else the life would be ready only when it has ended, which is another case of this rule.
    (life.ready_ms <= life.end_ms).then_some(())
}

pub(super) fn ended_before_started(case: &mut Case, random: &mut Random) -> Option<()> {
    let (life, row) = case.any(random)?;
    let execution = &mut case.life(life).executions[row];
    execution.end_ms = execution.start_ms - 1 - random.below(50) as u64;
    Some(())
}

pub(super) fn life_ended_too_soon(case: &mut Case, random: &mut Random) -> Option<()> {
    let life = *random.pick(&case.lives())?;
    case.life(life).end_ms -= 1;
    let last_ms = case.schedule.lives.iter().map(|life| life.end_ms).max()?;
    case.schedule.makespan_ms = last_ms;
    Some(())
}

pub(super) fn makespan_too_long(case: &mut Case, random: &mut Random) -> Option<()> {
    case.schedule.makespan_ms += 1 + random.below(50) as u64;
    Some(())
}

pub(super) fn makespan_too_short(case: &mut Case, random: &mut Random) -> Option<()> {
    case.schedule.makespan_ms -= 1 + random.below(50) as u64;
    Some(())
}
