//! Captures: how a command's output becomes a value of a slot's type.
//!
//! Blanks around a value are taken off, except from strings, which are kept as they stand but for the
//! line ends at their end. Nothing is guessed: a text that is not exactly of its type is none.

use dva_plan::step::{Capture, CaptureFrom};
use dva_plan::unit::{Quantity, SizeUnit, parse_quantity, parse_size_in};
use dva_plan::{FailureClass, Type, Value};
use regex::{Regex, RegexBuilder};

use super::facts::{Unreadable, text, without_line_ends};
use crate::excerpt::{escape, shorten};
use crate::transport::{CAPTURE_LIMIT, StreamOutput};

/// Why there is no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NoCapture {
    /// In which way.
    pub(super) class: FailureClass,
    /// What is wrong, as the end of a sentence.
    pub(super) why: String,
}

impl NoCapture {
    fn parse(why: impl Into<String>) -> Self {
        Self {
            class: FailureClass::CaptureParse,
            why: why.into(),
        }
    }
}

impl From<Unreadable> for NoCapture {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::TooLarge => Self {
                class: FailureClass::CaptureSize,
                why: format!(
                    "the output is larger than {} MiB, the most that is kept",
                    CAPTURE_LIMIT >> 20
                ),
            },
            Unreadable::NotUtf8 => Self::parse("the output is not UTF-8"),
        }
    }
}

/// The value that `capture` takes from `stdout`, of type `of`.
pub(super) fn capture(
    capture: &Capture,
    of: &Type,
    stdout: &StreamOutput,
) -> Result<Value, NoCapture> {
    let text = text(stdout)?;
    match &capture.from {
        CaptureFrom::Text => value(without_line_ends(text), of, capture.unit),
        CaptureFrom::Find(pattern) => {
            let regex = RegexBuilder::new(pattern)
                .multi_line(true)
                .build()
                .map_err(|error| NoCapture::parse(format!("its pattern is broken: {error}")))?;
            let found = regex
                .captures(text)
                .and_then(|found| found.get(1))
                .ok_or_else(|| NoCapture::parse(format!("nothing matches `{pattern}`")))?;
            value(found.as_str().trim(), of, capture.unit)
        }
        CaptureFrom::Lines => {
            let Type::List(item) = of else {
                return Err(NoCapture::parse("lines give a list, and its type is none"));
            };
            let mut lines: Vec<&str> = text.lines().collect();
            while lines.last().is_some_and(|line| line.is_empty()) {
                lines.pop();
            }
            let items: Result<Vec<_>, NoCapture> = lines
                .into_iter()
                .enumerate()
                .map(|(number, line)| {
                    value(line, item, capture.unit).map_err(|error| NoCapture {
                        why: format!("{} (line {})", error.why, number + 1),
                        ..error
                    })
                })
                .collect();
            items.map(Value::List)
        }
    }
}

fn value(text: &str, of: &Type, unit: Option<SizeUnit>) -> Result<Value, NoCapture> {
    if *of == Type::String {
        return Ok(Value::String(text.to_owned()));
    }
    let text = text.trim();
    let no = |why: &str| {
        let shown = shorten(&escape(text.as_bytes()), 80);
        NoCapture::parse(format!("`{shown}` is no {of}: {why}"))
    };
    let quantity = || parse_quantity(text).map_err(|error| no(&error.to_string()));
    let word = || {
        if text.is_empty() {
            Err(no("it is empty"))
        } else if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
            Err(no("it is more than one word"))
        } else {
            Ok(text.to_owned())
        }
    };
    match of {
        Type::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(no("it is neither `true` nor `false`")),
        },
        Type::Int => text
            .parse()
            .map(Value::Int)
            .map_err(|_| no("it is not a whole number of at most 64 bits")),
        Type::Bytes => {
            let bare = |c: char| c.is_ascii_digit() || c == '.';
            match unit.filter(|_| text.chars().all(bare)) {
                Some(unit) => parse_size_in(text, unit)
                    .map(Value::Bytes)
                    .map_err(|error| no(&error.to_string())),
                None => match quantity()? {
                    Quantity::Size(bytes) => Ok(Value::Bytes(bytes)),
                    Quantity::Duration(_) | Quantity::Percent(..) | Quantity::Money(_) => {
                        Err(no("its unit is none of size"))
                    }
                },
            }
        }
        Type::Ms => match quantity()? {
            Quantity::Duration(ms) => Ok(Value::Ms(ms)),
            Quantity::Size(_) | Quantity::Percent(..) | Quantity::Money(_) => {
                Err(no("its unit is none of time"))
            }
        },
        Type::NanoUsd => match quantity()? {
            Quantity::Money(nano_usd) => Ok(Value::NanoUsd(nano_usd)),
            Quantity::Size(_) | Quantity::Duration(_) | Quantity::Percent(..) => {
                Err(no("it does not begin with `$`"))
            }
        },
        Type::Ratio => match quantity()? {
            Quantity::Percent(part, whole) => Ok(Value::Ratio(part, whole)),
            Quantity::Size(_) | Quantity::Duration(_) | Quantity::Money(_) => {
                Err(no("it does not end in `%`"))
            }
        },
        Type::Version => word().map(Value::Version),
        Type::Name(_) => word().map(Value::Name),
        Type::Date => {
            if is_date(text) {
                Ok(Value::Date(text.to_owned()))
            } else {
                Err(no("it is no day written YYYY-MM-DD"))
            }
        }
        Type::Regex => Regex::new(text)
            .map(|_| Value::Regex(text.to_owned()))
            .map_err(|_| no("it does not parse")),
        Type::String | Type::List(_) | Type::Record(_) => Err(no("output gives no such value")),
    }
}

/// Whether `text` is a day of the Gregorian calendar, `YYYY-MM-DD`.
fn is_date(text: &str) -> bool {
    let well_formed = text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    if !well_formed {
        return false;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u32>().unwrap_or(0);
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    };
    (1..=days).contains(&day)
}

#[cfg(test)]
mod tests {
    use dva_plan::step::SlotIx;

    use super::*;

    fn stdout(bytes: &[u8]) -> StreamOutput {
        StreamOutput {
            total: bytes.len() as u64,
            head: bytes.to_vec(),
            ..StreamOutput::default()
        }
    }

    fn take(
        text: &str,
        of: &Type,
        from: CaptureFrom,
        unit: Option<SizeUnit>,
    ) -> Result<Value, NoCapture> {
        let wanted = Capture {
            slot: SlotIx(0),
            from,
            unit,
        };
        capture(&wanted, of, &stdout(text.as_bytes()))
    }

    fn text(text: &str, of: &Type) -> Result<Value, NoCapture> {
        take(text, of, CaptureFrom::Text, None)
    }

    #[test]
    fn every_type_has_exact_rules() {
        let name = Type::Name("arch".into());
        for (of, right, value, wrong) in [
            (
                Type::String,
                " a b \r\n\n",
                Value::String(" a b ".into()),
                &[][..],
            ),
            (Type::Bool, "true\n", Value::Bool(true), &["yes", "1", ""]),
            (
                Type::Int,
                "  -42\n",
                Value::Int(-42),
                &["", "4.2", "0x10", "9223372036854775808", "1 2"],
            ),
            (
                Type::Bytes,
                "10GiB\n",
                Value::Bytes(10 << 30),
                &["10", "10 GiB", "10s", "10g"],
            ),
            (Type::Ms, "1.5s", Value::Ms(1500), &["1.5", "1GiB"]),
            (
                Type::NanoUsd,
                "$0.5",
                Value::NanoUsd(500_000_000),
                &["0.5", "5%"],
            ),
            (
                Type::Ratio,
                "99.5%\n",
                Value::Ratio(995, 1000),
                &["99.5", "$1"],
            ),
            (
                Type::Version,
                "9.4-beta\n",
                Value::Version("9.4-beta".into()),
                &["", "9.4 beta"],
            ),
            (name, "x86_64\n", Value::Name("x86_64".into()), &["", "a b"]),
            (
                Type::Date,
                "2028-02-29\n",
                Value::Date("2028-02-29".into()),
                &[
                    "2027-02-29",
                    "2100-02-29",
                    "2027-13-01",
                    "2027-1-1",
                    "2027-01-00",
                    "27",
                ],
            ),
            (Type::Regex, "a+\n", Value::Regex("a+".into()), &["("]),
        ] {
            assert_eq!(text(right, &of), Ok(value), "{of}");
            for wrong in wrong {
                let error = text(wrong, &of).expect_err(wrong);
                assert_eq!(error.class, FailureClass::CaptureParse);
                assert!(error.why.contains(&format!("is no {of}")), "{}", error.why);
            }
        }
    }

    #[test]
    fn a_bare_size_takes_the_unit_and_a_unit_of_its_own_goes_before() {
        let size = |text: &str| take(text, &Type::Bytes, CaptureFrom::Text, Some(SizeUnit::KiB));
        assert_eq!(size("2048\n"), Ok(Value::Bytes(2 << 20)));
        assert_eq!(size("1MiB"), Ok(Value::Bytes(1 << 20)));
        assert!(size("2048 kB").is_err());
    }

    #[test]
    fn find_takes_the_first_match_by_line() {
        let find = |text: &str| {
            let pattern = CaptureFrom::Find(r"^MemTotal: *(.*) kB$".into());
            take(text, &Type::Bytes, pattern, Some(SizeUnit::KiB))
        };
        let meminfo = "MemFree: 1 kB\nMemTotal:   2048 kB\nMemTotal: 9 kB\n";
        assert_eq!(find(meminfo), Ok(Value::Bytes(2 << 20)));
        let error = find("nothing").expect_err("nothing");
        assert!(error.why.contains("nothing matches"), "{}", error.why);
    }

    #[test]
    fn lines_are_items_and_empty_ones_at_the_end_are_none() {
        let lines =
            |text: &str, of: Type| take(text, &Type::List(Box::new(of)), CaptureFrom::Lines, None);
        let strings = |items: &[&str]| {
            Value::List(
                items
                    .iter()
                    .map(|item| Value::String((*item).into()))
                    .collect(),
            )
        };
        assert_eq!(
            lines("a\n\nb\n\n\n", Type::String),
            Ok(strings(&["a", "", "b"]))
        );
        assert_eq!(lines("", Type::String), Ok(strings(&[])));
        assert_eq!(
            lines("1\n2\n", Type::Int),
            Ok(Value::List(vec![Value::Int(1), Value::Int(2)]))
        );
        let error = lines("1\nx\n", Type::Int).expect_err("x");
        assert!(error.why.ends_with("(line 2)"), "{}", error.why);
    }

    #[test]
    fn what_is_no_text_is_no_value() {
        let wanted = Capture {
            slot: SlotIx(0),
            from: CaptureFrom::Text,
            unit: None,
        };
        let not_utf8 = capture(&wanted, &Type::String, &stdout(b"\xff")).expect_err("no UTF-8");
        assert_eq!(not_utf8.class, FailureClass::CaptureParse);
        let mut large = stdout(b"a");
        large.total = 2 << 20;
        let large = capture(&wanted, &Type::String, &large).expect_err("too large");
        assert_eq!(large.class, FailureClass::CaptureSize);
    }
}
