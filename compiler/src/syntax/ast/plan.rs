//! Plans and which tests they select.

use crate::span::Span;
use crate::syntax::ast::{Expr, Name, Path, Prose, Step, TestRef};

/// A plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Its name.
    pub name: Name,
    /// Its clauses in order; duplicates are reported later.
    pub clauses: Vec<PlanClause>,
}

/// A clause of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanClause {
    /// `matrix NAME`; more than one is reported later.
    Matrix(Vec<Path>),
    /// `tests …`
    Tests(Selection),
    /// `again TEST, … after TEST`
    Again(Again),
    /// `on MATRIX { tests …  again … }`
    On(Path, Vec<PlanClause>),
    /// `limit NAME <= VALUE, …`; the span is the keyword's.
    Limit(Span, Vec<Limit>),
    /// `market NAME else NAME`; the span is the keyword's.
    Market(Span, Vec<Name>),
    /// `waive TEST, … where CONDITION because TEXT until DATE`
    Waive(Waive),
    /// `gate MATRIX before MATRIX`; the span is the keyword's.
    Gate(Span, Path, Path),
    /// `setup { … }`; the span is the keyword's.
    Setup(Span, Vec<Step>),
}

/// Which tests are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Those that are named.
    pub tests: Vec<Selector>,
    /// What must hold of each, such as `tag in [kernel]`.
    pub condition: Option<Expr>,
    /// Those that are not meant.
    pub except: Vec<Selector>,
}

/// One or more tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// `all`; the span is the keyword's.
    All(Span),
    /// `MODULE.*`: all tests of a module.
    Module(Path),
    /// A test.
    Test(TestRef),
}

/// `again TEST, … after TEST`: the same tests a second time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    /// The tests.
    pub tests: Vec<Selector>,
    /// What they come after.
    pub after: TestRef,
}

/// `NAME <= VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// What is limited.
    pub name: Name,
    /// The limit.
    pub value: Expr,
}

/// `waive TEST, … where CONDITION because TEXT until DATE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waive {
    /// From the keyword to its end.
    pub span: Span,
    /// The tests.
    pub tests: Vec<Selector>,
    /// In which cells.
    pub condition: Option<Expr>,
    /// Why.
    pub because: Prose,
    /// The last day.
    pub until: Option<Expr>,
}
