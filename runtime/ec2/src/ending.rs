//! Ending: a machine and all that was made for it, and what a run made beside its machines.
//!
//! Everything is found by its tags, which are part of the call that makes it, so nothing has to be remembered for it to
//! be ended. What is remembered says how long to look for something that EC2 may not show yet.

use std::collections::BTreeSet;

use dva_runtime::provider::MachineToken;
use tokio::time::{Instant, sleep};

use crate::bucket::Api;
use crate::call::CallError;
use crate::config::Patience;
use crate::error::Meaning;
use crate::image::filter;
use crate::instance::InstanceView;
use crate::request::{RUN_TAG, TOKEN_TAG};
use crate::site::{Site, unless};
use crate::volume;

/// What is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The machine of a token.
    Token(MachineToken),
    /// All machines of the site's run.
    Run,
}

impl Whose {
    fn is(&self, machine: &InstanceView) -> bool {
        match self {
            Self::Token(token) => machine.token.as_deref() == Some(token.as_str()),
            Self::Run => true,
        }
    }
}

/// How it is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    /// There is none that EC2 does not show.
    Shown,
    /// There may be one that EC2 does not show yet.
    MayCome,
    /// There is this one.
    Known(String),
}

/// Ends machines and returns when EC2 shows none of them any more but as ended.
pub(crate) async fn end_machines(
    site: &Site,
    whose: &Whose,
    search: &Search,
    patience: Patience,
) -> Result<(), CallError> {
    let until = Instant::now() + patience.settle;
    let mut asked = BTreeSet::new();
    loop {
        let machines = site.machines().await?;
        let mine: Vec<_> = machines
            .iter()
            .filter(|machine| whose.is(machine))
            .collect();
        let mut to_end: BTreeSet<&str> = mine
            .iter()
            .filter(|machine| !machine.is_ending())
            .map(|machine| machine.id.as_str())
            .collect();
        let is_hidden = |id: &String| !mine.iter().any(|machine| machine.id == *id);
        let mut may_come = match search {
            Search::Shown => false,
            Search::MayCome => mine.is_empty(),
            Search::Known(id) => is_hidden(id),
        };
        if let Search::Known(id) = search
            && may_come
        {
            to_end.insert(id);
        }
        to_end.retain(|id| !asked.contains(*id));
        if terminate(site, &to_end).await? {
            asked.extend(to_end.into_iter().map(str::to_owned));
        }
        may_come &= Instant::now() < until;
        if !may_come && mine.iter().all(|machine| machine.has_ended()) {
            return Ok(());
        }
    }
}

/// The most machines of one call. Source: EC2 API reference, *TerminateInstances*: 1,000, and fewer are advised.
const AT_ONCE: usize = 100;

/// Ends machines; whether EC2 knows them all.
async fn terminate(site: &Site, ids: &BTreeSet<&str>) -> Result<bool, CallError> {
    let ids: Vec<_> = ids.iter().map(|id| (*id).to_owned()).collect();
    let mut all_known = true;
    for ids in ids.chunks(AT_ONCE) {
        let count = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let call = site.line.client.terminate_instances();
        let call = call.set_instance_ids(Some(ids.to_vec()));
        let send = || call.clone().send();
        let done = site.line.call(Api::TerminateInstances, count, send).await;
        match done {
            Ok(_) => {}
            // EC2 does not know it yet, or not any more: the next look tells.
            Err(error) if error.meaning == Meaning::Gone => all_known = false,
            Err(error) => return Err(error),
        }
    }
    Ok(all_known)
}

/// Deletes the volumes that were made for a machine. Those that came with it have gone with it.
pub(crate) async fn end_volumes(
    site: &Site,
    whose: &Whose,
    patience: Patience,
) -> Result<(), CallError> {
    let tag = match whose {
        Whose::Token(token) => (TOKEN_TAG, token.as_str()),
        Whose::Run => (RUN_TAG, site.run.as_str()),
    };
    volume::delete_tagged(&site.line, tag, patience).await
}

/// Ends all that a run has here: machines, volumes, key pairs, security groups.
pub(crate) async fn end_run(site: &Site, patience: Patience) -> Result<(), CallError> {
    end_machines(site, &Whose::Run, &Search::Shown, patience).await?;
    end_volumes(site, &Whose::Run, patience).await?;
    delete_keys(site).await?;
    delete_groups(site, patience).await
}

async fn delete_keys(site: &Site) -> Result<(), CallError> {
    let of_run = filter(&format!("tag:{RUN_TAG}"), site.run.as_str());
    let call = site.line.client.describe_key_pairs().filters(of_run);
    let answer = site
        .line
        .call(Api::Describe, 0, || call.clone().send())
        .await?;
    for key in answer.key_pairs() {
        let call = site
            .line
            .client
            .delete_key_pair()
            .set_key_name(key.key_name().map(str::to_owned));
        let done = site
            .line
            .call(Api::Expensive, 0, || call.clone().send())
            .await;
        unless(Meaning::Gone, done.map(drop))?;
    }
    Ok(())
}

async fn delete_groups(site: &Site, patience: Patience) -> Result<(), CallError> {
    let of_run = filter(&format!("tag:{RUN_TAG}"), site.run.as_str());
    let call = site.line.client.describe_security_groups().filters(of_run);
    let answer = site
        .line
        .call(Api::Describe, 0, || call.clone().send())
        .await?;
    let ids = answer.security_groups().iter();
    for id in ids.filter_map(|group| group.group_id()) {
        delete_group(site, id, patience).await?;
    }
    Ok(())
}

/// Deletes a group, which EC2 allows when the last network interface has gone, some time after its machine.
async fn delete_group(site: &Site, id: &str, patience: Patience) -> Result<(), CallError> {
    let until = Instant::now() + patience.volume;
    loop {
        let call = site.line.client.delete_security_group().group_id(id);
        let done = site
            .line
            .call(Api::Mutating, 0, || call.clone().send())
            .await;
        match unless(Meaning::Gone, done.map(drop)) {
            Err(error) if error.meaning == Meaning::Busy && Instant::now() < until => {
                sleep(patience.poll).await;
            }
            done => return done,
        }
    }
}
