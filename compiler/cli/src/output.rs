//! Files that a command writes: not over what it reads, not over each other, and where they can be.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write, stdout};
use std::path::{Path, PathBuf};

use dva_plan::ExitCode;

use crate::failure::Failure;

/// Standard output, by the name that stands for it.
const STANDARD: &str = "-";

/// Refuses outputs that would overwrite what is read or each other, or that cannot be written.
pub fn check<'p>(
    outputs: impl Iterator<Item = &'p Path>,
    inputs: impl Iterator<Item = &'p Path>,
) -> Result<(), Failure> {
    let inputs: Vec<PathBuf> = inputs.map(real).collect();
    let mut known: Vec<PathBuf> = Vec::new();
    for path in outputs {
        let own = real(path);
        let refuse = |why: &str| {
            let text = format!("{} {why}. Nothing was started.", path.display());
            Err(Failure::new(ExitCode::Invocation, text))
        };
        if known.contains(&own) {
            return refuse("is named for two outputs");
        }
        if path != Path::new(STANDARD) {
            if inputs.contains(&own) {
                return refuse("is read, and would be written over");
            }
            let is_new = !path.exists();
            OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .map_err(|error| Failure::file("write", path, &error))?;
            // Only whether it can be was asked.
            if is_new {
                let _ = fs::remove_file(path);
            }
        }
        known.push(own);
    }
    Ok(())
}

/// Writes to a file, or to standard output where it is called `-`.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let written = if path == Path::new(STANDARD) {
        stdout().write_all(bytes)
    } else {
        fs::write(path, bytes)
    };
    written.map_err(|error| Failure::file("write", path, &error))
}

/// Writes to standard output. That nobody reads it to its end is no failure.
pub fn print(bytes: impl AsRef<[u8]>) -> Result<(), Failure> {
    let mut out = stdout();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let text = format!("write to standard output: {error}.");
            Err(Failure::new(ExitCode::Invocation, text))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The path without links and dots, as far as it exists.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let folder = fs::canonicalize(folder.unwrap_or(Path::new(".")));
    match (folder, path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}
