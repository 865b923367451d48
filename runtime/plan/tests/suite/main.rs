//! Tests of the contracts from outside: documents, schemas, the evaluator, shell quoting.

mod document;
mod eval;
mod fixture;
mod history;
mod schema;
mod shell;
mod together;
mod validate;
