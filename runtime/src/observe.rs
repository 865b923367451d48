//! Observers: how a display follows a run.

use crate::event::Event;
use crate::state::RunState;

/// Sees every event once it is recorded. It is called from the dispatcher itself, so it must be quick
/// and never wait.
pub trait Observer: Send {
    /// `event` was recorded `at_ms` milliseconds after the start of the run; `state` has it in it.
    fn event(&mut self, at_ms: u64, event: &Event, state: &RunState);

    /// Nothing more is known for now: what is held back is to be shown.
    fn rest(&mut self) {}
}

/// Looks at nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn event(&mut self, _: u64, _: &Event, _: &RunState) {}
}
