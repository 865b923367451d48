//! Token buckets in front of the API: one for each region and kind of call, as EC2 has them.
//!
//! EC2 refuses a call that finds its bucket empty, and a call that is refused has emptied it a little more. So calls
//! wait here instead. Nothing here knows what a call does, or makes it again. Its main type is [`Buckets`].
//!
//! Rates are those of [`dva_schedule`] where it has them, for an estimate and a run must not differ in how fast
//! machines come.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use dva_schedule::{Bucket, LaunchRate};
use tokio::time::{Instant, sleep_until};

/// A kind of call that has a bucket of its own in each region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Api {
    /// `RunInstances`.
    RunInstances,
    /// `StartInstances`.
    StartInstances,
    /// `StopInstances`.
    StopInstances,
    /// `TerminateInstances`.
    TerminateInstances,
    /// `Describe…` with a filter, with ids or by pages.
    Describe,
    /// `CreateVolume`.
    CreateVolume,
    /// Calls that cost EC2 most: `GetConsoleOutput`, those about key pairs and about rules of security groups.
    Expensive,
    /// All other calls that change something.
    Mutating,
}

/// What a kind of call takes from: calls from one bucket, what they are about from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ApiLimits {
    /// Calls.
    pub requests: Bucket,
    /// Machines that they are about; `None` where these are not counted.
    pub machines: Option<Bucket>,
}

impl Api {
    /// What Amazon documents for every account.
    ///
    /// Sources: EC2 developer guide, *Request throttling*; that reading a console is among the expensive calls:
    /// EC2 API reference, *Troubleshooting API request errors*.
    #[must_use]
    pub fn limits(self) -> ApiLimits {
        let (requests, machines) = match self {
            Self::RunInstances => {
                let rate = LaunchRate::of_run_instances();
                (rate.requests, Some(rate.instances))
            }
            Self::StartInstances => (bucket(5, 2), Some(bucket(1_000, 2))),
            Self::StopInstances => (bucket(50, 5), Some(bucket(1_000, 20))),
            Self::TerminateInstances => (bucket(100, 5), Some(bucket(1_000, 20))),
            Self::Describe => (bucket(100, 20), None),
            Self::CreateVolume => (bucket(100, 5), None),
            Self::Expensive | Self::Mutating => (bucket(50, 5), None),
        };
        ApiLimits { requests, machines }
    }
}

const fn bucket(capacity: u32, refill_a_second: u32) -> Bucket {
    Bucket {
        capacity,
        refill_a_second,
    }
}

/// The buckets of all regions. One value serves a whole run: calls that pass by it come too often.
#[derive(Debug, Default)]
pub struct Buckets {
    levels: Mutex<BTreeMap<(String, Api), Levels>>,
}

#[derive(Debug)]
struct Levels {
    requests: Level,
    machines: Option<Level>,
}

/// How full a bucket is.
#[derive(Debug)]
struct Level {
    bucket: Bucket,
    /// Thousandths of a token; below zero where tokens are promised that have yet to come.
    milli: i64,
    at: Instant,
}

impl Buckets {
    /// Takes a token for a call of `api` in `region` about so many machines, and returns when it has come. Who asks
    /// first is served first.
    ///
    /// # Cancellation
    /// Dropping the future gives nothing back: at worst a later call waits longer than it had to.
    pub async fn take(&self, region: &str, api: Api, machines: u32) {
        let ready = self.promise(region, api, machines);
        sleep_until(ready).await;
    }

    /// Takes the tokens of machines alone, for a call that has its own, and returns when they have come.
    ///
    /// # Cancellation
    /// As [`Buckets::take`].
    pub async fn take_machines(&self, region: &str, api: Api, machines: u32) {
        let ready = self.with(region, api, |levels, now| {
            let of_machines = levels.machines.as_mut();
            of_machines.map_or(now, |level| level.take(now, machines))
        });
        sleep_until(ready).await;
    }

    /// Notes that EC2 refused a call for coming too often: somebody else uses the account too, and what was thought
    /// to be there is not.
    pub fn drain(&self, region: &str, api: Api) {
        self.with(region, api, |levels, now| {
            levels.requests.drain(now);
            if let Some(machines) = &mut levels.machines {
                machines.drain(now);
            }
        });
    }

    /// Takes the tokens and says when they will have come.
    fn promise(&self, region: &str, api: Api, machines: u32) -> Instant {
        self.with(region, api, |levels, now| {
            let request = levels.requests.take(now, 1);
            let of_machines = levels.machines.as_mut();
            of_machines.map_or(request, |level| request.max(level.take(now, machines)))
        })
    }

    fn with<T>(&self, region: &str, api: Api, what: impl FnOnce(&mut Levels, Instant) -> T) -> T {
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let of_api = levels
            .entry((region.to_owned(), api))
            .or_insert_with(|| Levels::full(api.limits(), now));
        what(of_api, now)
    }
}

impl Levels {
    fn full(limits: ApiLimits, now: Instant) -> Self {
        Self {
            requests: Level::full(limits.requests, now),
            machines: limits.machines.map(|bucket| Level::full(bucket, now)),
        }
    }
}

const WHOLE: i64 = 1_000;

impl Level {
    fn full(bucket: Bucket, now: Instant) -> Self {
        Self {
            bucket,
            milli: i64::from(bucket.capacity) * WHOLE,
            at: now,
        }
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        // So much a second is as many thousandths a millisecond. What is left of one counts the next time.
        let milliseconds = i64::try_from(passed.as_millis()).unwrap_or(i64::MAX);
        let more = milliseconds.saturating_mul(i64::from(self.bucket.refill_a_second));
        let most = i64::from(self.bucket.capacity) * WHOLE;
        self.milli = self.milli.saturating_add(more).min(most);
        self.at += Duration::from_millis(milliseconds.unsigned_abs());
    }

    /// Takes so many tokens; when they will have come.
    fn take(&mut self, now: Instant, tokens: u32) -> Instant {
        self.refill(now);
        self.milli = self.milli.saturating_sub(i64::from(tokens) * WHOLE);
        let missing = self.milli.min(0).unsigned_abs();
        let refill = u64::from(self.bucket.refill_a_second).max(1);
        self.at + Duration::from_millis(missing.div_ceil(refill))
    }

    fn drain(&mut self, now: Instant) {
        self.refill(now);
        self.milli = self.milli.min(0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::task::JoinSet;

    use super::*;

    /// How long a task waits until it has what it takes.
    async fn waits(buckets: &Buckets, api: Api, machines: u32) -> u128 {
        let begun = Instant::now();
        buckets.take("eu-west-1", api, machines).await;
        begun.elapsed().as_millis()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_there_comes_at_once_and_the_rest_at_the_rate() {
        let buckets = Buckets::default();
        for _ in 0..5 {
            assert_eq!(waits(&buckets, Api::RunInstances, 1).await, 0);
        }
        assert_eq!(waits(&buckets, Api::RunInstances, 1).await, 500);
        assert_eq!(waits(&buckets, Api::RunInstances, 1).await, 500);
    }

    #[tokio::test(start_paused = true)]
    async fn machines_are_counted_as_well_as_calls() {
        let buckets = Buckets::default();
        assert_eq!(waits(&buckets, Api::RunInstances, 1_000).await, 0);
        assert_eq!(waits(&buckets, Api::RunInstances, 100).await, 50_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_fills_up_and_no_further() {
        let buckets = Buckets::default();
        buckets.take("eu-west-1", Api::RunInstances, 1).await;
        tokio::time::advance(Duration::from_secs(3_600)).await;
        for _ in 0..5 {
            assert_eq!(waits(&buckets, Api::RunInstances, 1).await, 0);
        }
        assert_ne!(waits(&buckets, Api::RunInstances, 1).await, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn regions_and_kinds_of_calls_do_not_share() {
        let buckets = Buckets::default();
        for _ in 0..5 {
            buckets.take("eu-west-1", Api::RunInstances, 1).await;
        }
        let begun = Instant::now();
        buckets.take("us-east-1", Api::RunInstances, 1).await;
        buckets.take("eu-west-1", Api::Describe, 0).await;
        buckets.take("eu-west-1", Api::TerminateInstances, 1).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_has_to_come_back_first() {
        let buckets = Buckets::default();
        buckets.take("eu-west-1", Api::Describe, 0).await;
        buckets.drain("eu-west-1", Api::Describe);
        assert_eq!(waits(&buckets, Api::Describe, 0).await, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_leaves_the_others_their_turn() {
        let buckets = Buckets::default();
        for _ in 0..5 {
            buckets.take("eu-west-1", Api::RunInstances, 1).await;
        }
        let patience = Duration::from_millis(100);
        let given_up =
            tokio::time::timeout(patience, buckets.take("eu-west-1", Api::RunInstances, 1));
        assert!(given_up.await.is_err());
        assert_eq!(waits(&buckets, Api::RunInstances, 1).await, 900);
    }

    #[tokio::test(start_paused = true)]
    async fn tasks_are_served_in_the_order_in_which_they_asked() {
        let buckets = Arc::new(Buckets::default());
        let mut tasks = JoinSet::new();
        for number in 0..20 {
            let buckets = Arc::clone(&buckets);
            tasks.spawn(async move {
                buckets.take("eu-west-1", Api::RunInstances, 1).await;
                number
            });
        }
        let mut served = Vec::new();
        while let Some(number) = tasks.join_next().await {
            served.push(number.expect("a task ends"));
        }
        assert!(served[5..].is_sorted(), "{served:?}");
    }
}
