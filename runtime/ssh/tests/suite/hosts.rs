//! Machines that exist already.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use dva_plan::plan::{DiskIx, ImageSource, Machine, Network};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{
    AcquireErrorKind, DiskRequest, MachineRequest, MachineToken, Provider,
};
use dva_runtime::transport::Transport;
use dva_ssh::{HostAddress, HostsConfig, HostsProvider, NoHook, serve};

use crate::fixture::{Keys, exec, listen, stdout, try_exec};
use crate::sshd::{Sshd, write_key};

fn machine() -> Machine {
    Machine {
        region: "lab".into(),
        r#type: "rack".into(),
        vcpus: 1,
        memory_bytes: 1,
        arch: "none".into(),
        quote: None,
        partition: String::new(),
        features: None,
    }
}

fn run() -> RunId {
    RunId::new("20261123-040000-abcd")
}

fn request(life: u32) -> MachineRequest {
    MachineRequest {
        token: MachineToken::new(&run(), life),
        run: run(),
        cell: CellId::of("cell", []),
        image: ImageSource::LocalHost,
        logins: Vec::new(),
        machine: machine(),
        disks: Vec::new(),
        boot: Default::default(),
        network: Network::default(),
        network_name: None,
        market: Vec::new(),
        lifetime: Duration::from_secs(60),
    }
}

/// The keys of a server and the settings by which its hosts are reached.
fn config(keys: &Keys, folder: &std::path::Path, ports: &[u16]) -> HostsConfig {
    write_key(&folder.join("key"), &keys.client.private_key);
    let known: String = ports
        .iter()
        .map(|port| format!("[127.0.0.1]:{port} {}\n", keys.host.public_key))
        .collect();
    std::fs::write(folder.join("known"), known).expect("a file");
    let host = |port: &u16| HostAddress::parse(&format!("127.0.0.1:{port}")).expect("an address");
    HostsConfig {
        hosts: ports.iter().map(host).collect(),
        identities: vec![folder.join("key")],
        known_hosts: vec![folder.join("known")],
        ..HostsConfig::default()
    }
}

async fn check(config: HostsConfig) {
    let transport = config.transport();
    let provider = HostsProvider::new(config);
    assert!(provider.serves(&ImageSource::LocalHost, &machine()));
    let acquired = provider.acquire(&request(1)).await.expect("a host");
    let asserted = (&*acquired.machine.region, &*acquired.machine.r#type);
    assert_eq!(asserted, ("lab", "rack"));
    assert!(acquired.machine.vcpus > 0 && acquired.machine.memory_bytes > 1 << 20);
    let session = transport.connect(&acquired.reach).await.expect("logs in");
    let arch = stdout(&*session, "uname -m").await;
    // The kernel's name for it, where the catalog has EC2's.
    let arch = arch.trim_end().replace("aarch64", "arm64");
    assert_eq!(arch, acquired.machine.arch);
    session.close().await;
    provider
        .release_token(&request(1).token)
        .await
        .expect("fine");
    provider
        .release_token(&request(1).token)
        .await
        .expect("twice");
    // It is there still, and can be had again.
    let again = provider.acquire(&request(2)).await.expect("a host");
    assert_eq!(again.id, acquired.id);
    let session = transport.connect(&again.reach).await.expect("logs in");
    exec(&*session, "true").await;
}

async fn own(count: usize) -> (Keys, Vec<u16>) {
    let keys = Keys::new();
    let mut ports = Vec::new();
    for _ in 0..count {
        let (listener, address) = listen().await;
        tokio::spawn(serve(listener, keys.server(Arc::new(NoHook))));
        ports.push(address.port());
    }
    (keys, ports)
}

#[tokio::test]
async fn the_login_that_looked_at_a_host_is_taken_over_once() {
    let Some(sshd) = Sshd::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let config = config(&sshd.keys, folder.path(), &[sshd.address.port()]);
    let provider = HostsProvider::new(config);
    let transport = provider.transport();
    let acquired = provider.acquire(&request(1)).await.expect("a host");
    let first = transport.connect(&acquired.reach).await.expect("logs in");
    exec(&*first, "true").await;
    assert_eq!(sshd.connections(), 1);
    let second = transport.connect(&acquired.reach).await.expect("logs in");
    exec(&*second, "true").await;
    assert_eq!(sshd.connections(), 2);
    first.close().await;
    exec(&*second, "true").await;

    // One that has broken meanwhile is none.
    provider
        .release_token(&request(1).token)
        .await
        .expect("fine");
    let again = provider.acquire(&request(2)).await.expect("a host");
    assert_eq!(sshd.connections(), 3);
    sshd.kill();
    let third = loop {
        let session = transport.connect(&again.reach).await.expect("logs in");
        if try_exec(&*session, "true").await.is_ok() {
            break session;
        }
    };
    exec(&*third, "true").await;
    assert!(sshd.connections() >= 4);
}

#[tokio::test]
async fn a_host_is_lent_and_given_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (keys, ports) = own(1).await;
    check(config(&keys, folder.path(), &ports)).await;
}

#[tokio::test]
async fn a_host_with_sshd_is_lent_and_given_back_also_through_others() {
    let Some(sshd) = Sshd::start().await else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let direct = config(&sshd.keys, folder.path(), &[sshd.address.port()]);
    check(direct.clone()).await;
    let jump = HostsConfig {
        jump: Some(direct.hosts[0].clone()),
        ..direct.clone()
    };
    check(jump).await;
    let command = "bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & cat >&3'";
    let command = HostsConfig {
        proxy_command: Some(command.into()),
        ..direct
    };
    check(command).await;
}

#[tokio::test]
async fn who_comes_late_waits_for_a_free_host() {
    let folder = tempfile::tempdir().expect("a folder");
    let (keys, ports) = own(2).await;
    let provider = HostsProvider::new(config(&keys, folder.path(), &ports));
    let first = provider.acquire(&request(1)).await.expect("a host");
    let second = provider.acquire(&request(2)).await.expect("a host");
    assert_ne!(first.id, second.id);
    // Asked twice with one token it gives the host it gave before.
    let again = provider.acquire(&request(1)).await.expect("a host");
    assert_eq!(again.id, first.id);

    let late = request(3);
    let mut waiting = Box::pin(provider.acquire(&late));
    let polled = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    provider
        .release_token(&request(2).token)
        .await
        .expect("fine");
    assert_eq!(waiting.await.expect("a host").id, second.id);

    // Who gives up waiting takes no host with it.
    let (given_up, next) = (request(4), request(5));
    let mut waiting = Box::pin(provider.acquire(&given_up));
    let polled = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx))).await;
    assert!(polled.is_pending());
    drop(waiting);
    provider.release_token(&late.token).await.expect("fine");
    assert_eq!(provider.acquire(&next).await.expect("a host").id, second.id);
}

#[tokio::test]
async fn what_a_host_cannot_do_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let (keys, ports) = own(1).await;
    let mut config = config(&keys, folder.path(), &ports);
    let mut with_disk = request(1);
    with_disk.disks.push(DiskRequest {
        disk: DiskIx(0),
        name: "data".into(),
        size_bytes: 1 << 30,
    });
    let provider = HostsProvider::new(config.clone());
    let error = provider.acquire(&with_disk).await.err().expect("refused");
    assert_eq!(error.kind, AcquireErrorKind::Unsupported);
    assert!(error.message.contains("data"), "{error}");

    let none = HostsProvider::new(HostsConfig::default());
    let error = none.acquire(&request(1)).await.err().expect("refused");
    assert_eq!(error.kind, AcquireErrorKind::Unsupported);

    // A host that does not let us in is named, and given back.
    config.known_hosts = vec![folder.path().join("nobody")];
    let provider = HostsProvider::new(config);
    for life in 1..3 {
        let error = provider
            .acquire(&request(life))
            .await
            .err()
            .expect("unknown");
        assert_eq!(error.kind, AcquireErrorKind::Broken);
        assert!(error.message.contains("not a known host"), "{error}");
        assert!(
            error
                .message
                .contains(&format!("root@127.0.0.1:{}", ports[0])),
            "{error}"
        );
    }
}
