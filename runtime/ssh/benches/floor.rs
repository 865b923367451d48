//! The floor of 60 commands over one login: bare russh, and this crate beside it, on the embedded
//! server and on OpenSSH's. `benches/floor.sh` starts the latter and this. Where it is told of a `dva`,
//! whole runs of 60 tests by `dva run --hosts` are measured beside them, in the same rounds. Prints;
//! nothing fails but what does not run at all.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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
    measure("the embedded server", &own, None).await;
    let host = std::env::var("DVA_FLOOR_HOST");
    let folder = std::env::var("DVA_FLOOR_FOLDER").map(PathBuf::from);
    let (Ok(host), Ok(folder)) = (host, folder) else {
        println!("no sshd: start this by benches/floor.sh");
        return;
    };
    let host = HostAddress::parse(&host).expect("an address");
    let key = std::fs::read_to_string(folder.join("key")).expect("a key");
    let public = std::fs::read_to_string(folder.join("host.pub")).expect("a key");
    let dva = std::env::var_os("DVA_FLOOR_DVA").map(|program| Dva {
        program: program.into(),
        folder: folder.clone(),
        host: std::env::var("DVA_FLOOR_HOST").expect("read before"),
    });
    if let Some(dva) = &dva {
        dva.prepare(&host, &public);
    }
    let sshd = Target {
        user: host.user().to_owned(),
        port: host.port(),
        key,
        host_key: public,
    };
    measure("OpenSSH's sshd", &sshd, dva.as_ref()).await;
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
        authorized_keys: vec![client.public_key],
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

/// The program, and a folder with what a run of it needs.
struct Dva {
    program: PathBuf,
    folder: PathBuf,
    host: String,
}

impl Dva {
    /// Writes the configuration and a plan of 60 tests that do nothing.
    fn prepare(&self, host: &HostAddress, public: &str) {
        let write = |name: &str, text: &str| {
            fs::write(self.folder.join(name), text).expect("a file");
        };
        write(
            "known_hosts",
            &format!("[{}]:{} {public}", host.host(), host.port()),
        );
        write(
            "dva.toml",
            "[ssh]\nidentities = [\"key\"]\nknown_hosts = [\"known_hosts\"]\n",
        );
        let mut plan = String::from(
            "image host { os = linux  arch = x86_64  local = host }\n\
             matrix one { image = each host  region = each local  instance = each local.small }\n",
        );
        let mut tests = Vec::new();
        for number in 0..COMMANDS {
            writeln!(plan, "test number_{number} {{ run `true` }}").expect("a text");
            tests.push(format!("number_{number}"));
        }
        let tests = tests.join(", ");
        writeln!(plan, "plan floor {{ matrix one  tests {tests} }}").expect("a text");
        write("floor.plan", &plan);
    }

    /// One run: how long all of it took, and how long its tests did.
    fn run(&self) -> (Duration, Duration) {
        let begun = Instant::now();
        let output = Command::new(&self.program)
            .args(["run", "floor.plan", "--config", "dva.toml", "--hosts"])
            .arg(&self.host)
            .current_dir(&self.folder)
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null())
            .output()
            .expect("starts");
        let whole = begun.elapsed();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let state = self.folder.join(".dva");
        let tests = tests_of_only_run(&state.join("runs"));
        fs::remove_dir_all(state).expect("ours");
        (whole, tests)
    }
}

/// How long the tests of a run took: from the first that started to the last that ended.
fn tests_of_only_run(runs: &Path) -> Duration {
    let run = fs::read_dir(runs).expect("a folder").next();
    let events = run.expect("one run").expect("a folder").path();
    let events = fs::read_to_string(events.join("events.jsonl")).expect("a file");
    let times = |event: &str| -> Vec<u64> {
        let named = events.lines().filter(|line| line.contains(event));
        let time = |line: &str| {
            let (_, rest) = line.split_once("\"at_ms\":")?;
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest[..end].parse().ok()
        };
        named.filter_map(time).collect()
    };
    let (started, ended) = (times("execution_started"), times("execution_ended"));
    assert_eq!((started.len(), ended.len()), (COMMANDS, COMMANDS));
    Duration::from_millis(ended[COMMANDS - 1] - started[0])
}

async fn measure(name: &str, target: &Target, dva: Option<&Dva>) {
    let mut times: [Vec<Duration>; 9] = Default::default();
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

        let floor = times[0][times[0].len() - 1] + times[1][times[1].len() - 1];
        times[6].push(floor);
        if let Some(dva) = dva {
            let (whole, tests) = dva.run();
            times[7].push(tests);
            times[8].push(whole);
        }
    }
    println!("{name}: median (least - most) of {ROUNDS}");
    let names = [
        "bare russh login",
        "bare russh 60 serial",
        "bare russh 60 at once",
        "dva-ssh    login",
        "dva-ssh    60 serial",
        "dva-ssh    60 at once",
        "floor      login + 60",
        "dva run    60 tests",
        "dva run    whole",
    ];
    for (name, times) in names.iter().zip(&mut times) {
        times.sort_unstable();
        if let (Some(least), Some(most)) = (times.first(), times.last()) {
            println!(
                "  {name:<22} {:>8.1?} ({least:.1?} - {most:.1?})",
                times[times.len() / 2],
            );
        }
    }
}

fn reach(target: &Target) -> Reach {
    Reach {
        dialer: Arc::new(TcpDialer::of_host("127.0.0.1", target.port)),
        users: vec![target.user.clone()],
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
