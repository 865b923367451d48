//! The same behaviour on the embedded server and on OpenSSH's.

use std::path::Path;
use std::sync::Arc;

use dva_runtime::transport::{
    CAPTURE_LIMIT, ConnectErrorKind, ExecErrorKind, ExecStatus, FILE_LIMIT, HostKeyCheck, Reach,
    STDIN_LIMIT, Session, TAIL_BYTES, TransferErrorKind, Transport, UploadContent,
};
use dva_ssh::{KeyPair, NoHook, SshTransport, TcpDialer, serve};

use crate::fixture::{Gate, Keys, exec, listen, log_in, request, stdout, try_exec};
use crate::proxy::{Dice, Proxy, Treatment, Trouble, Way};
use crate::sshd::Sshd;

/// A server of either kind.
struct Server {
    keys: Keys,
    address: std::net::SocketAddr,
    sshd: Option<Sshd>,
}

impl Server {
    async fn own() -> Self {
        let keys = Keys::new();
        let (listener, address) = listen().await;
        tokio::spawn(serve(listener, keys.server(Arc::new(NoHook))));
        Self {
            keys,
            address,
            sshd: None,
        }
    }

    async fn openssh() -> Option<Self> {
        let sshd = Sshd::start().await?;
        Some(Self {
            keys: sshd.keys.clone(),
            address: sshd.address,
            sshd: Some(sshd),
        })
    }

    fn reach(&self) -> Reach {
        self.keys.reach(TcpDialer::new(self.address))
    }

    async fn log_in(&self) -> Arc<dyn Session> {
        log_in(&self.reach()).await
    }

    async fn proxy(&self, treatments: Vec<Treatment>) -> (Proxy, Reach) {
        let proxy = Proxy::start(self.address, treatments).await;
        let reach = self.keys.reach(TcpDialer::new(proxy.address));
        (proxy, reach)
    }
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod own {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Server::own().await).await;
            })*
        }
        mod openssh {
            $(#[tokio::test]
            async fn $name() {
                if let Some(server) = super::Server::openssh().await {
                    super::$name(server).await;
                }
            })*
        }
    };
}

on_both! {
    statuses_are_the_commands
    signals_are_named
    much_output_is_bounded
    many_commands_take_further_connections
    what_is_left_in_the_background_holds_up_nothing
    input_reaches_the_command_and_nobody_else
    input_that_nobody_reads_stalls_nothing
    a_drop_in_mid_command_is_lost_and_output_is_kept
    another_host_key_is_refused
    small_pieces_and_delays_change_nothing
    a_stall_is_waited_for
    whenever_it_breaks_nothing_runs_twice_and_nothing_is_made_up
    files_go_there_and_back
    files_that_cannot_be_copied_are_told
    a_transfer_that_breaks_is_lost
}

async fn statuses_are_the_commands(server: Server) {
    let session = server.log_in().await;
    for code in [0, 1, 127, 255] {
        let outcome = exec(&*session, &format!("exit {code}")).await;
        assert_eq!(outcome.status, ExecStatus::Exit(code));
    }
}

async fn signals_are_named(server: Server) {
    let session = server.log_in().await;
    for name in ["KILL", "TERM", "HUP"] {
        let outcome = exec(&*session, &format!("echo before; kill -{name} $$")).await;
        assert_eq!(outcome.status, ExecStatus::Signal(name.into()));
        assert_eq!(outcome.stdout.head, b"before\n");
    }
}

async fn much_output_is_bounded(server: Server) {
    const SIZE: u64 = 18 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let session = server.log_in().await;
    let mut request = request(format!(
        "head -c {SIZE} /dev/zero; printf end; printf err >&2"
    ));
    request.stdout.file = Some(folder.path().join("out"));
    let outcome = session.exec(request).await.expect("an end");
    assert_eq!(outcome.status, ExecStatus::Exit(0));
    assert_eq!(outcome.stdout.total, SIZE + 3);
    assert_eq!(outcome.stdout.filed, FILE_LIMIT);
    assert_eq!(outcome.stdout.head.len(), CAPTURE_LIMIT);
    assert_eq!(outcome.stdout.tail.len(), TAIL_BYTES);
    assert!(outcome.stdout.tail.ends_with(b"\0end"));
    assert_eq!(outcome.stderr.whole(), Some(&b"err"[..]));
}

async fn many_commands_take_further_connections(server: Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let session = server.log_in().await;
    let mut commands = Vec::new();
    let mut writers = Vec::new();
    for number in 0..18 {
        let gate = Gate::new(folder.path(), &number.to_string());
        let (session, command) = (
            Arc::clone(&session),
            format!("cat {}; echo {number}", gate.path()),
        );
        commands.push(tokio::spawn(
            async move { stdout(&*session, &command).await },
        ));
        // It runs, and so do all before it.
        writers.push(gate.writer().await);
    }
    drop(writers);
    for (number, command) in commands.into_iter().enumerate() {
        assert_eq!(command.await.expect("no panic"), format!("{number}\n"));
    }
    if let Some(sshd) = &server.sshd {
        assert_eq!(sshd.connections(), 3);
    }
    session.close().await;
}

async fn what_is_left_in_the_background_holds_up_nothing(server: Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::new(folder.path(), "gate");
    let session = server.log_in().await;
    let silent = format!(
        "(cat {}) >/dev/null 2>&1 </dev/null & echo done",
        gate.path()
    );
    let outcome = exec(&*session, &silent).await;
    assert_eq!(outcome.stdout.head, b"done\n");
    drop(gate.writer().await);
}

async fn input_reaches_the_command_and_nobody_else(server: Server) {
    let session = server.log_in().await;
    for size in [0, 1, 70_000, STDIN_LIMIT] {
        let mut request = request("cksum; echo end");
        request.stdin = vec![b's'; size];
        assert!(!format!("{request:?}").contains("ss"), "a secret in a log");
        assert!(!format!("{request:?}").contains("115"), "a secret in a log");
        let outcome = session.exec(request).await.expect("an end");
        let said = String::from_utf8(outcome.stdout.head).expect("text");
        assert!(said.contains(&format!(" {size}\nend")), "{size}: {said}");
    }
    let mut request = request("true");
    request.stdin = vec![0; STDIN_LIMIT + 1];
    let error = session.exec(request).await.expect_err("too large");
    assert_eq!(error.kind, ExecErrorKind::Refused);
}

async fn input_that_nobody_reads_stalls_nothing(server: Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let session = server.log_in().await;
    let mut held = Vec::new();
    let mut writers = Vec::new();
    for name in ["one", "two", "three"] {
        let gate = Gate::new(folder.path(), name);
        let mut request = request(format!("cat {}; exit 3", gate.path()));
        request.stdin = vec![b'x'; STDIN_LIMIT];
        let session = Arc::clone(&session);
        held.push(tokio::spawn(async move { session.exec(request).await }));
        writers.push(gate.writer().await);
    }
    for _ in 0..5 {
        let outcome = exec(&*session, "head -c 3000000 /dev/zero").await;
        assert_eq!(outcome.stdout.total, 3_000_000);
    }
    drop(writers);
    for command in held {
        let outcome = command.await.expect("no panic").expect("an end");
        assert_eq!(outcome.status, ExecStatus::Exit(3));
    }
    // One that ends while most of its input is on its way.
    let mut request = request("exit 4");
    request.stdin = vec![b'x'; STDIN_LIMIT];
    let outcome = session.exec(request).await.expect("an end");
    assert_eq!(outcome.status, ExecStatus::Exit(4));
}

/// Returns once a file has something in it.
async fn filled(path: &Path) {
    while std::fs::metadata(path).map_or(0, |data| data.len()) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn a_drop_in_mid_command_is_lost_and_output_is_kept(server: Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::new(folder.path(), "gate");
    let out = folder.path().join("out");
    let (proxy, reach) = server.proxy(Vec::new()).await;
    let session = log_in(&reach).await;
    let mut request = request(format!("echo before; cat {}", gate.path()));
    request.stdout.file = Some(out.clone());
    let running = Arc::clone(&session);
    let running = tokio::spawn(async move { running.exec(request).await });
    let writer = gate.writer().await;
    filled(&out).await;
    proxy.reset();
    let error = running.await.expect("no panic").expect_err("no end");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    assert_eq!(std::fs::read(&out).expect("a file"), b"before\n");
    assert_eq!(stdout(&*session, "echo again").await, "again\n");
    assert_eq!(session.broken_connections(), 1);
    drop(writer);
    // The server's own end says the same.
    if let Some(sshd) = &server.sshd {
        let second = Gate::new(folder.path(), "second");
        let (held, command) = (Arc::clone(&session), format!("cat {}", second.path()));
        let held = tokio::spawn(async move { try_exec(&*held, &command).await });
        let writer = second.writer().await;
        // Of those that were reset some may have ended.
        sshd.kill();
        let error = held.await.expect("no panic").expect_err("no end");
        assert_eq!(error.kind, ExecErrorKind::Lost);
        drop(writer);
    }
}

async fn another_host_key_is_refused(server: Server) {
    let mut reach = server.reach();
    reach.host_key = HostKeyCheck::Pinned(KeyPair::generate().public_key);
    let error = SshTransport::new().connect(&reach).await.err();
    assert_eq!(error.expect("no login").kind, ConnectErrorKind::HostKey);
}

async fn small_pieces_and_delays_change_nothing(server: Server) {
    let treatment = Treatment {
        seed: 7,
        splits: true,
        delay_ms: 1,
        trouble: None,
    };
    let (_proxy, reach) = server.proxy(vec![treatment]).await;
    let session = log_in(&reach).await;
    let mut request = request("cat; printf end");
    request.stdin = vec![b'y'; 30_000];
    let outcome = session.exec(request).await.expect("an end");
    assert_eq!(outcome.stdout.total, 30_003);
    let outcome = exec(&*session, "head -c 60000 /dev/zero; exit 7").await;
    assert_eq!(outcome.status, ExecStatus::Exit(7));
    assert_eq!(outcome.stdout.total, 60_000);
}

async fn a_stall_is_waited_for(server: Server) {
    for (way, at) in [(Way::ToClient, 50_000), (Way::ToServer, 50_000)] {
        let treatment = Treatment {
            seed: 3,
            trouble: Some((way, at, Trouble::Stall)),
            ..Treatment::default()
        };
        let (proxy, reach) = server.proxy(vec![treatment]).await;
        let session = log_in(&reach).await;
        let mut request = request("cat");
        request.stdin = vec![b'y'; 200_000];
        let command = tokio::spawn(async move { session.exec(request).await });
        proxy.stalled().await;
        assert!(!command.is_finished());
        proxy.go_on();
        let outcome = command.await.expect("no panic").expect("an end");
        assert_eq!(outcome.stdout.total, 200_000);
    }
}

async fn whenever_it_breaks_nothing_runs_twice_and_nothing_is_made_up(server: Server) {
    let rounds = if server.sshd.is_some() { 16 } else { 48 };
    let folder = tempfile::tempdir().expect("a folder");
    let mut dice = Dice(0x5eed_0bad_c0de);
    let mut expected = b"begin\n".to_vec();
    expected.extend([b'x'; 40_000]);
    let (mut ended, mut lost, mut outside) = (0, 0, 0);
    for round in 0..rounds {
        let way = [Way::ToServer, Way::ToClient][dice.below(2) as usize];
        // What a login takes, and then this or that much of the command.
        let limit = if way == Way::ToServer { 4_500 } else { 48_000 };
        let trouble = [Trouble::Reset, Trouble::HalfClose][dice.below(2) as usize];
        let treatment = Treatment {
            seed: dice.below(u64::MAX),
            splits: dice.below(2) == 0,
            delay_ms: 0,
            trouble: Some((way, dice.below(limit), trouble)),
        };
        let (_proxy, reach) = server.proxy(vec![treatment]).await;
        let (count, out) = (
            folder.path().join(format!("count-{round}")),
            folder.path().join(format!("out-{round}")),
        );
        let session = match SshTransport::new().connect(&reach).await {
            Ok(session) => session,
            Err(error) => {
                assert_eq!(
                    error.kind,
                    ConnectErrorKind::Unreachable,
                    "{error} {treatment:?}"
                );
                outside += 1;
                continue;
            }
        };
        let mut request = request(format!(
            "echo run >> {}; echo begin; head -c 40000 /dev/zero | tr '\\0' x; exit 9",
            count.display()
        ));
        request.stdout.file = Some(out.clone());
        let result = session.exec(request).await;
        let written = std::fs::read(&out).expect("a file");
        assert!(expected.starts_with(&written), "{treatment:?}");
        match result {
            Ok(outcome) => {
                assert_eq!(outcome.status, ExecStatus::Exit(9), "{treatment:?}");
                assert_eq!(written.len(), expected.len(), "{treatment:?}");
                ended += 1;
            }
            Err(error) => {
                assert_eq!(error.kind, ExecErrorKind::Lost, "{error} {treatment:?}");
                lost += 1;
            }
        }
        // Later commands find a machine, and by then the first has run once or never.
        exec(&*session, "true").await;
        let runs = std::fs::read_to_string(&count).unwrap_or_default();
        assert!(runs.lines().count() <= 1, "{runs} {treatment:?}");
        session.close().await;
    }
    println!("{ended} ended, {lost} lost, {outside} without a login");
    assert!(lost > 0 && outside > 0);
}

async fn files_go_there_and_back(server: Server) {
    check_files(&*server.log_in().await).await;
}

/// Copies files of all sizes to the machine, which is this host, and back.
pub async fn check_files(session: &dyn Session) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let large: Vec<u8> = (0..3_000_001_u32).map(|n| (n / 251) as u8).collect();
    for (name, bytes, mode) in [
        ("empty", &large[..0], 0o644),
        ("a 'quoted' name", &large[..5], 0o600),
        ("large", &large[..], 0o755),
        // It exists already, and is larger.
        ("large", &large[..70_000], 0o640),
    ] {
        let remote = path(name);
        let content = UploadContent::Bytes(bytes.to_vec());
        session
            .upload(content, &remote, mode)
            .await
            .expect("uploads");
        assert!(std::fs::read(&remote).expect("a file") == bytes, "{name}");
        let metadata = std::fs::metadata(&remote).expect("a file");
        let is = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(is & 0o7777, mode, "{name}");
    }
    std::fs::write(path("source"), &large).expect("a file");
    let content = UploadContent::File(path("source").into());
    session
        .upload(content, &path("copy"), 0o600)
        .await
        .expect("uploads");
    assert!(std::fs::read(path("copy")).expect("a file") == large);
    let size = large.len() as u64;
    for (limit, bytes, truncated) in [
        (u64::MAX, size, false),
        (size, size, false),
        (size - 1, size - 1, true),
        (1000, 1000, true),
        (0, 0, true),
    ] {
        let into = folder.path().join("back");
        std::fs::write(&into, "what was there before").expect("a file");
        let collected = session
            .collect(&path("copy"), &into, limit)
            .await
            .expect("collects");
        assert_eq!((collected.bytes, collected.truncated), (bytes, truncated));
        let back = std::fs::read(&into).expect("a file");
        assert!(back == large[..usize::try_from(bytes).expect("small")]);
    }
}

async fn files_that_cannot_be_copied_are_told(server: Server) {
    check_refusals(&*server.log_in().await).await;
}

/// Copies that must fail, and what they are called.
pub async fn check_refusals(session: &dyn Session) {
    let folder = tempfile::tempdir().expect("a folder");
    let into = folder.path().join("into");
    let bytes = || UploadContent::Bytes(b"x".to_vec());
    for remote in ["/nonexistent/file", "/proc", "", "a\0b"] {
        let error = session.upload(bytes(), remote, 0o600).await;
        let error = error.expect_err("no such folder");
        assert_eq!(error.kind, TransferErrorKind::Remote, "{remote:?}: {error}");
        let error = session.collect(remote, &into, 100).await;
        let error = error.expect_err("no such file");
        assert_eq!(error.kind, TransferErrorKind::Remote, "{remote:?}: {error}");
    }
    let error = session.upload(bytes(), "/dev/full", 0o666).await;
    let error = error.expect_err("full");
    assert_eq!(error.kind, TransferErrorKind::Remote, "{error}");
    let content = UploadContent::File("/nonexistent/file".into());
    let error = session.upload(content, "/dev/null", 0o666).await;
    let error = error.expect_err("no file of ours");
    assert_eq!(error.kind, TransferErrorKind::Local, "{error}");
    let error = session.collect("/etc/hostname", Path::new("/nonexistent/x"), 1);
    let error = error.await.expect_err("no folder of ours");
    assert_eq!(error.kind, TransferErrorKind::Local, "{error}");
    // None of it costs the connection, or a channel of it.
    for _ in 0..12 {
        let error = session.collect("/nonexistent/file", &into, 1).await;
        assert!(error.is_err());
    }
    exec(session, "true").await;
    assert_eq!(session.broken_connections(), 0);
}

async fn a_transfer_that_breaks_is_lost(server: Server) {
    let folder = tempfile::tempdir().expect("a folder");
    let remote = folder.path().join("remote").display().to_string();
    let treatment = |way, at| Treatment {
        seed: 5,
        trouble: Some((way, at, Trouble::Reset)),
        ..Treatment::default()
    };
    let (_proxy, reach) = server
        .proxy(vec![treatment(Way::ToServer, 1_000_000)])
        .await;
    let session = log_in(&reach).await;
    let content = UploadContent::Bytes(vec![1; 3_000_000]);
    let error = session.upload(content, &remote, 0o600).await;
    let error = error.expect_err("cut");
    assert_eq!(error.kind, TransferErrorKind::Lost, "{error}");
    let (_proxy, reach) = server.proxy(vec![treatment(Way::ToClient, 100_000)]).await;
    let session = log_in(&reach).await;
    std::fs::write(&remote, vec![1; 3_000_000]).expect("a file");
    let into = folder.path().join("into");
    let error = session.collect(&remote, &into, u64::MAX).await;
    let error = error.expect_err("cut");
    assert_eq!(error.kind, TransferErrorKind::Lost, "{error}");
    exec(&*session, "true").await;
}
