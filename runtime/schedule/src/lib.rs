//! Packs test runs onto machines and says what they cost; pure: no input or output, no clock, no async.
//!
//! | part | does |
//! |---|---|
//! | [`optimize()`] | decides on which life, on which machine and when each test run is to be executed: at the least cost, within a deadline, or in the least time within a budget; with a bound on what could be better |
//! | [`schedule()`] | the same at the least cost, without quotas and without the bound |
//! | [`schedule_isolated()`] | the same with lives of its own for each atom |
//! | [`floor()`] | says what no run of a plan can be better than, without a search |
//! | [`forecast()`] | says what a run may come to, if tests do not take what is expected of them |
//! | [`peers()`] | says what the same tests would cost if they were put onto machines as other runners do it |
//! | [`summarize()`] | counts what a schedule comes to, and what no schedule of its lives could beat |
//! | [`breakdown()`] | the same by region and operating system, with what it costs |
//! | [`check()`] | judges any schedule by the rules below, without a line of the code that made it |
//! | [`over_cost()`] | says whether a schedule is expected to cost more than it may |
//! | [`longest_within()`] | says how long a life may last for an amount |
//! | [`bill()`] | says what a life costs, by its quote's rates and Amazon's billing rules |
//! | [`cost()`] | adds up what the lives of a schedule should cost |
//! | [`spent()`] | says what a run has cost, and where the money went |
//! | [`expected()`] | says the same of a schedule, in the same parts |
//! | [`History`] | knows what tests and boots took in past runs, and what they will take |
//! | [`with_history()`] | is a plan whose durations are those that were measured |
//! | [`coverage()`] | says how much of a plan was measured |
//! | [`back_test()`] | says how good a history is at foretelling durations |
//! | [`money_test()`] | says how good it is at foretelling bills |
//!
//! An estimate and a run use the same scheduler, so they cannot disagree about the packing.
//!
//! # The rules of a schedule
//!
//! | [`Rule`] | holds where |
//! |---|---|
//! | `references` | every row that is named exists, and a life runs only tests of its cell's shape |
//! | `one-verdict` | each test of each cell has exactly one execution that gives its verdict, a `last` test at least one |
//! | `life-closed` | what a test is `after`, regardless of its ending or not, is on the same life |
//! | `conflicts-apart` | tests that conflict do not share a life |
//! | `one-boot` | a life has the boot that its tests need, and none where none of them does |
//! | `order-kept` | a test starts when what it is `after` has ended, and so with `order` on one life |
//! | `as-shipped` | who reads or borrows a state or disk has ended before any test writes it on that life that it is not `after`, and its writers as well before a reboot that loses it; what a reboot has lost is not seen |
//! | `one-writer-chain` | the writers of a state or disk on one life lie on one chain of `after` |
//! | `borrowed-alone` | while a test runs that borrows a state or disk, nobody else runs who reads, writes or borrows it |
//! | `fresh-first` | who reads the machine has ended before any test writes anything or reboots that it is not `after` |
//! | `dirty-last` | who writes the machine starts when all have ended that are not `after` it, but for `last` tests |
//! | `machine-alone` | while a test runs that reboots, stops or borrows the machine, nothing else does |
//! | `last-at-the-end` | a `last` test starts when all others of its life have ended |
//! | `last-everywhere` | a `last` test has one execution, with a verdict, on each life of its cell that has what it is `after` |
//! | `once-only` | a test that may run but once has no setup execution |
//! | `lanes` | a lane runs one test at a time, and there are no more lanes than the policy has |
//! | `machine-fits` | a life's machine is a candidate of its cell and has its image's architecture |
//! | `machine-limit` | there are never more lives at once than the policy allows machines |
//! | `account-limit` | a state of the account is touched by tests of no more lives at once than its limit |
//! | `quota` | the virtual processors of all machines of a region and class, `pending` ones too, are within the quota |
//! | `launch-rate` | a region is asked for no more instances, in no more calls, than the token buckets of its API give |
//! | `deadline` | the makespan is within the deadline, as expected or in nine of ten runs |
//! | `budget` | the lives cost no more than the budget |
//! | `gate-kept` | a life behind a gate is launched when all lives of its image have ended that come before it |
//! | `setup-elsewhere` | a setup execution's test has its verdict on another life |
//! | `times` | launch, readiness, executions and ends follow each other; the makespan is the last end |
//! | `row-order` | lives are listed by launch, then cell; executions by start, then lane |
//! | `plan-digest` | it was made for this plan |
//!
//! `quota`, `launch-rate`, `deadline` and `budget` are of [`check_terms()`], which knows what a plan does not
//! say; all others are of [`check()`].

pub mod bill;
pub mod breakdown;
pub mod cap;
pub mod check;
pub mod cost;
mod fixed;
pub mod floor;
pub mod forecast;
pub mod history;
mod joined;
pub mod limit;
pub mod options;
pub mod packing;
pub mod peers;
pub mod quota;
pub mod spent;
pub mod summary;

pub use bill::{Bill, BillError, BillLine, BillingRule, Usage, bill};
pub use breakdown::{Place, Share, breakdown};
pub use cap::{cost_expected, cost_within, longest_within};
pub use check::{Rule, Terms, Violation, check, check_terms};
pub use cost::{Cost, ROOT_VOLUME_GIB, cost};
pub use floor::{Floor, floor};
pub use forecast::{Forecast, Spread, forecast};
pub use history::{
    BackTest, Coverage, Expected, Foretold, History, Loss, MoneyTest, back_test, coverage,
    money_test, with_history,
};
pub use limit::{CostLimit, ROOM_PERCENT, narrow_cost, over_cost};
pub use options::{
    Assumptions, CellCertificate, Certificate, Effort, Goal, Infeasible, Method, Options, Planned,
    Risk,
};
pub use packing::{optimize, schedule, schedule_isolated};
pub use peers::{Peer, PeerCost, peers};
pub use quota::{Bucket, LaunchRate, QuotaClass, Quotas};
pub use spent::{Spent, expected, spent};
pub use summary::{Summary, peak_vcpus, summarize};
