//! The commands, one module each.

pub mod catalog;
pub mod check;
pub mod config;
pub mod diagnose;
#[cfg(feature = "ec2")]
pub mod doctor;
pub mod estimate;
pub mod explain;
pub mod gc;
pub mod graph;
pub mod history;
pub mod plan;
pub mod rerun;
pub mod resume;
pub mod run;
pub mod runs;
pub mod schedule;
pub mod show;
#[cfg(feature = "local")]
pub mod ssh;
