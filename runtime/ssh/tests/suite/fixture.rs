//! A server in the test's own runtime, and the ways to it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dva_runtime::transport::{
    Credential, Dialer, ExecError, ExecOutcome, ExecRequest, ExecStatus, HostKeyCheck, Purpose,
    Reach, Session, StreamPlan, Transport,
};
use dva_ssh::{ExecHook, KeyPair, NoHook, ServerConfig, SshTransport, TcpDialer, serve};
use tokio::net::TcpListener;

/// The keys of a machine.
#[derive(Clone)]
pub struct Keys {
    pub host: KeyPair,
    pub client: KeyPair,
}

impl Keys {
    pub fn new() -> Self {
        Self {
            host: KeyPair::generate(),
            client: KeyPair::generate(),
        }
    }

    pub fn reach(&self, dialer: impl Dialer + 'static) -> Reach {
        Reach {
            dialer: Arc::new(dialer),
            users: vec!["root".into()],
            credentials: vec![Credential::Key(self.client.private_key.as_str().into())],
            host_key: HostKeyCheck::Pinned(self.host.public_key.clone()),
        }
    }

    pub fn server(&self, hook: Arc<dyn ExecHook>) -> ServerConfig {
        ServerConfig {
            host_key: self.host.private_key.clone(),
            authorized_keys: vec![self.client.public_key.clone()],
            hook,
        }
    }
}

pub async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

/// Starts a server and gives the way to it.
pub async fn server_with(hook: Arc<dyn ExecHook>) -> (Keys, Reach) {
    let keys = Keys::new();
    let (listener, address) = listen().await;
    tokio::spawn(serve(listener, keys.server(hook)));
    let reach = keys.reach(TcpDialer::new(address));
    (keys, reach)
}

/// A login to a new server.
pub async fn session() -> Arc<dyn Session> {
    let (_, reach) = server_with(Arc::new(NoHook)).await;
    log_in(&reach).await
}

pub async fn log_in(reach: &Reach) -> Arc<dyn Session> {
    SshTransport::new().connect(reach).await.expect("logs in")
}

pub fn request(command: impl Into<String>) -> ExecRequest {
    ExecRequest {
        command: command.into(),
        stdin: Vec::new(),
        stdout: StreamPlan::default(),
        stderr: StreamPlan::default(),
        purpose: Purpose::Housekeeping,
    }
}

pub async fn try_exec(session: &dyn Session, command: &str) -> Result<ExecOutcome, ExecError> {
    session.exec(request(command)).await
}

pub async fn exec(session: &dyn Session, command: &str) -> ExecOutcome {
    try_exec(session, command).await.expect("an end")
}

pub async fn stdout(session: &dyn Session, command: &str) -> String {
    let outcome = exec(session, command).await;
    assert_eq!(
        outcome.status,
        ExecStatus::Exit(0),
        "{}",
        String::from_utf8_lossy(&outcome.stderr.head)
    );
    String::from_utf8(outcome.stdout.head).expect("text")
}

/// A named pipe: a command that opens it waits for the test and the test for the command.
#[derive(Clone)]
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    pub fn new(folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success());
        Self { path }
    }

    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns once somebody reads; the reader ends when the writer is dropped.
    pub async fn writer(&self) -> std::fs::File {
        let path = self.path.clone();
        let open = move || std::fs::OpenOptions::new().write(true).open(path);
        blocking(open).await.expect("opens")
    }

    /// Returns once somebody writes.
    pub async fn reader(&self) -> std::fs::File {
        let path = self.path.clone();
        blocking(move || std::fs::File::open(path))
            .await
            .expect("opens")
    }

    /// All that somebody writes.
    pub async fn read(&self) -> String {
        let path = self.path.clone();
        blocking(move || std::fs::read_to_string(path))
            .await
            .expect("reads")
    }
}

async fn blocking<T: Send + 'static>(
    f: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(f).await.expect("no panic")
}
