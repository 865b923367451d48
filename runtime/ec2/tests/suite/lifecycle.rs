//! Machines from their launch to their end, on moto: what is made, what is found again, and that nothing is left.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, InstanceStateName};
use dva_ec2::{Ec2Provider, LoginKey};
use dva_plan::RunId;
use dva_plan::plan::{DiskIx, ImageSource};
use dva_runtime::provider::{
    AcquireErrorKind, ControlErrorKind, DetachMode, DiskRequest, MachineRequest, MachineToken,
    Provider,
};
use dva_runtime::transport::{ByteStream, Dialer};

use crate::{ground, moto};

/// Of no machine; moto asks for one that is well-formed.
const PUBLIC_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE";

/// A region of moto, and what it has that costs or stays.
struct Ground {
    region: String,
    sdk: SdkConfig,
    client: Client,
    run: RunId,
}

/// A machine's SSH port, which answers as long as it is told to.
struct Port(Arc<AtomicBool>);

#[async_trait]
impl Dialer for Port {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        if self.0.load(Ordering::Relaxed) {
            Ok(Box::new(tokio::io::duplex(1).0))
        } else {
            Err(io::ErrorKind::ConnectionRefused.into())
        }
    }
}

impl Ground {
    /// One of a region that no other test uses; `None` where there is no moto.
    fn new(region: &str) -> Option<Self> {
        let sdk = ground::sdk(region, moto::url()?);
        Some(Self {
            region: region.to_owned(),
            client: Client::new(&sdk),
            sdk,
            run: RunId::new("20261128-150000-4f2a"),
        })
    }

    /// A provider, as a process that has just been started has one.
    fn provider(&self, answers: &Arc<AtomicBool>) -> Ec2Provider {
        let answers = Arc::clone(answers);
        let key = LoginKey {
            private: "none".into(),
            public: PUBLIC_KEY.to_owned(),
        };
        let dial = Arc::new(move |_: SocketAddr| Arc::new(Port(Arc::clone(&answers))) as _);
        ground::provider(ground::config(&self.region, key, dial), &self.sdk)
    }

    fn request(&self, life: u32) -> MachineRequest {
        ground::request(&self.region, &self.run, life)
    }

    /// The names of all that is there and has not ended.
    async fn left(&self) -> BTreeSet<String> {
        let mut left = BTreeSet::new();
        let client = &self.client;
        let machines = client.describe_instances().send().await.expect("an answer");
        for machine in machines
            .reservations()
            .iter()
            .flat_map(|some| some.instances())
        {
            let state = machine.state().and_then(|state| state.name());
            if state != Some(&InstanceStateName::Terminated) {
                left.extend(machine.instance_id().map(str::to_owned));
            }
        }
        let volumes = client.describe_volumes().send().await.expect("an answer");
        let volumes = volumes.volumes().iter();
        left.extend(volumes.filter_map(|volume| volume.volume_id().map(str::to_owned)));
        let keys = client.describe_key_pairs().send().await.expect("an answer");
        let keys = keys.key_pairs().iter();
        left.extend(keys.filter_map(|key| key.key_name().map(str::to_owned)));
        let groups = client
            .describe_security_groups()
            .send()
            .await
            .expect("an answer");
        let groups = groups.security_groups().iter();
        left.extend(groups.filter_map(|group| group.group_id().map(str::to_owned)));
        left
    }

    /// How many machines of a token have not ended.
    async fn alive(&self, token: &MachineToken) -> usize {
        let of_token = Filter::builder()
            .name("tag:dva:lives")
            .values(token.life().to_string());
        let call = self.client.describe_instances().filters(of_token.build());
        let answer = call.send().await.expect("an answer");
        let machines = answer
            .reservations()
            .iter()
            .flat_map(|some| some.instances());
        let states = machines.filter_map(|machine| machine.state()?.name());
        states
            .filter(|state| **state != InstanceStateName::Terminated)
            .count()
    }
}

fn yes() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(true))
}

fn disk(row: u32) -> DiskRequest {
    DiskRequest {
        disk: DiskIx(row),
        name: format!("disk{row}"),
        size_bytes: 1 << 30,
    }
}

#[tokio::test]
async fn a_machine_is_launched_once_found_again_and_ended_with_all_it_had() {
    let Some(ground) = Ground::new("eu-west-1") else {
        return;
    };
    let before = ground.left().await;
    let (provider, request) = (ground.provider(&yes()), ground.request(1));
    let machine = provider.acquire(&request).await.expect("a machine");
    let again = provider.acquire(&request).await.expect("the machine");
    assert_eq!(machine.id, again.id);
    assert_eq!(machine.reach.users, ["ec2-user"]);

    let call = ground.client.describe_instances().instance_ids(&machine.id);
    let answer = call.send().await.expect("an answer");
    let shown = &answer.reservations()[0].instances()[0];
    let tags = shown.tags().iter();
    let tags: BTreeSet<_> = tags.filter_map(|tag| tag.key()).collect();
    let wanted = [
        "dva:cell",
        "dva:expires",
        "dva:lives",
        "dva:owner",
        "dva:run",
    ];
    assert_eq!(tags, BTreeSet::from(wanted));
    let key = shown.key_name().unwrap_or_default();
    assert!(key.starts_with("dva-20261128-150000-4f2a-"), "{key}");

    let other = ground.provider(&yes());
    assert_eq!(
        other.of_run(&ground.run).await,
        Some(vec![request.token.clone()])
    );
    assert!(
        !provider
            .console(&request.token)
            .await
            .expect("a console")
            .is_empty()
    );
    provider
        .release_token(&request.token)
        .await
        .expect("it ends");
    assert_eq!(ground.alive(&request.token).await, 0);
    provider
        .release_token(&request.token)
        .await
        .expect("it has ended");
    assert_eq!(other.of_run(&ground.run).await, Some(Vec::new()));
    provider
        .end_run(&ground.run)
        .await
        .expect("nothing is left");
    provider
        .end_run(&ground.run)
        .await
        .expect("nothing is left");
    assert_eq!(ground.left().await, before);
}

#[tokio::test]
async fn a_launch_that_nobody_waited_for_is_ended_by_this_process_or_another() {
    let Some(ground) = Ground::new("eu-west-2") else {
        return;
    };
    let before = ground.left().await;
    let silent = Arc::new(AtomicBool::new(false));
    let provider = ground.provider(&silent);
    for (life, process) in [(1, &provider), (2, &ground.provider(&silent))] {
        let request = ground.request(life);
        let patience = Duration::from_secs(3);
        let given_up = tokio::time::timeout(patience, provider.acquire(&request)).await;
        assert!(given_up.is_err(), "its port never answers");
        assert_eq!(ground.alive(&request.token).await, 1);
        process
            .release_token(&request.token)
            .await
            .expect("it ends");
        assert_eq!(ground.alive(&request.token).await, 0);
    }
    // A run that broke off, cleared away by somebody who knows its id alone.
    let request = ground.request(3);
    provider
        .release_token(&request.token)
        .await
        .expect("there never was one");
    let acquired = ground.provider(&yes()).acquire(&request).await;
    acquired.expect("a machine");
    ground
        .provider(&yes())
        .end_run(&ground.run)
        .await
        .expect("all ends");
    assert_eq!(ground.left().await, before);
}

#[tokio::test]
async fn what_cannot_be_launched_leaves_nothing() {
    let Some(ground) = Ground::new("eu-west-3") else {
        return;
    };
    let before = ground.left().await;
    let provider = ground.provider(&yes());
    let mut request = ground.request(1);
    request.image = ImageSource::Ec2Ami {
        ids: [(ground.region.clone(), "ami-0000000000000dead".to_owned())].into(),
    };
    let error = provider.acquire(&request).await.err().expect("no machine");
    assert_eq!(error.kind, AcquireErrorKind::Broken, "{error}");
    assert!(error.message.contains("ami-0000000000000dead"), "{error}");
    request.image = ImageSource::LocalHost;
    let error = provider.acquire(&request).await.err().expect("no machine");
    assert_eq!(error.kind, AcquireErrorKind::Unsupported, "{error}");
    assert_eq!(ground.left().await, before);
}

#[tokio::test]
async fn disks_come_and_go_and_none_is_left() {
    let Some(ground) = Ground::new("us-east-1") else {
        return;
    };
    let before = ground.left().await;
    let provider = ground.provider(&yes());
    let mut request = ground.request(1);
    request.disks = vec![disk(0), disk(1)];
    let token = &request.token;
    let machine = provider.acquire(&request).await.expect("a machine");
    let devices: BTreeSet<_> = machine.disks.iter().map(|disk| &disk.device).collect();
    assert_eq!(devices.len(), 2, "{devices:?}");

    let first = provider.attach(token, &disk(2)).await.expect("a disk");
    assert!(
        provider
            .is_attached(token, DiskIx(2))
            .await
            .expect("an answer")
    );
    let busy = provider
        .attach(token, &disk(2))
        .await
        .expect_err("it is there");
    assert_eq!(busy.kind, ControlErrorKind::Busy);
    let gone = provider.detach(token, DiskIx(2), DetachMode::Wait).await;
    gone.expect("it goes");
    assert!(
        !provider
            .is_attached(token, DiskIx(2))
            .await
            .expect("an answer")
    );
    let again = provider.attach(token, &disk(2)).await.expect("the disk");
    assert_eq!(first, again, "with what was on it");

    provider
        .detach(token, DiskIx(2), DetachMode::Wait)
        .await
        .expect("it goes");
    provider.release_token(token).await.expect("it ends");
    provider
        .end_run(&ground.run)
        .await
        .expect("nothing is left");
    assert_eq!(ground.left().await, before);
}

#[tokio::test]
async fn a_machine_is_stopped_started_and_rebooted() {
    let Some(ground) = Ground::new("us-west-2") else {
        return;
    };
    let before = ground.left().await;
    let answers = yes();
    let (provider, request) = (ground.provider(&answers), ground.request(1));
    provider.acquire(&request).await.expect("a machine");
    provider.stop(&request.token).await.expect("it stops");
    provider.start(&request.token).await.expect("it starts");
    let boots = async {
        answers.store(false, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        answers.store(true, Ordering::Relaxed);
    };
    let (rebooted, ()) = tokio::join!(provider.reboot(&request.token), boots);
    rebooted.expect("it comes back");
    provider
        .release_token(&request.token)
        .await
        .expect("it ends");
    provider
        .end_run(&ground.run)
        .await
        .expect("nothing is left");
    assert_eq!(ground.left().await, before);
}
