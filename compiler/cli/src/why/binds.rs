//! What makes a test start when it does: what ends at that very moment and kept it waiting.
//!
//! What is named here could not have been passed: with all else as it is, the test could not have started
//! sooner.

use dva_compiler::diagnostic::shown;
use dva_plan::plan::Edge;
use dva_plan::schedule::{PlannedExecution, PlannedLife};
use serde::Serialize;

use super::{Context, reasons};
use crate::render::{counted, duration};

/// Something that a test starts behind.
#[derive(Serialize)]
pub(super) struct Bind {
    pub(super) kind: BindKind,
    /// The test that ends then, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<String>,
    /// The same in words.
    pub(super) why: String,
}

/// What kind of thing binds.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BindKind {
    /// The machine is ready then.
    Boot,
    /// A test that it is after.
    After,
    /// A test that comes before it on one life.
    Order,
    /// A test that it cannot run beside.
    Exclusive,
    /// A test that had the lane.
    Lane,
    /// Nothing that the schedule shows.
    Nothing,
}

/// A stretch of time on the way to a test's end.
#[derive(Serialize)]
pub(super) struct Link {
    /// The test; the boot, where it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) test: Option<String>,
    pub(super) start_ms: u64,
    pub(super) end_ms: u64,
}

/// All that `execution` on `life` starts behind; never empty.
pub(super) fn binds(
    context: &Context<'_>,
    life: &PlannedLife,
    execution: &PlannedExecution,
) -> Vec<Bind> {
    let mut binds: Vec<Bind> = behind(context, life, execution)
        .into_iter()
        .map(|(kind, other)| {
            let name = context.name(other.test);
            let edge = Edge {
                test: execution.test,
                after: other.test,
            };
            let at = duration(other.end_ms);
            let why = match kind {
                BindKind::After => format!("{name}, which it is after, ends at {at}"),
                BindKind::Order => {
                    format!("{name}, {}, ends at {at}", reasons::order(context, edge))
                }
                BindKind::Exclusive => {
                    let reason = reasons::exclusion(context, execution.test, other.test);
                    format!("{name}, {reason}, ends at {at}")
                }
                BindKind::Lane | BindKind::Boot | BindKind::Nothing => {
                    let lanes = match life.lanes {
                        1 => "the only lane is".to_owned(),
                        lanes => format!("all {lanes} lanes are"),
                    };
                    format!("{lanes} busy until {name} ends at {at}")
                }
            };
            Bind {
                kind,
                test: Some(context.plan.tests[other.test].id.as_str().to_owned()),
                why,
            }
        })
        .collect();
    if binds.is_empty() {
        let (kind, why) = if execution.start_ms <= life.ready_ms {
            let launch = launch(context, life);
            let at = duration(life.ready_ms);
            (
                BindKind::Boot,
                format!("the machine is ready at {at}; {launch}"),
            )
        } else {
            (
                BindKind::Nothing,
                "nothing that the schedule shows: the run starts it as soon as it may".to_owned(),
            )
        };
        binds.push(Bind {
            kind,
            test: None,
            why,
        });
    }
    binds
}

/// How the time comes together from the launch of the life on: the boot, then what each one waited for.
pub(super) fn path(
    context: &Context<'_>,
    life: &PlannedLife,
    execution: &PlannedExecution,
) -> Vec<Link> {
    let mut path = Vec::new();
    let mut at = Some(execution);
    while let Some(execution) = at {
        path.push(Link {
            test: Some(context.plan.tests[execution.test].id.as_str().to_owned()),
            start_ms: execution.start_ms,
            end_ms: execution.end_ms,
        });
        // Every one ends before the next one starts, so this comes to an end.
        at = behind(context, life, execution)
            .first()
            .map(|(_, other)| *other);
    }
    path.push(Link {
        test: None,
        start_ms: life.launch_ms,
        end_ms: life.ready_ms,
    });
    path.reverse();
    path
}

/// The executions that end the moment this one starts and kept it waiting, the strongest reason first.
fn behind<'l>(
    context: &Context<'_>,
    life: &'l PlannedLife,
    execution: &PlannedExecution,
) -> Vec<(BindKind, &'l PlannedExecution)> {
    let ending = || {
        life.executions
            .iter()
            .filter(|other| other.end_ms == execution.start_ms && other.start_ms < other.end_ms)
    };
    let mut found: Vec<(BindKind, &PlannedExecution)> = Vec::new();
    for other in ending() {
        let edge = Edge {
            test: execution.test,
            after: other.test,
        };
        if context.shape.after.binary_search(&edge).is_ok() {
            found.push((BindKind::After, other));
        } else if context.together.order().binary_search(&edge).is_ok() {
            found.push((BindKind::Order, other));
        } else if context.exclusions.exclude(execution.test, other.test) {
            found.push((BindKind::Exclusive, other));
        }
    }
    let rank = |kind: BindKind| match kind {
        BindKind::After => 0,
        BindKind::Order => 1,
        _ => 2,
    };
    found.sort_by_key(|(kind, _)| rank(*kind));
    let running = life
        .executions
        .iter()
        .filter(|other| other.start_ms < execution.start_ms && other.end_ms >= execution.start_ms);
    let lanes = usize::try_from(life.lanes).unwrap_or(usize::MAX);
    if found.is_empty() && running.count() >= lanes {
        let mut ending = ending();
        let same = ending.clone().find(|other| other.lane == execution.lane);
        found.extend(same.or(ending.next()).map(|other| (BindKind::Lane, other)));
    }
    found
}

/// Why the life is launched when it is.
fn launch(context: &Context<'_>, life: &PlannedLife) -> String {
    let at_ms = life.launch_ms;
    if at_ms == 0 {
        return "it is launched when the run begins".to_owned();
    }
    let (plan, at) = (context.plan, duration(at_ms));
    let cell = &plan.cells[life.cell];
    let lives = || context.schedule.lives.iter();
    let gates = plan
        .policy
        .gates
        .iter()
        .filter(|gate| gate.then == cell.matrix);
    for gate in gates {
        let before = lives().filter(|other| {
            let other = &plan.cells[other.cell];
            other.matrix == gate.first && other.image == cell.image
        });
        if before.map(|other| other.end_ms).max() == Some(at_ms) {
            return format!(
                "it is launched at {at}, when the last life of `{}` with its image ends, which is a gate",
                shown::line(&gate.first)
            );
        }
    }
    let alive = lives().filter(|other| other.launch_ms < at_ms && other.end_ms >= at_ms);
    if let Some(most) = plan.policy.limits.machines
        && u32::try_from(alive.count()).is_ok_and(|alive| alive >= most)
    {
        return format!(
            "it is launched at {at}, since the plan allows no more than {} at once",
            counted(usize::try_from(most).unwrap_or(usize::MAX), "machine")
        );
    }
    let mut limited = life
        .executions
        .iter()
        .flat_map(|execution| plan.account_states(execution.test));
    if let Some((state, most)) = limited.next() {
        return format!(
            "it is launched at {at}, as the schedule has it; `{}` may be used by so many lives at once: {most}",
            shown::line(&plan.states[state].name)
        );
    }
    let region = &plan.machines[life.machine].region;
    let earlier = lives()
        .filter(|other| other.launch_ms < at_ms && plan.machines[other.machine].region == *region);
    format!(
        "it is launched at {at}, as the schedule has it, behind {} in {}",
        counted_launches(earlier.count()),
        shown::line(region)
    )
}

/// `1 launch`, `2 launches`.
fn counted_launches(number: usize) -> String {
    match number {
        1 => "1 launch".to_owned(),
        number => format!("{number} launches"),
    }
}
