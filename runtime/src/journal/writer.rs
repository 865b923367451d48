//! The thread that writes a run's events: whatever waits goes into one transaction, and whoever waits for
//! it hears of it. So a run that says much pays for few commits.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use dva_plan::RunId;
use rusqlite::{Connection, params};
use tokio::sync::oneshot;

use super::{Commit, Journal};
use crate::event::{Event, Record};

/// How many events may wait. A run that is faster than its disk is slowed down.
const WAITING: usize = 16_384;
/// The most of one transaction.
const TOGETHER: usize = 4_096;
/// How long the first of them waits for others, while nobody waits for it: some commits take as long.
const GATHERING: Duration = Duration::from_millis(20);

/// What the writer is told.
enum Task {
    Append { text: String, exit: Option<u8> },
    Commit(oneshot::Sender<io::Result<()>>),
}

/// The journal of one run in a [`super::Store`].
#[derive(Debug)]
pub struct StoreJournal {
    tasks: SyncSender<Task>,
    /// Says that somebody waits, so that the writer does not.
    hurry: SyncSender<()>,
}

impl StoreJournal {
    pub(super) fn begin(connection: Connection, run: RunId, events: usize) -> io::Result<Self> {
        let (tasks, received) = sync_channel(WAITING);
        let (hurry, hurries) = sync_channel(1);
        let writer = Writer {
            connection,
            run,
            next: i64::try_from(events).unwrap_or(i64::MAX),
            problem: None,
        };
        thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(&received, &hurries))?;
        Ok(Self { tasks, hurry })
    }

    fn send(&self, task: Task) -> io::Result<()> {
        let gone = || io::Error::other("the journal's writer is gone");
        match self.tasks.try_send(task) {
            Ok(()) => Ok(()),
            // Rare, and short: the disk is slower than the run.
            Err(TrySendError::Full(task)) => {
                self.hurry_up();
                self.tasks.send(task).map_err(|_| gone())
            }
            Err(TrySendError::Disconnected(_)) => Err(gone()),
        }
    }

    fn hurry_up(&self) {
        // Where it was told before, or is gone, it need not be told.
        let _ = self.hurry.try_send(());
    }
}

impl Journal for StoreJournal {
    fn append(&mut self, record: &Record) -> io::Result<()> {
        let exit = match &record.event {
            Event::RunEnded { exit } => Some(exit.number()),
            _ => None,
        };
        let text = serde_json::to_string(record)?;
        self.send(Task::Append { text, exit })
    }

    fn commit(&mut self) -> Commit {
        let (answer, waits) = oneshot::channel();
        match self.send(Task::Commit(answer)) {
            Ok(()) => {
                self.hurry_up();
                Commit::Waits(waits)
            }
            Err(error) => Commit::Done(Err(error)),
        }
    }
}

struct Writer {
    connection: Connection,
    run: RunId,
    next: i64,
    /// Why nothing more is written.
    problem: Option<String>,
}

impl Writer {
    fn run(mut self, tasks: &Receiver<Task>, hurries: &Receiver<()>) {
        while let Ok(first) = tasks.recv() {
            if matches!(first, Task::Append { .. }) {
                // Also over at once where there is no journal any more.
                let _ = hurries.recv_timeout(GATHERING);
            }
            let mut together = vec![first];
            while together.len() < TOGETHER
                && let Ok(task) = tasks.try_recv()
            {
                together.push(task);
            }
            if self.problem.is_none()
                && let Err(error) = self.write(&together)
            {
                self.problem = Some(error.to_string());
            }
            for task in together {
                if let Task::Commit(answer) = task {
                    let done = match &self.problem {
                        None => Ok(()),
                        Some(problem) => Err(io::Error::other(problem.clone())),
                    };
                    // Whoever asked may have gone.
                    let _ = answer.send(done);
                }
            }
        }
    }

    fn write(&mut self, tasks: &[Task]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO events (run, number, record) VALUES (?, ?, ?)")?;
            for task in tasks {
                let Task::Append { text, exit } = task else {
                    continue;
                };
                insert.execute(params![self.run.as_str(), self.next, text])?;
                self.next += 1;
                if let Some(exit) = exit {
                    transaction.execute(
                        "UPDATE runs SET exit = ? WHERE id = ?",
                        params![exit, self.run.as_str()],
                    )?;
                }
            }
        }
        transaction.commit()
    }
}
