//! The transport against the embedded server, and against servers that misbehave.

mod against_fakes;
mod against_own;
mod fake;
mod fixture;
mod login;
