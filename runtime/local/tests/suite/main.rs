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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

use dva_local::LocalProvider;

/// How a test ended that did not fail.
pub(crate) enum Done {
    /// It passed.
    Passed,
    /// The host lacks what it needs.
    Skipped(String),
}

/// A test: its name and what it does. It fails by panicking.
type Test = (&'static str, fn() -> Done);

fn main() -> ExitCode {
    dva_local::enter_if_helper();
    if endings::enter_if_victim() {
        return ExitCode::SUCCESS;
    }

    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let filters: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
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
    let count = all.len();
    let chosen: Vec<Test> = all
        .into_iter()
        .filter(|(name, _)| {
            let fits = |filter: &&String| {
                if exact {
                    name == filter
                } else {
                    name.contains(filter.as_str())
                }
            };
            filters.is_empty() || filters.iter().any(fits)
        })
        .collect();

    if arguments.iter().any(|argument| argument == "--list") {
        // Runners that list ignored tests apart must not see these twice.
        if !arguments.iter().any(|argument| argument == "--ignored") {
            for (name, _) in &chosen {
                println!("{name}: test");
            }
        }
        return ExitCode::SUCCESS;
    }
    run(&chosen, count)
}

fn run(chosen: &[Test], count: usize) -> ExitCode {
    let full = std::env::var_os("DVA_FULL").is_some_and(|value| value == "1");
    let lacking = LocalProvider::check_host().err();
    println!("\nrunning {} tests", chosen.len());
    let begun = Instant::now();
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in chosen {
        let outcome = match &lacking {
            Some(missing) => Ok(Done::Skipped(missing.to_string())),
            None => catch_unwind(AssertUnwindSafe(test)),
        };
        match outcome {
            Ok(Done::Skipped(why)) if !full => {
                println!("SKIP {name}: {why}");
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Done::Passed) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Ok(Done::Skipped(why)) => {
                println!("{name} may not be skipped: {why}");
                println!("test {name} ... FAILED");
                failed.push(*name);
            }
            // The panic has printed what it had to say.
            Err(_) => {
                println!("test {name} ... FAILED");
                failed.push(*name);
            }
        }
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {} filtered out; finished in {}.{:02}s\n",
        failed.len(),
        count - chosen.len(),
        begun.elapsed().as_secs(),
        begun.elapsed().subsec_millis() / 10,
    );
    if failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
