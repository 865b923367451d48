//! Random durations: log-normal factors with a mean of one, in whole numbers.
//!
//! Its main type is [`LogNormal`].

use crate::fixed::{ONE, ln, power_of_e, root, times};
use crate::packing::random::Random;

/// The upper half of the standard normal distribution in 64 parts of equal weight: the middle of each, in
/// thousandths.
const NORMAL: [i64; 64] = [
    10, 29, 49, 69, 88, 108, 128, 147, 167, 187, 207, 227, 247, 268, 288, 308, 329, 350, 371, 392,
    413, 434, 456, 478, 500, 522, 545, 568, 591, 614, 638, 662, 687, 712, 737, 763, 790, 817, 844,
    873, 902, 932, 962, 994, 1026, 1060, 1095, 1132, 1170, 1209, 1251, 1295, 1342, 1392, 1445,
    1503, 1567, 1637, 1717, 1810, 1921, 2064, 2266, 2660,
];

/// What nine of ten of a standard normal distribution are below, in fixed point.
const NINE_OF_TEN: i128 = (1_281_552 << 32) / 1_000_000;

/// The spread of durations with such a mean, nine of ten of which are no longer than `p90_ms`: the standard deviation of
/// their logarithm, in thousandths to the nearest ten. The mean is m e^(σ² ÷ 2) of the median m, and nine of ten are below
/// m e^(1.28 σ), so σ is 1.28 − √(1.28² − 2 ln(P90 ÷ mean)); 1.28 where they are farther apart than that can be.
pub(super) fn sigma_permille(mean_ms: u64, p90_ms: u64) -> u32 {
    let apart = (ln(p90_ms) - ln(mean_ms)).max(0);
    let sigma = NINE_OF_TEN - root(times(NINE_OF_TEN, NINE_OF_TEN) - 2 * apart);
    let hundredths = (sigma * 100 + (1 << 31)) >> 32;
    u32::try_from(hundredths).unwrap_or(0) * 10
}

/// A log-normal distribution with a mean of one, in 128 parts of equal weight.
pub(super) struct LogNormal {
    factors: Vec<u128>,
}

impl LogNormal {
    /// That whose logarithm has a standard deviation of `sigma_permille` thousandths.
    pub(super) fn of(sigma_permille: u32) -> Self {
        let sigma = i128::from(sigma_permille);
        let halves = NORMAL.iter().flat_map(|z| [-*z, *z]);
        // Thousandths times thousandths.
        let mut factors: Vec<u128> = halves.map(|z| power_of_e(sigma * i128::from(z))).collect();
        factors.sort_unstable();
        // What the parts leave out of the tails is put back, so that the mean is one.
        let sum: u128 = factors.iter().sum();
        let parts = factors.len() as u128;
        for factor in &mut factors {
            *factor = *factor * ONE * parts / sum.max(1);
        }
        Self { factors }
    }

    /// `mean_ms` times a random factor; at least 1.
    pub(super) fn draw(&self, mean_ms: u64, random: &mut Random) -> u64 {
        let factor = self.factors[random.below(self.factors.len())];
        let ms = u128::from(mean_ms) * factor / ONE;
        u64::try_from(ms).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `History` tells of one sample of 30 s, of which 0.3 is assumed.
    #[test]
    fn the_spread_follows_from_the_mean_and_the_ninth_tenth() {
        assert_eq!(sigma_permille(31_381, 44_065), 300);
        assert_eq!(sigma_permille(20_000, 20_000), 0);
        assert_eq!(sigma_permille(20_000, 10_000), 0);
        assert_eq!(sigma_permille(10_000, 40_000), 1_280);
    }

    #[test]
    fn the_mean_is_one_and_the_ninth_tenth_as_in_tables() {
        let of = LogNormal::of(300);
        let parts = of.factors.len() as u128;
        let mean = of.factors.iter().sum::<u128>() / parts;
        assert!(mean.abs_diff(ONE) < 1_000);
        // e to the power of 0.3 × 1.2816 − 0.045 is 1.404.
        let ninth = of.factors[of.factors.len() * 9 / 10] * 1_000 / ONE;
        assert!((1_385..=1_425).contains(&ninth), "{ninth}");
    }
}
