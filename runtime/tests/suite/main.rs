//! Whole runs on the simulator, under a paused clock. One binary, so it links once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod dispatch;
mod faults;
mod files;
mod fixture;
mod random;
mod real;
mod script;
mod state;
mod steps;
mod stop;
