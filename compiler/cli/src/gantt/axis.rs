//! The ticks of a time axis: steps that people count in, as close as their labels allow.

/// Steps in milliseconds.
const STEPS_MS: [u64; 31] = [
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1_000,
    2_000,
    5_000,
    10_000,
    15_000,
    30_000,
    60_000,
    120_000,
    300_000,
    600_000,
    900_000,
    1_800_000,
    3_600_000,
    7_200_000,
    10_800_000,
    21_600_000,
    43_200_000,
    86_400_000,
    172_800_000,
    432_000_000,
    864_000_000,
    1_728_000_000,
];

/// The times from 0 to `span_ms` at which there is a tick: no more than `most` of them behind 0.
pub fn ticks(span_ms: u64, most: u64) -> Vec<u64> {
    let most = most.max(1);
    let known = STEPS_MS.iter().copied().find(|step| span_ms / step <= most);
    let step_ms = known.unwrap_or_else(|| span_ms.div_ceil(most).max(1));
    (0..=span_ms / step_ms).map(|tick| tick * step_ms).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        assert_eq!(ticks(0, 5), [0]);
        assert_eq!(ticks(5_500, 6), [0, 1_000, 2_000, 3_000, 4_000, 5_000]);
        assert_eq!(ticks(210_000, 5), [0, 60_000, 120_000, 180_000]);
        for span_ms in [1, 7, 999, 60_000, 3_661_000, 90_000_000, u64::MAX] {
            for most in [0, 1, 4, 9] {
                let ticks = ticks(span_ms, most);
                assert!(ticks.len() as u64 <= most.max(1) + 1, "{span_ms} {most}");
                assert!(ticks.iter().all(|tick| *tick <= span_ms));
            }
        }
    }
}
