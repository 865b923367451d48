//! How a command ends when it cannot do what it was asked: a message and an exit code.

use dva_compiler::diagnostic::shown;
use dva_plan::ExitCode;
use dva_plan::document::{LoadError, LoadErrorKind};

/// Why a command stopped. What is shown to people has been written by then, or is in here.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: ExitCode,
    /// What to print on standard error behind `error: `; empty where all has been said.
    pub message: String,
}

impl Failure {
    /// A failure that is still to be explained.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A failure that has been explained already.
    pub fn silent(code: ExitCode) -> Self {
        Self::new(code, "")
    }

    /// A file that cannot be read or written: the invocation names the wrong one.
    pub fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let why = match error.kind() {
            std::io::ErrorKind::NotFound => "There is no such file or folder.".to_owned(),
            std::io::ErrorKind::IsADirectory => "It is a folder, not a file.".to_owned(),
            std::io::ErrorKind::PermissionDenied => "Permission denied.".to_owned(),
            _ => format!("{error}."),
        };
        Self::new(
            ExitCode::Invocation,
            format!(
                "{doing} {}: {why}",
                shown::line(&path.display().to_string())
            ),
        )
    }

    /// A document that was refused.
    pub fn document(path: &std::path::Path, error: &LoadError) -> Self {
        let code = match error.kind {
            LoadErrorKind::Read(_) => ExitCode::Invocation,
            _ => ExitCode::Plan,
        };
        Self::new(
            code,
            format!("read {}: {error}", shown::line(&path.display().to_string())),
        )
    }
}
