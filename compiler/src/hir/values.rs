//! Values of a source: those it gives a name to, those that come in from outside, and files of values.

use crate::span::Span;
use crate::syntax::ast;

/// A value that is known when the plan is made: a `let`, or an `input` that is given to the compiler.
#[derive(Debug)]
pub struct Constant<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its type, where it is written.
    pub r#type: Option<&'a ast::TypeExpr>,
    /// Where it comes from.
    pub from: Origin<'a>,
    /// Where a test is given it, for a parameter.
    pub given: Option<Span>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// It is written down.
    Written(&'a ast::Expr),
    /// Whoever compiles the source gives it; this is what it is where nobody does.
    Given(Option<&'a ast::Expr>),
    /// Nobody says: it is a parameter of a test that is given no arguments.
    Open,
}

/// A value that is bound in the configuration when the tests run, and shown.
#[derive(Debug)]
pub struct RunInput<'a> {
    /// Its name.
    pub name: &'a ast::Name,
    /// Its type.
    pub r#type: &'a ast::TypeExpr,
}
