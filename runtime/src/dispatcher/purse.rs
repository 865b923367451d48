//! The limit on cost, and how it holds even if everything hangs.
//!
//! Every machine ends itself some time after its launch. What all lives that are over have cost, and all others
//! can come to until their machines end themselves, is never more than the limit. So a life is launched only
//! when what is left pays for it: for as long as it could take at worst, or where all of that together would be
//! too much, for a share of what is left. That is never less than [`ROOM_PERCENT`] of what it is expected to cost;
//! where even that is not left, it waits for others to end before their time. The last one makes do with what
//! is left, if that is what it is expected to cost.
//!
//! Where another candidate than the planned machine is asked for, what was reserved for that one has to do.
//!
//! A machine that got less than the worst is ended a little before its time, so that what it did is still known.

use std::collections::BTreeMap;
use std::time::Duration;

use dva_plan::money::Money;
use dva_plan::plan::MachineIx;
use dva_plan::schedule::{LifeIx, PlannedLife};
use dva_plan::unit::display_duration;
use dva_plan::verdict::Blocker;
use dva_schedule::{CostLimit, ROOM_PERCENT, cost_expected, cost_within, longest_within};
use tokio::time::Instant;

use super::Dispatcher;
use crate::event::{Ending, Event, LifeTrouble};
use crate::executor::{self, Order};
use crate::options::Limits;
use crate::state::{LifePhase, RunState};

/// How long before its machine ends itself a life is ended, at most.
const PARTING: Duration = Duration::from_secs(60);

/// What is left of the limit.
pub(super) struct Purse {
    limit: Money,
    /// What all lives that were launched have cost, or can come to.
    of_lives: BTreeMap<LifeIx, Money>,
    /// Their sum.
    taken: Money,
    prices: BTreeMap<LifeIx, Price>,
    limits: Limits,
}

/// What a life is expected to cost and may come to. Nothing is known of it where it cannot be counted; the run
/// is refused then.
#[derive(Clone, Copy)]
struct Price {
    expected: Money,
    worst: Money,
    worst_ms: u64,
}

/// Lives that are still to be launched, together.
#[derive(Clone, Copy, Default)]
pub(super) struct Waiting {
    expected: i128,
    worst: i128,
}

/// Whether a life may be launched.
pub(super) enum Allowance {
    /// Its machine ends itself after so long.
    For(Duration),
    /// Not before others have ended.
    Later,
    /// Never: what is left does not pay for it, as the sentence says.
    Never(String),
}

impl Purse {
    /// What is left for a run that has come so far.
    pub(super) fn of(state: &RunState, limit: Option<CostLimit>, limits: Limits) -> Option<Self> {
        let mut purse = Self {
            limit: limit?.amount,
            of_lives: BTreeMap::new(),
            taken: Money::ZERO,
            prices: BTreeMap::new(),
            limits,
        };
        for life in state.schedule().lives.indices() {
            purse.settle(state, life);
        }
        Some(purse)
    }

    /// All that is still to be launched.
    pub(super) fn waiting(
        &mut self,
        state: &RunState,
        lives: impl Iterator<Item = LifeIx>,
    ) -> Waiting {
        lives.fold(Waiting::default(), |waiting, life| {
            waiting.with(&self.price(state, life))
        })
    }

    /// The same without one of them.
    fn without(&mut self, waiting: Waiting, state: &RunState, life: LifeIx) -> Waiting {
        let price = self.price(state, life);
        Waiting {
            expected: waiting.expected - i128::from(price.expected.nano_usd()),
            worst: waiting.worst - i128::from(price.worst.nano_usd()),
        }
    }

    /// Whether `life`, which is one of `waiting`, may be launched, and for how long.
    pub(super) fn allow(
        &mut self,
        state: &RunState,
        life: LifeIx,
        waiting: Waiting,
        are_others_live: bool,
    ) -> Allowance {
        let price = self.price(state, life);
        let left = self.limit.nano_usd().saturating_sub(self.taken.nano_usd());
        let least = price.expected.nano_usd().saturating_mul(ROOM_PERCENT) / 100;
        let worst = price.worst.nano_usd();
        let share = waiting.share(&price, left);
        let amount = share.max(least).min(worst);
        let planned = &state.schedule().lives[life];
        if amount <= left {
            return self.lasting(state, planned, amount, price.worst_ms);
        }
        if are_others_live {
            return Allowance::Later;
        }
        if price.expected.nano_usd() <= left {
            return self.lasting(state, planned, left, price.worst_ms);
        }
        self.never(price.expected, left)
    }

    fn lasting(
        &self,
        state: &RunState,
        planned: &PlannedLife,
        amount: i64,
        worst_ms: u64,
    ) -> Allowance {
        let amount = Money::from_nano_usd(amount);
        match longest_within(state.plan(), planned, amount, worst_ms) {
            Ok(Some(longest_ms)) => Allowance::For(Duration::from_millis(longest_ms)),
            Ok(None) | Err(_) => self.never(amount, amount.nano_usd()),
        }
    }

    fn never(&self, expected: Money, left: i64) -> Allowance {
        Allowance::Never(format!(
            "Its machine is expected to cost {expected}, and {} of the {} that the run may cost was left.",
            Money::from_nano_usd(left),
            self.limit
        ))
    }

    /// Counts anew what a life has cost, or can come to.
    pub(super) fn settle(&mut self, state: &RunState, life: LifeIx) {
        let amount = self.most(state, life);
        let before = self.of_lives.insert(life, amount).unwrap_or(Money::ZERO);
        let change = amount.nano_usd().saturating_sub(before.nano_usd());
        self.taken = Money::from_nano_usd(self.taken.nano_usd().saturating_add(change));
    }

    /// How long `machine` may last for what `life` has reserved; `None` where that is less than the life is expected
    /// to take.
    pub(super) fn pays_for_candidate(
        &self,
        state: &RunState,
        life: LifeIx,
        machine: MachineIx,
    ) -> Option<u64> {
        let of_life = &state.lives()[life];
        if of_life.is_adopted() {
            return None;
        }
        let planned = PlannedLife {
            machine,
            ..state.schedule().lives[life].clone()
        };
        let reserved = *self.of_lives.get(&life)?;
        let most_ms = of_life.ends_itself_ms()?;
        let longest_ms = longest_within(state.plan(), &planned, reserved, most_ms);
        let expected_ms = planned.end_ms.saturating_sub(planned.launch_ms);
        longest_ms.ok().flatten().filter(|ms| *ms >= expected_ms)
    }

    /// Whether what is left pays for a machine that lives on for so long.
    pub(super) fn pays_for_keeping(
        &self,
        state: &RunState,
        life: LifeIx,
        keep_for: Duration,
    ) -> bool {
        let alive_ms = alive_ms(state, life).saturating_add(milliseconds(keep_for));
        let own = self.of_lives.get(&life).copied().unwrap_or(Money::ZERO);
        let planned = state.planned_as_asked(life);
        let Ok(Some(amount)) = cost_within(state.plan(), &planned, alive_ms) else {
            return false;
        };
        let others = self.taken.checked_sub(own);
        let all = others.and_then(|others| others.checked_add(amount));
        all.is_some_and(|all| all <= self.limit)
    }

    /// The most that a life can come to as things stand; all there is where that cannot be counted.
    fn most(&self, state: &RunState, life: LifeIx) -> Money {
        let of_life = &state.lives()[life];
        let planned = state.planned_as_asked(life);
        let until_ms = match of_life.phase() {
            LifePhase::Planned => return Money::ZERO,
            LifePhase::Ended => alive_ms(state, life),
            LifePhase::Kept => of_life.ends_itself_ms().unwrap_or(u64::MAX),
            LifePhase::Launching
            | LifePhase::Acquired
            | LifePhase::Ready
            | LifePhase::Releasing
            | LifePhase::Left => {
                let worst =
                    || milliseconds(executor::longest(state.plan(), &planned, &self.limits));
                of_life.ends_itself_ms().unwrap_or_else(worst)
            }
        };
        let most = cost_within(state.plan(), &planned, until_ms);
        most.ok().flatten().unwrap_or(self.limit)
    }

    fn price(&mut self, state: &RunState, life: LifeIx) -> Price {
        if let Some(price) = self.prices.get(&life) {
            return *price;
        }
        let (plan, planned) = (state.plan(), &state.schedule().lives[life]);
        let worst_ms = milliseconds(executor::longest(plan, planned, &self.limits));
        let known = |amount: Result<Option<Money>, _>| amount.ok().flatten().unwrap_or(self.limit);
        let expected = known(cost_expected(plan, planned));
        let price = Price {
            expected,
            worst: known(cost_within(plan, planned, worst_ms)).max(expected),
            worst_ms,
        };
        self.prices.insert(life, price);
        price
    }
}

impl Waiting {
    fn with(self, price: &Price) -> Self {
        Self {
            expected: self.expected + i128::from(price.expected.nano_usd()),
            worst: self.worst + i128::from(price.worst.nano_usd()),
        }
    }

    /// What a life of these may cost, if `left` is divided so that each gets what it is expected to cost, and of
    /// the rest by how much more it may come to.
    fn share(self, price: &Price, left: i64) -> i64 {
        let spare = i128::from(left) - self.expected;
        let range = self.worst - self.expected;
        let own = i128::from(price.worst.nano_usd()) - i128::from(price.expected.nano_usd());
        let more = match range {
            0 => 0,
            range => spare.clamp(0, range) * own / range,
        };
        i64::try_from(i128::from(price.expected.nano_usd()) + more).unwrap_or(i64::MAX)
    }
}

impl Dispatcher {
    /// Looks at what is left of the limit on cost, if there is one.
    pub(super) fn open_purse(&mut self) {
        let limit = CostLimit::of(self.state.plan(), self.options.max_cost);
        self.purse = Purse::of(&self.state, limit, self.options.limits);
    }

    /// Launches those of `due` that what is left pays for, up to the first that it does not.
    pub(super) fn launch_affordable(&mut self, due: &[LifeIx]) {
        let Some(mut purse) = self.purse.take() else {
            due.iter().for_each(|life| self.launch_life(*life, None));
            return;
        };
        if due.is_empty() {
            self.purse = Some(purse);
            return;
        }
        let mut waiting = purse.waiting(&self.state, self.unlaunched.iter().map(|(_, life)| *life));
        for life in due {
            match purse.allow(&self.state, *life, waiting, !self.live.is_empty()) {
                Allowance::For(lifetime) => {
                    waiting = purse.without(waiting, &self.state, *life);
                    self.launch_life(*life, Some(milliseconds(lifetime)));
                    purse.settle(&self.state, *life);
                }
                Allowance::Later => {
                    self.waits_for_money = true;
                    break;
                }
                Allowance::Never(message) => {
                    waiting = purse.without(waiting, &self.state, *life);
                    self.launch_never(*life);
                    self.record(Event::LifeBlocked {
                        life: *life,
                        by: Blocker::Limit,
                        message,
                    });
                }
            }
        }
        self.purse = Some(purse);
    }

    /// A life has its machine: what that can come to is known, and may be less than what was reserved.
    pub(super) fn know_cost(&mut self, life: LifeIx) {
        if !self.state.lives()[life].refusals().is_empty() {
            self.settle_cost(life);
        }
    }

    /// A life is over: what it has cost is known, and may leave enough for others.
    pub(super) fn settle_cost(&mut self, life: LifeIx) {
        self.waits_for_money = false;
        if let Some(purse) = &mut self.purse {
            purse.settle(&self.state, life);
        }
    }

    pub(super) fn can_pay_for_keeping(&self, life: LifeIx) -> bool {
        let keep_for = self.options.keep_for;
        let pays = |purse: &Purse| purse.pays_for_keeping(&self.state, life, keep_for);
        self.purse.as_ref().is_none_or(pays)
    }

    /// After how long the machine of a life ends itself. Where that may be before it is done by itself, we end it
    /// a little earlier.
    pub(super) fn lifetime(&mut self, life: LifeIx) -> Duration {
        if let Some(ends_ms) = self.ends_early_ms(life) {
            let at = self.instant(ends_ms);
            self.endings.insert((at, life));
        }
        let of_life = &self.state.lives()[life];
        of_life
            .ends_itself_ms()
            .map_or_else(|| self.worst(life), Duration::from_millis)
    }

    /// How long a life may last at worst.
    fn worst(&self, life: LifeIx) -> Duration {
        let planned = &self.state.schedule().lives[life];
        executor::longest(self.state.plan(), planned, &self.options.limits)
    }

    /// When a life is ended for its cost, in milliseconds since the start of the run; `None` where it lasts as long as
    /// it may.
    fn ends_early_ms(&self, life: LifeIx) -> Option<u64> {
        let of_life = &self.state.lives()[life];
        let lifetime = Duration::from_millis(of_life.ends_itself_ms()?);
        let planned = &self.state.schedule().lives[life];
        let ends = milliseconds(lifetime.saturating_sub(parting(lifetime, planned)));
        let is_early = lifetime < self.worst(life);
        is_early.then(|| of_life.launch_ms().unwrap_or(0).saturating_add(ends))
    }

    /// Whether a life has lasted as long as what it may cost lets it: that its machine is lost then is no wonder.
    pub(super) fn is_out_of_time(&self, life: LifeIx) -> bool {
        let ends_ms = self.ends_early_ms(life);
        ends_ms.is_some_and(|ends_ms| self.now_ms() >= ends_ms)
    }

    /// Ends lives whose machines are about to end themselves.
    pub(super) fn end_in_time(&mut self) {
        let now = Instant::now();
        while let Some((at, life)) = self.endings.first().copied() {
            if at > now {
                break;
            }
            self.endings.pop_first();
            self.end_early(life);
        }
    }

    pub(super) fn end_early(&mut self, life: LifeIx) {
        let of_life = &self.state.lives()[life];
        let is_over = !of_life.phase().holds_machine() || of_life.phase() == LifePhase::Releasing;
        if is_over || of_life.trouble().is_some() {
            return;
        }
        let within = display_duration(of_life.ends_itself_ms().unwrap_or_default());
        self.record(Event::LifeFailed {
            life,
            trouble: LifeTrouble::Cost,
            message: format!(
                "It was ended in time for its cost: what was left to spend pays for {within} of this machine."
            ),
        });
        self.order(life, Order::Cut(Ending::Interrupted));
        self.advance(life);
    }
}

/// How long before its machine ends itself a life is ended: as little as is needed, and never before it is
/// expected to have ended.
pub(super) fn parting(lifetime: Duration, planned: &PlannedLife) -> Duration {
    let expected = Duration::from_millis(planned.end_ms.saturating_sub(planned.launch_ms));
    (lifetime.saturating_sub(expected) / 2).min(PARTING)
}

/// How long a life that was launched has had its machine.
fn alive_ms(state: &RunState, life: LifeIx) -> u64 {
    let of_life = &state.lives()[life];
    let launch_ms = of_life.launch_ms().unwrap_or(0);
    of_life
        .end_ms()
        .unwrap_or_else(|| state.now_ms())
        .saturating_sub(launch_ms)
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
