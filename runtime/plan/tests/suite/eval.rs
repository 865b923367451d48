//! The evaluator against a plain model of it, and its faults.

use dva_plan::eval::{Entry, EvalFault, Facts, NoFacts, deciding_operands, eval};
use dva_plan::expr::{Comparison, ExprIx, ExpressionBuilder, Node, Operator};
use dva_plan::plan::{InputIx, TableIx};
use dva_plan::step::SlotIx;
use dva_plan::unit::{SizeUnit, Unit};
use dva_plan::value::Value;
use proptest::prelude::*;

/// Evaluates what `build` makes.
fn value(build: impl FnOnce(&mut ExpressionBuilder) -> ExprIx) -> Result<Value, EvalFault> {
    let mut nodes = ExpressionBuilder::default();
    let root = build(&mut nodes);
    eval(&nodes.finish(), root, &NoFacts)
}

fn binary(
    left: Value,
    right: Value,
    node: impl FnOnce(ExprIx, ExprIx) -> Node,
) -> Result<Value, EvalFault> {
    value(|nodes| {
        let left = nodes.add(Node::Const(left));
        let right = nodes.add(Node::Const(right));
        nodes.add(node(left, right))
    })
}

fn text(of: &str) -> Value {
    Value::String(of.into())
}

fn texts(of: &[&str]) -> Value {
    Value::List(of.iter().map(|item| text(item)).collect())
}

#[test]
fn arithmetic_stays_in_its_type() {
    let arithmetic = |how, left, right| {
        binary(left, right, |left, right| Node::Arithmetic {
            how,
            left,
            right,
        })
    };
    assert_eq!(
        arithmetic(Operator::Add, Value::Bytes(1), Value::Bytes(2)),
        Ok(Value::Bytes(3))
    );
    assert_eq!(
        arithmetic(Operator::Subtract, Value::Int(1), Value::Int(2)),
        Ok(Value::Int(-1))
    );
    assert_eq!(
        arithmetic(Operator::Multiply, Value::Ms(3), Value::Int(2)),
        Ok(Value::Ms(6))
    );
    assert_eq!(
        arithmetic(Operator::Share, Value::Ratio(90, 100), Value::Bytes(1001)),
        Ok(Value::Bytes(900))
    );
    assert_eq!(
        arithmetic(Operator::Share, Value::Ratio(1, 2), Value::NanoUsd(-1)),
        Ok(Value::NanoUsd(-1)),
        "rounded down, below zero too"
    );
    for (how, left, right) in [
        (Operator::Add, Value::Int(i64::MAX), Value::Int(1)),
        (Operator::Subtract, Value::Bytes(1), Value::Bytes(2)),
        (
            Operator::Multiply,
            Value::Bytes(u64::MAX),
            Value::Int(i64::MAX),
        ),
        (Operator::Multiply, Value::Ms(1), Value::Int(-1)),
        (
            Operator::Share,
            Value::Ratio(i64::MAX, 1),
            Value::Bytes(u64::MAX),
        ),
    ] {
        let fault = arithmetic(how, left.clone(), right.clone());
        assert!(
            matches!(fault, Err(EvalFault::Overflow { .. })),
            "{left} {how:?} {right}: {fault:?}"
        );
    }
    assert_eq!(
        arithmetic(Operator::Add, Value::Int(1), Value::Ms(1)),
        Err(EvalFault::Ill)
    );
}

#[test]
fn sets_and_texts() {
    assert_eq!(
        binary(text("a b"), text("b"), |whole, part| Node::Has {
            whole,
            part
        }),
        Ok(Value::Bool(true))
    );
    assert_eq!(
        binary(texts(&["a", "b"]), text("c"), |whole, part| Node::Has {
            whole,
            part
        }),
        Ok(Value::Bool(false))
    );
    assert_eq!(
        binary(
            texts(&["a", "b", "c"]),
            texts(&["c", "a"]),
            |whole, parts| Node::HasAll { whole, parts }
        ),
        Ok(Value::Bool(true))
    );
    assert_eq!(
        binary(texts(&["a", "b", "c"]), texts(&["b"]), |whole, parts| {
            Node::Without { whole, parts }
        }),
        Ok(texts(&["a", "c"]))
    );
    assert_eq!(
        binary(text("b"), texts(&["a", "b"]), |value, list| Node::In {
            value,
            list
        }),
        Ok(Value::Bool(true))
    );
    assert_eq!(
        binary(
            text("el9"),
            Value::Regex("^el[0-9]$".into()),
            |text, regex| Node::Matches { text, regex }
        ),
        Ok(Value::Bool(true))
    );
}

#[test]
fn a_side_that_does_not_matter_cannot_fault() {
    for (deciding, node) in [
        (false, Node::And as fn(ExprIx, ExprIx) -> Node),
        (true, Node::Or),
    ] {
        let found = value(|nodes| {
            let left = nodes.add(Node::Const(Value::Bool(deciding)));
            let missing = nodes.add(Node::Slot(SlotIx(0)));
            nodes.add(node(left, missing))
        });
        assert_eq!(found, Ok(Value::Bool(deciding)));
    }
    assert_eq!(
        value(|nodes| nodes.add(Node::Slot(SlotIx(0)))),
        Err(EvalFault::Missing)
    );
}

#[test]
fn versions_without_an_order_are_a_fault_and_no_answer() {
    let version = |text: &str| Value::Version(text.into());
    let less = |left, right| Node::Compare {
        how: Comparison::Less,
        left,
        right,
    };
    assert_eq!(
        binary(version("6.9"), version("6.10"), less),
        Ok(Value::Bool(true))
    );
    assert!(matches!(
        binary(version("rawhide"), version("40"), less),
        Err(EvalFault::Unordered { .. })
    ));
}

#[test]
fn the_comparison_that_decided_is_found() {
    let mut nodes = ExpressionBuilder::default();
    let [one, two, three] = [1, 2, 3].map(|n| nodes.add(Node::Const(Value::Int(n))));
    let holds = nodes.add(Node::Compare {
        how: Comparison::Less,
        left: one,
        right: two,
    });
    let fails = nodes.add(Node::Compare {
        how: Comparison::AtLeast,
        left: two,
        right: three,
    });
    let both = nodes.add(Node::And(holds, fails));
    let nodes = nodes.finish();
    assert_eq!(
        deciding_operands(&nodes, both, &NoFacts),
        Some((Value::Int(2), ">=", Value::Int(3)))
    );
}

#[test]
fn equal_nodes_are_one() {
    let mut nodes = ExpressionBuilder::default();
    let a = nodes.add(Node::Const(Value::Int(1)));
    assert_eq!(nodes.add(Node::Const(Value::Int(1))), a);
    assert_eq!(nodes.finish().len(), 1);
}

proptest! {
    #[test]
    fn order_is_one_of_three(a in any::<i64>(), b in 1..i64::MAX, c in any::<i64>(), d in 1..i64::MAX) {
        let compare = |how| binary(Value::Ratio(a, b), Value::Ratio(c, d), |left, right| Node::Compare { how, left, right });
        let held = [Comparison::Less, Comparison::Equal, Comparison::Greater]
            .into_iter()
            .filter(|how| compare(*how) == Ok(Value::Bool(true)))
            .count();
        prop_assert_eq!(held, 1);
    }
}

#[test]
fn a_machine_answers_what_is_known_of_it() {
    use dva_plan::expr::MachineFact;
    let mut machine = crate::fixture::plan().machines[dva_plan::plan::MachineIx(0)].clone();
    let name = |name: &str| Some(Value::Name(name.to_owned()));
    assert_eq!(machine.fact(MachineFact::Family), name("local"));
    assert_eq!(machine.fact(MachineFact::Hypervisor), name("nitro"));
    assert_eq!(machine.fact(MachineFact::StorageMedium), name("ssd"));
    assert_eq!(machine.fact(MachineFact::Gpus), Some(Value::Int(8)));
    assert_eq!(
        machine.fact(MachineFact::Baseline),
        Some(Value::Ratio(1, 10))
    );
    assert_eq!(machine.fact(MachineFact::Uefi), Some(Value::Bool(true)));
    // What nobody knows of a machine is no answer, and what it has not is one.
    machine.features = None;
    assert_eq!(machine.fact(MachineFact::Gpus), None);
    assert_eq!(machine.fact(MachineFact::Vcpus), Some(Value::Int(1)));
    machine.features = Some(dva_plan::features::Features::default());
    assert_eq!(machine.fact(MachineFact::Gpus), Some(Value::Int(0)));
    assert_eq!(machine.fact(MachineFact::Hypervisor), name("none"));
    assert_eq!(
        machine.fact(MachineFact::Baseline),
        Some(Value::Ratio(1, 1))
    );
    assert_eq!(machine.fact(MachineFact::NetworkPeak), None);
}

/// A cell whose one table says `["a", "b"]`, or nothing, and whose one input is `proxy`.
struct OfCell(bool);

impl Facts for OfCell {
    fn entry(&self, _: TableIx) -> Entry {
        let items = ["a", "b"].map(|item| Value::String(item.into()));
        if self.0 {
            Entry::Is(Value::List(items.into()))
        } else {
            Entry::None
        }
    }
    fn input(&self, _: InputIx) -> Option<Value> {
        Some(Value::String("proxy".into()))
    }
}

#[test]
fn tables_and_inputs_are_asked_for_and_a_missing_entry_is_a_fault_of_its_own() {
    let mut nodes = ExpressionBuilder::default();
    let list = nodes.add(Node::Lookup(TableIx(0)));
    let input = nodes.add(Node::Input(InputIx(0)));
    let parts = nodes.add(Node::Const(Value::List(vec![Value::String("b".into())])));
    let none = nodes.add(Node::HasNone { whole: list, parts });
    let comma = nodes.add(Node::Const(Value::String(" by ".into())));
    let text = nodes.add(Node::Join(vec![list, comma, input]));
    let nodes = nodes.expressions();
    assert_eq!(eval(nodes, none, &OfCell(true)), Ok(Value::Bool(false)));
    assert_eq!(
        eval(nodes, text, &OfCell(true)),
        Ok(Value::String("a, b by proxy".into()))
    );
    assert_eq!(eval(nodes, none, &OfCell(false)), Err(EvalFault::NoEntry));
    assert_eq!(eval(nodes, none, &NoFacts), Err(EvalFault::Missing));
}

#[test]
fn fields_and_units_give_values() {
    let mut nodes = ExpressionBuilder::default();
    let record = Value::Record([("size".to_owned(), Value::Bytes(3 << 29))].into());
    let record = nodes.add(Node::Const(record));
    let name = "size".to_owned();
    let size = nodes.add(Node::Field { of: record, name });
    let unit = Unit::Size(SizeUnit::GiB);
    let text = nodes.add(Node::InUnit { of: size, unit });
    let bare = nodes.add(Node::Join(vec![size]));
    let name = "other".to_owned();
    let other = nodes.add(Node::Field { of: record, name });
    let nodes = nodes.expressions();
    assert_eq!(eval(nodes, text, &NoFacts), Ok(Value::String("1.5".into())));
    assert_eq!(eval(nodes, bare, &NoFacts), Err(EvalFault::Ill));
    assert_eq!(eval(nodes, other, &NoFacts), Err(EvalFault::Ill));
}
