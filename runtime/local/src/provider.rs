//! The provider of machines that are sandboxes of this host.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use dva_plan::RunId;
use dva_plan::plan::{Capability, DiskIx, ImageSource, Machine};
use dva_runtime::provider::{
    AcquireError, AcquireErrorKind, AcquiredMachine, AttachedDisk, ControlError, ControlErrorKind,
    DetachMode, DiskRequest, MachineRequest, MachineToken, Provider, ReleaseError,
};

use crate::host::{self, MissingPrivilege};
use crate::image;
use crate::machine::{self, Refusal, RunningMachine};
use crate::trouble::Trouble;

/// The region of machines that run on this host.
const REGION: &str = "local";
/// The longest host name that Linux takes.
const LONGEST_TOKEN: usize = 64;

/// Where local machines keep what they own on the host. Two programs that share machines, or clean up
/// after each other, share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalConfig {
    /// The folder for what is large: changed files and disks of machines, each machine in a folder of its
    /// own, and unpacked images. Must lie on a local file system, and not be shared; where the host has
    /// no `mke2fs`, on one that an overlay can write to.
    pub state: PathBuf,
    /// The folder for lease files; must not survive a reboot.
    pub runtime: PathBuf,
}

impl Default for LocalConfig {
    fn default() -> Self {
        Self {
            state: "/var/lib/dva".into(),
            runtime: "/run/dva".into(),
        }
    }
}

impl LocalConfig {
    /// The folder of a machine.
    pub(crate) fn folder(&self, token: &str) -> PathBuf {
        self.state.join(format!("dva-{token}"))
    }

    /// The lease file of a machine.
    pub(crate) fn lease(&self, token: &str) -> PathBuf {
        self.runtime.join(token)
    }

    /// The same with paths as the kernel shows them, which is how left-overs are recognised.
    pub(crate) fn resolved(self) -> Self {
        let resolve = |path: &Path| {
            // What does not exist yet is made by the first machine, where its parents lead.
            let known = path.ancestors().find_map(|ancestor| {
                let rest = path.strip_prefix(ancestor).ok()?;
                let mut known = ancestor.canonicalize().ok()?;
                // Joining nothing would end the path in a slash, which names another text.
                known.extend(rest);
                Some(known)
            });
            known.unwrap_or_else(|| path.to_owned())
        };
        Self {
            state: resolve(&self.state),
            runtime: resolve(&self.runtime),
        }
    }
}

/// Starts sandboxes of this host. What it still runs when it is dropped is ended.
///
/// The program that uses it calls [`crate::enter_if_helper`] as the first line of its `main`.
pub struct LocalProvider {
    config: LocalConfig,
    /// Public keys that may log in to its machines beside the one that is made for each.
    admitted: Arc<[String]>,
    /// A machine is behind a lock of its own, so that two calls about one token wait for each other and
    /// for nobody else.
    machines: Mutex<BTreeMap<MachineToken, Arc<Mutex<Option<RunningMachine>>>>>,
    /// The processor that the next machine takes first.
    next_cpu: AtomicU32,
}

impl LocalProvider {
    /// A provider that has no machines yet.
    #[must_use]
    pub fn new(config: LocalConfig) -> Self {
        Self {
            config: config.resolved(),
            admitted: Arc::default(),
            machines: Mutex::default(),
            next_cpu: AtomicU32::new(0),
        }
    }

    /// Lets whoever has one of these keys log in to its machines as root too. Each is a public key in OpenSSH's text
    /// form; with one that is none, no machine starts.
    #[must_use]
    pub fn admitting(mut self, public_keys: impl IntoIterator<Item = String>) -> Self {
        self.admitted = public_keys.into_iter().collect();
        self
    }

    /// Whether this host and this user can run local machines at all. To be asked before anything starts.
    ///
    /// # Errors
    /// [`MissingPrivilege`] names all that is missing.
    pub fn check_host() -> Result<(), MissingPrivilege> {
        host::check()
    }

    /// Does something to a machine that runs, on a thread that may block.
    async fn control<T: Send + 'static>(
        &self,
        token: &MachineToken,
        what: impl FnOnce(&mut RunningMachine) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, ControlError> {
        let place = self.place(token);
        let done = tokio::task::spawn_blocking(move || {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            what(place.as_mut().ok_or_else(no_machine)?)
        });
        control_result(token, done.await)
    }

    /// The place of a token's machine, whether there is one or not.
    fn place(&self, token: &MachineToken) -> Arc<Mutex<Option<RunningMachine>>> {
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(machines.entry(token.clone()).or_default())
    }
}

#[async_trait]
impl Provider for LocalProvider {
    fn name(&self) -> &'static str {
        "local"
    }

    /// All but a kernel of their own.
    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([
            Capability::Reboot,
            Capability::StopStart,
            Capability::Hotplug,
        ])
    }

    fn serves(&self, image: &ImageSource, machine: &Machine) -> bool {
        match image {
            ImageSource::LocalHost | ImageSource::LocalRootfs { .. } => machine.region == REGION,
            ImageSource::Ec2Ami { .. }
            | ImageSource::Ec2AmiNamed { .. }
            | ImageSource::Ec2AmiParameter { .. } => false,
        }
    }

    async fn acquire(&self, request: &MachineRequest) -> Result<AcquiredMachine, AcquireError> {
        let failed = |kind, message: String| AcquireError {
            machine_type: request.machine.r#type.clone(),
            region: request.machine.region.clone(),
            kind,
            message,
        };
        if !self.serves(&request.image, &request.machine) {
            let message = "machines of this host are of the region `local`".to_owned();
            return Err(failed(AcquireErrorKind::Unsupported, message));
        }
        check_token(&request.token)
            .map_err(|trouble| failed(AcquireErrorKind::Unsupported, trouble.to_string()))?;

        let place = self.place(&request.token);
        let first_cpu = self
            .next_cpu
            .fetch_add(request.machine.vcpus, Ordering::Relaxed);
        let (config, order) = (self.config.clone(), request.clone());
        let admitted = Arc::clone(&self.admitted);
        // Goes on where this future is dropped, and leaves the machine where its release finds it.
        let started = tokio::task::spawn_blocking(move || {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(machine) = &*place {
                return Ok(machine.acquired().clone());
            }
            let lower = image::resolve(&config, &order.image)
                .map_err(|trouble| (AcquireErrorKind::Unsupported, trouble))?;
            let machine = RunningMachine::start(&config, &order, first_cpu, lower, &admitted)
                .map_err(|trouble| (AcquireErrorKind::Broken, trouble))?;
            Ok(place.insert(machine).acquired().clone())
        });
        match started.await {
            Ok(Ok(acquired)) => Ok(acquired),
            Ok(Err((kind, trouble))) => {
                let trouble: Trouble = trouble;
                Err(failed(kind, trouble.to_string()))
            }
            Err(error) => Err(failed(AcquireErrorKind::Broken, error.to_string())),
        }
    }

    async fn release_token(&self, token: &MachineToken) -> Result<(), ReleaseError> {
        let place = self.place(token);
        let (config, name) = (self.config.clone(), token.as_str().to_owned());
        let ended = tokio::task::spawn_blocking(move || {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            match place.take() {
                Some(mut machine) => machine.end(&config),
                None => machine::end_foreign(&config, &name),
            }
        });
        let ended = ended.await.unwrap_or_else(|error| Err(error.to_string()));
        ended.map_err(|message| ReleaseError {
            token: token.clone(),
            message: format!("{message}; `dva gc --yes` removes what is left"),
        })
    }

    async fn of_run(&self, run: &RunId) -> Option<Vec<MachineToken>> {
        let config = self.config.clone();
        let found = tokio::task::spawn_blocking(move || crate::gc::leftovers(&config));
        let found = found.await.ok()?;
        let tokens = found.iter();
        let tokens = tokens.filter_map(|left| MachineToken::of_run(run, &left.token));
        Some(tokens.collect())
    }

    async fn reboot(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.control(token, RunningMachine::reboot).await
    }

    async fn stop(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.control(token, RunningMachine::stop).await
    }

    async fn start(&self, token: &MachineToken) -> Result<(), ControlError> {
        self.control(token, RunningMachine::start_again).await
    }

    async fn attach(
        &self,
        token: &MachineToken,
        disk: &DiskRequest,
    ) -> Result<AttachedDisk, ControlError> {
        let disk = disk.clone();
        self.control(token, move |machine| machine.attach(&disk))
            .await
    }

    async fn detach(
        &self,
        token: &MachineToken,
        disk: DiskIx,
        mode: DetachMode,
    ) -> Result<(), ControlError> {
        self.control(token, move |machine| machine.detach(disk, mode))
            .await
    }

    async fn is_attached(&self, token: &MachineToken, disk: DiskIx) -> Result<bool, ControlError> {
        self.control(token, move |machine| machine.is_attached(disk))
            .await
    }

    /// The machine is forgotten here. [`crate::leftovers`] tells how to log in to it, and
    /// [`crate::end_kept`] ends it before its time.
    async fn keep(&self, token: &MachineToken, lifetime: Duration) -> Result<(), ControlError> {
        let place = self.place(token);
        let kept = tokio::task::spawn_blocking(move || {
            let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
            place.as_mut().ok_or_else(no_machine)?.keep(lifetime)?;
            if let Some(mut machine) = place.take() {
                machine.let_go();
            }
            Ok(())
        });
        control_result(token, kept.await)
    }
}

fn no_machine() -> Refusal {
    Refusal::Broken("this provider has no such machine".into())
}

fn control_result<T>(
    token: &MachineToken,
    done: Result<Result<T, Refusal>, tokio::task::JoinError>,
) -> Result<T, ControlError> {
    let (kind, message) = match done {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(Refusal::Busy(message))) => (ControlErrorKind::Busy, message),
        Ok(Err(Refusal::Broken(message))) => (ControlErrorKind::Broken, message),
        Err(error) => (ControlErrorKind::Broken, error.to_string()),
    };
    Err(ControlError {
        token: token.clone(),
        kind,
        message,
    })
}

impl Drop for LocalProvider {
    /// Lets all machines go. Their supervisors take them down without us, here or after our end, so
    /// nothing waits for them but a thread that collects their exit statuses.
    fn drop(&mut self) {
        let machines = self
            .machines
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        let mut held: Vec<_> = std::mem::take(machines)
            .into_values()
            .filter_map(|place| place.lock().unwrap_or_else(PoisonError::into_inner).take())
            .collect();
        for machine in &mut held {
            machine.let_go();
        }
        if held.is_empty() {
            return;
        }
        let config = self.config.clone();
        std::thread::spawn(move || {
            for mut machine in held {
                // There is nobody to tell; `gc` finds what this may leave.
                let _ = machine.end(&config);
            }
        });
    }
}

/// A token becomes a host name and part of paths.
fn check_token(token: &MachineToken) -> Result<(), Trouble> {
    let text = token.as_str();
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if text.is_empty() || text.len() > LONGEST_TOKEN || !text.bytes().all(plain) {
        return Err(Trouble::new(format!(
            "`{text}` is no name for a machine: it must be lower-case letters, digits and hyphens"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_resolved_as_far_as_they_exist() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().join("real");
        std::fs::create_dir(&real).expect("a folder");
        std::os::unix::fs::symlink(&real, folder.path().join("link")).expect("a link");
        let config = LocalConfig {
            state: folder.path().join("link"),
            runtime: folder.path().join("link/not/yet"),
        };
        let real = real.canonicalize().expect("a path");
        let resolved = config.resolved();
        assert_eq!(resolved.state.as_os_str(), real.as_os_str());
        assert_eq!(
            resolved.runtime.as_os_str(),
            real.join("not/yet").as_os_str()
        );
        assert_eq!(resolved.clone().resolved(), resolved);
    }

    #[test]
    fn a_token_must_do_as_a_host_name() {
        let check =
            |text: &str| check_token(&MachineToken::new(&dva_plan::RunId::new(text), 1)).is_ok();
        assert!(check("20261123-093000-4f2a"));
        assert!(!check("../etc"));
        assert!(!check("Upper"));
        assert!(!check(&"a".repeat(63)));
    }
}
