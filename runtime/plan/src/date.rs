//! Days: the Gregorian calendar in UTC, as far as waivers, prices and values need it.
//!
//! A date is a text `YYYY-MM-DD` in all documents: its order is that of the text. What day it is now is
//! nobody's business here.

use std::fmt;

/// A day, as the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

/// The length of a day in milliseconds.
const DAY_MS: u64 = 24 * 60 * 60 * 1_000;
/// Days of a span of 400 years, after which the calendar repeats.
const DAYS_OF_400_YEARS: i64 = 146_097;

impl Day {
    /// The day written `YYYY-MM-DD`; `None` where there is no such day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let number = |at: std::ops::Range<usize>| {
            let digits = text.get(at)?;
            let all = digits.bytes().all(|byte| byte.is_ascii_digit());
            all.then(|| digits.parse::<i64>().ok())?
        };
        let marks = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let exists = marks && (1..=12).contains(&month) && day >= 1 && day <= days_of(year, month);
        exists.then(|| Self::of(year, month, day))
    }

    /// The day of a time in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub fn at(unix_ms: u64) -> Self {
        Self(i64::try_from(unix_ms / DAY_MS).unwrap_or(i64::MAX))
    }

    /// How many days it is from `earlier` to this one; negative where this one is earlier.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Counts from the first of March of the year 0, so that the day that not every year has comes last.
    fn of(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let first_of_1970 = 719_468;
        Self(era * DAYS_OF_400_YEARS + day_of_era - first_of_1970)
    }
}

/// Whether `text` is a day of the Gregorian calendar, `YYYY-MM-DD`.
#[must_use]
pub fn is_date(text: &str) -> bool {
    Day::parse(text).is_some()
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `YYYY-MM-DD`
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.saturating_add(719_468);
        let (era, day_of_era) = (
            days.div_euclid(DAYS_OF_400_YEARS),
            days.rem_euclid(DAYS_OF_400_YEARS),
        );
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * from_march + 2) / 5 + 1;
        let month = (from_march + 2) % 12 + 1;
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_that_exist_are_read_and_counted() {
        let day = |text| Day::parse(text).map(|day| day.0);
        assert_eq!(day("1970-01-01"), Some(0));
        assert_eq!(day("2000-02-29"), Some(11_016));
        assert_eq!(day("2027-01-31"), Some(20_849));
        for none in [
            "2027-02-29",
            "1900-02-29",
            "2027-04-31",
            "2027-13-01",
            "2027-00-01",
            "2027-01-00",
            "2027-1-31",
            "27-01-31",
            "2027-01-32",
            "2027/01/31",
            "+027-01-01",
            "",
        ] {
            assert_eq!(day(none), None, "{none}");
        }
    }

    #[test]
    fn every_day_follows_the_one_before_and_prints_as_it_is_read() {
        let mut before = Day::parse("1599-12-31").expect("it exists");
        for year in 1600..2401 {
            for month in 1..=12 {
                for of_month in 1..=days_of(year, month) {
                    let text = format!("{year:04}-{month:02}-{of_month:02}");
                    let day = Day::parse(&text).expect("it exists");
                    assert_eq!((day.days_since(before), day.to_string()), (1, text));
                    before = day;
                }
            }
        }
    }

    #[test]
    fn a_time_is_on_its_day() {
        let last = Day::parse("2027-01-31").expect("it exists");
        let begin = 20_849 * DAY_MS;
        assert_eq!(Day::at(begin), last);
        assert_eq!(Day::at(begin + DAY_MS - 1), last);
        assert_eq!(Day::at(begin + DAY_MS).days_since(last), 1);
        assert!(Day::at(u64::MAX) > last);
    }
}
