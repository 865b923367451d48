//! Expressions: flat lists of typed nodes.
//!
//! A node names its children by smaller indices, so an expression is acyclic by construction and
//! equal parts are shared for free. Their meaning is in [`crate::eval`]; their types were checked by
//! the compiler.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::{DiskIx, InputIx, TableIx, TestIx};
use crate::step::SlotIx;
use crate::table::{Index, Table, define_index};
use crate::unit::Unit;
use crate::value::Value;

define_index! {
    /// A node in the plan's table of expressions.
    ExprIx;
}

/// The plan's expressions.
pub type Expressions = Table<ExprIx, Node>;

/// One node of an expression. Serializes as `{"op": …, "of": …}`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
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
    /// What a table says of this cell.
    Lookup(TableIx),
    /// An input that is bound when the plan is run.
    Input(InputIx),
    /// A field of a record.
    Field {
        /// The record.
        of: ExprIx,
        /// The field's name.
        name: String,
    },
    /// A text for people, made of the texts of its parts, see [`crate::template::spoken`].
    Join(Vec<ExprIx>),
    /// A size or duration as a bare number of this unit: a text.
    InUnit {
        /// The size or duration.
        of: ExprIx,
        /// The unit.
        unit: Unit,
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
    /// Whether a list holds no value of another.
    HasNone {
        /// The list looked in.
        whole: ExprIx,
        /// The values that must not be there.
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
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
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
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
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
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CellFact {
    /// The value of an axis, by the axis's name: `image` and the author's own. `region` and `instance`
    /// are those of the machine where the cell leaves them open.
    Axis(String),
    /// The operating system of the image.
    ImageOs,
    /// The version of the image's operating system.
    ImageVersion,
    /// The architecture of the image.
    ImageArch,
    /// An author's own property of the image, by its name.
    ImageFact(String),
}

/// A fact of a machine, known once it has been obtained.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
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
    /// What comes before the dot of its type's name.
    Family,
    /// The partition of its region.
    Partition,
    /// Whether an account must ask for its region.
    OptIn,
    /// What it runs on: `nitro`, `xen` or `none`.
    Hypervisor,
    /// Whether it is the whole machine.
    BareMetal,
    /// Whether it earns CPU credits.
    Burstable,
    /// The share of each virtual processor that is its own; all where it is not burstable.
    Baseline,
    /// Its number of graphics processors.
    Gpus,
    /// Their manufacturer and model; an empty text where there are none.
    Gpu,
    /// Their memory together in bytes.
    GpuMemory,
    /// The size of its own disks together in bytes.
    Storage,
    /// How many disks of its own it has.
    StorageDisks,
    /// What they are made of: `ssd`, `hdd` or `none`.
    StorageMedium,
    /// Whether they are NVMe devices.
    Nvme,
    /// Whether its EBS volumes are NVMe devices.
    EbsNvme,
    /// Whether it has the Elastic Network Adapter.
    Ena,
    /// Whether an image needs the driver of that.
    EnaRequired,
    /// Whether it has the Elastic Fabric Adapter.
    Efa,
    /// Whether it boots from the first sector of a disk.
    Bios,
    /// Whether it boots by UEFI.
    Uefi,
    /// Whether it has a NitroTPM.
    Tpm,
    /// What its network carries all the time, in 10⁶ bits a second.
    NetworkBaseline,
    /// What its network carries for a while, in 10⁶ bits a second.
    NetworkPeak,
    /// Whether it can be had on the spot market.
    Spot,
    /// Whether it can hibernate.
    Hibernation,
    /// Whether EC2 counts it among the current generation.
    Current,
}

/// Something of a disk.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
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
        match self {
            Self::Const(_)
            | Self::Slot(_)
            | Self::Other { .. }
            | Self::Exit
            | Self::Stdout
            | Self::Stderr
            | Self::Cell(_)
            | Self::Machine(_)
            | Self::Lookup(_)
            | Self::Input(_)
            | Self::Disk { .. } => vec![],
            Self::Join(parts) => parts.clone(),
            Self::Not(of) | Self::Field { of, .. } | Self::InUnit { of, .. } => vec![*of],
            Self::And(left, right)
            | Self::Or(left, right)
            | Self::Compare { left, right, .. }
            | Self::Arithmetic { left, right, .. } => vec![*left, *right],
            Self::Matches { text, regex } => vec![*text, *regex],
            Self::Has { whole, part } => vec![*whole, *part],
            Self::HasAll { whole, parts }
            | Self::HasNone { whole, parts }
            | Self::Without { whole, parts } => vec![*whole, *parts],
            Self::In { value, list } => vec![*value, *list],
        }
    }
}

/// Collects nodes and gives equal ones the same index.
#[derive(Debug, Default)]
pub struct ExpressionBuilder {
    nodes: Expressions,
    /// By the hash of a node or, where another one has that already, a number behind it, its index. Nothing
    /// depends on the order of these; a second copy of every node would take as much room as they do.
    known: HashMap<u64, ExprIx>,
}

impl ExpressionBuilder {
    /// The index of `node`, whose children are nodes of this builder.
    pub fn add(&mut self, node: Node) -> ExprIx {
        let mut hash = DefaultHasher::new();
        node.hash(&mut hash);
        let mut place = hash.finish();
        while let Some(index) = self.known.get(&place) {
            if self.nodes[*index] == node {
                return *index;
            }
            place = place.wrapping_add(1);
        }
        debug_assert!(
            node.children()
                .iter()
                .all(|child| child.row() < self.nodes.len()),
            "children come before their parents"
        );
        let index = self.nodes.push(node);
        self.known.insert(place, index);
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
