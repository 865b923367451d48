//! How long a command takes over a kept session on the loopback device, next to a bare spawn.
//! Prints medians; nothing fails by them.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dva_runtime::transport::{
    Credential, ExecRequest, HostKeyCheck, Purpose, Reach, Session, StreamPlan, Transport,
};
use dva_ssh::{KeyPair, NoHook, ServerConfig, SshTransport, TcpDialer, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const ROUNDS: usize = 500;

fn main() {
    // `cargo test --all-targets` starts it too, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let runtime = Runtime::new().expect("a runtime");
    let reach = runtime.block_on(start());
    let login = median(20, || drop(log_in(&runtime, &reach)));
    let session = log_in(&runtime, &reach);
    let exec = median(ROUNDS, || run(&runtime, &*session, "true"));
    let spawn = median(ROUNDS, || {
        let mut shell = Command::new("/bin/sh");
        black_box(shell.args(["-c", "true"]).output().expect("a shell"));
    });
    let begun = Instant::now();
    run(&runtime, &*session, "head -c 1073741824 /dev/zero");
    let bulk = begun.elapsed();
    println!("login           {login:?}");
    println!("exec `true`     {exec:?}");
    println!("bare `sh -c`    {spawn:?}");
    println!("1 GiB of output {bulk:?}");
}

async fn start() -> Reach {
    let (host, client) = (KeyPair::generate(), KeyPair::generate());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = ServerConfig {
        host_key: host.private_key,
        authorized_keys: vec![client.public_key],
        hook: Arc::new(NoHook),
    };
    tokio::spawn(serve(listener, config));
    Reach {
        dialer: Arc::new(TcpDialer::new(address)),
        users: vec!["root".into()],
        credentials: vec![Credential::Key(client.private_key.into())],
        host_key: HostKeyCheck::Pinned(host.public_key),
    }
}

fn log_in(runtime: &Runtime, reach: &Reach) -> Arc<dyn Session> {
    runtime
        .block_on(SshTransport::new().connect(reach))
        .expect("logs in")
}

fn run(runtime: &Runtime, session: &dyn Session, command: &str) {
    let request = ExecRequest {
        command: command.to_owned(),
        stdin: Vec::new(),
        stdout: StreamPlan::default(),
        stderr: StreamPlan::default(),
        purpose: Purpose::Housekeeping,
    };
    black_box(runtime.block_on(session.exec(request)).expect("an end"));
}

fn median(rounds: usize, mut round: impl FnMut()) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let begun = Instant::now();
            round();
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[rounds / 2]
}
