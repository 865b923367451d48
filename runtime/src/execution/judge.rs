//! Decides expectations and checks, and says in a sentence why one does not hold.

use dva_plan::FailureClass;
use dva_plan::Value;
use dva_plan::eval::{EvalFault, Facts, deciding_operands, eval};
use dva_plan::expr::{Comparison, DiskFact, ExprIx, Node};
use dva_plan::report::Operands;
use dva_plan::step::{Slot, Step};
use dva_plan::template::spoken;

use super::Broken;
use super::capture::NoCapture;
use super::facts::{StepFacts, without_line_ends};
use crate::excerpt::{escape, shorten};

/// The most characters of an operand in a message, and in a report.
const IN_MESSAGE: usize = 200;
const IN_REPORT: usize = 4_096;
/// The most items of a list in a message.
const ITEMS_IN_MESSAGE: usize = 12;

/// Whether a condition holds.
pub(super) enum Judged {
    /// It does.
    Holds,
    /// It needs what only a simulator does not know, and counts as true.
    Assumed,
    /// It does not, or has no value.
    Not {
        class: FailureClass,
        message: String,
        operands: Option<Operands>,
    },
}

/// Decides `condition`; where it is false the class is `class`.
pub(super) fn judge(
    condition: ExprIx,
    class: FailureClass,
    facts: &StepFacts<'_>,
    step: &Step,
) -> Judged {
    let not = |class, message| Judged::Not {
        class,
        message,
        operands: None,
    };
    match eval(&facts.plan.expressions, condition, facts) {
        Ok(Value::Bool(true)) => Judged::Holds,
        Ok(Value::Bool(false)) => explain(condition, class, facts, step),
        Err(EvalFault::Missing) if facts.asked_the_unknown() => Judged::Assumed,
        Err(EvalFault::Missing) if let Some(why) = facts.unreadable() => {
            let NoCapture { class, why } = why.into();
            not(class, format!("It cannot be decided: {why}{}", at(step)))
        }
        Ok(_) => not(
            FailureClass::Evaluation,
            format!("It cannot be decided: {}{}", EvalFault::Ill, at(step)),
        ),
        Err(fault) => not(
            FailureClass::Evaluation,
            format!("It cannot be decided: {fault}{}", at(step)),
        ),
    }
}

/// A value that a command or condition needs could not be computed.
pub(super) fn fault(fault: &EvalFault, what: &str, step: &Step) -> Broken {
    Broken::Failed {
        class: FailureClass::Evaluation,
        message: clean(&format!("{what}: {fault}{}", at(step))),
    }
}

/// A command that was expected to exit was killed.
pub(super) fn killed(signal: &str, step: &Step) -> Broken {
    Broken::Failed {
        class: FailureClass::Expect,
        message: clean(&format!(
            "The command did not exit: signal {signal} ended it{}",
            at(step)
        )),
    }
}

/// An output that is not what its capture expects.
pub(super) fn no_capture(problem: &NoCapture, slot: &Slot, step: &Step) -> Broken {
    Broken::Failed {
        class: problem.class,
        message: clean(&format!(
            "`{}` could not be captured: {}{}",
            slot.name,
            problem.why,
            at(step)
        )),
    }
}

/// The end of a sentence: where the step stands.
pub(super) fn at(step: &Step) -> String {
    let text = shorten(&step.source.text, 120);
    if text.is_empty() {
        return ".".to_owned();
    }
    format!(" ({}: `{text}`).", step.source.place())
}

/// Why a false condition is false.
fn explain(condition: ExprIx, class: FailureClass, facts: &StepFacts<'_>, step: &Step) -> Judged {
    let nodes = &facts.plan.expressions;
    let Some((left, operator, right)) = deciding_operands(nodes, condition, facts) else {
        return Judged::Not {
            class,
            message: clean(&format!("The condition does not hold{}", at(step))),
            operands: None,
        };
    };
    let [left_text, right_text] =
        [&left, &right].map(|value| shorten(&value.to_string(), IN_MESSAGE));
    let deciding = deciding(nodes, condition, facts);
    let sides = deciding.and_then(sides);
    let name = sides.and_then(|(left, _)| name_of(left, facts));
    let shown = name.as_deref().unwrap_or(&left_text);
    let (expected, but) = match deciding.and_then(|node| difference(node, &left, &right)) {
        // Of long lists only the difference is worth reading.
        Some(difference) => {
            let right = sides.and_then(|(_, right)| name_of(right, facts));
            let right = right.as_deref().unwrap_or(&right_text);
            (
                format!("Expected {shown} {operator} {right}"),
                format!("; {difference}"),
            )
        }
        None => {
            let but = match &name {
                Some(name) => format!(", but {name} is {left_text}"),
                None => ", which does not hold".to_owned(),
            };
            (format!("Expected {shown} {operator} {right_text}"), but)
        }
    };
    let mut message = format!("{expected}{but}{}", at(step));
    if let (Some("exit"), Some(line)) = (name.as_deref(), last_error_line(facts)) {
        message.push_str(&format!(" Standard error ends with: {line}"));
    }
    Judged::Not {
        class,
        message: clean(&message),
        operands: Some(Operands {
            left: clean(&shorten(&left.to_string(), IN_REPORT)),
            operator: operator.to_owned(),
            right: clean(&shorten(&right.to_string(), IN_REPORT)),
        }),
    }
}

/// The comparison that [`deciding_operands`] speaks of.
fn deciding<'a>(
    nodes: &'a dva_plan::expr::Expressions,
    root: ExprIx,
    facts: &dyn Facts,
) -> Option<&'a Node> {
    match nodes.get(root)? {
        Node::And(left, right) => {
            let left_is_false = eval(nodes, *left, facts) == Ok(Value::Bool(false));
            deciding(nodes, if left_is_false { *left } else { *right }, facts)
        }
        node => Some(node),
    }
}

/// What two lists that are compared as sets differ in: `missing: a, b; unexpected: c`.
fn difference(node: &Node, left: &Value, right: &Value) -> Option<String> {
    let (Value::List(left), Value::List(right)) = (left, right) else {
        return None;
    };
    let not_in = |items: &[Value], others: &[Value]| -> Vec<Value> {
        let absent = |item: &&Value| !others.iter().any(|other| other.equals(item));
        items.iter().filter(absent).cloned().collect()
    };
    let (missing, unexpected) = match node {
        Node::HasAll { .. } => (not_in(right, left), Vec::new()),
        Node::HasNone { .. } => {
            let held = |item: &&Value| left.iter().any(|other| other.equals(item));
            (Vec::new(), right.iter().filter(held).cloned().collect())
        }
        Node::Compare {
            how: Comparison::Equal,
            ..
        } => (not_in(right, left), not_in(left, right)),
        _ => return None,
    };
    let parts = [("missing", missing), ("unexpected", unexpected)];
    let parts: Vec<String> = parts
        .iter()
        .filter(|(_, items)| !items.is_empty())
        .map(|(word, items)| format!("{word}: {}", listed(items)))
        .collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The first of `items`, and how many there are more.
fn listed(items: &[Value]) -> String {
    let shown = items.iter().take(ITEMS_IN_MESSAGE);
    let shown = shown.map(|item| spoken(item).unwrap_or_else(|_| item.to_string()));
    let mut text = shorten(&shown.collect::<Vec<_>>().join(", "), IN_MESSAGE);
    if let Some(more @ 1..) = items.len().checked_sub(ITEMS_IN_MESSAGE) {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// Both sides of a comparison.
fn sides(node: &Node) -> Option<(ExprIx, ExprIx)> {
    match node {
        Node::Compare { left, right, .. } => Some((*left, *right)),
        Node::Matches { text, regex } => Some((*text, *regex)),
        Node::Has { whole, part } => Some((*whole, *part)),
        Node::HasAll { whole, parts } | Node::HasNone { whole, parts } => Some((*whole, *parts)),
        Node::In { value, list } => Some((*value, *list)),
        _ => None,
    }
}

/// What the author calls a value, where it has a name.
fn name_of(expr: ExprIx, facts: &StepFacts<'_>) -> Option<String> {
    let plan = facts.plan;
    Some(match plan.expressions.get(expr)? {
        Node::Field { of, name } => format!("{}.{name}", name_of(*of, facts)?),
        Node::Input(input) => plan.inputs.get(*input)?.name.clone(),
        Node::Lookup(table) => {
            let table = plan.tables.get(*table)?;
            format!("{}[{}]", table.name, table.key.path())
        }
        Node::Exit => "exit".to_owned(),
        Node::Stdout => "stdout".to_owned(),
        Node::Stderr => "stderr".to_owned(),
        Node::Slot(slot) => plan.tests[facts.test].slots.get(*slot)?.name.clone(),
        Node::Other { test, slot } => {
            let test = plan.tests.get(*test)?;
            format!("{}.{}", test.id, test.slots.get(*slot)?.name)
        }
        Node::Cell(fact) => fact.path(),
        Node::Machine(fact) => fact.path().to_owned(),
        Node::Disk { disk, what } => {
            let name = &plan.disks.get(*disk)?.name;
            match what {
                DiskFact::Device => format!("{name}.device"),
                DiskFact::Part(number) => format!("{name}.part({number})"),
                DiskFact::Size => format!("{name}.size"),
                DiskFact::Attached => format!("{name}.attached"),
            }
        }
        _ => return None,
    })
}

/// The last line of standard error that says something: mostly the reason of an exit status.
fn last_error_line(facts: &StepFacts<'_>) -> Option<String> {
    let stderr = &facts.outcome?.stderr;
    let end = if stderr.tail.is_empty() {
        &stderr.head
    } else {
        &stderr.tail
    };
    let text = escape(end);
    let line = without_line_ends(&text)
        .lines()
        .rev()
        .find(|line| !line.trim().is_empty())?;
    Some(shorten(line.trim(), IN_MESSAGE))
}

fn clean(text: &str) -> String {
    escape(text.as_bytes())
}
