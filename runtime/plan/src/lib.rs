//! The contracts between the compiler, the runtime and people: execution plan, schedule, run report, history.
//!
//! Types, their loaders, the one evaluator of expressions, the one parser of units. It does no
//! input or output and knows neither how a plan is made nor how it is run.
//!
//! | document | type | made by | read by |
//! |---|---|---|---|
//! | execution plan | [`ExecutionPlan`] | compiler | runtime |
//! | schedule | [`Schedule`] | scheduler | runtime, people |
//! | run report | [`RunReport`] | runtime | people, JUnit |
//! | history | [`Observations`] | runtime | scheduler, people |
//!
//! All of them are two lines of JSON, see [`document`].

pub mod class;
pub mod date;
pub mod document;
pub mod eval;
pub mod exclusions;
pub mod exit;
pub mod expr;
pub mod features;
pub mod history;
pub mod id;
pub mod label;
pub mod money;
pub mod parse;
pub mod plan;
pub mod policy;
pub mod quote;
pub mod report;
mod restrict;
pub mod schedule;
pub mod schema;
pub mod step;
pub mod table;
pub mod template;
pub mod together;
pub mod unit;
pub mod validate;
pub mod value;
pub mod verdict;
pub mod version;

pub use class::FailureClass;
pub use document::{DocumentKind, LoadError, LoadErrorKind};
pub use exit::ExitCode;
pub use history::Observations;
pub use id::{CellId, RunId, TestId};
pub use money::Money;
pub use plan::ExecutionPlan;
pub use quote::Quote;
pub use report::RunReport;
pub use schedule::Schedule;
pub use value::{Type, Value};
pub use verdict::Verdict;
pub use version::FormatVersion;
