//! How a controller takes over a run from one that has died.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::timeout;
use tracing::error;

use super::held::Held;
use super::{Dispatcher, token};
use crate::event::{Event, Record};
use crate::options::MachineLeft;
use crate::provider::MachineToken;
use crate::state::{IllegalEvent, LifePhase};

impl Dispatcher {
    /// Takes over from a controller that has died.
    pub(super) fn take_over(&mut self, records: &[Record]) -> Result<(), IllegalEvent> {
        for record in records {
            self.state.apply(record)?;
        }
        let before_ms = self.state.start().map_or(0, |start| start.started_unix_ms);
        let unix_ms = self.options.started.unix_ms();
        // A clock that was set back does not make time run backwards.
        self.base_ms = self.state.now_ms().max(unix_ms.saturating_sub(before_ms));
        self.try_record(Event::RunResumed { unix_ms })
            .map_err(|refused| refused.0)?;
        self.know_lives();
        self.open_purse();
        for life in self.state.schedule().lives.indices().collect::<Vec<_>>() {
            match self.state.lives()[life].phase() {
                LifePhase::Launching if self.state.lives()[life].trouble().is_none() => {
                    let (orders, received) = mpsc::unbounded_channel();
                    self.enter(life, orders);
                    self.held.push(Held::Begin(life, received));
                    // A run that was stopped wants it no more.
                    self.advance(life);
                }
                LifePhase::Launching | LifePhase::Acquired | LifePhase::Ready => {
                    self.settle(life);
                    self.record(Event::LifeReleasing { life });
                    self.enter(life, mpsc::unbounded_channel().0);
                    self.held.push(Held::Release(life));
                }
                LifePhase::Releasing => {
                    self.enter(life, mpsc::unbounded_channel().0);
                    self.held.push(Held::Release(life));
                }
                LifePhase::Planned | LifePhase::Ended | LifePhase::Kept | LifePhase::Left => {}
            }
        }
        self.unlaunched.clear();
        for life in self.state.schedule().lives.indices() {
            if self.state.is_wanted(life) {
                self.launch_later(life);
            }
        }
        self.heed_gates();
        self.heed_failures();
        self.launch();
        Ok(())
    }

    /// Ends machines of this run that no record tells of.
    pub(super) async fn end_strays(&mut self) {
        let provider = Arc::clone(&self.backend.provider);
        let Some(found) = provider.of_run(&self.options.run).await else {
            return;
        };
        let lives = self.state.lives().enumerate();
        let known = lives.filter(|(_, life)| life.phase() != LifePhase::Planned);
        let known: BTreeSet<MachineToken> = known
            .map(|(index, _)| token(&self.options, index))
            .collect();
        for token in found.into_iter().filter(|token| !known.contains(token)) {
            self.found_strays = true;
            let released = timeout(self.options.limits.release, provider.release_token(&token));
            let problem = match released.await {
                Ok(Ok(())) => continue,
                Ok(Err(error)) => error.message,
                Err(_) => "the provider did not answer in time".to_owned(),
            };
            error!(%token, problem, "a machine may still be there");
            self.strays.push(MachineLeft {
                token,
                id: None,
                message: problem,
            });
        }
    }
}
