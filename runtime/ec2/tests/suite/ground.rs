//! What the tests of a provider start from: an account of moto's, a configuration without patience, and a request.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_ec2::config::{Credentials, SharedCredentialsProvider};
use dva_ec2::{Account, Dial, Ec2Config, Ec2Provider, LoginKey, Patience, SourceRange, TimerUse};
use dva_plan::plan::{ImageSource, Machine, Network};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{BootRequest, MachineRequest, MachineToken};

use crate::moto;

/// Where all regions of moto are.
const PARTITION: &str = "aws";

/// An account whose calls go there.
pub fn sdk(region: &str, url: &str) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .endpoint_url(url)
        // Reading the certificates of a host takes longer than a call.
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::for_tests()))
        .build()
}

/// The configuration of a provider of one region.
pub fn config(region: &str, key: LoginKey, dial: Dial) -> Ec2Config {
    Ec2Config {
        accounts: [(PARTITION.to_owned(), Account::default())].into(),
        regions: [(region.to_owned(), PARTITION.to_owned())].into(),
        networks: Default::default(),
        usual_network: Default::default(),
        ssh_from: vec![SourceRange::parse("198.51.100.7/32").expect("a range")],
        key,
        user: "ec2-user".to_owned(),
        owner: "tests".to_owned(),
        timer: TimerUse::Set,
        dial,
        patience: Patience {
            poll: Duration::from_millis(20),
            dial: Duration::from_millis(20),
            settle: Duration::from_millis(300),
            host_key: Duration::ZERO,
            reboot: Duration::from_secs(5),
            volume: Duration::from_secs(5),
        },
    }
}

/// A provider, as a process that has just been started has one.
pub fn provider(config: Ec2Config, sdk: &SdkConfig) -> Ec2Provider {
    Ec2Provider::with_accounts(config, [(PARTITION.to_owned(), sdk.clone())].into())
}

/// The machine of a life of a run.
pub fn request(region: &str, run: &RunId, life: u32) -> MachineRequest {
    MachineRequest {
        token: MachineToken::new(run, life),
        run: run.clone(),
        cell: CellId::new("0123456789abcdef0123"),
        image: ImageSource::Ec2Ami {
            ids: [(region.to_owned(), moto::IMAGE.to_owned())].into(),
        },
        logins: Vec::new(),
        machine: Machine {
            region: region.to_owned(),
            partition: PARTITION.to_owned(),
            r#type: "m5.large".to_owned(),
            vcpus: 2,
            memory_bytes: 8 << 30,
            arch: "x86_64".to_owned(),
            features: None,
            quote: None,
        },
        disks: Vec::new(),
        boot: BootRequest::default(),
        network: Network::default(),
        network_name: None,
        market: Vec::new(),
        lifetime: Duration::from_secs(3_600),
    }
}
