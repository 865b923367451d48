//! What was learned of runs: a `dva-history` document for each provider.
//!
//! It is kept apart from the runs, so that it outlives them. What one provider's machines took is never mixed with what
//! another's did: the key is the name that its run reports have.

use dva_plan::document::{read, to_bytes};
use dva_plan::history::Observations;
use dva_plan::{ExecutionPlan, RunReport};
use dva_schedule::History;
use rusqlite::{OptionalExtension, params};

use super::{Store, StoreError, StoreErrorKind};

impl Store {
    /// What is known of machines of `provider`; nothing where no run was learned.
    ///
    /// # Errors
    /// [`StoreError`]: of kind [`StoreErrorKind::History`] where it cannot be read.
    pub fn history(&self, provider: &str) -> Result<History, StoreError> {
        let found = self.connection.query_row(
            "SELECT document FROM histories WHERE provider = ?",
            [provider],
            |row| row.get::<_, Vec<u8>>(0),
        );
        let found = found.optional().map_err(|error| self.broken(&error))?;
        match found {
            Some(document) => Ok(History::of(&self.observations(provider, &document)?)),
            None => Ok(History::default()),
        }
    }

    /// All that is known, by provider.
    ///
    /// # Errors
    /// As [`Store::history`].
    pub fn histories(&self) -> Result<Vec<Observations>, StoreError> {
        let found = (|| {
            let mut statement = self
                .connection
                .prepare("SELECT provider, document FROM histories ORDER BY provider")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<(String, Vec<u8>)>>>()
        })();
        let found = found.map_err(|error| self.broken(&error))?;
        let documents = found.iter();
        documents
            .map(|(provider, document)| self.observations(provider, document))
            .collect()
    }

    /// Learns what `report` tells of a run of `plan`. A run that was learned before is replaced.
    ///
    /// # Errors
    /// As [`Store::history`]; then nothing was learned.
    pub fn learn(&self, plan: &ExecutionPlan, report: &RunReport) -> Result<(), StoreError> {
        self.change(&report.provider, |history| history.learn(plan, report))
    }

    /// Adds what was observed elsewhere. The same again changes nothing.
    ///
    /// # Errors
    /// As [`Store::history`]; then nothing was added.
    pub fn merge(&self, observations: &Observations) -> Result<(), StoreError> {
        let other = History::of(observations);
        self.change(&observations.provider, |history| history.merge(&other))
    }

    /// Changes what is known of machines of `provider`, alone: of several processes one after the other does.
    fn change(&self, provider: &str, change: impl FnOnce(&mut History)) -> Result<(), StoreError> {
        self.batch("BEGIN IMMEDIATE")?;
        let changed = self.history(provider).and_then(|mut history| {
            change(&mut history);
            if history.is_empty() {
                return Ok(());
            }
            let document = to_bytes(&history.observations(provider));
            let done = self.connection.execute(
                "INSERT OR REPLACE INTO histories (provider, document) VALUES (?, ?)",
                params![provider, document],
            );
            done.map(|_| ()).map_err(|error| self.broken(&error))
        });
        match changed {
            Ok(()) => self.batch("COMMIT"),
            Err(error) => {
                // What is told is why nothing was changed.
                let _ = self.batch("ROLLBACK");
                Err(error)
            }
        }
    }

    fn batch(&self, statement: &str) -> Result<(), StoreError> {
        let done = self.connection.execute_batch(statement);
        done.map_err(|error| self.broken(&error))
    }

    fn observations(&self, provider: &str, document: &[u8]) -> Result<Observations, StoreError> {
        let loaded = read::<Observations>(document).map_err(|error| {
            self.error(StoreErrorKind::History {
                provider: provider.to_owned(),
                message: error.to_string(),
            })
        })?;
        Ok(loaded.body)
    }
}
