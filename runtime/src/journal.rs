//! Journals: where events go before what they announce is done.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::event::Record;

/// Keeps records in the order they come. There is one writer: the dispatcher.
pub trait Journal: Send {
    /// Keeps one record; when this returns it outlives our process.
    ///
    /// # Errors
    /// What the operating system said. Nothing is appended after an error.
    fn append(&mut self, record: &Record) -> io::Result<()>;
}

/// The file `events.jsonl`: one record a line, handed to the operating system as it comes.
#[derive(Debug)]
pub struct FileJournal {
    file: File,
}

impl FileJournal {
    /// A journal that appends to `file`.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self { file }
    }
}

impl Journal for FileJournal {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        // One write a line and no buffer of ours: a line is there whole, or it is the last one.
        self.file.write_all(&line)
    }
}

/// Records in memory, for tests and rehearsals. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    records: Arc<Mutex<Vec<Record>>>,
}

impl MemoryJournal {
    /// The records so far.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Journal for MemoryJournal {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        self.records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(record.clone());
        Ok(())
    }
}

/// Keeps nothing.
#[derive(Clone, Copy, Debug)]
pub struct NoJournal;

impl Journal for NoJournal {
    fn append(&mut self, _: &Record) -> io::Result<()> {
        Ok(())
    }
}
