//! Where the machine that was planned for a life is not to be had: the next candidate of its cell that will do.
//!
//! A limit on cost holds here as well: a life has reserved what its planned machine costs until that ends itself.
//! Another candidate gets the longest lifetime that this pays for, and is passed over where the life is expected to
//! take longer than that, or where it has no price. A life that was launched by a controller that has died gets no
//! other candidate then, since nobody knows whether it has had a machine.

use dva_plan::plan::MachineIx;
use dva_plan::schedule::LifeIx;

use super::Dispatcher;
use super::held::Held;
use crate::event::{Event, LifeTrouble};
use crate::executor::{Ask, Order, source};

/// How many machines are asked for at most for one life, the planned one among them.
const MOST_CANDIDATES: usize = 4;

/// The next candidate of a life.
struct Candidate {
    machine: MachineIx,
    /// After how long it ends itself, where the cost is limited.
    within_ms: Option<u64>,
}

impl Dispatcher {
    /// A machine was not to be had: asks for the next candidate, or gives the life up where there is none.
    pub(super) fn ask_another(&mut self, life: LifeIx, trouble: LifeTrouble, message: String) {
        let Some(candidate) = self.next_candidate(life) else {
            if trouble == LifeTrouble::Quota && self.waits_for_quota(life) {
                return;
            }
            let (trouble, message) = self.state.all_refused(life, (trouble, message));
            return self.record(Event::LifeFailed {
                life,
                trouble,
                message,
            });
        };
        self.record(Event::CandidateRefused {
            life,
            trouble,
            message,
            next: candidate.machine,
            within_ms: candidate.within_ms,
        });
        let ask = Ask {
            machine: candidate.machine,
            lifetime: self.lifetime(life),
        };
        self.held.push(Held::Order(life, Order::Ask(ask)));
    }

    fn next_candidate(&self, life: LifeIx) -> Option<Candidate> {
        let refused = self.state.lives()[life].refusals().len() + 1;
        if refused >= MOST_CANDIDATES || self.state.stopping().is_some() {
            return None;
        }
        let (plan, cell) = (self.state.plan(), self.state.schedule().lives[life].cell);
        let candidates = self.state.further_candidates(life).into_iter();
        let mut served =
            candidates.filter(|it| source(plan, cell, *it, &*self.backend.provider).is_some());
        let Some(purse) = &self.purse else {
            let machine = served.next()?;
            return Some(Candidate {
                machine,
                within_ms: None,
            });
        };
        served.find_map(|machine| {
            let within_ms = purse.pays_for_candidate(&self.state, life, machine)?;
            Some(Candidate {
                machine,
                within_ms: Some(within_ms),
            })
        })
    }
}
