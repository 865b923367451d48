//! Tests of local machines, which need root.
//!
//! They have a `main` of their own, because machines re-execute the program that starts them: it must
//! call [`dva_local::enter_if_helper`] first. Without root they are skipped, unless `DVA_FULL=1` says
//! that nothing may be.

mod control;
mod disks;
mod endings;
mod ground;
mod hostile;
mod images;
mod leaks;
mod machines;
mod runner;

use std::process::ExitCode;

use dva_local::LocalProvider;
pub(crate) use runner::{Done, Test};

fn main() -> ExitCode {
    dva_local::enter_if_helper();
    if endings::enter_if_victim() {
        return ExitCode::SUCCESS;
    }

    let all = [
        machines::TESTS,
        images::TESTS,
        disks::TESTS,
        control::TESTS,
        hostile::TESTS,
        endings::TESTS,
        leaks::TESTS,
    ]
    .concat();
    let lacking = LocalProvider::check_host().err();
    runner::run(&all, lacking.map(|missing| missing.to_string()).as_deref())
}
