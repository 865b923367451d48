//! The end of a run at its provider: when no machine of it is left, what it has made beside them is ended as well.

use std::time::Duration;

use dva_plan::RunId;
use dva_plan::unit::display_duration;
use tokio::time::{sleep, timeout};

use super::Dispatcher;
use crate::event::Event;
use crate::executor::{RELEASE_ATTEMPTS, RELEASE_PAUSE};
use crate::provider::Provider;
use crate::state::LifePhase;

impl Dispatcher {
    /// Ends what the run has made, unless a machine of it still needs that, or none was ever asked for.
    pub(super) async fn end_at_provider(&mut self) {
        let mut phases = self.state.lives().iter().map(|life| life.phase());
        let was_used = phases.clone().any(|phase| phase != LifePhase::Planned) || self.found_strays;
        let is_needed = phases.any(|phase| {
            phase.holds_machine() || matches!(phase, LifePhase::Kept | LifePhase::Left)
        });
        if !was_used || is_needed || !self.strays.is_empty() {
            return;
        }
        let (provider, run) = (&*self.backend.provider, &self.options.run);
        if let Err(message) = end_run(provider, run, self.options.limits.release).await {
            self.record(Event::EndRunFailed { message });
        }
    }
}

/// Ends what `run` has made, and asks again where that fails.
///
/// # Errors
/// What may be left, in a sentence.
pub(super) async fn end_run(
    provider: &dyn Provider,
    run: &RunId,
    limit: Duration,
) -> Result<(), String> {
    let mut attempt = 1;
    loop {
        let problem = match timeout(limit, provider.end_run(run)).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => format!("in {}: {}", error.region, error.message),
            Err(_) => {
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                let limit = display_duration(limit_ms);
                format!("the provider did not say within {limit} that it is gone")
            }
        };
        if attempt == RELEASE_ATTEMPTS {
            return Err(format!(
                "What run {run} has made beside its machines may be left: {problem}."
            ));
        }
        attempt += 1;
        sleep(RELEASE_PAUSE).await;
    }
}
