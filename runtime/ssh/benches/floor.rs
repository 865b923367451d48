//! The floor of 60 commands over one login: bare russh, and this crate beside it, on the embedded
//! server and on OpenSSH's. `benches/floor.sh` starts the latter and this. Prints; nothing fails.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dva_runtime::transport::{
    Credential, ExecRequest, ExecStatus, HostKeyCheck, Purpose, Reach, Session, StreamPlan,
    Transport,
};
use dva_ssh::{HostAddress, KeyPair, NoHook, ServerConfig, SshTransport, TcpDialer, serve};
use russh::client::{self, Handle, Handler};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{ChannelMsg, client::Config};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

const COMMANDS: usize = 60;
/// As many as sshd gives by default.
const CHANNELS: usize = 10;
const ROUNDS: usize = 7;

#[tokio::main]
async fn main() {
    // `cargo test --all-targets` starts it too, without this word.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let own = own().await;
    measure("the embedded server", &own).await;
    let host = std::env::var("DVA_FLOOR_HOST");
    let folder = std::env::var("DVA_FLOOR_FOLDER").map(PathBuf::from);
    let (Ok(host), Ok(folder)) = (host, folder) else {
        println!("no sshd: start this by benches/floor.sh");
        return;
    };
    let host = HostAddress::parse(&host).expect("an address");
    let key = std::fs::read_to_string(folder.join("key")).expect("a key");
    let public = std::fs::read_to_string(folder.join("host.pub")).expect("a key");
    let sshd = Target {
        user: host.user().to_owned(),
        port: host.port(),
        key,
        host_key: public,
    };
    measure("OpenSSH's sshd", &sshd).await;
}

struct Target {
    user: String,
    port: u16,
    key: String,
    host_key: String,
}

async fn own() -> Target {
    let (host, client) = (KeyPair::generate(), KeyPair::generate());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let config = ServerConfig {
        host_key: host.private_key,
        authorized_key: client.public_key,
        hook: Arc::new(NoHook),
    };
    tokio::spawn(serve(listener, config));
    Target {
        user: "root".into(),
        port,
        key: client.private_key,
        host_key: host.public_key,
    }
}

async fn measure(name: &str, target: &Target) {
    let mut times: [Vec<Duration>; 6] = Default::default();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let handle = Arc::new(log_in(target).await);
        times[0].push(begun.elapsed());
        let begun = Instant::now();
        for _ in 0..COMMANDS {
            bare(&handle).await;
        }
        times[1].push(begun.elapsed());
        let begun = Instant::now();
        let permits = Arc::new(Semaphore::new(CHANNELS));
        let mut commands = JoinSet::new();
        for _ in 0..COMMANDS {
            let (handle, permits) = (Arc::clone(&handle), Arc::clone(&permits));
            commands.spawn(async move {
                let _permit = permits.acquire().await.expect("open");
                bare(&handle).await;
            });
        }
        commands.join_all().await;
        times[2].push(begun.elapsed());

        let begun = Instant::now();
        let session = SshTransport::new()
            .connect(&reach(target))
            .await
            .expect("logs in");
        times[3].push(begun.elapsed());
        let begun = Instant::now();
        for _ in 0..COMMANDS {
            ours(&*session).await;
        }
        times[4].push(begun.elapsed());
        let begun = Instant::now();
        let mut commands = JoinSet::new();
        for _ in 0..COMMANDS {
            let session = Arc::clone(&session);
            commands.spawn(async move { ours(&*session).await });
        }
        commands.join_all().await;
        times[5].push(begun.elapsed());
        session.close().await;
    }
    println!("{name}: median (least - most) of {ROUNDS}");
    let names = ["login", "60 serial", "60 at once"];
    for (at, times) in times.iter_mut().enumerate() {
        times.sort_unstable();
        let who = if at < 3 { "bare russh" } else { "dva-ssh   " };
        println!(
            "  {who} {:<10} {:>8.1?} ({:.1?} - {:.1?})",
            names[at % 3],
            times[ROUNDS / 2],
            times[0],
            times[ROUNDS - 1]
        );
    }
}

fn reach(target: &Target) -> Reach {
    Reach {
        dialer: Arc::new(TcpDialer::of_host("127.0.0.1", target.port)),
        user: target.user.clone(),
        credentials: vec![Credential::Key(target.key.as_str().into())],
        host_key: HostKeyCheck::Pinned(target.host_key.clone()),
    }
}

async fn ours(session: &dyn Session) {
    let outcome = session
        .exec(ExecRequest {
            command: "true".into(),
            stdin: Vec::new(),
            stdout: StreamPlan::default(),
            stderr: StreamPlan::default(),
            purpose: Purpose::Housekeeping,
        })
        .await;
    assert_eq!(outcome.expect("an end").status, ExecStatus::Exit(0));
}

/// Takes any host key: there is nothing to lose here.
struct Anybody;

impl Handler for Anybody {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}

async fn log_in(target: &Target) -> Handle<Anybody> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, target.port))
        .await
        .expect("listens");
    stream.set_nodelay(true).expect("a socket");
    let config = Arc::new(Config::default());
    let mut handle = client::connect_stream(config, stream, Anybody)
        .await
        .expect("shakes hands");
    let key = russh::keys::decode_secret_key(&target.key, None).expect("a key");
    let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
    let answer = handle.authenticate_publickey(&target.user, key).await;
    assert!(answer.expect("answers").success());
    handle
}

async fn bare(handle: &Handle<Anybody>) {
    let mut channel = loop {
        // A channel that has ended here may not have ended there.
        if let Ok(channel) = handle.channel_open_session().await {
            break channel;
        }
    };
    channel.exec(true, "true").await.expect("sends");
    let mut status = None;
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            ChannelMsg::Close => break,
            _ => {}
        }
    }
    assert_eq!(status, Some(0));
}
