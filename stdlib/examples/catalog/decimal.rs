//! Decimal numbers as integers of a smaller unit, without arithmetic on floats.

/// `number` in units of `10^-places`, cut behind them; `None` where it is negative or too large.
///
/// A float is read by its shortest decimal form, which is the text that stood in the file.
pub fn scaled(number: f64, places: usize) -> Option<i64> {
    scaled_text(&number.to_string(), places)
}

fn scaled_text(text: &str, places: usize) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut digits = whole.to_owned();
    digits.extend(fraction.chars().chain(std::iter::repeat('0')).take(places));
    digits.parse().ok().filter(|scaled| *scaled >= 0)
}

/// The number that stands in a text, in billionths; `None` as for [`scaled`], or where it is none.
pub fn nano(text: &str) -> Option<i64> {
    scaled_text(text, 9)
}

/// A price in dollars as nano-dollars.
pub fn nano_dollars(dollars: f64) -> Option<i64> {
    scaled(dollars, 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stay_as_they_are_written() {
        assert_eq!(nano_dollars(0.0768), Some(76_800_000));
        assert_eq!(nano_dollars(407.68), Some(407_680_000_000));
        assert_eq!(nano_dollars(1e-9), Some(1));
        assert_eq!(scaled(12.5, 3), Some(12_500));
        assert_eq!(scaled(0.0, 3), Some(0));
        assert_eq!(scaled(-1.0, 3), None);
        assert_eq!(nano("1.01321"), Some(1_013_210_000));
        assert_eq!(nano("7"), Some(7_000_000_000));
        assert_eq!((nano("a lot"), nano("-1")), (None, None));
    }
}
