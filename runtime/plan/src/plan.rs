//! The execution plan: all that a run needs to know, and nothing of the source it came from.
//!
//! Rows refer to each other by index; a test, a shape or a machine is written once however many
//! cells use it. Fields marked *cosmetic* must not influence a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expr::Expressions;
use crate::id::{CellId, TestId};
use crate::label::CellLabels;
use crate::quote::Quote;
use crate::step::{Slot, SlotIx, SourceText, Step};
use crate::table::{Table, define_index};

define_index! {
    /// A row of [`ExecutionPlan::images`].
    ImageIx;
    /// A row of [`ExecutionPlan::disks`].
    DiskIx;
    /// A row of [`ExecutionPlan::blobs`].
    BlobIx;
    /// A row of [`ExecutionPlan::secrets`].
    SecretIx;
    /// A row of [`ExecutionPlan::tests`].
    TestIx;
    /// A row of [`ExecutionPlan::shapes`].
    ShapeIx;
    /// A row of [`ExecutionPlan::machines`].
    MachineIx;
    /// A row of [`ExecutionPlan::cells`].
    CellIx;
}

/// What to test, where it may run, and by which rules. See [`crate::document`] for its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutionPlan {
    /// Cosmetic: what compiled it, for example `dva 0.1.0`; the header says the same.
    pub producer: String,
    /// The name of the `plan` item.
    pub name: String,
    /// Cosmetic: the file it was compiled from, as it was given.
    pub source: String,
    /// What is under test.
    pub images: Table<ImageIx, Image>,
    /// Extra disks that tests use.
    pub disks: Table<DiskIx, Disk>,
    /// Contents of files that tests put onto machines.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub blobs: Table<BlobIx, Blob>,
    /// Names of secrets, which must be bound in the configuration before anything is launched.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub secrets: Table<SecretIx, String>,
    /// All expressions of all tests.
    pub expressions: Expressions,
    /// All tests, each once.
    pub tests: Table<TestIx, Test>,
    /// Sets of tests with their edges, shared by cells.
    pub shapes: Table<ShapeIx, Shape>,
    /// Machines that may be used.
    pub machines: Table<MachineIx, Machine>,
    /// The combinations under test.
    pub cells: Table<CellIx, Cell>,
    /// The rules of the run.
    pub policy: Policy,
}

/// An image under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Image {
    /// Its name in the source.
    pub name: String,
    /// Its operating system, for example `rhel`.
    pub os: String,
    /// The version of its operating system, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its architecture, for example `x86_64`.
    pub arch: String,
    /// Where it comes from, for each kind of provider that can start it.
    pub sources: Vec<ImageSource>,
}

/// Where an image comes from. Serializes as `{"from": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum ImageSource {
    /// The file system of the host that runs `dva`, as an overlay: machines of region `local`.
    LocalHost,
    /// A root file system that lies on the host that runs `dva`, as an overlay: machines of region `local`.
    LocalRootfs {
        /// Its path on that host: a directory, or a tar archive, which may be compressed with gzip.
        path: String,
    },
}

/// An extra disk. Every machine that runs a test with an effect on it gets its own, blank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Its name in the source.
    pub name: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Whether it is attached before the first test of a life; else a step attaches it.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub attached: bool,
}

fn yes() -> bool {
    true
}

/// The content of a file, at most 1 MiB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blob {
    /// Cosmetic: the file it was read from, as the source names it.
    pub name: String,
    /// `sha256:` and the hexadecimal digest of the content.
    pub digest: String,
    /// The content in Base64.
    pub base64: String,
}

/// What a machine must be able to do for a test. A test whose machine cannot is *skipped (unsupported)*
/// before anything is launched.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Its kernel is its own: sysctl, modules and the clock may be changed.
    Kernel,
    /// It can be rebooted from outside.
    Reboot,
    /// It can be stopped and started from outside.
    StopStart,
    /// Disks can be attached and detached while it runs.
    Hotplug,
}

/// A test: the unit with a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Test {
    /// Its id.
    pub id: TestId,
    /// Cosmetic: its doc comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// What it does to its machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// What its machine must be able to do, ascending; steps imply it, authors may ask for more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    /// The limit of one execution in milliseconds, `finally` apart.
    pub within_ms: u64,
    /// How long it is expected to take, in milliseconds, before history exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_ms: Option<u64>,
    /// What it captures.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub slots: Table<SlotIx, Slot>,
    /// What it does; ends at the first step that fails.
    pub steps: Vec<Step>,
    /// What is always done afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub finally: Vec<Step>,
    /// Cosmetic: where it stands.
    pub source: SourceText,
}

/// An effect of a test on a disk of its machine.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Effect {
    /// What it does.
    pub kind: EffectKind,
    /// To which disk.
    pub disk: DiskIx,
}

/// What a test does to something of its machine.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EffectKind {
    /// Sees it as the writers left it that the test is `after`, or as shipped.
    Reads,
    /// Changes it.
    Writes,
}

/// A set of tests with their edges.
#[derive(
    Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Shape {
    /// The tests, ascending.
    pub tests: Vec<TestIx>,
    /// The edges of `after`, ascending and without duplicates. Both ends are tests of this shape.
    pub after: Vec<Edge>,
    /// Edges of order alone, which bind where both tests are on one life: the other has ended, however
    /// it ended. So a reader of a disk as shipped goes before its writers. Ascending and without
    /// duplicates; together with `after` they form no cycle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Edge>,
}

/// One edge: `test` comes after the test `after`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Edge {
    /// The test that waits.
    pub test: TestIx,
    /// The test that comes first.
    pub after: TestIx,
}

/// A kind of machine in one region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its region; `local` means this host.
    pub region: String,
    /// Its type, for example `local.small`.
    pub r#type: String,
    /// Its number of virtual processors.
    pub vcpus: u32,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Its architecture.
    pub arch: String,
    /// By which rates it is billed. Where none are given its price is not known, which is never the
    /// same as free: what is free has a quote without lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<Quote>,
}

/// One combination under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cell {
    /// Its id, see [`CellId::of`].
    pub id: CellId,
    /// The value of each axis, by the axis's name; `image`, `region` and `instance` among them.
    pub axes: BTreeMap<String, String>,
    /// The image.
    pub image: ImageIx,
    /// Its tests.
    pub shape: ShapeIx,
    /// Machines that may serve it, best first; never empty.
    pub candidates: Vec<MachineIx>,
}

/// The rules of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// How many tests may run at once on one machine, at least 1.
    pub lanes: u32,
}

impl ExecutionPlan {
    /// What the cells are called where people read.
    #[must_use]
    pub fn cell_labels(&self) -> CellLabels {
        CellLabels::of(self.cells.iter().map(|cell| &cell.axes))
    }

    /// The number of test runs: Σ over cells of their tests.
    #[must_use]
    pub fn test_runs(&self) -> usize {
        self.cells
            .iter()
            .map(|cell| self.shapes[cell.shape].tests.len())
            .sum()
    }
}
