//! The simulator: machines that only exist on tokio's clock. Under a paused clock a run of hours takes
//! milliseconds, and the whole dispatcher runs unchanged.
//!
//! A machine boots for 30 s. The first command of a test that is sent to it takes as long as the whole
//! test `takes` (1 s where nobody knows), less what its `wait` steps outside branches and loops wait; the
//! others take no time, in whichever round of a loop or attempt they come. One that sends no command takes that
//! time when its steps are over. So a test takes what it was estimated to take. The plan's setup takes no time
//! but what an entry says: it is a part of the boot. Each command ends as its test wishes.
//! What a command wrote is then unknown: a check or expectation that needs it counts as passed and is
//! shown *assumed*. So is a file that is copied. What is done to a machine from outside (reboots, disks)
//! takes no time and works.
//!
//! A script says otherwise, for single tests, cells and lives. All keys but `test` may be left out; of
//! several entries that fit the last one counts. What an entry says is taken as it stands: only what is
//! *expected*, the times of the whole script and of the plan, varies by `spread`. Each execution of a test
//! then takes its time, and each machine its boot, multiplied by a log-normal factor whose mean is one. A
//! test may so come to its limit.
//!
//! What is random is drawn from the seed and from the names of what it is for: the cell, which of its
//! lives, the test, which of its commands. So the same script gives the same run, in whatever order things
//! happen, and another schedule of the same plan meets the same times and faults in the same places.
//!
//! ```toml
//! boot = "20s"                        # how long machines take to start
//! takes = "2s"                        # of tests that nobody knows better
//! spread = 0.3                        # how much both vary, from 0 to 2: the logarithm's standard deviation
//! seed = 1                            # what that is drawn from
//! faults = { permille = 20, seed = 7 } # so many of a thousand lives and commands of which no entry says what
//!                                     # goes wrong with them have some fault, but never `release`
//!
//! [[test]]
//! test = "format"                     # the test's id
//! cells = { filesystem = "xfs" }      # only in cells with these axis values
//! life = 0                            # only on this life of each cell, from 0, as they are launched
//! after = "mount"                     # only on machines on which this test has begun before
//! run = 1                             # which of its commands, from 0 (the first); those of `finally` go on counting;
//!                                     # one that is tried again ends the same way each time
//!                                     # so does one in a loop; those of both branches are counted
//! exit = 1                            # its exit status, 0 where only output is given
//! signal = "KILL"                     # or: the signal that ends it
//! stdout = "xfs\n"                    # what it writes
//! stderr = "no space left on device\n"
//! console = "BUG: …\n"                # what its machine says on its console when it runs, or instead of a panic
//! takes = "5min"                      # how long it takes, each time
//! leaves = ["sleep"]                  # names of processes it leaves behind
//! fault = "hang"                      # what goes wrong with it
//!
//! [[life]]
//! cells = { filesystem = "ext4" }     # only machines of these cells
//! life = 1                            # only this one of each cell
//! boot = "90s"
//! late = "90s"                        # how much later than it is done the provider says that the machine
//!                                     # is started, and that it is ended
//! console = "[FAILED] …\n"            # what it says on its console while it starts
//! fault = "capacity"                  # what goes wrong with it
//! ```
//!
//! No fault but `release` leaves a machine behind.
//!
//! | fault of a life | what happens | what becomes of its tests |
//! |---|---|---|
//! | `capacity` | there is no such machine now | *blocked (capacity)* |
//! | `quota` | the account may not have it | *blocked (quota)* |
//! | `broken` | the machine cannot be started | *errored (machine.acquire)* |
//! | `throttle` | the provider has had too many calls and refuses the first three that ask for the machine | run, some seconds later |
//! | `stuck` | the machine is there, but the provider never answers | *errored (machine.acquire)* |
//! | `late` | the provider answers 90 s late, or by what `late` says | run; *errored (machine.acquire)* past the limit |
//! | `lost_answer` | the machine was started, but its provider answers with an error, and so again when it has ended it | *errored (machine.acquire)* |
//! | `twice` | the provider starts two machines; asked to end them it ends one and answers with an error, then the other | run |
//! | `silent` | nobody answers SSH | *errored (ssh.connect_timeout)* |
//! | `auth` | the machine refuses our key | *errored (ssh.auth)* |
//! | `host_key` | the machine shows another host key | *errored (ssh.host_key)* |
//! | `no_return` | nobody answers SSH any more after the machine was rebooted or started again | run; the one that turned it *failed (reboot)*, those that wait *errored (machine.lost)* |
//! | `lost_release` | the machine is ended, but its provider answers once with an error | run |
//! | `release` | the machine cannot be ended | run; the machine is named, exit code 6 |
//!
//! | fault of a command | what happens | what becomes of its test | of the others on its life |
//! |---|---|---|---|
//! | `hang` | it never ends by itself | *failed (limit.step)* or *(limit.test)* | run |
//! | `stubborn` | nor by TERM, only by KILL 5 s later | the same | run |
//! | `refused` | the machine would not start it | *errored (ssh.refused)* | run |
//! | `drop` | the connection breaks in the middle of it | *errored (ssh.lost)* | *errored (ssh.lost)* |
//! | `reboot` | the machine reboots by itself in the middle of it | *failed (guest.rebooted)* | that run: the same; that wait: *errored (machine.lost)* |
//! | `panic` | the kernel gives up in the middle of it and says so on the console, or what `console` says | *failed (guest.panic)*, or by what was said | that run: the same; that wait: *errored (machine.lost)* |
//! | `spot` | the machine is taken away in the middle of it, and its token names none any more | *errored (machine.interrupted)* | the same |
//! | `disk_full` | it exits 1 and writes that no space is left; `exit` and `stderr` say it otherwise | *failed (expect)* where it was to succeed | run |
//!
//! Tests that come after one that did not pass are *blocked* by it, unless they have a class of their own.

mod chance;
mod fault;
mod life;
mod machines;
mod script;
mod session;

use std::sync::Arc;

use dva_plan::ExecutionPlan;

use crate::provider::Backend;
pub use life::SimSpan;
pub use machines::SimMachines;
pub use script::{ScriptError, ScriptErrorKind, SimScript};

/// Makes simulated backends.
#[derive(Clone, Copy, Debug)]
pub struct SimBackend;

impl SimBackend {
    /// A backend that plays `script` for runs of `plan`.
    #[must_use]
    #[expect(
        clippy::new_ret_no_self,
        reason = "what it makes is two halves of one thing, and a run takes them as a `Backend`"
    )]
    pub fn new(plan: Arc<ExecutionPlan>, script: SimScript) -> Backend {
        Self::observed(plan, script).0
    }

    /// As [`SimBackend::new`], with a view on the machines that are there.
    #[must_use]
    pub fn observed(plan: Arc<ExecutionPlan>, script: SimScript) -> (Backend, SimMachines) {
        let machines = SimMachines::new(plan, script);
        let backend = Backend {
            provider: Arc::new(machines.clone()),
            transport: Arc::new(machines.clone()),
        };
        (backend, machines)
    }
}
