//! The execution plan: all that a run needs to know, and nothing of the source it came from.
//!
//! Rows refer to each other by index; a test, a shape or a machine is written once however many
//! cells use it. Fields marked *cosmetic* must not influence a run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::eval::{Facts, eval};
use crate::expr::{CellFact, ExprIx, Expressions, MachineFact};
pub use crate::features::BootMode;
use crate::features::Features;
use crate::id::{CellId, TestId};
use crate::label::{Axes, CellLabels};
pub use crate::policy::{Boot, Gate, Limits, Policy, Setup, Waiver};
use crate::quote::Quote;
use crate::step::{Slot, SlotIx, SourceText, Step};
use crate::table::{Table, define_index};
use crate::value::{Type, Value};

define_index! {
    /// A row of [`ExecutionPlan::images`].
    ImageIx;
    /// A row of [`ExecutionPlan::disks`].
    DiskIx;
    /// A row of [`ExecutionPlan::states`].
    StateIx;
    /// A row of [`ExecutionPlan::blobs`].
    BlobIx;
    /// A row of [`ExecutionPlan::secrets`].
    SecretIx;
    /// A row of [`ExecutionPlan::inputs`].
    InputIx;
    /// A row of [`ExecutionPlan::tables`].
    TableIx;
    /// A row of [`ExecutionPlan::tests`].
    TestIx;
    /// A row of [`ExecutionPlan::shapes`].
    ShapeIx;
    /// A row of [`ExecutionPlan::machines`].
    MachineIx;
    /// A row of [`ExecutionPlan::cells`].
    CellIx;
    /// A row of [`ExecutionPlan::boots`].
    BootIx;
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
    /// What else of a machine tests read and write.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub states: Table<StateIx, State>,
    /// What lives need at their launch.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub boots: Table<BootIx, Boot>,
    /// What is done on every life before its first test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// Contents of files that tests put onto machines.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub blobs: Table<BlobIx, Blob>,
    /// Names of secrets, which must be bound in the configuration before anything is launched.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub secrets: Table<SecretIx, String>,
    /// Inputs that tests use and that must be bound in the configuration before anything is launched.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub inputs: Table<InputIx, Input>,
    /// Cosmetic: the inputs that were given when the plan was made, as text. Their values stand wherever
    /// the plan uses them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// What authors looked up by cell, as far as these cells need it.
    #[serde(default, skip_serializing_if = "Table::is_empty")]
    pub tables: Table<TableIx, Lookup>,
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
    /// The accounts of it that the controller logs in to, tried in this order; where it has none, the
    /// provider's usual one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logins: Vec<String>,
    /// The author's own properties of it, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
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
    /// A machine image of EC2 that is known by its id.
    Ec2Ami {
        /// The id in each region that has it: `ami-0123456789abcdef0` by `eu-west-1`.
        ids: BTreeMap<String, String>,
    },
    /// The newest machine image of EC2 of a name.
    Ec2AmiNamed {
        /// The name, where `*` stands for any letters and `?` for any one.
        name: String,
        /// The account that publishes it, by partition: `309956199498` by `aws`, or one of the words
        /// `amazon`, `aws-marketplace` and `self`.
        owners: BTreeMap<String, String>,
    },
    /// The machine image of EC2 whose id is in a public parameter of AWS Systems Manager.
    Ec2AmiParameter {
        /// The name of the parameter, by partition: `/aws/service/debian/release/12/latest/arm64` by `aws`.
        parameters: BTreeMap<String, String>,
    },
}

impl ImageSource {
    /// Whether it has the image for machines of `region`, a region of `partition`.
    #[must_use]
    pub fn serves(&self, region: &str, partition: &str) -> bool {
        match self {
            Self::LocalHost | Self::LocalRootfs { .. } => partition == "local",
            Self::Ec2Ami { ids } => ids.contains_key(region),
            Self::Ec2AmiNamed { owners, .. } => owners.contains_key(partition),
            Self::Ec2AmiParameter { parameters } => parameters.contains_key(partition),
        }
    }
}

/// An extra disk. Every machine that runs a test with an effect on it gets its own, blank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Disk {
    /// Its name in the source.
    pub name: String,
    /// Where it comes from.
    #[serde(default, skip_serializing_if = "DiskOrigin::is_volume")]
    pub from: DiskOrigin,
    /// Its size in bytes; of one that comes with the machine the least.
    pub size_bytes: u64,
    /// Whether it is attached before the first test of a life; else a step attaches it.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub attached: bool,
}

/// Where a disk comes from.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum DiskOrigin {
    /// It is made for the machine, and can be attached and detached.
    #[default]
    Volume,
    /// It comes with machines of the type, at no price of its own, and is there from the start.
    InstanceStore,
}

impl DiskOrigin {
    /// Whether it is a volume.
    #[must_use]
    pub fn is_volume(&self) -> bool {
        *self == Self::Volume
    }
}

fn yes() -> bool {
    true
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Something of a machine that tests change and look at, which has a name for that purpose alone:
/// `packages_db`, `mounts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct State {
    /// Its name in the source.
    pub name: String,
    /// Whether a reboot loses it. Then every test that reboots or stops its machine writes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost_on_reboot: bool,
    /// It is not the machine's but the account's, and at most so many lives may use it at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_account: Option<u32>,
}

/// A value that is bound in the configuration when the plan is run, for each region if need be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type.
    pub r#type: Type,
}

/// A table, resolved for the cells of the plan: patterns and ranges are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lookup {
    /// Cosmetic: its name in the source.
    pub name: String,
    /// Which fact of a cell is its key.
    pub key: CellFact,
    /// For the text of each key that has an entry, the place of its value in `values`.
    pub entries: BTreeMap<String, u32>,
    /// The values, each once.
    pub values: Vec<Value>,
}

impl Lookup {
    /// The value for `key`; `None` where there is no entry.
    #[must_use]
    pub fn value(&self, key: &str) -> Option<&Value> {
        let place = usize::try_from(*self.entries.get(key)?).ok()?;
        self.values.get(place)
    }
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
    /// It can be given user data at its launch.
    UserData,
    /// What starts its image can be chosen.
    BootMode,
    /// The size of its root disk can be chosen.
    RootSize,
    /// What it says on its console can be read from outside.
    Console,
}

/// A test: the unit with a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Test {
    /// Its id.
    pub id: TestId,
    /// Cosmetic: its doc comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// What authors group it by, ascending; selects it on the command line.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it does to its machine, ascending.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effects: Vec<Effect>,
    /// Whether it runs at the end of every life of its cell that has what it is `after`, behind all other
    /// tests there, failed ones too. Its verdict is the worst of these executions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
    /// Whether it is never repeated to prepare another life.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
    /// The boot that its life must have. Tests of different boots are in conflict; one without runs on a
    /// life of any boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootIx>,
    /// How many further attempts there may be after a failure, each on a fresh life.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub retry: u32,
    /// What its machine must be able to do, ascending; steps imply it, authors may ask for more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Capability>,
    /// What must hold of its machine; in a cell whose machine is another one it is *skipped (unsupported)*.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Requirement>,
    /// The limit of one execution in milliseconds, `finally` apart.
    pub within_ms: u64,
    /// How long it is expected to take, in milliseconds, before history exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_ms: Option<u64>,
    /// How long nine of ten executions take at most, in milliseconds, where that was measured; no source says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_p90_ms: Option<u64>,
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

/// Something that a test asks of its machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Requirement {
    /// A condition over facts of the machine.
    pub condition: ExprIx,
    /// Cosmetic: where it stands.
    pub source: SourceText,
}

/// An effect of a test on something of its machine.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Effect {
    /// What it does.
    pub kind: EffectKind,
    /// To what.
    pub of: Resource,
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
    /// Sees it as a reader does, and may change it while it runs, for it puts it back: nobody else touches
    /// it then.
    Borrows,
}

/// Something of a machine on which tests have effects.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// All of it. Who reads it wants it fresh: before any test that writes anything or reboots. Who
    /// writes it leaves it dirty: no other test runs behind, but for those that are `after` it. Who
    /// borrows it has it to itself.
    Machine,
    /// An extra disk.
    Disk(DiskIx),
    /// A state.
    State(StateIx),
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
    /// The edges of `after … regardless`: the other test is on the same life and has ended there, however
    /// it ended. Ascending and without duplicates; together with `after` they form no cycle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regardless: Vec<Edge>,
    /// Edges of order alone, which bind where both tests are on one life: the other has ended, however
    /// it ended. So a reader of a disk as shipped goes before its writers. Ascending and without
    /// duplicates. What one test needs on its life forms no cycle; tests that do are put on several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Edge>,
    /// Tests that must not share a life, such as two that write one state and neither of which is `after`
    /// the other. Ascending and without duplicates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflicts: Vec<Pair>,
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

/// Two tests in no order.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Pair {
    /// The one of the smaller row.
    pub a: TestIx,
    /// The other one.
    pub b: TestIx,
}

/// A kind of machine in one region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its region; `local` means this host.
    pub region: String,
    /// The partition of its region: `aws`, `aws-cn`, `aws-us-gov`, `local`. Empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub partition: String,
    /// Its type, for example `local.small`.
    pub r#type: String,
    /// Its number of virtual processors.
    pub vcpus: u32,
    /// Its memory in bytes.
    pub memory_bytes: u64,
    /// Its architecture.
    pub arch: String,
    /// What else it has; nothing where that is not known, as of a host that somebody names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<Features>,
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
    /// The name of its matrix. A plan may have cells of several.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub matrix: String,
    /// The value of each axis all of whose values are under test, by the axis's name. `image` is among
    /// them; `region` and `instance` are, unless any of their values will do.
    pub axes: BTreeMap<String, String>,
    /// The image.
    pub image: ImageIx,
    /// Its tests.
    pub shape: ShapeIx,
    /// Machines that may serve it, best first; never empty.
    pub candidates: Vec<MachineIx>,
    /// Tests of it whose [`Test::requires`] no candidate meets, ascending. They are *skipped
    /// (unsupported)*, and so is what comes after them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsupported: Vec<TestIx>,
    /// What its machines' network must be.
    #[serde(default, skip_serializing_if = "Network::is_any")]
    pub network: Network,
}

/// What the network of a machine must be, as the values of the author's axes say.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct Network {
    /// The machine has an IPv6 address.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ipv6: bool,
    /// The machine reaches nothing outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closed: bool,
}

impl Machine {
    /// Whether it is one of the host that runs `dva`, which nobody charges for.
    #[must_use]
    pub fn is_of_this_host(&self) -> bool {
        self.region == "local"
    }
}

/// What is known of a machine before there is one.
impl Facts for Machine {
    fn machine(&self, fact: MachineFact) -> Option<Value> {
        self.fact(fact)
    }
}

impl Network {
    /// Whether it may be any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self == Self::default()
    }
}

impl Effect {
    /// `reads`.
    #[must_use]
    pub fn reads(of: Resource) -> Self {
        let kind = EffectKind::Reads;
        Self { kind, of }
    }

    /// `writes`.
    #[must_use]
    pub fn writes(of: Resource) -> Self {
        let kind = EffectKind::Writes;
        Self { kind, of }
    }

    /// `borrows`.
    #[must_use]
    pub fn borrows(of: Resource) -> Self {
        let kind = EffectKind::Borrows;
        Self { kind, of }
    }
}

impl Pair {
    /// The pair of these two, which are different tests.
    #[must_use]
    pub fn of(one: TestIx, other: TestIx) -> Self {
        Self {
            a: one.min(other),
            b: one.max(other),
        }
    }
}

impl Test {
    /// Whether it takes its machine away from all others for a while: one of its steps reboots or stops it.
    #[must_use]
    pub fn takes_machine_away(&self) -> bool {
        let mut steps = self.steps.iter().chain(&self.finally);
        steps.any(|step| step.kind.takes_machine_away())
    }
}

impl ExecutionPlan {
    /// What `test` needs in `cell` and `machine` is known not to be, before there is one. What no machine of the
    /// cell is, is asked of none.
    #[must_use]
    pub fn lacking(&self, cell: &Cell, machine: MachineIx, test: TestIx) -> Option<&Requirement> {
        if cell.unsupported.binary_search(&test).is_ok() {
            return None;
        }
        let machine = &self.machines[machine];
        self.tests[test].requires.iter().find(|required| {
            let holds = eval(&self.expressions, required.condition, machine);
            // What is not known of a machine is no reason against it.
            matches!(holds, Ok(Value::Bool(false)))
        })
    }

    /// The states of the account that `test` touches, each with how many lives may use it at once.
    pub fn account_states(&self, test: TestIx) -> impl Iterator<Item = (StateIx, u32)> + '_ {
        let effects = self
            .tests
            .get(test)
            .into_iter()
            .flat_map(|test| &test.effects);
        effects.filter_map(|effect| match effect.of {
            Resource::State(state) => Some((state, self.states.get(state)?.per_account?)),
            Resource::Machine | Resource::Disk(_) => None,
        })
    }

    /// What the cells are called where people read.
    #[must_use]
    pub fn cell_labels(&self) -> CellLabels {
        let axes: Vec<_> = self
            .cells
            .iter()
            .map(|cell| self.shown_axes(cell))
            .collect();
        CellLabels::of(&axes)
    }

    /// The axis values of `cell` as people read them: with the name of its matrix under `matrix`, which no
    /// axis is called, where the plan has cells of several.
    #[must_use]
    pub fn shown_axes(&self, cell: &Cell) -> Axes {
        let mut axes = cell.axes.clone();
        // Cells of one matrix stand together, so the first and the last one tell.
        let mut cells = self.cells.iter();
        let first = cells.next().map(|first| &first.matrix);
        let last = cells.next_back().map(|last| &last.matrix);
        if last.is_some() && first != last {
            axes.insert("matrix".to_owned(), cell.matrix.clone());
        }
        axes
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
