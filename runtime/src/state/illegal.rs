//! Events that cannot be after what was before.

use thiserror::Error;

use super::LifePhase;

/// An event that was refused: a bug of the dispatcher, or a journal that is none of this run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the event at {at_ms} ms cannot be: {kind}")]
pub struct IllegalEvent {
    /// When it was recorded.
    pub at_ms: u64,
    /// What is wrong with it.
    pub kind: IllegalKind,
}

/// What is wrong with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum IllegalKind {
    /// It comes before the run has started.
    #[error("the run has not started")]
    NotStarted,
    /// The run starts again.
    #[error("the run has started already")]
    StartedTwice,
    /// The run is over.
    #[error("the run is over")]
    AfterTheEnd,
    /// It is older than the one before.
    #[error("it is older than the one before")]
    BackInTime,
    /// There is no such life.
    #[error("there is no such life")]
    UnknownLife,
    /// There is no such test on this life.
    #[error("there is no such test on this life")]
    UnknownTest,
    /// The life is not where this could happen.
    #[error("its life is {0}")]
    Phase(LifePhase),
    /// There is no such image.
    #[error("there is no such image")]
    UnknownImage,
    /// There is no such machine in the plan.
    #[error("there is no such machine in the plan")]
    UnknownMachine,
    /// The machine is no candidate of the cell, or was asked for before.
    #[error("the machine is no candidate of its cell, or was asked for before")]
    NoCandidate,
    /// The console of the life was read before.
    #[error("its console was read before")]
    ReadTwice,
    /// Not so many machines of this type and region in a row did not come up, or that was said before.
    #[error("not so many machines like it in a row did not come up")]
    NotInARow,
    /// No more machines of this type are launched in this region.
    #[error("no more machines like its are launched")]
    GivenUp,
    /// The life has failed.
    #[error("its life has failed")]
    Failed,
    /// The life fails again.
    #[error("its life has failed already")]
    FailedTwice,
    /// The run, or what it does of this image, is being stopped, as urgently as this or more.
    #[error("the run is being stopped")]
    Stopping,
    /// A gate of the plan is not open.
    #[error("a gate before it is not open")]
    Gate,
    /// The test has started already, or never will.
    #[error("its test has started already, or never will")]
    NotWaiting,
    /// The test does not run.
    #[error("its test does not run")]
    NotRunning,
    /// The test has not ended.
    #[error("its test has not ended")]
    NotEnded,
    /// The lane is taken, or there is none.
    #[error("its lane is taken, or there is none")]
    NoLane,
    /// A test that this one is `after` has not passed on this life.
    #[error("a test it is `after` has not passed on this life")]
    NotPassed,
    /// A test that goes before this one is not over on this life.
    #[error("a test that goes before it is not over on this life")]
    NotOver,
    /// A test that runs excludes it, or it one of these: one has the machine to itself, or a state that the
    /// other one touches.
    #[error("it must not run beside a test that runs")]
    NotAlone,
    /// The test borrows a state of the account that as many machines have as may.
    #[error("as many machines as may have a state of the account that it borrows")]
    AccountLimit,
    /// There is no such test in this cell.
    #[error("there is no such test in this cell")]
    UnknownTestRun,
    /// The test run has a verdict already.
    #[error("its test run has a verdict already")]
    SecondVerdict,
    /// Tests still run on the machine.
    #[error("tests still run")]
    StillRunning,
    /// The life that is added is not the next one, or not of what was left open.
    #[error("the life that is added is not of what was left open")]
    NotLeftOpen,
    /// There is something left to do.
    #[error("there is something left to do")]
    Unfinished,
    /// The exit code is not what the verdicts give.
    #[error("the exit code is not what the verdicts give")]
    WrongExit,
}
