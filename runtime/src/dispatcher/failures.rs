//! How much may fail before a run, or what it does of one image, is stopped; and how many machines of a kind
//! may fail to come up.

use std::collections::BTreeMap;

use dva_plan::plan::ImageIx;
use dva_plan::schedule::LifeIx;
use dva_plan::verdict::Verdict;

use super::Dispatcher;
use crate::event::{Event, StopCause, Stopping};
use crate::state::Judgement;

/// The failures so far.
#[derive(Default)]
pub(super) struct Failures {
    /// How many verdicts were looked at.
    judged: usize,
    /// How many of them are failures, of all images and of each.
    all: usize,
    of_images: BTreeMap<ImageIx, usize>,
}

impl Dispatcher {
    /// Stops the run, or what it does of an image, once as many test runs have failed as may.
    pub(super) fn heed_failures(&mut self) {
        let (most, most_per_image) = (
            self.options.max_failures,
            self.options.max_failures_per_image,
        );
        if most.is_none() && most_per_image.is_none() {
            return;
        }
        let plan = self.state.plan();
        for (cell, test) in self.state.judged().iter().skip(self.failures.judged) {
            let judgement = self.state.final_judgement(*cell, *test);
            let failed = |of: &Judgement| matches!(of.verdict, Verdict::Failed { .. });
            if judgement.as_ref().is_some_and(failed) {
                self.failures.all += 1;
                let image = plan.cells[*cell].image;
                *self.failures.of_images.entry(image).or_default() += 1;
            }
        }
        self.failures.judged = self.state.judged().len();
        if let Some(most) = most.filter(|most| self.failures.all >= most.get()) {
            self.stop(Stopping::Finish, StopCause::Failures(count(most.get())));
        }
        if let Some(most) = most_per_image {
            let of_images = self.failures.of_images.iter();
            let over = of_images.filter(|(_, failures)| **failures >= most.get());
            let over: Vec<ImageIx> = over.map(|(image, _)| *image).collect();
            for image in over {
                self.stop_image(image, count(most.get()));
            }
        }
    }

    /// Starts nothing more of an image.
    fn stop_image(&mut self, image: ImageIx, failures: u64) {
        if self.state.stopping().is_some() || self.state.is_stopped(image) {
            return;
        }
        self.record(Event::ImageStopped { image, failures });
        self.unlaunched
            .retain(|(_, life)| self.state.is_wanted(*life));
        for life in self.state.lives_of_image(image) {
            if self.live.contains_key(&life) {
                self.advance(life);
            }
        }
    }

    /// Launches no more machines like that of `life`, where as many in a row did not come up as may.
    pub(super) fn heed_breaker(&mut self, life: LifeIx) {
        let Some(most) = self.options.breaker else {
            return;
        };
        if self.state.stopping().is_some() {
            return;
        }
        if let Some((machine, lives)) = self.state.breaker_of(life, most.get()) {
            self.record(Event::MachineGivenUp { machine, lives });
            self.unlaunched
                .retain(|(_, life)| self.state.is_wanted(*life));
        }
    }
}

fn count(failures: usize) -> u64 {
    u64::try_from(failures).unwrap_or(u64::MAX)
}
