//! From the lives that cells may have to a schedule that meets its goal, and the certificate that comes
//! with it.
//!
//! One number decides for all cells: how long a life may be (the *cap*). Each cell takes the cheapest of its
//! choices that is no longer, all are launched, and what comes out is held against the goal. Where quotas make
//! lives wait that could go elsewhere, they are spread as well ([`super::elsewhere`]). Which caps and spreads
//! are tried does not depend on the goal, so a later deadline or a larger budget never gives anything
//! worse.
//! Its main function is [`optimize`].

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::ExecutionPlan;
use dva_plan::money::Money;
use dva_plan::plan::CellIx;
use dva_plan::schedule::Schedule;

use super::cells::{Cells, Choice, Kind};
use super::elsewhere::Elsewhere;
use super::launch;
use super::solve::Sought;
use super::tariff::money;
use crate::forecast::{Spread, forecast};
use crate::options::{CellCertificate, Certificate, Goal, Infeasible, Options, Planned, Risk};
use crate::quota::{QuotaClass, Quotas};

/// The most caps that are tried where cells have to wait for each other.
const CAPS: usize = 64;
/// For how much of the time that lives take on their cheapest machines a pool may be busy, in sixteenths.
const SHARES: [u64; 8] = [14, 12, 10, 8, 6, 4, 2, 1];
/// How often the least quota of a pool is narrowed down to half of what it may be.
const TRIES: u32 = 10;

/// The schedule of `plan`, whose document has the digest `plan_digest`, that meets the goal best.
///
/// Nothing depends on the order in which the plan lists tests and cells, except the order of the
/// schedule's own rows; the same plan and options give the same bytes. An execution is planned to take at
/// least 1 ms, and times end at [`u64::MAX`]. A life gets as many lanes as the policy allows and its cell
/// has tests, or fewer, where that ends sooner.
///
/// The plan must be valid, see [`dva_plan::validate`]; of lives with a cycle, the tests on it and
/// behind it are left out.
///
/// # Errors
/// [`Infeasible`] where no schedule was found that meets the goal within the quotas, with what would do.
///
/// # Panics
/// If the plan names a row that is not there.
pub fn optimize(
    plan: &ExecutionPlan,
    plan_digest: &str,
    options: &Options,
) -> Result<Planned, Infeasible> {
    let sought = match options.goal {
        Goal::LeastCost => Sought::Cheapest,
        Goal::Deadline { .. } | Goal::Budget { .. } => Sought::Shorter,
    };
    let goals = Goals {
        cells: Cells::of(plan, options, sought),
        elsewhere: Elsewhere::of(plan, &options.quotas),
        plan_digest,
        options,
    };
    match options.goal {
        Goal::LeastCost => goals.planned(u64::MAX, u64::MAX),
        Goal::Deadline { within_ms, risk } => goals.in_time(within_ms, risk),
        Goal::Budget { most } => goals.within(most),
    }
}

struct Goals<'p> {
    cells: Cells<'p>,
    /// Where lives can go that the account's quotas hold up.
    elsewhere: Option<Elsewhere<'p>>,
    plan_digest: &'p str,
    options: &'p Options,
}

/// How cells choose.
#[derive(Clone, Copy)]
struct Way {
    /// How long a life may be.
    cap_ms: u64,
    /// For how long a pool of processors may be busy before lives go elsewhere; `None` for ever.
    busy_ms: Option<u64>,
}

/// What cells chose.
struct Chosen {
    way: Way,
    schedule: Schedule,
    cost: u128,
    /// What the lives of cells cost more than on the cheapest machine.
    dearer: BTreeMap<CellIx, u128>,
}

impl Goals<'_> {
    /// The cheapest whose lives are no longer than `cap_ms`, with what is the least where nothing may take
    /// longer than `within_ms`.
    fn planned(&self, cap_ms: u64, within_ms: u64) -> Result<Planned, Infeasible> {
        let way = Way {
            cap_ms,
            busy_ms: None,
        };
        let chosen = self.launched(way, &self.options.quotas)?;
        Ok(self.certified(chosen, within_ms))
    }

    fn certified(&self, chosen: Chosen, within_ms: u64) -> Planned {
        let mut certificate = self.certificate(chosen.way.cap_ms, within_ms);
        for (cell, dearer) in chosen.dearer.into_iter().filter(|(_, more)| *more > 0) {
            if let Some(of_cell) = certificate.cells.get_mut(&cell) {
                let cost = of_cell.cost.checked_add(money(dearer));
                of_cell.cost = cost.unwrap_or(money(u128::MAX));
                of_cell.is_exact = false;
            }
        }
        certificate.cost = money(chosen.cost);
        Planned {
            certificate,
            schedule: chosen.schedule,
        }
    }

    fn launched(&self, way: Way, quotas: &Quotas) -> Result<Chosen, Infeasible> {
        let plan = self.cells.plan;
        let lives = self.cells.lives(|kind| choice(kind, way.cap_ms));
        let mut lives = lives.unwrap_or_default();
        let mut dearer = BTreeMap::new();
        if let Some(busy_ms) = way.busy_ms
            && let Some(elsewhere) = &self.elsewhere
        {
            dearer = elsewhere.apply(&mut lives, busy_ms);
        }
        launch::assign(plan, quotas, &mut lives).map_err(|least_vcpus| Infeasible {
            least_vcpus,
            ..Infeasible::default()
        })?;
        Ok(Chosen {
            way,
            schedule: super::finish(plan, self.plan_digest, lives),
            cost: self.cost(way.cap_ms) + dearer.values().sum::<u128>(),
            dearer,
        })
    }

    /// What can be chosen with lives of up to `cap_ms`: each on its cheapest machine, and, where quotas then make
    /// lives wait and they could go elsewhere, spread more and more.
    fn ways(&self, cap_ms: u64) -> Result<Vec<Chosen>, Infeasible> {
        let quotas = &self.options.quotas;
        let way = |busy_ms| Way { cap_ms, busy_ms };
        let first = self.launched(way(None), quotas)?;
        let makespan_ms = first.schedule.makespan_ms;
        let mut ways = vec![first];
        if self.elsewhere.is_some() {
            for sixteenths in SHARES {
                let busy_ms = makespan_ms / 16 * sixteenths;
                ways.push(self.launched(way(Some(busy_ms)), quotas)?);
            }
        }
        Ok(ways)
    }

    /// The cheapest that is over in time.
    fn in_time(&self, within_ms: u64, risk: Risk) -> Result<Planned, Infeasible> {
        let mut soonest_ms = u64::MAX;
        let mut best: Option<Chosen> = None;
        // Where cells do not wait for each other, the longest life is the makespan.
        let mut caps = self.caps();
        if risk == Risk::Expected && !launch::is_coupled(self.cells.plan, &self.options.quotas) {
            caps.insert(0, within_ms);
        }
        for cap_ms in caps {
            // Whatever the goal, the shortest of all is known in the end.
            if cap_ms > within_ms && soonest_ms < u64::MAX {
                continue;
            }
            // Shorter lives cost more, however they are spread.
            if best
                .as_ref()
                .is_some_and(|best| best.cost <= self.cost(cap_ms))
            {
                break;
            }
            for chosen in self.ways(cap_ms)? {
                let makespan_ms = self.makespan_ms(&chosen.schedule, risk);
                soonest_ms = soonest_ms.min(makespan_ms);
                let is_better = best.as_ref().is_none_or(|best| chosen.cost < best.cost);
                if makespan_ms <= within_ms && is_better {
                    best = Some(chosen);
                }
            }
        }
        if let Some(best) = best {
            return Ok(self.certified(best, within_ms));
        }
        Err(Infeasible {
            least_deadline_ms: Some(soonest_ms),
            least_vcpus: self.quotas_for(within_ms, risk),
            ..Infeasible::default()
        })
    }

    /// The soonest that costs no more.
    fn within(&self, most: Money) -> Result<Planned, Infeasible> {
        let mut best: Option<Chosen> = None;
        let mut least = u128::MAX;
        for cap_ms in self.caps() {
            let cost = self.cost(cap_ms);
            least = least.min(cost);
            if money(cost) > most {
                continue;
            }
            for chosen in self.ways(cap_ms)? {
                let measure = |of: &Chosen| (of.schedule.makespan_ms, of.cost);
                let is_better = best
                    .as_ref()
                    .is_none_or(|best| measure(&chosen) < measure(best));
                if money(chosen.cost) <= most && is_better {
                    best = Some(chosen);
                }
            }
        }
        match best {
            Some(best) => Ok(self.certified(best, u64::MAX)),
            None => Err(Infeasible {
                least_budget: Some(money(least)),
                ..Infeasible::default()
            }),
        }
    }

    /// How long lives may be, the longest first: what the choices of cells are, and for many of them some
    /// of these.
    fn caps(&self) -> Vec<u64> {
        let spans = self.cells.kinds.iter().flat_map(|kind| &kind.choices);
        let spans: BTreeSet<u64> = spans.map(|choice| choice.span_ms).collect();
        // Below what the longest cell needs, all that is shorter is alike.
        let floors = self
            .cells
            .kinds
            .iter()
            .filter_map(|kind| kind.choices.last());
        let floor_ms = floors.map(|choice| choice.span_ms).max().unwrap_or(0);
        let all: Vec<u64> = spans
            .into_iter()
            .rev()
            .filter(|span_ms| *span_ms >= floor_ms)
            .collect();
        let step = all.len().div_ceil(CAPS).max(1);
        let last = all.last().copied();
        let mut caps: Vec<u64> = all.into_iter().step_by(step).collect();
        caps.extend(last);
        caps.dedup();
        if caps.is_empty() {
            caps.push(u64::MAX);
        }
        caps
    }

    fn makespan_ms(&self, schedule: &Schedule, risk: Risk) -> u64 {
        match risk {
            Risk::Expected => schedule.makespan_ms,
            Risk::P90 => {
                let spread = Spread::default();
                forecast(self.cells.plan, schedule, &spread).makespan_p90_ms
            }
        }
    }

    /// What all lives cost together, as far as they have a price.
    fn cost(&self, cap_ms: u64) -> u128 {
        let kinds = self
            .cells
            .kind_of
            .iter()
            .map(|kind| &self.cells.kinds[*kind]);
        let priced = kinds.filter(|kind| kind.meter.is_priced);
        priced
            .filter_map(|kind| choice(kind, cap_ms))
            .map(|choice| choice.cost)
            .sum()
    }

    /// The quotas that would do, where quotas are the trouble: none of them could be smaller with the others as
    /// they are, as far as is found with lives as long as may be or as short as can be.
    fn quotas_for(&self, within_ms: u64, risk: Risk) -> BTreeMap<(String, QuotaClass), u32> {
        let quotas = &self.options.quotas;
        let free = Quotas {
            vcpus: BTreeMap::new(),
            vcpus_elsewhere: BTreeMap::new(),
            launches: quotas.launches,
        };
        if *quotas == free {
            return BTreeMap::new();
        }
        let caps = self.caps();
        let in_time = |cap_ms: u64, quotas: &Quotas| {
            let way = Way {
                cap_ms,
                busy_ms: None,
            };
            let chosen = self.launched(way, quotas).ok()?;
            let makespan_ms = self.makespan_ms(&chosen.schedule, risk);
            (makespan_ms <= within_ms).then_some(chosen.schedule)
        };
        let Some((longest_ms, schedule)) = caps
            .iter()
            .find_map(|cap_ms| Some((*cap_ms, in_time(*cap_ms, &free)?)))
        else {
            return BTreeMap::new();
        };
        let tried = BTreeSet::from([longest_ms, caps.last().copied().unwrap_or(longest_ms)]);
        let peaks = crate::summary::peak_vcpus(self.cells.plan, &schedule);
        let mut enough = quotas.clone();
        for ((region, class), peak) in &peaks {
            let own = quotas.vcpus_in(region, *class).unwrap_or(u32::MAX);
            let pool = (region.clone(), *class);
            enough.vcpus.insert(pool, own.max(*peak));
        }
        for ((region, class), peak) in &peaks {
            let Some(own) = quotas.vcpus_in(region, *class) else {
                continue;
            };
            let pool = (region.clone(), *class);
            let would_do = |vcpus: u32| {
                let mut less = enough.clone();
                less.vcpus.insert(pool.clone(), vcpus);
                tried.iter().any(|cap_ms| in_time(*cap_ms, &less).is_some())
            };
            // What is too few, and what is enough.
            let (mut few, mut many) = (own, own.max(*peak));
            if would_do(own) {
                many = own;
            }
            let mut tries = TRIES;
            while few + 1 < many && tries > 0 {
                tries -= 1;
                let middle = few + (many - few) / 2;
                match would_do(middle) {
                    true => many = middle,
                    false => few = middle,
                }
            }
            enough.vcpus.insert(pool, many);
        }
        enough.vcpus.retain(|(region, class), many| {
            let own = quotas.vcpus_in(region, *class);
            own.is_some_and(|own| own < *many)
        });
        enough.vcpus
    }

    fn certificate(&self, cap_ms: u64, within_ms: u64) -> Certificate {
        let mut certificate = Certificate::default();
        let (mut cost, mut bound) = (0_u128, 0_u128);
        // Cells that are alike have the same.
        let kinds: Vec<_> = self
            .cells
            .kinds
            .iter()
            .map(|kind| self.of_kind(kind, cap_ms, within_ms))
            .collect();
        for (cell, kind) in self.cells.plan.cells.indices().zip(&self.cells.kind_of) {
            let (of_cell, own_cost, own_bound) = kinds[*kind];
            cost += own_cost;
            bound += own_bound;
            certificate.lives += of_cell.lives;
            certificate.lives_lower_bound += of_cell.lives_lower_bound;
            certificate.cells.insert(cell, of_cell);
        }
        certificate.cost = money(cost);
        certificate.lower_bound = money(bound);
        certificate
    }

    fn of_kind(&self, kind: &Kind, cap_ms: u64, within_ms: u64) -> (CellCertificate, u128, u128) {
        let limit_ms = within_ms.saturating_sub(self.cells.boot_ms());
        let least = self.cells.bounds[&kind.shape].least(&kind.meter, limit_ms);
        let choice = choice(kind, cap_ms);
        let cost = choice.map_or(0, |choice| choice.cost);
        let lives = choice.map_or(0, |choice| choice.lives.len());
        let (bound, lives_bound) = least.map_or((0, 0), |least| (least.cost, least.lives));
        let (cost, bound) = match kind.meter.is_priced {
            true => (cost, bound),
            false => (0, 0),
        };
        let certificate = CellCertificate {
            cost: money(cost),
            lower_bound: money(bound),
            lives: u64::try_from(lives).unwrap_or(u64::MAX),
            lives_lower_bound: lives_bound,
            is_exact: kind.is_exact,
        };
        (certificate, cost, bound)
    }
}

/// The cheapest of a cell's choices that is no longer than `cap_ms`; its shortest, where none is.
fn choice(kind: &Kind, cap_ms: u64) -> Option<&Choice> {
    let mut choices = kind.choices.iter();
    let fitting = choices.find(|choice| choice.span_ms <= cap_ms);
    fitting.or_else(|| kind.choices.last())
}
