//! Scripts of the simulator: reading them, and looking up what they say. Their form is in
//! [`super`].

use std::collections::BTreeMap;

use dva_plan::plan::{Cell, ExecutionPlan};
use dva_plan::unit::{Quantity, parse_quantity};
use dva_plan::{TestId, unit::display_duration};
use thiserror::Error;
use toml::{Table, Value};

use crate::dispatcher::setup::SETUP_ID;
use crate::execution::commands_in;
use crate::transport::ExecStatus;

/// What a simulator is told. The default says nothing: all goes well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimScript {
    boot_ms: u64,
    takes_ms: u64,
    tests: Vec<(Lives, TestId, u32, Command)>,
    lives: Vec<(Lives, Life)>,
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

impl Lives {
    fn fit(&self, cell: &Cell, number: u32) -> bool {
        let mut cells = self.cells.iter();
        cells.all(|(axis, value)| cell.axes.get(axis) == Some(value))
            && self.number.is_none_or(|own| own == number)
    }
}

/// What is said about one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    exit: Option<u32>,
    signal: Option<String>,
    pub(super) stdout: Option<String>,
    pub(super) stderr: Option<String>,
    pub(super) takes_ms: Option<u64>,
    pub(super) leaves: Vec<String>,
    pub(super) fault: Option<CommandFault>,
}

/// What goes wrong with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandFault {
    Hang,
    Drop,
    Reboot,
}

/// What is said about a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) boot_ms: u64,
    pub(super) fault: Option<LifeFault>,
}

/// What goes wrong with a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LifeFault {
    Capacity,
    Quota,
    Broken,
    Stuck,
    Silent,
    Auth,
    HostKey,
    NoReturn,
    Release,
}

impl Default for SimScript {
    fn default() -> Self {
        Self {
            boot_ms: 30_000,
            takes_ms: 1_000,
            tests: Vec::new(),
            lives: Vec::new(),
        }
    }
}

impl SimScript {
    /// Reads a script for runs of `plan`.
    ///
    /// # Errors
    /// The first thing that is wrong in it.
    pub fn parse(text: &str, plan: &ExecutionPlan) -> Result<Self, ScriptError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ScriptError {
            place: "the script".to_owned(),
            kind: ScriptErrorKind::Syntax(error.to_string().trim_end().to_owned()),
        })?;
        let whole = Entry {
            place: "the script".to_owned(),
            table: &table,
            plan,
        };
        whole.check_keys(&["boot", "takes", "test", "life"])?;
        let mut script = Self::default();
        script.boot_ms = whole.duration("boot")?.unwrap_or(script.boot_ms);
        script.takes_ms = whole.duration("takes")?.unwrap_or(script.takes_ms);
        for entry in whole.entries("test")? {
            script.tests.push(entry.test()?);
        }
        for entry in whole.entries("life")? {
            let (lives, boot_ms, fault) = entry.life()?;
            let boot_ms = boot_ms.unwrap_or(script.boot_ms);
            script.lives.push((lives, Life { boot_ms, fault }));
        }
        Ok(script)
    }

    /// How long machines take to start that no entry speaks of, in milliseconds.
    #[must_use]
    pub fn boot_ms(&self) -> u64 {
        self.boot_ms
    }

    /// How long tests take that nobody knows better, in milliseconds.
    #[must_use]
    pub fn takes_ms(&self) -> u64 {
        self.takes_ms
    }

    /// What is said about a command of `test` on life number `life` of a cell.
    pub(super) fn command(&self, cell: &Cell, life: u32, test: &TestId, run: u32) -> Command {
        let fits = |(lives, id, number, _): &&(Lives, TestId, u32, Command)| {
            id == test && *number == run && lives.fit(cell, life)
        };
        let told = self.tests.iter().rfind(fits);
        told.map(|(.., command)| command.clone())
            .unwrap_or_default()
    }

    /// What is said about life number `life` of a cell.
    pub(super) fn life(&self, cell: &Cell, life: u32) -> Life {
        let mut lives = self.lives.iter();
        let told = lives.rfind(|(lives, _)| lives.fit(cell, life));
        told.map_or(
            Life {
                boot_ms: self.boot_ms,
                fault: None,
            },
            |(_, life)| *life,
        )
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

/// One table of a script.
struct Entry<'a> {
    place: String,
    table: &'a Table,
    plan: &'a ExecutionPlan,
}

impl<'a> Entry<'a> {
    fn test(&self) -> Result<(Lives, TestId, u32, Command), ScriptError> {
        self.check_keys(&[
            "test", "cells", "life", "run", "exit", "signal", "stdout", "stderr", "takes",
            "leaves", "fault",
        ])?;
        let name = self
            .text("test")?
            .ok_or_else(|| self.error(ScriptErrorKind::Missing("test")))?;
        let tests = &self.plan.tests;
        let test = tests.iter().find(|test| test.id.as_str() == name);
        let setup = self.plan.setup.as_ref().filter(|_| name == SETUP_ID);
        let runs = match (test, setup) {
            (Some(test), _) => commands_in(&test.steps) + commands_in(&test.finally),
            (None, Some(setup)) => commands_in(&setup.steps),
            (None, None) => {
                let known = tests.iter().map(|test| test.id.as_str());
                return Err(self.unknown("test", name, known));
            }
        };
        let run = self.number("run")?.unwrap_or(0);
        if run >= runs {
            return Err(self.unfit("run", format!("below {runs}, the number of its commands")));
        }
        let fault = match self.text("fault")? {
            None => None,
            Some("hang") => Some(CommandFault::Hang),
            Some("drop") => Some(CommandFault::Drop),
            Some("reboot") => Some(CommandFault::Reboot),
            Some(other) => {
                let known = ["hang", "drop", "reboot"];
                return Err(self.unknown("fault of a command", other, known));
            }
        };
        let command = Command {
            exit: self.number("exit")?,
            signal: self.text("signal")?.map(str::to_owned),
            stdout: self.text("stdout")?.map(str::to_owned),
            stderr: self.text("stderr")?.map(str::to_owned),
            takes_ms: self.duration("takes")?,
            leaves: self.texts("leaves")?,
            fault,
        };
        Ok((self.lives()?, TestId::new(name), run, command))
    }

    fn life(&self) -> Result<(Lives, Option<u64>, Option<LifeFault>), ScriptError> {
        const FAULTS: [(&str, LifeFault); 9] = [
            ("capacity", LifeFault::Capacity),
            ("quota", LifeFault::Quota),
            ("broken", LifeFault::Broken),
            ("stuck", LifeFault::Stuck),
            ("silent", LifeFault::Silent),
            ("auth", LifeFault::Auth),
            ("host_key", LifeFault::HostKey),
            ("no_return", LifeFault::NoReturn),
            ("release", LifeFault::Release),
        ];
        self.check_keys(&["cells", "life", "boot", "fault"])?;
        let fault = match self.text("fault")? {
            None => None,
            Some(name) => match FAULTS.iter().find(|(known, _)| *known == name) {
                Some((_, fault)) => Some(*fault),
                None => {
                    let known = FAULTS.iter().map(|(known, _)| *known);
                    return Err(self.unknown("fault of a life", name, known));
                }
            },
        };
        Ok((self.lives()?, self.duration("boot")?, fault))
    }

    fn lives(&self) -> Result<Lives, ScriptError> {
        Ok(Lives {
            cells: self.cells()?,
            number: self.number("life")?,
        })
    }

    /// The axis values of `cells`, all of which some cell of the plan has.
    fn cells(&self) -> Result<BTreeMap<String, String>, ScriptError> {
        let Some(value) = self.table.get("cells") else {
            return Ok(BTreeMap::new());
        };
        let Value::Table(table) = value else {
            return Err(self.unfit("cells", "a table of axis values".to_owned()));
        };
        let mut cells = BTreeMap::new();
        for (axis, value) in table {
            let Value::String(value) = value else {
                return Err(self.unfit("cells", "a table of axis values".to_owned()));
            };
            let cells_of_plan = &self.plan.cells;
            let values: Vec<&str> = cells_of_plan
                .iter()
                .filter_map(|cell| cell.axes.get(axis).map(String::as_str))
                .collect();
            if values.is_empty() {
                let axes = cells_of_plan
                    .iter()
                    .flat_map(|cell| cell.axes.keys().map(String::as_str));
                return Err(self.unknown("axis", axis, axes));
            }
            if !values.contains(&value.as_str()) {
                return Err(self.unknown("axis value", value, values));
            }
            cells.insert(axis.clone(), value.clone());
        }
        Ok(cells)
    }

    fn entries(&self, key: &'static str) -> Result<Vec<Entry<'a>>, ScriptError> {
        let unfit = || self.unfit(key, format!("a list of tables, each `[[{key}]]`"));
        match self.table.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .enumerate()
                .map(|(number, item)| {
                    Ok(Entry {
                        place: format!("{key} {}", number + 1),
                        table: item.as_table().ok_or_else(unfit)?,
                        plan: self.plan,
                    })
                })
                .collect(),
            Some(_) => Err(unfit()),
        }
    }

    fn check_keys(&self, known: &[&str]) -> Result<(), ScriptError> {
        match self.table.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(self.unknown("key", key, known.iter().copied())),
            None => Ok(()),
        }
    }

    fn text(&self, key: &'static str) -> Result<Option<&'a str>, ScriptError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.unfit(key, "text".to_owned())),
        }
    }

    fn texts(&self, key: &'static str) -> Result<Vec<String>, ScriptError> {
        let unfit = || self.unfit(key, "a list of texts".to_owned());
        match self.table.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or_else(unfit))
                .collect(),
            Some(_) => Err(unfit()),
        }
    }

    fn number(&self, key: &'static str) -> Result<Option<u32>, ScriptError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_integer()
                .and_then(|number| u32::try_from(number).ok())
                .map(Some)
                .ok_or_else(|| self.unfit(key, "a whole number, not below 0".to_owned())),
        }
    }

    /// A duration in milliseconds.
    fn duration(&self, key: &'static str) -> Result<Option<u64>, ScriptError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        match value.as_str().map(parse_quantity) {
            Some(Ok(Quantity::Duration(ms))) => Ok(Some(ms)),
            _ => Err(self.unfit(
                key,
                format!("a duration such as \"{}\"", display_duration(30_000)),
            )),
        }
    }

    fn unknown<'n>(
        &self,
        what: &'static str,
        name: &str,
        known: impl IntoIterator<Item = &'n str>,
    ) -> ScriptError {
        let nearest = known
            .into_iter()
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .filter(|(distance, known)| *distance <= known.chars().count().max(3) / 3)
            .min();
        self.error(ScriptErrorKind::Unknown {
            what,
            name: name.to_owned(),
            nearest: nearest.map(|(_, known)| known.to_owned()),
        })
    }

    fn unfit(&self, key: &'static str, wanted: String) -> ScriptError {
        self.error(ScriptErrorKind::Unfit { key, wanted })
    }

    fn error(&self, kind: ScriptErrorKind) -> ScriptError {
        ScriptError {
            place: self.place.clone(),
            kind,
        }
    }
}
