//! Runs on machines that exist already: an SSH server of ours in this process stands for them.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

use dva_plan::ExitCode;
use dva_ssh::{KeyPair, NoHook, ServerConfig, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::console::{dva, playground};
use crate::local::turn;

/// A host, up as long as this is there, and a folder whose configuration knows it.
struct Host {
    address: SocketAddr,
    host_key: String,
    folder: tempfile::TempDir,
    _runtime: Runtime,
}

impl Host {
    fn up() -> Self {
        let folder = playground();
        let (host, client) = (KeyPair::generate(), KeyPair::generate());
        let runtime = Runtime::new().expect("threads");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("bound");
        let config = ServerConfig {
            host_key: host.private_key,
            authorized_key: client.public_key,
            hook: Arc::new(NoHook),
        };
        runtime.spawn(serve(listener, config));
        let mut key = fs::OpenOptions::new();
        let key = key.write(true).create_new(true).mode(0o600);
        let mut file = key.open(folder.path().join("key")).expect("a key file");
        std::io::Write::write_all(&mut file, client.private_key.as_bytes()).expect("written");
        let this = Self {
            address,
            host_key: host.public_key,
            folder,
            _runtime: runtime,
        };
        this.know(&this.host_key);
        fs::write(
            this.path().join("dva.toml"),
            "[ssh]\nidentities = [\"key\"]\nknown_hosts = [\"known_hosts\"]\nconnect_within = \"5s\"\n",
        )
        .expect("written");
        this
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes this key into the known hosts, as the host's.
    fn know(&self, key: &str) {
        let line = format!("[{}]:{} {key}\n", self.address.ip(), self.address.port());
        fs::write(self.path().join("known_hosts"), line).expect("written");
    }

    /// Runs a plan on the host; returns how it ended and what was said.
    fn run(&self, plan: &str) -> (Option<i32>, String) {
        let output = dva(self.path())
            .args(["run", plan, "--hosts", &format!("root@{}", self.address)])
            .env_remove("SSH_AUTH_SOCK")
            .output()
            .expect("dva starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    }
}

#[test]
fn cells_queue_for_a_host_and_its_facts_are_its_own() {
    let Some(_turn) = turn() else { return };
    let host = Host::up();
    let (code, said) = host.run("fixtures/queue.plan");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("6 passed on 3 machines"), "{said}");
    let (code, said) = host.run("examples/failing.plan");
    assert_eq!(code, Some(ExitCode::TestsFailed.number().into()), "{said}");
    assert!(said.contains("name is \"Linux\""), "{said}");
}

#[test]
fn what_a_host_cannot_is_said_before_anything_runs_there() {
    let Some(_turn) = turn() else { return };
    let host = Host::up();
    let (code, said) = host.run("fixtures/four.plan");
    assert_eq!(
        code,
        Some(ExitCode::Infrastructure.number().into()),
        "{said}"
    );
    assert!(said.contains("disk"), "{said}");
}

#[test]
fn a_host_that_is_not_known_or_has_another_key_is_told_nothing() {
    let Some(_turn) = turn() else { return };
    let host = Host::up();
    host.know(&KeyPair::generate().public_key);
    let (code, said) = host.run("examples/failing.plan");
    assert_eq!(
        code,
        Some(ExitCode::Infrastructure.number().into()),
        "{said}"
    );
    assert!(said.contains("host key"), "{said}");
    fs::write(host.path().join("known_hosts"), "").expect("written");
    let (code, said) = host.run("examples/failing.plan");
    assert_eq!(
        code,
        Some(ExitCode::Infrastructure.number().into()),
        "{said}"
    );
    assert!(
        said.contains("SHA256:") && said.contains("known_hosts"),
        "{said}"
    );
}
