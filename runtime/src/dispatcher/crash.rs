//! Tasks of lives that end, in order or because somebody has a bug.

use dva_plan::FailureClass;
use tokio::task::{self, JoinError};

use super::Dispatcher;
use super::held::Held;
use crate::event::{Ending, Event};

impl Dispatcher {
    pub(super) fn on_task_end(&mut self, task: task::Id) {
        self.lives_of_tasks.remove(&task);
    }

    /// A life's task has panicked: our bug, or a provider's. Its machine is released all the same.
    pub(super) fn on_task_crash(&mut self, error: JoinError) {
        let Some(life) = self.lives_of_tasks.remove(&error.id()) else {
            return;
        };
        let message = format!(
            "dva itself has failed while it looked after this machine: {}.",
            panic_message(error)
        );
        let Some(live) = self.live.get_mut(&life) else {
            return;
        };
        if live.crashed {
            self.live.remove(&life);
            self.record(Event::ReleaseFailed { life, message });
            self.settle_cost(life);
            self.ask_for_quota_again(life);
            self.heed_gates();
            self.launch();
            return;
        }
        live.crashed = true;
        self.record(Event::LifeCrashed {
            life,
            message: message.clone(),
        });
        let running: Vec<_> = self.state.lives()[life]
            .running()
            .map(|(test, ..)| test)
            .collect();
        for test in running {
            self.record(Event::ExecutionEnded {
                life,
                test,
                ending: Ending::Errored(FailureClass::MachineLost),
                message: message.clone(),
                steps: Vec::new(),
            });
        }
        self.advance(life);
        self.advance_others(life);
        self.held.push(Held::Release(life));
        self.heed_folder();
    }
}

/// What a panicking task has said.
fn panic_message(error: JoinError) -> String {
    match error.try_into_panic() {
        Ok(payload) => match payload.downcast::<String>() {
            Ok(text) => *text,
            Err(payload) => payload
                .downcast_ref::<&str>()
                .map_or_else(|| "a panic without words".to_owned(), ToString::to_string),
        },
        Err(_) => "its task was ended from outside".to_owned(),
    }
}
