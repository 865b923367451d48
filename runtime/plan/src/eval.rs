//! The one evaluator: the compiler folds with it what depends on nothing else, the runtime decides
//! with it.
//!
//! Types were checked by the compiler, so what is left to go wrong is in [`EvalFault`].

use std::collections::BTreeMap;

use thiserror::Error;

use crate::expr::{
    CellFact, Comparison, DiskFact, ExprIx, Expressions, MachineFact, Node, Operator,
};
use crate::plan::{DiskIx, InputIx, TableIx, TestIx};
use crate::step::SlotIx;
use crate::template::spoken;
use crate::value::Value;

/// What an expression may ask its surroundings. `None` means that it is not known (here, or yet), and is
/// the answer to all that surroundings do not speak of.
pub trait Facts {
    /// What this test captured in `slot`.
    fn slot(&self, _slot: SlotIx) -> Option<Value> {
        None
    }
    /// What `test` captured in `slot`.
    fn other(&self, _test: TestIx, _slot: SlotIx) -> Option<Value> {
        None
    }
    /// The exit status of the command just run.
    fn exit(&self) -> Option<Value> {
        None
    }
    /// The standard output of the command just run, without trailing line ends.
    fn stdout(&self) -> Option<Value> {
        None
    }
    /// The standard error of the command just run, without trailing line ends.
    fn stderr(&self) -> Option<Value> {
        None
    }
    /// A fact of the cell.
    fn cell(&self, _fact: &CellFact) -> Option<Value> {
        None
    }
    /// A fact of the machine.
    fn machine(&self, _fact: MachineFact) -> Option<Value> {
        None
    }
    /// Something of a disk.
    fn disk(&self, _disk: DiskIx, _fact: DiskFact) -> Option<Value> {
        None
    }
    /// What a table says of the cell.
    fn entry(&self, _table: TableIx) -> Entry {
        Entry::Unknown
    }
    /// An input that is bound when the plan is run.
    fn input(&self, _input: InputIx) -> Option<Value> {
        None
    }
}

/// What a table says of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// This.
    Is(Value),
    /// Nothing: there is no entry for it.
    None,
    /// It is not known here which cell it is.
    Unknown,
}

/// Surroundings that know nothing: what the compiler folds with.
#[derive(Clone, Copy, Debug)]
pub struct NoFacts;

impl Facts for NoFacts {}

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EvalFault {
    /// A fact is not known: a capture that was not made, for example because its step did not run.
    #[error("a value it needs was not captured")]
    Missing,
    /// A table has no entry for this cell.
    #[error("a table has no entry for this cell")]
    NoEntry,
    /// Arithmetic left the range of its type, or fell below zero where there is nothing below.
    #[error("{left} {operator} {right} is out of range")]
    Overflow {
        /// The left operand.
        left: Value,
        /// The operator, as written.
        operator: &'static str,
        /// The right operand.
        right: Value,
    },
    /// Two values that have no order, such as the versions `rawhide` and `40`.
    #[error("{left} and {right} have no order")]
    Unordered {
        /// The left operand.
        left: Value,
        /// The right operand.
        right: Value,
    },
    /// The types do not fit: a plan that no compiler of ours made.
    #[error("the operands do not fit the operator")]
    Ill,
}

/// The value of `root`.
///
/// # Errors
/// See [`EvalFault`]. A side that `and` or `or` does not need is not evaluated and cannot fault.
pub fn eval(nodes: &Expressions, root: ExprIx, facts: &dyn Facts) -> Result<Value, EvalFault> {
    Evaluation {
        nodes,
        facts,
        known: BTreeMap::new(),
    }
    .value(root)
}

/// The operands of the comparison that decided `root`, for a report: the left-most false leaf of its
/// `and`s, or the comparison itself. `None` where it is nothing with two sides or a side has no value.
#[must_use]
pub fn deciding_operands(
    nodes: &Expressions,
    root: ExprIx,
    facts: &dyn Facts,
) -> Option<(Value, &'static str, Value)> {
    let (left, symbol, right) = match nodes.get(root)? {
        Node::And(left, right) => {
            let first = eval(nodes, *left, facts).ok()?;
            let next = if first == Value::Bool(false) {
                left
            } else {
                right
            };
            return deciding_operands(nodes, *next, facts);
        }
        Node::Compare { how, left, right } => (left, how.symbol(), right),
        Node::Matches { text, regex } => (text, "matches", regex),
        Node::Has { whole, part } => (whole, "has", part),
        Node::HasAll { whole, parts } => (whole, "has all", parts),
        Node::HasNone { whole, parts } => (whole, "has none", parts),
        Node::In { value, list } => (value, "in", list),
        _ => return None,
    };
    Some((
        eval(nodes, *left, facts).ok()?,
        symbol,
        eval(nodes, *right, facts).ok()?,
    ))
}

/// One evaluation. Nodes are shared, so a value is kept once it is known.
struct Evaluation<'a> {
    nodes: &'a Expressions,
    facts: &'a dyn Facts,
    known: BTreeMap<ExprIx, Value>,
}

impl Evaluation<'_> {
    fn value(&mut self, index: ExprIx) -> Result<Value, EvalFault> {
        if let Some(value) = self.known.get(&index) {
            return Ok(value.clone());
        }
        let value = self.node(self.nodes.get(index).ok_or(EvalFault::Ill)?)?;
        self.known.insert(index, value.clone());
        Ok(value)
    }

    fn truth(&mut self, index: ExprIx) -> Result<bool, EvalFault> {
        match self.value(index)? {
            Value::Bool(truth) => Ok(truth),
            _ => Err(EvalFault::Ill),
        }
    }

    fn items(&mut self, index: ExprIx) -> Result<Vec<Value>, EvalFault> {
        match self.value(index)? {
            Value::List(items) => Ok(items),
            _ => Err(EvalFault::Ill),
        }
    }

    fn node(&mut self, node: &Node) -> Result<Value, EvalFault> {
        let fact = |value: Option<Value>| value.ok_or(EvalFault::Missing);
        match node {
            Node::Const(value) => Ok(value.clone()),
            Node::Slot(slot) => fact(self.facts.slot(*slot)),
            Node::Other { test, slot } => fact(self.facts.other(*test, *slot)),
            Node::Exit => fact(self.facts.exit()),
            Node::Stdout => fact(self.facts.stdout()),
            Node::Stderr => fact(self.facts.stderr()),
            Node::Cell(of) => fact(self.facts.cell(of)),
            Node::Machine(of) => fact(self.facts.machine(*of)),
            Node::Disk { disk, what } => fact(self.facts.disk(*disk, *what)),
            Node::Lookup(table) => match self.facts.entry(*table) {
                Entry::Is(value) => Ok(value),
                Entry::None => Err(EvalFault::NoEntry),
                Entry::Unknown => Err(EvalFault::Missing),
            },
            Node::Input(input) => fact(self.facts.input(*input)),
            Node::Field { of, name } => match self.value(*of)? {
                Value::Record(mut fields) => fields.remove(name).ok_or(EvalFault::Ill),
                _ => Err(EvalFault::Ill),
            },
            Node::Join(parts) => {
                let mut text = String::new();
                for part in parts {
                    text.push_str(&spoken(&self.value(*part)?)?);
                }
                Ok(Value::String(text))
            }
            Node::InUnit { of, unit } => {
                let value = self.value(*of)?;
                let text = unit.number_of(&value).ok_or(EvalFault::Ill)?;
                Ok(Value::String(text))
            }
            Node::Not(of) => Ok(Value::Bool(!self.truth(*of)?)),
            Node::And(left, right) => Ok(Value::Bool(self.truth(*left)? && self.truth(*right)?)),
            Node::Or(left, right) => Ok(Value::Bool(self.truth(*left)? || self.truth(*right)?)),
            Node::Compare { how, left, right } => {
                compare(*how, &self.value(*left)?, &self.value(*right)?).map(Value::Bool)
            }
            Node::Arithmetic { how, left, right } => {
                arithmetic(*how, self.value(*left)?, self.value(*right)?)
            }
            Node::Matches { text, regex } => match (self.value(*text)?, self.value(*regex)?) {
                (
                    Value::String(text) | Value::Name(text) | Value::Version(text),
                    Value::Regex(pattern),
                ) => {
                    let regex = regex::Regex::new(&pattern).map_err(|_| EvalFault::Ill)?;
                    Ok(Value::Bool(regex.is_match(&text)))
                }
                _ => Err(EvalFault::Ill),
            },
            Node::Has { whole, part } => {
                let part = self.value(*part)?;
                match self.value(*whole)? {
                    Value::List(items) => {
                        Ok(Value::Bool(items.iter().any(|item| item.equals(&part))))
                    }
                    Value::String(text) => match part {
                        Value::String(part) => Ok(Value::Bool(text.contains(&part))),
                        _ => Err(EvalFault::Ill),
                    },
                    _ => Err(EvalFault::Ill),
                }
            }
            Node::HasAll { whole, parts } => {
                let (whole, parts) = (self.items(*whole)?, self.items(*parts)?);
                let held = |part: &Value| whole.iter().any(|item| item.equals(part));
                Ok(Value::Bool(parts.iter().all(held)))
            }
            Node::HasNone { whole, parts } => {
                let (whole, parts) = (self.items(*whole)?, self.items(*parts)?);
                let held = |part: &Value| whole.iter().any(|item| item.equals(part));
                Ok(Value::Bool(!parts.iter().any(held)))
            }
            Node::Without { whole, parts } => {
                let (mut whole, parts) = (self.items(*whole)?, self.items(*parts)?);
                whole.retain(|item| !parts.iter().any(|part| item.equals(part)));
                Ok(Value::List(whole))
            }
            Node::In { value, list } => {
                let (value, list) = (self.value(*value)?, self.items(*list)?);
                Ok(Value::Bool(list.iter().any(|item| value.equals(item))))
            }
        }
    }
}

fn compare(how: Comparison, left: &Value, right: &Value) -> Result<bool, EvalFault> {
    match how {
        Comparison::Equal => return Ok(left.equals(right)),
        Comparison::NotEqual => return Ok(!left.equals(right)),
        Comparison::Less | Comparison::AtMost | Comparison::Greater | Comparison::AtLeast => {}
    }
    let order = left.compare(right).ok_or_else(|| match (left, right) {
        (Value::Version(_), Value::Version(_)) => EvalFault::Unordered {
            left: left.clone(),
            right: right.clone(),
        },
        _ => EvalFault::Ill,
    })?;
    Ok(match how {
        Comparison::Less => order.is_lt(),
        Comparison::AtMost => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::AtLeast => order.is_ge(),
        Comparison::Equal | Comparison::NotEqual => unreachable!("decided above"),
    })
}

/// Makes a value of one type of a wide number; `None` where it does not fit.
type FromWide = fn(i128) -> Option<Value>;

fn arithmetic(how: Operator, left: Value, right: Value) -> Result<Value, EvalFault> {
    /// An amount as a wide number, and how to make its type of one again.
    fn amount(value: &Value) -> Option<(i128, FromWide)> {
        match *value {
            Value::Int(n) => Some((n.into(), |n| n.try_into().ok().map(Value::Int))),
            Value::NanoUsd(n) => Some((n.into(), |n| n.try_into().ok().map(Value::NanoUsd))),
            Value::Bytes(n) => Some((n.into(), |n| n.try_into().ok().map(Value::Bytes))),
            Value::Ms(n) => Some((n.into(), |n| n.try_into().ok().map(Value::Ms))),
            _ => None,
        }
    }
    let same_type = std::mem::discriminant(&left) == std::mem::discriminant(&right);
    let (result, operator) = match how {
        Operator::Add | Operator::Subtract => {
            if !same_type {
                return Err(EvalFault::Ill);
            }
            let ((a, back), (b, _)) = (
                amount(&left).ok_or(EvalFault::Ill)?,
                amount(&right).ok_or(EvalFault::Ill)?,
            );
            // Both fit 64 bits, so their sum fits 128.
            if how == Operator::Add {
                (back(a + b), "+")
            } else {
                (back(a - b), "less")
            }
        }
        Operator::Multiply => {
            let (a, back) = amount(&left).ok_or(EvalFault::Ill)?;
            let Value::Int(n) = right else {
                return Err(EvalFault::Ill);
            };
            (back(a * i128::from(n)), "*")
        }
        Operator::Share => {
            let Value::Ratio(numerator, denominator) = left else {
                return Err(EvalFault::Ill);
            };
            let (whole, back) = amount(&right).ok_or(EvalFault::Ill)?;
            if denominator <= 0 {
                return Err(EvalFault::Ill);
            }
            // Rounded down, below zero too.
            (
                back((whole * i128::from(numerator)).div_euclid(denominator.into())),
                "of",
            )
        }
    };
    result.ok_or(EvalFault::Overflow {
        left,
        operator,
        right,
    })
}
