//! How good a history is at foretelling: each run is foretold from the runs before it alone.
//!
//! What counts is whether as many durations are under a quantile as it promises, and how far beside it they
//! are, compared with what needs no distribution at all. Samples that a limit cut are learned from and not
//! judged. The main function is [`back_test()`].

use std::collections::BTreeMap;

use dva_plan::history::{Sample, TestKey};
use dva_plan::{ExecutionPlan, RunReport};

use super::{Expected, History, observed_tests};
use crate::joined::Joined;

/// How well durations of executions were foretold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackTest {
    /// How many durations were foretold.
    pub points: u64,
    /// How many were not, because their tests had no history yet.
    pub unforetold: u64,
    /// How many in a thousand took no longer than half of all should: 500 is right.
    pub under_p50_permille: u32,
    /// How many in a thousand took no longer than nine of ten should: 900 is right.
    pub under_p90_permille: u32,
    /// How far they were beside what was foretold.
    pub loss: Loss,
    /// The same if each took what the last one took.
    pub loss_of_last: Loss,
    /// The same if each took the plain mean of those that are known.
    pub loss_of_mean: Loss,
}

/// The mean pinball loss of a duration, in microseconds: what it was above the quantile times the quantile, or
/// what it was below times the rest. Less is better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loss {
    /// Of the half.
    pub p50_us: u64,
    /// Of nine tenths.
    pub p90_us: u64,
}

/// Foretells each of `runs`, which are in the order of their time, from those before it. A run is a plan and
/// the report of it.
#[must_use]
pub fn back_test(runs: &[(&ExecutionPlan, &RunReport)]) -> BackTest {
    let (mut history, mut tally) = (History::default(), Tally::default());
    for (plan, report) in runs {
        let actual = observed_tests(&Joined::of(plan, report));
        tally.judge(&history, &actual);
        history.learn(plan, report);
    }
    tally.back_test()
}

/// Sums over points.
#[derive(Default)]
struct Tally {
    points: u64,
    unforetold: u64,
    under_p50: u64,
    under_p90: u64,
    loss: Losses,
    loss_of_last: Losses,
    loss_of_mean: Losses,
}

/// Sums of losses, in tenths of milliseconds.
#[derive(Default)]
struct Losses {
    p50: u128,
    p90: u128,
}

impl Tally {
    fn judge(&mut self, history: &History, actual: &BTreeMap<TestKey, Vec<Sample>>) {
        for (key, samples) in actual {
            let complete = samples.iter().filter(|sample| !sample.cut);
            match Foretold::of(history, key) {
                Some(foretold) => complete.for_each(|sample| self.add(&foretold, sample.ms)),
                None => complete.for_each(|_| self.unforetold += 1),
            }
        }
    }

    fn add(&mut self, foretold: &Foretold, ms: u64) {
        let expected = &foretold.expected;
        self.points += 1;
        self.under_p50 += u64::from(ms <= expected.p50_ms);
        self.under_p90 += u64::from(ms <= expected.p90_ms);
        self.loss.add(ms, expected.p50_ms, expected.p90_ms);
        self.loss_of_last
            .add(ms, foretold.last_ms, foretold.last_ms);
        self.loss_of_mean
            .add(ms, foretold.mean_ms, foretold.mean_ms);
    }

    fn back_test(&self) -> BackTest {
        let permille = |under: u64| {
            let share = (u128::from(under) * 1_000).checked_div(self.points.into());
            u32::try_from(share.unwrap_or(0)).unwrap_or(1_000)
        };
        BackTest {
            points: self.points,
            unforetold: self.unforetold,
            under_p50_permille: permille(self.under_p50),
            under_p90_permille: permille(self.under_p90),
            loss: self.loss.mean(self.points),
            loss_of_last: self.loss_of_last.mean(self.points),
            loss_of_mean: self.loss_of_mean.mean(self.points),
        }
    }
}

impl Losses {
    fn add(&mut self, ms: u64, p50_ms: u64, p90_ms: u64) {
        self.p50 = self.p50.saturating_add(pinball(ms, p50_ms, 5));
        self.p90 = self.p90.saturating_add(pinball(ms, p90_ms, 9));
    }

    fn mean(&self, points: u64) -> Loss {
        let mean_us = |tenths: u128| {
            let mean = tenths.saturating_mul(100).checked_div(points.into());
            u64::try_from(mean.unwrap_or(0)).unwrap_or(u64::MAX)
        };
        Loss {
            p50_us: mean_us(self.p50),
            p90_us: mean_us(self.p90),
        }
    }
}

/// The loss in tenths of milliseconds, of a quantile in tenths.
fn pinball(ms: u64, quantile_ms: u64, tenths: u128) -> u128 {
    let beside = u128::from(ms.abs_diff(quantile_ms));
    let weight = if ms >= quantile_ms {
        tenths
    } else {
        10 - tenths
    };
    beside * weight
}

/// What is foretold of one key.
struct Foretold {
    expected: Expected,
    last_ms: u64,
    mean_ms: u64,
}

impl Foretold {
    /// `None` where its test has no history.
    fn of(history: &History, key: &TestKey) -> Option<Self> {
        let expected = history.expected_ms(key)?;
        let is_complete = |sample: &&Sample| !sample.cut;
        let own = history.tests.get(key).into_iter().flatten();
        let mut known: Vec<&Sample> = own.filter(is_complete).collect();
        if known.is_empty() {
            let all = history
                .samples(&key.plan, &key.test)
                .flat_map(|(_, samples)| samples);
            known = all.filter(is_complete).collect();
            known.sort_by(|one, other| one.run.cmp(&other.run));
        }
        let sum: u128 = known.iter().map(|sample| u128::from(sample.ms)).sum();
        let mean = sum.checked_div(known.len() as u128)?;
        Some(Self {
            expected,
            last_ms: known.last()?.ms,
            mean_ms: u64::try_from(mean).unwrap_or(u64::MAX),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_costs_the_quantile_and_what_is_below_the_rest() {
        assert_eq!(pinball(110, 100, 9), 90);
        assert_eq!(pinball(90, 100, 9), 10);
        assert_eq!(pinball(110, 100, 5), pinball(90, 100, 5));
        assert_eq!(pinball(100, 100, 9), 0);
    }
}
