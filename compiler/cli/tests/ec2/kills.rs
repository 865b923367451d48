//! Runs on machines of EC2 whose process is killed at a call, and another one that ends them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dva_plan::Verdict;

use crate::cloud::call::Call;
use crate::cloud::fault::{Deed, Fault};
use crate::home::{Home, RUN};
use crate::runner::{Done, Test};

pub const TESTS: &[Test] = &[
    ("kills::another_process_goes_on_with_the_run", resumed),
    ("kills::another_process_clears_it_away", cleared),
];

/// Two machines, each of which gets a disk while it runs.
const PLAN: &str = r#"
matrix two { image = each host  region = each eu-west-1  instance = each m5.large, m5.xlarge }
disk late { size = 1GiB  attached = false }
test plain { takes 1s  run `true` }
test hotplug {
  writes late  takes 3s
  within 2min
  attach late
  run `test -b ${late.device}`
  detach late
}
plan p { matrix two  tests plain, hotplug }
"#;

/// How many worlds there are at one time.
const AT_ONCE: usize = 6;

fn resumed() -> Done {
    sweep(|home| {
        let (code, said) = home.said(&["resume", "--json", "report.json"]);
        if said.contains("nothing to resume") {
            return Ok(());
        }
        if code != Some(0) {
            return Err(format!("it ended with {code:?}: {said}"));
        }
        let report = home.report();
        let wrong = report
            .test_runs
            .iter()
            .filter(|run| run.verdict != Verdict::Passed);
        let wrong: Vec<_> = wrong
            .map(|run| format!("{}: {}", run.test, run.message))
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(wrong.join(", "))
        }
    })
}

fn cleared() -> Done {
    sweep(|home| {
        let run = home.run();
        let words = ["gc", "--provider", "ec2", "--run", &run, "--yes"];
        let (code, said) = home.said(&words);
        match code {
            Some(0) => Ok(()),
            _ => Err(format!("it ended with {code:?}: {said}")),
        }
    })
}

/// Tells the calls at which runs are killed: all that change something, and the first of each kind that looks.
#[derive(Default)]
struct Points(Mutex<BTreeSet<String>>);

impl Points {
    fn are(&self, call: &Call) -> bool {
        let mut seen = self.0.lock().expect("nobody panics");
        seen.insert(call.action.clone()) || !call.is_look()
    }
}

/// Kills a run at each of these calls, and has `after` end it.
fn sweep(after: impl Fn(&Home) -> Result<(), String> + Sync) -> Done {
    let Some(home) = Home::with(PLAN) else {
        return Done::Passed;
    };
    let (code, said) = home.said(&RUN);
    assert_eq!(code, Some(0), "{said}\n{:?}", home.cloud.troubles());
    assert_eq!(home.left(), Vec::<String>::new(), "{said}");
    let calls = home.cloud.calls();
    let points = Points::default();
    let count = calls.iter().filter(|call| points.are(call)).count();
    let worlds: Vec<_> = (0..count)
        .flat_map(|at| [(at, true), (at, false)])
        .collect();
    let (next, killed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let wrong = Mutex::new(Vec::new());
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((at, answered)) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match killed_at(*at, *answered, &after) {
                        Ok(Reached::TheCall) => {
                            killed.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(Reached::ItsEnd) => {}
                        Err(message) => {
                            let mut wrong = wrong.lock().expect("nobody panics");
                            wrong.push(format!("call {at}, answered {answered}: {message}"));
                        }
                    }
                }
            });
        }
    });
    let killed = killed.into_inner();
    println!(
        "{killed} of {} runs killed, in {:?}",
        worlds.len(),
        begun.elapsed()
    );
    let wrong = wrong.into_inner().expect("nobody panics");
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        worlds.len(),
        wrong.join("\n")
    );
    Done::Passed
}

/// How far a run came.
enum Reached {
    /// It was killed at its call.
    TheCall,
    /// It took another way, on which there was no such call.
    ItsEnd,
}

/// Kills a run when its call `at` of those has been carried out, after its answer or before.
fn killed_at(
    at: usize,
    answered: bool,
    after: &impl Fn(&Home) -> Result<(), String>,
) -> Result<Reached, String> {
    let home = Home::with(PLAN).ok_or("there is no cloud")?;
    let (told, hears) = channel();
    let told: Mutex<Sender<String>> = Mutex::new(told);
    // Its answer waits until the process is gone where it is not to have it.
    let gone = Arc::new(AtomicUsize::new(0));
    let tell = {
        let gone = Arc::clone(&gone);
        Arc::new(move |call: &Call| {
            let _ = told
                .lock()
                .expect("nobody panics")
                .send(call.action.clone());
            while !answered && gone.load(Ordering::Acquire) == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        })
    };
    let deed = if answered {
        Deed::Then(tell)
    } else {
        Deed::Meanwhile(tell)
    };
    let points = Points::default();
    let fault = Fault::any(deed).whose(move |call| points.are(call));
    home.cloud.fault(fault.after(at).times(1));
    let mut run = home.begun(&RUN);
    let action = hears.recv_timeout(Duration::from_secs(60));
    let (killed, waited) = (run.kill(), run.wait());
    killed.and(waited).map_err(|error| error.to_string())?;
    gone.store(1, Ordering::Release);
    let Ok(action) = action else {
        return Ok(Reached::ItsEnd);
    };
    home.cloud.heal();
    after(&home).map_err(|error| format!("{action}: {error}"))?;
    let left = home.left();
    if left.is_empty() {
        Ok(Reached::TheCall)
    } else {
        Err(format!("{action}: it leaves {left:?}; {}", home.log()))
    }
}
