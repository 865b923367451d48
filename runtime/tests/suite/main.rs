//! Whole runs on the simulator, under a paused clock. One binary, so it links once.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod again;
mod breaker;
mod candidates;
mod console;
mod control;
mod cost;
mod crash;
mod diagnose;
mod dispatch;
mod faults;
mod files;
mod first_boot;
mod fixture;
mod learned;
mod lives;
mod logins;
mod output;
mod policy;
mod random;
mod real;
mod run_end;
mod script;
mod secrets;
mod sim_faults;
mod state;
mod steps;
mod stop;
mod values;
