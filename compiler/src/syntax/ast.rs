//! The tree that a source is read into: what was written, where, and nothing about what it means.
//!
//! It owns its data, keeps every comment for the formatter, and holds error nodes where the text
//! could not be read; those are accepted silently by every later stage.

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
    /// All of it, documentation apart.
    pub span: Span,
    /// What it is.
    pub kind: ItemKind,
}

/// What an item is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// `image NAME { FIELD = VALUE … }`
    Image(Block),
    /// `axis NAME { VALUE { … } … }`
    Axis(Axis),
    /// `matrix NAME { AXIS = each VALUE, …  exclude CONDITION … }`
    Matrix(Matrix),
    /// `disk NAME { FIELD = VALUE … }`
    Disk(Block),
    /// `input NAME: TYPE`
    Input(Input),
    /// `test NAME after TEST, … { … }`
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
    /// Its value.
    pub value: Expr,
}

/// A value that comes in from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub r#type: TypeExpr,
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

/// `AXIS = each VALUE, …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatrixAxis {
    /// The axis.
    pub axis: Name,
    /// Its values.
    pub values: Vec<Path>,
    /// All of it.
    pub span: Span,
}

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: Name,
    /// The tests it is `after`.
    pub after: Vec<Path>,
    /// Its clauses and steps in order.
    pub body: Vec<Clause>,
}

/// A part of a test's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clause {
    /// `reads NAME, …`
    Reads(Vec<Name>),
    /// `writes NAME, …`
    Writes(Vec<Name>),
    /// `needs EXPR, …`
    Needs(Vec<Expr>),
    /// `within DURATION`, the limit of the test; the span is the keyword's.
    Within(Span, Expr),
    /// `takes DURATION`; the span is the keyword's.
    Takes(Span, Expr),
    /// A step.
    Step(Step),
    /// `finally { … }`; the span is the keyword's.
    Finally(Span, Vec<Step>),
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: StepKind,
    /// What stands behind it, in order; duplicates and misplaced ones are reported later.
    pub modifiers: Vec<Modifier>,
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// `run COMMAND …`, `script FILE …`
    Run(Run),
    /// `let NAME: TYPE = run COMMAND …`
    Let {
        /// The name of the value.
        name: Name,
        /// Its type.
        r#type: TypeExpr,
        /// What is run for its output.
        run: Run,
    },
    /// `check CONDITION`
    Check(Expr),
    /// `reboot`
    Reboot,
    /// `stop`
    Stop,
    /// `start`
    Start,
    /// `attach DISK`
    Attach(Name),
    /// `detach DISK`
    Detach {
        /// The disk.
        disk: Name,
        /// Whether `nowait` or `force` stands behind it.
        how: Detach,
    },
    /// `wait DURATION`
    Wait(Expr),
    /// `wait until CONDITION`
    WaitUntil(Until),
    /// `upload FILE to PATH`
    Upload {
        /// The file, beside the source.
        file: Text,
        /// Its path on the machine.
        to: Text,
        /// Whether `executable` stands behind it.
        executable: bool,
    },
    /// `collect PATH`
    Collect(Text),
}

/// What is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// `run COMMAND`
    Command(Command),
    /// `script FILE`
    Script(Text),
}

/// How a disk is detached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detach {
    /// Nothing is said of it.
    Wait,
    /// `nowait`
    Nowait,
    /// `force`
    Force,
}

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// A condition.
    Holds(Expr),
    /// `run COMMAND`
    Succeeds(Command),
}

/// `"…"` where nothing but a text may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// All of it, with its quotes.
    pub span: Span,
    /// Its text; `None` where an escape is wrong, which was reported.
    pub text: Option<String>,
}

/// What is said about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modifier {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: ModifierKind,
}

/// What a modifier is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModifierKind {
    /// `within DURATION`
    Within(Expr),
    /// `expect any`
    ExpectAny,
    /// `expect CONDITION`
    Expect(Expr),
    /// `find PATTERN`; a command without holes, whose text is a regular expression.
    Find(Command),
    /// `by USER`
    By(Text),
    /// `retry TIMES every DURATION`
    Retry(Expr, Expr),
    /// `every DURATION`
    Every(Expr),
    /// `with NAME = VALUE, …`
    With(Vec<With>),
}

/// A variable of a command's environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct With {
    /// Its name.
    pub name: Name,
    /// Its value.
    pub value: Expr,
}

/// Text in backticks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// All of it, with its backticks.
    pub span: Span,
    /// Its pieces in order.
    pub pieces: Vec<CommandPiece>,
}

/// A piece of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandPiece {
    /// Text; `$${` has become `${`.
    Text {
        /// Its place.
        span: Span,
        /// The text.
        text: String,
    },
    /// `${VALUE}` or `${raw VALUE}`.
    Hole {
        /// All of it, with `${` and `}`.
        span: Span,
        /// Whether the author wrote `raw`.
        raw: bool,
        /// A path or a call, or an error.
        value: Expr,
    },
}

/// A type as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeExpr {
    /// All of it.
    pub span: Span,
    /// What it is.
    pub kind: TypeExprKind,
}

/// What a written type is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeExprKind {
    /// `NAME`
    Named(Name),
    /// `NAME in UNIT`
    In(Name, Name),
    /// `[TYPE]`
    List(Box<TypeExpr>),
}

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: Name,
    /// What is behind `matrix`; more than one is reported later.
    pub matrices: Vec<Name>,
    /// What is behind `tests`.
    pub tests: Vec<Path>,
}

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
    /// `"…"`, with its escapes replaced.
    Text(String),
    /// Text in backticks: a regular expression or a text with many quotes.
    Command(Command),
    /// A name.
    Path(Path),
    /// `NAME(VALUE, …)`
    Call {
        /// What is called.
        callee: Path,
        /// Its arguments in order.
        arguments: Vec<Expr>,
    },
    /// `[VALUE, …]`
    List(Vec<Expr>),
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

/// An operator between two values. From loosest to tightest, one line a level:
/// `or` · `and` · comparisons, `in`, `has`, `has all`, `matches` · `..` · `+`, `without` · `*`, `of`.
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
