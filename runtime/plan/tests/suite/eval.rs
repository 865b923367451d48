//! The evaluator against a plain model of it, and its faults.

use dva_plan::eval::{EvalFault, NoFacts, deciding_operands, eval};
use dva_plan::expr::{Comparison, ExprIx, ExpressionBuilder, Node, Operator};
use dva_plan::step::SlotIx;
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
