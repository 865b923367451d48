//! The log of a run: what is recorded, for people who follow the program itself. Secrets were taken out
//! before.

use dva_plan::table::Index;
use tracing::{debug, error, info, warn};

use crate::event::{Ending, Event};

/// Says what is recorded in the log, too.
pub(super) fn tell(event: &Event) {
    match event {
        Event::LifeFailed { life, message, .. } => {
            warn!(target: "dva", life = life.row(), message, "a life failed");
        }
        Event::LifeCrashed { life, message } => {
            error!(target: "dva", life = life.row(), message, "a bug");
        }
        Event::ReleaseFailed { life, message } => {
            error!(target: "dva", life = life.row(), message, "a machine may still be there");
        }
        Event::EndRunFailed { message } => {
            error!(target: "dva", message, "something of the run may still be there");
        }
        Event::Stopping { how, why } => info!(target: "dva", ?how, ?why, "the run is stopped"),
        Event::LifeLaunching { life, token, .. } => {
            info!(target: "dva", life = life.row(), token, "a machine is asked for");
        }
        Event::CandidateRefused {
            life,
            message,
            next,
            ..
        } => {
            warn!(target: "dva", life = life.row(), message, next = next.row(), "another candidate is asked for");
        }
        Event::LifeAcquired { life, id, .. } => {
            info!(target: "dva", life = life.row(), id, "a machine was started");
        }
        Event::BootWarned { life, message } => {
            warn!(target: "dva", life = life.row(), message, "a machine did not boot as it should");
        }
        Event::LifeReady { life } => info!(target: "dva", life = life.row(), "a life is ready"),
        Event::ExecutionEnded {
            life,
            test,
            ending: Ending::Passed,
            ..
        } => debug!(target: "dva", life = life.row(), test = test.row(), "a test has passed"),
        Event::ExecutionEnded {
            life,
            test,
            ending,
            message,
            ..
        } => {
            info!(target: "dva", life = life.row(), test = test.row(), ?ending, message, "a test ended");
        }
        Event::ConsoleRead { life, lines, .. } => {
            for line in lines {
                warn!(target: "dva", life = life.row(), line, "a console says");
            }
        }
        Event::LifeEnded { life } => info!(target: "dva", life = life.row(), "a machine is gone"),
        Event::LifeKept { life, for_ms } => {
            info!(target: "dva", life = life.row(), for_ms, "a machine is kept");
        }
        Event::RunEnded { exit } => info!(target: "dva", ?exit, "the run is over"),
        Event::CellBlocked { cell, gate, .. } => {
            info!(target: "dva", cell = cell.row(), gate, "a cell is blocked");
        }
        Event::LifeBlocked { life, message, .. } => {
            info!(target: "dva", life = life.row(), message, "a life is never launched");
        }
        Event::ImageStopped { image, failures } => {
            warn!(target: "dva", image = image.row(), failures, "an image is stopped");
        }
        Event::MachineGivenUp { machine, lives } => {
            warn!(target: "dva", machine = machine.row(), lives, "no more machines of a type are launched");
        }
        Event::RunResumed { .. } => info!(target: "dva", "the run is resumed"),
        Event::LifeAdded {
            life, instead_of, ..
        } => {
            info!(target: "dva", life = life.row(), instead_of = instead_of.row(), "a life is added");
        }
        Event::RunStarted { .. }
        | Event::TestsGivenUp { .. }
        | Event::LifeSetUp { .. }
        | Event::TestSkipped { .. }
        | Event::ExecutionStarted { .. }
        | Event::LifeReleasing { .. }
        | Event::ProcessesLeft { .. } => debug!(target: "dva", ?event),
    }
}
