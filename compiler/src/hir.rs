//! The items of a source by number, with every reference between them resolved.
//!
//! It borrows from the tree: expressions stay as they were written, since what a bare word in one
//! means depends on the type that is expected there, which is decided in [`crate::types`]. A row that
//! is not `intact` had a reference or part that was reported; what would need that part stays silent.

pub mod file;
mod policy;
mod values;

pub use file::{File, Named};

pub use policy::{Gate, LimitOf, Policy, Waiver};
pub use values::{Constant, Origin, RunInput};

use std::borrow::Cow;
use std::collections::BTreeMap;

use dva_plan::plan::{
    BootIx, DiskIx, EffectKind, ImageIx, InputIx, Resource, SecretIx, StateIx, TableIx, TestIx,
};
use dva_plan::table::{Index, Table};

use crate::span::Span;
use crate::syntax::ast;

/// Declares indices of the tables below.
macro_rules! define_rows {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(usize);

        impl Index for $name {
            fn from_row(row: usize) -> Self {
                Self(row)
            }
            fn row(self) -> usize {
                self.0
            }
        }
    )*};
}

define_rows! {
    /// A row of [`Hir::constants`].
    ConstantIx;
    /// A row of [`Hir::axes`].
    AxisIx;
    /// A row of [`Hir::matrices`].
    MatrixIx;
    /// A row of [`Hir::plans`].
    PlanIx;
    /// A row of [`Hir::facts`].
    FactIx;
    /// A row of [`Hir::files`].
    FileIx;
    /// A row of [`Hir::templates`].
    TemplateIx;
    /// A row of [`crate::graph::Graph::nodes`].
    NodeIx;
}

/// All items of a source.
///
/// Images, disks, states, secrets and tests are numbered with the execution plan's own index types, though here they
/// count what the source declares and there what the plan uses; [`crate::emit`] renumbers.
#[derive(Debug, Default)]
pub struct Hir<'a> {
    /// Images.
    pub images: Table<ImageIx, Image<'a>>,
    /// The author's own axes.
    pub axes: Table<AxisIx, Axis<'a>>,
    /// The author's own properties of images.
    pub facts: Table<FactIx, Fact<'a>>,
    /// Disks.
    pub disks: Table<DiskIx, Disk<'a>>,
    /// Boots.
    pub boots: Table<BootIx, Boot<'a>>,
    /// States.
    pub states: Table<StateIx, State<'a>>,
    /// Inputs that are secrets.
    pub inputs: Table<SecretIx, Input<'a>>,
    /// Values that are known when the plan is made.
    pub constants: Table<ConstantIx, Constant<'a>>,
    /// Inputs that are bound when the tests run, secrets apart.
    pub run_inputs: Table<InputIx, RunInput<'a>>,
    /// Files of values.
    pub tables: Table<TableIx, &'a ast::LookupTable>,
    /// Matrices.
    pub matrices: Table<MatrixIx, Matrix<'a>>,
    /// Tests.
    pub tests: Table<TestIx, Test<'a>>,
    /// Plans.
    pub plans: Table<PlanIx, Plan<'a>>,
    /// Tests with parameters. For each set of arguments that one is given there is a row in
    /// [`Hir::tests`], behind those of tests without.
    pub templates: Table<TemplateIx, Template<'a>>,
    /// The files, the source itself first, and what names mean in each.
    pub files: Table<FileIx, File<'a>>,
    /// Whether the source holds text that could not be read, so that something may be declared there.
    pub has_unread: bool,
}

/// What a declared name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemRef {
    /// An image.
    Image(ImageIx),
    /// An axis.
    Axis(AxisIx),
    /// A fact.
    Fact(FactIx),
    /// A disk.
    Disk(DiskIx),
    /// A boot.
    Boot(BootIx),
    /// A state.
    State(StateIx),
    /// A secret.
    Input(SecretIx),
    /// A `let`.
    Let(ConstantIx),
    /// An input that is given to the compiler.
    Setting(ConstantIx),
    /// An input that is bound when the tests run.
    RunInput(InputIx),
    /// A file of values.
    Table(TableIx),
    /// A matrix.
    Matrix(MatrixIx),
    /// A test.
    Test(TestIx),
    /// A test with parameters.
    Template(TemplateIx),
    /// A file, by the name that another one gives it.
    Module(FileIx),
    /// An item that another file keeps to itself.
    Private,
    /// A plan.
    Plan(PlanIx),
    /// An item that could not be read; it was reported.
    Unread,
}

impl ItemRef {
    /// What it is, in words: `a disk`.
    #[must_use]
    pub fn noun(self) -> &'static str {
        match self {
            Self::Image(_) => "an image",
            Self::Axis(_) => "an axis",
            Self::Fact(_) => "a fact",
            Self::Disk(_) => "a disk",
            Self::Boot(_) => "a boot",
            Self::State(_) => "a state",
            Self::Input(_) | Self::Setting(_) | Self::RunInput(_) => "an input",
            Self::Let(_) => "a value",
            Self::Table(_) => "a table",
            Self::Matrix(_) => "a matrix",
            Self::Test(_) | Self::Template(_) => "a test",
            Self::Module(_) => "a module",
            Self::Private => "private to its file",
            Self::Plan(_) => "a plan",
            Self::Unread => "an item",
        }
    }

    /// Whether steps can name it, so that a value of its name would hide it. The name of an image is only
    /// looked for where one is expected.
    #[must_use]
    pub fn is_seen_by_steps(self) -> bool {
        match self {
            Self::Axis(_)
            | Self::Disk(_)
            | Self::Input(_)
            | Self::Let(_)
            | Self::Setting(_)
            | Self::RunInput(_)
            | Self::Table(_)
            | Self::Test(_)
            | Self::Template(_)
            | Self::Module(_) => true,
            Self::Image(_)
            | Self::Boot(_)
            | Self::Fact(_)
            | Self::State(_)
            | Self::Matrix(_)
            | Self::Plan(_)
            | Self::Private
            | Self::Unread => false,
        }
    }
}

/// A mention of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mention<I> {
    /// The item.
    pub to: I,
    /// Where it is mentioned.
    pub span: Span,
}

/// An image, with its fields by name; their values are typed later.
#[derive(Debug)]
pub struct Image<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// The image that it is like.
    pub like: Option<Mention<ImageIx>>,
    /// Its fields, those of the image it is like among them, each once, all of them known ones.
    pub fields: BTreeMap<&'a str, &'a ast::Field>,
}

/// An author's own property of images.
#[derive(Debug)]
pub struct Fact<'a> {
    /// Its name, which is that of its type too where it is one of several words.
    pub name: &'a ast::Name,
    /// What it may be.
    pub r#type: FactType<'a>,
    /// What it is where an image does not say.
    pub default: &'a ast::Expr,
}

/// What a fact may be.
#[derive(Debug)]
pub enum FactType<'a> {
    /// One of these words, each once.
    OneOf(Vec<&'a ast::Name>),
    /// A value of the type of this name.
    Named(&'a ast::Name),
    /// Something that was reported.
    Unknown,
}

/// A disk, as [`Image`].
#[derive(Debug)]
pub struct Disk<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its fields, each once, all of them known ones.
    pub fields: BTreeMap<&'a str, &'a ast::Field>,
}

/// A boot, as [`Image`].
#[derive(Debug)]
pub struct Boot<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its fields, each once, all of them known ones.
    pub fields: BTreeMap<&'a str, &'a ast::Field>,
}

/// A state.
#[derive(Debug)]
pub struct State<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// The `lost = reboot` of one that a reboot loses.
    pub lost: Option<Span>,
    /// How many lives may use it at once, where it is the account's: the limit as it was written.
    pub account: Option<(Span, &'a ast::Expr)>,
}

/// A secret, which is bound when the tests run.
#[derive(Debug)]
pub struct Input<'a> {
    /// Its name.
    pub name: &'a ast::Name,
}

/// An author's own axis.
#[derive(Debug)]
pub struct Axis<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its values, each once.
    pub values: Vec<&'a ast::Name>,
    /// What each of them says of a machine's network: its fields, each once, all of them known ones.
    pub fields: Vec<BTreeMap<&'a str, &'a ast::Field>>,
}

/// A matrix.
#[derive(Debug)]
pub struct Matrix<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its axes, each once, in order.
    pub axes: Vec<MatrixAxis<'a>>,
    /// The conditions behind `exclude`.
    pub excludes: Vec<&'a ast::Expr>,
    /// Whether all of its axes and values resolved.
    pub intact: bool,
}

/// An axis of a matrix.
#[derive(Debug)]
pub struct MatrixAxis<'a> {
    /// Its name as the matrix gives it.
    pub name: &'a ast::Name,
    /// Whether all of its values are under test, or any one of them will do.
    pub how: ast::Every,
    /// Its values where they are listed: names that exist, each once. All values of all axes are in
    /// [`crate::types::Typed::axes`].
    pub values: Vec<AxisValue>,
    /// How they are chosen, where they are not listed.
    pub chosen: Option<Chosen<'a>>,
}

/// `regions where CONDITION`.
#[derive(Clone, Copy, Debug)]
pub struct Chosen<'a> {
    /// What is chosen from.
    pub from: Choice,
    /// Where that is named.
    pub span: Span,
    /// Which of them; all without one.
    pub condition: Option<&'a ast::Expr>,
}

/// What values of an axis are chosen from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// All regions of the catalog.
    Regions,
    /// All machine types of the catalog.
    Types,
}

/// A value of an axis in a matrix.
#[derive(Clone, Debug)]
pub struct AxisValue {
    /// Its name.
    pub name: String,
    /// Where the matrix names it.
    pub span: Span,
}

impl<'a> Matrix<'a> {
    /// The axis named `name`.
    #[must_use]
    pub fn axis(&self, name: &str) -> Option<&MatrixAxis<'a>> {
        self.axes.iter().find(|axis| axis.name.text == name)
    }
}

/// A test with parameters.
#[derive(Debug)]
pub struct Template<'a> {
    /// The item.
    pub item: &'a ast::Item,
    /// What it is.
    pub test: &'a ast::Test,
    /// Its parameters, each once.
    pub parameters: Vec<Parameter<'a>>,
    /// Its tests, by their arguments as written in ids.
    pub instances: BTreeMap<String, TestIx>,
}

/// What a test can be given.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// What it may be given.
    pub takes: Takes<'a>,
}

/// What a parameter may be given.
#[derive(Clone, Copy, Debug)]
pub enum Takes<'a> {
    /// A disk.
    Disk,
    /// A value of this type.
    Value(&'a ast::TypeExpr),
    /// Something that was reported.
    Unread,
}

/// A test.
#[derive(Debug)]
pub struct Test<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its name with the path of its file and its arguments: `storage.format(data)`.
    pub id: Cow<'a, str>,
    /// The test with parameters that it is one of.
    pub template: Option<TemplateIx>,
    /// What the names of its parameters mean.
    pub parameters: BTreeMap<&'a str, (ItemRef, Span)>,
    /// Its documentation.
    pub docs: &'a [ast::Doc],
    /// Its first line: `test mount after format`.
    pub head: Span,
    /// What it is after, each once.
    pub after: Vec<Mention<TestIx>>,
    /// What it is after `regardless`, each once and none of [`Test::after`].
    pub regardless: Vec<Mention<TestIx>>,
    /// The axes behind `per`, each once.
    pub per: Vec<&'a ast::Name>,
    /// The condition on the cells that it applies to.
    pub when: Option<(Span, &'a ast::Expr)>,
    /// What authors group it by, each once.
    pub tags: Vec<&'a ast::Name>,
    /// `last`
    pub last: Option<Span>,
    /// `once`
    pub once: Option<Span>,
    /// What it does to disks, states and the machine, each once a kind.
    pub effects: Vec<(EffectKind, Mention<Resource>)>,
    /// What it says that its machine must be able to do.
    pub needs: Vec<&'a ast::Expr>,
    /// The boot that its life must have.
    pub boot: Option<Mention<BootIx>>,
    /// How many further attempts it may have.
    pub retry: Option<(Span, &'a ast::Expr)>,
    /// Its limit.
    pub within: Option<(Span, &'a ast::Expr)>,
    /// Its expected duration.
    pub takes: Option<(Span, &'a ast::Expr)>,
    /// Its steps.
    pub steps: Vec<&'a ast::Step>,
    /// What is always done afterwards.
    pub finally: Vec<&'a ast::Step>,
    /// Whether it is no test but what a plan does on every life before its first one.
    pub is_setup: bool,
    /// Whether all that it is after and all its effects resolved.
    pub intact: bool,
}

/// A plan.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// What it runs where: what it says itself, then its `on` blocks in order.
    pub parts: Vec<PlanPart>,
    /// The rules of its runs.
    pub policy: Policy<'a>,
    /// Whether its matrices and all of its tests resolved.
    pub intact: bool,
}

/// Tests of a plan and the matrix that they run on.
#[derive(Debug, Default)]
pub struct PlanPart {
    /// The matrix; `None` where it was reported.
    pub matrix: Option<Mention<MatrixIx>>,
    /// The tests that are selected, each once.
    pub tests: Vec<Mention<TestIx>>,
    /// The tests behind `except`.
    pub except: Vec<Mention<TestIx>>,
    /// What runs a second time.
    pub again: Vec<Again>,
}

/// Tests that run a second time.
#[derive(Debug)]
pub struct Again {
    /// The tests, each once.
    pub tests: Vec<Mention<TestIx>>,
    /// What they come after.
    pub after: Mention<TestIx>,
}

impl<'a> Test<'a> {
    /// A test of which nothing is known but where it stands.
    #[must_use]
    pub fn new(name: &'a ast::Name, id: Cow<'a, str>, head: Span) -> Self {
        Self {
            name,
            id,
            template: None,
            parameters: BTreeMap::new(),
            docs: &[],
            head,
            after: Vec::new(),
            regardless: Vec::new(),
            per: Vec::new(),
            when: None,
            tags: Vec::new(),
            last: None,
            once: None,
            effects: Vec::new(),
            needs: Vec::new(),
            boot: None,
            retry: None,
            within: None,
            takes: None,
            steps: Vec::new(),
            finally: Vec::new(),
            is_setup: false,
            intact: true,
        }
    }

    /// What it needs on its life: with `true` what must have passed, with `false` what must have ended.
    pub fn predecessors(&self) -> impl Iterator<Item = (Mention<TestIx>, bool)> {
        let after = self.after.iter().map(|mention| (*mention, true));
        after.chain(self.regardless.iter().map(|mention| (*mention, false)))
    }

    /// The whole of its `when CONDITION`.
    #[must_use]
    pub fn condition(&self) -> Option<Span> {
        self.when
            .map(|(keyword, condition)| keyword.to(condition.span))
    }

    /// The first step that takes the machine away from all other tests: it reboots or stops it.
    #[must_use]
    pub fn takes_machine_away(&self) -> Option<Span> {
        fn first<'s>(steps: impl IntoIterator<Item = &'s ast::Step>) -> Option<Span> {
            steps.into_iter().find_map(|step| match &step.kind {
                ast::StepKind::Reboot | ast::StepKind::Stop | ast::StepKind::Start => {
                    Some(step.span)
                }
                ast::StepKind::When {
                    then, otherwise, ..
                } => first(then.iter().chain(otherwise)),
                ast::StepKind::For { steps, .. } => first(steps),
                _ => None,
            })
        }
        first(self.steps.iter().chain(&self.finally).copied())
    }
}
