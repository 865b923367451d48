//! Types: gives every expression, command and field its meaning, and makes the execution plan's own
//! expressions, templates and steps of them.
//!
//! Checking is directed by the type that is expected: `9.4` is a version where one is wanted, a bare
//! word is a name of the type on the other side. What is known already is calculated here
//! ([`fold`]). Rows are numbered as in the [`Hir`]; [`crate::emit`] keeps what a plan uses and
//! renumbers.
//!
//! | part | module |
//! |---|---|
//! | what a name means in its place | [`scope`], [`name`] |
//! | literals | [`literal`] |
//! | operators and calls | [`expression`], [`comparison`], [`arithmetic`], [`call`] |
//! | fields of images and disks, limits | [`field`] |
//! | commands | [`command`] |
//! | captured values | [`capture`] |
//! | tests and their steps | [`step`] |
//! | what stands behind a step | [`modifier`], [`with`] |
//! | power, disks, waiting | [`machine`] |
//! | files | [`transfer`] |

pub mod arithmetic;
pub mod call;
pub mod capture;
pub mod command;
pub mod comparison;
pub mod expression;
pub mod field;
pub mod fold;
pub mod literal;
pub mod machine;
pub mod modifier;
pub mod name;
pub mod scope;
pub mod step;
pub mod transfer;
pub mod with;

use std::collections::{BTreeMap, BTreeSet};

use dva_plan::expr::{ExprIx, ExpressionBuilder};
use dva_plan::plan::{Blob, BlobIx, Capability, DiskIx, ImageIx, TestIx};
use dva_plan::step::{Slot, SlotIx, Step};
use dva_plan::table::Table;
use dva_plan::{plan, value::Type};
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::files::SourceLoader;
use crate::hir::{Hir, MatrixIx};
use crate::order::Order;
use crate::source::Source;
use crate::span::Span;
use capture::Let;
use machine::Course;
use scope::Scope;
use transfer::Files;

/// What a source means, by the rows of its [`Hir`].
#[derive(Debug)]
pub struct Typed {
    /// All expressions; some are of no use to any plan.
    pub expressions: ExpressionBuilder,
    /// Images; `None` where a field was reported.
    pub images: Table<ImageIx, Option<plan::Image>>,
    /// Disks; `None` where the size was reported.
    pub disks: Table<DiskIx, Option<plan::Disk>>,
    /// The conditions behind `exclude`, in order.
    pub excludes: Table<MatrixIx, Vec<Exclude>>,
    /// Contents of files; some are of no use to any plan.
    pub blobs: Table<BlobIx, Blob>,
    /// Tests.
    pub tests: Table<TestIx, TypedTest>,
}

/// A condition under which a combination is no cell.
#[derive(Debug)]
pub struct Exclude {
    /// Its place.
    pub span: Span,
    /// The condition.
    pub condition: ExprIx,
    /// What it needs of the matrix.
    pub uses: Uses,
}

/// A test.
#[derive(Debug, Default)]
pub struct TypedTest {
    /// Its limit in milliseconds.
    pub within_ms: u64,
    /// Its expected duration in milliseconds.
    pub takes_ms: Option<u64>,
    /// What it captures.
    pub slots: Table<SlotIx, Slot>,
    /// Its steps.
    pub steps: Vec<Step>,
    /// What is always done afterwards.
    pub finally: Vec<Step>,
    /// Whether none of its steps is missing because something was reported.
    pub is_complete: bool,
    /// What its machine must be able to do.
    pub needs: BTreeSet<Capability>,
    /// What it needs of the matrix and of its effects.
    pub uses: Uses,
}

/// What expressions name, each with the first place where they do.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// The author's own axes.
    pub axes: BTreeMap<String, Span>,
    /// The version of the image's operating system.
    pub image_version: Option<Span>,
    /// Disks, by something of them that a machine without the disk has not.
    pub disks: BTreeMap<DiskIx, Span>,
    /// Disks that are attached or detached.
    pub moved: BTreeMap<DiskIx, Span>,
    /// Whether the exit status of the command is named.
    pub exit: Option<Span>,
}

/// Checks all of `hir`.
#[must_use]
pub fn check(
    hir: &Hir<'_>,
    order: &Order,
    source: &Source,
    catalog: &Catalog,
    loader: &dyn SourceLoader,
    bag: &mut Bag,
) -> Typed {
    let lets = capture::lets(hir, catalog, bag);
    let mut nodes = ExpressionBuilder::default();
    let mut checker = Checker {
        hir,
        order,
        source,
        catalog,
        lets: &lets,
        bag,
        nodes: &mut nodes,
        files: Files::new(loader),
        attached_at_start: Table::new(),
        scope: Scope::Constant,
        uses: Uses::default(),
        course: Course::default(),
    };
    let images = hir
        .images
        .iter()
        .map(|image| checker.image(image))
        .collect();
    let disks: Table<DiskIx, Option<plan::Disk>> =
        hir.disks.iter().map(|disk| checker.disk(disk)).collect();
    let attached = disks.iter().map(|disk| Some(disk.as_ref()?.attached));
    checker.attached_at_start = attached.collect();
    let excludes = hir
        .matrices
        .iter()
        .map(|matrix| checker.excludes(matrix))
        .collect();
    let tests = hir.tests.indices().map(|test| checker.test(test)).collect();
    let blobs = checker.files.blobs;
    Typed {
        expressions: nodes,
        images,
        disks,
        excludes,
        blobs,
        tests,
    }
}

/// An expression with its type. Where there is none, what is wrong has been reported.
#[derive(Clone, Debug)]
pub(crate) struct Operand {
    /// The expression.
    pub(crate) expr: ExprIx,
    /// Its type.
    pub(crate) r#type: Type,
}

/// What checking needs to know, and what it adds to.
pub(crate) struct Checker<'c, 'a> {
    pub(crate) hir: &'c Hir<'a>,
    pub(crate) order: &'c Order,
    pub(crate) source: &'c Source,
    pub(crate) catalog: &'c Catalog,
    pub(crate) lets: &'c Table<TestIx, Vec<Let<'a>>>,
    pub(crate) bag: &'c mut Bag,
    pub(crate) nodes: &'c mut ExpressionBuilder,
    pub(crate) files: Files<'c>,
    /// Whether each disk is attached before the first test; `None` where a field was reported.
    pub(crate) attached_at_start: Table<DiskIx, Option<bool>>,
    pub(crate) scope: Scope,
    pub(crate) uses: Uses,
    /// What is known of the machine, in a test.
    pub(crate) course: Course,
}

impl Checker<'_, '_> {
    pub(crate) fn report(
        &mut self,
        code: Code,
        span: Span,
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.bag.push(Diagnostic::new(code, span, text).help(help));
    }
}

/// A type with its article, as messages say it: `a size`, `an int`, `a list of strings`.
pub(crate) fn a_type(of: &Type) -> String {
    match of {
        Type::Int => "an int".to_owned(),
        Type::Bool => "a condition".to_owned(),
        Type::String => "text".to_owned(),
        Type::NanoUsd => "money".to_owned(),
        Type::Name(kind) => match kind.as_str() {
            "arch" => "an architecture".to_owned(),
            "os" => "an operating system".to_owned(),
            "image" => "an image".to_owned(),
            "region" => "a region".to_owned(),
            "instance" => "an instance type".to_owned(),
            axis => format!("a value of `{axis}`"),
        },
        Type::List(of) => format!("a list of {}", plural(of)),
        Type::Ratio => "a percentage".to_owned(),
        Type::Regex => "a regular expression".to_owned(),
        Type::Bytes | Type::Ms | Type::Version | Type::Date | Type::Record(_) => format!("a {of}"),
    }
}

/// Values of a type, as messages say it: `sizes`.
pub(crate) fn plural(of: &Type) -> String {
    match of {
        Type::String => "texts".to_owned(),
        Type::Bool => "conditions".to_owned(),
        Type::List(_) => "lists".to_owned(),
        Type::Name(_) => "names".to_owned(),
        Type::Ratio => "percentages".to_owned(),
        other => format!("{other}s"),
    }
}
