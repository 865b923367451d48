//! What is said of a run's bill: what it came to, beside what was expected, and where most of it went.

use std::cmp::Reverse;

use dva_plan::money::Money;
use dva_plan::report::{BillReport, ExpectedBill, Parts, RunReport};

use crate::render::{amount, counted};

/// How many tests, machines and regions are named; the report has all.
const NAMED: usize = 3;

/// The text, in a few lines; nothing where nothing has to be paid.
pub fn text(report: &RunReport) -> String {
    let Some(bill) = &report.bill else {
        return String::new();
    };
    let mut text = total(bill);
    let mut line = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!("  {name:<9} {value}\n"));
        }
    };
    line("expected", against(bill, report.lives.len()));
    line("regions", dearest(&bill.by_region, String::clone));
    line("tests", dearest(&bill.by_test, ToString::to_string));
    line(
        "machines",
        dearest(&bill.by_life, |life| {
            let life = report.lives.get(*life);
            life.map_or_else(String::new, |life| {
                format!("{} in {}", life.r#type, life.region)
            })
        }),
    );
    text
}

/// `cost $0.0229: $0.0175 tests, $0.00336 boot`, and what has no price.
fn total(bill: &BillReport) -> String {
    let parts = bill.parts.named().into_iter();
    let parts = parts.filter(|(_, money)| *money != Money::ZERO);
    let parts: Vec<String> = parts
        .map(|(name, money)| format!("{} {name}", amount(money)))
        .collect();
    let mut text = match (bill.as_of.is_some(), bill.unpriced_kinds.is_empty()) {
        (false, _) => "cost not known".to_owned(),
        (true, true) => format!("cost {}", amount(bill.nano_usd)),
        (true, false) => format!("cost at least {}", amount(bill.nano_usd)),
    };
    if !parts.is_empty() {
        text.push_str(&format!(": {}", parts.join(", ")));
    }
    text.push('\n');
    if bill.unpriced_lives > 0 {
        let lives = counted(as_usize(bill.unpriced_lives), "machine");
        text.push_str(&format!("  no price is known of {lives}; not in there\n"));
    }
    text
}

/// `$0.0228, so $0.0011 more (4.8%): boot $0.0012 more, 1 further machine`.
fn against(bill: &BillReport, lives: usize) -> Option<String> {
    let ExpectedBill {
        nano_usd: expected,
        lives: planned,
        parts,
    } = &bill.expected;
    bill.as_of.as_ref()?;
    let mut text = amount(*expected);
    let difference = difference(bill.nano_usd, *expected)?;
    text.push_str(&match percent(bill.nano_usd, *expected) {
        _ if bill.nano_usd == *expected => ", as it came".to_owned(),
        Some(percent) => format!(", so {difference} ({percent})"),
        None => format!(", so {difference}"),
    });
    let mut reasons = reasons(bill, parts);
    let further = lives.saturating_sub(as_usize(*planned));
    if further > 0 {
        reasons.push(counted(further, "further machine"));
    }
    if bill.lives_without_machine > 0 {
        let without = counted(as_usize(bill.lives_without_machine), "machine");
        reasons.push(format!("{without} never there"));
    }
    if !reasons.is_empty() {
        text.push_str(&format!(": {}", reasons.join(", ")));
    }
    Some(text)
}

/// The parts that came to more or less than a hundredth of the whole, those that did most first.
fn reasons(bill: &BillReport, expected: &Parts) -> Vec<String> {
    let least = bill.expected.nano_usd.nano_usd().unsigned_abs() / 100;
    let parts = bill.parts.named().into_iter().zip(expected.named());
    let mut parts: Vec<(u64, String)> = parts
        .filter_map(|((name, came), (_, expected))| {
            let beside = came.nano_usd().abs_diff(expected.nano_usd());
            (beside > least).then_some((beside, format!("{name} {}", difference(came, expected)?)))
        })
        .collect();
    parts.sort_by_key(|(beside, _)| Reverse(*beside));
    parts.into_iter().map(|(_, text)| text).collect()
}

/// `$0.0011 more`, or `less`; `None` where it cannot be counted.
fn difference(came: Money, expected: Money) -> Option<String> {
    Some(match came >= expected {
        true => format!("{} more", amount(came.checked_sub(expected)?)),
        false => format!("{} less", amount(expected.checked_sub(came)?)),
    })
}

/// How far it came beside, in parts of what was expected, to the nearest tenth: `4.8%`.
fn percent(came: Money, expected: Money) -> Option<String> {
    let beside = u128::from(came.nano_usd().abs_diff(expected.nano_usd()));
    let expected = u128::try_from(expected.nano_usd()).ok()?;
    let permille = (beside * 2_000 + expected).checked_div(expected * 2)?;
    Some(format!("{}.{}%", permille / 10, permille % 10))
}

/// The first few of several by what they cost, and how many others there are; `None` where there
/// are not several.
fn dearest<'a, K: Ord + 'a>(
    costs: impl IntoIterator<Item = (&'a K, &'a Money)>,
    name: impl Fn(&K) -> String,
) -> Option<String> {
    let costs = costs.into_iter();
    let mut costs: Vec<_> = costs.filter(|(_, money)| **money > Money::ZERO).collect();
    if costs.len() < 2 {
        return None;
    }
    costs.sort_by_key(|(key, money)| (Reverse(**money), *key));
    let others = costs.len().saturating_sub(NAMED);
    let mut named: Vec<String> = costs
        .into_iter()
        .take(NAMED)
        .map(|(key, money)| format!("{} {}", name(key), amount(*money)))
        .collect();
    if others > 0 {
        named.push(format!("and {others} more"));
    }
    Some(named.join(", "))
}

fn as_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
