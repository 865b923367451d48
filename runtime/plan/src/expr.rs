//! Expressions: flat lists of typed nodes.
//!
//! A node names its children by smaller indices, so an expression is acyclic by construction and
//! equal parts are shared for free. Their meaning is in [`crate::eval`]; their types were checked by
//! the compiler.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{DiskIx, TestIx};
use crate::step::SlotIx;
use crate::table::{Index, Table, define_index};
use crate::value::Value;

define_index! {
    /// A node in the plan's table of expressions.
    ExprIx;
}

/// The plan's expressions.
pub type Expressions = Table<ExprIx, Node>;

/// One node of an expression. Serializes as `{"op": …, "of": …}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "op", content = "of", rename_all = "snake_case")]
pub enum Node {
    /// A value known at compile time.
    Const(Value),
    /// What this test captured.
    Slot(SlotIx),
    /// What another test captured; this one is `after` it.
    Other {
        /// The other test.
        test: TestIx,
        /// Its slot.
        slot: SlotIx,
    },
    /// The exit status of the command just run; only in its `expect`.
    Exit,
    /// The standard output of the command just run, without trailing line ends; only in its `expect`.
    Stdout,
    /// The standard error of the command just run, without trailing line ends; only in its `expect`.
    Stderr,
    /// A fact of the cell.
    Cell(CellFact),
    /// A fact of the machine actually obtained.
    Machine(MachineFact),
    /// Something of a disk of this machine.
    Disk {
        /// The disk.
        disk: DiskIx,
        /// What of it.
        what: DiskFact,
    },
    /// Logical negation.
    Not(ExprIx),
    /// Both; the right side is not looked at where the left one decides.
    And(ExprIx, ExprIx),
    /// At least one; the right side is not looked at where the left one decides.
    Or(ExprIx, ExprIx),
    /// A comparison of two values of one type.
    Compare {
        /// How.
        how: Comparison,
        /// The left operand.
        left: ExprIx,
        /// The right operand.
        right: ExprIx,
    },
    /// Checked arithmetic.
    Arithmetic {
        /// How.
        how: Operator,
        /// The left operand.
        left: ExprIx,
        /// The right operand.
        right: ExprIx,
    },
    /// Whether a regular expression is found in a text.
    Matches {
        /// The text.
        text: ExprIx,
        /// The regular expression.
        regex: ExprIx,
    },
    /// Whether a list holds a value, or a text another text.
    Has {
        /// The list or text.
        whole: ExprIx,
        /// The value or text looked for.
        part: ExprIx,
    },
    /// Whether a list holds every value of another.
    HasAll {
        /// The list looked in.
        whole: ExprIx,
        /// The values looked for.
        parts: ExprIx,
    },
    /// What of the left list is not in the right one, in order.
    Without {
        /// The list taken from.
        whole: ExprIx,
        /// The values taken away.
        parts: ExprIx,
    },
    /// Whether a value is one of a list.
    In {
        /// The value.
        value: ExprIx,
        /// The list.
        list: ExprIx,
    },
}

/// How two values compare.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// The operator as it is written.
    #[must_use]
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }
}

/// What arithmetic does.
///
/// | operator | left | right | gives |
/// |---|---|---|---|
/// | add, subtract | int, size, duration, money | the same | the same |
/// | multiply | int, size, duration, money | int | as the left |
/// | share | percent | int, size, duration, money | as the right, rounded down |
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Operator {
    /// `a + b`
    Add,
    /// `a` less `b`
    Subtract,
    /// `a * n`
    Multiply,
    /// `90% of a`
    Share,
}

/// A fact of a cell, known when the plan is made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CellFact {
    /// The value of an axis, by the axis's name: `image` and the author's own.
    Axis(String),
    /// The operating system of the image.
    ImageOs,
    /// The version of the image's operating system.
    ImageVersion,
    /// The architecture of the image.
    ImageArch,
}

/// A fact of a machine, known once it has been obtained.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum MachineFact {
    /// Its number of virtual processors.
    Vcpus,
    /// Its memory in bytes.
    Memory,
    /// Its type's name.
    Type,
    /// Its region's name.
    Region,
    /// Its architecture's name.
    Arch,
}

/// Something of a disk.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DiskFact {
    /// The path of its device node.
    Device,
    /// The path of the device node of partition `n`, from 1. The runtime waits up to 5 s for the node.
    Part(u32),
    /// Its size in bytes.
    Size,
    /// Whether the provider says that it is attached.
    Attached,
}

impl Node {
    /// The indices of the direct children.
    #[must_use]
    pub fn children(&self) -> Vec<ExprIx> {
        match *self {
            Self::Const(_)
            | Self::Slot(_)
            | Self::Other { .. }
            | Self::Exit
            | Self::Stdout
            | Self::Stderr
            | Self::Cell(_)
            | Self::Machine(_)
            | Self::Disk { .. } => vec![],
            Self::Not(of) => vec![of],
            Self::And(left, right)
            | Self::Or(left, right)
            | Self::Compare { left, right, .. }
            | Self::Arithmetic { left, right, .. } => vec![left, right],
            Self::Matches { text, regex } => vec![text, regex],
            Self::Has { whole, part } => vec![whole, part],
            Self::HasAll { whole, parts } | Self::Without { whole, parts } => vec![whole, parts],
            Self::In { value, list } => vec![value, list],
        }
    }
}

/// Collects nodes and gives equal ones the same index.
#[derive(Debug, Default)]
pub struct ExpressionBuilder {
    nodes: Expressions,
    known: BTreeMap<Node, ExprIx>,
}

impl ExpressionBuilder {
    /// The index of `node`, whose children are nodes of this builder.
    pub fn add(&mut self, node: Node) -> ExprIx {
        if let Some(index) = self.known.get(&node) {
            return *index;
        }
        debug_assert!(
            node.children()
                .iter()
                .all(|child| child.row() < self.nodes.len()),
            "children come before their parents"
        );
        let index = self.nodes.push(node.clone());
        self.known.insert(node, index);
        index
    }

    /// The node of `index`.
    #[must_use]
    pub fn node(&self, index: ExprIx) -> &Node {
        &self.nodes[index]
    }

    /// The nodes so far, for evaluation.
    #[must_use]
    pub fn expressions(&self) -> &Expressions {
        &self.nodes
    }

    /// The finished table.
    #[must_use]
    pub fn finish(self) -> Expressions {
        self.nodes
    }
}
