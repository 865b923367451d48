//! Money: whole billionths of a US dollar, added and multiplied with a check.
//!
//! It is what prices and bills are made of. How money is written and printed is in
//! [`crate::unit`], for the language and for machines alike.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::unit::{Quantity, UnitError, display_money, parse_quantity};

/// An amount in billionths of a US dollar. Serializes as that number.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many billionths of a dollar.
    #[must_use]
    pub const fn from_nano_usd(nano_usd: i64) -> Self {
        Self(nano_usd)
    }

    /// Billionths of a dollar.
    #[must_use]
    pub const fn nano_usd(self) -> i64 {
        self.0
    }

    /// Reads what [`Display`](fmt::Display) prints for an amount that is not negative: `$0.0144`.
    ///
    /// # Errors
    /// As [`parse_quantity`]; what has a unit is no money.
    pub fn parse(text: &str) -> Result<Self, UnitError> {
        match parse_quantity(text)? {
            Quantity::Money(nano_usd) => Ok(Self(nano_usd)),
            Quantity::Size(_) | Quantity::Duration(_) | Quantity::Percent(..) => {
                Err(UnitError::UnknownUnit)
            }
        }
    }

    /// The sum; `None` where it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference; `None` where it does not fit.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(difference) => Some(Self(difference)),
            None => None,
        }
    }

    /// What `amount` units come to, where `units` of them cost this much: the product ÷ `units`,
    /// rounded up to a whole billionth. `None` where it does not fit or `units` is 0.
    #[must_use]
    pub fn checked_rate(self, amount: u64, units: u64) -> Option<Self> {
        let product = i128::from(self.0).checked_mul(i128::from(amount))?;
        let units = i128::from(units);
        let whole = product.checked_div_euclid(units)?;
        let up = i128::from(product.checked_rem_euclid(units)? > 0);
        Some(Self(i64::try_from(whole.checked_add(up)?).ok()?))
    }

    /// The sum of many; `None` where it does not fit.
    #[must_use]
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

/// Exactly, at least to the cent: `$5.00`, `$0.000000001`.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&display_money(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_back() {
        for nano_usd in [0, 1, 10_000_000, 14_400_000, 5_000_000_001, i64::MAX] {
            let money = Money::from_nano_usd(nano_usd);
            assert_eq!(Money::parse(&money.to_string()), Ok(money));
        }
        assert_eq!(
            Money::from_nano_usd(i64::MIN).to_string(),
            "-$9223372036.854775808"
        );
        assert_eq!(Money::parse("5GiB"), Err(UnitError::UnknownUnit));
    }

    #[test]
    fn a_rate_is_rounded_up_once() {
        let rate = |nano_usd, amount, units| {
            Money::from_nano_usd(nano_usd)
                .checked_rate(amount, units)
                .map(Money::nano_usd)
        };
        assert_eq!(rate(10, 3_600, 3_600), Some(10));
        assert_eq!(rate(10, 1, 3_600), Some(1));
        assert_eq!(rate(0, 1, 3_600), Some(0));
        assert_eq!(rate(-10, 1, 3_600), Some(0));
        assert_eq!(rate(-7_200, 1, 3_600), Some(-2));
        assert_eq!(rate(10, 1, 0), None);
        assert_eq!(rate(i64::MAX, u64::MAX, 1), None);
        assert_eq!(rate(i64::MIN, u64::MAX, 1), None);
        assert_eq!(rate(i64::MAX, u64::MAX, u64::MAX), Some(i64::MAX));
        assert_eq!(rate(i64::MAX, 1 << 62, 1 << 62), Some(i64::MAX));
    }

    #[test]
    fn what_does_not_fit_is_no_sum() {
        let max = Money::from_nano_usd(i64::MAX);
        let one = Money::from_nano_usd(1);
        assert_eq!(max.checked_add(one), None);
        assert_eq!(Money::from_nano_usd(i64::MIN).checked_sub(one), None);
        assert_eq!(Money::checked_sum([one, one]), one.checked_add(one));
        assert_eq!(Money::checked_sum([max, one]), None);
    }
}
