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
//! | fields of images and disks, limits | [`field`], [`image`] |
//! | facts of images, machines and regions | [`fact`] |
//! | the values of a matrix's axes | [`choice`] |
//! | commands | [`command`] |
//! | values of the file, tables | [`constant`], [`table`], [`lookup`] |
//! | values of tests | [`lets`], [`written`], [`capture`] |
//! | texts with values | [`prose`] |
//! | tests and their steps | [`step`], [`branch`] |
//! | what stands behind a step | [`modifier`], [`with`] |
//! | power, disks, waiting | [`machine`] |
//! | files | [`transfer`] |
//! | boots | [`boot`] |
//! | limits, waivers, setups of plans | [`policy`] |

pub mod ami;
pub mod arithmetic;
pub mod boot;
pub mod branch;
pub mod call;
pub mod capture;
pub mod choice;
pub mod command;
pub mod comparison;
pub mod constant;
pub mod expression;
pub mod fact;
pub mod field;
pub mod fold;
pub mod image;
pub mod lets;
pub mod literal;
pub mod lookup;
pub mod machine;
pub mod modifier;
pub mod name;
pub mod policy;
pub mod prose;
pub mod scope;
pub mod step;
pub mod table;
pub mod transfer;
pub mod with;
pub mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use dva_plan::expr::{ExprIx, ExpressionBuilder};
use dva_plan::plan::{
    Blob, BlobIx, BootIx, Capability, DiskIx, ImageIx, InputIx, StateIx, TableIx, TestIx,
};
use dva_plan::step::{Slot, SlotIx, Step};
use dva_plan::table::Table;
use dva_plan::{plan, value::Type};
use dva_stdlib::Catalog;

use crate::diagnostic::{Bag, Code, Diagnostic};
use crate::files::{NoFiles, SourceLoader};
use crate::hir::{AxisIx, AxisValue, Choice, ConstantIx, Hir, ItemRef, MatrixIx, PlanIx};
use crate::order::Order;
use crate::source::Sources;
use crate::span::Span;
use crate::syntax::ast::Expr;
use choice::Required;
use constant::{Lazy, unread};
use image::Launch;
use lets::Let;
use machine::Course;
pub use policy::{TypedPolicy, TypedWaiver};
use scope::Scope;
use table::TypedTable;
use transfer::Files;
use written::{Whose, written_type};

/// What a source means, by the rows of its [`Hir`].
#[derive(Debug)]
pub struct Typed {
    /// All expressions; some are of no use to any plan.
    pub expressions: ExpressionBuilder,
    /// Images; `None` where a field was reported.
    pub images: Table<ImageIx, Option<plan::Image>>,
    /// Disks; `None` where the size was reported.
    pub disks: Table<DiskIx, Option<plan::Disk>>,
    /// What decides where each image can start; `None` where a field was reported.
    pub launches: Table<ImageIx, Option<Launch>>,
    /// What the values of each of the author's axes say of a machine's network.
    pub networks: Table<AxisIx, Vec<plan::Network>>,
    /// The values of each axis of a matrix, in order; `None` where one was reported.
    pub axes: Table<MatrixIx, Option<Vec<Vec<AxisValue>>>>,
    /// States; `None` where the limit was reported.
    pub states: Table<StateIx, Option<plan::State>>,
    /// The conditions behind `exclude`, in order.
    pub excludes: Table<MatrixIx, Vec<Exclude>>,
    /// Contents of files; some are of no use to any plan.
    pub blobs: Table<BlobIx, Blob>,
    /// Files of values; `None` where something was reported.
    pub tables: Table<TableIx, Option<Rc<TypedTable>>>,
    /// The types of inputs that are bound when the tests run.
    pub run_inputs: Table<InputIx, Option<Type>>,
    /// The inputs that the compiler was given, and the defaults of others, as text.
    pub settings: BTreeMap<String, String>,
    /// Boots; `None` where a field was reported.
    pub boots: Table<BootIx, Option<plan::Boot>>,
    /// Tests, and the setups of plans behind them.
    pub tests: Table<TestIx, TypedTest>,
    /// What plans say of their runs.
    pub policies: Table<PlanIx, TypedPolicy>,
}

/// A condition under which a combination is no cell, or a test applies to a cell.
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
    /// How many further attempts it may have.
    pub retry: u32,
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
    /// What must hold of its machine.
    pub requires: Vec<Required>,
    /// What it needs of the matrix and of its effects.
    pub uses: Uses,
    /// The condition on the cells that it applies to; `None` where it has none, or where it was reported.
    pub applies: Option<Box<Exclude>>,
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
    /// Tables that must have an entry for every cell.
    pub lookups: BTreeMap<TableIx, Span>,
    /// Tables whose entry may be missing, since the author says what is done then.
    pub may_miss: BTreeSet<TableIx>,
    /// Disks that are attached or detached.
    pub moved: BTreeMap<DiskIx, Span>,
    /// Whether the exit status of the command is named.
    pub exit: Option<Span>,
    /// Tests whose values are named.
    pub values: BTreeMap<TestIx, Span>,
}

/// What comes from outside the source.
#[derive(Clone, Copy)]
pub struct Outside<'o> {
    /// The values that inputs are given, as text.
    pub settings: &'o BTreeMap<String, String>,
    /// The files beside the source.
    pub loader: &'o dyn SourceLoader,
}

/// Checks all of `hir`.
#[must_use]
pub fn check(
    hir: &Hir<'_>,
    order: &Order,
    sources: &Sources,
    catalog: &Catalog,
    outside: Outside<'_>,
    bag: &mut Bag,
) -> Typed {
    let lets = lets::lets(hir, catalog, bag);
    let run_inputs = hir.run_inputs.iter().map(|input| {
        let (of, unit) = written_type(input.r#type, Whose::Document, hir, bag)?;
        if unit.is_some() {
            let help = "The configuration says a size with its unit.";
            let text = "there is no unit to choose";
            bag.push(Diagnostic::new(Code::P0311, input.r#type.span, text).help(help));
            return None;
        }
        Some(of)
    });
    let run_inputs: Table<InputIx, Option<Type>> = run_inputs.collect();
    let mut nodes = ExpressionBuilder::default();
    let mut checker = Checker {
        hir,
        order,
        sources,
        catalog,
        lets,
        open_blocks: Vec::new(),
        settings: outside.settings,
        constants: unread(&hir.constants),
        tables: unread(&hir.tables),
        run_inputs,
        looked_up: 0,
        may_miss: false,
        bag,
        nodes: &mut nodes,
        files: Files::new(outside.loader),
        movers: machine::movers(hir),
        all_intact: hir.tests.iter().all(|test| test.intact),
        attached_at_start: Table::new(),
        test: None,
        scope: Scope::Constant,
        uses: Uses::default(),
        course: Course::default(),
    };
    checker.constants();
    checker.tables();
    let made: Vec<_> = hir
        .images
        .iter()
        .map(|image| checker.image(image))
        .collect();
    let launches = made.iter().map(|made| Some(made.as_ref()?.1)).collect();
    let images = made.into_iter().map(|made| Some(made?.0)).collect();
    if hir.images.is_empty() {
        for fact in &hir.facts {
            checker.default_of_fact(fact);
        }
    }
    let networks = hir.axes.iter().map(|axis| checker.networks(axis)).collect();
    let disks: Table<DiskIx, Option<plan::Disk>> =
        hir.disks.iter().map(|disk| checker.disk(disk)).collect();
    let states = hir
        .states
        .iter()
        .map(|state| checker.state(state))
        .collect();
    let attached = disks.iter().map(|disk| Some(disk.as_ref()?.attached));
    checker.attached_at_start = attached.collect();
    let axes = hir
        .matrices
        .iter()
        .map(|matrix| checker.axes(matrix))
        .collect();
    let excludes = hir
        .matrices
        .iter()
        .map(|matrix| checker.excludes(matrix))
        .collect();
    let boots = hir.boots.iter().map(|boot| checker.boot(boot)).collect();
    // A test that reads a value of another one comes behind it, so that the value has its type.
    let mut tests: Table<TestIx, TypedTest> =
        hir.tests.iter().map(|_| TypedTest::default()).collect();
    for test in order.forwards(hir) {
        tests[test] = checker.test(test);
    }
    let policies = hir.plans.iter().map(|plan| checker.policy(plan)).collect();
    let settings = checker.settings_in_force();
    let tables = checker.tables.iter().map(|table| match table {
        Lazy::Read(table) => table.clone(),
        Lazy::Now | Lazy::NotYet => None,
    });
    let tables = tables.collect();
    let run_inputs = checker.run_inputs;
    let blobs = checker.files.blobs;
    Typed {
        expressions: nodes,
        images,
        launches,
        networks,
        disks,
        axes,
        states,
        excludes,
        blobs,
        tables,
        run_inputs,
        settings,
        boots,
        tests,
        policies,
    }
}

/// The names of what `catalog` has to choose from and `condition`, a part of `sources`, holds of, in their
/// order. `None` where something was reported.
#[must_use]
pub fn choose(
    hir: &Hir<'_>,
    sources: &Sources,
    catalog: &Catalog,
    from: Choice,
    condition: &Expr,
    bag: &mut Bag,
) -> Option<Vec<String>> {
    let order = crate::order::order(hir, bag);
    let settings = BTreeMap::new();
    let mut checker = Checker {
        hir,
        order: &order,
        sources,
        catalog,
        lets: Table::new(),
        open_blocks: Vec::new(),
        settings: &settings,
        constants: unread(&hir.constants),
        tables: unread(&hir.tables),
        run_inputs: Table::new(),
        looked_up: 0,
        may_miss: false,
        bag,
        nodes: &mut ExpressionBuilder::default(),
        files: Files::new(&NoFiles),
        movers: BTreeMap::new(),
        all_intact: true,
        attached_at_start: Table::new(),
        test: None,
        scope: Scope::Constant,
        uses: Uses::default(),
        course: Course::default(),
    };
    let conditions = checker.conditions_on(from, condition)?;
    checker.that_meet(from, &conditions)
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
    pub(crate) sources: &'c Sources,
    /// The test that is being checked, whose parameters have a meaning.
    pub(crate) test: Option<TestIx>,
    pub(crate) catalog: &'c Catalog,
    pub(crate) lets: Table<TestIx, Vec<Let<'a>>>,
    /// The branches and loops that the step stands in.
    pub(crate) open_blocks: Vec<u32>,
    /// The values that inputs are given, as text.
    pub(crate) settings: &'c BTreeMap<String, String>,
    pub(crate) constants: Table<ConstantIx, Lazy<Operand>>,
    pub(crate) tables: Table<TableIx, Lazy<Rc<TypedTable>>>,
    pub(crate) run_inputs: Table<InputIx, Option<Type>>,
    /// How many look-ups were read, and whether an entry may be missing for those that are.
    pub(crate) looked_up: usize,
    pub(crate) may_miss: bool,
    pub(crate) bag: &'c mut Bag,
    pub(crate) nodes: &'c mut ExpressionBuilder,
    pub(crate) files: Files<'c>,
    /// The tests that attach or detach each disk.
    pub(crate) movers: BTreeMap<DiskIx, Vec<TestIx>>,
    /// Whether nothing that was reported hides an edge or an effect of a test.
    pub(crate) all_intact: bool,
    /// Whether each disk is attached before the first test; `None` where a field was reported.
    pub(crate) attached_at_start: Table<DiskIx, Option<bool>>,
    pub(crate) scope: Scope,
    pub(crate) uses: Uses,
    /// What is known of the machine, in a test.
    pub(crate) course: Course,
}

impl Checker<'_, '_> {
    /// What `name` means at `at`.
    pub(crate) fn find(&self, name: &str, at: Span) -> Option<(ItemRef, Span)> {
        self.hir.find_in(self.test, name, at)
    }

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
