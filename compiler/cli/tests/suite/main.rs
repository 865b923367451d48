//! Tests of the command from outside: what people type and what they see.

mod console;
mod examples;
#[cfg(feature = "local")]
mod hosts;
#[cfg(feature = "local")]
mod leaks;
#[cfg(feature = "local")]
mod local;
mod readme;
mod resume;
mod wrong_input;
