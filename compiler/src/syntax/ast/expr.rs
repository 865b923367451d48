//! Expressions.

use crate::span::Span;
use crate::syntax::ast::{Command, Name, Path, Prose};

/// An expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: ExprKind,
}

/// What an expression is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    /// `true`, `false`
    Bool(bool),
    /// A number with a unit, as written: `10GiB`, `90%`, `$5.00`, `5min`. Whether the unit exists is
    /// decided by types.
    Quantity(String),
    /// A number without a unit, as written: `1`, `9.4`, `9.4.1`. An integer or a version by the type
    /// that is expected; the text is kept, since 6.10 is not 6.1.
    Number(String),
    /// A date, as written: `2027-01-31`.
    Date(String),
    /// A word that begins with a digit and is none of these, as written: `15-SP6`, `8.*`. A version.
    Version(String),
    /// `"…"`, with its escapes replaced.
    Text(String),
    /// `"…"` with values in `${…}`.
    Prose(Prose),
    /// Text in backticks: a regular expression or a text with many quotes.
    Command(Command),
    /// A name.
    Path(Path),
    /// `NAME(VALUE, …)`
    Call {
        /// What is called.
        callee: Path,
        /// Its arguments in order.
        arguments: Vec<Argument>,
    },
    /// `NAME[VALUE]`
    Index {
        /// What is looked up in.
        table: Path,
        /// The key.
        key: Box<Expr>,
    },
    /// `[VALUE, …]`
    List(Vec<Expr>),
    /// `[NAME: VALUE, …]`
    Entries(Vec<Entry>),
    /// `(VALUE)`: kept, since it says that mixed `and`/`or` or a chain of comparisons is meant.
    Group(Box<Expr>),
    /// `not VALUE`
    Not(Box<Expr>),
    /// `LEFT OPERATOR RIGHT`
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// Its place.
        operator_span: Span,
        /// The left operand.
        left: Box<Expr>,
        /// The right operand.
        right: Box<Expr>,
    },
    /// Text that could not be read; it was reported.
    Error,
}

/// `VALUE`, or `NAME = VALUE`, in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, where it has one.
    pub name: Option<Name>,
    /// Its value.
    pub value: Expr,
}

/// `NAME: VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// An operator between two values. From loosest to tightest, one line a level:
/// `or` · `and` · comparisons, `in`, `has`, `has all`, `has none`, `matches` · `..` · `+`, `without` · `*`, `of`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOperator {
    /// `or`
    Or,
    /// `and`
    And,
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
    /// `in`
    In,
    /// `has`
    Has,
    /// `has all`
    HasAll,
    /// `has none`
    HasNone,
    /// `matches`
    Matches,
    /// `..`, both ends belong to it; only behind `in`.
    Range,
    /// `+`
    Add,
    /// `without`
    Without,
    /// `*`
    Multiply,
    /// `of`, as in `90% of instance.memory`
    Of,
}
