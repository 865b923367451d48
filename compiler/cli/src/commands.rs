//! The commands, one module each.

pub mod catalog;
pub mod check;
pub mod config;
pub mod estimate;
pub mod explain;
#[cfg(feature = "local")]
pub mod gc;
pub mod graph;
pub mod plan;
pub mod run;
pub mod schedule;
#[cfg(feature = "local")]
pub mod ssh;
