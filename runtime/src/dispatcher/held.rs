//! What waits for the journal: no provider is asked for anything, and nothing that must not be repeated is
//! started, before all that was recorded is kept.

use std::sync::Arc;

use dva_plan::schedule::LifeIx;
use tokio::sync::mpsc;

use super::Dispatcher;
use crate::executor::{self, Life, Order};

/// Something that is done once the journal has all that was recorded.
pub(super) enum Held {
    /// The life's task begins.
    Begin(LifeIx, mpsc::UnboundedReceiver<Order>),
    /// A life that a controller before this one has left is ended.
    Release(LifeIx),
    /// The life's task is told something.
    Order(LifeIx, Order),
}

impl Dispatcher {
    /// Does what was held back, once all that was recorded is kept.
    pub(super) async fn release_held(&mut self) {
        self.rest();
        self.heed_folder();
        while !self.held.is_empty() {
            if let Err(error) = self.options.journal.commit().wait().await {
                self.folder_problem
                    .get_or_insert(format!("the journal: {error}"));
                // Before anything begins, so that no machine is asked for.
                self.heed_folder();
            }
            for held in std::mem::take(&mut self.held) {
                match held {
                    Held::Begin(life, orders) => self.begin_life(life, orders),
                    Held::Release(life) => self.release_life(life),
                    Held::Order(life, order) => {
                        if let (Some(live), Order::Start(_)) = (self.live.get_mut(&life), &order) {
                            live.in_use = true;
                        }
                        self.order(life, order);
                    }
                }
            }
        }
    }

    /// Before something is waited for: what was recorded is shown, and is in the run folder.
    pub(super) fn rest(&mut self) {
        if let Some(journal) = &mut self.journal
            && let Err(error) = journal.rest()
            && self.folder_problem.is_none()
        {
            self.folder_problem = Some(format!("events.jsonl: {error}"));
        }
        self.options.observer.rest();
    }

    fn begin_life(&mut self, life: LifeIx, orders: mpsc::UnboundedReceiver<Order>) {
        let outbox = self.outbox.clone();
        self.spawn(life, |life| executor::live(life, orders, outbox));
    }

    fn release_life(&mut self, life: LifeIx) {
        let outbox = self.outbox.clone();
        self.spawn(life, |life| executor::release_only(life, outbox));
    }

    /// The life's task, as long as there is a machine, or may be.
    fn spawn<F>(&mut self, index: LifeIx, task: impl FnOnce(Arc<Life>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if let Some(live) = self.live.get(&index) {
            let task = self.tasks.spawn(task(Arc::clone(&live.life)));
            self.lives_of_tasks.insert(task.id(), index);
        }
    }
}
