//! Units: the one parser of sizes, durations, percentages and money, and the one way they print.
//!
//! Literals of the language and captured output of commands go through the same functions, so
//! `512MiB` means the same in a source and on a machine's standard output.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::value::Value;

/// A unit of size. Binary and decimal units are different; there is no `K` that could mean either.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub enum SizeUnit {
    /// One byte.
    B,
    /// 1,000 bytes.
    #[serde(rename = "kB")]
    Kilo,
    /// 1,024 bytes.
    KiB,
    /// 1,000² bytes.
    MB,
    /// 1,024² bytes.
    MiB,
    /// 1,000³ bytes.
    GB,
    /// 1,024³ bytes.
    GiB,
    /// 1,000⁴ bytes.
    TB,
    /// 1,024⁴ bytes.
    TiB,
}

impl SizeUnit {
    /// All units, longest name first as a lexer wants them, then by size.
    pub const ALL: [Self; 9] = [
        Self::KiB,
        Self::MiB,
        Self::GiB,
        Self::TiB,
        Self::Kilo,
        Self::MB,
        Self::GB,
        Self::TB,
        Self::B,
    ];

    /// The unit as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::B => "B",
            Self::Kilo => "kB",
            Self::KiB => "KiB",
            Self::MB => "MB",
            Self::MiB => "MiB",
            Self::GB => "GB",
            Self::GiB => "GiB",
            Self::TB => "TB",
            Self::TiB => "TiB",
        }
    }

    /// Bytes in one unit.
    #[must_use]
    pub fn bytes(self) -> u64 {
        match self {
            Self::B => 1,
            Self::Kilo => 1_000,
            Self::KiB => 1 << 10,
            Self::MB => 1_000_000,
            Self::MiB => 1 << 20,
            Self::GB => 1_000_000_000,
            Self::GiB => 1 << 30,
            Self::TB => 1_000_000_000_000,
            Self::TiB => 1 << 40,
        }
    }

    /// The unit written `name`, exactly.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|unit| unit.name() == name)
    }
}

impl fmt::Display for SizeUnit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A unit of time.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TimeUnit {
    /// A thousandth of a second.
    Ms,
    /// A second.
    S,
    /// 60 seconds.
    Min,
    /// 60 minutes.
    H,
    /// 24 hours.
    D,
}

impl TimeUnit {
    /// All units, the smallest first.
    pub const ALL: [Self; 5] = [Self::Ms, Self::S, Self::Min, Self::H, Self::D];

    /// The unit as it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ms => "ms",
            Self::S => "s",
            Self::Min => "min",
            Self::H => "h",
            Self::D => "d",
        }
    }

    /// Milliseconds in one unit.
    #[must_use]
    pub fn ms(self) -> u64 {
        match self {
            Self::Ms => 1,
            Self::S => 1_000,
            Self::Min => 60_000,
            Self::H => 3_600_000,
            Self::D => 86_400_000,
        }
    }
}

/// The unit that a text gives a number in.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Of a size.
    Size(SizeUnit),
    /// Of a duration.
    Time(TimeUnit),
}

impl Unit {
    /// The unit written `name`, exactly.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let time = || TimeUnit::ALL.into_iter().find(|unit| unit.name() == name);
        SizeUnit::named(name)
            .map(Self::Size)
            .or_else(|| time().map(Self::Time))
    }

    /// `value` as a bare number of this unit, with up to three decimals, the rest cut off; `None` where the
    /// unit is not one of its type.
    #[must_use]
    pub fn number_of(self, value: &Value) -> Option<String> {
        let (amount, unit) = match (self, value) {
            (Self::Size(unit), Value::Bytes(bytes)) => (*bytes, unit.bytes()),
            (Self::Time(unit), Value::Ms(ms)) => (*ms, unit.ms()),
            _ => return None,
        };
        let thousandths = u128::from(amount % unit) * 1_000 / u128::from(unit);
        let fraction = format!("{thousandths:03}");
        Some(match fraction.trim_end_matches('0') {
            "" => (amount / unit).to_string(),
            fraction => format!("{}.{fraction}", amount / unit),
        })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Size(unit) => unit.name(),
            Self::Time(unit) => unit.name(),
        })
    }
}

/// A unit of time, in the order a lexer wants: longest name first.
const DURATION_UNITS: [(&str, u64); 5] = [
    ("min", 60_000),
    ("ms", 1),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("s", 1_000),
];

/// A number with its unit, as text gave it. Decimal fractions are exact: `1.5GiB` is a whole number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Bytes.
    Size(u64),
    /// Milliseconds.
    Duration(u64),
    /// A ratio of whole numbers; `90%` is (90, 100).
    Percent(i64, i64),
    /// Billionths of a US dollar.
    Money(i64),
}

/// Why a text is no quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// The text does not start with a decimal number.
    #[error("it is not a number with a unit")]
    NoNumber,
    /// There is no unit behind the number.
    #[error("the unit is missing")]
    NoUnit,
    /// The unit is none of ours.
    #[error("the unit is unknown")]
    UnknownUnit,
    /// The value is not a whole number of the smallest unit, such as `0.5B`.
    #[error("it is not a whole number of the smallest unit")]
    NotWhole,
    /// The value does not fit.
    #[error("it is too large")]
    TooLarge,
}

/// Parses a quantity: `10GiB`, `1.5s`, `90%`, `$5.00`. No blanks inside, the whole text or nothing.
///
/// # Errors
/// [`UnitError`] says which part is wrong.
pub fn parse_quantity(text: &str) -> Result<Quantity, UnitError> {
    if let Some(dollars) = text.strip_prefix('$') {
        let (number, rest) = Decimal::read(dollars)?;
        if !rest.is_empty() {
            return Err(UnitError::UnknownUnit);
        }
        let nano = number.times(1_000_000_000)?;
        return Ok(Quantity::Money(
            i64::try_from(nano).map_err(|_| UnitError::TooLarge)?,
        ));
    }
    let (number, unit) = Decimal::read(text)?;
    match unit {
        "" => Err(UnitError::NoUnit),
        "%" => {
            let numerator = i64::try_from(number.digits).map_err(|_| UnitError::TooLarge)?;
            let denominator = number
                .scale()
                .checked_mul(100)
                .and_then(|scale| i64::try_from(scale).ok())
                .ok_or(UnitError::TooLarge)?;
            Ok(Quantity::Percent(numerator, denominator))
        }
        _ => {
            if let Some(unit) = SizeUnit::named(unit) {
                return number.times(unit.bytes()).map(Quantity::Size);
            }
            DURATION_UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or(UnitError::UnknownUnit)
                .and_then(|(_, ms)| number.times(*ms).map(Quantity::Duration))
        }
    }
}

/// Parses a bare decimal number as a count of `unit`: the `4` of `4 kB`, once the `4` is alone.
///
/// # Errors
/// As [`parse_quantity`].
pub fn parse_size_in(text: &str, unit: SizeUnit) -> Result<u64, UnitError> {
    match Decimal::read(text)? {
        (number, "") => number.times(unit.bytes()),
        _ => Err(UnitError::UnknownUnit),
    }
}

/// A decimal number: `digits` ÷ 10^`places`.
struct Decimal {
    digits: u64,
    places: u32,
}

impl Decimal {
    /// Reads digits with at most one point; returns what is behind them.
    fn read(text: &str) -> Result<(Self, &str), UnitError> {
        let whole = text.bytes().take_while(u8::is_ascii_digit).count();
        if whole == 0 {
            return Err(UnitError::NoNumber);
        }
        let (mut digits, mut rest) = text.split_at(whole);
        let mut places = 0;
        let joined;
        if let Some(behind) = rest.strip_prefix('.') {
            let fraction = behind.bytes().take_while(u8::is_ascii_digit).count();
            if fraction == 0 {
                return Err(UnitError::NoNumber);
            }
            joined = format!("{digits}{}", &behind[..fraction]);
            digits = &joined;
            places = u32::try_from(fraction).map_err(|_| UnitError::TooLarge)?;
            rest = &behind[fraction..];
        }
        let digits = digits.parse().map_err(|_| UnitError::TooLarge)?;
        if places > 18 {
            return Err(UnitError::TooLarge);
        }
        Ok((Self { digits, places }, rest))
    }

    fn scale(&self) -> u64 {
        10_u64.pow(self.places)
    }

    /// This many times `unit`, which must come out whole.
    fn times(&self, unit: u64) -> Result<u64, UnitError> {
        let product = u128::from(self.digits) * u128::from(unit);
        let scale = u128::from(self.scale());
        if !product.is_multiple_of(scale) {
            return Err(UnitError::NotWhole);
        }
        u64::try_from(product / scale).map_err(|_| UnitError::TooLarge)
    }
}

/// Prints bytes in the largest binary unit that keeps them whole: `1536MiB`, `10GiB`, `1001B`.
#[must_use]
pub fn display_size(bytes: u64) -> String {
    for unit in [SizeUnit::TiB, SizeUnit::GiB, SizeUnit::MiB, SizeUnit::KiB] {
        if bytes >= unit.bytes() && bytes.is_multiple_of(unit.bytes()) {
            return format!("{}{unit}", bytes / unit.bytes());
        }
    }
    format!("{bytes}B")
}

/// Prints milliseconds in the largest unit that keeps them whole, else in seconds: `90s`, `2min`, `1.5s`.
#[must_use]
pub fn display_duration(ms: u64) -> String {
    for (name, unit) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("min", 60_000),
        ("s", 1_000),
    ] {
        if ms >= unit && ms.is_multiple_of(unit) {
            return format!("{}{name}", ms / unit);
        }
    }
    if ms < 1_000 {
        return format!("{ms}ms");
    }
    let fraction = format!("{:03}", ms % 1_000);
    format!("{}.{}s", ms / 1_000, fraction.trim_end_matches('0'))
}

/// Prints billionths of a dollar, at least to the cent and without further trailing zeros: `$5.00`, `$0.0144`.
#[must_use]
pub fn display_money(nano_usd: i64) -> String {
    let sign = if nano_usd < 0 { "-" } else { "" };
    let nano = nano_usd.unsigned_abs();
    let fraction = format!("{:09}", nano % 1_000_000_000);
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("{sign}${}.{}", nano / 1_000_000_000, &fraction[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_exact() {
        assert_eq!(parse_quantity("10GiB"), Ok(Quantity::Size(10 << 30)));
        assert_eq!(parse_quantity("1.5KiB"), Ok(Quantity::Size(1536)));
        assert_eq!(parse_quantity("4kB"), Ok(Quantity::Size(4000)));
        assert_eq!(parse_quantity("1.5s"), Ok(Quantity::Duration(1500)));
        assert_eq!(parse_quantity("5min"), Ok(Quantity::Duration(300_000)));
        assert_eq!(parse_quantity("90%"), Ok(Quantity::Percent(90, 100)));
        assert_eq!(parse_quantity("99.5%"), Ok(Quantity::Percent(995, 1000)));
        assert_eq!(parse_quantity("$5.00"), Ok(Quantity::Money(5_000_000_000)));
        assert_eq!(parse_quantity("$0.000000001"), Ok(Quantity::Money(1)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(parse_quantity(""), Err(UnitError::NoNumber));
        assert_eq!(parse_quantity("GiB"), Err(UnitError::NoNumber));
        assert_eq!(parse_quantity("10"), Err(UnitError::NoUnit));
        assert_eq!(parse_quantity("10 GiB"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_quantity("10GIB"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_quantity("10K"), Err(UnitError::UnknownUnit));
        assert_eq!(parse_quantity("0.5B"), Err(UnitError::NotWhole));
        assert_eq!(parse_quantity("1.GiB"), Err(UnitError::NoNumber));
        assert_eq!(parse_quantity("99999999TiB"), Err(UnitError::TooLarge));
        assert_eq!(
            parse_quantity("99999999999999999999s"),
            Err(UnitError::TooLarge)
        );
        assert_eq!(
            parse_quantity("1.0000000000000000000000s"),
            Err(UnitError::TooLarge)
        );
        assert_eq!(parse_quantity("$5x"), Err(UnitError::UnknownUnit));
    }

    #[test]
    fn a_bare_number_takes_the_unit_given() {
        assert_eq!(parse_size_in("2048", SizeUnit::KiB), Ok(2 << 20));
        assert_eq!(
            parse_size_in("2048 kB", SizeUnit::KiB),
            Err(UnitError::UnknownUnit)
        );
    }

    #[test]
    fn a_text_names_the_unit_of_a_number() {
        let mib = Unit::Size(SizeUnit::MiB);
        let number = |value: &Value| mib.number_of(value);
        assert_eq!(number(&Value::Bytes(4 << 30)).as_deref(), Some("4096"));
        assert_eq!(number(&Value::Bytes(1_572_864)).as_deref(), Some("1.5"));
        assert_eq!(number(&Value::Bytes(1)).as_deref(), Some("0"));
        assert_eq!(
            number(&Value::Bytes((1 << 20) + 1100)).as_deref(),
            Some("1.001")
        );
        assert_eq!(number(&Value::Ms(1)), None);
        let minutes = Unit::named("min").expect("a unit");
        assert_eq!(
            minutes.number_of(&Value::Ms(90_000)).as_deref(),
            Some("1.5")
        );
        assert_eq!(Unit::named("kB"), Some(Unit::Size(SizeUnit::Kilo)));
        assert_eq!(Unit::named("m"), None);
    }

    #[test]
    fn what_is_printed_can_be_read_back() {
        for bytes in [0, 1, 1023, 1024, 1536, 512 << 20, 10 << 30, 1_000_000] {
            assert_eq!(
                parse_quantity(&display_size(bytes)),
                Ok(Quantity::Size(bytes))
            );
        }
        for ms in [0, 1, 999, 1000, 1500, 60_000, 90_000, 86_400_000] {
            assert_eq!(
                parse_quantity(&display_duration(ms)),
                Ok(Quantity::Duration(ms))
            );
        }
        assert_eq!(display_money(5_000_000_000), "$5.00");
        assert_eq!(display_money(-14_400_000), "-$0.0144");
    }
}
