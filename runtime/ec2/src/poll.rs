//! One look at the machines of a region for all who wait for one.
//!
//! Who wants to know asks for a look that is not older than the question. Whoever asks first looks; the others wait
//! for the same look. So a region is looked at as often as one machine would need it, however many there are.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The looks at a region.
pub(crate) struct Poll<T> {
    every: Duration,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// Before this there is no further look.
    next: Instant,
    last: Option<(Instant, Arc<T>)>,
}

impl<T> Poll<T> {
    /// One that looks no more often than `every`.
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every,
            state: Mutex::new(State {
                next: Instant::now(),
                last: None,
            }),
        }
    }

    /// What is seen by a look that begins after this call: somebody else's, or this one.
    ///
    /// # Errors
    /// That of `look`, which the next who asks does not share.
    ///
    /// # Cancellation
    /// Whoever waits behind a look that is dropped looks in its place.
    pub(crate) async fn fresh<E>(
        &self,
        look: impl Future<Output = Result<T, E>>,
    ) -> Result<Arc<T>, E> {
        let asked = Instant::now();
        let mut state = self.state.lock().await;
        if let Some((begun, seen)) = &state.last
            && *begun >= asked
        {
            return Ok(Arc::clone(seen));
        }
        sleep_until(state.next).await;
        let begun = Instant::now();
        state.next = begun + self.every;
        let seen = Arc::new(look.await?);
        state.last = Some((begun, Arc::clone(&seen)));
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::task::JoinSet;

    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn all_who_wait_share_a_look_that_is_not_older_than_their_question() {
        let poll = Arc::new(Poll::new(EVERY));
        let looks = Arc::new(AtomicU32::new(0));
        let mut waiting = JoinSet::new();
        for _ in 0..300 {
            let (poll, looks) = (Arc::clone(&poll), Arc::clone(&looks));
            waiting.spawn(async move {
                // Each looks ten times, as one that waits for its machine.
                for _ in 0..10 {
                    let asked = Instant::now();
                    let look = async {
                        looks.fetch_add(1, Ordering::Relaxed);
                        Ok::<_, Infallible>(Instant::now())
                    };
                    let Ok(seen) = poll.fresh(look).await;
                    assert!(*seen >= asked);
                }
            });
        }
        let begun = Instant::now();
        while let Some(ended) = waiting.join_next().await {
            ended.expect("a task ends");
        }
        let seconds = begun.elapsed().as_secs();
        let looks = looks.load(Ordering::Relaxed);
        assert!(
            u64::from(looks) <= seconds + 1,
            "{looks} looks in {seconds} s"
        );
        assert!(looks <= 12, "{looks} looks");
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_failed_or_was_dropped_is_somebody_elses_next() {
        let poll = Poll::new(EVERY);
        assert_eq!(poll.fresh(async { Err::<u32, _>("no") }).await, Err("no"));
        let never = poll.fresh(std::future::pending::<Result<u32, &str>>());
        assert!(tokio::time::timeout(EVERY * 5, never).await.is_err());
        assert_eq!(
            poll.fresh(async { Ok::<_, &str>(7) }).await,
            Ok(Arc::new(7))
        );
    }
}
