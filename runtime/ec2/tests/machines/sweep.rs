//! Every call of a small run goes wrong in every way, and nothing is left of it.
//!
//! A run is recorded once. Then it is made again for each of its calls and each way in which one goes wrong; of calls
//! that only look, one of each kind. What is asserted each time: a provider that says that all has ended tells the
//! truth, and where it says that something may be left, or is killed, another one ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dva_ec2::Ec2Provider;
use dva_plan::RunId;
use dva_plan::plan::DiskIx;
use dva_runtime::provider::{AcquireErrorKind, DetachMode, DiskRequest, MachineRequest, Provider};
use tokio::sync::Notify;

use crate::cloud::Boots;
use crate::cloud::call::Call;
use crate::cloud::fault::{Deed, Fault};
use crate::runner::{Done, Test};
use crate::{Stand, ground};

pub const TESTS: &[Test] = &[("sweep::whatever_goes_wrong_nothing_is_left", sweep)];

/// How many worlds there are at one time: they wait more than they work.
const AT_ONCE: usize = 24;
const REGION: &str = "eu-central-1";

/// A way in which a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    RefusedOnce(&'static str),
    RefusedAlways(&'static str),
    AnswerLost,
    Dropped,
    /// The process is killed when the call has been carried out, before its answer or after it.
    KilledBefore,
    KilledAfter,
}

impl Way {
    const ALL: [Self; 9] = [
        Self::RefusedOnce("RequestLimitExceeded"),
        Self::RefusedOnce("InternalError"),
        Self::RefusedOnce("UnauthorizedOperation"),
        Self::RefusedAlways("InternalError"),
        Self::RefusedAlways("UnauthorizedOperation"),
        Self::AnswerLost,
        Self::Dropped,
        Self::KilledBefore,
        Self::KilledAfter,
    ];

    /// Whether the run cannot notice, but in time.
    fn is_harmless(self) -> bool {
        matches!(
            self,
            Self::RefusedOnce("RequestLimitExceeded" | "InternalError")
                | Self::AnswerLost
                | Self::Dropped
        )
    }
}

/// A call, told from others of its kind by how many came before it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    action: String,
    number: usize,
}

/// A world in which one call goes wrong.
struct World {
    place: Place,
    way: Way,
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {:?}",
            self.place.action, self.place.number, self.way
        )
    }
}

fn sweep() -> Done {
    let begun = Instant::now();
    let Some(stand) = Stand::up(REGION, Boots::Ports) else {
        return Done::Passed;
    };
    let said = stand.runtime.block_on(run(&stand.provider));
    assert_eq!(
        said,
        Said {
            went: true,
            ended: true
        }
    );
    stand.nothing_is_left();
    let calls = stand.cloud.calls();
    tell_calls(&calls);
    let worlds = worlds(&calls);
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(world) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(message) = visit(world) {
                        wrong
                            .lock()
                            .expect("nobody panics")
                            .push(format!("{world}: {message}"));
                    }
                }
            });
        }
    });
    println!("{} worlds in {:?}", worlds.len(), begun.elapsed());
    let wrong = wrong.into_inner().expect("nobody panics");
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        worlds.len(),
        wrong.join("\n")
    );
    Done::Passed
}

/// Tells how many calls there were of each kind.
fn tell_calls(calls: &[Call]) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        *counts.entry(&call.action).or_default() += 1;
    }
    let changing = calls.iter().filter(|call| !call.is_look()).count();
    println!(
        "{} calls, {changing} without looks: {counts:?}",
        calls.len()
    );
}

/// All that are visited.
fn worlds(calls: &[Call]) -> Vec<World> {
    let mut places = BTreeSet::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls {
        let count = counts.entry(&call.action).or_default();
        if !call.is_look() || *count == 0 {
            let (action, number) = (call.action.clone(), *count);
            places.insert(Place { action, number });
        }
        *count += 1;
    }
    let of_place = |place: Place| {
        let capacity = (place.action == "RunInstances").then_some([
            Way::RefusedOnce("InsufficientInstanceCapacity"),
            Way::RefusedAlways("InsufficientInstanceCapacity"),
        ]);
        let ways = Way::ALL.into_iter().chain(capacity.into_iter().flatten());
        ways.map(move |way| World {
            place: place.clone(),
            way,
        })
    };
    places.into_iter().flat_map(of_place).collect()
}

/// What a run said of itself.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    /// Whether all that was to be done was done.
    went: bool,
    /// Whether all is gone.
    ended: bool,
}

/// Makes a run in a world of its own, and looks at what is left of it.
fn visit(world: &World) -> Result<(), String> {
    let stand = Stand::up(REGION, Boots::Ports).ok_or("there is no world")?;
    let killed = Arc::new(Notify::new());
    let kill = {
        let killed = Arc::clone(&killed);
        Arc::new(move |_: &Call| killed.notify_one())
    };
    let deed = match world.way {
        Way::RefusedOnce(code) | Way::RefusedAlways(code) => Deed::Refuse(code),
        Way::AnswerLost => Deed::LoseAnswer,
        Way::Dropped => Deed::Drop,
        Way::KilledBefore => Deed::Meanwhile(kill),
        Way::KilledAfter => Deed::Then(kill),
    };
    let fault = Fault::on(&world.place.action, deed).after(world.place.number);
    let times = match world.way {
        Way::RefusedAlways(_) => usize::MAX,
        _ => 1,
    };
    stand.cloud.fault(fault.times(times));
    let Stand {
        provider,
        runtime,
        cloud,
        region,
        before,
    } = stand;
    let provider = Arc::new(provider);
    let said = runtime.block_on(async {
        let provider = Arc::clone(&provider);
        // On a thread of the runtime, so that its end is the end of all that it began.
        let running = tokio::spawn(async move { run(&provider).await });
        tokio::select! {
            said = running => said.map(Some).map_err(|error| error.to_string()),
            () = killed.notified() => Ok(None),
            () = tokio::time::sleep(Duration::from_secs(120)) => Err("it does not end".to_owned()),
        }
    })?;
    // Nothing that the run still does is done.
    runtime.shutdown_timeout(Duration::from_secs(5));
    let left = cloud.left(region);
    match &said {
        Some(Said { ended: true, .. }) if left != before => {
            return Err(format!("it says that all has ended, and there is {left:?}"));
        }
        Some(Said { went: false, .. }) if world.way.is_harmless() => {
            return Err("it gave up".to_owned());
        }
        _ => {}
    }
    cloud.heal();
    let other = Stand::again(&cloud, region);
    let ended = other.1.block_on(other.0.end_run(&id()));
    ended.map_err(|error| format!("another one: {error}"))?;
    let left = cloud.left(region);
    if left != before {
        return Err(format!("after {said:?} another one leaves {left:?}"));
    }
    Ok(())
}

fn id() -> RunId {
    RunId::new("20261128-160000-4f2a")
}

/// Two machines: one has a disk from its launch, one gets one, loses it and reboots.
async fn run(provider: &Ec2Provider) -> Said {
    let disk = |row| DiskRequest {
        disk: DiskIx(row),
        name: "disk".to_owned(),
        size_bytes: 1 << 30,
    };
    let (mut first, second) = (request(1), request(2));
    first.disks = vec![disk(0)];
    let one = async {
        acquire(provider, &first).await?;
        Ok::<_, String>(())
    };
    let other = async {
        acquire(provider, &second).await?;
        let token = &second.token;
        let text = |error: dva_runtime::provider::ControlError| error.to_string();
        provider.attach(token, &disk(0)).await.map_err(text)?;
        provider
            .detach(token, DiskIx(0), DetachMode::Wait)
            .await
            .map_err(text)?;
        provider.reboot(token).await.map_err(text)?;
        provider.attach(token, &disk(0)).await.map_err(text)
    };
    let (one, other) = tokio::join!(one, other);
    let went = one.is_ok() && other.is_ok();
    let (one, other) = tokio::join!(
        provider.release_token(&first.token),
        provider.release_token(&second.token)
    );
    let ended = provider.end_run(&id()).await.is_ok();
    Said {
        went,
        ended: ended && one.is_ok() && other.is_ok(),
    }
}

/// Asks for a machine as a run does: again where EC2 has too much to do.
async fn acquire(provider: &Ec2Provider, request: &MachineRequest) -> Result<(), String> {
    let mut tries = 1;
    loop {
        match provider.acquire(request).await {
            Ok(_) => return Ok(()),
            Err(error) if error.kind == AcquireErrorKind::Throttled && tries < 3 => tries += 1,
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn request(life: u32) -> MachineRequest {
    ground::request(REGION, &id(), life)
}
