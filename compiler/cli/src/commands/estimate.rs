//! `dva estimate`: what a run would need and cost, by the runtime's own scheduler, stopped before it
//! launches.
//!
//! What is found is gathered once ([`Estimate`]), and said to people ([`text`]) and to programs ([`view`]).

mod text;
mod view;

use std::collections::BTreeMap;

use dva_compiler::suppose::Supposed;
use dva_plan::document::to_bytes;
use dva_plan::plan::Cell;
use dva_plan::quote::Market;
use dva_plan::{ExecutionPlan, ExitCode, Schedule};
use dva_schedule::{
    Assumptions, Certificate, Cost, CostLimit, Forecast, Options, Peer, PeerCost, Place,
    QuotaClass, Share, Spread, Summary, breakdown, forecast, over_cost, peak_vcpus, peers,
    summarize,
};

use super::run::warn_of_narrow;
use crate::args::{EstimateArguments, MarketName, ProviderName};
use crate::basis::{Basis, Measured};
use crate::failure::Failure;
use crate::packing::Packed;
use crate::render::counted;
use crate::{input, output, packing, providers};

/// What a run of a plan would come to.
struct Estimate<'e> {
    plan: &'e ExecutionPlan,
    assumptions: &'e Assumptions,
    /// What of it was measured in past runs.
    measured: Option<&'e Measured>,
    schedule: &'e Schedule,
    /// How far it can be from the best one; none where atoms are isolated.
    certificate: Option<&'e Certificate>,
    /// By when all is to be over.
    deadline_ms: Option<u64>,
    /// How many tests may run at once on a machine.
    lanes: u32,
    summary: Summary,
    cost: Cost,
    spread: Spread,
    forecast: Forecast,
    /// The most virtual processors at once, of machines that an account has a quota for.
    peak_vcpus: BTreeMap<(String, QuotaClass), u32>,
    /// By region and operating system.
    places: BTreeMap<Place, Share>,
    /// The same tests, put onto machines as other runners do it.
    peers: BTreeMap<Peer, PeerCost>,
}

impl<'e> Estimate<'e> {
    fn of(basis: &'e Basis, packed: &'e Packed, options: &Options) -> Result<Self, Failure> {
        let plan = &basis.plan.body;
        let schedule = &packed.schedule;
        let failed = |error| Failure::new(ExitCode::Refused, format!("the cost: {error}."));
        let spread = Spread::default();
        let mut peak_vcpus = peak_vcpus(plan, schedule);
        peak_vcpus.retain(|(region, _), _| region != "local");
        Ok(Self {
            plan,
            assumptions: &basis.assumptions,
            measured: basis.measured.as_ref(),
            schedule,
            certificate: packed.certificate.as_ref(),
            deadline_ms: packed.deadline_ms,
            lanes: options
                .lanes
                .map_or(plan.policy.lanes, |fewer| fewer.min(plan.policy.lanes)),
            summary: summarize(plan, schedule),
            cost: dva_schedule::cost(plan, schedule).map_err(failed)?,
            forecast: forecast(plan, schedule, &spread),
            spread,
            peak_vcpus,
            places: breakdown(plan, schedule).map_err(failed)?,
            peers: peers(plan, options),
        })
    }

    /// In how many of a thousand runs all is over in time, where there is a deadline.
    fn chance_permille(&self) -> Option<(u64, u32)> {
        let within_ms = self.deadline_ms?;
        Some((within_ms, self.forecast.chance_permille(within_ms)))
    }

    /// When the last life is launched, in milliseconds from the first.
    fn last_launch_ms(&self) -> u64 {
        let launches = self.schedule.lives.iter().map(|life| life.launch_ms);
        launches.max().unwrap_or(0)
    }
}

/// Schedules and says what came out.
pub fn run(arguments: &EstimateArguments) -> Result<ExitCode, Failure> {
    let output = arguments.output.as_deref();
    output::check(
        output.into_iter(),
        std::iter::once(arguments.input.file.as_path()),
    )?;
    let input::Input { plan, dropped, .. } =
        input::plan_supposed(&arguments.input, supposed(arguments)?)?;
    refuse_unserved(&plan.body, arguments.provider)?;
    let assumptions = providers::assumptions_for(&plan.body, arguments.provider);
    let whose = providers::history_for(&plan.body, arguments.provider);
    let past = &arguments.packing.past;
    let basis = Basis::of(plan, assumptions, whose, &arguments.state, past)?;
    let packed = packing::pack(&basis, &arguments.packing)?;
    if let Some(path) = output {
        output::write(path, &to_bytes(&packed.schedule))?;
    }
    let plan = &basis.plan.body;
    let options = packing::options(plan, &basis.assumptions, &arguments.packing);
    let estimate = Estimate::of(&basis, &packed, &options)?;
    let text = match arguments.json {
        true => view::json(&estimate, &dropped),
        false => text::text(&estimate),
    };
    output::print(text)?;
    // What a run would be refused for, by the same words.
    let limit = CostLimit::of(plan, None);
    match limit.and_then(|limit| over_cost(plan, &packed.schedule, limit)) {
        Some(reason) => Err(Failure::new(ExitCode::Refused, reason)),
        None => {
            warn_of_narrow(plan, &packed.schedule, limit);
            Ok(ExitCode::Ok)
        }
    }
}

/// Refuses what `dva run` would refuse: cells with no machine of this host, where it is to run there.
fn refuse_unserved(plan: &ExecutionPlan, provider: Option<ProviderName>) -> Result<(), Failure> {
    let is_served = |cell: &Cell| {
        let mut candidates = cell.candidates.iter();
        candidates.any(|machine| plan.machines[*machine].is_of_this_host())
    };
    let unserved = plan.cells.iter().filter(|cell| !is_served(cell)).count();
    if provider != Some(ProviderName::Local) || unserved == 0 {
        return Ok(());
    }
    let cells = counted(plan.cells.len(), "cell");
    Err(Failure::new(
        ExitCode::Refused,
        format!("The provider `local` has no machine for {unserved} of {cells}."),
    ))
}

/// What the arguments suppose to be otherwise than the source says.
fn supposed(arguments: &EstimateArguments) -> Result<Supposed, Failure> {
    let mut values = BTreeMap::new();
    for (axis, supposed) in &arguments.what_if {
        if values.insert(axis.clone(), supposed.clone()).is_some() {
            return Err(Failure::new(
                ExitCode::Invocation,
                format!(
                    "`{axis}` is supposed twice. Several values stand behind one `=`, with commas."
                ),
            ));
        }
    }
    Ok(Supposed {
        market: arguments.market.map(|market| match market {
            MarketName::OnDemand => Market::OnDemand,
            MarketName::Spot => Market::Spot,
        }),
        values,
    })
}
