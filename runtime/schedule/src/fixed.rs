//! Powers of e and logarithms in fixed point: whole numbers alone, so that every machine has the same ones.
//!
//! What it does not do is be exact: powers are right to seven places and logarithms to nine, which is far
//! closer than any duration can be foretold.

/// One, in the fixed point of factors and logarithms.
pub(crate) const ONE: u128 = 1 << 32;

const ONE_SIGNED: i128 = 1 << 32;
/// The logarithm of 2.
const LN_2: i128 = 2_977_044_472;

/// e to the power of so many millionths, in fixed point; between e⁻²⁰ and e²⁰.
pub(crate) fn power_of_e(millionths: i128) -> u128 {
    const WHOLE: i128 = 1_000_000;
    let clamped = millionths.clamp(-20 * WHOLE, 20 * WHOLE);
    of_a_64th(clamped * ONE_SIGNED / (WHOLE * 64))
}

/// e to the power of `log`, as a whole number to the nearest; between 0 and e⁴⁰.
pub(crate) fn exp(log: i128) -> u64 {
    let clamped = log.clamp(-40 * ONE_SIGNED, 40 * ONE_SIGNED);
    let whole = (of_a_64th(clamped / 64) + ONE / 2) / ONE;
    u64::try_from(whole).unwrap_or(u64::MAX)
}

/// e to the power of 64 times as much: a 64th is small enough for the series, and six squarings make up for it.
fn of_a_64th(small: i128) -> u128 {
    let (mut term, mut sum) = (ONE_SIGNED, ONE_SIGNED);
    for number in 1..12 {
        term = term * small / ONE_SIGNED / number;
        sum += term;
    }
    for _ in 0..6 {
        sum = sum * sum / ONE_SIGNED;
    }
    u128::try_from(sum).unwrap_or(0)
}

/// The natural logarithm of a whole number in fixed point; of 0 that of 1.
pub(crate) fn ln(number: u64) -> i128 {
    let number = i128::from(number.max(1));
    let twos = number.ilog2();
    // What is left is at least 1 and below 2: ln m = 2 artanh((m − 1) ÷ (m + 1)), whose series goes by thirds.
    let rest = (number << 32) >> twos;
    let step = (rest - ONE_SIGNED) * ONE_SIGNED / (rest + ONE_SIGNED);
    let square = step * step / ONE_SIGNED;
    let (mut term, mut sum) = (step, 0);
    for number in (1..24).step_by(2) {
        sum += term / number;
        term = term * square / ONE_SIGNED;
    }
    i128::from(twos) * LN_2 + 2 * sum
}

/// The product of two numbers in fixed point.
pub(crate) fn times(one: i128, other: i128) -> i128 {
    one * other / ONE_SIGNED
}

/// The square root of a number in fixed point; of a negative one 0.
pub(crate) fn root(number: i128) -> i128 {
    let square = number.max(0) * ONE_SIGNED;
    square.isqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_e_are_right_to_six_places() {
        let is_near = |millionths, expected: u128| {
            let found = power_of_e(millionths) * 1_000_000 / ONE;
            assert!(
                found.abs_diff(expected) <= 1 + expected / 500_000,
                "{found}"
            );
        };
        is_near(0, 1_000_000);
        is_near(1_000_000, 2_718_282);
        is_near(-1_000_000, 367_879);
        is_near(300_000, 1_349_859);
        is_near(5_000_000, 148_413_159);
    }

    #[test]
    fn logarithms_are_right_to_eight_places() {
        let is_near = |number, expected: i128| {
            let found = ln(number) * 1_000_000_000 / ONE_SIGNED;
            assert!((found - expected).abs() <= 20, "{number}: {found}");
        };
        is_near(0, 0);
        is_near(1, 0);
        is_near(2, 693_147_181);
        is_near(3, 1_098_612_289);
        is_near(30_000, 10_308_952_661);
        is_near(1_000_000, 13_815_510_558);
        is_near(u64::MAX, 44_361_419_556);
    }

    #[test]
    fn powers_undo_logarithms() {
        for number in [1, 2, 7, 999, 1_000, 30_001, 86_400_000, 5_000_000_000] {
            let found = exp(ln(number));
            assert!(
                found.abs_diff(number) <= number / 5_000_000,
                "{number}: {found}"
            );
        }
        assert_eq!(exp(-50 * ONE_SIGNED), 0);
        assert!(exp(50 * ONE_SIGNED).abs_diff(235_385_266_837_019_985) < 1 << 36);
    }

    #[test]
    fn roots_are_those_of_fixed_point() {
        assert_eq!(root(4 * ONE_SIGNED), 2 * ONE_SIGNED);
        assert_eq!(root(ONE_SIGNED / 4), ONE_SIGNED / 2);
        assert_eq!(root(-1), 0);
        assert_eq!(times(ONE_SIGNED / 2, -ONE_SIGNED), -ONE_SIGNED / 2);
    }
}
