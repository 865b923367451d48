//! Logins that do not work, and what each is called.

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use dva_runtime::transport::{
    ByteStream, ConnectErrorKind, Credential, Dialer, ExecStatus, HostKeyCheck, Reach, Transport,
};
use dva_ssh::{KeyPair, NoHook, SshTransport, TcpDialer, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::fixture::{Keys, exec, listen, log_in, server_with};

async fn refused(reach: &Reach) -> ConnectErrorKind {
    let result = SshTransport::new().connect(reach).await;
    result.err().expect("no login").kind
}

#[tokio::test]
async fn another_client_key_is_refused() {
    let (keys, mut reach) = server_with(Arc::new(NoHook)).await;
    reach.credentials = vec![Credential::Key(KeyPair::generate().private_key.into())];
    assert_eq!(refused(&reach).await, ConnectErrorKind::Auth);
    reach.credentials = vec![Credential::Key(keys.client.private_key.as_str().into())];
    reach.users = vec!["ubuntu".into(), "root".into()];
    assert_eq!(refused(&reach).await, ConnectErrorKind::Auth);
    exec(&*log_in(&reach.for_user("root")).await, "true").await;
}

#[tokio::test]
async fn another_host_key_is_refused() {
    let (_, mut reach) = server_with(Arc::new(NoHook)).await;
    reach.host_key = HostKeyCheck::Pinned(KeyPair::generate().public_key);
    assert_eq!(refused(&reach).await, ConnectErrorKind::HostKey);
}

#[tokio::test]
async fn the_host_key_that_was_shown_first_has_to_be_shown_again() {
    let (_, mut reach) = server_with(Arc::new(NoHook)).await;
    let first = Arc::new(OnceLock::new());
    reach.host_key = HostKeyCheck::FirstShown(Arc::clone(&first));
    exec(&*log_in(&reach).await, "true").await;
    assert!(first.get().is_some());
    exec(&*log_in(&reach).await, "true").await;
    let (_, mut other) = server_with(Arc::new(NoHook)).await;
    other.host_key = reach.host_key;
    assert_eq!(refused(&other).await, ConnectErrorKind::HostKey);
}

#[tokio::test]
async fn a_host_key_of_another_kind_is_another_host_key() {
    let (_, mut reach) = server_with(Arc::new(NoHook)).await;
    reach.host_key = HostKeyCheck::Pinned("ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBHwf2HMM5TRXvo2SQJjsNkiDD5KqiiNjrGVv3UUh+mMT5RHxiRtOnlqvjhQtBq0VpmpCV/PwUdhOig4vkbqAcEc=".into());
    assert_eq!(refused(&reach).await, ConnectErrorKind::HostKey);
}

#[tokio::test]
async fn keys_that_cannot_be_read_are_unusable() {
    let (keys, mut reach) = server_with(Arc::new(NoHook)).await;
    reach.credentials = vec![Credential::Key("no key".into())];
    assert_eq!(refused(&reach).await, ConnectErrorKind::Unusable);
    reach.credentials = vec![Credential::Key(keys.client.private_key.as_str().into())];
    reach.host_key = HostKeyCheck::Pinned("no key".into());
    assert_eq!(refused(&reach).await, ConnectErrorKind::Unusable);
}

#[tokio::test]
async fn a_server_does_not_start_with_keys_that_cannot_be_read() {
    let mut config = Keys::new().server(Arc::new(NoHook));
    config.authorized_keys = vec!["no key".into()];
    let (listener, _) = listen().await;
    let error = serve(listener, config).await.expect_err("refuses");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}

#[tokio::test]
async fn nobody_listens() {
    let (listener, address) = listen().await;
    drop(listener);
    let reach = Keys::new().reach(TcpDialer::new(address));
    assert_eq!(refused(&reach).await, ConnectErrorKind::Unreachable);
}

#[tokio::test]
async fn a_port_that_hangs_up_or_speaks_otherwise_is_unreachable() {
    for greeting in [
        "",
        "SSH-2.0-x\r\n",
        "SSH-2.0-x\r\nnonsense that is no packet",
    ] {
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            stream.write_all(greeting.as_bytes()).await.expect("whole");
        });
        let reach = Keys::new().reach(TcpDialer::new(address));
        assert_eq!(refused(&reach).await, ConnectErrorKind::Unreachable);
    }
}

/// Hands the other end of each stream to the test.
struct PipeDialer(mpsc::UnboundedSender<DuplexStream>);

#[async_trait]
impl Dialer for PipeDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let (near, far) = duplex(1 << 16);
        self.0.send(far).map_err(|_| io::ErrorKind::NotConnected)?;
        Ok(Box::new(near))
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_port_is_unreachable_after_ten_seconds_and_then_let_go() {
    for greeting in ["", "SSH-2.0-x\r\n"] {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let reach = Keys::new().reach(PipeDialer(sender));
        let begun = Instant::now();
        let login = tokio::spawn(async move { refused(&reach).await });
        let mut far = receiver.recv().await.expect("dials");
        far.write_all(greeting.as_bytes()).await.expect("whole");
        assert_eq!(
            login.await.expect("no panic"),
            ConnectErrorKind::Unreachable
        );
        assert!(begun.elapsed() >= Duration::from_secs(10));
        assert!(begun.elapsed() < Duration::from_secs(11));
        let mut said = Vec::new();
        far.read_to_end(&mut said).await.expect("hangs up");
        assert!(said.starts_with(b"SSH-2.0-dva_"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_dialer_that_never_answers_is_unreachable() {
    struct Never;
    #[async_trait]
    impl Dialer for Never {
        async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
            std::future::pending().await
        }
    }
    let reach = Keys::new().reach(Never);
    assert_eq!(refused(&reach).await, ConnectErrorKind::Unreachable);
}

#[tokio::test]
async fn any_byte_stream_will_do() {
    let keys = Keys::new();
    let (listener, address) = listen().await;
    tokio::spawn(serve(listener, keys.server(Arc::new(NoHook))));
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(mut far) = receiver.recv().await {
            let mut stream = TcpStream::connect(address).await.expect("listens");
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut far, &mut stream).await });
        }
    });
    let session = log_in(&keys.reach(PipeDialer(sender))).await;
    let outcome = exec(&*session, "head -c 5000000 /dev/zero; exit 9").await;
    assert_eq!(outcome.status, ExecStatus::Exit(9));
    assert_eq!(outcome.stdout.total, 5_000_000);
}
