//! Images that are given up because too much of them has failed, while others go on.

use dva_plan::plan::{CellIx, ImageIx};
use dva_plan::schedule::LifeIx;
use dva_plan::verdict::{Blocker, Verdict};

use super::{IllegalKind, RunState};

impl RunState {
    /// Whether nothing more of the image of `cell` is started.
    #[must_use]
    pub(super) fn is_image_stopped(&self, cell: CellIx) -> bool {
        self.is_stopped(self.plan.cells[cell].image)
    }

    /// Whether nothing more of `image` is started.
    #[must_use]
    pub(crate) fn is_stopped(&self, image: ImageIx) -> bool {
        self.stopped_images.contains(&image)
    }

    /// Nothing more of `image` is started, for so many of its test runs have failed.
    pub(super) fn stop_image(&mut self, image: ImageIx, failures: u64) -> Result<(), IllegalKind> {
        let name = self.plan.images.get(image).map(|image| image.name.clone());
        let name = name.ok_or(IllegalKind::UnknownImage)?;
        if self.stopping.is_some() || !self.stopped_images.insert(image) {
            return Err(IllegalKind::Stopping);
        }
        let verdict = Verdict::Blocked { by: Blocker::Limit };
        let message = match failures {
            1 => format!(
                "A test run of {name} had failed before it started, and that image was to stop at the first."
            ),
            most => {
                format!(
                    "{most} test runs of {name} had failed before it started, and that image was to stop at so many."
                )
            }
        };
        for life in self.lives_of_image(image) {
            self.give_up(life, &verdict, &message);
        }
        self.judge_open_of(image);
        Ok(())
    }

    /// The lives of all cells of `image`.
    pub(crate) fn lives_of_image(&self, image: ImageIx) -> Vec<LifeIx> {
        let cells = self.lives_of_cells.iter();
        let cells = cells.filter(|(cell, _)| self.plan.cells[**cell].image == image);
        cells.flat_map(|(_, lives)| lives).copied().collect()
    }
}
