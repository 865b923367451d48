//! What a plan needs of an account, looked at before anything is launched: credentials, images, networks, offers,
//! permissions and quotas of each region. Nothing is made and nothing costs. Its main type is [`Checkup`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_ec2::types::{Filter, InstanceType, ResourceType, Subnet};
use dva_plan::plan::{Cell, ExecutionPlan, ImageSource, Machine};
use dva_schedule::QuotaClass;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::bucket::Api;
use crate::call::CallError;
use crate::config::Ec2Config;
use crate::error::Meaning;
use crate::provider::Ec2Provider;
use crate::request::{RUN_TAG, tagged};
use crate::service::QUOTAS;
use crate::site::Site;

/// What was found of one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup {
    /// The region.
    pub region: String,
    /// Its partition.
    pub partition: String,
    /// What was found, in the order in which a run would meet it.
    pub findings: Vec<Finding>,
}

/// One thing that a run needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is there.
    pub grade: Grade,
    /// What it is, in a few words: `image debian`.
    pub what: String,
    /// What was found, as the end of a sentence.
    pub message: String,
}

/// Whether something is there that a run needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// It is.
    Good,
    /// It could not be found out, or will do for a part of the run.
    Doubtful,
    /// It is not: the run would fail.
    Bad,
}

impl Ec2Provider {
    /// Looks at all regions of `plan`, whose machines have so many virtual processors at once at most, by region and
    /// class.
    pub async fn check_up(
        &self,
        plan: &Arc<ExecutionPlan>,
        peaks: &BTreeMap<(String, QuotaClass), u32>,
    ) -> Vec<Checkup> {
        let mut regions = JoinSet::new();
        for (region, partition) in &self.config().regions {
            let look = Look {
                site: self.site_of_nobody(region),
                config: self.config().clone(),
                plan: Arc::clone(plan),
                peaks: peaks
                    .iter()
                    .filter(|((of, _), _)| of == region)
                    .map(|((_, class), vcpus)| (*class, *vcpus))
                    .collect(),
                findings: Vec::new(),
            };
            let (region, partition) = (region.clone(), partition.clone());
            regions.spawn(async move {
                Checkup {
                    region,
                    partition,
                    findings: look.at_all().await,
                }
            });
        }
        let mut checkups = regions.join_all().await;
        checkups.sort_by(|one, other| one.region.cmp(&other.region));
        checkups
    }
}

/// A look at a region.
struct Look {
    site: Arc<Site>,
    config: Ec2Config,
    plan: Arc<ExecutionPlan>,
    peaks: BTreeMap<QuotaClass, u32>,
    findings: Vec<Finding>,
}

impl Look {
    async fn at_all(mut self) -> Vec<Finding> {
        if let Err(error) = self.at_account().await {
            // The rest would say the same.
            self.find(Grade::Bad, "account", error.message);
            return self.findings;
        }
        let image = self.at_images().await;
        let subnets = self.at_networks().await;
        self.at_offers().await;
        self.at_permissions(image.as_deref(), subnets.first()).await;
        self.at_quotas().await;
        self.findings
    }

    fn find(&mut self, grade: Grade, what: impl Into<String>, message: impl Into<String>) {
        self.findings.push(Finding {
            grade,
            what: what.into(),
            message: message.into(),
        });
    }

    fn region(&self) -> &str {
        &self.site.line.region
    }

    /// The machines of this region, each once.
    fn machines(&self) -> Vec<Machine> {
        let machines = self.plan.machines.iter();
        let here = machines.filter(|machine| machine.region == self.region());
        here.cloned().collect()
    }

    /// The cells that may have a machine here.
    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.plan.cells.iter().filter(|cell| {
            let mut candidates = cell.candidates.iter();
            candidates.any(|machine| self.plan.machines[*machine].region == self.region())
        })
    }

    /// Whether anybody lets us look at anything: by the look that a run makes most.
    async fn at_account(&mut self) -> Result<(), CallError> {
        self.site.machines().await?;
        self.find(Grade::Good, "account", "EC2 answers");
        Ok(())
    }

    /// The id of one of the images.
    async fn at_images(&mut self) -> Option<String> {
        let mut wanted: BTreeMap<String, (String, ImageSource, Vec<Machine>)> = BTreeMap::new();
        for cell in self.cells() {
            let image = &self.plan.images[cell.image];
            for machine in cell.candidates.iter().map(|row| &self.plan.machines[*row]) {
                let mut sources = image.sources.iter();
                let serves =
                    |source: &&ImageSource| source.serves(&machine.region, &machine.partition);
                if machine.region != self.region() {
                    continue;
                }
                if let Some(source) = sources.find(serves) {
                    let key = format!("{} {}", image.name, machine.arch);
                    let of_image = || (image.name.clone(), source.clone(), Vec::new());
                    let (_, _, machines) = wanted.entry(key).or_insert_with(of_image);
                    if !machines.contains(machine) {
                        machines.push(machine.clone());
                    }
                }
            }
        }
        let mut one = None;
        for (name, source, machines) in wanted.into_values() {
            let what = format!("image {name}");
            let Some(first) = machines.first() else {
                continue;
            };
            match self.site.image(&source, first).await {
                Ok(found) => {
                    let misfits: BTreeSet<_> = machines
                        .iter()
                        .filter_map(|machine| found.fits(machine).err())
                        .map(|error| error.message)
                        .collect();
                    for misfit in &misfits {
                        self.find(Grade::Bad, what.as_str(), misfit);
                    }
                    if misfits.is_empty() {
                        self.find(Grade::Good, what, found.id.as_str());
                    }
                    one.get_or_insert(found.id);
                }
                Err(error) => self.find(Grade::Bad, what, error.message),
            }
        }
        one
    }

    /// The subnets that there are.
    async fn at_networks(&mut self) -> Vec<Subnet> {
        let mut wanted = BTreeMap::new();
        for cell in self.cells() {
            let name = cell.axes.get("network").cloned();
            let wants_ipv6: &mut bool = wanted.entry(name).or_default();
            *wants_ipv6 |= cell.network.ipv6;
        }
        let mut all = Vec::new();
        for (name, wants_ipv6) in wanted {
            let what = format!("network {}", name.as_deref().unwrap_or("default"));
            let network = self.config.network(name.as_deref());
            match self.site.subnets(network.subnets(self.region())).await {
                Ok(subnets) if subnets.is_empty() => {
                    let message = format!(
                        "there is no default network; name subnets in dva.toml: [network.{}.region.{}] subnets = [\"subnet-…\"]",
                        name.as_deref().unwrap_or("default"),
                        self.region()
                    );
                    self.find(Grade::Bad, what, message);
                }
                Ok(subnets) => {
                    let message = described(&subnets);
                    match wants_ipv6 && !subnets.iter().all(has_ipv6) {
                        true => self.find(
                            Grade::Bad,
                            what,
                            format!("{message}: not all of them have addresses of IPv6"),
                        ),
                        false => self.find(Grade::Good, what, message),
                    }
                    all.extend(subnets);
                }
                Err(error) => self.find(Grade::Bad, what, error.message),
            }
        }
        all
    }

    /// Whether the types are to be had here.
    async fn at_offers(&mut self) {
        const AT_ONCE: usize = 100;
        let types: BTreeSet<_> = self
            .machines()
            .into_iter()
            .map(|machine| machine.r#type)
            .collect();
        let types: Vec<_> = types.into_iter().collect();
        let mut offered = BTreeSet::new();
        for types in types.chunks(AT_ONCE) {
            let of_types = Filter::builder().name("instance-type");
            let of_types = of_types.set_values(Some(types.to_vec()));
            let call = self.site.line.client.describe_instance_type_offerings();
            let call = call.filters(of_types.build());
            let send = || call.clone().send();
            match self.site.line.call(Api::Describe, 0, send).await {
                Ok(answer) => offered.extend(
                    answer
                        .instance_type_offerings()
                        .iter()
                        .filter_map(|offer| offer.instance_type())
                        .map(|name| name.as_str().to_owned()),
                ),
                Err(error) => return self.find(Grade::Doubtful, "types", error.message),
            }
        }
        let missing: Vec<_> = types
            .iter()
            .filter(|name| !offered.contains(*name))
            .collect();
        match missing[..] {
            [] => {
                let count = types.len();
                self.find(Grade::Good, "types", format!("all {count} are offered"));
            }
            _ => {
                let names: Vec<_> = missing.iter().map(|name| name.as_str()).collect();
                let message = format!("not offered here: {}", names.join(", "));
                self.find(Grade::Bad, "types", message);
            }
        }
    }

    /// Whether what a run makes may be made, as EC2 says to calls that are not carried out.
    async fn at_permissions(&mut self, image: Option<&str>, subnet: Option<&Subnet>) {
        let client = self.site.line.client.clone();
        let tags = [(RUN_TAG.to_owned(), self.site.run.to_string())];
        let key = client
            .import_key_pair()
            .dry_run(true)
            .key_name("dva-doctor")
            .public_key_material(self.config.key.public.as_bytes().into())
            .tag_specifications(tagged(ResourceType::KeyPair, &tags));
        let answer = self.site.line.once(Api::Expensive, 0, key.send()).await;
        self.permission("ImportKeyPair", answer.err());
        let group = client
            .create_security_group()
            .dry_run(true)
            .group_name("dva-doctor")
            .description("of nobody")
            .set_vpc_id(subnet.and_then(|subnet| subnet.vpc_id().map(str::to_owned)))
            .tag_specifications(tagged(ResourceType::SecurityGroup, &tags));
        let answer = self.site.line.once(Api::Expensive, 0, group.send()).await;
        self.permission("CreateSecurityGroup", answer.err());
        let machines = self.machines();
        if let (Some(image), Some(machine)) = (image, machines.first()) {
            let launch = client
                .run_instances()
                .dry_run(true)
                .image_id(image)
                .instance_type(InstanceType::from(machine.r#type.as_str()))
                .set_subnet_id(subnet.and_then(|subnet| subnet.subnet_id().map(str::to_owned)))
                .min_count(1)
                .max_count(1)
                .tag_specifications(tagged(ResourceType::Instance, &tags))
                .tag_specifications(tagged(ResourceType::Volume, &tags));
            let answer = self
                .site
                .line
                .once(Api::RunInstances, 0, launch.send())
                .await;
            self.permission("RunInstances", answer.err());
        }
    }

    fn permission(&mut self, call: &str, error: Option<CallError>) {
        let what = format!("ec2:{call}");
        match error {
            None => self.find(Grade::Good, what, "allowed"),
            Some(error) if error.code.as_deref() == Some("DryRunOperation") => {
                self.find(Grade::Good, what, "allowed");
            }
            Some(error) if error.meaning == Meaning::Unauthorised => {
                self.find(Grade::Bad, what, error.message);
            }
            Some(error) => self.find(Grade::Doubtful, what, error.message),
        }
    }

    /// Whether the run's machines may be there at once.
    async fn at_quotas(&mut self) {
        for (class, vcpus) in self.peaks.clone() {
            let what = format!("quota {}", class.name());
            let Some(code) = quota_code(class) else {
                let message =
                    format!("the run has {vcpus} virtual processors at once; look its quota up");
                self.find(Grade::Doubtful, what, message);
                continue;
            };
            match self.quota(code).await {
                Ok(quota) if quota >= u64::from(vcpus) => {
                    let message = format!("{vcpus} of {quota} virtual processors at once");
                    self.find(Grade::Good, what, message);
                }
                Ok(quota) => {
                    let message = format!(
                        "the run has {vcpus} virtual processors at once, and the account may have {quota}: `--quota` packs \
                         it for that, or ask AWS for more ({code})"
                    );
                    self.find(Grade::Bad, what, message);
                }
                Err(error) => {
                    let message = format!(
                        "the run has {vcpus} virtual processors at once; the quota is not known: {}",
                        error.message
                    );
                    self.find(Grade::Doubtful, what, message);
                }
            }
        }
    }

    /// So many virtual processors.
    async fn quota(&self, code: &str) -> Result<u64, CallError> {
        let body = json!({ "ServiceCode": "ec2", "QuotaCode": code });
        let caller = self.site.line.caller();
        let answer = caller.call(QUOTAS, "GetServiceQuota", &body).await?;
        let value = answer.pointer("/Quota/Value");
        // It is written as `256.0`.
        let whole = value.and_then(Value::as_number).map(ToString::to_string);
        let whole = whole.and_then(|text| text.split('.').next()?.parse().ok());
        whole.ok_or_else(|| CallError::told(Meaning::Unknown, "Service Quotas names no number"))
    }
}

/// The code of the quota on machines of a class on demand, as far as a source says it.
///
/// Sources: AWS CLI reference, examples of `service-quotas`; the catalogue of SkyPilot.
fn quota_code(class: QuotaClass) -> Option<&'static str> {
    match class {
        QuotaClass::Standard => Some("L-1216C47A"),
        QuotaClass::G => Some("L-DB2E81BA"),
        QuotaClass::P => Some("L-417A185B"),
        QuotaClass::Dl => Some("L-6E869C2A"),
        QuotaClass::F
        | QuotaClass::Hpc
        | QuotaClass::HighMemory
        | QuotaClass::Inf
        | QuotaClass::Trn
        | QuotaClass::X => None,
    }
}

fn has_ipv6(subnet: &Subnet) -> bool {
    !subnet.ipv6_cidr_block_association_set().is_empty()
}

fn described(subnets: &[Subnet]) -> String {
    let zones: BTreeSet<_> = subnets
        .iter()
        .filter_map(|subnet| subnet.availability_zone())
        .collect();
    let zones: Vec<_> = zones.into_iter().collect();
    let count = subnets.len();
    let noun = if count == 1 { "subnet" } else { "subnets" };
    format!("{count} {noun} in {}", zones.join(", "))
}
