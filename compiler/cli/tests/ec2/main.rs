//! Tests of the command with machines of EC2, from outside: a stand-in for EC2 whose instances are machines of this host.
//!
//! They have a `main` of their own, because machines re-execute the program that starts them.

mod choices;
#[path = "../../../../runtime/ec2/tests/cloud/cloud.rs"]
mod cloud;
mod home;
mod kills;
mod release;
#[path = "../../../../runtime/local/tests/suite/runner.rs"]
mod runner;
mod whole;

use std::process::ExitCode;

fn main() -> ExitCode {
    dva_local::enter_if_helper();
    let all = [whole::TESTS, choices::TESTS, release::TESTS, kills::TESTS].concat();
    runner::run(&all, None)
}
