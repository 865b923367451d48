//! The tree that a source is read into: what was written, where, and nothing about what it means.
//!
//! It owns its data, keeps every comment for the formatter, and holds error nodes where the text
//! could not be read; those are accepted silently by every later stage.

mod expr;
mod plan;
mod test;

pub use expr::{Argument, BinaryOperator, Entry, Expr, ExprKind};
pub use plan::{Again, Limit, Plan, PlanClause, Selection, Selector, Waive};
pub use test::{
    After, Bound, Clause, Command, CommandPiece, Detach, Missing, Modifier, ModifierKind, Need,
    Otherwise, Parameter, Prose, ProsePiece, Run, Step, StepKind, Test, TestRef, Text, TypeExpr,
    TypeExprKind, Until, With,
};

use crate::span::Span;

/// A source file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Module {
    /// The text of its `//!` lines, without the marks.
    pub docs: Vec<Doc>,
    /// Its items in order.
    pub items: Vec<Item>,
    /// Its plain comments in order, wherever they stand.
    pub comments: Vec<Comment>,
}

/// A line of documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doc {
    /// The line with its mark.
    pub span: Span,
    /// The text behind the mark and one blank.
    pub text: String,
}

/// A plain comment, `// …` to the end of its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The comment with its mark.
    pub span: Span,
}

/// A word that an author chose, or one that names something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// Words joined by dots: `instance.memory`, `local.small`, `m7i-flex.large`. Whether the dots part a
/// thing from its field or belong to a catalog name is decided by resolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// The words, at least one.
    pub segments: Vec<Name>,
    /// All of it.
    pub span: Span,
}

/// An item with its documentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The text of the `///` lines before it.
    pub docs: Vec<Doc>,
    /// The `pub` before it: other files may name it.
    pub public: Option<Span>,
    /// All of it, documentation apart.
    pub span: Span,
    /// What it is.
    pub kind: ItemKind,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// `use MODULE { NAME, … }`
    Use(Use),
    /// `let NAME = VALUE`
    Let(Constant),
    /// `input NAME: TYPE`
    Input(Input),
    /// `table NAME: KEY -> TYPE = FILE`
    Table(LookupTable),
    /// `fact NAME: CHOICE | CHOICE = CHOICE`
    Fact(Fact),
    /// `image NAME like IMAGE { FIELD = VALUE … }`
    Image(Image),
    /// `axis NAME { VALUE { … } … }`
    Axis(Axis),
    /// `matrix NAME { AXIS = each VALUE, …  exclude CONDITION … }`
    Matrix(Matrix),
    /// `disk NAME { FIELD = VALUE … }`
    Disk(Block),
    /// `state NAME { FIELD = VALUE … }`
    State(State),
    /// `boot NAME { FIELD = VALUE … }`
    Boot(Block),
    /// `test NAME(PARAMETER, …) after TEST, … per AXIS, … { … }`
    Test(Test),
    /// `plan NAME { matrix NAME  tests TEST, … }`
    Plan(Plan),
    /// Text that could not be read; it was reported. The name is kept where it could be, so that
    /// references to the item are not reported as well.
    Error(Option<Name>),
}

/// A name with fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its name.
    pub name: Name,
    /// Its fields in order; names may repeat, which is reported later.
    pub fields: Vec<Field>,
}

/// `NAME = VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: Name,
    /// The `>=` that stands in place of `=`.
    pub at_least: Option<Span>,
    /// Its value.
    pub value: Expr,
}

/// What is taken from another module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Use {
    /// The module.
    pub from: UseFrom,
    /// Which of its items, in braces; without braces, the module itself gets a name.
    pub names: Option<Vec<UseName>>,
}

/// Where items are taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UseFrom {
    /// `std.services`
    Module(Path),
    /// `"./base.plan"`
    File(Text),
}

/// `NAME as NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UseName {
    /// Its name there.
    pub name: Name,
    /// Its name here, where that is another.
    pub alias: Option<Name>,
}

/// A value with a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Its name.
    pub name: Name,
    /// Its type, where it is written.
    pub r#type: Option<TypeExpr>,
    /// Its value.
    pub value: Expr,
}

/// A file of values by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupTable {
    /// Its name.
    pub name: Name,
    /// What its keys are values of.
    pub key: Name,
    /// The type of its values.
    pub value: TypeExpr,
    /// The file.
    pub file: Prose,
}

/// An author's own property of images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its name.
    pub name: Name,
    /// The words that it may be; one alone is the name of a type.
    pub choices: Vec<Name>,
    /// What it is where an image does not say.
    pub default: Expr,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Its name.
    pub name: Name,
    /// The image whose fields it has where it gives none.
    pub like: Option<Path>,
    /// Its fields in order; names may repeat, which is reported later.
    pub fields: Vec<Field>,
}

/// Something of the guest, or of the account, that tests have effects on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Its name.
    pub name: Name,
    /// `per account`, where it is one of the account's.
    pub account: Option<PerAccount>,
    /// Its fields in order; names may repeat, which is reported later.
    pub fields: Vec<Field>,
}

/// `per account limit N`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PerAccount {
    /// All of it.
    pub span: Span,
    /// How many tests may have it at once.
    pub limit: Option<Expr>,
}

/// A value that comes in from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub r#type: TypeExpr,
    /// What it is where nobody says.
    pub default: Option<Expr>,
    /// `at run`: bound in the configuration when the tests run.
    pub at_run: Option<Span>,
}

/// An author's own axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// Its name.
    pub name: Name,
    /// Its values in order.
    pub values: Vec<Block>,
}

/// A matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// Its name.
    pub name: Name,
    /// Its axes in order; names may repeat, which is reported later.
    pub axes: Vec<MatrixAxis>,
    /// The conditions behind `exclude`.
    pub excludes: Vec<Expr>,
}

/// `AXIS = each VALUE, …`, `AXIS = any types where CONDITION`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixAxis {
    /// The axis.
    pub axis: Name,
    /// Whether all values are under test.
    pub how: Every,
    /// Its values.
    pub values: AxisValues,
    /// All of it.
    pub span: Span,
}

/// Which values of an axis are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// `each`: all of them.
    Each,
    /// `any`: one of them, the cheapest that serves.
    Any,
}

/// The values of an axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AxisValues {
    /// `VALUE, …`
    Listed(Vec<Path>),
    /// `SOURCE where CONDITION`
    Where {
        /// What is chosen from: `regions`, `types`.
        source: Path,
        /// The condition.
        condition: Expr,
    },
}
