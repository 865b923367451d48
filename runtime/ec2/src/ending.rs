//! Ending: a machine and all that was made for it, and what a run made beside its machines.
//!
//! Everything is found by its tags, which are part of the call that makes it, so nothing has to be remembered for it to
//! be ended. What is remembered says how long to look for something that EC2 may not show yet.

use std::collections::BTreeSet;
use std::sync::Arc;

use dva_runtime::provider::MachineToken;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::bucket::Api;
use crate::call::CallError;
use crate::config::Patience;
use crate::error::Meaning;
use crate::image::filter;
use crate::instance::InstanceView;
use crate::request::{LIVES_TAG, RUN_TAG};
use crate::site::{Site, once_free, unless};
use crate::volume;

/// What is to be ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Whose {
    /// The machine of a token.
    Token(MachineToken),
    /// All machines of the site's run.
    Run,
}

impl Whose {
    fn is(&self, machine: &InstanceView) -> bool {
        match self {
            Self::Token(token) => machine.token.as_ref() == Some(token),
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
    /// The same, beside others of the token that have ended.
    AnotherMayCome,
    /// There is this one.
    Known(String),
}

/// The volumes of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Volumes {
    /// All go with it.
    WithMachine,
    /// There may be others, these among them: one that came with machines which were launched together has the tags of
    /// all of these, and is found by its name alone.
    Besides(Vec<String>),
}

/// Ends the machine of a token and its volumes.
pub(crate) async fn end_life(
    site: &Arc<Site>,
    token: MachineToken,
    search: &Search,
    volumes: &Volumes,
    patience: Patience,
) -> Result<(), CallError> {
    let whose = Whose::Token(token);
    end_machines(site, &whose, search, patience).await?;
    let Volumes::Besides(ids) = volumes else {
        return Ok(());
    };
    for id in ids {
        volume::delete(&site.line, id, patience).await?;
    }
    end_volumes(site, &whose, patience).await
}

/// Ends machines and returns when EC2 shows none of them any more but as ended.
async fn end_machines(
    site: &Arc<Site>,
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
        let mut to_end: BTreeSet<_> = mine
            .iter()
            .filter(|machine| !machine.is_ending())
            .map(|machine| machine.id.clone())
            .collect();
        let is_hidden = |id: &String| !mine.iter().any(|machine| machine.id == *id);
        let mut may_come = match search {
            Search::Shown => false,
            Search::MayCome => mine.is_empty(),
            Search::AnotherMayCome => mine.iter().all(|machine| machine.has_ended()),
            Search::Known(id) => is_hidden(id),
        };
        if let Search::Known(id) = search
            && may_come
        {
            to_end.insert(id.clone());
        }
        to_end.retain(|id| !asked.contains(id));
        asked.extend(terminate(site, to_end).await?);
        may_come &= Instant::now() < until;
        if !may_come && mine.iter().all(|machine| machine.has_ended()) {
            return Ok(());
        }
    }
}

/// Ends machines; those of them that EC2 knows.
async fn terminate(site: &Arc<Site>, ids: BTreeSet<String>) -> Result<BTreeSet<String>, CallError> {
    let mut ends = JoinSet::new();
    for id in ids {
        let site = Arc::clone(site);
        ends.spawn(async move { site.terminate(&id).await.map(|known| known.then_some(id)) });
    }
    let ended: Result<Vec<_>, _> = ends.join_all().await.into_iter().collect();
    Ok(ended?.into_iter().flatten().collect())
}

/// Deletes the volumes that were made for a machine. Those that came with it have gone with it.
async fn end_volumes(site: &Site, whose: &Whose, patience: Patience) -> Result<(), CallError> {
    let run = (RUN_TAG, site.run.as_str());
    let life = match whose {
        Whose::Token(token) => Some(token.life().to_string()),
        Whose::Run => None,
    };
    let of_life = life.as_ref().map(|life| (LIVES_TAG, life.as_str()));
    let tags: Vec<_> = [run].into_iter().chain(of_life).collect();
    volume::delete_tagged(&site.line, &tags, patience).await
}

/// Ends all that a run has here: machines, volumes, key pairs, security groups.
pub(crate) async fn end_run(site: &Arc<Site>, patience: Patience) -> Result<(), CallError> {
    // What is being launched for somebody who has gone is there by then, or was not asked for.
    let _launches = site.launching.write().await;
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
    let call = site.line.client.delete_security_group().group_id(id);
    once_free(&site.line, patience, || call.clone().send()).await
}
