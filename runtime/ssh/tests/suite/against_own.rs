//! Commands on the embedded server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dva_runtime::transport::{
    ByteStream, CAPTURE_LIMIT, Dialer, ExecErrorKind, ExecStatus, FILE_LIMIT, StreamPlan,
    TAIL_BYTES,
};
use dva_ssh::{ExecHook, NoHook, TcpDialer, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::fixture::{
    Gate, Keys, exec, listen, log_in, request, server_with, session, stdout, try_exec,
};

#[tokio::test]
async fn an_exit_status_is_the_commands_even_255() {
    let session = session().await;
    for code in [0, 1, 3, 127, 255] {
        let outcome = exec(&*session, &format!("exit {code}")).await;
        assert_eq!(outcome.status, ExecStatus::Exit(code));
    }
}

#[tokio::test]
async fn death_by_signal_names_the_signal() {
    let session = session().await;
    for name in ["KILL", "TERM", "SEGV", "BUS", "USR2"] {
        let outcome = exec(&*session, &format!("echo before; kill -{name} $$")).await;
        assert_eq!(outcome.status, ExecStatus::Signal(name.into()));
        assert_eq!(outcome.stdout.head, b"before\n");
    }
}

#[tokio::test]
async fn the_streams_are_kept_apart_and_bytes_as_they_are() {
    let session = session().await;
    let outcome = exec(
        &*session,
        r"printf 'a\000\377b'; printf 'no line end' >&2; printf '\n\n'",
    )
    .await;
    assert_eq!(outcome.stdout.whole(), Some(&b"a\0\xffb\n\n"[..]));
    assert_eq!(outcome.stderr.whole(), Some(&b"no line end"[..]));
}

#[tokio::test]
async fn much_output_is_bounded_in_memory_and_on_disk() {
    const SIZE: u64 = 20 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let session = session().await;
    let mut request = request(format!(
        "(printf start; head -c {SIZE} /dev/zero; printf the-end) & \
         head -c {SIZE} /dev/zero | tr '\\000' e >&2; wait"
    ));
    let plan = |name: &str| StreamPlan {
        file: Some(folder.path().join(name)),
        ..StreamPlan::default()
    };
    (request.stdout, request.stderr) = (plan("out"), plan("err"));
    let outcome = session.exec(request).await.expect("an end");
    assert_eq!(outcome.status, ExecStatus::Exit(0));
    for (name, stream, extra) in [("out", &outcome.stdout, 12), ("err", &outcome.stderr, 0)] {
        assert_eq!(stream.total, SIZE + extra, "{name}");
        assert_eq!(stream.filed, FILE_LIMIT, "{name}");
        assert_eq!(stream.head.len(), CAPTURE_LIMIT, "{name}");
        assert_eq!(stream.tail.len(), TAIL_BYTES, "{name}");
        let file = std::fs::metadata(folder.path().join(name)).expect("a file");
        assert_eq!(file.len(), FILE_LIMIT, "{name}");
    }
    assert!(outcome.stdout.head.starts_with(b"start\0"));
    assert!(outcome.stdout.tail.ends_with(b"\0the-end"));
    assert!(outcome.stderr.tail.iter().all(|&byte| byte == b'e'));
}

#[tokio::test]
async fn files_are_appended_to_by_one_command_after_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let session = session().await;
    for word in ["one", "two"] {
        let mut request = request(format!("echo {word}"));
        request.stdout.file = Some(path.clone());
        session.exec(request).await.expect("an end");
    }
    assert_eq!(std::fs::read(path).expect("a file"), b"one\ntwo\n");
}

#[tokio::test]
async fn a_file_that_cannot_be_written_stops_before_anything_is_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let marker = folder.path().join("marker");
    let session = session().await;
    let mut request = request(format!("touch {}", marker.display()));
    request.stderr.file = Some(folder.path().join("missing/err"));
    let error = session.exec(request).await.expect_err("no file");
    assert_eq!(error.kind, ExecErrorKind::File);
    exec(&*session, "true").await;
    assert!(!marker.exists());
}

#[tokio::test]
async fn a_disk_that_fails_half_way_is_an_error_and_the_session_lives() {
    let session = session().await;
    let mut request = request("head -c 10000000 /dev/zero");
    request.stdout.file = Some("/dev/full".into());
    let error = session.exec(request).await.expect_err("full");
    assert_eq!(error.kind, ExecErrorKind::File);
    assert_eq!(stdout(&*session, "echo still here").await, "still here\n");
}

#[tokio::test]
async fn standard_input_is_empty() {
    let session = session().await;
    assert_eq!(stdout(&*session, "cat; echo end").await, "end\n");
}

#[tokio::test]
async fn the_environment_is_clean() {
    let session = session().await;
    assert_eq!(
        stdout(&*session, "env | grep -v '^_=' | sort; pwd").await,
        "HOME=/root\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
         PWD=/\nSHELL=/bin/sh\nUSER=root\n/\n"
    );
}

#[tokio::test]
async fn a_command_leads_its_own_session_and_leaves_no_zombie() {
    let session = session().await;
    let text = stdout(&*session, "cut -d' ' -f1,5,6 /proc/$$/stat; echo").await;
    let ids: Vec<_> = text.split_whitespace().collect();
    assert!(
        ids.len() == 3 && ids.iter().all(|id| *id == ids[0]),
        "{text}"
    );
    assert!(!std::path::Path::new("/proc").join(ids[0]).exists());
}

#[tokio::test]
async fn a_command_is_not_changed_on_its_way() {
    let session = session().await;
    let unusual = "a'\\''b \"$HOME\" `id` \\n \t\r\n\u{1}\u{7f}\u{1b}[31m ü 🦀 \u{202e} %s {} *";
    let echoed = stdout(&*session, &format!("printf %s '{unusual}'")).await;
    assert_eq!(echoed, unusual.replace("'\\''", "'"));
    let long = "x".repeat(100_000);
    assert_eq!(stdout(&*session, &format!("printf %s {long}")).await, long);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_is_no_exit_status() {
    let session = session().await;
    // Longer than what a kernel takes as one argument.
    let command = format!("echo {}", "x".repeat(200_000));
    let error = try_exec(&*session, &command).await.expect_err("too long");
    assert_eq!(error.kind, ExecErrorKind::Refused);
    assert!(error.message.contains("would not start"), "{error}");
    let error = try_exec(&*session, "echo \0").await.expect_err("a NUL");
    assert_eq!(error.kind, ExecErrorKind::Refused);
    exec(&*session, "true").await;
}

#[tokio::test]
async fn many_commands_at_once_share_one_session() {
    let session = session().await;
    let commands = (0..40).map(|number| {
        let session = Arc::clone(&session);
        tokio::spawn(async move {
            let text = stdout(
                &*session,
                &format!("echo {number}; head -c 70000 /dev/zero"),
            )
            .await;
            (
                text.len(),
                text.split('\n').next() == Some(&number.to_string()),
            )
        })
    });
    for (number, command) in commands.collect::<Vec<_>>().into_iter().enumerate() {
        let digits = if number < 10 { 1 } else { 2 };
        assert_eq!(command.await.expect("no panic"), (70_001 + digits, true));
    }
}

#[tokio::test]
async fn a_background_process_that_holds_the_output_holds_up_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::new(folder.path(), "gate");
    let session = session().await;
    let outcome = exec(&*session, &format!("cat {} & echo done", gate.path())).await;
    assert_eq!(outcome.status, ExecStatus::Exit(0));
    assert_eq!(outcome.stdout.head, b"done\n");
    drop(gate.writer().await);
}

#[tokio::test]
async fn a_background_process_that_goes_on_writing_is_cut_off() {
    let session = session().await;
    let begun = Instant::now();
    let outcome = exec(
        &*session,
        "yes & head -c 50000 /dev/zero | tr '\\000' z; exit 4",
    )
    .await;
    assert_eq!(outcome.status, ExecStatus::Exit(4));
    assert!(outcome.stdout.total > 50_000);
    assert!(begun.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn output_that_waits_when_the_shell_ends_is_not_lost() {
    let session = session().await;
    // More than a pipe holds, less than a window.
    for _ in 0..10 {
        let outcome = exec(&*session, "exec head -c 300000 /dev/zero").await;
        assert_eq!(outcome.stdout.total, 300_000);
    }
}

#[tokio::test]
async fn the_hook_is_waited_for_before_the_status_is_told() {
    #[derive(Default)]
    struct Held {
        entered: Notify,
        release: Notify,
    }
    #[async_trait]
    impl ExecHook for Held {
        async fn after_exec(&self) {
            self.entered.notify_one();
            self.release.notified().await;
        }
    }
    let hook = Arc::new(Held::default());
    let (_, reach) = server_with(Arc::<Held>::clone(&hook)).await;
    let session = log_in(&reach).await;
    let command = tokio::spawn(async move { exec(&*session, "exit 7").await.status });
    hook.entered.notified().await;
    assert!(!command.is_finished());
    hook.release.notify_one();
    assert_eq!(command.await.expect("no panic"), ExecStatus::Exit(7));
}

#[tokio::test]
async fn a_command_whose_server_dies_is_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let gate = Gate::new(folder.path(), "gate");
    let keys = Keys::new();
    let (listener, address) = listen().await;
    let listener = listener.into_std().expect("a socket");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let config = keys.server(Arc::new(NoHook));
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
        serve(listener, config).await
    });
    let session = log_in(&keys.reach(TcpDialer::new(address))).await;
    let command = format!("cat {}", gate.path());
    let begun = Arc::clone(&session);
    let command = tokio::spawn(async move { try_exec(&*begun, &command).await });
    let writer = gate.writer().await;
    runtime.shutdown_background();
    let error = command.await.expect("no panic").expect_err("no status");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    drop(writer);
    let error = try_exec(&*session, "true").await.expect_err("gone");
    assert_eq!(error.kind, ExecErrorKind::Lost);
}

#[tokio::test]
async fn a_command_outlives_its_connection() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (
        Gate::new(folder.path(), "first"),
        Gate::new(folder.path(), "second"),
    );
    let session = session().await;
    let command = format!("cat {}; echo alive > {}", first.path(), second.path());
    let begun = Arc::clone(&session);
    let command = tokio::spawn(async move { try_exec(&*begun, &command).await });
    let writer = first.writer().await;
    session.close().await;
    let error = command.await.expect("no panic").expect_err("logged out");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    drop(writer);
    assert_eq!(second.read().await, "alive\n");
}

#[tokio::test]
async fn commands_that_were_given_up_make_room() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = session().await;
    for round in 0..3 {
        let mut writers = Vec::new();
        let mut commands = Vec::new();
        for number in 0..8 {
            let gate = Gate::new(folder.path(), &format!("gate-{round}-{number}"));
            let command = format!("cat {}", gate.path());
            let session = Arc::clone(&session);
            commands.push(tokio::spawn(
                async move { try_exec(&*session, &command).await },
            ));
            writers.push(gate.writer().await);
        }
        for command in commands {
            command.abort();
            assert!(command.await.expect_err("given up").is_cancelled());
        }
        assert_eq!(stdout(&*session, "echo room").await, "room\n");
    }
}

/// Counts what the machine has sent.
struct CountingDialer {
    address: SocketAddr,
    received: Arc<AtomicU64>,
}

#[async_trait]
impl Dialer for CountingDialer {
    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let (near, far) = duplex(1 << 16);
        let (mut far_reading, mut far_writing) = split(far);
        let (mut reading, mut writing) = stream.into_split();
        let received = Arc::clone(&self.received);
        tokio::spawn(async move { tokio::io::copy(&mut far_reading, &mut writing).await });
        tokio::spawn(async move {
            let mut bytes = vec![0; 1 << 15];
            while let Ok(count @ 1..) = reading.read(&mut bytes).await {
                far_writing.write_all(&bytes[..count]).await?;
                received.fetch_add(count as u64, Ordering::SeqCst);
            }
            io::Result::Ok(())
        });
        Ok(Box::new(near))
    }
}

#[tokio::test]
async fn a_slow_disk_holds_up_the_machine_and_not_the_memory() {
    const SIZE: usize = 15 << 20;
    const MOST_IN_FLIGHT: u64 = 3 << 20;
    let folder = tempfile::tempdir().expect("a folder");
    let disk = Gate::new(folder.path(), "disk");
    let keys = Keys::new();
    let (listener, address) = listen().await;
    tokio::spawn(serve(listener, keys.server(Arc::new(NoHook))));
    let received = Arc::new(AtomicU64::new(0));
    let dialer = CountingDialer {
        address,
        received: Arc::clone(&received),
    };
    let session = log_in(&keys.reach(dialer)).await;
    let mut request = request(format!("head -c {SIZE} /dev/zero"));
    request.stdout.file = Some(disk.path().into());
    let command = tokio::spawn(async move { session.exec(request).await });
    let mut reader = disk.reader().await;
    // Nothing tells that no more will come, so this waits until nothing has for a while.
    let mut before = 0;
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = received.load(Ordering::SeqCst);
        if now == before && now > 1 << 16 {
            break;
        }
        before = now;
    }
    assert!(before < MOST_IN_FLIGHT, "{before} bytes were taken");
    let filed = tokio::task::spawn_blocking(move || io::copy(&mut reader, &mut io::sink()));
    let outcome = command.await.expect("no panic").expect("an end");
    assert_eq!(outcome.stdout.filed, SIZE as u64);
    let filed = filed.await.expect("no panic").expect("reads");
    assert_eq!(filed, SIZE as u64);
}
