//! Captures: how a command's output becomes a value of a slot's type.
//!
//! Blanks around a value are taken off, except from strings, which are kept as they stand but for the
//! line ends at their end. Nothing is guessed: a text that is not exactly of its type is none.

use std::collections::BTreeMap;

use dva_plan::parse::{self, ExtraFields, Misfit};
use dva_plan::step::{Capture, CaptureFrom};
use dva_plan::unit::SizeUnit;
use dva_plan::{FailureClass, Type, Value};
use regex::RegexBuilder;

use super::facts::{Unreadable, text, without_line_ends};
use crate::excerpt::{escape, shorten};
use crate::transport::{CAPTURE_LIMIT, ExecOutcome, ExecStatus};

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

/// The value that `capture` takes from what a command came to, of type `of`.
pub(super) fn capture(
    capture: &Capture,
    of: &Type,
    outcome: &ExecOutcome,
) -> Result<Value, NoCapture> {
    if capture.from == CaptureFrom::Result {
        return result(outcome);
    }
    let text = text(&outcome.stdout)?;
    match &capture.from {
        CaptureFrom::Result => result(outcome),
        CaptureFrom::Json => {
            let found = serde_json::from_str(text)
                .map_err(|error| NoCapture::parse(format!("the output is no JSON: {error}")))?;
            parse::json(&found, of, capture.unit, ExtraFields::Dropped).map_err(misfit)
        }
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
    parse::text(text, of, unit).map_err(misfit)
}

fn misfit(mut misfit: Misfit) -> NoCapture {
    misfit.found = shorten(&escape(misfit.found.as_bytes()), 80);
    NoCapture::parse(misfit.to_string())
}

/// All that a command came to.
fn result(outcome: &ExecOutcome) -> Result<Value, NoCapture> {
    let status = match &outcome.status {
        ExecStatus::Exit(status) => Value::Int((*status).into()),
        ExecStatus::Signal(name) => {
            let name = escape(name.as_bytes());
            let why = format!("signal {name} ended the command, so it has no exit status");
            return Err(NoCapture::parse(why));
        }
        ExecStatus::Assumed => return Err(NoCapture::parse("nothing was run")),
    };
    let text = |stream| Ok::<_, NoCapture>(Value::String(without_line_ends(text(stream)?).into()));
    Ok(Value::Record(BTreeMap::from([
        ("exit".to_owned(), status),
        ("stdout".to_owned(), text(&outcome.stdout)?),
        ("stderr".to_owned(), text(&outcome.stderr)?),
    ])))
}

#[cfg(test)]
mod tests {
    use dva_plan::step::SlotIx;

    use super::*;
    use crate::transport::StreamOutput;

    fn stdout(bytes: &[u8]) -> ExecOutcome {
        ExecOutcome {
            status: ExecStatus::Exit(0),
            stdout: StreamOutput {
                total: bytes.len() as u64,
                head: bytes.to_vec(),
                ..StreamOutput::default()
            },
            stderr: StreamOutput::default(),
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
    fn json_gives_records_and_says_where_it_does_not() {
        let of = Type::Record(BTreeMap::from([(
            "disks".to_owned(),
            Type::List(Box::new(Type::Bytes)),
        )]));
        let json = |text: &str| take(text, &of, CaptureFrom::Json, None);
        let disks = Value::List(vec![Value::Bytes(1 << 30)]);
        assert_eq!(
            json(r#"{"disks": ["1GiB"], "more": null}"#),
            Ok(Value::Record(BTreeMap::from([("disks".to_owned(), disks)])))
        );
        let wrong = json(r#"{"disks": ["1GiB", 7]}"#).expect_err("a number");
        assert_eq!(
            wrong.why,
            "`7` at .disks[1] is no size: it stands in quotes, with its unit"
        );
        let broken = json("{").expect_err("no JSON");
        assert!(
            broken.why.starts_with("the output is no JSON: "),
            "{}",
            broken.why
        );
    }

    #[test]
    fn a_result_is_the_status_and_both_outputs() {
        let result = |outcome: &ExecOutcome| {
            let wanted = Capture {
                slot: SlotIx(0),
                from: CaptureFrom::Result,
                unit: None,
            };
            capture(&wanted, &Type::of_result(), outcome)
        };
        let mut outcome = stdout(b"a\n\n");
        outcome.status = ExecStatus::Exit(3);
        let fields = [
            ("exit".to_owned(), Value::Int(3)),
            ("stdout".to_owned(), Value::String("a".into())),
            ("stderr".to_owned(), Value::String(String::new())),
        ];
        assert_eq!(result(&outcome), Ok(Value::Record(fields.into())));
        outcome.status = ExecStatus::Signal("KILL".into());
        let killed = result(&outcome).expect_err("no status");
        assert!(
            killed.why.starts_with("signal KILL ended"),
            "{}",
            killed.why
        );
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
        large.stdout.total = 2 << 20;
        let large = capture(&wanted, &Type::String, &large).expect_err("too large");
        assert_eq!(large.class, FailureClass::CaptureSize);
    }
}
