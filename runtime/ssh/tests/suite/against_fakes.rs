//! Commands on machines that misbehave.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use dva_plan::TestId;
use dva_runtime::transport::{
    ConnectErrorKind, ExecErrorKind, ExecRequest, ExecStatus, HostKeyCheck, Purpose, Session,
    Transport,
};
use dva_ssh::{KeyPair, SshTransport};
use tokio::time::Instant;

use crate::fake::Fake;
use crate::fixture::{exec, log_in, request, try_exec};

#[tokio::test]
async fn a_wrong_host_key_is_shown_no_key_of_ours() {
    let fake = Fake::new(10);
    let mut reach = fake.reach();
    let pinned = std::mem::replace(
        &mut reach.host_key,
        HostKeyCheck::Pinned(KeyPair::generate().public_key),
    );
    let error = SshTransport::new().connect(&reach).await.err();
    assert_eq!(error.expect("no login").kind, ConnectErrorKind::HostKey);
    assert_eq!(fake.offered_keys.load(Ordering::SeqCst), 0);
    reach.host_key = pinned;
    exec(&*log_in(&reach).await, "ok").await;
    assert!(fake.offered_keys.load(Ordering::SeqCst) > 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_channel_is_waited_for() {
    let fake = Fake::new(2);
    let session = log_in(&fake.reach()).await;
    let commands: Vec<_> = (0..20)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { try_exec(&*session, "ok").await })
        })
        .collect();
    for command in commands {
        let outcome = command.await.expect("no panic").expect("an end");
        assert_eq!(outcome.status, ExecStatus::Exit(0));
    }
    assert!(fake.refused.load(Ordering::SeqCst) > 0);
    assert_eq!(fake.commands.lock().expect("unpoisoned").len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_refused_channel_is_waited_for_as_long_as_others_are_open() {
    let fake = Fake::new(1);
    let session = log_in(&fake.reach()).await;
    let begin = |command: &'static str| {
        let session = Arc::clone(&session);
        tokio::spawn(async move { try_exec(&*session, command).await })
    };
    let held = begin("hold");
    fake.begun.acquire().await.expect("open").forget();
    let waiting = begin("ok");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(!waiting.is_finished());
    fake.release.add_permits(1);
    for command in [held, waiting] {
        command.await.expect("no panic").expect("an end");
    }
    assert_eq!(*fake.commands.lock().expect("unpoisoned"), ["hold", "ok"]);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_opens_no_channel_at_all_is_an_error_in_the_end() {
    let fake = Fake::new(0);
    let session = log_in(&fake.reach()).await;
    let begun = Instant::now();
    let error = try_exec(&*session, "ok").await.expect_err("no channel");
    assert_eq!(error.kind, ExecErrorKind::Refused);
    assert!(begun.elapsed() < Duration::from_secs(30));
}

fn step(command: &str) -> ExecRequest {
    let mut request = request(command);
    request.purpose = Purpose::Step {
        test: TestId::new("test"),
        run: 0,
        in_finally: false,
    };
    request
}

#[tokio::test(start_paused = true)]
async fn eight_channels_a_connection_and_one_of_them_is_kept_from_the_steps() {
    let fake = Fake::new(100);
    let session = log_in(&fake.reach()).await;
    let begin = |count: usize| -> Vec<_> {
        (0..count)
            .map(|_| {
                let session = Arc::clone(&session);
                tokio::spawn(async move { session.exec(step("hold")).await })
            })
            .collect()
    };
    let mut steps = begin(7);
    fake.begun.acquire_many(7).await.expect("open").forget();
    // All that steps may take is taken, and still the run can do something about it.
    exec(&*session, "ok").await;
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
    fake.begun.acquire().await.expect("open").forget();
    steps.extend(begin(13));
    fake.begun.acquire_many(13).await.expect("open").forget();
    assert_eq!(fake.connections.load(Ordering::SeqCst), 3);
    fake.release.add_permits(20);
    for step in steps {
        step.await.expect("no panic").expect("an end");
    }
    assert_eq!(fake.most_open_of_one.load(Ordering::SeqCst), 8);
}

#[tokio::test(start_paused = true)]
async fn a_channel_is_ready_for_the_step_that_comes_next() {
    let fake = Fake::new(10);
    fake.accept.forget_permits(usize::MAX);
    fake.accept.add_permits(2);
    let session = log_in(&fake.reach()).await;
    session.exec(step("ok")).await.expect("an end");
    // The clock moves when nothing else does.
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The machine opens no third channel, and still the next step begins.
    let next = Arc::clone(&session);
    let next = tokio::spawn(async move { next.exec(step("hold")).await });
    fake.begun.acquire_many(2).await.expect("open").forget();
    fake.accept.add_permits(10);
    fake.release.add_permits(1);
    next.await.expect("no panic").expect("an end");
    assert_eq!(*fake.commands.lock().expect("unpoisoned"), ["ok", "hold"]);
    // One that is kept for nobody is not used when it is old: a machine may have thought likewise.
    tokio::time::sleep(Duration::from_secs(60)).await;
    session.exec(step("ok")).await.expect("an end");
    fake.given_up.acquire().await.expect("open").forget();
}

#[tokio::test(start_paused = true)]
async fn a_machine_of_one_channel_runs_steps_one_after_the_other() {
    let fake = Fake::new(1);
    let session = log_in(&fake.reach()).await;
    for _ in 0..20 {
        let outcome = session.exec(step("ok")).await.expect("an end");
        assert_eq!(outcome.status, ExecStatus::Exit(0));
        exec(&*session, "ok").await;
    }
    assert_eq!(fake.commands.lock().expect("unpoisoned").len(), 40);
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_break_between_two_steps_takes_the_channel_that_was_ready_with_it() {
    let fake = Fake::new(10);
    let session = log_in(&fake.reach()).await;
    session.exec(step("ok")).await.expect("an end");
    let error = session.exec(step("cut")).await.expect_err("cut");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    session.exec(step("ok")).await.expect("an end");
    assert_eq!(session.broken_connections(), 1);
    assert_eq!(
        *fake.commands.lock().expect("unpoisoned"),
        ["ok", "cut", "ok"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_step_on_the_only_channel_of_a_connection_can_still_be_stopped() {
    let fake = Fake::with_limits(100, 1);
    let session = log_in(&fake.reach()).await;
    let held = Arc::clone(&session);
    let held = tokio::spawn(async move { held.exec(step("hold")).await });
    fake.begun.acquire().await.expect("open").forget();
    exec(&*session, "ok").await;
    assert!(!held.is_finished());
    fake.release.add_permits(1);
    held.await.expect("no panic").expect("an end");
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_lets_nobody_in_any_more_is_used_by_what_stands() {
    let fake = Fake::new(100);
    fake.logins.forget_permits(usize::MAX);
    fake.logins.add_permits(1);
    let session = log_in(&fake.reach()).await;
    let commands: Vec<_> = (0..30)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { session.exec(step("ok")).await })
        })
        .collect();
    for command in commands {
        command.await.expect("no panic").expect("an end");
    }
    assert_eq!(fake.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_breaks_is_replaced_and_what_ran_is_lost() {
    let fake = Fake::new(100);
    let session = log_in(&fake.reach()).await;
    assert_eq!(session.broken_connections(), 0);
    let held = Arc::clone(&session);
    let held = tokio::spawn(async move { try_exec(&*held, "hold").await });
    fake.begun.acquire().await.expect("open").forget();
    let error = try_exec(&*session, "cut").await.expect_err("cut");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    let error = held.await.expect("no panic").expect_err("cut as well");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    exec(&*session, "ok").await;
    assert_eq!(session.broken_connections(), 1);
    assert_eq!(
        *fake.commands.lock().expect("unpoisoned"),
        ["hold", "cut", "ok"]
    );
    session.close().await;
    let error = try_exec(&*session, "ok").await.expect_err("closed");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    assert_eq!(session.broken_connections(), 1);
    assert_eq!(fake.connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_channel_that_closes_without_a_status_is_lost() {
    let fake = Fake::new(10);
    let session = log_in(&fake.reach()).await;
    let error = try_exec(&*session, "vanish").await.expect_err("no status");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    exec(&*session, "ok").await;
    // It is not for us to say that it did not run.
    assert_eq!(*fake.commands.lock().expect("unpoisoned"), ["vanish", "ok"]);
}

#[tokio::test]
async fn output_after_the_status_counts() {
    let session = log_in(&Fake::new(10).reach()).await;
    let outcome = exec(&*session, "early").await;
    assert_eq!(outcome.status, ExecStatus::Exit(5));
    assert_eq!(outcome.stdout.head, b"late output");
}

#[tokio::test]
async fn a_status_without_the_end_of_the_output_is_lost() {
    let session = log_in(&Fake::new(10).reach()).await;
    let error = try_exec(&*session, "cut").await.expect_err("cut");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    assert!(error.message.contains("maintenance"), "{error}");
    assert!(!error.message.contains('\u{1b}'), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_fell_silent_is_noticed() {
    let fake = Fake::new(10);
    let session = log_in(&fake.reach()).await;
    let held: Arc<dyn Session> = Arc::clone(&session);
    let command = tokio::spawn(async move { try_exec(&*held, "hold").await });
    fake.begun.acquire().await.expect("open").forget();
    // A long step that says nothing is no trouble.
    tokio::time::sleep(Duration::from_secs(7200)).await;
    assert!(!command.is_finished());
    fake.black_hole.notify_waiters();
    let silent = Instant::now();
    let error = command.await.expect("no panic").expect_err("silence");
    assert_eq!(error.kind, ExecErrorKind::Lost);
    assert!(
        silent.elapsed() <= Duration::from_secs(65),
        "{:?}",
        silent.elapsed()
    );
    session.close().await;
}

#[tokio::test]
async fn a_command_that_is_given_up_closes_its_channel() {
    let fake = Fake::new(8);
    let session = log_in(&fake.reach()).await;
    for _ in 0..8 {
        let session = Arc::clone(&session);
        let command = tokio::spawn(async move { try_exec(&*session, "hold").await });
        fake.begun.acquire().await.expect("open").forget();
        command.abort();
    }
    fake.given_up.acquire_many(8).await.expect("open").forget();
    exec(&*session, "ok").await;
}

#[tokio::test]
async fn a_channel_that_is_given_up_while_it_opens_is_closed_too() {
    let fake = Fake::new(1);
    fake.accept.forget_permits(usize::MAX);
    let session = log_in(&fake.reach()).await;
    let mut begun = Box::pin(try_exec(&*session, "never sent"));
    // Far enough for the question to be on its way.
    for _ in 0..100 {
        let polled = std::future::poll_fn(|cx| Poll::Ready(begun.as_mut().poll(cx))).await;
        assert!(polled.is_pending());
        tokio::task::yield_now().await;
    }
    drop(begun);
    fake.accept.add_permits(2);
    fake.given_up.acquire().await.expect("open").forget();
    exec(&*session, "ok").await;
    assert_eq!(*fake.commands.lock().expect("unpoisoned"), ["ok"]);
}
