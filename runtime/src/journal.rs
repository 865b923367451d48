//! Journals: where events go before what they announce is done.

mod store;
mod writer;

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::event::Record;
pub use store::{NewRun, RunLock, RunRow, Store, StoreError, StoreErrorKind, StoredRun, VERSION};
pub use writer::StoreJournal;

/// Keeps records in the order they come. There is one writer: the dispatcher.
pub trait Journal: Send {
    /// Takes one record in. It need not outlive our process before the next [`Journal::commit`].
    ///
    /// # Errors
    /// What the operating system said. Nothing is appended after an error.
    fn append(&mut self, record: &Record) -> io::Result<()>;

    /// Nothing more happens for now: what was held back is to go out.
    ///
    /// # Errors
    /// As [`Journal::append`].
    fn rest(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Asks for all that was appended to be kept, whatever happens to our process and the power.
    fn commit(&mut self) -> Commit {
        Commit::Done(Ok(()))
    }
}

/// What was asked of a journal.
#[derive(Debug)]
pub enum Commit {
    /// It is done, or cannot be.
    Done(io::Result<()>),
    /// Another thread does it and says so.
    Waits(oneshot::Receiver<io::Result<()>>),
}

impl Commit {
    /// Waits for it. On a thread of its own, since only that holds a clock that is paused.
    ///
    /// # Errors
    /// What the operating system said; also where whoever writes is gone.
    pub async fn wait(self) -> io::Result<()> {
        let waits = match self {
            Self::Done(done) => return done,
            Self::Waits(waits) => waits,
        };
        let answer = tokio::task::spawn_blocking(move || waits.blocking_recv()).await;
        match answer {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Err(io::Error::other("the journal's writer is gone")),
        }
    }
}

/// The file `events.jsonl`: one record a line, handed to the operating system with all others of its moment.
#[derive(Debug)]
pub struct FileJournal {
    file: File,
    unwritten: Vec<u8>,
}

impl FileJournal {
    /// A journal that appends to `file`.
    #[must_use]
    pub fn new(file: File) -> Self {
        Self {
            file,
            unwritten: Vec::new(),
        }
    }
}

impl Journal for FileJournal {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        serde_json::to_writer(&mut self.unwritten, record)?;
        self.unwritten.push(b'\n');
        Ok(())
    }

    fn rest(&mut self) -> io::Result<()> {
        // One write for all of them: a line is there whole, or it is the last one.
        let written = self.file.write_all(&self.unwritten);
        self.unwritten.clear();
        written
    }
}

/// Whatever ends the run, what happened before is in the file.
impl Drop for FileJournal {
    fn drop(&mut self) {
        let _ = self.rest();
    }
}

/// Records in memory, for tests and rehearsals. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryJournal {
    records: Arc<Mutex<Vec<Record>>>,
    committed: Arc<AtomicUsize>,
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

    /// How many of them a crash would have left.
    #[must_use]
    pub fn committed(&self) -> usize {
        self.committed.load(Ordering::SeqCst)
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

    fn commit(&mut self) -> Commit {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        self.committed.store(records.len(), Ordering::SeqCst);
        Commit::Done(Ok(()))
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
