//! Calculates what is known already, with the evaluator that the runtime has.
//!
//! A folded expression has the value that the whole one would have, or the whole one has none.

use dva_plan::eval::{EvalFault, NoFacts, eval};
use dva_plan::expr::{ExprIx, ExpressionBuilder, Node};
use dva_plan::value::Value;

/// Adds `node`, or the constant that it is. Its children are nodes of `nodes`.
///
/// # Errors
/// [`EvalFault`] where the node depends on constants alone and has no value.
pub fn fold(nodes: &mut ExpressionBuilder, node: Node) -> Result<ExprIx, EvalFault> {
    let truth = |index: ExprIx| match nodes.node(index) {
        Node::Const(Value::Bool(truth)) => Some(*truth),
        _ => None,
    };
    match node {
        // The left side decides, so the right one is never looked at.
        Node::And(left, right) => match truth(left) {
            Some(true) => return Ok(right),
            Some(false) => return Ok(left),
            None if truth(right) == Some(true) => return Ok(left),
            None => return Ok(nodes.add(node)),
        },
        Node::Or(left, right) => match truth(left) {
            Some(false) => return Ok(right),
            Some(true) => return Ok(left),
            None if truth(right) == Some(false) => return Ok(left),
            None => return Ok(nodes.add(node)),
        },
        _ => {}
    }
    let children = node.children();
    let all_known = children
        .iter()
        .all(|child| matches!(nodes.node(*child), Node::Const(_)));
    let index = nodes.add(node);
    if children.is_empty() || !all_known {
        return Ok(index);
    }
    let value = eval(nodes.expressions(), index, &NoFacts)?;
    Ok(nodes.add(Node::Const(value)))
}

#[cfg(test)]
mod tests {
    use dva_plan::eval::Facts;
    use dva_plan::expr::{Comparison, Operator};

    use proptest::prelude::*;

    use super::*;

    /// A condition or a number, as a tree to be added with and without folding.
    #[derive(Clone, Debug)]
    enum Tree {
        Known(Value),
        /// `exit`, which the facts below know and the compiler does not.
        Exit,
        Not(Box<Tree>),
        And(Box<Tree>, Box<Tree>),
        Or(Box<Tree>, Box<Tree>),
        Compare(Comparison, Box<Tree>, Box<Tree>),
        Arithmetic(Operator, Box<Tree>, Box<Tree>),
    }

    fn number() -> impl Strategy<Value = Tree> {
        let leaf = prop_oneof![
            (-3_i64..4).prop_map(|n| Tree::Known(Value::Int(n))),
            Just(Tree::Known(Value::Int(i64::MAX))),
            Just(Tree::Exit),
        ];
        leaf.prop_recursive(3, 12, 2, |inner| {
            let how = prop_oneof![Just(Operator::Add), Just(Operator::Multiply)];
            (how, inner.clone(), inner)
                .prop_map(|(how, a, b)| Tree::Arithmetic(how, Box::new(a), Box::new(b)))
        })
    }

    fn condition() -> impl Strategy<Value = Tree> {
        let how = prop_oneof![
            Just(Comparison::Equal),
            Just(Comparison::Less),
            Just(Comparison::AtLeast)
        ];
        let leaf = prop_oneof![
            any::<bool>().prop_map(|truth| Tree::Known(Value::Bool(truth))),
            (how, number(), number()).prop_map(|(how, a, b)| Tree::Compare(
                how,
                Box::new(a),
                Box::new(b)
            )),
        ];
        leaf.prop_recursive(4, 32, 2, |inner| {
            prop_oneof![
                inner.clone().prop_map(|of| Tree::Not(Box::new(of))),
                (inner.clone(), inner.clone())
                    .prop_map(|(a, b)| Tree::And(Box::new(a), Box::new(b))),
                (inner.clone(), inner).prop_map(|(a, b)| Tree::Or(Box::new(a), Box::new(b))),
            ]
        })
    }

    type Add = fn(&mut ExpressionBuilder, Node) -> Result<ExprIx, EvalFault>;

    fn build(tree: &Tree, nodes: &mut ExpressionBuilder, add: Add) -> Result<ExprIx, EvalFault> {
        let node = match tree {
            Tree::Known(value) => Node::Const(value.clone()),
            Tree::Exit => Node::Exit,
            Tree::Not(of) => Node::Not(build(of, nodes, add)?),
            Tree::And(a, b) => Node::And(build(a, nodes, add)?, build(b, nodes, add)?),
            Tree::Or(a, b) => Node::Or(build(a, nodes, add)?, build(b, nodes, add)?),
            Tree::Compare(how, a, b) => Node::Compare {
                how: *how,
                left: build(a, nodes, add)?,
                right: build(b, nodes, add)?,
            },
            Tree::Arithmetic(how, a, b) => Node::Arithmetic {
                how: *how,
                left: build(a, nodes, add)?,
                right: build(b, nodes, add)?,
            },
        };
        add(nodes, node)
    }

    /// Surroundings that know the exit status alone.
    struct Exited(i64);

    impl Facts for Exited {
        fn exit(&self) -> Option<Value> {
            Some(Value::Int(self.0))
        }
    }

    proptest! {
        #[test]
        fn a_folded_expression_has_the_value_of_the_whole_one(tree in condition(), status in -2_i64..3) {
            let facts = Exited(status);
            let mut nodes = ExpressionBuilder::default();
            let whole = build(&tree, &mut nodes, |nodes, node| Ok(nodes.add(node)))
                .expect("adding cannot fail");
            let expected = eval(nodes.expressions(), whole, &facts);
            let folded = build(&tree, &mut nodes, fold);
            match (expected, folded) {
                (Ok(value), Ok(folded)) => {
                    prop_assert_eq!(eval(nodes.expressions(), folded, &facts), Ok(value));
                }
                // A fault on a side that a run may not need is reported all the same: it is a mistake.
                (Ok(_), Err(fault)) => {
                    let is_overflow = matches!(fault, EvalFault::Overflow { .. });
                    prop_assert!(is_overflow);
                }
                (Err(_), _) => {}
            }
        }
    }
}
