//! A stand-in for EC2: a proxy before moto that does what moto does not, and instances that are local machines.
//!
//! | part | does |
//! |---|---|
//! | [`moto`] | answers calls as EC2 does |
//! | [`http`], [`call`], [`xml`] | read and write what goes through the proxy |
//! | [`fault`] | lets calls go wrong as a test says |
//! | [`answers`] | answers what moto does not: client tokens, dry runs, consoles, parameters, quotas |
//! | [`instance`] | boots an instance as a local machine behind an address of its own |
//!
//! Its main type is [`Cloud`]. Whatever becomes of a test, its machines end with it: they are ended where a cloud is
//! dropped, and by themselves where the process has gone.

#![allow(
    dead_code,
    reason = "several binaries of tests share this, and none needs all of it"
)]

mod answers;
pub mod call;
pub mod fault;
pub mod http;
mod instance;
pub mod moto;
pub mod xml;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dva_local::LocalConfig;
use dva_runtime::provider::DetachMode;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Mutex as AsyncMutex;

use answers::Tokens;
use call::Call;
use fault::{Deed, Fault};
use http::{Answer, Request};
use instance::{Instance, Order, Volume};

/// A cloud of its own, which shares moto with those of other tests and nothing in it: each has an account of its own.
pub struct Cloud {
    url: String,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    _folder: tempfile::TempDir,
}

/// What instances boot as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boots {
    /// Local machines, which takes root.
    Machines,
    /// Ports that can be dialled, with nothing behind them.
    Ports,
}

/// The header by which moto is told whose account it is.
const ACCOUNT: &str = "x-moto-account-id";

struct Shared {
    moto: SocketAddr,
    /// The account, whoever signs.
    account: String,
    boots: Boots,
    config: LocalConfig,
    known: Mutex<Known>,
    /// Held while a call is carried out that has a client token.
    tokens: AsyncMutex<Tokens>,
}

/// What is known of what went through.
#[derive(Default)]
struct Known {
    calls: Vec<Call>,
    faults: Vec<Fault>,
    /// The public keys of key pairs, by region and name.
    keys: BTreeMap<(String, String), String>,
    instances: BTreeMap<String, Arc<Instance>>,
    terminated: BTreeSet<String>,
    /// The sizes of volumes that were made by themselves, in GiB.
    sizes: BTreeMap<String, u64>,
    /// What all consoles say, where a test says it.
    console: Option<String>,
    /// Of Systems Manager.
    parameters: BTreeMap<String, String>,
    /// Of Service Quotas, by code.
    quotas: BTreeMap<String, u32>,
    /// How many machines one call launches at most.
    most_at_once: Option<usize>,
    /// What went wrong here, and nobody was told.
    troubles: Vec<String>,
}

impl Cloud {
    /// A cloud; `None`, having said why, where this host cannot have one.
    pub fn up(boots: Boots) -> Option<Self> {
        let moto = moto::url()?.trim_start_matches("http://").parse();
        let moto = moto.expect("moto has an address");
        if boots == Boots::Machines
            && let Err(missing) = dva_local::LocalProvider::check_host()
        {
            moto::skip(&missing.to_string());
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let shared = Arc::new(Shared {
            moto,
            account: account(),
            boots,
            config: LocalConfig {
                state: folder.path().join("state"),
                runtime: folder.path().join("leases"),
            },
            known: Mutex::default(),
            tokens: AsyncMutex::default(),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("threads");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"));
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("bound");
        runtime.spawn(serve(listener, Arc::clone(&shared)));
        Some(Self {
            url: format!("http://{address}"),
            shared,
            runtime: Some(runtime),
            _folder: folder,
        })
    }

    /// Where to call it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Lets something go wrong from now on.
    pub fn fault(&self, fault: Fault) {
        self.shared.known().faults.push(fault);
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.shared.known().faults.clear();
    }

    /// All calls that came so far.
    pub fn calls(&self) -> Vec<Call> {
        self.shared.known().calls.clone()
    }

    /// Forgets them.
    pub fn forget_calls(&self) {
        self.shared.known().calls.clear();
    }

    /// Has all consoles say this, in place of the host key of their machine.
    pub fn console_says(&self, text: &str) {
        self.shared.known().console = Some(text.to_owned());
    }

    /// Has one call launch so many machines at most.
    pub fn launches_at_most(&self, machines: usize) {
        self.shared.known().most_at_once = Some(machines);
    }

    /// Gives Systems Manager a parameter.
    pub fn parameter(&self, name: &str, value: &str) {
        let mut known = self.shared.known();
        known.parameters.insert(name.to_owned(), value.to_owned());
    }

    /// Gives the account a quota.
    pub fn quota(&self, code: &str, value: u32) {
        self.shared.known().quotas.insert(code.to_owned(), value);
    }

    /// What went wrong in here; empty after every test that is right.
    pub fn troubles(&self) -> Vec<String> {
        self.shared.known().troubles.clone()
    }

    /// How many local machines stand for instances now.
    pub fn machines(&self) -> usize {
        self.shared.known().instances.len()
    }

    /// The names of all that is in a region and has not ended.
    pub fn left(&self, region: &str) -> BTreeSet<String> {
        const THINGS: [(&str, &str); 5] = [
            ("DescribeInstances", "instanceId"),
            ("DescribeVolumes", "volumeId"),
            ("DescribeKeyPairs", "keyName"),
            ("DescribeSecurityGroups", "groupId"),
            ("DescribeNetworkInterfaces", "networkInterfaceId"),
        ];
        let mut left = BTreeSet::new();
        for (action, name) in THINGS {
            let answer = self.ask(region, action, &[]);
            for part in xml::parts(&answer, name) {
                let has_ended =
                    action == "DescribeInstances" && part.contains("<name>terminated</name>");
                if !has_ended {
                    left.extend(xml::text(part, name).map(str::to_owned));
                }
            }
        }
        left
    }

    /// What moto itself answers to a call.
    pub fn ask(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let request = self.shared.request_for(region, action, parameters);
        let runtime = self.runtime.as_ref().expect("it is up");
        let answer = runtime.block_on(request.send(self.shared.moto));
        answer.expect("moto answers").text()
    }
}

impl Drop for Cloud {
    /// Ends all machines.
    fn drop(&mut self) {
        let runtime = self.runtime.take();
        let shared = Arc::clone(&self.shared);
        // Wherever this is dropped, on that thread one may wait.
        let ending = std::thread::spawn(move || {
            if let Some(runtime) = runtime {
                runtime.block_on(async {
                    let instances = std::mem::take(&mut shared.known().instances);
                    for instance in instances.into_values() {
                        if let Err(message) = instance.end().await {
                            println!("a machine may be left: {message}");
                        }
                    }
                });
            }
        });
        let _ = ending.join();
    }
}

/// The number of an account that no other cloud of this process has.
fn account() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(200_000_000_000);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever called has gone, which tests let happen.
            let _ = attend(stream, &shared).await;
        });
    }
}

/// Answers a call, or not.
async fn attend(mut stream: TcpStream, shared: &Arc<Shared>) -> io::Result<()> {
    let Some(request) = Request::read(&mut stream).await? else {
        return Ok(());
    };
    let (call, deeds) = shared.note(&request);
    for deed in &deeds {
        match deed {
            Deed::Wait(time) => tokio::time::sleep(*time).await,
            Deed::Drop => return Ok(()),
            Deed::Refuse(code) => {
                let refused = Answer::xml(fault::status(code), xml::error(code));
                return refused.write(&mut stream).await;
            }
            Deed::LoseAnswer | Deed::Then(_) | Deed::Meanwhile(_) => {}
        }
    }
    let answer = shared.answer(&call, &request).await?;
    for deed in &deeds {
        match deed {
            Deed::LoseAnswer => return Ok(()),
            Deed::Meanwhile(what) => what(&call),
            _ => {}
        }
    }
    answer.write(&mut stream).await?;
    for deed in &deeds {
        if let Deed::Then(what) = deed {
            what(&call);
        }
    }
    Ok(())
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call; what is to be done to it.
    fn note(&self, request: &Request) -> (Call, Vec<Deed>) {
        let mut known = self.known();
        let call = Call::of(request, known.calls.len());
        known.calls.push(call.clone());
        let faults = known.faults.iter_mut();
        let deeds = faults.filter_map(|fault| fault.meets(&call)).collect();
        (call, deeds)
    }

    /// A call of ours, signed by nobody: moto minds the region and the account alone.
    fn request_for(&self, region: &str, action: &str, parameters: &[(&str, &str)]) -> Request {
        let scope = format!("Credential=tests/20261128/{region}/ec2/aws4_request");
        let authorization = format!("AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0");
        let mut body = format!("Action={action}&Version=2016-11-15");
        for (name, value) in parameters {
            body += &format!("&{name}={value}");
        }
        let headers = [
            ("host", "ec2.amazonaws.com"),
            ("authorization", authorization.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
            (ACCOUNT, self.account.as_str()),
        ];
        Request::post(&headers, body)
    }

    async fn answer(self: &Arc<Self>, call: &Call, request: &Request) -> io::Result<Answer> {
        if let Some(answer) = self.without_moto(call).await {
            return Ok(answer);
        }
        if call.parameter("ClientToken").is_empty() {
            return self.carry_out(call, request).await;
        }
        let mut tokens = self.tokens.lock().await;
        if let Some(answer) = tokens.answer(call, &self.known().terminated) {
            return Ok(answer);
        }
        let answer = self.carry_out(call, request).await?;
        tokens.note(call, &answer);
        Ok(answer)
    }

    /// Has moto do it, and does to local machines what belongs to it.
    async fn carry_out(self: &Arc<Self>, call: &Call, request: &Request) -> io::Result<Answer> {
        if call.action == "DescribeVolumes" {
            self.settle_volumes(&call.region).await;
        }
        if call.action == "DetachVolume"
            && let Some(answer) = self.detach(call).await
        {
            return Ok(answer);
        }
        let mut request = request.clone();
        let account = (ACCOUNT.to_owned(), self.account.clone());
        request.headers.push(account);
        if call.action == "RunInstances" {
            self.set_count(call, &mut request);
        }
        let mut answer = request.send(self.moto).await?;
        if answer.is_ok() {
            self.follow(call, &answer.text()).await?;
            answer.body = self.rewritten(call, &answer.text()).await.into_bytes();
        }
        Ok(answer)
    }

    /// Asks for as many machines as there are to be: moto launches the least that is asked for, EC2 the most that it can.
    fn set_count(&self, call: &Call, request: &mut Request) {
        let count = |name: &str| call.parameter(name).parse::<usize>().unwrap_or(1);
        let (least, most) = (count("MinCount"), count("MaxCount"));
        let launched = most
            .min(self.known().most_at_once.unwrap_or(most))
            .max(least);
        let body = String::from_utf8_lossy(&request.body);
        let body = body.replace(
            &format!("MinCount={least}"),
            &format!("MinCount={launched}"),
        );
        let body = body.replace(&format!("MaxCount={most}"), &format!("MaxCount={launched}"));
        request.body = body.into_bytes();
    }

    /// Does to local machines what was done in moto.
    async fn follow(self: &Arc<Self>, call: &Call, answer: &str) -> io::Result<()> {
        match call.action.as_str() {
            "ImportKeyPair" => {
                let key = answers::decoded(call.parameter("PublicKeyMaterial"));
                let name = (call.region.clone(), call.parameter("KeyName").to_owned());
                self.known().keys.insert(name, key);
            }
            "CreateVolume" => {
                if let (Some(volume), Some(size)) =
                    (xml::text(answer, "volumeId"), xml::text(answer, "size"))
                {
                    let size = size.parse().unwrap_or(1);
                    self.known().sizes.insert(volume.to_owned(), size);
                }
            }
            "RunInstances" => {
                for id in xml::texts(answer, "instanceId") {
                    self.launch(call, id).await?;
                }
            }
            "AttachVolume" => {
                let id = call.parameter("VolumeId");
                let volume = Volume {
                    id: id.to_owned(),
                    name: call.parameter("Device").to_owned(),
                    gibibytes: self.known().sizes.get(id).copied().unwrap_or(1),
                };
                if let Some(instance) = self.instance(call.parameter("InstanceId")) {
                    let attached = instance.attach(volume).await;
                    self.note_trouble("attach", attached);
                }
            }
            "TerminateInstances" => {
                for id in call.list("InstanceId") {
                    self.known().terminated.insert(id.to_owned());
                    let instance = self.known().instances.remove(id);
                    if let Some(instance) = instance {
                        self.note_trouble("end", instance.end().await);
                    }
                }
            }
            "StopInstances" => {
                for instance in self.named(call) {
                    self.note_trouble("stop", instance.stop().await);
                }
            }
            "StartInstances" => {
                for instance in self.named(call) {
                    instance.moves()?;
                    self.behind("start", async move { instance.start().await });
                }
            }
            "RebootInstances" => {
                for instance in self.named(call) {
                    instance.close().await;
                    self.behind("reboot", async move { instance.reboot().await });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Boots an instance that was launched.
    async fn launch(self: &Arc<Self>, call: &Call, id: &str) -> io::Result<()> {
        let types = [("InstanceType.1", call.parameter("InstanceType"))];
        let types = self.request_for(&call.region, "DescribeInstanceTypes", &types);
        let types = types.send(self.moto).await?.text();
        let number = |name: &str| xml::text(&types, name)?.parse::<u64>().ok();
        let shown = [("InstanceId.1", id)];
        let shown = self.request_for(&call.region, "DescribeInstances", &shown);
        let shown = shown.send(self.moto).await?.text();
        let key = (call.region.clone(), call.parameter("KeyName").to_owned());
        let order = Order {
            id: id.to_owned(),
            r#type: call.parameter("InstanceType").to_owned(),
            vcpus: number("defaultVCpus")
                .and_then(|it| it.try_into().ok())
                .unwrap_or(1),
            memory_bytes: number("sizeInMiB").unwrap_or(512) << 20,
            public_key: self.known().keys.get(&key).cloned(),
            volumes: answers::extra_volumes(call, &shown),
        };
        let instance = Instance::new(order)?;
        let known = Arc::clone(&instance);
        self.known().instances.insert(id.to_owned(), known);
        let config = (self.boots == Boots::Machines).then(|| self.config.clone());
        self.behind("boot", async move { instance.boot(config.as_ref()).await });
        Ok(())
    }

    /// Goes on with something after the call is answered, as EC2 does.
    fn behind(
        self: &Arc<Self>,
        what: &'static str,
        work: impl Future<Output = Result<(), String>> + Send + 'static,
    ) {
        let shared = Arc::clone(self);
        tokio::spawn(async move { shared.note_trouble(what, work.await) });
    }

    fn note_trouble(&self, what: &str, done: Result<(), String>) {
        if let Err(message) = done {
            self.known().troubles.push(format!("{what}: {message}"));
        }
    }

    fn instance(&self, id: &str) -> Option<Arc<Instance>> {
        self.known().instances.get(id).cloned()
    }

    /// The instances that a call names.
    fn named(&self, call: &Call) -> Vec<Arc<Instance>> {
        let ids = call.list("InstanceId");
        ids.into_iter().filter_map(|id| self.instance(id)).collect()
    }

    /// Detaches a volume; the answer where it does not go yet, for its machine uses it.
    async fn detach(&self, call: &Call) -> Option<Answer> {
        let volume = call.parameter("VolumeId");
        let mode = match call.parameter("Force") {
            "true" => DetachMode::Force,
            _ => DetachMode::Nowait,
        };
        let instances: Vec<_> = self.known().instances.values().cloned().collect();
        for instance in instances {
            if instance.has(volume).await {
                match instance.detach(volume, mode).await {
                    Ok(false) => return Some(answers::detaching(call)),
                    done => self.note_trouble("detach", done.map(drop)),
                }
            }
        }
        None
    }

    /// Tells moto of volumes that have gone from their machines since they were to.
    async fn settle_volumes(&self, region: &str) {
        for (volume, has_gone) in self.leaving().await {
            if has_gone {
                let which = [("VolumeId", volume.as_str())];
                let told = self
                    .request_for(region, "DetachVolume", &which)
                    .send(self.moto)
                    .await;
                self.note_trouble("detach", told.map(drop).map_err(|error| error.to_string()));
            }
        }
    }

    /// The volumes that were to go, each with whether it has gone.
    async fn leaving(&self) -> Vec<(String, bool)> {
        let instances: Vec<_> = self.known().instances.values().cloned().collect();
        let mut leaving = Vec::new();
        for instance in instances {
            match instance.leaving().await {
                Ok(of_instance) => leaving.extend(of_instance),
                Err(message) => self.note_trouble("detach", Err(message)),
            }
        }
        leaving
    }

    /// An answer with the addresses that machines are really reached at, and what their volumes really do.
    async fn rewritten(&self, call: &Call, answer: &str) -> String {
        let mut answer = answer.to_owned();
        for name in ["ipAddress", "privateIpAddress", "publicIp"] {
            answer = xml::with(&answer, "instanceId", name, |id, _| {
                Some(self.instance(id)?.address().to_string())
            });
        }
        if call.action == "DescribeVolumes" {
            let leaving = self.leaving().await;
            let stays = |volume: &str| leaving.iter().any(|(it, gone)| it == volume && !gone);
            answer = xml::with(&answer, "volumeId", "status", |volume, status| {
                (status == "attached" && stays(volume)).then(|| "busy".to_owned())
            });
        }
        answer
    }
}
