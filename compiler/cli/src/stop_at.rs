//! A test's way to hold `dva` at a named event: it stops itself there, and the test ends it, or something
//! else, or lets it go on.
//!
//! `DVA_TEST_STOP_AT=life_ready:2` stops at the second `life_ready`, `life_ready:2:panic` panics there, as
//! a bug would. For tests alone; nobody needs it
//! otherwise and nothing depends on it.

use dva_plan::ExitCode;
use dva_runtime::event::Event;
use dva_runtime::observe::Observer;
use dva_runtime::state::RunState;
use rustix::process::{Signal, getpid, kill_process};

use crate::failure::Failure;

/// The variable.
const VARIABLE: &str = "DVA_TEST_STOP_AT";

/// The observer, or one that stops at an event and passes everything on to it.
pub fn observer(inner: Box<dyn Observer>) -> Result<Box<dyn Observer>, Failure> {
    let Ok(text) = std::env::var(VARIABLE) else {
        return Ok(inner);
    };
    let parts: Vec<_> = text.split(':').collect();
    let (event, number, panics) = match parts.as_slice() {
        [event, number] => (*event, number.parse().ok(), false),
        [event, number, "panic"] => (*event, number.parse().ok(), true),
        _ => ("", None, false),
    };
    match number {
        Some(left) => Ok(Box::new(StopAt {
            inner,
            event: event.to_owned(),
            left,
            panics,
        })),
        None => Err(Failure::new(
            ExitCode::Invocation,
            format!(
                "{VARIABLE} is EVENT:NUMBER or EVENT:NUMBER:panic, for example `life_ready:2`."
            ),
        )),
    }
}

struct StopAt {
    inner: Box<dyn Observer>,
    event: String,
    left: u32,
    panics: bool,
}

impl Observer for StopAt {
    fn event(&mut self, at_ms: u64, event: &Event, state: &RunState) {
        self.inner.event(at_ms, event, state);
        if name(event) == self.event {
            self.inner.rest();
            self.left = self.left.wrapping_sub(1);
            assert!(self.left > 0 || !self.panics, "a test asked for a panic");
            if self.left == 0 {
                // A process may always stop itself.
                let _ = kill_process(getpid(), Signal::STOP);
            }
        }
    }

    fn rest(&mut self) {
        self.inner.rest();
    }
}

/// The event's name in `events.jsonl`.
fn name(event: &Event) -> String {
    let value = serde_json::to_value(event).unwrap_or_default();
    value["what"].as_str().unwrap_or_default().to_owned()
}
