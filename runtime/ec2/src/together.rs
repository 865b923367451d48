//! Machines that are launched by one call, and ended by one.
//!
//! Those who want alike machines of a region at once share a call, as [`crate::request`] makes it. Where EC2 launches
//! fewer, those that are left are asked for again: EC2 says why there is none only where it launches none at all.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesInputBuilder;
use aws_sdk_ec2::types::Instance;
use dva_schedule::LaunchRate;
use tokio::time::sleep;

use crate::bucket::Api;
use crate::call::CallError;
use crate::error::Meaning;
use crate::gather::Member;
use crate::request::{Shape, Wanted, fit_together, run_instances};
use crate::site::Site;

/// How long the first of several waits for others, in time that nobody is charged for.
const LAUNCH_WITH: Duration = Duration::from_millis(50);
/// How long a machine waits for others to end with it.
const END_WITH: Duration = Duration::from_millis(400);
/// The most machines of one call that ends some. Source: EC2 API reference, *TerminateInstances*: 1,000, and fewer are
/// advised.
const ENDED_AT_ONCE: usize = 100;

/// How often one call is made whose answer was lost, or came before EC2 knew what it had just made.
const ASKED: u32 = 5;
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A machine that was not launched, as far as is known.
#[derive(Clone, Debug)]
pub(crate) struct NotLaunched {
    pub(crate) error: CallError,
    /// Whether it may have been, although nobody said so.
    pub(crate) may_be_there: bool,
    /// The last try that was made for it.
    pub(crate) attempt: u8,
}

impl NotLaunched {
    fn refused(error: CallError) -> Self {
        Self {
            error,
            may_be_there: false,
            attempt: 0,
        }
    }
}

/// A machine that was launched.
#[derive(Clone, Debug)]
pub(crate) struct Launched {
    /// Its name.
    pub(crate) id: String,
    /// The try that brought it.
    pub(crate) attempt: u8,
}

/// Those who wait for a machine.
type Waiting = Vec<Member<Wanted, Result<Launched, NotLaunched>>>;

impl Site {
    /// Launches a machine, with others of its shape that are wanted now.
    ///
    /// # Cancellation
    /// A machine that comes when nobody waits for it any more is ended.
    pub(crate) async fn launch(
        self: &Arc<Self>,
        shape: &Shape,
        wanted: Wanted,
    ) -> Result<Launched, NotLaunched> {
        let attempt = wanted.attempt;
        let joined = self.launches.join(shape, wanted);
        if joined.is_first {
            let (site, shape) = (Arc::clone(self), shape.clone());
            tokio::spawn(async move {
                sleep(LAUNCH_WITH).await;
                while site.launches.is_wanted(&shape) {
                    site.line.turn(Api::RunInstances).await;
                    // Whoever ends the run waits for it.
                    let _calls = site.launching.read().await;
                    site.launch_together(&shape).await;
                }
            });
        }
        joined.answer.await.unwrap_or_else(|_| {
            Err(NotLaunched {
                may_be_there: true,
                attempt,
                ..NotLaunched::refused(CallError::told(Meaning::Unknown, "nobody made the call"))
            })
        })
    }

    /// Launches as many as one call is good for; its turn has come.
    async fn launch_together(self: &Arc<Self>, shape: &Shape) {
        let most = LaunchRate::of_run_instances().instances_a_request;
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let fit = |wanted: &[Wanted]| wanted.len() <= most && fit_together(wanted);
        let members = self.launches.take(shape, fit);
        let wanted: Vec<_> = members.iter().map(|of| of.wanted.clone()).collect();
        if wanted.is_empty() {
            return;
        }
        match run_instances(shape, &wanted, SystemTime::now()) {
            Ok(call) => match self.ask(&call, wanted.len()).await {
                Ok(launched) => {
                    let (left, unwanted) = hand_out(members, launched);
                    for member in left {
                        self.launches.put_back(shape, member);
                    }
                    for launched in unwanted {
                        // Whoever ends the run finds it as well.
                        let _ = self.terminate(&launched.id).await;
                    }
                }
                Err(refused) => refuse(members, &refused),
            },
            Err(error) => {
                let error = CallError::told(Meaning::Parameters, error.to_string());
                refuse(members, &NotLaunched::refused(error));
            }
        }
    }

    /// Makes the call; the same again where the answer was lost, for its client token makes it one launch.
    async fn ask(
        &self,
        call: &RunInstancesInputBuilder,
        machines: usize,
    ) -> Result<Vec<Instance>, NotLaunched> {
        let machines = u32::try_from(machines).unwrap_or(u32::MAX);
        let mut may_be_there = false;
        let mut asked = 1;
        loop {
            let send = call.clone().send_with(&self.line.client);
            let answer = self.line.in_turn(Api::RunInstances, machines, send).await;
            let error = match answer {
                Ok(launched) => match launched.instances.unwrap_or_default() {
                    none if none.is_empty() => {
                        CallError::told(Meaning::Unknown, "EC2 names no machine that it launched")
                    }
                    launched => return Ok(launched),
                },
                Err(error) => error,
            };
            may_be_there |= error.meaning.may_have_worked();
            let again = matches!(error.meaning, Meaning::Transient | Meaning::Gone);
            if !again || asked == ASKED {
                return Err(NotLaunched {
                    may_be_there,
                    ..NotLaunched::refused(error)
                });
            }
            asked += 1;
            sleep(ASK_AGAIN).await;
            self.line.turn(Api::RunInstances).await;
        }
    }

    /// Ends a machine, with others that end now; whether EC2 knows it.
    ///
    /// # Cancellation
    /// Dropping the future does not take the call back.
    pub(crate) async fn terminate(self: &Arc<Self>, id: &str) -> Result<bool, CallError> {
        let joined = self.ends.join(&(), id.to_owned());
        if joined.is_first {
            let site = Arc::clone(self);
            tokio::spawn(async move {
                sleep(END_WITH).await;
                while site.ends.is_wanted(&()) {
                    site.end_together().await;
                }
            });
        }
        let nobody = || CallError::told(Meaning::Unknown, "nobody made the call");
        joined.answer.await.unwrap_or_else(|_| Err(nobody()))
    }

    async fn end_together(&self) {
        let members = self.ends.take(&(), |ids| ids.len() <= ENDED_AT_ONCE);
        let ids: Vec<_> = members.iter().map(|of| of.wanted.clone()).collect();
        match self.end_all(ids).await {
            // What is wrong with one of them keeps all others alive.
            Ok(false) | Err(_) if members.len() > 1 => {
                for member in members {
                    let known = self.end_all(vec![member.wanted.clone()]).await;
                    member.answer(known);
                }
            }
            ended => {
                for member in members {
                    member.answer(ended.clone());
                }
            }
        }
    }

    async fn end_all(&self, ids: Vec<String>) -> Result<bool, CallError> {
        let machines = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        let call = self.line.client.terminate_instances();
        let call = call.set_instance_ids(Some(ids));
        let send = || call.clone().send();
        let done = self
            .line
            .call(Api::TerminateInstances, machines, send)
            .await;
        match done {
            Ok(_) => Ok(true),
            // EC2 does not know it yet, or not any more: the next look tells.
            Err(error) if error.meaning == Meaning::Gone => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Gives each its machine, by the launch index, which is what tells them apart later as well. Those for whom there is
/// none are to ask again, and machines that nobody waits for any more are to end.
fn hand_out(members: Waiting, launched: Vec<Instance>) -> (Waiting, Vec<Launched>) {
    let mut ids: Vec<_> = launched
        .into_iter()
        .filter_map(|machine| {
            let index = machine.ami_launch_index().unwrap_or_default();
            Some((index, machine.instance_id?))
        })
        .collect();
    ids.sort();
    let mut ids = ids.into_iter().map(|(_, id)| id);
    let (mut left, mut unwanted) = (Waiting::new(), Vec::new());
    for mut member in members {
        match ids.next() {
            Some(id) => {
                let attempt = member.wanted.attempt;
                let answer = member.answer(Ok(Launched { id, attempt }));
                unwanted.extend(answer.and_then(Result::ok));
            }
            None => {
                // Another call, so another token.
                member.wanted.attempt = member.wanted.attempt.saturating_add(1);
                left.push(member);
            }
        }
    }
    (left, unwanted)
}

fn refuse(members: Waiting, refused: &NotLaunched) {
    for member in members {
        let attempt = member.wanted.attempt;
        member.answer(Err(NotLaunched {
            attempt,
            ..refused.clone()
        }));
    }
}
