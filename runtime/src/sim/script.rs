//! Scripts of the simulator: what they say, and looking it up. Their form is in [`super`], how they are
//! read in [`entry`].

mod entry;

use std::collections::BTreeMap;
use std::time::Duration;

use dva_plan::TestId;
use dva_plan::plan::{Cell, ExecutionPlan, Machine};
use thiserror::Error;
use toml::Table;

use super::chance::Chance;
use super::fault::{CommandFault, LifeFault, RandomFaults};
use crate::transport::ExecStatus;
use entry::Entry;

/// How much later than usual a provider answers of which nobody says how much.
const LATE_MS: u64 = 90_000;

/// What a simulator is told. The default says nothing: all goes well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimScript {
    /// Where it says so.
    boot_ms: Option<u64>,
    /// Where it does not.
    usual_boot_ms: u64,
    takes_ms: u64,
    /// From which durations are drawn.
    seed: u64,
    /// How much they vary: the standard deviation of their logarithm, in thousandths.
    spread: u32,
    faults: Option<RandomFaults>,
    tests: Vec<ToldCommand>,
    lives: Vec<(Machines, ToldLife)>,
    /// What machines say on their consoles while they start.
    consoles: Vec<(Machines, String)>,
}

/// A script that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{place}: {kind}")]
pub struct ScriptError {
    /// Where: `test 2`, `life 1`, `the script`.
    pub place: String,
    /// What is wrong there.
    pub kind: ScriptErrorKind,
}

/// What is wrong in a script.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScriptErrorKind {
    /// It is no TOML; the text is the parser's.
    #[error("{0}")]
    Syntax(String),
    /// A name that is not known: of a key, test, axis, axis value or fault.
    #[error("there is no {what} `{name}`{}", suggest(.nearest.as_deref()))]
    Unknown {
        /// Of what it is meant to be the name.
        what: &'static str,
        /// The name.
        name: String,
        /// One like it that is known.
        nearest: Option<String>,
    },
    /// A key that must be there is not.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A value that does not fit its key.
    #[error("`{key}` must be {wanted}")]
    Unfit {
        /// The key.
        key: &'static str,
        /// What its value must be.
        wanted: String,
    },
}

impl ScriptError {
    /// Whether it names a test or an axis value that the plan does not have.
    fn is_of_the_plan(&self) -> bool {
        let of_plan =
            |what| ["test", "axis", "axis value", "machine type", "region"].contains(&what);
        matches!(self.kind, ScriptErrorKind::Unknown { what, .. } if of_plan(what))
    }
}

fn suggest(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| {
        format!("; did you mean `{nearest}`?")
    })
}

/// Which lives an entry is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Lives {
    /// Those of cells with these axis values.
    cells: BTreeMap<String, String>,
    /// Of each cell only this one, in the order of their launch; all of them where it is absent.
    number: Option<u32>,
}

/// Which machines an entry about lives is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Machines {
    lives: Lives,
    /// Only those of this type.
    r#type: Option<String>,
    /// Only those of this region.
    region: Option<String>,
}

impl Machines {
    fn fit(&self, cell: &Cell, number: u32, machine: &Machine) -> bool {
        let fits = |own: &Option<String>, other| own.as_ref().is_none_or(|own| own == other);
        self.lives.fit(cell, number)
            && fits(&self.r#type, &machine.r#type)
            && fits(&self.region, &machine.region)
    }
}

impl Lives {
    fn fit(&self, cell: &Cell, number: u32) -> bool {
        let mut cells = self.cells.iter();
        cells.all(|(axis, value)| cell.axes.get(axis) == Some(value))
            && self.number.is_none_or(|own| own == number)
    }
}

/// An entry about a command.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ToldCommand {
    lives: Lives,
    test: TestId,
    /// Which of its commands.
    run: u32,
    /// Only where this test has begun on the machine before.
    after: Option<TestId>,
    command: Command,
}

/// What is said about one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    exit: Option<u32>,
    signal: Option<String>,
    pub(super) stdout: Option<String>,
    pub(super) stderr: Option<String>,
    pub(super) console: Option<String>,
    pub(super) takes_ms: Option<u64>,
    pub(super) leaves: Vec<String>,
    pub(super) fault: Option<CommandFault>,
}

/// What is said about a life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ToldLife {
    boot_ms: Option<u64>,
    late_ms: Option<u64>,
    fault: Option<LifeFault>,
}

/// How a life is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) boot: Duration,
    /// How much later than it is done the provider says so.
    pub(super) late: Duration,
    pub(super) fault: Option<LifeFault>,
}

impl Default for SimScript {
    fn default() -> Self {
        Self {
            boot_ms: None,
            usual_boot_ms: 30_000,
            takes_ms: 1_000,
            seed: 0,
            spread: 0,
            faults: None,
            tests: Vec::new(),
            lives: Vec::new(),
            consoles: Vec::new(),
        }
    }
}

impl SimScript {
    /// Reads a script for runs of `plan`.
    ///
    /// # Errors
    /// The first thing that is wrong in it.
    pub fn parse(text: &str, plan: &ExecutionPlan) -> Result<Self, ScriptError> {
        Self::read(text, plan, false)
    }

    /// Reads a script for runs of a part of the plan that it was written for: what it says of cells and tests that
    /// are not there is left out.
    ///
    /// # Errors
    /// As [`SimScript::parse`].
    pub fn parse_for_part(text: &str, plan: &ExecutionPlan) -> Result<Self, ScriptError> {
        Self::read(text, plan, true)
    }

    fn read(text: &str, plan: &ExecutionPlan, is_part: bool) -> Result<Self, ScriptError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ScriptError {
            place: "the script".to_owned(),
            kind: ScriptErrorKind::Syntax(error.to_string().trim_end().to_owned()),
        })?;
        let whole = Entry {
            place: "the script".to_owned(),
            table: &table,
            plan,
        };
        whole.check_keys(&["boot", "takes", "seed", "spread", "faults", "test", "life"])?;
        let mut script = Self::default();
        script.boot_ms = whole.duration("boot")?;
        script.takes_ms = whole.duration("takes")?.unwrap_or(script.takes_ms);
        script.seed = whole.seed()?.unwrap_or(script.seed);
        script.spread = whole.spread()?.unwrap_or(script.spread);
        script.faults = whole.faults(script.seed)?;
        let names_what_is_left_out = |error: &ScriptError| is_part && error.is_of_the_plan();
        for entry in whole.entries("test")? {
            match entry.test() {
                Err(error) if names_what_is_left_out(&error) => {}
                told => script.tests.push(told?),
            }
        }
        for entry in whole.entries("life")? {
            let (lives, told, console) = match entry.life() {
                Err(error) if names_what_is_left_out(&error) => continue,
                told => told?,
            };
            script
                .consoles
                .extend(console.map(|console| (lives.clone(), console)));
            script.lives.push((lives, told));
        }
        Ok(script)
    }

    /// A script that says nothing but that `permille` of a thousand lives and commands go wrong, drawn
    /// from `seed`.
    #[must_use]
    pub fn random(seed: u64, permille: u32) -> Self {
        Self::default().with_faults(seed, permille)
    }

    /// The same, but `permille` of a thousand lives and commands of which no entry says what goes wrong
    /// with them have a fault, drawn from `seed`.
    #[must_use]
    pub fn with_faults(self, seed: u64, permille: u32) -> Self {
        let faults = Some(RandomFaults { seed, permille });
        Self { faults, ..self }
    }

    /// How long machines take to start that no entry speaks of, in milliseconds.
    #[must_use]
    pub fn boot_ms(&self) -> u64 {
        self.boot_ms.unwrap_or(self.usual_boot_ms)
    }

    /// The same, but machines take so many milliseconds to start where it does not say how long they do.
    #[must_use]
    pub fn with_usual_boot(self, boot_ms: u64) -> Self {
        Self {
            usual_boot_ms: boot_ms,
            ..self
        }
    }

    /// How long tests take that nobody knows better, in milliseconds.
    #[must_use]
    pub fn takes_ms(&self) -> u64 {
        self.takes_ms
    }

    /// What is said about a command of `test` on life number `life` of a cell, on which the tests have begun of
    /// which `has_begun` is true.
    pub(super) fn command(
        &self,
        cell: &Cell,
        life: u32,
        test: &TestId,
        run: u32,
        has_begun: impl Fn(&TestId) -> bool,
    ) -> Command {
        let fits = |told: &&ToldCommand| {
            told.test == *test
                && told.run == run
                && told.lives.fit(cell, life)
                && told.after.as_ref().is_none_or(&has_begun)
        };
        let told = self.tests.iter().rfind(fits);
        let mut command = told.map(|told| told.command.clone()).unwrap_or_default();
        let at_random =
            |faults: RandomFaults| faults.of_command(cell.id.as_str(), life, test.as_str(), run);
        command.fault = command.fault.or_else(|| self.faults.and_then(at_random));
        if command.fault == Some(CommandFault::DiskFull) {
            command.exit.get_or_insert(1);
            let says = || "write error: No space left on device\n".to_owned();
            command.stderr.get_or_insert_with(says);
        }
        command
    }

    /// What is said about life number `life` of a cell, on this machine, which is the first that is asked for where
    /// `is_first`.
    pub(super) fn life(&self, cell: &Cell, life: u32, machine: &Machine, is_first: bool) -> Life {
        let mut lives = self.lives.iter();
        let told = lives.rfind(|(lives, _)| lives.fit(cell, life, machine));
        let told = told.map(|(_, told)| *told).unwrap_or_default();
        let other = (!is_first).then_some(machine);
        let at_random = |faults: RandomFaults| faults.of_life(cell.id.as_str(), life, other);
        let fault = told.fault.or_else(|| self.faults.and_then(at_random));
        let usual_ms = || {
            let chance = Chance::new(self.seed).of("boot").of(cell.id.as_str());
            chance.number(life).spread(self.boot_ms(), self.spread)
        };
        let usually_late_ms = match fault == Some(LifeFault::Late) {
            true => LATE_MS,
            false => 0,
        };
        let late_ms = told.late_ms.unwrap_or(usually_late_ms);
        Life {
            boot: Duration::from_millis(told.boot_ms.unwrap_or_else(usual_ms)),
            late: Duration::from_millis(late_ms),
            fault,
        }
    }

    /// What the machine of life number `life` of a cell says on its console while it starts.
    pub(super) fn boot_console(&self, cell: &Cell, life: u32, machine: &Machine) -> Option<&str> {
        let mut consoles = self.consoles.iter();
        let said = consoles.rfind(|(lives, _)| lives.fit(cell, life, machine));
        said.map(|(_, text)| text.as_str())
    }

    /// How long `test` takes on life number `life` of a cell, in milliseconds, where that is `takes_ms` on
    /// average.
    pub(super) fn takes(&self, cell: &Cell, life: u32, test: &TestId, takes_ms: u64) -> u64 {
        let chance = Chance::new(self.seed).of("takes").of(cell.id.as_str());
        let execution = chance.number(life).of(test.as_str());
        execution.spread(takes_ms, self.spread)
    }
}

impl Command {
    /// How it ends.
    pub(super) fn status(&self) -> ExecStatus {
        if let Some(signal) = &self.signal {
            ExecStatus::Signal(signal.clone())
        } else if let Some(status) = self.exit {
            ExecStatus::Exit(status)
        } else if self.stdout.is_some() || self.stderr.is_some() {
            ExecStatus::Exit(0)
        } else {
            ExecStatus::Assumed
        }
    }
}
