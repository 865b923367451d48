//! Lives whose machines the account may not have now, since others of the run have theirs: they wait until one of those
//! has ended, and ask again.
//!
//! Nothing is recorded of that: for the journal such a life is being launched, as it is for a controller that takes over.

use std::collections::BTreeSet;

use dva_plan::plan::Machine;
use dva_plan::schedule::LifeIx;
use dva_schedule::QuotaClass;
use tracing::info;

use super::Dispatcher;
use crate::executor::{Ask, Order};

/// The lives that wait.
#[derive(Default)]
pub(super) struct QuotaQueue(BTreeSet<LifeIx>);

impl Dispatcher {
    /// Lets a life wait whose machine the account may not have; whether it does, since others of the run have machines
    /// that count against the same quota.
    pub(super) fn waits_for_quota(&mut self, life: LifeIx) -> bool {
        let pool = pool(self.asked(life));
        let holds = |other: &LifeIx| {
            *other != life
                && !self.quota.0.contains(other)
                && pool == self::pool(self.asked(*other))
        };
        if self.state.stopping().is_some() || !self.live.keys().any(holds) {
            return false;
        }
        info!(target: "dva", life = life.0, "waits until the account may have its machine");
        self.quota.0.insert(life)
    }

    /// A life has ended: those that wait ask again, as many as fit into what it had, and one at least.
    pub(super) fn ask_for_quota_again(&mut self, ended: LifeIx) {
        self.quota.0.remove(&ended);
        let machine = self.asked(ended);
        let mut freed = machine.vcpus;
        let mut asking = Vec::new();
        for life in &self.quota.0 {
            let wanted = self.asked(*life);
            if pool(wanted) != pool(machine) {
                continue;
            }
            if !asking.is_empty() && wanted.vcpus > freed {
                break;
            }
            freed = freed.saturating_sub(wanted.vcpus);
            asking.push(*life);
        }
        for life in asking {
            self.quota.0.remove(&life);
            let ask = Ask {
                machine: self.state.lives()[life].asked(),
                lifetime: self.lifetime(life),
            };
            self.order(life, Order::Ask(ask));
        }
    }

    fn asked(&self, life: LifeIx) -> &Machine {
        &self.state.plan().machines[self.state.lives()[life].asked()]
    }
}

/// What counts against one quota.
fn pool(machine: &Machine) -> (&str, QuotaClass) {
    (&machine.region, QuotaClass::of(machine))
}
