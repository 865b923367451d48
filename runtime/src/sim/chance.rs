//! Random numbers of things that have names: each has its own, the same for the same seed and name,
//! whoever asks first. Nothing is remembered between two questions, so the order in which machines and
//! commands come changes nothing.
//!
//! Its main type is [`Chance`]. All is whole numbers, so that every machine has the same.

/// One, in the fixed point of factors.
const ONE: i128 = 1 << 32;
/// The widest spread of durations, in thousandths.
pub(super) const WIDEST: u32 = 2_000;

/// The random numbers of one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// Those of a seed.
    pub(super) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// Those of what is called so within this.
    pub(super) fn of(self, name: &str) -> Self {
        let mut state = self.0;
        for byte in name.bytes() {
            state = (state ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // With its length, so that no two names run into each other.
        self.with(state ^ name.len() as u64)
    }

    /// Those of what has this number within this.
    pub(super) fn number(self, number: u32) -> Self {
        self.with(u64::from(number))
    }

    fn with(self, value: u64) -> Self {
        Self(mix(self.0.rotate_left(17) ^ mix(value)))
    }

    /// Its random number of this place.
    fn draw(self, place: u64) -> u64 {
        mix(self.0 ^ mix(place))
    }

    /// One of `things`, in so many of a thousand cases.
    pub(super) fn pick<T: Copy>(self, permille: u32, things: &[T]) -> Option<T> {
        let below = |end: usize, place| {
            let wide = u128::from(self.draw(place)) * (end as u128);
            usize::try_from(wide >> 64).unwrap_or(0)
        };
        let hit = below(1_000, 0) < usize::try_from(permille).unwrap_or(usize::MAX);
        let thing = hit.then(|| things.get(below(things.len(), 1)));
        thing.flatten().copied()
    }

    /// `mean_ms` times a log-normal factor whose mean is one and whose logarithm has a standard deviation
    /// of `sigma` thousandths.
    pub(super) fn spread(self, mean_ms: u64, sigma: u32) -> u64 {
        if sigma == 0 {
            return mean_ms;
        }
        let sigma = i128::from(sigma.min(WIDEST));
        // In millionths. The last part is what a sum of uniform numbers lacks of the tails of a normal one.
        let square = sigma * sigma;
        let exponent = sigma * self.normal() - square / 2 + square * square / 240_000_000;
        let ms = i128::from(mean_ms) * power_of_e(exponent) / ONE;
        u64::try_from(ms).unwrap_or(u64::MAX)
    }

    /// A standard normal number in thousandths: the sum of twelve uniform ones has a variance of one.
    fn normal(self) -> i128 {
        const MEAN: i128 = 6 * 0xffff;
        let parts = (0..3).flat_map(|place| {
            let bits = self.draw(place);
            (0..4).map(move |part| i128::from((bits >> (16 * part)) & 0xffff))
        });
        (parts.sum::<i128>() - MEAN) * 1_000 / 0xffff
    }
}

/// The finish of SplitMix64: any two inputs that differ in one bit differ in half of the output's.
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// e to the power of so many millionths, in fixed point; between e⁻²⁰ and e²⁰.
fn power_of_e(millionths: i128) -> i128 {
    const WHOLE: i128 = 1_000_000;
    let clamped = millionths.clamp(-20 * WHOLE, 20 * WHOLE);
    // A 64th of it is small enough for the series; six squarings make up for that.
    let small = clamped * ONE / (WHOLE * 64);
    let (mut term, mut sum) = (ONE, ONE);
    for number in 1..12 {
        term = term * small / ONE / number;
        sum += term;
    }
    for _ in 0..6 {
        sum = sum * sum / ONE;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEAN_MS: u64 = 1_000_000;
    const COUNT: u32 = 20_000;

    fn drawn(sigma: u32) -> Vec<u64> {
        let of = Chance::new(7).of("test");
        let mut drawn: Vec<u64> = (0..COUNT)
            .map(|number| of.number(number).spread(MEAN_MS, sigma))
            .collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn durations_have_their_mean_and_their_spread() {
        for (sigma, tolerance) in [(100, 3_000), (300, 8_000), (1_000, 40_000)] {
            let drawn = drawn(sigma);
            let mean = drawn.iter().sum::<u64>() / u64::from(COUNT);
            assert!(mean.abs_diff(MEAN_MS) < tolerance, "{sigma}: {mean}");
        }
        // e to the power of 0.3 × 1.2816 − 0.045 is 1.404, and of −0.045 it is 0.956.
        let drawn = drawn(300);
        let ninth = drawn[drawn.len() * 9 / 10];
        assert!(ninth.abs_diff(1_404_000) < 20_000, "{ninth}");
        let middle = drawn[drawn.len() / 2];
        assert!(middle.abs_diff(956_000) < 10_000, "{middle}");
    }

    #[test]
    fn nothing_varies_without_a_spread() {
        assert_eq!(drawn(0), vec![MEAN_MS; COUNT as usize]);
    }

    #[test]
    fn as_many_are_picked_as_was_said_and_each_as_often() {
        let of = Chance::new(0).of("fault");
        let picks = (0..100_000).filter_map(|number| of.number(number).pick(50, &[0, 1, 2, 3]));
        let mut counts = [0_u32; 4];
        for pick in picks {
            counts[pick] += 1;
        }
        for count in counts {
            assert!(count.abs_diff(1_250) < 150, "{counts:?}");
        }
        assert_eq!(of.pick::<u8>(1_000, &[]), None);
        assert_eq!(of.pick(1_000, &[3]), Some(3));
        assert_eq!(of.pick(0, &[3]), None);
    }

    #[test]
    fn what_has_another_name_has_other_numbers() {
        let of = Chance::new(1);
        let all = [
            of.of("ab").of("c"),
            of.of("a").of("bc"),
            of.of("a").number(1),
            of.of("a").number(2),
            of.number(1).number(2),
            of.number(2).number(1),
            Chance::new(2).of("a").number(1),
        ];
        for (place, one) in all.iter().enumerate() {
            for other in &all[place + 1..] {
                assert_ne!(one.draw(0), other.draw(0));
            }
            assert_ne!(one.draw(0), one.draw(1));
        }
    }
}
