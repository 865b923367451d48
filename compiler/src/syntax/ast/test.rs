//! Tests, their clauses and steps, and the texts and types that stand in them.

use crate::span::Span;
use crate::syntax::ast::{Expr, Name, Path};

/// A test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// Its name.
    pub name: Name,
    /// Its parameters; `None` where it has no parentheses.
    pub parameters: Option<Vec<Parameter>>,
    /// The tests it is `after`.
    pub after: Vec<After>,
    /// The axes behind `per`.
    pub per: Vec<Name>,
    /// Its clauses and steps in order.
    pub body: Vec<Clause>,
}

/// `NAME: TYPE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub r#type: TypeExpr,
}

/// A test that another one is `after`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct After {
    /// The test.
    pub test: TestRef,
    /// `regardless`: order alone.
    pub regardless: Option<Span>,
}

/// A test that is named, with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestRef {
    /// All of it.
    pub span: Span,
    /// Its name.
    pub path: Path,
    /// Its arguments; `None` where it has no parentheses.
    pub arguments: Option<Vec<Expr>>,
}

/// A part of a test's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clause {
    /// `reads NAME, …`
    Reads(Vec<Path>),
    /// `writes NAME, …`
    Writes(Vec<Path>),
    /// `borrows NAME, …`
    Borrows(Vec<Path>),
    /// `needs NEED, …`
    Needs(Vec<Need>),
    /// `tags NAME, …`
    Tags(Vec<Name>),
    /// `within DURATION`, the limit of the test; the span is the keyword's.
    Within(Span, Expr),
    /// `takes DURATION`; the span is the keyword's.
    Takes(Span, Expr),
    /// `retry TIMES`, each on a fresh life; the span is the keyword's.
    Retry(Span, Expr),
    /// `when CONDITION`, where the test applies; the span is the keyword's.
    When(Span, Expr),
    /// `last`
    Last(Span),
    /// `once`
    Once(Span),
    /// A step.
    Step(Step),
    /// `finally { … }`; the span is the keyword's.
    Finally(Span, Vec<Step>),
}

/// What a test needs of its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// `boot NAME`
    Boot(Path),
    /// A condition on the instance, or `capability(NAME)`.
    Holds(Expr),
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
    /// `let NAME: TYPE = run COMMAND …`, `let NAME = VALUE else skip TEXT`
    Let {
        /// The name of the value.
        name: Name,
        /// Its type, where it is written.
        r#type: Option<TypeExpr>,
        /// What it is.
        value: Bound,
    },
    /// `check CONDITION`
    Check(Expr),
    /// `assume CONDITION because TEXT`
    Assume {
        /// The condition.
        condition: Expr,
        /// Why the test means nothing where it does not hold.
        because: Prose,
    },
    /// `note TEXT`
    Note(Prose),
    /// `when CONDITION { … } else { … }`
    When {
        /// The condition, over the cell.
        condition: Expr,
        /// The steps where it holds.
        then: Vec<Step>,
        /// The steps where it does not.
        otherwise: Vec<Step>,
    },
    /// `for NAME in LIST { … }`
    For {
        /// The name of an element.
        name: Name,
        /// The list.
        list: Expr,
        /// The steps for each element.
        steps: Vec<Step>,
    },
    /// `console contains PATTERN`
    Console(Command),
    /// `reboot`
    Reboot,
    /// `stop`
    Stop,
    /// `start`
    Start,
    /// `attach DISK`
    Attach(Path),
    /// `detach DISK`
    Detach {
        /// The disk.
        disk: Path,
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

/// What a `let` in a test gives a name to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The output of what is run.
    Output(Run),
    /// A value.
    Value {
        /// The value.
        value: Expr,
        /// What is done where a table has no entry.
        otherwise: Option<Box<Otherwise>>,
    },
}

/// `else skip TEXT`, `else fail TEXT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Otherwise {
    /// What is done.
    pub how: Missing,
    /// Why.
    pub why: Prose,
}

/// What is done where a value is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The test is skipped.
    Skip,
    /// The test fails.
    Fail,
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

/// `"…"` with values in `${…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prose {
    /// All of it, with its quotes.
    pub span: Span,
    /// Its pieces in order; `None` where an escape is wrong, which was reported.
    pub pieces: Option<Vec<ProsePiece>>,
}

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProsePiece {
    /// Text; its escapes are replaced, and `$${` has become `${`.
    Text(String),
    /// `${VALUE}`; the span is of all of it.
    Hole(Span, Expr),
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
    /// `json`
    Json,
    /// `by USER`
    By(Text),
    /// `retry TIMES every DURATION`
    Retry(Box<(Expr, Expr)>),
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
    In(Box<(Name, Name)>),
    /// `[TYPE]`
    List(Box<TypeExpr>),
    /// `{ NAME: TYPE, … }`
    Record(Vec<Parameter>),
}
