//! The items of a source by number, with every reference between them resolved.
//!
//! It borrows from the tree: expressions stay as they were written, since what a bare word in one
//! means depends on the type that is expected there, which is decided in [`crate::types`]. A row that
//! is not `intact` had a reference or part that was reported; what would need that part stays silent.

use std::collections::BTreeMap;

use dva_plan::plan::{DiskIx, EffectKind, ImageIx, SecretIx, TestIx};
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
    /// A row of [`Hir::axes`].
    AxisIx;
    /// A row of [`Hir::matrices`].
    MatrixIx;
    /// A row of [`Hir::plans`].
    PlanIx;
}

/// All items of a source.
///
/// Images, disks, secrets and tests are numbered with the execution plan's own index types, though here they
/// count what the source declares and there what the plan uses; [`crate::emit`] renumbers.
#[derive(Debug, Default)]
pub struct Hir<'a> {
    /// Images.
    pub images: Table<ImageIx, Image<'a>>,
    /// The author's own axes.
    pub axes: Table<AxisIx, Axis<'a>>,
    /// Disks.
    pub disks: Table<DiskIx, Disk<'a>>,
    /// Inputs; all of them are secrets, or of a type that was reported.
    pub inputs: Table<SecretIx, Input<'a>>,
    /// Matrices.
    pub matrices: Table<MatrixIx, Matrix<'a>>,
    /// Tests.
    pub tests: Table<TestIx, Test<'a>>,
    /// Plans.
    pub plans: Table<PlanIx, Plan<'a>>,
    /// Every declared name, with the place of its first declaration.
    pub names: BTreeMap<&'a str, (ItemRef, Span)>,
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
    /// A disk.
    Disk(DiskIx),
    /// An input.
    Input(SecretIx),
    /// A matrix.
    Matrix(MatrixIx),
    /// A test.
    Test(TestIx),
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
            Self::Disk(_) => "a disk",
            Self::Input(_) => "an input",
            Self::Matrix(_) => "a matrix",
            Self::Test(_) => "a test",
            Self::Plan(_) => "a plan",
            Self::Unread => "an item",
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
    /// Its fields, each once, all of them known ones.
    pub fields: BTreeMap<&'a str, &'a ast::Field>,
}

/// A disk, as [`Image`].
#[derive(Debug)]
pub struct Disk<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its fields, each once, all of them known ones.
    pub fields: BTreeMap<&'a str, &'a ast::Field>,
}

/// A value that comes in from outside when the tests run.
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
    /// Its values: names that exist, each once.
    pub values: Vec<AxisValue>,
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

/// A test.
#[derive(Debug)]
pub struct Test<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its documentation.
    pub docs: &'a [ast::Doc],
    /// Its first line: `test mount after format`.
    pub head: Span,
    /// What it is after, each once.
    pub after: Vec<Mention<TestIx>>,
    /// What it does to disks.
    pub effects: Vec<(EffectKind, Mention<DiskIx>)>,
    /// What it says that its machine must be able to do.
    pub needs: Vec<&'a ast::Expr>,
    /// Its limit.
    pub within: Option<(Span, &'a ast::Expr)>,
    /// Its expected duration.
    pub takes: Option<(Span, &'a ast::Expr)>,
    /// Its steps.
    pub steps: Vec<&'a ast::Step>,
    /// What is always done afterwards.
    pub finally: Vec<&'a ast::Step>,
    /// Whether all that it is after and all its effects resolved.
    pub intact: bool,
}

/// A plan.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its matrix.
    pub matrix: Option<Mention<MatrixIx>>,
    /// Its tests, each once, as listed.
    pub tests: Vec<Mention<TestIx>>,
    /// Whether its matrix and all of its tests resolved.
    pub intact: bool,
}
