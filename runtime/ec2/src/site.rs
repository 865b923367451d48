//! What a run has in a region beside its machines: the line to the API, the looks at the machines, and the key pair that
//! all of them share. It is made when the first machine needs it, and found by its tags when the run ends, whoever made
//! it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{ResourceType, Subnet};
use dva_plan::RunId;
use dva_plan::plan::{ImageSource, Machine};
use dva_runtime::provider::MachineRequest;
use tokio::sync::{Mutex, OnceCell, RwLock};
use tokio::time::{Instant, sleep};

use crate::bucket::Api;
use crate::call::{CallError, Line};
use crate::config::{Ec2Config, Patience};
use crate::error::Meaning;
use crate::gather::Gather;
use crate::group::Groups;
use crate::image::{self, FoundImage, filter};
use crate::instance::{self, InstanceView};
use crate::poll::Poll;
use crate::request::{Ground, RUN_TAG, Shape, Wanted, tagged};
use crate::together::{Launched, NotLaunched};

/// The port of a machine's SSH server.
pub(crate) const SSH_PORT: u16 = 22;

/// A run in a region.
pub(crate) struct Site {
    pub(crate) line: Line,
    pub(crate) run: RunId,
    poll: Poll<Vec<InstanceView>>,
    before: OnceCell<Vec<InstanceView>>,
    /// Those of the default network.
    pub(crate) default_subnets: OnceCell<Vec<Subnet>>,
    key_name: OnceCell<String>,
    /// The security groups that were made for the run.
    pub(crate) groups: Mutex<Groups>,
    images: Mutex<BTreeMap<(ImageSourceKey, String), FoundImage>>,
    /// Those who wait to be launched, by what they want.
    pub(crate) launches: Gather<Shape, Wanted, Result<Launched, NotLaunched>>,
    /// Read by whoever launches, and written by whoever ends the run: nothing is launched meanwhile.
    pub(crate) launching: RwLock<()>,
    /// Those who wait to be ended.
    pub(crate) ends: Gather<(), String, Result<bool, CallError>>,
}

/// An image source as a key of a table: its text.
type ImageSourceKey = String;

impl Site {
    pub(crate) fn new(line: Line, run: &RunId, config: &Ec2Config) -> Self {
        Self {
            line,
            run: run.clone(),
            poll: Poll::new(config.patience.poll),
            before: OnceCell::new(),
            default_subnets: OnceCell::new(),
            key_name: OnceCell::new(),
            groups: Mutex::default(),
            images: Mutex::default(),
            launches: Gather::default(),
            launching: RwLock::default(),
            ends: Gather::default(),
        }
    }

    /// The machines of the run here, those among them that have ended not long ago, by a look that all who ask
    /// share.
    pub(crate) async fn machines(&self) -> Result<Arc<Vec<InstanceView>>, CallError> {
        self.poll.fresh(self.look()).await
    }

    /// The machines of the run here when this process first asked: those that another one has launched.
    pub(crate) async fn machines_before(&self) -> Result<&[InstanceView], CallError> {
        let before = self.before.get_or_try_init(|| self.look());
        before.await.map(Vec::as_slice)
    }

    async fn look(&self) -> Result<Vec<InstanceView>, CallError> {
        let of_run = filter(&format!("tag:{RUN_TAG}"), self.run.as_str());
        let machines = instance::all(&self.line, of_run).await?;
        Ok(machines.iter().filter_map(InstanceView::of).collect())
    }

    /// What a machine is launched from and into.
    pub(crate) async fn ground(
        &self,
        config: &Ec2Config,
        request: &MachineRequest,
        subnet: &str,
    ) -> Result<Ground, CallError> {
        let image = self.image(&request.image, &request.machine).await?;
        image.fits(&request.machine)?;
        let network = config.network(request.network_name.as_deref());
        Ok(Ground {
            image: image.id,
            root_device: image.root_device,
            root_gibibytes: image.root_gibibytes,
            other_devices: image.other_devices,
            key_name: self.key_name(config).await?.to_owned(),
            security_groups: self.security_groups(config, request, subnet).await?,
            addressing: network.addressing,
            network: request.network,
            timer: config.timer,
            tags: config.tags(&self.line.region),
            process: config.key.process(),
        })
    }

    /// The image of `source` for machines like `machine`, looked up once.
    pub(crate) async fn image(
        &self,
        source: &ImageSource,
        machine: &Machine,
    ) -> Result<FoundImage, CallError> {
        let key = (source_key(source), machine.arch.clone());
        // Held while it is looked up: those who come at once want the same one.
        let mut images = self.images.lock().await;
        if let Some(found) = images.get(&key) {
            return Ok(found.clone());
        }
        let found = image::find(&self.line, source, machine).await?;
        images.insert(key, found.clone());
        Ok(found)
    }

    /// How the names of all begin that is made for the run.
    pub(crate) fn name(&self) -> String {
        format!("dva-{}", self.run)
    }

    pub(crate) fn tags(&self, config: &Ec2Config) -> Vec<(String, String)> {
        let of_run = (RUN_TAG.to_owned(), self.run.to_string());
        let others = config.tags(&self.line.region);
        [of_run].into_iter().chain(others).collect()
    }

    /// The key pair, which EC2 is given the public half of.
    pub(crate) async fn key_name(&self, config: &Ec2Config) -> Result<&str, CallError> {
        let made = self.key_name.get_or_try_init(|| self.import_key(config));
        made.await.map(String::as_str)
    }

    async fn import_key(&self, config: &Ec2Config) -> Result<String, CallError> {
        // A process that takes a run over has a key of its own: the other one was never written down.
        let name = format!("{}-{}", self.name(), config.key.process());
        let call = self
            .line
            .client
            .import_key_pair()
            .key_name(&name)
            .public_key_material(Blob::new(config.key.public.as_bytes()))
            .tag_specifications(tagged(ResourceType::KeyPair, &self.tags(config)));
        let made = self
            .line
            .call(Api::Expensive, 0, || call.clone().send())
            .await;
        // It is there after a call whose answer was lost.
        unless(Meaning::Exists, made.map(drop))?;
        Ok(name)
    }
}

/// Makes a call that deletes something, again for as long as that is in use, and may be for a while; what has gone already
/// is no error.
pub(crate) async fn once_free<T, E, R, F>(
    line: &Line,
    patience: Patience,
    send: impl Fn() -> F,
) -> Result<(), CallError>
where
    F: Future<Output = Result<T, SdkError<E, R>>>,
    E: ProvideErrorMetadata + Error + 'static,
    R: Debug + 'static,
{
    let until = Instant::now() + patience.volume;
    loop {
        let done = line.call(Api::Mutating, 0, &send).await;
        match unless(Meaning::Gone, done.map(drop)) {
            Err(error) if error.meaning == Meaning::Busy && Instant::now() < until => {
                sleep(patience.poll).await;
            }
            done => return done,
        }
    }
}

/// Takes an error of this meaning for none.
pub(crate) fn unless(meaning: Meaning, done: Result<(), CallError>) -> Result<(), CallError> {
    match done {
        Err(error) if error.meaning == meaning => Ok(()),
        done => done,
    }
}

fn source_key(source: &ImageSource) -> ImageSourceKey {
    format!("{source:?}")
}
