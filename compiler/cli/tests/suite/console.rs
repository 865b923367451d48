//! Literate tests: `console` blocks of a Markdown file are run and compared.
//!
//! In such a block a line `$ COMMAND` is followed by what the command prints, both streams as they
//! come, and by `[exit N]` where it does not end with 0. Commands run in an empty folder that holds
//! copies of `examples/` and `fixtures/`. `DVA_BLESS=1` writes what was seen into the file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder in which commands of a test run.
pub fn playground() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (from, name) in [
        (root().join("examples"), "examples"),
        (fixtures, "fixtures"),
    ] {
        copy(&from, &folder.path().join(name));
    }
    folder
}

/// Copies a folder with all that is in it.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a new folder");
    for entry in fs::read_dir(from).expect("the folder is there") {
        let entry = entry.expect("the folder is readable");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("a file is copied");
        }
    }
}

/// The `dva` that belongs to these tests, in `folder`, plain and without a terminal.
pub fn dva(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dva"));
    command
        .current_dir(folder)
        .env_remove("NO_COLOR")
        .env_remove("RUST_BACKTRACE");
    command
}

/// Runs one line as a shell would; returns what it printed and how it ended.
fn shell(line: &str, folder: &Path) -> String {
    let binaries = Path::new(env!("CARGO_BIN_EXE_dva"))
        .parent()
        .expect("the binary is in a folder");
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("/bin/sh")
        .arg("-c")
        .arg(format!("exec 2>&1; {line}"))
        .current_dir(folder)
        .env("PATH", format!("{}:{path}", binaries.display()))
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("sh runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut text = steady(&text.replace(&folder.display().to_string(), "HERE"));
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    match output.status.code() {
        Some(0) => {}
        Some(code) => text.push_str(&format!("[exit {code}]\n")),
        None => text.push_str("[signal]\n"),
    }
    text
}

/// The text with what differs from run to run replaced: the ids of runs.
fn steady(text: &str) -> String {
    let is_id = |word: &str| {
        let parts: Vec<_> = word.split('-').map(str::len).collect();
        parts == [8, 6, 4]
            && word
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
    };
    text.split_inclusive(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .map(|piece| {
            let word = piece.trim_end_matches(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
            if is_id(word) {
                piece.replacen(word, "RUN-ID", 1)
            } else {
                piece.to_owned()
            }
        })
        .collect()
}

/// Runs the `console` blocks of `file` and compares, or writes what was seen.
pub fn check(file: &Path) {
    let written = fs::read_to_string(file).expect("the file is there");
    let folder = playground();
    let mut seen = String::new();
    let mut in_console = false;
    for line in written.lines() {
        match (in_console, line) {
            (false, "```console") => in_console = true,
            (true, "```") => in_console = false,
            (true, _) => match line.strip_prefix("$ ") {
                Some(command) => {
                    seen.push_str(line);
                    seen.push('\n');
                    seen.push_str(&shell(command, folder.path()));
                    continue;
                }
                None => continue,
            },
            (false, _) => {}
        }
        seen.push_str(line);
        seen.push('\n');
    }
    if std::env::var_os("DVA_BLESS").is_some() {
        fs::write(file, &seen).expect("the file is writable");
        return;
    }
    assert!(
        seen == written,
        "{} differs; DVA_BLESS=1 writes what was seen:\n{}",
        file.display(),
        difference(&written, &seen)
    );
}

/// The first lines that differ.
fn difference(written: &str, seen: &str) -> String {
    let first = written
        .lines()
        .zip(seen.lines())
        .position(|(written, seen)| written != seen)
        .unwrap_or_else(|| written.lines().count().min(seen.lines().count()));
    let from = |text: &str| -> String {
        text.lines()
            .skip(first)
            .take(12)
            .map(|line| format!("    {line}\n"))
            .collect()
    };
    format!(
        "line {}\n  written:\n{}  seen:\n{}",
        first + 1,
        from(written),
        from(seen)
    )
}

/// One test per file of `tests/spec/`, so that none is forgotten.
#[test]
fn specs() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec");
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder is readable").path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        check(&file);
    }
}

#[test]
fn ids_of_runs_are_made_steady() {
    assert_eq!(steady("run 20261123-093000-4f2a: x-y"), "run RUN-ID: x-y");
}
