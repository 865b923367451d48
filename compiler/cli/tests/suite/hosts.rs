//! Runs on machines that exist already: an SSH server of ours in this process stands for them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use dva_plan::ExitCode;
use dva_ssh::{KeyPair, NoHook, ServerConfig, serve};
use rustix::process::{Pid, Signal, kill_process};
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
            authorized_keys: vec![client.public_key],
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
fn ctrl_c_twice_leaves_no_folder_on_a_host() {
    let Some(_turn) = turn() else { return };
    let host = Host::up();
    let told = |name: &str| host.path().join(name);
    let plan = format!(
        "image host {{ os = linux  arch = x86_64  local = host }}\n\
         matrix one {{ image = each host  region = each local  instance = each local.small }}\n\
         test long {{ run `echo $$ >{0}/pid; pwd >{0}/new; mv {0}/new {0}/place; exec sleep 600` }}\n\
         test never {{ run `true` }}\n\
         plan both {{ matrix one  tests long, never }}\n",
        host.path().display()
    );
    fs::write(told("long.plan"), plan).expect("written");
    let mut running = dva(host.path())
        .args(["run", "long.plan", "--hosts"])
        .arg(format!("root@{}", host.address))
        .env_remove("SSH_AUTH_SOCK")
        .stderr(Stdio::piped())
        .spawn()
        .expect("dva starts");
    let lines = running.stderr.take().expect("piped");
    let mut lines = BufReader::new(lines).lines().map_while(Result::ok);
    let place = loop {
        if let Ok(place) = fs::read_to_string(told("place")) {
            break place;
        }
        let ended = running.try_wait().expect("a child");
        assert!(ended.is_none(), "{:?}", lines.collect::<Vec<_>>());
        std::thread::yield_now();
    };
    assert!(Path::new(place.trim_end()).is_dir(), "{place}");
    let interrupt = || kill_process(Pid::from_child(&running), Signal::INT).expect("it is running");
    interrupt();
    assert!(lines.any(|line| line.contains("stopping: running tests may end")));
    interrupt();
    lines.for_each(drop);
    let code = running.wait().expect("it ends").code();
    assert_eq!(code, Some(ExitCode::Interrupted.number().into()));
    // What a test has started on a host goes on there; that one is ours.
    let pid = fs::read_to_string(told("pid")).expect("written before");
    let pid = Pid::from_raw(pid.trim_end().parse().expect("a number")).expect("a process");
    kill_process(pid, Signal::KILL).expect("it sleeps");
    let (of_run, _) = place.split_at("/var/tmp/dva-0123456789abcdef".len());
    let left = fs::read_dir("/var/tmp").expect("a folder");
    let left = left.map(|entry| entry.expect("an entry").path());
    let left: Vec<_> = left
        .filter(|path| path.to_string_lossy().starts_with(of_run))
        .collect();
    assert!(left.is_empty(), "{left:?}");
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
