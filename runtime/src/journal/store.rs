//! The journals of all runs: one SQLite file, `state.db` in the folder of runs.
//!
//! What a run needs to be gone on with is all in there: its plan and schedule as bytes, what it was told, and
//! its events. One thread writes the events of a run ([`super::writer`]); everything else only reads, or adds
//! and removes whole runs. What was learned of runs is kept apart from them ([`history`]), so it outlives them. The main
//! type is [`Store`].

mod history;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dva_plan::RunId;
use dva_plan::exit::ExitCode;
use rusqlite::{Connection, OptionalExtension, params};
use thiserror::Error;

use super::writer::StoreJournal;
use crate::event::Record;

/// The version of the file's tables. A newer one is not read; older ones are brought to this one.
pub const VERSION: i64 = 3;

/// How long one process waits for another one that writes.
const BUSY: Duration = Duration::from_secs(10);

/// What makes the tables of each version from those of the one before, the first from none.
const STEPS: [&str; VERSION as usize] = [
    "
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    started_unix_ms INTEGER NOT NULL,
    name TEXT NOT NULL,
    plan BLOB NOT NULL,
    schedule BLOB NOT NULL,
    told TEXT NOT NULL,
    exit INTEGER
) STRICT;
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
",
    "
ALTER TABLE runs ADD COLUMN history BLOB;
CREATE TABLE histories (
    provider TEXT PRIMARY KEY,
    document BLOB NOT NULL
) STRICT, WITHOUT ROWID;
",
    // They did not tell tests of one name in several plans from each other.
    "
DELETE FROM histories;
UPDATE runs SET history = NULL;
",
];

/// The journals of all runs.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
}

/// A run, as a list of runs shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// The run.
    pub id: RunId,
    /// When it began: milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// The name of its plan.
    pub name: String,
    /// How it ended; `None` where it has not.
    pub exit: Option<ExitCode>,
}

/// All that is known of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// What a list shows of it.
    pub row: RunRow,
    /// The document of its plan.
    pub plan: Vec<u8>,
    /// The document of the schedule that it began with.
    pub schedule: Vec<u8>,
    /// The document of what was known of its tests then, where its schedule rests on that.
    pub history: Option<Vec<u8>>,
    /// What it was told besides, in the words of whoever began it.
    pub told: String,
    /// Its events, in order.
    pub records: Vec<Record>,
}

/// A run that is to be kept.
#[derive(Clone, Copy, Debug)]
pub struct NewRun<'r> {
    /// The run.
    pub id: &'r RunId,
    /// When it begins: milliseconds since 1970-01-01 UTC.
    pub started_unix_ms: u64,
    /// The name of its plan.
    pub name: &'r str,
    /// The document of its plan.
    pub plan: &'r [u8],
    /// The document of its schedule.
    pub schedule: &'r [u8],
    /// The document of what is known of its tests, where its schedule rests on that.
    pub history: Option<&'r [u8]>,
    /// What it is told besides, for whoever goes on with it; no secrets.
    pub told: &'r str,
}

/// A journal that cannot be used.
#[derive(Debug, Error)]
#[error("{}: {kind}", self.path.display())]
pub struct StoreError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub kind: StoreErrorKind,
}

/// What is wrong with a journal.
#[derive(Debug, Error)]
pub enum StoreErrorKind {
    /// A newer dva has written it.
    #[error(
        "its tables are of version {0}, and this dva knows up to {VERSION}; a newer one has written it"
    )]
    Newer(i64),
    /// There is no such run.
    #[error("there is no run {0}")]
    NoRun(RunId),
    /// An event that cannot be read.
    #[error("event {number} of run {run} cannot be read: {message}")]
    Event {
        /// The run.
        run: RunId,
        /// Its number, from 0.
        number: i64,
        /// What the reader said.
        message: String,
    },
    /// A history that cannot be read.
    #[error("the history of {provider}: {message}")]
    History {
        /// Of which provider.
        provider: String,
        /// What the reader said.
        message: String,
    },
    /// Somebody else goes on with the run.
    #[error("run {0} is going on; another process looks after it")]
    Locked(RunId),
    /// SQLite, or a file.
    #[error("{0}")]
    Broken(String),
}

impl Store {
    /// Opens the journals below the folder `state`, which is made where it is not there.
    ///
    /// # Errors
    /// [`StoreError`]; a file of a newer version is one, and is left as it is.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let path = state.join("state.db");
        let broken = |message: String| StoreError {
            path: path.clone(),
            kind: StoreErrorKind::Broken(message),
        };
        fs::create_dir_all(state).map_err(|error| broken(error.to_string()))?;
        let connection = connect(&path).map_err(|error| broken(error.to_string()))?;
        let store = Self { connection, path };
        store.migrate()?;
        Ok(store)
    }

    /// The journals below the folder `state`; `None` where there are none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn existing(state: &Path) -> Result<Option<Self>, StoreError> {
        match state.join("state.db").is_file() {
            true => Self::open(state).map(Some),
            false => Ok(None),
        }
    }

    fn migrate(&self) -> Result<(), StoreError> {
        let version = |connection: &Connection| {
            connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))
        };
        let made = (|| {
            let found = version(&self.connection)?;
            if found >= VERSION {
                return Ok(found);
            }
            // Of two that find old tables only one brings them up.
            self.connection.execute_batch("BEGIN IMMEDIATE")?;
            let found = version(&self.connection)?;
            let done = usize::try_from(found).unwrap_or(usize::MAX);
            for step in STEPS.iter().skip(done) {
                self.connection.execute_batch(step)?;
            }
            let made = found.max(VERSION);
            self.connection.pragma_update(None, "user_version", made)?;
            self.connection.execute_batch("COMMIT")?;
            Ok(made)
        })();
        match made.map_err(|error| self.broken(&error))? {
            found if found > VERSION => Err(self.error(StoreErrorKind::Newer(found))),
            _ => Ok(()),
        }
    }

    /// Keeps a run that begins, before anything of it is done.
    ///
    /// # Errors
    /// [`StoreError`]; a run of that id that is there already is one.
    pub fn add(&self, run: NewRun<'_>) -> Result<(), StoreError> {
        let done = self.connection.execute(
            "INSERT INTO runs (id, started_unix_ms, name, plan, schedule, told, history) VALUES (?, ?, ?, ?, ?, ?, ?)",
            params![
                run.id.as_str(),
                i64::try_from(run.started_unix_ms).unwrap_or(i64::MAX),
                run.name,
                run.plan,
                run.schedule,
                run.told,
                run.history
            ],
        );
        done.map(|_| ()).map_err(|error| self.broken(&error))
    }

    /// All runs, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn runs(&self) -> Result<Vec<RunRow>, StoreError> {
        let found = (|| {
            let mut statement = self.connection.prepare(
                "SELECT id, started_unix_ms, name, exit FROM runs ORDER BY started_unix_ms DESC, id DESC",
            )?;
            let rows = statement.query_map([], row)?;
            rows.collect::<rusqlite::Result<Vec<RunRow>>>()
        })();
        found.map_err(|error| self.broken(&error))
    }

    /// All of a run.
    ///
    /// # Errors
    /// [`StoreError`]: of kind [`StoreErrorKind::NoRun`] where it is not there.
    pub fn load(&self, run: &RunId) -> Result<StoredRun, StoreError> {
        let found = self.connection.query_row(
            "SELECT id, started_unix_ms, name, exit, plan, schedule, told, history FROM runs WHERE id = ?",
            [run.as_str()],
            |of| {
                Ok(StoredRun {
                    row: row(of)?,
                    plan: of.get(4)?,
                    schedule: of.get(5)?,
                    told: of.get(6)?,
                    history: of.get(7)?,
                    records: Vec::new(),
                })
            },
        );
        let found = found.optional().map_err(|error| self.broken(&error))?;
        let mut found = found.ok_or_else(|| self.error(StoreErrorKind::NoRun(run.clone())))?;
        let texts = (|| {
            let mut statement = self
                .connection
                .prepare("SELECT number, record FROM events WHERE run = ? ORDER BY number")?;
            let rows = statement.query_map([run.as_str()], |of| {
                Ok((of.get::<_, i64>(0)?, of.get::<_, String>(1)?))
            })?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        })();
        for (number, text) in texts.map_err(|error| self.broken(&error))? {
            let record = serde_json::from_str(&text).map_err(|error| {
                self.error(StoreErrorKind::Event {
                    run: run.clone(),
                    number,
                    message: error.to_string(),
                })
            })?;
            found.records.push(record);
        }
        Ok(found)
    }

    /// Removes a run that is over, or of which nothing is left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn remove(&self, run: &RunId) -> Result<(), StoreError> {
        let done = self
            .connection
            .execute("DELETE FROM runs WHERE id = ?", [run.as_str()]);
        done.map(|_| ()).map_err(|error| self.broken(&error))
    }

    /// The journal of a run that has so many events already. Its writer is a thread of its own.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn journal(&self, run: &RunId, events: usize) -> Result<StoreJournal, StoreError> {
        let connection = connect(&self.path).map_err(|error| self.broken(&error))?;
        StoreJournal::begin(connection, run.clone(), events).map_err(|error| StoreError {
            path: self.path.clone(),
            kind: StoreErrorKind::Broken(error.to_string()),
        })
    }

    fn broken(&self, error: &rusqlite::Error) -> StoreError {
        self.error(StoreErrorKind::Broken(error.to_string()))
    }

    fn error(&self, kind: StoreErrorKind) -> StoreError {
        StoreError {
            path: self.path.clone(),
            kind,
        }
    }
}

/// The right to look after a run. It goes with its process, however that ends.
#[derive(Debug)]
pub struct RunLock(#[expect(dead_code, reason = "held, and not used")] File);

impl RunLock {
    /// Takes the lock in the folder of a run.
    ///
    /// # Errors
    /// [`StoreError`]: of kind [`StoreErrorKind::Locked`] where another process has it.
    pub fn take(folder: &Path, run: &RunId) -> Result<Self, StoreError> {
        let path = folder.join("lock");
        let failed = |kind| StoreError {
            path: path.clone(),
            kind,
        };
        let broken = |error: io::Error| failed(StoreErrorKind::Broken(error.to_string()));
        let file = File::create(&path).map_err(broken)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(fs::TryLockError::WouldBlock) => Err(failed(StoreErrorKind::Locked(run.clone()))),
            Err(fs::TryLockError::Error(error)) => Err(broken(error)),
        }
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A commit is there when the power fails the moment after.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RunRow> {
    let exit: Option<i64> = row.get(3)?;
    let started: i64 = row.get(1)?;
    Ok(RunRow {
        id: RunId::new(row.get::<_, String>(0)?),
        started_unix_ms: u64::try_from(started).unwrap_or(0),
        name: row.get(2)?,
        exit: exit
            .and_then(|code| u8::try_from(code).ok())
            .and_then(ExitCode::of_number),
    })
}
