//! What every test stands on: a provider with folders of its own, and a way to run commands.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dva_local::{HostInventory, LocalConfig, LocalProvider, leftovers};
use dva_plan::plan::{DiskIx, ImageSource, Machine, Network};
use dva_plan::{CellId, RunId};
use dva_runtime::provider::{
    AcquireError, AcquiredMachine, DiskRequest, MachineRequest, MachineToken, Provider,
};
use dva_runtime::transport::{ExecRequest, ExecStatus, Purpose, Session, StreamPlan, Transport};
use dva_ssh::SshTransport;
use tempfile::TempDir;

/// How long the host may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(15);

/// A provider in folders of its own, and the host as it was before.
pub(crate) struct Ground {
    pub provider: LocalProvider,
    pub config: LocalConfig,
    before: HostInventory,
    _folder: TempDir,
}

impl Ground {
    pub(crate) fn new() -> Self {
        Self::within(tempfile::tempdir().expect("a folder"))
    }

    pub(crate) fn within(folder: TempDir) -> Self {
        let config = config_in(folder.path());
        // So that the folders themselves are no difference.
        std::fs::create_dir_all(&config.state).expect("a folder");
        std::fs::create_dir_all(&config.runtime).expect("a folder");
        Self {
            before: HostInventory::take_with(&config),
            provider: LocalProvider::new(config.clone()),
            config,
            _folder: folder,
        }
    }

    /// What is on the host that was not there before this ground.
    pub(crate) fn leaked(&self) -> Vec<String> {
        HostInventory::take_with(&self.config).difference(&self.before)
    }

    /// Nothing may be left, at once.
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.leaked(), Vec::<String>::new());
    }

    /// Nothing may be left once whoever cleans up on their own has done so.
    pub(crate) fn await_clean(&self) {
        await_that("nothing is left", || self.leaked().is_empty());
    }
}

impl Drop for Ground {
    /// A test that failed half-way leaves no machine behind, and so no folder that one still uses.
    fn drop(&mut self) {
        for machine in leftovers(&self.config) {
            if let Some((run, life)) = machine.token.rsplit_once('-')
                && let Ok(life) = life.parse()
            {
                let token = MachineToken::new(&RunId::new(run), life);
                if let Err(error) = block_on(self.provider.release_token(&token)) {
                    println!("{error}");
                }
            }
        }
    }
}

/// The folders under `folder`.
pub(crate) fn config_in(folder: &Path) -> LocalConfig {
    LocalConfig {
        state: folder.join("state"),
        runtime: folder.join("leases"),
    }
}

/// Waits for something that no event tells of.
pub(crate) fn await_that(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a future on a runtime of its own.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

pub(crate) fn token(life: u32) -> MachineToken {
    MachineToken::new(&RunId::new(format!("suite-{}", std::process::id())), life)
}

/// A request for a `local.small`.
pub(crate) fn request(life: u32) -> MachineRequest {
    MachineRequest {
        token: token(life),
        run: RunId::new("suite"),
        cell: CellId::new("0"),
        image: ImageSource::LocalHost,
        logins: Vec::new(),
        machine: Machine {
            region: "local".into(),
            r#type: "local.small".into(),
            vcpus: 1,
            memory_bytes: 512 << 20,
            arch: std::env::consts::ARCH.into(),
            quote: None,
            partition: String::new(),
            features: None,
        },
        disks: Vec::new(),
        boot: Default::default(),
        network: Network::default(),
        network_name: None,
        market: Vec::new(),
        lifetime: Duration::from_secs(600),
    }
}

/// The same with blank disks of these sizes in MiB.
pub(crate) fn request_with_disks(life: u32, sizes: &[u64]) -> MachineRequest {
    let disks = (0..).zip(sizes).map(|(index, size)| DiskRequest {
        disk: DiskIx(index),
        name: format!("data{index}"),
        size_bytes: size << 20,
    });
    MachineRequest {
        disks: disks.collect(),
        ..request(life)
    }
}

/// A machine and a login to it.
pub(crate) struct Guest {
    pub machine: AcquiredMachine,
    session: Arc<dyn Session>,
}

impl Guest {
    pub(crate) async fn start(
        provider: &LocalProvider,
        request: &MachineRequest,
    ) -> Result<Self, AcquireError> {
        Ok(Self::login(provider.acquire(request).await?).await)
    }

    /// Logs in to a machine that is there.
    pub(crate) async fn login(machine: AcquiredMachine) -> Self {
        let session = SshTransport::new()
            .connect(&machine.reach)
            .await
            .expect("a login");
        Self { machine, session }
    }

    /// Runs a command: its status and what it wrote to both streams.
    pub(crate) async fn run(&self, command: &str) -> (ExecStatus, String) {
        let request = ExecRequest {
            command: format!("exec 2>&1\nPATH=/usr/sbin:/usr/bin:/sbin:/bin\n{command}"),
            stdin: Vec::new(),
            stdout: StreamPlan::default(),
            stderr: StreamPlan::default(),
            purpose: Purpose::Housekeeping,
        };
        let outcome = self.session.exec(request).await.expect("an end");
        let text = String::from_utf8_lossy(&outcome.stdout.head).into_owned();
        (outcome.status, text)
    }

    /// Runs a command that must succeed, and gives what it wrote without the last line's end.
    pub(crate) async fn ok(&self, command: &str) -> String {
        let (status, text) = self.run(command).await;
        assert_eq!(status, ExecStatus::Exit(0), "{command}: {text}");
        text.trim_end().to_owned()
    }

    /// Runs a command that must fail, and gives what it wrote.
    pub(crate) async fn fails(&self, command: &str) -> String {
        let (status, text) = self.run(command).await;
        assert_ne!(status, ExecStatus::Exit(0), "{command}: {text}");
        text
    }
}

/// A mount of the host, for as long as this lives.
pub(crate) struct HostMount(PathBuf);

impl HostMount {
    pub(crate) fn tmpfs(path: &Path) -> Self {
        Self::mount(path, &["-t", "tmpfs", "none"])
    }

    /// A file system of so many bytes in a file beside it.
    pub(crate) fn image(path: &Path, size_bytes: u64) -> Self {
        let image = path.with_extension("img");
        std::fs::File::create(&image)
            .and_then(|file| file.set_len(size_bytes))
            .expect("a file");
        let made = Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-m", "0"])
            .arg(&image)
            .status();
        assert!(made.expect("mke2fs").success());
        Self::mount(path, &["-o", "loop", &image.to_string_lossy()])
    }

    fn mount(path: &Path, what: &[&str]) -> Self {
        std::fs::create_dir_all(path).expect("a folder");
        let mounted = Command::new("mount").args(what).arg(path).status();
        assert!(mounted.expect("mount").success());
        Self(path.to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        let status = Command::new("umount").arg(&self.0).status();
        if !status.is_ok_and(|status| status.success()) {
            println!("{} is still mounted", self.0.display());
        }
    }
}

/// Where a program of the host is, if it has it.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.exists())
}
