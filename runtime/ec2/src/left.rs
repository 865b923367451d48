//! What runs have left, whoever made it: found by the tag of a run alone. Its main type is [`LeftRun`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use aws_sdk_ec2::primitives::{DateTime, DateTimeFormat};
use aws_sdk_ec2::types::{Filter, InstanceStateName, Tag};
use dva_plan::RunId;
use tokio::task::JoinSet;

use crate::bucket::Api;
use crate::call::CallError;
use crate::instance;
use crate::provider::Ec2Provider;
use crate::request::{EXPIRES_TAG, RUN_TAG, tag_value};
use crate::site::Site;
use crate::volume;

/// What a run has, in all regions that were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftRun {
    /// Machines that have not ended.
    pub machines: u32,
    /// Volumes, those of machines too.
    pub volumes: u32,
    /// Key pairs.
    pub key_pairs: u32,
    /// Security groups.
    pub security_groups: u32,
    /// Where.
    pub regions: BTreeSet<String>,
    /// When nobody needs its machines any more; nothing where there is none.
    pub expires: Option<SystemTime>,
}

/// What there is of all runs.
#[derive(Clone, Debug, Default)]
pub struct Left {
    /// By the run.
    pub runs: BTreeMap<RunId, LeftRun>,
    /// Regions that could not be looked at, and why.
    pub unseen: BTreeMap<String, CallError>,
}

impl Ec2Provider {
    /// Looks in all regions for what any run of dva has there.
    pub async fn left(&self) -> Left {
        let mut looks = JoinSet::new();
        for region in self.config().regions.keys() {
            let site = self.site_of_nobody(region);
            looks.spawn(async move {
                let mut of_region = OfRegion::default();
                let looked = of_region.look(&site).await;
                (site.line.region.clone(), looked.map(|()| of_region.runs))
            });
        }
        let mut left = Left::default();
        for (region, looked) in looks.join_all().await {
            match looked {
                Ok(runs) => left.add(&region, runs),
                Err(error) => drop(left.unseen.insert(region, error)),
            }
        }
        left
    }

    /// The regions that the account of a partition has, by the region that knows them.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn enabled_regions(&self, home: &str) -> Result<Vec<String>, CallError> {
        let line = &self.site_of_nobody(home).line;
        let call = line.client.describe_regions();
        let answer = line.call(Api::Describe, 0, || call.clone().send()).await?;
        let regions = answer.regions().iter();
        let names = regions.filter_map(|region| region.region_name());
        Ok(names.map(str::to_owned).collect())
    }
}

impl Left {
    fn add(&mut self, region: &str, runs: BTreeMap<RunId, LeftRun>) {
        for (run, here) in runs {
            let all = self.runs.entry(run).or_default();
            all.machines += here.machines;
            all.volumes += here.volumes;
            all.key_pairs += here.key_pairs;
            all.security_groups += here.security_groups;
            all.regions.insert(region.to_owned());
            all.expires = all.expires.max(here.expires);
        }
    }
}

#[derive(Default)]
struct OfRegion {
    runs: BTreeMap<RunId, LeftRun>,
}

impl OfRegion {
    async fn look(&mut self, site: &Arc<Site>) -> Result<(), CallError> {
        self.at_machines(site).await?;
        self.at_volumes(site).await?;
        self.at_key_pairs(site).await?;
        self.at_security_groups(site).await
    }

    /// What the run of these tags has here; `None` where they name none.
    fn of(&mut self, tags: &[Tag]) -> Option<&mut LeftRun> {
        let run = tag_value(tags, RUN_TAG)?;
        Some(self.runs.entry(RunId::new(run)).or_default())
    }

    async fn at_machines(&mut self, site: &Site) -> Result<(), CallError> {
        for machine in instance::all(&site.line, of_any_run()).await? {
            let state = machine.state().and_then(|state| state.name());
            if state == Some(&InstanceStateName::Terminated) {
                continue;
            }
            let expires = tag_value(machine.tags(), EXPIRES_TAG).and_then(time);
            if let Some(run) = self.of(machine.tags()) {
                run.machines += 1;
                run.expires = run.expires.max(expires);
            }
        }
        Ok(())
    }

    async fn at_volumes(&mut self, site: &Site) -> Result<(), CallError> {
        for volume in volume::all(&site.line, vec![of_any_run()]).await? {
            if let Some(run) = self.of(volume.tags()) {
                run.volumes += 1;
            }
        }
        Ok(())
    }

    async fn at_key_pairs(&mut self, site: &Site) -> Result<(), CallError> {
        let call = site.line.client.describe_key_pairs().filters(of_any_run());
        let send = || call.clone().send();
        let answer = site.line.call(Api::Describe, 0, send).await?;
        for key in answer.key_pairs() {
            if let Some(run) = self.of(key.tags()) {
                run.key_pairs += 1;
            }
        }
        Ok(())
    }

    async fn at_security_groups(&mut self, site: &Site) -> Result<(), CallError> {
        let call = site.line.client.describe_security_groups();
        let call = call.filters(of_any_run());
        let send = || call.clone().send();
        let answer = site.line.call(Api::Describe, 0, send).await?;
        for group in answer.security_groups() {
            if let Some(run) = self.of(group.tags()) {
                run.security_groups += 1;
            }
        }
        Ok(())
    }
}

fn of_any_run() -> Filter {
    Filter::builder().name("tag-key").values(RUN_TAG).build()
}

/// The time that a tag has, as [`crate::request::timestamp`] writes it.
fn time(text: &str) -> Option<SystemTime> {
    let time = DateTime::from_str(text, DateTimeFormat::DateTime).ok()?;
    SystemTime::try_from(time).ok()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::request::timestamp;

    #[test]
    fn a_time_is_read_as_it_was_written() {
        let then = UNIX_EPOCH + Duration::from_secs(1_795_885_200);
        assert_eq!(time(&timestamp(then)), Some(then));
        assert_eq!(time("tomorrow"), None);
    }
}
