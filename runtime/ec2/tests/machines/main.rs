//! Tests of EC2 machines that really boot: as machines of this host, behind a stand-in for EC2.
//!
//! They have a `main` of their own, because machines re-execute the program that starts them.

#[path = "../cloud/cloud.rs"]
mod cloud;
mod faults;
#[path = "../suite/ground.rs"]
mod ground;
mod life;
#[path = "../../../local/tests/suite/runner.rs"]
mod runner;
mod sweep;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cloud::{Boots, Cloud, moto};
use dva_ec2::{Ec2Provider, LoginKey};
use dva_ssh::{KeyPair, TcpDialer};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    dva_local::enter_if_helper();
    let all = [life::TESTS, faults::TESTS, sweep::TESTS].concat();
    runner::run(&all, None)
}

/// A cloud, a provider in one region of it, and threads for both.
struct Stand {
    provider: Ec2Provider,
    runtime: Runtime,
    cloud: Cloud,
    region: &'static str,
    before: std::collections::BTreeSet<String>,
}

impl Stand {
    /// One in a region; `None` where there is none to be had.
    fn up(region: &'static str, boots: Boots) -> Option<Self> {
        let cloud = Cloud::up(boots)?;
        let (provider, runtime) = Self::again(&cloud, region);
        Some(Self {
            provider,
            runtime,
            before: cloud.left(region),
            cloud,
            region,
        })
    }

    /// Another provider in a region of that cloud, as a process that has just been started has one.
    fn again(cloud: &Cloud, region: &str) -> (Ec2Provider, Runtime) {
        let key = KeyPair::generate();
        let key = LoginKey {
            private: key.private_key.into(),
            public: key.public_key,
        };
        let dial = Arc::new(|address| Arc::new(TcpDialer::new(address)) as _);
        let mut config = ground::config(region, key, dial);
        config.patience.host_key = Duration::from_secs(1);
        config.patience.dial = Duration::from_millis(100);
        let sdk = ground::sdk(region, cloud.url());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        (ground::provider(config, &sdk), runtime.expect("threads"))
    }

    /// Asserts that all is gone that was made since it is up, and that the cloud itself did well.
    fn nothing_is_left(&self) {
        let left = self.cloud.left(self.region);
        assert_eq!(left, self.before);
        assert_eq!(self.cloud.troubles(), Vec::<String>::new());
    }
}
