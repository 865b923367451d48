//! The search for the one test that makes the difference: which trial comes next, and what they come to.

/// A search among suspects, who are numbered as they ran.
#[derive(Clone, Debug)]
pub struct Search {
    suspects: usize,
    stage: Stage,
    trials: u32,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Without any of them.
    Alone,
    /// Behind all of them.
    All,
    /// It passes behind the first `passes` of them, and fails behind the first `fails`.
    Between {
        passes: usize,
        fails: usize,
    },
    /// It fails behind this one and all before, and no earlier. Behind this one alone?
    Only(usize),
    Over(Culprit),
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Run the test behind these suspects, by their numbers.
    Try(Vec<usize>),
    /// It is over.
    Over(Culprit),
}

/// What a trial has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// The test has passed.
    Passed,
    /// It has failed.
    Failed,
    /// Neither, but this.
    Nothing(String),
}

/// Who it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Nobody: it fails on a machine of its own as well.
    Nobody,
    /// This suspect, by its number; with those before it, where it is not enough alone.
    Suspect {
        /// Which.
        number: usize,
        /// Whether it is enough.
        is_enough: bool,
    },
    /// It passes behind all of them, one after the other: it is by chance, or of what ran at the same time.
    NotReproduced,
    /// A trial came to nothing, for this reason.
    Unknown(String),
}

impl Search {
    /// A search among so many suspects.
    #[must_use]
    pub fn new(suspects: usize) -> Self {
        Self {
            suspects,
            stage: Stage::Alone,
            trials: 0,
        }
    }

    /// How many trials there were.
    #[must_use]
    pub fn trials(&self) -> u32 {
        self.trials
    }

    /// What is to be done next.
    #[must_use]
    pub fn turn(&self) -> Turn {
        match &self.stage {
            Stage::Alone => Turn::Try(Vec::new()),
            Stage::All => Turn::Try((0..self.suspects).collect()),
            Stage::Between { passes, fails } => {
                Turn::Try((0..passes + (fails - passes) / 2).collect())
            }
            Stage::Only(number) => Turn::Try(vec![*number]),
            Stage::Over(culprit) => Turn::Over(culprit.clone()),
        }
    }

    /// Takes in what the trial has shown that was asked for.
    pub fn hear(&mut self, heard: Heard) {
        self.trials += 1;
        let fails = match heard {
            Heard::Passed => false,
            Heard::Failed => true,
            Heard::Nothing(why) => {
                self.stage = Stage::Over(Culprit::Unknown(why));
                return;
            }
        };
        self.stage = match (&self.stage, fails) {
            (Stage::Alone, true) => Stage::Over(Culprit::Nobody),
            (Stage::Alone, false) => Stage::All,
            (Stage::All, false) => Stage::Over(Culprit::NotReproduced),
            (Stage::All, true) => Self::between(0, self.suspects),
            (Stage::Between { passes, fails }, last) => {
                let middle = passes + (fails - passes) / 2;
                match last {
                    true => Self::between(*passes, middle),
                    false => Self::between(middle, *fails),
                }
            }
            (Stage::Only(number), is_enough) => Stage::Over(Culprit::Suspect {
                number: *number,
                is_enough,
            }),
            (Stage::Over(culprit), _) => Stage::Over(culprit.clone()),
        };
    }

    /// Nothing more is run, for this reason.
    pub fn give_up(&mut self, why: String) {
        if !matches!(self.stage, Stage::Over(_)) {
            self.stage = Stage::Over(Culprit::Unknown(why));
        }
    }

    fn between(passes: usize, fails: usize) -> Stage {
        match fails - passes {
            // The first one has no others before it.
            1 if passes == 0 => Stage::Over(Culprit::Suspect {
                number: 0,
                is_enough: true,
            }),
            1 => Stage::Only(passes),
            _ => Stage::Between { passes, fails },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches where the test fails behind suspects of which `fails` is true.
    fn search(suspects: usize, mut fails: impl FnMut(&[usize]) -> bool) -> (Culprit, u32) {
        let mut search = Search::new(suspects);
        loop {
            match search.turn() {
                Turn::Over(culprit) => return (culprit, search.trials()),
                Turn::Try(behind) => search.hear(match fails(&behind) {
                    true => Heard::Failed,
                    false => Heard::Passed,
                }),
            }
        }
    }

    proptest! {
        #[test]
        fn the_one_who_did_it_is_found(suspects in 1..200_usize, who in any::<prop::sample::Index>()) {
            let who = who.index(suspects);
            let (culprit, trials) = search(suspects, |behind| behind.contains(&who));
            prop_assert_eq!(culprit, Culprit::Suspect { number: who, is_enough: true });
            prop_assert!(trials <= 3 + suspects.next_power_of_two().ilog2());
        }

        #[test]
        fn of_two_who_did_it_together_the_later_is_named(
            suspects in 2..100_usize,
            one in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
        ) {
            let (one, other) = (one.index(suspects), other.index(suspects));
            prop_assume!(one != other);
            let both = |behind: &[usize]| behind.contains(&one) && behind.contains(&other);
            let (culprit, _) = search(suspects, both);
            let number = one.max(other);
            prop_assert_eq!(culprit, Culprit::Suspect { number, is_enough: false });
        }

        #[test]
        fn chance_ends_it_as_well(suspects in 1..100_usize, seed in any::<u64>()) {
            let mut state = seed;
            let (_, trials) = search(suspects, |_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                state >> 63 == 1
            });
            prop_assert!(trials <= 3 + suspects.next_power_of_two().ilog2());
        }
    }

    #[test]
    fn one_that_fails_alone_accuses_nobody() {
        assert_eq!(search(5, |_| true), (Culprit::Nobody, 1));
        assert_eq!(search(5, |_| false), (Culprit::NotReproduced, 2));
    }
}
