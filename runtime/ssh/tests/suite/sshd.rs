//! OpenSSH's sshd, started by the tests for themselves: one process a connection, on a port of ours,
//! with keys and settings of its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use dva_runtime::transport::Reach;
use dva_ssh::TcpDialer;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::Command;
use tokio::task::{AbortHandle, JoinSet};

use crate::fixture::{Keys, listen};

const SSHD: &str = "/usr/sbin/sshd";
/// It insists on a folder in `/run`, which is given one in a mount namespace of its own.
const START: &str = "mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd && exec \"$@\"";

/// The usual settings. Where a word is set twice sshd takes the first.
const USUAL: &str = "\
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
PrintMotd no
PrintLastLog no
LogLevel ERROR
";

pub struct Sshd {
    pub address: SocketAddr,
    pub keys: Keys,
    pub folder: TempDir,
    /// The processes of the connections that stand.
    pids: Arc<Mutex<BTreeSet<u32>>>,
    /// How many connections there were.
    connections: Arc<AtomicUsize>,
    accepting: AbortHandle,
}

/// Says why a test is skipped, which `DVA_FULL=1` does not allow.
fn skip(why: &str) {
    let full = std::env::var_os("DVA_FULL").is_some_and(|value| value == "1");
    assert!(!full, "DVA_FULL=1 and {why}");
    println!("SKIP {why}");
}

impl Sshd {
    /// One with SFTP and keys of the usual kind. `None` where it cannot be had.
    pub async fn start() -> Option<Self> {
        Self::with("Subsystem sftp internal-sftp\n").await
    }

    /// One with these settings before the usual ones.
    pub async fn with(settings: &str) -> Option<Self> {
        let keys = Keys::new();
        let key = keys.host.private_key.clone();
        Self::with_keys(settings, keys, &key).await
    }

    /// One with this private host key.
    pub async fn with_keys(settings: &str, keys: Keys, host_key: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            skip("sshd is started by root alone");
            return None;
        }
        if !Path::new(SSHD).exists() {
            skip("there is no sshd");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        write_key(&path("host_key"), host_key);
        std::fs::write(
            path("authorized_keys"),
            format!("{}\n", keys.client.public_key),
        )
        .expect("a file");
        let config = format!(
            "{settings}HostKey {}\nAuthorizedKeysFile {}\nSetEnv HOME={}\n{USUAL}",
            path("host_key").display(),
            path("authorized_keys").display(),
            // What root's shell reads at its start is no business of these tests.
            folder.path().display(),
        );
        std::fs::write(path("config"), config).expect("a file");
        let (listener, address) = listen().await;
        let pids = Arc::new(Mutex::new(BTreeSet::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let (config, running) = (path("config"), Arc::clone(&pids));
        let started = Arc::clone(&connections);
        let accepting = tokio::spawn(async move {
            let mut children = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let stream = stream.into_std().expect("a socket");
                stream.set_nonblocking(false).expect("a socket");
                let stream = OwnedFd::from(stream);
                let mut child = Command::new("unshare")
                    .args(["--mount", "sh", "-c", START, "sh", SSHD, "-i", "-e", "-f"])
                    .arg(&config)
                    .stdin(Stdio::from(stream.try_clone().expect("a socket")))
                    .stdout(Stdio::from(stream))
                    .stderr(Stdio::null())
                    .kill_on_drop(true)
                    .spawn()
                    .expect("starts");
                let id = child.id().expect("not waited for");
                running.lock().expect("unpoisoned").insert(id);
                started.fetch_add(1, Ordering::SeqCst);
                let running = Arc::clone(&running);
                children.spawn(async move {
                    let _ = child.wait().await;
                    running.lock().expect("unpoisoned").remove(&id);
                });
            }
        });
        Some(Self {
            address,
            keys,
            folder,
            pids,
            connections,
            accepting: accepting.abort_handle(),
        })
    }

    pub fn reach(&self) -> Reach {
        self.keys.reach(TcpDialer::new(self.address))
    }

    /// Lets another key in as well.
    pub fn authorize(&self, public_key: &str) {
        let path = self.folder.path().join("authorized_keys");
        let mut keys = std::fs::read_to_string(&path).expect("a file");
        keys.push_str(public_key.trim_end());
        keys.push('\n');
        std::fs::write(path, keys).expect("a file");
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends the processes of all connections at once.
    pub fn kill(&self) {
        for &id in &*self.pids.lock().expect("unpoisoned") {
            let id = Pid::from_raw(id.try_into().expect("a process")).expect("a process");
            // One that has ended a moment ago is dead as well.
            let _ = kill_process(id, Signal::KILL);
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Writes a private key as sshd and ssh want it.
pub fn write_key(path: &Path, key: &str) {
    std::fs::write(path, key).expect("a file");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).expect("ours");
}

/// Makes a key pair by ssh-keygen: the path of the private key and the public key.
pub fn keygen(folder: &Path, name: &str, arguments: &[&str]) -> (PathBuf, String) {
    let path = folder.join(name);
    run(std::process::Command::new("ssh-keygen")
        .args(["-q", "-C", name, "-f"])
        .arg(&path)
        .args(arguments));
    let public = std::fs::read_to_string(path.with_extension("pub")).expect("a file");
    (path, public.trim_end().to_owned())
}

pub fn run(command: &mut std::process::Command) {
    let output = command.output().expect("starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
}
