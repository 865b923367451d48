//! Ways to a machine that lead through something else.

use std::sync::Arc;

use dva_runtime::transport::{ConnectErrorKind, HostKeyCheck, Transport};
use dva_ssh::{CommandDialer, JumpDialer, KeyPair, NoHook, SshTransport, TcpDialer, serve};

use crate::fixture::{Keys, exec, listen, log_in, stdout};
use crate::sshd::Sshd;

async fn own_server() -> (Keys, u16) {
    let keys = Keys::new();
    let (listener, address) = listen().await;
    tokio::spawn(serve(listener, keys.server(Arc::new(NoHook))));
    (keys, address.port())
}

#[tokio::test]
async fn a_jump_host_leads_on() {
    let Some(jump) = Sshd::start().await else {
        return;
    };
    let (keys, port) = own_server().await;
    let transport = SshTransport::new();
    let dialer = |reach, port| JumpDialer::new(&transport, &reach, "127.0.0.1", port);
    let session = log_in(&keys.reach(dialer(jump.reach(), port))).await;
    assert_eq!(stdout(&*session, "echo through").await, "through\n");
    let outcome = exec(&*session, "head -c 5000000 /dev/zero").await;
    assert_eq!(outcome.stdout.total, 5_000_000);
    session.close().await;

    let refused = async |reach| transport.connect(&reach).await.err().expect("no login");
    let (listener, address) = listen().await;
    drop(listener);
    let error = refused(keys.reach(dialer(jump.reach(), address.port()))).await;
    assert_eq!(error.kind, ConnectErrorKind::Unreachable);
    assert!(error.message.contains("jump host"), "{error}");

    // What is wrong with the jump host is not hidden.
    let mut other = jump.reach();
    other.host_key = HostKeyCheck::Pinned(KeyPair::generate().public_key);
    let error = refused(keys.reach(dialer(other, port))).await;
    assert_eq!(error.kind, ConnectErrorKind::HostKey);
    assert!(error.message.contains("jump host"), "{error}");

    // The machine behind it is checked as any other.
    let mut reach = keys.reach(dialer(jump.reach(), port));
    reach.host_key = HostKeyCheck::Pinned(jump.keys.host.public_key.clone());
    assert_eq!(refused(reach).await.kind, ConnectErrorKind::HostKey);
}

#[tokio::test]
async fn our_own_server_is_no_jump_host() {
    let (keys, port) = own_server().await;
    let address = ([127, 0, 0, 1], port).into();
    let jump = keys.reach(TcpDialer::new(address));
    let dialer = JumpDialer::new(&SshTransport::new(), &jump, "127.0.0.1", port);
    let error = SshTransport::new().connect(&keys.reach(dialer)).await;
    let error = error.err().expect("no login");
    assert_eq!(error.kind, ConnectErrorKind::Unreachable);
}

#[tokio::test]
async fn a_command_leads_on_and_ends_with_the_stream() {
    let (keys, port) = own_server().await;
    let folder = tempfile::tempdir().expect("a folder");
    let pids = folder.path().join("pids");
    // A shell with a child: both are to end.
    let template = format!(
        "bash -c 'exec 3<>/dev/tcp/%h/%p; cat <&3 & echo $$ $! > {}; cat >&3; wait'",
        pids.display()
    );
    let dialer = CommandDialer::new(template, "127.0.0.1", port, "root");
    let session = log_in(&keys.reach(dialer)).await;
    let outcome = exec(&*session, "head -c 5000000 /dev/zero; exit 6").await;
    assert_eq!(outcome.stdout.total, 5_000_000);
    let pids = std::fs::read_to_string(pids).expect("a file");
    drop(session);
    for pid in pids.split_whitespace() {
        let status = format!("/proc/{pid}/stat");
        // Nobody tells that it has ended. A zombie has.
        let runs = || {
            let stat = std::fs::read_to_string(&status).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while runs() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test]
async fn a_command_that_leads_nowhere_is_unreachable() {
    for template in ["exit 1", "true", "/nonexistent/program", "echo SSH-2.0-x"] {
        let dialer = CommandDialer::new(template, "127.0.0.1", 22, "root");
        let result = SshTransport::new()
            .connect(&Keys::new().reach(dialer))
            .await;
        let error = result.err().expect("no login");
        assert_eq!(
            error.kind,
            ConnectErrorKind::Unreachable,
            "{template}: {error}"
        );
    }
}
