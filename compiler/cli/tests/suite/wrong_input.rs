//! Wrong input that does not fit a literate spec: files made of bytes, sizes and cuts. Each is a clear
//! error with its exit code, never a panic, and no machine is started.

use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::process::Output;

use crate::console::{dva, playground};

/// Asserts how `dva ARGUMENTS` ends and that it says each of `words`.
fn refused(folder: &Path, arguments: &[&str], code: i32, words: &[&str]) {
    let Output {
        status,
        stdout,
        stderr,
    } = dva(folder).args(arguments).output().expect("dva starts");
    let text = String::from_utf8(stderr).expect("messages are text");
    assert_eq!(status.code(), Some(code), "dva {arguments:?}: {text}");
    assert!(
        stdout.is_empty(),
        "dva {arguments:?} printed to standard output"
    );
    for word in words {
        assert!(
            text.contains(word),
            "dva {arguments:?} does not say {word:?}: {text}"
        );
    }
    assert!(!text.contains("panicked"), "{text}");
    assert!(!folder.join(".dva").exists(), "a run was begun");
}

#[test]
fn sources_that_are_no_text() {
    let folder = playground();
    let write =
        |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).expect("written");
    write("latin1.plan", b"// caf\xe9\nplan p { }\n");
    write("zero.plan", b"disk d {\0 size = 1GiB }\n");
    let mut large = File::create(folder.path().join("large.plan")).expect("created");
    large.set_len((32 << 20) + 1).expect("sparse");
    large.seek(SeekFrom::Start(0)).expect("seeks");
    large.write_all(b"// large\n").expect("written");

    for command in ["check", "plan", "estimate", "graph", "run"] {
        refused(folder.path(), &[command, "latin1.plan"], 1, &["P0102"]);
        refused(folder.path(), &[command, "zero.plan"], 1, &[]);
        refused(
            folder.path(),
            &[command, "large.plan"],
            1,
            &["P0103", "32 MiB"],
        );
    }
}

#[test]
fn deep_nesting_is_refused_and_does_not_overflow() {
    let folder = playground();
    for (open, close) in [("(", ")"), ("[", "]"), ("{", "}")] {
        let text = format!(
            "test a {{ check {}1{} }}\n",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        fs::write(folder.path().join("deep.plan"), text).expect("written");
        refused(folder.path(), &["check", "deep.plan"], 1, &["P0106"]);
    }
    let nots = format!("test a {{ check {}true }}\n", "not ".repeat(200_000));
    fs::write(folder.path().join("nots.plan"), nots).expect("written");
    refused(folder.path(), &["check", "nots.plan"], 1, &["P01"]);
}

#[test]
fn plans_that_were_changed() {
    let folder = playground();
    let made = dva(folder.path())
        .args(["plan", "examples/storage.plan", "-o", "plan.json"])
        .output()
        .expect("dva starts");
    assert!(made.status.success());
    let bytes = fs::read(folder.path().join("plan.json")).expect("it was written");
    let try_bytes = |bytes: &[u8], words: &[&str]| {
        fs::write(folder.path().join("wrong.json"), bytes).expect("written");
        for command in ["run", "estimate", "graph"] {
            refused(folder.path(), &[command, "wrong.json"], 3, words);
        }
    };

    try_bytes(b"", &["empty"]);
    try_bytes(&bytes[..bytes.len() / 2], &["cut short"]);
    try_bytes(b"{\"hello\": 1}\n", &["not an execution plan"]);
    let text = String::from_utf8(bytes.clone()).expect("a plan is text");
    try_bytes(
        text.replacen("dva-plan", "dva-report", 1).as_bytes(),
        &["dva-report"],
    );
    try_bytes(
        text.replacen("[0,1]", "[7,0]", 1).as_bytes(),
        &["newer", "7.0"],
    );
    let mut changed = bytes.clone();
    let last = changed.len() - 10;
    changed[last] ^= 1;
    try_bytes(&changed, &["changed"]);
}

#[test]
fn two_gibibytes_of_zeros() {
    let folder = playground();
    for (name, code) in [("zeros.json", 3), ("zeros.plan", 1)] {
        File::create(folder.path().join(name))
            .and_then(|file| file.set_len(2 << 30))
            .expect("sparse");
        refused(folder.path(), &["run", name], code, &[]);
    }
}
