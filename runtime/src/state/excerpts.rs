//! How much of all output a run remembers. Steps keep excerpts of what they wrote, each of a limited
//! size; here is the limit for all of them together, so that memory and report stay bounded whatever a
//! plan prints. The bytes themselves are in the run folder.

use dva_plan::report::{StepOutcome, StepReport};

use crate::excerpt::{shorten, shorten_middle};

/// The most bytes of texts that steps keep as they came.
const OF_ALL: usize = 64 << 20;
/// What each end of an excerpt keeps beyond that, where its step did not hold.
const OF_ONE: usize = 512;
/// What a command keeps beyond that, in characters.
const OF_COMMAND: usize = 256;

/// What is left of the limit.
#[derive(Clone, Debug)]
pub(super) struct Excerpts {
    left: usize,
}

impl Default for Excerpts {
    fn default() -> Self {
        Self { left: OF_ALL }
    }
}

impl Excerpts {
    /// The same steps, with what of their texts there is room for.
    pub(super) fn admit(&mut self, steps: &[StepReport]) -> Vec<StepReport> {
        steps
            .iter()
            .map(|step| {
                let size = size(step);
                let fits = size <= self.left;
                if fits {
                    self.left -= size;
                    return step.clone();
                }
                let mut step = step.clone();
                let held = matches!(step.outcome, StepOutcome::Passed | StepOutcome::Assumed);
                for stream in [&mut step.stdout, &mut step.stderr].into_iter().flatten() {
                    if held {
                        stream.excerpt = String::new();
                    } else {
                        shorten_middle(&mut stream.excerpt, OF_ONE);
                    }
                }
                step.command = step.command.map(|command| shorten(&command, OF_COMMAND));
                step.captured = None;
                step
            })
            .collect()
    }
}

fn size(step: &StepReport) -> usize {
    let streams = [&step.stdout, &step.stderr].into_iter().flatten();
    let excerpts: usize = streams.map(|stream| stream.excerpt.len()).sum();
    let captured = step.captured.as_ref();
    let captured = captured.map_or(0, |value| value.to_string().len());
    excerpts + captured + step.message.len() + step.command.as_ref().map_or(0, String::len)
}

#[cfg(test)]
mod tests {
    use dva_plan::report::StreamReport;
    use dva_plan::step::SourceText;

    use super::*;

    fn step(outcome: StepOutcome, excerpt: usize) -> StepReport {
        StepReport {
            source: SourceText::default(),
            depth: 0,
            label: String::new(),
            message: String::new(),
            in_finally: false,
            outcome,
            duration_ms: 0,
            attempts: 1,
            command: Some("c".repeat(1000)),
            status: None,
            captured: None,
            collected: None,
            operands: None,
            stdout: Some(StreamReport {
                bytes: 1 << 30,
                path: None,
                offset: 0,
                excerpt: "e".repeat(excerpt),
            }),
            stderr: None,
        }
    }

    #[test]
    fn all_excerpts_together_stay_within_their_limit() {
        let mut excerpts = Excerpts::default();
        let (passed, failed) = (
            step(StepOutcome::Passed, 4 << 10),
            step(StepOutcome::Failed, 256 << 10),
        );
        assert_eq!(
            excerpts.admit(&[passed.clone(), failed.clone()]),
            [passed.clone(), failed.clone()]
        );
        let mut kept = 0;
        for _ in 0..300 {
            let steps = excerpts.admit(std::slice::from_ref(&failed));
            kept += size(&steps[0]);
        }
        assert!(kept < OF_ALL + 300 * 2_000, "{kept}");
        let late = excerpts.admit(&[passed, failed]);
        // What there was room for went to those that came first.
        let shown = |step: &StepReport| step.stdout.as_ref().map_or(0, |out| out.excerpt.len());
        assert!(shown(&late[0]) <= 4 << 10);
        assert!((1..2_000).contains(&shown(&late[1])), "{}", shown(&late[1]));
        assert_eq!(late[1].stdout.as_ref().map(|out| out.bytes), Some(1 << 30));
    }
}
