//! Decides expectations and checks, and says in a sentence why one does not hold.

use dva_plan::FailureClass;
use dva_plan::Value;
use dva_plan::eval::{EvalFault, Facts, deciding_operands, eval};
use dva_plan::expr::{CellFact, DiskFact, ExprIx, MachineFact, Node};
use dva_plan::report::Operands;
use dva_plan::step::{Slot, Step};

use super::Broken;
use super::capture::NoCapture;
use super::facts::{StepFacts, without_line_ends};
use crate::excerpt::{escape, shorten};

/// The most characters of an operand in a message, and in a report.
const IN_MESSAGE: usize = 200;
const IN_REPORT: usize = 4_096;

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
    format!(" (line {}: `{text}`).", step.source.line)
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
    let name = deciding.and_then(|node| left_name(node, facts));
    let expected = match &name {
        Some(name) => format!("Expected {name} {operator} {right_text}"),
        None => format!("Expected {left_text} {operator} {right_text}"),
    };
    let but = match (deciding, &left, &right) {
        (Some(Node::HasAll { .. }), Value::List(whole), Value::List(parts)) => {
            let missing: Vec<String> = parts
                .iter()
                .filter(|part| !whole.iter().any(|item| item.equals(part)))
                .map(ToString::to_string)
                .collect();
            let are = if missing.len() == 1 { "is" } else { "are" };
            format!(
                ", but {} {are} missing",
                shorten(&missing.join(", "), IN_MESSAGE)
            )
        }
        _ => match &name {
            Some(name) => format!(", but {name} is {left_text}"),
            None => ", which does not hold".to_owned(),
        },
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

/// What the author calls the left side of a comparison, where it is a name.
fn left_name(node: &Node, facts: &StepFacts<'_>) -> Option<String> {
    let left = match node {
        Node::Compare { left, .. } => left,
        Node::Matches { text, .. } => text,
        Node::Has { whole, .. } | Node::HasAll { whole, .. } => whole,
        Node::In { value, .. } => value,
        _ => return None,
    };
    let plan = facts.plan;
    Some(match plan.expressions.get(*left)? {
        Node::Exit => "exit".to_owned(),
        Node::Stdout => "stdout".to_owned(),
        Node::Stderr => "stderr".to_owned(),
        Node::Slot(slot) => plan.tests[facts.test].slots.get(*slot)?.name.clone(),
        Node::Other { test, slot } => {
            let test = plan.tests.get(*test)?;
            format!("{}.{}", test.id, test.slots.get(*slot)?.name)
        }
        Node::Cell(fact) => match fact {
            CellFact::Axis(axis) => axis.clone(),
            CellFact::ImageOs => "image.os".to_owned(),
            CellFact::ImageVersion => "image.version".to_owned(),
            CellFact::ImageArch => "image.arch".to_owned(),
        },
        Node::Machine(fact) => match fact {
            MachineFact::Vcpus => "instance.vcpus".to_owned(),
            MachineFact::Memory => "instance.memory".to_owned(),
            MachineFact::Type => "instance.type".to_owned(),
            MachineFact::Region => "instance.region".to_owned(),
            MachineFact::Arch => "instance.arch".to_owned(),
        },
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
