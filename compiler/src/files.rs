//! Files that a source names: scripts, tables, and what is put onto machines.
//!
//! The compiler reads nothing itself. A caller hands in a [`SourceLoader`], which alone knows where the
//! source lies; [`NoFiles`] is the one for a source that lies nowhere.

use thiserror::Error;

/// The largest file that a plan holds, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// Reads files beside a source.
pub trait SourceLoader {
    /// The content of the file at `path`, which is relative to the folder of the source and has `/`
    /// between its parts. Of a file larger than [`MAX_FILE_BYTES`] one byte more than that is enough.
    ///
    /// # Errors
    /// [`ReadProblem`] where there is no such file, or it cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, ReadProblem>;
}

/// Why a file could not be read, in words that follow the place where it is named.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ReadProblem {
    /// There is none at this path.
    #[error("there is no such file")]
    Missing,
    /// What is there is no file, such as a folder.
    #[error("this is no file")]
    NotAFile,
    /// Files cannot be read where the source was compiled.
    #[error("no files can be read here")]
    NoFiles,
    /// Anything else, as the system says it.
    #[error("it cannot be read: {0}")]
    Other(String),
}

/// Has no files.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFiles;

impl SourceLoader for NoFiles {
    fn read(&self, _: &str) -> Result<Vec<u8>, ReadProblem> {
        Err(ReadProblem::NoFiles)
    }
}
