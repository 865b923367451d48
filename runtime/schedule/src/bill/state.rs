//! From the states that an instance went through to the periods that are billed.
//!
//! Source: EC2 user guide, *Instance lifecycle*. `pending` is free; the clock runs from `running` and
//! stops with `stopping` or `shutting-down`, except that hibernating is billed until it is done. A
//! reboot is no change of state, so it begins no period; a start after a stop does.

use super::usage::{Ended, Period};

/// A state of an instance, in Amazon's words; hibernation is told from an ordinary stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InstanceState {
    /// It is launched or started.
    Pending,
    /// It runs, or reboots.
    Running,
    /// It is being stopped.
    Stopping,
    /// It is being stopped with its memory kept, which Amazon calls `stopping` too.
    Hibernating,
    /// It is stopped.
    Stopped,
    /// It is being ended.
    ShuttingDown,
    /// It is gone.
    Terminated,
}

/// One change of state, or the same state seen once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateChange {
    /// When, in milliseconds since any beginning.
    pub at_ms: u64,
    /// The state from then on.
    pub state: InstanceState,
    /// Who is the cause. It matters where `running` ends.
    pub by: Ended,
}

impl Period {
    /// The periods of an instance that went through `changes`, which are in order of time, as seen at
    /// `now_ms`: one that still runs is billed until then, as if we ended it. Processors count as idle.
    ///
    /// A state that was missed between two looks does no harm: what is not `running` any more has
    /// ended. A time before the last one counts as no time.
    #[must_use]
    pub fn of_states(changes: &[StateChange], now_ms: u64) -> Vec<Self> {
        let mut periods: Vec<Self> = Vec::new();
        let mut was = InstanceState::Pending;
        for (number, change) in changes.iter().enumerate() {
            let until_ms = changes.get(number + 1).map_or(now_ms, |next| next.at_ms);
            let lasted_ms = until_ms.saturating_sub(change.at_ms);
            let began = change.state == InstanceState::Running && was != InstanceState::Running;
            let ended = change.state != InstanceState::Running && was == InstanceState::Running;
            if began {
                periods.push(Self::of(0));
            }
            if let Some(period) = periods.last_mut() {
                if ended {
                    period.ended = change.by;
                }
                let counted = match change.state {
                    InstanceState::Running => Some(&mut period.running_ms),
                    InstanceState::Hibernating => Some(&mut period.hibernating_ms),
                    InstanceState::Pending
                    | InstanceState::Stopping
                    | InstanceState::Stopped
                    | InstanceState::ShuttingDown
                    | InstanceState::Terminated => None,
                };
                if let Some(ms) = counted {
                    *ms = ms.saturating_add(lasted_ms);
                }
            }
            was = change.state;
        }
        periods
    }
}
