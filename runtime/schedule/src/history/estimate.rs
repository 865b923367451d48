//! What samples say of the next one: a log-normal distribution, in whole numbers.
//!
//! The logarithms of a key's samples are followed with a weight of 0.3 for the newest. How far they are spread
//! is the mean of the squares by which each missed what those before it foretold. A cut sample counts as if it
//! had taken just so long where that is longer than those before it foretold; otherwise, and before any other,
//! it says nothing. Keys with few samples are drawn towards all that are alike. The main type is
//! [`Expected`].

use dva_plan::history::Sample;

use crate::fixed::{ONE, exp, ln, root, times};
use crate::forecast::Spread;

/// How many samples a key needs to stand for itself.
const ENOUGH: i128 = 5;
/// How much the newest sample counts, in tenths.
const WEIGHT_TENTHS: i128 = 3;
/// What nine of ten of a standard normal distribution are below, in millionths.
const NINE_OF_TEN: i128 = 1_281_552;

const MILLION: i128 = 1_000_000;

/// What something may take the next time, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The mean: for money.
    pub mean_ms: u64,
    /// Half of all take no longer.
    pub p50_ms: u64,
    /// Nine of ten take no longer: for deadlines.
    pub p90_ms: u64,
    /// How many samples there are that ran to their end: of just this, whatever else was drawn on.
    pub samples: u32,
}

/// What the samples of one key came to. Logarithms and their squares are in fixed point.
pub(super) struct Level {
    /// How many ran to their end.
    pub(super) samples: u32,
    log: i128,
    /// How many said something, and the sum of the squares by which all but the first missed.
    points: i128,
    squares: i128,
}

impl Level {
    /// Of samples in their order; `None` where none ran to its end.
    pub(super) fn of(samples: &[Sample]) -> Option<Self> {
        let first = samples.iter().position(|sample| !sample.cut)?;
        let (first, later) = samples.get(first..)?.split_first()?;
        let mut level = Self {
            samples: 1,
            log: ln(first.ms),
            points: 1,
            squares: 0,
        };
        for sample in later {
            level.follow(sample);
        }
        Some(level)
    }

    fn follow(&mut self, sample: &Sample) {
        let missed = ln(sample.ms) - self.log;
        if sample.cut && missed <= 0 {
            return;
        }
        self.samples += u32::from(!sample.cut);
        self.log += missed * WEIGHT_TENTHS / 10;
        self.points += 1;
        self.squares += times(missed, missed);
    }
}

/// A log-normal distribution: the mean and the variance of its logarithm, in fixed point.
pub(super) struct Curve {
    log: i128,
    variance: i128,
    samples: u32,
}

impl Curve {
    /// That of the level `own` among all that are alike, of which it is one; `None` where there are none.
    pub(super) fn of(own: Option<&Level>, alike: &[Level]) -> Option<Self> {
        let all = Self::over(alike)?;
        let Some(own) = own else {
            return Some(all);
        };
        let (points, misses) = (own.points, own.points - 1);
        let curve = if points < ENOUGH {
            Self {
                log: (points * own.log + (ENOUGH - points) * all.log) / ENOUGH,
                variance: (own.squares + (ENOUGH - misses) * all.variance) / ENOUGH,
                samples: own.samples,
            }
        } else {
            Self {
                log: own.log,
                variance: own.squares / misses,
                samples: own.samples,
            }
        };
        Some(curve)
    }

    /// That of all levels together: each counts by its points, and how far they are apart is spread as well.
    /// Where there are few, the spread is drawn towards the one that forecasts assume.
    fn over(levels: &[Level]) -> Option<Self> {
        let points: i128 = levels.iter().map(|level| level.points).sum();
        let sum: i128 = levels.iter().map(|level| level.points * level.log).sum();
        let log = sum.checked_div(points)?;
        let squares: i128 = levels.iter().map(|level| level.squares).sum();
        let misses: i128 = levels.iter().map(|level| level.points - 1).sum();
        let missing = (ENOUGH - misses).max(0);
        let within = (squares + missing * assumed_variance()) / misses.max(ENOUGH);
        let apart = levels.iter().map(|level| {
            let distance = level.log - log;
            level.points * times(distance, distance)
        });
        Some(Self {
            log,
            variance: within + apart.sum::<i128>() / points,
            samples: 0,
        })
    }

    pub(super) fn expected(&self) -> Expected {
        let ninth = NINE_OF_TEN * root(self.variance) / MILLION;
        Expected {
            mean_ms: exp(self.log + self.variance / 2),
            p50_ms: exp(self.log),
            p90_ms: exp(self.log + ninth),
            samples: self.samples,
        }
    }
}

fn assumed_variance() -> i128 {
    let sigma = i128::from(Spread::default().sigma_permille);
    let one = i128::try_from(ONE).unwrap_or(i128::MAX);
    sigma * sigma * one / MILLION
}
