//! From an execution plan and what was said of its packing to a schedule.
//!
//! `dva estimate` shows what is made here, and `dva run` follows it.

use std::fs::File;
use std::io::{Write, stderr};
use std::path::Path;

use dva_plan::document::{Loaded, read};
use dva_plan::plan::Limits;
use dva_plan::unit::display_duration;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_schedule::{
    Assumptions, Certificate, Effort, Goal, Infeasible, LaunchRate, Method, Options, Quotas, Risk,
    Spread, Terms, check, check_terms, forecast,
};

use crate::args::{LookArguments, PackingArguments};
use crate::basis::Basis;
use crate::failure::Failure;
use crate::providers;
use crate::render::about;

/// A schedule, and how far it can be from the best one where that is known.
pub struct Packed {
    /// The schedule.
    pub schedule: Schedule,
    /// Its certificate; none of one that was not made here, or that isolates atoms.
    pub certificate: Option<Certificate>,
    /// By when all is to be over, in milliseconds.
    pub deadline_ms: Option<u64>,
}

/// The schedule of a plan as the arguments want it.
pub fn pack(basis: &Basis, arguments: &PackingArguments) -> Result<Packed, Failure> {
    let (plan, assumptions) = (&basis.plan, &basis.assumptions);
    let packed = match arguments.isolate {
        true => isolated(plan, assumptions),
        false => sought(plan, assumptions, arguments)?,
    };
    // The run is stopped there, whatever else was asked for.
    let (body, limit_ms) = (&plan.body, plan.body.policy.limits.elapsed_ms);
    if let Some(limit_ms) = limit_ms {
        let makespan_ms = packed.schedule.makespan_ms;
        if makespan_ms > limit_ms {
            return Err(Failure::new(
                ExitCode::Refused,
                format!(
                    "The run is expected to take {}, and the plan limits that to {}.",
                    about(makespan_ms),
                    display_duration(limit_ms)
                ),
            ));
        }
        let forecast = forecast(body, &packed.schedule, &Spread::default());
        let percent = forecast.chance_permille(limit_ms) / 10;
        if percent < 90 {
            let _ = writeln!(
                stderr(),
                "warning: about {percent} of 100 runs are over within the {} that the plan allows; the others are \
                 stopped there. Nine of ten take {} at most.",
                display_duration(limit_ms),
                about(forecast.makespan_p90_ms)
            );
        }
    }
    Ok(packed)
}

fn isolated(plan: &Loaded<ExecutionPlan>, assumptions: &Assumptions) -> Packed {
    let (body, digest) = (&plan.body, &plan.header.digest);
    let schedule = dva_schedule::schedule_isolated(body, digest, assumptions);
    keeps_its_rules(plan, &schedule, &Terms::default());
    Packed {
        schedule,
        certificate: None,
        deadline_ms: body.policy.limits.elapsed_ms,
    }
}

fn sought(
    plan: &Loaded<ExecutionPlan>,
    assumptions: &Assumptions,
    arguments: &PackingArguments,
) -> Result<Packed, Failure> {
    let (body, digest) = (&plan.body, &plan.header.digest);
    let mut options = options(body, assumptions, arguments);
    let mut found = dva_schedule::optimize(body, digest, &options);
    // A plan's limit that nine of ten runs do not keep is kept by as many as can be.
    if let (Err(infeasible), Goal::Deadline { risk, .. }, None) =
        (&found, options.goal, arguments.deadline)
        && let Some(within_ms) = infeasible.least_deadline_ms
    {
        options.goal = Goal::Deadline { within_ms, risk };
        found = dva_schedule::optimize(body, digest, &options);
    }
    let planned = found.map_err(|infeasible| refused(&infeasible, options.goal))?;
    let terms = Terms {
        quotas: options.quotas.clone(),
        deadline: match options.goal {
            Goal::Deadline { within_ms, risk } => Some((within_ms, risk)),
            Goal::LeastCost | Goal::Budget { .. } => None,
        },
        budget: arguments.budget,
    };
    keeps_its_rules(plan, &planned.schedule, &terms);
    Ok(Packed {
        schedule: planned.schedule,
        certificate: Some(planned.certificate),
        deadline_ms: arguments.deadline.or(body.policy.limits.elapsed_ms),
    })
}

/// Every schedule is judged before anybody sees it or runs it, by code that shares none with what made it.
fn keeps_its_rules(plan: &Loaded<ExecutionPlan>, schedule: &Schedule, terms: &Terms) {
    let violations = check_terms(&plan.body, &plan.header.digest, schedule, terms);
    assert!(
        violations.is_empty(),
        "a schedule that breaks its own rules: {violations:?}"
    );
}

/// What the scheduler is asked for.
pub fn options(
    plan: &ExecutionPlan,
    assumptions: &Assumptions,
    arguments: &PackingArguments,
) -> Options {
    Options {
        assumptions: *assumptions,
        goal: goal(arguments, &plan.policy.limits),
        effort: Effort(arguments.effort),
        lanes: arguments.lanes.map(Into::into),
        quotas: quotas(arguments),
        method: Method::default(),
        seed: 0,
    }
}

/// What an account may have is what was said; how fast it may launch is the same for all accounts.
fn quotas(arguments: &PackingArguments) -> Quotas {
    let mut quotas = Quotas {
        launches: Some(LaunchRate::of_run_instances()),
        ..Quotas::default()
    };
    for (region, class, vcpus) in &arguments.quota {
        match region {
            Some(region) => quotas.vcpus.insert((region.clone(), *class), *vcpus),
            None => quotas.vcpus_elsewhere.insert(*class, *vcpus),
        };
    }
    quotas
}

/// The schedule that is to be looked at: one that was written, or what [`pack`] makes; with what it was made of.
pub fn looked_at(
    plan: Loaded<ExecutionPlan>,
    arguments: &LookArguments,
) -> Result<(Basis, Packed), Failure> {
    let LookArguments {
        provider, state, ..
    } = arguments;
    let assumptions = providers::assumptions_for(&plan.body, *provider);
    if let Some(path) = &arguments.schedule {
        let packed = load(path, &plan)?;
        return Ok((Basis::stated(plan, assumptions), packed));
    }
    let whose = providers::history_for(&plan.body, *provider);
    let past = &arguments.packing.past;
    let basis = Basis::of(plan, assumptions, whose, state, past)?;
    let packed = pack(&basis, &arguments.packing)?;
    Ok((basis, packed))
}

/// What is sought: what was asked for, else to keep the plan's limit of time.
fn goal(arguments: &PackingArguments, limits: &Limits) -> Goal {
    let deadline = arguments.deadline.or(limits.elapsed_ms);
    match (arguments.budget, deadline) {
        (Some(most), _) => Goal::Budget { most },
        (None, Some(within_ms)) => Goal::Deadline {
            within_ms,
            risk: Risk::P90,
        },
        (None, None) => Goal::LeastCost,
    }
}

fn refused(found: &Infeasible, goal: Goal) -> Failure {
    let wanted = match goal {
        Goal::LeastCost => "There is no schedule".to_owned(),
        Goal::Deadline {
            within_ms,
            risk: Risk::P90,
        } => format!(
            "No schedule is over within {} in nine of ten runs",
            display_duration(within_ms)
        ),
        Goal::Deadline { within_ms, .. } => {
            format!("No schedule is over within {}", display_duration(within_ms))
        }
        Goal::Budget { most } => format!("No schedule costs {most} at most"),
    };
    Failure::new(ExitCode::Refused, format!("{wanted}: {found}."))
}

/// The schedule in `path`, which must be one for `plan`.
pub fn load(path: &Path, plan: &Loaded<ExecutionPlan>) -> Result<Packed, Failure> {
    let file = File::open(path).map_err(|error| Failure::file("read", path, &error))?;
    let loaded: Loaded<Schedule> = read(file).map_err(|error| Failure::document(path, &error))?;
    if loaded.body.plan_digest != plan.header.digest {
        return Err(Failure::new(
            ExitCode::Plan,
            format!(
                "{}: this schedule was made for another plan, {}. Make it with `dva estimate PLAN -o FILE`, from \
                 the same source, inputs and version of dva.",
                path.display(),
                loaded.body.plan_digest.escape_debug()
            ),
        ));
    }
    let violations = check(&plan.body, &plan.header.digest, &loaded.body);
    if let Some(first) = violations.first() {
        let others = match violations.len() {
            1 => String::new(),
            n => format!(" ({} more rules are broken)", n - 1),
        };
        return Err(Failure::new(
            ExitCode::Plan,
            format!(
                "{}: this schedule cannot be followed: {first}{others}. Make it anew with `dva estimate PLAN -o \
                 FILE`.",
                path.display()
            ),
        ));
    }
    Ok(Packed {
        schedule: loaded.body,
        certificate: None,
        deadline_ms: plan.body.policy.limits.elapsed_ms,
    })
}
