//! Whose account is used, and the clients that act for it.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::Client;

use crate::config::Account;

/// How long one call may take with all that belongs to it, and how long it may take to reach EC2.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(60);
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// What the environment, a profile, single sign-on or the machine that this runs on says of an account. Nothing is
/// asked of EC2.
pub(crate) async fn load(account: Option<&Account>, region: &str) -> SdkConfig {
    // Named so that nobody goes looking for one; each client has its own.
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).region(Region::new(region.to_owned()));
    if let Some(profile) = account.and_then(|account| account.profile.as_ref()) {
        loader = loader.profile_name(profile);
    }
    if let Some(url) = account.and_then(|account| account.endpoint_url.as_ref()) {
        loader = loader.endpoint_url(url);
    }
    loader.load().await
}

/// A client of a region.
pub(crate) fn client(account: &SdkConfig, region: &str) -> Client {
    let limits = TimeoutConfig::builder()
        .operation_timeout(CALL_LIMIT)
        .connect_timeout(CONNECT_LIMIT)
        .build();
    let config = aws_sdk_ec2::config::Builder::from(account)
        .region(Region::new(region.to_owned()))
        // A call that the SDK makes again comes out of the same bucket, and nobody counts it.
        .retry_config(RetryConfig::disabled())
        .timeout_config(limits);
    Client::from_conf(config.build())
}
