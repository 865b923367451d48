//! Decimal numbers of JSON as integers of a smaller unit, without arithmetic on floats.

/// `number` in units of `10^-places`, cut behind them; `None` where it is negative or too large.
///
/// A float is read by its shortest decimal form, which is the text that stood in the file.
pub fn scaled(number: f64, places: usize) -> Option<i64> {
    let text = number.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let mut digits = whole.to_owned();
    digits.extend(fraction.chars().chain(std::iter::repeat('0')).take(places));
    digits.parse().ok().filter(|scaled| *scaled >= 0)
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
    }
}
