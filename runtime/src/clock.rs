//! The wall clock: the one place where a run learns what day it is.
//!
//! Everything a run measures comes from tokio's monotonic clock, so a paused clock and a simulator
//! see the same run. The wall clock is read once and handed in as a value.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::{SystemTime, UNIX_EPOCH};

use dva_plan::RunId;
use dva_plan::date::Day;

/// A moment of wall time: milliseconds since 1970-01-01 UTC, leap seconds left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(u64);

impl WallTime {
    /// Now, by the operating system. A clock set before 1970 gives 1970.
    #[must_use]
    pub fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// This many milliseconds after 1970-01-01 UTC.
    #[must_use]
    pub fn from_unix_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// This moment and `ms` milliseconds more.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// A new run id of this moment: `20261123-093000-4f2a`. The last four digits are random, so two
    /// runs that start in one second differ.
    #[must_use]
    pub fn run_id(self) -> RunId {
        let day = Day::at(self.0).to_string().replace('-', "");
        let [hour, minute, second, _] = self.time_of_day();
        RunId::new(format!(
            "{day}-{hour:02}{minute:02}{second:02}-{:04x}",
            random() & 0xffff
        ))
    }

    /// Hour, minute, second and millisecond of the day, in UTC.
    fn time_of_day(self) -> [u64; 4] {
        let ms = self.0 % 86_400_000;
        [
            ms / 3_600_000,
            ms / 60_000 % 60,
            ms / 1_000 % 60,
            ms % 1_000,
        ]
    }
}

/// As ISO 8601 in UTC: `2026-11-23T09:30:00.000Z`.
impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = Day::at(self.0);
        let [hour, minute, second, ms] = self.time_of_day();
        write!(f, "{day}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// 64 bits that no other run has: for names that must not meet, not for secrets.
pub(crate) fn random() -> u64 {
    // The standard library's hasher keys itself from the operating system's randomness.
    RandomState::new().hash_one(0_u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_print_as_people_write_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_426_200_123, "2026-11-23T09:30:00.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(WallTime::from_unix_ms(ms).to_string(), text);
        }
    }

    #[test]
    fn run_ids_sort_by_time_and_differ_within_a_second() {
        let id = WallTime::from_unix_ms(1_795_426_200_123).run_id();
        assert!(id.as_str().starts_with("20261123-093000-"), "{id}");
        let ids: std::collections::BTreeSet<_> =
            (0..8).map(|_| WallTime::from_unix_ms(0).run_id()).collect();
        assert!(ids.len() > 1);
    }
}
