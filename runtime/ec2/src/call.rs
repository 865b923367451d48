//! Calls of the API of one region: each waits for its token, and its error is told by what it means.

use std::error::Error;
use std::fmt::Debug;
use std::future::Future;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::config::ProvideCredentials;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use tokio::time::sleep;

use crate::account;
use crate::bucket::{Api, Buckets};
use crate::error::Meaning;
use crate::service::Caller;

/// A call that did not go well.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What it means.
    pub meaning: Meaning,
    /// EC2's code, where EC2 answered.
    pub code: Option<String>,
    /// What happened, in EC2's words where it answered.
    pub message: String,
}

impl CallError {
    /// That of a call.
    fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        if let Some(code) = error.code() {
            let words = error.message().unwrap_or("EC2 says no more");
            return Self::answered(code, words);
        }
        let meaning = match error {
            SdkError::ConstructionFailure(_) => Meaning::Parameters,
            // It was not sent. What else went wrong with a connection may have been after EC2 had the call.
            SdkError::DispatchFailure(_) if lacks_credentials(error) => Meaning::Unauthorised,
            // The answer was lost, or there was none.
            _ => Meaning::Transient,
        };
        Self {
            meaning,
            code: None,
            message: told(error),
        }
    }

    /// That of this code and these words.
    pub(crate) fn answered(code: &str, words: &str) -> Self {
        Self {
            meaning: Meaning::of(code),
            message: format!("{code}: {}", words.trim_end_matches('.')),
            code: Some(code.to_owned()),
        }
    }

    /// Something that EC2 did not say in so many words.
    pub(crate) fn told(meaning: Meaning, message: impl Into<String>) -> Self {
        Self {
            meaning,
            code: None,
            message: message.into(),
        }
    }
}

/// Whether a call was not made because nobody could say who makes it.
fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<CredentialsError>())
}

/// An error, what brought it about, what brought that about, and so on.
fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    iter::successors(Some(error), |cause| Error::source(*cause))
}

/// An error and what brought it about, in one line, what says the same once.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut told = String::new();
    for cause in causes(error).map(ToString::to_string) {
        let cause = cause.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        if !told.contains(&cause) {
            let separator = if told.is_empty() { "" } else { ": " };
            told.push_str(separator);
            told.push_str(&cause);
        }
    }
    told
}

/// The API of a region. Its calls are never made again by the SDK, which knows nothing of the buckets.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) client: Client,
    pub(crate) region: String,
    account: Arc<AccountOf>,
    buckets: Arc<Buckets>,
}

/// The account of a partition.
pub(crate) struct AccountOf {
    pub(crate) partition: String,
    pub(crate) sdk: SdkConfig,
}

impl AccountOf {
    /// Without credentials.
    pub(crate) fn nobody() -> Self {
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest());
        Self {
            partition: String::new(),
            sdk: sdk.build(),
        }
    }

    /// Whether there are credentials; else why not.
    pub(crate) async fn check_credentials(&self) -> Result<(), String> {
        let Some(provider) = self.sdk.credentials_provider() else {
            return Err("nobody gives any".to_owned());
        };
        let credentials = provider.provide_credentials().await;
        credentials.map(drop).map_err(|error| told(&error))
    }
}

/// How often a call that may be made again is made.
const TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(250);

impl Line {
    pub(crate) fn new(account: &Arc<AccountOf>, region: &str, buckets: &Arc<Buckets>) -> Self {
        Self {
            client: account::client(&account.sdk, region),
            region: region.to_owned(),
            account: Arc::clone(account),
            buckets: Arc::clone(buckets),
        }
    }

    /// Who calls other services of the region.
    pub(crate) fn caller(&self) -> Caller<'_> {
        Caller {
            sdk: &self.account.sdk,
            region: &self.region,
            partition: &self.account.partition,
        }
    }

    /// Makes a call once. `send` is not begun before its token has come.
    pub(crate) async fn once<T, E, R>(
        &self,
        api: Api,
        machines: u32,
        send: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        self.turn(api).await;
        self.in_turn(api, machines, send).await
    }

    /// Waits until a call may be made, and counts it.
    pub(crate) async fn turn(&self, api: Api) {
        self.buckets.take(&self.region, api, 0).await;
    }

    /// Makes a call whose turn has come, about so many machines.
    pub(crate) async fn in_turn<T, E, R>(
        &self,
        api: Api,
        machines: u32,
        send: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> Result<T, CallError>
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        self.buckets
            .take_machines(&self.region, api, machines)
            .await;
        send.await.map_err(|error| {
            let error = CallError::of(&error);
            if error.meaning == Meaning::Throttled {
                self.buckets.drain(&self.region, api);
            }
            error
        })
    }

    /// Makes a call, again after pauses that get longer where that can help. Only for calls that may be carried out
    /// twice.
    pub(crate) async fn call<T, E, R, F>(
        &self,
        api: Api,
        machines: u32,
        send: impl Fn() -> F,
    ) -> Result<T, CallError>
    where
        F: Future<Output = Result<T, SdkError<E, R>>>,
        E: ProvideErrorMetadata + Error + 'static,
        R: Debug + 'static,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..TRIES {
            match self.once(api, machines, send()).await {
                Err(error) if passes(error.meaning) => {
                    sleep(pause).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        self.once(api, machines, send()).await
    }
}

/// Whether the same call may go well later.
fn passes(meaning: Meaning) -> bool {
    matches!(meaning, Meaning::Throttled | Meaning::Transient)
}

#[cfg(test)]
mod tests {
    use aws_config::Region;
    use aws_credential_types::provider::{
        ProvideCredentials, SharedCredentialsProvider, future::ProvideCredentials as Provided,
    };

    use super::*;

    #[derive(Debug)]
    struct Nobody;

    impl ProvideCredentials for Nobody {
        fn provide_credentials<'a>(&'a self) -> Provided<'a>
        where
            Self: 'a,
        {
            Provided::ready(Err(CredentialsError::not_loaded("there are none")))
        }
    }

    #[tokio::test]
    async fn without_credentials_nothing_was_done() {
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-west-1"))
            .endpoint_url("http://127.0.0.1:9")
            .credentials_provider(SharedCredentialsProvider::new(Nobody))
            .build();
        let client = account::client(&sdk, "eu-west-1");
        let error = client.describe_regions().send().await;
        let error = CallError::of(&error.expect_err("it is not made"));
        assert_eq!(error.meaning, Meaning::Unauthorised, "{error}");
    }
}
