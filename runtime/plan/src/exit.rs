//! The exit codes of `dva`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::verdict::{Blocker, Verdict};

/// How a run of `dva` ended, as its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExitCode {
    /// 0: nothing failed and at least one test passed.
    Ok,
    /// 1: the source has errors.
    Source,
    /// 2: a bad invocation, or a privilege is missing.
    Invocation,
    /// 3: the plan cannot be read.
    Plan,
    /// 4: tests failed, or none passed.
    TestsFailed,
    /// 5: refused before anything was launched: a limit, or something unbound.
    Refused,
    /// 6: machines may still be running.
    MachinesLeft,
    /// 7: nothing but infrastructure errors, or blocked by capacity or quota.
    Infrastructure,
    /// 8: stopped by a limit after work began.
    Limit,
    /// 101: a bug of ours.
    Bug,
    /// 130: interrupted.
    Interrupted,
}

impl ExitCode {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Source,
        Self::Invocation,
        Self::Plan,
        Self::TestsFailed,
        Self::Refused,
        Self::MachinesLeft,
        Self::Infrastructure,
        Self::Limit,
        Self::Bug,
        Self::Interrupted,
    ];

    /// The number given to the operating system.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Source => 1,
            Self::Invocation => 2,
            Self::Plan => 3,
            Self::TestsFailed => 4,
            Self::Refused => 5,
            Self::MachinesLeft => 6,
            Self::Infrastructure => 7,
            Self::Limit => 8,
            Self::Bug => 101,
            Self::Interrupted => 130,
        }
    }

    /// The code with this number.
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The code of a run with these verdicts whose machines have all ended.
    ///
    /// Precedence 130 > 8 > 4 > 7 > 0; 101 and 6 come from elsewhere and go before all of these. A
    /// run in which nothing passed has proved nothing: 4, unless only infrastructure is to blame.
    #[must_use]
    pub fn of_verdicts<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        let (mut passed, mut failed, mut infrastructure, mut limit, mut interrupted) =
            (false, false, false, false, false);
        for verdict in verdicts {
            match verdict {
                Verdict::Passed | Verdict::Flaky => passed = true,
                Verdict::Failed { .. } => failed = true,
                Verdict::Errored { .. }
                | Verdict::Blocked {
                    by: Blocker::Capacity | Blocker::Quota,
                } => infrastructure = true,
                Verdict::Blocked { by: Blocker::Limit } => limit = true,
                Verdict::Interrupted => interrupted = true,
                // What blocked it counts itself; a binding that is missing refuses the run before.
                Verdict::Blocked {
                    by: Blocker::Test(_) | Blocker::Binding | Blocker::Gate(_),
                }
                | Verdict::Skipped { .. }
                | Verdict::Waived { .. } => {}
            }
        }
        if interrupted {
            Self::Interrupted
        } else if limit {
            Self::Limit
        } else if failed {
            Self::TestsFailed
        } else if infrastructure {
            Self::Infrastructure
        } else if passed {
            Self::Ok
        } else {
            Self::TestsFailed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::FailureClass;
    use crate::id::TestId;

    #[test]
    fn precedence() {
        let failed = Verdict::Failed {
            class: FailureClass::Check,
        };
        let errored = Verdict::Errored {
            class: FailureClass::SshLost,
        };
        let blocked = Verdict::Blocked {
            by: Blocker::Test(TestId::new("a")),
        };
        let code = |verdicts: &[Verdict]| ExitCode::of_verdicts(verdicts);
        assert_eq!(code(&[Verdict::Passed, Verdict::Flaky]), ExitCode::Ok);
        assert_eq!(code(&[]), ExitCode::TestsFailed);
        assert_eq!(
            code(&[Verdict::Passed, errored.clone()]),
            ExitCode::Infrastructure
        );
        assert_eq!(
            code(&[failed.clone(), errored, blocked]),
            ExitCode::TestsFailed
        );
        assert_eq!(code(&[failed, Verdict::Interrupted]), ExitCode::Interrupted);
    }

    #[test]
    fn numbers_are_in_order_and_different() {
        assert!(ExitCode::ALL.is_sorted_by_key(|code| code.number()));
    }
}
