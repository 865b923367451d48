//! What only OpenSSH's server can show: its limits, its keys, its ways to refuse.

use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;

use dva_runtime::transport::{
    ConnectError, ConnectErrorKind, Credential, HostKeyCheck, Reach, Transport,
};
use dva_ssh::{Algorithms, KeyPair, SshTransport};

use crate::against_both::{check_files, check_refusals};
use crate::fixture::{Gate, Keys, exec, log_in, stdout, try_exec};
use crate::sshd::{Sshd, keygen, run, write_key};

async fn refused_by(transport: &SshTransport, reach: &Reach) -> ConnectError {
    transport.connect(reach).await.err().expect("no login")
}

async fn refused(reach: &Reach) -> ConnectError {
    refused_by(&SshTransport::new(), reach).await
}

#[tokio::test]
async fn refused_channels_are_waited_for() {
    for most in [1, 3] {
        let Some(sshd) = Sshd::with(&format!("MaxSessions {most}\n")).await else {
            return;
        };
        let session = log_in(&sshd.reach()).await;
        let commands: Vec<_> = (0..15)
            .map(|number| {
                let session = Arc::clone(&session);
                tokio::spawn(async move { stdout(&*session, &format!("echo {number}")).await })
            })
            .collect();
        for (number, command) in commands.into_iter().enumerate() {
            assert_eq!(command.await.expect("no panic"), format!("{number}\n"));
        }
        // Something hangs on the only channel, and can still be stopped.
        let gate = Gate::new(sshd.folder.path(), "gate");
        let (held, command) = (Arc::clone(&session), format!("cat {}", gate.path()));
        let held = tokio::spawn(async move { try_exec(&*held, &command).await });
        let writer = gate.writer().await;
        exec(&*session, "true").await;
        drop(writer);
        held.await.expect("no panic").expect("an end");
    }
}

#[tokio::test]
async fn files_go_through_cat_where_there_is_no_sftp() {
    for settings in ["", "Subsystem sftp /nonexistent/sftp-server\n"] {
        let Some(sshd) = Sshd::with(settings).await else {
            return;
        };
        let session = log_in(&sshd.reach()).await;
        check_files(&*session).await;
        check_refusals(&*session).await;
    }
}

#[tokio::test]
async fn host_keys_and_our_keys_may_be_of_any_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in ["ed25519", "ecdsa", "rsa"] {
        let host = format!("host-{kind}");
        let (host, host_public) = keygen(folder.path(), &host, &["-t", kind, "-N", ""]);
        let host = std::fs::read_to_string(host).expect("a file");
        let Some(sshd) = Sshd::with_keys("", Keys::new(), &host).await else {
            return;
        };
        let (client, public) = keygen(folder.path(), kind, &["-t", kind, "-N", ""]);
        sshd.authorize(&public);
        let mut reach = sshd.reach();
        reach.host_key = HostKeyCheck::Pinned(host_public);
        reach.credentials = vec![Credential::KeyFile(client)];
        exec(&*log_in(&reach).await, "true").await;
    }
}

#[tokio::test]
async fn legacy_algorithms_are_used_where_they_are_asked_for_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (host, public) = keygen(
        folder.path(),
        "host",
        &["-t", "rsa", "-b", "2048", "-N", ""],
    );
    let host = std::fs::read_to_string(host).expect("a file");
    let (client, client_public) = keygen(
        folder.path(),
        "client",
        &["-t", "rsa", "-b", "2048", "-N", ""],
    );
    let legacy = SshTransport::new().with_algorithms(Algorithms::Legacy);
    for (settings, kind) in [
        (
            "KexAlgorithms diffie-hellman-group14-sha1\n",
            ConnectErrorKind::Unusable,
        ),
        ("HostKeyAlgorithms ssh-rsa\n", ConnectErrorKind::HostKey),
        ("Ciphers aes256-cbc\n", ConnectErrorKind::Unusable),
        (
            "Ciphers aes128-ctr\nMACs hmac-sha1\n",
            ConnectErrorKind::Unusable,
        ),
        ("PubkeyAcceptedAlgorithms ssh-rsa\n", ConnectErrorKind::Auth),
    ] {
        let Some(sshd) = Sshd::with_keys(settings, Keys::new(), &host).await else {
            return;
        };
        sshd.authorize(&client_public);
        let mut reach = sshd.reach();
        reach.host_key = HostKeyCheck::Pinned(public.clone());
        reach.credentials = vec![Credential::KeyFile(client.clone())];
        assert_eq!(refused(&reach).await.kind, kind, "{settings}");
        let session = legacy.connect(&reach).await;
        let session = session.unwrap_or_else(|error| panic!("{settings}: {error}"));
        exec(&*session, "true").await;
    }
}

/// An agent of our own, ended with the test.
struct Agent {
    process: Child,
    socket: std::path::PathBuf,
}

impl Agent {
    async fn start(folder: &Path) -> Self {
        let socket = folder.join("agent");
        let process = Command::new("ssh-agent")
            .args(["-D", "-a"])
            .arg(&socket)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        while !socket.exists() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Self { process, socket }
    }

    fn add(&self, key: &Path) {
        run(Command::new("ssh-add")
            .arg("-q")
            .arg(key)
            .env("SSH_AUTH_SOCK", &self.socket));
    }

    fn transport(&self) -> SshTransport {
        SshTransport::new().with_agent_socket(self.socket.clone())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.process.kill().expect("it is ours");
        self.process.wait().expect("it is ours");
    }
}

#[tokio::test]
async fn credentials_are_tried_in_order_and_all_are_named() {
    let Some(sshd) = Sshd::start().await else {
        return;
    };
    let folder = sshd.folder.path();
    let good = folder.join("good");
    write_key(&good, &sshd.keys.client.private_key);
    let bad = folder.join("bad");
    write_key(&bad, &KeyPair::generate().private_key);
    let (locked, _) = keygen(folder, "locked", &["-t", "ed25519", "-N", "secret"]);
    let missing = folder.join("missing");
    let file = |path: &Path| Credential::KeyFile(path.to_owned());
    let agent = Agent::start(folder).await;
    let transport = agent.transport();
    let with = |credentials: &[Credential]| {
        let mut reach = sshd.reach();
        reach.credentials = credentials.to_vec();
        reach
    };

    for credentials in [
        vec![file(&good)],
        vec![Credential::Agent, file(&missing), file(&bad), file(&good)],
        vec![file(&locked), file(&good)],
        vec![Credential::Key("no key".into()), file(&good)],
    ] {
        transport
            .connect(&with(&credentials))
            .await
            .expect("logs in");
    }

    let all = [Credential::Agent, file(&bad), file(&missing), file(&locked)];
    let error = refused_by(&transport, &with(&all)).await;
    assert_eq!(error.kind, ConnectErrorKind::Auth);
    for part in [
        "root",
        "bad (ssh-ed25519 SHA256:",
        "it holds no keys",
        "missing (No such",
        "ssh-add",
    ] {
        assert!(error.message.contains(part), "{part}: {error}");
    }
    let error = refused_by(&transport, &with(&[file(&locked)])).await;
    assert_eq!(error.kind, ConnectErrorKind::Unusable);
    assert!(error.message.contains("it is encrypted"), "{error}");
    let error = refused_by(&transport, &with(&[])).await;
    assert_eq!(error.kind, ConnectErrorKind::Unusable);

    // A key of the agent is enough, of whatever kind, and the same key is not offered twice.
    agent.add(&bad);
    let error = refused_by(&transport, &with(&[Credential::Agent, file(&bad)])).await;
    assert_eq!(error.kind, ConnectErrorKind::Auth);
    assert_eq!(error.message.matches("SHA256:").count(), 1, "{error}");
    let (rsa, public) = keygen(folder, "rsa", &["-t", "rsa", "-b", "2048", "-N", ""]);
    sshd.authorize(&public);
    agent.add(&rsa);
    let session = transport.connect(&with(&[Credential::Agent])).await;
    exec(&*session.expect("logs in"), "true").await;

    // A machine that hangs up after too many refusals refuses.
    for number in 0..8 {
        let key = folder.join(format!("key-{number}"));
        write_key(&key, &KeyPair::generate().private_key);
        agent.add(&key);
    }
    let none = Agent::start(&tempfile::tempdir_in(folder).expect("a folder").keep()).await;
    let files: Vec<_> = (0..8)
        .map(|n| file(&folder.join(format!("key-{n}"))))
        .collect();
    let error = refused_by(&none.transport(), &with(&files)).await;
    assert_eq!(error.kind, ConnectErrorKind::Auth, "{error}");
    assert!(error.message.contains("hung up"), "{error}");
}

#[tokio::test]
async fn known_hosts_are_checked_as_openssh_does() {
    let Some(sshd) = Sshd::start().await else {
        return;
    };
    let file = sshd.folder.path().join("known_hosts");
    let port = sshd.address.port();
    let mut reach = sshd.reach();
    reach.host_key = HostKeyCheck::Known {
        files: vec![file.clone()],
        host: "127.0.0.1".into(),
        port,
    };
    let error = refused(&reach).await;
    assert_eq!(error.kind, ConnectErrorKind::HostKey);
    assert!(error.message.contains("ssh-ed25519 SHA256:"), "{error}");

    // The command of the message does what it says.
    let command = error.message.split('`').nth(1).expect("a command");
    run(Command::new("sh").args(["-c", command]));
    exec(&*log_in(&reach).await, "true").await;

    // The names are hashed by ssh-keygen itself.
    run(Command::new("ssh-keygen")
        .args(["-q", "-H", "-f"])
        .arg(&file));
    let text = std::fs::read_to_string(&file).expect("a file");
    assert!(text.starts_with("|1|"), "{text}");
    exec(&*log_in(&reach).await, "true").await;

    let other = KeyPair::generate().public_key;
    std::fs::write(&file, format!("[127.0.0.1]:{port} {other}\n")).expect("a file");
    let error = refused(&reach).await;
    assert_eq!(error.kind, ConnectErrorKind::HostKey);
    assert!(error.message.contains("ssh-keygen -R"), "{error}");

    let own = &sshd.keys.host.public_key;
    std::fs::write(
        &file,
        format!("[127.0.0.1]:{port} {own}\n@revoked * {own}\n"),
    )
    .expect("a file");
    let error = refused(&reach).await;
    assert_eq!(error.kind, ConnectErrorKind::HostKey);
    assert!(error.message.contains("revoked"), "{error}");
}
