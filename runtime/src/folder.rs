//! The run folder: `<state>/runs/<run>/{plan.json, schedule.json, events.jsonl, report.json, logs/…}`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use dva_plan::document::{self, digest, to_bytes};
use dva_plan::schedule::LifeIx;
use dva_plan::table::Index;
use dva_plan::{CellId, RunId, RunReport, Schedule, TestId};
use thiserror::Error;

use crate::journal::FileJournal;

/// The folder of one run, which nobody else writes to.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    events: Option<File>,
}

/// A file or folder of a run that could not be made.
#[derive(Debug, Error)]
#[error("{} {}: {source}", self.what, self.path.display())]
pub struct FolderError {
    /// What was to be done: `create`, `write`.
    pub what: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the operating system said.
    pub source: io::Error,
}

impl RunFolder {
    /// Makes the folder of `run` below the folder `state`, with the plan's bytes and the schedule in
    /// it.
    ///
    /// # Errors
    /// [`FolderError`]; a folder of that run that is already there is one.
    pub fn create(
        state: &Path,
        run: &RunId,
        plan: &[u8],
        schedule: &Schedule,
    ) -> Result<Self, FolderError> {
        let runs = state.join("runs");
        let path = runs.join(file_name(run.as_str()));
        fs::create_dir_all(&runs).map_err(failed("create", &runs))?;
        fs::create_dir(&path).map_err(failed("create", &path))?;
        write(&path.join("plan.json"), plan)?;
        write(&path.join("schedule.json"), &to_bytes(schedule))?;
        let events = path.join("events.jsonl");
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&events)
            .map_err(failed("create", &events))?;
        Ok(Self {
            path,
            events: Some(file),
        })
    }

    /// The folder of a run that another controller has begun; events are added to those there.
    ///
    /// # Errors
    /// [`FolderError`]; where the folder is not there as well.
    pub fn open(state: &Path, run: &RunId) -> Result<Self, FolderError> {
        let path = Self::place(state, run);
        let events = path.join("events.jsonl");
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&events)
            .map_err(failed("open", &events))?;
        Ok(Self {
            path,
            events: Some(file),
        })
    }

    /// Where the folder of `run` is below the folder `state`.
    #[must_use]
    pub fn place(state: &Path, run: &RunId) -> PathBuf {
        state.join("runs").join(file_name(run.as_str()))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The journal of its `events.jsonl`; there is one, for the first to ask.
    pub(crate) fn journal(&mut self) -> Option<FileJournal> {
        self.events.take().map(FileJournal::new)
    }

    /// Writes `report.json`.
    pub(crate) fn write_report(&self, report: &RunReport) -> Result<(), FolderError> {
        write_report(&self.path, report)
    }
}

/// Writes the `report.json` of the run whose folder this is.
///
/// # Errors
/// [`FolderError`].
pub fn write_report(folder: &Path, report: &RunReport) -> Result<(), FolderError> {
    let path = folder.join("report.json");
    File::create(&path)
        .and_then(|mut file| document::write(report, &mut file))
        .map_err(failed("write", &path))
}

/// The files that the output of one execution's steps goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogFiles {
    folder: PathBuf,
    /// Relative to the run folder, without `.out` and `.err`.
    stem: String,
}

/// One of the two output streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// Which of the executions of a test run has written a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// The one that gives its verdict.
    Verdict,
    /// One that prepares this life.
    Setup(LifeIx),
    /// That of a test on this life that runs on others as well: a `last` test, or one that is tried again.
    Again(LifeIx),
}

impl Occasion {
    /// What the names of its files end with.
    fn suffix(self) -> String {
        match self {
            Self::Verdict => String::new(),
            Self::Setup(life) => format!(".setup-{}", life.row()),
            Self::Again(life) => format!(".life-{}", life.row()),
        }
    }
}

impl LogFiles {
    /// The files of `test` in `cell`: `logs/<cell>/<test>.{out,err}`. Those of an execution that
    /// is not the only one also name its life.
    pub(crate) fn new(folder: &Path, cell: &CellId, test: &TestId, occasion: Occasion) -> Self {
        let suffix = occasion.suffix();
        Self {
            folder: folder.to_owned(),
            stem: format!(
                "logs/{}/{}{suffix}",
                file_name(cell.as_str()),
                file_name(test.as_str())
            ),
        }
    }

    /// Makes the folder they are in, unless that was `made` before for files of the same cell.
    pub(crate) fn prepare(&self, made: &OnceLock<()>) -> Result<(), FolderError> {
        if made.get().is_some() {
            return Ok(());
        }
        let stem = self.folder.join(&self.stem);
        let parent = stem.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
        made.get_or_init(|| ());
        Ok(())
    }

    /// The file of one stream, relative to the run folder.
    pub(crate) fn relative(&self, stream: Stream) -> String {
        let ending = match stream {
            Stream::Out => "out",
            Stream::Err => "err",
        };
        format!("{}.{ending}", self.stem)
    }

    /// The file of one stream.
    pub(crate) fn path(&self, stream: Stream) -> PathBuf {
        self.folder.join(self.relative(stream))
    }

    /// How long the file of one stream is by now.
    pub(crate) fn length(&self, stream: Stream) -> u64 {
        fs::metadata(self.path(stream)).map_or(0, |file| file.len())
    }
}

/// The file that what a machine has said on its console goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsoleFile {
    path: PathBuf,
    /// Relative to the run folder.
    relative: String,
}

impl ConsoleFile {
    /// The most bytes that are kept: the last ones.
    const MOST: usize = 256 << 10;

    /// The file of a life of `cell`: `console/<cell>/life-<number>.log`.
    pub(crate) fn new(folder: &Path, cell: &CellId, life: LifeIx) -> Self {
        let relative = format!(
            "console/{}/life-{}.log",
            file_name(cell.as_str()),
            life.row()
        );
        Self {
            path: folder.join(&relative),
            relative,
        }
    }

    /// Where it is, relative to the run folder.
    pub(crate) fn relative(&self) -> &str {
        &self.relative
    }

    /// Writes what was said.
    pub(crate) fn write(&self, said: &str) -> Result<(), FolderError> {
        let parent = self.path.parent().unwrap_or(&self.path);
        fs::create_dir_all(parent).map_err(failed("create", parent))?;
        let bytes = said.as_bytes();
        write(&self.path, &bytes[bytes.len().saturating_sub(Self::MOST)..])
    }
}

/// The files that one execution fetches from its machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CollectedFiles {
    folder: PathBuf,
    /// Relative to the run folder.
    stem: String,
}

impl CollectedFiles {
    /// The files of `test` in `cell`: `collected/<cell>/<test>/…`. Those of an execution that is
    /// not the only one also name its life.
    pub(crate) fn new(folder: &Path, cell: &CellId, test: &TestId, occasion: Occasion) -> Self {
        let suffix = occasion.suffix();
        Self {
            folder: folder.to_owned(),
            stem: format!(
                "collected/{}/{}{suffix}",
                file_name(cell.as_str()),
                file_name(test.as_str())
            ),
        }
    }

    /// A place for the file `remote` of the machine that nothing has taken: its path, and the same
    /// relative to the run folder.
    pub(crate) fn place(&self, remote: &str) -> Result<(PathBuf, String), FolderError> {
        let folder = self.folder.join(&self.stem);
        fs::create_dir_all(&folder).map_err(failed("create", &folder))?;
        let name = file_name(remote.rsplit('/').next().unwrap_or_default());
        for number in 1_u32.. {
            let name = match number {
                1 => name.clone(),
                number => format!("{name}.{number}"),
            };
            let path = folder.join(&name);
            match File::create_new(&path) {
                Ok(_) => return Ok((path, format!("{}/{name}", self.stem))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("create", &path)(error)),
            }
        }
        unreachable!("a folder holds fewer files than there are numbers")
    }
}

/// A file name for a name of a plan, which may hold anything. Names that need no change keep theirs;
/// the others get a piece of their digest, so different names stay different.
fn file_name(name: &str) -> String {
    const LONGEST: usize = 120;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '@');
    if !name.is_empty()
        && name.len() <= LONGEST
        && name.chars().all(plain)
        && !name.starts_with(['.', '-'])
    {
        return name.to_owned();
    }
    let kept: String = name
        .chars()
        .take(LONGEST)
        .map(|c| if plain(c) { c } else { '_' })
        .collect();
    let digest = digest(name.as_bytes());
    let hex = digest.rsplit(':').next().unwrap_or_default();
    // A leading underscore, since the name may start with a dot.
    format!("_{kept}-{}", &hex[..hex.len().min(12)])
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), FolderError> {
    File::create(path)
        .and_then(|mut file| file.write_all(bytes))
        .map_err(failed("write", path))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    move |source| FolderError {
        what,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_folder_and_stay_different() {
        assert_eq!(
            file_name("storage.mount@rebooted"),
            "storage.mount@rebooted"
        );
        let hostile = [
            "../../etc/passwd",
            "..",
            ".",
            "",
            "a/b",
            "a_b/",
            "a\0b",
            "-rf",
        ];
        let mut seen = std::collections::BTreeSet::new();
        for name in hostile {
            let file = file_name(name);
            assert!(
                !file.contains(['/', '\0']) && file.starts_with('_'),
                "{file}"
            );
            assert!(seen.insert(file));
        }
        assert!(file_name(&"é".repeat(4000)).len() < 200);
        assert_ne!(file_name("running(\"a\")"), file_name("running(\"b\")"));
    }
}
