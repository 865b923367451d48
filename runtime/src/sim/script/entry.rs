//! Reading scripts: tables of TOML, checked against the plan that they are for.

use std::collections::BTreeMap;

use dva_plan::plan::{ExecutionPlan, Machine};
use dva_plan::unit::{Quantity, parse_quantity};
use dva_plan::{TestId, unit::display_duration};
use toml::{Table, Value};

use super::{Command, Lives, Machines, ScriptError, ScriptErrorKind, ToldCommand, ToldLife};
use crate::dispatcher::setup::SETUP_ID;
use crate::execution::commands_in;
use crate::sim::chance::WIDEST;
use crate::sim::fault::{CommandFault, LifeFault, RandomFaults};

/// One table of a script.
pub(super) struct Entry<'a> {
    pub(super) place: String,
    pub(super) table: &'a Table,
    pub(super) plan: &'a ExecutionPlan,
}

impl<'a> Entry<'a> {
    pub(super) fn test(&self) -> Result<ToldCommand, ScriptError> {
        self.check_keys(&[
            "test", "cells", "life", "after", "run", "exit", "signal", "stdout", "stderr",
            "console", "takes", "leaves", "fault",
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
        let after = self.text("after")?;
        if let Some(after) = after
            && !tests.iter().any(|test| test.id.as_str() == after)
        {
            let known = tests.iter().map(|test| test.id.as_str());
            return Err(self.unknown("test", after, known));
        }
        let fault = self.fault("fault of a command", &CommandFault::ALL)?;
        let command = Command {
            exit: self.number("exit")?,
            signal: self.text("signal")?.map(str::to_owned),
            stdout: self.text("stdout")?.map(str::to_owned),
            stderr: self.text("stderr")?.map(str::to_owned),
            console: self.text("console")?.map(str::to_owned),
            takes_ms: self.duration("takes")?,
            leaves: self.texts("leaves")?,
            fault,
        };
        Ok(ToldCommand {
            lives: self.lives()?,
            test: TestId::new(name),
            run,
            after: after.map(TestId::new),
            command,
        })
    }

    /// Which lives, how they go, and what their machines say while they start.
    pub(super) fn life(&self) -> Result<(Machines, ToldLife, Option<String>), ScriptError> {
        self.check_keys(&[
            "cells", "life", "type", "region", "boot", "late", "console", "fault",
        ])?;
        let told = ToldLife {
            boot_ms: self.duration("boot")?,
            late_ms: self.duration("late")?,
            fault: self.fault("fault of a life", &LifeFault::ALL)?,
        };
        let console = self.text("console")?.map(str::to_owned);
        let machines = Machines {
            lives: self.lives()?,
            r#type: self.one_of_machines("type", "machine type", |of| &of.r#type)?,
            region: self.one_of_machines("region", "region", |of| &of.region)?,
        };
        Ok((machines, told, console))
    }

    /// The text of a key that says something which a machine of the plan is.
    fn one_of_machines(
        &self,
        key: &'static str,
        what: &'static str,
        of: impl Fn(&'a Machine) -> &'a String,
    ) -> Result<Option<String>, ScriptError> {
        let Some(name) = self.text(key)? else {
            return Ok(None);
        };
        let mut known = self
            .plan
            .machines
            .iter()
            .map(|machine| of(machine).as_str());
        match known.clone().any(|known| known == name) {
            true => Ok(Some(name.to_owned())),
            false => Err(self.unknown(what, name, known.by_ref())),
        }
    }

    fn fault<F: Copy>(
        &self,
        what: &'static str,
        faults: &[(&'static str, F)],
    ) -> Result<Option<F>, ScriptError> {
        let Some(name) = self.text("fault")? else {
            return Ok(None);
        };
        match faults.iter().find(|(known, _)| *known == name) {
            Some((_, fault)) => Ok(Some(*fault)),
            None => Err(self.unknown(what, name, faults.iter().map(|(known, _)| *known))),
        }
    }

    /// From what is drawn.
    pub(super) fn seed(&self) -> Result<Option<u64>, ScriptError> {
        self.whole_number("seed")
    }

    /// How much durations vary, in thousandths.
    pub(super) fn spread(&self) -> Result<Option<u32>, ScriptError> {
        let Some(value) = self.table.get("spread") else {
            return Ok(None);
        };
        let spread = thousandths(value).filter(|spread| *spread <= WIDEST);
        let unfit = || self.unfit("spread", format!("a number from 0 to {}", WIDEST / 1_000));
        spread.map(Some).ok_or_else(unfit)
    }

    /// What goes wrong at random, from `seed` where nothing else is said.
    pub(super) fn faults(&self, seed: u64) -> Result<Option<RandomFaults>, ScriptError> {
        let Some(value) = self.table.get("faults") else {
            return Ok(None);
        };
        let unfit = || self.unfit("faults", "a table with `permille` and `seed`".to_owned());
        let faults = Entry {
            place: "faults".to_owned(),
            table: value.as_table().ok_or_else(unfit)?,
            plan: self.plan,
        };
        faults.check_keys(&["seed", "permille"])?;
        let missing = || faults.error(ScriptErrorKind::Missing("permille"));
        let permille = faults.number("permille")?.ok_or_else(missing)?;
        if permille > 1_000 {
            return Err(faults.unfit("permille", "at most 1000".to_owned()));
        }
        Ok(Some(RandomFaults {
            seed: faults.seed()?.unwrap_or(seed),
            permille,
        }))
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

    pub(super) fn entries(&self, key: &'static str) -> Result<Vec<Entry<'a>>, ScriptError> {
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

    pub(super) fn check_keys(&self, known: &[&str]) -> Result<(), ScriptError> {
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
        self.whole_number(key)
    }

    fn whole_number<N: TryFrom<i64>>(&self, key: &'static str) -> Result<Option<N>, ScriptError> {
        match self.table.get(key) {
            None => Ok(None),
            Some(value) => value
                .as_integer()
                .and_then(|number| N::try_from(number).ok())
                .map(Some)
                .ok_or_else(|| self.unfit(key, "a whole number, not below 0".to_owned())),
        }
    }

    /// A duration in milliseconds.
    pub(super) fn duration(&self, key: &'static str) -> Result<Option<u64>, ScriptError> {
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

/// A number of TOML in thousandths, read from its digits, so that 0.3 is 300 and not one less.
fn thousandths(value: &Value) -> Option<u32> {
    let text = match value {
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        _ => return None,
    };
    let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
    let part: String = part.chars().chain("000".chars()).take(3).collect();
    format!("{whole}{part}").parse().ok()
}
