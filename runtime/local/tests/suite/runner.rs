//! Runs tests as the usual harness does, for binaries that need a `main` of their own: machines re-execute the program
//! that starts them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Instant;

/// How a test ended that did not fail.
pub enum Done {
    /// It passed.
    Passed,
    /// The host lacks what it needs.
    Skipped(String),
}

/// A test: its name and what it does. It fails by panicking.
pub type Test = (&'static str, fn() -> Done);

/// Runs those of `all` that the command line chooses. Where something is `lacking`, all are skipped, which `DVA_FULL=1`
/// does not allow.
pub fn run(all: &[Test], lacking: Option<&str>) -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let filters: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let exact = arguments.iter().any(|argument| argument == "--exact");
    let count = all.len();
    let chosen: Vec<Test> = all
        .iter()
        .copied()
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
    run_chosen(&chosen, count, lacking)
}

fn run_chosen(chosen: &[Test], count: usize, lacking: Option<&str>) -> ExitCode {
    let full = std::env::var_os("DVA_FULL").is_some_and(|value| value == "1");
    println!("\nrunning {} tests", chosen.len());
    let begun = Instant::now();
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, test) in chosen {
        let outcome = match lacking {
            Some(why) => Ok(Done::Skipped(why.to_owned())),
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
